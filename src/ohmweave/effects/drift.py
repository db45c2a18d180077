"""Power-law drift, as of phase-change memory."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.random import Generator

from ohmweave.effects.limits import MOST_TIME, require_between
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, format_quantity, require

__all__ = ["Drift"]


@dataclass(frozen=True)
class Drift:
    """g(t) = g (t / t0)^-n, n = nu + nu_sigma z, z normal, independent for each device.

    The structural relaxation of phase-change memory: I. Boybat et al. (NVMTS 2018), V. Joshi et al. (Nature
    Communications 11, 2020). The 10,000 devices of S. R. Nandakumar et al. (ICECS 2019), as IBM's aihwkit fits
    them, have nu = 0.049 and nu_sigma = 0.008 at the highest conductance, up to 0.1 and 0.045 at the lowest,
    with t0 = 20 s.

    Args:
        t: time since programming, s.
        t0: time at which ``g`` was read after programming, s.
        nu: mean exponent.
        nu_sigma: its standard deviation from device to device.

    Raises:
        DesignError: times that are not positive, t not within t0 .. 1e12 t0, exponents below 0 or above 1.
    """

    t: Annotated[float, Unit("s")] = 86400.0
    t0: Annotated[float, Unit("s")] = 20.0
    nu: float = 0.05
    nu_sigma: float = 0.01

    def __post_init__(self) -> None:
        require("effects.drift.t0", self.t0, "s", "20 s")
        require("effects.drift.t", self.t, "s", "86.4 ks")
        if not self.t0 <= self.t <= MOST_TIME * self.t0:
            raise DesignError(
                f"expected a time from t0 = {format_quantity(self.t0, 's')} to {MOST_TIME:g} t0, "
                f"found {format_quantity(self.t, 's')}",
                where="effects.drift.t",
                remedy='try t = "86.4 ks", a day',
            )
        require_between("effects.drift.nu", self.nu, 0.0, 1.0, "0.05")
        require_between("effects.drift.nu_sigma", self.nu_sigma, 0.0, 1.0, "0.01")

    def perturb(self, g: Array, g_range: tuple[float, float], rng: Generator) -> Array:
        """Conductances at time t, S, of devices that were ``g`` (S) at t0."""
        exponents = self.nu + self.nu_sigma * rng.standard_normal(g.shape)
        return np.asarray(g * np.exp(-exponents * math.log(self.t / self.t0)))
