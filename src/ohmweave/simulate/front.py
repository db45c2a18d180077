"""The compiled copying around the elimination of an edge: couplings gathered before it, an admittance after.

A front is what one elimination works on: the couplings ``outer`` [kept, kept] among the nodes that are
kept, ``cross`` [kept, joint] of these to the nodes that go, ``inner`` [joint, joint] among the latter. It is
gathered from one or two blocks, whose couplings lie in Fortran order, edge after edge, below the diagonal.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ohmweave.simulate.compiled import compiled
from ohmweave.units import Array

__all__ = ["ACROSS", "CLOSE_RIGHT", "CLOSE_TOP", "DOWN", "Seam", "admittance", "gather"]

Indices = NDArray[np.int64]

_LEFT, _RIGHT, _TOP, _BOTTOM = range(4)
_TILE = 8


class Seam(NamedTuple):
    """Which edges of one or two blocks go, and the order of those that stay.

    Args:
        kept: which block and which of its edges L, R, T, B each edge of the front is, shape [edges, 2];
            those of one block in this block's order.
        joint: of each block the edge that goes, shape [blocks].
    """

    kept: Indices
    joint: Indices


def _seam(kept: list[tuple[int, int]], joint: list[int]) -> Seam:
    seam = Seam(np.array(kept), np.array(joint))
    for table in seam:
        table.setflags(write=False)
    return seam


ACROSS = _seam([(0, _LEFT), (1, _RIGHT), (0, _TOP), (1, _TOP), (0, _BOTTOM), (1, _BOTTOM)], [_RIGHT, _LEFT])
DOWN = _seam([(0, _LEFT), (1, _LEFT), (0, _RIGHT), (1, _RIGHT), (0, _TOP), (1, _BOTTOM)], [_BOTTOM, _TOP])
CLOSE_RIGHT = _seam([(0, _LEFT), (0, _TOP), (0, _BOTTOM)], [_RIGHT])
CLOSE_TOP = _seam([(0, _LEFT), (0, _RIGHT), (0, _BOTTOM)], [_TOP])


@compiled
def gather(one: Array, other: Array, ends: Indices, seam: Seam, outer: Array, cross: Array, inner: Array) -> None:
    """Fill a front, ``inner`` with X = diag(d) - D: D the couplings among the nodes that go, d the sums of all theirs.

    Args:
        one: couplings of the first block, shape [nodes, nodes], Fortran order, S.
        other: those of the second, likewise; ``one`` again where there is none.
        ends: where each block's edges begin and the last one ends, shape [2, 5].
        seam: which edges go, which stay.
        outer: becomes the couplings among the kept nodes, shape [kept, kept], Fortran order, S; the
            diagonal and what is above it are left alone.
        cross: becomes those of the kept nodes to the others, shape [kept, joint], Fortran order, S.
        inner: becomes X, shape [joint, joint], Fortran order, S; what is above the diagonal is left alone.
    """
    kept, joint = seam
    first_node = 0
    for b in range(kept.shape[0]):
        which, edge = kept[b]
        block, begin, count = (other if which else one), ends[which, edge], ends[which, edge + 1] - ends[which, edge]
        _lay_columns(block, ends, kept, b, outer, first_node)
        first = ends[which, joint[which]]
        if edge > joint[which]:
            for y in range(cross.shape[1]):
                _copy(block[begin : begin + count, first + y], cross[first_node : first_node + count, y])
        else:
            _copy_turned(block, first, begin, cross, first_node, count)
        first_node += count
    _lay_pivots(one, other, ends, joint, inner)
    _sum_pivots(cross, inner)


@compiled
def _lay_columns(block: Array, ends: Indices, kept: Indices, b: int, outer: Array, first_col: int) -> None:
    """Couplings of the front's kept edge ``b`` to itself and to those after it; to another block's there are none."""
    which, edge = kept[b]
    begin, count = ends[which, edge], ends[which, edge + 1] - ends[which, edge]
    first_row = first_col
    for a in range(b, kept.shape[0]):
        start, rows = ends[kept[a, 0], kept[a, 1]], ends[kept[a, 0], kept[a, 1] + 1] - ends[kept[a, 0], kept[a, 1]]
        there = kept[a, 0] == which
        for y in range(count):
            target = outer[first_row : first_row + rows, first_col + y]
            if there:
                _copy(block[start : start + rows, begin + y], target)
            else:
                for x in range(target.shape[0]):
                    target[x] = 0.0
        first_row += rows


@compiled
def _copy(source: Array, target: Array) -> None:
    for x in range(target.shape[0]):
        target[x] = source[x]


@compiled
def _copy_turned(block: Array, first_row: int, first_col: int, cross: Array, first_node: int, count: int) -> None:
    """Copy a part of ``block``, transposed, by strips of one line of the processor's cache."""
    for begin in range(0, cross.shape[1], _TILE):
        for y in range(count):
            column = block[first_row : first_row + cross.shape[1], first_col + y]
            for x in range(begin, min(begin + _TILE, cross.shape[1])):
                cross[first_node + y, x] = column[x]


@compiled
def _lay_pivots(one: Array, other: Array, ends: Indices, joint: Indices, inner: Array) -> None:
    """Minus the couplings among the nodes that go; only these have some from both blocks."""
    first = ends[0, joint[0]]
    for y in range(inner.shape[0]):
        column, source = inner[:, y], one[first : first + inner.shape[0], first + y]
        for x in range(y + 1, inner.shape[0]):
            column[x] = -source[x]
    if joint.shape[0] == 1:
        return
    first = ends[1, joint[1]]
    for y in range(inner.shape[0]):
        column, source = inner[:, y], other[first : first + inner.shape[0], first + y]
        for x in range(y + 1, inner.shape[0]):
            column[x] -= source[x]


@compiled
def _sum_pivots(cross: Array, inner: Array) -> None:
    """The diagonal: the sum of all couplings of each node that goes."""
    for y in range(inner.shape[0]):
        inner[y, y] = 0.0
    for y in range(inner.shape[0]):
        among, column, total = inner[:, y], cross[:, y], 0.0
        for x in range(column.shape[0]):
            total += column[x]
        for x in range(y + 1, inner.shape[0]):
            total -= among[x]
            inner[x, x] -= among[x]
        inner[y, y] += total


@compiled
def admittance(couplings: Array) -> Array:
    """The admittance of a network of conductances, of its couplings below the diagonal.

    Args:
        couplings: shape [nodes, nodes], Fortran order, S.

    Returns:
        Y, shape [nodes, nodes], C order, S: minus the couplings, on the diagonal the sums of the rows.
    """
    n = couplings.shape[0]
    y = np.empty((n, n))
    for i in range(n):
        y[i, i] = 0.0
    for begin in range(0, n, _TILE):
        for j in range(n):
            column = couplings[:, j]
            for i in range(max(begin, j + 1), min(begin + _TILE, n)):
                y[i, j] = -column[i]
    for j in range(n):
        row, column, total = y[j], couplings[:, j], 0.0
        for i in range(j + 1, n):
            row[i] = -column[i]
        row[j] = 0.0
        for i in range(n):
            total -= row[i]
        row[j] = total
    return y
