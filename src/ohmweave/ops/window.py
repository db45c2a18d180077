"""The window that convolutions and pools slide over a picture."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from ohmweave.errors import ModelError
from ohmweave.ops.operation import Shape
from ohmweave.units import Array

__all__ = ["Pair", "Sides", "Window", "fold_window"]

Pair = tuple[int, int]
# Top, left, bottom, right: the order of ONNX.
Sides = tuple[int, int, int, int]


@dataclass(frozen=True)
class Window:
    """Positions p = 0 .. floor((h + t + b - d (k - 1) - 1) / s) along the height h, and likewise along the width.

    Args:
        kernel: k, taps along height and width.
        stride: s, pixels between positions.
        padding: pixels added at the top (t), left, bottom (b) and right.
        dilation: d, pixels between taps.

    Raises:
        ModelError: a kernel, stride or dilation below 1, or a negative padding.
    """

    kernel: Pair
    stride: Pair
    padding: Sides
    dilation: Pair = (1, 1)

    def __post_init__(self) -> None:
        for label, values, count, least in (
            ("kernel", self.kernel, 2, 1),
            ("stride", self.stride, 2, 1),
            ("padding", self.padding, 4, 0),
            ("dilation", self.dilation, 2, 1),
        ):
            if len(values) != count or min(values) < least:
                raise ModelError(
                    f"expected {count} numbers of at least {least} for the {label}, found {tuple(values)}",
                    remedy="mend the layer",
                )

    def positions(self, shape: Shape) -> Pair:
        """Number of positions along height and width for a sample of shape [channels, height, width].

        Raises:
            ModelError: a sample that is no picture, or is smaller than the window.
        """
        if len(shape) != 3:
            raise ModelError(f"expected an input of shape (channels, height, width), found {shape}")
        top, left, bottom, right = self.padding
        size = (shape[1] + top + bottom, shape[2] + left + right)
        span = self._span()
        if size[0] < span[0] or size[1] < span[1]:
            raise ModelError(
                f"expected at least {span[0]} x {span[1]} pixels, padding included, found {size[0]} x {size[1]}",
                remedy="give larger samples or a smaller kernel",
            )
        return (size[0] - span[0]) // self.stride[0] + 1, (size[1] - span[1]) // self.stride[1] + 1

    def slide(self, x: Array, fill: float = 0.0) -> Array:
        """Every window as a view, [samples, channels, rows, columns, taps down, taps across].

        Args:
            x: samples [samples, channels, height, width].
            fill: the value of the padding.
        """
        top, left, bottom, right = self.padding
        if any(self.padding):
            x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
        view = np.lib.stride_tricks.sliding_window_view(x, self._span(), axis=(2, 3))
        down, across = self.stride
        return np.asarray(view[:, :, ::down, ::across, :: self.dilation[0], :: self.dilation[1]])

    def _span(self) -> Pair:
        """Pixels from the first tap to the last, both included."""
        (down, across), (height, width) = self.dilation, self.kernel
        return down * (height - 1) + 1, across * (width - 1) + 1


def fold_window(windows: Array, combine: Callable[[Array, Array], Array]) -> Array:
    """Combine the taps of every window, [samples, channels, rows, columns].

    Args:
        windows: what :meth:`Window.slide` returned.
        combine: an associative operation on two arrays, such as ``numpy.add``.
    """
    # Tap by tap, since NumPy reduces over two short axes many times slower than it adds long ones.
    return reduce(combine, (windows[..., i, j] for i, j in np.ndindex(windows.shape[-2:])))
