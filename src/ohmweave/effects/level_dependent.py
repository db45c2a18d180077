"""Programming error whose spread depends on the level, as measured on chips."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.polynomial import Polynomial
from numpy.random import Generator

from ohmweave.effects.limits import held_positive, require_between
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, require

__all__ = ["CMO_HFOX", "HFOX_AFTER_A_DAY", "HFOX_AFTER_A_SECOND", "LevelDependent"]


@dataclass(frozen=True)
class LevelDependent:
    """g' = g + scale sigma(g) z, sigma(g) = sum of c_k x^k, x = g / g_reference, z normal.

    Beyond g_reference, where nothing was measured, sigma stays what it is there. Where the error would leave a
    device below a tenth of G_off, the device stays there; above G_on nothing is cut. The default, and
    ``HFOX_AFTER_A_DAY``, are HfOx of W. Wan et al. (Nature 608, 2022), which relax within that time; the
    polynomials were fitted to its figures for IBM's aihwkit. ``CMO_HFOX`` is CMO/HfOx programmed to within 2 %
    (D. F. Falcone et al., arXiv 2502.04524, 2025), sigma = 0.0112 µS + 0.0113 g, measured from 9 to 88 µS.

    Args:
        sigma: the coefficients c_0, c_1, ..., S.
        g_reference: end of the measured range, S.
        scale: multiplies sigma; 0 is no error.

    Raises:
        DesignError: no coefficients, a spread below zero within the measured range, no positive reference,
            a scale below 0 or above 10.
    """

    sigma: Annotated[tuple[float, ...], Unit("S")] = (0.348e-6, 16.03e-6, -43.853e-6, 45.393e-6, -16.815e-6)
    g_reference: Annotated[float, Unit("S")] = 40e-6
    scale: float = 1.0

    def __post_init__(self) -> None:
        require("effects.level_dependent.g_reference", self.g_reference, "S", "40 uS")
        require_between("effects.level_dependent.scale", self.scale, 0.0, 10.0, "1.0")
        where, remedy = "effects.level_dependent.sigma", 'try sigma = ["1 uS"]'
        if not self.sigma:
            raise DesignError("expected at least one coefficient, found none", where=where, remedy=remedy)
        x, least = _lowest(Polynomial(self.sigma))
        # A spread that touches zero may come out a rounding below it.
        if not least >= -1e-12 * max(map(abs, self.sigma)):
            raise DesignError(
                f"expected a spread of at least 0 S, found {least:g} S at {x * self.g_reference:g} S",
                where=where,
                remedy=remedy,
            )

    def perturb(self, g: Array, g_range: tuple[float, float], rng: Generator) -> Array:
        """Conductances reached, S, for those asked, ``g`` (S)."""
        spread = self.scale * self.spread(g)
        return held_positive(np.asarray(g + spread * rng.standard_normal(g.shape)), g, g_range)

    def spread(self, g: Array) -> Array:
        """sigma(g), S."""
        return np.asarray(Polynomial(self.sigma)(np.minimum(g / self.g_reference, 1.0)))


def _lowest(polynomial: Polynomial) -> tuple[float, float]:
    """Where between 0 and 1 a polynomial is lowest, and its value there."""
    if not np.isfinite(polynomial.coef).all():
        return 0.0, float("nan")
    turns = polynomial.deriv().roots()
    # A double root comes out with a little of an imaginary part.
    turns = turns.real[(np.abs(turns.imag) < 1e-6) & (turns.real > 0.0) & (turns.real < 1.0)]
    places = np.concatenate([[0.0, 1.0], turns])
    values = polynomial(places)
    return float(places[values.argmin()]), float(values.min())


HFOX_AFTER_A_SECOND = LevelDependent()
HFOX_AFTER_A_DAY = LevelDependent(sigma=(0.701e-6, 22.086e-6, -50.773e-6, 47.095e-6, -16.458e-6))
CMO_HFOX = LevelDependent(sigma=(0.01122e-6, 0.01129 * 88.2e-6), g_reference=88.2e-6)
