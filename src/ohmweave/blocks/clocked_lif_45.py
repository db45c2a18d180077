"""The clocked leaky integrate-and-fire neuron in transistors, and its mathematics."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np

from ohmweave.blocks.clocking import Clocking
from ohmweave.blocks.lif_45 import LEAST_WIDTH, REST, SILENCE, circuit, size
from ohmweave.blocks.lif_45_figures import Flow, LifFigures, between, place
from ohmweave.blocks.spiking import MOST_SPREAD, Membrane, SomaState, require_refractory
from ohmweave.blocks.technology import V_DD, V_SS
from ohmweave.circuit import Cell, Instance, Resistor, VoltageSource
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, require, require_spread

__all__ = ["FIGURES", "ClockedLif45", "Lif45Soma"]

# What characterize_neuron measured, kept so that compiling needs no SPICE.
FIGURES = Path(__file__).with_name("clocked_lif_45.json")

# Where mirrors and comparator have room between the supplies, V; leaks' capacitors that are still built and emptied, F.
_THRESHOLDS = (0.05, 0.25)
_LEAKS = (2e-15, 250e-12)
# For which membranes, F, design currents, A, steps and pulses, s, the figures hold; tests/contract/test_neurons.py goes
# to the ends. Larger membranes are too slow for the reset's transistors.
_MEMBRANES, _COLUMNS = (0.3e-12, 2e-12), (50e-6, 200e-6)
_STEPS, _PULSES = (0.5e-6, 2e-6), (50e-9, 210e-9)
# Of columns, S/A: there membranes are 1 % of V_theta off after one step with small currents and pulses of 100 ns.
_MOST_LOAD, _LOADED_PULSE = 25.0, 100e-9
# Up to there a silence ends where it should by less than a quarter of a step, tests/contract/test_neurons.py.
_MOST_SILENT = 10
# Parts of a pulse in the mathematics.
_PARTS = 8


@dataclass(frozen=True)
class ClockedLif45:
    """The clocked neuron of the 45 nm technology: transistors and capacitors, bias sources, supplies of +-0.55 V.

    The same as :class:`ohmweave.blocks.clocked_lif.ClockedLif` in ports and clocks, :func:`lif_45.circuit` for the
    circuit and :func:`lif_45.size` for its sizes. Its leak is switched, its membrane is held by its mirrors' room,
    some 0.46 V either side. Refractory period: a capacitor C_w that a spike charges is emptied to half by

        I_w = C_w V_DD / ((N - e) step),   e = 0.20 the share of a step at which ``leak`` ends,

    and until then the membrane is held at ground: to step t + N + 1 after a spike in step t.

    Args:
        c_m: membrane capacitance C_m, 0.3 pF to 2 pF, F.
        v_threshold: V_theta, V.
        i_column: current of a column during a pulse that the mirrors are made for, 50 uA to 200 uA, A; three times as
            much is copied to 1 %, four times as much is what was measured.
        offset_spread: standard deviation of the comparators' offsets, V.
        mirror_spread: of the gains of the copies, relative.
        leak_spread: of the leaks' capacitors, relative.
        refractory: N, 0 to 10; 0 has no circuit for it.

    Raises:
        DesignError: values that are not positive, a threshold or a current that the circuit has no room for, a
            refractory period of no whole number of steps.
    """

    c_m: Annotated[float, Unit("F")] = 1e-12
    v_threshold: Annotated[float, Unit("V")] = 0.2
    i_column: Annotated[float, Unit("A")] = 100e-6
    offset_spread: Annotated[float, Unit("V")] = 0.0
    mirror_spread: float = 0.0
    leak_spread: float = 0.0
    refractory: int = 0
    kind: ClassVar[str] = "clocked_lif_45"
    # Of spikes, over many images; and of membranes the largest median of a layer in one image: docs/theory/spiking.md.
    tolerance: ClassVar[float] = 0.01
    membrane_tolerance: ClassVar[float] = 0.1

    def __post_init__(self) -> None:
        require("neuron.c_m", self.c_m, "F", "1 pF")
        require("neuron.v_threshold", self.v_threshold, "V", "200 mV")
        require("neuron.i_column", self.i_column, "A", "100 uA")
        require("neuron.offset_spread", self.offset_spread, "V", "5 mV", zero=True)
        require_spread("neuron.mirror_spread", self.mirror_spread, MOST_SPREAD)
        require_spread("neuron.leak_spread", self.leak_spread, MOST_SPREAD)
        _within("neuron.v_threshold", self.v_threshold, _THRESHOLDS, "V", "200 mV")
        _within("neuron.i_column", self.i_column, _COLUMNS, "A", "100 uA")
        _within("neuron.c_m", self.c_m, _MEMBRANES, "F", "1 pF")
        require_refractory(self.refractory, _MOST_SILENT)

    def most_load(self, clock: Clocking) -> float:
        """Devices' conductance beyond which a column's amplifier is too slow for its pulses, S."""
        return _MOST_LOAD * self.i_column * min(1.0, clock.pulse / _LOADED_PULSE)

    @property
    def figures(self) -> LifFigures:
        """What SPICE measured."""
        return _figures()

    def joules(self, clock: Clocking, steps: int, spikes: Array, coulombs: Array) -> Array:
        """What neurons take from their supplies, as :class:`ohmweave.blocks.spiking.Consumer`.

            E = n_steps E_step (t_step / 1 us) (i_column / 100 uA) + n_spikes (E_spike + E_silence) + Q E_charge,
            E_silence = C_w (V_DD - V_SS)^2 + P_silence N step where there is a refractory period.

        A step's energy is that of currents at rest, which are shares of i_column.
        """
        found = self.figures
        rest = found.energy_step * (clock.step / found.step) * (self.i_column / found.i_column)
        spike = found.energy_spike
        if self.refractory:
            spike += SILENCE * (V_DD - V_SS) ** 2 + found.silence_watts * self.refractory * clock.step
        return np.asarray(steps * rest + spikes * spike + coulombs * found.energy_charge)

    def gain(self, per_unit: float, beta: float, clock: Clocking) -> float:
        """k = (C_m + C_p(k)) V_theta / (t Q), t the share of the charge Q that arrives, C_p of parasitics.

        Args:
            per_unit: Q, charge in C into column p that shall be one threshold.
            beta: decay a step; the pulse comes after it.
            clock: the clocks.

        Raises:
            DesignError: copies that a current mirror cannot make or that were not measured, a leak that no capacitor
                makes, clocks for which the figures do not hold.
        """
        _within("clock.step", clock.step, _STEPS, "s", "1 us")
        _within("clock.pulse", clock.pulse, _PULSES, "s", "100 ns")
        self._require_leak(beta)
        share = self.v_threshold / (per_unit * float(np.mean(self.figures.transfer)))
        still = self.figures.at_rest(0.0)
        k = (self.c_m + still) * share
        least = max(LEAST_WIDTH / size(self.i_column, 1.0).mirror[0], self.figures.gains[0])
        most = self.figures.gains[-1]
        if k <= most:
            k /= 1.0 - (self.figures.at_rest(1.0) - still) * share
        if not least <= k <= most:
            raise DesignError(
                f"expected a ratio of the current mirrors from {least:.3g} to {most:g}, found {k:.4g}",
                where="neuron",
                remedy=f"{'raise' if k < least else 'lower'} neuron.c_m, or change the read voltage, clock.pulse "
                "or the device's range",
            )
        return k

    def column(self, name: str) -> Cell:
        """How a column ends while it is read, port c; ``sense`` carries its current.

        Its resistance is the one measured times 100 uA / i_column, as that of amplifiers with so much more current.
        """
        found = self.figures
        ohms = found.r_in * found.i_column / self.i_column
        parts = (
            Instance("r", Resistor(ohms), ("c", "e")),
            Instance("sense", VoltageSource(found.v_in), ("e", "0")),
        )
        return Cell(name, ("c",), parts, note=f"end of a column, {ohms:.3g} ohm, {found.v_in:.3g} V")

    def cell(self, name: str, membrane: Membrane, clock: Clocking) -> Cell:
        """The circuit, ports :data:`NEURON_PORTS`; as :class:`ohmweave.blocks.spiking.ClockedNeuron`."""
        self._require_leak(membrane.beta)
        sizes = size(self.i_column, membrane.gain)
        packet, silence = self.packet(membrane, clock), self._silence(clock)
        return circuit(name, sizes, membrane, self.c_m, self.v_threshold, packet, silence)

    def _silence(self, clock: Clocking) -> float:
        """I_w, A."""
        if not self.refractory:
            return 0.0
        return SILENCE * V_DD / ((self.refractory - clock.phase("leak").end) * clock.step)

    def _require_leak(self, beta: float) -> None:
        farads = self.c_m * (1.0 - beta) / beta if beta else math.inf
        if beta == 1.0 or _LEAKS[0] <= farads <= _LEAKS[1]:
            return
        if beta == 0.0:
            raise DesignError(
                "expected a beta above 0, which a leak's capacitor can make, found 0",
                where="neuron",
                remedy='train with a larger beta, or choose neuron.kind = "clocked_lif"',
            )
        small = farads < _LEAKS[0]
        raise DesignError(
            f"expected a leak's capacitor from {_LEAKS[0]:g} to {_LEAKS[1]:g} F, found {farads:.4g} F for "
            f"beta = {beta!r}",
            where="neuron",
            remedy=f"{'raise' if small else 'lower'} neuron.c_m or train with a "
            f"{'smaller' if small else 'larger'} beta",
        )

    def packet(self, membrane: Membrane, clock: Clocking) -> float:
        """Current of the packets of charge that a spike takes from the membrane, A.

        A packet of C_m V_theta in the width of its clock, before the leak or after it: what is taken before leaks with
        the membrane, so that the next comparison misses beta V_theta, as the network's does.
        """
        phase = clock.phase(membrane.reset_clock)
        return self.c_m * self.v_threshold / ((phase.end - phase.begin) * clock.step)

    def soma(self, membranes: Sequence[Membrane], clock: Clocking) -> "Lif45Soma":
        """The mathematics of these neurons."""
        return Lif45Soma.of(self, membranes, clock, self.figures)


def _within(place: str, value: float, limits: tuple[float, float], unit: str, example: str) -> None:
    if not limits[0] <= value <= limits[1]:
        raise DesignError(
            f"expected {limits[0]:g} {unit} to {limits[1]:g} {unit}, found {value:g} {unit}",
            where=place,
            remedy=f'try {place.partition(".")[2]} = "{example}"',
        )


@cache
def _figures() -> LifFigures:
    return LifFigures.load(FIGURES)


@dataclass(frozen=True, eq=False)
class Lif45Soma:
    """Membranes charged and discharged by measured currents, from one comparison to the next.

        v <- d (v - reset) + c,   v <- v + drift(v) / C_m,
        (C_m + C_p(v)) dv/dt = k (f_p(v, I_p) - f_n(v, I_n)) over the pulse,   spike where v > level,

    f_p and f_n are tables of what the mirrors put on a membrane and take from it, C_p is what the membrane's other
    parts add to its capacitor; the pulse is done in eight parts,
    each by the exponential Euler method (Hochbruck and Ostermann, Acta Numerica 2010) with the slope between v and
    where a plain step would lead: exact where the currents do not depend on v, stable where the mirrors run out of
    room. Drift, as all charges, is that of steps of 1 us and i_column 100 uA: at the ends of what both may be membranes
    are up to 1.7 % of V_theta off after eight steps where k is 0.2, and 10 % where it is 0.4.

    Args:
        neuron: the circuit.
        clock: its clocks.
        figures: what SPICE measured.
        decay: d, [neurons].
        moved: c, V, [neurons].
        gains: k of columns p and n, each [neurons].
        level: thresholds, V, [neurons].
        packet: what a spike takes, V, [neurons].
        emptied: whether a spike empties the membrane instead, [neurons].
        deaf: whether a spike empties it behind the next step's pulse instead, [neurons].
        late: whether the reset comes after the leak, [neurons].
        drift: C, [neurons, volts].
        farads: C_m + C_p, F, [neurons, volts].
    """

    linear: ClassVar[bool] = False

    neuron: ClockedLif45
    clock: Clocking
    figures: LifFigures
    decay: Array
    moved: Array
    gains: tuple[Array, Array]
    level: Array
    packet: Array
    emptied: Array
    deaf: Array
    late: Array
    drift: Array
    farads: Array

    @staticmethod
    def of(neuron: ClockedLif45, membranes: Sequence[Membrane], clock: Clocking, figures: LifFigures) -> "Lif45Soma":
        """The mathematics of the circuits that ``neuron`` makes of these membranes."""
        rows = [_row(neuron, membrane, clock, figures) for membrane in membranes]
        decay, moved, more, less, level, packet, emptied, deaf, late, k = np.array(rows, dtype=np.float64).T
        drift = np.stack([np.interp(k, figures.gains, each) for each in zip(*figures.drift, strict=True)], axis=1)
        farads = neuron.c_m + figures.beside(k)
        return Lif45Soma(
            neuron, clock, figures, decay, moved, (more, less), level, packet, emptied, deaf, late, drift, farads
        )

    def start(self, samples: int) -> SomaState:
        """Empty membranes, as :class:`ohmweave.blocks.spiking.Soma`."""
        return SomaState.still(samples, len(self.decay))

    def step(self, state: SomaState, charges: tuple[Array, Array]) -> SomaState:
        """One step, as :class:`ohmweave.blocks.spiking.Soma`."""
        v, spikes = state.membranes, state.spikes
        v = v + (1.0 - self.late) * self._taken(v, spikes)
        v = self.decay * v + self.moved
        v = v + self.late * self._taken(v, spikes)
        v = self.pulsed(v + self.drifted(v) / self.neuron.c_m, charges)
        v = v + self.deaf * spikes * (self.figures.reset - v)
        return state.after(v, self.level, self.neuron.refractory)

    def _taken(self, v: Array, spikes: Array) -> Array:
        """What resets change of membranes, V."""
        return spikes * (self.emptied * (self.figures.reset - v) - self.packet)

    def drifted(self, v: Array) -> Array:
        """Charge that comes to membranes (V) in a step without input, C."""
        return between(self.drift, *place(v, self.figures.volts))

    def pulsed(self, v: Array, charges: tuple[Array, Array]) -> Array:
        """Membranes after a pulse with charges (C) into columns p and n.

        Raises:
            DesignError: columns with currents for which nothing was measured.
        """
        found, amps = self.figures, self.neuron.i_column
        flows = []
        for column, table, charge in zip("pn", (found.given, found.taken), charges, strict=True):
            currents = charge / (self.clock.pulse * amps)
            self._require_known(column, currents)
            flows.append(Flow.of(table, currents, found.currents))
        more, less = (self.clock.pulse / _PARTS * gain * amps for gain in self.gains)

        def moved(v: Array) -> Array:
            column, share = place(v, found.volts)
            coulombs = more * flows[0].at(column, share) - less * flows[1].at(column, share)
            return np.asarray(coulombs / between(self.farads, column, share))

        for _ in range(_PARTS):
            first = moved(v)
            v = v + first * _mean_decay(_relative(moved(v + first) - first, first))
        return v

    def _require_known(self, column: str, currents: Array) -> None:
        """Refuse currents (in units of i_column) beyond the tables, which would be taken for those at their ends."""
        least, most = self.figures.currents[0], self.figures.currents[-1]
        beyond = (currents < least) | (currents > most)
        if not beyond.any():
            return
        where, amps = np.argwhere(beyond)[0], self.neuron.i_column
        raise DesignError(
            f"expected column currents from {least * amps:.3g} to {most * amps:.3g} A, as were measured, found "
            f"{currents[tuple(where)] * amps:.4g} A in column {column} of neuron {where[-1]} ({beyond.sum()} in all)",
            where="neuron.i_column",
            remedy="raise i_column, or lower signal.v_read or the device's range",
        )


def _relative(change: Array, first: Array) -> Array:
    """Change over what it is of, 0 where that is next to nothing."""
    moving = np.abs(first) > 1e-9
    return np.asarray(np.where(moving, change / np.where(moving, first, 1.0), 0.0))


def _mean_decay(z: Array) -> Array:
    """(exp(z) - 1) / z."""
    small = np.abs(z) < 1e-6
    return np.where(small, 1.0 + 0.5 * z, np.expm1(z) / np.where(small, 1.0, z))


def _row(neuron: ClockedLif45, membrane: Membrane, clock: Clocking, found: LifFigures) -> tuple[float, ...]:
    more_p, more_n, deviation = membrane.mismatch
    decay, moved = 1.0, 0.0
    farads = neuron.c_m + found.at_rest(membrane.gain)
    if membrane.beta < 1.0:
        leak = neuron.c_m * (1.0 - membrane.beta) / membrane.beta * (1.0 + deviation) + found.leak_farads
        decay, moved = farads / (farads + leak), found.leak_charge / (farads + leak)
    # What currents at rest leave on the membrane when the copies are not equal.
    window = clock.phase("integrate")
    rest = membrane.gain * (more_p - more_n) * REST * neuron.i_column * (window.end - window.begin) * clock.step
    # A silence empties membranes: no reset is left to do.
    reset = "none" if neuron.refractory else membrane.reset
    packet = found.packet * neuron.c_m * neuron.v_threshold / farads if reset == "subtract" else 0.0
    return (
        decay,
        moved + rest / farads,
        membrane.gain * (1.0 + more_p),
        membrane.gain * (1.0 + more_n),
        neuron.v_threshold + membrane.offset + found.offset,
        packet,
        float(reset == "zero"),
        float(reset == "hold"),
        float(membrane.reset_clock == "early"),
        membrane.gain,
    )
