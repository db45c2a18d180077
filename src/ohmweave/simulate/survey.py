"""Which simulators this machine has, and what they can do, found out by trying."""

import re
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ohmweave.errors import OhmweaveError, SimulatorMissing
from ohmweave.simulate.ngspice import parse_version
from ohmweave.simulate.process import run_program

__all__ = ["detect"]

# Asks for KLU, and loads a compiled model that does not exist: a build with OSDI complains about the
# file, one without it about the command.
_PROBE = "probe\nv1 a 0 1\nr1 a 0 1\n.options klu\n.control\npre_osdi nowhere.osdi\nop\nquit\n.endc\n.end\n"
_OTHERS = {"vacask": (("vacask",), "--version", True, True), "xyce": (("Xyce", "xyce"), "-v", True, False)}
_TIME_LIMIT = 20.0
_MEMORY_LIMIT = 8e9


def detect() -> dict[str, dict[str, Any]]:
    """Every simulator here: ``{name: {"path", "version", "klu", "osdi"}}``; absent ones are left out.

    ``native`` is part of ohmweave. ngspice is tried with a small deck; what VACASK and Xyce can do is
    taken from their manuals.
    """
    found: dict[str, dict[str, Any]] = {
        "native": {"path": "built in", "version": version("ohmweave"), "klu": False, "osdi": False}
    }
    path = shutil.which("ngspice")
    if path is not None:
        log = _say(path, ("-b", "probe.cir"))
        number = parse_version(_say(path, ("--version",)))[0]
        osdi = re.search(r"osdi lib|nowhere\.osdi couldn't", log, re.IGNORECASE) is not None
        found["ngspice"] = {"path": path, "version": number, "klu": "Using KLU" in log, "osdi": osdi}
    for name, (programs, flag, klu, osdi) in _OTHERS.items():
        path = next((each for each in map(shutil.which, programs) if each is not None), None)
        if path is not None:
            match = re.search(r"\d+(?:\.\d+)+\S*", _say(path, (flag,)))
            found[name] = {"path": path, "version": match.group() if match else "unknown", "klu": klu, "osdi": osdi}
    return found


def _say(path: str, arguments: tuple[str, ...]) -> str:
    """All that a program says, empty where it fails."""
    with tempfile.TemporaryDirectory(prefix="ohmweave-") as private:
        folder = Path(private)
        (folder / "probe.cir").write_text(_PROBE, encoding="ascii")
        missing = SimulatorMissing(f"{path} cannot be run")
        try:
            command = (str(Path(path).absolute()), *arguments)
            return run_program(
                command, folder, time_limit=_TIME_LIMIT, memory_limit=_MEMORY_LIMIT, missing=missing, where=path
            )[1]
        except OhmweaveError:
            # A program that hangs or cannot be started is one that can do nothing.
            return ""
