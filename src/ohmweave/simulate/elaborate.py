"""From a hierarchical cell to flat vectors of elements, crossbars kept whole."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.circuit import (
    Behavioural,
    Bent,
    Capacitor,
    Cell,
    Clock,
    Crossbar,
    CurrentSource,
    DeviceLaw,
    Diode,
    Foreign,
    Instance,
    Mosfet,
    Resistor,
    Surface,
    Vccs,
    Vcvs,
    VoltageSource,
)
from ohmweave.errors import SimulationError
from ohmweave.units import Array

__all__ = ["Branch", "DiodeLaw", "FlatCircuit", "PlacedCrossbar", "ProgrammedLaw", "elaborate"]

GROUND = -1
_THERMAL_VOLTAGE = 1.380649e-23 * 300.15 / 1.602176634e-19


@dataclass(frozen=True)
class DiodeLaw:
    """i = i_s (exp(v / v_t) - 1), v_t = n k T / q at 27 degrees Celsius."""

    i_s: float
    v_t: float

    @property
    def anchor(self) -> float:
        """Slope at 10 uA, S."""
        return 10e-6 / self.v_t

    def value(self, x: Array) -> Array:
        """Current in A."""
        return np.asarray(self.i_s * np.expm1(x / self.v_t))

    def slope(self, x: Array) -> Array:
        """di/dv, S."""
        return np.asarray(self.i_s / self.v_t * np.exp(x / self.v_t))

    def limit(self, new: Array, old: Array) -> Array:
        """Hold back a Newton step that the exponential would answer with an overflow (Nagel, SPICE2, 1975).

        Above the critical voltage a step is taken in the logarithm of the current.
        """
        critical = self.v_t * math.log(self.v_t / (math.sqrt(2.0) * self.i_s))
        argument = 1.0 + (new - old) / self.v_t
        grown = np.where(argument > 0, old + self.v_t * np.log(np.maximum(argument, 1e-300)), critical)
        started = self.v_t * np.log(np.maximum(new, 1e-300) / self.v_t)
        limited = np.where(old > 0, grown, started)
        return np.where((new > critical) & (np.abs(new - old) > 2 * self.v_t), limited, new)


@dataclass(frozen=True, eq=False)
class ProgrammedLaw:
    """Single devices of one law, side by side.

    Args:
        law: of them all.
        g: their conductances, [devices], S.
        bend: their voltage scales, [devices]; ``None`` where the law has none.
    """

    law: DeviceLaw
    g: Array
    bend: Array | None = None

    @cached_property
    def anchor(self) -> Array:
        """Slopes at rest, [devices], S: a device may be the only feedback of an op-amp."""
        return self.slope(np.zeros(self.g.shape))

    def choose(self, indices: NDArray[np.int64]) -> "ProgrammedLaw":
        """Some of the devices."""
        return ProgrammedLaw(self.law, self.g[indices], None if self.bend is None else self.bend[indices])

    def value(self, x: Array) -> Array:
        """Currents in A at voltages ``x``, [..., devices], V."""
        return self._bent.current(x, self.g)

    def slope(self, x: Array) -> Array:
        """di/dv, S, same shape."""
        return self._bent.slope(x, self.g)

    @cached_property
    def _bent(self) -> DeviceLaw:
        return self.law if self.bend is None else Bent(self.law, self.bend)


@dataclass(frozen=True)
class Branch:
    """v(p, n) = volts + gain v(cp, cn), its current an unknown."""

    p: int
    n: int
    cp: int
    cn: int
    gain: float
    volts: float


@dataclass(frozen=True, eq=False)
class PlacedCrossbar:
    """A crossbar and the nets of its ports, in their order."""

    path: str
    crossbar: Crossbar
    ports: tuple[int, ...]


@dataclass(eq=False)
class FlatCircuit:
    """Everything in a cell, nets numbered, ground -1.

    Args:
        nets: dotted net name -> number.
        conductances: (a, b, siemens) of each resistor.
        transconductances: (p, n, cp, cn, siemens) of each linear controlled current source.
        currents: (p, n, amps) of each current source.
        branches: dotted path of each voltage source -> branch, in order.
        laws: law -> (p, n, cp, cn) of each element that follows it.
        devices: (law, whether it is bent) -> nets, conductance (S) and voltage scale of each single device; they
            are among the laws once all is placed.
        crossbars: the arrays.
        aliases: dotted path of a port below -> the net outside that it is joined to.
        foreign: dotted path of each part that only a simulator knows -> its model's name.
        transistors: dotted path of each transistor, whose equations only simulators have.
    """

    nets: dict[str, int] = field(default_factory=dict)
    conductances: list[tuple[int, int, float]] = field(default_factory=list)
    transconductances: list[tuple[int, int, int, int, float]] = field(default_factory=list)
    currents: list[tuple[int, int, float]] = field(default_factory=list)
    branches: dict[str, Branch] = field(default_factory=dict)
    laws: dict[Any, list[tuple[int, int, int, int]]] = field(default_factory=dict)
    devices: dict[tuple[DeviceLaw, bool], list[tuple[tuple[int, int, int, int], float, float]]] = field(
        default_factory=dict
    )
    crossbars: list[PlacedCrossbar] = field(default_factory=list)
    aliases: dict[str, int] = field(default_factory=lambda: {"0": GROUND})
    foreign: dict[str, str] = field(default_factory=dict)
    transistors: list[str] = field(default_factory=list)

    def find(self, path: str) -> int:
        """The number of a net by its own dotted path or that of a port joined to it.

        Raises:
            SimulationError: no such net.
        """
        number = self.nets.get(path, self.aliases.get(path))
        if number is None:
            raise SimulationError(f"there is no net {path!r} in the circuit", where="bench", remedy="check the probe")
        return number

    def branch(self, path: str) -> int:
        """The place of a voltage source among the branches.

        Raises:
            SimulationError: no such source.
        """
        if path not in self.branches:
            raise SimulationError(f"there is no source {path!r} in the circuit", where="bench", remedy="check the path")
        return list(self.branches).index(path)

    def net(self, name: str) -> int:
        """The number of a net, made on first use."""
        return GROUND if name == "0" else self.nets.setdefault(name, len(self.nets))


def elaborate(cell: Cell, *, macros: bool = False) -> FlatCircuit:
    """Flatten a cell for its DC solution; its ports become nets of the same name, nets below carry dotted paths.

    Args:
        cell: the cell.
        macros: whether cells that have a macro are taken as that.

    Raises:
        SimulationError: a part that has no mathematics here.
    """
    flat = FlatCircuit()
    _place(flat, cell, "", {port: flat.net(port) for port in cell.ports}, macros=macros)
    for (law, bends), placed in flat.devices.items():
        g, scales = (np.array([each[k] for each in placed]) for k in (1, 2))
        flat.laws[ProgrammedLaw(law, g, scales if bends else None)] = [each[0] for each in placed]
    return flat


def _place(flat: FlatCircuit, cell: Cell, prefix: str, joined: Mapping[str, int], *, macros: bool) -> None:
    if macros and cell.macro is not None:
        cell = cell.macro
    local = {**joined, "0": GROUND}

    def net(name: str) -> int:
        if name not in local:
            local[name] = flat.net(prefix + name)
        return local[name]

    for part in cell.parts:
        if isinstance(part, Crossbar):
            nets = tuple(net(name) for name in part.ports)
            flat.crossbars.append(PlacedCrossbar(prefix + part.name, part, nets))
            flat.aliases.update(
                (f"{prefix}{part.name}.{port}", number) for port, number in zip(part.port_names, nets, strict=True)
            )
        elif isinstance(part.of, Cell) and part.of.law is None:
            inner = dict(zip(part.of.ports, (net(name) for name in part.nets), strict=True))
            flat.aliases.update((f"{prefix}{part.name}.{port}", number) for port, number in inner.items())
            _place(flat, part.of, f"{prefix}{part.name}.", inner, macros=macros)
        else:
            nets = tuple(net(name) for name in part.nets)
            # A capacitor is open at DC; its nets are there all the same.
            if _has_equations(flat, part, prefix + part.name):
                _place_primitive(flat, part, prefix + part.name, nets)


def _has_equations(flat: FlatCircuit, part: Instance, path: str) -> bool:
    """Whether a part has a current at DC that is known here; takes down those that only simulators know."""
    if isinstance(part.of, Surface):
        raise SimulationError(
            "expected sources controlled by one voltage, found one of two voltages",
            where=path,
            remedy="keep it inside a device with a law, or ask ngspice for a transient",
        )
    if isinstance(part.of, Mosfet):
        flat.transistors.append(path)
    elif isinstance(part.of, Foreign):
        flat.foreign[path] = part.of.model
    return not isinstance(part.of, Capacitor | Mosfet | Foreign)


def _place_primitive(flat: FlatCircuit, part: Instance, path: str, nets: tuple[int, ...]) -> None:
    match part.of:
        case Resistor(ohms):
            flat.conductances.append((*_two(nets), 1.0 / ohms))
        case VoltageSource() | Clock():
            volts = part.of.volts if isinstance(part.of, VoltageSource) else 0.0
            flat.branches[path] = Branch(*_two(nets), GROUND, GROUND, 0.0, volts)
        case Vcvs(gain):
            flat.branches[path] = Branch(*_four(nets), gain, 0.0)
        case CurrentSource(amps):
            flat.currents.append((*_two(nets), amps))
        case Vccs(siemens):
            flat.transconductances.append((*_four(nets), siemens))
        case Behavioural(law):
            _follow(flat, law, _four(nets))
        case Diode(i_s, emission):
            _follow(flat, DiodeLaw(i_s, emission * _THERMAL_VOLTAGE), (*_two(nets), *_two(nets)))
        case Cell() as device:
            assert device.law is not None
            params = {**device.params, **part.params}
            kind = flat.devices.setdefault((device.law, "s" in params), [])
            kind.append(((*_two(nets), *_two(nets)), params["g"], params.get("s", 1.0)))


def _follow(flat: FlatCircuit, law: Any, nets: tuple[int, int, int, int]) -> None:
    flat.laws.setdefault(law, []).append(nets)


def _two(nets: tuple[int, ...]) -> tuple[int, int]:
    p, n = nets
    return p, n


def _four(nets: tuple[int, ...]) -> tuple[int, int, int, int]:
    p, n, cp, cn = nets
    return p, n, cp, cn


def incidence(pairs: "list[tuple[int, ...]] | Any", unknowns: int) -> Any:
    """The sparse matrix that turns unknowns into differences v(p) - v(n), [pairs, unknowns]."""
    from scipy.sparse import csr_matrix

    rows = np.repeat(np.arange(len(pairs)), 2)
    cols = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).ravel()
    signs = np.tile([1.0, -1.0], len(pairs))
    there = cols != GROUND
    return csr_matrix((signs[there], (rows[there], cols[there])), shape=(len(pairs), unknowns))
