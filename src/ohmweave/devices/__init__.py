"""Memristors: each one a current law and a circuit.

A device is a frozen dataclass whose fields are its parameters, with their units in the annotations.
"""

from typing import Any, Protocol

from numpy.random import Generator

from ohmweave.circuit import Cell
from ohmweave.devices.bending import bent
from ohmweave.devices.linear import Linear
from ohmweave.devices.sinh import Sinh
from ohmweave.devices.table import Table
from ohmweave.registry import merge
from ohmweave.units import Array

__all__ = ["BUILTIN_DEVICES", "Device", "Linear", "Sinh", "Table", "bent", "devices"]


class Device(Protocol):
    """A two-terminal memristor, read at a conductance that was programmed."""

    @property
    def g_range(self) -> tuple[float, float]:
        """Lowest and highest conductance, S."""
        ...

    def program(self, target: Array, rng: Generator) -> Array:
        """Conductances really reached for the targets asked, S, same shape."""
        ...

    def current(self, v: Array, g: Array) -> Array:
        """Current in A at voltage ``v`` (V) and programmed conductance ``g`` (S), broadcast."""
        ...

    def slope(self, v: Array, g: Array) -> Array:
        """di/dv in S, broadcast; asked in float32 where it only serves to find a step."""
        ...

    def cell(self) -> Cell | None:
        """The circuit: ports p, n and parameter g; ``None`` for a resistor of 1/g."""
        ...


BUILTIN_DEVICES: dict[str, type[Any]] = {"linear": Linear, "sinh": Sinh, "table": Table}


def devices() -> dict[str, type[Any]]:
    """Every device known, by the name a design calls it."""
    return merge("ohmweave.devices", BUILTIN_DEVICES)
