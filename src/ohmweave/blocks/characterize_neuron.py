"""The clocked neuron in transistors measured in SPICE: the figures that are its mathematics."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from ohmweave.bench import Bench, Traces, Transient, Waveform
from ohmweave.blocks.clocked_lif_45 import ClockedLif45, Lif45Soma
from ohmweave.blocks.clocking import CLOCKS, Clocking
from ohmweave.blocks.figures import circuit_digest
from ohmweave.blocks.lif_45 import SILENCE, SUPPLIES, transistors
from ohmweave.blocks.lif_45_figures import LifFigures
from ohmweave.blocks.logic import HIGH, LOW
from ohmweave.blocks.spiking import NEURON_PORTS, Membrane, SomaState
from ohmweave.circuit import Cell, Instance, Resistor
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

__all__ = ["LOAD", "Steps", "characterize_neuron", "measure", "step_error"]

_GAIN, _GAINS, _BETA = 0.1, (0.02, 0.05, 0.1, 0.2, 0.4), 0.9
# Of the tables: membranes, V, and currents in units of the design current.
_VOLTS = np.linspace(LOW, HIGH, 89)
_CURRENTS = np.array(
    [-0.03, 0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0]
)
# Where shares of pulses' charges are found, and under which currents in both columns pulses are for that.
_SHARES = np.array([0.05, 0.15, 0.3, 0.6, 1.0, 1.6, 2.3, 3.2])
_BASES = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0])
# Where parasitic capacitances of the membrane are found, V; the copies' gains and the walk for that, in pulses.
_PLACES = np.array([-0.4, -0.2, 0.0, 0.2, 0.4])
_WALKED = (0.05, _GAIN, 0.4)
_WALK = np.array([1.0] * 5 + [-1.0] * 10 + [1.0] * 5)
_OHMS = 1e3
# What the array puts on a column beside its current, S.
LOAD = 0.5e-3
# Times in a step: before the leak, after it, after the window, at the end of the comparison.
_BEFORE, _LEAKED, _JOINED, _COMPARED = 0.04, 0.21, 0.59, 0.70
_SETTLED = 0.3
_SILENT = 10
# Fresh steps that the mathematics are judged by, and the membranes they are for, in thresholds.
_JUDGED, _INSIDE = 40, 1.8


@dataclass(frozen=True, eq=False)
class Steps:
    """A neuron alone, driven by currents, step by step.

    Args:
        traces: membrane, spike, then the supplies' voltages and currents.
        clock: its clocks.
        currents: into columns p and n, each [steps], A.
    """

    traces: Traces
    clock: Clocking
    currents: tuple[Array, Array]

    def at(self, share: float, probe: int = 0) -> Array:
        """Membranes (spikes with ``probe`` 1) at a share of each step, V."""
        times = (np.arange(len(self.currents[0])) + share) * self.clock.step
        return np.asarray(np.interp(times, self.traces.times, self.traces.volts[:, probe]))

    def energies(self, share: float) -> Array:
        """What the supplies delivered from a share of each step to the same in the next, J; the last step has none."""
        power = (self.traces.source_volts * self.traces.source_amps).sum(axis=1)
        t = self.traces.times
        energy = np.concatenate([[0.0], np.cumsum(0.5 * (power[1:] + power[:-1]) * np.diff(t))])
        times = (np.arange(len(self.currents[0])) + share) * self.clock.step
        return np.diff(np.interp(times, t, energy))


def measure(
    cell: Cell,
    clock: Clocking,
    currents: tuple[Array, Array],
    simulator: NgspiceSimulator,
    *,
    reset: str = "reset",
    supplies: Sequence[str] = (),
    load: float = LOAD,
) -> Steps:
    """A clocked neuron whose columns get rectangular currents, one pair a step, each from rows that conduct.

    Args:
        cell: the neuron, ports :data:`ohmweave.blocks.spiking.NEURON_PORTS`.
        clock: its clocks.
        currents: into columns p and n at 0 V, each [steps], A.
        simulator: ngspice as it is to be run.
        reset: the clock of its resets.
        supplies: voltage sources in the cell, for its energy.
        load: conductance of each column's rows, S.
    """
    nets = tuple(reset if port == "reset" else port for port in NEURON_PORTS)
    rows = (Instance("rp", Resistor(1.0 / load), ("wp", "p")), Instance("rn", Resistor(1.0 / load), ("wn", "n")))
    top = Cell("alone", ("wp", "wn", *CLOCKS, "spike"), (*rows, Instance("neuron", cell, nets)))
    steps = len(currents[0])
    widths = np.full(steps, clock.pulse)
    pulse = clock.waveform("pulse", widths)
    shape = (pulse.volts[1:].reshape(steps, 4) - LOW) / (HIGH - LOW)
    drives = [
        Waveform(pulse.times, np.concatenate([[0.0], (shape * amps[:, None] / load).ravel()])) for amps in currents
    ]
    transient = Transient(
        top, ("wp", "wn", *CLOCKS), (*drives, *(clock.waveform(each, widths) for each in CLOCKS)),
        steps * clock.step, 0.05 * clock.step, ("neuron.m", "spike"), tuple(f"neuron.{each}" for each in supplies),
        clocked=True,
    )  # fmt: skip
    return Steps(simulator.trace(transient), clock, currents)


def characterize_neuron(neuron: ClockedLif45, clock: Clocking, simulator: NgspiceSimulator | None = None) -> LifFigures:
    """Measure the neuron in ngspice: mirrors at operating points, the rest in transients of one neuron.

    The tables are those of k = 0.1, relative to the same membrane without current; widths are proportional to k.
    Drift comes from steps without input, for five k. What arrives of pulses, and what the membrane has beside its
    capacitor, is the least squares of pulses against what the tables say; the leak is the straight line through what is
    left of membranes.

    Args:
        neuron: its membrane and design current.
        clock: its clocks.
        simulator: ngspice as it is to be run.

    Raises:
        SimulatorMissing: no ngspice.
        SimulationError: a run that did not end well.
    """
    engine = NgspiceSimulator() if simulator is None else simulator
    cell = neuron.cell("neuron", Membrane(_GAIN, _BETA, "zero", False), clock)
    given, taken, r_in, v_in = _tables(engine, neuron, clock)
    empty, delay, energies = _spiking(engine, neuron, cell, clock)
    found = LifFigures(
        transistors=transistors(cell), r_in=r_in, v_in=v_in, offset=_offset(engine, neuron, clock),
        volts=_row(_VOLTS), currents=_row(_CURRENTS), given=tuple(map(_row, given)), taken=tuple(map(_row, taken)),
        transfer=(1.0, 1.0), parasitic=(_row(0.0 * _VOLTS),) * 2, leak_farads=0.0, leak_charge=0.0, gains=_GAINS,
        drift=_drift(engine, neuron, clock),
        reset=empty, packet=1.0, delay=delay, energy_step=energies[0], energy_spike=energies[1],
        energy_charge=energies[2], silence_watts=_silence(engine, neuron, clock), error=0.0, i_column=neuron.i_column,
        step=clock.step, circuit=circuit_digest(cell),
    )  # fmt: skip
    found = _transfer(engine, neuron, clock, found)
    leak_farads, leak_charge = _leak(engine, neuron, clock, found)
    found = replace(found, leak_farads=leak_farads, leak_charge=leak_charge)
    found = replace(found, packet=_packet(engine, neuron, clock, found))
    return replace(found, error=step_error(neuron, clock, found, engine))


def _row(values: Array) -> tuple[float, ...]:
    return tuple(float(f"{value:.7g}") for value in values)


def _still(engine: NgspiceSimulator, cell: Cell, drives: dict[str, Array | float], probes: tuple[str, ...]) -> Array:
    """Probes, currents out of m's source and into p's and n's at operating points; columns behind 1 kohm."""
    inner = replace(cell, ports=(*cell.ports, "m"))
    rows = (Instance("rp", Resistor(_OHMS), ("wp", "p")), Instance("rn", Resistor(_OHMS), ("wn", "n")))
    ports = ("wp", "wn", "start", "leak", "discharge", "compare", "reset", "integrate", "m")
    top = Cell("still", (*ports, "spike"), (*rows, Instance("neuron", inner, (*NEURON_PORTS, "m"))))
    every = {**dict.fromkeys(ports, LOW), "wp": 0.0, "wn": 0.0, "m": 0.0} | drives
    volts = np.stack(np.broadcast_arrays(*(np.atleast_1d(every[port]) for port in ports)), axis=1)
    waves = engine.run(Bench(top, ports, np.asarray(volts, dtype=np.float64), probes))
    return np.concatenate([waves.volts, waves.input_amps[:, [8, 0, 1]]], axis=1)


def _tables(engine: NgspiceSimulator, neuron: ClockedLif45, clock: Clocking) -> tuple[Array, Array, float, float]:
    """f_p and f_n, [currents, volts]; input resistance and voltage of a column."""
    cell = neuron.cell("neuron", Membrane(_GAIN, 1.0, "none", False), clock)
    amps = _CURRENTS * neuron.i_column
    grid, volts = (each.ravel() for each in np.meshgrid(amps, _VOLTS, indexing="ij"))
    tables, columns = [], []
    for side, sign in (("wp", -1.0), ("wn", 1.0)):
        drives: dict[str, Array | float] = {side: grid * _OHMS, "m": volts, "integrate": HIGH}
        found = _still(engine, cell, drives, ("p", "n"))
        flow = sign * found[:, 2].reshape(len(amps), -1) / (_GAIN * neuron.i_column)
        real = found[:, 3 if side == "wp" else 4].reshape(len(amps), -1).mean(axis=1)
        table = np.stack([np.interp(amps, real, each) for each in flow.T], axis=1)
        tables.append(table - table[list(_CURRENTS).index(0.0)])
        columns.append((real, found[:, 0 if side == "wp" else 1].reshape(len(amps), -1).mean(axis=1)))
    used = (_CURRENTS >= 0.1) & (_CURRENTS <= 3.0)
    slope, rest = np.polyfit(columns[0][0][used], columns[0][1][used], 1)
    return tables[0], tables[1], float(slope), float(rest)


def _offset(engine: NgspiceSimulator, neuron: ClockedLif45, clock: Clocking) -> float:
    """Where the spike's inverter turns, less the threshold, V."""
    cell = neuron.cell("neuron", Membrane(_GAIN, 1.0, "none", False), clock)
    volts = neuron.v_threshold + np.linspace(-20e-3, 20e-3, 401)
    spike = _still(engine, cell, {"m": volts, "compare": HIGH}, ("spike",))[:, 0]
    return float(np.interp(0.0, spike, volts)) - neuron.v_threshold


def _stairs(neuron: ClockedLif45, clock: Clocking, gain: float) -> tuple[Array, Array]:
    """Currents that move a membrane up and down between its limits in a tenth of a volt, with idle steps between."""
    pushes = np.array([1.0] * 6 + [-1.0] * 11 + [1.0] * 7)
    amps = 0.09 * neuron.c_m / (gain * clock.pulse)
    moves = np.concatenate([[0.0], np.stack([pushes, np.zeros(len(pushes))], axis=1).ravel()]) * amps
    return np.maximum(moves, 0.0), np.maximum(-moves, 0.0)


def _drift(engine: NgspiceSimulator, neuron: ClockedLif45, clock: Clocking) -> tuple[tuple[float, ...], ...]:
    rows = []
    for gain in _GAINS:
        cell = neuron.cell("neuron", Membrane(gain, 1.0, "none", False), clock)
        run = measure(cell, clock, _stairs(neuron, clock, gain), engine)
        before, after = run.at(_LEAKED)[:-1], run.at(_LEAKED)[1:]
        idle = (run.currents[0] + run.currents[1])[:-1] == 0.0
        order = np.argsort(before[idle])
        moved = neuron.c_m * (after - before)[idle][order]
        rows.append(np.interp(_VOLTS, before[idle][order], moved))
    return tuple(map(_row, rows))


def _leak(engine: NgspiceSimulator, neuron: ClockedLif45, clock: Clocking, found: LifFigures) -> tuple[float, float]:
    """Parasitic capacitance of the leak, F, and what its switches put on the membrane, C.

    What a neuron without leak drifts by in the meantime is left out: it is part of its drift.
    """
    moves = _stairs(neuron, clock, _GAIN)
    before, after = _leaking(measure(neuron.cell("neuron", Membrane(_GAIN, _BETA, "none", False), clock),
                                     clock, moves, engine))  # fmt: skip
    still, drifted = _leaking(measure(neuron.cell("neuron", Membrane(_GAIN, 1.0, "none", False), clock),
                                      clock, moves, engine))  # fmt: skip
    drift = np.polyval(np.polyfit(still, drifted - still, 2), before)
    kept, moved = np.polyfit(before, after - drift, 1)
    farads = _farads(neuron, found)
    return farads * (1.0 / kept - 1.0) - neuron.c_m * (1.0 / _BETA - 1.0), moved * farads / kept


def _farads(neuron: ClockedLif45, found: LifFigures) -> float:
    """What a membrane at 0 V has with k = 0.1, F."""
    return neuron.c_m + found.at_rest(_GAIN)


def _leaking(run: Steps) -> tuple[Array, Array]:
    """Settled membranes before and after the leak, V."""
    before, after = run.at(_BEFORE), run.at(_LEAKED)
    used = np.abs(before) < _SETTLED
    return before[used], after[used]


def _transfer(engine: NgspiceSimulator, neuron: ClockedLif45, clock: Clocking, found: LifFigures) -> LifFigures:
    """The figures with what arrives of pulses: shares of p and n over current, parasitic capacitances over voltage.

    Found by least squares over pulses from and to membranes near 0 V, and over walks from limit to limit for three k:
    what grows with k belongs to the copies, the rest to the other parts on the membrane. Larger shares of all would be
    the same as smaller capacitances: shares are 1 in the mean, as mirrors lose no charge.
    """
    pushes = np.tile(np.array([1.0, -1.0, -1.0, 1.0]), len(_BASES))
    runs = [_pushed(engine, neuron, clock, _GAIN, np.repeat(_BASES, 4), pushes)]
    runs += [_pushed(engine, neuron, clock, gain, np.full(len(_WALK), 0.3), _WALK) for gain in _WALKED]

    def missed(unknown: Array) -> Array:
        known, parts = _arriving(found, unknown), [np.array([unknown[: 2 * len(_SHARES)].mean() - 1.0])]
        for gain, run in zip((_GAIN, *_WALKED), runs, strict=True):
            soma = Lif45Soma.of(neuron, [Membrane(gain, 1.0, "none", False)], clock, known)
            compared = run.at(_COMPARED)[:, None]
            # From comparison to comparison: a whole step's drift.
            into, out_of = (amps[1:, None] * clock.pulse for amps in run.currents)
            joined = compared[:-1] + soma.drifted(compared[:-1]) / neuron.c_m
            parts.append((soma.pulsed(joined, (into, out_of)) - compared[1:]).ravel())
        return np.concatenate(parts)

    start = np.concatenate([np.ones(2 * len(_SHARES)), np.zeros(2 * len(_PLACES))])
    return _arriving(found, least_squares(missed, start, diff_step=1e-4, x_scale=0.01).x)


def _pushed(
    engine: NgspiceSimulator, neuron: ClockedLif45, clock: Clocking, gain: float, bases: Array, pushes: Array
) -> Steps:
    """A neuron without leak and reset, pushed up and down by pulses on top of equal currents into both columns."""
    cell = neuron.cell("neuron", Membrane(gain, 1.0, "none", False), clock)
    step, base = 0.07 * neuron.c_m / (gain * clock.pulse), bases * neuron.i_column
    return measure(cell, clock, (base + np.maximum(pushes, 0.0) * step, base + np.maximum(-pushes, 0.0) * step), engine)


def _arriving(found: LifFigures, unknown: Array) -> LifFigures:
    """The figures with shares of p and of n at ``_SHARES`` and capacitances (pF; and for each k) at ``_PLACES``."""
    p, n, still, copies = np.split(unknown, np.cumsum([len(_SHARES), len(_SHARES), len(_PLACES)]))
    tables = [
        tuple(_row(np.interp(amps, _SHARES, over) * np.array(row)) for amps, row in zip(_CURRENTS, table, strict=True))
        for table, over in ((found.given, p), (found.taken, n))
    ]
    farads = [_row(1e-12 * np.interp(_VOLTS, _PLACES, each)) for each in (still, copies)]
    return replace(
        found, given=tables[0], taken=tables[1], transfer=(float(p.mean()), float(n.mean())),
        parasitic=(farads[0], farads[1]),
    )  # fmt: skip


def _spiking(
    engine: NgspiceSimulator, neuron: ClockedLif45, cell: Cell, clock: Clocking
) -> tuple[float, float, tuple[float, float, float]]:
    """Membrane after a reset, V; delay, s; energies of a step, of a spike, J, and of a coulomb, J/C."""
    unit = neuron.c_m * neuron.v_threshold / (_GAIN * clock.pulse)
    more = np.array([0.0, 0.0, 1.05, 0.0, 0.0, 0.3, 0.0, 0.0]) * unit
    base = np.where(more > 0.0, 0.6 * neuron.i_column, 0.0)
    run = measure(cell, clock, (base + more, base), engine, supplies=SUPPLIES)
    energies = run.energies(0.29)
    idle, spiking, quiet = energies[1], energies[2], energies[5]
    charge = clock.pulse * (2.0 * base + more)
    coulomb = (quiet - idle) / charge[5]
    spike = spiking - idle - coulomb * charge[2]
    t, volts = run.traces.times, run.traces.volts[:, 1]
    begin = (2.0 + clock.phase("compare").begin) * clock.step
    delay = float(t[np.argmax((t > begin) & (volts > 0.0))]) - begin
    return float(run.at(0.95)[2]), delay, (float(idle), float(spike), float(coulomb))


def _silence(engine: NgspiceSimulator, neuron: ClockedLif45, clock: Clocking) -> float:
    """What the inverters behind a refractory period's capacitor take while it lasts, W.

    One spike with such a period less the same with a reset, and less what the capacitor takes.
    """
    more = np.zeros(_SILENT + 4)
    more[1] = 1.3 * neuron.c_m * neuron.v_threshold / (_GAIN * clock.pulse)
    spent = []
    for steps in (0, _SILENT):
        cell = replace(neuron, refractory=steps).cell("neuron", Membrane(_GAIN, _BETA, "zero", False), clock)
        spiking, idle = (
            measure(cell, clock, (amps, 0.0 * more), engine, supplies=SUPPLIES).energies(0.29).sum()
            for amps in (more, 0.0 * more)
        )
        spent.append(float(spiking - idle))
    return (spent[1] - spent[0] - SILENCE * (HIGH - LOW) ** 2) / (_SILENT * clock.step)


def _packet(engine: NgspiceSimulator, neuron: ClockedLif45, clock: Clocking, found: LifFigures) -> float:
    """Charge that a reset by subtraction takes, as a share of what was asked for."""
    cell = neuron.cell("neuron", Membrane(_GAIN, _BETA, "subtract", False), clock)
    unit = neuron.c_m * neuron.v_threshold / (_GAIN * clock.pulse)
    # Every step spikes.
    more = np.array([1.2, 1.0, 1.1, 1.05, 1.1, 1.1]) * unit
    run = measure(cell, clock, (0.6 * neuron.i_column + more, np.full(6, 0.6 * neuron.i_column)), engine)
    taken = run.at(_JOINED) - run.at(0.97)
    return float(taken[1:].mean() * _farads(neuron, found) / (neuron.c_m * neuron.v_threshold))


def step_error(neuron: ClockedLif45, clock: Clocking, found: LifFigures, simulator: NgspiceSimulator) -> float:
    """The furthest that the mathematics miss the circuit by from one comparison to the next, as a share of V_theta.

    Forty steps with currents that the figures were not found from: a common one up to twice the design current and
    differences from -0.8 to 1.2 thresholds, evenly spread (multiples of irrational numbers). Every step begins from the
    circuit's own membrane and spike; counted are those with membranes within 1.8 thresholds at both ends.

    Args:
        neuron: its membrane and design current.
        clock: its clocks.
        found: the figures that are judged.
        simulator: ngspice as it is to be run.
    """
    membrane = Membrane(_GAIN, _BETA, "zero", False)
    spread = np.outer(np.sqrt([5.0, 2.0]), np.arange(1, _JUDGED + 1)) % 1.0
    unit = neuron.c_m * neuron.v_threshold / (_GAIN * clock.pulse)
    more, common = unit * (2.0 * spread[1] - 0.8), 2.0 * neuron.i_column * spread[0]
    currents = common + np.maximum(more, 0.0), common + np.maximum(-more, 0.0)
    run = measure(neuron.cell("neuron", membrane, clock), clock, currents, simulator)
    volts, spikes = run.at(_COMPARED)[:, None], (run.at(0.75, 1) > 0.0).astype(np.float64)[:, None]
    state = SomaState(volts[:-1], spikes[:-1], np.zeros_like(spikes[:-1]))
    into, out_of = (amps[1:, None] * clock.pulse / (1.0 + LOAD * found.r_in) for amps in currents)
    missed = np.abs(Lif45Soma.of(neuron, [membrane], clock, found).step(state, (into, out_of)).membranes - volts[1:])
    inside = np.maximum(np.abs(volts[:-1]), np.abs(volts[1:])) <= _INSIDE * neuron.v_threshold
    return float(missed[inside].max() / neuron.v_threshold)
