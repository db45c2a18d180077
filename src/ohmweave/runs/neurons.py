"""A spiking neuron of transistors, measured: the figures that are its mathematics."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohmweave.blocks import Clocking, neurons
from ohmweave.blocks.characterize_neuron import characterize_neuron
from ohmweave.blocks.clocked_lif_45 import ClockedLif45
from ohmweave.blocks.lif_45_figures import LifFigures
from ohmweave.errors import DesignError
from ohmweave.runs.measured import keep, require_folder, told
from ohmweave.simulate.ngspice import NgspiceSimulator

__all__ = ["CharacterizedNeuron", "characterize_known_neuron"]

_BENCHES = {
    "r_in": "operating points: slope of a column's voltage over its current, 0.1 to 3 times i_column",
    "v_in": "the same: that line at no current",
    "offset": "operating points: membrane at which the comparator's word turns, less v_threshold",
    "leak_farads": "transients with and without leak: what is left of membranes",
    "leak_charge": "the same: what the leak's switches put on a membrane",
    "reset": "transient: membrane behind a reset to zero",
    "packet": "transient, every step with a spike: charge of a reset by subtraction as a share of C_m V_theta",
    "delay": "transient: from the clock compare to a spike",
    "energy_step": "transient: all supplies over a step without input",
    "energy_spike": "transient: what a spike adds",
    "energy_charge": "transient: what a coulomb into a column adds",
    "silence_watts": "transients: what the inverters of a refractory period take while it lasts",
    "error": "40 fresh steps: the furthest that the mathematics miss one by, as a share of V_theta",
}


@dataclass(frozen=True, eq=False)
class CharacterizedNeuron:
    """A neuron's figures, the file that holds them with its tables, and the engine that measured them."""

    name: str
    figures: LifFigures
    file: Path
    engine: str

    @property
    def part(self) -> str:
        """Which part of a design it is."""
        return "neuron"

    def rows(self) -> tuple[tuple[str, float, str, str], ...]:
        """Name, value, unit and bench of each figure."""
        return tuple((*row, _BENCHES[row[0]]) for row in self.figures.rows())

    def summary(self) -> dict[str, Any]:
        """The figures for ``--json``."""
        return {
            "neuron": self.name,
            "file": str(self.file),
            "transistors": self.figures.transistors,
            **told(self.figures, _BENCHES),
            "table": {"currents": len(self.figures.currents), "voltages": len(self.figures.volts)},
            "circuit": self.figures.circuit,
            "engine": self.engine,
        }


def characterize_known_neuron(
    name: str, output: Path | None = None, *, options: Mapping[str, Any] | None = None
) -> CharacterizedNeuron:
    """Measure a neuron that a design calls by its kind, at its default choices and clocks.

    Args:
        name: the kind.
        output: the file to write; ``NAME.characterized.json`` here if none.
        options: of ngspice (``time_limit``, ``executable``).

    Raises:
        DesignError: a neuron whose mathematics are its design's own.
        SimulatorMissing: no ngspice.
        UserError: a place that cannot be written.
    """
    neuron = neurons()[name]()
    if not isinstance(neuron, ClockedLif45):
        raise DesignError(
            f"expected a neuron of transistors, found {name!r}, whose figures are its design's own",
            where="characterize",
            remedy='try "clocked_lif_45"',
        )
    engine, file = NgspiceSimulator(**(options or {})), output or Path(f"{name}.characterized.json")
    require_folder(file)
    figures = characterize_neuron(neuron, Clocking(), engine)
    keep(figures, file)
    return CharacterizedNeuron(name, figures, file, f"{engine.name} {engine.version()}")
