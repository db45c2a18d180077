"""The conductance range of a device and its programming to finite levels."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.random import Generator

from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, format_quantity

__all__ = ["ConductanceRange"]


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
        if self.levels < 0 or self.levels == 1:
            raise DesignError(
                f"expected 0 (analog) or at least 2 levels, found {self.levels}",
                where="device.levels",
                remedy="set levels = 0",
            )

    @property
    def g_range(self) -> tuple[float, float]:
        """Lowest and highest conductance, S."""
        return self.g_off, self.g_on

    def program(self, target: Array, rng: Generator) -> Array:
        """Round each target (S) to the nearest level; analog devices reach it exactly."""
        if self.levels == 0:
            return target.copy()
        step = (self.g_on - self.g_off) / (self.levels - 1)
        return np.asarray(self.g_off + np.round((target - self.g_off) / step) * step)
