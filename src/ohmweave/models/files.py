"""Model files: scanned, read into memory, and asked for the subcircuit that is the device."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ohmweave.circuit import Library
from ohmweave.devices.file import ModelChoice
from ohmweave.errors import NetlistError
from ohmweave.models.definitions import definitions
from ohmweave.models.reading import name_below, read_text
from ohmweave.models.verilog import load_verilog
from ohmweave.netlist import cards, scan
from ohmweave.registry import nearest

__all__ = ["FOLDER", "Gathered", "Header", "gather", "load_library"]

FOLDER = "device"
_LARGEST = 16 * 2**20
_DEEPEST = 32
# All text that includes and sections may come to, characters; each counts for some even if it is empty.
_MOST, _EACH = 64 * 2**20, 10_000
_OUTSIDE = frozenset({".subckt", ".ends", ".param", ".model", ".func", ".end"})
_FOR_ALL = frozenset({".option", ".options", ".global"})


@dataclass(frozen=True)
class Header:
    """The card that opens a subcircuit, its words in lower case, and whether it stands within another one."""

    place: str
    name: str
    ports: tuple[str, ...]
    params: tuple[str, ...]
    inner: bool


def load_library(choice: ModelChoice, folder: Path) -> Library:
    """Scan and read the files of a model, a SPICE subcircuit or (``.va``) a Verilog-A module; nothing is run.

    Args:
        choice: which model.
        folder: what the paths of the choice are relative to.

    Returns:
        The files with paths below ``device/``, as netlists have them.

    Raises:
        NetlistError: a file that is unsafe, missing, malformed, or without the model as the choice describes it.
    """
    if choice.file.endswith(".va"):
        return load_verilog(choice, folder, FOLDER)
    main = folder / choice.file
    found = gather((*choice.include, (choice.file, choice.section)), main, folder)
    return found.library(FOLDER, _model(choice, list(found.headers), main.name).ports)


@dataclass(frozen=True)
class Gathered:
    """Model files in memory, what a netlist includes of them, and the subcircuits that it then has.

    Args:
        texts: text of each file by its path relative to the model file's folder.
        entries: path and section of each file that the netlist includes itself.
        headers: the cards that open subcircuits.
        shared: (kind and name, text, place) of each definition outside of them.
    """

    texts: Mapping[str, str]
    entries: tuple[tuple[str, str], ...]
    headers: tuple[Header, ...]
    shared: tuple[tuple[str, str, str], ...]

    def library(self, folder: str, ports: tuple[str, ...]) -> Library:
        """The files below a folder of a netlist's, for the subcircuit with these ports."""
        return Library(
            tuple((f"{folder}/{path}", text) for path, text in sorted(self.texts.items())),
            tuple((f"{folder}/{path}", section) for path, section in dict.fromkeys(self.entries)),
            tuple(dict.fromkeys(header.name for header in self.headers)),
            ports,
            self.shared,
        )


def gather(
    entries: Iterable[tuple[str, str]],
    main: Path,
    folder: Path,
    section: Callable[[str, str], str] = lambda named, _: named,
) -> Gathered:
    """Scan and read files, and what they include; nothing is run.

    Args:
        entries: paths relative to ``folder``, in the order of a netlist, each with the section that is named for it,
            if any.
        main: the model's own file, in whose folder or below all others stand.
        folder: what the paths are relative to.
        section: tells from a file's named section and its text which of its sections is taken, none if empty.

    Raises:
        NetlistError: a file that is unsafe, missing, malformed or elsewhere, cards and names that would change the
            whole chip.
    """
    texts: dict[str, str] = {}
    taken = []
    for name, named in entries:
        path = folder / name
        inside = name_below(path, main)
        if inside is None:
            raise NetlistError(
                f"expected a file beside {main.name} or below, found one elsewhere",
                where=name,
                remedy="move it into the model file's folder",
            )
        scan(path, name, read=partial(_read, main, texts))
        taken.append((inside, section(named, texts[inside])))
    headers: list[Header] = []
    shared: list[tuple[str, str, str]] = []
    for place, card, depth in _judged(taken, texts):
        if _kind(card) == ".subckt":
            headers.append(_header(place, card, depth > 0))
        elif not depth:
            shared.extend(definitions(place, card))
    return Gathered(texts, tuple(taken), tuple(headers), tuple(shared))


def _read(main: Path, texts: dict[str, str], path: Path, where: str) -> list[str]:
    """The lines of a file, which the library keeps as they are judged."""
    text = read_text(path, where, _LARGEST)
    texts[name_below(path, main) or path.name] = text
    return text.split("\n")


def _judged(entries: list[tuple[str, str]], texts: dict[str, str]) -> Iterator[tuple[str, str, int]]:
    """Every card that a netlist takes of the files, and how many subcircuits it stands in.

    Outside of subcircuits only definitions are let through.
    """
    depth, taken = 0, Counter[str]()
    for path, section in dict.fromkeys(entries):
        for place, card in _taken(path, section, texts, taken, ()):
            kind = _kind(card)
            if kind in _FOR_ALL:
                raise NetlistError(
                    f"expected definitions only, found {kind!r}, which would change the whole chip",
                    where=place,
                    remedy="remove it",
                )
            if not depth and kind not in _OUTSIDE:
                raise NetlistError(
                    f"expected definitions only, found {card.split()[0]!r} outside of a subcircuit",
                    where=place,
                    remedy="move it into the model's .subckt or remove it",
                )
            yield place, card, depth
            depth += (kind == ".subckt") - (kind == ".ends")


def _taken(
    path: str, section: str, texts: dict[str, str], taken: Counter[str], above: tuple[tuple[str, str], ...]
) -> Iterator[tuple[str, str]]:
    """The cards of a file, or of a section of it, includes followed."""
    if (path, section) in above or len(above) > _DEEPEST:
        raise NetlistError(
            f"expected includes that come to an end, found section {section!r} within itself",
            where=path,
            remedy="remove the include",
        )
    taken[path] += len(texts[path]) + _EACH
    if taken.total() > _MOST:
        raise NetlistError(
            f"expected includes of at most {_MOST} characters in all, found more",
            where=path,
            remedy="include each file and section once",
        )
    for place, card in _whole_cells(_own(path, section, texts)):
        words = card.split()
        if words[0].lower() not in {".include", ".inc", ".incl", ".lib"}:
            yield place, card
            continue
        target = _target(path, words[1])
        if target not in texts:
            raise NetlistError(
                f"expected an include of a file beside the model or below, found {words[1]!r}",
                where=place,
                remedy="write its path relative to the file that includes it",
            )
        yield from _taken(target, words[2] if len(words) > 2 else "", texts, taken, (*above, (path, section)))


def _own(path: str, section: str, texts: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The cards of a file, or of a section of it, with their places."""
    open_section, found = "", not section
    for number, card in cards(texts[path].split("\n"), path, comments=False):
        words = card.split()
        kind = words[0].lower()
        if kind == ".lib" and len(words) == 2 and _target(path, words[1]) not in texts:
            if not section:
                raise NetlistError(
                    "expected one section of the library, found none named",
                    where=f"{path}:{number}",
                    remedy=f"name a section: {', '.join(dict.fromkeys(_sections(texts[path])))}",
                )
            open_section = words[1].lower()
            found = found or open_section == section.lower()
        elif kind == ".endl":
            open_section = ""
        elif not section or open_section == section.lower():
            yield f"{path}:{number}", card
    if not found:
        raise _no_section(path, section, texts[path])


def _whole_cells(own: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The same cards, once every subcircuit ends in the file and the section that it begins in."""
    begun: list[str] = []
    for place, card in own:
        kind = _kind(card)
        if kind == ".ends" and not begun:
            raise NetlistError("expected a .subckt before every .ends, found none", where=place, remedy="remove it")
        if kind == ".subckt":
            begun.append(place)
        elif kind == ".ends":
            begun.pop()
        yield place, card
    if begun:
        raise NetlistError("expected .ends after every .subckt, found none", where=begun[-1], remedy="add it")


def _no_section(path: str, section: str, text: str) -> NetlistError:
    sections = _sections(text)
    return NetlistError(
        f"expected the section {section!r}, found none of that name",
        where=path,
        remedy=nearest(section, sections) if sections else "leave out section: the file has none",
    )


def _sections(text: str) -> list[str]:
    return re.findall(r"^\s*\.lib\s+([A-Za-z]\w*)\s*$", text, re.IGNORECASE | re.MULTILINE)


def _target(path: str, word: str) -> str:
    """The path of an included file, as the library has it."""
    parts: list[str] = []
    for part in (*path.split("/")[:-1], *word.strip("'\"").split("/")):
        if part == "..":
            parts = parts[:-1]
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def _kind(card: str) -> str:
    return card.split(maxsplit=1)[0].lower()


def _header(place: str, card: str, inner: bool) -> Header:
    words = re.sub(r"\s*=\s*", "=", card.lower()).replace("params:", " ").split()
    ports = [word for word in words[2:] if "=" not in word]
    return Header(
        place,
        words[1] if len(words) > 1 else "",
        tuple(ports),
        tuple(word.split("=")[0] for word in words[2:] if "=" in word),
        inner,
    )


def _model(choice: ModelChoice, headers: list[Header], file: str) -> Header:
    """The header of the device's subcircuit, once it is as the design says."""
    headers = [header for header in headers if not header.inner]
    mine = [header for header in headers if header.name == choice.name.lower()]
    if len(mine) != 1:
        known = sorted({header.name for header in headers})
        raise NetlistError(
            f"expected one .subckt {choice.name}, found {len(mine)} of that name",
            where=file,
            remedy="remove all but one" if mine else nearest(choice.name, known) if known else "check device.name",
        )
    (model,) = mine
    if len(model.ports) != 2 or set(model.ports) != {port.lower() for port in choice.ports}:
        raise NetlistError(
            f"expected the two ports {', '.join(choice.ports)}, found {', '.join(model.ports) or 'none'}",
            where=model.place,
            remedy="name the ports of the .subckt line in device.ports; only two-terminal devices can be used",
        )
    if choice.state.parameter.lower() not in model.params:
        raise NetlistError(
            f"expected a parameter {choice.state.parameter!r} with its default on the .subckt line, found "
            f"{', '.join(model.params) or 'none'}",
            where=model.place,
            remedy="name one of the subcircuit's parameters in device.state",
        )
    return model
