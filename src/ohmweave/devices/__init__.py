"""Memristors: each one a current law and a circuit, some with a state that voltages move.

A device is a frozen dataclass whose fields are its parameters, with their units in the annotations.
"""

from typing import Any

from ohmweave.devices.bending import bent
from ohmweave.devices.ion_drift import LinearIonDrift
from ohmweave.devices.linear import Linear
from ohmweave.devices.programming import Programmed, program_by_pulses
from ohmweave.devices.protocols import Device, DynamicDevice, require_reach
from ohmweave.devices.pulses import Pulses
from ohmweave.devices.sinh import Sinh
from ohmweave.devices.stanford import Stanford
from ohmweave.devices.table import Table
from ohmweave.devices.trajectories import Trajectory, follow, hysteresis
from ohmweave.devices.vteam import Vteam
from ohmweave.devices.yakopcic import Yakopcic
from ohmweave.registry import merge

__all__ = [
    "BUILTIN_DEVICES",
    "Device",
    "DynamicDevice",
    "Linear",
    "LinearIonDrift",
    "Programmed",
    "Pulses",
    "Sinh",
    "Stanford",
    "Table",
    "Trajectory",
    "Vteam",
    "Yakopcic",
    "bent",
    "devices",
    "dynamic_devices",
    "follow",
    "hysteresis",
    "program_by_pulses",
    "require_reach",
]


BUILTIN_DEVICES: dict[str, type[Any]] = {
    "linear": Linear,
    "linear_ion_drift": LinearIonDrift,
    "sinh": Sinh,
    "stanford": Stanford,
    "table": Table,
    "vteam": Vteam,
    "yakopcic": Yakopcic,
}


def devices() -> dict[str, type[Any]]:
    """Every device known, by the name a design calls it."""
    return merge("ohmweave.devices", BUILTIN_DEVICES)


def dynamic_devices() -> dict[str, type[Any]]:
    """Those with a state that moves (:class:`DynamicDevice`)."""
    return {name: kind for name, kind in devices().items() if hasattr(kind, "dynamic_cell")}
