"""The hard swish: a clamped gate times its input."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from ohmweave.blocks.activation import Unlimited
from ohmweave.blocks.multiplier import QuarterSquare
from ohmweave.blocks.protocols import OpAmp
from ohmweave.blocks.summing import limited_followers
from ohmweave.circuit import Cell, Instance, Resistor, VoltageSource
from ohmweave.units import Array, Unit, require

__all__ = ["HardSwishProduct"]

# The gate opens from -3 to 3 units; calibration data that stays within fewer than these leaves room for them.
_HALF_GATE = 3.0
_LEAST_UNITS = 4.0


@dataclass(frozen=True)
class HardSwishProduct(Unlimited):
    """Hard swish by a gate and a multiplier, v_out = s_out x clip(x / 6 + 1/2, 0, 1), x = v_in / s_in.

    Two equal resistors halve v_in + 3 s_in; two followers whose output is limited to 0 .. 3 s_in make the gate
    v_g = 3 s_in clip(x / 6 + 1/2, 0, 1) of it; the multiplier gives v_g v_in / v_ref with v_ref = 3 s_in^2 / s_out.
    With ideal op-amps the circuit is its function to 1e-4 of full scale (the gate's corners are some 30 uV
    wide), with a gain A to some 5 / A.

    Source: the function, Howard et al., Searching for MobileNetV3, ICCV 2019; the multiplier, Bult and Wallinga,
    IEEE JSSC 1987 (:class:`ohmweave.blocks.QuarterSquare`).

    Args:
        bias_current: of each of the multiplier's pairs at rest, A.
        overdrive: of its transistors, V; |v_in| + v_g may come to twice as much.
        resistor: of the divider and of the multiplier's inverter, ohm.
    """

    bias_current: Annotated[float, Unit("A")] = 20e-6
    overdrive: Annotated[float, Unit("V")] = 0.5
    resistor: Annotated[float, Unit("ohm")] = 100e3
    inverting: ClassVar[bool] = False
    opamps: ClassVar[int] = 4

    def __post_init__(self) -> None:
        require("hard_swish.bias_current", self.bias_current, "A", "20 uA")
        require("hard_swish.overdrive", self.overdrive, "V", "0.5 V")
        require("hard_swish.resistor", self.resistor, "ohm", "100 kohm")

    def input_scale(self, y_max: float, s_out: float, swing: float) -> float:
        """V per unit so that ``y_max`` units stay within the swing, and with the gate within the multiplier's reach."""
        units = max(y_max, _LEAST_UNITS)
        return min(swing / units, self._product.reach / (units + _HALF_GATE))

    def quiescent_power(self, supply: float) -> float:
        """The multiplier's, W."""
        return self._product.quiescent_power(supply)

    def cell(self, name: str, opamp: OpAmp, s_in: float, s_out: float) -> Cell | None:
        """The circuit, ports in, out; scales in V per unit."""
        v_gate = _HALF_GATE * s_in
        limited = opamp.cell(f"{name}_limited", low=0.0, high=v_gate)
        product = self._product.cell(f"{name}_product", opamp, v_gate * s_in / s_out)
        parts = (
            Instance("ref", VoltageSource(v_gate), ("ref", "0")),
            Instance("h1", Resistor(self.resistor), ("in", "h")),
            Instance("h2", Resistor(self.resistor), ("ref", "h")),
            *limited_followers(limited, "h", "m", "g"),
            Instance("product", product, ("g", "in", "out")),
        )
        return Cell(name, ("in", "out"), parts, note=f"hard swish, {s_in:.6g} V to {s_out:.6g} V a unit")

    def respond(self, v: Array, s_in: float, s_out: float) -> Array:
        """s_out x clip(x / 6 + 1/2, 0, 1), x = v / s_in, V."""
        x = v / s_in
        return np.asarray(s_out * x * np.clip(x / 6.0 + 0.5, 0.0, 1.0))

    @property
    def _product(self) -> QuarterSquare:
        return QuarterSquare(self.bias_current, self.overdrive, self.resistor)
