"""Resistors in the loops of the readouts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ohmweave.blocks.loops import TwoTerminal, normal, require_mismatch
from ohmweave.circuit import Resistor
from ohmweave.devices import Device
from ohmweave.effects import Effect

__all__ = ["ResistorFeedback"]


@dataclass(frozen=True)
class ResistorFeedback:
    """R (1 + sigma z), z drawn for each resistor from a normal distribution, held within 3 sigma.

    Args:
        mismatch: sigma, from one resistor to the next, relative; polysilicon of some square micrometres has about
            0.01, of a thousand about 0.001 (Hastings, The Art of Analog Layout, 2nd ed., 2006, chapter 7).

    Raises:
        DesignError: a spread that is none.
    """

    mismatch: float = 0.0

    def __post_init__(self) -> None:
        require_mismatch(self.mismatch, 0.01)

    def loops(
        self, name: str, ohms: Sequence[float], columns: int, device: Device, effects: Sequence[Effect], rng: Generator
    ) -> list[tuple[TwoTerminal, ...]]:
        """As :meth:`ohmweave.blocks.Feedback.loops`."""
        if not self.mismatch:
            return [tuple(Resistor(each) for each in ohms)] * columns
        real = np.asarray(ohms) * (1.0 + self.mismatch * normal(rng, columns, len(ohms)))
        return [tuple(Resistor(float(each)) for each in row) for row in real]
