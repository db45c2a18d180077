"""Yakopcic's generalised memristor: sinh conduction, thresholds, motion that slows towards the ends."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ohmweave.devices.curve import Curve
from ohmweave.devices.dynamic import Dynamic
from ohmweave.devices.pulses import Pulses
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, require

__all__ = ["Yakopcic"]


@dataclass(frozen=True)
class Yakopcic(Dynamic):
    """i = a x sinh(b v), a = a1 for v ≥ 0 and a2 below; dx/dt = η g(v) f(x).

    g(v) = A_p (exp(v) − exp(V_p)) above V_p, −A_n (exp(−v) − exp(V_n)) below −V_n, 0 between. Where η v ≥ 0,
    f(x) = exp(−α_p (x − x_p)) ((x_p − x)/(1 − x_p) + 1) for x ≥ x_p and 1 below; elsewhere
    f(x) = exp(α_n (x + x_n − 1)) x/(1 − x_n) for x ≤ 1 − x_n and 1 above. C. Yakopcic, T. Taha,
    G. Subramanyam and R. Pino, IEEE TCAD 32, 2013; the defaults are a published set. A conductance g at small
    positive voltages is x = g / (a1 b).

    Args:
        a1: current of x = 1 at positive voltages, A.
        a2: at negative ones, A.
        b: 1/V.
        v_p: threshold, V.
        v_n: magnitude of the negative threshold, V.
        a_p: speed above v_p, 1/s.
        a_n: speed below −v_n, 1/s.
        x_p: state from which motion upwards slows, between 0 and 1.
        x_n: 1 − x_n is the state from which motion downwards slows.
        alpha_p: how fast it slows.
        alpha_n: how fast it slows.
        eta: 1, or −1 for a device that positive voltage switches off.
        x_min: lowest state, so that there is a lowest conductance.
    """

    a1: Annotated[float, Unit("A")] = 0.17
    a2: Annotated[float, Unit("A")] = 0.17
    b: float = 0.05
    v_p: Annotated[float, Unit("V")] = 0.16
    v_n: Annotated[float, Unit("V")] = 0.15
    a_p: float = 4000.0
    a_n: float = 4000.0
    x_p: float = 0.3
    x_n: float = 0.5
    alpha_p: float = 1.0
    alpha_n: float = 5.0
    eta: int = 1
    x_min: float = 0.01

    def check(self) -> None:
        """Refuse impossible parameters by a DesignError."""
        for name, unit, example in (
            ("a1", "A", "0.17 A"),
            ("a2", "A", "0.17 A"),
            ("b", "1/V", "0.05"),
            ("v_p", "V", "0.16 V"),
            ("v_n", "V", "0.15 V"),
            ("a_p", "1/s", "4000.0"),
            ("a_n", "1/s", "4000.0"),
        ):
            require(f"device.{name}", getattr(self, name), unit, example)
        for name in ("x_p", "x_n", "x_min"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise DesignError(
                    f"expected a state between 0 and 1, found {getattr(self, name):g}",
                    where=f"device.{name}",
                    remedy=f"try {name} = 0.3",
                )
        if self.eta not in {-1, 1}:
            raise DesignError(f"expected 1 or -1, found {self.eta}", where="device.eta", remedy="try eta = 1")

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest state, 1."""
        return self.x_min, 1.0

    @property
    def forward(self) -> bool:
        """As η says."""
        return self.eta > 0

    @property
    def curve(self) -> Curve:
        """sinh(b v)/b, less or more of it below 0 V."""
        return Curve(1.0 / self.b, self.a2 / self.a1)

    @property
    def pulses(self) -> Pulses:
        """0.3 V beyond the thresholds, at first a thousandth of the inverse rate there."""
        up, down = (self.v_p + 0.3, -self.v_n - 0.3) if self.forward else (-self.v_n - 0.3, self.v_p + 0.3)
        fastest = max(float(np.abs(self._threshold(np.array(v)))) for v in (up, down))
        return Pulses(up=up, down=down, width=1e-3 / fastest, shortest=1e-9 / fastest)

    def own_conductance(self, x: Array) -> Array:
        """a1 b x, S."""
        return np.asarray(self.a1 * self.b * x)

    def own_state(self, g: Array) -> Array:
        """g / (a1 b) of ``g`` (S)."""
        return np.asarray(g / (self.a1 * self.b))

    def drift(self, u: Array, i: Array, x: Array) -> Array:
        """η g(u) f(x), 1/s."""
        over, under = x - self.x_p, x + self.x_n - 1.0
        up = np.where(over >= 0.0, np.exp(-self.alpha_p * over) * (1.0 - over / (1.0 - self.x_p)), 1.0)
        down = np.where(under <= 0.0, np.exp(self.alpha_n * under) * x / (1.0 - self.x_n), 1.0)
        return np.asarray(self.eta * self._threshold(u) * np.where(self.eta * u >= 0.0, up, down))

    def _threshold(self, u: Array) -> Array:
        above = self.a_p * np.maximum(np.exp(u) - math.exp(self.v_p), 0.0)
        below = self.a_n * np.maximum(np.exp(-u) - math.exp(self.v_n), 0.0)
        return np.asarray(above - below)

    def conductance_expression(self, x: str) -> str:
        """G of the text ``x``."""
        return f"{self.a1 * self.b!r}*{x}"

    def state_expression(self, g: str) -> str:
        """The x of G(x) = g, of the text ``g``."""
        return f"{g}/{self.a1 * self.b!r}"

    def drift_expression(self, u: str, i: str, x: str) -> str:
        """The drift of the texts of voltage, current and state."""
        above = f"{self.a_p!r}*max(exp({u})-{math.exp(self.v_p)!r},0.0)"
        below = f"{self.a_n!r}*max(exp(-({u}))-{math.exp(self.v_n)!r},0.0)"
        over, under = f"({x}-{self.x_p!r})", f"({x}-{1.0 - self.x_n!r})"
        slow_up = f"exp(-{self.alpha_p!r}*{over})*(1.0-{over}/{1.0 - self.x_p!r})"
        slow_down = f"exp({self.alpha_n!r}*{under})*{x}/{1.0 - self.x_n!r}"
        up, down = f"(({over}>=0)?({slow_up}):1.0)", f"(({under}<=0)?({slow_down}):1.0)"
        ahead, behind = (up, down) if self.forward else (down, up)
        sign = "" if self.forward else "-"
        return f"{sign}({above}-{below})*(({u}>=0)?{ahead}:{behind})"
