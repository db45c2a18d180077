"""The clocked leaky integrate-and-fire neuron with ideal parts."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from ohmweave.blocks.clocking import Clocking
from ohmweave.blocks.lif_soma import LifSoma
from ohmweave.blocks.logic import HIGH, LOW, Gated, switch
from ohmweave.blocks.spiking import MOST_SPREAD, NEURON_PORTS, Membrane, require_refractory
from ohmweave.circuit import Behavioural, Capacitor, Cell, Instance, Resistor, Surface, Vccs, VoltageSource
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, require, require_spread

__all__ = ["ClockedLif"]

# Of switches, where a step takes 1 us and no capacitor is larger than 1 pF.
_SWITCH_OHM, _SWITCHED_FARAD, _SWITCHED_STEP = 2e3, 1e-12, 1e-6
_HOLD = 10e-15
_COMPARATOR_OHM = 1e3
# Over which the comparator's word changes, V; and the conductance that holds the membrane within its limits, so large
# that a pulse lifts it next to nothing beyond them, with a corner so sharp that a held membrane does not creep.
_DECISION = 0.1e-3
_CLAMP_SIEMENS, _CLAMP_CORNER = 1e-2, 0.5e-6
_LEAST_FARAD, _MOST_FARAD = 0.1e-15, 1e-9
_OHMS = (1e3, 1e13)
_GAINS = (1e-5, 20.0)
_LEAKS = ("switched", "resistor")
# What times the silence: its capacitor, and resistors large beside the switch that charges it and small beside those
# that are open. Its end may be 0.3 of a step off, so that so many steps ask the decay to be right to 0.3 %.
_SILENCE = 100e-15
_SILENCE_OHMS = (1e6, 1e12)
_MOST_SILENT = 100


@dataclass(frozen=True)
class _Compared:
    """f(v) = amps tanh((v - level) / width)."""

    amps: float
    level: float

    def value(self, x: Array) -> Array:
        """f(x)."""
        return np.asarray(self.amps * np.tanh((x - self.level) / _DECISION))

    def slope(self, x: Array) -> Array:
        """df/dx."""
        return np.asarray(self.amps / _DECISION / np.cosh(np.clip((x - self.level) / _DECISION, -300, 300)) ** 2)

    def expression(self, x: str) -> str:
        """f as an expression."""
        return f"{self.amps!r}*tanh((({x})-({self.level!r}))*{1.0 / _DECISION!r})"


@dataclass(frozen=True)
class _Held:
    """f(v): next to nothing within +-limit, g (|v| - limit) beyond; with a corner of half a microvolt."""

    limit: float

    def _parts(self, x: Array) -> tuple[Array, Array]:
        return x - self.limit, -x - self.limit

    def value(self, x: Array) -> Array:
        """f(x), A."""
        above, below = self._parts(x)
        return np.asarray(0.5 * _CLAMP_SIEMENS * (above + _rounded(above) - below - _rounded(below)))

    def slope(self, x: Array) -> Array:
        """df/dx, S."""
        above, below = self._parts(x)
        return np.asarray(0.5 * _CLAMP_SIEMENS * (2.0 + above / _rounded(above) + below / _rounded(below)))

    def expression(self, x: str) -> str:
        """f as an expression."""
        corner = _CLAMP_CORNER**2

        def beyond(z: str) -> str:
            return f"({z}+sqrt(({z})*({z})+{corner!r}))"

        above, below = f"(({x})-{self.limit!r})", f"(-({x})-{self.limit!r})"
        return f"{0.5 * _CLAMP_SIEMENS!r}*({beyond(above)}-{beyond(below)})"


def _rounded(z: Array) -> Array:
    return np.asarray(np.sqrt(z * z + _CLAMP_CORNER**2))


@dataclass(frozen=True)
class ClockedLif:
    """A membrane capacitor between clamped columns and a strobed comparator, with ideal parts.

    Columns end in r_in; copies of their currents, k times as large, charge and discharge the membrane:

        u(t) = beta u(t-1) - reset + k (Q_p - Q_n) / (C_m V_theta),   spike where u(t) > 1.

    Leak: a capacitor C_lk = C_m (1 - beta) / beta is switched to the membrane and emptied in every step
    (``switched``), or a resistor R = step / (C_m ln(1 / beta)) (``resistor``); with beta = 0, a switch to ground.
    k and the packets of charge make up for what a resistor takes between the pulse and the comparison; the mathematics
    takes that for a pulse of the clock's own width, so that one longer by w errs by w ln(1 / beta) / (2 step).
    Reset: a switch to ground, or a packet of charge C_m V_theta.

    Refractory period: for N steps after a spike u = 0, whatever the reset, which then has no circuit of its own. Where
    spike is high, the clock ``leak`` of the next step charges C_w = 100 fF to HIGH; it decays through R to LOW = -HIGH,
    and as long as it is above 0 V a switch joins the membrane to ground. With

        R C_w ln 2 = (N - e) step,   e = 0.20 the share of a step at which ``leak`` ends,

    that is until step t + N + 1 begins, in which the neuron listens again; anything from 0.70 of the step before
    (the strobe) to 0.30 of this one (the pulse) would do. The spike itself must not close the switch: it rises while
    the comparator still looks at the membrane.

    Args:
        c_m: membrane capacitance C_m, F.
        v_threshold: V_theta, V.
        v_limit: the membrane is held within +-v_limit, V.
        r_in: input resistance of a column's clamp, ohm.
        leak: ``switched`` or ``resistor``.
        offset_spread: standard deviation of the comparators' offsets, V.
        mirror_spread: of the gains of the copies, relative.
        leak_spread: of the leaks' capacitors or resistors, relative.
        refractory: N, 0 to 100; 0 has no circuit for it.

    Raises:
        DesignError: values that are not positive, limits below the threshold, an unknown leak, a refractory period of
            no whole number of steps.
    """

    tolerance: ClassVar[float] = 0.0
    membrane_tolerance: ClassVar[float] = 1e-3

    c_m: Annotated[float, Unit("F")] = 1e-12
    v_threshold: Annotated[float, Unit("V")] = 0.3
    v_limit: Annotated[float, Unit("V")] = 0.5
    r_in: Annotated[float, Unit("ohm")] = 10.0
    leak: str = "switched"
    offset_spread: Annotated[float, Unit("V")] = 0.0
    mirror_spread: float = 0.0
    leak_spread: float = 0.0
    refractory: int = 0

    def __post_init__(self) -> None:
        require("neuron.c_m", self.c_m, "F", "1 pF")
        require("neuron.v_threshold", self.v_threshold, "V", "300 mV")
        require("neuron.v_limit", self.v_limit, "V", "500 mV")
        require("neuron.r_in", self.r_in, "ohm", "10 ohm")
        require("neuron.offset_spread", self.offset_spread, "V", "5 mV", zero=True)
        require_spread("neuron.mirror_spread", self.mirror_spread, MOST_SPREAD)
        require_spread("neuron.leak_spread", self.leak_spread, MOST_SPREAD)
        if self.v_limit <= self.v_threshold:
            raise DesignError(
                f"expected limits of the membrane beyond its threshold of {self.v_threshold:g} V, "
                f"found {self.v_limit:g} V",
                where="neuron.v_limit",
                remedy="raise v_limit or lower v_threshold",
            )
        if self.leak not in _LEAKS:
            raise DesignError(
                f"expected {' or '.join(map(repr, _LEAKS))}, found {self.leak!r}",
                where="neuron.leak",
                remedy='try leak = "switched"',
            )
        require_refractory(self.refractory, _MOST_SILENT)

    def most_load(self, clock: Clocking) -> float:
        """Any conductance: ideal clamps are as quick as need be."""
        return math.inf

    def gain(self, per_unit: float, beta: float, clock: Clocking) -> float:
        """k = C_m V_theta / (Q d), Q in C into column p that shall be one threshold, d the droop of the pulse.

        Raises:
            DesignError: copies that a current mirror cannot make, a leak or a silence that no part has.
        """
        self._require_leak(beta, clock)
        self._require_silence(clock)
        k = self.c_m * self.v_threshold / (per_unit * self.kept(beta, 0.0, clock, "pulse", clock.pulse))
        if not _GAINS[0] <= k <= _GAINS[1]:
            raise DesignError(
                f"expected a ratio of the current mirrors from {_GAINS[0]:g} to {_GAINS[1]:g}, found {k:.4g}",
                where="neuron",
                remedy=f"{'raise' if k < _GAINS[0] else 'lower'} neuron.c_m, or change the read voltage, clock.pulse "
                "or the device's range",
            )
        return k

    def column(self, name: str) -> Cell:
        """How a column ends while it is read, port c; ``sense`` carries its current."""
        parts = (
            Instance("r", Resistor(self.r_in), ("c", "e")),
            Instance("sense", VoltageSource(0.0), ("e", "0")),
        )
        return Cell(name, ("c",), parts, note=f"end of a column, {self.r_in:g} ohm")

    def cell(self, name: str, membrane: Membrane, clock: Clocking) -> Cell:
        """The circuit, ports :data:`NEURON_PORTS`; as :class:`ohmweave.blocks.spiking.ClockedNeuron`."""
        more_p, more_n, _ = membrane.mismatch
        closing = self._switch(membrane, clock)
        level = self.v_threshold + membrane.offset
        compared = Behavioural(_Compared(HIGH / _COMPARATOR_OHM, level))
        parts = [
            Instance("rp", Resistor(self.r_in), ("p", "0")),
            Instance("rn", Resistor(self.r_in), ("n", "0")),
            Instance("gp", Vccs(membrane.gain * (1.0 + more_p) / self.r_in), ("0", "m", "p", "0")),
            Instance("gn", Vccs(membrane.gain * (1.0 + more_n) / self.r_in), ("m", "0", "n", "0")),
            Instance("cm", Capacitor(self.c_m), ("m", "0")),
            Instance("hold", Behavioural(_Held(self.v_limit)), ("m", "0", "m", "0")),
            *self._leak(membrane, clock, closing),
            Instance("cmp", compared, ("0", "word", "m", "0")),
            Instance("rc", Resistor(_COMPARATOR_OHM), ("word", "0")),
            Instance("strobe", closing, ("word", "spike", "compare")),
            Instance("ch", Capacitor(_HOLD), ("spike", "0")),
            Instance("begin", closing, ("m", "0", "start")),
            *(self._silence(clock, closing) if self.refractory else self._reset(membrane, clock, closing)),
        ]
        ending = f"refractory {self.refractory}" if self.refractory else f"reset {membrane.reset}"
        note = f"clocked neuron, beta {membrane.beta:g}, mirrors 1:{membrane.gain:.4g}, {ending}"
        return Cell(name, NEURON_PORTS, tuple(parts), note=note)

    def _switch(self, membrane: Membrane, clock: Clocking) -> Cell:
        """One that is as quick for larger capacitors in shorter steps: the shortest clock is 15 time constants long."""
        shared = 0.0 < membrane.beta < 1.0 and self.leak == "switched"
        largest = max(self.c_m, self._leak_farads(membrane) if shared else 0.0)
        slow = max(1.0, largest / _SWITCHED_FARAD * _SWITCHED_STEP / clock.step)
        ohms = f"{_SWITCH_OHM / slow:.4g}"
        return switch(f"switch_{re.sub('[^0-9]', '_', ohms)}", float(ohms))

    def _leak(self, membrane: Membrane, clock: Clocking, closing: Cell) -> list[Instance]:
        if membrane.beta == 1.0:
            return []
        if membrane.beta == 0.0:
            return [Instance("sl", closing, ("m", "0", "leak"))]
        if self.leak == "resistor":
            ohms = self._ohms(membrane.beta, clock) * (1.0 + membrane.mismatch[2])
            return [Instance("rl", Resistor(ohms), ("m", "0"))]
        return [
            Instance("cl", Capacitor(self._leak_farads(membrane)), ("l", "0")),
            Instance("sl", closing, ("m", "l", "leak")),
            Instance("sd", closing, ("l", "0", "discharge")),
        ]

    def _reset(self, membrane: Membrane, clock: Clocking, closing: Cell) -> list[Instance]:
        if membrane.reset in {"zero", "hold"}:
            return [*_both("reset"), Instance("sr", closing, ("m", "0", "off"))]
        if membrane.reset == "subtract":
            packet = Surface(Gated(self.packet(membrane, clock)))
            return [Instance("packet", packet, ("m", "0", "spike", "0", "reset", "0"))]
        return []

    def _silence(self, clock: Clocking, closing: Cell) -> list[Instance]:
        waits = Behavioural(_Compared(HIGH / _COMPARATOR_OHM, 0.0))
        return [
            *_both("leak"),
            Instance("vh", VoltageSource(HIGH), ("high", "0")),
            Instance("sw", closing, ("high", "wait", "off")),
            Instance("cw", Capacitor(_SILENCE), ("wait", "0")),
            Instance("rw", Resistor(self._silence_ohms(clock)), ("wait", "low")),
            Instance("waits", waits, ("0", "silent", "wait", "0")),
            Instance("rs", Resistor(_COMPARATOR_OHM), ("silent", "0")),
            Instance("still", closing, ("m", "0", "silent")),
        ]

    def _silence_ohms(self, clock: Clocking) -> float:
        return (self.refractory - clock.phase("leak").end) * clock.step / (_SILENCE * math.log((HIGH - LOW) / -LOW))

    def packet(self, membrane: Membrane, clock: Clocking) -> float:
        """Current of the packets of charge that a spike takes from the membrane, A."""
        when = membrane.reset_clock
        width = _width(clock, when)
        # Taken before the leak, a packet is to leak with the membrane.
        wanted = self.v_threshold * (1.0 if membrane.delay else membrane.beta)
        if not wanted:
            return 0.0
        return self.c_m * wanted / (self.kept(membrane.beta, 0.0, clock, when, width) * width)

    def _leak_farads(self, membrane: Membrane) -> float:
        return self.c_m * (1.0 - membrane.beta) / membrane.beta * (1.0 + membrane.mismatch[2])

    def _require_silence(self, clock: Clocking) -> None:
        if not self.refractory:
            return
        found, (least, most) = self._silence_ohms(clock), _SILENCE_OHMS
        if not least <= found <= most:
            remedy = "lengthen clock.step or raise neuron.refractory"
            if found > most:
                remedy = "shorten clock.step or lower neuron.refractory"
            raise DesignError(
                f"expected a resistor from {least:g} to {most:g} ohm for the refractory period, found {found:.4g} ohm "
                f"for refractory = {self.refractory} and steps of {clock.step:g} s",
                where="neuron.refractory",
                remedy=remedy,
            )

    def _require_leak(self, beta: float, clock: Clocking) -> None:
        if beta in {0.0, 1.0}:
            return
        if self.leak == "resistor":
            part, unit, found, (least, most) = "resistor", "ohm", self._ohms(beta, clock), _OHMS
        else:
            part, unit, least, most = "capacitor", "F", _LEAST_FARAD, _MOST_FARAD
            found = self.c_m * (1.0 - beta) / beta
        if not least <= found <= most:
            wrong = "raise" if (found < least) != (self.leak == "resistor") else "lower"
            raise DesignError(
                f"expected a leak's {part} from {least:g} to {most:g} {unit}, found {found:.4g} {unit} for beta = "
                f"{beta!r}",
                where="neuron",
                remedy=f"{wrong} neuron.c_m or train with another beta",
            )

    def _ohms(self, beta: float, clock: Clocking) -> float:
        return clock.step / (self.c_m * math.log(1.0 / beta))

    def _switched(self, beta: float) -> bool:
        return self.leak == "switched" or beta == 0.0

    def decay(self, beta: float, deviation: float) -> float:
        """What is left of a membrane from one comparison to the next, where the leak is off by ``deviation``."""
        if self._switched(beta):
            return beta / (beta + (1.0 - beta) * (1.0 + deviation))
        return math.pow(beta, 1.0 / (1.0 + deviation))

    def kept(self, beta: float, deviation: float, clock: Clocking, when: str, width: float) -> float:
        """What is left at the next comparison of charge that comes at a clock, ``width`` (s) long."""
        if self._switched(beta):
            return self.decay(beta, deviation) if when == "reset" else 1.0
        rate = -math.log(self.decay(beta, deviation)) / clock.step
        wait = (clock.strobe - clock.phase(when).begin * clock.step) % clock.step - 0.5 * width
        return math.exp(-wait * rate) * _spread(0.5 * width * rate) * _spread(0.5 * clock.edge * rate)

    def soma(self, membranes: Sequence[Membrane], clock: Clocking) -> LifSoma:
        """The mathematics of these neurons."""
        rows = [_figures(self, membrane, clock) for membrane in membranes]
        decay, more, less, level, packet, emptied, deaf, limit = np.array(rows, dtype=np.float64).T
        return LifSoma(decay, (more, less), level, packet, emptied, deaf, limit, self.refractory)


def _both(clock: str) -> list[Instance]:
    """Net ``off`` is HIGH while the spike and a clock are: a current of the clock's form through 1 kohm."""
    gate = Surface(Gated((HIGH - LOW) / _COMPARATOR_OHM))
    return [
        Instance("both", gate, ("0", "off", "spike", "0", clock, "0")),
        Instance("rg", Resistor(_COMPARATOR_OHM), ("off", "low")),
        Instance("vl", VoltageSource(LOW), ("low", "0")),
    ]


def _figures(neuron: ClockedLif, membrane: Membrane, clock: Clocking) -> tuple[float, ...]:
    more_p, more_n, deviation = membrane.mismatch
    beta = membrane.beta
    injected = membrane.gain / neuron.c_m * neuron.kept(beta, deviation, clock, "pulse", clock.pulse)
    # A silence empties membranes: no reset is left to do.
    reset, packet = "none" if neuron.refractory else membrane.reset, 0.0
    if reset == "subtract":
        when = membrane.reset_clock
        width = _width(clock, when)
        amps = neuron.packet(membrane, clock)
        packet = amps * width / neuron.c_m * neuron.kept(beta, deviation, clock, when, width)
    limit = neuron.v_limit
    if neuron.leak == "resistor" and beta:
        end = clock.phase("pulse").end * clock.step
        limit *= neuron.decay(beta, deviation) ** ((clock.strobe - end) / clock.step)
    return (
        neuron.decay(beta, deviation),
        injected * (1.0 + more_p),
        injected * (1.0 + more_n),
        neuron.v_threshold + membrane.offset,
        packet,
        float(reset == "zero"),
        float(reset == "hold"),
        limit,
    )


def _width(clock: Clocking, when: str) -> float:
    phase = clock.phase(when)
    return (phase.end - phase.begin) * clock.step


def _spread(x: float) -> float:
    return math.sinh(x) / x if x > 1e-9 else 1.0
