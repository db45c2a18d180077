"""Xyce as a subprocess (Xyce Reference Guide: .DATA, .DC, .PRINT, .OPTIONS)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ohmweave.bench import Bench
from ohmweave.netlist import Xyce, number
from ohmweave.netlist.ngspice import wrap
from ohmweave.simulate.deck import Deck, Names
from ohmweave.simulate.outside import IDLE_OHM, LIBRARY, SAMPLE, TITLE, OutsideSimulator, Way, idle_ports, tolerances
from ohmweave.simulate.raw import read_raw

__all__ = ["XyceSimulator"]


def _lines(bench: Bench, deck: Deck) -> Iterator[str]:
    """One ``.dc`` over a table with a row for each sample: its number and its drives, global parameters all."""
    relative, amps, volts = tolerances(bench.cell)
    drives = tuple(f"drive{k}" for k in range(len(bench.inputs)))
    yield f"{TITLE} {bench.cell.name}"
    yield f'.include "{LIBRARY}.xyce"'
    yield wrap((".global_param", *(f"{name}=0" for name in (SAMPLE, *drives))))
    yield f"vs sample 0 {{{SAMPLE}}}"
    for k, (port, drive) in enumerate(zip(bench.inputs, drives, strict=True)):
        yield f"vd{k} in{k} 0 {{{drive}}}"
        yield f"vi{k} in{k} p_{port} 0"
    for k, port in enumerate(idle_ports(bench)):
        yield f"ridle{k} p_{port} 0 {IDLE_OHM}"
    yield wrap(("x1", *(f"p_{port}" for port in bench.cell.ports), bench.cell.name))
    yield ".options device gmin=1e-18 temp=27 tnom=27"
    yield f".options nonlin maxstep=1000 abstol={volts!r} reltol={relative!r} rhstol={amps * 1e3!r}"
    yield ".data samples"
    yield wrap(("+", SAMPLE, *drives))
    for k, row in enumerate(bench.drives.tolist()):
        yield wrap(("+", str(k), *map(number, row)))
    yield ".enddata"
    yield ".dc data=samples"
    yield wrap((".print dc format=raw file=out.raw", "v(sample)", *deck.vectors))
    yield ".end"


_WAY = Way(
    dialect=Xyce(),
    names=Names(":", "v({0})", "i({0})", "i({0})"),
    deck="deck.cir",
    lines=_lines,
    command=("deck.cir",),
    read=lambda folder: read_raw(folder / "out.raw"),
    greeting=("-v",),
    version=re.compile(r"Xyce\D{0,40}(\d+(?:\.\d+)+\S*)"),
    bad=re.compile(
        r"netlist (?:error|warning)|fatal error|user error|dev fatal|simulation aborted|xyce abort|failed to converge",
        re.IGNORECASE,
    ),
    remedy="install it (Sandia National Laboratories give it away) or use ngspice",
)


@dataclass(frozen=True)
class XyceSimulator(OutsideSimulator):
    """The DC operating points of a bench by Xyce."""

    executable: str = "Xyce"
    name: str = "xyce"
    way: ClassVar[Way] = _WAY
