"""VTEAM: a memristor that moves only beyond threshold voltages."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ohmweave.devices.curve import Curve
from ohmweave.devices.dynamic import Dynamic
from ohmweave.devices.pulses import Pulses
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, require

__all__ = ["Vteam"]


@dataclass(frozen=True)
class Vteam(Dynamic):
    """v = (r_on + (r_off − r_on) x) i; x moves beyond the thresholds only.

    dx/dt = k_off/D (v/v_off − 1)^α_off above v_off, k_on/D (v/v_on − 1)^α_on below v_on, 0 between.
    S. Kvatinsky, M. Ramadan, E. Friedman and A. Kolodny, IEEE TCAS-II 62, 2015, with the linear resistance; the
    defaults are a published set. x = w/D goes from 0 (on) to 1 (off): positive voltage lowers the conductance.
    Between v_on and v_off nothing moves: read voltages belong there.

    Args:
        r_on: resistance at x = 0, ohm.
        r_off: resistance at x = 1, ohm.
        d: range of the published state w, m.
        k_on: speed below v_on, negative, m/s.
        k_off: speed above v_off, m/s.
        alpha_on: exponent, at least 1.
        alpha_off: exponent, at least 1.
        v_on: threshold, negative, V.
        v_off: threshold, V.
    """

    r_on: Annotated[float, Unit("ohm")] = 50.0
    r_off: Annotated[float, Unit("ohm")] = 1e3
    d: Annotated[float, Unit("m")] = 3e-9
    k_on: Annotated[float, Unit("m/s")] = -10.0
    k_off: Annotated[float, Unit("m/s")] = 5e-4
    alpha_on: float = 3.0
    alpha_off: float = 1.0
    v_on: Annotated[float, Unit("V")] = -0.2
    v_off: Annotated[float, Unit("V")] = 0.02

    def check(self) -> None:
        """Refuse impossible parameters by a DesignError."""
        require("device.r_on", self.r_on, "ohm", "50 ohm")
        require("device.d", self.d, "m", "3 nm")
        require("device.k_off", self.k_off, "m/s", "0.5 mm/s")
        require("device.v_off", self.v_off, "V", "20 mV")
        for name, unit, example in (("k_on", "m/s", "-10 m/s"), ("v_on", "V", "-0.2 V")):
            value = getattr(self, name)
            if not -float("inf") < value < 0.0:
                raise DesignError(
                    f"expected a negative value in {unit}, found {value:g} {unit}",
                    where=f"device.{name}",
                    remedy=f'try {name} = "{example}"',
                )
        for name in ("alpha_on", "alpha_off"):
            if not 1.0 <= getattr(self, name) < float("inf"):
                raise DesignError(
                    f"expected at least 1, found {getattr(self, name):g}",
                    where=f"device.{name}",
                    remedy=f"try {name} = 3.0",
                )
        if not self.r_on < self.r_off < float("inf"):
            raise DesignError(
                f"expected r_on < r_off, found {self.r_on:g} ohm and {self.r_off:g} ohm",
                where="device",
                remedy="give r_on the lower resistance",
            )

    @property
    def bounds(self) -> tuple[float, float]:
        """On, off."""
        return 0.0, 1.0

    @property
    def forward(self) -> bool:
        """Positive voltage switches off."""
        return True

    @property
    def curve(self) -> Curve:
        """A straight line."""
        return Curve()

    @property
    def pulses(self) -> Pulses:
        """Twice each threshold, at first for a thousandth of the time in which the slower one crosses the range."""
        width = 1e-3 * self.d / min(self.k_off, -self.k_on)
        return Pulses(up=2.0 * self.v_on, down=2.0 * self.v_off, width=width, shortest=1e-9 * width)

    def own_conductance(self, x: Array) -> Array:
        """1 / (r_on + (r_off − r_on) x), S."""
        return np.asarray(1.0 / (self.r_on + (self.r_off - self.r_on) * x))

    def own_state(self, g: Array) -> Array:
        """The x of ``g`` (S)."""
        return np.asarray((1.0 / g - self.r_on) / (self.r_off - self.r_on))

    def drift(self, u: Array, i: Array, x: Array) -> Array:
        """Both branches, of which one at most is not zero, 1/s."""
        off = self.k_off / self.d * np.maximum(u / self.v_off - 1.0, 0.0) ** self.alpha_off
        on = self.k_on / self.d * np.maximum(u / self.v_on - 1.0, 0.0) ** self.alpha_on
        return np.asarray(off + on)

    def conductance_expression(self, x: str) -> str:
        """G of the text ``x``."""
        return f"1.0/({self.r_on!r}+{self.r_off - self.r_on!r}*{x})"

    def state_expression(self, g: str) -> str:
        """The x of G(x) = g, of the text ``g``."""
        return f"(1.0/{g}-{self.r_on!r})/{self.r_off - self.r_on!r}"

    def drift_expression(self, u: str, i: str, x: str) -> str:
        """The drift of the texts of voltage, current and state."""
        off = f"{self.k_off / self.d!r}*pow(max({u}/{self.v_off!r}-1.0,0.0),{self.alpha_off!r})"
        on = f"{-self.k_on / self.d!r}*pow(max({u}/({self.v_on!r})-1.0,0.0),{self.alpha_on!r})"
        return f"{off}-{on}"
