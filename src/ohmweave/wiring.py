"""Which signal reaches which input: values as numbers of the signals that carry them.

Signals are numbered: 0 is ground, the network's inputs follow from 1 on, then the outputs of every layer.
What only moves values (Reshape, Slice, Pad, Concat, ...) costs no circuit: its own forward pass, run on
the numbers, says where the wires go, and a padded zero is ground.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csc_matrix

from ohmweave.graph import Op
from ohmweave.ops import Concat, Flatten, Identity, Pad, Reshape, Slice
from ohmweave.ops.window import Window
from ohmweave.units import Array

__all__ = ["GROUND", "MOVING", "Signals", "blocks", "by_channel", "move", "stored", "unroll", "unroll_sums", "windows"]

Signals = NDArray[np.int64]
GROUND = 0
MOVING = (Concat, Flatten, Identity, Pad, Reshape, Slice)


def move(op: Op, values: Sequence[Signals]) -> Signals:
    """The signals of an operation that only moves values, in the shape of its output.

    Args:
        op: one of :data:`MOVING`.
        values: the signals of its inputs, each in the shape of one sample.
    """
    # A batch of one sample; Pad writes zeros, which is ground.
    return np.asarray(op.forward(*(value[None] for value in values))[0])  # type: ignore[arg-type]


def windows(value: Signals, window: Window, fill: int = GROUND) -> Signals:
    """What a window sees at every position, [channels, rows, columns, taps down, taps across]; padding is ``fill``."""
    seen: Any = window.slide(value[None], fill)  # type: ignore[arg-type]
    return np.asarray(seen[0])


def by_channel(value: Signals) -> Signals:
    """The signals of [channels, ...] as [places, channels]."""
    return value.reshape(len(value), -1).T


def blocks(taps: Array) -> csc_matrix:
    """One block a channel: the weights of [channels, taps] on the diagonal, [channels taps, channels]."""
    channels, count = taps.shape
    return csc_matrix((taps.ravel(), np.arange(taps.size), np.arange(0, taps.size + 1, count)), (taps.size, channels))


def stored(w: Array) -> csc_matrix:
    """A dense matrix [rows, columns] with every entry stored, zeros too."""
    rows, cols = w.shape
    indices = np.tile(np.arange(rows), cols)
    return csc_matrix((w.T.ravel(), indices, np.arange(0, rows * cols + 1, rows)), w.shape)


def unroll(source: Signals, weights: csc_matrix) -> tuple[Signals, csc_matrix]:
    """Every position at once: one row for each signal, one column for each output of each position.

    Rows are shared by the positions that see the same signal. Grounded taps keep their devices: the t-th
    grounded tap of a column lies on the t-th grounded row, so that a column's load does not depend on
    its place in the picture.

    Args:
        source: signals of the rows at every position, [positions, rows].
        weights: [rows, outputs]; explicit zeros are kept.

    Returns:
        The signals of the new rows, [1, new rows]; and the new weights, [new rows, outputs positions].
    """
    positions, outputs = len(source), weights.shape[1]
    entries = weights.tocoo()
    signals = source[:, entries.row]  # [positions, entries]
    columns = entries.col[None, :] * positions + np.arange(positions)[:, None]
    signals, columns = signals.ravel(), columns.ravel()
    grounded = np.flatnonzero(signals == GROUND)
    order = grounded[np.argsort(columns[grounded], kind="stable")]
    counts = np.unique(columns[order], return_counts=True)[1] if len(order) else np.zeros(0, dtype=np.int64)
    turn = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    real = np.unique(signals[signals != GROUND])
    rows = np.searchsorted(real, signals)
    rows[order] = len(real) + turn
    ground_rows = int(counts.max(initial=0))
    values = np.broadcast_to(entries.data, (positions, entries.nnz)).ravel()
    shape = (len(real) + ground_rows, outputs * positions)
    unrolled = coo_matrix((values, (rows, columns)), shape=shape).tocsc()
    return np.concatenate([real, np.full(ground_rows, GROUND)])[None], unrolled


def unroll_sums(source: Signals, weights: csc_matrix, bias: Array) -> tuple[Signals, csc_matrix, Array]:
    """Weighted sums at every position at once, as :func:`unroll`; with one position they are so already.

    Args:
        source: as for :func:`unroll`.
        weights: likewise.
        bias: [outputs].
    """
    if len(source) == 1:
        return source, weights, bias
    return *unroll(source, weights), np.repeat(bias, len(source))
