"""ngspice as a subprocess: every sample of a bench in one run, a transient in another, and nothing taken on trust.

The exit code of ngspice proves little, so an answer is accepted only when the log holds no error, the
raw file is complete to the byte, every vector asked for is there, every sample (or the end time) was reached
with the drives it should have, and every value is finite.
"""

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ohmweave.bench import Bench, Traces, Transient, Waves
from ohmweave.errors import NetlistError, SimulationError, SimulatorMissing
from ohmweave.netlist import Ngspice, scan, write
from ohmweave.simulate.deck import Deck, make_deck, make_transient_deck
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
_TIME_TOLERANCE = 1e-9
_ROUNDING = 1e-15
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
        raw = _accept(answer, bench, self._where(bench))
        columns = _columns(raw, answer.deck, answer.deck.inputs if bench.input_amps else ())
        return Waves(self.name, answer.version, **columns, seconds=answer.seconds, remarks=answer.remarks)

    def trace(self, transient: Transient) -> Traces:
        """Simulate a transient.

        Raises:
            SimulatorMissing: no such program.
            NetlistError: an unsafe or unreadable ``netlist``.
            SimulationError: a failed, unfinished or doubtful run; says what and ends with the log.
        """
        answer = self._ask(transient, make_transient_deck)
        raw, times = _accept_transient(answer, transient, self._where(transient))
        columns = _columns(raw, answer.deck, answer.deck.inputs)
        return Traces(self.name, answer.version, times, **columns, seconds=answer.seconds, remarks=answer.remarks)

    def _ask(self, bench: _Asked, make: Callable[..., Deck]) -> "_Answer":
        """Write the deck, run it, read the raw file."""
        begun = time.perf_counter()
        version, klu = parse_version(self._greeting())
        with tempfile.TemporaryDirectory(prefix="ohmweave-") as private:
            folder = Path(private)
            deck = make(bench, self._library(bench, folder), klu=klu)
            (folder / "deck.cir").write_text(deck.text, encoding="ascii")
            written = time.perf_counter()
            log = self._simulate(folder, bench)
            solved = time.perf_counter()
            try:
                raw = read_raw(folder / "out.raw")
            except SimulationError as error:
                raise _with_log(error, log, self._where(bench)) from error
        seconds = {"write": written - begun, "solve": solved - written, "total": time.perf_counter() - begun}
        return _Answer(version, deck, raw, log, seconds)

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

    def _simulate(self, folder: Path, bench: _Asked) -> str:
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


@dataclass(frozen=True, eq=False)
class _Answer:
    """What a run left behind."""

    version: str
    deck: Deck
    raw: RawFile
    log: str
    seconds: Mapping[str, float]

    @property
    def remarks(self) -> tuple[str, ...]:
        return tuple(word for word, pattern in _STEPPING.items() if pattern.search(self.log))


def _with_log(error: SimulationError, log: str, where: str) -> SimulationError:
    return SimulationError(f"{error.message}; the log ends: {tail(log)}", where=where, remedy=error.remedy)


def _accept(answer: _Answer, bench: Bench, where: str) -> RawFile:
    """Judge the answer to a bench by the rules above."""
    raw, sweep = _vectors(answer, "v(sample)", where)
    if not np.array_equal(np.round(sweep, 6), np.arange(bench.samples)):
        raise SimulationError(
            f"expected {bench.samples} samples, found {len(sweep)} up to {sweep[-1:].tolist()}; "
            f"the log ends: {tail(answer.log)}",
            where=where,
        )
    _refuse_infinite(answer, [f"sample {sample}" for sample in range(bench.samples)], where)
    _refuse_other_drives(answer, bench.drives, "of the bench", where)
    return raw


def _accept_transient(answer: _Answer, transient: Transient, where: str) -> tuple[RawFile, Array]:
    """Judge the answer to a transient by the rules above; return it with its times, s."""
    raw, times = _vectors(answer, "time", where)
    ordered = len(times) > 1 and times[0] == 0.0 and bool((np.diff(times) >= 0.0).all())
    if not ordered or abs(times[-1] - transient.end) > _TIME_TOLERANCE * transient.end:
        raise SimulationError(
            f"expected times from 0 to {transient.end:g} s, found {len(times)} up to {times[-1:].tolist()} s; "
            f"the log ends: {tail(answer.log)}",
            where=where,
        )
    _refuse_infinite(answer, [f"{time:g} s" for time in times.tolist()], where)
    drives = np.stack([drive.at(times) for drive in transient.drives], axis=1) if transient.drives else np.zeros(0)
    # On a steep edge the rounding of time is one of voltage.
    steepest = max((drive.steepest for drive in transient.drives), default=0.0)
    _refuse_other_drives(answer, drives, "of the transient", where, steepest * _ROUNDING * transient.end)
    return raw, times


def _vectors(answer: _Answer, abscissa: str, where: str) -> tuple[RawFile, Array]:
    """The raw file, in which every vector wanted is there, and what it counts by."""
    try:
        answer.raw.columns(answer.deck.vectors)
        return answer.raw, answer.raw.columns((abscissa,))[:, 0]
    except SimulationError as error:
        raise _with_log(error, answer.log, where) from error


def _refuse_infinite(answer: _Answer, points: list[str], where: str) -> None:
    wanted = answer.raw.columns(answer.deck.vectors)
    bad = np.argwhere(~np.isfinite(wanted))
    if len(bad):
        point, vector = bad[0]
        raise SimulationError(
            f"expected finite values, found {wanted[point, vector]} in {answer.deck.vectors[vector]} at "
            f"{points[point]} ({len(bad)} in all); the log ends: {tail(answer.log)}",
            where=where,
        )


def _refuse_other_drives(answer: _Answer, expected: Array, whose: str, where: str, slack: float = 0.0) -> None:
    if not expected.size:
        return
    away = np.abs(answer.raw.columns(answer.deck.drives) - expected).max(initial=0.0)
    if away > _DRIVE_TOLERANCE * max(1.0, np.abs(expected).max(initial=0.0)) + slack:
        raise SimulationError(f"expected the drives {whose}, found them {away:.1e} V away", where=where)


def _columns(raw: RawFile, deck: Deck, inputs: tuple[str, ...]) -> dict[str, Array]:
    """What every answer holds beside its abscissa."""

    def volts(names: tuple[str | None, ...]) -> Array:
        values = np.zeros((len(raw.values), len(names)))
        there = [index for index, name in enumerate(names) if name is not None]
        values[:, there] = raw.columns(tuple(names[index] or "" for index in there))
        return values

    plus, minus = tuple(p for p, _ in deck.terminals), tuple(n for _, n in deck.terminals)
    return {
        "volts": volts(deck.probes),
        # The ammeters point into the cell, the watched sources' currents into their p terminals.
        "input_amps": raw.columns(inputs),
        "source_volts": volts(plus) - volts(minus),
        "source_amps": -raw.columns(deck.currents),
    }
