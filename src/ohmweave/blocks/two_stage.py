"""A two-stage Miller op-amp in transistors, sized by equations."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from ohmweave.blocks.class_ab import ClassAbTarget, class_ab_circuit, size_class_ab
from ohmweave.blocks.figures import OpAmpFigures
from ohmweave.blocks.measured import MeasuredOpAmp
from ohmweave.blocks.technology import N_CHANNEL, P_CHANNEL, V_DD, V_SS, bias_resistor, nmos, pmos
from ohmweave.circuit import Capacitor, Cell, Instance, Mosfet, Resistor, VoltageSource
from ohmweave.errors import DesignError
from ohmweave.units import Unit, require

__all__ = ["FIGURES", "FIGURES_AB", "Sizes", "Target", "TwoStage45", "circuit", "holding", "size"]

# What characterize_opamp measured, kept so that compiling needs no SPICE.
FIGURES = Path(__file__).with_name("two_stage_45.json")
FIGURES_AB = Path(__file__).with_name("two_stage_45_ab.json")

_OUTPUTS = ("class_a", "class_ab")

# Where the input pair of the holding circuit still has room below it and the mirror above it, V.
_LIMITS = (-0.1, 0.2)
# All channels, m: long for gain, and equal for currents in proportion to widths.
_LENGTH = 0.5e-6
_PAIR_INVERSION, _MIRROR_INVERSION, _SINK_INVERSION = 0.05, 1.0, 0.5
_MILLER_SHARE = 0.25


@dataclass(frozen=True)
class Target:
    """What an op-amp shall do.

    Args:
        gbw: gain-bandwidth product, Hz.
        c_load: load capacitance, F.
        i_out: current that its output can sink, A; it sources more.
        i_bias: of the bias branch, A.

    Raises:
        DesignError: a value that is not positive.
    """

    gbw: float = 30e6
    c_load: float = 1e-12
    i_out: float = 200e-6
    i_bias: float = 5e-6

    def __post_init__(self) -> None:
        require("opamp.gbw", self.gbw, "Hz", "30 MHz")
        require("opamp.c_load", self.c_load, "F", "1 pF")
        require("opamp.i_out", self.i_out, "A", "200 uA")
        require("opamp.i_bias", self.i_bias, "A", "5 uA")


@dataclass(frozen=True)
class Sizes:
    """Widths and lengths in m of the transistors that share a number, and the passive parts.

    Args:
        pair: width and length of M1, M2.
        mirror: of M3, M4.
        tail: of M5.
        driver: of M6.
        sink: of M7.
        bias: of M8.
        r_bias: ohm.
        r_zero: in series with the Miller capacitor, ohm.
        c_miller: F.
    """

    pair: tuple[float, float]
    mirror: tuple[float, float]
    tail: tuple[float, float]
    driver: tuple[float, float]
    sink: tuple[float, float]
    bias: tuple[float, float]
    r_bias: float
    r_zero: float
    c_miller: float


def size(target: Target) -> Sizes:
    """Sizes from what the op-amp shall do.

    The Miller capacitor and the input pair set the bandwidth, the output transistor the second pole (Allen and
    Holberg, CMOS Analog Circuit Design, the two-stage op-amp), and inversion coefficients the widths
    (:class:`ohmweave.blocks.technology.Channel`):

        C_c = 0.25 C_L,   g_m1 = 2 pi GBW C_c,   I_1 = g_m1 / (g_m / I at IC_1),   I_5 = 2 I_1,
        R_z = 1 / g_m6,   R_b = (V_DD - V_SS - V_GS8) / I_8,   W_k = L I_k / (IC_k I_s),

    IC_1 = 0.05 for the pair, which needs little room below ground; IC_3 = IC_6 = 1 for the mirror and the driver, equal
    for an offset near zero, where M4 has M6's gate voltage (I_6 / I_1 = W_6 / W_3); IC_5 = IC_7 = IC_8 = 0.5. I_6 = I_7
    is the current that the output can sink. R_z moves the zero out of the way; the second pole, at
    g_m6 C_c / (C_c C_6 + C_c C_L + C_6 C_L), C_6 the gate of M6, has to lie above GBW.

    Args:
        target: what it shall do.
    """
    c_miller = _MILLER_SHARE * target.c_load
    i_1 = 2.0 * math.pi * target.gbw * c_miller / N_CHANNEL.transconductance(1.0, _PAIR_INVERSION)

    def n(amps: float, inversion: float) -> tuple[float, float]:
        return N_CHANNEL.width(amps, inversion, _LENGTH), _LENGTH

    def p(amps: float) -> tuple[float, float]:
        return P_CHANNEL.width(amps, _MIRROR_INVERSION, _LENGTH), _LENGTH

    return Sizes(
        pair=n(i_1, _PAIR_INVERSION),
        mirror=p(i_1),
        tail=n(2.0 * i_1, _SINK_INVERSION),
        driver=p(target.i_out),
        sink=n(target.i_out, _SINK_INVERSION),
        bias=n(target.i_bias, _SINK_INVERSION),
        r_bias=bias_resistor(target.i_bias, _SINK_INVERSION),
        r_zero=1.0 / P_CHANNEL.transconductance(target.i_out, _MIRROR_INVERSION),
        c_miller=c_miller,
    )


def circuit(name: str, sizes: Sizes, low: float | None = None) -> Cell:
    """The op-amp, ports p, n, out.

    M1 to M5 are a differential pair with a current mirror for its load, M6 drives the output against the constant
    current of M7, M8 with a resistor gives the bias. Where the output is held above a limit, M1 to M6 stand there
    once more as M1F to M6F with the limit for one input and the output for the other: below the limit M6F pulls the
    output up against M7, above it M6F is off.

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
        *_stages(sizes, "", "p", "n"),
        Instance("m7", nmos(*sizes.sink), ("out", "nb", "vss", "vss")),
    ]
    parts += () if low is None else holding(sizes, low)
    held = "" if low is None else f", held above {low:g} V"
    note = f"two-stage op-amp, {sum(isinstance(part.of, Mosfet) for part in parts)} transistors{held}"
    return Cell(name, ("p", "n", "out"), tuple(parts), note=note)


def holding(sizes: Sizes, low: float) -> tuple[Instance, ...]:
    """What holds a net ``out`` at or above a limit (V) against a current that is sunk there: M1F to M6F.

    The nets ``vdd``, ``vss`` and ``nb``, the gate voltage of current sinks, are those of the cell around it.
    """
    source = (Instance("limit", VoltageSource(low), ("limit", "0")),) if low else ()
    return *source, *_stages(sizes, "f", "limit" if low else "0", "out")


def _stages(sizes: Sizes, mark: str, plus: str, minus: str) -> Iterator[Instance]:
    """A differential pair and the transistor it drives, which pulls the output up where plus is above minus."""
    tail, mirror, gate, zero = (f"{net}{mark}" for net in ("tail", "mirror", "gate", "zero"))
    yield Instance(f"m1{mark}", nmos(*sizes.pair), (mirror, minus, tail, "vss"))
    yield Instance(f"m2{mark}", nmos(*sizes.pair), (gate, plus, tail, "vss"))
    yield Instance(f"m3{mark}", pmos(*sizes.mirror), (mirror, mirror, "vdd", "vdd"))
    yield Instance(f"m4{mark}", pmos(*sizes.mirror), (gate, mirror, "vdd", "vdd"))
    yield Instance(f"m5{mark}", nmos(*sizes.tail), (tail, "nb", "vss", "vss"))
    yield Instance(f"m6{mark}", pmos(*sizes.driver), ("out", gate, "vdd", "vdd"))
    yield Instance(f"z{mark}", Resistor(sizes.r_zero), (gate, zero))
    yield Instance(f"c{mark}", Capacitor(sizes.c_miller), (zero, "out"))


@dataclass(frozen=True)
class TwoStage45(MeasuredOpAmp):
    """The two-stage Miller op-amp of the 45 nm technology, in transistors.

    Supplies of +-0.55 V, in every op-amp; it amplifies signals around ground, its plus input within -0.1 to 0.2 V.

    Args:
        offset_spread: standard deviation of a further offset, drawn for each op-amp of a readout, V; some
            millivolts for small input pairs (Pelgrom, Duinmaijer and Welbers, IEEE JSSC 1989).
        output: ``"class_a"``, which draws at rest what it can sink, or ``"class_ab"``
            (:mod:`ohmweave.blocks.class_ab`). An output that is held above a limit is of class A either way.

    Raises:
        DesignError: a negative spread, an output that is neither.
    """

    offset_spread: Annotated[float, Unit("V")] = 0.0
    output: str = _OUTPUTS[0]

    def __post_init__(self) -> None:
        if self.output not in _OUTPUTS:
            raise DesignError(
                f"expected {' or '.join(map(repr, _OUTPUTS))}, found {self.output!r}",
                where="opamp.output",
                remedy=f'try output = "{_OUTPUTS[0]}"',
            )
        require("opamp.offset_spread", self.offset_spread, "V", "0 V", zero=True)

    @property
    def figures(self) -> OpAmpFigures:
        """What SPICE measured."""
        return _figures(FIGURES if self.output == "class_a" else FIGURES_AB)

    @property
    def held_figures(self) -> OpAmpFigures:
        """What SPICE measured on the class-A op-amp, which stands where the output is held above a limit."""
        return _figures(FIGURES)

    @property
    def title(self) -> str:
        """What messages call it."""
        return "opamp two_stage_45"

    @property
    def holds(self) -> tuple[float, float] | None:
        """Lowest and highest limit that its output can be held above, V."""
        return _LIMITS

    def circuit(self, name: str, low: float | None) -> Cell:
        """The transistors, ports p, n, out; ``low`` is the limit above which the output is held, V, or none."""
        if low is None and self.output == "class_ab":
            return class_ab_circuit(name, size_class_ab(ClassAbTarget()))
        return circuit(name, size(Target()), low)


@cache
def _figures(path: Path) -> OpAmpFigures:
    return OpAmpFigures.load(path)
