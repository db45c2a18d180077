"""From the table ``[opamp]`` of a design that names a subcircuit to the op-amp."""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ohmweave.blocks.figures import OpAmpFigures, circuit_digest
from ohmweave.blocks.file_opamp import FileOpAmp, OpAmpChoice, opamp_circuit
from ohmweave.circuit import Library
from ohmweave.errors import DesignError, NetlistError, OhmweaveError, UnitError
from ohmweave.models.choice import read_include, read_quantity, read_text_key
from ohmweave.models.files import Header, gather
from ohmweave.models.reading import name_below
from ohmweave.registry import nearest
from ohmweave.units import format_quantity, parse_quantity

__all__ = [
    "OPAMP_FOLDER", "load_opamp", "load_opamp_library", "opamp_path", "read_opamp_choice", "write_opamp",
]  # fmt: skip

OPAMP_FOLDER = "opamp"
_KEYS = ("kind", "file", "name", "section", "ports", "supplies", "bias", "include", "offset_spread", "digest")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PORT = re.compile(r"[A-Za-z0-9_]+")
# Figures that an op-amp need not have: it may never fall to a gain of 1, or not follow a step.
_MAY_BE_NONE = frozenset({"gbw", "phase_margin", "slew_down", "slew_up"})
_SUPPLIES = 'write supplies = { vdd = "0.55 V", vss = "-0.55 V" }'


def read_opamp_choice(table: Mapping[str, Any], where: str) -> OpAmpChoice:
    """Read which subcircuit a design means.

    Args:
        table: the table ``[opamp]``.
        where: the design's file, for messages.

    Raises:
        DesignError: an unknown or a missing key, a value that cannot be.
        UnitError: a voltage or a current without its unit.
    """
    for key in table:
        if key not in _KEYS:
            raise DesignError(f"unknown key {key!r}", where=f"{where}: [opamp]", remedy=nearest(key, _KEYS))
    supplies = _supplies(table, where)
    ports = _signals(table.get("ports"), where)
    bias = _ports_with(table.get("bias", {}), "A", f"{where}: opamp.bias", 'write bias = { ib = "5 uA" }')
    named = [port.lower() for port in (*ports, *(port for port, _ in (*supplies, *bias)))]
    if len(set(named)) != len(named):
        raise DesignError(
            f"expected every port once, found {', '.join(named)}",
            where=f"{where}: opamp",
            remedy="name each port in one of ports, supplies and bias",
        )
    place = f"{where}: opamp"
    section = read_text_key(table, "section", _NAME, place, "give a section") if table.get("section") else ""
    return OpAmpChoice(
        file=read_text_key(table, "file", None, place, ""),
        name=read_text_key(table, "name", _NAME, place, "give the name of a subcircuit of the file"),
        ports=ports,
        supplies=supplies,
        bias=bias,
        section=section,
        include=read_include(table.get("include", []), place),
    )


def load_opamp_library(choice: OpAmpChoice, folder: Path) -> Library:
    """Scan and read the files of an op-amp; nothing is run.

    Args:
        choice: which subcircuit.
        folder: what the paths of the choice are relative to.

    Returns:
        The files with paths below ``opamp/``, as netlists have them.

    Raises:
        NetlistError: a file that is unsafe, missing, malformed, or without the subcircuit as the choice describes it.
    """

    def section(named: str, text: str) -> str:
        sectioned = re.search(r"^\s*\.lib\s+[A-Za-z]\w*\s*$", text, re.IGNORECASE | re.MULTILINE)
        return named or (choice.section if sectioned else "")

    found = gather((*choice.include, (choice.file, "")), folder / choice.file, folder, section)
    if choice.section and not any(each for _, each in found.entries):
        raise NetlistError(
            f"expected the section {choice.section!r}, found no file with sections",
            where=choice.file,
            remedy="leave out section, or name the library that has it in include",
        )
    return found.library(OPAMP_FOLDER, _subcircuit(choice, found.headers).ports)


def load_opamp(table: Mapping[str, Any], folder: Path, where: str) -> FileOpAmp:
    """Read an op-amp's files and figures.

    Args:
        table: the table ``[opamp]``.
        folder: that the design's paths are relative to.
        where: the design's file, for messages.

    Returns:
        The op-amp; its paths are those that it has beside a build's design.

    Raises:
        DesignError: a table that cannot be, figures that are missing or stale.
        NetlistError: a file that is unsafe, missing or malformed.
    """
    choice = read_opamp_choice(table, where)
    try:
        spread = read_quantity(table, "offset_spread", "V", where, "opamp") if "offset_spread" in table else 0.0
        library = load_opamp_library(choice, folder)
        path, remedy = opamp_path(choice, folder), f"run ohmweave characterize {where}"
        if not path.is_file():
            raise DesignError(
                f"expected the figures of {choice.name} beside its file, found none", where=path.name, remedy=remedy
            )
        figures = OpAmpFigures.load(path)
        _require_fresh(choice, library, figures, path.name, remedy)
        opamp = FileOpAmp(_moved(choice, folder), figures, library, spread)
    except OhmweaveError as error:
        place = f"{where}: {error.where}" if not error.where.startswith(where) else error.where
        raise type(error)(error.message, where=place, remedy=error.remedy) from error
    if table.get("digest", opamp.digest) != opamp.digest:
        raise DesignError(
            "expected the figures that this design was written with, found others",
            where=f"{where}: opamp.digest",
            remedy="compile again, or remove the line",
        )
    return opamp


def opamp_path(choice: OpAmpChoice, folder: Path) -> Path:
    """Where the figures of an op-amp stand: beside its file."""
    return (folder / choice.file).with_name(f"{choice.name}.characterized.json")


def write_opamp(opamp: FileOpAmp, folder: Path) -> None:
    """Write an op-amp's files and figures to where its own paths say, relative to ``folder``.

    Raises:
        OSError: a place that cannot be written.
    """
    for path, text in opamp.library.files:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="latin-1", newline="\n")
    opamp.figures.save(opamp_path(opamp.choice, folder))


def _require_fresh(choice: OpAmpChoice, library: Library, figures: OpAmpFigures, where: str, remedy: str) -> None:
    plain, held = (opamp_circuit(choice, library, name, low) for name, low in (("opamp", None), ("opamp_held", 0.0)))
    if figures.circuit != circuit_digest(plain, held):
        raise DesignError(
            f"expected the figures of {choice.name} as it is now, found those of other files or choices",
            where=where,
            remedy=remedy,
        )
    numbers = (value for name, value, _ in figures.rows() if name not in _MAY_BE_NONE)
    if not all(math.isfinite(value) for value in numbers) or not figures.v_low < 0.0 < figures.v_high:
        raise DesignError("expected finite figures, and a swing around 0 V", where=where, remedy=remedy)


def _supplies(table: Mapping[str, Any], where: str) -> tuple[tuple[str, float], tuple[str, float]]:
    """The two supply ports with their voltages, one below ground and one above."""
    supplies = _ports_with(table.get("supplies", {}), "V", f"{where}: opamp.supplies", _SUPPLIES)
    if len(supplies) != 2 or supplies[0][1] == supplies[1][1]:
        raise DesignError(
            f"expected two supply ports at different voltages, found {table.get('supplies') or 'none'}",
            where=f"{where}: opamp.supplies",
            remedy=_SUPPLIES,
        )
    (one, v_one), (two, v_two) = supplies
    if not min(v_one, v_two) < 0.0 < max(v_one, v_two):
        raise DesignError(
            "expected one supply below 0 V and one above, found "
            f"{one} = {format_quantity(v_one, 'V')} and {two} = {format_quantity(v_two, 'V')}",
            where=f"{where}: opamp.supplies",
            remedy="signals lie around ground: write vdd = 0.55 V, vss = -0.55 V",
        )
    return supplies[0], supplies[1]


def _signals(value: object, where: str) -> tuple[str, str, str]:
    right = isinstance(value, list) and all(isinstance(port, str) and _PORT.fullmatch(port) for port in value)
    if not right or not isinstance(value, list) or len(value) != 3:
        found = "none" if value is None else repr(value)
        raise DesignError(
            f"expected the positive and the negative input and the output, found {found}",
            where=f"{where}: opamp.ports",
            remedy='try ports = ["inp", "inn", "out"]',
        )
    return value[0], value[1], value[2]


def _ports_with(value: object, unit: str, where: str, remedy: str) -> tuple[tuple[str, float], ...]:
    """Ports with a quantity each."""
    if not isinstance(value, dict) or not all(_PORT.fullmatch(str(port)) for port in value):
        raise DesignError(f"expected ports with a value each, found {value!r}", where=where, remedy=remedy)
    try:
        return tuple((port, parse_quantity(str(each), unit)) for port, each in value.items())
    except UnitError as error:
        raise UnitError(error.message, where=where, remedy=error.remedy) from error


def _subcircuit(choice: OpAmpChoice, headers: tuple[Header, ...]) -> Header:
    """The header of the op-amp's subcircuit, once it is as the design says."""
    headers = tuple(header for header in headers if not header.inner)
    mine = [header for header in headers if header.name == choice.name.lower()]
    if len(mine) != 1:
        known = sorted({header.name for header in headers})
        raise NetlistError(
            f"expected one .subckt {choice.name}, found {len(mine)} of that name",
            where=choice.file,
            remedy="remove all but one" if mine else nearest(choice.name, known) if known else "check opamp.name",
        )
    (found,) = mine
    named = [*choice.ports, *(port for port, _ in (*choice.supplies, *choice.bias))]
    if sorted(found.ports) != sorted(port.lower() for port in named):
        raise NetlistError(
            f"expected the ports {', '.join(named)}, found {', '.join(found.ports) or 'none'}",
            where=found.place,
            remedy="name every port of the .subckt line in one of opamp.ports, opamp.supplies and opamp.bias",
        )
    return found


def _moved(choice: OpAmpChoice, folder: Path) -> OpAmpChoice:
    """The choice with its paths as the library has them."""
    main = folder / choice.file
    entries = (choice.file, ""), *choice.include
    (file, _), *include = ((f"{OPAMP_FOLDER}/{name_below(folder / name, main)}", section) for name, section in entries)
    return replace(choice, file=file, include=tuple(include))
