"""Simulators that run as programs on a deck in their own dialect: what is the same for all of them.

Each writes the bench's cell anew in its dialect, with one operating point a sample behind it, runs in a private
folder under limits, and is believed by the rules of :mod:`ohmweave.simulate.answers`.
"""

import importlib.metadata
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ohmweave.bench import Bench, Waves
from ohmweave.circuit import Cell, Crossbar
from ohmweave.errors import SimulationError, SimulatorMissing
from ohmweave.netlist import Dialect, bring, write
from ohmweave.simulate.answers import accept, waves
from ohmweave.simulate.deck import Deck, Names, find_vectors, has_junctions
from ohmweave.simulate.process import Finished, run_program, tail
from ohmweave.simulate.raw import RawFile

__all__ = [
    "IDLE_OHM",
    "LIBRARY",
    "SAMPLE",
    "TITLE",
    "OutsideSimulator",
    "Way",
    "choice",
    "idle_ports",
    "packaged",
    "tolerances",
]

# The parameter that numbers the samples, and the net that shows it.
SAMPLE = "sample_number"
_GREETING_LIMIT = 60.0
# Of the resistor at a port that nothing else is joined to, ohm: without it the matrix would be singular.
IDLE_OHM = "1e12"
# How every deck's first line begins.
TITLE = "ohmweave bench of"
# The cell's file, without its suffix.
LIBRARY = "cell"


@dataclass(frozen=True)
class Way:
    """How one simulator is asked.

    Args:
        dialect: what it reads.
        names: what it calls its vectors.
        deck: name of the deck's file.
        lines: the deck of a bench, line by line.
        command: arguments behind the program.
        read: the answer's file in the folder -> its vectors.
        greeting: arguments that make it tell its version.
        version: finds the version in what it says then.
        bad: what none of its lines may hold.
        remedy: how to get the program.
        logs: files with more of its words.
        keep: environment variables it needs.
        find: where the program is, ``None`` where it is not.
        package: the Python package that brings it, whose version stands in where the program tells none.
    """

    dialect: Dialect
    names: Names
    deck: str
    lines: Callable[[Bench, Deck], Iterator[str]]
    command: tuple[str, ...]
    read: Callable[[Path], RawFile]
    greeting: tuple[str, ...]
    version: re.Pattern[str]
    bad: re.Pattern[str]
    remedy: str
    logs: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    find: Callable[[str], str | None] = shutil.which
    package: str = ""


@dataclass(frozen=True)
class OutsideSimulator:
    """The DC operating points of a bench by a program; which one, a subclass says.

    Args:
        executable: program name or path.
        time_limit: s, for the whole run.
        memory_limit: address space of the run, bytes.
        name: what the user calls it.
    """

    executable: str = ""
    time_limit: float = 600.0
    memory_limit: float = 32e9
    name: str = ""
    way: ClassVar[Way]

    def version(self) -> str:
        """The program's version.

        Raises:
            SimulatorMissing: no such program.
        """
        return _greet(self)

    def run(self, bench: Bench) -> Waves:
        """Simulate every sample of a bench in one sweep.

        Raises:
            SimulatorMissing: no such program.
            SimulationError: a failed, unfinished or doubtful run; says what and ends with the log.
        """
        return _ask(self, bench)


def _greet(settings: OutsideSimulator) -> str:
    way = settings.way
    with tempfile.TemporaryDirectory(prefix="ohmweave-") as private:
        limit = min(settings.time_limit, _GREETING_LIMIT)
        said = _run(settings, way.greeting, Path(private), limit, settings.name)[1]
    match = way.version.search(said)
    return match.group(1) if match else packaged(way.package)


def packaged(package: str) -> str:
    """The version of an installed Python package, ``"unknown"`` where it is not installed."""
    try:
        return importlib.metadata.version(package) if package else "unknown"
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _ask(settings: OutsideSimulator, bench: Bench) -> Waves:
    way = settings.way
    begun, where = time.perf_counter(), f"{settings.name}, {bench.cell.name}"
    version = _greet(settings)
    deck, _ = find_vectors(bench, way.names)
    with tempfile.TemporaryDirectory(prefix="ohmweave-") as private:
        folder = Path(private)
        with (folder / f"{LIBRARY}{way.dialect.suffix}").open("w", encoding="ascii") as stream:
            write(bench.cell, way.dialect, stream)
        bring(bench.cell, folder)
        (folder / way.deck).write_text("\n".join(way.lines(bench, deck)) + "\n", encoding="ascii")
        written = time.perf_counter()
        log = _simulate(settings, folder, where)
        solved = time.perf_counter()
        try:
            raw = way.read(folder)
        except SimulationError as error:
            message = f"{error.message}; the log ends: {tail(log)}"
            raise SimulationError(message, where=where, remedy=error.remedy) from error
    accept(raw, deck, bench, way.names.voltage.format("sample"), log, where)
    seconds = {"write": written - begun, "solve": solved - written, "total": time.perf_counter() - begun}
    return waves(raw, deck, bench, (settings.name, version), seconds)


def _simulate(settings: OutsideSimulator, folder: Path, where: str) -> str:
    way = settings.way
    code, log = _run(settings, way.command, folder, settings.time_limit, where)
    for name in way.logs:
        if (folder / name).is_file():
            log += (folder / name).read_text(encoding="latin-1")
    # The title is echoed and may hold any word.
    lines = [line for line in log.splitlines() if TITLE not in line]
    bad = next((line.strip() for line in lines if way.bad.search(line)), None)
    if bad is not None or code != 0:
        found = f"exit code {code}" + (f" and {bad!r}" if bad is not None else "")
        raise SimulationError(
            f"expected a run without errors, found {found}; the log ends: {tail(log)}",
            where=where,
            remedy="check the netlist and the design",
        )
    return log


def _run(
    settings: OutsideSimulator, arguments: tuple[str, ...], folder: Path, time_limit: float, where: str
) -> Finished:
    way = settings.way
    missing = SimulatorMissing(
        f"expected the simulator {settings.executable!r}, found none on this machine", remedy=way.remedy
    )
    found = way.find(settings.executable)
    if found is None:
        raise missing
    # A relative path would no longer point anywhere from the private folder.
    command = (str(Path(found).absolute()), *arguments)
    return run_program(
        command,
        folder,
        time_limit=time_limit,
        memory_limit=settings.memory_limit,
        missing=missing,
        where=where,
        keep=way.keep,
    )


def idle_ports(bench: Bench) -> tuple[str, ...]:
    """Ports that nothing drives and nothing inside is joined to; a deck ties them to ground by a large resistor."""
    cell = bench.cell
    used = {net for part in cell.parts for net in (part.ports if isinstance(part, Crossbar) else part.nets)}
    return tuple(port for port in dict.fromkeys(cell.ports) if port not in used and port not in bench.inputs)


def tolerances(cell: Cell) -> tuple[float, float, float]:
    """Relative tolerance, and absolute ones of currents (A) and voltages (V): those of the ngspice decks."""
    return (1e-7, 1e-13, 1e-10) if has_junctions(cell) else (1e-9, 1e-15, 1e-12)


def choice(values: list[float], first: int = 0) -> str:
    """``values[k]`` for a sample numbered k, as nested choices: a formula for simulators without tables of samples."""
    if len(values) == 1:
        return repr(values[0])
    middle = len(values) // 2
    below, above = choice(values[:middle], first), choice(values[middle:], first + middle)
    return f"({SAMPLE}<{first + middle - 0.5!r}?{below}:{above})"
