"""Model files for DC analyses: what keeps a state stands where it was programmed.

A memristor's state is often the voltage of a capacitor with an initial value, its own or its net's (``.ic``). A
transient analysis begins there; a DC analysis knows no capacitors and lets the state run to where it would rest for
ever. So a copy of the file gets a voltage source of that value beside it: the currents are those of a read so short
that nothing moves.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ohmweave.netlist.scan import without_comment

__all__ = ["held"]

_VALUE = r"\s*=\s*([-+]?\{[^}]*\}|'[^']*'|\S+)"
_ON_CAPACITOR = re.compile(rf"\bic{_VALUE}", re.IGNORECASE)
_ON_NET = re.compile(rf"\bv\s*\(\s*([\w.]+)\s*\){_VALUE}", re.IGNORECASE)


@dataclass(frozen=True)
class _State:
    """An initial voltage: where it stands, between which nets of which subcircuit."""

    line: int
    scope: tuple[str, ...]
    name: str
    nets: tuple[str, str]
    value: str


def held(text: str, model: str, ports: tuple[str, ...]) -> str:
    """A SPICE file with its states held at their initial values.

    Args:
        text: the file.
        model: the subcircuit that is the device.
        ports: its ports; a voltage there is no state.

    Returns:
        The same lines, and a source before each capacitor with ``ic=`` and each ``.ic`` card.
    """
    lines, skipped = text.split("\n"), {port.lower() for port in ports}
    sources: dict[int, list[str]] = {}
    done: set[tuple[tuple[str, ...], frozenset[str]]] = set()
    # A capacitor's own value goes before that of its net.
    for state in sorted(_states([without_comment(line) for line in lines]), key=lambda each: each.name.startswith(".")):
        nets = frozenset(net.lower() for net in state.nets)
        if (state.scope, nets) in done or (state.scope[-1:] == (model.lower(),) and nets & skipped):
            continue
        done.add((state.scope, nets))
        source = f"vheld_{state.name.strip('.')} {' '.join(state.nets)} {_value(state.value)}"
        sources.setdefault(state.line, []).append(source)
    return "\n".join(line for number, each in enumerate(lines) for line in (*sources.get(number, []), each))


def _states(lines: list[str]) -> Iterator[_State]:
    scope: tuple[str, ...] = ()
    for number, line in enumerate(lines):
        words = line.lower().split() or [""]
        if words[0] == ".subckt":
            scope = (*scope, f"{number}", *words[1:2])
        elif words[0] == ".ends":
            scope = scope[:-2]
        elif words[0].startswith("c"):
            card = _whole(lines, number)
            found, nets = _ON_CAPACITOR.search(card), card.split()[1:3]
            if found is not None and len(nets) == 2:
                yield _State(number, scope, words[0], (nets[0], nets[1]), found.group(1))
        elif words[0] == ".ic":
            for found in _ON_NET.finditer(_whole(lines, number)):
                yield _State(number, scope, f".{found.group(1)}", (found.group(1), "0"), found.group(2))


def _whole(lines: list[str], first: int) -> str:
    """A card with the lines that continue it."""
    card = lines[first].strip()
    for line in lines[first + 1 :]:
        bare = line.strip()
        if bare.startswith("+"):
            card += f" {bare[1:]}"
        elif bare and not bare.startswith("*"):
            break
    return card


def _value(text: str) -> str:
    """A value as a source takes it: what is no plain number goes into braces."""
    if re.fullmatch(r"[-+.0-9][^{}']*", text):
        return text
    return "{" + text.strip("'").replace("{", "(").replace("}", ")") + "}"
