"""Samples too faint to bring any clamp near its limits: one matrix product answers them.

Between its limits a clamp carries a tail, i(c) = p [1 / (h - c) - 1 / (c - l)], p = s w^2 / 4, all but
linear in c: with the tangents in mid-swing a circuit of clamps is linear. For |u| <= rho, u what drives
the circuit, Cauchy's inequality bounds every controlling voltage, |c - c_0| <= |R_k| rho, and with it how far
the tails are from their tangents and what that moves. The largest rho for which this is slight is found
once; then the norm of a sample says whether the product is enough.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.simulate import Precision
from ohmweave.simulate.clamps import quiet_coefficients
from ohmweave.simulate.elements import Elements
from ohmweave.simulate.linear import Response
from ohmweave.simulate.processor import Processor
from ohmweave.units import Array

__all__ = ["Faint", "Tangent"]

# Share of its swing that a clamp keeps from its limits.
_ROOM = 0.03
_BISECTIONS = 40


@dataclass(frozen=True, eq=False)
class Tangent:
    """v = constant + u from_drives, which answers every u of at most this norm.

    Args:
        reach: largest norm of the drives.
        constant: of the watched quantities, [watched].
        from_drives: of the watched quantities, [drives, watched].
    """

    reach: float
    constant: Array
    from_drives: Array


class Faint:
    """Answers samples whose drives are small enough; see the module.

    Args:
        elements: the circuit's nonlinear elements; only clamps can be bounded.
        controls: what their controlling voltages answer.
        watched: what the watched quantities answer.
        place: where to compute.
        precision: of the product.
        tolerance: most that a watched quantity may be off, V.
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
        self.place, self.precision = place, precision
        known = quiet_coefficients(elements.clamps, controls.constant)
        low, high, product, _, half_slope, constant = known
        middle, half = 0.5 * (low + high), 0.5 * (high - low)
        self._norms = np.linalg.norm(controls.to_drives, axis=1)
        self._start, self._half, self._tail, self._slope = abs(constant - middle), half, product, 2.0 * half_slope
        self._moved = np.abs(watched.to_laws)
        self.reach = self._reach(tolerance) if np.isfinite(known).all() else 0.0
        shares = watched.to_laws * self._slope
        if self.reach:
            self._constant = place.load(watched.constant + shares @ (constant - middle), precision)
            self._from_drives = place.load((watched.to_drives + shares @ controls.to_drives).T, precision)

    def is_faint(self, u: Array) -> NDArray[np.bool_]:
        """Which samples this answers, [samples]; what is no number is not faint.

        Args:
            u: what drives the circuit, [samples, drives].
        """
        if not self.reach:
            return np.zeros(len(u), dtype=bool)
        return np.asarray(np.einsum("ij,ij->i", u, u) <= self.reach**2)

    def tangent(self, watched: slice) -> Tangent | None:
        """What answers faint samples with some of the watched quantities; ``None`` where none is faint."""
        if not self.reach:
            return None
        constant, from_drives = (self.place.store(each) for each in (self._constant, self._from_drives))
        return Tangent(self.reach, constant[watched], np.ascontiguousarray(from_drives[:, watched]))

    def solve(self, u: Array) -> Array:
        """The watched quantities of faint samples, [samples, watched]."""
        drives: Any = self.place.load(u, self.precision)
        return self.place.store(self.place.product(drives, self._from_drives, self._constant))

    def _reach(self, tolerance: float) -> float:
        """The largest norm of the drives for which the tangents will do, by bisection; 0 where there is none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            room = ((1.0 - _ROOM) * self._half - self._start) / self._norms
        low, high = 0.0, float(np.min(room, initial=np.inf))
        if not 0.0 < high < np.inf or not self._error(0.0) <= tolerance:
            return 0.0
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self._error(middle) <= tolerance else (low, middle)
        return low

    def _error(self, reach: float) -> float:
        """How far any watched quantity can be off for drives up to this norm, V."""
        y = self._start + self._norms * reach
        # The tail's deviation from its tangent grows with the distance y from mid-swing.
        bend = 2.0 * y * self._tail / (self._half**2 - y**2) - self._slope * y
        return float((self._moved @ bend).max(initial=0.0))
