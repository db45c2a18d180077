"""What SPICE measured of the clocked neuron in transistors, as data, and its tables between what was measured."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ohmweave.errors import DesignError
from ohmweave.units import Array
from ohmweave.whole import whole

__all__ = ["Flow", "LifFigures", "between", "place"]

Row = tuple[float, ...]
_UNITS = {
    "r_in": "ohm", "v_in": "V", "offset": "V", "leak_farads": "F", "leak_charge": "C", "reset": "V", "packet": "",
    "delay": "s", "energy_step": "J", "energy_spike": "J", "energy_charge": "J/C", "silence_watts": "W", "error": "",
}  # fmt: skip


@dataclass(frozen=True)
class LifFigures:
    """What the neuron does, as SPICE measured it.

    Currents are in units of the column's design current, so that they hold for neurons of others; the rest belongs to
    the one that was measured.

    Args:
        transistors: how many the measured neuron has, reset to zero.
        r_in: input resistance of a column, ohm, in a straight line with ``v_in`` through what was measured.
        v_in: voltage of a column without current, V.
        offset: of the comparator: its threshold less the one that was asked for, V.
        volts: membrane voltages of the tables, equally far apart, V.
        currents: into a column, ascending.
        given: current that p puts on the membrane for k = 1, [currents][volts]; n without current.
        taken: what the membrane has less when there is current in n, [currents][volts].
        transfer: mean of what arrives of charges into p and into n, as a share of what operating points say; it is in
            the tables.
        parasitic: capacitance that the membrane has beside C_m, F, and what comes to it for each k, [2][volts].
        leak_farads: parasitic capacitance beside the leak's capacitor, F.
        leak_charge: what the leak's switches put on the membrane, C.
        gains: k of ``drift``, ascending.
        drift: charge that comes to the membrane in a step without input, C, [gains][volts].
        reset: membrane after a reset to zero, V.
        packet: charge that a reset by subtraction takes, as a share of what was asked for.
        delay: from the comparators' clock to a spike, s.
        energy_step: of a step without input and spike, J.
        energy_spike: what a step with a spike takes more, J.
        energy_charge: what a coulomb into a column takes more, J/C.
        silence_watts: what the inverters that time a refractory period take while it lasts, W.
        error: the furthest that the mathematics missed a step of the circuit by, membranes within 1.8 thresholds, as a
            share of V_theta.
        i_column: design current that was measured, A.
        step: time step that drift and energy are for, s.
        circuit: digest of the circuit that was measured.
    """

    transistors: int
    r_in: float
    v_in: float
    offset: float
    volts: Row
    currents: Row
    given: tuple[Row, ...]
    taken: tuple[Row, ...]
    transfer: tuple[float, float]
    parasitic: tuple[Row, Row]
    leak_farads: float
    leak_charge: float
    gains: Row
    drift: tuple[Row, ...]
    reset: float
    packet: float
    delay: float
    energy_step: float
    energy_spike: float
    energy_charge: float
    silence_watts: float
    error: float
    i_column: float
    step: float
    circuit: str

    def rows(self) -> tuple[tuple[str, float, str], ...]:
        """Name, value and unit of each figure that is one number, for tables."""
        return tuple((name, float(getattr(self, name)), unit) for name, unit in _UNITS.items())

    def beside(self, gains: Array) -> Array:
        """What membranes have beside C_m for these k, F, shape [gains, volts]."""
        still, copies = np.array(self.parasitic)
        return np.asarray(still + gains[:, None] * copies)

    def at_rest(self, gain: float) -> float:
        """The same for one k and a membrane at 0 V, F."""
        return float(np.interp(0.0, self.volts, self.beside(np.array([gain]))[0]))

    def save(self, path: Path) -> None:
        """Write them as JSON, whole or not at all; :meth:`load` reads the same figures back."""
        with whole(path) as partial:
            partial.write_text(json.dumps(dataclasses.asdict(self), indent=None) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path) -> "LifFigures":
        """Read figures from JSON.

        Raises:
            DesignError: no such file, or one of another kind.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return LifFigures(**{name: _frozen(value) for name, value in found.items()})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise DesignError(
                f"cannot be read as a neuron's figures ({type(error).__name__}: {error})",
                where=str(path),
                remedy="measure them again with characterize_neuron",
            ) from error


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


@dataclass(frozen=True, eq=False)
class Flow:
    """A table [currents][volts] at given currents, which lie between its rows.

    Args:
        table: what was measured.
        row: the row below each current.
        share: how far each is on its way to the next row.
    """

    table: Array
    row: Array
    share: Array

    @staticmethod
    def of(table: tuple[Row, ...], currents: Array, known: Row) -> "Flow":
        """A table whose rows are those of the currents ``known``, at others."""
        place = np.interp(currents, known, np.arange(len(known)))
        row = np.minimum(place.astype(int), len(known) - 2)
        return Flow(np.array(table), row, place - row)

    def at(self, column: Array, share: Array) -> Array:
        """Currents at membranes between two columns."""
        left, right = (self._line(column + side) for side in (0, 1))
        return np.asarray(left + share * (right - left))

    def _line(self, column: Array) -> Array:
        below = self.table[self.row, column]
        return np.asarray(below + self.share * (self.table[self.row + 1, column] - below))


def place(v: Array, volts: Row) -> tuple[Array, Array]:
    """Which two of equally distant ``volts`` lie around each v, and how far it is on its way to the second."""
    found = np.clip((v - volts[0]) / (volts[1] - volts[0]), 0.0, len(volts) - 1.0)
    column = np.minimum(found.astype(int), len(volts) - 2)
    return column, found - column


def between(table: Array, column: Array, share: Array) -> Array:
    """A table [neurons, volts] between two of its columns, for each neuron (last index) of ``column``."""
    row = np.arange(len(table))
    left = table[row, column]
    return np.asarray(left + share * (table[row, column + 1] - left))
