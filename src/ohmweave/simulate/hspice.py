"""HSPICE as a subprocess (Star-Hspice Manual 2001.2: .DATA, .DC, .PROBE, .OPTION)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ohmweave.bench import Bench
from ohmweave.netlist import Hspice, number
from ohmweave.netlist.ngspice import wrap
from ohmweave.simulate.deck import Deck, Names
from ohmweave.simulate.outside import IDLE_OHM, LIBRARY, SAMPLE, TITLE, OutsideSimulator, Way, idle_ports, tolerances
from ohmweave.simulate.post import read_post

__all__ = ["HspiceSimulator"]


def _lines(bench: Bench, deck: Deck) -> Iterator[str]:
    """One ``.dc`` over a table with a row for each sample: its number and its drives."""
    relative, amps, volts = tolerances(bench.cell)
    drives = tuple(f"drive{k}" for k in range(len(bench.inputs)))
    yield f"{TITLE} {bench.cell.name}"
    yield f".include '{LIBRARY}.sp'"
    yield wrap((".param", *(f"{name}=0" for name in (SAMPLE, *drives))))
    yield f"vs sample 0 {SAMPLE}"
    for k, (port, drive) in enumerate(zip(bench.inputs, drives, strict=True)):
        yield f"vd{k} in{k} 0 {drive}"
        yield f"vi{k} in{k} p_{port} 0"
    for k, port in enumerate(idle_ports(bench)):
        yield f"ridle{k} p_{port} 0 {IDLE_OHM}"
    yield wrap(("x1", *(f"p_{port}" for port in bench.cell.ports), bench.cell.name))
    yield ".temp 27"
    yield ".option parhier=local tnom=27 gmindc=1e-18 itl1=1000 kcltest=1"
    yield f".option absi={amps!r} reli={relative!r} absvdc={volts!r} relvdc={relative!r}"
    # Binary, in double precision, and nothing but what is asked for.
    yield ".option post=1 post_version=2001 probe=1"
    yield wrap((".data samples", SAMPLE, *drives))
    for k, row in enumerate(bench.drives.tolist()):
        yield wrap((str(k), *map(number, row)))
    yield ".enddata"
    yield ".dc data=samples"
    yield wrap((".probe dc", "v(sample)", *deck.vectors))
    yield ".end"


_WAY = Way(
    dialect=Hspice(),
    names=Names(".", "v({0})", "i({0})", "i({0})"),
    deck="deck.sp",
    lines=_lines,
    command=("-i", "deck.sp", "-o", "out"),
    read=lambda folder: read_post(folder / "out.sw0"),
    greeting=("-v",),
    version=re.compile(r"\b([A-Z]-\d{4}\.\d{2}\S*|\d{4}\.\d+\S*)"),
    bad=re.compile(r"\*\*error\*\*|^\s*>error|job aborted|fatal|no convergence|cannot get license", re.IGNORECASE),
    remedy="put Synopsys' program on PATH or use ngspice",
    logs=("out.lis",),
    keep=("LM_LICENSE_FILE", "SNPSLMD_LICENSE_FILE", "SYNOPSYS", "HSPICE_HOME", "installdir", "META_QUEUE"),
)


@dataclass(frozen=True)
class HspiceSimulator(OutsideSimulator):
    """The DC operating points of a bench by HSPICE."""

    executable: str = "hspice"
    name: str = "hspice"
    way: ClassVar[Way] = _WAY
