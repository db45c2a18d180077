"""Train a 784-128-10 network on MNIST and save its weights.

Run it as ``python examples/train_mnist_mlp.py mnist:DIR``, where DIR holds the four gzipped files of
MNIST (LeCun, Cortes, Burges, "The MNIST database of handwritten digits", 1998); on one thread it takes
well under a minute and prints the accuracy on the 10,000 test images. ``mnist_mlp.safetensors`` beside
this file was made so, in 20 seconds, and decides 97.93 % of them rightly. To weave it into a circuit,
from this folder::

    ohmweave compile train_mnist_mlp:model --weights mnist_mlp.safetensors --calibrate mnist:DIR -o build/mnist
"""

import argparse
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save as to_bytes

from ohmweave.frontend import Data, load_data

WEIGHTS = Path(__file__).with_name("mnist_mlp.safetensors")
SEED = 1
BATCH = 128


def model() -> torch.nn.Module:
    """The untrained network: y = W2 max(W1 x + b1, 0) + b2, x of [1, 28, 28] pixels in 0..1, y of 10 class scores."""
    layers: OrderedDict[str, torch.nn.Module] = OrderedDict(
        flatten=torch.nn.Flatten(),
        hidden=torch.nn.Linear(784, 128),
        relu=torch.nn.ReLU(),
        output=torch.nn.Linear(128, 10),
    )
    return torch.nn.Sequential(layers)


def train(data: Data, epochs: int) -> torch.nn.Module:
    """The network after ``epochs`` passes of Adam with mild weight decay and a cosine learning rate."""
    torch.manual_seed(SEED)
    network = model()
    x, y = torch.from_numpy(data.x).float(), torch.as_tensor(data.y)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(len(x)), BATCH):
            optimizer.zero_grad()
            torch.autograd.backward(torch.nn.functional.cross_entropy(network(x[chosen]), y[chosen]))
            optimizer.step()
        schedule.step()
    return network.eval()


def accuracy(network: torch.nn.Module, data: Data) -> float:
    """Share of samples whose largest output is their class."""
    with torch.no_grad():
        decisions = network(torch.from_numpy(data.x).float()).argmax(dim=1)
    return float((decisions.numpy() == data.y).mean())


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
    """Train, save, report; returns the accuracy on the test images."""
    parser = argparse.ArgumentParser(description="Train a 784-128-10 network on MNIST.")
    parser.add_argument("data", help="where the images are: mnist:DIR")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where to write the safetensors file")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    network = train(load_data(options.data, "train"), options.epochs)
    save(network, options.output)
    test = load_data(options.data, "test")
    found = accuracy(network, test)
    print(f"accuracy on {len(test.x)} test images: {found:.4f}; weights in {options.output}")
    return found


if __name__ == "__main__":
    main()
