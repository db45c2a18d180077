"""What a set of samples is: its arrays, its largest size, and the error about one of its files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ohmweave.errors import DataError
from ohmweave.units import Array

__all__ = ["MAX_VALUES", "Data", "Labels", "bad"]

Labels = NDArray[np.int64]

# 4 GiB of float64: beyond it a malformed header is likelier than a real test set.
MAX_VALUES = 2**29


@dataclass(frozen=True, eq=False)
class Data:
    """Samples, their classes where known, and the specification they came from.

    Args:
        x: samples, shape [samples, ...], float64.
        y: class numbers from 0, shape [samples], or ``None``.
        name: the specification, with its split.
    """

    x: Array
    y: Labels | None
    name: str


def bad(where: str | Path, message: str, remedy: str) -> DataError:
    """The error about one file."""
    return DataError(message, where=str(where), remedy=remedy)
