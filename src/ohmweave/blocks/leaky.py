"""The leaky ReLU: a rectifier and a weighted sum."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from ohmweave.blocks.activation import Unlimited
from ohmweave.blocks.protocols import OpAmp
from ohmweave.blocks.summing import limited_followers, summing_amplifier
from ohmweave.circuit import Cell, Instance
from ohmweave.units import Array, Unit, require

__all__ = ["LeakyRectifier"]


@dataclass(frozen=True)
class LeakyRectifier(Unlimited):
    """Leaky ReLU by two followers that stop at ground and an inverting summing amplifier.

    With v_in = -s_in y the followers' outputs cannot rise above ground, r = min(v_in, 0) = -s_in max(y, 0), and

        v_out = -a v_in - b r,   a = slope s_out / s_in,   b = (1 - slope) s_out / s_in;

    with a slope above 1 they cannot fall below it, r = max(v_in, 0), a = s_out / s_in and
    b = (slope - 1) s_out / s_in. A slope of 0.01 until it is bound to another. With ideal op-amps the circuit
    is its function to some 30 uV at the corner and 1e-6 elsewhere; with a gain A it falls short by
    some (3 + s_out / s_in) / A.

    Source: the precision rectifier whose output is added to its input (Sedra and Smith, Microelectronic
    Circuits, precision full-wave rectifier), with limited op-amps for its diodes.

    Args:
        resistor: of the summing amplifier's feedback, ohm.
    """

    resistor: Annotated[float, Unit("ohm")] = 100e3
    inverting: ClassVar[bool] = True
    opamps: ClassVar[int] = 3

    def __post_init__(self) -> None:
        require("leaky_relu.resistor", self.resistor, "ohm", "100 kohm")

    @property
    def gradient(self) -> float:
        """The slope below zero."""
        return 0.01

    def bind(self, *parameters: float) -> "LeakyRectifier":
        """The leaky ReLU whose slope below zero is the one parameter."""
        (slope,) = parameters
        return _BoundLeaky(self.resistor, slope)

    def input_scale(self, y_max: float, s_out: float, swing: float) -> float:
        """The output's scale, or less where large negative values would leave the swing, V per unit."""
        return min(s_out, swing / y_max) if y_max else s_out

    def quiescent_power(self, supply: float) -> float:
        """None beyond its op-amps', W."""
        return 0.0

    def cell(self, name: str, opamp: OpAmp, s_in: float, s_out: float) -> Cell | None:
        """The circuit, ports in, out; scales in V per unit."""
        gain, slope = s_out / s_in, self.gradient
        steep = slope > 1.0
        weights = (-gain, (1.0 - slope) * gain) if steep else (-slope * gain, (slope - 1.0) * gain)
        limited = opamp.cell(f"{name}_limited", low=0.0) if steep else opamp.cell(f"{name}_limited", high=0.0)
        total = summing_amplifier(f"{name}_sum", opamp.cell(f"{name}_opamp"), weights, self.resistor)
        parts = (*limited_followers(limited, "in", "m", "r"), Instance("sum", total, ("in", "r", "out")))
        return Cell(name, ("in", "out"), parts, note=f"leaky rectifier, slope {slope:.6g}")

    def respond(self, v: Array, s_in: float, s_out: float) -> Array:
        """s_out y where y = -v / s_in >= 0, slope s_out y elsewhere."""
        y = -v / s_in
        return np.where(y >= 0.0, s_out * y, self.gradient * s_out * y)


@dataclass(frozen=True)
class _BoundLeaky(LeakyRectifier):
    """The leaky ReLU of one layer."""

    slope: float = 0.01

    @property
    def gradient(self) -> float:
        return self.slope
