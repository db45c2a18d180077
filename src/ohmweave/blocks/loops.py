"""What stands in the loops of readouts: parts of two terminals, and the spread of such parts."""

from numpy.random import Generator

from ohmweave.circuit import Cell, Resistor
from ohmweave.errors import DesignError
from ohmweave.units import Array

__all__ = ["TwoTerminal", "normal", "require_mismatch", "told"]

# A cell of these has the ports p and n.
TwoTerminal = Resistor | Cell

_MOST = 0.3
# So many standard deviations no part is off: it would come near nothing.
_FURTHEST = 3.0


def told(name: str, part: TwoTerminal) -> str:
    """A part of a loop in a netlist's comment."""
    return f"{name} {part.ohms:.6g} ohm" if isinstance(part, Resistor) else f"{name} of {part.note}"


def require_mismatch(sigma: float, example: float) -> None:
    """Refuse a relative spread that is none.

    Raises:
        DesignError: one below 0 or above 0.3.
    """
    if not 0.0 <= sigma <= _MOST:
        raise DesignError(
            f"expected a spread from 0 to {_MOST:g}, found {sigma:g}",
            where="feedback.mismatch",
            remedy=f"try mismatch = {example:g}",
        )


def normal(rng: Generator, columns: int, loops: int) -> Array:
    """Standard normal draws within three standard deviations, [columns, loops]."""
    return rng.standard_normal((columns, loops)).clip(-_FURTHEST, _FURTHEST)
