"""Switched capacitors in the loops of the readouts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.random import Generator

from ohmweave.blocks.loops import TwoTerminal, normal, require_mismatch
from ohmweave.circuit import Resistor
from ohmweave.devices import Device
from ohmweave.effects import Effect
from ohmweave.errors import DesignError
from ohmweave.units import Unit, require

__all__ = ["SwitchedFeedback"]


@dataclass(frozen=True)
class SwitchedFeedback:
    """A capacitor of n units that is charged and emptied f times a second: R = 1 / (f n C_u) (1 + sigma z / sqrt(n)).

    Its circuit is the resistance that it is to currents much slower than its clock (R. Gregorian and G. Temes,
    Analog MOS Integrated Circuits for Signal Processing, 1986); ripple and charge injection of the switches are
    not in it. A capacitor is a whole number of equal units, as they match only so: R comes out rounded.

    Args:
        clock: f, Hz.
        unit: capacitance of one unit C_u, F.
        mismatch: sigma, from one unit to the next, relative.

    Raises:
        DesignError: a clock or a unit that is not positive, a spread that is none.
    """

    clock: Annotated[float, Unit("Hz")] = 10e6
    unit: Annotated[float, Unit("F")] = 20e-15
    mismatch: float = 0.005

    def __post_init__(self) -> None:
        require("feedback.clock", self.clock, "Hz", "10 MHz")
        require("feedback.unit", self.unit, "F", "20 fF")
        require_mismatch(self.mismatch, 0.005)

    def units(self, ohms: float) -> int:
        """The number of units nearest to a resistance (ohm).

        Raises:
            DesignError: less than half of a unit.
        """
        one = 1.0 / (self.clock * self.unit)
        count = one / ohms
        if count < 0.5:
            raise DesignError(
                f"expected resistances up to that of one unit, {one:.4g} ohm, found {ohms:.4g} ohm",
                where="feedback",
                remedy="lower feedback.clock or feedback.unit",
            )
        return max(1, round(count))

    def loops(
        self, name: str, ohms: Sequence[float], columns: int, device: Device, effects: Sequence[Effect], rng: Generator
    ) -> list[tuple[TwoTerminal, ...]]:
        """As :meth:`ohmweave.blocks.Feedback.loops`."""
        units = np.array([self.units(each) for each in ohms])
        off = self.mismatch * normal(rng, columns, len(ohms))
        real = (1.0 + off / np.sqrt(units)) / (self.clock * self.unit * units)
        return [tuple(Resistor(float(each)) for each in row) for row in real]
