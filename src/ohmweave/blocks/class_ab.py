"""A two-stage op-amp with a class-AB output in transistors, sized by equations."""

import math
from dataclasses import dataclass

from ohmweave.blocks.technology import N_CHANNEL, P_CHANNEL, V_DD, V_SS, bias_resistor, nmos, pmos
from ohmweave.circuit import Capacitor, Cell, Instance, Mosfet, Resistor, VoltageSource
from ohmweave.units import require

__all__ = ["ClassAbSizes", "ClassAbTarget", "class_ab_circuit", "size_class_ab"]

_LENGTH = 0.5e-6
_PAIR_INVERSION, _MIRROR_INVERSION, _SINK_INVERSION, _SHIFT_INVERSION = 0.05, 1.0, 0.5, 0.05
_MILLER_SHARE = 0.25


@dataclass(frozen=True)
class ClassAbTarget:
    """What the op-amp shall do.

    Args:
        gbw: gain-bandwidth product, Hz.
        c_load: load capacitance, F.
        i_rest: current through both output transistors at rest, A; they give and take many times as much.
        i_bias: of each bias branch, A; what feeds M6's gate differs from what M7's is fed by a share of it, which is
            an offset.

    Raises:
        DesignError: a value that is not positive.
    """

    gbw: float = 30e6
    c_load: float = 1e-12
    i_rest: float = 40e-6
    i_bias: float = 1e-6

    def __post_init__(self) -> None:
        require("opamp.gbw", self.gbw, "Hz", "30 MHz")
        require("opamp.c_load", self.c_load, "F", "1 pF")
        require("opamp.i_rest", self.i_rest, "A", "40 uA")
        require("opamp.i_bias", self.i_bias, "A", "1 uA")


@dataclass(frozen=True)
class ClassAbSizes:
    """Widths in m of the transistors that share a number, all channels equally long, and the passive parts.

    Args:
        pair: of M1, M2.
        mirror: of M3, M4.
        tail: of M5.
        upper: of M6.
        lower: of M7.
        sink: of M8 and all that carry the bias current below, MB and MC.
        source: of M9 and all that carry it above, MT and MU.
        n_shift: of MA; MD1 is twice as wide.
        p_shift: of MP; MD4 is twice as wide.
        n_diode: of MD2, p_diode: of MD3, m.
        r_bias: ohm.
        r_upper: in series with M6's Miller capacitor, r_lower: with M7's, ohm.
        c_miller: of each, F.
    """

    pair: float
    mirror: float
    tail: float
    upper: float
    lower: float
    sink: float
    source: float
    n_shift: float
    p_shift: float
    n_diode: float
    p_diode: float
    r_bias: float
    r_upper: float
    r_lower: float
    c_miller: float


def size_class_ab(target: ClassAbTarget) -> ClassAbSizes:
    """Sizes from what the op-amp shall do.

    As in the class-A op-amp (:func:`ohmweave.blocks.two_stage.size`), with the Miller capacitor in two halves:

        C_c = 0.25 C_L,   g_m1 = 2 pi GBW C_c,   I_1 = g_m1 / (g_m / I at IC_1),   W_k = L I_k / (IC_k I_s).

    The gates of M6 and M7 hang together by MA and MP, each with half of the bias current, whose gates are two diodes
    above the lower and below the upper supply (Monticelli, IEEE JSSC 1986). Around such a loop of gate voltages

        V_GS7 + V_GSA = V_GSD1 + V_GSD2,   J_A = J_D1   so   J_7 = J_D2,   J = I / W,

    so that the current at rest is the bias current by the widths, I_7 = I_b W_7 / W_D2; the same above. IC_1 = 0.05,
    IC_3 = IC_6 = 1 and IC_5 = IC_7 = 0.5 as there, 0.05 for MA and MP, which leaves room for what feeds the diodes.

    Args:
        target: what it shall do.
    """
    c_c = _MILLER_SHARE * target.c_load
    i_1 = 2.0 * math.pi * target.gbw * c_c / N_CHANNEL.transconductance(1.0, _PAIR_INVERSION)
    bias, rest = target.i_bias, target.i_rest

    def n(amps: float, inversion: float) -> float:
        return N_CHANNEL.width(amps, inversion, _LENGTH)

    def p(amps: float, inversion: float) -> float:
        return P_CHANNEL.width(amps, inversion, _LENGTH)

    return ClassAbSizes(
        pair=n(i_1, _PAIR_INVERSION), mirror=p(i_1, _MIRROR_INVERSION), tail=n(2.0 * i_1, _SINK_INVERSION),
        upper=p(rest, _MIRROR_INVERSION), lower=n(rest, _SINK_INVERSION),
        sink=n(bias, _SINK_INVERSION), source=p(bias, _SINK_INVERSION),
        n_shift=n(0.5 * bias, _SHIFT_INVERSION), p_shift=p(0.5 * bias, _SHIFT_INVERSION),
        n_diode=n(bias, _SINK_INVERSION), p_diode=p(bias, _MIRROR_INVERSION),
        r_bias=bias_resistor(bias, _SINK_INVERSION),
        r_upper=1.0 / P_CHANNEL.transconductance(rest, _MIRROR_INVERSION),
        r_lower=1.0 / N_CHANNEL.transconductance(rest, _SINK_INVERSION),
        c_miller=0.5 * c_c,
    )  # fmt: skip


def class_ab_circuit(name: str, sizes: ClassAbSizes) -> Cell:
    """The op-amp, ports p, n, out.

    M1 to M5 are a differential pair with a current mirror, M6 and M7 the push-pull output, MA and MP the level shift
    between their gates, MT and MB what feeds it, MD1 to MD4 the diodes with their feeds MU and MC, M8, M9 and MC9 the
    bias of both supplies.

    Args:
        name: the cell's name.
        sizes: of its parts.
    """

    def n(part: str, width: float, drain: str, gate: str, source: str) -> Instance:
        return Instance(part, nmos(width, _LENGTH), (drain, gate, source, "vss"))

    def p(part: str, width: float, drain: str, gate: str, source: str) -> Instance:
        return Instance(part, pmos(width, _LENGTH), (drain, gate, source, "vdd"))

    parts = (
        Instance("vdd", VoltageSource(V_DD), ("vdd", "0")),
        Instance("vss", VoltageSource(V_SS), ("vss", "0")),
        Instance("b", Resistor(sizes.r_bias), ("vdd", "nb")),
        n("m8", sizes.sink, "nb", "nb", "vss"),
        n("mc9", sizes.sink, "pb", "nb", "vss"), p("m9", sizes.source, "pb", "pb", "vdd"),
        n("m1", sizes.pair, "mirror", "n", "tail"), n("m2", sizes.pair, "upper", "p", "tail"),
        p("m3", sizes.mirror, "mirror", "mirror", "vdd"), p("m4", sizes.mirror, "upper", "mirror", "vdd"),
        n("m5", sizes.tail, "tail", "nb", "vss"),
        p("m6", sizes.upper, "out", "upper", "vdd"), n("m7", sizes.lower, "out", "lower", "vss"),
        p("mt", sizes.source, "upper", "pb", "vdd"), n("mb", sizes.sink, "lower", "nb", "vss"),
        n("ma", sizes.n_shift, "upper", "nab", "lower"), p("mp", sizes.p_shift, "lower", "pab", "upper"),
        p("mu", sizes.source, "nab", "pb", "vdd"),
        n("md1", 2.0 * sizes.n_shift, "nab", "nab", "nd"), n("md2", sizes.n_diode, "nd", "nd", "vss"),
        p("md3", sizes.p_diode, "pd", "pd", "vdd"), p("md4", 2.0 * sizes.p_shift, "pab", "pab", "pd"),
        n("mc", sizes.sink, "pab", "nb", "vss"),
        Instance("z6", Resistor(sizes.r_upper), ("upper", "zero6")),
        Instance("c6", Capacitor(sizes.c_miller), ("zero6", "out")),
        Instance("z7", Resistor(sizes.r_lower), ("lower", "zero7")),
        Instance("c7", Capacitor(sizes.c_miller), ("zero7", "out")),
    )  # fmt: skip
    note = f"two-stage op-amp with a class-AB output, {sum(isinstance(part.of, Mosfet) for part in parts)} transistors"
    return Cell(name, ("p", "n", "out"), parts, note=note)
