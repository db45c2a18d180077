"""The two-op-amp column: a pair of bit lines to one voltage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ohmweave.blocks.loops import TwoTerminal, told
from ohmweave.circuit import Cell, Instance
from ohmweave.units import Array

__all__ = ["TwoOpAmp"]


@dataclass(frozen=True)
class TwoOpAmp:
    """v_out = R_f (I+ - I-).

    The first op-amp turns I+ into -R_m I+, which flows through another R_m into the second's summing
    node, where it meets I-; R_f closes the loop of the second. Both bit lines end in virtual grounds.
    R_m equals R_f unless that would drive the first op-amp out of its swing.
    """

    lines: ClassVar[int] = 2
    opamps: ClassVar[int] = 2

    def mixing_resistor(self, r_feedback: float, i_max: float, swing: float) -> float:
        """R_m = min(R_f, swing / I_max), ohm; I_max (A) the largest current of a plus line."""
        return r_feedback if i_max == 0.0 else min(r_feedback, swing / i_max)

    def resistances(self, r_feedback: float, r_mixing: float) -> tuple[float, ...]:
        """R_m twice, and R_f, ohm."""
        return r_mixing, r_mixing, r_feedback

    def cell(
        self, name: str, opamps: tuple[Cell, Cell], loops: Sequence[TwoTerminal], *, referenced: bool = False
    ) -> Cell:
        """The circuit, ports c0 (plus line), c1 (minus line), out.

        Args:
            name: the cell's name.
            opamps: the cells of the first and of the last op-amp.
            loops: R_m around the first op-amp, R_m behind it, and R_f.
            referenced: whether ports ref0 and ref1 take the op-amps' positive inputs, which else are grounded.
        """
        first, last = opamps
        around, behind, feedback = loops
        references = ("ref0", "ref1") if referenced else ()
        plus = references or ("0", "0")
        parts = (
            Instance("op1", first, (plus[0], "c0", "inv")),
            Instance("m1", around, ("c0", "inv")),
            Instance("m2", behind, ("inv", "c1")),
            Instance("op2", last, (plus[1], "c1", "out")),
            Instance("f", feedback, ("c1", "out")),
        )
        note = f"two-op-amp column, {told('r_f', feedback)}, {told('r_m', around)}"
        return Cell(name, ("c0", "c1", "out", *references), parts, note=note)

    def respond(self, i: Array, macro: tuple[float, ...], r_feedback: float, r_mixing: float) -> Array:
        """Unloaded output in V within the swing, finite gain, output resistance and offset included.

        Kirchhoff's law at the two summing nodes and the two outputs.

        Args:
            i: currents into the plus and the minus line, shape [..., 2], A.
            macro: gain, output resistance (ohm), offset (V), limits (V) of both op-amps.
            r_feedback: R_f, ohm.
            r_mixing: R_m, ohm.

        Returns:
            Shape [...], V.
        """
        gain, r_out, offset = macro[:3]
        f, m, o = 1.0 / r_feedback, 1.0 / r_mixing, r_out
        # Unknowns: plus line, first output, minus line, last output.
        matrix = np.array(
            [
                [m, -m, 0.0, 0.0],
                [-gain + o * m, -1.0 - 2.0 * o * m, o * m, 0.0],
                [0.0, -m, m + f, -f],
                [0.0, 0.0, -gain + o * f, -1.0 - o * f],
            ]
        )
        right = np.zeros((*i.shape[:-1], 4))
        right[..., 0], right[..., 2] = i[..., 0], i[..., 1]
        right[..., 1] = right[..., 3] = -gain * offset
        return np.asarray(np.linalg.solve(matrix, right[..., None])[..., 3, 0])
