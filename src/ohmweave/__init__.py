"""ohmweave weaves a trained neural network into a hybrid CMOS-memristor circuit.

    chip = ohmweave.compile(model, ohmweave.Design.default(), calibration=x)
    run = chip.simulate(x)                    # or engine="ngspice"
    run.volts, run.logits                     # the last stage's voltages; the network's own units
    chip.write("netlists/")
"""

from ohmweave.chip import Chip, Run
from ohmweave.compile import compile  # noqa: A004 - the word for it; used as ohmweave.compile
from ohmweave.design import Design
from ohmweave.errors import OhmweaveError
from ohmweave.frontend import load_data, load_model
from ohmweave.graph import Graph

__all__ = ["Chip", "Design", "Graph", "OhmweaveError", "Run", "compile", "load_data", "load_model"]
