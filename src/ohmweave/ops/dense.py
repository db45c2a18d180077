"""Layers that connect every input with every output."""

from dataclasses import dataclass
from typing import ClassVar

from ohmweave.errors import ModelError
from ohmweave.ops.operation import Shape, hold_double
from ohmweave.units import Array

__all__ = ["Linear"]


@dataclass(frozen=True, eq=False)
class Linear:
    """y = W x + b.

    W: weight, shape [outputs, inputs]; b: bias, shape [outputs].
    """

    arity: ClassVar[int | None] = 1

    weight: Array
    bias: Array

    def __post_init__(self) -> None:
        hold_double(self, "weight", "bias")
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise ModelError(
                f"expected a weight of shape [outputs, inputs] and a bias of shape [outputs], "
                f"found {self.weight.shape} and {self.bias.shape}",
                where="Linear",
                remedy="mend the arrays",
            )

    def out_shape(self, *inputs: Shape) -> Shape:
        """[outputs], where the input has as many features as W has columns."""
        (shape,) = inputs
        if len(shape) != 1 or shape[0] != self.weight.shape[1]:
            raise ModelError(f"expected an input of shape ({self.weight.shape[1]},), found {shape}")
        return (self.weight.shape[0],)

    def forward(self, *inputs: Array) -> Array:
        """W x + b."""
        return inputs[0] @ self.weight.T + self.bias
