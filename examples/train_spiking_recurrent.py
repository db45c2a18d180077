"""Train a recurrent spiking network to tell in which order two bursts came, on spike trains of a file.

Run it as ``python examples/train_spiking_recurrent.py``; on one thread it takes about a minute. It writes the trains,
``spiking_order_train.npz`` and ``spiking_order_test.npz`` (x of shape [samples, steps, inputs], y the class), into the
current directory, trains on the first and prints the accuracy on the second. ``spiking_order.safetensors``,
``spiking_order.nir`` and the test trains beside this file were made so; all of the 500 test trains are decided rightly.

A sample has two bursts, each on one of two groups of inputs, with a pause between them over which a membrane loses
all but 7 % or less, and noise spikes everywhere. The class says which groups they were on: A A, A B, B A or B B. A B
and B A have the same spikes in all, so that only what came first tells them apart: neurons keep it through their own
spikes (RLeaky of snnTorch). After the temporal-order task of Hochreiter and Schmidhuber, "Long short-term memory",
Neural Computation 9, 1997.
"""

import argparse
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import snntorch
import torch
from snntorch import surrogate, utils
from train_spiking_digits import SLOPE, save

from ohmweave.frontend import Data, from_module, load_data, write_nir
from ohmweave.temporal import decide, run
from ohmweave.units import Array

WEIGHTS = Path(__file__).with_name("spiking_order.safetensors")
SEED = 1
BATCH = 64
INPUTS, HIDDEN, CLASSES = 16, 32, 4
STEPS, BURST, LATEST, PAUSE = 40, 4, 6, 12
NOISE, LOUD = 0.02, 0.6
BETA = 0.8


def trains(samples: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Spike trains [samples, steps, inputs] and their classes [samples]."""
    y = rng.integers(CLASSES, size=samples)
    rates = np.full((samples, STEPS, INPUTS), NOISE)
    first = rng.integers(LATEST, size=samples)
    second = first + BURST + PAUSE + rng.integers(LATEST, size=samples)
    for start, group in ((first, y // 2), (second, y % 2)):
        step = np.arange(STEPS) - start[:, np.newaxis]
        within = (step >= 0) & (step < BURST)
        mine = np.arange(INPUTS) // (INPUTS // 2) == group[:, np.newaxis]
        rates[within[:, :, np.newaxis] & mine[:, np.newaxis]] = LOUD
    return (rng.random(rates.shape) < rates).astype(np.uint8), y


def write(folder: Path, samples: int) -> tuple[Path, Path]:
    """The files of trains for training and for the test; a quarter as many for the test."""
    paths = folder / "spiking_order_train.npz", folder / "spiking_order_test.npz"
    for path, count, stream in zip(paths, (samples, samples // 4), np.random.default_rng(SEED).spawn(2), strict=True):
        x, y = trains(count, stream)
        np.savez_compressed(path, x=x, y=y)
    return paths


def model() -> torch.nn.Module:
    """The untrained network; x of 16 spikes, y of 4 spikes, one step a call."""
    words = {"beta": BETA, "init_hidden": True, "spike_grad": surrogate.fast_sigmoid(slope=SLOPE)}
    words["reset_mechanism"] = "subtract"
    layers: OrderedDict[str, torch.nn.Module] = OrderedDict(
        hidden=torch.nn.Linear(INPUTS, HIDDEN),
        loop=snntorch.RLeaky(linear_features=HIDDEN, **words),
        output=torch.nn.Linear(HIDDEN, CLASSES),
        lif=snntorch.Leaky(**words),
    )
    return torch.nn.Sequential(layers)


def counts(network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Output spikes from rest over all steps, [samples, classes]."""
    utils.reset(network)
    return torch.stack([network(x[:, step]) for step in range(x.shape[1])]).sum(dim=0)


def train(data: Data, epochs: int) -> torch.nn.Module:
    """The network after ``epochs`` passes of Adam with a cosine learning rate."""
    torch.manual_seed(SEED)
    network = model()
    x, y = torch.from_numpy(data.x).float(), torch.as_tensor(data.y)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(len(x)), BATCH):
            optimizer.zero_grad()
            scores = 0.5 * counts(network, x[chosen])
            torch.autograd.backward(torch.nn.functional.cross_entropy(scores, y[chosen]))
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        schedule.step()
    return network.eval()


def main(arguments: Sequence[str] | None = None) -> float:
    """Write the trains, learn, save, report; returns the accuracy on the test trains."""
    parser = argparse.ArgumentParser(description="Train a recurrent spiking network on the order of two bursts.")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where to write the safetensors file")
    parser.add_argument("--trains", type=Path, default=Path(), help="folder for the files of trains")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=25)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    learnt, held_out = write(options.trains, options.samples)
    network = train(load_data(f"npz:{learnt}", "train"), options.epochs)
    save(network, options.output)
    write_nir(from_module(network), options.output.with_suffix(".nir"))
    test = load_data(f"npz:{held_out}", "test")
    found = float((decide(run(from_module(network), test.x)) == test.y).mean())
    print(f"accuracy on {len(test.x)} test trains: {found:.4f}; weights in {options.output}")
    return found


if __name__ == "__main__":
    main()
