"""A five-transistor transconductance amplifier in transistors, sized by equations."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from ohmweave.blocks.figures import OpAmpFigures
from ohmweave.blocks.measured import MeasuredOpAmp
from ohmweave.blocks.technology import N_CHANNEL, P_CHANNEL, V_DD, V_SS, bias_resistor, nmos, pmos
from ohmweave.blocks.two_stage import Sizes, Target, holding, size
from ohmweave.circuit import Cell, Instance, Mosfet, Resistor, VoltageSource
from ohmweave.units import Unit, require

__all__ = ["FIGURES", "Ota45", "OtaSizes", "OtaTarget", "ota_circuit", "size_ota"]

# What characterize_opamp measured, kept so that compiling needs no SPICE.
FIGURES = Path(__file__).with_name("ota_45.json")

_LENGTH = 0.5e-6
_PAIR_INVERSION, _MIRROR_INVERSION, _SINK_INVERSION = 0.1, 1.0, 0.5
# Where the input pair still has room below it and the mirror above it, V.
_LIMITS = (-0.1, 0.2)


@dataclass(frozen=True)
class OtaTarget:
    """What the amplifier shall do.

    Args:
        i_out: current that its output can sink and source, A.
        i_bias: of the bias branch, A.

    Raises:
        DesignError: a value that is not positive.
    """

    i_out: float = 200e-6
    i_bias: float = 10e-6

    def __post_init__(self) -> None:
        require("opamp.i_out", self.i_out, "A", "200 uA")
        require("opamp.i_bias", self.i_bias, "A", "10 uA")


@dataclass(frozen=True)
class OtaSizes:
    """Widths and lengths in m of the transistors that share a number, and the resistor.

    Args:
        pair: width and length of M1, M2.
        mirror: of M3, M4.
        tail: of M5.
        bias: of M8.
        r_bias: ohm.
        hold: of what holds the output above a limit.
    """

    pair: tuple[float, float]
    mirror: tuple[float, float]
    tail: tuple[float, float]
    bias: tuple[float, float]
    r_bias: float
    hold: Sizes


def size_ota(target: OtaTarget) -> OtaSizes:
    """Sizes from what the amplifier shall do.

    The tail's current is what the output can give or take at most, all of it through one side of the pair (Allen and
    Holberg, CMOS Analog Circuit Design, the differential amplifier with a mirror for its load):

        I_5 = I_out,   I_1 = I_5 / 2,   g_m = I_1 (g_m / I at IC_1),   A = g_m / (g_ds2 + g_ds4),
        GBW = g_m / (2 pi C_L),   R_b = (V_DD - V_SS - V_GS8) / I_8,   W_k = L I_k / (IC_k I_s),

    IC_1 = 0.1 for the pair, which needs room below ground for its tail, IC_3 = 1 for the mirror, IC_5 = IC_8 = 0.5.
    What holds the output is sized as in a two-stage op-amp of the same currents
    (:func:`ohmweave.blocks.two_stage.size`).

    Args:
        target: what it shall do.
    """
    i_1 = 0.5 * target.i_out

    def n(amps: float, inversion: float) -> tuple[float, float]:
        return N_CHANNEL.width(amps, inversion, _LENGTH), _LENGTH

    return OtaSizes(
        pair=n(i_1, _PAIR_INVERSION),
        mirror=(P_CHANNEL.width(i_1, _MIRROR_INVERSION, _LENGTH), _LENGTH),
        tail=n(target.i_out, _SINK_INVERSION),
        bias=n(target.i_bias, _SINK_INVERSION),
        r_bias=bias_resistor(target.i_bias, _SINK_INVERSION),
        hold=size(Target(i_out=target.i_out, i_bias=target.i_bias)),
    )


def ota_circuit(name: str, sizes: OtaSizes, low: float | None = None) -> Cell:
    """The amplifier, ports p, n, out.

    M1, M2 are the pair, M3, M4 its mirror, M5 the tail, M8 with a resistor the bias. Where the output is held above a
    limit, the two-stage op-amp's holding circuit stands beside it (:func:`ohmweave.blocks.two_stage.holding`).

    Args:
        name: the cell's name.
        sizes: of its parts.
        low: limit that the output is held above, V, or none.
    """
    parts = [
        Instance("vdd", VoltageSource(V_DD), ("vdd", "0")),
        Instance("vss", VoltageSource(V_SS), ("vss", "0")),
        Instance("b", Resistor(sizes.r_bias), ("vdd", "nb")),
        Instance("m8", nmos(*sizes.bias), ("nb", "nb", "vss", "vss")),
        Instance("m1", nmos(*sizes.pair), ("mirror", "p", "tail", "vss")),
        Instance("m2", nmos(*sizes.pair), ("out", "n", "tail", "vss")),
        Instance("m3", pmos(*sizes.mirror), ("mirror", "mirror", "vdd", "vdd")),
        Instance("m4", pmos(*sizes.mirror), ("out", "mirror", "vdd", "vdd")),
        Instance("m5", nmos(*sizes.tail), ("tail", "nb", "vss", "vss")),
        *(() if low is None else holding(sizes.hold, low)),
    ]
    held = "" if low is None else f", held above {low:g} V"
    note = f"five-transistor amplifier, {sum(isinstance(part.of, Mosfet) for part in parts)} transistors{held}"
    return Cell(name, ("p", "n", "out"), tuple(parts), note=note)


@dataclass(frozen=True)
class Ota45(MeasuredOpAmp):
    """The five-transistor amplifier of the 45 nm technology: one stage, a low gain, no compensation.

    Supplies of +-0.55 V, in every amplifier; it amplifies signals around ground. Its output is a current: the gain is
    its transconductance times what it drives, some tens at best, so devices and loops should be of tens of kilo-ohms.

    Args:
        offset_spread: standard deviation of a further offset, drawn for each op-amp of a readout, V.

    Raises:
        DesignError: a negative spread.
    """

    offset_spread: Annotated[float, Unit("V")] = 0.0

    def __post_init__(self) -> None:
        require("opamp.offset_spread", self.offset_spread, "V", "0 V", zero=True)

    @property
    def figures(self) -> OpAmpFigures:
        """What SPICE measured."""
        return _figures()

    @property
    def title(self) -> str:
        """What messages call it."""
        return "opamp ota_45"

    @property
    def holds(self) -> tuple[float, float] | None:
        """Lowest and highest limit that its output can be held above, V."""
        return _LIMITS

    def circuit(self, name: str, low: float | None) -> Cell:
        """The transistors, ports p, n, out; ``low`` is the limit above which the output is held, V, or none."""
        return ota_circuit(name, size_ota(OtaTarget()), low)


@cache
def _figures() -> OpAmpFigures:
    return OpAmpFigures.load(FIGURES)
