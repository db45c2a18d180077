"""The asynchronous integrate-and-fire neuron of two inverters and a feedback capacitor, in transistors."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from ohmweave.blocks.technology import N_CHANNEL, V_DD, V_SS, nmos, pmos
from ohmweave.circuit import Capacitor, Cell, CurrentSource, Instance, VoltageSource
from ohmweave.errors import DesignError
from ohmweave.units import Unit, require

__all__ = ["AxonHillock"]

# Channels, m: widths, and lengths of the slow and the fast inverter, of current sources, of the reset's switch.
_WIDTH, _SLOW, _FAST, _SOURCE, _SWITCH = 0.12e-6, 0.5e-6, 0.1e-6, 1e-6, 0.15e-6
_SOURCE_INVERSION = 0.5
# Measured in ngspice (tests/contract/test_neurons.py): charges of the rise and of the spike over C_f S, the share of
# the leak while spiking, and the inverters' delay in a cycle, s.
_RISE, _FALL, _LEAK_SHARE, _DELAY = 1.0414, 0.993, 0.9936, 8.5e-9
_LEAKING = 0.95
_THERMAL_VOLTAGE = 1.380649e-23 * 300.15 / 1.602176634e-19


@dataclass(frozen=True)
class AxonHillock:
    """An integrate-and-fire neuron that spikes when it likes (Mead, Analog VLSI and Neural Systems, 1989).

    A current I charges the membrane; where the first inverter turns, the second pulls its end of C_f up by
    S = V_DD - V_SS, which lifts the membrane by S C_f / (C_m + C_f); while the spike lasts, a source I_r discharges
    it until the inverters turn back. Another source leaks:

        (C_m + C_f) dv/dt = I - I_l (1 - exp(-(v - V_SS) / V_T)),   spike where v passes the inverter's threshold,
        T = C_f S / (I - I_l) + C_f S / (I_r - I + I_l),

    the second part of the period T being the spike's width and the refractory period. Of the default neuron's circuit
    it is measured that the rise takes 1.0414 C_f S and the inverters' delay of 8.5 ns, the spike 0.993 C_f S, and that
    the leak's source has 0.9936 I_l, and 0.95 I_l near V_SS. With these its rates are those of its circuit within 1 %
    from 30 nA to 500 nA.

    Args:
        c_m: capacitance from membrane to V_SS, F.
        c_feedback: C_f, F.
        i_reset: I_r, A.
        i_leak: I_l, A; 0 for none.

    Raises:
        DesignError: values that are not positive, a leak beyond the reset's current.
    """

    c_m: Annotated[float, Unit("F")] = 160e-15
    c_feedback: Annotated[float, Unit("F")] = 80e-15
    i_reset: Annotated[float, Unit("A")] = 1e-6
    i_leak: Annotated[float, Unit("A")] = 20e-9
    kind: ClassVar[str] = "axon_hillock"

    def __post_init__(self) -> None:
        require("neuron.c_m", self.c_m, "F", "160 fF")
        require("neuron.c_feedback", self.c_feedback, "F", "80 fF")
        require("neuron.i_reset", self.i_reset, "A", "1 uA")
        require("neuron.i_leak", self.i_leak, "A", "20 nA", zero=True)
        if self.i_leak >= self.i_reset:
            raise DesignError(
                f"expected a leak below the reset's current of {self.i_reset:g} A, found {self.i_leak:g} A",
                where="neuron.i_leak",
                remedy="lower i_leak or raise i_reset",
            )

    @property
    def charge(self) -> float:
        """What the second inverter moves on the membrane, C_f S, C."""
        return self.c_feedback * (V_DD - V_SS)

    def width(self, amps: float) -> float:
        """Width of a spike, the refractory period, s; infinite where the reset is no match for the current (A)."""
        left = self.i_reset - amps + _LEAK_SHARE * self.i_leak
        return _FALL * self.charge / left if left > 0.0 else math.inf

    def rate(self, amps: float) -> float:
        """Spikes a second for a constant current (A) into the membrane, Hz."""
        leaking = _LEAK_SHARE * self.i_leak
        if amps <= leaking:
            return 0.0
        return 1.0 / (_RISE * self.charge / (amps - leaking) + _DELAY + self.width(amps))

    def decayed(self, volts: float, seconds: float) -> float:
        """What a membrane below its threshold has come to without current, V.

        With x = (v - V_SS) / V_T, x(t) = ln(1 + (exp(x) - 1) exp(-I_l t / ((C_m + C_f) V_T))).

        Args:
            volts: membrane, V.
            seconds: how long, s.
        """
        x = (volts - V_SS) / _THERMAL_VOLTAGE
        fallen = _LEAKING * self.i_leak * seconds / ((self.c_m + self.c_feedback) * _THERMAL_VOLTAGE)
        return V_SS + _THERMAL_VOLTAGE * math.log1p(math.expm1(x) * math.exp(-fallen))

    def cell(self, name: str) -> Cell:
        """The circuit, ports m (the membrane, which takes the current) and spike, LOW to HIGH."""
        parts = [
            Instance("vdd", VoltageSource(V_DD), ("vdd", "0")),
            Instance("vss", VoltageSource(V_SS), ("vss", "0")),
            Instance("cm", Capacitor(self.c_m), ("m", "vss")),
            Instance("cf", Capacitor(self.c_feedback), ("m", "spike")),
            Instance("pa", pmos(_WIDTH, _SLOW), ("quiet", "m", "vdd", "vdd")),
            Instance("na", nmos(_WIDTH, _SLOW), ("quiet", "m", "vss", "vss")),
            Instance("pb", pmos(2.0 * _WIDTH, _FAST), ("spike", "quiet", "vdd", "vdd")),
            Instance("nb", nmos(_WIDTH, _FAST), ("spike", "quiet", "vss", "vss")),
            Instance("ra", nmos(4.0 * _WIDTH, _SWITCH), ("m", "spike", "r", "vss")),
            *_sink("r", self.i_reset, "r"),
            *(_sink("l", self.i_leak, "m") if self.i_leak else ()),
        ]
        note = f"axon-hillock neuron, {7 + 2 * (self.i_leak > 0.0)} transistors"
        return Cell(name, ("m", "spike"), tuple(parts), note=note)


def _sink(mark: str, amps: float, net: str) -> Iterator[Instance]:
    """A current source to V_SS: a mirror of one to one."""
    source = nmos(N_CHANNEL.width(amps, _SOURCE_INVERSION, _SOURCE), _SOURCE)
    yield Instance(f"i{mark}", CurrentSource(amps), ("vdd", f"b{mark}"))
    yield Instance(f"b{mark}", source, (f"b{mark}", f"b{mark}", "vss", "vss"))
    yield Instance(f"s{mark}", source, (net, f"b{mark}", "vss", "vss"))
