"""The loops that evaluate a measured surface, compiled when first used."""

from typing import Any

import numba
import numpy as np

from ohmweave.units import Array

__all__ = ["currents", "slopes"]


def _compiled(function: Any) -> Any:
    try:
        return numba.njit(cache=True, error_model="numpy", nogil=True)(function)
    except RuntimeError:  # no folder to keep compiled code in
        return numba.njit(error_model="numpy", nogil=True)(function)


@_compiled
def _place(v: float, g: float, v_max: float, u: Array, corners: Array) -> tuple[float, float, float, float, float]:
    """The cubic over v at one point: value and slope at both ends of its piece, and where in it ``v`` lies."""
    last_k, last_j = corners.shape[0] - 2, corners.shape[1] - 2
    w = np.log(g)
    k = min(max(np.searchsorted(u, w, side="right") - 1, 0), last_k)
    step = u[k + 1] - u[k]
    t = min(max((w - u[k]) / step, 0.0), 1.0)
    x = (v + v_max) * (last_j + 1) / (2.0 * v_max)
    j = min(int(x), last_j) if 0.0 < x < last_j + 2.0 else (last_j if x > 0.0 else 0)
    here, there = (2.0 * t + 1.0) * (1.0 - t) ** 2, t * t * (3.0 - 2.0 * t)
    rise, fall = step * t * (1.0 - t) ** 2, -step * t * t * (1.0 - t)
    a, b = corners[k], corners[k + 1]
    return (
        here * a[j, 0] + there * b[j, 0] + rise * a[j, 2] + fall * b[j, 2],
        here * a[j, 1] + there * b[j, 1] + rise * a[j, 3] + fall * b[j, 3],
        here * a[j + 1, 0] + there * b[j + 1, 0] + rise * a[j + 1, 2] + fall * b[j + 1, 2],
        here * a[j + 1, 1] + there * b[j + 1, 1] + rise * a[j + 1, 3] + fall * b[j + 1, 3],
        x - j,
    )


@_compiled
def currents(v: Array, g: Array, v_max: float, u: Array, corners: Array, out: Array) -> None:
    """g f(v, ln g) of flat voltages and conductances, see :class:`ohmweave.devices.surface.Surface`."""
    for i in range(v.size):
        left, left_slope, right, right_slope, s = _place(v[i], g[i], v_max, u, corners)
        if s < 0.0:
            f = left + s * left_slope
        elif s > 1.0:
            f = right + (s - 1.0) * right_slope
        else:
            c = 3.0 * (right - left) - 2.0 * left_slope - right_slope
            d = left_slope + right_slope - 2.0 * (right - left)
            f = left + s * (left_slope + s * (c + s * d))
        out[i] = g[i] * f


@_compiled
def slopes(v: Array, g: Array, v_max: float, u: Array, corners: Array, out: Array) -> None:
    """Its slope over v."""
    steps = 0.5 * (corners.shape[1] - 1) / v_max
    for i in range(v.size):
        left, left_slope, right, right_slope, s = _place(v[i], g[i], v_max, u, corners)
        if s < 0.0:
            rise = left_slope
        elif s > 1.0:
            rise = right_slope
        else:
            c = 3.0 * (right - left) - 2.0 * left_slope - right_slope
            d = left_slope + right_slope - 2.0 * (right - left)
            rise = left_slope + s * (2.0 * c + 3.0 * s * d)
        out[i] = g[i] * rise * steps
