"""The table ``[device]`` of a design that names a model file."""

import math
import re
from collections.abc import Mapping
from typing import Any

from ohmweave.devices.file import Included, ModelChoice, StateRange
from ohmweave.errors import DesignError, UnitError
from ohmweave.registry import nearest
from ohmweave.units import parse_quantity

__all__ = ["EXAMPLE", "KEYS", "read_choice", "read_include", "read_quantity", "read_text_key"]

EXAMPLE = 'state = { parameter = "gap", low = 0.2, high = 1.7 }'
KEYS = (
    *("kind", "file", "name", "section", "ports", "state", "include"),
    *("v_read", "v_max", "g_off", "g_on", "levels", "digest"),
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PORT = re.compile(r"[A-Za-z0-9_]+")
_PATH = re.compile(r"[A-Za-z0-9_./+-]+")
_PLAIN_PATH = "name files and folders with letters, digits and . _ + - only"


def read_choice(table: Mapping[str, Any], where: str) -> ModelChoice:
    """Read which model a design means.

    Args:
        table: the table ``[device]``.
        where: the design's file, for messages.

    Raises:
        DesignError: an unknown or a missing key, a value that cannot be.
        UnitError: a voltage without its unit.
    """
    for key in table:
        if key not in KEYS:
            raise DesignError(f"unknown key {key!r}", where=f"{where}: [device]", remedy=nearest(key, KEYS))
    v_read = read_quantity(table, "v_read", "V", where) if "v_read" in table else ModelChoice.v_read
    v_max = read_quantity(table, "v_max", "V", where) if "v_max" in table else ModelChoice.v_max
    if not 0.0 < v_read <= v_max:
        raise DesignError(
            f"expected 0 V < v_read <= v_max, found v_read = {v_read:g} V and v_max = {v_max:g} V",
            where=f"{where}: device",
            remedy='try v_read = "0.1 V" and v_max = "0.6 V"',
        )
    place, remedy = f"{where}: device", "give a section of the library"
    section = read_text_key(table, "section", _NAME, place, remedy) if table.get("section") else ""
    return ModelChoice(
        file=read_text_key(table, "file", None, f"{where}: device", ""),
        name=read_text_key(table, "name", _NAME, f"{where}: device", "give the name of a subcircuit of the file"),
        ports=_ports(table.get("ports"), where),
        state=_state(table.get("state"), where),
        section=section,
        include=read_include(table.get("include", []), f"{where}: device"),
        v_read=v_read,
        v_max=v_max,
    )


def read_quantity(table: Mapping[str, Any], key: str, unit: str, where: str, part: str = "device") -> float:
    """A quantity of the table of a part, in its unit."""
    place = f"{where}: {part}.{key}"
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DesignError(f"expected a quantity in {unit}, found {value!r}", where=place)
    try:
        return parse_quantity(str(value), unit)
    except UnitError as error:
        raise UnitError(error.message, where=place, remedy=error.remedy) from error


def read_text_key(table: Mapping[str, Any], key: str, allowed: re.Pattern[str] | None, where: str, remedy: str) -> str:
    """A plain text of the table.

    Args:
        table: the table.
        key: its key.
        allowed: what the text must be; a plain path if none.
        where: the table's place, for messages.
        remedy: what to tell about another text; about paths, what they may be.

    Raises:
        DesignError: none, or another.
    """
    value = table.get(key)
    if not isinstance(value, str) or not (allowed or _PATH).fullmatch(value):
        found = "none" if value is None else repr(value)
        told = _PLAIN_PATH if allowed is None else remedy
        raise DesignError(f"expected a plain {key}, found {found}", where=f"{where}.{key}", remedy=told)
    return value


def _ports(value: object, where: str) -> tuple[str, str]:
    right = isinstance(value, list) and all(isinstance(port, str) and _PORT.fullmatch(port) for port in value)
    if not right or not isinstance(value, list) or len({port.lower() for port in value}) != 2 or len(value) != 2:
        raise DesignError(
            f"expected the positive and the negative port, found {'none' if value is None else repr(value)}",
            where=f"{where}: device.ports",
            remedy='try ports = ["te", "be"]',
        )
    return value[0], value[1]


def _state(value: object, where: str) -> StateRange:
    place, remedy = f"{where}: device.state", f"write {EXAMPLE}"
    if not isinstance(value, dict) or set(value) != {"parameter", "low", "high"}:
        found = "none" if value is None else repr(value)
        raise DesignError(f"expected a parameter with its low and high, found {found}", where=place, remedy=remedy)
    name, low, high = value["parameter"], value["low"], value["high"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DesignError(f"expected the name of a parameter, found {name!r}", where=place, remedy=remedy)
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (low, high))
    if not numbers or not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise DesignError(
            f"expected finite numbers with low below high, found low = {low!r} and high = {high!r}",
            where=place,
            remedy=f"give them in the model's own unit, without a suffix: {EXAMPLE}",
        )
    return StateRange(name, float(low), float(high))


def read_include(value: object, where: str) -> Included:
    """The further files of a table at a place: path and section of each, which is empty where it is the whole file.

    Raises:
        DesignError: what is no list of plain paths, or of tables with a plain path and a section.
    """
    if not isinstance(value, list) or not all(isinstance(each, dict) or _is_path(each) for each in value):
        raise DesignError(
            f"expected a list of plain paths, or of tables with file and section, found {value!r}",
            where=f"{where}.include",
            remedy=_PLAIN_PATH,
        )
    return tuple((each, "") if isinstance(each, str) else _section_of(each, where) for each in value)


def _section_of(table: Mapping[str, Any], where: str) -> tuple[str, str]:
    section = table.get("section")
    named = isinstance(section, str) and _NAME.fullmatch(section)
    if set(table) != {"file", "section"} or not _is_path(table["file"]) or not named:
        raise DesignError(
            f"expected a file with its section, found {dict(table)!r}",
            where=f"{where}.include",
            remedy='write { file = "models.lib", section = "tt" }',
        )
    return table["file"], table["section"]


def _is_path(value: object) -> bool:
    return isinstance(value, str) and _PATH.fullmatch(value) is not None
