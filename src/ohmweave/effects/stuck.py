"""Devices that cannot be programmed."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.random import Generator

from ohmweave.effects.limits import require_between
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, require

__all__ = ["Stuck"]


@dataclass(frozen=True)
class Stuck:
    """Each device is, by chance, stuck at G_on, stuck at G_off, never electroformed, or as it was.

    A device whose electroforming failed keeps the conductance of its pristine film, so far below G_off that
    what it is matters little; it stays a resistor, so that no circuit loses a node by it. Kinds of failure:
    C.-Y. Chen et al., IEEE Trans. Computers 64, 2015 (over-forming and stuck devices of a 4-Mb HfO2 chip);
    A. Mehonic et al., Frontiers in Neuroscience 13, 2019 (yield and stuck devices in inference). Rates differ
    between chips from below 1 to some 10 %: without any given, no device fails.

    Args:
        on: share of devices stuck at G_on.
        off: share of devices stuck at G_off.
        unformed: share of devices that were not electroformed.
        g_pristine: their conductance, S; 1 nS is an order of magnitude for thin oxides. 0 makes them opens (nan).

    Raises:
        DesignError: a share below 0 or above 1, shares of more than 1 together, a conductance below 0.
    """

    on: float = 0.0
    off: float = 0.0
    unformed: float = 0.0
    g_pristine: Annotated[float, Unit("S")] = 1e-9

    def __post_init__(self) -> None:
        for name in ("on", "off", "unformed"):
            require_between(f"effects.stuck.{name}", getattr(self, name), 0.0, 1.0, "0.01")
        total = math.fsum((self.on, self.off, self.unformed))
        if total > 1.0:
            raise DesignError(
                f"expected on, off and unformed to be at most 1 together, found {total:g}",
                where="effects.stuck",
                remedy="a device fails in one way only: lower the shares",
            )
        require("effects.stuck.g_pristine", self.g_pristine, "S", "1 nS", zero=True)

    def perturb(self, g: Array, g_range: tuple[float, float], rng: Generator) -> Array:
        """Conductances, S, ``g`` (S) where the device works."""
        g_off, g_on = g_range
        pristine = self.g_pristine if self.g_pristine > 0.0 else math.nan
        # One draw decides, so that no device fails in two ways.
        luck = rng.random(g.shape)
        kinds = [luck < self.on, luck < self.on + self.off, luck < self.on + self.off + self.unformed]
        return np.where(np.isnan(g), g, np.select(kinds, [g_on, g_off, pristine], g))
