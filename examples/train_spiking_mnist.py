"""Train a spiking 784-128-10 network on MNIST and save it, as safetensors and as NIR.

Run it as ``python examples/train_spiking_mnist.py mnist:DIR``, where DIR holds the four gzipped files of MNIST
(LeCun, Cortes, Burges, "The MNIST database of handwritten digits", 1998); on one thread it takes about ten minutes.
``spiking_mnist.safetensors`` beside this file was made so and decides 96.46 % of the test images rightly. The neurons,
the code of the spikes and the training are those of ``train_spiking_digits.py`` beside this file, which it uses.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from train_spiking_digits import SEED, accuracy, graph, save, train
from train_spiking_digits import model as dense

from ohmweave.frontend import load_data, write_nir

WEIGHTS = Path(__file__).with_name("spiking_mnist.safetensors")


def model() -> torch.nn.Sequential:
    """The untrained network; x of 784 spikes, y of 10 spikes, one step a call."""
    return dense(784, 128)


def main(arguments: Sequence[str] | None = None) -> float:
    """Train, save, report; returns the accuracy on the test images."""
    parser = argparse.ArgumentParser(description="Train a spiking 784-128-10 network on MNIST.")
    parser.add_argument("data", help="where the images are: mnist:DIR")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where to write the safetensors file")
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    save(train(model(), load_data(options.data, "train"), options.epochs), options.output)
    test = load_data(options.data, "test")
    found = accuracy(graph(options.output), test)
    write_nir(graph(options.output), options.output.with_suffix(".nir"))
    print(f"accuracy on {len(test.x)} test images: {found:.4f}; weights in {options.output}")
    return found


if __name__ == "__main__":
    main()
