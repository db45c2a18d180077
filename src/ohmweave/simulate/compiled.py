"""Compiled kernels: how the inner loops of the engine are turned into machine code."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba

__all__ = ["compiled"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


def compiled(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Compile a function on its first call, without Python's lock; keep the code on disk where that can be.

    Contraction and reassociation are allowed, NaN and infinity keep their meaning; dividing by zero is quiet.
    """
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "reassoc"}, "nogil": True}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no folder to keep compiled code in
        return numba.njit(**options)(function)  # type: ignore[no-any-return]
