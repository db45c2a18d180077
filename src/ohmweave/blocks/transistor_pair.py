"""Tanh and sigmoid by a differential pair of transistors, sized by equations."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from ohmweave.blocks.curves import Bends
from ohmweave.blocks.differential_pair import AttenuatedPair
from ohmweave.blocks.technology import N_CHANNEL, P_CHANNEL, V_DD, V_SS, bias_resistor, nmos, pmos
from ohmweave.circuit import Behavioural, Cell, CurrentSource, Instance, Resistor, VoltageSource
from ohmweave.units import Unit, require

__all__ = ["CURVES", "PORTS", "PairCurve", "SigmoidPair45", "TanhPair45", "pair_circuit"]

# What characterize_pair measured, kept so that compiling needs no SPICE.
CURVES = Path(__file__).with_name("transistor_pair.json")

_TAIL = 10e-6
# What is to give a current whatever its voltage is longer than the pair.
_LENGTH, _LONG = 0.5e-6, 2e-6
_PAIR_INVERSION, _MIRROR_INVERSION, _SINK_INVERSION = 0.02, 1.0, 0.5
PORTS = ("a", "n")


@dataclass(frozen=True)
class PairCurve:
    """A pair's output current into its circuit as measured at 0 V, and what it draws.

    The function wanted is I_b (base + share tanh(v / V_n)); I_b and V_n are those of least squares.

    Args:
        points: input voltage and current from the net ``n`` into the pair, V and A.
        amps: I_b, A.
        v_n: V_n, V.
        drawn: currents at rest from the upper supply and from ground into the lower one, A, without that of ``n``.
        circuit: digest of the circuit measured.
    """

    points: tuple[tuple[float, float], ...]
    amps: float
    v_n: float
    drawn: tuple[float, float]
    circuit: str

    @cached_property
    def law(self) -> Bends:
        """The curve as an engine takes it."""
        return Bends(self.points)

    def cell(self, name: str, home: str) -> Cell:
        """The circuit of sources with this curve, ports a, n; ``home`` is the net that the output current leaves by."""
        parts = (
            Instance("vdd", VoltageSource(V_DD), ("vdd", "0")),
            Instance("vss", VoltageSource(V_SS), ("vss", "0")),
            Instance("rest", CurrentSource(self.drawn[0]), ("vdd", "vss")),
            Instance("tail", CurrentSource(self.drawn[1]), ("0", "vss")),
            Instance("pair", Behavioural(self.law), ("n", home, "a", "0")),
        )
        return Cell(name, PORTS, parts, note=f"measured curve of a differential pair, {self.v_n:.6g} V")


def pair_circuit(name: str, *, mirrored: bool) -> Cell:
    """A differential pair, ports a (input) and n (a net at 0 V that the output current leaves).

    M1 and M2 share the tail's current, M1 with the input at its gate and M2 with ground. What n gives is M1's current,
    I_b / 2 (1 + tanh(v / (2 n V_T))) in weak inversion, or where it is ``mirrored`` less M2's by the mirror M3, M4:
    I_b tanh(v / (2 n V_T)) (Mead, Analog VLSI and Neural Systems, 1989). Sizes, channels of M1
    and M2 0.5 um long, of all others 2 um:

        I_b = 10 uA,   W_k = L_k I_k / (IC_k I_s),   R_b = (V_DD - V_SS - V_GS8) / I_8,

    IC_1 = 0.02 at rest, so that the pair is a pair of exponentials at the tail's full current too, IC_3 = 1,
    IC_5 = IC_8 = 0.5. Without a mirror M2's drain is at ground, as M1's is, so that neither is favoured.
    """
    half = N_CHANNEL.width(0.5 * _TAIL, _PAIR_INVERSION, _LENGTH), _LENGTH
    sink = N_CHANNEL.width(_TAIL, _SINK_INVERSION, _LONG), _LONG
    mirror = P_CHANNEL.width(0.5 * _TAIL, _MIRROR_INVERSION, _LONG), _LONG
    r_bias = bias_resistor(_TAIL, _SINK_INVERSION)
    parts = [
        Instance("vdd", VoltageSource(V_DD), ("vdd", "0")),
        Instance("vss", VoltageSource(V_SS), ("vss", "0")),
        Instance("b", Resistor(r_bias), ("vdd", "nb")),
        Instance("m8", nmos(*sink), ("nb", "nb", "vss", "vss")),
        Instance("m1", nmos(*half), ("n", "a", "tail", "vss")),
        Instance("m2", nmos(*half), ("mirror" if mirrored else "0", "0", "tail", "vss")),
        Instance("m5", nmos(*sink), ("tail", "nb", "vss", "vss")),
    ]
    if mirrored:
        parts += [
            Instance("m3", pmos(*mirror), ("mirror", "mirror", "vdd", "vdd")),
            Instance("m4", pmos(*mirror), ("n", "mirror", "vdd", "vdd")),
        ]
    return Cell(name, PORTS, tuple(parts), note=f"differential pair, {len(parts) - 3} transistors")


@dataclass(frozen=True)
class _Pair45(AttenuatedPair):
    """A resistive attenuator, a pair of transistors of the 45 nm technology and a transimpedance op-amp.

    Args:
        attenuator: total resistance of the divider, ohm.
    """

    attenuator: Annotated[float, Unit("ohm")] = 100e3
    mirrored: ClassVar[bool]

    def __post_init__(self) -> None:
        require(f"{'tanh' if self.mirrored else 'sigmoid'}.attenuator", self.attenuator, "ohm", "100 kohm")

    @property
    def curve(self) -> PairCurve:
        """What SPICE measured."""
        return _curves()["tanh" if self.mirrored else "sigmoid"]

    @property
    def amps(self) -> float:
        """I_b as measured, A."""
        return self.curve.amps

    @property
    def volts(self) -> float:
        """V_n as measured, V."""
        return self.curve.v_n

    def quiescent_power(self, supply: float) -> float:
        """None beside what the sources in its cell deliver, W."""
        return 0.0

    def pair(self, name: str) -> Instance:
        """The transistors, with their curve for engines that have none."""
        circuit = pair_circuit(name, mirrored=self.mirrored)
        macro = self.curve.cell(name, "vdd" if self.mirrored else "0")
        whole = Cell(name, PORTS, circuit.parts, note=circuit.note, macro=macro)
        return Instance("pair", whole, ("a", "n"))


@dataclass(frozen=True)
class TanhPair45(_Pair45):
    """v_out = s_out tanh(v_in / s_in), to 1.5 % of s_out: the difference of the pair's currents by a mirror."""

    mirrored: ClassVar[bool] = True
    steepness: ClassVar[float] = 1.0
    base: ClassVar[float] = 0.0
    share: ClassVar[float] = 1.0


@dataclass(frozen=True)
class SigmoidPair45(_Pair45):
    """v_out = s_out / (1 + exp(-v_in / s_in)), to 1.5 % of s_out: one of the pair's currents."""

    mirrored: ClassVar[bool] = False
    steepness: ClassVar[float] = 0.5
    base: ClassVar[float] = 0.5
    share: ClassVar[float] = 0.5


@cache
def _curves() -> Mapping[str, PairCurve]:
    found = json.loads(CURVES.read_text(encoding="utf-8"))
    return {name: _unpack(each) for name, each in found.items()}


def _unpack(found: Mapping[str, Any]) -> PairCurve:
    points = tuple((float(x), float(y)) for x, y in found["points"])
    upper, ground = found["drawn"]
    return PairCurve(points, float(found["amps"]), float(found["v_n"]), (upper, ground), found["circuit"])
