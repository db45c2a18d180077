"""What names a chip whose results are kept: its choices, as far as they are not the usual ones.

A name over a whole design would make every kept result stale with each choice that designs learn to have. Here a value
counts where it differs from what the study knows as usual, the defaults as they were when it was measured
(``study_defaults.json``); one of a class or a field that is not known there, where it differs from its own default. So
a new field leaves names as they are, and a default that has changed since does not.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["DEFAULTS", "described", "known", "usual"]

DEFAULTS = Path(__file__).with_name("study_defaults.json")

Usual = Mapping[str, Mapping[str, Any]]


def described(value: object, usual: Usual) -> Any:
    """A choice in words that JSON has: of a dataclass its name, and every field whose value is not the usual one.

    Args:
        value: a design, a part of one or a plain value.
        usual: field -> description of its usual value, by the name of each class.
    """
    if isinstance(value, tuple):
        return [described(each, usual) for each in value]
    if not dataclasses.is_dataclass(value):
        return repr(value)
    name, known_here = type(value).__name__, usual.get(type(value).__name__, {})
    said = {}
    for item in dataclasses.fields(value):
        found = described(getattr(value, item.name), usual)
        if found != (known_here[item.name] if item.name in known_here else _own_default(item, usual)):
            said[item.name] = found
    return {"is": name, **said}


def usual(*choices: object) -> dict[str, dict[str, Any]]:
    """The defaults of today, for ``study_defaults.json``, of the classes of some choices and of all that is in them.

    Args:
        choices: designs or parts of them.
    """
    kinds = {type(each).__name__: each for choice in choices for each in _parts(choice)}
    found: dict[str, dict[str, Any]] = {}
    for name, choice in sorted(kinds.items()):
        assert dataclasses.is_dataclass(choice)
        fields = {item.name: _own_default(item, {}) for item in dataclasses.fields(choice)}
        found[name] = {key: value for key, value in fields.items() if value is not None}
    return found


@cache
def known() -> Usual:
    """What the study knows as usual."""
    found: Usual = json.loads(DEFAULTS.read_text(encoding="utf-8"))
    return found


def _own_default(item: "dataclasses.Field[Any]", usual: Usual) -> Any:
    """What a field is by itself, described; ``None`` where it has to be told."""
    if item.default is not dataclasses.MISSING:
        return described(item.default, usual)
    return None if item.default_factory is dataclasses.MISSING else described(item.default_factory(), usual)


def _parts(choice: object) -> Iterator[object]:
    if isinstance(choice, tuple):
        for each in choice:
            yield from _parts(each)
    elif dataclasses.is_dataclass(choice):
        yield choice
        for item in dataclasses.fields(choice):
            yield from _parts(getattr(choice, item.name))
