"""A spiking chip with every neuron and row driver in transistors, whole in ngspice, image by image.

The 64-32-10 network of examples/train_spiking_digits.py, 25 steps, one array a layer, wires without resistance: 42
neurons of 62 transistors, 96 row drivers of 6, in one netlist. Run it as ``python benchmarks/spiking_transistors.py
--images 3``; ngspice takes a good part of an hour an image, so images are told one by one. Each is compared
spike by spike with the native engine, whose mathematics of the neuron SPICE measured, and with the network.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ohmweave.analysis.trains import TrainAgreement, agreement_of_trains
from ohmweave.blocks import ClockedLif45, PulseDriver45
from ohmweave.choices import ArrayChoice
from ohmweave.design import Design
from ohmweave.encoders import Rate
from ohmweave.frontend import load_data, read_nir
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.spiking import SpikingChip, plan_spiking
from ohmweave.temporal import decide, trace

NETWORK = Path(__file__).parents[1] / "examples" / "spiking_digits.nir"
TIME_LIMIT = 14400.0


def chip() -> SpikingChip:
    """The network on arrays without wire resistance, all neurons and drivers in transistors."""
    bare = ArrayChoice(rows=64, cols=64, r_row=0.0, r_col=0.0)
    design = Design(neuron=ClockedLif45(), synapse=PulseDriver45(), array=bare, encoding=Rate(25))
    return SpikingChip(plan_spiking(read_nir(NETWORK).graph, design))


def measure(images: range) -> Iterator[str]:
    """A line for all images in the native engine, one for each in ngspice, and one for these together."""
    made, data = chip(), load_data("digits", "test")
    assert data.y is not None
    graph, trains = made.plan.graph, made.plan.encode(data.x)
    names = [stage.layers[-1] for stage in made.plan.stages]
    native, software = made.simulate(trains), trace(graph, trains, names)
    wanted = decide(software.values[names[-1]])
    right, same = (native.classes == data.y).mean(), (native.classes == wanted).mean()
    ideal = (wanted == data.y).mean()
    yield f"native, {len(data.x)} images: {right:.2%} right (software {ideal:.2%}), {same:.2%} as software"
    spice, found, agree = NgspiceSimulator(time_limit=TIME_LIMIT), list[TrainAgreement](), 0
    for image in images:
        run = made.simulate(trains[image : image + 1], "ngspice", spice=spice)
        parts = [agreement_of_trains(run.spikes[s], native.spikes[s][image : image + 1]) for s in run.spikes]
        off = [np.median(np.abs(run.membranes[s] - native.membranes[s][image : image + 1])) for s in run.spikes]
        found, agree = [*found, *parts], agree + int(run.classes[0] == wanted[image])
        yield (
            f"image {image}: ngspice {run.seconds:.0f} s, {_words(parts)}, membranes off by {off[0]:.4f} and "
            f"{off[1]:.4f} thresholds (median), class {run.classes[0]}, software {wanted[image]}, label {data.y[image]}"
        )
    yield f"{len(images)} images: {_words(found)}, {agree} decisions as software"


def _words(parts: list[TrainAgreement]) -> str:
    spikes, differing, astray = (
        sum(getattr(part, name) for part in parts) for name in ("spikes", "differing", "astray")
    )
    return f"{spikes} spikes, {differing} places unlike the native engine, {astray} spikes off by more than a step"


def main() -> None:
    """Print line by line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=3, help="how many images ngspice runs")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    options = parser.parse_args()
    for line in measure(range(options.first, options.first + options.images)):
        print(line)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
