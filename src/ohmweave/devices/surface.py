"""A measured current over voltage and conductance, and what lies between its points."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ohmweave.units import Array

__all__ = ["Surface"]


@dataclass(frozen=True, eq=False)
class Surface:
    """i = g f(v, ln g), f bicubic between the points of a grid over v and ln g, straight beyond in v.

    The cubics are Hermite's, with the slopes of the polynomials through five neighbours; those over v are limited to
    three times the lesser neighbouring secant, which keeps them monotone (F. Fritsch and R. Carlson, SIAM J. Numer.
    Anal. 17, 1980), so that the derivative in v is continuous and, at the points' own conductances, never negative.
    Outside the conductances measured f is that of the nearest one.

    Args:
        v_max: the voltages are evenly spaced from -v_max to v_max, their number odd, V.
        g: conductances, ascending, shape [K], at least 5, S.
        amps: current at each conductance and voltage, shape [K, N], 0 at 0 V, A.
        state: the model's parameter that makes the conductance, shape [K], in the model's unit; monotone.

    Raises:
        ValueError: shapes that do not fit, too few points.
    """

    v_max: float
    g: Array
    amps: Array
    state: Array

    def __post_init__(self) -> None:
        count = self.amps.shape[1] if self.amps.ndim == 2 else 0
        if self.amps.shape != (len(self.g), count) or self.state.shape != self.g.shape:
            raise ValueError(f"amps {self.amps.shape} and state {self.state.shape} do not fit g {self.g.shape}")
        if count < 5 or count % 2 == 0 or len(self.g) < 5:
            raise ValueError(f"expected an odd number of voltages and 5 points or more, found {self.amps.shape}")

    @property
    def volts(self) -> Array:
        """The voltages of the points, shape [N], V."""
        half = self.amps.shape[1] // 2
        return np.asarray(np.arange(-half, half + 1) * (self.v_max / half), dtype=np.float64)

    @cached_property
    def digest(self) -> str:
        """Content hash of the points."""
        state = hashlib.sha256(repr((self.v_max, self.amps.shape)).encode())
        for each in (self.g, self.amps, self.state):
            state.update(np.ascontiguousarray(each).tobytes())
        return state.hexdigest()

    def current(self, v: Array, g: Array) -> Array:
        """Current in A at voltage ``v`` (V) and conductance ``g`` (S), broadcast."""
        from ohmweave.devices.surface_kernels import currents

        return self._evaluate(currents, v, g)

    def slope(self, v: Array, g: Array) -> Array:
        """di/dv in S, broadcast."""
        from ohmweave.devices.surface_kernels import slopes

        return self._evaluate(slopes, v, g)

    def state_of(self, g: Array) -> Array:
        """The model's parameter for conductances ``g`` (S), cubic in ln g between the points'."""
        u, grid, rise = np.log(g), self._u, self._state_slopes
        k = np.clip(np.searchsorted(grid, u, side="right") - 1, 0, len(grid) - 2)
        step = grid[k + 1] - grid[k]
        t = np.clip((u - grid[k]) / step, 0.0, 1.0)
        here, there = (2.0 * t + 1.0) * (1.0 - t) ** 2, t * t * (3.0 - 2.0 * t)
        bend = step * (t * (1.0 - t) ** 2 * rise[k] - t * t * (1.0 - t) * rise[k + 1])
        return np.asarray(here * self.state[k] + there * self.state[k + 1] + bend)

    def _evaluate(self, kernel: Callable[..., None], v: Array, g: Array) -> Array:
        # Voltages come in float32 where a slope need not be exact; the answer is as long as they are.
        volts, conductances = np.broadcast_arrays(np.asarray(v), np.asarray(g))
        out = np.empty(volts.shape, dtype=volts.dtype)
        flat = np.ascontiguousarray(volts).reshape(-1), np.ascontiguousarray(conductances).reshape(-1)
        kernel(*flat, self.v_max, self._u, self._corners, out.reshape(-1))
        return out

    @cached_property
    def _u(self) -> Array:
        return np.asarray(np.log(self.g))

    @cached_property
    def _state_slopes(self) -> Array:
        return _limited(self.state, _tangents(self.state, self._u), self._u)

    @cached_property
    def _corners(self) -> Array:
        """f, its slopes over v, a step of the grid as the unit, and over ln g, and the mixed one, [K, N, 4], V."""
        f, steps = self.amps / self.g[:, None], np.arange(self.amps.shape[1], dtype=np.float64)
        over_v = _limited(f.T, _tangents(f.T, steps), steps).T
        return np.stack([f, over_v, _tangents(f, self._u), _tangents(over_v, self._u)], axis=2)


def _tangents(y: Array, x: Array) -> Array:
    """Slopes of the polynomials through five neighbours, along the first axis."""
    out, last = np.empty_like(y), len(x) - 1
    for k in range(len(x)):
        first = min(max(k - 2, 0), last - 4)
        away = x[first : first + 5] - x[k]
        scale = np.abs(away).max()
        # The weights that are exact for the powers 0 to 4 of the distance.
        weights = np.linalg.solve(np.vander(away / scale, 5, increasing=True).T, np.eye(5)[1]) / scale
        out[k] = np.tensordot(weights, y[first : first + 5], axes=1)
    return out


def _limited(y: Array, slopes: Array, x: Array) -> Array:
    """Slopes cut to what keeps a cubic between neighbours monotone where they are."""
    secants = np.diff(y, axis=0) / np.diff(x).reshape(-1, *[1] * (y.ndim - 1))
    before, after = np.concatenate([secants[:1], secants]), np.concatenate([secants, secants[-1:]])
    most = np.where(before * after > 0.0, 3.0 * np.minimum(np.abs(before), np.abs(after)), 0.0)
    direction = np.sign(before)
    return np.asarray(direction * np.clip(direction * slopes, 0.0, most))
