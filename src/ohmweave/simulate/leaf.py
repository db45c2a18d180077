"""Blocks of up to 4 x 4 leaves of a wired array, reduced to their edges by compiled kernels.

A network of conductances c is kept as its couplings alone: c[a, b] > 0 between nodes a and b, no
diagonal. Eliminating node k is the star-mesh transform

    c[a, b] += c[a, k] c[k, b] / sum_j c[k, j]     for all neighbours a, b of k,

which only ever adds positive numbers: every coupling keeps its relative accuracy, however far apart
the conductances of wires and devices are (Grassmann, Taksar and Heyman, Operations Research 33, 1985).

A leaf of p x q crossings is eliminated down to its four edges node by node, in an order of least
degree found once per shape, with all leaves of a block side by side in the lanes of the innermost
loops. The edges of a block are, in this order: L, the p nodes left of it (its neighbour's, or the
row ports); R, its own last word nodes; T, its own first bit nodes; B, the q nodes below it.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ohmweave.simulate.compiled import compiled
from ohmweave.units import Array

__all__ = ["LEAF", "SIDE", "block_couplings"]

Indices = NDArray[np.int64]
# Indices that cannot be negative: where they might be, loops are not vectorised as well.
Slots = NDArray[np.uint64]

LEAF = 8
SIDE = 4
_PANEL = 4
_VECTOR = 8
_ROW_WIRE, _COL_WIRE, _DEVICE = 0, 1, 2


class _Script(NamedTuple):
    """How to eliminate a leaf; a coupling is named by its slot in the work array.

    Args:
        slots: number of couplings that ever occur.
        edges: [edges, 4]: slot, kind, row i, column j of each segment and device.
        first: [nodes + 1]: where each eliminated node's couplings begin in ``spokes``.
        spokes: slots of the couplings of the eliminated nodes to what is left.
        first_update: [nodes + 1]: where each node's updates begin in ``updates``.
        updates: [updates, 3]: two of the node's spokes (counted from its first) and the slot between their ends.
        kept: [edges, edges]: slot between two kept nodes, -1 where there is none.
    """

    slots: int
    edges: Indices
    first: Slots
    spokes: Slots
    first_update: Slots
    updates: Slots
    kept: Indices


@cache
def _script(p: int, q: int) -> _Script:
    """The elimination of a leaf of p x q crossings, by least degree."""
    links, keep = _links(p, q)
    slots: dict[tuple[int, int], int] = {}

    def slot(a: int, b: int) -> int:
        return slots.setdefault((min(a, b), max(a, b)), len(slots))

    edges = [(slot(a, b), kind, i, j) for a, b, kind, i, j in links]
    near: dict[int, set[int]] = {node: set() for node in range(2 * p * q + p + q)}
    for a, b, *_ in links:
        near[a].add(b)
        near[b].add(a)
    spokes: list[int] = []
    updates: list[tuple[int, int, int]] = []
    first, first_update = [0], [0]
    left = set(near) - set(keep)
    while left:
        node = min(left, key=lambda k: (len(near[k]), k))
        left.remove(node)
        ends = sorted(near[node])
        spokes += [slot(node, end) for end in ends]
        updates += [(x, y, slot(ends[x], ends[y])) for y in range(len(ends)) for x in range(y)]
        for end in ends:
            near[end] |= near[node]
            near[end] -= {node, end}
        first.append(len(spokes))
        first_update.append(len(updates))
    kept = [[-1 if a == b else slots.get((min(a, b), max(a, b)), -1) for b in keep] for a in keep]
    return _Script(
        len(slots),
        np.array(edges, dtype=np.int64),
        np.array(first, dtype=np.uint64),
        np.array(spokes, dtype=np.uint64),
        np.array(first_update, dtype=np.uint64),
        np.array(updates, dtype=np.uint64).reshape(-1, 3),
        np.array(kept, dtype=np.int64),
    )


def _links(p: int, q: int) -> tuple[list[tuple[int, int, int, int, int]], list[int]]:
    """Segments and devices (node, node, kind, i, j) of a leaf, and its kept nodes in the order L, R, T, B."""

    def word(i: int, j: int) -> int:
        return p + i * q + j if j >= 0 else i

    def bit(i: int, j: int) -> int:
        return p + p * q + i * q + j

    links = []
    for i in range(p):
        for j in range(q):
            links.append((word(i, j - 1), word(i, j), _ROW_WIRE, i, j))
            links.append((bit(i, j), bit(i + 1, j), _COL_WIRE, i, j))
            links.append((word(i, j), bit(i, j), _DEVICE, i, j))
    lefts, rights = [word(i, -1) for i in range(p)], [word(i, q - 1) for i in range(p)]
    tops, bottoms = [bit(0, j) for j in range(q)], [bit(p, j) for j in range(q)]
    return links, lefts + rights + tops + bottoms


def block_couplings(g: Array, row_wire: Array, col_wire: Array, p: int, q: int) -> Array:
    """Couplings between the edges of a block of leaves, all else eliminated.

    Args:
        g: device conductances, shape [a p, b q] with a, b in {1, 2, 4}, S; 0 where there is none.
        row_wire: conductance of the segment left of each column, shape [b q], S.
        col_wire: conductance of the segment below each row, shape [a p], S.
        p: rows of a leaf, 1 to 8.
        q: columns of a leaf, 1 to 8.

    Returns:
        Shape [2 (a p + b q), 2 (a p + b q)], S, Fortran order, edges in the order L, R, T, B; what
        stands on and above the diagonal means nothing.
    """
    script = _script(p, q)
    down, across = g.shape[0] // p, g.shape[1] // q
    work = _lay(g, row_wire, col_wire, p, q, script.slots, script.edges)
    _run(work, script.first, script.spokes, script.first_update, script.updates)
    return np.asfortranarray(_gather(_collect(work, script.kept, down * across), down, across, p, q))


@compiled
def _lay(g: Array, row_wire: Array, col_wire: Array, p: int, q: int, slots: int, edges: Indices) -> Array:
    """Couplings of every leaf before its elimination, [slots, leaves], leaves row by row."""
    across = g.shape[1] // q
    work = np.zeros((slots, (g.shape[0] // p) * across))
    for leaf in range(work.shape[1]):
        top, left = (leaf // across) * p, (leaf % across) * q
        for e in range(edges.shape[0]):
            slot, kind, y, x = edges[e, 0], edges[e, 1], top + edges[e, 2], left + edges[e, 3]
            work[slot, leaf] = row_wire[x] if kind == _ROW_WIRE else col_wire[y] if kind == _COL_WIRE else g[y, x]
    return work


@compiled
def _run(work: Array, first: Slots, spokes: Slots, first_update: Slots, updates: Slots) -> None:
    """Eliminate the inner nodes of all leaves, lane by lane the same; names as in :class:`_Script`."""
    # Not a constant: the compiler would write the loops out instead of vectorising them.
    lanes = work.shape[1]
    share, over = np.empty((4 * LEAF * LEAF, lanes)), np.empty(lanes)
    for node in range(first.shape[0] - 1):
        begin, end = first[node], first[node + 1]
        over[:] = 0.0
        for s in range(begin, end):
            spoke = work[spokes[s]]
            for lane in range(lanes):
                over[lane] += spoke[lane]
        for lane in range(lanes):
            over[lane] = 1.0 / over[lane]
        for s in range(begin, end):
            spoke, part = work[spokes[s]], share[s - begin]
            for lane in range(lanes):
                part[lane] = spoke[lane] * over[lane]
        for u in range(first_update[node], first_update[node + 1]):
            # Rows first, for an index that may be negative keeps loops from being vectorised.
            part, spoke, coupling = share[updates[u, 0]], work[spokes[begin + updates[u, 1]]], work[updates[u, 2]]
            for lane in range(lanes):
                coupling[lane] += part[lane] * spoke[lane]


@compiled
def _collect(work: Array, kept: Indices, count: int) -> Array:
    """Couplings of every leaf's edges, [leaves, 2 (p + q), 2 (p + q)], lower triangles."""
    size = kept.shape[0]
    out = np.zeros((count, size, size))
    for leaf in range(count):
        for a in range(size):
            for b in range(a):
                if kept[a, b] >= 0:
                    out[leaf, a, b] = work[kept[a, b], leaf]
    return out


@compiled
def _gather(blocks: Array, down: int, across: int, p: int, q: int) -> Array:
    """Merge down x across blocks of p x q crossings pair by pair into one, [edges, edges], lower triangle."""
    while down * across > 1:
        sideways = across > 1 and (q <= p or down == 1)
        blocks = _merge_across(blocks, p, q) if sideways else _merge_down(blocks, across, p, q)
        if sideways:
            across, q = across // 2, 2 * q
        else:
            down, p = down // 2, 2 * p
    couplings: Array = blocks[0]
    return couplings


@compiled
def _merge_across(blocks: Array, p: int, q: int) -> Array:
    """Join each block with the next one."""
    kept, merged = 2 * p + 4 * q, np.zeros((blocks.shape[0] // 2, 2 * p + 4 * q, 2 * p + 4 * q))
    work = np.empty((kept + p, _whole(kept + p)))
    for k in range(merged.shape[0]):
        work[:] = 0.0
        _place(work, blocks[2 * k], (p, p, q, q), (0, kept, 2 * p, 2 * p + 2 * q))
        _place(work, blocks[2 * k + 1], (p, p, q, q), (kept, p, 2 * p + q, 2 * p + 3 * q))
        _eliminate(work, kept, merged[k])
    return merged


@compiled
def _merge_down(blocks: Array, across: int, p: int, q: int) -> Array:
    """Join each block of every other row of blocks with the one below."""
    kept, merged = 4 * p + 2 * q, np.zeros((blocks.shape[0] // 2, 4 * p + 2 * q, 4 * p + 2 * q))
    work = np.empty((kept + q, _whole(kept + q)))
    for k in range(merged.shape[0]):
        above = k // across * 2 * across + k % across
        work[:] = 0.0
        _place(work, blocks[above], (p, p, q, q), (0, 2 * p, 4 * p, kept))
        _place(work, blocks[above + across], (p, p, q, q), (p, 3 * p, kept, 4 * p + q))
        _eliminate(work, kept, merged[k])
    return merged


@compiled
def _whole(count: int) -> int:
    """The next multiple of a vector register's length."""
    return (count + _VECTOR - 1) // _VECTOR * _VECTOR


@compiled
def _place(work: Array, block: Array, sizes: tuple[int, int, int, int], to: tuple[int, int, int, int]) -> None:
    """Add a block's couplings where its edges begin in ``work``; of both the lower triangle."""
    first_row = 0
    for a in range(4):
        first_col = 0
        for b in range(a + 1):
            # Slices for the reason given in _run.
            part = block[first_row : first_row + sizes[a], first_col : first_col + sizes[b]]
            if to[a] >= to[b]:
                target = work[to[a] : to[a] + sizes[a], to[b] : to[b] + sizes[b]]
            else:
                target = work[to[b] : to[b] + sizes[b], to[a] : to[a] + sizes[a]].T
            for i in range(sizes[a]):
                for j in range(sizes[b]):
                    target[i, j] += part[i, j]
            first_col += sizes[b]
        first_row += sizes[a]


@compiled
def _eliminate(work: Array, kept: int, out: Array) -> None:
    """Eliminate all nodes from ``kept`` on, last first, in the lower triangle of ``work``; to ``out`` what is left.

    The couplings of the last node left are its row, contiguous. Panels of nodes are applied to the
    rows above them together, which reads and writes those rows once a panel. Rows are worked on in
    whole vectors; what that leaves on and above the diagonal means nothing.
    """
    share = np.zeros((_PANEL, work.shape[1]))
    last = work.shape[0]
    while last > kept:
        if last - kept < _PANEL:
            last -= 1
            _pivot(work, share[0], last, 0)
        else:
            begin = last - _PANEL
            for node in range(last - 1, begin - 1, -1):
                _pivot(work, share[node - begin], node, begin)
            _spread(work, share, begin)
            last = begin
    for i in range(kept):
        row, result = work[i], out[i]
        for j in range(i):
            result[j] = row[j]


@compiled
def _pivot(work: Array, share: Array, node: int, begin: int) -> None:
    """Eliminate ``node`` from the rows ``begin`` to its own; ``share`` takes what each of the others gets."""
    row, total = work[node], 0.0
    for j in range(node):
        total += row[j]
    over = 1.0 / total
    for j in range(_whole(node)):
        share[j] = row[j] * over
    for i in range(begin, node):
        s, target = share[i], work[i]
        for j in range(_whole(i)):
            target[j] += s * row[j]


@compiled
def _spread(work: Array, share: Array, begin: int) -> None:
    """Apply the panel of nodes that starts at ``begin`` to the rows above it."""
    a, b, c, d = work[begin], work[begin + 1], work[begin + 2], work[begin + 3]
    for i in range(begin):
        s, t, u, v, target = share[0, i], share[1, i], share[2, i], share[3, i], work[i]
        for j in range(_whole(i)):
            target[j] += s * a[j] + t * b[j] + u * c[j] + v * d[j]
