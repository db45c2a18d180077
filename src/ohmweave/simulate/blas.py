"""Three dense kernels of BLAS and LAPACK without Python's lock, so that threads can work side by side.

SciPy's own wrappers hold the lock while they compute. These call the same routines of the same library
by the addresses that SciPy publishes for compiled code (``scipy.linalg.cython_blas``, ``cython_lapack``);
:mod:`ctypes` gives the lock up during a call. Matrices are float64, in Fortran order, contiguous.
"""

import ctypes
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from scipy.linalg import cython_blas

from ohmweave.units import Array

__all__ = ["add_product", "cholesky", "one_thread_each", "solve_triangle"]

_BOXES: Mapping[type, Callable[[Any], Any]] = {bytes: ctypes.c_char, int: ctypes.c_int, float: ctypes.c_double}
_PREFIXES = ("scipy_openblas", "openblas")


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Keep SciPy's BLAS from dividing single calls among threads, for callers that have threads of their own.

    Where the library is not OpenBLAS nothing changes. The setting is the process's: not to be nested.
    """
    # Its dependencies are searched too, and the BLAS is one of them.
    library = ctypes.CDLL(cython_blas.__file__)
    found = [prefix for prefix in _PREFIXES if hasattr(library, f"{prefix}_set_num_threads")]
    if not found:
        yield
        return
    get = getattr(library, f"{found[0]}_get_num_threads")
    put = getattr(library, f"{found[0]}_set_num_threads")
    before = get()
    put(1)
    try:
        yield
    finally:
        put(before)


@cache
def _routine(module: str, name: str, arguments: int) -> Callable[..., None]:
    # Here, for the same reason as in ohmweave.simulate.merging: it takes half a second to load.
    from numba.extending import get_cython_function_address

    address = get_cython_function_address(f"scipy.linalg.{module}", name)
    return ctypes.CFUNCTYPE(None, *(ctypes.c_void_p,) * arguments)(address)


def _call(module: str, name: str, *arguments: Any) -> None:
    """Call a Fortran routine, every argument by reference: letters, whole numbers, numbers and matrices."""
    boxes = [each if isinstance(each, np.ndarray | ctypes.c_int) else _BOXES[type(each)](each) for each in arguments]
    places = [_place(box) if isinstance(box, np.ndarray) else ctypes.addressof(box) for box in boxes]
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
    n, failed = len(matrix), ctypes.c_int(0)
    _call("cython_lapack", "dpotrf", b"L", n, matrix, n, failed)
    return failed.value


def solve_triangle(factor: Array, right: Array, *, wide: bool) -> None:
    """Make ``right`` L^-1 ``right`` ([n, k], ``wide``) or ``right`` L^-T ([k, n]) in place (BLAS trsm)."""
    rows, cols = right.shape
    letters = (b"L", b"L", b"N", b"N") if wide else (b"R", b"L", b"T", b"N")
    _call("cython_blas", "dtrsm", *letters, rows, cols, 1.0, factor, len(factor), right, rows)


def add_product(shares: Array, total: Array, *, wide: bool) -> None:
    """Add Z^T Z (Z of shape [n, k], ``wide``) or Z Z^T ([k, n]) to the lower triangle of ``total`` (BLAS syrk)."""
    k, n = len(total), shares.shape[0 if wide else 1]
    turned = b"T" if wide else b"N"
    _call("cython_blas", "dsyrk", b"L", turned, k, n, 1.0, shares, shares.shape[0], 1.0, total, k)
