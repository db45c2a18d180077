"""No activation, and those that one op-amp makes: the two ReLUs and the clip."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

import numpy as np

from ohmweave.blocks.protocols import OpAmp
from ohmweave.circuit import Cell, Diode, Instance, Resistor
from ohmweave.units import Array, Unit, require

__all__ = ["ClipClamp", "OutputClamp", "PrecisionRectifier", "Through", "Unlimited"]

# Closes the op-amp's loop while both diodes are off: with a gain of 1e8 an open one has no digits left.
_KEEPER_OHM = 1e9


class Unlimited:
    """What activations share whose operation has no parameters and that ask nothing of the readout."""

    def bind(self, *parameters: float) -> Self:
        """The same activation: there is nothing to tell it."""
        return self

    def limits(self, s_out: float) -> tuple[float | None, float | None]:
        """The readout's op-amp keeps its own, V."""
        return None, None


@dataclass(frozen=True)
class Through(Unlimited):
    """v_out = v_in: the readout is the stage's output."""

    inverting: ClassVar[bool] = False
    opamps: ClassVar[int] = 0

    def input_scale(self, y_max: float, s_out: float, swing: float) -> float:
        """The same scale as the output, V per unit."""
        return s_out

    def quiescent_power(self, supply: float) -> float:
        """None, W."""
        return 0.0

    def cell(self, name: str, opamp: OpAmp, s_in: float, s_out: float) -> Cell | None:
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

    def limits(self, s_out: float) -> tuple[float | None, float | None]:
        """Ground, and what the op-amp has, V."""
        return 0.0, None

    def respond(self, v: Array, s_in: float, s_out: float) -> Array:
        """max(v, 0)."""
        return np.maximum(v, 0.0)


@dataclass(frozen=True)
class ClipClamp(Through):
    """Clip by the readout itself: both limits of its last op-amp are set (a limiting amplifier).

    v_out = min(max(v_in, low s_out), high s_out); ReLU6 until it is bound to other limits. Beyond a limit
    the output still moves by a thousandth of the op-amp's input difference, as with :class:`OutputClamp`.
    A limit beyond the op-amp's own is the op-amp's own.

    Source: Sedra and Smith, Microelectronic Circuits (limiter circuits); ReLU6: Krizhevsky, Convolutional
    Deep Belief Networks on CIFAR-10, 2010.
    """

    @property
    def bounds(self) -> tuple[float, float]:
        """Lower and upper limit in the network's units."""
        return 0.0, 6.0

    def bind(self, *parameters: float) -> "ClipClamp":
        """The clip between the limits ``parameters`` = low, high, in the network's units; either may be infinite."""
        low, high = parameters
        return _BoundClip(low, high)

    def limits(self, s_out: float) -> tuple[float | None, float | None]:
        """low s_out and high s_out, V."""
        low, high = (bound * s_out if math.isfinite(bound) else None for bound in self.bounds)
        return low, high

    def respond(self, v: Array, s_in: float, s_out: float) -> Array:
        """min(max(v, low s_out), high s_out)."""
        low, high = self.bounds
        return np.clip(v, low * s_out, high * s_out)


@dataclass(frozen=True)
class _BoundClip(ClipClamp):
    """The clip of one layer; limits in the network's units."""

    low: float
    high: float

    @property
    def bounds(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True)
class PrecisionRectifier(Unlimited):
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

    def cell(self, name: str, opamp: OpAmp, s_in: float, s_out: float) -> Cell | None:
        """The circuit, ports in, out."""
        diode = Diode(self.saturation_current)
        parts = (
            Instance("i", Resistor(self.resistor), ("in", "n")),
            Instance("f", Resistor(self.resistor), ("n", "out")),
            Instance("op1", opamp.cell(f"{name}_opamp"), ("0", "n", "o")),
            Instance("k", Resistor(_KEEPER_OHM), ("n", "o")),
            Instance("d1", diode, ("n", "o")),
            Instance("d2", diode, ("o", "out")),
        )
        return Cell(name, ("in", "out"), parts, note="precision rectifier, v_out = max(-v_in, 0)")

    def respond(self, v: Array, s_in: float, s_out: float) -> Array:
        """max(-v, 0)."""
        return np.maximum(-v, 0.0)
