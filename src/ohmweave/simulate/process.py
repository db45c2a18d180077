"""Foreign programs under control: own folder and home, one thread, limits, nothing left running."""

import contextlib
import math
import os
import resource
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from ohmweave.errors import SimulationError, SimulatorMissing

__all__ = ["Finished", "environment", "run_program", "tail"]

Finished = tuple[int, str]

_LAST_LINES = 6
_LARGEST_FILE = 8 * 2**30


def environment(home: Path, keep: Sequence[str] = ()) -> dict[str, str]:
    """Variables for a simulator: its own home, plain numbers and messages, one thread, and ours named in ``keep``."""
    return {
        **{name: os.environ[name] for name in keep if name in os.environ},
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(home),
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "1",
    }


def run_program(
    command: Sequence[str],
    folder: Path,
    *,
    time_limit: float,
    memory_limit: float,
    missing: SimulatorMissing,
    where: str,
    keep: Sequence[str] = (),
) -> Finished:
    """Run a program in a folder that is also its home; return its exit code and all that it said.

    Args:
        command: the program and its arguments.
        folder: where it runs; its words go to ``log`` there.
        time_limit: s; the whole process group is killed after it.
        memory_limit: address space, bytes (kept where the system can).
        missing: raised where there is no such program.
        where: place for messages.
        keep: environment variables that it needs, such as where its licences are.

    Raises:
        SimulatorMissing: no such program.
        SimulationError: no answer within the time limit.
    """
    log = folder / "log"
    with log.open("wb") as words:
        process = _start(command, folder, words, missing, keep)
        try:
            _limit(process.pid, memory_limit, time_limit)
            code = process.wait(time_limit)
        except subprocess.TimeoutExpired as error:
            raise SimulationError(
                f"expected an answer within {time_limit:g} s, found none; the process was stopped",
                where=where,
                remedy="raise --time-limit, use fewer samples or smaller tiles",
            ) from error
        finally:
            _end(process)
    return code, log.read_text(encoding="latin-1")


def _start(
    command: Sequence[str], folder: Path, words: BinaryIO, missing: SimulatorMissing, keep: Sequence[str]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(command),
            cwd=folder,
            env=environment(folder, keep),
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise missing from error


def tail(log: str) -> str:
    """The last words of a log, on one line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return " | ".join(lines[-_LAST_LINES:]) or "(nothing)"


def _limit(pid: int, memory: float, seconds: float) -> None:
    # Only Linux sets limits of another process; elsewhere the time limit has to do.
    if hasattr(resource, "prlimit"):
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_AS, (int(memory), int(memory)))
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
            # Stops the program also where whoever waits for it was killed.
            if math.isfinite(seconds):
                resource.prlimit(pid, resource.RLIMIT_CPU, (math.ceil(seconds) + 1,) * 2)


def _end(process: subprocess.Popen[bytes]) -> None:
    # The group, not the process: a wrapper script's children must not stay behind.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
