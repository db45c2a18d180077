"""What op-amps share whose mathematics was measured on their circuit."""

import dataclasses
from abc import ABC, abstractmethod
from typing import ClassVar

from ohmweave.blocks.figures import OpAmpFigures
from ohmweave.circuit import Cell
from ohmweave.errors import DesignError
from ohmweave.units import Array

__all__ = ["MeasuredOpAmp"]


class MeasuredOpAmp(ABC):
    """An op-amp of transistors: its circuit, and the figures that were measured on it."""

    supplied: ClassVar[bool] = True

    @property
    @abstractmethod
    def figures(self) -> OpAmpFigures:
        """What SPICE measured."""

    @property
    def held_figures(self) -> OpAmpFigures:
        """What SPICE measured on what stands where the output is held above a limit."""
        return self.figures

    @property
    @abstractmethod
    def title(self) -> str:
        """What messages call it."""

    @property
    @abstractmethod
    def holds(self) -> tuple[float, float] | None:
        """Lowest and highest limit that its output can be held above, V; none where it cannot."""

    @abstractmethod
    def circuit(self, name: str, low: float | None) -> Cell:
        """The transistors, ports p, n, out; ``low`` is the limit above which the output is held, V, or none."""

    def circuits(self) -> tuple[Cell, Cell | None]:
        """What is measured: the circuit, and the same with its output held at or above 0 V, if it can be."""
        same = self.holds is not None and self.held_figures is self.figures
        return self.cell("opamp"), self.cell("opamp_held", low=0.0) if same else None

    @property
    def v_low(self) -> float:
        """Lowest output, V."""
        return self.figures.v_low

    @property
    def v_high(self) -> float:
        """Highest output, V."""
        return min(self.figures.v_high, self.held_figures.v_high)

    @property
    def quiescent_power(self) -> float:
        """Power drawn at rest, W; the sources in its cell deliver it."""
        return self.figures.quiescent_power

    @property
    def macro(self) -> tuple[float, float, float, float, float]:
        """Gain, output resistance (ohm), offset (V), low and high limit (V), all at rest."""
        found = self.figures
        return found.gain, found.r_out, found.offset, self.v_low, self.v_high

    def cell(self, name: str, low: float | None = None, high: float | None = None) -> Cell:
        """The circuit, ports p, n, out.

        Args:
            name: the cell's name.
            low: lower limit of the output, V, by a circuit that holds it there; none, or one below the op-amp's own,
                is the op-amp's own.
            high: upper limit, V; only the op-amp's own will do.

        Raises:
            DesignError: a limit that the circuit cannot keep.
        """
        held = self._limit(low, high)
        return dataclasses.replace(self.circuit(name, held), macro=self._figures(held).curves.cell(name, held))

    def respond(self, e: Array, low: float | None = None, high: float | None = None) -> Array:
        """Open-circuit output in V for an input difference ``e`` = v_p - v_n (V); limits as in :meth:`cell`."""
        held = self._limit(low, high)
        return self._figures(held).curves.respond(e, held)

    def _figures(self, held: float | None) -> OpAmpFigures:
        return self.figures if held is None else self.held_figures

    def _limit(self, low: float | None, high: float | None) -> float | None:
        remedy = 'choose other activations, or opamp.kind = "finite"'
        if high is not None and high < self.v_high:
            raise DesignError(
                f"expected no upper limit below the output's own of {self.v_high:g} V, found {high:g} V",
                where=self.title,
                remedy=f"it can only be held from below: {remedy}",
            )
        if low is None or low <= self.v_low:
            return None
        if self.holds is None:
            raise DesignError(f"expected no lower limit, found {low:g} V", where=self.title, remedy=remedy)
        least, most = self.holds
        if not least <= low <= most:
            raise DesignError(
                f"expected a lower limit of {least:g} V to {most:g} V, found {low:g} V", where=self.title, remedy=remedy
            )
        return low
