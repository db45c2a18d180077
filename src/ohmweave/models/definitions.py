"""What model files define for a whole chip: models, functions and parameters outside of subcircuits.

A netlist takes the files before its own cards, and simulators keep one definition of a name: a file's may silently
change what the chip's other parts are.
"""

import re
from collections.abc import Iterator

from ohmweave.blocks.technology import NMOS, PMOS
from ohmweave.errors import NetlistError
from ohmweave.netlist.formula import FUNCTIONS

__all__ = ["definitions"]

_MODELS = frozenset({NMOS.name, PMOS.name})
# Functions that ngspice knows itself, those of our own formulae among them.
_FUNCTIONS = frozenset(FUNCTIONS) | {
    "acos", "acosh", "agauss", "asin", "asinh", "atanh", "arctan", "aunif", "ddt", "gauss", "hypot", "i", "idt", "int",
    "limit", "log", "log10", "nint", "pwl", "pwr", "sgn", "ternary_fcn", "u", "u2", "unif", "uramp", "v",
}  # fmt: skip
_QUANTITIES = frozenset({"hertz", "temper", "time"})
_ASSIGNED = re.compile(r"(?<![\w.])([a-z_]\w*)\s*(\([^()=]*\))?\s*=(?!=)")
_FUNCTION = re.compile(r"\.func\s+([a-z_]\w*)")


def definitions(place: str, card: str) -> tuple[tuple[str, str, str], ...]:
    """What a card outside of subcircuits defines.

    Args:
        place: of the card, for messages.
        card: without its comments.

    Returns:
        Kind and name (``.model nch``), the definition's text and its place.

    Raises:
        NetlistError: a name of the chip's own transistors, of a simulator's function or quantity.
    """
    found = []
    for kind, name, text in _named(" ".join(card.lower().split())):
        owner = {
            ".model": "the chip's own models" if name.split(".")[0] in _MODELS else "",
            ".func": "the simulator's own functions" if name in _FUNCTIONS else "",
            ".param": "the simulator's own quantities" if name in _QUANTITIES else "",
        }[kind]
        if owner:
            raise NetlistError(
                f"expected names unlike those of {owner}, found {kind} {name}, which would change the whole chip",
                where=place,
                remedy="rename it, or move it into the model's .subckt",
            )
        found.append((f"{kind} {name}", text, place))
    return tuple(found)


def _named(card: str) -> Iterator[tuple[str, str, str]]:
    """Kind, name and text of each definition of a card in lower case with single blanks."""
    kind, _, rest = card.partition(" ")
    if kind == ".model":
        yield kind, rest.split(" ")[0], rest
    elif kind == ".func" and (function := _FUNCTION.match(card)):
        yield kind, function.group(1), rest
    elif kind == ".param":
        marks = list(_ASSIGNED.finditer(rest))
        for mark, end in zip(marks, [*(mark.start() for mark in marks[1:]), len(rest)], strict=True):
            # HSPICE writes functions as parameters with arguments.
            yield ".func" if mark.group(2) else kind, mark.group(1), rest[mark.start() : end].strip()
