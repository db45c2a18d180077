"""Functions of one value, and the softmax that ends a classifier."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ohmweave.errors import ModelError
from ohmweave.ops.operation import Shape
from ohmweave.units import Array

__all__ = [
    "Clip",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Relu",
    "Sigmoid",
    "Softmax",
    "Tanh",
]


class _Elementwise:
    """An operation that keeps its input's shape."""

    arity: ClassVar[int | None] = 1

    def out_shape(self, *inputs: Shape) -> Shape:
        """The input's shape."""
        return inputs[0]


@dataclass(frozen=True)
class Relu(_Elementwise):
    """y = max(x, 0)."""

    def forward(self, *inputs: Array) -> Array:
        """max(x, 0)."""
        return np.maximum(inputs[0], 0.0)


@dataclass(frozen=True)
class Clip(_Elementwise):
    """y = min(max(x, low), high); with limits 0 and 6 it is ReLU6.

    Args:
        low: the lower limit.
        high: the upper limit, not below the lower one.

    Raises:
        ModelError: limits in the wrong order.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ModelError(
                f"expected a lower limit of at most the upper one, found {self.low} and {self.high}",
                where="Clip",
                remedy="exchange the limits",
            )

    def forward(self, *inputs: Array) -> Array:
        """min(max(x, low), high)."""
        return np.clip(inputs[0], self.low, self.high)


@dataclass(frozen=True)
class LeakyRelu(_Elementwise):
    """y = x where x >= 0, slope x elsewhere.

    Args:
        slope: the derivative below 0.

    Source: Maas et al., Rectifier Nonlinearities Improve Neural Network Acoustic Models, ICML 2013.
    """

    slope: float

    def forward(self, *inputs: Array) -> Array:
        """x or slope x."""
        return np.where(inputs[0] >= 0, inputs[0], self.slope * inputs[0])


@dataclass(frozen=True)
class Tanh(_Elementwise):
    """y = tanh(x)."""

    def forward(self, *inputs: Array) -> Array:
        """tanh(x)."""
        return np.tanh(inputs[0])


@dataclass(frozen=True)
class Sigmoid(_Elementwise):
    """y = 1 / (1 + exp(-x))."""

    def forward(self, *inputs: Array) -> Array:
        """1 / (1 + exp(-x)), written so that it cannot overflow."""
        return 0.5 * (1.0 + np.tanh(0.5 * inputs[0]))


@dataclass(frozen=True)
class HardSigmoid(_Elementwise):
    """y = min(max(alpha x + beta, 0), 1).

    Args:
        alpha: the slope between the limits.
        beta: the value at x = 0.
    """

    alpha: float = 1 / 6
    beta: float = 0.5

    def forward(self, *inputs: Array) -> Array:
        """min(max(alpha x + beta, 0), 1)."""
        return np.clip(self.alpha * inputs[0] + self.beta, 0.0, 1.0)


@dataclass(frozen=True)
class HardSwish(_Elementwise):
    """y = x min(max(x / 6 + 1/2, 0), 1).

    Source: Howard et al., Searching for MobileNetV3, ICCV 2019.
    """

    def forward(self, *inputs: Array) -> Array:
        """x times its hard sigmoid."""
        return inputs[0] * np.clip(inputs[0] / 6.0 + 0.5, 0.0, 1.0)


@dataclass(frozen=True)
class Identity(_Elementwise):
    """y = x; dropout at inference is this too."""

    def forward(self, *inputs: Array) -> Array:
        """x."""
        return inputs[0]


@dataclass(frozen=True)
class Softmax(_Elementwise):
    """y_i = exp(x_i) / sum_j exp(x_j) over the last axis; stays on the host, outside the circuit."""

    def forward(self, *inputs: Array) -> Array:
        """The exponentials' shares, shifted by the maximum against overflow."""
        shifted = np.exp(inputs[0] - inputs[0].max(axis=-1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))
