"""Programming error in proportion to the conductance, skewed as resistances are."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ohmweave.effects.limits import require_between
from ohmweave.units import Array

__all__ = ["LogNormal"]


@dataclass(frozen=True)
class LogNormal:
    """g' = g exp(sigma z), z normal, independent for each device.

    The median stays g, the mean is g exp(sigma² / 2); resistances are spread by the very same law. Used for
    memristors by B. Liu et al. (Vortex, DAC 2015).

    Args:
        sigma: standard deviation of ln g.

    Raises:
        DesignError: a spread below 0 or above 10.
    """

    sigma: float = 0.1

    def __post_init__(self) -> None:
        require_between("effects.lognormal.sigma", self.sigma, 0.0, 10.0, "0.1")

    def perturb(self, g: Array, g_range: tuple[float, float], rng: Generator) -> Array:
        """Conductances reached, S, for those asked, ``g`` (S)."""
        return np.asarray(g * np.exp(self.sigma * rng.standard_normal(g.shape)))
