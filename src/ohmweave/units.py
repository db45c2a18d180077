"""Quantities with units: strings at the edges, SI floats inside."""

import math
import re
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from ohmweave.errors import DesignError, UnitError

__all__ = ["Array", "Unit", "format_quantity", "parse_quantity", "require", "require_spread"]

Array = NDArray[np.float64]

_EXPONENTS = {"f": -15, "p": -12, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9}
_SPELLINGS = {"ohm": ("ohm", "Ohm", "Ω", "Ω")}
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*")


@dataclass(frozen=True)
class Unit:
    """The unit of an annotated quantity, e.g. ``Annotated[float, Unit("ohm")]``."""

    symbol: str


def parse_quantity(text: str, unit: str) -> float:
    """Read a number with its unit, ``"4.7 kohm"`` -> ``4700.0``.

    Args:
        text: a decimal number, an SI prefix (f p n u m k M G) and the unit's symbol.
        unit: the symbol expected, e.g. ``"ohm"``, ``"S"``, ``"V"``.

    Returns:
        The value in the unit itself (SI).

    Raises:
        UnitError: no number, no unit, another unit, or a value that is not finite.
    """
    match = _NUMBER.fullmatch(text)
    example = f'write it like "1 {unit}"'
    if match is None:
        raise UnitError(f"expected a number in {unit}, found {text!r}", remedy=example)
    number, suffix = match.groups()
    if not suffix:
        raise UnitError(f"expected a unit ({unit}), found the bare number {text!r}", remedy=f'write "{number} {unit}"')
    for spelling in _SPELLINGS.get(unit, (unit,)):
        if suffix.endswith(spelling) and suffix.removesuffix(spelling) in _EXPONENTS:
            # Scaled in decimal, so that "100 uS" is the float 1e-4 and not its neighbour.
            value = _scaled(number, _EXPONENTS[suffix.removesuffix(spelling)])
            if not math.isfinite(value):
                raise UnitError(f"expected a finite value in {unit}, found {text!r}", remedy=example)
            return value
    raise UnitError(f"expected a value in {unit}, found {text!r}", remedy=example)


def _scaled(number: str, exponent: int) -> float:
    try:
        return float(Decimal(number).scaleb(exponent))
    except ArithmeticError:
        return math.inf


def require(where: str, value: float, unit: str, example: str, *, zero: bool = False) -> None:
    """Refuse a parameter that is not finite and positive (or zero, where ``zero`` allows it).

    Args:
        where: the parameter, ``section.key``.
        value: in ``unit``.
        unit: its symbol.
        example: a value that would do, as in a design.
        zero: whether zero will do.

    Raises:
        DesignError: names the parameter, what was expected and found, and the example.
    """
    if math.isfinite(value) and (value > 0.0 or (zero and value == 0.0)):
        return
    expected = f"at least 0 {unit}" if zero else f"a positive value in {unit}"
    raise DesignError(
        f"expected {expected}, found {value:g} {unit}",
        where=where,
        remedy=f'try {where.rsplit(".", maxsplit=1)[-1]} = "{example}"',
    )


def require_spread(where: str, value: float, below: float) -> None:
    """Refuse a standard deviation, relative to its quantity, that is negative or too wide.

    Args:
        where: the parameter, ``section.key``.
        value: the relative standard deviation.
        below: what it has to stay below.

    Raises:
        DesignError: names the parameter, what was expected and found, and an example.
    """
    if not 0.0 <= value < below:
        raise DesignError(
            f"expected a relative spread from 0 to below {below:g}, found {value:g}",
            where=where,
            remedy=f"try {where.rpartition('.')[2]} = 0.01",
        )


def format_quantity(value: float, unit: str) -> str:
    """Write an SI value so that :func:`parse_quantity` reads the same float back."""
    exact = Decimal(repr(value))
    for prefix in ("G", "M", "k", "", "m", "u", "n", "p", "f"):
        scaled = exact.scaleb(-_EXPONENTS[prefix])
        if 1 <= abs(scaled) < 1000:
            return f"{scaled.normalize():f} {prefix}{unit}"
    return f"{exact.normalize():g} {unit}" if value else f"0 {unit}"
