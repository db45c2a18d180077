"""Layers whose weights are shared by all places of a picture."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from ohmweave.errors import ModelError
from ohmweave.ops.operation import Shape, hold_double
from ohmweave.ops.window import Pair, Sides, Window
from ohmweave.units import Array

__all__ = ["Conv"]

# Unfolded pixels held at a time, 64 MiB of them: samples beyond that wait for their turn.
_MOST_PATCH_VALUES = 2**23


@dataclass(frozen=True, eq=False)
class Conv:
    """y[o, p, q] = b[o] + sum over c, i, j of W[o, c, i, j] x[g C + c, s p + d i - t, s' q + d' j - l].

    Args:
        weight: W, shape [outputs, C, taps down, taps across], with C = channels / groups.
        bias: b, shape [outputs].
        stride: (s, s'), pixels between positions down and across.
        padding: zeros added at the top (t), left (l), bottom and right; x is 0 there.
        dilation: (d, d'), pixels between taps.
        groups: the outputs are split into as many groups, of which group g = floor(o groups / outputs)
            sees its own C channels alone; one group a channel is a depthwise convolution.

    Raises:
        ModelError: arrays or numbers that do not fit each other.
    """

    arity: ClassVar[int | None] = 1

    weight: Array
    bias: Array
    stride: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        hold_double(self, "weight", "bias")
        if self.weight.ndim != 4 or self.bias.shape != self.weight.shape[:1]:
            raise ModelError(
                f"expected a weight of shape [outputs, channels, height, width] and a bias of shape [outputs], "
                f"found {self.weight.shape} and {self.bias.shape}",
                where="Conv",
                remedy="use a two-dimensional convolution",
            )
        if self.groups < 1 or len(self.weight) % self.groups:
            raise ModelError(
                f"expected a number of groups that divides the {len(self.weight)} outputs, found {self.groups}",
                where="Conv",
                remedy="mend the layer",
            )
        self.window()  # refuses numbers out of range

    def window(self) -> Window:
        """The window that slides over the picture."""
        height, width = self.weight.shape[2:]
        return Window((height, width), self.stride, self.padding, self.dilation)

    def out_shape(self, *inputs: Shape) -> Shape:
        """[outputs, positions down, positions across]."""
        (shape,) = inputs
        positions = self.window().positions(shape)
        channels = self.weight.shape[1] * self.groups
        if shape[0] != channels:
            raise ModelError(f"expected an input of {channels} channels, found {shape[0]} in shape {shape}")
        return (len(self.weight), *positions)

    def forward(self, *inputs: Array) -> Array:
        """One matrix product a group, of the weights with the unfolded windows (im2col).

        Source: Chellapilla et al., High Performance Convolutional Neural Networks, IWFHR 2006.
        """
        (x,) = inputs
        shape = self.out_shape(x.shape[1:])
        result = np.empty((len(x), *shape))
        patch = self.groups * prod(self.weight.shape[1:]) * prod(shape[1:])
        step = max(1, _MOST_PATCH_VALUES // patch)
        for first in range(0, len(x), step):
            result[first : first + step] = self._product(x[first : first + step], shape)
        return result

    def _product(self, x: Array, shape: Shape) -> Array:
        windows = self.window().slide(x)
        grouped = windows.reshape(len(x), self.groups, -1, *windows.shape[2:])
        columns = grouped.transpose(0, 1, 2, 5, 6, 3, 4).reshape(len(x), self.groups, -1, prod(shape[1:]))
        weight = self.weight.reshape(self.groups, len(self.weight) // self.groups, -1)
        return np.asarray((weight @ columns).reshape(len(x), *shape) + self.bias[:, None, None])
