"""Dense kernels of BLAS and LAPACK without Python's lock, so that threads can work side by side.

SciPy's own wrappers hold the lock while they compute. These call the same routines of the same library
by the addresses that SciPy publishes for compiled code (``scipy.linalg.cython_blas``, ``cython_lapack``);
:mod:`ctypes` gives the lock up during a call. Matrices are float64, in Fortran order, contiguous.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ohmweave.units import Array

__all__ = ["add_product", "cholesky", "solve_triangle"]

# Read only, as threads share it.
_ONE = ctypes.c_double(1.0)
_ALPHABET = ctypes.create_string_buffer(bytes(range(128)))


@cache
def _routine(module: str, name: str, arguments: int) -> Callable[..., None]:
    # Here, for the same reason as in ohmweave.simulate.merging: it takes half a second to load.
    from numba.extending import get_cython_function_address

    address = get_cython_function_address(f"scipy.linalg.{module}", name)
    return ctypes.CFUNCTYPE(None, *(ctypes.c_void_p,) * arguments)(address)


def _call(module: str, name: str, letters: bytes, *arguments: Any) -> None:
    """Call a Fortran routine, every argument by reference: letters, then numbers in boxes and matrices."""
    places = [ctypes.addressof(_ALPHABET) + letter for letter in letters]
    places += [_place(each) if isinstance(each, np.ndarray) else ctypes.addressof(each) for each in arguments]
    _routine(module, name, len(places))(*places)


def _place(matrix: Array) -> int:
    if matrix.dtype != np.float64 or not matrix.flags.f_contiguous:
        raise ValueError(f"expected float64 in Fortran order, found {matrix.dtype} with strides {matrix.strides}")
    return matrix.ctypes.data


def cholesky(matrix: Array) -> int:
    """Factorise X = L L^T in place; only the lower triangle is read and written (LAPACK potrf).

    Args:
        matrix: X, shape [n, n]; becomes L.

    Returns:
        0, or the number of the first pivot that is not positive.
    """
    n, failed = ctypes.c_int(len(matrix)), ctypes.c_int(0)
    _call("cython_lapack", "dpotrf", b"L", n, matrix, n, failed)
    return failed.value


def solve_triangle(factor: Array, right: Array) -> None:
    """Make ``right`` ``right`` L^-T in place, by the inverse of L (LAPACK trtri, BLAS trmm).

    That is faster than BLAS trsm, which does the same, and where L is the factor of an M-matrix, and so its
    inverse positive, no less exact.

    Args:
        factor: L, shape [n, n], without zeros on its diagonal; becomes L^-1. Only the lower triangle is used.
        right: shape [k, n].
    """
    k, n = (ctypes.c_int(size) for size in right.shape)
    failed = ctypes.c_int(0)
    _call("cython_lapack", "dtrtri", b"LN", n, factor, n, failed)
    _call("cython_blas", "dtrmm", b"RLTN", k, n, _ONE, factor, n, right, k)


def add_product(shares: Array, total: Array) -> None:
    """Add Z Z^T (Z of shape [k, n]) to the lower triangle of ``total`` (BLAS syrk)."""
    k, n = (ctypes.c_int(size) for size in shares.shape)
    _call("cython_blas", "dsyrk", b"LN", k, n, _ONE, shares, k, _ONE, total, k)
