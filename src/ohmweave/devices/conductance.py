"""The conductance range of a device and its programming to finite levels."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.random import Generator

from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, format_quantity

__all__ = ["ConductanceRange", "check_levels", "nearest_level"]


@dataclass(frozen=True)
class ConductanceRange:
    """Programmable conductances from ``g_off`` to ``g_on``.

    Args:
        g_off: lowest conductance, S.
        g_on: highest conductance, S.
        levels: number of evenly spaced levels between them, both included; 0 is analog.

    Raises:
        DesignError: g_off not below g_on, not positive, or a single level.
    """

    g_off: Annotated[float, Unit("S")] = 1e-6
    g_on: Annotated[float, Unit("S")] = 100e-6
    levels: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.g_off < self.g_on:
            raise DesignError(
                f"expected 0 S < g_off < g_on, found g_off = {format_quantity(self.g_off, 'S')} and "
                f"g_on = {format_quantity(self.g_on, 'S')}",
                where="device",
                remedy="give g_off the lower conductance",
            )
        check_levels(self.levels)

    @property
    def g_range(self) -> tuple[float, float]:
        """Lowest and highest conductance, S."""
        return self.g_off, self.g_on

    def program(self, target: Array, rng: Generator) -> Array:
        """Round each target (S) to the nearest level; analog devices reach it exactly."""
        return nearest_level(target, self.g_range, self.levels)


def check_levels(levels: int) -> None:
    """Refuse a number of levels that is neither 0 (analog) nor at least 2.

    Raises:
        DesignError: such a number.
    """
    if levels < 0 or levels == 1:
        raise DesignError(
            f"expected 0 (analog) or at least 2 levels, found {levels}", where="device.levels", remedy="set levels = 0"
        )


def nearest_level(target: Array, g_range: tuple[float, float], levels: int) -> Array:
    """Round each target (S) to the nearest of ``levels`` even steps from end to end of the range; 0 leaves it."""
    if levels == 0:
        return target.copy()
    g_off, g_on = g_range
    step = (g_on - g_off) / (levels - 1)
    return np.asarray(g_off + np.round((target - g_off) / step) * step)
