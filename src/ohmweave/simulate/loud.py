"""Nonlinear Jacobi sweeps over the elements of a circuit, in one precision.

A sweep solves every element by itself, c_k = r_k + M_kk phi_k(c_k), with the currents of the others in r_k as
they were (Ortega and Rheinboldt, Iterative Solution of Nonlinear Equations in Several Variables, 1970).
What an element does to itself dwarfs what it does to others, except down the chain of stages, so
that a sweep gains about three digits. Clamps are solved in closed form, other laws by Newton's method.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.simulate import Precision
from ohmweave.simulate.clamps import coefficients
from ohmweave.simulate.elements import Elements
from ohmweave.simulate.processor import Processor
from ohmweave.units import Array

__all__ = ["Loud", "State"]

_SWEEPS = 60
_PATIENCE = 5
_ITERATIONS = 100
_STEP = 1e-12
_LEAST_AHEAD = 1e-6
# Up to so many elements the norm of their couplings is computed, above it is bounded.
_FACTORISED = 1000


@dataclass(frozen=True, eq=False)
class State:
    """Where sweeps have come to.

    Args:
        r: voltages without the elements' own currents, [samples, elements], V; kept where it is computed.
        amps: currents, same shape, A; there too.
        moved: root of the summed squares of the last changes of r, [samples], V.
        c: controlling voltages of the laws that are no clamps, [samples, ..], V.
        solved: whether Newton's method found every element of these laws, [samples].
    """

    r: Any
    amps: Any
    moved: Array
    c: Array | None
    solved: NDArray[np.bool_]


class Loud:
    """The elements that are swept.

    Args:
        elements: clamps of closed form first.
        clamps: how many of them are such clamps.
        response: M, [elements, elements], ohm.
        place: where to compute.
        precision: of r and the currents.
    """

    def __init__(
        self, elements: Elements, clamps: int, response: Array, place: Processor, precision: Precision
    ) -> None:
        own, among = response.diagonal(), response.copy()
        np.fill_diagonal(among, 0.0)
        self.place, self.precision, self.clamps, self.count = place, precision, clamps, elements.count
        self.others = elements.choose(np.arange(clamps, elements.count))
        self.own_others = own[clamps:]
        self._couplings = among, own
        self._from_loud = place.load(among.T, precision)
        self._coarsely = place.load(among.T, place.coarse) if precision == "float32" != place.coarse else None
        self._own = place.load(own, precision)
        self._known = place.load(coefficients(elements.clamps[:, :clamps], own[:clamps]), precision)

    def sweep(self, still: Any, start: State | None, tolerance: float) -> State:
        """Sweep until no sample changes by more than ``tolerance`` (V), or no longer fast enough.

        Args:
            still: what r is without any of these elements' currents, [samples, elements], V; where all of them are
                clamps of closed form, in any precision, and maybe with more columns behind.
            start: where other sweeps have come to, in any precision.
            tolerance: V.
        """
        place = self.place
        if not self.count:
            return State(still, still, np.zeros(len(still)), None, np.ones(len(still), dtype=bool))
        if start is None:
            state = self._alone(still, None, still, None)
        else:
            state = State(start.r, place.cast(start.amps, self.precision), start.moved, start.c, start.solved)
        before = np.inf
        for sweep in range(_SWEEPS):
            pushed = self._push(state.amps, start is None and not sweep)
            state = self._alone(still, pushed, state.r, state.c)
            worst = float(state.moved.max(initial=0.0))
            if worst <= tolerance or (sweep > _PATIENCE and not self._shrinks(state.moved, tolerance, before)):
                break
            before = float(state.moved[state.moved > tolerance].max(initial=0.0))
        return state

    def controls(self, state: State) -> Array:
        """Controlling voltages, r + M_kk i, [samples, elements], V."""
        return self.place.store(state.r + self._own * state.amps)

    @cached_property
    def ahead(self) -> float:
        """The largest share of a sweep's change of r that all later sweeps together can change."""
        among, own = self._couplings
        return _ahead(among, own) if self.clamps == len(own) else 1.0

    def _push(self, amps: Any, first: bool) -> Any:
        """What the others' currents add to r; the next sweep mends what is coarse about the first."""
        if not first or self._coarsely is None:
            return self.place.product(amps, self._from_loud)
        coarse = self.place.product(self.place.cast(amps, self.place.coarse), self._coarsely)
        return self.place.cast(coarse, self.precision)

    def _shrinks(self, moved: Array, tolerance: float, before: float) -> bool:
        return bool(moved[~(moved <= tolerance)].max() < 0.5 * before)

    def _alone(self, still: Any, pushed: Any, old: Any, c: Array | None) -> State:
        """Every element by itself; ``pushed`` is what the others' currents add to r, nothing if not given."""
        n = self.clamps
        if n == self.count:
            return State(*self.place.clamp(still, pushed, old, self._known), None, np.ones(len(still), dtype=bool))
        part = None if pushed is None else pushed[:, :n]
        r_clamps, amps, moved = self.place.clamp(still[:, :n], part, old[:, :n], self._known)
        rest = still[:, n:] if pushed is None else still[:, n:] + pushed[:, n:]
        r, r_old = self.place.store(rest), self.place.store(old[:, n:])
        first = self.others.limit(r, np.zeros_like(r)) if c is None else c
        other_amps, c, solved = _newton(self.own_others, r, self.others, first)
        moved = np.hypot(moved, np.sqrt(np.square(r - r_old).sum(axis=1)))
        return State(
            self.place.join([r_clamps, rest], self.precision),
            self.place.join([amps, self.place.load(other_amps, self.precision)], self.precision),
            moved,
            c,
            solved,
        )


def _ahead(among: Array, own: Array) -> float:
    """q / (1 - q), q the largest factor by which sweeps over clamps can fail to shrink a change of r.

    A clamp answers a change of its r with at most the change over M_kk, so that q is the norm of
    M_jk / M_kk, j not k; from a half on nothing is promised.
    """
    coupling = np.abs(among / own)
    if len(own) > _FACTORISED:
        norm = np.sqrt(coupling.sum(axis=0).max() * coupling.sum(axis=1).max())
    else:
        signed = among / own
        # The largest singular value; several times quicker than all of them.
        norm = np.sqrt(np.linalg.eigvalsh(signed.T @ signed)[-1]) if len(own) else 0.0
    return max(float(norm / (1.0 - norm)), _LEAST_AHEAD) if norm < 0.5 else 1.0


def _newton(own: Array, r: Array, elements: Elements, c: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Newton's method on every element: its current, the last step taken in the current, its control.

    Also in which samples every element was found.
    """
    for _ in range(_ITERATIONS):
        current, slope = elements.current(c), elements.slope(c)
        step = (r + own * current - c) / (1.0 - own * slope)
        c = elements.limit(c + step, c)
        if not np.abs(step).max(initial=0.0) > _STEP:
            break
    # A NaN is not small.
    return current + slope * step, c, np.asarray((np.abs(step) <= _STEP).all(axis=1))
