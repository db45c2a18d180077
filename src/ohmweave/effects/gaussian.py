"""Programming error with the same spread at every conductance."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ohmweave.effects.limits import held_positive, require_between
from ohmweave.units import Array

__all__ = ["Gaussian"]


@dataclass(frozen=True)
class Gaussian:
    """g' = g + sigma (G_on - G_off) z, z normal, independent for each device.

    The state-independent error of T. P. Xiao et al., IEEE Circuits and Systems Magazine 22(4), 2022. Where it
    would leave a device below a tenth of G_off, the device stays there; above G_on nothing is cut.

    Args:
        sigma: standard deviation as a share of the range; 0.01 is what the best devices do, 0.06 the worst
            level of HfOx a second after programming (:class:`ohmweave.effects.LevelDependent`).

    Raises:
        DesignError: a spread below 0 or above 10.
    """

    sigma: float = 0.03

    def __post_init__(self) -> None:
        require_between("effects.gaussian.sigma", self.sigma, 0.0, 10.0, "0.03")

    def perturb(self, g: Array, g_range: tuple[float, float], rng: Generator) -> Array:
        """Conductances reached, S, for those asked, ``g`` (S)."""
        spread = self.sigma * (g_range[1] - g_range[0])
        return held_positive(np.asarray(g + spread * rng.standard_normal(g.shape)), g, g_range)
