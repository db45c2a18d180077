"""Read curves: the shape f of i = G f(v), whose slope at 0 V is 1."""

import math
from dataclasses import dataclass

import numpy as np

from ohmweave.units import Array

__all__ = ["Curve", "ScaledCurve"]

_MOST_STEPS = 60
_LAST_STEP = 1e-9


@dataclass(frozen=True)
class Curve:
    """f(v) = v0 sinh(v / v0), and ``ratio`` times that below 0 V.

    Args:
        v0: voltage scale, V; infinite for f(v) = v.
        ratio: of the conductance at small negative voltages to that at positive ones.
    """

    v0: float = math.inf
    ratio: float = 1.0

    @property
    def straight(self) -> bool:
        """Whether f(v) = v."""
        return math.isinf(self.v0) and self.ratio == 1.0

    def value(self, x: Array) -> Array:
        """f in V at voltage ``x`` (V)."""
        return self._sided(x, x if math.isinf(self.v0) else self.v0 * np.sinh(x / self.v0))

    def slope(self, x: Array) -> Array:
        """df/dv at voltage ``x`` (V)."""
        return self._sided(x, np.ones_like(x) if math.isinf(self.v0) else np.cosh(x / self.v0))

    def expression(self, x: str) -> str:
        """f of the text ``x``."""
        text = x if math.isinf(self.v0) else f"{self.v0!r}*sinh({x}/{self.v0!r})"
        return text if self.ratio == 1.0 else f"(({x}<0)?{self.ratio!r}:1.0)*{text}"

    def behind(self, ohms: float, v: Array, g: Array) -> Array:
        """The voltage u across a device of conductance ``g`` (S) behind a resistor: u + ohms g f(u) = v.

        Newton's method from above the root, where a convex function keeps it: from there every step is one down.

        Args:
            ohms: the resistor, ohm.
            v: voltage across both, V, broadcast with ``g``.
            g: conductance of the device at small voltages, S.

        Returns:
            u, V.
        """
        v, g = np.broadcast_arrays(v, g)
        loop = self._sided(v, ohms * g)
        size = np.abs(v)
        if math.isinf(self.v0):
            return np.asarray(v / (1.0 + loop))
        # f(u) >= u, and f(u) <= what the whole voltage would drive through the resistor: two bounds from above.
        w, most = size / (self.v0 * (1.0 + loop)), size / self.v0
        if most.max(initial=0.0) > 1.0:
            with np.errstate(divide="ignore", invalid="ignore"):
                w = np.fmin(w, np.arcsinh(most / loop))
        for _ in range(_MOST_STEPS):
            grown = np.expm1(w)
            falls = grown / (1.0 + grown)
            step = (w + 0.5 * loop * (grown + falls) - most) / (1.0 + loop * (1.0 + 0.5 * grown * falls))
            w = w - step
            # Steps square their error: the next one would be lost in rounding.
            if not (np.abs(step) > _LAST_STEP * most).any():
                break
        u = self.v0 * w
        return np.asarray(np.copysign(u, v))

    def _sided(self, x: Array, above: Array) -> Array:
        """What is ``above`` 0 V, times the ratio where ``x`` is below."""
        return np.asarray(above if self.ratio == 1.0 else np.where(x < 0.0, self.ratio * above, above))


@dataclass(frozen=True)
class ScaledCurve:
    """g f(x) as a device's cell writes it; ``{g}`` is the cell's parameter.

    Args:
        curve: f.
        ohms: a resistor in series; the device's own conductance is then g / (1 - ohms g), ohm.
        g: conductance of both at small voltages, S.
    """

    curve: Curve
    ohms: float = 0.0
    g: float = 1e-6

    def value(self, x: Array) -> Array:
        """Current in A at voltage ``x`` (V) across the device."""
        return np.asarray(self.g / (1.0 - self.ohms * self.g) * self.curve.value(x))

    def slope(self, x: Array) -> Array:
        """di/dv in S."""
        return np.asarray(self.g / (1.0 - self.ohms * self.g) * self.curve.slope(x))

    def expression(self, x: str) -> str:
        """The current of the text ``x``."""
        return f"{conductance_expression(self.ohms)}*{self.curve.expression(x)}"


def conductance_expression(ohms: float) -> str:
    """The device's own conductance as an expression of the parameter g, where ``ohms`` lie in series."""
    return f"{{g}}/(1.0-{ohms!r}*{{g}})" if ohms else "{g}"
