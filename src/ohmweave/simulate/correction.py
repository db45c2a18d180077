"""Corrections of Newton's method for the devices of a wired array, by conjugate gradients in float32.

The kernels sweep over an array twice an iteration; along a row they keep ``sums``, [5, n LANES]: what weighs
a direction, the rises at the tops of the columns of D p and of D r, and the sums and maxima of each place.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.simulate.compiled import compiled
from ohmweave.simulate.drops import LANES, go_down, row_drops, start_down
from ohmweave.units import Array

__all__ = ["correct", "step_back", "take"]

Single = NDArray[np.float32]

_MOST_ITERATIONS = 1000


@compiled
def correct(gap: Single, slopes: Single, scale: Array, goal: Array, ohms: Any, both: Any, work: Single) -> int:
    """Newton's step y: (I + Z D) y = -Z e with e = gap / scale, by conjugate gradients in float32.

    In the inner product that the slopes D weigh the operator is symmetric and positive (Hestenes and Stiefel,
    1952). With residual r the mismatch to come is D r, in amperes: that is what is tested.

    Args:
        gap: mismatch of the device currents at v, shape [m, n LANES], A.
        slopes: D = di/dv, same shape, S.
        scale: of each lane's mismatch, shape [LANES], A; 0 leaves the lane alone.
        goal: mismatch allowed to remain, relative to ``scale``, shape [LANES].
        ohms: r_row and r_col, shape [2], ohm.
        both: whether rows, and columns, are led out at both ends.
        work: shape [4, m, n LANES]; its last part takes y, V for a scale of 1.

    Returns:
        Number of iterations.
    """
    width = gap.shape[1]
    sums = np.zeros((5, width), np.float32)
    gain, top, fresh, total, worst = sums[0], sums[1], sums[2], sums[3], sums[4]
    size, new, remaining = np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    _right_side(gap, slopes, scale, ohms, both, work, sums)
    _fold(total, worst, size, remaining)
    for iteration in range(_MOST_ITERATIONS):
        if not _any_above(remaining, goal):
            return iteration
        for k in range(width):
            top[k] = fresh[k] + gain[k] * top[k]
        _direct(work, slopes, ohms, both, sums)
        _fold(total, worst, new, remaining)
        for k in range(width):
            lane = k % LANES
            gain[k] = size[lane] / new[lane] if new[lane] > 0.0 else 0.0
        _descend(work, slopes, sums)
        _fold(total, worst, new, remaining)
        for k in range(width):
            lane = k % LANES
            gain[k] = new[lane] / size[lane] if size[lane] > 0.0 else 0.0
        size[:] = new
    return _MOST_ITERATIONS


@compiled
def _any_above(remaining: Array, goal: Array) -> bool:
    above = False
    for lane in range(LANES):
        above |= remaining[lane] > goal[lane]
    return above


@compiled
def _fold(total: Single, worst: Single, size: Array, remaining: Array) -> None:
    """From one number a crossing of a row to one a lane: sums, and maxima."""
    size[:] = 0.0
    remaining[:] = 0.0
    for k in range(total.shape[0]):
        lane = k % LANES
        size[lane] += total[k]
        remaining[lane] = max(remaining[lane], worst[k])


@compiled
def _right_side(gap: Single, slopes: Single, scale: Array, ohms: Any, both: Any, work: Single, sums: Single) -> None:
    """r = -Z e, p = y = 0, and of D r what :func:`_weigh` takes down."""
    m, width = gap.shape
    x, current, drop = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    over, rise, down = np.zeros(width, np.float32), np.zeros(width, np.float32), np.empty(width, np.float32)
    for k in range(width):
        over[k] = 1.0 / scale[k % LANES] if scale[k % LANES] > 0.0 else 0.0
    for i in range(m):
        e, height = gap[i], np.float32(m - i)
        for k in range(width):
            rise[k] += height * (over[k] * e[k])
    start_down(rise, down, m, both[1])
    for i in range(m):
        e, r, d = gap[i], work[0, i], slopes[i]
        for k in range(width):
            x[k] = over[k] * e[k]
        row_drops(x, current, drop, both[0])
        for k in range(width):
            r[k] = -(ohms[0] * drop[k] + ohms[1] * rise[k])
        go_down(x, down, rise)
        work[1, i] = 0.0
        work[3, i] = 0.0
        for k in range(width):
            x[k] = d[k] * r[k]
        _weigh(x, r, np.float32(m - i), sums)


@compiled
def _weigh(x: Single, r: Single, height: Any, sums: Single) -> None:
    """Take down of one row x = D r: the rise at the tops of the columns, the sum of r D r, the largest."""
    fresh, total, worst = sums[2], sums[3], sums[4]
    for k in range(x.shape[0]):
        total[k] += x[k] * r[k]
        fresh[k] += height * x[k]
    for k in range(x.shape[0]):
        size = abs(x[k])
        worst[k] = max(worst[k], size)


@compiled
def _direct(work: Single, slopes: Single, ohms: Any, both: Any, sums: Single) -> None:
    """p = r + gain p, q = p + Z D p, and the sum of q D p; ``top`` is the rise of D p at the tops of the columns.

    That rise follows from those of D r and of the last D p, so that one sweep over the array is enough.
    """
    r, p, q, gain, top, total = work[0], work[1], work[2], sums[0], sums[1], sums[3]
    m, width = r.shape
    x, current, drop = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    rise, down = top.copy(), np.empty(width, np.float32)
    start_down(rise, down, m, both[1])
    total[:] = 0.0
    for i in range(m):
        old, new, out, d = r[i], p[i], q[i], slopes[i]
        for k in range(width):
            direction = old[k] + gain[k] * new[k]
            new[k] = direction
            x[k] = d[k] * direction
        row_drops(x, current, drop, both[0])
        for k in range(width):
            out[k] = new[k] + (ohms[0] * drop[k] + ohms[1] * rise[k])
        for k in range(width):
            total[k] += x[k] * out[k]
        go_down(x, down, rise)


@compiled
def _descend(work: Single, slopes: Single, sums: Single) -> None:
    """y += gain p, r -= gain q, and of D r what :func:`_weigh` takes down."""
    r, p, q, y, gain = work[0], work[1], work[2], work[3], sums[0]
    m, width = r.shape
    x = np.empty(width, np.float32)
    sums[2:] = 0.0
    for i in range(m):
        left, direction, image, step, d = r[i], p[i], q[i], y[i], slopes[i]
        for k in range(width):
            step[k] += gain[k] * direction[k]
        for k in range(width):
            remainder = left[k] - gain[k] * image[k]
            left[k] = remainder
            x[k] = d[k] * remainder
        _weigh(x, left, np.float32(m - i), sums)


@compiled
def take(gap: Single, slopes: Single, scale: Array, work: Single, wired: Array, rise: Array) -> None:
    """wired += gap + scale D y, what changes kept in the first part of ``work``; a lane of scale 0 stays.

    Args:
        gap: as :func:`correct` had it.
        slopes: likewise.
        scale: likewise.
        work: as :func:`correct` left it.
        wired: the currents that the wires were solved for, shape [m, n LANES], A.
        rise: takes what :func:`rise_at_top` makes of them.
    """
    m, width = wired.shape
    every = np.empty(width, np.float32)
    for k in range(width):
        every[k] = scale[k % LANES]
    rise[:] = 0.0
    for i in range(m):
        w, e, d, y, change, height = wired[i], gap[i], slopes[i], work[3, i], work[0, i], float(m - i)
        for k in range(width):
            change[k] = (e[k] if every[k] > 0.0 else np.float32(0.0)) + every[k] * (d[k] * y[k])
        for k in range(width):
            w[k] += change[k]
            rise[k] += height * w[k]


@compiled
def step_back(wired: Array, change: Single, share: Array) -> None:
    """Undo a share of the last change of the wires' currents, lane by lane.

    Args:
        wired: shape [m, n LANES], A.
        change: as left by :func:`take`; takes what remains of it, A.
        share: to undo, 0 to 1, shape [LANES].
    """
    m, width = wired.shape
    for i in range(m):
        w, c = wired[i], change[i]
        for k in range(width):
            undone = np.float32(share[k % LANES]) * c[k]
            w[k] -= undone
            c[k] -= undone
