"""Layers that gather neighbouring pixels of each channel into one."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ohmweave.errors import ModelError
from ohmweave.ops.operation import Shape
from ohmweave.ops.window import Pair, Sides, Window, fold_window
from ohmweave.units import Array

__all__ = ["AveragePool", "GlobalAveragePool", "MaxPool"]


def _window(kernel: Pair, stride: Pair, padding: Sides) -> Window:
    window = Window(kernel, stride, padding)
    if any(pad >= kernel[side % 2] for side, pad in enumerate(padding)):
        # Such a window could lie in the padding alone, where nothing is to be gathered.
        raise ModelError(
            f"expected a padding smaller than the kernel {tuple(kernel)}, found {tuple(padding)}",
            remedy="pad less, or pad in a layer of its own",
        )
    return window


class _Windowed:
    """An operation on what a window sees as it slides over a picture."""

    arity: ClassVar[int | None] = 1

    kernel: Pair
    stride: Pair
    padding: Sides

    def __post_init__(self) -> None:
        self.window()  # refuses numbers out of range

    def window(self) -> Window:
        """The window that slides over the picture."""
        return _window(self.kernel, self.stride, self.padding)

    def out_shape(self, *inputs: Shape) -> Shape:
        """[channels, positions down, positions across]."""
        positions = self.window().positions(inputs[0])
        return (inputs[0][0], *positions)


@dataclass(frozen=True)
class AveragePool(_Windowed):
    """y[c, p, q] = 1/N sum over i, j of x[c, s p + i - t, s' q + j - l].

    Args:
        kernel: taps (i, j) down and across.
        stride: (s, s'), pixels between positions.
        padding: zeros added at the top (t), left (l), bottom and right.
        count_include_pad: whether N is the number of taps, or of those on real pixels.

    Raises:
        ModelError: numbers out of range, or a padding as large as the kernel.
    """

    kernel: Pair
    stride: Pair
    padding: Sides = (0, 0, 0, 0)
    count_include_pad: bool = False

    def forward(self, *inputs: Array) -> Array:
        """The windows' means."""
        (x,) = inputs
        pixels = np.ones((1, 1, *x.shape[2:]))
        real = fold_window(self.window().slide(pixels), np.add)
        taps = float(np.prod(self.kernel)) if self.count_include_pad else real
        return np.asarray(fold_window(self.window().slide(x), np.add) / taps)


@dataclass(frozen=True)
class MaxPool(_Windowed):
    """y[c, p, q] = max over i, j of x[c, s p + i - t, s' q + j - l]; the padding never wins.

    Args:
        kernel: taps (i, j) down and across.
        stride: (s, s'), pixels between positions.
        padding: pixels added at the top (t), left (l), bottom and right.

    Raises:
        ModelError: numbers out of range, or a padding as large as the kernel.
    """

    kernel: Pair
    stride: Pair
    padding: Sides = (0, 0, 0, 0)

    def forward(self, *inputs: Array) -> Array:
        """The windows' largest values."""
        return np.array(fold_window(self.window().slide(inputs[0], fill=-np.inf), np.maximum))


@dataclass(frozen=True)
class GlobalAveragePool:
    """y[c] = 1/(H W) sum over i, j of x[c, i, j].

    Args:
        keepdims: whether the result is [channels, 1, 1] or [channels].
    """

    arity: ClassVar[int | None] = 1

    keepdims: bool = True

    def out_shape(self, *inputs: Shape) -> Shape:
        """[channels, 1, 1] or [channels]."""
        (shape,) = inputs
        if len(shape) != 3:
            raise ModelError(f"expected an input of shape (channels, height, width), found {shape}")
        return (shape[0], 1, 1) if self.keepdims else (shape[0],)

    def forward(self, *inputs: Array) -> Array:
        """The mean of each channel."""
        return np.asarray(inputs[0].mean(axis=(2, 3), keepdims=self.keepdims))
