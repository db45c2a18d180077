"""Operations that bring branches of a network together value by value."""

from dataclasses import dataclass
from typing import ClassVar

from ohmweave.errors import ModelError
from ohmweave.ops.operation import Shape
from ohmweave.units import Array

__all__ = ["Add", "Mul"]


@dataclass(frozen=True)
class Add:
    """y = a + b, the sum that ends a residual block.

    a, b: the branches, of one shape.
    """

    arity: ClassVar[int | None] = 2

    def out_shape(self, *inputs: Shape) -> Shape:
        """The branches' shape."""
        a, b = inputs
        if a != b:
            raise ModelError(
                f"expected two branches of one shape, found {a} and {b}",
                remedy="bring the branches to one shape, for example by a convolution of 1 x 1 pixels",
            )
        return a

    def forward(self, *inputs: Array) -> Array:
        """The sum."""
        return inputs[0] + inputs[1]


@dataclass(frozen=True)
class Mul:
    """y = a b, one of them repeated along dimensions where it has one value only.

    a, b: of one shape, or one of them 1 where they differ, such as the gate [C, 1, 1] of
    squeeze-and-excitation against a picture [C, H, W].

    Source: Hu et al., Squeeze-and-Excitation Networks, CVPR 2018.
    """

    arity: ClassVar[int | None] = 2

    def out_shape(self, *inputs: Shape) -> Shape:
        """The larger dimension of the two, one by one."""
        a, b = inputs
        if len(a) != len(b) or any(m != n and 1 not in (m, n) for m, n in zip(a, b, strict=True)):
            raise ModelError(
                f"expected factors of one shape, or a gate with 1 in its place, found {a} and {b}",
                remedy="give the gate the shape (channels, 1, 1)",
            )
        return tuple(max(m, n) for m, n in zip(a, b, strict=True))

    def forward(self, *inputs: Array) -> Array:
        """The product."""
        return inputs[0] * inputs[1]
