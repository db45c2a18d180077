"""The figures of merit of an op-amp, as data."""

import dataclasses
import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohmweave.blocks.curves import Bends, OpAmpCurves, SupplyCurrents
from ohmweave.circuit import Cell
from ohmweave.errors import DesignError
from ohmweave.netlist import Ngspice, foreign_parts, write
from ohmweave.whole import whole

__all__ = ["BENCHES", "OpAmpFigures", "circuit_digest"]


@dataclass(frozen=True)
class OpAmpFigures:
    """What an op-amp does, as SPICE measured it.

    Args:
        gain: open-loop gain at DC, no load.
        gbw: frequency where the gain is 1, Hz; infinite where it never falls that low.
        phase_margin: 180 degrees and the phase there, degrees.
        offset: input offset voltage (what adds to v_p - v_n), V.
        v_low, v_high: output voltages between which the output conductance is at most ten times that at rest, V.
        r_out: output resistance at rest, open loop, ohm.
        i_sink, i_source: largest currents into and out of the output at 0 V, A.
        slew_down, slew_up: steepest slopes of a follower's output, V/s.
        quiescent_power: drawn from its supplies at rest, W.
        c_load: load capacitance that ``gbw``, ``phase_margin`` and the slopes are for, F.
        curves: its DC behaviour.
        circuit: digest of the circuit that was measured.
    """

    gain: float
    gbw: float
    phase_margin: float
    offset: float
    v_low: float
    v_high: float
    r_out: float
    i_sink: float
    i_source: float
    slew_down: float
    slew_up: float
    quiescent_power: float
    c_load: float
    curves: OpAmpCurves
    circuit: str

    def rows(self) -> tuple[tuple[str, float, str], ...]:
        """Name, value and unit of each figure, for tables."""
        return tuple((name, float(getattr(self, name)), unit) for name, unit in _UNITS.items())

    def save(self, path: Path) -> None:
        """Write them as JSON, whole or not at all; :meth:`load` reads the same figures back."""
        with whole(path) as partial:
            partial.write_text(self.dump(), encoding="utf-8")

    def dump(self) -> str:
        """They as JSON; of older versions in the words that those had, which digests are of."""
        found = dataclasses.asdict(self)
        found["curves"] = {key: value for key, value in found["curves"].items() if value or key not in _LATER}
        return json.dumps(found, indent=1) + "\n"

    @staticmethod
    def load(path: Path) -> "OpAmpFigures":
        """Read figures from JSON.

        Raises:
            DesignError: no such file, one of another kind, or one with values that no measurement gives.
        """
        try:
            figures = _unpack(json.loads(path.read_text(encoding="utf-8")))
            _check(figures)
        except (ArithmeticError, AttributeError, OSError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise DesignError(
                f"cannot be read as an op-amp's figures ({type(error).__name__}: {error})",
                where=str(path),
                remedy="measure them again with characterize_opamp",
            ) from error
        return figures


_UNITS: Mapping[str, str] = {
    "gain": "", "gbw": "Hz", "phase_margin": "deg", "offset": "V", "v_low": "V", "v_high": "V", "r_out": "ohm",
    "i_sink": "A", "i_source": "A", "slew_down": "V/s", "slew_up": "V/s", "quiescent_power": "W", "c_load": "F",
}  # fmt: skip

# Figures that an op-amp need not have: it may never fall to a gain of 1, or not follow a step.
_MAY_BE_NONE = frozenset({"gbw", "phase_margin", "slew_down", "slew_up"})

# Points that figures of older versions do not have.
_LATER = frozenset({"lower", "held"})

# How each figure is measured, for tables.
BENCHES: Mapping[str, str] = {
    "gain": "DC at rest: slope of the current out of the output held at 0 V, over the input, by r_out",
    "gbw": "AC at the plus input, DC loop closed by 1 GH and 1 F, into c_load: where the gain is 1",
    "phase_margin": "the same run: 180 degrees and the phase there",
    "offset": "DC, output held at 0 V: input difference where it gives no current, negated",
    "v_low": "DC at rest: below, the output conductance is above ten times that at 0 V",
    "v_high": "DC at rest: above, the output conductance is above ten times that at 0 V",
    "r_out": "DC at rest, output moved around 0 V, loop open",
    "i_sink": "DC, output held at 0 V, inputs 0.2 V apart",
    "i_source": "DC, output held at 0 V, inputs 0.2 V apart",
    "slew_down": "transient, follower into c_load, 0.2 V to 0 V in 1 ns: mean slope from 80 % to 20 %",
    "slew_up": "transient, follower into c_load, 0 V to 0.2 V in 1 ns: mean slope from 20 % to 80 %",
    "quiescent_power": "DC, output held at 0 V and giving no current: both supplies",
    "c_load": "chosen",
}


def _unpack(found: Mapping[str, Any]) -> OpAmpFigures:
    curves = dict(found["curves"])
    # Those of older versions still have no curve of what a pushing and pulling output draws.
    kinds = ("drive", "load", "floor", "sunk", *sorted(_LATER))
    points = {key: tuple((float(x), float(y)) for x, y in curves.get(key, ())) for key in kinds}
    low, high = curves["supplies"]
    known = OpAmpCurves(
        **{**curves, **points, "supplies": (low, high), "currents": SupplyCurrents(**curves["currents"])}
    )
    return OpAmpFigures(**{**found, "curves": known})


def _check(figures: OpAmpFigures) -> None:
    """Build what others make of the figures, so that damaged ones are told here."""
    curves, drawn = figures.curves, figures.curves.currents
    known = {name: getattr(figures, name) for name in _UNITS}
    inner = {"rest": curves.rest, "gain": curves.gain, "r_out": curves.r_out, "alone": drawn.alone,
             "limited": drawn.limited, "v_ss": curves.supplies[0], "v_dd": curves.supplies[1]}  # fmt: skip
    for name, value in (*known.items(), *((f"curves: {name}", value) for name, value in inner.items())):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} = {value!r} is no number")
        if not math.isfinite(value) and name not in _MAY_BE_NONE:
            raise ValueError(f"{name} = {value} is not finite")
        if name.split()[-1] in {"gain", "r_out"} and value <= 0.0:
            raise ValueError(f"{name} = {value} is not above 0")
    further = curves.floor, curves.sunk, curves.lower, curves.held
    kinds = (curves.drive, curves.load, *further)
    if not all(math.isfinite(value) for points in kinds for point in points for value in point):
        raise ValueError("points that are not finite")
    made = (curves.stage, curves.output, *(Bends(points) for points in further if points))
    if not all(math.isfinite(value) for bends in made for point in bends.points for value in point):
        raise ValueError("curves that are not finite")


def circuit_digest(*cells: Cell) -> str:
    """Content hash of circuits, as they are written for ngspice, and of the files that they include."""
    stream = io.StringIO()
    for cell in cells:
        write(cell, Ngspice(), stream)
    files = dict.fromkeys(part.library.digest for cell in cells for part in foreign_parts(cell))
    return hashlib.sha256("".join((stream.getvalue(), *files)).encode()).hexdigest()
