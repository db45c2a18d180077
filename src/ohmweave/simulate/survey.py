"""Which simulators and compilers this machine has, and what they can do, found out by trying."""

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ohmweave.errors import OhmweaveError, SimulatorMissing
from ohmweave.simulate.ngspice import parse_version
from ohmweave.simulate.outside import packaged
from ohmweave.simulate.process import run_program
from ohmweave.simulate.vacask import PACKAGE, find_program
from ohmweave.simulate.verilog import find_compiler

__all__ = ["compilers", "detect"]

_TIME_LIMIT = 60.0
_MEMORY_LIMIT = 8e9
_NUMBER = re.compile(r"(?<![a-z_])\d+(?:\.\d+)+\S*")

# Asks for KLU, and loads a compiled model that does not exist: a build with OSDI complains about the
# file, one without it about the command.
_NGSPICE = "probe\nv1 a 0 1\nr1 a 0 1\n.options klu\n.control\npre_osdi nowhere.osdi\nop\nquit\n.endc\n.end\n"
# A resistor is a compiled model there: an answer means that OSDI works, and KLU, of which it has no other solver.
_VACASK = (
    'probe\nground 0\nload "resistor.osdi"\nmodel r resistor\nmodel v vsource\nv1 (a 0) v dc=1\nr1 (a 0) r r=1\n'
    "control\nabort always\nanalysis probe op\nendc\n"
)
_XYCE = "probe\nv1 a 0 1\nr1 a 0 1\n.dc v1 1 1 1\n.options linsol type=klu\n.print dc v(a)\n.end\n"
_HSPICE = "probe\nv1 a 0 1\nr1 a 0 1\n.op\n.end\n"
_SPECTRE = "// probe\nsimulator lang=spectre\nv1 (a 0) vsource dc=1\nr1 (a 0) resistor r=1\npoint dc\n"
_MODULE = """`include "disciplines.vams"
module probe(p, n);
  inout p, n;
  electrical p, n;
  analog I(p, n) <+ V(p, n);
endmodule
"""


@dataclass(frozen=True)
class _Probe:
    """How a program is tried.

    Args:
        programs: what it may be called.
        greeting: arguments that make it tell its version.
        file: a small input's name.
        text: the small input.
        arguments: arguments that run it.
        klu: whether KLU works, from all that the run said and whether it ended well.
        osdi: likewise whether compiled models can be loaded.
        find: where the program is.
    """

    programs: tuple[str, ...]
    greeting: str
    file: str
    text: str
    arguments: tuple[str, ...]
    klu: Callable[[str, bool], bool] = lambda log, well: False
    osdi: Callable[[str, bool], bool] = lambda log, well: False
    find: Callable[[str], str | None] = shutil.which


_PROBES: Mapping[str, _Probe] = {
    "ngspice": _Probe(
        ("ngspice",),
        "--version",
        "probe.cir",
        _NGSPICE,
        ("-b", "probe.cir"),
        lambda log, well: "Using KLU" in log,
        lambda log, well: re.search(r"osdi lib|nowhere\.osdi couldn't", log, re.IGNORECASE) is not None,
    ),
    "vacask": _Probe(
        ("vacask",),
        "--version",
        "probe.sim",
        _VACASK,
        ("probe.sim",),
        lambda log, well: well,
        lambda log, well: well,
        find_program,
    ),
    "xyce": _Probe(("Xyce", "xyce"), "-v", "probe.cir", _XYCE, ("probe.cir",), lambda log, well: well),
    "hspice": _Probe(("hspice",), "-v", "probe.sp", _HSPICE, ("-i", "probe.sp", "-o", "probe")),
    "spectre": _Probe(("spectre",), "-V", "probe.scs", _SPECTRE, ("probe.scs",)),
}


def detect() -> dict[str, dict[str, Any]]:
    """Every simulator here: ``{name: {"path", "version", "klu", "osdi", "runs"}}``; absent ones are left out.

    ``native`` is part of ohmweave. Each of the others is tried with a small deck: ``runs`` is whether it ended
    well (a licence may be missing), ``klu`` whether it solved with KLU, ``osdi`` whether it takes compiled
    Verilog-A as OSDI.
    """
    found: dict[str, dict[str, Any]] = {
        "native": {"path": "built in", "version": version("ohmweave"), "klu": False, "osdi": False, "runs": True}
    }
    for name, probe in _PROBES.items():
        path = next((each for each in map(probe.find, probe.programs) if each is not None), None)
        if path is not None:
            _, greeting = _say(path, (probe.greeting,), {})
            well, log = _say(path, probe.arguments, {probe.file: probe.text})
            facts = {"klu": probe.klu(log, well), "osdi": probe.osdi(log, well), "runs": well}
            found[name] = {"path": path, "version": _version(name, greeting), **facts}
    return found


def compilers() -> dict[str, dict[str, Any]]:
    """Every compiler of Verilog-A here: ``{name: {"path", "version", "runs"}}``, tried on a small module."""
    path = find_compiler()
    if path is None:
        return {}
    name = Path(path).name
    greeting = _say(path, ("--version",), {})[1]
    well = _say(path, ("probe.va", "-o", "probe.osdi"), {"probe.va": _MODULE}, made="probe.osdi")[0]
    return {name: {"path": path, "version": _version(name, greeting), "runs": well}}


def _version(name: str, greeting: str) -> str:
    if name == "ngspice":
        return parse_version(greeting)[0]
    match = _NUMBER.search(greeting)
    return match.group() if match else packaged(PACKAGE if name in {"vacask", "openvaf-r"} else "")


def _say(path: str, arguments: tuple[str, ...], files: Mapping[str, str], made: str = "") -> tuple[bool, str]:
    """Whether a program ended well, with the file ``made``, and all that it said; nothing where it fails."""
    with tempfile.TemporaryDirectory(prefix="ohmweave-") as private:
        folder = Path(private)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="ascii")
        missing = SimulatorMissing(f"{path} cannot be run")
        try:
            command = (str(Path(path).absolute()), *arguments)
            code, log = run_program(
                command, folder, time_limit=_TIME_LIMIT, memory_limit=_MEMORY_LIMIT, missing=missing, where=path
            )
        except OhmweaveError:
            # A program that hangs or cannot be started is one that can do nothing.
            return False, ""
        return code == 0 and (not made or (folder / made).is_file()), log
