"""One peer of cnn.py on the same network and images, in an interpreter that has it: python cnn_peer.py NAME ....

Needs torch and the peer, not ohmweave. Both peers convert the network's layers in place and keep batch normalisation,
sums and activations in floating point. Prints one line of JSON: seconds that the processor worked, the
seconds of torch's own float32 forward pass, how many images were decided rightly, and how it was set up.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from reference_models import FACTORIES

BATCH = 25


def codes(bits: int) -> float:
    """A converter's steps as both peers count them; -1 is none."""
    return 2**bits - 2 if bits else -1


def aihwkit(network: nn.Module, options: Any, _: Tensor) -> tuple[nn.Module, str]:
    """aihwkit's inference tiles in torch, with its own scaling of inputs and outputs.

    Those of its compiled simulator, which know an approximate IR drop, want the very torch they were built with.
    """
    from aihwkit.nn.conversion import convert_to_analog
    from aihwkit.simulator.configs import TorchInferenceRPUConfig

    config = TorchInferenceRPUConfig()
    config.mapping.max_input_size = config.mapping.max_output_size = options.tile
    config.mapping.weight_scaling_omega = 1.0
    config.forward.inp_res, config.forward.out_res = codes(options.dac), codes(options.adc)
    config.forward.out_noise = config.forward.w_noise = 0.0
    how = f"tiles {options.tile} x {options.tile}, same bits, no noise, no wires"
    return convert_to_analog(network, config), how


def aihwkit_lightning(network: nn.Module, options: Any, calibration: Tensor) -> tuple[nn.Module, str]:
    """aihwkit-lightning, its input ranges the largest values of the calibration images."""
    from aihwkit_lightning.inference.calibration import InputRangeCalibrationType, calibrate_input_ranges
    from aihwkit_lightning.nn.conversion import convert_to_analog
    from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig

    config = TorchInferenceRPUConfig()
    config.mapping.max_input_size = options.tile
    made = convert_to_analog(network, config).eval()
    batches = (((part,), {}) for part in torch.split(calibration, BATCH))
    calibrate_input_ranges(made, InputRangeCalibrationType.MAX, batches, verbose=False)
    for layer in made.analog_layers():
        settings = layer.rpu_config.forward
        # Its output bound is in units of the largest input times the column's largest weight.
        settings.inp_res, settings.out_res, settings.out_bound = codes(options.dac), codes(options.adc), 12.0
    return made, f"tiles of {options.tile} inputs, any number of outputs, same bits, no noise, no wires"


PEERS: dict[str, Callable[[nn.Module, Any, Tensor], tuple[nn.Module, str]]] = {
    "aihwkit": aihwkit,
    "aihwkit_lightning": aihwkit_lightning,
}


def timed(network: nn.Module, x: Tensor) -> tuple[float, Tensor]:
    """Seconds worked for all images in batches, and the scores; a batch first for what is made at the first use."""
    with torch.no_grad():
        network(x[:BATCH])
        begun = time.process_time()
        scores = torch.cat([network(part) for part in torch.split(x, BATCH)])
        return time.process_time() - begun, scores


def main(options: Any) -> dict[str, object]:
    """Convert, run, tell."""
    from importlib.metadata import version

    torch.set_num_threads(1)
    network = FACTORIES[options.network]()
    state = {name: value.float() for name, value in load_file(options.weights).items()}
    network.load_state_dict(state, strict=False)
    archive = np.load(options.images, allow_pickle=False)
    x, calibration = (torch.from_numpy(archive[name]).float() for name in ("x", "calibration"))
    software, _ = timed(network.eval(), x)
    made, how = PEERS[options.peer](network, options, calibration)
    seconds, scores = timed(made.eval(), x)
    right = int((scores.argmax(1).numpy() == archive["y"]).sum())
    said = {"seconds": seconds, "torch": software, "images": len(x), "right": right, "how": how}
    return said | {"version": version(options.peer)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("network", choices=FACTORIES)
    parser.add_argument("weights", type=Path)
    parser.add_argument("images", type=Path, help="npz file: x, y, calibration")
    parser.add_argument("tile", type=int)
    parser.add_argument("dac", type=int)
    parser.add_argument("adc", type=int)
    sys.stdout.write(json.dumps(main(parser.parse_args(namespace=SimpleNamespace()))) + "\n")
