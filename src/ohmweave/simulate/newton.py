"""Newton's method on the nonlinear elements of a circuit, batched over samples.

The linear rest of a circuit answers the currents of its K nonlinear elements with

    c = c_0 + M phi(c),

c the elements' controlling voltages, c_0 what the sources alone cause, phi the elements' currents.
Newton's step solves (I - M diag(phi')) dc = c_0 + M phi(c) - c for every sample at once. Most samples
never need it: sweeps that solve each element by itself settle them (nonlinear Jacobi; Ortega and
Rheinboldt, Iterative Solution of Nonlinear Equations in Several Variables, 1970).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.units import Array

__all__ = ["Elements", "Settled", "anchor", "solve_elements"]

_BATCH_BYTES = 256e6
_ITERATIONS = 100
_SWEEPS = 40
_PATIENCE = 4
_LAST_SWEEPS = 4
_RAMP = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def anchor(law: object) -> float:
    """The part of a law that counts as linear, S: what a junction needs so that no loop is ever open.

    An op-amp whose only feedback runs through diodes would answer the linear circuit with its whole
    open-loop gain, and the solution would drown in rounding.
    """
    return float(getattr(law, "anchor", 0.0))


@dataclass(frozen=True, eq=False)
class Elements:
    """Nonlinear elements grouped by law: each law and how many consecutive elements follow it."""

    laws: Sequence[tuple[Any, int]]

    @property
    def count(self) -> int:
        """Number of elements."""
        return sum(count for _, count in self.laws)

    def current(self, c: Array) -> Array:
        """Currents in A beyond the anchors at controlling voltages ``c``, [samples, elements], V."""
        return self._each(c, lambda law, part: law.value(part) - anchor(law) * part)

    def slope(self, c: Array) -> Array:
        """Their derivative in S, same shape."""
        return self._each(c, lambda law, part: law.slope(part) - anchor(law))

    def limit(self, new: Array, old: Array) -> Array:
        """Hold back steps where a law asks for it (junctions)."""
        out, left = new.copy(), 0
        for law, count in self.laws:
            if hasattr(law, "limit"):
                span = slice(left, left + count)
                out[:, span] = law.limit(new[:, span], old[:, span])
            left += count
        return out

    def _each(self, c: Array, function: Callable[[Any, Array], Array]) -> Array:
        out, left = np.empty_like(c), 0
        for law, count in self.laws:
            span = slice(left, left + count)
            out[:, span] = function(law, c[:, span])
            left += count
        return out


@dataclass(frozen=True, eq=False)
class Settled:
    """Solutions of c = c_0 + M phi(c).

    Args:
        amps: phi(c) to the last digit, [samples, elements], A. Evaluating phi at c would not give it: a
            clamp turns the rounding of c into microamperes.
        controls: c, [samples, elements], V.
        done: which samples settled, [samples].
        ramped: which of them needed their sources ramped, [samples].
    """

    amps: Array
    controls: Array
    done: NDArray[np.bool_]
    ramped: NDArray[np.bool_]


def solve_elements(response: Array, c_0: Array, elements: Elements, start: Array, tolerance: float) -> Settled:
    """Solve c = c_0 + phi(c) M^T for every sample.

    Samples that sweeps over single elements do not settle are solved by Newton's method; those that
    Newton does not settle from ``start`` are taken again with their sources ramped up from zero (source
    stepping, Nagel 1975).

    Args:
        response: M, shape [elements, elements], ohm.
        c_0: shape [samples, elements], V.
        elements: the nonlinear elements.
        start: first guess of c, shape [samples, elements], V.
        tolerance: largest last step allowed, V.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what runs away is seen by its NaN, and taken again
        c, amps, done = _sweep(response, c_0, elements, start, 0.1 * tolerance)
        left = np.flatnonzero(~done)
        step = max(1, int(_BATCH_BYTES / (8 * max(elements.count, 1) ** 2)))
        ramped = np.zeros(len(c_0), dtype=bool)
        for first in range(0, len(left), step):
            part = left[first : first + step]
            c[part], amps[part], done[part] = _newton(response, c_0[part], elements, start[part], tolerance)
            again = part[~done[part]]
            if len(again):
                ramped[again] = True
                c[again], amps[again], done[again] = _ramp(response, c_0[again], elements, tolerance)
    return Settled(amps, c, done, ramped)


def _ramp(response: Array, c_0: Array, elements: Elements, tolerance: float) -> tuple[Array, Array, NDArray[np.bool_]]:
    c = np.zeros_like(c_0)
    for scale in _RAMP[:-1]:
        c, _, _ = _newton(response, scale * c_0, elements, c, tolerance)
    return _newton(response, c_0, elements, c, tolerance)


def _sweep(
    response: Array, c_0: Array, elements: Elements, start: Array, tolerance: float
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Nonlinear Jacobi: each element solved exactly, by itself, with the others' currents as they were.

    What an element does to itself dwarfs what it does to others, except down the chain of stages, so
    that chips of ordinary op-amps settle in about ten sweeps; one costs K^2 a sample, Newton's step K^3.
    """
    own = response.diagonal()
    c, active = elements.limit(start, np.zeros_like(start)), np.arange(len(c_0))
    settled = np.zeros(len(c_0), dtype=bool)
    others, before = c_0, np.inf
    for sweep in range(_SWEEPS):
        old = c[active]
        new = _alone(own, others, elements, old, tolerance)
        c[active] = new
        moved = np.abs(new - old).max(axis=1, initial=0.0)
        done = moved <= tolerance
        settled[active[done]] = True
        active, stalled = active[~done], sweep > _PATIENCE and not moved.max(initial=0.0) < 0.5 * before
        if stalled or not len(active):
            break
        before = float(moved.max())
        amps = elements.current(c[active])
        others = c_0[active] + amps @ response.T - amps * own
    return c, _swept_amps(response, c_0, elements, c), settled


def _swept_amps(response: Array, c_0: Array, elements: Elements, c: Array) -> Array:
    """i = phi + phi' (c_0 + M i - c), the last Newton step taken in the currents, by sweeps too."""
    own, slope = response.diagonal(), elements.slope(c)
    amps = elements.current(c)
    fixed = amps + slope * (c_0 - c)
    for _ in range(_LAST_SWEEPS):
        amps = (fixed + slope * (amps @ response.T - amps * own)) / (1.0 - slope * own)
    return amps


def _alone(own: Array, others: Array, elements: Elements, c: Array, tolerance: float) -> Array:
    for _ in range(_ITERATIONS):
        step = (others + own * elements.current(c) - c) / (1.0 - own * elements.slope(c))
        c = elements.limit(c + step, c)
        if not np.abs(step).max(initial=0.0) > tolerance:
            break
    return c


def _newton(
    response: Array, c_0: Array, elements: Elements, start: Array, tolerance: float
) -> tuple[Array, Array, NDArray[np.bool_]]:
    # Junctions must not start from what the circuit would do without them.
    c, active = elements.limit(start, np.zeros_like(start)), np.arange(len(c_0))
    settled = np.zeros(len(c_0), dtype=bool)
    identity = np.eye(elements.count)
    for _ in range(_ITERATIONS):
        old = c[active]
        residual = c_0[active] + elements.current(old) @ response.T - old
        jacobian = identity - response * elements.slope(old)[:, None, :]
        full = old + np.linalg.solve(jacobian, residual[..., None])[..., 0]
        c[active] = elements.limit(full, old)
        moved = np.abs(full - old).max(axis=1, initial=0.0)
        # A step that ended in NaN is not small: the comparison is then false, as it should be.
        done = moved <= tolerance
        settled[active[done]] = True
        active = active[~done]
        if not len(active):
            break
    # The last step once more in the currents: (I - diag(phi') M) i = phi + phi' (c_0 - c).
    slope = elements.slope(c)
    right = elements.current(c) + slope * (c_0 - c)
    amps = np.asarray(
        np.linalg.solve(identity - slope[:, :, None] * response, right[..., None])[..., 0], dtype=np.float64
    )
    return c, amps, settled
