"""Loops over spikes: what few spikes do costs no product with all the others."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.simulate.compiled import compiled
from ohmweave.units import Array

__all__ = ["gather", "squares"]

# Share of values that are not zero above which a product of matrices is the quicker way.
_DENSE = 0.25


def gather(trains: NDArray[Any], weight: Array, always: Array, widths: Array) -> Array:
    """(sum_i trains_i weight_i + always) widths, step by step.

    Args:
        trains: spikes, or analog values, shape [samples, steps, inputs].
        weight: of every input, shape [inputs, neurons].
        always: what comes in every step, shape [neurons].
        widths: of the steps, shape [steps].

    Returns:
        Shape [samples, steps, neurons].
    """
    if np.count_nonzero(trains) < _DENSE * trains.size:
        found = np.empty((*trains.shape[:2], weight.shape[1]))
        _gather(trains, weight, always, widths, found)
        return found
    samples, steps, inputs = trains.shape
    product = trains.reshape(-1, inputs).astype(np.float64, copy=False) @ weight
    product += always
    moved = product.reshape(samples, steps, -1)
    moved *= widths[:, None]
    return moved


def squares(trains: NDArray[Any], matrix: Array) -> Array:
    """sum_ik trains_i matrix_ik trains_k of every step.

    Args:
        trains: shape [samples, steps, inputs].
        matrix: shape [inputs, inputs].

    Returns:
        Shape [samples, steps].
    """
    if np.count_nonzero(trains) < _DENSE * trains.size:
        found = np.empty(trains.shape[:2])
        _squares(trains, matrix, found)
        return found
    rows = trains.reshape(-1, trains.shape[2]).astype(np.float64, copy=False)
    return np.asarray(np.einsum("ri,ri->r", rows, rows @ matrix).reshape(trains.shape[:2]))


@compiled
def _alive(values: Any, found: Any) -> int:
    """Where values are not zero; how many there are."""
    count = 0
    for i in range(len(values)):
        found[count] = i
        count += values[i] != 0
    return count


@compiled
def _gather(trains: Any, weight: Any, always: Any, widths: Any, out: Any) -> None:
    samples, steps, inputs = trains.shape
    alive = np.empty(inputs + 1, np.int64)
    for s in range(samples):
        for t in range(steps):
            values, row = trains[s, t], out[s, t]
            count = _alive(values, alive)
            row[:] = always
            whole = count - count % 4
            # Four rows at a time: a sum is loaded and stored once for them.
            for k in range(0, whole, 4):
                a, b, c, d = alive[k], alive[k + 1], alive[k + 2], alive[k + 3]
                xa, xb, xc, xd = float(values[a]), float(values[b]), float(values[c]), float(values[d])
                wa, wb, wc, wd = weight[a], weight[b], weight[c], weight[d]
                for j in range(len(row)):
                    row[j] += xa * wa[j] + xb * wb[j] + (xc * wc[j] + xd * wd[j])
            for k in range(whole, count):
                x, w = float(values[alive[k]]), weight[alive[k]]
                for j in range(len(row)):
                    row[j] += x * w[j]
            for j in range(len(row)):
                row[j] *= widths[t]


@compiled
def _squares(trains: Any, matrix: Any, out: Any) -> None:
    samples, steps, inputs = trains.shape
    alive = np.empty(inputs + 1, np.int64)
    for s in range(samples):
        for t in range(steps):
            values = trains[s, t]
            count = _alive(values, alive)
            total = 0.0
            for k in range(count):
                row = matrix[alive[k]]
                part = 0.0
                for n in range(count):
                    part += row[alive[n]] * values[alive[n]]
                total += part * values[alive[k]]
            out[s, t] = total
