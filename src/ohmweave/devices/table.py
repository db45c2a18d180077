"""The tabulated memristor: a measured read curve, by its points."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from ohmweave.circuit import Behavioural, Cell, Instance
from ohmweave.devices.conductance import ConductanceRange
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit

__all__ = ["Table"]

_VOLTS = (-0.6, -0.5, -0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
# 0.33 V sinh(v / 0.33 V) to the millivolt.
_SHAPE = (-0.99, -0.715, -0.506, -0.343, -0.213, -0.102, 0.0, 0.102, 0.213, 0.343, 0.506, 0.715, 0.99)


@dataclass(frozen=True)
class _Cubics:
    """f(x), piecewise cubic: piece k is c0 + t (c1 + t (c2 + t c3)) with t = x - origin; the pieces meet at knots.

    Args:
        knots: K - 1 voltages, ascending, V.
        pieces: K tuples (origin, c0, c1, c2, c3).
        g: what f is multiplied by, S.
    """

    knots: tuple[float, ...]
    pieces: tuple[tuple[float, ...], ...]
    g: float = 1e-6

    def value(self, x: Array) -> Array:
        (origin, c0, c1, c2, c3), piece = self._coefficients, self._piece(x)
        t = x - origin[piece]
        return np.asarray(self.g * (c0[piece] + t * (c1[piece] + t * (c2[piece] + t * c3[piece]))))

    def slope(self, x: Array) -> Array:
        (origin, _, c1, c2, c3), piece = self._coefficients, self._piece(x)
        t = x - origin[piece]
        return np.asarray(self.g * (c1[piece] + t * (2.0 * c2[piece] + t * (3.0 * c3[piece]))))

    @cached_property
    def _coefficients(self) -> Array:
        return np.array(self.pieces).T.copy()

    @cached_property
    def _buckets(self) -> tuple[Array, float, NDArray[np.intp]]:
        """The knots, buckets a volt, and how many knots lie before each bucket; none where knots share one."""
        knots = np.array(self.knots)
        for count in 4 ** np.arange(2, 9):
            per_volt = float(count / (knots[-1] - knots[0]))
            own = ((knots - knots[0]) * per_volt).astype(np.intp)
            if (np.diff(own) > 0).all():
                return knots, per_volt, np.searchsorted(own, np.arange(own[-1] + 1))
        return knots, 0.0, np.zeros(0, dtype=np.intp)

    def _piece(self, x: Array) -> NDArray[np.intp]:
        """Number of the piece at x: knots at or below it. Buckets find it several times faster than a search."""
        knots, per_volt, before = self._buckets
        if not per_volt:
            return np.asarray(np.searchsorted(knots, x, side="right"))
        # What is no number may be looked up anywhere: its value is none either.
        there = np.nan_to_num(np.clip(x, knots[0], knots[-1]), nan=float(knots[0]))
        first = before[((there - knots[0]) * per_volt).astype(np.intp)]
        return np.asarray(first + (x >= knots[first]))

    def expression(self, x: str) -> str:
        return f"{{g}}*{self._choice(x, 0, len(self.pieces))}"

    def _choice(self, x: str, first: int, end: int) -> str:
        """The pieces from ``first`` up to ``end`` as nested choices, halved each time so that few are asked."""
        if end - first == 1:
            origin, *rest = self.pieces[first]
            c0, c1, c2, c3 = (f"({c!r})" for c in rest)
            t = f"({x}-({origin!r}))"
            return f"({c0}+{t}*({c1}+{t}*({c2}+{t}*{c3})))" if any(rest[2:]) else f"({c0}+{t}*{c1})"
        middle = (first + end) // 2
        below, above = self._choice(x, first, middle), self._choice(x, middle, end)
        return f"(({x}<({self.knots[middle - 1]!r}))?{below}:{above})"


@dataclass(frozen=True)
class Table(ConductanceRange):
    """i = g f(v), f through given points by a monotone cubic, straight beyond the outer ones.

    The cubic has the slopes of F. Fritsch and J. Butland (SIAM J. Sci. Stat. Comput. 5, 1984), which keep
    it monotone in the sense of F. Fritsch and R. Carlson (SIAM J. Numer. Anal. 17, 1980); its first
    derivative is continuous. For g to be the conductance at small voltages, f should begin like v.

    Args:
        volts: voltages of the points, strictly ascending, 0 V among them, V.
        shape: f at these voltages, current over conductance parameter, strictly ascending, 0 at 0 V, V.

    Raises:
        DesignError: fewer than two points, lists of different lengths, points out of order, none at zero.
    """

    volts: Annotated[tuple[float, ...], Unit("V")] = _VOLTS
    shape: Annotated[tuple[float, ...], Unit("V")] = _SHAPE

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.volts) < 2:
            raise DesignError(
                f"expected at least 2 points, found {len(self.volts)}",
                where="device.volts",
                remedy='try volts = ["-0.5 V", "0 V", "0.5 V"]',
            )
        if len(self.shape) != len(self.volts):
            raise DesignError(
                f"expected one value for each of the {len(self.volts)} volts, found {len(self.shape)}",
                where="device.shape",
                remedy="give both lists the same length",
            )
        for name in ("volts", "shape"):
            _refuse_disorder(name, getattr(self, name))
        if 0.0 not in self.volts or self.shape[self.volts.index(0.0)] != 0.0:
            raise DesignError(
                "expected the point 0 V of volts and 0 V of shape, found none",
                where="device.shape",
                remedy="a memristor at no voltage takes no current: put 0 V at the same place of both lists",
            )

    def current(self, v: Array, g: Array) -> Array:
        """Current in A at voltage ``v`` (V) and conductance parameter ``g`` (S)."""
        return np.asarray(g * self._cubics.value(v))

    def slope(self, v: Array, g: Array) -> Array:
        """di/dv = g f'(v), S."""
        return np.asarray(g * self._cubics.slope(v))

    def cell(self) -> Cell:
        """One behavioural current source between p and n with parameter g."""
        law = _Cubics(self._cubics.knots, self._cubics.pieces)
        source = Instance("b1", Behavioural(law), ("p", "n", "p", "n"))
        return Cell("memristor_table", ("p", "n"), (source,), {"g": self.g_off}, self, "i = g f(v), f by points")

    @cached_property
    def _cubics(self) -> _Cubics:
        """f itself: the outer pieces are straight, so that the slope goes on beyond the last points."""
        cubic = PchipInterpolator(self.volts, self.shape)
        inner = [(v, *c) for v, c in zip(self.volts, np.flip(cubic.c, axis=0).T.tolist(), strict=False)]
        # Where the curve ends level, rounding must not make it fall.
        below, above = (
            (self.volts[end], self.shape[end], max(0.0, float(cubic(self.volts[end], 1))), 0.0, 0.0) for end in (0, -1)
        )
        return _Cubics(self.volts, (below, *inner, above), 1.0)


def _refuse_disorder(name: str, values: tuple[float, ...]) -> None:
    for first, second in pairwise(values):
        if not (math.isfinite(first) and first < second < math.inf):
            raise DesignError(
                f"expected strictly ascending values, found {second:g} V after {first:g} V",
                where=f"device.{name}",
                remedy="sort the points; the current must rise with the voltage",
            )
