"""What a memristor is to the rest of ohmweave: read at a conductance, and with a state that voltages move."""

from typing import Protocol

from numpy.random import Generator

from ohmweave.circuit import Cell
from ohmweave.devices.pulses import Pulses
from ohmweave.units import Array

__all__ = ["Device", "DynamicDevice", "require_reach"]


class Device(Protocol):
    """A two-terminal memristor, read at a conductance that was programmed.

    One that cannot have every conductance also has ``require_reach(g, where)``, see :func:`require_reach`.
    """

    @property
    def g_range(self) -> tuple[float, float]:
        """Lowest and highest conductance, S."""
        ...

    def program(self, target: Array, rng: Generator) -> Array:
        """Conductances really reached for the targets asked, S, same shape."""
        ...

    def current(self, v: Array, g: Array) -> Array:
        """Current in A at voltage ``v`` (V) and programmed conductance ``g`` (S), broadcast."""
        ...

    def slope(self, v: Array, g: Array) -> Array:
        """di/dv in S, broadcast; asked in float32 where it only serves to find a step."""
        ...

    def cell(self) -> Cell | None:
        """The circuit: ports p, n and parameter g; ``None`` for a resistor of 1/g."""
        ...


def require_reach(device: Device, g: Array, where: str) -> None:
    """Refuse conductances that a device cannot have, where it says that there are such.

    Args:
        device: the memristor.
        g: conductances after all effects, S; nan where there is no device, or an open one.
        where: the place, for the message.

    Raises:
        DesignError: of the device's own ``require_reach``: a conductance beyond what it reaches.
    """
    check = getattr(device, "require_reach", None)
    if check is not None:
        check(g, where)


class DynamicDevice(Device, Protocol):
    """A device with one state x that moves: i = flow(v, x), dx/dt = rate(v, x).

    The state's unit is the model's own, such that its range is of the order of 1.
    """

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest state."""
        ...

    @property
    def pulses(self) -> Pulses:
        """Programming pulses that suit the model."""
        ...

    def state(self, g: Array) -> Array:
        """The state whose conductance at small voltages is ``g`` (S)."""
        ...

    def conductance(self, x: Array) -> Array:
        """Conductance at small voltages in S at state ``x``."""
        ...

    def flow(self, v: Array, x: Array) -> Array:
        """Current in A at voltage ``v`` (V) and state ``x``, broadcast."""
        ...

    def rate(self, v: Array, x: Array) -> Array:
        """dx/dt in states a second at voltage ``v`` (V) and state ``x``, broadcast."""
        ...

    def dynamic_cell(self) -> Cell:
        """The circuit with its state on the net ``x``, V: ports p, n and parameter g, the conductance at 0 s."""
        ...
