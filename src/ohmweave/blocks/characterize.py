"""An op-amp measured in SPICE: figures of merit, and the curves that are its mathematics."""

import math

import numpy as np

from ohmweave.bench import Bench, Waves
from ohmweave.blocks.curves import OpAmpCurves, Points, SupplyCurrents
from ohmweave.blocks.figures import OpAmpFigures, circuit_digest
from ohmweave.blocks.measured import MeasuredOpAmp
from ohmweave.blocks.protocols import OpAmp
from ohmweave.circuit import Cell, Instance, VoltageSource
from ohmweave.errors import SimulationError
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

__all__ = ["characterize_cells", "characterize_opamp", "thin"]

# Input differences: dense around zero, to where any input stage is switched. Output stage switched off, V.
_REACH, _DENSITY, _INPUTS, _OFF = 0.2, 9.0, 1201, -0.05
# Output voltages as shares of the supplies, and around an output limit, V; none of these nearer to another.
_OUTPUTS, _NEAR = 219, 0.995
_AROUND = np.concatenate([np.linspace(-20e-3, 10e-3, 301), np.linspace(15e-3, 0.35, 30)])
# A step that large, of the largest current, is looked at anew in so many points; and what holding must be able to do.
_COARSE, _FINE, _STRONGER = 0.2, 301, 1.1
_DIGITS = 9
# What the output's current changes of the supplies' is kept where it comes to that much of what flows at rest.
_CHANGED = 0.01
# Points of a curve that are kept: errors of the straight lines between them.
_VOLTS, _AMPS, _SHARE = 1e-6, 0.1e-6, 0.01
_LEAST_CURRENT = 1e-4
_STEEPER = 10.0
_STEP, _PERIOD = 0.2, 4e-6


def characterize_opamp(
    opamp: OpAmp, simulator: NgspiceSimulator | None = None, *, c_load: float = 1e-12
) -> OpAmpFigures:
    """Measure an op-amp in ngspice: see :func:`characterize_cells`.

    Args:
        opamp: any op-amp of transistors; of one whose figures were measured before, what those are of.
        simulator: ngspice as it is to be run.
        c_load: load capacitance, F.

    Raises:
        SimulatorMissing: no ngspice.
        SimulationError: a run that did not end well, or a circuit that is no op-amp.
    """
    if isinstance(opamp, MeasuredOpAmp):
        return characterize_cells(*opamp.circuits(), simulator, c_load=c_load)
    plain, held = opamp.cell("opamp"), opamp.cell("opamp_held", low=0.0)
    return characterize_cells(plain, held, simulator, c_load=c_load)


def characterize_cells(
    plain: Cell, held: Cell | None, simulator: NgspiceSimulator | None = None, *, c_load: float = 1e-12
) -> OpAmpFigures:
    """Measure an op-amp in ngspice: operating points, small signals, a step.

    Gain and phase are those from the plus input to the output with the DC loop closed by 1 GH and 1 F; slopes
    those of a follower between 20 % and 80 % of a step from 0 V to 0.2 V and back.

    Args:
        plain: the op-amp's circuit, ports p, n, out; its supplies are the voltage sources ``vdd`` and ``vss`` in it.
        held: the same with its output held at or above 0 V, or none where there is no such circuit.
        simulator: ngspice as it is to be run.
        c_load: load capacitance, F.

    Raises:
        SimulatorMissing: no ngspice.
        SimulationError: a run that did not end well, an op-amp without supplies, or without an operating point
            with its output at 0 V.
    """
    engine = NgspiceSimulator() if simulator is None else simulator
    curves = _curves(engine, plain, held)
    frequency, margin = _small_signal(engine, plain, c_load)
    down, up = _slopes(engine, plain, c_load)
    low, high = _swing(curves)
    return OpAmpFigures(
        gain=curves.gain, gbw=frequency, phase_margin=margin, offset=-curves.rest, v_low=low, v_high=high,
        r_out=curves.r_out, i_sink=-curves.drive[0][1], i_source=curves.drive[-1][1], slew_down=down, slew_up=up,
        quiescent_power=(curves.supplies[1] - curves.supplies[0]) * curves.currents.alone, c_load=c_load,
        curves=curves, circuit=circuit_digest(*((plain,) if held is None else (plain, held))),
    )  # fmt: skip


def _curves(engine: NgspiceSimulator, plain: Cell, held: Cell | None) -> OpAmpCurves:
    supplies = _supplies(plain)
    e = np.sinh(np.linspace(-_DENSITY, _DENSITY, _INPUTS)) / np.sinh(_DENSITY) * _REACH
    driven = _run(engine, plain, e, 0.0)
    amps, lower = -driven.input_amps[:, 2], -driven.source_amps[:, 1]
    if not amps[0] < 0.0 < amps[-1]:
        raise SimulationError(
            f"expected an output that sinks and sources current at 0 V, found {amps[0]:g} A to {amps[-1]:g} A",
            where=f"characterize, {plain.name}",
            remedy="check its supplies and bias",
        )
    rest = float(np.interp(0.0, amps, e))
    alone, r_out, load, low = _at_rest(engine, plain, rest, supplies)
    transconductance = float(_slope(e, amps, rest))
    rises = _rising(amps, _LEAST_CURRENT * -amps[0])
    drive = tuple((volts, current) for current, volts in thin(amps[rises], e[rises] - rest, _VOLTS))
    floor, kept, idle = ((), (), 0.0) if held is None else _floor(engine, plain, held, rest, -amps[0])
    return OpAmpCurves(
        supplies=supplies, rest=rest, gain=transconductance * r_out, r_out=r_out, drive=drive, load=load, floor=floor,
        currents=SupplyCurrents(alone, alone + idle), lower=low, held=kept,
        sunk=_drawn_over(amps[rises], lower[rises] - alone, _CHANGED * alone),
    )  # fmt: skip


def _at_rest(
    engine: NgspiceSimulator, plain: Cell, rest: float, supplies: tuple[float, float]
) -> tuple[float, float, Points, Points]:
    """With the input at rest: what flows into V_SS (A), R_o (ohm), and points H and L over the output's voltage."""
    v = _NEAR * np.linspace(*supplies, _OUTPUTS)
    found = _run(engine, plain, rest, v)
    taken, low = found.input_amps[:, 2], -found.source_amps[:, 1]
    alone = _drawn(engine, plain, rest, 0.0)
    load = thin(v, taken - np.interp(0.0, v, taken), _AMPS)
    return alone, 1.0 / float(_slope(v, taken, 0.0)), load, thin(v, low - alone, _AMPS)


def _drawn_over(x: Array, amps: Array, least: float) -> Points:
    """What flows from supply to supply over a voltage or a current, where it comes to ``least`` (A)."""
    return thin(x, amps, _AMPS) if np.abs(amps).max() >= least else ()


def _floor(engine: NgspiceSimulator, plain: Cell, held: Cell, rest: float, sunk: float) -> tuple[Points, Points, float]:
    """What holds the output above 0 V while the output stage is switched off: points V, A.

    Its current into the output, and what it draws from supply to supply besides, beyond the last figure, what it draws
    where the output is above the limit. No points where it gives nothing, or is no stronger than what the output stage
    sinks, ``sunk`` (A).
    """

    def seen(v: Array) -> tuple[Array, Array]:
        with_it, without = (_run(engine, cell, _OFF, v) for cell in (held, plain))
        gives = without.input_amps[:, 2] - with_it.input_amps[:, 2]
        return gives, without.source_amps[:, 1] - with_it.source_amps[:, 1]

    idle = _drawn(engine, held, rest, -_OFF) - _drawn(engine, plain, rest, -_OFF)
    v, (amps, drawn) = _AROUND, seen(_AROUND)
    if amps.max() <= 0.0:
        return (), (), idle
    finer = np.unique(np.round(np.concatenate([v, _between(v, amps), _between(v, drawn)]), _DIGITS))
    if len(finer) > len(v):
        v, (amps, drawn) = finer, seen(finer)
    if amps.max() < _STRONGER * sunk:
        return (), (), idle
    # Where the holding circuit runs out of current its curve flattens; Newton's method wants it to go on.
    steepest = int(np.gradient(amps, v).argmin())
    v, amps, beyond = v[steepest:], amps[steepest:], drawn[steepest:] - np.interp(-_OFF, v, drawn)
    return thin(v, amps, _AMPS), _drawn_over(v, beyond, _AMPS), idle


def _between(v: Array, amps: Array) -> Array:
    """Voltages around the largest step of a curve, if it is too large a part of it."""
    k = int(np.abs(np.diff(amps)).argmax())
    if abs(amps[k + 1] - amps[k]) <= max(_COARSE * np.abs(amps).max(), _AMPS):
        return v[:0]
    return np.linspace(v[max(k - 1, 0)], v[min(k + 2, len(v) - 1)], _FINE)


def _supplies(cell: Cell) -> tuple[float, float]:
    """V_SS and V_DD of a cell, V."""
    found = {
        part.name: part.of.volts
        for part in cell.parts
        if isinstance(part, Instance) and isinstance(part.of, VoltageSource)
    }
    if not {"vdd", "vss"} <= set(found):
        raise SimulationError(
            "expected voltage sources vdd and vss, found none",
            where=f"characterize, {cell.name}",
            remedy="give an op-amp in transistors",
        )
    return found["vss"], found["vdd"]


def _run(engine: NgspiceSimulator, cell: Cell, e: Array | float, v: Array | float) -> Waves:
    """The cell with -e at its minus input and v at its output."""
    minus, out = np.broadcast_arrays(-np.atleast_1d(e), np.atleast_1d(v))
    volts = np.stack([np.zeros(minus.shape), minus, out], axis=1)
    return engine.run(Bench(cell, ("p", "n", "out"), volts, (), ("vdd", "vss")))


def _drawn(engine: NgspiceSimulator, cell: Cell, e: float, v: float) -> float:
    """What flows into V_SS, A."""
    return float(-_run(engine, cell, e, v).source_amps[0, 1])


def _slope(x: Array, y: Array, at: float) -> float:
    return float(np.interp(at, x, np.gradient(y, x)))


def _rising(values: Array, least: float) -> Array:
    """Indices of values that are each at least so much above the one kept before; the first is kept."""
    kept = [0]
    for index, value in enumerate(values):
        if value >= values[kept[-1]] + least:
            kept.append(index)
    return np.array(kept)


def thin(x: Array, y: Array, least: float, share: float = _SHARE) -> Points:
    """The fewest of some points, about, between which straight lines are off by no more than is allowed.

    The point furthest off is kept, and so on to both sides of it (Douglas and Peucker, Cartographica 1973).

    Args:
        x: ascending, [N].
        y: the values there, [N].
        least: what a line may be off.
        share: what it may be off besides, of the value.
    """
    tolerance = least + share * np.abs(y)
    kept, spans = {0, len(x) - 1}, [(0, len(x) - 1)]
    while spans:
        left, right = spans.pop()
        if right - left < 2:
            continue
        inner = slice(left + 1, right)
        line = np.interp(x[inner], x[[left, right]], y[[left, right]])
        excess = np.abs(y[inner] - line) / tolerance[inner]
        worst = left + 1 + int(excess.argmax())
        if excess.max() > 1.0:
            kept.add(worst)
            spans += [(left, worst), (worst, right)]
    return tuple((float(x[k]), float(y[k])) for k in sorted(kept))


def _swing(curves: OpAmpCurves) -> tuple[float, float]:
    """Where the output conductance is ten times that at rest, V."""
    v = np.linspace(*curves.supplies, 1101)
    steep = np.abs(curves.output.slope(v) + 1.0 / curves.r_out) > _STEEPER / curves.r_out
    low, high = v[(v < 0.0) & steep], v[(v > 0.0) & steep]
    return float(low.max(initial=v[0])), float(high.min(initial=v[-1]))


def _small_signal(engine: NgspiceSimulator, cell: Cell, c_load: float) -> tuple[float, float]:
    """Unity-gain frequency (Hz) and phase margin (degrees)."""
    cards = (
        f"x1 p n out {cell.name}", "vp p 0 dc 0 ac 1", "lf out n 1e9", "cf n 0 1", f"cl out 0 {c_load!r}",
        ".ac dec 50 10 1e11", ".save v(out)", ".options reltol=1e-6 gmin=1e-15",
    )  # fmt: skip
    raw = engine.analyse(cell, cards, "complex")
    frequency = raw.columns(("frequency",))[:, 0].real
    answer = raw.columns(("v(out)",))[:, 0]
    size, phase = np.log(np.abs(answer)), np.unwrap(np.angle(answer))
    below = np.flatnonzero(size < 0.0)
    if not len(below) or not below[0]:
        return math.inf, math.nan
    part = slice(below[0] - 1, below[0] + 1)
    crossing = float(np.interp(0.0, -size[part], np.log(frequency[part])))
    lag = float(np.interp(crossing, np.log(frequency[part]), phase[part])) - phase[0]
    return math.exp(crossing), 180.0 + math.degrees(lag)


def _slopes(engine: NgspiceSimulator, cell: Cell, c_load: float) -> tuple[float, float]:
    """Slopes of a follower's output, down and up, V/s."""
    rise, half = 1e-9, _PERIOD / 2
    steps = f"vp p 0 pwl(0 0 {rise!r} 0 {2 * rise!r} {_STEP!r} {half!r} {_STEP!r} {half + rise!r} 0)"
    cards = (
        f"x1 p out out {cell.name}", steps, f"cl out 0 {c_load!r}", f".tran {rise!r} {_PERIOD!r} 0 {rise!r}",
        ".save v(out)", ".options reltol=1e-5 gmin=1e-15",
    )  # fmt: skip
    raw = engine.analyse(cell, cards)
    t, v = raw.columns(("time", "v(out)")).T
    up, down = t < half, t >= half
    return _steepness(t[down], _STEP - v[down]), _steepness(t[up], v[up])


def _steepness(t: Array, v: Array) -> float:
    """Mean slope between 20 % and 80 % of a rising step, V/s; none where it does not go so far."""
    if v[0] > 0.2 * _STEP or v.max() < 0.8 * _STEP:
        return math.nan
    first, last = (_reached(t, v, share * _STEP) for share in (0.2, 0.8))
    return 0.6 * _STEP / (last - first)


def _reached(t: Array, v: Array, level: float) -> float:
    """When a voltage first reaches a level, s."""
    index = max(int(np.argmax(v >= level)), 1)
    part = slice(index - 1, index + 1)
    return float(np.interp(level, v[part], t[part]))
