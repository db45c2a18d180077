"""The port admittance of a wired array by merging blocks: nested dissection of the array's nodes.

The array is cut into blocks; what the rest sees of a block are the nodes on its edges. Two
neighbours are joined by adding their couplings and eliminating the x nodes that they share from the
r others. With C [r, x] the couplings of the others to the shared nodes, D those among the shared
nodes and d the sum of all couplings of each shared node,

    K += C X^-1 C^T,   X = diag(d) - D = L L^T,   Z = C L^-T,   K += Z Z^T,

a Cholesky factorisation, a product with the factor's inverse and a symmetric update (LAPACK potrf and
trtri, BLAS trmm and syrk), which make nearly all of the 35 N^3 operations of an N x N array. Joining goes on until one
block is left; the far edges (right ends of the rows, tops of the columns) are eliminated before the
first join, or lengthened to their ports where they have some. As X is an M-matrix, L^-1 and C
are positive and nothing cancels in the couplings K; the diagonal of the admittance is their sum, so its
rows sum to zero (George, SIAM J. Numer. Anal. 10, 1973; Kron, Diakoptics, 1963). Only the pivots of
X itself are differences. As the shared nodes all belong to rows, or all to columns, what couples two of
them runs along wires that also lead to an edge that is kept, at most N segments away: a pivot is
never less than about 1/N of its diagonal, and devices stuck shorted, however good, cost no more than
log10 N digits.
"""

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ohmweave.errors import SimulationError
from ohmweave.simulate.blas import add_product, cholesky, solve_triangle
from ohmweave.units import Array

__all__ = ["port_admittance"]

if TYPE_CHECKING:
    from ohmweave.simulate.front import Seam

Mask = NDArray[np.bool_]

_LEFT, _RIGHT, _TOP, _BOTTOM = range(4)


def port_admittance(g: Array, r_row: float, r_col: float, *, far_rows: bool = False, far_cols: bool = False) -> Array:
    """Exact port admittance of a wired array, Y = A_PP - A_PI A_II^-1 A_IP.

    Args:
        g: device conductances, shape [m, n], m and n at least 1, S, not negative; nan or 0 where
            there is no device.
        r_row: resistance of one row segment, ohm, above zero.
        r_col: resistance of one column segment, ohm, above zero.
        far_rows: whether the far ends of the row wires are ports too, one more segment away.
        far_cols: whether the far ends of the column wires are.

    Returns:
        Current into each port for port voltages, shape [ports, ports], S; ports in the order rows,
        columns, far ends of rows, far ends of columns. Symmetric; its rows sum to zero.

    Raises:
        SimulationError: a resistance or a conductance out of its range, or an array so stiff that
            float64 cannot hold it.
    """
    # Here, not above: the compiler behind it takes half a second to load, and not every command needs it.
    from ohmweave.simulate.front import admittance

    _check(g, r_row, r_col)
    conductances, wires = np.nan_to_num(np.asarray(g, dtype=np.float64)), (1.0 / r_row, 1.0 / r_col)
    lattice = _lattice(conductances, *wires, far_rows=far_rows, far_cols=far_cols)
    block = _reduce(lattice, 0, 0, lattice.down, lattice.across)
    y = admittance(block.couplings)
    if not far_rows and not far_cols:
        return y
    edges = np.split(np.arange(len(y)), np.cumsum(block.sizes)[:-1])
    ports = np.concatenate([edges[k] for k in (_LEFT, _BOTTOM, _RIGHT, _TOP)])
    return np.asarray(y[np.ix_(ports, ports)])


def _check(g: Array, r_row: float, r_col: float) -> None:
    for name, ohms in (("r_row", r_row), ("r_col", r_col)):
        if not 0 < ohms < np.inf:
            raise SimulationError(
                f"expected a finite segment resistance above zero, found {name} = {ohms:g} ohm",
                where="array",
                remedy="an array without segments is reduced by reduce_array",
            )
    if g.ndim != 2 or not g.size:
        raise SimulationError(f"expected conductances [rows, columns], found the shape {g.shape}", where="array")
    bad = np.argwhere((g < 0) | np.isinf(g))
    if len(bad):
        i, j = (int(k) for k in bad[0])
        raise SimulationError(
            f"expected finite conductances, none negative, found {g[i, j]:g} S at row {i}, column {j}",
            where="array",
            remedy="nan or 0 stands for a missing device",
        )


@dataclass(frozen=True, eq=False)
class _Lattice:
    """An array laid out on leaves of one size.

    A leaf that has one row or column less than the others is filled up by an absent one: its wire
    has no devices, and its crossings stand in the middle of the segments they cut, which is exact.

    Args:
        g: conductances, shape [down p, across q], S.
        row_wire: conductance of the segment left of each column, [across q], S.
        col_wire: conductance of the segment below each row, [down p], S.
        rows: which rows are real, [down p].
        cols: which columns are real, [across q].
        p, q: rows and columns of a leaf.
        down, across: leaves, powers of two.
        far_row: conductance of the segment behind each row's last crossing, S; 0 where the wire ends there.
        far_col: conductance of the segment above each column's first crossing, S; 0 likewise.
    """

    g: Array
    row_wire: Array
    col_wire: Array
    rows: Mask
    cols: Mask
    p: int
    q: int
    down: int
    across: int
    far_row: float
    far_col: float


def _lattice(g: Array, row_wire: float, col_wire: float, *, far_rows: bool, far_cols: bool) -> _Lattice:
    rows, p, down = _bands(g.shape[0])
    cols, q, across = _bands(g.shape[1])
    padded = np.zeros((len(rows), len(cols)))
    padded[np.ix_(rows, cols)] = g
    # Right of an absent column and above an absent row lies the other half of the segment.
    half_cols = ~cols | np.concatenate([[False], ~cols[:-1]])
    half_rows = ~rows | np.concatenate([~rows[1:], [False]])
    wires = row_wire * (1.0 + half_cols), col_wire * (1.0 + half_rows)
    # The last column of the lattice may be absent; the first row is always real.
    far_row, far_col = row_wire * (1.0 + (not cols[-1])) * far_rows, col_wire * far_cols
    return _Lattice(padded, *wires, rows, cols, p, q, down, across, far_row, far_col)


def _bands(count: int) -> tuple[Mask, int, int]:
    """Deal lines out to 2^k bands of at most 8: which lines of the bands are real, lines a band, bands."""
    from ohmweave.simulate.leaf import LEAF

    bands = 1
    while count > LEAF * bands:
        bands *= 2
    size = -(-count // bands)
    cuts = np.arange(bands + 1) * count // bands
    real = np.arange(size) < np.diff(cuts)[:, None]
    return np.asarray(real.ravel()), size, bands


@dataclass(frozen=True, eq=False)
class _Block:
    """What is left of a part of the array.

    Args:
        couplings: between its nodes, [nodes, nodes], S, Fortran order; only below the diagonal.
        sizes: number of nodes on its edges L, R, T, B, in this order; 0 where an edge was open.
    """

    couplings: Array
    sizes: tuple[int, int, int, int]


def _reduce(lattice: _Lattice, top: int, left: int, down: int, across: int) -> _Block:
    """The block of some leaves: of the compiled kernels where it is small, else joined from two halves."""
    from ohmweave.simulate.leaf import SIDE

    if down <= SIDE and across <= SIDE:
        return _smallest(lattice, top, left, down, across)
    if across <= SIDE or (down > SIDE and down * lattice.p >= across * lattice.q):
        half = down // 2
        above = _reduce(lattice, top, left, half, across)
        return _join_down(above, _reduce(lattice, top + half, left, half, across))
    half = across // 2
    before = _reduce(lattice, top, left, down, half)
    return _join_across(before, _reduce(lattice, top, left + half, down, half))


def _smallest(lattice: _Lattice, top: int, left: int, down: int, across: int) -> _Block:
    from ohmweave.simulate.leaf import block_couplings

    rows = slice(top * lattice.p, (top + down) * lattice.p)
    cols = slice(left * lattice.q, (left + across) * lattice.q)
    g = np.ascontiguousarray(lattice.g[rows, cols])
    couplings = block_couplings(g, lattice.row_wire[cols], lattice.col_wire[rows], lattice.p, lattice.q)
    real_rows, real_cols = lattice.rows[rows], lattice.cols[cols]
    m, n = int(np.count_nonzero(real_rows)), int(np.count_nonzero(real_cols))
    if m + n < len(real_rows) + len(real_cols):
        real = np.flatnonzero(np.concatenate([real_rows, real_rows, real_cols, real_cols]))
        couplings = np.asfortranarray(couplings[np.ix_(real, real)])
    block = _Block(couplings, (m, m, n, n))
    # One edge at a time: a short in the corner ties word and bit node together, and to little else.
    if left + across == lattice.across:
        far = lattice.far_row
        block = _join_across(block, _segments(m, far, sideways=True)) if far else _close(block, _RIGHT)
    if top == 0:
        far = lattice.far_col
        block = _join_down(_segments(n, far, sideways=False), block) if far else _close(block, _TOP)
    return block


def _segments(count: int, wire: float, *, sideways: bool) -> _Block:
    """A block of wires alone: one segment from L to R in each row, or from T to B in each column."""
    couplings = np.zeros((2 * count, 2 * count), order="F")
    ends = np.arange(count)
    couplings[count + ends, ends] = wire
    return _Block(couplings, (count, count, 0, 0) if sideways else (0, 0, count, count))


def _close(block: _Block, edge: int) -> _Block:
    """Eliminate an edge that leads nowhere: the right or the top one."""
    from ohmweave.simulate.front import CLOSE_RIGHT, CLOSE_TOP

    lefts, rights, tops, bottoms = block.sizes
    if edge == _RIGHT:
        return _Block(_eliminate(block, block, CLOSE_RIGHT), (lefts, 0, tops, bottoms))
    return _Block(_eliminate(block, block, CLOSE_TOP), (lefts, rights, 0, bottoms))


def _join_across(one: _Block, other: _Block) -> _Block:
    """Join two blocks side by side: the right edge of the one is the left edge of the other."""
    from ohmweave.simulate.front import ACROSS

    lefts, _, tops, bottoms = one.sizes
    _, rights, more_tops, more_bottoms = other.sizes
    return _Block(_eliminate(one, other, ACROSS), (lefts, rights, tops + more_tops, bottoms + more_bottoms))


def _join_down(one: _Block, other: _Block) -> _Block:
    """Join two blocks one above the other: the lower edge of the one is the upper edge of the other."""
    from ohmweave.simulate.front import DOWN

    lefts, rights, tops, _ = one.sizes
    more_lefts, more_rights, _, bottoms = other.sizes
    return _Block(_eliminate(one, other, DOWN), (lefts + more_lefts, rights + more_rights, tops, bottoms))


def _eliminate(one: _Block, other: _Block, seam: "Seam") -> Array:
    """Couplings of the edges of two blocks, or of one named twice, that a seam keeps, without the one that goes."""
    from ohmweave.simulate.front import gather

    sizes = one.sizes, other.sizes
    ends = np.array([(0, *accumulate(edges)) for edges in sizes])
    kept, joint = sum(sizes[which][edge] for which, edge in seam.kept.tolist()), one.sizes[seam.joint[0]]
    outer, cross, inner = (np.empty(shape, order="F") for shape in ((kept, kept), (kept, joint), (joint, joint)))
    gather(one.couplings, other.couplings, ends, seam, outer, cross, inner)
    if failed := cholesky(inner):
        raise SimulationError(
            f"an edge of {joint} nodes is singular in float64 (pivot {failed})",
            where="array",
            remedy="wires and devices are too many orders of magnitude apart",
        )
    solve_triangle(inner, cross)
    add_product(cross, outer)
    return outer
