"""Train a spiking 64-32-10 network on the embedded handwritten digits and save it, as safetensors and as NIR.

Run it as ``python examples/train_spiking_digits.py``; on one thread it takes about two minutes and prints the accuracy
on the 360 held-out images, whose pixels become spikes by chance, at a rate, over 25 steps. The network: leaky
integrate-and-fire neurons with a decay of 0.9, a threshold of 1 and reset to zero, no biases. It is trained
through surrogate gradients (Neftci, Mostafa, Zenke, IEEE Signal Processing Magazine 36, 2019) by snnTorch on the
softmax of a quarter of the numbers of output spikes, with new trains at every pass.
"""

import argparse
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import snntorch
import torch
from safetensors.numpy import load_file
from safetensors.torch import save as to_bytes
from snntorch import surrogate, utils

from ohmweave.encoders import Encoding, Rate
from ohmweave.frontend import Data, load_data, write_nir
from ohmweave.graph import Graph, Input, Linear, Node
from ohmweave.ops import LeakyIntegrateFire
from ohmweave.temporal import decide, run

WEIGHTS = Path(__file__).with_name("spiking_digits.safetensors")
ENCODING = Encoding(Rate(25), seed=1)
SEED = 1
BATCH = 64
BETA = 0.9
SLOPE = 25.0
SHARPNESS = 0.25


def model(inputs: int = 64, hidden: int = 32) -> torch.nn.Sequential:
    """The untrained network; x of ``inputs`` spikes, y of 10 spikes, one step a call."""
    words = {"beta": BETA, "reset_mechanism": "zero", "init_hidden": True}
    words["spike_grad"] = surrogate.fast_sigmoid(slope=SLOPE)
    layers: OrderedDict[str, torch.nn.Module] = OrderedDict(
        hidden=torch.nn.Linear(inputs, hidden, bias=False),
        lif1=snntorch.Leaky(**words),
        output=torch.nn.Linear(hidden, 10, bias=False),
        lif2=snntorch.Leaky(**words, output=True),
    )
    return torch.nn.Sequential(layers)


def graph(weights: Path = WEIGHTS) -> Graph:
    """The trained network as a graph, read from its weights alone."""
    w = load_file(weights)
    nodes = [Node("x", Input((w["hidden.weight"].shape[1],)))]
    for linear, lif in (("hidden", "lif1"), ("output", "lif2")):
        outputs = len(w[f"{linear}.weight"])
        nodes.append(Node(linear, Linear(w[f"{linear}.weight"], np.zeros(outputs)), (nodes[-1].name,)))
        beta, threshold = (np.full(outputs, w[f"{lif}.{name}"]) for name in ("beta", "threshold"))
        nodes.append(Node(lif, LeakyIntegrateFire(beta, threshold, "zero", delay=True), (linear,)))
    return Graph(tuple(nodes), ("lif2",))


def counts(network: torch.nn.Sequential, trains: torch.Tensor) -> torch.Tensor:
    """The output's spikes over all steps from rest, [samples, 10]; of trains [samples, steps, inputs]."""
    utils.reset(network)
    # The first layer has no memory: one product for all steps.
    currents, rest = network[0](trains), network[1:]
    return torch.stack([rest(currents[:, step])[0] for step in range(trains.shape[1])]).sum(dim=0)


def train(network: torch.nn.Sequential, data: Data, epochs: int) -> torch.nn.Module:
    """The network after ``epochs`` passes of Adam with a cosine learning rate."""
    x, y = torch.from_numpy(data.x).float().flatten(1), torch.as_tensor(data.y)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(len(x)), BATCH):
            trains = torch.bernoulli(x[chosen, None].expand(-1, ENCODING.encoder.steps, -1))
            optimizer.zero_grad()
            torch.autograd.backward(torch.nn.functional.cross_entropy(SHARPNESS * counts(network, trains), y[chosen]))
            optimizer.step()
        schedule.step()
    return network.eval()


def accuracy(network: Graph, data: Data) -> float:
    """Share of samples whose class has the most output spikes."""
    parts = [decide(run(network, trains)) for _, trains in ENCODING.parts(data.x)]
    return float((np.concatenate(parts) == data.y).mean())


def save(network: torch.nn.Module, path: Path) -> None:
    """Write the weights beside their final place, then move them there in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(to_bytes(network.state_dict()))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> float:
    """Train, save, report; returns the accuracy on the held-out images."""
    parser = argparse.ArgumentParser(description="Train a spiking 64-32-10 network on handwritten digits.")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where to write the safetensors file")
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    save(train(model(), load_data("digits", "train"), options.epochs), options.output)
    test = load_data("digits", "test")
    found = accuracy(graph(options.output), test)
    write_nir(graph(options.output), options.output.with_suffix(".nir"))
    print(f"accuracy on {len(test.x)} held-out images: {found:.4f}; weights in {options.output}")
    return found


if __name__ == "__main__":
    main()
