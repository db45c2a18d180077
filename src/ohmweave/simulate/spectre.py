"""Spectre as a subprocess (Spectre Circuit Simulator Reference: dc, options, save; raw files as nutascii)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ohmweave.bench import Bench
from ohmweave.netlist import Spectre
from ohmweave.netlist.formula import broken
from ohmweave.netlist.ngspice import wrap
from ohmweave.netlist.spectre import bracketed
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
from ohmweave.simulate.rawtext import read_raw_text

__all__ = ["SpectreSimulator"]

_GOES_ON = (" \\", "  ")


def _lines(bench: Bench, deck: Deck) -> Iterator[str]:
    """One ``dc`` analysis that sweeps the sample's number, of which every drive is a formula."""
    relative, amps, volts = tolerances(bench.cell)
    drives = bench.drives
    yield f"// {TITLE} {bench.cell.name}"
    yield "simulator lang=spectre"
    yield f'include "{LIBRARY}.scs"'
    yield f"parameters {SAMPLE}=0"
    yield f"vs (sample 0) vsource type=dc dc={SAMPLE}"
    for k, port in enumerate(bench.inputs):
        yield broken(f"vd{k} (in{k} 0) vsource type=dc dc={choice(drives[:, k].tolist())}", _GOES_ON[0])
        yield f"vi{k} (in{k} p_{port}) vsource type=dc dc=0"
    for k, port in enumerate(idle_ports(bench)):
        yield f"ridle{k} (p_{port} 0) resistor r={IDLE_OHM}"
    yield wrap(("x1", *bracketed(tuple(f"p_{port}" for port in bench.cell.ports)), bench.cell.name), *_GOES_ON)
    limits = f"reltol={relative!r} iabstol={amps!r} vabstol={volts!r} gmin=1e-18"
    yield f"limits options temp=27 tnom=27 {limits} save=selected"
    yield wrap(("samples", "dc", f"param={SAMPLE}", "maxiters=1000", "values=[0", *_rest(bench.samples)), *_GOES_ON)
    yield wrap(("save", "sample", *deck.vectors), *_GOES_ON)


def _rest(samples: int) -> Iterator[str]:
    yield from map(str, range(1, samples))
    yield "]"


_WAY = Way(
    dialect=Spectre(),
    names=Names(".", "{0}", "{0}:p", "{0}:p"),
    deck="deck.scs",
    lines=_lines,
    command=("deck.scs", "-format", "nutascii", "-raw", "out.raw"),
    read=lambda folder: read_raw_text(folder / "out.raw"),
    greeting=("-V",),
    version=re.compile(r"version\s+(\S+)"),
    bad=re.compile(r"^\s*ERROR\b|fatal error|terminated prematurely|no convergence", re.IGNORECASE),
    remedy="put Cadence's program on PATH or use ngspice",
    keep=("LM_LICENSE_FILE", "CDS_LIC_FILE", "CDS_AUTO_64BIT", "CDS_INST_DIR", "CDSHOME", "MMSIM_ROOT"),
)


@dataclass(frozen=True)
class SpectreSimulator(OutsideSimulator):
    """The DC operating points of a bench by Spectre."""

    executable: str = "spectre"
    name: str = "spectre"
    way: ClassVar[Way] = _WAY
