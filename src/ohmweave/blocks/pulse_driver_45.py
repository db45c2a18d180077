"""The driver of a row of synapses in transistors of the 45 nm technology."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from ohmweave.blocks.technology import V_DD, V_SS, nmos, pmos
from ohmweave.circuit import Cell, Instance, VoltageSource
from ohmweave.errors import DesignError
from ohmweave.units import Unit, require

__all__ = ["PulseDriver45"]

_SHORT = 45e-9
# Conductance for a width, S/m, of channels 45 nm long with their gate at the other rail, within some millivolts of
# their source: of an n channel at ground, and of a p channel at v_read, 0.1 V to 0.3 V, there at 0.2 V and its slope.
# tests/contract/test_neurons.py holds them against the cards.
_N_SIEMENS, _P_SIEMENS, _P_SLOPE, _AT = 519.0, 900.0, 3.6e3, 0.2
_READ = (0.1, 0.3)
_WIDTHS = (1e-6, 1e-3)
# Width of the gate's transistors as a share of the wider switch.
_GATE = 0.1


@dataclass(frozen=True)
class PulseDriver45:
    """A row switched to v_read while its gate and the clock ``pulse`` are high, else to ground: six transistors.

    A NAND gate drives an inverter whose supplies are v_read and ground. Its transistors have the same resistance,

        W_n = 1 / (519 S/m R),   W_p = 1 / ((900 S/m + 3600 S/(V m) (v_read - 0.2 V)) R).

    Args:
        r_source: R, of either switch, ohm.

    Raises:
        DesignError: a resistance that is not positive or asks for switches that nobody would build.
    """

    r_source: Annotated[float, Unit("ohm")] = 20.0
    kind: ClassVar[str] = "pulse_driver_45"
    # Its switch to the supply is sooner than that to ground; 0.05 ns to 0.2 ns for loads from 5 mS to 50 uS.
    stretch: ClassVar[float] = 0.12e-9

    def __post_init__(self) -> None:
        require("synapse.r_source", self.r_source, "ohm", "20 ohm")
        width = 1.0 / (_N_SIEMENS * self.r_source)
        if not _WIDTHS[0] <= width <= _WIDTHS[1]:
            raise DesignError(
                f"expected switches {_WIDTHS[0]:g} m to {_WIDTHS[1]:g} m wide, found {width:.4g} m",
                where="synapse.r_source",
                remedy='try r_source = "20 ohm"',
            )

    def cell(self, name: str, v_read: float, *, straight: bool = False) -> Cell:
        """The circuit, ports gate, pulse, row.

        Args:
            name: the cell's name.
            v_read: height of the pulse, V.
            straight: whether the gate is an analog value; only gates of logic levels will do.

        Raises:
            DesignError: a pulse that its p channel cannot make, or gates of analog values.
        """
        if straight:
            raise DesignError(
                "expected spikes at the rows, found values in between",
                where="synapse pulse_driver_45",
                remedy='encode inputs as spikes, or choose synapse.kind = "ideal"',
            )
        if not _READ[0] <= v_read <= _READ[1]:
            raise DesignError(
                f"expected a read voltage from {_READ[0]:g} V to {_READ[1]:g} V, found {v_read:g} V",
                where="synapse pulse_driver_45",
                remedy='change signal.v_read, or choose synapse.kind = "ideal"',
            )
        low = 1.0 / (_N_SIEMENS * self.r_source)
        high = 1.0 / ((_P_SIEMENS + _P_SLOPE * (v_read - _AT)) * self.r_source)
        gate = _GATE * max(low, high)
        parts = (
            Instance("vdd", VoltageSource(V_DD), ("vdd", "0")),
            Instance("vss", VoltageSource(V_SS), ("vss", "0")),
            Instance("vr", VoltageSource(v_read), ("read", "0")),
            Instance("na", nmos(gate, _SHORT), ("off", "gate", "middle", "vss")),
            Instance("nb", nmos(gate, _SHORT), ("middle", "pulse", "vss", "vss")),
            Instance("pa", pmos(gate, _SHORT), ("off", "gate", "vdd", "vdd")),
            Instance("pb", pmos(gate, _SHORT), ("off", "pulse", "vdd", "vdd")),
            Instance("up", pmos(high, _SHORT), ("row", "off", "read", "vdd")),
            Instance("down", nmos(low, _SHORT), ("row", "off", "0", "vss")),
        )
        note = f"row driver, {v_read:g} V, {self.r_source:g} ohm, 6 transistors"
        return Cell(name, ("gate", "pulse", "row"), parts, note=note)
