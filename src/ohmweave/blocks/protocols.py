"""What a block is to the rest: one protocol for each kind of circuit around the crossbars."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from numpy.random import Generator

from ohmweave.blocks.loops import TwoTerminal
from ohmweave.circuit import Cell
from ohmweave.devices import Device
from ohmweave.effects import Effect
from ohmweave.units import Array

__all__ = ["Activation", "Feedback", "Maximum", "Multiplier", "OpAmp", "Readout"]


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
    def offset_spread(self) -> float:
        """Standard deviation of the input offset from one readout's op-amp to another's, V."""
        ...

    @property
    def quiescent_power(self) -> float:
        """Power drawn at rest, W."""
        ...

    @property
    def supplied(self) -> bool:
        """Whether sources in its cell deliver all that it draws, also at rest."""
        ...

    @property
    def macro(self) -> tuple[float, float, float, float, float]:
        """Gain, output resistance (ohm), offset (V), low and high limit (V)."""
        ...

    def cell(self, name: str, low: float | None = None, high: float | None = None) -> Cell:
        """The circuit; ``low`` and ``high`` (V) narrow the output's limits."""
        ...

    def respond(self, e: Array, low: float | None = None, high: float | None = None) -> Array:
        """Open-circuit output in V for an input difference ``e`` (V)."""
        ...


class Readout(Protocol):
    """Ends the ``lines`` bit lines of one output and makes their voltage; ports c0.. and out."""

    lines: ClassVar[int]
    opamps: ClassVar[int]

    def mixing_resistor(self, r_feedback: float, i_max: float, swing: float) -> float:
        """The inner resistor in ohm that keeps inner op-amps within ``swing`` (V) up to ``i_max`` (A)."""
        ...

    def resistances(self, r_feedback: float, r_mixing: float) -> tuple[float, ...]:
        """What stands in its loops, ohm: the inner resistances, and last the feedback."""
        ...

    def cell(
        self, name: str, opamps: tuple[Cell, Cell], loops: Sequence[TwoTerminal], *, referenced: bool = False
    ) -> Cell:
        """The circuit from the cells of an inner and of the last op-amp and what is in its loops.

        ``loops`` are parts of two terminals in the order of :meth:`resistances`.

        Where it is ``referenced``, ports ref0.. follow, one an op-amp, to which its positive input is joined
        instead of ground: an offset of its own.
        """
        ...

    def respond(self, i: Array, macro: tuple[float, ...], r_feedback: float, r_mixing: float) -> Array:
        """Unloaded output in V, shape [...], for line currents ``i``, shape [..., lines], A."""
        ...


class Feedback(Protocol):
    """What the resistances in the loops of readouts are made of."""

    def loops(
        self, name: str, ohms: Sequence[float], columns: int, device: Device, effects: Sequence[Effect], rng: Generator
    ) -> list[tuple[TwoTerminal, ...]]:
        """For every column its parts of two terminals, one for each resistance.

        Args:
            name: what the names of cells begin with.
            ohms: the resistances of one column, ohm.
            columns: how many columns there are.
            device: the memristor of the arrays.
            effects: what happens to programmed memristors.
            rng: all chance of it.
        """
        ...


class Activation(Protocol):
    """A static function between a readout and the next rows; ports in, out.

    ``inverting`` activations want the negated pre-activation; scales are volts per unit of the network.
    Cells inside an activation's cell carry its name as the beginning of theirs.
    """

    inverting: ClassVar[bool]
    opamps: ClassVar[int]

    def bind(self, *parameters: float) -> "Activation":
        """The activation for the parameters of the network's operation, in its units and the operation's order."""
        ...

    def limits(self, s_out: float) -> tuple[float | None, float | None]:
        """Lower and upper limit (V) asked of the readout's last op-amp; None is the op-amp's own."""
        ...

    def input_scale(self, y_max: float, s_out: float, swing: float) -> float:
        """Scale wanted at the input, V per unit, for ``y_max`` units within the ``swing`` to use, V."""
        ...

    def quiescent_power(self, supply: float) -> float:
        """What it draws at rest beside its op-amps from a supply of so many volts, W."""
        ...

    def cell(self, name: str, opamp: OpAmp, s_in: float, s_out: float) -> Cell | None:
        """The circuit; ``None`` where the readout does it alone."""
        ...

    def respond(self, v: Array, s_in: float, s_out: float) -> Array:
        """The ideal output in V for an input ``v`` (V)."""
        ...


class Multiplier(Protocol):
    """The product of two voltages, v_out = v_a v_b / v_ref; ports a, b, out."""

    opamps: ClassVar[int]

    @property
    def reach(self) -> float:
        """Largest |v_a| + |v_b| that is multiplied, V."""
        ...

    def quiescent_power(self, supply: float) -> float:
        """What it draws at rest beside its op-amps from a supply of so many volts, W."""
        ...

    def cell(self, name: str, opamp: OpAmp, v_ref: float) -> Cell:
        """The circuit; ``v_ref`` in V."""
        ...

    def respond(self, a: Array, b: Array, v_ref: float) -> Array:
        """The ideal output in V for inputs ``a`` and ``b`` (V), broadcast."""
        ...


class Maximum(Protocol):
    """The largest of ``taps`` voltages; ports x0.. and out."""

    def opamps(self, taps: int) -> int:
        """Number of op-amps for so many inputs."""
        ...

    def cell(self, name: str, taps: int, opamp: OpAmp) -> Cell:
        """The circuit."""
        ...

    def respond(self, v: Array) -> Array:
        """The ideal output in V, shape [...], for inputs ``v``, shape [..., taps], V."""
        ...
