"""ngspice as a subprocess: every sample of a bench in one run, and nothing taken on trust.

The exit code of ngspice proves little, so an answer is accepted only when the log holds no error, the
raw file is complete to the byte, every vector asked for is there, every sample was reached with the
drives it should have, and every value is finite.
"""

import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ohmweave.bench import Bench, Waves
from ohmweave.circuit import Cell
from ohmweave.errors import NetlistError, SimulationError, SimulatorMissing
from ohmweave.netlist import Ngspice, scan, write
from ohmweave.simulate.deck import Deck, make_deck
from ohmweave.simulate.process import run_program, tail
from ohmweave.simulate.raw import RawFile, read_raw
from ohmweave.units import Array

__all__ = ["NgspiceSimulator", "parse_version"]

_VERSION = re.compile(r"ngspice-(\S+)")
_BAD_WORDS = re.compile(
    r"no such vector|fatal|singular matrix|doanalyses|simulation\(s\) aborted|unknown parameter|unknown subckt"
    r"|could not find|can't find|unable to|undefined|unrecognized|unimplemented|too few|timestep too small"
    r"|out of memory|not enough|^error|^syntax error|no dc path",
    re.IGNORECASE,
)
_STEPPING = {
    "dynamic gmin stepping": re.compile(r"starting dynamic gmin stepping", re.IGNORECASE),
    "true gmin stepping": re.compile(r"starting true gmin stepping", re.IGNORECASE),
    "source stepping": re.compile(r"starting source stepping", re.IGNORECASE),
    "transient operating point": re.compile(r"transient op started", re.IGNORECASE),
}
_DRIVE_TOLERANCE = 1e-9
_INSTALL = "install it (Debian/Ubuntu: apt install ngspice; macOS: brew install ngspice) or use the native engine"


@dataclass(frozen=True)
class NgspiceSimulator:
    """The DC operating points of a bench by ngspice.

    Args:
        executable: program name or path.
        time_limit: s, for the whole run.
        memory_limit: address space of the run, bytes.
        netlist: a netlist already written, whose subcircuit of the cell's name is used instead of
            writing the cell; it is scanned first.
    """

    executable: str = "ngspice"
    time_limit: float = 600.0
    memory_limit: float = 32e9
    netlist: Path | None = None
    name: str = "ngspice"

    def version(self) -> str:
        """The program's version.

        Raises:
            SimulatorMissing: no such program.
        """
        return parse_version(self._greeting())[0]

    def run(self, bench: Bench) -> Waves:
        """Simulate every sample of a bench in one sweep.

        Raises:
            SimulatorMissing: no such program.
            NetlistError: an unsafe or unreadable ``netlist``.
            SimulationError: a failed, unfinished or doubtful run; says what and ends with the log.
        """
        begun = time.perf_counter()
        version, klu = parse_version(self._greeting())
        with tempfile.TemporaryDirectory(prefix="ohmweave-") as private:
            folder = Path(private)
            deck = make_deck(bench, self._library(bench, folder), klu=klu)
            (folder / "deck.cir").write_text(deck.text, encoding="ascii")
            written = time.perf_counter()
            log = self._simulate(folder, bench)
            solved = time.perf_counter()
            raw = _accept(folder, deck, bench, log, self._where(bench))
        remarks = tuple(word for word, pattern in _STEPPING.items() if pattern.search(log))
        seconds = {"write": written - begun, "solve": solved - written, "total": time.perf_counter() - begun}
        return Waves(self.name, version, **_waves(raw, deck, bench), seconds=seconds, remarks=remarks)

    def analyse(self, cell: Cell, cards: Sequence[str], kind: Literal["real", "complex"] = "real") -> RawFile:
        """Run one analysis of ohmweave's own, which no bench can say.

        Args:
            cell: the cell, which is there as a subcircuit of its name.
            cards: what is around it, and the analysis with what it saves.
            kind: of the values: complex of small signals, real else.

        Returns:
            The vectors, all of them finite.

        Raises:
            SimulatorMissing: no such program.
            SimulationError: a failed, unfinished or doubtful run; says what and ends with the log.
        """
        bench = Bench(cell, (), np.zeros((1, 0)), ())
        _, klu = parse_version(self._greeting())
        with tempfile.TemporaryDirectory(prefix="ohmweave-") as private:
            folder = Path(private)
            lines = (f"ohmweave analysis of {cell.name}", f".include {self._library(bench, folder)}", *cards)
            solver = (".options klu",) if klu else ()
            (folder / "deck.cir").write_text("\n".join([*lines, *solver, ".end", ""]), encoding="ascii")
            log = self._simulate(folder, bench)
            raw = read_raw(folder / "out.raw", self._where(bench), kind)
        if not np.isfinite(raw.values).all():
            raise SimulationError(f"expected finite values; the log ends: {tail(log)}", where=self._where(bench))
        return raw

    def _where(self, bench: Bench) -> str:
        return f"{self.name}, {bench.cell.name}"

    def _greeting(self) -> str:
        with tempfile.TemporaryDirectory(prefix="ohmweave-") as private:
            return self._program((self.executable, "--version"), Path(private), min(self.time_limit, 20.0), self.name)[
                1
            ]

    def _program(self, command: tuple[str, ...], folder: Path, limit: float, where: str) -> tuple[int, str]:
        found = shutil.which(command[0])
        missing = SimulatorMissing(
            f"expected the simulator {self.executable!r}, found none on this machine", remedy=_INSTALL
        )
        if found is None:
            raise missing
        # A relative path would no longer point anywhere from the private folder.
        full = (str(Path(found).absolute()), *command[1:])
        return run_program(full, folder, time_limit=limit, memory_limit=self.memory_limit, missing=missing, where=where)

    def _library(self, bench: Bench, folder: Path) -> str:
        """Put the netlist into the private folder; return its name there."""
        (folder / ".spiceinit").write_text("set num_threads=1\n", encoding="ascii")
        target = folder / "library"
        target.mkdir()
        if self.netlist is None:
            with (target / "cell.cir").open("w", encoding="ascii") as stream:
                write(bench.cell, Ngspice(), stream)
            return "library/cell.cir"
        files = scan(self.netlist)
        root = self.netlist.resolve().parent
        for file in files:
            copy = target / file.resolve().relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        # Judged again as copied, so that a file changed in between is not trusted.
        copied = target / self.netlist.resolve().name
        scan(copied, self.netlist.name)
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", copied.name):
            raise NetlistError(f"expected a plain file name, found {copied.name!r}", remedy="rename it")
        return f"library/{copied.name}"

    def _simulate(self, folder: Path, bench: Bench) -> str:
        where = self._where(bench)
        code, log = self._program((self.executable, "-b", "-r", "out.raw", "deck.cir"), folder, self.time_limit, where)
        # The title is echoed and may hold any word.
        lines = [line for line in log.splitlines() if not line.startswith("Circuit:")]
        bad = next((line.strip() for line in lines if _BAD_WORDS.search(line.strip())), None)
        if bad is not None or code != 0:
            found = f"exit code {code}" + (f" and {bad!r}" if bad is not None else "")
            raise SimulationError(
                f"expected a run without errors, found {found}; the log ends: {tail(log)}",
                where=where,
                remedy="check the netlist and the design",
            )
        return log


def parse_version(greeting: str) -> tuple[str, bool]:
    """Version and whether the KLU solver is built in, from what ``ngspice --version`` says."""
    match = _VERSION.search(greeting)
    return (match.group(1) if match else "unknown"), "KLU" in greeting


def _accept(folder: Path, deck: Deck, bench: Bench, log: str, where: str) -> RawFile:
    """Read the answer and judge it by the rules above."""
    try:
        raw = read_raw(folder / "out.raw")
        wanted = raw.columns(deck.vectors)
        sweep = raw.columns(("v(sample)",))[:, 0]
    except SimulationError as error:
        message = f"{error.message}; the log ends: {tail(log)}"
        raise SimulationError(message, where=where, remedy=error.remedy) from error
    if not np.array_equal(np.round(sweep, 6), np.arange(bench.samples)):
        raise SimulationError(
            f"expected {bench.samples} samples, found {len(sweep)} up to {sweep[-1:].tolist()}; "
            f"the log ends: {tail(log)}",
            where=where,
        )
    bad = np.argwhere(~np.isfinite(wanted))
    if len(bad):
        sample, vector = bad[0]
        raise SimulationError(
            f"expected finite values, found {wanted[sample, vector]} in {deck.vectors[vector]} at sample {sample} "
            f"({len(bad)} in all); the log ends: {tail(log)}",
            where=where,
        )
    drives = raw.columns(deck.drives)
    away = np.abs(drives - bench.drives).max(initial=0.0)
    if away > _DRIVE_TOLERANCE * max(1.0, np.abs(bench.drives).max(initial=0.0)):
        raise SimulationError(f"expected the drives of the bench, found them {away:.1e} V away", where=where)
    return raw


def _waves(raw: RawFile, deck: Deck, bench: Bench) -> dict[str, Array]:
    def volts(names: tuple[str | None, ...]) -> Array:
        values = np.zeros((len(raw.values), len(names)))
        there = [index for index, name in enumerate(names) if name is not None]
        values[:, there] = raw.columns(tuple(names[index] or "" for index in there))
        return values

    plus, minus = tuple(p for p, _ in deck.terminals), tuple(n for _, n in deck.terminals)
    return {
        "volts": volts(deck.probes),
        # The ammeters point into the cell, the watched sources' currents into their p terminals.
        "input_amps": raw.columns(deck.inputs if bench.input_amps else ()),
        "source_volts": volts(plus) - volts(minus),
        "source_amps": -raw.columns(deck.currents),
    }
