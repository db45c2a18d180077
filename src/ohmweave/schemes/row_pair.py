"""The pair of rows, driven with opposite voltages."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ohmweave.units import Array

__all__ = ["RowPair"]


@dataclass(frozen=True)
class RowPair:
    """w = (G+ - G-) / k on two neighbouring rows, one column and one op-amp for each output.

    The transimpedance readout inverts, so G+ lies on the row that carries -v.
    """

    lines_per_input: ClassVar[int] = 2
    lines_per_output: ClassVar[int] = 1
    readout: ClassVar[str] = "transimpedance"

    def encode(self, w: Array, g_range: tuple[float, float], k: float) -> Array:
        """Row 2i (+v) carries G- and row 2i + 1 (-v) carries G+; see :class:`ohmweave.schemes.Scheme`."""
        g = np.full((2 * w.shape[0], w.shape[1]), g_range[0])
        g[0::2] += k * np.maximum(-w, 0.0)
        g[1::2] += k * np.maximum(w, 0.0)
        return g

    def decode(self, currents: Array, k: float) -> Array:
        """-I / k; see :class:`ohmweave.schemes.Scheme`."""
        return np.asarray(-currents / k)
