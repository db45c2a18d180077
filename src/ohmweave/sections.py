"""The sections of a design file: tables of TOML to the parts of a chip, and back."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from ohmweave.blocks import (
    Clocking,
    Driver,
    activations,
    feedbacks,
    maxima,
    multipliers,
    neurons,
    opamps,
    row_drivers,
)
from ohmweave.blocks.axon_hillock import AxonHillock
from ohmweave.blocks.file_opamp import FileOpAmp
from ohmweave.choices import ArrayChoice, CouplingChoice, SignalChoice, SpikingChoice
from ohmweave.devices import devices
from ohmweave.devices.file import FileDevice
from ohmweave.effects import effects
from ohmweave.encoders import encoders
from ohmweave.errors import DesignError, UnitError
from ohmweave.models import load_device, load_opamp
from ohmweave.registry import nearest
from ohmweave.schemes import schemes
from ohmweave.units import format_quantity, parse_quantity

__all__ = ["EFFECTS", "read_sections", "write_section"]

EFFECTS = "effects"
# Parts that may stand in the user's own files.
_LOADED: Mapping[str, Callable[[Mapping[str, Any], Path, str], object]] = {"device": load_device, "opamp": load_opamp}
_PLAIN: Mapping[str, type[Any]] = {
    "array": ArrayChoice,
    "driver": Driver,
    "signal": SignalChoice,
    "coupling": CouplingChoice,
    "clock": Clocking,
    "spiking": SpikingChoice,
}


def _kinds() -> dict[str, dict[str, type[Any]]]:
    parts = {"device": devices(), "scheme": schemes(), "opamp": opamps(), EFFECTS: effects()}
    parts |= {"neuron": neurons(), "synapse": row_drivers(), "encoding": encoders()}
    return {**parts, "feedback": feedbacks(), "multiplier": multipliers(), "maximum": maxima(), **activations()}


def write_section(section: str, choice: Any) -> list[str]:
    """The lines of a section, with every choice.

    Raises:
        DesignError: a part of a kind that has no name.
    """
    if isinstance(choice, FileDevice | FileOpAmp):
        return choice.toml()
    kind = [f'kind = "{_kind_of(section, choice)}"'] if section in _kinds() and section not in _PLAIN else []
    hints = get_type_hints(type(choice), include_extras=True)
    fields = [f"{f.name} = {_write_value(getattr(choice, f.name), hints[f.name])}" for f in dataclasses.fields(choice)]
    return [*kind, *fields, ""]


def _kind_of(section: str, choice: object) -> str:
    for name, kind in _kinds()[section].items():
        if kind is type(choice):
            return name
    raise DesignError(
        f"{type(choice).__name__} has no name, so the design cannot be written",
        where=section,
        remedy="register it by an entry point, see CONTRIBUTING",
    )


def read_sections(table: Mapping[str, Any], base: Any, where: str, folder: Path) -> dict[str, Any]:
    """What the tables of a design file say, by the design's fields.

    Args:
        table: of the whole file.
        base: the design, a dataclass, that has what sections of the same kind leave out.
        where: the file, for messages.
        folder: that paths are relative to.

    Raises:
        DesignError: an unknown key or kind, an impossible value.
        UnitError: a quantity without its unit.
        NetlistError: a model file that is unsafe or malformed.
    """
    known = {item.name for item in dataclasses.fields(base)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise DesignError(f"unknown key {key!r}", where=where, remedy=nearest(key, known))
        if key == "seed":
            values[key] = _read_value(value, int, where, key)
        elif key == EFFECTS:
            values[key] = _read_effects(value, where)
        elif key in _LOADED and isinstance(value, dict) and ("file" in value or value.get("kind") == "file"):
            values[key] = _LOADED[key](value, folder, where)
        else:
            values[key] = _read_section(key, value, where, getattr(base, key))
    return values


def _read_effects(tables: object, where: str) -> tuple[Any, ...]:
    if not isinstance(tables, list):
        raise DesignError(
            f"expected tables [[{EFFECTS}]], found {tables!r}", where=where, remedy=f"write [[{EFFECTS}]]"
        )
    return tuple(_read_section(EFFECTS, table, f"{where}, effect {number}") for number, table in enumerate(tables, 1))


def _read_section(section: str, table: object, where: str, base: Any = None) -> object:
    """A part of a chip: ``base`` with what the table says, where both are of one kind."""
    if not isinstance(table, dict):
        raise DesignError(f"expected a table [{section}], found {table!r}", where=where, remedy=f"write [{section}]")
    settings = dict(table)
    chosen = _PLAIN.get(section) or _read_kind(section, settings, where, type(base))
    hints = get_type_hints(chosen, include_extras=True)
    known = {item.name for item in dataclasses.fields(chosen)}
    for key in settings:
        if key not in known:
            allowed = known | (set() if section in _PLAIN else {"kind"})
            raise DesignError(f"unknown key {key!r}", where=f"{where}: [{section}]", remedy=nearest(key, allowed))
    values = {key: _read_value(value, hints[key], where, f"{section}.{key}") for key, value in settings.items()}
    try:
        return replace(base, **values) if type(base) is chosen else chosen(**values)
    except DesignError as error:
        raise DesignError(error.message, where=f"{where}: {error.where}", remedy=error.remedy) from error


def _read_kind(section: str, settings: dict[str, Any], where: str, default: type[Any]) -> type[Any]:
    """The strategy that a section's ``kind`` names, which is taken out of its settings."""
    kinds = _kinds()[section]
    kind = settings.pop("kind", next((name for name in kinds if kinds[name] is default), None))
    if kind is None:
        raise DesignError(
            "expected a kind, found none", where=f"{where}: {section}", remedy=f"known are {', '.join(sorted(kinds))}"
        )
    if section == "neuron" and kind == AxonHillock.kind and kind not in kinds:
        raise DesignError(
            f"expected a neuron that spikes by its chip's clock, found {kind!r}, which spikes when it likes",
            where=f"{where}: {section}.kind",
            remedy=f"known are {', '.join(sorted(kinds))}",
        )
    if not isinstance(kind, str) or kind not in kinds:
        remedy = nearest(str(kind), kinds)
        raise DesignError(f"unknown kind {kind!r}", where=f"{where}: {section}.kind", remedy=remedy)
    return kinds[kind]


def _read_value(value: object, hint: Any, where: str, key: str) -> Any:
    place = f"{where}: {key}"
    if get_origin(hint) is Annotated:
        kind, unit = get_args(hint)
        if get_origin(kind) is tuple:
            if not isinstance(value, list):
                raise DesignError(f"expected a list of quantities in {unit.symbol}, found {value!r}", where=place)
            single = Annotated[float, unit]
            return tuple(_read_value(item, single, where, f"{key}[{k}]") for k, item in enumerate(value))
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise DesignError(f"expected a quantity in {unit.symbol}, found {value!r}", where=place)
        try:
            return parse_quantity(str(value), unit.symbol)
        except UnitError as error:
            raise UnitError(error.message, where=place, remedy=error.remedy) from error
    if hint is bool and isinstance(value, bool):
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is str and isinstance(value, str):
        return value
    raise DesignError(f"expected {_WORDS.get(hint, 'a text')}, found {value!r}", where=place, remedy="mend the value")


_WORDS = {int: "a whole number", float: "a finite number"}


def _write_value(value: Any, hint: Any) -> str:
    if get_origin(hint) is Annotated:
        symbol = get_args(hint)[1].symbol
        if isinstance(value, tuple):
            return f"[{', '.join(json.dumps(format_quantity(item, symbol)) for item in value)}]"
        return f'"{format_quantity(value, symbol)}"'
    # A TOML basic string, and TOML's words for booleans, are JSON's.
    return json.dumps(value) if isinstance(value, str | bool) else repr(value)
