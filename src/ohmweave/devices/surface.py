"""A measured current over voltage and conductance, and what lies between its points."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ohmweave.units import Array

__all__ = ["Surface"]

# Derivatives of the polynomial through five neighbours, at each of them (Fornberg, Math. Comp. 51, 1988).
_STENCILS = np.array([[-25, 48, -36, 16, -3], [-3, -10, 18, -6, 1], [1, -8, 0, 8, -1]]) / 12.0


@dataclass(frozen=True, eq=False)
class Surface:
    """i = g f(v, ln g), f bicubic between the points of an even grid over v and ln g, straight beyond in v.

    The cubics are Hermite's, with slopes exact for polynomials of fourth degree; those over v are limited to three
    times the lesser neighbouring secant, which keeps them monotone (F. Fritsch and R. Carlson, SIAM J. Numer. Anal.
    17, 1980), so that the derivative in v is continuous and, at the points' own conductances, never negative. Outside
    the conductances measured f is that of the nearest one.

    Args:
        v_max: the voltages are evenly spaced from -v_max to v_max, their number odd, V.
        g: conductances, evenly spaced in ln g, shape [K], at least 5, S.
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
        return np.arange(-half, half + 1) * (self.v_max / half)

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
        u = np.clip((np.log(g) - self._u[0]) / self._u[1], 0.0, len(self.g) - 1.0)
        k = np.minimum(u.astype(np.intp), len(self.g) - 2)
        t, rise = u - k, self._state_slopes
        here, there = (2.0 * t + 1.0) * (1.0 - t) ** 2, t * t * (3.0 - 2.0 * t)
        bend = t * (1.0 - t) ** 2 * rise[k] - t * t * (1.0 - t) * rise[k + 1]
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
        """First ln g and the step from one to the next."""
        first, last = float(np.log(self.g[0])), float(np.log(self.g[-1]))
        return np.array([first, (last - first) / (len(self.g) - 1)])

    @cached_property
    def _state_slopes(self) -> Array:
        return _limited(self.state, _tangents(self.state))

    @cached_property
    def _corners(self) -> Array:
        """f, its slopes over v and over ln g, and the mixed one, in units of the grid, [K, N, 4], V."""
        f = self.amps / self.g[:, None]
        over_v = _limited(f.T, _tangents(f.T)).T
        return np.stack([f, over_v, _tangents(f), _tangents(over_v)], axis=2)


def _tangents(y: Array) -> Array:
    """Slopes along the first axis, a unit a step, exact for polynomials of fourth degree."""
    out, last = np.empty_like(y), len(y) - 1
    for k in range(len(y)):
        first = min(max(k - 2, 0), last - 4)
        place = k - first
        weights = _STENCILS[place] if place <= 2 else -_STENCILS[4 - place][::-1]
        out[k] = np.tensordot(weights, y[first : first + 5], axes=1)
    return out


def _limited(y: Array, slopes: Array) -> Array:
    """Slopes cut to what keeps a cubic between neighbours monotone where they are."""
    secants = np.diff(y, axis=0)
    before, after = np.concatenate([secants[:1], secants]), np.concatenate([secants, secants[-1:]])
    most = np.where(before * after > 0.0, 3.0 * np.minimum(np.abs(before), np.abs(after)), 0.0)
    direction = np.sign(before)
    return np.asarray(direction * np.clip(direction * slopes, 0.0, most))
