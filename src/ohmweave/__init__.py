"""ohmweave weaves a trained neural network into a hybrid CMOS-memristor circuit.

Example:
    chip = ohmweave.compile(model, ohmweave.Design.default(), calibration=x)
    run = chip.simulate(x)  # or engine="ngspice"
    run.volts, run.logits  # the last stage's voltages; the network's own units
    chip.write("netlists/")
    ohmweave.save(chip, "build/mine")  # what the command line works on
"""

from pathlib import Path

from ohmweave import archive
from ohmweave.chip import Chip, Run
from ohmweave.compile import compile
from ohmweave.design import ArrayChoice, Design, SignalChoice
from ohmweave.errors import OhmweaveError
from ohmweave.frontend import load_data, load_model
from ohmweave.graph import Graph
from ohmweave.spiking import SpikingChip, SpikingRun

__all__ = [
    "ArrayChoice",
    "Chip",
    "Design",
    "Graph",
    "OhmweaveError",
    "Run",
    "SignalChoice",
    "SpikingChip",
    "SpikingRun",
    "compile",
    "load",
    "load_data",
    "load_model",
    "save",
]


def save(chip: Chip | SpikingChip, directory: Path | str) -> Path:
    """Write a chip as a build directory; see :func:`ohmweave.archive.save`."""
    return archive.save(chip, Path(directory))


def load(directory: Path | str) -> Chip | SpikingChip:
    """Read a chip back from its build directory; see :func:`ohmweave.archive.load`."""
    return archive.load(Path(directory))
