"""The gate for SPICE files that someone else may have written.

SPICE programs run code: control blocks, shell escapes, compiled models, comments that begin with a
star and a hash. So a file is judged by what is allowed, card by card, before any simulator sees it.
"""

import re
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from ohmweave.errors import NetlistError

__all__ = ["cards", "scan", "without_comment"]

_ELEMENTS = frozenset("rclviegfhbdxqms")
# These begin like an element, so they are refused by name.
# The second line is Spectre's own language, which may begin in the midst of SPICE's.
_COMMANDS = frozenset({
    "shell", "system", "source", "codemodel", "exec", "edit", "set", "load", "echo",
    "simulator", "include", "library", "ahdl_include", "ends", "subckt", "inline",
})  # fmt: skip
_WORD = re.compile(r"[^\s\"'(=]*")
_SHELL = re.compile(r"[^\s(]+(?:\s+|\s*\([^)]*\)\s*)shell(?![\w.])", re.IGNORECASE)
_PLAIN = frozenset({".subckt", ".ends", ".param", ".func", ".ic", ".nodeset", ".endl", ".global", ".end"})
_MODELS = frozenset({"r", "c", "l", "d", "npn", "pnp", "nmos", "pmos", "vdmos", "njf", "pjf", "sw", "csw"})
_OPTIONS = frozenset(
    {"abstol", "chgtol", "gmin", "itl1", "itl2", "itl4", "klu", "reltol", "sparse", "temp", "tnom", "vntol"}
)
_INCLUDES = frozenset({".include", ".inc", ".incl"})
_PATH = re.compile(r"[A-Za-z0-9_./+-]+")
_UNSAFE = re.compile(r"[^ -~\t]|[`\\]")
_INPUT_FILE = re.compile(r"\bfile\s*=|\bexternal\b|\bfilesource\b|\blang\s*=", re.IGNORECASE)
# ``; so``, `` $ so`` and, where it cannot be of a path, `` // so``.
_ENDING = re.compile(r";|(?<=[\s,])\$|\s//")
_LONGEST_LINE = 20_000
_LONGEST_CARD = 2_000_000
_LARGEST_FILE = 1 << 30
_DEEPEST = 8
# A dollar first on a line, as HSPICE has it, is a star to ngspice.
_COMMENTS = "*$"
_REMEDY = "remove it: a circuit file may hold circuit only, analyses are ohmweave's own"


_Read = Callable[[Path, str], Iterable[str]]
_Judge = Callable[[Path, str], list[tuple[str, str, bool]]]


def scan(
    source: Path | str, where: str = "", *, modules: tuple[str, ...] = (), read: _Read | None = None
) -> tuple[Path, ...]:
    """Judge a SPICE file, and recursively what it includes, by an allow-list of cards.

    Args:
        source: a file, or text itself (which then cannot include anything).
        where: what to call it in messages; the file's name when empty.
        modules: compiled models that the simulator will have loaded, the only ones that may be named.
        read: gives the lines of a file, whose place in messages it is told too; line by line from the disk if none.

    Returns:
        The files read, the first one first; all lie in its folder or below.

    Raises:
        NetlistError: a card, model, option or character that is not allowed, an include that leaves the
            folder, a file that includes itself, a file that cannot be read; says file and line.
    """
    if isinstance(source, str):
        _judge(source.split("\n"), where or "text", modules, inside_folder=False)
        return ()
    files: list[Path] = []
    _scan_file(
        source, where or source.name, source.resolve().parent, files, (), partial(_judge_file, modules, read or _lines)
    )
    return tuple(files)


def _scan_file(path: Path, where: str, root: Path, files: list[Path], above: tuple[Path, ...], judge: _Judge) -> None:
    resolved = path.resolve()
    if not resolved.is_relative_to(root):
        raise NetlistError(
            "expected a file inside the netlist's folder, found one outside", where=where, remedy=_REMEDY
        )
    if resolved in above:
        raise NetlistError(
            "expected includes that come to an end, found a file that includes itself",
            where=where,
            remedy="remove the include",
        )
    if resolved in (file.resolve() for file in files):
        return
    if len(above) > _DEEPEST:
        raise NetlistError(f"expected at most {_DEEPEST} levels of includes", where=where, remedy="flatten the files")
    files.append(path)
    for place, target, by_section in judge(path, where):
        # A library may take one of its own sections from another.
        if not (by_section and (path.parent / target).resolve() in (*above, resolved)):
            _scan_file(path.parent / target, f"{place}: {target}", root, files, (*above, resolved), judge)


def _judge_file(modules: tuple[str, ...], read: _Read, path: Path, where: str) -> list[tuple[str, str, bool]]:
    try:
        return _judge(read(path, where), where, modules, inside_folder=True)
    except OSError as error:
        raise NetlistError(f"cannot be read: {error.strerror}", where=where, remedy="check the path") from error


def _lines(path: Path, where: str) -> Iterator[str]:
    """The lines of a file, each as far as it may be long."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise NetlistError(
            "expected a plain file, found a device, a pipe or a folder", where=where, remedy="check the path"
        )
    if status.st_size > _LARGEST_FILE:
        raise NetlistError(
            f"expected at most {_LARGEST_FILE} bytes, found {status.st_size}", where=where, remedy="split it"
        )
    with path.open(encoding="latin-1", newline="\n") as lines:
        # A longer piece than a line may be is refused, so what follows it is never taken for a line of its own.
        yield from iter(lambda: lines.readline(_LONGEST_LINE + 1), "")


def _judge(
    lines: Iterable[str], where: str, modules: tuple[str, ...], *, inside_folder: bool
) -> list[tuple[str, str, bool]]:
    """Judge every card; return the place and path of each include, and whether it takes but a section."""
    included = []
    for number, card in cards(lines, where):
        place = f"{where}:{number}"
        if card[0] != ".":
            _check_element(card, place, modules)
            continue
        target = _directive(card, place, modules)
        if target is None:
            continue
        if not inside_folder:
            raise _refuse(card.split(maxsplit=1)[0], place)
        included.append((place, target, card[:4].lower() == ".lib"))
    return included


def _check_element(card: str, place: str, modules: tuple[str, ...]) -> None:
    name = card.split(maxsplit=1)[0]
    word = _WORD.match(name)
    known = card[0].lower() in _ELEMENTS or (modules and card[0] in "nN")
    if not known or word is None or word.group().lower() in _COMMANDS:
        raise _refuse(name, place)
    lower = card.lower()
    # Nearly all of a large file is plain elements; only these three can carry a file's name or a command.
    if "=" in lower or "ext" in lower:
        _check_input(card, place)
    if "shell" in lower and _SHELL.match(card):
        raise _refuse("shell", place)


def without_comment(line: str) -> str:
    """A line up to the comment at its end, for what it means; whether it is safe is asked of the whole."""
    return _ENDING.split(line, maxsplit=1)[0]


def cards(lines: Iterable[str], where: str, *, comments: bool = True) -> Iterator[tuple[int, str]]:
    """The cards of a file, each with the number of its first line.

    Continued lines are joined, comments on their own lines and blank lines dropped.

    Args:
        lines: of the file.
        where: what to call it in messages.
        comments: whether comments at the ends of lines stay.

    Raises:
        NetlistError: what no card may contain, a continuation of nothing, a line that is too long.
    """
    begun, parts, length = 0, [""], 0
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r\n").strip(" \t")
        if len(raw) > _LONGEST_LINE or length > _LONGEST_CARD:
            raise NetlistError(
                f"expected lines of at most {_LONGEST_LINE} characters", where=f"{where}:{number}", remedy="wrap it"
            )
        _check_line(line, where, number)
        if not line or line[0] in _COMMENTS:
            continue
        if not comments:
            line = without_comment(line).rstrip(" \t")
        if line[0] == "+":
            if not begun:
                raise _refuse("+", f"{where}:{number}")
            parts.append(line[1:])
            length += len(line)
            continue
        if begun:
            yield begun, " ".join(parts)
        begun, parts, length = number, [line], len(line)
    if begun:
        yield begun, " ".join(parts)


def _check_line(line: str, where: str, number: int) -> None:
    unsafe = _UNSAFE.search(line)
    if unsafe:
        raise _refuse(unsafe.group(), f"{where}:{number}")
    if line and line[0] in _COMMENTS and (line[1:2] == "#" or line[1:4].lower() == "ng_"):
        raise _refuse(line[:10], f"{where}:{number}")


def _directive(card: str, place: str, modules: tuple[str, ...]) -> str | None:
    """Judge a card that begins with a dot; return the path that it includes, if any."""
    words = card.split()
    kind = words[0].lower()
    _check_input(card, place)
    if kind in _PLAIN:
        return None
    if kind == ".model":
        family = re.split(r"[\s(]+", words[2].lower())[0] if len(words) > 2 else ""
        if family not in _MODELS and family not in (module.lower() for module in modules):
            raise _refuse(f".model of kind {family!r}", place)
        return None
    if kind in {".option", ".options"}:
        keys = re.findall(r"([a-z_][a-z0-9_]*)(?:\s*=\s*\S+)?", " ".join(words[1:]).lower())
        for key in keys:
            if key not in _OPTIONS:
                raise _refuse(f"option {key!r}", place)
        return None
    if kind == ".lib" and len(words) == 2 and re.fullmatch(r"[A-Za-z]\w*", words[1]):
        return None
    if kind in _INCLUDES or kind == ".lib":
        target = words[1].strip("'\"") if len(words) > 1 else ""
        if not _PATH.fullmatch(target):
            raise _refuse(f"include of {target!r}", place)
        return target
    raise _refuse(words[0], place)


def _check_input(card: str, place: str) -> None:
    found = _INPUT_FILE.search(card)
    if found:
        raise _refuse(found.group(), place)


def _refuse(what: str, place: str) -> NetlistError:
    return NetlistError(f"expected circuit cards only, found {what!r}", where=place, remedy=_REMEDY)
