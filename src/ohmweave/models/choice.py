"""The table ``[device]`` of a design that names a model file."""

import math
import re
from collections.abc import Mapping
from typing import Any

from ohmweave.devices.file import ModelChoice, StateRange
from ohmweave.errors import DesignError, UnitError
from ohmweave.registry import nearest
from ohmweave.units import parse_quantity

__all__ = ["EXAMPLE", "KEYS", "read_choice", "read_quantity"]

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
    return ModelChoice(
        file=_text(table, "file", _PATH, where, _PLAIN_PATH),
        name=_text(table, "name", _NAME, where, "give the name of a subcircuit of the file"),
        ports=_ports(table.get("ports"), where),
        state=_state(table.get("state"), where),
        section=_text(table, "section", _NAME, where, "give a section of the library") if table.get("section") else "",
        include=_include(table.get("include", []), where),
        v_read=v_read,
        v_max=v_max,
    )


def read_quantity(table: Mapping[str, Any], key: str, unit: str, where: str) -> float:
    """A quantity of the table, in its unit."""
    place = f"{where}: device.{key}"
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DesignError(f"expected a quantity in {unit}, found {value!r}", where=place)
    try:
        return parse_quantity(str(value), unit)
    except UnitError as error:
        raise UnitError(error.message, where=place, remedy=error.remedy) from error


def _text(table: Mapping[str, Any], key: str, allowed: re.Pattern[str], where: str, remedy: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not allowed.fullmatch(value):
        found = "none" if value is None else repr(value)
        raise DesignError(f"expected a plain {key}, found {found}", where=f"{where}: device.{key}", remedy=remedy)
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


def _include(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(path, str) and _PATH.fullmatch(path) for path in value):
        raise DesignError(
            f"expected a list of plain paths, found {value!r}", where=f"{where}: device.include", remedy=_PLAIN_PATH
        )
    return tuple(value)
