"""A bench or a transient as an ngspice deck, and where to find every probe in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from ohmweave.bench import Bench, Transient, Waveform
from ohmweave.circuit import Cell, Crossbar, Diode, Foreign, Instance, Mosfet, Vcvs, VoltageSource
from ohmweave.netlist.dialect import number
from ohmweave.netlist.ngspice import wrap
from ohmweave.simulate.elaborate import FlatCircuit, elaborate
from ohmweave.units import Array

__all__ = [
    "CLOCKED_TRANSISTOR_OPTIONS",
    "Deck",
    "Names",
    "find_vectors",
    "has_junctions",
    "make_deck",
    "make_transient_deck",
]

# A thousandth of SPICE's usual tolerances and less: Newton's last step then lies below 1e-9 of its value.
OPTIONS = "reltol=1e-9 abstol=1e-15 vntol=1e-12 gmin=1e-18 itl1=1000 itl2=1000 temp=27 tnom=27"
_SOURCE_LETTERS: Mapping[type, str] = {Vcvs: "e", VoltageSource: "v"}

# ngspice compares every vector that is asked for with every name it has, a tenth of a microsecond each: beyond so
# many pairs all is saved instead, unless that is too much.
_MOST_PAIRS = 2**22
_MOST_SAVED = 2**26

# Junctions in high-gain loops, and what users' models hold: the exponential times the gain turns rounding into more
# than 1e-9.
JUNCTION_OPTIONS = "reltol=1e-7 abstol=1e-13 vntol=1e-10 gmin=1e-18 itl1=1000 itl2=1000 temp=27 tnom=27"

# Transistors: their equations are smooth to fewer digits, and junctions leak more than 1e-15 A. Newton's method from
# rest fails in loops of transistors; the sooner ngspice gives up and steps its gmin, the sooner it has the answer.
TRANSISTOR_OPTIONS = "reltol=1e-6 abstol=1e-12 vntol=1e-9 gmin=1e-12 itl1=50 itl2=50 temp=27 tnom=27"

# A step's estimated error counts ten times (trtol), of charges down to an attocoulomb: states of memristors are
# voltages on small capacitors, and what runs away by itself would turn a small error into another time of switching.
TRANSIENT_OPTIONS = (
    "reltol=1e-7 abstol=1e-15 vntol=1e-9 chgtol=1e-18 trtol=0.1 gmin=1e-18 itl1=1000 itl2=1000 itl4=200 temp=27 tnom=27"
)

# Currents of nanoamperes and charges of femtocoulombs between clocks' edges.
CLOCKED_OPTIONS = (
    "reltol=1e-4 abstol=1e-12 vntol=1e-6 chgtol=1e-16 gmin=1e-15 itl1=1000 itl2=1000 itl4=200 temp=27 tnom=27"
)
# Transistors: a third of the time of reltol = 1e-4, and membranes differ by 0.06 mV. ngspice passes over transistors at
# rest (bypass) whose voltages changed by less than reltol; with the usual 1e-3 mirrors then are per cents off. Its
# tolerance for steps in time is reltol times trtol. As at operating points, the sooner it steps its gmin the better.
CLOCKED_TRANSISTOR_OPTIONS = (
    "reltol=1e-5 abstol=1e-12 vntol=1e-6 chgtol=1e-15 trtol=700 bypass=1 gmin=1e-12 itl1=50 itl2=50 itl4=200 "
    "temp=27 tnom=27"
)


@dataclass(frozen=True)
class Names:
    """What a simulator calls the voltages and currents of a flat circuit.

    Args:
        joint: what stands between the names of instances in a path.
        voltage: of the path ``{0}``.
        current: through the source of the path ``{0}``, at the top.
        below: through the source of the path ``{0}`` and the letter ``{1}``, inside a subcircuit.
    """

    joint: str
    voltage: str
    current: str
    below: str


NGSPICE = Names(".", "v({0})", "i({0})", "i({1}.{0})")


@dataclass(frozen=True)
class Deck:
    """The text of a deck and the raw vectors that answer its bench.

    Args:
        text: the deck.
        probes: vector of each probe; ``None`` where it is ground.
        inputs: vector of the current through each input's ammeter, p to n.
        terminals: vectors of each watched source's p and n terminal; ``None`` where it is ground.
        currents: vector of each watched source's current, p to n through the source.
        drives: vector of the voltage at each driven port.
    """

    text: str
    probes: tuple[str | None, ...]
    inputs: tuple[str, ...]
    terminals: tuple[tuple[str | None, str | None], ...]
    currents: tuple[str, ...]
    drives: tuple[str, ...]

    @property
    def vectors(self) -> tuple[str, ...]:
        """Every vector that is wanted, once, in order."""
        wanted = (*self.probes, *chain.from_iterable(self.terminals), *self.inputs, *self.currents, *self.drives)
        return tuple(dict.fromkeys(name for name in wanted if name is not None))


def make_deck(bench: Bench, library: str, *, klu: bool) -> Deck:
    """Write the deck of a bench.

    Sample k is the operating point at ``v(sample) = k`` of one ``.dc`` sweep, so that the order of the
    factorisation is kept from sample to sample. Each input is a behavioural source that is a step
    function of ``v(sample)``: flat around every whole number, hence exact there. A 0 V source behind it
    reads the current.

    Args:
        bench: the bench.
        library: name of the file that holds the cell, beside the deck.
        klu: ask for the KLU solver.

    Raises:
        SimulationError: a probe or source that the cell does not have.
    """
    deck, flat = find_vectors(bench, NGSPICE)
    return replace(deck, text="\n".join(_lines(bench, library, _saved(deck, flat, bench), klu)) + "\n")


def find_vectors(bench: Bench, names: Names) -> tuple[Deck, FlatCircuit]:
    """A deck without its text, and the flat circuit.

    Every simulator's deck has the cell as ``x1``, nets ``p_<port>`` at its ports and an ammeter ``vi<k>`` in
    each input.

    Args:
        bench: the bench.
        names: what the simulator calls its vectors.

    Raises:
        SimulationError: a probe or source that the cell does not have.
    """
    flat = elaborate(bench.cell)
    for probe in bench.probes:
        flat.find(probe)
    for source in bench.sources:
        flat.branch(source)
    return _asked(bench, names), flat


def _asked(bench: Bench | Transient, names: Names) -> Deck:
    places = _Places(bench.cell, names)
    probes = tuple(places.vector(probe) for probe in bench.probes)
    sources = [places.source(path) for path in bench.sources]
    inputs = tuple(names.current.format(f"vi{k}") for k in range(len(bench.inputs)))
    drives = tuple(names.voltage.format(f"p_{port}") for port in bench.inputs)
    return Deck("", probes, inputs, tuple(nets for nets, _ in sources), tuple(amps for _, amps in sources), drives)


def make_transient_deck(transient: Transient, library: str, *, klu: bool) -> Deck:
    """Write the deck of a transient: from the operating point at 0 s, each drive a piecewise-linear source.

    Args:
        transient: what to drive and watch.
        library: name of the file that holds the cell, beside the deck.
        klu: ask for the KLU solver.

    Raises:
        ValueError: a probe or source below parts that the cell does not have.
    """
    deck = _asked(transient, NGSPICE)
    return replace(deck, text="\n".join(_transient_lines(transient, library, deck, klu)) + "\n")


def _transient_lines(transient: Transient, library: str, deck: Deck, klu: bool) -> Iterator[str]:
    yield f"ohmweave transient of {transient.cell.name}"
    yield f".include {library}"
    for k, (port, drive) in enumerate(zip(transient.inputs, transient.drives, strict=True)):
        yield _corners(f"vd{k} in{k} 0", drive)
        yield f"vi{k} in{k} p_{port} 0"
    yield wrap(("x1", *(f"p_{port}" for port in transient.cell.ports), transient.cell.name))
    yield f".options {'klu ' if klu else ''}{_transient_options(transient)}"
    step = number(transient.step)
    yield f".tran {step} {number(transient.end)} 0 {step}"
    yield wrap((".save", *deck.vectors))
    yield ".end"


def _transient_options(transient: Transient) -> str:
    if not transient.clocked:
        return TRANSIENT_OPTIONS
    return CLOCKED_TRANSISTOR_OPTIONS if Mosfet in _kinds(transient.cell) else CLOCKED_OPTIONS


def _corners(source: str, drive: Waveform) -> str:
    """A voltage source through the corners of a waveform."""
    corners = zip(drive.times.tolist(), drive.volts.tolist(), strict=True)
    return "\n".join([f"{source} pwl(", *(f"+ {number(time)} {number(volt)}" for time, volt in corners), "+ )"])


def _saved(deck: Deck, flat: FlatCircuit, bench: Bench) -> tuple[str, ...]:
    """What the raw file shall hold beside the sweep."""
    wires = sum(
        each.crossbar.g.size * ((each.crossbar.r_row > 0) + (each.crossbar.r_col > 0)) for each in flat.crossbars
    )
    names = len(flat.nets) + len(flat.branches) + wires
    everything = len(deck.vectors) * names > _MOST_PAIRS and bench.samples * names <= _MOST_SAVED
    return ("all",) if everything else ("v(sample)", *deck.vectors)


def _lines(bench: Bench, library: str, saved: tuple[str, ...], klu: bool) -> Iterator[str]:
    yield f"ohmweave bench of {bench.cell.name}"
    yield f".include {library}"
    yield "vs sample 0 0"
    drives = bench.drives
    for k, port in enumerate(bench.inputs):
        yield _steps(f"bin{k} in{k} 0", drives[:, k])
        yield f"vi{k} in{k} p_{port} 0"
    yield wrap(("x1", *(f"p_{port}" for port in bench.cell.ports), bench.cell.name))
    yield f".options {'klu ' if klu else ''}{_options(bench.cell)}"
    yield f".dc vs 0 {bench.samples - 1} 1"
    yield wrap((".save", *saved))
    yield ".end"


def has_junctions(cell: Cell) -> bool:
    """Whether there is a diode in a cell or below it, or what may have one."""
    return bool(_kinds(cell) & {Diode, Foreign, Mosfet})


def _options(cell: Cell) -> str:
    """Tolerances for what is in a cell."""
    if Mosfet in _kinds(cell):
        return TRANSISTOR_OPTIONS
    return JUNCTION_OPTIONS if has_junctions(cell) else OPTIONS


def _kinds(cell: Cell) -> set[type]:
    cells = (cell, *cell.subcells())
    return {type(part.of) for each in cells for part in each.parts if isinstance(part, Instance)}


def _steps(source: str, volts: Array) -> str:
    """A voltage source that is ``volts[k]`` for every v(sample) within a quarter of k."""
    lines = [f"{source} v=pwl(v(sample),"]
    for k, volt in enumerate(volts.tolist()):
        end = ")" if k == len(volts) - 1 else ","
        lines.append(f"+ {k - 0.25!r},{number(volt)},{k + 0.25!r},{number(volt)}{end}")
    return "\n".join(lines)


class _Places:
    """Where the nets and sources of a cell's hierarchy are in the flat circuit that SPICE makes of it."""

    def __init__(self, cell: Cell, names: Names) -> None:
        self.cell = cell
        self.names = names
        self.parts: dict[int, Mapping[str, Instance | Crossbar]] = {}

    def vector(self, path: str) -> str | None:
        """The voltage vector of a dotted net; ``None`` for ground."""
        *names, net = path.split(".")
        return self._voltage([*self._walk(path, names)], net)

    def source(self, path: str) -> tuple[tuple[str | None, str | None], str]:
        """The vectors of a source's terminals, and of its current."""
        *names, last = path.split(".")
        trail = [*self._walk(path, names)]
        part = self._part(trail[-1][0] if trail else self.cell, last, path)
        letter = _SOURCE_LETTERS.get(type(part.of)) if isinstance(part, Instance) else None
        if letter is None or isinstance(part, Crossbar):
            raise ValueError(f"{self.cell.name} has no voltage source {path!r}")
        terminals = (self._voltage(trail, part.nets[0]), self._voltage(trail, part.nets[1]))
        return terminals, self.names.below.format(self._path(trail, f"{letter}{last}"), letter)

    def _walk(self, path: str, names: list[str]) -> Iterator[tuple[Cell | None, Instance | Crossbar]]:
        """Yield each instance on the way down and the cell that it is of (``None`` for a crossbar)."""
        cell: Cell | None = self.cell
        for name in names:
            part = self._part(cell, name, path)
            cell = part.of if isinstance(part, Instance) and isinstance(part.of, Cell) else None
            if cell is None and not isinstance(part, Crossbar):
                raise ValueError(f"{self.cell.name} has nothing below {name!r} for {path!r}")
            yield cell, part

    def _part(self, cell: Cell | None, name: str, path: str) -> Instance | Crossbar:
        if cell is not None:
            parts = self.parts.setdefault(id(cell), {part.name: part for part in cell.parts})
            if name in parts:
                return parts[name]
        raise ValueError(f"{self.cell.name} has no part {name!r} for {path!r}")

    def _voltage(self, trail: list[tuple[Cell | None, Instance | Crossbar]], net: str) -> str | None:
        # A port of a subcircuit has no net of its own: it is the net that its instance joins it to.
        while trail:
            joined = _joined(trail[-1][1])
            if net not in joined:
                break
            net, trail = joined[net], trail[:-1]
        if net == "0":
            return None
        if not trail and net in self.cell.ports:
            return self.names.voltage.format(f"p_{net}")
        return self.names.voltage.format(self._path(trail, net))

    def _path(self, trail: list[tuple[Cell | None, Instance | Crossbar]], last: str) -> str:
        return self.names.joint.join(("x1", *(f"x{part.name}" for _, part in trail), last))


def _joined(part: Instance | Crossbar) -> dict[str, str]:
    """Port of a part's cell -> net outside."""
    if isinstance(part, Crossbar):
        return dict(zip(part.port_names, part.ports, strict=True))
    assert isinstance(part.of, Cell)
    return dict(zip(part.of.ports, part.nets, strict=True))
