"""What a user's model does, measured in SPICE: its conductances, their states, and its current over both.

The model is read at DC, many states side by side in one sweep. Nothing is fitted: the conductance of a state is its
read current over the read voltage, the states of chosen conductances are found as roots of it, and a table through
measured points is refined until points that it was not made from lie on it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from ohmweave.bench import Bench
from ohmweave.circuit import Cell, Instance, Library, VoltageSource
from ohmweave.devices.file import ModelChoice, model_cell
from ohmweave.devices.surface import Surface
from ohmweave.errors import NetlistError, SimulationError
from ohmweave.models.checks import Place, check_curves, check_states
from ohmweave.simulate import Simulator
from ohmweave.units import Array

__all__ = ["LEAST_ERROR", "Characterisation", "characterize", "read_currents"]

Told = Callable[[str, int, int], None]

# What the simulator's own tolerances leave, relative to a current.
LEAST_ERROR = 1e-6
_ENOUGH = 1e-6
_COARSE_STATES, _COARSE_VOLTS = 33, 41
_FIRST, _MOST_STATES, _MOST_VOLTS = (17, 65), 257, 513
_ROOT_STEPS, _ROOT_TOLERANCE = 60, 1e-10
# Below this share of v_max errors are compared with the current there: relative ones mean nothing at 0 V.
_LEAST_SHARE = 0.02


@dataclass(frozen=True, eq=False)
class Characterisation:
    """What was measured on a model.

    Args:
        surface: the table.
        error: what the table may be off, relative to the current: the largest deviation found, or what the
            simulator's tolerances leave where that is more.
        found: largest deviation of the table from the fresh points, relative to the current.
        fresh: how many fresh points that is.
        engine: simulator and version.
        deviations: of the fresh points, [voltages, conductances], with their places.
        fresh_volts: V.
        fresh_g: S.
    """

    surface: Surface
    error: float
    found: float
    fresh: int
    engine: str
    deviations: Array
    fresh_volts: Array
    fresh_g: Array


def characterize(
    choice: ModelChoice, library: Library, simulator: Simulator, told: Told | None = None
) -> Characterisation:
    """Measure a model until a table says what it does.

    Args:
        choice: which model.
        library: its files.
        simulator: that reads them.
        told: ("points", how many along a side of the table so far, of how many at most).

    Raises:
        NetlistError: a model that cannot serve: no finite current, current without voltage, not monotone, active,
            or one that its state does not change.
        SimulatorMissing: no such simulator.
    """
    place = Place(choice.file, choice)
    states = np.linspace(choice.state.low, choice.state.high, _COARSE_STATES)
    volts = _even(choice.v_max, _COARSE_VOLTS)

    def read(at: Array, v: Array) -> Array:
        return read_currents(choice, library, simulator, at, v)

    coarse = read(states, volts)
    check_curves(place, states, volts, coarse)
    reading = read(states, np.array([choice.v_read]))[:, 0] / choice.v_read
    check_states(place, states, reading)
    counts = _FIRST
    while True:
        if told is not None:
            told("points", max(counts), _MOST_VOLTS)
        surface = _table(choice, read, (states, reading), counts)
        check_curves(place, surface.state, surface.volts, surface.amps)
        fresh = _fresh(surface, read)
        over_g, over_v = fresh[0], fresh[1]
        error = max(over_g.max(), over_v.max())
        grown = (
            min(2 * counts[0] - 1, _MOST_STATES) if over_g.max() > _ENOUGH else counts[0],
            min(2 * counts[1] - 1, _MOST_VOLTS) if over_v.max() > _ENOUGH else counts[1],
        )
        if error <= _ENOUGH or grown == counts:
            break
        counts = grown
    return _judged(place, surface, read, simulator)


def read_currents(choice: ModelChoice, library: Library, simulator: Simulator, states: Array, volts: Array) -> Array:
    """Currents of a model at DC, [states, voltages], A.

    Args:
        choice: which model.
        library: its files.
        simulator: that reads it.
        states: values of its state parameter.
        volts: from its positive to its negative port, V.

    Raises:
        NetlistError: a simulator that gives no finite answer; says what it said.
    """
    cell = model_cell(choice, library)
    parts = []
    for k, state in enumerate(states.tolist()):
        parts.append(Instance(f"a{k}", VoltageSource(0.0), ("p", f"t{k}")))
        parts.append(Instance(f"d{k}", cell, (f"t{k}", "0"), {"state": state}))
    bench = Bench(
        Cell("characterize", ("p",), tuple(parts)),
        ("p",),
        volts[:, None],
        (),
        tuple(f"a{k}" for k in range(len(states))),
        input_amps=False,
    )
    try:
        amps = -simulator.run(bench).source_amps.T
    except SimulationError as error:
        raise NetlistError(
            f"expected a model that {simulator.name} can read at DC, found: {error.message}",
            where=f"{choice.file}: {choice.name}",
            remedy="mend the model, or narrow device.state and device.v_max to where it is defined",
        ) from error
    return np.ascontiguousarray(amps)


def _even(v_max: float, count: int) -> Array:
    half = count // 2
    return np.asarray(np.arange(-half, half + 1) * (v_max / half), dtype=np.float64)


def _table(
    choice: ModelChoice, read: Callable[[Array, Array], Array], known: tuple[Array, Array], counts: tuple[int, int]
) -> Surface:
    """The table of so many conductances and voltages."""
    order = np.argsort(known[1])
    s, u = known[0][order], np.log(known[1][order])
    # Even in the mean of both, so that neither the state nor ln g runs away between two points.
    way = (s - s[0]) / (s[-1] - s[0]) + (u - u[0]) / (u[-1] - u[0])
    targets = PchipInterpolator(way, u)(np.linspace(0.0, 2.0, counts[0]))
    states = _roots(lambda at: np.log(read(at, np.array([choice.v_read]))[:, 0] / choice.v_read), s, u, targets)
    amps = read(states, _even(choice.v_max, counts[1]))
    amps[:, counts[1] // 2] = 0.0
    return Surface(choice.v_max, np.exp(targets), amps, states)


def _roots(measure: Callable[[Array], Array], s: Array, u: Array, targets: Array) -> Array:
    """States at which ``measure`` gives the targets, all at once, by secants kept within brackets.

    Illinois' variant of the false position (Dowell and Jarratt, BIT 11, 1971), which never leaves the bracket.

    Args:
        measure: ln g of states.
        s: states measured already, in the order of u.
        u: their ln g, ascending.
        targets: from u[0] to u[-1], both included.
    """
    k = np.clip(np.searchsorted(u, targets, side="right") - 1, 0, len(u) - 2)
    a, b = s[k].copy(), s[k + 1].copy()
    fa, fb = u[k] - targets, u[k + 1] - targets
    guess = np.clip(PchipInterpolator(u, s)(targets), np.minimum(a, b), np.maximum(a, b))
    best, before = guess, np.zeros_like(targets)
    for _ in range(_ROOT_STEPS):
        f = measure(guess) - targets
        best = guess
        if (np.abs(f) <= _ROOT_TOLERANCE).all():
            break
        below, again = f <= 0.0, np.where(np.sign(f) == before, 0.5, 1.0)
        before = np.sign(f)
        # An end that stays a second time is weighed half, so that the next secant crosses to its side.
        fb, fa = np.where(below, again * fb, f), np.where(below, f, again * fa)
        a, b = np.where(below, guess, a), np.where(below, b, guess)
        width = np.where(fb - fa == 0.0, 1.0, fb - fa)
        guess = np.where(np.abs(f) <= _ROOT_TOLERANCE, guess, a - fa * (b - a) / width)
        guess = np.clip(guess, np.minimum(a, b), np.maximum(a, b))
    ends = np.array([s[0], s[-1]])
    best[[0, -1]] = ends
    return np.asarray(best)


def _middles(values: Array) -> Array:
    return np.asarray(0.5 * (values[1:] + values[:-1]))


def _fresh(surface: Surface, read: Callable[[Array, Array], Array]) -> tuple[Array, Array]:
    """Deviations half-way between the conductances at the table's voltages, and half-way between those."""
    g = np.exp(_middles(np.log(surface.g)))
    volts, between = surface.volts[:: max(1, len(surface.volts) // 32)], _middles(surface.volts)
    some = surface.g[:: max(1, len(surface.g) // 16)]
    over_g = _deviations(surface, g, volts, read)
    return over_g, _deviations(surface, some, between, read)


def _deviations(surface: Surface, g: Array, volts: Array, read: Callable[[Array, Array], Array]) -> Array:
    """|table - SPICE| over the current, [conductances, voltages]."""
    measured = read(surface.state_of(g), volts)
    table = surface.current(volts, g[:, None])
    least = g[:, None] * surface.v_max * _LEAST_SHARE
    return np.asarray(np.abs(table - measured) / np.maximum(np.abs(measured), least))


def _judged(
    place: Place, surface: Surface, read: Callable[[Array, Array], Array], simulator: Simulator
) -> Characterisation:
    """The last word on a table: fresh points everywhere, and its slopes."""
    g, volts = np.exp(_middles(np.log(surface.g))), _middles(surface.volts)
    deviations = _deviations(surface, g, volts, read)
    fine = np.linspace(-surface.v_max, surface.v_max, 4 * len(surface.volts) + 1)
    for first in (0.0, 0.25, 0.5, 0.75):
        between = np.exp(np.log(surface.g[:-1]) + first * np.log(surface.g[1] / surface.g[0]))
        place.check_slopes(surface.slope(fine, between[:, None]))
    found = float(deviations.max())
    error = max(found, *(float(each.max()) for each in _fresh(surface, read)))
    return Characterisation(
        surface,
        max(error, LEAST_ERROR),
        error,
        deviations.size,
        f"{simulator.name} {simulator.version()}",
        deviations,
        volts,
        g,
    )
