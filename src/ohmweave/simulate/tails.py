"""What clamps carry that never come near their limits.

The tail of such a clamp, i(c) = p [1 / (h - c) - 1 / (c - l)], p = s w^2 / 4, is some 1e-12 A and all but straight. A
line stands for it in the linear response of the circuit (:func:`linearised`), with all digits; what the
tail has beyond its line, the rest, is smaller still and flatter, so that three digits of its voltage and of
itself are enough where a clamp is far from its limits. How far off that is, is measured on some samples.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.simulate.clamps import rest_coefficients
from ohmweave.simulate.linear import Response
from ohmweave.simulate.processor import Coarse, Processor
from ohmweave.units import Array

__all__ = ["Quiet", "Tails", "linearised"]

Indices = NDArray[np.int64]

# The rests of about so many samples of a batch are computed in float64 as well.
_CHECKED = 64


@dataclass(frozen=True, eq=False)
class Quiet:
    """The quiet clamps.

    Args:
        clamps: low and high limit (V), siemens, corner (V), shape [4, clamps].
        lines: see :func:`ohmweave.simulate.clamps.tail_lines`, shape [2, clamps].
        constant: of their controlling voltages, [clamps], V.
        from_all: what the drives, and behind them the currents of the loud, make of these voltages,
            [drives + loud, clamps].
        answers: of r of the loud, and behind them the watched quantities, to their currents,
            [loud + watched, clamps], ohm.
        middle: of the controlling voltages seen, [clamps], V.
    """

    clamps: Array
    lines: Array
    constant: Array
    from_all: Array
    answers: Array
    middle: Array


def linearised(response: Response, quiet: Quiet, loud: Indices) -> Response:
    """What some quantities answer with the lines in place of the tails.

    Args:
        response: what they answer to every element by itself.
        quiet: the clamps that are replaced.
        loud: the columns of ``response.to_laws`` that are wanted.
    """
    slope, level = quiet.lines
    drives, shares = response.to_drives.shape[1], quiet.answers * slope
    return Response(
        response.constant + shares @ quiet.constant + quiet.answers @ level,
        response.to_drives + shares @ quiet.from_all[:drives].T,
        response.to_laws[:, loud] + shares @ quiet.from_all[drives:].T,
    )


class Tails:
    """Computes the rests and what they do.

    Args:
        quiet: the clamps.
        place: where to compute.
        coarse: in which precision.
    """

    def __init__(self, quiet: Quiet, place: Processor, coarse: Coarse) -> None:
        self.quiet, self.place, self.coarse = quiet, place, coarse
        # Counted from their middle, voltages keep more digits; the offset itself is rounded once and for all.
        self._offset = place.load(quiet.constant - quiet.middle, coarse)
        start = quiet.constant - place.store(self._offset)
        self._known = place.load(rest_coefficients(quiet.clamps, quiet.lines, start), "float32")
        self._from_all = place.load(quiet.from_all, coarse)
        self._answers = place.load(quiet.answers.T, coarse)

    def volts(self, drives: Any, amps: Any) -> tuple[Any, Array]:
        """What the rests add to r of the loud and to the watched quantities, and the clamps' room.

        Args:
            drives: what drives the circuit, [samples, drives].
            amps: currents of the loud, [samples, loud], A.

        Returns:
            Shape [samples, loud + watched], V; the smallest distance of any sample from a limit, [clamps], V.
        """
        place = self.place
        c = place.product(place.join([drives, amps], self.coarse), self._from_all, self._offset)
        rests, room = place.rests(c, self._known)
        return place.product(rests, self._answers), room

    def error(self, drives: Any, amps: Any, volts: Any) -> float:
        """How far ``volts`` are from the truth on some of the samples, at most, V; not measured in float32.

        Args:
            drives: see :meth:`volts`.
            amps: likewise.
            volts: what that returned.
        """
        if self.coarse == "float32":
            return 0.0
        quiet, (low, high, siemens, corner), (slope, level) = self.quiet, self.quiet.clamps, self.quiet.lines
        every = max(len(drives) // _CHECKED, 1)
        found, *given = (self.place.store(part[::every]) for part in (volts, drives, amps))
        c = np.hstack(given) @ quiet.from_all + quiet.constant
        tails = 0.25 * siemens * corner**2 * (1.0 / (high - c) - 1.0 / (c - low))
        return float(np.abs(found - (tails - level - slope * c) @ quiet.answers.T).max(initial=0.0))
