"""The user's own op-amp: a subcircuit of transistors as the circuit, what was measured on it as the mathematics."""

import hashlib
import json
from dataclasses import dataclass, field

from ohmweave.blocks.figures import OpAmpFigures
from ohmweave.blocks.measured import MeasuredOpAmp
from ohmweave.circuit import Cell, CurrentSource, Diode, Foreign, Instance, Library, VoltageSource
from ohmweave.devices.file import Included, include_toml
from ohmweave.units import format_quantity, require

__all__ = ["FileOpAmp", "OpAmpChoice", "opamp_circuit"]

# Limits that the output can be held above, V: those near 0 V, for which it was measured.
_LIMITS = (-0.1, 0.1)
# Saturation current of the diode that holds the output, A: a Schottky diode, which takes 0.2 V at 200 uA.
_SCHOTTKY = 1e-7


@dataclass(frozen=True)
class OpAmpChoice:
    """Which subcircuit of which files a design means: its table ``[opamp]``.

    Args:
        file: path of the file, as the design has it.
        name: the subcircuit.
        ports: its positive and its negative input and its output.
        supplies: its supply ports, each with its voltage, V; two, one voltage above the other.
        bias: further ports, each with the current that flows into it from the upper supply, A.
        section: section of those of the files that have sections; empty where there are none.
        include: further files that it needs, such as a process's models, brought in before it, each with a section of
            its own or none.
    """

    file: str
    name: str
    ports: tuple[str, str, str]
    supplies: tuple[tuple[str, float], tuple[str, float]]
    bias: tuple[tuple[str, float], ...] = ()
    section: str = ""
    include: Included = ()


def opamp_circuit(choice: OpAmpChoice, library: Library, name: str, low: float | None = None) -> Cell:
    """A user's subcircuit with its supplies, ports p, n, out.

    Where the output is held above a limit, a second one of it compares the limit with the output and pulls that up
    through a Schottky diode (an active clamp; Sedra and Smith, Microelectronic Circuits, precision rectifiers). Above
    the limit the diode blocks.

    Args:
        choice: which subcircuit.
        library: its files.
        name: the cell's name.
        low: limit that the output is held above, V, or none.
    """
    (_, v_ss), (_, v_dd) = sorted(choice.supplies, key=lambda supply: supply[1])
    parts = [
        Instance("vdd", VoltageSource(v_dd), ("vdd", "0")),
        Instance("vss", VoltageSource(v_ss), ("vss", "0")),
        *_one(choice, library, 1, ("p", "n", "out")),
    ]
    if low is not None:
        limit = "limit" if low else "0"
        parts += [Instance("limit", VoltageSource(low), ("limit", "0"))] if low else []
        parts += _one(choice, library, 2, (limit, "out", "hold"))
        parts.append(Instance("d1", Diode(_SCHOTTKY), ("hold", "out")))
    held = "" if low is None else f", held above {low:g} V by a second one"
    return Cell(name, ("p", "n", "out"), tuple(parts), note=f"{choice.name} of the user's files{held}")


def _one(choice: OpAmpChoice, library: Library, number: int, nets: tuple[str, str, str]) -> list[Instance]:
    """The subcircuit between some nets, and what biases it."""
    upper = max(choice.supplies, key=lambda supply: supply[1])[0]
    joined = dict(zip((port.lower() for port in choice.ports), nets, strict=True))
    joined |= {port.lower(): "vdd" if port == upper else "vss" for port, _ in choice.supplies}
    joined |= {port.lower(): f"bias{number}_{k}" for k, (port, _) in enumerate(choice.bias)}
    sources = [
        Instance(f"bias{number}_{k}", CurrentSource(amps), ("vdd", f"bias{number}_{k}"))
        for k, (_, amps) in enumerate(choice.bias)
    ]
    ports = tuple(joined[port.lower()] for port in library.ports)
    return [*sources, Instance(f"u{number}", Foreign(choice.name, (), library), ports)]


@dataclass(frozen=True)
class FileOpAmp(MeasuredOpAmp):
    """A subcircuit of the user's files as an op-amp, with the figures that were measured on it.

    Args:
        choice: which subcircuit.
        measured: its figures and curves.
        library: the files.
        offset_spread: standard deviation of a further offset, drawn for each op-amp of a readout, V.
        digest: content hash of what was measured.

    Raises:
        DesignError: a negative spread.
    """

    choice: OpAmpChoice
    measured: OpAmpFigures = field(compare=False)
    library: Library = field(compare=False)
    offset_spread: float = 0.0
    digest: str = ""

    def __post_init__(self) -> None:
        require("opamp.offset_spread", self.offset_spread, "V", "0 V", zero=True)
        object.__setattr__(self, "digest", hashlib.sha256(self.measured.dump().encode()).hexdigest())

    @property
    def figures(self) -> OpAmpFigures:
        """What SPICE measured."""
        return self.measured

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"opamp {self.choice.name}"

    @property
    def holds(self) -> tuple[float, float] | None:
        """Lowest and highest limit that its output can be held above, V; none where a second one is too weak for it."""
        return _LIMITS if self.measured.curves.floor else None

    def circuit(self, name: str, low: float | None) -> Cell:
        """The transistors, ports p, n, out; ``low`` is the limit above which the output is held, V, or none."""
        return opamp_circuit(self.choice, self.library, name, low)

    def toml(self) -> list[str]:
        """The design's lines of this op-amp, in a folder that holds the library's files."""
        choice = self.choice
        values: dict[str, object] = {
            "file": choice.file,
            "name": choice.name,
            "section": choice.section,
            "ports": list(choice.ports),
            "include": include_toml(choice.include),
            "offset_spread": format_quantity(self.offset_spread, "V"),
            "digest": self.digest,
        }
        lines = [f"{key} = {value if key == 'include' else json.dumps(value)}" for key, value in values.items()]
        tables = (("supplies", choice.supplies, "V"), ("bias", choice.bias, "A"))
        for key, ports, unit in tables:
            inner = ", ".join(f"{port} = {json.dumps(format_quantity(value, unit))}" for port, value in ports)
            lines.append(f"{key} = {{ {inner} }}" if inner else f"{key} = {{}}")
        return ['kind = "file"', *lines, ""]
