"""A small convolutional network on handwritten digits as one analog circuit, every pixel's window unrolled.

Trains the network (some seconds), weaves it, compares its accuracy with the software's on held-out images,
and checks two of them against ngspice where it is installed. Wires have no resistance here: with some, ngspice 46
finds no answer within minutes to so many rectifiers on shared rows; see --ohms.

python examples/digits_cnn.py
python examples/digits_cnn.py --epochs 10 --samples 60
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

import ohmweave as ow
from ohmweave.analysis.deviation import deviation
from ohmweave.errors import SimulatorMissing
from ohmweave.frontend import Data
from ohmweave.units import Array

SEED = 1
BATCH = 32


def model() -> nn.Module:
    """Four kernels of 3 x 3, means of 2 x 2 pixels, a dense layer: 406 weights for images of 8 x 8."""
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 10))


def train(data: Data, epochs: int) -> nn.Module:
    """The network after ``epochs`` passes of Adam with mild weight decay and a cosine learning rate."""
    torch.manual_seed(SEED)
    network = model()
    x, y = torch.from_numpy(data.x).float().reshape(-1, 1, 8, 8), torch.as_tensor(data.y)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(len(x)), BATCH):
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(network(x[chosen]), y[chosen]))
            optimizer.step()
        schedule.step()
    return network.eval()


def main(arguments: Sequence[str] | None = None) -> tuple[float, float]:
    """Print, and return, the accuracy of the software and of the circuit on held-out images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--samples", type=int, default=360, help="held-out images")
    parser.add_argument(
        "--ohms", type=float, default=0.0, help="resistance of a wire's segment; skips the check above 0"
    )
    parser.add_argument("--checked", type=int, default=2, help="images to run in ngspice too")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    learnt, held_out = ow.load_data("digits", "train"), ow.load_data("digits", "test")
    x, labels = held_out.x[: chosen.samples].reshape(-1, 1, 8, 8), np.asarray(held_out.y)[: chosen.samples]

    design = replace(ow.Design.default(), array=ow.ArrayChoice(r_row=chosen.ohms, r_col=chosen.ohms))
    chip = ow.compile(train(learnt, chosen.epochs), design, calibration=learnt.x.reshape(-1, 1, 8, 8))
    for stage in chip.plan.stages:
        print(f"{stage.name}: {', '.join(stage.layers)}, {len(stage.tiles)} tiles, {stage.devices} memristors")
    software, circuit = (
        float((logits.argmax(axis=1) == labels).mean()) for logits in (chip.plan.graph.forward(x), chip.predict(x))
    )
    print(f"accuracy on {len(x)} held-out images: software {software:.3f}, circuit {circuit:.3f}")
    if not chosen.ohms:
        check(chip, x[: chosen.checked])
    return software, circuit


def check(chip: ow.Chip, x: Array) -> None:
    """Run images through the whole circuit in ngspice and print how far the native engine is from it."""
    try:
        reference = chip.simulate(x, engine="ngspice")
    except SimulatorMissing:
        print("ngspice is not installed: not checked")
        return
    found = deviation(chip.simulate(x).stage_volts, reference.stage_volts)
    print(f"{len(x)} images in ngspice: at most {found.largest:.1e} of full scale away, at {found.node}")


if __name__ == "__main__":
    main()
