"""Netlists: the circuit in a simulator's words, and the gate for SPICE files of others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ohmweave.circuit import Cell
from ohmweave.errors import DesignError
from ohmweave.netlist.dialect import Dialect, number, one_line
from ohmweave.netlist.hspice import Hspice
from ohmweave.netlist.library import block, bring, foreign_parts, write
from ohmweave.netlist.ngspice import Ngspice
from ohmweave.netlist.scan import cards, scan
from ohmweave.netlist.spectre import Spectre
from ohmweave.netlist.vacask import Vacask
from ohmweave.netlist.verilog import with_instance_parameter
from ohmweave.netlist.xyce import Xyce
from ohmweave.registry import merge, nearest
from ohmweave.whole import whole

__all__ = [
    "DIALECTS",
    "Dialect",
    "Hspice",
    "Ngspice",
    "Spectre",
    "Vacask",
    "Xyce",
    "block",
    "bring",
    "cards",
    "dialect",
    "dialects",
    "foreign_parts",
    "number",
    "one_line",
    "scan",
    "with_instance_parameter",
    "write",
    "write_file",
]

DIALECTS: dict[str, type[Any]] = {
    "ngspice": Ngspice,
    "hspice": Hspice,
    "xyce": Xyce,
    "spectre": Spectre,
    "vacask": Vacask,
}


def dialects() -> dict[str, type[Any]]:
    """Every dialect known by name, those of entry-point group ``ohmweave.dialects`` included."""
    return merge("ohmweave.dialects", DIALECTS)


def dialect(name: str) -> Dialect:
    """The dialect called ``name``.

    Raises:
        DesignError: no such dialect; says which name is nearest.
    """
    known = dialects()
    if name not in known:
        raise DesignError(f"expected a netlist dialect, found {name!r}", where="dialect", remedy=nearest(name, known))
    made: Dialect = known[name]()
    return made


def write_file(cell: Cell, words: Dialect, path: Path, names: Mapping[str, str]) -> Path:
    """Write a netlist with the model files that it includes, whole or not at all; returns its path.

    Args:
        cell: the circuit.
        words: the dialect.
        path: of the netlist; its folder is made if need be.
        names: as :func:`write` takes them.

    Raises:
        NetlistError: a device's model file with names of the chip's own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial:
        with partial.open("w", encoding="ascii", newline="\n") as stream:
            write(cell, words, stream, names=names)
        bring(cell, path.parent)
    return path
