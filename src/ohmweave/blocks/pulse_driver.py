"""What drives a row of synapses: a read pulse in every step in which its neuron has spiked."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from ohmweave.blocks.logic import Gated
from ohmweave.circuit import Cell, Instance, Resistor, Surface
from ohmweave.units import Array, Unit, require

__all__ = ["PulseDriver"]


@dataclass(frozen=True)
class PulseDriver:
    """A row at v_read behind r_source while its gate and the pulse's clock are high, else at 0 V behind r_source.

    An ideal driver, v_row = v_read d(gate) l(pulse) - r_source i, where d is 0 or 1 and l follows the clock's edges.

    Args:
        r_source: source resistance, ohm.
    """

    r_source: Annotated[float, Unit("ohm")] = 10.0
    kind: ClassVar[str] = "ideal"
    stretch: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        require("synapse.r_source", self.r_source, "ohm", "10 ohm")

    def cell(self, name: str, v_read: float, *, straight: bool = False) -> Cell:
        """The circuit, ports gate, pulse, row.

        Args:
            name: the cell's name.
            v_read: height of the pulse, V.
            straight: whether the gate is an analog value, of which the pulse's height is a share.
        """
        source = Surface(Gated(v_read / self.r_source, straight))
        parts = (
            Instance("s", source, ("0", "row", "gate", "0", "pulse", "0")),
            Instance("r", Resistor(self.r_source), ("row", "0")),
        )
        return Cell(name, ("gate", "pulse", "row"), parts, note=f"row driver, {v_read:g} V, {self.r_source:g} ohm")

    def respond(self, gate: Array, v_read: float) -> Array:
        """Open-circuit voltage of the row at the pulse's top in V, for gates from 0 to 1."""
        return gate * v_read
