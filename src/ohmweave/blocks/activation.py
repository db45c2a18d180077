"""No activation, and the two ReLUs."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from ohmweave.circuit import Cell, Diode, Instance, Resistor
from ohmweave.units import Array, Unit, require

__all__ = ["OutputClamp", "PrecisionRectifier", "Through"]

# Closes the op-amp's loop while both diodes are off: with a gain of 1e8 an open one has no digits left.
_KEEPER_OHM = 1e9


@dataclass(frozen=True)
class Through:
    """v_out = v_in: the readout is the stage's output."""

    inverting: ClassVar[bool] = False
    floor: ClassVar[float | None] = None
    opamps: ClassVar[int] = 0

    def input_scale(self, y_max: float, s_out: float, swing: float) -> float:
        """The same scale as the output, V per unit."""
        return s_out

    def quiescent_power(self, supply: float) -> float:
        """None, W."""
        return 0.0

    def cell(self, name: str, opamp: Cell, s_in: float, s_out: float) -> Cell | None:
        """Nothing."""
        return None

    def respond(self, v: Array, s_in: float, s_out: float) -> Array:
        """v."""
        return v


@dataclass(frozen=True)
class OutputClamp(Through):
    """ReLU by the readout itself: its last op-amp cannot go below ground (single-supply output).

    v_out = max(v_in, 0). While clamped, the summing node is no virtual ground and the bit line
    rises; the circuit and the engines carry that.
    """

    floor: ClassVar[float | None] = 0.0

    def respond(self, v: Array, s_in: float, s_out: float) -> Array:
        """max(v, 0)."""
        return np.maximum(v, 0.0)


@dataclass(frozen=True)
class PrecisionRectifier:
    """ReLU by an inverting half-wave rectifier: an op-amp, two diodes, two equal resistors.

    v_out = max(-v_in, 0): for v_in < 0 the output diode closes the loop through R; for v_in > 0 the
    other diode does, and the output rests at the virtual ground (Sedra and Smith, Microelectronic
    Circuits). The stage before delivers -v.

    Args:
        resistor: R, ohm.
        saturation_current: of both diodes, A.
    """

    resistor: Annotated[float, Unit("ohm")] = 10e3
    saturation_current: Annotated[float, Unit("A")] = 1e-14
    inverting: ClassVar[bool] = True
    floor: ClassVar[float | None] = None
    opamps: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require("relu.resistor", self.resistor, "ohm", "10 kohm")
        require("relu.saturation_current", self.saturation_current, "A", "1e-14 A")

    def input_scale(self, y_max: float, s_out: float, swing: float) -> float:
        """The same scale as the output, V per unit."""
        return s_out

    def quiescent_power(self, supply: float) -> float:
        """None beyond its op-amp's, W."""
        return 0.0

    def cell(self, name: str, opamp: Cell, s_in: float, s_out: float) -> Cell | None:
        """The circuit, ports in, out."""
        diode = Diode(self.saturation_current)
        parts = (
            Instance("i", Resistor(self.resistor), ("in", "n")),
            Instance("f", Resistor(self.resistor), ("n", "out")),
            Instance("op1", opamp, ("0", "n", "o")),
            Instance("k", Resistor(_KEEPER_OHM), ("n", "o")),
            Instance("d1", diode, ("n", "o")),
            Instance("d2", diode, ("o", "out")),
        )
        return Cell(name, ("in", "out"), parts, note="precision rectifier, v_out = max(-v_in, 0)")

    def respond(self, v: Array, s_in: float, s_out: float) -> Array:
        """max(-v, 0)."""
        return np.maximum(-v, 0.0)
