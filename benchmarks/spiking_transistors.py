"""A spiking chip with every neuron and row driver in transistors, whole in ngspice, image by image.

The 64-32-10 network of examples/train_spiking_digits.py, 25 steps, one array a layer, wires without resistance: 42
neurons of 62 transistors, 96 row drivers of 6, in one netlist. Run it as ``python benchmarks/spiking_transistors.py
--images 20``. Each image is compared spike by spike with the native engine, whose mathematics of the neuron SPICE
measured, and with the network. What ngspice found is kept image by image in the folder spiking_transistors beside this
file (``--kept``), with a digest of circuit and options: the same command goes on where it was broken off, several may
run side by side (``--first``), and what another circuit gave is left out. The report over all images that are kept is
printed and written to spiking_transistors.txt.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.analysis.trains import agreement_of_trains
from ohmweave.blocks import ClockedLif45, PulseDriver45
from ohmweave.blocks.figures import circuit_digest
from ohmweave.choices import ArrayChoice
from ohmweave.design import Design
from ohmweave.encoders import Rate
from ohmweave.frontend import load_data, read_nir
from ohmweave.simulate.deck import CLOCKED_TRANSISTOR_OPTIONS
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.spiking import SpikingChip, plan_spiking
from ohmweave.spiking.chip import SpikingRun
from ohmweave.spiking.circuit import build_spiking
from ohmweave.temporal import decide, trace
from ohmweave.units import Array

NETWORK = Path(__file__).parents[1] / "examples" / "spiking_digits.nir"
TIME_LIMIT = 14400.0
# What is promised: spikes within a step of the native engine's, decisions as software's.
ASTRAY, SAME = 0.01, 0.95


@dataclass(frozen=True)
class Seen:
    """One image in ngspice; lists have an entry for each layer.

    Args:
        image: its number in the test set.
        seconds: that ngspice took.
        spikes: in ngspice.
        differing: places unlike the native engine.
        astray: spikes of either without one of the other's within a step.
        unlike: places unlike software.
        places: neurons times steps.
        off: median distance of membranes from the native engine's, thresholds.
        found: class in ngspice.
        native: in the native engine.
        wanted: in software.
        label: of the image.
    """

    image: int
    seconds: float
    spikes: list[int]
    differing: list[int]
    astray: list[int]
    unlike: list[int]
    places: list[int]
    off: list[float]
    found: int
    native: int
    wanted: int
    label: int


@dataclass(frozen=True, eq=False)
class Desk:
    """The chip, its data, and what the native engine and software say of all images.

    Args:
        chip: the network on arrays without wire resistance, all neurons and drivers in transistors.
        trains: at the inputs, [images, steps, inputs].
        native: run of the native engine.
        software: spikes of each stage by its name, [images, steps, neurons].
        labels: of the images.
        digest: of the circuit and of how ngspice runs it.
    """

    chip: SpikingChip
    trains: Array
    native: SpikingRun
    software: dict[str, Array]
    labels: NDArray[np.int64]
    digest: str

    @staticmethod
    def laid() -> "Desk":
        """Everything but ngspice's answers."""
        bare = ArrayChoice(rows=64, cols=64, r_row=0.0, r_col=0.0)
        design = Design(neuron=ClockedLif45(), synapse=PulseDriver45(), array=bare, encoding=Rate(25))
        chip, data = SpikingChip(plan_spiking(read_nir(NETWORK).graph, design)), load_data("digits", "test")
        assert data.y is not None
        trains = chip.plan.encode(data.x)
        names = {stage.name: stage.layers[-1] for stage in chip.plan.stages}
        values = trace(chip.plan.graph, trains, list(names.values())).values
        software = {stage: values[name] for stage, name in names.items()}
        digest = circuit_digest(build_spiking(chip.plan)) + CLOCKED_TRANSISTOR_OPTIONS
        return Desk(chip, trains, chip.simulate(trains), software, data.y, digest)

    @property
    def wanted(self) -> Array:
        """Classes of software, [images]."""
        return np.asarray(decide(self.software[self.chip.plan.stages[-1].name]))

    def knows(self, kept: Path) -> bool:
        """Whether there is an image of this circuit."""
        if not kept.exists():
            return False
        with np.load(kept) as found:
            return str(found["digest"]) == self.digest

    def seen(self, kept: Path) -> Seen:
        """What ngspice found for one image beside the native engine and software."""
        image = int(kept.stem.rpartition("_")[2])
        one, names = slice(image, image + 1), list(self.software)
        with np.load(kept) as found:
            spikes, membranes = ({s: found[f"{what}_{s}"] for s in names} for what in ("spikes", "membranes"))
            seconds = float(found["seconds"])
        agreed = [agreement_of_trains(spikes[s], self.native.spikes[s][one]) for s in names]
        return Seen(
            image,
            seconds,
            spikes=[each.spikes for each in agreed],
            differing=[each.differing for each in agreed],
            astray=[each.astray for each in agreed],
            unlike=[int(np.count_nonzero(spikes[s] != self.software[s][one])) for s in names],
            places=[each.decisions for each in agreed],
            off=[float(np.median(np.abs(membranes[s] - self.native.membranes[s][one]))) for s in names],
            found=int(decide(spikes[names[-1]])[0]),
            native=int(self.native.classes[image]),
            wanted=int(self.wanted[image]),
            label=int(self.labels[image]),
        )


def natively(desk: Desk) -> str:
    """All images in the native engine as a line."""
    right, same = (desk.native.classes == desk.labels).mean(), (desk.native.classes == desk.wanted).mean()
    ideal = (desk.wanted == desk.labels).mean()
    return f"native, {len(desk.trains)} images: {right:.2%} right (software {ideal:.2%}), {same:.2%} as software"


def measure(desk: Desk, images: range, kept: Path) -> Iterator[str]:
    """A line for each image that ngspice runs now; these are kept."""
    spice = NgspiceSimulator(time_limit=TIME_LIMIT)
    kept.mkdir(exist_ok=True)
    for image in images:
        path = kept / f"image_{image:03d}.npz"
        if not desk.knows(path):
            run = desk.chip.simulate(desk.trains[image : image + 1], "ngspice", spice=spice)
            found: dict[str, Any] = {f"spikes_{s}": run.spikes[s] for s in run.spikes}
            found |= {f"membranes_{s}": run.membranes[s] for s in run.membranes}
            half = path.with_suffix(".half.npz")
            np.savez_compressed(half, seconds=run.seconds, digest=desk.digest, **found)
            half.rename(path)
            yield words(desk.seen(path))


def words(seen: Seen) -> str:
    """One image as a line."""
    return (
        f"image {seen.image}: ngspice {seen.seconds:.0f} s, {sum(seen.spikes)} spikes, {sum(seen.differing)} places "
        f"unlike the native engine, {sum(seen.astray)} spikes off by more than a step, membranes off by "
        f"{' and '.join(f'{each:.4f}' for each in seen.off)} thresholds (median), class {seen.found}, native "
        f"{seen.native}, software {seen.wanted}, label {seen.label}"
    )


def report(images: list[Seen]) -> Iterator[str]:
    """What all images together say, line by line."""
    spikes, astray = (sum(sum(getattr(each, name)) for each in images) for name in ("spikes", "astray"))
    share, worst = astray / max(1, spikes), [max(each.off[layer] for each in images) for layer in (0, 1)]
    same = sum(each.found == each.wanted for each in images) / len(images)
    native = sum(each.found == each.native for each in images)
    yield (
        f"{len(images)} images: {spikes} spikes, {sum(sum(each.differing) for each in images)} places unlike the "
        f"native engine, {astray} spikes ({share:.2%}) off by more than a step"
    )
    for layer, name in enumerate(("hidden", "output")):
        unlike, places = (sum(getattr(each, field)[layer] for each in images) for field in ("unlike", "places"))
        yield (
            f"{name} layer: {unlike} of {places} places ({unlike / places:.2%}) unlike software; membranes off the "
            f"native engine's by at most {worst[layer]:.4f} thresholds (median of an image)"
        )
    yield f"{'KEPT' if share <= ASTRAY else 'NOT KEPT'}: {1.0 - share:.2%} of spikes within a step ({1 - ASTRAY:.0%})"
    yield (
        f"{'KEPT' if same >= SAME else 'NOT KEPT'}: {same:.1%} of decisions as software's ({SAME:.0%} promised), "
        f"{native} of {len(images)} as the native engine's"
    )


def main() -> None:
    """Print line by line and keep the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20, help="how many images ngspice runs")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--kept", type=Path, default=Path(__file__).with_suffix(""), help="folder of what it found")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).with_suffix(".txt"), help="where to keep the report"
    )
    options = parser.parse_args()
    desk = Desk.laid()
    for line in measure(desk, range(options.first, options.first + options.images), options.kept):
        print(line, file=sys.stderr, flush=True)
    paths = [path for path in sorted(options.kept.glob("image_[0-9]*[0-9].npz")) if desk.knows(path)]
    images = [desk.seen(path) for path in paths]
    if not images:
        parser.error("expected images, found none kept; ask for --images 1 or more")
    text = "\n".join([natively(desk), *map(words, images), *report(images)]) + "\n"
    options.output.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
