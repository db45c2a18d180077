"""What a dialect is: pure makers of text, one card or comment each."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from ohmweave.circuit import Cell, Diode, MosfetModel, Primitive

__all__ = ["Dialect", "number", "one_line"]

_LONGEST_COMMENT = 200
_HARMFUL = re.compile(r"[^ -~]|[\\`]")


class Dialect(Protocol):
    """The words of one simulator; every method returns text without its final line break.

    Values of crossbar devices come in as text, so that one call can make the template of a whole row.
    """

    @property
    def name(self) -> str:
        """What the user calls it, e.g. ``"ngspice"``."""
        ...

    @property
    def suffix(self) -> str:
        """The ending of its files, e.g. ``".cir"``."""
        ...

    def preamble(self, cells: Iterable[Cell]) -> tuple[str, ...]:
        """What stands before the first of the cells that are about to be written, line by line."""
        ...

    def comment(self, text: str) -> str:
        """A remark on lines of its own; ``text`` is made harmless."""
        ...

    def open_cell(self, name: str, ports: tuple[str, ...], params: Mapping[str, float]) -> str:
        """The beginning of a subcircuit with its parameters' defaults."""
        ...

    def close_cell(self, name: str) -> str:
        """The end of a subcircuit."""
        ...

    def model(self, name: str, diode: Diode) -> str:
        """A diode's parameters under a name local to the subcircuit."""
        ...

    def include(self, path: str, section: str) -> str:
        """The whole of another file, or a section of it; Verilog-A (``.va``) in the dialect's own way."""
        ...

    def transistors(self, model: MosfetModel) -> str:
        """A model card of transistors, for the whole netlist."""
        ...

    def resistor(self, name: str, nets: tuple[str, ...], ohms: str) -> str:
        """A resistor whose value (ohm) is already text."""
        ...

    def call(self, name: str, nets: tuple[str, ...], cell: str, params: Mapping[str, str]) -> str:
        """An instance of a subcircuit; parameter values are already text."""
        ...

    def element(self, name: str, primitive: Primitive, nets: tuple[str, ...], model: str = "") -> str:
        """A primitive element; ``model`` names a diode's parameters, a transistor names its own."""
        ...


def number(value: float) -> str:
    """The shortest decimal text that reads back as the same double, without a suffix.

    Raises:
        ValueError: infinite or not a number; SPICE has no word for these.
    """
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number in a netlist, found {value}")
    return repr(float(value))


def one_line(text: str) -> str:
    """Any text as one line of printable ASCII: what is not becomes ``<U+000A>`` and so on, a long tail is cut."""
    # Backslashes go too: two of them at a line's end would continue it in some simulators.
    safe = _HARMFUL.sub(lambda match: f"<U+{ord(match.group()):04X}>", text)
    return safe if len(safe) <= _LONGEST_COMMENT else safe[: _LONGEST_COMMENT - 3] + "..."
