"""The figures of merit of an op-amp, as data."""

import dataclasses
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohmweave.blocks.curves import OpAmpCurves, SupplyCurrents
from ohmweave.circuit import Cell
from ohmweave.errors import DesignError
from ohmweave.netlist import Ngspice, write

__all__ = ["OpAmpFigures", "circuit_digest"]


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
        """Write them as JSON; :meth:`load` reads the same figures back."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path) -> "OpAmpFigures":
        """Read figures from JSON.

        Raises:
            DesignError: no such file, or one of another kind.
        """
        try:
            return _unpack(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DesignError(
                f"cannot be read as an op-amp's figures ({type(error).__name__}: {error})",
                where=str(path),
                remedy="measure them again with characterize_opamp",
            ) from error


_UNITS: Mapping[str, str] = {
    "gain": "", "gbw": "Hz", "phase_margin": "deg", "offset": "V", "v_low": "V", "v_high": "V", "r_out": "ohm",
    "i_sink": "A", "i_source": "A", "slew_down": "V/s", "slew_up": "V/s", "quiescent_power": "W", "c_load": "F",
}  # fmt: skip


def _unpack(found: Mapping[str, Any]) -> OpAmpFigures:
    curves = dict(found["curves"])
    points = {key: tuple((float(x), float(y)) for x, y in curves[key]) for key in ("drive", "load", "floor")}
    low, high = curves["supplies"]
    known = OpAmpCurves(
        **{**curves, **points, "supplies": (low, high), "currents": SupplyCurrents(**curves["currents"])}
    )
    return OpAmpFigures(**{**found, "curves": known})


def circuit_digest(*cells: Cell) -> str:
    """Content hash of circuits, as they are written for ngspice."""
    stream = io.StringIO()
    for cell in cells:
        write(cell, Ngspice(), stream)
    return hashlib.sha256(stream.getvalue().encode()).hexdigest()
