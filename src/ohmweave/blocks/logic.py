"""Logic levels of clocked circuits, ideal switches and gates: voltages around ground, like all signals."""

from dataclasses import dataclass

from ohmweave.circuit import Cell, Instance, Surface

__all__ = ["HIGH", "LOW", "Gated", "SwitchLaw", "switch"]

# The rails of the 45 nm technology: a transistor's gate there is on or off.
LOW, HIGH = -0.55, 0.55
# Over which an ideal gate or switch changes, V: narrow beside the levels, wide beside a simulator's tolerance.
_WIDTH = 0.02


def level(text: str) -> str:
    """A logic voltage's expression, 0 at LOW and 1 at HIGH, straight in between."""
    return f"(({text})-({LOW!r}))*{1.0 / (HIGH - LOW)!r}"


def decided(text: str) -> str:
    """A logic voltage's expression, 0 below and 1 above 0 V."""
    return f"0.5*(1.0+tanh(({text})*{1.0 / _WIDTH!r}))"


@dataclass(frozen=True)
class SwitchLaw:
    """i = v g(c), g from ``g_off`` to ``g_on`` as the control c passes 0 V.

    Args:
        g_on: conductance of the closed switch, S.
        g_off: of the open one, S.
    """

    g_on: float
    g_off: float = 1e-15

    def expression(self, x: str, y: str) -> str:
        """The current through the switch for the voltage ``x`` across it and its control ``y``."""
        return f"({x})*({self.g_off!r}+{self.g_on - self.g_off!r}*{decided(y)})"


@dataclass(frozen=True)
class Gated:
    """i = amps d(x) l(y): a current while the gate x is high, in the form of the pulse y.

    Args:
        amps: the current at the pulse's top, A.
        straight: whether the gate is an analog value, l(x) in place of d(x).
    """

    amps: float
    straight: bool = False

    def expression(self, x: str, y: str) -> str:
        """The current for a gate at ``x`` and a pulse at ``y``."""
        return f"{self.amps!r}*({level(x) if self.straight else decided(x)})*{level(y)}"


def switch(name: str, r_on: float) -> Cell:
    """An ideal switch, ports p, n, c: closed while c is above ground.

    Args:
        name: the cell's name.
        r_on: its resistance when closed, ohm.
    """
    part = Instance("s", Surface(SwitchLaw(1.0 / r_on)), ("p", "n", "p", "n", "c", "0"))
    return Cell(name, ("p", "n", "c"), (part,), note=f"ideal switch, {r_on:g} ohm")
