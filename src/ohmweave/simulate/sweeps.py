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
from ohmweave.simulate.clamps import quiet_coefficients, solvable
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
# Share of the tolerance that may be made of the tails' deviations from their tangents where those stand for them.
_SLIGHT = 0.2


@dataclass(frozen=True, eq=False)
class _Split:
    """The elements that are swept and the quiet ones, with what they need, kept where it is computed.

    Args:
        loud: indices of the elements that are swept, clamps of closed form first.
        clamps: how many of them are such clamps.
        rough, fine: they, in float32 and in the precision asked for.
        constant, from_drives: c_0 of the loud, and behind them the watched quantities without any
            element's current, [loud + watched] and [drives, loud + watched].
        quiet: indices of the quiet clamps.
        tails: what they carry.
        watched_from_loud: currents -> watched quantities, [loud, watched], ohm.
    """

    loud: Indices
    clamps: int
    rough: Loud
    fine: Loud
    constant: Any
    from_drives: Any
    quiet: Indices
    tails: "_Tails"
    watched_from_loud: Any


@dataclass(frozen=True, eq=False)
class _Tails:
    """The quiet clamps, in float32: how their voltages come about, and what their currents do.

    Args:
        clamps: indices of the quiet clamps in the order of ``few``, where one may come more than once.
        from_drives: what the drives make of their c_0, [drives, clamps].
        from_loud: currents of the loud -> their c, [loud, clamps], ohm.
        known: see :func:`ohmweave.simulate.clamps.quiet_coefficients`.
        weights: the largest answer of anything to each of them that ``few`` leaves out, [clamps], ohm.
        few: answers to the currents, see :func:`ohmweave.simulate.clamps.add_tails`; what it leaves out is in the
            responses to drives and loud currents, by the tangents of the tails. None if ``every`` is used.
        every: answers of r of the loud, and behind them the watched quantities, [clamps, loud + watched], ohm.
    """

    clamps: Indices
    from_drives: Any
    from_loud: Any
    known: Any
    weights: Any
    few: Any | None
    every: Any | None


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
        self.few = True
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
            swept, state, room, bend = self._settle(self.split, drives)
            while len(near := self._near(room)) or bend > _SLIGHT * self.tolerance:
                self.few = self.few and not bend > _SLIGHT * self.tolerance
                quiet = np.isin(np.arange(self.elements.count), np.setdiff1d(self.split.quiet, near))
                self.split = self._divide(quiet)
                swept, state, room, bend = self._settle(self.split, drives)
            if first:
                self.next_quiet = self._listen(self.split, state)
            return swept

    def _near(self, room: Array) -> Indices:
        """The quiet clamps that are too near a limit, or nowhere."""
        clamps = self.split.tails.clamps
        return np.asarray(clamps[~(room > _STILL_QUIET * self.swing[clamps])])

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
        fine, load = self.precision, self.place.load
        silent, swept = np.flatnonzero(quiet), np.flatnonzero(~quiet)
        loud = np.concatenate([swept[self.closed[swept]], swept[~self.closed[swept]]])
        clamps = int(self.closed[swept].sum())
        # Other laws are solved in float64 in any case.
        rough: Precision = "float32" if clamps == len(loud) else fine
        tails, response = self._tails(silent, loud, self._choose(loud))
        elements, among = self.elements.choose(loud), response.to_laws[: len(loud), loud]
        return _Split(
            loud=loud,
            clamps=clamps,
            rough=Loud(elements, clamps, among, self.place, rough),
            fine=Loud(elements, clamps, among, self.place, fine),
            constant=load(response.constant, fine),
            from_drives=load(response.to_drives.T, fine),
            quiet=silent,
            tails=tails,
            watched_from_loud=load(response.to_laws[len(loud) :, loud].T, fine),
        )

    def _choose(self, loud: Indices) -> Response:
        """What some elements' controlling voltages answer, and behind them the watched quantities."""
        one, other = self.controls, self.watched
        return Response(
            np.concatenate([one.constant[loud], other.constant]),
            np.vstack([one.to_drives[loud], other.to_drives]),
            np.vstack([one.to_laws[loud], other.to_laws]),
        )

    def _tails(self, silent: Indices, loud: Indices, response: Response) -> tuple[_Tails, Response]:
        """What the quiet clamps carry, and ``response`` with the tangents of what is left to those."""
        order, few, left = _fewest(response.to_laws[:, silent])
        known = quiet_coefficients(self.elements.clamps[:, silent], self.controls.constant[silent])
        weights = np.abs(left).max(axis=0, initial=0.0)
        # Half-way to its limit a tail is four thirds of its tangent.
        usual = (weights * known[4] * self.swing[silent]).sum() / 6.0
        if not (self.few and few.size <= 2 * len(silent) and usual <= _SLIGHT * self.tolerance):
            return self._quiet(
                silent, loud, known, weights=np.zeros(len(silent)), few=None, every=response.to_laws
            ), response
        to_drives, to_laws = self.controls.to_drives[silent], self.controls.to_laws[silent]
        shares, middle = left * (2.0 * known[4]), 0.5 * (known[0] + known[1])
        tangents = Response(
            response.constant + shares @ (self.controls.constant[silent] - middle),
            response.to_drives + shares @ to_drives,
            response.to_laws + shares @ to_laws,
        )
        return self._quiet(silent[order], loud, known[:, order], weights=weights[order], few=few, every=None), tangents

    def _quiet(
        self, clamps: Indices, loud: Indices, known: Array, *, weights: Array, few: Array | None, every: Array | None
    ) -> _Tails:
        def load(values: Array) -> Any:
            return self.place.load(values, "float32")

        return _Tails(
            clamps=clamps,
            from_drives=load(self.controls.to_drives[clamps].T),
            from_loud=load(self.controls.to_laws[np.ix_(clamps, loud)].T),
            known=load(known),
            weights=load(weights),
            few=None if few is None else load(few),
            every=None if every is None else load(every[:, clamps].T),
        )

    def _settle(self, split: _Split, drives: Any) -> tuple[Swept, State, Array, float]:
        """Sweep in float32, take the tails of the quiet, sweep on.

        Also how far the quiet are from their limits, and what the tangents of their tails leave open, V.
        """
        place, count = self.place, len(split.loud)
        linear = place.product(drives, split.from_drives, split.constant)
        state = split.rough.sweep(place.copy(linear[:, :count], split.rough.precision), None, _CALM)
        calm, room, bend = np.asarray(state.moved <= _CALM), np.empty(0), 0.0
        if len(split.quiet):
            linear, room, bend = self._add_tails(split, drives, state, linear)
        watched, settled = linear[:, count:], calm
        if count:
            enough = self.tolerance / split.fine.ahead
            state = split.fine.sweep(place.contiguous(linear[:, :count]), state, enough)
            watched = place.add(watched, place.product(state.amps, split.watched_from_loud))
            settled &= state.solved & (state.moved <= enough)
        answer = place.store(watched)
        # What is no number has not moved either where nothing is swept.
        if not np.isfinite(answer).all():
            settled &= np.isfinite(answer).all(axis=1)
        return Swept(answer, settled), state, room, bend

    def _add_tails(self, split: _Split, drives: Any, state: State, linear: Any) -> tuple[Any, Array, float]:
        place, tails = self.place, split.tails
        c = place.product(place.cast(drives, "float32"), tails.from_drives)
        if len(split.loud):
            c = place.add(c, place.product(place.cast(state.amps, "float32"), tails.from_loud))
        amps, room, bend = place.tail(c, tails.known, tails.weights)
        if tails.few is None:
            return place.add(linear, place.product(amps, tails.every)), room, bend
        return place.add_tails(linear, amps, tails.few), room, bend


def _fewest(answers: Array) -> tuple[Indices, Array, Array]:
    """The few currents that move each quantity most.

    Args:
        answers: to each current, [quantities, currents], ohm.

    Returns:
        An order of the currents, those that move the quantities most first, the rest behind; the answers to these
        first, [rounds, quantities], current n x quantities + w moving quantity w; the answers that are left,
        [quantities, currents].
    """
    quantities, currents = answers.shape
    rounds = min(-(-currents // max(quantities, 1)), currents)
    chosen = np.argsort(-np.abs(answers), axis=1, kind="stable")[:, :rounds]
    left = answers.copy()
    np.put_along_axis(left, chosen, 0.0, axis=1)
    rest = np.setdiff1d(np.arange(currents), chosen)
    return np.concatenate([chosen.T.ravel(), rest]), np.take_along_axis(answers, chosen, axis=1).T, left
