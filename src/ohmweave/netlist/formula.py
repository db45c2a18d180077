"""The formulae of behavioural sources, as other simulators than ngspice read them.

A law writes its formula in ngspice's words: numbers, ``{parameter}``, ``v(p)`` and ``v(p,n)``, ``+ - * /``,
comparisons, ``condition?a:b``, and functions. A dialect says how it writes numbers, voltages and functions; what
has no word there is refused and never left standing, since simulators read unknown words in their own ways.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["FUNCTIONS", "Words", "broken", "parameters", "translate"]

_TOKEN = re.compile(
    r"(?P<voltage>v\([a-z0-9_]+(?:,[a-z0-9_]+)?\))"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)"
    r"|\{(?P<parameter>[a-z][a-z0-9_]*)\}"
    r"|(?P<function>[a-z][a-z0-9_]*)\("
    r"|(?P<mark>[<>=!]=|[-+*/(),?:<>])"
)
_PARAMETER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
# Up to a mark after which no number and no name goes on; a voltage stays whole.
_BREAK = re.compile(r"(?:[vV]\([^)]*\)|[^*,(?:])*(?:[*,(?:]|$)")

# Real functions of the same name and meaning wherever C's mathematics library stands behind.
FUNCTIONS: Mapping[str, str] = {
    name: name
    for name in (
        "abs", "atan", "ceil", "cos", "cosh", "exp", "floor", "ln", "max", "min", "pow", "sin", "sinh", "sqrt", "tan",
        "tanh",
    )
}  # fmt: skip


@dataclass(frozen=True)
class Words:
    """What a dialect calls the parts of a formula.

    Args:
        dialect: its name, for messages.
        functions: ngspice's name of a function -> the dialect's.
        number: a number's text -> the dialect's.
        voltage: ``v(p)`` or ``v(p,n)`` -> the dialect's.
    """

    dialect: str
    functions: Mapping[str, str]
    number: Callable[[str], str] = str
    voltage: Callable[[str], str] = str


def translate(formula: str, words: Words) -> str:
    """A formula in a dialect's words; parameters stand without braces.

    Raises:
        ValueError: a function that the dialect does not have, or what is no formula at all.
    """
    parts, place = [], 0
    while place < len(formula):
        token = _TOKEN.match(formula, place)
        if token is None:
            raise ValueError(f"expected a formula, found {formula[place : place + 20]!r} in {formula!r}")
        parts.append(_part(token, words))
        place = token.end()
    return "".join(parts)


def _part(token: re.Match[str], words: Words) -> str:
    kind, text = str(token.lastgroup), token.group(str(token.lastgroup))
    if kind == "function":
        if text not in words.functions:
            known = ", ".join(sorted(words.functions))
            raise ValueError(f"expected a function that {words.dialect} has ({known}), found {text!r}")
        return f"{words.functions[text]}("
    if kind == "number":
        return words.number(text)
    return words.voltage(text) if kind == "voltage" else text


def parameters(formula: str) -> tuple[str, ...]:
    """The parameters that a formula refers to, each once, in their order."""
    return tuple(dict.fromkeys(_PARAMETER.findall(formula)))


def broken(text: str, end: str, width: int = 90) -> str:
    """A long formula on several lines, each but the last with ``end`` behind it; broken after ``*``, ``,``, ``(``..."""
    lines = [""]
    for piece in _BREAK.findall(text):
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return f"{end}\n".join(lines)
