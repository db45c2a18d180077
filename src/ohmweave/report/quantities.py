"""Figures as a reader wants them: a few digits, a prefix, a unit."""

import math

__all__ = ["percent", "plural", "quantity", "scientific"]

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}


def quantity(value: float, unit: str, digits: int = 4) -> str:
    """A value in SI with a prefix, ``0.000123`` and ``"A"`` -> ``"123 µA"``."""
    if value == 0.0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    rounded = float(f"{value:.{digits}g}")
    exponent = min(max(3 * math.floor(math.log10(abs(rounded)) / 3), min(_PREFIXES)), max(_PREFIXES))
    return f"{rounded / 10.0**exponent:.{digits}g} {_PREFIXES[exponent]}{unit}"


def percent(share: float, digits: int = 2) -> str:
    """A share, ``0.975`` -> ``"97.50 %"``."""
    return f"{100.0 * share:.{digits}f} %"


def scientific(value: float) -> str:
    """A small number by its size, ``"3.2 × 10⁻¹¹"``."""
    if value == 0.0 or not math.isfinite(value):
        return f"{value:g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun, ``"1 tile"``, ``"1,200 tiles"``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
