"""CMOS blocks around the crossbars: each one a circuit and its mathematics."""

from typing import Any, ClassVar, Protocol

from ohmweave.blocks.activation import OutputClamp, PrecisionRectifier, Through
from ohmweave.blocks.differential_pair import SigmoidPair, TanhPair
from ohmweave.blocks.line import Driver, inverter
from ohmweave.blocks.opamp import Finite, Ideal
from ohmweave.blocks.transimpedance import Transimpedance
from ohmweave.blocks.two_opamp import TwoOpAmp
from ohmweave.circuit import Cell
from ohmweave.registry import merge
from ohmweave.units import Array

__all__ = [
    "BUILTIN_OPAMPS",
    "BUILTIN_READOUTS",
    "BUILTIN_RELUS",
    "BUILTIN_SIGMOIDS",
    "BUILTIN_TANHS",
    "Activation",
    "Driver",
    "Finite",
    "Ideal",
    "OpAmp",
    "OutputClamp",
    "PrecisionRectifier",
    "Readout",
    "SigmoidPair",
    "TanhPair",
    "Through",
    "Transimpedance",
    "TwoOpAmp",
    "activations",
    "inverter",
    "opamps",
    "readouts",
]


class OpAmp(Protocol):
    """A voltage amplifier with ports p, n, out."""

    @property
    def v_low(self) -> float:
        """Lowest output, V."""
        ...

    @property
    def v_high(self) -> float:
        """Highest output, V."""
        ...

    @property
    def quiescent_power(self) -> float:
        """Power drawn at rest, W."""
        ...

    @property
    def macro(self) -> tuple[float, float, float, float, float]:
        """Gain, output resistance (ohm), offset (V), low and high limit (V)."""
        ...

    def cell(self, name: str, floor: float | None = None) -> Cell:
        """The circuit; ``floor`` (V) raises the lower output limit."""
        ...

    def respond(self, e: Array, floor: float | None = None) -> Array:
        """Open-circuit output in V for an input difference ``e`` (V)."""
        ...


class Readout(Protocol):
    """Ends the ``lines`` bit lines of one output and makes their voltage; ports c0.. and out."""

    lines: ClassVar[int]
    opamps: ClassVar[int]

    def mixing_resistor(self, r_feedback: float, i_max: float, swing: float) -> float:
        """The inner resistor in ohm that keeps inner op-amps within ``swing`` (V) up to ``i_max`` (A)."""
        ...

    def cell(self, name: str, opamps: tuple[Cell, Cell], r_feedback: float, r_mixing: float) -> Cell:
        """The circuit from the cells of an inner and of the last op-amp and the resistors (ohm)."""
        ...

    def respond(self, i: Array, macro: tuple[float, ...], r_feedback: float, r_mixing: float) -> Array:
        """Unloaded output in V, shape [...], for line currents ``i``, shape [..., lines], A."""
        ...


class Activation(Protocol):
    """A static function between a readout and the next rows; ports in, out.

    ``inverting`` activations want the negated pre-activation; ``floor`` is the lower limit (V) asked of
    the readout's last op-amp; scales are volts per unit of the network.
    """

    inverting: ClassVar[bool]
    floor: ClassVar[float | None]
    opamps: ClassVar[int]

    def input_scale(self, y_max: float, s_out: float, swing: float) -> float:
        """Scale wanted at the input, V per unit, for ``y_max`` units within the ``swing`` to use, V."""
        ...

    def quiescent_power(self, supply: float) -> float:
        """What it draws at rest beside its op-amps from a supply of so many volts, W."""
        ...

    def cell(self, name: str, opamp: Cell, s_in: float, s_out: float) -> Cell | None:
        """The circuit; ``None`` where the readout does it alone."""
        ...

    def respond(self, v: Array, s_in: float, s_out: float) -> Array:
        """The ideal output in V for an input ``v`` (V)."""
        ...


BUILTIN_OPAMPS: dict[str, type[Any]] = {"finite": Finite, "ideal": Ideal}
BUILTIN_READOUTS: dict[str, type[Any]] = {"two_opamp": TwoOpAmp, "transimpedance": Transimpedance}
BUILTIN_RELUS: dict[str, type[Any]] = {"clamp": OutputClamp, "rectifier": PrecisionRectifier}
BUILTIN_TANHS: dict[str, type[Any]] = {"differential_pair": TanhPair}
BUILTIN_SIGMOIDS: dict[str, type[Any]] = {"differential_pair": SigmoidPair}


def opamps() -> dict[str, type[Any]]:
    """Every op-amp known, by the name a design calls it."""
    return merge("ohmweave.opamps", BUILTIN_OPAMPS)


def readouts() -> dict[str, type[Any]]:
    """Every readout known, by name."""
    return merge("ohmweave.readouts", BUILTIN_READOUTS)


def activations() -> dict[str, dict[str, type[Any]]]:
    """Every activation known, by the function it realises and then by name."""
    return {
        "relu": merge("ohmweave.relus", BUILTIN_RELUS),
        "tanh": merge("ohmweave.tanhs", BUILTIN_TANHS),
        "sigmoid": merge("ohmweave.sigmoids", BUILTIN_SIGMOIDS),
    }
