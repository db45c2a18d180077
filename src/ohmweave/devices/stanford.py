"""The Stanford/ASU RRAM model: a filament whose tunnelling gap grows and shrinks by heated ion hopping."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ohmweave.devices.curve import Curve
from ohmweave.devices.dynamic import Dynamic
from ohmweave.devices.pulses import Pulses
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, require

__all__ = ["Stanford"]

# Boltzmann's constant over the elementary charge, V/K (SI, 2019).
_KELVIN = 1.380649e-23 / 1.602176634e-19
_NANO = 1e-9


@dataclass(frozen=True)
class Stanford(Dynamic):
    """i = I0 exp(−gap/g0) sinh(u/V0), d gap/dt = −ν0 exp(−Ea/(kT)) sinh(γ a0 q u/(t_ox k T)).

    γ = γ0 − β (gap / 1 nm)³, T = T0 + |u i| R_th, and v = u + r_series i. Z. Jiang et al., IEEE TED 63, 2016. The
    state x is the gap in nm; positive voltage shrinks it and raises the conductance. There is no threshold, but below
    some tenths of a volt the state takes seconds and more to move. Without a resistor in series a device that switches
    on heats itself up to hundreds of milliamperes: give ``r_series`` wherever it is programmed.

    Args:
        i0: current scale I0, A.
        g0: gap scale, m.
        v0: voltage scale V0, V.
        nu0: velocity ν0 (v0 in the paper), m/s.
        beta: how the gap weakens the field's enhancement.
        gamma0: enhancement of the field without a gap.
        e_a: activation energy, eV.
        a0: hopping distance, m.
        t_ox: thickness of the oxide, m.
        gap_min: least gap, m.
        gap_max: largest gap, m.
        r_th: thermal resistance, K/W.
        t0: ambient temperature, K.
    """

    i0: Annotated[float, Unit("A")] = 1e-3
    g0: Annotated[float, Unit("m")] = 0.25e-9
    v0: Annotated[float, Unit("V")] = 0.25
    nu0: Annotated[float, Unit("m/s")] = 10.0
    beta: float = 0.8
    gamma0: float = 16.0
    e_a: Annotated[float, Unit("eV")] = 0.6
    a0: Annotated[float, Unit("m")] = 0.25e-9
    t_ox: Annotated[float, Unit("m")] = 12e-9
    gap_min: Annotated[float, Unit("m")] = 0.2e-9
    gap_max: Annotated[float, Unit("m")] = 1.7e-9
    r_th: Annotated[float, Unit("K/W")] = 2.1e3
    t0: Annotated[float, Unit("K")] = 298.0

    def check(self) -> None:
        """Refuse impossible parameters by a DesignError."""
        for name, unit, example in (
            ("i0", "A", "1 mA"),
            ("g0", "m", "0.25 nm"),
            ("v0", "V", "0.25 V"),
            ("nu0", "m/s", "10 m/s"),
            ("gamma0", "", "16.0"),
            ("e_a", "eV", "0.6 eV"),
            ("a0", "m", "0.25 nm"),
            ("t_ox", "m", "12 nm"),
            ("gap_min", "m", "0.2 nm"),
            ("t0", "K", "298 K"),
        ):
            require(f"device.{name}", getattr(self, name), unit, example)
        require("device.beta", self.beta, "", "0.8", zero=True)
        require("device.r_th", self.r_th, "K/W", "2.1 kK/W", zero=True)
        strongest, gap = self.gamma0 - self.beta * (self.gap_max / _NANO) ** 3, self.gap_max
        if not (self.gap_min < gap < self.t_ox and strongest > 0.0):
            raise DesignError(
                f"expected gap_min < gap_max < t_ox and gamma0 > beta (gap_max / 1 nm)³, found gaps of "
                f"{self.gap_min:g} m to {gap:g} m, t_ox = {self.t_ox:g} m and gamma = {strongest:g} at gap_max",
                where="device",
                remedy='try gap_min = "0.2 nm" and gap_max = "1.7 nm"',
            )

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and largest gap, nm."""
        return self.gap_min / _NANO, self.gap_max / _NANO

    @property
    def forward(self) -> bool:
        """Positive voltage shrinks the gap."""
        return False

    @property
    def curve(self) -> Curve:
        """V0 sinh(v/V0)."""
        return Curve(self.v0)

    @property
    def pulses(self) -> Pulses:
        """Short pulses, whose amplitude grows where the device does not follow."""
        return Pulses(up=1.2, down=-1.2, width=1e-8, longer=1.3, step=0.02, highest=2.5, shortest=1e-12, longest=1e-5)

    def own_conductance(self, x: Array) -> Array:
        """I0/V0 exp(−gap/g0), S."""
        return np.asarray(self.i0 / self.v0 * np.exp(-x / (self.g0 / _NANO)))

    def own_state(self, g: Array) -> Array:
        """The gap at ``g`` (S), nm."""
        return np.asarray(-self.g0 / _NANO * np.log(g * (self.v0 / self.i0)))

    def drift(self, u: Array, i: Array, x: Array) -> Array:
        """Change of the gap, nm/s."""
        kelvin = _KELVIN * (self.t0 + self.r_th * np.abs(u * i))
        field = (self.gamma0 - self.beta * x**3) * (self.a0 / self.t_ox) * u / kelvin
        return np.asarray(-self.nu0 / _NANO * np.exp(-self.e_a / kelvin) * np.sinh(field))

    def conductance_expression(self, x: str) -> str:
        """G of the text ``x``."""
        return f"{self.i0 / self.v0!r}*exp(-{x}/{self.g0 / _NANO!r})"

    def state_expression(self, g: str) -> str:
        """The gap of G = g in nm, of the text ``g``."""
        return f"(-{self.g0 / _NANO!r}*ln({g}*{self.v0 / self.i0!r}))"

    def drift_expression(self, u: str, i: str, x: str) -> str:
        """The drift of the texts of voltage, current and state."""
        kelvin = f"({_KELVIN * self.t0!r}+{_KELVIN * self.r_th!r}*{u}*{i})"
        field = f"({self.gamma0!r}-{self.beta!r}*{x}*{x}*{x})*{self.a0 / self.t_ox!r}*{u}/{kelvin}"
        return f"(-{self.nu0 / _NANO!r}*exp(-{self.e_a!r}/{kelvin})*sinh({field}))"
