"""Registries of strategies: what ohmweave brings, and what users' packages add by entry points."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

__all__ = ["merge", "nearest"]


_Strategy = TypeVar("_Strategy", bound=Callable[..., Any])


def merge(group: str, builtin: Mapping[str, _Strategy]) -> dict[str, _Strategy]:
    """The built-in strategies together with those of the entry-point ``group``.

    A user's package adds one by ``[project.entry-points."ohmweave.devices"]``; a built-in name wins
    over an entry point of the same name, so that no package can change what a design means.
    """
    found = {entry.name: entry.load() for entry in _installed(group) if entry.name not in builtin}
    return {**found, **builtin}


@cache
def _installed(group: str) -> tuple[EntryPoint, ...]:
    # Reading the metadata of every installed package takes tenths of a second; they do not change under us.
    return tuple(entry_points(group=group))


def nearest(name: str, known: Iterable[str]) -> str:
    """What to tell a user who wrote an unknown name: the nearest known one, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"
