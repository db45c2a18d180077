"""A generic 45 nm technology: one BSIM4 card for each channel, and the supplies that its circuits run on.

The cards are ohmweave's own. Oxides, thresholds, doping, mobilities, saturation velocities, drain-induced barrier
lowering and overlap capacitances lie near the figures published for the predictive 45 nm high-performance
technology (PTM HP45; Zhao and Cao, New generation of predictive technology model for sub-45 nm early design
exploration, IEEE TED 2006): toxe 1.25 and 1.3 nm, vth0 0.469 and -0.492 V, u0 0.054 and 0.020 m2/Vs, vsat 1.7e5 and
1.5e5 m/s, k1 0.4, ndep 3.24e18 and 2.44e18 per cm3, nfactor 2.22 and 2.1, eta0 0.0055, dsub 0.1, rdsw 155 ohm um,
cgso 1.1e-10 F/m, cjs 5e-4 F/m2. What BSIM4 adds by its defaults to a short card (narrow channels, pockets, coupling of
drain and body to the subthreshold slope) is set to nothing by name, since together these defaults move the threshold
by half a volt. The output conductance of long channels (pclm, pdiblc1, pdiblc2) is set for an intrinsic gain of some
tens at 0.3 um, as such technologies have.

Names and units of parameters: BSIM4 4.8 manual (University of California, Berkeley, 2013).
"""

import math
from dataclasses import dataclass
from types import MappingProxyType

from ohmweave.circuit import Mosfet, MosfetModel

__all__ = [
    "NMOS",
    "N_CHANNEL",
    "PMOS",
    "P_CHANNEL",
    "THERMAL_VOLTAGE",
    "V_DD",
    "V_SS",
    "Channel",
    "bias_resistor",
    "nmos",
    "pmos",
]

# Signals lie around ground.
V_DD, V_SS = 0.55, -0.55
# At 27 C, V.
THERMAL_VOLTAGE = 1.380649e-23 * 300.15 / 1.602176634e-19

_CHOICES = {"binunit": 1, "mobmod": 0, "capmod": 2, "igcmod": 0, "igbmod": 0, "rdsmod": 0, "diomod": 1}
_NOTHING = dict.fromkeys(
    ("k3", "k3b", "lpe0", "lpeb", "dvt0w", "dvt1w", "dvt2w", "cdsc", "cdscb", "cdscd", "cit", "voffl", "etab",
     "prwg", "prwb", "pdiblcb", "pvag", "alpha0"), 0.0
)  # fmt: skip
_SHARED = {
    "version": 4.8, **_CHOICES, **_NOTHING, "w0": 2.5e-6, "minv": 0.05, "tnom": 27.0, "epsrox": 3.9, "xj": 14e-9,
    "lint": 3.75e-9, "k1": 0.4, "dvt0": 1.0, "dvt1": 2.0, "dsub": 0.1, "eta0": 0.0055, "nsd": 2e20, "rdsw": 155.0,
    "cgso": 1.1e-10, "cgdo": 1.1e-10, "cgbo": 2.56e-11, "cjs": 5e-4, "cjsws": 5e-10, "cjswgs": 3e-10, "delta": 0.01,
    "drout": 0.5, "pdits": 0.08, "fprout": 0.2, "pscbe1": 8.14e8, "pscbe2": 1e-7,
}  # fmt: skip

NMOS = MosfetModel(
    "nmos45", "nmos", 54, MappingProxyType({
        **_SHARED, "toxe": 1.25e-9, "toxp": 1.0e-9, "toxm": 1.25e-9, "vth0": 0.42, "k2": 0.0, "dvt2": 0.0,
        "nfactor": 2.1, "voff": -0.13, "ndep": 3.3e18, "ngate": 3e20, "u0": 0.045, "ua": 6e-10, "ub": 1.2e-18,
        "uc": 0.0, "vsat": 1.4e5, "a0": 1.0, "ags": 0.0, "keta": 0.04, "pclm": 0.2, "pdiblc1": 0.01,
        "pdiblc2": 0.001,
    }),
)  # fmt: skip
PMOS = MosfetModel(
    "pmos45", "pmos", 54, MappingProxyType({
        **_SHARED, "toxe": 1.3e-9, "toxp": 1.0e-9, "toxm": 1.3e-9, "vth0": -0.42, "k2": -0.01, "dvt2": -0.032,
        "nfactor": 2.1, "voff": -0.126, "ndep": 2.44e18, "ngate": 2e20, "u0": 0.020, "ua": 2e-9, "ub": 5e-19,
        "uc": 0.0, "vsat": 9e4, "a0": 1.0, "ags": 0.0, "keta": -0.047, "pclm": 0.3, "pdiblc1": 0.01,
        "pdiblc2": 0.001,
    }),
)  # fmt: skip


@dataclass(frozen=True)
class Channel:
    """What sizing needs of a long transistor in saturation (Enz, Krummenacher and Vittoz, AICSP 1995).

    With the inversion coefficient IC = I / (I_s W / L), below 0.1 in weak and above 10 in strong inversion,

        g_m = I / (n V_T) 2 / (1 + sqrt(1 + 4 IC)),   V_GS = V_T0 + 2 n V_T ln(exp(sqrt(IC)) - 1).

    Args:
        specific_current: I_s, A, of a square channel.
        slope_factor: n.
        threshold: V_T0, V, its magnitude for a p channel.
    """

    specific_current: float
    slope_factor: float
    threshold: float

    def width(self, amps: float, inversion: float, length: float) -> float:
        """W in m for a current (A) at an inversion coefficient, in a channel of a length (m)."""
        return amps / (inversion * self.specific_current) * length

    def transconductance(self, amps: float, inversion: float) -> float:
        """g_m, S."""
        return amps / (self.slope_factor * THERMAL_VOLTAGE) * 2.0 / (1.0 + math.sqrt(1.0 + 4.0 * inversion))

    def gate_voltage(self, inversion: float) -> float:
        """V_GS, V, its magnitude for a p channel."""
        room = 2.0 * self.slope_factor * THERMAL_VOLTAGE * math.log(math.expm1(math.sqrt(inversion)))
        return self.threshold + room


# Fitted to the cards above in ngspice, 1 um long at a drain voltage of 0.3 V, from weak to moderate inversion
# (tests/contract/test_transistors.py).
N_CHANNEL = Channel(specific_current=2.52e-6, slope_factor=1.67, threshold=0.450)
P_CHANNEL = Channel(specific_current=0.853e-6, slope_factor=1.63, threshold=0.455)


def nmos(width: float, length: float) -> Mosfet:
    """An n-channel transistor of the technology; sizes in m."""
    return Mosfet(NMOS, width, length)


def pmos(width: float, length: float) -> Mosfet:
    """A p-channel transistor of the technology; sizes in m."""
    return Mosfet(PMOS, width, length)


def bias_resistor(amps: float, inversion: float) -> float:
    """The resistor in ohm from V_DD that puts a current (A) through an n channel joined gate to drain."""
    return (V_DD - V_SS - N_CHANNEL.gate_voltage(inversion)) / amps
