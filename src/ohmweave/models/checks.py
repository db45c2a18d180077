"""What a model must be for a crossbar: finite, passive, monotone in voltage and in state."""

from dataclasses import dataclass

import numpy as np

from ohmweave.devices.file import ModelChoice
from ohmweave.errors import NetlistError
from ohmweave.units import Array

__all__ = ["Place", "check_curves", "check_states"]

# Share of the largest current that counts as none at 0 V.
_NONE = 1e-6
# The state must change the read current by more than this.
_LEAST_CHANGE = 1e-3


@dataclass(frozen=True)
class Place:
    """Whose faults are told: the model and its file."""

    file: str
    choice: ModelChoice

    def refuse(self, expected: str, found: str, remedy: str) -> NetlistError:
        """The error that says so."""
        where = f"{self.file}: {self.choice.name}"
        return NetlistError(f"expected {expected}, found {found}", where=where, remedy=remedy)

    def check_slopes(self, slopes: Array) -> None:
        """Refuse a table whose current falls somewhere between its points."""
        if not (slopes >= 0.0).all():
            raise self.refuse(
                "a current that rises with the voltage between measured points too",
                "a table that falls there",
                "the model changes too abruptly over its state: narrow device.state",
            )


def check_curves(place: Place, states: Array, volts: Array, amps: Array) -> None:
    """Refuse curves that no passive two-terminal read has.

    Args:
        place: for messages.
        states: values of the state parameter, [K].
        volts: ascending, 0 V in the middle, [N], V.
        amps: [K, N], A.

    Raises:
        NetlistError: says at which voltage of which state.
    """
    name, middle = place.choice.state.parameter, len(volts) // 2
    largest = np.abs(amps).max(axis=1)
    for k, state in enumerate(states.tolist()):
        where, curve = f"at {name} = {state:.6g}", amps[k]
        if not largest[k]:
            raise place.refuse("a current", f"none {where}", "narrow device.state to where there is one")
        if not abs(curve[middle]) <= _NONE * largest[k]:
            raise place.refuse(
                "no current at 0 V", f"{curve[middle]:.3g} A {where}", "a memristor is passive: remove its source"
            )
        active = np.flatnonzero(curve * np.sign(volts) < -_NONE * largest[k])
        if len(active):
            j = active[0]
            raise place.refuse(
                "a current along the voltage (v i >= 0)",
                f"{curve[j]:.3g} A at {volts[j]:.3g} V {where}",
                "swap device.ports if they are the wrong way round; an active device cannot be used",
            )
        falling = np.flatnonzero(np.diff(curve) <= 0.0)
        if len(falling):
            j = falling[0]
            raise place.refuse(
                "a current that rises with the voltage",
                f"{curve[j]:.6g} A at {volts[j]:.3g} V and {curve[j + 1]:.6g} A at {volts[j + 1]:.3g} V {where}",
                "lower device.v_max to where it rises",
            )


def check_states(place: Place, states: Array, g: Array) -> None:
    """Refuse a state that does not program the conductance one way.

    Args:
        place: for messages.
        states: ascending values of the state parameter, [K].
        g: read conductance of each, [K], S.

    Raises:
        NetlistError: says between which values.
    """
    name = place.choice.state.parameter
    if np.ptp(g) <= _LEAST_CHANGE * g.max():
        raise place.refuse(
            f"a read conductance that {name} changes",
            f"{g[0]:.6g} S at {name} = {states[0]:.6g} and {g[-1]:.6g} S at {name} = {states[-1]:.6g}",
            "name the parameter that the current depends on at DC; a state that only a transient analysis moves from "
            "its initial value must be a capacitor's with ic=, or begin there at DC as well",
        )
    steps = np.diff(g) * np.sign(g[-1] - g[0])
    wrong = np.flatnonzero(steps <= 0.0)
    if len(wrong):
        k = wrong[0]
        raise place.refuse(
            f"a read conductance that changes one way with {name}",
            f"{g[k]:.6g} S at {name} = {states[k]:.6g} and {g[k + 1]:.6g} S at {name} = {states[k + 1]:.6g}",
            "narrow device.state to where it does",
        )
