"""The study of tiles and non-idealities: how accurate reference networks stay as circuits.

Every point is a whole chip, wires and op-amps and converters included, that decides the same test images:
near-ideal (the preset "digital": tiles of 64 x 64, wires of 1 ohm a segment, made up for in programming, 8-bit
converters, linear devices of 1 to 100 uS) but for the one choice that its axis varies. Chance is drawn anew
for each seed. Each finished point is a line of NETWORK.jsonl in the output folder, so an interrupted study that is
started again goes on where it was, and one with more seeds or images computes only what is new. At the end
the figures, and the numbers in the page beside the folder, are made of the points that are there.

    python examples/study_tiles_and_nonidealities.py --data DIR
    python examples/study_tiles_and_nonidealities.py --networks digits_mlp --images 60 --seeds 1

DIR holds mnist/, cifar10.zip and cifar100.zip; the weights are those of train_reference_models.py.
"""

import argparse
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import ohmweave as ow
from ohmweave.demo.digits_mlp import WEIGHTS as DIGITS_WEIGHTS
from ohmweave.design import ArrayChoice, Design
from ohmweave.devices import Linear
from ohmweave.effects import Effect, Gaussian, Stuck
from ohmweave.frontend import from_module
from ohmweave.frontend.data import Labels
from ohmweave.graph import Graph
from ohmweave.units import Array

ROOT = Path(__file__).parents[1]
BASE = Design.preset("digital")
CALIBRATION = 128
BEGIN, END = "<!-- numbers, written by examples/study_tiles_and_nonidealities.py -->", "<!-- end of numbers -->"


@dataclass(frozen=True)
class Source:
    """A network of the study: its title, its data ({} stands for their folder), and how many images it decides."""

    title: str
    data: str
    images: int = 500


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "lenet5_mnist": Source("LeNet-5, MNIST", "mnist:{}/mnist", 1000),
        "resnet20_cifar10": Source("ResNet-20, CIFAR-10", "imagefolder:{}/cifar10.zip"),
        "resnet20_cifar100": Source("ResNet-20, CIFAR-100", "imagefolder:{}/cifar100.zip"),
        "digits_mlp": Source("64-32-10, digits", "digits"),
    }
)


@dataclass(frozen=True)
class Axis:
    """What is varied.

    Args:
        figure: the figure that it is a line of.
        title: what it is.
        values: where it is measured.
        design: value -> design, all else near-ideal.
        random: whether seeds matter.
    """

    figure: str
    title: str
    values: tuple[float, ...]
    design: Callable[[float], Design]
    random: bool = False


def tiles(ohms: float, reserve: float = BASE.array.reserve) -> Callable[[float], Design]:
    """Square tiles with wires of ``ohms`` a segment, made up for within a share of the range."""
    return lambda side: replace(BASE, array=ArrayChoice(int(side), int(side), ohms, ohms, reserve=reserve))


def disturbed(effect: Callable[[float], Effect]) -> Callable[[float], Design]:
    """The near-ideal design with one effect."""
    return lambda value: replace(BASE, effects=(effect(value),))


def programmed(levels: float) -> Design:
    """The near-ideal design with devices of so many levels."""
    return replace(BASE, device=Linear(*BASE.device.g_range, levels=int(levels)))


def converters(bits: float) -> Design:
    """The near-ideal design with converters of so many bits behind its readouts."""
    return replace(BASE, coupling=replace(BASE.coupling, adc_bits=int(bits)))


def halves(rate: float) -> Stuck:
    """Half of the broken devices stuck at G_on, half at G_off."""
    return Stuck(on=rate / 2, off=rate / 2)


SIDES = (32.0, 64.0, 128.0, 256.0)
AXES: Mapping[str, Axis] = MappingProxyType(
    {
        "near_ideal": Axis("", "near-ideal", (64,), tiles(1.0)),
        "tile_1": Axis("tiles", "side of a tile, 1 ohm a segment", SIDES, tiles(1.0)),
        "adc": Axis("adc", "bits of the converters behind the readouts", (4, 5, 6, 7, 8, 9, 10), converters),
        "levels": Axis("levels", "levels of a device", (4, 8, 16, 32, 64, 128), programmed),
        "gaussian": Axis(
            "gaussian", "programming error, share of the range", (0.01, 0.02, 0.05, 0.1, 0.2), disturbed(Gaussian), True
        ),
        "stuck": Axis("stuck", "share of stuck devices", (0.001, 0.005, 0.01, 0.02, 0.05), disturbed(halves), True),
        "tile_plain_1": Axis("tiles", "side of a tile, 1 ohm, not made up for", SIDES, tiles(1.0, 0.0)),
        "tile_3": Axis("tiles", "side of a tile, 3 ohm a segment", SIDES, tiles(3.0)),
        "tile_plain_3": Axis("tiles", "side of a tile, 3 ohm, not made up for", SIDES, tiles(3.0, 0.0)),
        "tile_0": Axis("tiles", "side of a tile, no wires", SIDES, tiles(0.0, 0.0)),
    }
)


@dataclass(frozen=True, eq=False)
class Task:
    """A network with the images it decides.

    Args:
        name: of :data:`SOURCES`.
        graph: the network.
        calibration: inputs that set the scales, [samples, ...].
        x: test images, [images, ...].
        y: their classes, [images].
        scores: what the network itself gives, in float64, [images, classes].
        digest: of weights and images, in each result's key.
    """

    name: str
    graph: Graph
    calibration: Array
    x: Array
    y: Labels
    scores: Array
    digest: str


@dataclass(frozen=True)
class Point:
    """One chip: where it is on which axis, and its design with its seed."""

    axis: str
    value: float
    design: Design

    def key(self, task: Task) -> str:
        """Names everything that the result depends on."""
        return hashlib.sha256(f"{task.digest}\n{self.design.dump()}".encode()).hexdigest()[:20]


def read_network(name: str, weights: Path) -> tuple[Graph, Callable[[Array], Array]]:
    """The network as a graph, and its own forward pass in float64."""
    if name == "digits_mlp":
        graph = ow.load_model("ohmweave.demo.digits_mlp:model", weights)
        return graph, graph.forward
    import torch
    from reference_models import FACTORIES
    from safetensors.torch import load_file

    torch.set_num_threads(1)
    network = FACTORIES[name]().eval()
    network.load_state_dict({key: value.float() for key, value in load_file(weights).items()}, strict=False)
    pixels = (1, 28, 28) if "mnist" in name else (3, 32, 32)
    graph, exact = from_module(network, pixels), network.double()

    def forward(x: Array) -> Array:
        with torch.inference_mode():
            return np.concatenate([exact(part).numpy() for part in torch.split(torch.from_numpy(x), 250)])

    return graph, forward


def read_task(name: str, weights: Path, data: Path, images: int) -> Task:
    """A network and a choice of its test images, drawn from all of them."""
    train, test = (ow.load_data(f"{SOURCES[name].data.format(data)}:{split}", split) for split in ("train", "test"))
    assert test.y is not None
    calibration = train.x[np.random.default_rng(0).permutation(len(train.x))[:CALIBRATION]]
    chosen = np.random.default_rng(1).permutation(len(test.x))[:images]
    x, y = np.ascontiguousarray(test.x[chosen]), test.y[chosen]
    graph, forward = read_network(name, weights)
    digest = hashlib.sha256(weights.read_bytes())
    for array in (calibration, x, y):
        digest.update(np.ascontiguousarray(array).tobytes())
    return Task(name, graph, calibration, x, y, forward(x), digest.hexdigest())


def points(axes: Sequence[str], seeds: int) -> Iterator[Point]:
    """Every chip of the study; those of the first seed come first, so that early figures are whole."""
    for seed in range(seeds):
        for name in axes:
            axis = AXES[name]
            if seed == 0 or axis.random:
                for value in axis.values:
                    yield Point(name, value, replace(axis.design(value), seed=seed))


def measure(task: Task, design: Design) -> dict[str, Any]:
    """What a chip decides, beside what the network does.

    The scores of the circuit are ``gain`` times those of the network, by least squares, and what is left is
    ``error`` of that: what all images share, as most of a voltage drop, changes no decision.
    """
    begun = time.perf_counter()
    chip = ow.compile(task.graph, design, calibration=task.calibration)
    scores = chip.predict(task.x)
    right, before = scores.argmax(axis=1) == task.y, task.scores.argmax(axis=1) == task.y
    gain = float(np.vdot(scores, task.scores) / np.vdot(task.scores, task.scores))
    return {
        "images": len(task.x),
        "software": int(before.sum()),
        "circuit": int(right.sum()),
        "lost": int((before & ~right).sum()),
        "gained": int((right & ~before).sum()),
        "gain": round(gain, 5),
        "error": round(float(np.linalg.norm(scores - gain * task.scores) / np.linalg.norm(gain * task.scores)), 5),
        "tiles": sum(len(stage.tiles) for stage in chip.plan.stages),
        "devices": chip.plan.devices,
        "seconds": round(time.perf_counter() - begun, 2),
    }


def read_kept(path: Path) -> dict[str, dict[str, Any]]:
    """Finished points by their keys; a line that was cut off while it was written is left out."""
    kept = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        if line.endswith("}"):
            record = json.loads(line)
            kept[record["key"]] = record
    return kept


def append(path: Path, record: Mapping[str, Any]) -> None:
    """One more line; one that was cut off before must not swallow it."""
    with path.open("a+b") as stream:
        torn = stream.tell() > 0 and (stream.seek(-1, os.SEEK_END), stream.read(1))[1] != b"\n"
        stream.write(b"\n" * torn + json.dumps(record).encode() + b"\n")


def study(task: Task, chosen: Sequence[Point], folder: Path, only_draw: bool) -> list[dict[str, Any]]:
    """Measure what is missing; the records of all chosen points that are there, each with its axis and value."""
    path = folder / f"{task.name}.jsonl"
    kept, found = read_kept(path), []
    for number, point in enumerate(chosen, 1):
        key, place = point.key(task), {"axis": point.axis, "value": point.value, "seed": point.design.seed}
        if key not in kept and not only_draw:
            kept[key] = {"key": key, **place, **measure(task, point.design)}
            append(path, kept[key])
            outcome = f"{kept[key]['circuit']} of {len(task.x)} right (software {kept[key]['software']})"
            print(f"{task.name} {number} of {len(chosen)}: {place}: {outcome}", file=sys.stderr, flush=True)
        if key in kept:
            found.append({**kept[key], **place})
    return found


@dataclass(frozen=True)
class Summary:
    """What the seeds of a point say, in per cent and points.

    Args:
        mean, low, high: accuracy over seeds.
        loss: software's accuracy less the mean.
        doubt: standard error of that loss by the choice of images, of one chip: the images lost and gained
            are what varies.
        gain, error: mean of the scores' gain, and of what else is wrong with them.
        seeds: how many.
    """

    mean: float
    low: float
    high: float
    loss: float
    doubt: float
    gain: float
    error: float
    seeds: int


def summarise(records: Sequence[Mapping[str, Any]], axis: str, value: float) -> Summary | None:
    """Over all seeds of a point; None where there is none."""
    mine = [each for each in records if each["axis"] == axis and each["value"] == value]
    if not mine:
        return None
    images = mine[0]["images"]
    shares = [100.0 * each["circuit"] / images for each in mine]
    software = 100.0 * mine[0]["software"] / images
    moved = np.mean([each["lost"] + each["gained"] for each in mine])
    mean, doubt = float(np.mean(shares)), 100.0 * math.sqrt(moved) / images
    gain, error = (float(np.mean([each[name] for each in mine])) for name in ("gain", "error"))
    return Summary(mean, min(shares), max(shares), software - mean, doubt, gain, error, len(mine))


def draw(found: Mapping[str, Sequence[Mapping[str, Any]]], name: str, path: Path) -> None:
    """One figure: a panel for each network, a line for each axis, the band from the worst seed to the best."""
    with rc_context({"svg.hashsalt": "ohmweave", "font.size": 9}):
        figure = Figure(figsize=(1.2 + 3.0 * len(found), 2.9), layout="constrained")
        panels = figure.subplots(1, len(found), squeeze=False)[0]
        for panel, (network, records) in zip(panels, found.items(), strict=True):
            draw_panel(panel, name, records)
            panel.set_title(f"{SOURCES[network].title}, {records[0]['images']} images", fontsize=9)
        panels[0].set_ylabel("decided rightly, %")
        panels[-1].legend(fontsize=7)
        figure.savefig(path, metadata={"Date": None})


def draw_panel(panel: Axes, name: str, records: Sequence[Mapping[str, Any]]) -> None:
    """The lines of one network."""
    panel.axhline(100.0 * records[0]["software"] / records[0]["images"], color="0.4", ls="--", lw=1, label="software")
    for key, axis in AXES.items():
        if axis.figure != name:
            continue
        seen = {value: each for value in axis.values if (each := summarise(records, key, value))}
        title, _, rest = axis.title.partition(", ") if name == "tiles" else (axis.title, "", "circuit")
        (line,) = panel.plot(list(seen), [each.mean for each in seen.values()], marker="o", ms=3, label=rest)
        if axis.random:
            bounds = [each.low for each in seen.values()], [each.high for each in seen.values()]
            panel.fill_between(list(seen), *bounds, color=line.get_color(), alpha=0.25, lw=0)
        panel.set_xlabel(title)
        if name != "adc":
            panel.set_xscale("log", base=10 if axis.random else 2)
            panel.set_xticks(axis.values, [f"{value:g}" for value in axis.values], minor=False)
            panel.minorticks_off()


def numbers(records: Sequence[Mapping[str, Any]], title: str) -> list[str]:
    """A network's table in Markdown."""
    right, images = records[0]["software"], records[0]["images"]
    lines = [f"### {title}", "", f"Software decides {right} of {images} images rightly, {right / images:.2%}.", ""]
    lines += ["| varied | value | circuit, % | worst to best seed | loss, points | gain | error, % | seeds |"]
    lines += ["|" + 8 * "---|"]
    for key, axis in AXES.items():
        for value in axis.values:
            if each := summarise(records, key, value):
                band = f"{each.low:.2f} to {each.high:.2f}" if each.seeds > 1 else "–"
                loss, scores = f"{each.loss:+.2f} ± {each.doubt:.2f}", f"{each.gain:.3f} | {100.0 * each.error:.1f}"
                lines.append(
                    f"| {axis.title} | {value:g} | {each.mean:.2f} | {band} | {loss} | {scores} | {each.seeds} |"
                )
    return [*lines, ""]


def write_page(path: Path, lines: Sequence[str]) -> None:
    """Put the numbers between their marks; a page that has none gets them at its end."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] if begin else ""
    path.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n{END}{after or chr(10)}", encoding="utf-8")


def find_weights(name: str, folders: Sequence[Path]) -> Path | None:
    """The network's weights in the first folder that has them."""
    if name == "digits_mlp":
        return DIGITS_WEIGHTS
    return next((path for folder in folders if (path := folder / f"{name}.safetensors").exists()), None)


def main(arguments: Sequence[str] | None = None) -> dict[str, list[dict[str, Any]]]:
    """Run the study; returns each network's records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=SOURCES, default=list(SOURCES)[:3])
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--images", type=int, help="test images, drawn from all (default: 1000 of MNIST, 500 of CIFAR)")
    parser.add_argument("--seeds", type=int, default=5, help="chips for each point that chance has a part in")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="folder of mnist/, cifar10.zip, cifar100.zip")
    parser.add_argument("--weights", type=Path, default=ROOT / "build" / "reference", help="folder of the weights")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "studies" / "tiles-and-nonidealities")
    parser.add_argument("--only-draw", action="store_true", help="compute nothing; draw the points that are there")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in options.networks:
        weights = find_weights(name, (options.weights, Path(__file__).parent))
        if weights is None:
            print(f"SKIPPED {name}: no {name}.safetensors in {options.weights}; train_reference_models.py makes it")
            continue
        task = read_task(name, weights, options.data, options.images or SOURCES[name].images)
        records = study(task, list(points(options.axes, options.seeds)), options.output, options.only_draw)
        if records:
            found[name] = records
    page = [line for name, records in found.items() for line in numbers(records, SOURCES[name].title)]
    for name in dict.fromkeys(AXES[key].figure for key in options.axes if AXES[key].figure and found):
        draw(found, name, options.output / f"{name}.svg")
    if found:
        write_page(options.output.with_suffix(".md"), page)
    print("\n".join(page))
    return found


if __name__ == "__main__":
    main()
