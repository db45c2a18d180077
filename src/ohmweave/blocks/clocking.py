"""The clocks of a spiking chip: what happens when within one time step of the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ohmweave.bench import Waveform
from ohmweave.blocks.logic import HIGH, LOW
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, require, require_spread

__all__ = ["CLOCKS", "Clocking", "Phase"]

# The clock nets of a chip, as its neurons and row drivers name them.
CLOCKS = ("start", "leak", "early", "pulse", "integrate", "hold", "discharge", "compare", "reset")
_LAST_PULSE = 0.51


@dataclass(frozen=True)
class Phase:
    """When a clock is high, as shares of a step, at half height.

    Args:
        begin: share of the step when it rises.
        end: share of the step when it falls.
    """

    begin: float
    end: float


_PHASES = {
    "leak": Phase(0.05, 0.20),
    "early": Phase(0.22, 0.28),
    "hold": Phase(0.56, 0.59),
    "discharge": Phase(0.40, 0.95),
    "compare": Phase(0.60, 0.70),
    "reset": Phase(0.80, 0.90),
}
_PULSE_BEGIN = 0.30
_BEFORE, _AFTER = 0.015, 0.04
_START_END = 0.03
_MOST_JITTER = 0.2


@dataclass(frozen=True)
class Clocking:
    """The time step and the phases in it, in this order.

    In each step membranes leak (0.05 to 0.20 of it), a delayed reset takes place (``early``, 0.22 to 0.28), rows of
    spikes are pulsed (``pulse``, from 0.30 on), membranes that spiked before and do not listen are emptied (``hold``,
    0.56 to 0.59), membranes are compared with their threshold (0.60 to 0.70; what the
    comparator says when that phase ends is the spike), and membranes that spiked are reset (0.80 to 0.90). Spikes are
    held until the next comparison: they drive the next layer's rows one step later. ``integrate`` lasts from 0.015
    before the pulse to 0.04 after it: only then mirrors in transistors are joined to membranes. ``discharge`` empties
    the leaks' capacitors (0.40 to 0.95, and once at the beginning), ``start`` empties membranes and holds once.

    Args:
        step: time step of the network, s.
        pulse: width of a read pulse at half height, s; its charge is that of a rectangle so wide.
        edge: time that clocks and pulses take to rise or fall, s.
        jitter: standard deviation of the pulse's width from step to step, relative.

    Raises:
        DesignError: a time that is not positive, a pulse or edges too long for the step.
    """

    step: Annotated[float, Unit("s")] = 1e-6
    pulse: Annotated[float, Unit("s")] = 100e-9
    edge: Annotated[float, Unit("s")] = 1e-9
    jitter: float = 0.0

    def __post_init__(self) -> None:
        require("clock.step", self.step, "s", "1 us")
        require("clock.pulse", self.pulse, "s", "100 ns")
        require("clock.edge", self.edge, "s", "1 ns")
        longest = (_LAST_PULSE - _PULSE_BEGIN) * self.step
        if self.pulse > longest * (1 + 1e-9):
            raise DesignError(
                f"expected a pulse of at most 0.21 of the step ({longest:.4g} s), found {self.pulse:.4g} s",
                where="clock.pulse",
                remedy="shorten clock.pulse or lengthen clock.step",
            )
        if self.edge > min(0.5 * self.pulse, 0.01 * self.step):
            raise DesignError(
                f"expected edges of at most half of the pulse and a hundredth of the step, found {self.edge:.4g} s",
                where="clock.edge",
                remedy="shorten clock.edge",
            )
        require_spread("clock.jitter", self.jitter, _MOST_JITTER)

    def phase(self, clock: str) -> Phase:
        """When a clock is high in every step."""
        end = _PULSE_BEGIN + self.pulse / self.step
        if clock == "pulse":
            return Phase(_PULSE_BEGIN, end)
        if clock == "integrate":
            return Phase(_PULSE_BEGIN - _BEFORE, end + _AFTER)
        return _PHASES[clock]

    @property
    def strobe(self) -> float:
        """When in a step the comparators' word is taken, s."""
        return self.step * _PHASES["compare"].end

    def widths(self, steps: int, rng: np.random.Generator) -> Array:
        """Widths of the read pulses of so many steps, shape [steps], s."""
        if not self.jitter:
            return np.full(steps, self.pulse)
        longest = (_LAST_PULSE - _PULSE_BEGIN) * self.step
        drawn = self.pulse * (1.0 + self.jitter * rng.standard_normal(steps))
        return np.asarray(np.clip(drawn, 2.0 * self.edge, longest))

    def waveform(self, clock: str, widths: Array) -> Waveform:
        """One clock over so many steps, LOW to HIGH.

        Args:
            clock: one of :data:`CLOCKS`.
            widths: of the read pulses, shape [steps], s.
        """
        if clock == "start":
            end = _START_END * self.step
            return Waveform(np.array([0.0, end, end + self.edge]), np.array([HIGH, HIGH, LOW]))
        begins = np.asarray(self.step * (np.arange(len(widths)) + self.phase(clock).begin), dtype=np.float64)
        lasting: Array = np.full(len(widths), self.step * (self.phase(clock).end - self.phase(clock).begin))
        if clock in {"pulse", "integrate"}:
            lasting = lasting + widths - self.pulse
        if clock == "discharge":
            # Also at the beginning, where nothing is known of the leaks' capacitors.
            begins = np.concatenate([[self.edge], begins])
            lasting = np.concatenate([[_START_END * self.step], lasting])
        return self._highs(begins, begins + lasting)

    def gates(self, values: Sequence[float] | Array) -> Waveform:
        """An input line: in step t at LOW + values[t] (HIGH - LOW), from the step's beginning on; shape [steps]."""
        volts = LOW + np.asarray(values, dtype=np.float64) * (HIGH - LOW)
        starts = self.step * np.arange(1, len(volts))
        times = (starts[:, None] + self.edge * np.array([0.0, 1.0])).ravel()
        return Waveform(np.concatenate([[0.0], times]), np.concatenate([volts[:1], np.repeat(volts, 2)[1:-1]]))

    def _highs(self, begins: Array, ends: Array) -> Waveform:
        """LOW, and HIGH between each begin and its end, at half height."""
        half = 0.5 * self.edge
        times = np.stack([begins - half, begins + half, ends - half, ends + half], axis=1).ravel()
        volts = np.tile([LOW, HIGH, HIGH, LOW], len(begins))
        return Waveform(np.concatenate([[0.0], times]), np.concatenate([[LOW], volts]))
