"""The largest of some voltages."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ohmweave.blocks.protocols import OpAmp
from ohmweave.blocks.summing import summing_amplifier
from ohmweave.circuit import Cell, Instance
from ohmweave.units import Array, Unit, require

__all__ = ["ClampedDifference"]

# Half of any difference of two voltages within the swing is within it too.
_GAIN = 0.5
# How far below ground the difference may go, V: enough for what its op-amp's output resistance costs.
_MARGIN = 5e-3


@dataclass(frozen=True)
class ClampedDifference:
    """max(x_0, .., x_k-1) by a tree of max(a, b) = a + max(b - a, 0).

    For every two voltages a difference amplifier makes d = (b - a) / 2, a follower whose output cannot go below
    ground makes r = max(d, 0), and a summing amplifier adds a + 2 r. The difference amplifier stops 5 mV below
    ground, so that the follower is never far beyond its limit and lets 1e-3 of 5 mV through. Inputs may have
    either sign; a level of the tree is exact to some 30 uV with ideal op-amps and to some 7 / A of the largest
    input's size with a gain A. Each input drives resistors of the size given.

    Source: the precision rectifier and the difference amplifier (Sedra and Smith, Microelectronic Circuits; Franco,
    Design with Operational Amplifiers and Analog Integrated Circuits), with a limited op-amp for the diodes.

    Args:
        resistor: of the amplifiers' feedback, ohm. Large beside the op-amps' output resistance r_out, for an
            op-amp at its limit leaves an error of r_out / resistor.
    """

    resistor: Annotated[float, Unit("ohm")] = 1e6

    def __post_init__(self) -> None:
        require("maximum.resistor", self.resistor, "ohm", "1 Mohm")

    def opamps(self, taps: int) -> int:
        """3 (taps - 1)."""
        return 3 * (taps - 1)

    def cell(self, name: str, taps: int, opamp: OpAmp) -> Cell:
        """The circuit, ports x0.., out.

        Args:
            name: the cell's name.
            taps: number of inputs.
            opamp: the amplifier it is made with.

        Raises:
            ValueError: fewer than two inputs.
        """
        if taps < 2:
            raise ValueError(f"{name}: expected at least 2 inputs to choose from, found {taps}")
        larger = self._larger(f"{name}_two", opamp)
        parts: list[Instance] = []
        left = [f"x{k}" for k in range(taps)]
        while len(left) > 1:
            above = []
            for a, b in zip(left[::2], left[1::2], strict=False):
                above.append("out" if len(left) == 2 else f"y{len(parts)}")
                parts.append(Instance(f"max{len(parts)}", larger, (a, b, above[-1])))
            left = above + left[len(left) - len(left) % 2 :]
        ports = (*(f"x{k}" for k in range(taps)), "out")
        return Cell(name, ports, tuple(parts), note=f"largest of {taps} voltages")

    def respond(self, v: Array) -> Array:
        """The largest of the last axis, V."""
        return np.asarray(v.max(axis=-1))

    def _larger(self, name: str, opamp: OpAmp) -> Cell:
        """max(a, b), ports a, b, out."""
        below, floored = opamp.cell(f"{name}_below", low=-_MARGIN), opamp.cell(f"{name}_floored", low=0.0)
        difference = summing_amplifier(f"{name}_difference", below, (-_GAIN, _GAIN), self.resistor)
        total = summing_amplifier(f"{name}_sum", opamp.cell(f"{name}_opamp"), (1.0, 1.0 / _GAIN), self.resistor)
        parts = (
            Instance("d", difference, ("a", "b", "d")),
            Instance("lim", floored, ("d", "r", "r")),
            Instance("s", total, ("a", "r", "out")),
        )
        return Cell(name, ("a", "b", "out"), parts, note="larger of two voltages")
