"""The hierarchical circuit: primitives, instances, crossbars and cells.

A :class:`Cell` is a named circuit with ports and parts. A part is an :class:`Instance` of another
cell or of a primitive, or a :class:`Crossbar`: a whole array of devices and wire segments kept as
one object. Net ``"0"`` is the global ground; every other net is local to its cell. Names are safe in
every dialect: ``[a-z][a-z0-9_]*``.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ohmweave.primitives import (
    Behavioural,
    Bent,
    Capacitor,
    Clock,
    CurrentSource,
    DeviceLaw,
    Diode,
    Foreign,
    Law,
    Library,
    Mosfet,
    MosfetModel,
    Primitive,
    Resistor,
    Surface,
    SurfaceLaw,
    Vccs,
    Vcvs,
    VoltageSource,
    check_name,
)
from ohmweave.units import Array

__all__ = [
    "Behavioural",
    "Bent",
    "Capacitor",
    "Cell",
    "Clock",
    "Crossbar",
    "CurrentSource",
    "DeviceLaw",
    "Diode",
    "Foreign",
    "Instance",
    "Law",
    "Library",
    "Mosfet",
    "MosfetModel",
    "Primitive",
    "Resistor",
    "Surface",
    "SurfaceLaw",
    "Vccs",
    "Vcvs",
    "VoltageSource",
]


@dataclass(frozen=True)
class Instance:
    """One part: its name, what it is, the nets of its ports in order, its parameters."""

    name: str
    of: "Cell | Primitive"
    nets: tuple[str, ...]
    params: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name)


@dataclass(frozen=True, eq=False)
class Crossbar:
    """An array of devices at the crossings of row and column wires, as one object.

    Row i enters at its port ``rows[i]``, then ``r_row`` leads to crossing (i, 0) and from each
    crossing to the next; the far end is open, or one more ``r_row`` leads from the last crossing to
    the port ``far_rows[i]``. Column j starts open at crossing (0, j), or one ``r_col`` above it at
    the port ``far_cols[j]``; ``r_col`` leads from each crossing to the one below and from the last
    one to the port ``cols[j]``. The device at (i, j) joins the two wires there. A resistance of zero
    makes its wire one net, which has no far port. Ports are in the order rows, cols, far_rows,
    far_cols wherever they are listed.

    Args:
        name: safe name of the part.
        rows: m nets, the row ports.
        cols: n nets, the column ports.
        device: ``None`` for a resistor of 1/g, or a two-port cell with parameter ``g`` and a law.
        g: conductance parameters, shape [m, n], S; ``nan`` where there is no device.
        r_row: resistance of one row segment, ohm.
        r_col: resistance of one column segment, ohm.
        note: what the array realises, for comments in the netlist.
        far_rows: m nets at the far ends of the row wires, or none.
        far_cols: n nets at the far ends of the column wires, or none.
        bend: voltage scales s of the devices, shape [m, n], no unit; ``nan`` where there is no device. ``None``
            where all are 1. Only of a device with parameter ``s`` (:func:`ohmweave.devices.bent`).

    Raises:
        ValueError: ports or ``bend`` that do not fit ``g``, a bend of a device without ``s``, or far ports of
            a wire without resistance.
    """

    name: str
    rows: tuple[str, ...]
    cols: tuple[str, ...]
    device: "Cell | None"
    g: Array
    r_row: float
    r_col: float
    note: str = ""
    far_rows: tuple[str, ...] = ()
    far_cols: tuple[str, ...] = ()
    bend: Array | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        self._check_bend()
        if self.g.shape != (len(self.rows), len(self.cols)):
            raise ValueError(
                f"crossbar {self.name}: g has shape {self.g.shape}, ports ask for {(len(self.rows), len(self.cols))}"
            )
        for field_name, ohms in (("r_row", self.r_row), ("r_col", self.r_col)):
            if not 0.0 <= ohms < math.inf:
                raise ValueError(
                    f"crossbar {self.name}: expected a wire of at least 0 ohm, found {field_name} = {ohms:g} ohm"
                )
        if not self.g.size:
            raise ValueError(f"crossbar {self.name}: expected at least one row and one column, found {self.g.shape}")
        far = (("far_rows", self.far_rows, self.rows, self.r_row), ("far_cols", self.far_cols, self.cols, self.r_col))
        for field_name, ports, near, ohms in far:
            if ports and len(ports) != len(near):
                raise ValueError(
                    f"crossbar {self.name}: expected {len(near)} nets in {field_name}, or none, found {len(ports)}"
                )
            if ports and ohms == 0:
                raise ValueError(
                    f"crossbar {self.name}: a wire of 0 ohm is one net and has no far end, found {field_name}"
                )

    def _check_bend(self) -> None:
        if self.bend is None:
            return
        if self.bend.shape != self.g.shape:
            raise ValueError(f"crossbar {self.name}: bend has shape {self.bend.shape}, g has {self.g.shape}")
        if self.device is None or "s" not in self.device.params:
            kind = "resistors" if self.device is None else self.device.name
            raise ValueError(f"crossbar {self.name}: expected a device with parameter s for its bend, found {kind}")

    @property
    def ports(self) -> tuple[str, ...]:
        """The nets outside that the ports are joined to, in their order."""
        return (*self.rows, *self.cols, *self.far_rows, *self.far_cols)

    @property
    def port_names(self) -> tuple[str, ...]:
        """The ports' own nets, local to the array: ``r<i>``, ``c<j>``, ``fr<i>``, ``fc<j>``."""
        groups = (("r", self.rows), ("c", self.cols), ("fr", self.far_rows), ("fc", self.far_cols))
        return tuple(f"{letter}{k}" for letter, nets in groups for k in range(len(nets)))

    @property
    def devices(self) -> int:
        """Number of devices present."""
        return int(np.count_nonzero(~np.isnan(self.g)))

    def word_net(self, i: int, j: int) -> str:
        """Net of the row wire at crossing (i, j), local to the array (``r<i>`` is the port)."""
        return f"w{i}_{j}" if self.r_row > 0 else f"r{i}"

    def bit_net(self, i: int, j: int) -> str:
        """Net of the column wire at crossing (i, j), local to the array (``c<j>`` is the port)."""
        return f"b{i}_{j}" if self.r_col > 0 else f"c{j}"

    def expand(self) -> Iterator[Instance]:
        """Yield every segment and device as an instance; nets are local to the array.

        First the far ends of the columns, then row by row, each with its far end last.
        """
        m, n = self.g.shape
        for j in range(len(self.far_cols)):
            yield Instance(f"fc{j}", Resistor(self.r_col), (f"fc{j}", self.bit_net(0, j)))
        for i in range(m):
            for j in range(n):
                word, bit = self.word_net(i, j), self.bit_net(i, j)
                if self.r_row > 0:
                    before = self.word_net(i, j - 1) if j else f"r{i}"
                    yield Instance(f"rr{i}_{j}", Resistor(self.r_row), (before, word))
                if self.r_col > 0:
                    below = self.bit_net(i + 1, j) if i < m - 1 else f"c{j}"
                    yield Instance(f"rc{i}_{j}", Resistor(self.r_col), (bit, below))
                g = float(self.g[i, j])
                if math.isnan(g):
                    continue
                if self.device is None:
                    yield Instance(f"d{i}_{j}", Resistor(1.0 / g), (word, bit))
                else:
                    params = {**self.device.following(g), **self._bend_at(i, j)}
                    yield Instance(f"d{i}_{j}", self.device, (word, bit), {"g": g, **params})
            if self.far_rows:
                yield Instance(f"fr{i}", Resistor(self.r_row), (self.word_net(i, n - 1), f"fr{i}"))

    def _bend_at(self, i: int, j: int) -> dict[str, float]:
        return {} if self.bend is None else {"s": float(self.bend[i, j])}

    def digest(self) -> str:
        """Content hash of conductances, bends and wires."""
        device, ends = self.device.name if self.device else "linear", (bool(self.far_rows), bool(self.far_cols))
        text = f"{device} {self.r_row!r} {self.r_col!r} {self.g.shape} {ends}"
        arrays = (self.g,) if self.bend is None else (self.g, self.bend)
        return hashlib.sha256(text.encode() + b"".join(each.tobytes() for each in arrays)).hexdigest()


@dataclass(frozen=True, eq=False)
class Cell:
    """A named circuit.

    Args:
        name: safe name, unique for its content within one chip.
        ports: nets of the cell that its instances connect.
        parts: what is inside, in the order it is written.
        params: parameters with their defaults, referred to as ``{name}`` in expressions.
        law: the mathematics of a two-terminal device cell with parameter ``g``, where it has a parameter
            ``s`` that of s = 1 (:class:`Bent`); engines that have it need not look inside.
        note: one line for comments in the netlist.
        follows: parameters that follow from ``g``, each with its function of it; netlists give every device its own.
        macro: a cell of the same ports that engines without transistors solve instead; netlists have the parts.
            A source that both have goes by the same name.

    Raises:
        ValueError: an unsafe name, or a macro with other ports.
    """

    name: str
    ports: tuple[str, ...]
    parts: tuple[Instance | Crossbar, ...]
    params: Mapping[str, float] = field(default_factory=dict)
    law: DeviceLaw | None = None
    note: str = ""
    follows: Mapping[str, Callable[[Array], Array]] = field(default_factory=dict)
    macro: "Cell | None" = None

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.macro is not None and self.macro.ports != self.ports:
            raise ValueError(f"cell {self.name}: expected a macro with ports {self.ports}, found {self.macro.ports}")

    def following(self, g: float) -> dict[str, float]:
        """The parameters that follow from a device's ``g`` (S)."""
        return {name: float(function(np.array(g))) for name, function in self.follows.items()}

    def subcells(self) -> Iterator["Cell"]:
        """Yield every cell used below this one, once by name, innermost first; none of those in macros."""
        seen: set[str] = set()
        yield from self._subcells(seen)

    def _subcells(self, seen: set[str]) -> Iterator["Cell"]:
        for part in self.parts:
            child = part.device if isinstance(part, Crossbar) else part.of
            if isinstance(child, Cell) and child.name not in seen:
                seen.add(child.name)
                yield from child._subcells(seen)
                yield child
