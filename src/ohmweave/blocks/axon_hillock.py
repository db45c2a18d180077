"""The asynchronous integrate-and-fire neuron of two inverters and a feedback capacitor, in transistors."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from ohmweave.blocks.technology import N_CHANNEL, THERMAL_VOLTAGE, V_DD, V_SS, nmos, pmos
from ohmweave.circuit import Capacitor, Cell, CurrentSource, Instance, VoltageSource
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, require

__all__ = ["AxonHillock"]

_SWING = V_DD - V_SS

# Channels, m: widths, and lengths of the slow and the fast inverter, of current sources, of the reset's switch.
_WIDTH, _SLOW, _FAST, _SOURCE, _SWITCH = 0.12e-6, 0.5e-6, 0.1e-6, 1e-6, 0.15e-6
# Inversion coefficients of the reset's source and of the leak's, which is to leave saturation close to V_SS.
_RESETTING, _LEAKING = 0.5, 0.05

# For what sizes and currents the figures below hold.
_FARADS, _SHARES = (100e-15, 1e-12), (0.2, 0.4)
_RESETS, _LEAST_LEAK, _LEAK_OF_RESET = (0.25e-6, 2e-6), 2e-9, 0.2
_ABOVE_LEAK, _ABOVE_NOTHING, _OF_RESET, _SILENT = 1.5, 5e-9, 0.65, 0.9
_WATCHED, _ROUNDING = -0.1, 1e-9

# Figures of the inverters and sources above, which no capacitor and no current changes; measured in ngspice at 27 C
# (tests/contract/test_axon_hillock.py). Share of its current that the leak's source takes in saturation, and its law
# beside 1 - exp(-x) below, over x = (v - V_SS) / V_T.
_LEAK_X = (0.0, 0.2, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0, 13.0, 16.0, 18.0, 24.0)
_LEAK_SHARE = (
    0.862, 0.8934, 0.9355, 0.9818, 1.0007, 1.0013, 0.995, 0.9883, 0.9837, 0.9813, 0.9806, 0.9826, 0.9881, 0.9934,
    1.0004, 1.0068, 1.011, 1.0225,
)  # fmt: skip
# Current through the open switch, A; parasitic capacitance of the inverter and the switch, F, and of the leak, F/m.
_OFF, _PARASITIC, _PARASITIC_LEAK = 0.103e-9, 2.4e-15, 1e-9
# Share of the reset's current at 1 uA, and how it falls with its logarithm, since the switch holds the source's drain.
_RESET_SHARE, _RESET_FALL = 1.0088, 0.0026
# Threshold, V, how much sooner it comes upwards than downwards, V, less ohm of the reset's current, and b of overshoots
# down and up, sqrt(V s).
_THRESHOLD, _SOONER, _LATER, _DOWN, _UP = -0.05, 3.55e-3, 963.0, 8.58e-6, 5.79e-6
# Integrals of the first inverter's current over its input times S, upwards and downwards, A V2; per spike, J.
_THROUGH_UP, _THROUGH_DOWN, _PER_SPIKE = 46.6e-9, 63.6e-9, 12.1e-15

# Where integrals are taken: middles of equal shares of a membrane's way, and logarithms of exp(x) - 1 around zero.
_MIDDLES: Array = (np.arange(32, dtype=np.float64) + 0.5) / 32.0
_LEAK_Y, _POINTS = (-8.0, 18.0), 1024


@dataclass(frozen=True)
class AxonHillock:
    """An integrate-and-fire neuron that spikes when it likes (Mead, Analog VLSI and Neural Systems, 1989).

    A current I charges the membrane; where the first inverter turns, the second pulls its end of C_f up by
    S = V_DD - V_SS, which lifts the membrane by S C_f / C; while the spike lasts, a source discharges it until the
    inverters turn back. Another source leaks, and so does the reset's open switch. With x = (v - V_SS) / V_T,

        C dv/dt = I - I_L(v),   I_L(v) = (I_l s(x) + I_0) (1 - exp(-x)),   C = C_m + C_f + C_p,
        T = Q / I_n + Q / I_d,   Q = C_f S - C V_h + sqrt(C) (b_d sqrt(I_d) + b_u sqrt(I_n)),

    the first part of the period T being the membrane's rise, the second the spike's width and the refractory period.
    I_n is the harmonic mean of I - I_L over the rise; I_d = I_r r - I + I_L, with I_L's mean over the spike. Beside
    what the feedback brings back, C_f S, the charge Q knows that inverters turn V_h sooner upwards, and that they take
    a time ~ 1 / sqrt(dv/dt) to turn, in which the membrane overshoots by b sqrt(dv/dt). s, the source's law in weak
    inversion, C_p = 2.4 fF + 1 fF/um of the leak's width, I_0 = 0.1 nA, V_h = 3.55 mV - 0.96 kohm I_r, b and
    r = 1.009 - 0.0026 ln(I_r / 1 uA) are figures of the transistors, measured once: sizing leaves these as they are,
    and a source's channel has the same inversion coefficient at any current.

    Rates are those of the circuit within 1 % and spikes' widths within 5 % for C_m + C_f from 100 fF to 1 pF,
    C_f / (C_m + C_f) from 0.2 to 0.4, I_r from 0.25 uA to 2 uA, I_l of 0 or from 2 nA to 0.2 I_r, and I from
    1.5 I_l + 5 nA to 0.65 I_r (they fall again beyond I_r / 2). Other sizes and currents are refused.

    Args:
        c_m: capacitance from membrane to V_SS, F.
        c_feedback: C_f, F.
        i_reset: I_r, A.
        i_leak: I_l, A; 0 for none.

    Raises:
        DesignError: a value out of its range.
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
        both = self.c_m + self.c_feedback
        _require_within("c_m", "c_m + c_feedback", both, "F", _FARADS)
        _require_within("c_feedback", "c_feedback / (c_m + c_feedback)", self.c_feedback / both, "", _SHARES)
        _require_within("i_reset", "a reset's current", self.i_reset, "A", _RESETS)
        if self.i_leak:
            _require_within("i_leak", "no leak, or one", self.i_leak, "A", (_LEAST_LEAK, _LEAK_OF_RESET * self.i_reset))

    @classmethod
    def of(
        cls,
        beta: float,
        threshold: float,
        step: float,
        *,
        c_feedback: float = 80e-15,
        jump: float = _SWING / 3.0,
        refractory: float = 0.1,
    ) -> "AxonHillock":
        """The neuron nearest to u' = beta u + x, a spike where u passes theta, in steps of dt.

        A source cannot leak in proportion to the membrane: beta's exponential decay is not to be had, only what it
        means for constant inputs. One threshold is the charge that the feedback brings back, Q = C_f S; a constant
        input never makes a spike up to x = (1 - beta) theta, here up to the current I_l; a spike lasts a share p of
        a step where the input is small; it lifts the membrane by V_j:

            I = x Q / (theta dt),   I_l = (1 - beta) Q / dt,   I_r = Q / (p dt),   C_m = C_f (S / V_j - 1).

        Inputs larger than 0.65 theta / p a step are beyond its range. Where leaks count little, this leak takes from
        rates as much as beta does from a membrane at its threshold, twice the mean of one that rises evenly.

        Args:
            beta: what is left of a membrane after a step; above 0, at most 1 for no leak.
            threshold: theta, in units of the network; sizes do not depend on it, currents do (:meth:`amps`).
            step: dt, s.
            c_feedback: C_f, F, which scales every current.
            jump: V_j, V.
            refractory: p.

        Raises:
            DesignError: values without a meaning; parts out of their ranges, named with what asked for them.
        """
        if not 0.0 < beta <= 1.0:
            raise DesignError(
                f"expected beta above 0 and up to 1, found {beta:g}",
                where="neuron.beta",
                remedy="train with another beta",
            )
        require("neuron.threshold", threshold, "units of the network", "1")
        require("neuron.step", step, "s", "1 us")
        require("neuron.c_feedback", c_feedback, "F", "80 fF")
        require("neuron.jump", jump, "V", "0.37 V")
        require("neuron.refractory", refractory, "steps", "0.1")
        charge = c_feedback * _SWING
        try:
            return cls(
                c_feedback * (_SWING / jump - 1.0),
                c_feedback,
                charge / (refractory * step),
                (1.0 - beta) * charge / step,
            )
        except DesignError as error:
            asked = f"beta = {beta:g}, steps of {step:g} s, c_feedback = {c_feedback:g} F, jump = {jump:g} V and "
            raise DesignError(
                f"{error.message}, of {asked}refractory = {refractory:g}",
                where=error.where,
                remedy="choose another c_feedback, jump or refractory, or train with another beta or step",
            ) from error

    @property
    def charge(self) -> float:
        """What the second inverter moves on the membrane, C_f S, C."""
        return self.c_feedback * _SWING

    @property
    def farads(self) -> float:
        """C = C_m + C_f + C_p, F."""
        leak = _PARASITIC_LEAK * _channel(self.i_leak, _LEAKING)[0] if self.i_leak else 0.0
        return self.c_m + self.c_feedback + _PARASITIC + leak

    @property
    def currents(self) -> tuple[float, float]:
        """The least and the largest current into the membrane that its rate is known for, A."""
        return _ABOVE_LEAK * self.i_leak + _ABOVE_NOTHING, _OF_RESET * self.i_reset

    def amps(self, value: float, threshold: float, step: float) -> float:
        """The current I = x Q / (theta dt) for an input x a step, A; see :meth:`of`.

        Args:
            value: x, in units of the network.
            threshold: theta, in units of the network.
            step: dt, s.

        Raises:
            DesignError: an input, a threshold or a step that is not positive.
        """
        require("neuron.value", value, "units of the network", "1", zero=True)
        require("neuron.threshold", threshold, "units of the network", "1")
        require("neuron.step", step, "s", "1 us")
        return value * self.charge / (threshold * step)

    def leaving(self, volts: Array) -> Array:
        """I_L, what leaves a membrane of any ``volts`` (V, any shape) but through the reset, A."""
        x = (volts - V_SS) / THERMAL_VOLTAGE
        return np.asarray((self.i_leak * np.interp(x, _LEAK_X, _LEAK_SHARE) + _OFF) * -np.expm1(-x))

    def width(self, amps: float) -> float:
        """Width of a spike, the refractory period, Q / I_d, s.

        Raises:
            DesignError: a current (A) outside of :attr:`currents`.
        """
        _, down, moved = self._moved(amps)
        return moved / down

    def rate(self, amps: float) -> float:
        """Spikes a second, 1 / T, for a constant current (A) into the membrane, Hz; 0 up to 0.9 I_l.

        Raises:
            DesignError: another current outside of :attr:`currents`.
        """
        if amps <= _SILENT * self.i_leak:
            return 0.0
        up, down, moved = self._moved(amps)
        return 1.0 / (moved / up + moved / down)

    def joules(self, amps: float) -> float:
        """What the supplies deliver from one spike to the next, J.

        Bias currents flow all the time, and the input ends in V_SS; C_f is charged and discharged; the first inverter
        conducts while the membrane passes through its threshold, for a time ~ C / I_n and ~ C / I_d:

            E = S (I_r + I_l) T - V_SS I T + C_f S^2 + C (k_u / I_n + k_d / I_d) + E_0,

        k_u = 47 nA V^2, k_d = 64 nA V^2 and E_0 = 12 fJ being measured. Within 5 % of the circuit's.

        Args:
            amps: I, A.

        Raises:
            DesignError: a current outside of :attr:`currents`.
        """
        up, down, moved = self._moved(amps)
        watts = _SWING * (self.i_reset + self.i_leak) - V_SS * amps
        through = self.farads * (_THROUGH_UP / up + _THROUGH_DOWN / down)
        return watts * (moved / up + moved / down) + self.charge * _SWING + through + _PER_SPIKE

    def decayed(self, volts: float, seconds: float) -> float:
        """What a membrane below its threshold has come to without current, V.

        With x = (v - V_SS) / V_T and y = ln(exp(x) - 1), C V_T dy/dt = -(I_l s(x) + I_0), of which the time from one
        y to another is the integral. v - V_SS is right to 1 % of what it was and, where there is a leak, to 3 % of
        itself down to 3 mV.

        Args:
            volts: membrane, V, from V_SS to -0.1 V.
            seconds: how long, at least 0 s.

        Raises:
            DesignError: a membrane or a time outside of these.
        """
        require("neuron.seconds", seconds, "s", "1 us", zero=True)
        if not V_SS <= volts <= _WATCHED:
            raise DesignError(
                f"expected a membrane from {V_SS:g} V to {_WATCHED:g} V, found {volts:g} V",
                where="neuron.volts",
                remedy="begin below the threshold",
            )
        if volts == V_SS:
            return V_SS
        begin = math.log(math.expm1((volts - V_SS) / THERMAL_VOLTAGE))
        y = np.linspace(min(begin, _LEAK_Y[0]), _LEAK_Y[1], _POINTS)
        leaking = self.i_leak * np.interp(np.logaddexp(0.0, y), _LEAK_X, _LEAK_SHARE) + _OFF
        slow = self.farads * THERMAL_VOLTAGE / leaking
        times = np.concatenate([[0.0], np.cumsum(0.5 * (slow[1:] + slow[:-1]) * np.diff(y))])
        left = float(np.interp(begin, y, times)) - seconds
        # Below the grid the leak has the share that it has at V_SS.
        end = float(np.interp(left, times, y)) if left >= 0.0 else float(y[0] + left / slow[0])
        return min(volts, V_SS + THERMAL_VOLTAGE * float(np.logaddexp(0.0, end)))

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
            *_sink("r", self.i_reset, _RESETTING, "r"),
            *(_sink("l", self.i_leak, _LEAKING, "m") if self.i_leak else ()),
        ]
        note = f"axon-hillock neuron, {7 + 2 * (self.i_leak > 0.0)} transistors"
        return Cell(name, ("m", "spike"), tuple(parts), note=note)

    def _moved(self, amps: float) -> tuple[float, float, float]:
        """I_n and I_d, A, and Q, C."""
        _require_within("amps", "a current into the membrane", amps, "A", self.currents)
        jump = _SWING * self.c_feedback / (self.c_m + self.c_feedback)
        up = 1.0 / float(np.mean(1.0 / (amps - self.leaving(_THRESHOLD - jump * _MIDDLES))))
        share = _RESET_SHARE - _RESET_FALL * math.log(self.i_reset / 1e-6)
        down = share * self.i_reset - amps + float(np.mean(self.leaving(_THRESHOLD + jump * _MIDDLES)))
        over = math.sqrt(self.farads) * (_DOWN * math.sqrt(down) + _UP * math.sqrt(up))
        return up, down, self.charge - self.farads * (_SOONER - _LATER * self.i_reset) + over


def _require_within(key: str, what: str, found: float, unit: str, ends: tuple[float, float]) -> None:
    # Sums of capacitances and products of currents may be off by roundings.
    if not ends[0] * (1.0 - _ROUNDING) <= found <= ends[1] * (1.0 + _ROUNDING):
        symbol = f" {unit}" if unit else ""
        raise DesignError(
            f"expected {what} from {ends[0]:.4g}{symbol} to {ends[1]:.4g}{symbol}, found {found:.4g}{symbol}",
            where=f"neuron.{key}",
            remedy=f"{'raise' if found < ends[0] else 'lower'} {key}",
        )


def _channel(amps: float, inversion: float) -> tuple[float, float]:
    """Width and length, m, of a source of an inversion coefficient: no narrower than the technology's others."""
    squares = N_CHANNEL.width(amps, inversion, 1.0)
    width = max(_WIDTH, squares * _SOURCE)
    return width, width / squares


def _sink(mark: str, amps: float, inversion: float, net: str) -> Iterator[Instance]:
    """A current source to V_SS: a mirror of one to one."""
    source = nmos(*_channel(amps, inversion))
    yield Instance(f"i{mark}", CurrentSource(amps), ("vdd", f"b{mark}"))
    yield Instance(f"b{mark}", source, (f"b{mark}", f"b{mark}", "vss", "vss"))
    yield Instance(f"s{mark}", source, (net, f"b{mark}", "vss", "vss"))
