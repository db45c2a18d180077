"""A finite number of programmable levels."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ohmweave.errors import DesignError
from ohmweave.units import Array

__all__ = ["Levels"]


@dataclass(frozen=True)
class Levels:
    """g' is the nearest of ``count`` conductances, evenly spaced from G_off to G_on, both included.

    There is no chance in it. CMO/HfOx has been shown with 35 levels (D. F. Falcone et al., arXiv 2502.04524, 2025).

    Args:
        count: number of levels.

    Raises:
        DesignError: fewer than 2 levels.
    """

    count: int = 32

    def __post_init__(self) -> None:
        if self.count < 2:
            raise DesignError(
                f"expected at least 2 levels, found {self.count}", where="effects.levels.count", remedy="try count = 32"
            )

    def perturb(self, g: Array, g_range: tuple[float, float], rng: Generator) -> Array:
        """Levels reached, S, for the conductances asked, ``g`` (S); beyond the range the outer levels."""
        g_off, g_on = g_range
        last = self.count - 1
        place = np.clip(np.round((g - g_off) / (g_on - g_off) * last), 0, last) / last
        # Weighted from both ends, so that the outer levels are G_off and G_on to the last digit.
        return np.asarray(g_off * (1.0 - place) + g_on * place)
