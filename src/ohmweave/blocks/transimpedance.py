"""The transimpedance column: one bit line, one op-amp."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ohmweave.blocks.loops import TwoTerminal, told
from ohmweave.circuit import Cell, Instance
from ohmweave.units import Array

__all__ = ["Transimpedance"]


@dataclass(frozen=True)
class Transimpedance:
    """v_out = -R_f I; the bit line ends in a virtual ground of about R_f / (1 + A)."""

    lines: ClassVar[int] = 1
    opamps: ClassVar[int] = 1

    def mixing_resistor(self, r_feedback: float, i_max: float, swing: float) -> float:
        """There is none to size: R_f itself, ohm."""
        return r_feedback

    def resistances(self, r_feedback: float, r_mixing: float) -> tuple[float, ...]:
        """R_f, ohm."""
        return (r_feedback,)

    def cell(
        self, name: str, opamps: tuple[Cell, Cell], loops: Sequence[TwoTerminal], *, referenced: bool = False
    ) -> Cell:
        """The circuit, ports c0, out; arguments as in :meth:`ohmweave.blocks.TwoOpAmp.cell`, R_f alone in its loops."""
        references = ("ref0",) if referenced else ()
        (feedback,) = loops
        parts = (
            Instance("op1", opamps[1], (*(references or ("0",)), "c0", "out")),
            Instance("f", feedback, ("c0", "out")),
        )
        note = f"transimpedance column, {told('r_f', feedback)}"
        return Cell(name, ("c0", "out", *references), parts, note=note)

    def respond(self, i: Array, macro: tuple[float, ...], r_feedback: float, r_mixing: float) -> Array:
        """Unloaded output in V within the swing for line currents ``i``, shape [..., 1], A.

        v_out (1 + 1/A + R_o / (A R_f)...) from Kirchhoff's law at the summing node and the output.
        """
        gain, r_out, offset = macro[:3]
        # out = A (V_os - n) + R_o I  and  n = out + R_f I.
        return np.asarray((gain * offset + (r_out - gain * r_feedback) * i[..., 0]) / (1.0 + gain))
