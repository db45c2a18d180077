"""A stream of samples through the nonlinear elements of a circuit.

The linear rest of a circuit answers the currents of its nonlinear elements with

    c = c_0 + M phi(c),   c_0 = constant + R u,

c the controlling voltages, u what drives the circuit. Sweeps (:mod:`ohmweave.simulate.loud`) solve it: first in
float32, until little changes, then in the precision asked for.

Most clamps never come near their limits. They are *quiet*: all they carry is the tail of their
characteristic, some 1e-11 A, for which their voltage in float32 is plenty; it is taken once, between
the two kinds of sweeps. Which clamps are quiet is seen from the samples and checked for every one of
them; one that comes near a limit after all is swept with the others from then on.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.simulate import Precision
from ohmweave.simulate.clamps import solvable
from ohmweave.simulate.elements import Elements
from ohmweave.simulate.linear import Response
from ohmweave.simulate.loud import Loud, State
from ohmweave.simulate.processor import Processor
from ohmweave.units import Array

__all__ = ["Sweeper", "Swept"]

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Shares of the swing: what a clamp must keep from its limits to be taken as quiet, and to stay so.
_QUIET, _STILL_QUIET = 0.03, 0.01
# Once the loud change by less than this, V, the tails of the quiet change by less than a part in 1e3.
_CALM = 1e-4
_FLOAT32_TOLERANCE = 5e-7


@dataclass(frozen=True, eq=False)
class _Split:
    """The elements that are swept and the quiet ones, with what they need, kept where it is computed.

    Args:
        loud: indices of the elements that are swept, clamps of closed form first.
        clamps: how many of them are such clamps.
        rough, fine: they, in float32 and in the precision asked for.
        constant, from_drives: c_0 of the loud, and behind them the watched quantities without any
            element's current, [loud + watched] and [drives, loud + watched].
        quiet: indices of the quiet clamps; what follows is theirs, in float32.
        quiet_constant, quiet_from_drives: c_0, as above.
        quiet_from_loud: currents of the loud -> c of the quiet, [loud, quiet], ohm.
        quiet_limits: low and high limit, siemens, corner, [4, quiet].
        from_quiet: their currents -> r of the loud, [quiet, loud], ohm.
        watched_from_loud, watched_from_quiet: currents -> watched quantities.
    """

    loud: Indices
    clamps: int
    rough: Loud
    fine: Loud
    constant: Any
    from_drives: Any
    quiet: Indices
    quiet_constant: Any
    quiet_from_drives: Any
    quiet_from_loud: Any
    quiet_limits: Any
    from_quiet: Any
    watched_from_loud: Any
    watched_from_quiet: Any


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
            swept, state, room = self._settle(self.split, drives)
            while len(near := self._near(room)):
                quiet = np.isin(np.arange(self.elements.count), np.setdiff1d(self.split.quiet, near))
                self.split = self._divide(quiet)
                swept, state, room = self._settle(self.split, drives)
            if first:
                self.next_quiet = self._listen(self.split, state)
            return swept

    def _near(self, room: Array) -> Indices:
        """The quiet clamps that are too near a limit, or nowhere."""
        quiet = self.split.quiet
        return np.asarray(quiet[~(room > _STILL_QUIET * self.swing[quiet])])

    def _listen(self, split: _Split, state: State) -> Mask:
        """The clamps that kept away from their limits in every sample."""
        clamps = split.loud[: split.clamps]
        c = split.fine.controls(state)[:, : split.clamps]
        low, high, _, _ = self.elements.clamps[:, clamps]
        room = np.minimum(high - c.max(axis=0, initial=-np.inf), c.min(axis=0, initial=np.inf) - low)
        quiet = np.zeros(self.elements.count, dtype=bool)
        quiet[clamps] = room > _QUIET * (high - low)
        return quiet

    def _divide(self, quiet: Mask) -> _Split:
        fine, load, to_watched = self.precision, self.place.load, self.watched.to_laws
        silent, swept = np.flatnonzero(quiet), np.flatnonzero(~quiet)
        loud = np.concatenate([swept[self.closed[swept]], swept[~self.closed[swept]]])
        clamps = int(self.closed[swept].sum())
        to_laws, to_drives, constant = self.controls.to_laws, self.controls.to_drives, self.controls.constant
        # Other laws are solved in float64 in any case.
        rough: Precision = "float32" if clamps == len(loud) else fine
        elements, among = self.elements.choose(loud), to_laws[np.ix_(loud, loud)]
        return _Split(
            loud=loud,
            clamps=clamps,
            rough=Loud(elements, clamps, among, self.place, rough),
            fine=Loud(elements, clamps, among, self.place, fine),
            constant=load(np.concatenate([constant[loud], self.watched.constant]), fine),
            from_drives=load(np.vstack([to_drives[loud], self.watched.to_drives]).T, fine),
            quiet=silent,
            quiet_constant=load(constant[silent], "float32"),
            quiet_from_drives=load(to_drives[silent].T, "float32"),
            quiet_from_loud=load(to_laws[np.ix_(silent, loud)].T, "float32"),
            quiet_limits=load(self.elements.clamps[:, silent], "float32"),
            from_quiet=load(to_laws[np.ix_(loud, silent)].T, "float32"),
            watched_from_loud=load(to_watched[:, loud].T, fine),
            watched_from_quiet=load(to_watched[:, silent].T, "float32"),
        )

    def _settle(self, split: _Split, drives: Any) -> tuple[Swept, State, Array]:
        """Sweep in float32, take the tails of the quiet, sweep on; also how far the quiet are from their limits."""
        place, count = self.place, len(split.loud)
        linear = place.product(drives, split.from_drives, split.constant)
        base, watched = place.contiguous(linear[:, :count]), linear[:, count:]
        # Not base itself, to which the tails of the quiet are added below.
        state = split.rough.sweep(place.copy(base, split.rough.precision), None, _CALM)
        calm, room = np.asarray(state.moved <= _CALM), np.empty(0)
        if len(split.quiet):
            quiet, room = self._tails(split, drives, state)
            base += place.product(quiet, split.from_quiet)
            watched += place.product(quiet, split.watched_from_quiet)
        enough = self.tolerance / split.fine.ahead
        state = split.fine.sweep(base, state, enough)
        watched += place.product(state.amps, split.watched_from_loud)
        answer = place.store(watched)
        # What is no number has not moved either where nothing is swept.
        settled = calm & state.solved & (state.moved <= enough) & np.isfinite(answer).all(axis=1)
        return Swept(answer, settled), state, room

    def _tails(self, split: _Split, drives: Any, state: State) -> tuple[Any, Array]:
        place = self.place
        coarse, stirring = place.cast(drives, "float32"), place.cast(state.amps, "float32")
        c = place.product(coarse, split.quiet_from_drives, split.quiet_constant)
        return place.tail(place.product(stirring, split.quiet_from_loud, c), split.quiet_limits)
