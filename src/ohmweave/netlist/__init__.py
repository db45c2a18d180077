"""Netlists: the circuit in a simulator's words, and the gate for SPICE files of others."""

from typing import Any

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
