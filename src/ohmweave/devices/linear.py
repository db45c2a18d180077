"""The linear memristor: a programmed resistor."""

from dataclasses import dataclass

import numpy as np

from ohmweave.circuit import Cell
from ohmweave.devices.conductance import ConductanceRange
from ohmweave.units import Array

__all__ = ["Linear"]


@dataclass(frozen=True)
class Linear(ConductanceRange):
    """i = g v."""

    def current(self, v: Array, g: Array) -> Array:
        """Current in A at voltage ``v`` (V) and conductance ``g`` (S)."""
        return g * v

    def slope(self, v: Array, g: Array) -> Array:
        """di/dv = g, S."""
        return np.broadcast_arrays(g, v)[0]

    def cell(self) -> Cell | None:
        """A plain resistor of 1/g."""
        return None
