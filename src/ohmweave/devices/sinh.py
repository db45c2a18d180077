"""The static sinh memristor: a filament with a tunnelling gap, at read voltages."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ohmweave.circuit import Behavioural, Cell, Instance
from ohmweave.devices.conductance import ConductanceRange
from ohmweave.units import Array, Unit, require

__all__ = ["Sinh"]


@dataclass(frozen=True)
class _SinhExpression:
    """The parameterised law as the device's cell writes it; ``{g}`` is the cell's parameter."""

    v0: float
    g: float = 1e-6

    def value(self, x: Array) -> Array:
        return np.asarray(self.g * self.v0 * np.sinh(x / self.v0))

    def slope(self, x: Array) -> Array:
        return np.asarray(self.g * np.cosh(x / self.v0))

    def expression(self, x: str) -> str:
        return f"{{g}}*{self.v0!r}*sinh({x}/{self.v0!r})"


@dataclass(frozen=True)
class Sinh(ConductanceRange):
    """i = g v0 sinh(v / v0).

    The static part of the gap models of HfOx memory (Jiang et al., IEEE TED 2016: v0 = 0.25 V;
    sky130 ReRAM: 0.43 V); g is the conductance at small voltage.

    Args:
        v0: voltage scale of the nonlinearity, V.
    """

    v0: Annotated[float, Unit("V")] = 0.33

    def __post_init__(self) -> None:
        super().__post_init__()
        require("device.v0", self.v0, "V", "0.33 V")

    def current(self, v: Array, g: Array) -> Array:
        """Current in A at voltage ``v`` (V) and small-signal conductance ``g`` (S)."""
        return np.asarray(g * self.v0 * np.sinh(v / self.v0))

    def slope(self, v: Array, g: Array) -> Array:
        """di/dv = g cosh(v / v0), S."""
        return np.asarray(g * np.cosh(v / self.v0))

    def cell(self) -> Cell:
        """One behavioural current source between p and n with parameter g."""
        source = Instance("b1", Behavioural(_SinhExpression(self.v0)), ("p", "n", "p", "n"))
        return Cell("memristor_sinh", ("p", "n"), (source,), {"g": self.g_off}, self, "i = g v0 sinh(v/v0)")
