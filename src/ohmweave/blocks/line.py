"""What feeds a row: drivers at the chip's inputs, inverters between stages."""

from dataclasses import dataclass
from typing import Annotated

from ohmweave.circuit import Cell, Instance, Resistor, Vcvs
from ohmweave.units import Unit, require

__all__ = ["Driver", "inverter"]


@dataclass(frozen=True)
class Driver:
    """An input driver: v_p = v_in behind r_source, and v_n = -v_in where rows come in pairs.

    Args:
        r_source: source resistance of each line, ohm.
        noise: standard deviation of what is added to every input of the chip, sample by sample, V; the n-th sample of
            a run has the n-th draw, so that a run is reproduced and two runs have the same noise.
    """

    r_source: Annotated[float, Unit("ohm")] = 1.0
    noise: Annotated[float, Unit("V")] = 0.0

    def __post_init__(self) -> None:
        require("driver.r_source", self.r_source, "ohm", "1 ohm", zero=True)
        require("driver.noise", self.noise, "V", "0 V", zero=True)

    def cell(self, name: str, lines: int) -> Cell:
        """The circuit, ports in, p and, with two lines, n."""
        # A follower of gain one stands in for a source without resistance.
        parts = [
            Instance("p", Resistor(self.r_source), ("in", "p"))
            if self.r_source
            else Instance("p", Vcvs(1.0), ("p", "0", "in", "0"))
        ]
        if lines == 2:
            parts.append(Instance("n", Vcvs(-1.0), ("m" if self.r_source else "n", "0", "in", "0")))
            if self.r_source:
                parts.append(Instance("s", Resistor(self.r_source), ("m", "n")))
        return Cell(name, ("in", "p", "n")[: 1 + lines], tuple(parts), note=f"input driver, {self.r_source:g} ohm")


def inverter(name: str, opamp: Cell, resistor: float) -> Cell:
    """An inverting op-amp of gain -1, ports in, out; two resistors of ``resistor`` ohm."""
    parts = (
        Instance("op1", opamp, ("0", "s", "out")),
        Instance("i", Resistor(resistor), ("in", "s")),
        Instance("f", Resistor(resistor), ("s", "out")),
    )
    return Cell(name, ("in", "out"), parts, note="line inverter")
