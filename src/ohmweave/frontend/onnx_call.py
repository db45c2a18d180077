"""One node of an ONNX model, with its attributes and constants checked as they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.errors import ModelError
from ohmweave.ops import Shape
from ohmweave.units import Array

__all__ = ["Call", "Constant", "floats", "refuse"]

Constant = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Call:
    """One ONNX node with what is known about its inputs.

    Args:
        op: the ONNX operation.
        name: the layer's name, for messages.
        shape: shape of one sample of the first input, which the network computes.
        constants: the values of the other inputs in order; ``None`` where one is left out.
        attributes: the node's attributes.
        outputs: number of outputs the node names.
        batch: the model's batch size, ``None`` where it is symbolic.
        opset: version of the ONNX operator set.
    """

    op: str
    name: str
    shape: Shape
    constants: tuple[Constant | None, ...]
    attributes: Mapping[str, Any]
    outputs: int
    batch: int | None
    opset: int

    @property
    def rank(self) -> int:
        """Dimensions of the first input, the batch included."""
        return 1 + len(self.shape)

    def constant(self, index: int) -> Constant | None:
        """The constant at input ``index`` (the first constant is input 1), if it is given."""
        return self.constants[index - 1] if index <= len(self.constants) else None

    def number(self, attribute: str, default: float) -> float:
        """A real attribute."""
        return float(self.attributes.get(attribute, default))

    def flag(self, attribute: str) -> bool:
        """An attribute of 0, the default, or 1."""
        return bool(self.attributes.get(attribute, 0))

    def text(self, attribute: str, default: str) -> str:
        """An attribute of characters."""
        value = self.attributes.get(attribute, default)
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

    def integers(self, attribute: str, index: int) -> tuple[int, ...] | None:
        """Whole numbers, which newer operator sets give as the constant at input ``index``, older ones as attribute.

        Raises:
            ModelError: a constant that is no row of whole numbers.
        """
        values = self.constant(index)
        if values is None:
            given = self.attributes.get(attribute)
            return None if given is None else tuple(int(value) for value in given)
        if values.ndim != 1 or values.dtype.kind != "i":
            raise refuse(
                self.name,
                f"expected a row of whole numbers for {attribute}, found {values.dtype} of shape {values.shape}",
                "export the network again",
            )
        return tuple(int(value) for value in values)

    def pair(self, attribute: str) -> tuple[int, int]:
        """One number down and one across, 1 by default.

        Raises:
            ModelError: another number of numbers.
        """
        values = tuple(int(value) for value in self.attributes.get(attribute, (1, 1)))
        if len(values) != 2:
            raise refuse(
                self.name,
                f"expected two numbers for {attribute}, found {values}",
                "use a layer for samples of shape (channels, height, width)",
            )
        return values


def refuse(name: str, message: str, remedy: str) -> ModelError:
    """The error about one layer."""
    return ModelError(message, where=f"layer {name!r}", remedy=remedy)


def floats(values: Constant, name: str) -> Array:
    """Weights in double precision; ModelError where they are no floating-point numbers."""
    # bfloat16 is an extension type whose kind is "V"; its name says what it is.
    if values.dtype.kind != "f" and values.dtype.name != "bfloat16":
        raise refuse(name, f"expected floating-point weights, found {values.dtype}", "export before quantising")
    return np.asarray(values, dtype=np.float64)
