"""The clocked neuron in transistors of the 45 nm technology: sizes from equations, and the circuit."""

from collections.abc import Iterator
from dataclasses import dataclass

from ohmweave.blocks.spiking import NEURON_PORTS, Membrane
from ohmweave.blocks.technology import N_CHANNEL, P_CHANNEL, V_DD, V_SS, nmos, pmos
from ohmweave.circuit import Capacitor, Cell, CurrentSource, Instance, Mosfet, Resistor, VoltageSource

__all__ = ["LEAST_WIDTH", "REST", "SILENCE", "SUPPLIES", "LifSizes", "circuit", "size", "transistors"]

Size = tuple[float, float]

# Channels of mirrors and amplifiers, of cascodes, of the source of packets, of switches and gates, m.
_LONG, _CASCODE, _PACKET, _SHORT, _TIGHT = 0.3e-6, 0.1e-6, 1e-6, 45e-9, 0.15e-6
LEAST_WIDTH = 0.12e-6
# Inversion coefficients at the design current.
_MIRROR, _MIRROR_CASCODE, _P_MIRROR, _P_CASCODE = 1.0, 0.3, 0.8, 0.8
_AMPLIFIER, _SOURCE = 0.1, 0.5
# Currents as shares of the column's design current: at rest, of its amplifier, of the comparator.
REST, _TAIL, _COMPARE = 0.05, 0.05, 0.02
# Gates of cascodes while they conduct, V: their mirrors then have 0.1 V and more.
_BIASES = {"vcn": 0.12, "vcp": -0.15, "van": -0.05, "vap": -0.20}
# Conductance from a column to ground per ampere of design current, S/A: see :func:`circuit`.
_DAMPING = 8.0
# MOM capacitors, F: what holds a spike; what the opening n copy takes from a membrane, per unit of k, so that it takes
# what the wider p copy gives.
_HOLD, _BALANCE = 3e-15, 14e-15
# What times a refractory period, F: discharged by nanoamperes, still a hundred times what its open switch lets through.
SILENCE = 200e-15

# Every voltage source in the cell: together they deliver its energy.
SUPPLIES = ("vdd", "vss", *_BIASES, "vth")


@dataclass(frozen=True)
class LifSizes:
    """Widths and lengths in m of the transistors that do the same, and the bias currents.

    Args:
        mirror: of M1, which takes a column's current; its copies are ``gain`` times as wide.
        cascode: of M2 above it; those of the copies are ``gain`` times as wide.
        p_mirror: of M5, M6, which turn the copy of column p around.
        p_cascode: of M7, M8 below them.
        rest: of the source of a column's current at rest.
        tail: of an amplifier's source.
        pair: of its input pair.
        p_fold, n_fold: of the cascodes on its pair and on its load.
        load: of its load.
        gain: k.
        damping: resistor from a column to ground, ohm.
        i_tail: of an amplifier, A.
        i_compare: of the comparator, A.
    """

    mirror: Size
    cascode: Size
    p_mirror: Size
    p_cascode: Size
    rest: Size
    tail: Size
    pair: Size
    p_fold: Size
    n_fold: Size
    load: Size
    gain: float
    damping: float
    i_tail: float
    i_compare: float


def size(i_column: float, gain: float) -> LifSizes:
    """Sizes for a column's current, by inversion coefficients (:class:`ohmweave.blocks.technology.Channel`).

        W = L I / (IC I_s),   IC_1 = 1, IC_2 = 0.3 at I = i_column,   IC_5 to IC_8 = 0.8 at k I,

    so that at three times that current the mirrors still have their 0.1 V to 0.2 V below the cascodes. A column rests
    at 0.05 I; its amplifier has as much, its pair and cascodes IC = 0.1, and its load the inversion coefficient that
    M1 has at rest: there the amplifier's output is balanced with M1's gate, and the column at 0 V.

    Args:
        i_column: I, of a column during a pulse, A.
        gain: k, current of a copy for a current into a column.
    """
    i_tail = _TAIL * i_column
    half = 0.5 * i_tail

    def n(amps: float, inversion: float, length: float) -> Size:
        return N_CHANNEL.width(amps, inversion, length), length

    def p(amps: float, inversion: float, length: float) -> Size:
        return P_CHANNEL.width(amps, inversion, length), length

    return LifSizes(
        mirror=n(i_column, _MIRROR, _LONG),
        cascode=n(i_column, _MIRROR_CASCODE, _CASCODE),
        p_mirror=p(gain * i_column, _P_MIRROR, _LONG),
        p_cascode=p(gain * i_column, _P_CASCODE, _CASCODE),
        rest=p(REST * i_column, _SOURCE, _LONG),
        tail=p(i_tail, _SOURCE, _LONG),
        pair=p(half, _AMPLIFIER, _LONG),
        p_fold=p(half, _AMPLIFIER, _CASCODE),
        n_fold=n(half, _AMPLIFIER, _CASCODE),
        load=n(half, _MIRROR * REST, _LONG),
        gain=gain,
        damping=1.0 / (_DAMPING * i_column),
        i_tail=i_tail,
        i_compare=_COMPARE * i_column,
    )


def circuit(
    name: str,
    sizes: LifSizes,
    membrane: Membrane,
    c_m: float,
    v_threshold: float,
    i_packet: float = 0.0,
    i_silence: float = 0.0,
) -> Cell:
    """The neuron, ports :data:`ohmweave.blocks.spiking.NEURON_PORTS`; its membrane is the net ``m``.

    Columns: an amplifier (telescopic, of p channels) holds each column at 0 V by the gate of M1, which takes the
    column's current and one at rest; M2 is M1's cascode. The lighter the array, the larger that loop's gain and the
    slower its second pole, the column's: a resistor to ground, with next to no voltage over it, keeps the loop from
    ringing whatever array there is. Copies: k times as wide, that of n draws on the membrane,
    that of p by way of the mirror M5 to M8. Both have cascodes on the membrane, which only conduct while
    ``integrate`` is high. Leak: a capacitor is joined to the membrane (``leak``) and emptied (``discharge``) by gates
    of both channels. Comparator: an amplifier of n channels between membrane and threshold, whose word is let to the
    hold's capacitor (``compare``); two inverters make it the spike. Reset: two transistors in series, of spike and
    clock, to ground, or through a current source. Refractory period, in the place of a reset: while ``leak`` is high
    behind a spike, a gate of four transistors has C_w = 200 fF charged to the upper supply; a current source empties
    it, and as long as it is above 0 V, where two inverters turn, a transistor joins the membrane to ground.

    Args:
        name: the cell's name.
        sizes: of its parts.
        membrane: what the neuron has to be.
        c_m: membrane capacitance, F.
        v_threshold: threshold, V.
        i_packet: of the source that a spike joins to the membrane, where the reset is ``"subtract"``, A.
        i_silence: that empties C_w, A; 0 for a neuron that always listens.
    """
    parts = [
        Instance("vdd", VoltageSource(V_DD), ("vdd", "0")),
        Instance("vss", VoltageSource(V_SS), ("vss", "0")),
        *(Instance(bias, VoltageSource(volts), (bias, "0")) for bias, volts in _BIASES.items()),
        Instance("vth", VoltageSource(v_threshold + membrane.offset), ("vth", "0")),
        Instance("ip", CurrentSource(sizes.i_tail), ("bp", "vss")),
        Instance("bp", pmos(*sizes.tail), ("bp", "bp", "vdd", "vdd")),
        *_column(sizes, "p"),
        *_column(sizes, "n"),
        *_copies(sizes, membrane),
        *_inverter("closed", "integrate", "closed", "vdd", "vss"),
        *_inverter("cn", "closed", "cn", "vcn", "vss", 8.0),
        *_inverter("cp", "integrate", "cp", "vdd", "vcp", 4.0),
        Instance("cm", Capacitor(c_m), ("m", "0")),
        *_leak(membrane, c_m),
        *_comparator(sizes),
        *_spike(),
        Instance("begin", nmos(4.0 * LEAST_WIDTH, _SHORT), ("m", "start", "0", "vss")),
        *(_silence(i_silence) if i_silence else _reset(membrane, i_packet)),
    ]
    count = sum(isinstance(part.of, Mosfet) for part in parts)
    note = f"clocked neuron, {count} transistors, beta {membrane.beta:g}, mirrors 1:{membrane.gain:.4g}"
    ending = "refractory" if i_silence else f"reset {membrane.reset}"
    return Cell(name, NEURON_PORTS, tuple(parts), note=f"{note}, {ending}")


def transistors(cell: Cell) -> int:
    """How many transistors a cell has."""
    return sum(isinstance(part, Instance) and isinstance(part.of, Mosfet) for part in cell.parts)


def _times(wide: Size, factor: float) -> Size:
    return wide[0] * factor, wide[1]


def _column(sizes: LifSizes, c: str) -> Iterator[Instance]:
    """The end of a column: its gate net is ``g`` and its letter."""
    gate, middle, tail, left, right, word, down, up = (f"{net}{c}" for net in "getxydzw")
    yield Instance(f"r{c}", Resistor(sizes.damping), (c, "0"))
    yield Instance(f"m1{c}", nmos(*sizes.mirror), (middle, gate, "vss", "vss"))
    yield Instance(f"m2{c}", nmos(*sizes.cascode), (c, "vcn", middle, "vss"))
    yield Instance(f"rest{c}", pmos(*sizes.rest), (c, "bp", "vdd", "vdd"))
    yield Instance(f"tail{c}", pmos(*sizes.tail), (tail, "bp", "vdd", "vdd"))
    # The pair stands in a well of its own.
    yield Instance(f"pa{c}", pmos(*sizes.pair), (left, c, tail, tail))
    yield Instance(f"pb{c}", pmos(*sizes.pair), (right, "0", tail, tail))
    yield Instance(f"fa{c}", pmos(*sizes.p_fold), (word, "vap", left, "vdd"))
    yield Instance(f"fb{c}", pmos(*sizes.p_fold), (gate, "vap", right, "vdd"))
    yield Instance(f"ha{c}", nmos(*sizes.n_fold), (word, "van", down, "vss"))
    yield Instance(f"hb{c}", nmos(*sizes.n_fold), (gate, "van", up, "vss"))
    yield Instance(f"la{c}", nmos(*sizes.load), (down, word, "vss", "vss"))
    yield Instance(f"lb{c}", nmos(*sizes.load), (up, word, "vss", "vss"))


def _copies(sizes: LifSizes, membrane: Membrane) -> Iterator[Instance]:
    more_p, more_n, _ = membrane.mismatch
    k = sizes.gain
    yield Instance("m3p", nmos(*_times(sizes.mirror, k * (1.0 + more_p))), ("ap", "gp", "vss", "vss"))
    yield Instance("m4p", nmos(*_times(sizes.cascode, k)), ("turn", "vcn", "ap", "vss"))
    yield Instance("m5", pmos(*sizes.p_mirror), ("b1", "turn", "vdd", "vdd"))
    yield Instance("m7", pmos(*sizes.p_cascode), ("turn", "vcp", "b1", "vdd"))
    yield Instance("m6", pmos(*sizes.p_mirror), ("b2", "turn", "vdd", "vdd"))
    yield Instance("m8", pmos(*sizes.p_cascode), ("m", "cp", "b2", "vdd"))
    yield Instance("m3n", nmos(*_times(sizes.mirror, k * (1.0 + more_n))), ("an", "gn", "vss", "vss"))
    yield Instance("m4n", nmos(*_times(sizes.cascode, k)), ("m", "cn", "an", "vss"))
    yield Instance("cx", Capacitor(_BALANCE * k), ("an", "vss"))


def _inverter(mark: str, a: str, y: str, high: str, low: str, wide: float = 1.0) -> Iterator[Instance]:
    yield Instance(f"{mark}n", nmos(wide * LEAST_WIDTH, _SHORT), (y, a, low, "vss"))
    yield Instance(f"{mark}p", pmos(2.0 * wide * LEAST_WIDTH, _SHORT), (y, a, high, "vdd"))


def _gate(mark: str, a: str, b: str, clock: str, wide: float = 1.0) -> Iterator[Instance]:
    """A gate of both channels, and the clock's complement."""
    yield from _inverter(f"{mark}i", clock, f"{mark}b", "vdd", "vss")
    yield Instance(f"{mark}gn", nmos(wide * LEAST_WIDTH, _SHORT), (a, clock, b, "vss"))
    yield Instance(f"{mark}gp", pmos(wide * LEAST_WIDTH, _SHORT), (a, f"{mark}b", b, "vdd"))


def _leak(membrane: Membrane, c_m: float) -> Iterator[Instance]:
    if membrane.beta == 1.0:
        return
    farads = c_m * (1.0 - membrane.beta) / membrane.beta * (1.0 + membrane.mismatch[2])
    yield Instance("cl", Capacitor(farads), ("l", "0"))
    yield from _gate("leak", "m", "l", "leak", 4.0)
    yield Instance("empty", nmos(4.0 * LEAST_WIDTH, _SHORT), ("l", "discharge", "0", "vss"))


def _comparator(sizes: LifSizes) -> Iterator[Instance]:
    """An amplifier of n channels; its net ``word`` is high while the membrane is above the threshold."""
    amps = sizes.i_compare
    pair = nmos(N_CHANNEL.width(0.5 * amps, _AMPLIFIER, _LONG), _LONG)
    load = pmos(P_CHANNEL.width(0.5 * amps, _SOURCE, _LONG), _LONG)
    source = nmos(N_CHANNEL.width(amps, _SOURCE, _LONG), _LONG)
    yield Instance("ic", CurrentSource(amps), ("vdd", "bn"))
    yield Instance("bn", source, ("bn", "bn", "vss", "vss"))
    yield Instance("kt", source, ("kt", "bn", "vss", "vss"))
    yield Instance("ka", pair, ("kd", "m", "kt", "vss"))
    yield Instance("kb", pair, ("word", "vth", "kt", "vss"))
    yield Instance("kc", load, ("kd", "kd", "vdd", "vdd"))
    yield Instance("kd", load, ("word", "kd", "vdd", "vdd"))


def _spike() -> Iterator[Instance]:
    yield from _gate("strobe", "word", "held", "compare")
    yield Instance("ch", Capacitor(_HOLD), ("held", "0"))
    yield from _inverter("quiet", "held", "quiet", "vdd", "vss")
    yield from _inverter("spike", "quiet", "spike", "vdd", "vss", 4.0)
    yield Instance("still", nmos(LEAST_WIDTH, _SHORT), ("held", "start", "vss", "vss"))


def _reset(membrane: Membrane, i_packet: float) -> Iterator[Instance]:
    if membrane.reset == "none":
        return
    # Longer where their other end is at the supply, so that they leak less.
    end, length = ("rc", _TIGHT) if membrane.reset == "subtract" else ("0", _SHORT)
    yield Instance("ra", nmos(8.0 * LEAST_WIDTH, length), ("m", "spike", "rm", "vss"))
    yield Instance("rb", nmos(8.0 * LEAST_WIDTH, length), ("rm", "reset", end, "vss"))
    if membrane.reset == "subtract":
        source = nmos(N_CHANNEL.width(i_packet, _SOURCE, _PACKET), _PACKET)
        yield Instance("ir", CurrentSource(i_packet), ("vdd", "br"))
        yield Instance("br", source, ("br", "br", "vss", "vss"))
        yield Instance("rs", source, ("rc", "br", "vss", "vss"))


def _silence(amps: float) -> Iterator[Instance]:
    """Net ``silent`` is high from the clock ``leak`` behind a spike until ``amps`` have emptied half of a capacitor."""
    source = nmos(LEAST_WIDTH, _PACKET)
    for mark, gate, above, below in (("wa", "spike", "set", "both"), ("wb", "leak", "both", "vss")):
        yield Instance(f"{mark}n", nmos(2.0 * LEAST_WIDTH, _SHORT), (above, gate, below, "vss"))
        yield Instance(f"{mark}p", pmos(2.0 * LEAST_WIDTH, _SHORT), ("set", gate, "vdd", "vdd"))
    yield Instance("ws", pmos(4.0 * LEAST_WIDTH, _TIGHT), ("wait", "set", "vdd", "vdd"))
    yield Instance("cw", Capacitor(SILENCE), ("wait", "0"))
    yield Instance("iw", CurrentSource(amps), ("vdd", "bw"))
    yield Instance("bw", source, ("bw", "bw", "vss", "vss"))
    yield Instance("ww", source, ("wait", "bw", "vss", "vss"))
    # Long and thin: both stand halfway for as long as the capacitor takes to pass 0 V.
    for mark, a, y, length in (("wc", "wait", "heard", _PACKET), ("wd", "heard", "silent", _LONG)):
        yield Instance(f"{mark}n", nmos(LEAST_WIDTH, length), (y, a, "vss", "vss"))
        yield Instance(f"{mark}p", pmos(3.0 * LEAST_WIDTH, length), (y, a, "vdd", "vdd"))
    yield Instance("quell", nmos(8.0 * LEAST_WIDTH, _SHORT), ("m", "silent", "0", "vss"))
