"""Linear ion drift: a doped and an undoped part of an oxide in series, their border moved by the charge."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ohmweave.devices.curve import Curve
from ohmweave.devices.dynamic import Dynamic
from ohmweave.devices.pulses import Pulses
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, require

__all__ = ["LinearIonDrift"]

_WINDOWS = ("joglekar", "biolek")


@dataclass(frozen=True)
class LinearIonDrift(Dynamic):
    """v = (r_on x + r_off (1 − x)) i, dx/dt = µ r_on / D² i F(x, i), x the doped share, from 0 to 1.

    D. Strukov et al., Nature 453, 2008, with a window F that stops the border at the ends: F = 1 − (2x − 1)^(2p)
    (Y. Joglekar and S. Wolf, Eur. J. Phys. 30, 2009), from whose ends no current leads back, or
    F = 1 − (x − step(−i))^(2p) (Z. Biolek et al., Radioengineering 18, 2009), which lets the border return.
    Every current moves the state, a read current too: there is no threshold.

    Args:
        r_on: resistance when all is doped, ohm.
        r_off: resistance when nothing is, ohm.
        d: thickness of the film, m.
        mobility: of the dopants, m²/(V s).
        p: exponent of the window, at least 1.
        window: ``"joglekar"`` or ``"biolek"``.
    """

    r_on: Annotated[float, Unit("ohm")] = 100.0
    r_off: Annotated[float, Unit("ohm")] = 16e3
    d: Annotated[float, Unit("m")] = 10e-9
    mobility: float = 1e-14
    p: int = 2
    window: str = "biolek"

    def check(self) -> None:
        """Refuse impossible parameters by a DesignError."""
        require("device.r_on", self.r_on, "ohm", "100 ohm")
        require("device.d", self.d, "m", "10 nm")
        require("device.mobility", self.mobility, "m²/(V s)", "1e-14")
        if not self.r_on < self.r_off < float("inf"):
            raise DesignError(
                f"expected r_on < r_off, found {self.r_on:g} ohm and {self.r_off:g} ohm",
                where="device",
                remedy="give r_on the lower resistance",
            )
        if self.p < 1:
            raise DesignError(f"expected at least 1, found {self.p}", where="device.p", remedy="try p = 2")
        if self.window not in _WINDOWS:
            raise DesignError(
                f"expected {' or '.join(map(repr, _WINDOWS))}, found {self.window!r}",
                where="device.window",
                remedy='try window = "biolek"',
            )

    @property
    def bounds(self) -> tuple[float, float]:
        """Nothing doped, all doped."""
        return 0.0, 1.0

    @property
    def forward(self) -> bool:
        """Positive voltage drives dopants in."""
        return True

    @property
    def curve(self) -> Curve:
        """A straight line."""
        return Curve()

    @property
    def pulses(self) -> Pulses:
        """A volt, at first for a thousandth of the time in which it would move the border from end to end at r_on."""
        width = 1e-3 * self.d**2 / self.mobility
        return Pulses(up=1.0, down=-1.0, width=width, shortest=1e-6 * width)

    def own_conductance(self, x: Array) -> Array:
        """1 / (r_on x + r_off (1 − x)), S."""
        return np.asarray(1.0 / (self.r_on * x + self.r_off * (1.0 - x)))

    def own_state(self, g: Array) -> Array:
        """The doped share at ``g`` (S)."""
        return np.asarray((self.r_off - 1.0 / g) / (self.r_off - self.r_on))

    def drift(self, u: Array, i: Array, x: Array) -> Array:
        """µ r_on / D² i F(x, i), 1/s."""
        away = 2.0 * x - 1.0 if self.window == "joglekar" else x - np.where(u > 0.0, 0.0, 1.0)
        return np.asarray(self._speed * i * (1.0 - (away * away) ** self.p))

    def conductance_expression(self, x: str) -> str:
        """G of the text ``x``."""
        return f"1.0/({self.r_off!r}-{self.r_off - self.r_on!r}*{x})"

    def state_expression(self, g: str) -> str:
        """The x of G(x) = g, of the text ``g``."""
        return f"({self.r_off!r}-1.0/{g})/{self.r_off - self.r_on!r}"

    def drift_expression(self, u: str, i: str, x: str) -> str:
        """The drift of the texts of voltage, current and state."""
        away = f"(2.0*{x}-1.0)" if self.window == "joglekar" else f"({x}-(({u}>0)?0.0:1.0))"
        return f"{self._speed!r}*{i}*(1.0-pow({away}*{away},{self.p}))"

    @property
    def _speed(self) -> float:
        """µ r_on / D², 1/(A s)."""
        return self.mobility * self.r_on / self.d**2
