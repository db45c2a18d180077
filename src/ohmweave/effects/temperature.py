"""Memristors and wires warmer or colder than when they were programmed."""

import math
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
from numpy.random import Generator

from ohmweave.effects.limits import require_between
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit

__all__ = ["ROOM", "Temperature"]

# 27 degrees Celsius, where SPICE and the circuits here stand.
ROOM: Final = 300.15
_COLDEST, _HOTTEST = 200.0, 500.0
_STEEPEST = 0.02


@dataclass(frozen=True)
class Temperature:
    """g' = g exp((alpha(g) + sigma z) (T - T0)), z normal, independent for each device; R' = R (1 + wire (T - T0)).

    alpha(g) is alpha_off at G_off and alpha_on at G_on, linear in ln g between them and constant beyond: low
    conductances are thermally activated and rise, high ones are those of a metallic filament and fall, and
    coefficients differ from device to device (HfOx: H. Xu et al., J. Phys. D 55, 2022). Over some tens of kelvins
    the exponential is the usual 1 + alpha (T - T0), and it never leaves a device below zero. The defaults are orders
    of magnitude and no measured figures. Wires are of copper (J. H. Dellinger, Bulletin of the Bureau of Standards
    7, 1911: 0.00393 /K at 20 degrees Celsius). Circuits around the arrays stay at 27 degrees Celsius.

    Args:
        t: temperature of the chip, K.
        t0: temperature at which its devices were programmed, and for which wires are stated, K.
        alpha_off: coefficient at G_off, 1/K.
        alpha_on: coefficient at G_on, 1/K.
        sigma: standard deviation of the coefficient, 1/K.
        wire: coefficient of the wires' resistance, 1/K.

    Raises:
        DesignError: temperatures outside 200 K .. 500 K, coefficients beyond 0.02 /K.
    """

    t: Annotated[float, Unit("K")] = ROOM
    t0: Annotated[float, Unit("K")] = ROOM
    alpha_off: float = 2e-3
    alpha_on: float = -1e-3
    sigma: float = 2e-4
    wire: float = 3.9e-3

    def __post_init__(self) -> None:
        for name in ("t", "t0"):
            kelvin = getattr(self, name)
            if not _COLDEST <= kelvin <= _HOTTEST:
                raise DesignError(
                    f"expected a temperature from {_COLDEST:g} K to {_HOTTEST:g} K, found {kelvin:g} K",
                    where=f"effects.temperature.{name}",
                    remedy=f'try {name} = "350 K"',
                )
        for name, example in (("alpha_off", "2e-3"), ("alpha_on", "-1e-3")):
            require_between(f"effects.temperature.{name}", getattr(self, name), -_STEEPEST, _STEEPEST, example)
        require_between("effects.temperature.sigma", self.sigma, 0.0, _STEEPEST, "2e-4")
        # So that no wire falls to nothing between the ends of the range above.
        require_between("effects.temperature.wire", self.wire, 0.0, 5e-3, "3.9e-3")
        if self.wire * (self.t - self.t0) <= -1.0:
            raise DesignError(
                f"expected wires with a resistance, found none at {self.t:g} K",
                where="effects.temperature.wire",
                remedy="lower it, or raise t",
            )

    def perturb(self, g: Array, g_range: tuple[float, float], rng: Generator) -> Array:
        """Conductances at temperature t, S, of devices that are ``g`` (S) at t0."""
        low, high = g_range
        place = np.clip(np.log(g / low) / math.log(high / low), 0.0, 1.0)
        coefficient = self.alpha_off + (self.alpha_on - self.alpha_off) * place
        coefficient = coefficient + self.sigma * rng.standard_normal(g.shape)
        return np.asarray(g * np.exp(coefficient * (self.t - self.t0)))

    def wires(self, ohms: float) -> float:
        """Resistance at temperature t, ohm, of a wire that has ``ohms`` at t0."""
        return ohms * (1.0 + self.wire * (self.t - self.t0))
