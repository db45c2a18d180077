"""A stream of samples through the nonlinear elements of a circuit.

The linear rest of a circuit answers the currents of its nonlinear elements with

    c = c_0 + M phi(c),   c_0 = constant + R u,

c the controlling voltages, u what drives the circuit. Sweeps (:mod:`ohmweave.simulate.loud`) solve it: first in
float32, until little changes, then in the precision asked for.

Most clamps never come near their limits. They are *quiet*: all they carry is the tail of their characteristic
(:mod:`ohmweave.simulate.tails`), whose line is in c_0 and M, and whose rest is taken once, between the two kinds of
sweeps. Which clamps are quiet is seen from the samples and checked for every one of them; one that comes near a limit
after all is swept with the others from then on.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.simulate import Precision
from ohmweave.simulate.clamps import solvable, tail_lines
from ohmweave.simulate.elements import Elements
from ohmweave.simulate.linear import Response
from ohmweave.simulate.loud import Loud, State
from ohmweave.simulate.processor import Processor
from ohmweave.simulate.tails import Quiet, Tails, linearised
from ohmweave.units import Array

__all__ = ["Sweeper", "Swept"]

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Shares of the swing: what a clamp must keep from its limits to be taken as quiet, and to stay so.
_QUIET, _STILL_QUIET = 0.03, 0.01
# Once the loud change by less than this, V, the tails of the quiet change by less than a part in 1e3.
_CALM = 1e-4
_FLOAT32_TOLERANCE = 5e-7
# Share of the tolerance that the coarse arithmetic of the tails may make up.
_SLIGHT = 0.1
# Share of its swing that every clamp must keep from its limits for that, and of this room that may go unmeasured.
_ROOMY, _NEARER = 0.2, 0.95


@dataclass(frozen=True, eq=False)
class _Split:
    """The elements that are swept and the quiet ones, with what they need, kept where it is computed.

    Args:
        loud: indices of the elements that are swept, clamps of closed form first.
        clamps: how many of them are such clamps.
        rough, fine: they, in float32 and in the precision asked for.
        constant, from_drives: c_0 of the loud, and behind them the watched quantities without any
            current but those of the tails' lines, [loud + watched] and [drives, loud + watched].
        quiet: indices of the quiet clamps.
        tails: what these carry.
        watched_from_loud: currents -> watched quantities, [loud, watched], ohm.
    """

    loud: Indices
    clamps: int
    rough: Loud
    fine: Loud
    constant: Any
    from_drives: Any
    quiet: Indices
    tails: Tails
    watched_from_loud: Any


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
        precision: of the loud; the quiet are float32 at most.
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
        self.coarse, self.nearest = place.coarse, np.inf
        self.seen = np.tile(elements.clamps[:2].mean(axis=0), (2, 1))
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
            swept, state, room, error = self._settle(self.split, drives)
            while len(near := self._near(room)) or error > _SLIGHT * self.tolerance:
                self.coarse = self.coarse if len(near) else "float32"
                quiet = np.isin(np.arange(self.elements.count), np.setdiff1d(self.split.quiet, near))
                self.split = self._divide(quiet)
                swept, state, room, error = self._settle(self.split, drives)
            if first:
                self.next_quiet = self._listen(self.split, state)
            return swept

    def _error(self, split: _Split, room: Array, drives: Any, amps: Any, rests: Any) -> float:
        """How far coarse rests are off, V; measured where a clamp is clearly nearer to a limit than any was before."""
        if split.tails.coarse == "float32":
            return 0.0
        nearest = float((room / self.swing[split.quiet]).min())
        if not nearest > _ROOMY:
            return np.inf
        if nearest > _NEARER * self.nearest:
            return 0.0
        self.nearest = nearest
        return split.tails.error(drives, amps, rests)

    def _near(self, room: Array) -> Indices:
        """The quiet clamps that are too near a limit, or nowhere."""
        clamps = self.split.quiet
        return np.asarray(clamps[~(room > _STILL_QUIET * self.swing[clamps])])

    def _listen(self, split: _Split, state: State) -> Mask:
        """The clamps that kept away from their limits in every sample."""
        clamps = split.loud[: split.clamps]
        c = split.fine.controls(state)[:, : split.clamps]
        low, high, _, _ = self.elements.clamps[:, clamps]
        seen = np.array([c.min(axis=0, initial=np.inf), c.max(axis=0, initial=-np.inf)])
        quiet = np.zeros(self.elements.count, dtype=bool)
        quiet[clamps] = np.minimum(high - seen[1], seen[0] - low) > _QUIET * (high - low)
        if len(c):
            self.seen[:, clamps] = seen
        return quiet

    def _divide(self, quiet: Mask) -> _Split:
        fine, load = self.precision, self.place.load
        silent, swept = np.flatnonzero(quiet), np.flatnonzero(~quiet)
        loud = np.concatenate([swept[self.closed[swept]], swept[~self.closed[swept]]])
        clamps = int(self.closed[swept].sum())
        # Other laws are solved in float64 in any case.
        rough: Precision = "float32" if clamps == len(loud) else fine
        quiet_clamps, response = self._quiet(silent, loud), self._choose(loud)
        response = linearised(response, quiet_clamps, loud)
        elements, among = self.elements.choose(loud), response.to_laws[: len(loud)]
        return _Split(
            loud=loud,
            clamps=clamps,
            rough=Loud(elements, clamps, among, self.place, rough),
            fine=Loud(elements, clamps, among, self.place, fine),
            constant=load(response.constant, fine),
            from_drives=load(response.to_drives.T, fine),
            quiet=silent,
            tails=Tails(quiet_clamps, self.place, self.coarse),
            watched_from_loud=load(response.to_laws[len(loud) :].T, fine),
        )

    def _choose(self, loud: Indices) -> Response:
        """What some elements' controlling voltages answer, and behind them the watched quantities."""
        one, other = self.controls, self.watched
        return Response(
            np.concatenate([one.constant[loud], other.constant]),
            np.vstack([one.to_drives[loud], other.to_drives]),
            np.vstack([one.to_laws[loud], other.to_laws]),
        )

    def _quiet(self, silent: Indices, loud: Indices) -> Quiet:
        """The quiet clamps, and what they and the rest of the circuit do to each other."""
        clamps, seen, controls = self.elements.clamps[:, silent], self.seen[:, silent], self.controls
        return Quiet(
            clamps,
            tail_lines(clamps, seen),
            controls.constant[silent],
            np.vstack([controls.to_drives.T[:, silent], controls.to_laws.T[np.ix_(loud, silent)]]),
            np.vstack([controls.to_laws[np.ix_(loud, silent)], self.watched.to_laws[:, silent]]),
            seen.mean(axis=0),
        )

    def _settle(self, split: _Split, drives: Any) -> tuple[Swept, State, Array, float]:
        """Sweep in float32, take the tails of the quiet, sweep on.

        Also how far the quiet are from their limits, V, and the largest error of their tails found, V.
        """
        place, count = self.place, len(split.loud)
        linear = place.product(drives, split.from_drives, split.constant)
        state = split.rough.sweep(self._still(split, linear), None, _CALM)
        calm, room, error = np.asarray(state.moved <= _CALM), np.empty(0), 0.0
        if len(split.quiet):
            rests, room = split.tails.volts(drives, state.amps)
            error = self._error(split, room, drives, state.amps, rests)
            linear = place.add(linear, rests)
        watched, settled = linear[:, count:], calm
        if count:
            enough = self.tolerance / split.fine.ahead
            state = split.fine.sweep(self._still(split, linear), state, enough)
            watched = place.add(watched, place.product(state.amps, split.watched_from_loud))
            settled &= state.solved & (state.moved <= enough)
        answer = place.store(watched)
        # What is no number has not moved either where nothing is swept.
        if not np.isfinite(answer).all():
            settled &= np.isfinite(answer).all(axis=1)
        return Swept(answer, settled), state, room, error

    def _still(self, split: _Split, linear: Any) -> Any:
        """What r of the loud is without their currents; clamps of closed form can do with what is behind it too."""
        count = len(split.loud)
        return linear if count and split.clamps == count else self.place.contiguous(linear[:, :count])
