"""Spread of the I-V curve's shape from device to device."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ohmweave.effects.limits import require_between
from ohmweave.units import Array

__all__ = ["Curvature"]


@dataclass(frozen=True)
class Curvature:
    """s' = s exp(sigma z), z normal, independent for each device; conductances at small voltages stay.

    s scales a device's voltage, i = s law(v / s, g) (:func:`ohmweave.devices.bent`): for a sinh it is v0 that is
    spread about its median. Resistors have no curve and stay what they are. This is a model, not a measured
    figure: the gap models that v0 comes from (Jiang et al., IEEE TED 2016) give one value for all devices, and a
    lognormal law keeps it positive as it does conductances (:class:`ohmweave.effects.LogNormal`).

    Args:
        sigma: standard deviation of ln s.

    Raises:
        DesignError: a spread below 0 or above 1.
    """

    sigma: float = 0.05

    def __post_init__(self) -> None:
        require_between("effects.curvature.sigma", self.sigma, 0.0, 1.0, "0.05")

    def perturb(self, g: Array, g_range: tuple[float, float], rng: Generator) -> Array:
        """The conductances themselves, S."""
        return g.copy()

    def bend(self, s: Array, rng: Generator) -> Array:
        """Voltage scales, no unit, of devices that had ``s``."""
        return np.asarray(s * np.exp(self.sigma * rng.standard_normal(s.shape)))
