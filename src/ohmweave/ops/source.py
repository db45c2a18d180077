"""Where a network's samples come in."""

from dataclasses import dataclass
from typing import ClassVar

from ohmweave.ops.operation import Shape
from ohmweave.units import Array

__all__ = ["Input"]


@dataclass(frozen=True)
class Input:
    """The network's input, one sample of ``shape``."""

    arity: ClassVar[int | None] = 0

    shape: Shape

    def out_shape(self, *inputs: Shape) -> Shape:
        """The declared shape."""
        return self.shape

    def forward(self, *inputs: Array) -> Array:
        """Pass the samples on."""
        return inputs[0]
