"""What effects share: limits of their parameters and of the conductances they leave."""

from typing import Final

import numpy as np

from ohmweave.errors import DesignError
from ohmweave.units import Array

__all__ = ["LEAST_SHARE", "MOST_TIME", "held_positive", "require_between"]

# A normal law has tails below zero, where no device can be; what falls there stays at a tenth.
LEAST_SHARE: Final = 0.1
# Three hundred centuries in seconds: nobody has measured beyond, and powers of it are still floats.
MOST_TIME: Final = 1e12


def held_positive(reached: Array, before: Array, g_range: tuple[float, float]) -> Array:
    """``reached``, but no lower than a tenth of G_off, nor than ``before`` where that is lower still."""
    return np.asarray(np.maximum(reached, np.minimum(before, LEAST_SHARE * g_range[0])))


def require_between(where: str, value: float, low: float, high: float, example: str) -> None:
    """Refuse a plain number outside ``low``..``high``, or no number at all.

    Raises:
        DesignError: names the parameter, what was expected and found, and the example.
    """
    if not low <= value <= high:
        raise DesignError(
            f"expected a number from {low:g} to {high:g}, found {value:g}",
            where=where,
            remedy=f"try {where.rsplit('.', maxsplit=1)[-1]} = {example}",
        )
