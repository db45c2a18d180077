"""Nonlinear Jacobi sweeps over the elements of a circuit, for a stream of samples.

The linear rest of a circuit answers the currents of its nonlinear elements with

    c = c_0 + M phi(c),   c_0 = constant + R u,

c the controlling voltages, u what drives the circuit. A sweep solves every element by itself,
c_k = r_k + M_kk phi_k(c_k), with the others' currents in r_k as they were (Ortega and Rheinboldt, Iterative
Solution of Nonlinear Equations in Several Variables, 1970). What an element does to itself dwarfs what
it does to others, except down the chain of stages, so that a sweep gains about three digits.

Most clamps never come near their limits. They are *quiet*: all they carry is the tail of their
characteristic, some 1e-11 A, for which their voltage in float32 is plenty. Which clamps are quiet is
seen from the samples and checked for every one of them; one that comes near a limit after all is swept
with the others from then on.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.simulate import Precision
from ohmweave.simulate.clamps import coefficients, solvable
from ohmweave.simulate.elements import Elements
from ohmweave.simulate.linear import Response
from ohmweave.simulate.processor import Processor
from ohmweave.units import Array

__all__ = ["Sweeper", "Swept"]

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

_SWEEPS = 60
_PATIENCE = 5
_ITERATIONS = 100
# Shares of the swing: what a clamp must keep from its limits to be taken as quiet, and to stay so.
_QUIET, _STILL_QUIET = 0.03, 0.01
# Once the loud change by less than this, V, the quiet have no more to follow: their tails move by a part in 1e3.
_CALM = 1e-4
# Up to so many elements the norm of their couplings is computed, above it is bounded.
_FACTORISED = 1000
_FLOAT32_TOLERANCE = 5e-7


@dataclass(frozen=True, eq=False)
class _Split:
    """The elements that are swept and the quiet ones, with what they need, kept where it is computed.

    Args:
        loud: indices of the elements that are swept, clamps of closed form first.
        clamps: how many of them are such clamps.
        others: the laws of those that are not.
        constant, from_drives: c_0 of the loud, and behind them the watched quantities without any
            element's current, [loud + watched] and [drives, loud + watched].
        from_loud: their currents -> r, [loud, loud], ohm; none acts on its own element.
        ahead: all the changes of r still to come, at most, as a share of the last one.
        own: M_kk of the loud, [loud], ohm; ``own_others`` those of the others, on this machine.
        closed: coefficients of the loud clamps.
        quiet: indices of the quiet clamps; what follows is theirs, in float32.
        quiet_constant, quiet_from_drives, quiet_from_loud: as above.
        quiet_limits: low and high limit, siemens, corner, [4, quiet].
        from_quiet: their currents -> r of the loud, [quiet, loud], ohm.
        watched_from_loud, watched_from_quiet: currents -> watched quantities.
    """

    loud: Indices
    clamps: int
    others: Elements
    constant: Any
    from_drives: Any
    from_loud: Any
    ahead: float
    own: Any
    own_others: Array
    closed: Any
    quiet: Indices
    quiet_constant: Any
    quiet_from_drives: Any
    quiet_from_loud: Any
    quiet_limits: Any
    from_quiet: Any
    watched_from_loud: Any
    watched_from_quiet: Any


@dataclass(frozen=True, eq=False)
class _Currents:
    """Where the sweeps have come to: r and currents of the loud, the watched quantities, room of the quiet."""

    r: Any
    loud: Any
    watched: Array
    room: Array
    settled: Mask


@dataclass(frozen=True, eq=False)
class Swept:
    """What sweeps make of some samples.

    Args:
        watched: the watched quantities, [samples, watched]; meaningless where a sample did not settle.
        settled: which samples did, [samples].
    """

    watched: Array
    settled: Mask


class Sweeper:
    """Solves sample after sample, and remembers which clamps are quiet.

    Args:
        elements: the nonlinear elements.
        controls: what their controlling voltages answer.
        watched: what the watched quantities answer.
        place: where to compute.
        precision: of the loud; the quiet are always float32.
        tolerance: largest change of a sample's controlling voltages (root of the summed squares) that a
            further sweep could make, V; where the sweeps' rate is not known, the change that the last
            one made. float32 cannot do better than 5e-7 V.
    """

    def __init__(
        self,
        elements: Elements,
        controls: Response,
        watched: Response,
        place: Processor,
        *,
        precision: Precision,
        tolerance: float,
    ) -> None:
        self.elements, self.controls, self.watched = elements, controls, watched
        self.place, self.precision = place, precision
        self.tolerance = tolerance if precision == "float64" else max(tolerance, _FLOAT32_TOLERANCE)
        self.closed = solvable(elements.clamps, controls.to_laws.diagonal())
        self.swing = elements.clamps[1] - elements.clamps[0]
        self.split = self._divide(np.zeros(elements.count, dtype=bool))
        self.next_quiet: Mask | None = None

    def solve(self, u: Array) -> Swept:
        """Solve some samples.

        Args:
            u: what drives the circuit, [samples, drives]: V at inputs, A into ports of arrays.
        """
        if self.next_quiet is not None:
            self.split, self.next_quiet = self._divide(self.next_quiet), None
        drives, first = self.place.load(u, self.precision), not len(self.split.quiet)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what runs away is seen by its NaN
            found = self._settle(self.split, drives)
            while not np.all(found.room > _STILL_QUIET * self.swing[self.split.quiet]):
                loud = self.split.quiet[~(found.room > _STILL_QUIET * self.swing[self.split.quiet])]
                quiet = np.isin(np.arange(self.elements.count), np.setdiff1d(self.split.quiet, loud))
                self.split = self._divide(quiet)
                found = self._settle(self.split, drives)
            if first:
                self.next_quiet = self._listen(self.split, found)
            return Swept(found.watched, found.settled)

    def _listen(self, split: _Split, found: _Currents) -> Mask:
        """The clamps that kept away from their limits in every sample."""
        c = self.place.store((found.r + split.own * found.loud)[:, : split.clamps])
        low, high, _, _ = self.elements.clamps[:, split.loud[: split.clamps]]
        room = np.minimum(high - c.max(axis=0, initial=-np.inf), c.min(axis=0, initial=np.inf) - low)
        quiet = np.zeros(self.elements.count, dtype=bool)
        quiet[split.loud[: split.clamps]] = room > _QUIET * (high - low)
        return quiet

    def _divide(self, quiet: Mask) -> _Split:
        fine, load = self.precision, self.place.load
        silent, swept = np.flatnonzero(quiet), np.flatnonzero(~quiet)
        loud = np.concatenate([swept[self.closed[swept]], swept[~self.closed[swept]]])
        clamps = int(self.closed[swept].sum())
        to_laws, to_drives, constant = self.controls.to_laws, self.controls.to_drives, self.controls.constant
        own = to_laws.diagonal()
        among = to_laws[np.ix_(loud, loud)]
        np.fill_diagonal(among, 0.0)
        return _Split(
            loud=loud,
            clamps=clamps,
            others=self.elements.choose(loud[clamps:]),
            constant=load(np.concatenate([constant[loud], self.watched.constant]), fine),
            from_drives=load(np.vstack([to_drives[loud], self.watched.to_drives]).T, fine),
            from_loud=load(among.T, fine),
            ahead=_ahead(among, own[loud]) if clamps == len(loud) else 1.0,
            own=load(own[loud], fine),
            own_others=own[loud[clamps:]],
            closed=load(coefficients(self.elements.clamps[:, loud[:clamps]], own[loud[:clamps]]), fine),
            quiet=silent,
            quiet_constant=load(constant[silent], "float32"),
            quiet_from_drives=load(to_drives[silent].T, "float32"),
            quiet_from_loud=load(to_laws[np.ix_(silent, loud)].T, "float32"),
            quiet_limits=load(self.elements.clamps[:, silent], "float32"),
            from_quiet=load(to_laws[np.ix_(loud, silent)].T, "float32"),
            watched_from_loud=load(self.watched.to_laws[:, loud].T, fine),
            watched_from_quiet=load(self.watched.to_laws[:, silent].T, "float32"),
        )

    def _settle(self, split: _Split, drives: Any) -> _Currents:
        place, count = self.place, len(split.loud)
        linear = split.constant + place.product(drives, split.from_drives)
        r = still = base = linear[:, :count]
        quiet_base = split.quiet_constant + place.product(place.cast(drives, "float32"), split.quiet_from_drives)
        quiet, room = place.tail(quiet_base, split.quiet_limits)
        amps, _, c = self._alone(split, r, r, None)
        heard, before = np.full(len(r), not len(split.quiet)), np.full(len(r), np.inf)
        for sweep in range(_SWEEPS):
            calm = before < _CALM
            if not heard.all() and (calm[~heard].all() or (calm[~heard].any() and sweep > _PATIENCE)):
                heard |= calm
                stirred = place.product(place.cast(amps, "float32"), split.quiet_from_loud)
                quiet, room = place.tail(quiet_base + stirred, split.quiet_limits)
                still = base + place.cast(place.product(quiet, split.from_quiet), self.precision)
            old, r = r, still + place.product(amps, split.from_loud)
            amps, moved, c = self._alone(split, r, old, c)
            settled = heard & (moved * split.ahead <= self.tolerance)
            if settled.all() or (sweep > _PATIENCE and not moved[~settled].max() < 0.5 * before[~settled].max()):
                break
            before = moved
        watched = linear[:, count:] + place.product(amps, split.watched_from_loud)
        watched = watched + place.cast(place.product(quiet, split.watched_from_quiet), self.precision)
        return _Currents(r, amps, place.store(watched), room, settled)

    def _alone(self, split: _Split, r: Any, old: Any, c: Array | None) -> tuple[Any, Array, Array | None]:
        """Every element by itself: currents, change of r in each sample, and controls of the other laws."""
        n = split.clamps
        if n == r.shape[1]:
            amps, moved = self.place.clamp(r, old, split.closed)
            return amps, moved, None
        amps, moved = self.place.clamp(r[:, :n], old[:, :n], split.closed)
        rest, rest_old = self.place.store(r[:, n:]), self.place.store(old[:, n:])
        start = split.others.limit(rest, np.zeros_like(rest)) if c is None else c
        other_amps, c = _alone(split.own_others, rest, split.others, start, 0.1 * self.tolerance)
        moved = np.maximum(moved, np.abs(rest - rest_old).max(axis=1))
        return self.place.join([amps, self.place.load(other_amps, self.precision)]), moved, c


def _ahead(among: Array, own: Array) -> float:
    """q / (1 - q), q the largest factor by which sweeps over clamps can fail to shrink a change of r.

    A clamp answers a change of its r with at most the change over M_kk, so that q is the norm of
    M_jk / M_kk, j not k; from a half on nothing is promised.
    """
    coupling = np.abs(among / own) if len(own) > _FACTORISED else among / own
    if len(own) > _FACTORISED:
        norm = np.sqrt(coupling.sum(axis=0).max() * coupling.sum(axis=1).max())
    else:
        norm = np.linalg.norm(coupling, 2) if len(own) else 0.0
    return float(norm / (1.0 - norm)) if norm < 0.5 else 1.0


def _alone(own: Array, r: Array, elements: Elements, c: Array, tolerance: float) -> tuple[Array, Array]:
    """Newton's method on every element: its current, the last step taken in the current, and its control."""
    for _ in range(_ITERATIONS):
        current, slope = elements.current(c), elements.slope(c)
        step = (r + own * current - c) / (1.0 - own * slope)
        c = elements.limit(c + step, c)
        if not np.abs(step).max(initial=0.0) > tolerance:
            break
    return current + slope * step, c
