"""Train the demonstration's network on the embedded handwritten digits and save its weights.

Run it as ``python examples/train_digits_mlp.py``; it takes some seconds and prints the accuracy on
the 360 held-out images.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save as to_bytes

from ohmweave.demo.digits_mlp import WEIGHTS, model
from ohmweave.frontend import Data, load_data

SEED = 1
BATCH = 32


def train(data: Data, epochs: int) -> torch.nn.Module:
    """The network after ``epochs`` passes of Adam with mild weight decay and a cosine learning rate."""
    torch.manual_seed(SEED)
    network = model()
    x, y = torch.from_numpy(data.x).float(), torch.as_tensor(data.y)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=0.05)
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
    """Train, save, report; returns the accuracy on the held-out images."""
    parser = argparse.ArgumentParser(description="Train the 64-32-10 network of the demonstration.")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where to write the safetensors file")
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    network = train(load_data("digits", "train"), options.epochs)
    save(network, options.output)
    held_out = accuracy(network, load_data("digits", "test"))
    print(f"accuracy on 360 held-out images: {held_out:.4f}; weights in {options.output}")
    return held_out


if __name__ == "__main__":
    main()
