"""What a circuit is made of in the end: elements with their equations, and the parts that only simulators know.

Names are safe in every dialect: ``[a-z][a-z0-9_]*``.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

import numpy as np

from ohmweave.units import Array

__all__ = [
    "Behavioural",
    "Bent",
    "Capacitor",
    "Clock",
    "CurrentSource",
    "DeviceLaw",
    "Diode",
    "Foreign",
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
    "check_name",
]

_SAFE = re.compile(r"[a-z][a-z0-9_]*")
_PATH = re.compile(r"[A-Za-z0-9_./+-]+")


def check_name(name: str) -> None:
    """Refuse a name that some dialect might read as something else.

    Raises:
        ValueError: an unsafe name.
    """
    if not _SAFE.fullmatch(name):
        raise ValueError(f"{name!r} is not a safe circuit name ([a-z][a-z0-9_]*)")


class Law(Protocol):
    """A static function y = f(x) with its two faces: arithmetic and SPICE expression."""

    def value(self, x: Array) -> Array:
        """f(x), elementwise."""
        ...

    def slope(self, x: Array) -> Array:
        """df/dx, elementwise."""
        ...

    def expression(self, x: str) -> str:
        """f as an expression of the text ``x``: + - * /, sqrt, exp, sinh, tanh, ``{param}``."""
        ...


class SurfaceLaw(Protocol):
    """A function z = f(x, y) of two voltages as a SPICE expression."""

    def expression(self, x: str, y: str) -> str:
        """f as an expression of the texts ``x`` and ``y``: as of a :class:`Law`, min, max, pow, ln, ?:."""
        ...


class DeviceLaw(Protocol):
    """The current of a two-terminal device whose conductance parameter is ``g``."""

    def current(self, v: Array, g: Array) -> Array:
        """Current in A at voltage ``v`` (V) for conductance parameter ``g`` (S), broadcast."""
        ...

    def slope(self, v: Array, g: Array) -> Array:
        """di/dv in S at voltage ``v`` (V), broadcast; asked in float32 where it only serves to find a step."""
        ...


@dataclass(frozen=True)
class Bent:
    """i = s law(v / s, g), slope law'(v / s, g): the same conductance at small voltages, another curve beyond.

    Args:
        law: of s = 1.
        s: voltage scale, no unit, broadcast with voltages and conductances; compares and hashes as a number only.
    """

    law: DeviceLaw
    s: "Array | float"

    def current(self, v: Array, g: Array) -> Array:
        """Current in A at voltage ``v`` (V) for conductance parameter ``g`` (S), broadcast."""
        return np.asarray(self.s * self.law.current(v / self.s, g))

    def slope(self, v: Array, g: Array) -> Array:
        """di/dv in S at voltage ``v`` (V), broadcast."""
        return self.law.slope(v / self.s, g)


@dataclass(frozen=True)
class Resistor:
    """i(p->n) = v(p, n) / ohms. Ports p, n."""

    ohms: float


@dataclass(frozen=True)
class Capacitor:
    """i(p->n) = farads * dv(p, n)/dt; open at DC. Ports p, n."""

    farads: float


@dataclass(frozen=True)
class VoltageSource:
    """v(p, n) = volts. Ports p, n."""

    volts: float


@dataclass(frozen=True)
class Clock:
    """v(p, n) = 1 V/s * t in the first second of a transient, then 1 V; 0 V at DC. Ports p, n."""


@dataclass(frozen=True)
class CurrentSource:
    """A constant current of ``amps`` from p through the source to n. Ports p, n."""

    amps: float


@dataclass(frozen=True)
class Vcvs:
    """v(p, n) = gain * v(cp, cn). Ports p, n, cp, cn. SPICE E element."""

    gain: float


@dataclass(frozen=True)
class Vccs:
    """i(p->n through the source) = siemens * v(cp, cn). Ports p, n, cp, cn. SPICE G element."""

    siemens: float


@dataclass(frozen=True)
class Behavioural:
    """i(p->n through the source) = law(v(cp, cn)). Ports p, n, cp, cn. SPICE B element."""

    law: Law


@dataclass(frozen=True)
class Surface:
    """i(p->n through the source) = law(v(xp, xn), v(yp, yn)). Ports p, n, xp, xn, yp, yn. SPICE B element."""

    law: SurfaceLaw


@dataclass(frozen=True)
class Diode:
    """i(p->n) = i_s (exp(v(p, n) / (n V_T)) - 1), V_T at 27 degrees Celsius. Ports p, n."""

    saturation_current: float
    emission: float = 1.0


@dataclass(frozen=True)
class Library:
    """Model files of the user's, as they are, and what a netlist takes of them.

    Args:
        files: (path, text) of each file, paths relative to the netlist's folder.
        entries: (path, section) of each file that the netlist includes itself, in order; the section is empty where
            the whole file is meant.
        cells: names of the subcircuits that they define, in lower case.
        ports: the model's ports, in the order of the file.
        shared: (kind and name, text, place) of each definition of theirs that a whole netlist sees.

    Raises:
        ValueError: a path or a section that a netlist could not hold as it is, a path that leads elsewhere.
    """

    files: tuple[tuple[str, str], ...]
    entries: tuple[tuple[str, str], ...]
    cells: tuple[str, ...]
    ports: tuple[str, ...]
    shared: tuple[tuple[str, str, str], ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        # Netlists name them without quotes: any other character could end the line.
        for path in (path for path, _ in (*self.files, *self.entries)):
            if not _PATH.fullmatch(path) or path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"expected the plain path of a model file, found {path!r}")
        for _, section in self.entries:
            if not re.fullmatch(r"\w*", section, re.ASCII):
                raise ValueError(f"expected a plain section, found {section!r}")

    @cached_property
    def digest(self) -> str:
        """Content hash of the files and of what is taken of them."""
        return hashlib.sha256(repr((self.files, self.entries)).encode()).hexdigest()


@dataclass(frozen=True)
class Foreign:
    """A part whose circuit stands in files of the user's. Ports as the file has them; SPICE X or N element.

    Args:
        model: name of its subcircuit or module there.
        settings: its parameters, each with an expression of the cell's, ``("gap", "{state}")``.
        library: the files.
    """

    model: str
    settings: tuple[tuple[str, str], ...]
    library: Library

    @property
    def plain(self) -> dict[str, str]:
        """The settings where expressions name parameters without braces."""
        return {name: expression.strip("{}") for name, expression in self.settings}

    @property
    def compiled(self) -> bool:
        """Whether it is a Verilog-A module, which a simulator loads, and no subcircuit."""
        return self.library.entries[-1][0].endswith(".va")


@dataclass(frozen=True)
class MosfetModel:
    """A model card of transistors.

    Args:
        name: safe name, unique for its content within one chip.
        kind: the channel.
        level: SPICE level of the equations, e.g. 54 for BSIM4.
        parameters: by their names in the model's manual, in its units; whole numbers choose options.

    Raises:
        ValueError: an unsafe name.
    """

    name: str
    kind: Literal["nmos", "pmos"]
    level: int
    parameters: Mapping[str, float] = field(hash=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        for parameter in self.parameters:
            check_name(parameter)


@dataclass(frozen=True)
class Mosfet:
    """A transistor: i(d->s) by its model's equations. Ports d, g, s, b.

    Simulators have the equations; the native engine solves the ``macro`` of the cell it stands in.

    Args:
        model: the model card.
        width: of the channel, m.
        length: of the channel, m.

    Raises:
        ValueError: a size that is not positive and finite.
    """

    model: MosfetModel
    width: float
    length: float

    def __post_init__(self) -> None:
        for name in ("width", "length"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"transistor: expected a positive finite {name}, found {getattr(self, name)} m")


Primitive = (
    Resistor
    | Capacitor
    | VoltageSource
    | Clock
    | CurrentSource
    | Vcvs
    | Vccs
    | Behavioural
    | Surface
    | Diode
    | Mosfet
    | Foreign
)
