"""An analog multiplier."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from ohmweave.blocks.line import inverter
from ohmweave.blocks.protocols import OpAmp
from ohmweave.circuit import Behavioural, Cell, Instance, Resistor
from ohmweave.units import Array, Unit, require

__all__ = ["QuarterSquare"]


@dataclass(frozen=True)
class _PairSum:
    """The sum of the drain currents of two MOS transistors whose gates are V_ov + v/2 and V_ov - v/2 above threshold.

    i(v) = I_b / 2 [pos(1 + v / (2 V_ov))^2 + pos(1 - v / (2 V_ov))^2], pos(u) = max(u, 0); up to
    |v| = 2 V_ov, where one of them turns off, this is I_b (1 + v^2 / (4 V_ov^2)).
    """

    bias: float
    overdrive: float

    def value(self, x: Array) -> Array:
        u = x / (2.0 * self.overdrive)
        return np.asarray(0.5 * self.bias * (np.maximum(1.0 + u, 0.0) ** 2 + np.maximum(1.0 - u, 0.0) ** 2))

    def slope(self, x: Array) -> Array:
        u = x / (2.0 * self.overdrive)
        return np.asarray(0.5 * self.bias / self.overdrive * (np.maximum(1.0 + u, 0.0) - np.maximum(1.0 - u, 0.0)))

    def expression(self, x: str) -> str:
        u = f"{x}/{2.0 * self.overdrive!r}"
        # pos(u)^2 = u (u + |u|) / 2.
        left, right = f"(1+{u})", f"(1-{u})"
        return f"{0.25 * self.bias!r}*({left}*({left}+abs({left}))+{right}*({right}+abs({right})))"


@dataclass(frozen=True)
class QuarterSquare:
    """A four-quadrant multiplier, v_out = v_a v_b / v_ref, from 4 a b = (a + b)^2 - (a - b)^2.

    Two pairs of MOS transistors in saturation give currents that are their bias I_b and a square: one pair is
    driven by v_a - v_b, the other by v_a - (-v_b), with -v_b from an inverter. Their difference is

        i = I_b [(v_a + v_b)^2 - (v_a - v_b)^2] / (4 V_ov^2) = I_b v_a v_b / V_ov^2,

    exactly, for |v_a| + |v_b| <= 2 V_ov, and flows through R = V_ov^2 / (I_b v_ref) around an op-amp. Port a draws
    nothing, port b what the inverter's resistor does; v_b must be within the op-amps' swing. With ideal op-amps the
    circuit is the product to 1e-7 of the largest one, V_ov^2 / v_ref; with a gain A, to some 5 / A of it.

    Source: Bult and Wallinga, A class of analog CMOS circuits based on the square-law characteristic of an MOS
    transistor in saturation, IEEE JSSC 22(3), 1987.

    Args:
        bias_current: I_b, of each pair at rest, A.
        overdrive: V_ov, gate voltage above threshold at rest, V.
        resistor: of the inverter, ohm.
    """

    bias_current: Annotated[float, Unit("A")] = 20e-6
    overdrive: Annotated[float, Unit("V")] = 0.5
    resistor: Annotated[float, Unit("ohm")] = 100e3
    opamps: ClassVar[int] = 2

    def __post_init__(self) -> None:
        require("multiplier.bias_current", self.bias_current, "A", "20 uA")
        require("multiplier.overdrive", self.overdrive, "V", "0.5 V")
        require("multiplier.resistor", self.resistor, "ohm", "100 kohm")

    @property
    def reach(self) -> float:
        """Largest |v_a| + |v_b| that is multiplied, 2 V_ov, V."""
        return 2.0 * self.overdrive

    def quiescent_power(self, supply: float) -> float:
        """Both pairs' bias currents from rail to rail, 2 I_b supply, W."""
        return 2.0 * self.bias_current * supply

    def cell(self, name: str, opamp: OpAmp, v_ref: float) -> Cell:
        """The circuit, ports a, b, out.

        Args:
            name: the cell's name.
            opamp: the amplifier it is made with.
            v_ref: the voltage that the product is divided by, V.

        Raises:
            DesignError: a ``v_ref`` that is not positive.
        """
        require("multiplier.v_ref", v_ref, "V", "0.5 V")
        amplifier, square = opamp.cell(f"{name}_opamp"), Behavioural(_PairSum(self.bias_current, self.overdrive))
        parts = (
            Instance("inv", inverter(f"{name}_inverter", amplifier, self.resistor), ("b", "nb")),
            Instance("plus", square, ("n", "0", "a", "nb")),
            Instance("minus", square, ("0", "n", "a", "b")),
            Instance("op1", amplifier, ("0", "n", "out")),
            Instance("f", Resistor(self.overdrive**2 / (self.bias_current * v_ref)), ("n", "out")),
        )
        return Cell(name, ("a", "b", "out"), parts, note=f"quarter-square multiplier, v_ref {v_ref:.6g} V")

    def respond(self, a: Array, b: Array, v_ref: float) -> Array:
        """a b / v_ref for |a| + |b| within the reach, broadcast, V."""
        return np.asarray(a * b / v_ref)
