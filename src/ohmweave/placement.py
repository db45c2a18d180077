"""Which weights lie on which tile: few tiles first, then few partial sums, then little wire.

A pattern says where devices are: rows are signals, columns are outputs. The tile's share of a group of
outputs is limited by the signals that the group sees, so outputs whose windows overlap belong together:

    tiles of a group = ceil(|union of the rows its columns see| / height)

Outputs are grouped into patches (channels x down x across); the patch is found by trying every size.
The rows of a group are cut into chunks; the chunk that is not full takes those rows which the fewest
columns see, so that the leftovers of several groups fit on one tile, side by side and first fit
(Johnson et al., "Worst-case performance bounds for simple one-dimensional packing algorithms", 1974).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csc_matrix
from scipy.sparse.csgraph import connected_components

from ohmweave.errors import DesignError
from ohmweave.units import Array

__all__ = ["Spot", "Utilisation", "place", "place_in_order", "utilisation"]

Numbers = NDArray[np.int64]
Shape = tuple[int, int, int]

# Ways to group the outputs that are carried out in full, after all were estimated.
_FINALISTS = 4
# Tiles, last opened first, that are searched for signals in common with a leftover.
_RECENT = 4


@dataclass(frozen=True, eq=False)
class Spot:
    """What lies on one tile.

    Args:
        rows: the signals that its devices need, ascending.
        cols: the outputs that its devices need, ascending.
        entries: its devices, as indices into the data of the pattern, ascending. The pattern may have
            further entries within rows x cols; those lie on other tiles and are absent from this one.
    """

    rows: Numbers
    cols: Numbers
    entries: Numbers


@dataclass(frozen=True)
class Utilisation:
    """How well tiles are used.

    Args:
        tiles: number of tiles.
        devices: number of devices, or pairs of them, on all tiles.
        share: devices / (tiles height width); zero without tiles.
        wire: number of wire segments, 2 rows cols summed over the tiles, counting the rows and columns in use.
        joints: number of columns in use, summed over the tiles; less the number of outputs, this is how
            many partial sums are joined.
    """

    tiles: int
    devices: int
    share: float
    wire: float
    joints: int


def place(pattern: csc_matrix, height: int, width: int, shape: Shape | None = None) -> tuple[Spot, ...]:
    """Lay a pattern on as few tiles as are found; among equals with the fewest columns in use, then the least wire.

    Never on more tiles than :func:`place_in_order`. The result depends on the arguments alone.

    Args:
        pattern: [signals, outputs]; every stored entry is a device, also a zero.
        height: signals that a tile holds.
        width: outputs that a tile holds.
        shape: (channels, down, across) of the outputs, where output (c, p, q) is number
            (c down + p) across + q; None where they have no such order.

    Returns:
        The tiles in the order of their first output, then of their first signal; each entry on exactly one.

    Raises:
        DesignError: a tile without rows or columns.
        ValueError: a pattern that stores an entry twice, or a shape of another number of outputs.
    """
    signals, outputs = pattern.shape
    if shape is not None and math.prod(shape) != outputs:
        raise ValueError(f"expected a shape of {outputs} outputs, found {shape}")
    most = sum(len(cells) for _, cells in _grid(pattern, height, width))
    # Of a dense pattern, and of what fits on one tile, no other placement has fewer tiles.
    if pattern.nnz == signals * outputs or most <= 1:
        return place_in_order(pattern, height, width)
    best: tuple[Spot, ...] = ()
    for order, labels, own in _groupings(pattern, height, width, shape):
        cut = (spot for cols in _by_label(order, labels) for spot in _cut(pattern, cols, height, own))
        found = _pack(cut, height, width)
        best = min(best or found, found, key=_cost)
        if _cost(best)[:2] == _bound(pattern, height, width):
            break
    if len(best) >= most:
        best = min(best, place_in_order(pattern, height, width), key=_cost)
    return tuple(sorted(best, key=lambda spot: (spot.cols[0], spot.rows[0], spot.entries[0])))


def place_in_order(pattern: csc_matrix, height: int, width: int) -> tuple[Spot, ...]:
    """Cut a pattern into a grid of tiles in its own order; empty tiles are left out.

    Args:
        pattern: [signals, outputs]; every stored entry is a device, also a zero.
        height: signals that a tile holds.
        width: outputs that a tile holds.

    Raises:
        DesignError: a tile without rows or columns.
        ValueError: a pattern that stores an entry twice.
    """
    spots: list[Spot] = []
    for cols, cells in _grid(pattern, height, width):
        first = pattern.indptr[cols[0]]
        column = np.repeat(cols, np.diff(pattern.indptr[cols[0] : cols[-1] + 2]))
        for entries in cells:
            rows = _distinct(pattern.indices[entries], pattern.shape[0])
            spots.append(Spot(rows, np.unique(column[entries - first]), entries))
    return tuple(spots)


def utilisation(spots: Sequence[Spot], pattern: csc_matrix, height: int, width: int) -> Utilisation:
    """Count tiles, devices and wire segments.

    Args:
        spots: what lies on each tile.
        pattern: [signals, outputs]; what was placed.
        height: signals that a tile holds.
        width: outputs that a tile holds.
    """
    devices = int(pattern.nnz)
    share = devices / (len(spots) * height * width) if spots else 0.0
    tiles, joints, wire = _cost(spots)
    return Utilisation(tiles, devices, share, float(wire), joints)


def _cost(spots: Sequence[Spot]) -> tuple[int, int, int]:
    """Tiles, columns in use, wire segments."""
    in_use = sum(len(spot.cols) for spot in spots)
    return len(spots), in_use, sum(2 * len(spot.rows) * len(spot.cols) for spot in spots)


def _bound(pattern: csc_matrix, height: int, width: int) -> tuple[int, int]:
    """Tiles and columns in use that no placement is below: room for all devices, all signals, all outputs."""
    counts = np.diff(pattern.indptr)
    rows = np.count_nonzero(np.bincount(pattern.indices))
    tiles = max(-(-pattern.nnz // (height * width)), -(-rows // height), -(-np.count_nonzero(counts) // width))
    return int(tiles), int(np.sum(-(-counts // height)))


def _grid(pattern: csc_matrix, height: int, width: int) -> Iterator[tuple[Numbers, list[Numbers]]]:
    """The columns of each strip of the grid, and the entries of each of its cells that is not empty."""
    if height < 1 or width < 1:
        raise DesignError(
            f"expected tiles of at least 1 signal and 1 output, found {height} x {width}",
            where="placement",
            remedy="choose larger tiles",
        )
    if not pattern.has_canonical_format:
        raise ValueError("expected each entry once and rows ascending in each column; call sum_duplicates()")
    for begin in range(0, pattern.shape[1], width):
        cols = np.arange(begin, min(begin + width, pattern.shape[1]))
        first, last = pattern.indptr[cols[0]], pattern.indptr[cols[-1] + 1]
        if first < last:
            yield cols, _by_label(np.arange(first, last, dtype=np.int64), pattern.indices[first:last] // height)


def _by_label(numbers: Numbers, labels: Numbers) -> list[Numbers]:
    """The numbers of each label that occurs, in their order."""
    # Sorting 16 bits is several times as quick.
    small = labels.astype(np.uint16) if labels.max(initial=0) < 1 << 16 else labels
    order = np.argsort(small, kind="stable")
    counts = np.bincount(labels)
    return np.split(numbers[order], np.cumsum(counts[counts > 0])[:-1]) if len(numbers) else []


def _distinct(numbers: Numbers, count: int) -> Numbers:
    mark = np.zeros(count, dtype=bool)
    mark[numbers] = True
    return np.flatnonzero(mark)


def _groupings(
    pattern: csc_matrix, height: int, width: int, shape: Shape | None
) -> Iterator[tuple[Numbers, Numbers, Shape]]:
    """The ways to group the outputs that are worth a try: outputs, the group of each, their shape."""
    natural = np.arange(pattern.shape[1])
    blocks = _blocks(pattern, width)
    line = (1, 1, len(natural))
    # Outputs that share signals may be anywhere; blocks bring them together.
    order, own = (natural, shape) if shape is not None else (np.argsort(blocks, kind="stable"), line)
    yield from ((order, labels, own) for labels in _patchings(pattern, order, own, height, width))
    sizes = np.bincount(blocks)
    if len(sizes) > 1 and sizes.max() <= width:
        yield natural, blocks, line


def _blocks(pattern: csc_matrix, width: int) -> Numbers:
    """The block of each output, [outputs], numbered in the order of their first outputs.

    Outputs that see a signal in common are in one block; signals that more outputs see than a tile
    holds are left aside, since they lie on several tiles in any case (biases above all). Where those
    are most of the pattern, there is one block.
    """
    signals, outputs = pattern.shape
    narrow = np.bincount(pattern.indices, minlength=signals) <= width
    kept = narrow[pattern.indices]
    if 2 * np.count_nonzero(kept) < pattern.nnz:
        return np.zeros(outputs, dtype=np.int64)
    rows = pattern.indices[kept]
    cols = np.repeat(np.arange(outputs), np.diff(pattern.indptr))[kept]
    total = signals + outputs
    links = coo_matrix((np.ones(len(rows), dtype=np.int8), (rows, signals + cols)), shape=(total, total))
    labels = connected_components(links.tocsr(), directed=False)[1][signals:]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[inverse]


def _patchings(pattern: csc_matrix, order: Numbers, shape: Shape, height: int, width: int) -> list[Numbers]:
    """Labels of the most promising ways to cut outputs into patches, each [outputs], best first.

    The patch in the middle stands for all of its size. What remains at the ends, where a patch does not
    divide the shape, is cut into patches of its own.
    """
    grid = order.reshape(shape)
    patches = np.array(list(_patch_sizes(shape, width)))
    costs = _middle_costs(pattern, grid, patches, height, width)

    def filled(region: Numbers) -> tuple[float, int]:
        """Tiles of a region cut into one size of patches, and which size."""
        total = np.prod(-(-region // patches), axis=1) * costs
        total[(patches > region).any(axis=1)] = np.inf
        return float(total.min()), int(total.argmin())

    known: dict[tuple[int, ...], tuple[float, int]] = {}
    totals = []
    for patch, cost in zip(patches, costs, strict=True):
        total = float(np.prod(np.array(shape) // patch) * cost)
        for _, region in _ends(shape, patch):
            key = tuple(region.tolist())
            known[key] = known.get(key) or filled(region)
            total += known[key][0]
        totals.append(total)
    # Among equals the largest, which is the least work.
    ranked = np.lexsort((-np.prod(patches, axis=1), np.round(totals, 6)))
    return [_labels(shape, patches, int(k), known) for k in ranked[:_FINALISTS]]


def _patch_sizes(shape: Shape, width: int) -> Iterator[Shape]:
    """All patches of at most ``width`` outputs; of channels only powers of two, and as many as fit."""
    for d in range(1, min(shape[1], width) + 1):
        for a in range(1, min(shape[2], width // d) + 1):
            most = min(shape[0], width // (d * a))
            yield from ((c, d, a) for c in sorted({most, *(1 << k for k in range(most.bit_length()))}))


def _ends(shape: Shape, patch: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
    """What whole patches leave of a shape: beginning and size of up to three regions."""
    (c, d, a), (body_c, body_d, body_a) = shape, (np.array(shape) // patch * patch).tolist()
    across = (0, 0, body_a), (c, d, a - body_a)
    down = (0, body_d, 0), (c, d - body_d, body_a)
    channels = (body_c, 0, 0), (c - body_c, body_d, body_a)
    yield from ((np.array(begin), np.array(size)) for begin, size in (across, down, channels) if all(size))


def _labels(shape: Shape, patches: Numbers, chosen: int, known: dict[tuple[int, ...], tuple[float, int]]) -> Numbers:
    patch = patches[chosen]
    labels = np.zeros(shape, dtype=np.int64)
    regions = [(np.zeros(3, dtype=np.int64), np.array(shape) // patch * patch, patch)]
    regions += [(begin, size, patches[known[tuple(size.tolist())][1]]) for begin, size in _ends(shape, patch)]
    count = 0
    for begin, size, own in regions:
        counts = -(-size // own)
        c, d, a = (np.arange(n) // p for n, p in zip(size, own, strict=True))
        part = tuple(slice(b, b + n) for b, n in zip(begin.tolist(), size.tolist(), strict=True))
        labels[part] = count + (c[:, None, None] * counts[1] + d[:, None]) * counts[2] + a
        count += int(np.prod(counts))
    return labels.ravel()


def _middle_costs(pattern: csc_matrix, grid: Numbers, patches: Numbers, height: int, width: int) -> Array:
    """What each patch costs in the middle, [patches], tiles; leftovers count as the part of a tile they fill."""
    costs, least = np.empty(len(patches)), math.inf
    for k, patch in enumerate(patches):
        begin = (np.array(grid.shape) - patch) // 2
        cols = grid[tuple(slice(b, b + n) for b, n in zip(begin.tolist(), patch.tolist(), strict=True))].ravel()
        _, rows, _, seen = _group(pattern, cols)
        full, rest = divmod(len(rows), height)
        # Which rows to leave over is worth finding out only where it may matter.
        close = rest and full and full < 1.25 * least * len(cols)
        order = _row_order(seen, cols, height, grid.shape) if close else np.arange(len(rows))
        costs[k] = full
        if rest:
            left = int(np.count_nonzero(seen[order[:rest]].any(axis=0)))
            costs[k] += max(1.0 / (height // rest), 1.0 / (width // left))
        least = min(least, float(costs[k]) / len(cols)) if len(rows) else least
    return costs


def _group(pattern: csc_matrix, cols: Numbers) -> tuple[Numbers, Numbers, Numbers, NDArray[np.bool_]]:
    """A group's entries, column by column; its rows; the place of each entry's; who sees whom, [rows, columns]."""
    begin = pattern.indptr[cols].astype(np.int64)
    counts = pattern.indptr[cols + 1] - begin
    ends = np.cumsum(counts)
    entries = np.repeat(begin - (ends - counts), counts) + np.arange(ends[-1])
    signals = pattern.indices[entries]
    rows = _distinct(signals, pattern.shape[0])
    local = np.empty(pattern.shape[0], dtype=np.int64)
    local[rows] = np.arange(len(rows))
    row = local[signals]
    seen = np.zeros((len(rows), len(cols)), dtype=bool)
    seen[row, np.repeat(np.arange(len(cols)), counts)] = True
    return entries, rows, row, seen


def _cut(pattern: csc_matrix, cols: Numbers, height: int, shape: tuple[int, ...]) -> list[Spot]:
    """Cut a group of outputs into chunks of at most ``height`` signals; only the first may have fewer."""
    entries, rows, row, seen = _group(pattern, cols)
    chunk = np.zeros(len(rows), dtype=np.int64)
    if len(rows) > height:
        chunk[_row_order(seen, cols, height, shape)] = (np.arange(len(rows)) + (-len(rows)) % height) // height
    spots = []
    for k, part in enumerate(_by_label(entries, chunk[row])):
        own = chunk == k
        spots.append(Spot(rows[own], np.sort(cols[seen[own].any(axis=0)]), np.sort(part)))
    return spots


def _row_order(seen: NDArray[np.bool_], cols: Numbers, height: int, shape: tuple[int, ...]) -> Numbers:
    """An order of the rows of a group such that the first, which do not fill a tile, need few columns.

    Rows are sorted by the last output that sees them, in the order of outputs, down or across, onwards
    or backwards, whichever serves best.
    """
    rest = len(seen) % height
    return min(_row_orders(seen, cols, shape), key=lambda order: int(seen[order[:rest]].any(axis=0).sum()))


def _row_orders(seen: NDArray[np.bool_], cols: Numbers, shape: tuple[int, ...]) -> Iterator[Numbers]:
    orders = [np.arange(len(cols))]
    if shape[0] * shape[1] > 1:
        c, p, q = np.unravel_index(cols, shape)
        orders = [np.lexsort((c, q, p)), np.lexsort((c, p, q)), *orders]
    for order in orders:
        for turned in (order, order[::-1]):
            yield np.argsort(-seen[:, turned[::-1]].argmax(axis=1), kind="stable")


def _pack(spots: Iterable[Spot], height: int, width: int) -> tuple[Spot, ...]:
    """Put spots together on tiles, largest first, each on the first tile with room."""
    full: list[Spot] = []
    rest: list[Spot] = []
    for spot in spots:
        (full if len(spot.rows) == height or len(spot.cols) == width else rest).append(spot)
    rest.sort(key=lambda spot: -max(len(spot.rows) / height, len(spot.cols) / width))
    tiles: list[tuple[set[int], set[int], list[Numbers]]] = []
    free = np.zeros((2, len(rest)), dtype=np.int64)
    for spot in rest:
        rows, cols, count = set(spot.rows.tolist()), set(spot.cols.tolist()), len(tiles)
        for k in range(count - 1, max(count - 1 - _RECENT, -1), -1):
            if len(tiles[k][0] | rows) <= height and len(tiles[k][1] | cols) <= width:
                break
        else:
            # Room for all its lines; those in common with the tile's own are not sought here.
            fits = np.flatnonzero((free[0, :count] >= len(rows)) & (free[1, :count] >= len(cols)))
            k = int(fits[0]) if len(fits) else count
        tiles += [(set(), set(), [])] * (k == count)
        tiles[k][0].update(rows)
        tiles[k][1].update(cols)
        tiles[k][2].append(spot.entries)
        free[:, k] = height - len(tiles[k][0]), width - len(tiles[k][1])
    return (*full, *(Spot(_sorted(r), _sorted(c), np.sort(np.concatenate(parts))) for r, c, parts in tiles))


def _sorted(numbers: set[int]) -> Numbers:
    return np.array(sorted(numbers), dtype=np.int64)
