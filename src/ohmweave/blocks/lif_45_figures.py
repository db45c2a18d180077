"""What SPICE measured of the clocked neuron in transistors, as data."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ohmweave.errors import DesignError
from ohmweave.units import Array

__all__ = ["LifFigures"]

Row = tuple[float, ...]


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
    i_column: float
    step: float
    circuit: str

    def beside(self, gains: Array) -> Array:
        """What membranes have beside C_m for these k, F, shape [gains, volts]."""
        still, copies = np.array(self.parasitic)
        return np.asarray(still + gains[:, None] * copies)

    def at_rest(self, gain: float) -> float:
        """The same for one k and a membrane at 0 V, F."""
        return float(np.interp(0.0, self.volts, self.beside(np.array([gain]))[0]))

    def save(self, path: Path) -> None:
        """Write them as JSON; :meth:`load` reads the same figures back."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=None) + "\n", encoding="utf-8")

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
