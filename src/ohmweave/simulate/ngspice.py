"""ngspice as a subprocess: every sample of a bench in one run, a transient in another, and nothing taken on trust.

The exit code of ngspice proves little, so an answer is accepted only when the log holds no error, the
raw file is complete to the byte, every vector asked for is there, every sample (or the end time) was reached
with the drives it should have, and every value is finite.
"""

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ohmweave.bench import Bench, Traces, Transient, Waves
from ohmweave.circuit import Cell
from ohmweave.errors import NetlistError, SimulationError, SimulatorMissing
from ohmweave.netlist import Ngspice, bring, foreign_parts, scan, write
from ohmweave.simulate.answers import accept, accept_transient, traces, waves
from ohmweave.simulate.deck import Deck, make_deck, make_transient_deck
from ohmweave.simulate.process import run_program, tail
from ohmweave.simulate.raw import RawFile, read_raw
from ohmweave.simulate.verilog import compile_model

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
# What is done where steps in time become too small at nodes between transistors that are both off: so much, F, from
# every node to ground is a hundredth of what the smallest transistor has.
_SHUNT = 1e-17
_SHUNTED = f"{_SHUNT:g} F from every node to ground, without which time steps became too small"
_TOO_SMALL = re.compile(r"timestep too small", re.IGNORECASE)
_Asked = Bench | Transient
_INSTALL = "install it (Debian/Ubuntu: apt install ngspice; macOS: brew install ngspice) or use the native engine"


@dataclass(frozen=True)
class NgspiceSimulator:
    """The DC operating points of a bench, and transients, by ngspice.

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
        answer = self._ask(bench, make_deck)
        accept(answer.raw, answer.deck, bench, "v(sample)", answer.log, self._where(bench))
        return waves(answer.raw, answer.deck, bench, (self.name, answer.version), answer.seconds, answer.remarks)

    def trace(self, transient: Transient) -> Traces:
        """Simulate a transient.

        Raises:
            SimulatorMissing: no such program.
            NetlistError: an unsafe or unreadable ``netlist``.
            SimulationError: a failed, unfinished or doubtful run; says what and ends with the log.
        """
        answer = self._ask(transient, make_transient_deck)
        times = accept_transient(answer.raw, answer.deck, transient, answer.log, self._where(transient))
        return traces(answer.raw, answer.deck, times, (self.name, answer.version), answer.seconds, answer.remarks)

    def _ask(self, bench: _Asked, make: Callable[..., Deck]) -> "_Answer":
        """Write the deck, run it, read the raw file."""
        begun = time.perf_counter()
        version, klu = parse_version(self._greeting())
        with tempfile.TemporaryDirectory(prefix="ohmweave-") as private:
            folder = Path(private)
            deck = make(bench, self._library(bench, folder), klu=klu)
            (folder / "deck.cir").write_text(deck.text, encoding="ascii")
            written = time.perf_counter()
            log, shunted = self._simulate(folder, bench, clocked=isinstance(bench, Transient) and bench.clocked)
            solved = time.perf_counter()
            raw = _read(folder, log, self._where(bench))
        seconds = {"write": written - begun, "solve": solved - written, "total": time.perf_counter() - begun}
        remarks = (*(word for word, pattern in _STEPPING.items() if pattern.search(log)), *shunted)
        return _Answer(version, deck, raw, log, seconds, remarks)

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
            log, _ = self._simulate(folder, bench)
            raw = read_raw(folder / "out.raw", self._where(bench), kind)
        if not np.isfinite(raw.values).all():
            raise SimulationError(f"expected finite values; the log ends: {tail(log)}", where=self._where(bench))
        return raw

    def _where(self, bench: _Asked) -> str:
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

    def _library(self, bench: _Asked, folder: Path) -> str:
        """Put the netlist into the private folder; return its name there."""
        modules = self._load_modules(bench, folder)
        target = folder / "library"
        target.mkdir()
        if self.netlist is None:
            with (target / "cell.cir").open("w", encoding="ascii") as stream:
                write(bench.cell, Ngspice(), stream)
            if bring(bench.cell, target):
                scan(target / "cell.cir", modules=modules)
            return "library/cell.cir"
        files = scan(self.netlist, modules=modules)
        root = self.netlist.resolve().parent
        for file in files:
            copy = target / file.resolve().relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        # Judged again as copied, so that a file changed in between is not trusted.
        copied = target / self.netlist.resolve().name
        scan(copied, self.netlist.name, modules=modules)
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", copied.name):
            raise NetlistError(f"expected a plain file name, found {copied.name!r}", remedy="rename it")
        return f"library/{copied.name}"

    @staticmethod
    def _load_modules(bench: _Asked, folder: Path) -> tuple[str, ...]:
        """Write what ngspice does when it starts; compiled models of the bench are loaded there, by their names."""
        lines, modules = ["set num_threads=1"], list[str]()
        for part in foreign_parts(bench.cell):
            if part.compiled:
                lines.append(f"osdi model{len(modules)}.osdi")
                (folder / f"model{len(modules)}.osdi").write_bytes(compile_model(part))
                modules.append(part.model)
        (folder / ".spiceinit").write_text("\n".join((*lines, "")), encoding="ascii")
        return tuple(modules)

    def _simulate(self, folder: Path, bench: _Asked, *, clocked: bool = False) -> tuple[str, tuple[str, ...]]:
        """Run the deck; its log, and what had to be done to a clocked circuit."""
        begun = time.perf_counter()
        log, failure = self._once(folder, bench, self.time_limit)
        if failure is None:
            return log, ()
        if not clocked or not _TOO_SMALL.search(log):
            raise failure
        deck = folder / "deck.cir"
        text = deck.read_text(encoding="ascii")
        deck.write_text(text.replace("\n.options ", f"\n.options cshunt={_SHUNT:g} ", 1), encoding="ascii")
        log, failure = self._once(folder, bench, max(0.0, self.time_limit - (time.perf_counter() - begun)))
        if failure is not None:
            raise failure
        return log, (_SHUNTED,)

    def _once(self, folder: Path, bench: _Asked, limit: float) -> tuple[str, SimulationError | None]:
        where = self._where(bench)
        code, log = self._program((self.executable, "-b", "-r", "out.raw", "deck.cir"), folder, limit, where)
        # The title is echoed and may hold any word.
        lines = [line for line in log.splitlines() if not line.startswith("Circuit:")]
        bad = next((line.strip() for line in lines if _BAD_WORDS.search(line.strip())), None)
        if bad is None and code == 0:
            return log, None
        found = f"exit code {code}" + (f" and {bad!r}" if bad is not None else "")
        failure = SimulationError(
            f"expected a run without errors, found {found}; the log ends: {tail(log)}",
            where=where,
            remedy="check the netlist and the design",
        )
        return log, failure


def parse_version(greeting: str) -> tuple[str, bool]:
    """Version and whether the KLU solver is built in, from what ``ngspice --version`` says."""
    match = _VERSION.search(greeting)
    return (match.group(1) if match else "unknown"), "KLU" in greeting


@dataclass(frozen=True, eq=False)
class _Answer:
    """What a run left behind."""

    version: str
    deck: Deck
    raw: RawFile
    log: str
    seconds: Mapping[str, float]
    remarks: tuple[str, ...]


def _read(folder: Path, log: str, where: str) -> RawFile:
    try:
        return read_raw(folder / "out.raw")
    except SimulationError as error:
        message = f"{error.message}; the log ends: {tail(log)}"
        raise SimulationError(message, where=where, remedy=error.remedy) from error
