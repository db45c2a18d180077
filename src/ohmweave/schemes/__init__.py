"""Schemes: how signed weights become positive conductances, and how currents are read back."""

from typing import Any, ClassVar, Protocol

from ohmweave.registry import merge
from ohmweave.schemes.pair import Pair
from ohmweave.schemes.row_pair import RowPair
from ohmweave.units import Array

__all__ = ["BUILTIN_SCHEMES", "Pair", "RowPair", "Scheme", "schemes"]


class Scheme(Protocol):
    """Weights to the conductances of physical rows and columns, and back.

    Input i drives the physical rows i * lines_per_input + q; with two lines the first carries +v and
    the second -v. Output j owns the physical columns j * lines_per_output + p.
    """

    lines_per_input: ClassVar[int]
    lines_per_output: ClassVar[int]
    readout: ClassVar[str]

    def encode(self, w: Array, g_range: tuple[float, float], k: float) -> Array:
        """Target conductances of the physical array.

        Args:
            w: weights, shape [inputs, outputs].
            g_range: lowest and highest conductance, S.
            k: conductance per unit of weight, S.

        Returns:
            Shape [inputs * lines_per_input, outputs * lines_per_output], S.
        """
        ...

    def decode(self, currents: Array, k: float) -> Array:
        """Weighted sums from column currents.

        Args:
            currents: shape [..., outputs * lines_per_output], A, into grounded columns.
            k: conductance per unit of weight, S.

        Returns:
            sum_i w_ij v_i, shape [..., outputs], V.
        """
        ...


BUILTIN_SCHEMES: dict[str, type[Any]] = {"pair": Pair, "row_pair": RowPair}


def schemes() -> dict[str, type[Any]]:
    """Every scheme known, by the name a design calls it."""
    return merge("ohmweave.schemes", BUILTIN_SCHEMES)
