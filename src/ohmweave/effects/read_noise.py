"""Fluctuation of conductances at the moment they are read."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ohmweave.effects.limits import LEAST_SHARE, require_between
from ohmweave.units import Array

__all__ = ["ReadNoise"]


@dataclass(frozen=True)
class ReadNoise:
    """g' = g (1 + sigma z), z normal, independent for each device.

    A DC solution is one moment of a chip: every device has one draw, the same for all samples of a run; other
    moments are other seeds. 1/f and telegraph noise both look so over times short beside theirs. About 1 % is
    what IBM's aihwkit advises for the HfOx devices of W. Wan et al. (Nature 608, 2022). No device falls below
    a tenth of its own conductance.

    Args:
        sigma: standard deviation relative to the device's own conductance.

    Raises:
        DesignError: a spread below 0 or above 10.
    """

    sigma: float = 0.01

    def __post_init__(self) -> None:
        require_between("effects.read_noise.sigma", self.sigma, 0.0, 10.0, "0.01")

    def perturb(self, g: Array, g_range: tuple[float, float], rng: Generator) -> Array:
        """Conductances at the moment of reading, S, of devices that are ``g`` (S) on average."""
        return np.asarray(g * np.maximum(1.0 + self.sigma * rng.standard_normal(g.shape), LEAST_SHARE))
