"""Logarithmic relaxation, as of CMO/HfOx memory."""

import math
from dataclasses import dataclass
from typing import Annotated

from numpy.random import Generator

from ohmweave.effects.limits import MOST_TIME, held_positive
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, format_quantity, require

__all__ = ["Relaxation"]


@dataclass(frozen=True)
class Relaxation:
    """g(t) = g - decay ln(t / 1 s) + (sigma + growth ln(t / 1 s)) z, z normal, independent for each device.

    CMO/HfOx of D. F. Falcone et al. (arXiv 2502.04524, 2025), measured from 9 to 88 µS and found independent of
    the level; values of the fit as IBM's aihwkit carries it. Where it would leave a device below a tenth of G_off,
    the device stays there.

    Args:
        t: time since programming, at least 1 s.
        decay: loss of conductance for each e-fold of time, S.
        sigma: standard deviation after 1 s, S.
        growth: what it gains for each e-fold of time, S.

    Raises:
        DesignError: t not within 1 s .. 1e12 s, other values below 0.
    """

    t: Annotated[float, Unit("s")] = 86400.0
    decay: Annotated[float, Unit("S")] = 0.089e-6
    sigma: Annotated[float, Unit("S")] = 0.412e-6
    growth: Annotated[float, Unit("S")] = 0.042e-6

    def __post_init__(self) -> None:
        require("effects.relaxation.t", self.t, "s", "86.4 ks")
        if not 1.0 <= self.t <= MOST_TIME:
            raise DesignError(
                f"expected a time from 1 s to {MOST_TIME:g} s, found {format_quantity(self.t, 's')}",
                where="effects.relaxation.t",
                remedy='try t = "86.4 ks", a day',
            )
        for name, example in (("decay", "89 nS"), ("sigma", "412 nS"), ("growth", "42 nS")):
            require(f"effects.relaxation.{name}", getattr(self, name), "S", example, zero=True)

    def perturb(self, g: Array, g_range: tuple[float, float], rng: Generator) -> Array:
        """Conductances at time t, S, of devices programmed to ``g`` (S)."""
        e_folds = math.log(self.t)
        spread = self.sigma + self.growth * e_folds
        return held_positive(g - self.decay * e_folds + spread * rng.standard_normal(g.shape), g, g_range)
