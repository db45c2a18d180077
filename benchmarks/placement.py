"""Placement: tiles, utilisation and wire of unrolled convolutions, beside the matrix cut in its own order.

The layers are LeNet-5's two convolutions and the first of 16 to 16 channels in ResNet-20, with biases;
a tile of N x N holds N signals and N outputs. Prints a table and keeps it in placement.txt beside this file.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix

from ohmweave.placement import place, place_in_order, utilisation

TILES = (64, 128)


@dataclass(frozen=True)
class Layer:
    """A convolution with stride 1: channels in and out, kernel, width of its picture with and without padding."""

    channels: int
    outputs: int
    kernel: int
    size: int
    padding: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of what it gives."""
        places = self.size + 2 * self.padding - self.kernel + 1
        return self.outputs, places, places

    def unroll(self) -> csc_matrix:
        """Where devices are: [padded pixels and one bias, outputs]."""
        padded, (_, places, _) = self.size + 2 * self.padding, self.shape
        axes = np.indices((*self.shape, self.channels, self.kernel, self.kernel))
        c, p, q, i, u, v = (axis.ravel() for axis in axes)
        rows, cols = (i * padded + p + u) * padded + q + v, (c * places + p) * places + q
        shape = self.channels * padded**2 + 1, self.outputs * places**2
        rows, cols = np.append(rows, np.full(shape[1], shape[0] - 1)), np.append(cols, np.arange(shape[1]))
        return coo_matrix((np.ones(len(rows)), (rows, cols)), shape=shape).tocsc()


LAYERS: Mapping[str, Layer] = MappingProxyType(
    {
        "LeNet-5 conv1": Layer(1, 6, 5, 28, 2),
        "LeNet-5 conv2": Layer(6, 16, 5, 14, 0),
        "ResNet-20 3x3": Layer(16, 16, 3, 32, 1),
    }
)


def measure(name: str, tile: int) -> Iterator[str]:
    """Place one layer both ways; a line for each, and one for how they compare."""
    layer = LAYERS[name]
    pattern, found = layer.unroll(), {}
    for method in ("in order", "placed"):
        begun = time.perf_counter()
        spots = place(pattern, tile, tile, layer.shape) if method == "placed" else place_in_order(pattern, tile, tile)
        seconds, used = time.perf_counter() - begun, utilisation(spots, pattern, tile, tile)
        found[method] = used
        spread = used.joints / pattern.shape[1]
        yield (
            f"{name:<15}{tile:>5}  {method:<9}{used.devices:>9}{used.tiles:>7}{100 * used.share:>9.1f}"
            f"{used.wire:>12.3g}{spread:>10.2f}{seconds:>9.2f}"
        )
    naive, ours = found["in order"], found["placed"]
    yield (
        f"{name} on {tile} x {tile}: {naive.tiles / ours.tiles:.1f} times fewer tiles, "
        f"{naive.wire / ours.wire:.1f} times less wire"
    )


def run(layers: Sequence[str], tiles: Sequence[int]) -> str:
    """The table."""
    head = (
        f"{'layer':<15}{'tile':>5}  {'method':<9}{'devices':>9}{'tiles':>7}{'used, %':>9}"
        f"{'segments':>12}{'tiles/out':>10}{'seconds':>9}"
    )
    measured = [list(measure(name, tile)) for name in layers for tile in tiles]
    lines = [head, *(line for lines in measured for line in lines[:-1]), *(lines[-1] for lines in measured)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", nargs="+", choices=list(LAYERS), default=list(LAYERS), help="which to place")
    parser.add_argument("--tiles", type=int, nargs="+", default=list(TILES), help="signals and outputs of a tile")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".txt"), help="where to keep it")
    arguments = parser.parse_args()
    table = run(arguments.layers, arguments.tiles)
    sys.stdout.write(table)
    arguments.output.write_text(table, encoding="utf-8")
