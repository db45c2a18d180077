"""What an operation is: the shape of one sample's result, and the reference forward pass on batches."""

from typing import ClassVar, Protocol

import numpy as np

from ohmweave.units import Array

__all__ = ["Op", "Shape", "hold_double"]

Shape = tuple[int, ...]


class Op(Protocol):
    """An operation on batches; shapes leave the batch dimension out.

    ``arity`` is the number of inputs, ``None`` where it is any number from one on.
    """

    arity: ClassVar[int | None]

    def out_shape(self, *inputs: Shape) -> Shape:
        """Shape of one sample's result; raises ModelError where the inputs do not fit."""
        ...

    def forward(self, *inputs: Array) -> Array:
        """The ideal result, float64 [samples, ...]."""
        ...


def hold_double(op: object, *names: str) -> None:
    """Turn the named arrays of a frozen operation into float64 as it is made."""
    # Networks come in single precision; what is mapped and hashed from them is double.
    for name in names:
        object.__setattr__(op, name, np.asarray(getattr(op, name), dtype=np.float64))
