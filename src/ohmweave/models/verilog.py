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
from ohmweave.models.reading import name_below, read_text
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
    (re.compile(r"\bfrom\s*[\[(][^:;,()\[\]]*,[^;()\[\]]*[\])]"), "write a range with a colon: from [0:1]"),
    (
        re.compile(r"@\s*(?:\(\s*)?(?:cross|above|timer)\b"),
        "a compact model has no events but initial_step and final_step",
    ),
    (re.compile(r"\b(?:transition|slew|absdelay|last_crossing)\s*\("), "write it with ddt() of a state's voltage"),
    (re.compile(r"\b(?:laplace|zi)_[a-z]+\s*\("), "write it with ddt() of a state's voltage"),
)
# Comments and strings, the last one perhaps without its end.
_SKIPPED = re.compile(r'//[^\n]*|/\*.*?(?:\*/|\Z)|"[^"\n]*(?:"|(?=\n)|\Z)', re.DOTALL)
_CLEAR = re.compile(r'//.*|/\*.*\*/|"(?:[^"\\]|\\[A-Za-z0-9])*"', re.DOTALL)
_CLOSE = "close comments and strings, a string on its own line and without escaped quotes"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_OUTSIDE = re.compile(r"[^\t\n -~]|\\(?!\n)")
_DEEPEST = 8
_LARGEST = 2**20


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
    texts[name] = text = read_text(path, where, _LARGEST)
    for place, target in judge(text, where):
        _collect(path.parent / target, f"{place}: {target}", main, texts, depth + 1)


def judge(text: str, where: str) -> list[tuple[str, str]]:
    """Refuse what a compact model may not hold; return the place and path of each include of the user's own.

    Raises:
        NetlistError: says file and line.
    """
    _check_characters(text, where)
    bare = _bare(text)
    included = [(place, name) for place, name in _includes(text, bare, where) if name not in HEADERS]
    for found in re.finditer(r"\$([A-Za-z_]\w*)", bare):
        if found.group(1) not in _FUNCTIONS:
            remedy = "a compact model reads no files, runs nothing and draws no chance"
            raise _refuse(found.group(), f"{where}:{_line(bare, found.start())}", remedy)
    for pattern, remedy in _REFUSED:
        again = pattern.search(bare)
        if again:
            raise _refuse(" ".join(again.group().split()), f"{where}:{_line(bare, again.start())}", remedy)
    return included


def _check_characters(text: str, where: str) -> None:
    """Refuse what two readers could take apart in two ways: then a comment of one is code of the other."""
    for found in _SKIPPED.finditer(text):
        if not _CLEAR.fullmatch(found.group()):
            raise _refuse(found.group()[:20], f"{where}:{_line(text, found.start())}", _CLOSE)
    harmful = _CONTROL.search(text) or _OUTSIDE.search(_bare(text))
    if harmful:
        place = f"{where}:{_line(text, harmful.start())}"
        raise _refuse(harmful.group(), place, "write plain text: printable characters, in code ASCII alone")


def _includes(text: str, bare: str, where: str) -> Iterator[tuple[str, str]]:
    """The place and path of each include."""
    coded, before = _bare(text, strings=True), 0
    for found in re.finditer(r"`\s*include\b", bare):
        line = _line(bare, found.start())
        target = re.compile(r'\s*"([^"\n]*)"').match(coded, found.end())
        name = target.group(1) if target else ""
        if not re.fullmatch(r"[A-Za-z0-9_./+-]+", name):
            raise _refuse(f"{found.group()} of {name!r}", f"{where}:{line}", "include plain paths beside the model")
        if line == before:
            raise _refuse(f"{found.group()} of {name!r}", f"{where}:{line}", "write one include a line")
        before = line
        yield f"{where}:{line}", name


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


def _bare(text: str, *, strings: bool = False) -> str:
    """The text with comments, and strings unless they are to stay, blanked, line breaks kept."""

    def blank(match: re.Match[str]) -> str:
        whole = match.group()
        return whole if strings and whole[0] == '"' else re.sub(r"[^\n]", " ", whole)

    return _SKIPPED.sub(blank, text)


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
    statements = (re.split(r"\bparameter\s+(?:(?:real|integer)\s)?", each, maxsplit=1) for each in body.split(";"))
    declared = [each[1] for each in statements if len(each) > 1]
    known = [name for each in declared for name in re.findall(r"(?:^|,)\s*([A-Za-z_]\w*)\s*=", each)]
    if choice.state.parameter not in known:
        raise NetlistError(
            f"expected a parameter {choice.state.parameter!r}, found {', '.join(known) or 'none'}",
            where=f"{file}: module {choice.name}",
            remedy="name one of the module's parameters in device.state",
        )
    return ports


def _modules(bare: str) -> Iterator[tuple[str, tuple[tuple[str, ...], str]]]:
    begun = -1
    for word in re.finditer(r"\b(?:end)?module\b", bare):
        if word.group() == "module":
            begun = word.end()
        elif begun >= 0:
            found = re.match(r"\s+([A-Za-z_]\w*)\s*\(([^)]*)\)(.*)", bare[begun : word.start()], re.DOTALL)
            begun = -1
            if found:
                name, ports, body = found.groups()
                words = (port.split() for port in ports.split(","))
                yield name, (tuple(each[-1] for each in words if each), body)
