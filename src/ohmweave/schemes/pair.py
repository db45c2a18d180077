"""The differential pair of columns."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ohmweave.units import Array

__all__ = ["Pair"]


@dataclass(frozen=True)
class Pair:
    """w = (G+ - G-) / k on two neighbouring columns; the inactive arm rests at G_off."""

    lines_per_input: ClassVar[int] = 1
    lines_per_output: ClassVar[int] = 2
    readout: ClassVar[str] = "two_opamp"

    def encode(self, w: Array, g_range: tuple[float, float], k: float) -> Array:
        """Column 2j carries G+ and column 2j + 1 carries G-; see :class:`ohmweave.schemes.Scheme`."""
        g = np.full((w.shape[0], 2 * w.shape[1]), g_range[0])
        g[:, 0::2] += k * np.maximum(w, 0.0)
        g[:, 1::2] += k * np.maximum(-w, 0.0)
        return g

    def decode(self, currents: Array, k: float) -> Array:
        """(I+ - I-) / k; see :class:`ohmweave.schemes.Scheme`."""
        return np.asarray((currents[..., 0::2] - currents[..., 1::2]) / k)
