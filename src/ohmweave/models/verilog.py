"""Verilog-A model files: what neither the compiler nor a DC read can take is told by line, before any compiler runs.

The rules are those that published memristor models were seen to break with OpenVAF (openvaf-r, OSDI); comments and
strings are looked at by none of them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ohmweave.circuit import Library
from ohmweave.devices.file import ModelChoice
from ohmweave.errors import NetlistError
from ohmweave.models.reading import name_below
from ohmweave.registry import nearest

__all__ = ["HEADERS", "judge", "load_verilog", "remarks"]

# What the compiler brings itself.
HEADERS = frozenset({"disciplines.vams", "constants.vams", "discipline.h", "constants.h"})
_FUNCTIONS = frozenset(
    {
        *("abstime", "temperature", "vt", "simparam", "param_given", "port_connected", "mfactor", "bound_step"),
        "limit",
        *("strobe", "display", "write", "warning", "error", "info", "debug", "finish", "stop", "discontinuity"),
        *("ln", "log", "exp", "sqrt", "pow", "abs", "min", "max", "floor", "ceil", "sin", "cos", "tan", "asin", "acos"),
        *("atan", "atan2", "hypot", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "clog2", "ln1p", "expm1"),
    }
)
_REFUSED = (
    (re.compile(r"\bfrom\s*[\[(][^:;\])]*,[^;\])]*[\])]"), "write a range with a colon: from [0:1]"),
    (re.compile(r"@\s*\(?\s*(?:cross|above|timer)\b"), "a compact model has no events but initial_step and final_step"),
    (re.compile(r"\b(?:transition|slew|absdelay|last_crossing)\s*\("), "write it with ddt() of a state's voltage"),
    (re.compile(r"\b(?:laplace|zi)_[a-z]+\s*\("), "write it with ddt() of a state's voltage"),
)
_DEEPEST = 8
_LARGEST = 16 * 2**20


def load_verilog(choice: ModelChoice, folder: Path, at: str) -> Library:
    """Read a Verilog-A model with what it includes; nothing is run.

    Args:
        choice: which model; its name is that of a module.
        folder: what the paths of the choice are relative to.
        at: the folder that the library's paths begin with.

    Raises:
        NetlistError: a file that is missing or that would not do, told by line.
    """
    main = folder / choice.file
    if choice.section or choice.include:
        raise NetlistError(
            "expected neither section nor include for a Verilog-A file, which names its own includes",
            where=choice.file,
            remedy="remove them from [device]",
        )
    texts: dict[str, str] = {}
    _collect(main, main.name, main, texts, 0)
    ports = _module(choice, "\n".join(_bare(text) for text in texts.values()), main.name)
    files = tuple((f"{at}/{path}", text) for path, text in sorted(texts.items()))
    return Library(files, ((f"{at}/{main.name}", ""),), (), ports)


def _collect(path: Path, where: str, main: Path, texts: dict[str, str], depth: int) -> None:
    name = name_below(path, main)
    if name is None:
        raise NetlistError(
            "expected a file beside the model or below, found one outside", where=where, remedy="move it there"
        )
    if name in texts:
        return
    if depth > _DEEPEST:
        raise NetlistError(f"expected at most {_DEEPEST} levels of includes", where=where, remedy="flatten the files")
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise NetlistError(
                f"expected a model file of at most {_LARGEST} bytes, found {size}", where=where, remedy="split it"
            )
        texts[name] = text = path.read_bytes().decode("latin-1")
    except OSError as error:
        raise NetlistError(f"cannot be read: {error.strerror}", where=where, remedy="check the path") from error
    for place, target in judge(text, where):
        _collect(path.parent / target, f"{place}: {target}", main, texts, depth + 1)


def judge(text: str, where: str) -> list[tuple[str, str]]:
    """Refuse what a compact model may not hold; return the place and path of each include of the user's own.

    Raises:
        NetlistError: says file and line.
    """
    included = []
    bare = _bare(text)
    for number, (line, whole) in enumerate(zip(bare.split("\n"), text.split("\n"), strict=True), 1):
        place = f"{where}:{number}"
        for directive in re.findall(r"`\s*include\b", line):
            target = re.search(r'`\s*include\s*"([^"]*)"', whole)
            name = target.group(1) if target else ""
            if not re.fullmatch(r"[A-Za-z0-9_./+-]+", name):
                raise _refuse(f"{directive} of {name!r}", place, "include plain paths beside the model")
            if name not in HEADERS:
                included.append((place, name))
        for word in re.findall(r"\$([A-Za-z_]\w*)", line):
            if word not in _FUNCTIONS:
                raise _refuse(f"${word}", place, "a compact model reads no files, runs nothing and draws no chance")
    for pattern, remedy in _REFUSED:
        found = pattern.search(bare)
        if found:
            raise _refuse(" ".join(found.group().split()), f"{where}:{_line(bare, found.start())}", remedy)
    return included


def _refuse(what: str, place: str, remedy: str) -> NetlistError:
    return NetlistError(f"expected what OpenVAF compiles, found {what!r}", where=place, remedy=remedy)


def remarks(library: Library) -> tuple[str, ...]:
    """What a model will not do, though it is read well: a state in a plain variable never moves.

    A compiled model keeps the voltages of its nodes from one time step to the next, and no variable; so a variable
    that grows by itself, in a model without ddt() or idt(), begins anew at every step.
    """
    if not library.entries[-1][0].endswith(".va"):
        return ()
    bare = "\n".join(_bare(text) for _, text in library.files)
    if re.search(r"\b(?:ddt|idt|idtmod)\s*\(", bare):
        return ()
    names = dict.fromkeys(re.findall(r"\b([A-Za-z_]\w*)\s*=(?!=)[^;=]*\b\1\b", bare))
    return tuple(
        f"the state {name} of {library.entries[-1][0]} never moves: it is a plain variable, which a compiled model "
        "does not keep from one time step to the next; make it the voltage of an internal node with ddt()"
        for name in names
    )


def _bare(text: str) -> str:
    """The text with comments and strings blanked, line breaks kept."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match.group())

    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.DOTALL)


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _module(choice: ModelChoice, bare: str, file: str) -> tuple[str, ...]:
    """The ports of the module, once it is as the design says."""
    modules = dict(_modules(bare))
    if choice.name not in modules:
        raise NetlistError(
            f"expected the module {choice.name}, found none of that name",
            where=file,
            remedy=nearest(choice.name, modules) if modules else "check device.name",
        )
    ports, body = modules[choice.name]
    if len(ports) != 2 or set(ports) != set(choice.ports):
        raise NetlistError(
            f"expected the two ports {', '.join(choice.ports)}, found {', '.join(ports) or 'none'}",
            where=f"{file}: module {choice.name}",
            remedy="name the ports of the module in device.ports; only two-terminal devices can be used",
        )
    declared = re.findall(r"\bparameter\s+(?:(?:real|integer)\s)?([^;]*);", body)
    known = [name for each in declared for name in re.findall(r"(?:^|,)\s*([A-Za-z_]\w*)\s*=", each)]
    if choice.state.parameter not in known:
        raise NetlistError(
            f"expected a parameter {choice.state.parameter!r}, found {', '.join(known) or 'none'}",
            where=f"{file}: module {choice.name}",
            remedy="name one of the module's parameters in device.state",
        )
    return ports


def _modules(bare: str) -> Iterator[tuple[str, tuple[tuple[str, ...], str]]]:
    for found in re.finditer(r"\bmodule\s+([A-Za-z_]\w*)\s*\(([^)]*)\)(.*?)\bendmodule\b", bare, re.DOTALL):
        name, ports, body = found.groups()
        words = (port.split() for port in ports.split(","))
        yield name, (tuple(word[-1] for word in words if word), body)
