"""ngspice as a subprocess: every sample of a bench in one run, and nothing taken on trust.

The exit code of ngspice proves little, so an answer is accepted only when the log holds no error, the
raw file is complete to the byte, every vector asked for is there, every sample was reached with the
drives it should have, and every value is finite.
"""

import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ohmweave.bench import Bench, Waves
from ohmweave.errors import NetlistError, SimulationError, SimulatorMissing
from ohmweave.netlist import Ngspice, scan, write
from ohmweave.simulate.answers import accept, waves
from ohmweave.simulate.deck import make_deck
from ohmweave.simulate.process import run_program, tail
from ohmweave.simulate.raw import RawFile, read_raw

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
            raw = _read(folder, log, self._where(bench))
            accept(raw, deck, bench, "v(sample)", log, self._where(bench))
        remarks = tuple(word for word, pattern in _STEPPING.items() if pattern.search(log))
        seconds = {"write": written - begun, "solve": solved - written, "total": time.perf_counter() - begun}
        return waves(raw, deck, bench, (self.name, version), seconds, remarks)

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


def _read(folder: Path, log: str, where: str) -> RawFile:
    try:
        return read_raw(folder / "out.raw")
    except SimulationError as error:
        message = f"{error.message}; the log ends: {tail(log)}"
        raise SimulationError(message, where=where, remedy=error.remedy) from error
