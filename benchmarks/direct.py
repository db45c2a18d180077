"""Sparse direct solvers as peers, each at its best: a wired array's nodal equations, factorised and solved.

Used by the programs beside it. A solver takes the symmetric positive definite matrix of the inner nodes and
returns what answers blocks of right-hand sides. CHOLMOD is only as quick as the BLAS below it: on Debian
install libopenblas0 beside libsuitesparse-dev, else it runs on the reference BLAS.
"""

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve
from scipy.sparse import csc_matrix, csr_matrix, diags_array, eye_array, kron, triu, vstack
from scipy.sparse.linalg import splu

from ohmweave.units import Array

if TYPE_CHECKING:
    from pypardiso import PyPardisoSolver

__all__ = [
    "admittance_matrix",
    "klu",
    "needs",
    "pardiso",
    "pardiso_schur",
    "simplicial",
    "solved_in_blocks",
    "superlu",
    "supernodal",
]

Solver = Callable[[csc_matrix], Callable[[Array], Array]]
_BLOCK = 64


def admittance_matrix(g: Array, r_row: float, r_col: float) -> tuple[csc_matrix, Array, Array]:
    """Nodal matrix of the inner nodes, columns grounded, and the nodes that row and column ports touch.

    Args:
        g: conductances, [N, N], S.
        r_row: resistance of a row segment, ohm.
        r_col: resistance of a column segment, ohm.
    """
    n = len(g)
    chain = diags_array([-np.ones(n - 1), np.append(np.full(n - 1, 2.0), 1.0), -np.ones(n - 1)], offsets=[-1, 0, 1])
    word = kron(eye_array(n), chain / r_row)
    bit = kron(chain.toarray()[::-1, ::-1] / r_col, eye_array(n))
    devices = diags_array(g.ravel())
    upper, lower = (
        csc_matrix(block)
        for block in (
            vstack([word + devices, -devices]).T,
            vstack([-devices, bit + devices]).T,
        )
    )
    matrix = csc_matrix(vstack([upper, lower]))
    return matrix, np.arange(n) * n, n * n + (n - 1) * n + np.arange(n)


def solved_in_blocks(solver: Solver, matrix: csc_matrix, sources: Array, wanted: Array) -> Array:
    """Voltages at the ``wanted`` nodes for 1 A into each of the ``sources``, [wanted, sources], ohm."""
    answer, transfer = solver(matrix), np.empty((len(wanted), len(sources)))
    for left in range(0, len(sources), _BLOCK):
        block = sources[left : left + _BLOCK]
        right = np.zeros((matrix.shape[0], len(block)), order="F")
        right[block, np.arange(len(block))] = 1.0
        transfer[:, left : left + len(block)] = answer(right)[wanted]
    return transfer


def superlu(matrix: csc_matrix) -> Callable[[Array], Array]:
    """SciPy's own, told of the symmetry."""
    factor = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return factor.solve  # type: ignore[no-any-return]


def supernodal(matrix: csc_matrix) -> Callable[[Array], Array]:
    """CHOLMOD by dense blocks: the quicker factorisation."""
    from sksparse.cholmod import cholesky

    return cholesky(matrix, mode="supernodal", ordering_method="amd").solve_A  # type: ignore[no-any-return]


def simplicial(matrix: csc_matrix) -> Callable[[Array], Array]:
    """CHOLMOD by single entries: the quicker solution."""
    from sksparse.cholmod import cholesky

    return cholesky(matrix, mode="simplicial", ordering_method="amd").solve_A  # type: ignore[no-any-return]


def klu(matrix: csc_matrix) -> Callable[[Array], Array]:
    """SuiteSparse's solver for circuits."""
    from PyKLU import Klu

    return Klu(matrix).solve  # type: ignore[no-any-return]


def pardiso(matrix: csc_matrix) -> Callable[[Array], Array]:
    """MKL's solver."""
    upper, solver = _upper(matrix), _emptied()
    solver.set_iparm(36, 0)
    solver.perm = np.zeros(0, dtype=np.int32)
    solver.factorize(upper)
    return lambda right: np.asarray(solver.solve(upper, right))


def pardiso_schur(matrix: csc_matrix, sources: Array, wanted: Array) -> Array:
    """As :func:`solved_in_blocks` does, from the Schur complement of these nodes by MKL's solver."""
    upper, solver = _upper(matrix), _emptied()
    kept = np.unique(np.concatenate([sources, wanted]))
    solver.set_iparm(36, 1)
    solver.perm = np.zeros(matrix.shape[0], dtype=np.int32)
    solver.perm[kept] = 1
    solver.set_phase(12)
    # The complement comes back in place of a solution, row by row, its upper triangle filled.
    room = np.zeros((matrix.shape[0], -(-(len(kept) ** 2) // matrix.shape[0])), order="F")
    found = np.ravel(solver._call_pardiso(upper, room), order="F")[: len(kept) ** 2].reshape(len(kept), -1)
    complement = np.triu(found) + np.triu(found, 1).T
    right = np.zeros((len(kept), len(sources)))
    right[np.searchsorted(kept, sources), np.arange(len(sources))] = 1.0
    answer = solve(complement, right, assume_a="pos", check_finite=False)
    return np.asarray(answer[np.searchsorted(kept, wanted)])


def _emptied() -> "PyPardisoSolver":
    solver = _pardiso()
    solver.free_memory(everything=True)
    return solver


@cache
def _pardiso() -> "PyPardisoSolver":
    # Finding MKL takes a second, which is no part of solving.
    from pypardiso import PyPardisoSolver

    solver = PyPardisoSolver(mtype=2)
    solver.set_iparm(1, 1)  # the settings are ours ...
    solver.set_iparm(2, 2)  # ... and this one is nested dissection
    return solver


def _upper(matrix: csc_matrix) -> csr_matrix:
    upper = csr_matrix(triu(matrix))
    upper.sort_indices()
    return upper


def needs(module: str) -> Callable[[], str]:
    """Says why a solver cannot run here, empty if it can."""
    return lambda: "" if importlib.util.find_spec(module) else f"{module} is not installed"
