"""Layers that scale each channel."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ohmweave.errors import ModelError
from ohmweave.ops.operation import Shape, hold_double
from ohmweave.units import Array

__all__ = ["BatchNorm"]


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """y[c] = scale[c] (x[c] - mean[c]) / sqrt(variance[c] + epsilon) + shift[c], with statistics that stay fixed.

    Args:
        scale: gamma, shape [channels].
        shift: beta, shape [channels].
        mean: running mean, shape [channels].
        variance: running variance, shape [channels].
        epsilon: added to the variance.

    Raises:
        ModelError: arrays of different shapes, or a channel whose variance + epsilon is not above 0.

    Source: Ioffe and Szegedy, Batch Normalization, ICML 2015.
    """

    arity: ClassVar[int | None] = 1

    scale: Array
    shift: Array
    mean: Array
    variance: Array
    epsilon: float

    def __post_init__(self) -> None:
        hold_double(self, "scale", "shift", "mean", "variance")
        shapes = [self.scale.shape, self.shift.shape, self.mean.shape, self.variance.shape]
        if self.scale.ndim != 1 or len(set(shapes)) > 1:
            raise ModelError(
                f"expected scale, shift, mean and variance of one shape [channels], "
                f"found {', '.join(map(str, shapes))}",
                where="BatchNorm",
                remedy="mend the arrays",
            )
        # Infinities and NaN have a message of their own in the graph.
        bad = np.flatnonzero(self.variance <= -self.epsilon)
        if len(bad):
            raise ModelError(
                f"expected variances above -epsilon = {-self.epsilon:g}, "
                f"found {self.variance[bad[0]]} in variance[{bad[0]}]",
                where="BatchNorm",
                remedy="train or export the network again",
            )

    def out_shape(self, *inputs: Shape) -> Shape:
        """The input's shape."""
        (shape,) = inputs
        if shape[0] != len(self.scale):
            raise ModelError(f"expected an input of {len(self.scale)} channels, found {shape[0]} in shape {shape}")
        return shape

    def forward(self, *inputs: Array) -> Array:
        """Each channel shifted and scaled."""
        (x,) = inputs
        place = (-1, *[1] * (x.ndim - 2))
        factor = self.scale / np.sqrt(self.variance + self.epsilon)
        return (x - self.mean.reshape(place)) * factor.reshape(place) + self.shift.reshape(place)
