"""The study of co-optimisation: network, circuit and device of a fully analog chip with op-amps in transistors.

Every point is a whole chip, one circuit without converters: arrays with wires of 1 ohm a segment on tiles of 64 x 64,
two op-amps a column, ReLUs, biases. It differs from the base (784-128-10, devices of 1 to 30 uS, read at 0.1 V,
resistors in the loops, two-stage op-amps of a 45 nm technology for 30 MHz and 200 uA) by the one choice of its axis,
or by those of a joint search. Chips of transistors decide ``--images`` images in the native engine, which solves the
curves that SPICE measured on the op-amp; their settling is a transient of the most loaded column of each stage in
ngspice, transistors and all. Op-amps of sources (``finite``) are used where transistors cannot be, or where many
images count: they decide ``--many``.

Each finished point is a line of DATA.jsonl in the output folder: a study that is started again goes on where it was.
Its key names the chip by what differs from the defaults at the time (``study_keys.py``), and network and images.

    python examples/study_cooptimisation.py --data mnist:DIR
    python examples/study_cooptimisation.py --data digits --images 40 --many 100 --axes base gain bits
"""

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from analog_parts import line_amps, network, opamp_cells, settling, sized, stage_inputs
from cooptimisation_page import Records, draw, numbers, summary, winner, write_page
from study_keys import described, known
from study_tiles_and_nonidealities import append, read_kept

import ohmweave as ow
from ohmweave.analysis.deviation import deviation
from ohmweave.blocks import Feedback, Finite, MemristorFeedback, ResistorFeedback, SwitchedFeedback, TwoStage45
from ohmweave.blocks.figures import circuit_digest
from ohmweave.blocks.two_stage import Target
from ohmweave.chip import Chip
from ohmweave.design import Design, SignalChoice
from ohmweave.devices import Linear
from ohmweave.effects import Gaussian, Temperature
from ohmweave.errors import EngineError
from ohmweave.frontend.data import Labels
from ohmweave.graph import Graph
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

ROOT = Path(__file__).parents[1]
CALIBRATION = 128
BASE = Design(device=Linear(1e-6, 30e-6), signal=SignalChoice(v_read=0.1, v_out=0.3))


@dataclass(frozen=True)
class Source:
    """A data set: the hidden layers of its networks, the base's first, and passes over the data to train them."""

    title: str
    networks: tuple[tuple[int, ...], ...]
    epochs: int


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "mnist": Source("MNIST", ((128,), (32,), (64,), (64, 64)), 10),
        "digits": Source("digits", ((32,), (8,), (16,), (16, 16)), 60),
    }
)


@dataclass(frozen=True)
class Point:
    """One chip of the study.

    Args:
        axis, value: where it is.
        design: without its op-amp.
        target: what its op-amps are sized for; None for ``finite`` ones.
        gain: of ``finite`` op-amps.
        hidden: hidden layers; the base's if none.
        bits: of the inputs; 0 leaves them as they are.
    """

    axis: str
    value: float | str
    design: Design = BASE
    target: Target | None = field(default_factory=Target)
    gain: float = 1.5e4
    hidden: tuple[int, ...] = ()
    bits: int = 0

    def chip(self) -> str:
        """Names the chip apart from its network: its choices, and the transistors that its op-amps are or are like."""
        choices = described(self.design, known()), described(self.target or self.gain, known()), self.bits
        transistors = circuit_digest(*opamp_cells(self.target or Target()))
        return hashlib.sha256(json.dumps((choices, transistors), sort_keys=True).encode()).hexdigest()[:10]

    def key(self, digest: str) -> str:
        """Names everything that the result depends on; ``digest`` is that of images and weights."""
        return f"{self.chip()}-{hashlib.sha256(digest.encode()).hexdigest()[:10]}"


def conductances(on: float, ratio: float) -> Design:
    """The base with devices from ``on`` / ``ratio`` to ``on``, S."""
    return replace(BASE, device=Linear(on / ratio, on))


def reading(volts: float) -> Design:
    """The base read at another voltage."""
    return replace(BASE, signal=replace(BASE.signal, v_read=volts))


def warm(feedback: Feedback, **coefficients: float) -> Callable[[float], Design]:
    """The base at a temperature, with a choice of loops."""
    return lambda kelvin: replace(BASE, feedback=feedback, effects=(Temperature(kelvin, **coefficients),))


KELVIN = (250.0, 300.15, 325.0, 350.0, 375.0, 400.0)
FEEDBACKS: Mapping[str, Feedback] = MappingProxyType(
    {"resistor": ResistorFeedback(), "memristor": MemristorFeedback(), "switched": SwitchedFeedback(10e6, 20e-15)}
)
# Read voltage (V), highest conductance (S), range, sink current (A), bandwidth (Hz), hidden layer.
JOINT = (
    (0.1, 10e-6, 30.0, 100e-6, 30e6, 128), (0.1, 3e-6, 30.0, 50e-6, 30e6, 128), (0.1, 3e-6, 30.0, 25e-6, 30e6, 128),
    (0.05, 3e-6, 30.0, 25e-6, 30e6, 128), (0.1, 3e-6, 100.0, 25e-6, 30e6, 128), (0.1, 3e-6, 100.0, 25e-6, 100e6, 128),
    (0.1, 3e-6, 100.0, 50e-6, 100e6, 128), (0.1, 3e-6, 100.0, 50e-6, 200e6, 128), (0.1, 1e-6, 100.0, 25e-6, 100e6, 128),
    (0.1, 3e-6, 100.0, 25e-6, 200e6, 128), (0.1, 3e-6, 100.0, 25e-6, 100e6, 64), (0.1, 3e-6, 100.0, 50e-6, 100e6, 64),
    (0.1, 3e-6, 100.0, 25e-6, 200e6, 64), (0.1, 3e-6, 100.0, 12e-6, 100e6, 64), (0.1, 3e-6, 100.0, 12e-6, 200e6, 64),
    (0.1, 1e-6, 100.0, 12e-6, 100e6, 64), (0.05, 1e-6, 100.0, 6e-6, 100e6, 64), (0.1, 3e-6, 100.0, 25e-6, 100e6, 32),
)  # fmt: skip

# Wires, ohm a segment, and network of the whole netlists that go through ngspice: without wires the base.
WHOLE = ((0.0, 0), (1.0, 1))


def points(networks: Sequence[tuple[int, ...]]) -> dict[str, list[Point]]:
    """Every chip of the study by axis."""
    finite = {"target": None}
    axes: dict[str, list[Point]] = {
        "base": [Point("base", 0.0)],
        "sink": [Point("sink", amps, target=Target(i_out=amps)) for amps in (50e-6, 100e-6, 200e-6)],
        "gbw": [Point("gbw", hertz, target=Target(gbw=hertz)) for hertz in (10e6, 30e6, 100e6)],
        "feedback": [
            Point("feedback", name, replace(BASE, feedback=kind), **finite) for name, kind in FEEDBACKS.items()
        ],
        "read": [Point("read", volts, reading(volts)) for volts in (0.025, 0.1, 0.2)],
        "on": [Point("on", on, conductances(on, 30.0)) for on in (1e-6, 30e-6, 100e-6)],
        "network": [Point("network", "-".join(map(str, hidden)), hidden=hidden) for hidden in networks],
        "gain": [Point("gain", gain, gain=gain, **finite) for gain in (10.0, 30.0, 100.0, 300.0, 1e3, 1e4, 1e5)],
        "range": [
            Point("range", ratio, conductances(30e-6, ratio), **finite) for ratio in (2.0, 3.0, 10.0, 30.0, 100.0)
        ],
        "bits": [Point("bits", bits, bits=bits, **finite) for bits in (1, 2, 3, 4, 6, 8)],
    }
    programmed = replace(BASE, effects=(Gaussian(0.02),))
    axes["error"] = [
        Point("error", name, replace(programmed, feedback=kind), **finite) for name, kind in FEEDBACKS.items()
    ]
    for name in ("resistor", "memristor"):
        own, same = warm(FEEDBACKS[name]), warm(FEEDBACKS[name], alpha_off=-1e-3, alpha_on=-1e-3)
        for axis, design in ((f"kelvin_{name}", own), (f"same_{name}", same)):
            axes[axis] = [Point(axis, t, design(t), **finite) for t in KELVIN]
    axes["joint"] = [joint(*choice, base=networks[0]) for choice in JOINT]
    return axes


def joint(
    volts: float, on: float, ratio: float, sink: float, gbw: float, width: int, *, base: tuple[int, ...]
) -> Point:
    """A chip that differs from the base in many ways; the hidden layer is as much narrower as 128 is than its base."""
    design = replace(reading(volts), device=Linear(on / ratio, on))
    name = f"{volts * 1e3:g} mV, {on * 1e6:g} µS / {ratio:g}, {sink * 1e6:g} µA, {gbw / 1e6:g} MHz, {width}"
    hidden = (base[0] * width // 128,)
    return Point("joint", name, design, Target(gbw=gbw, i_out=sink), hidden=hidden)


@dataclass(frozen=True, eq=False)
class Task:
    """The images of the study, [images, pixels], and their classes; inputs for calibration; where networks are kept."""

    source: Source
    calibration: Array
    x: Array
    y: Labels
    train_x: Array
    train_y: Labels
    cache: Path

    def graph(self, hidden: tuple[int, ...]) -> Graph:
        """A trained network."""
        layers = hidden or self.source.networks[0]
        return network(layers, self.train_x, self.train_y, self.source.epochs, self.cache / "networks")

    def digest(self, hidden: tuple[int, ...], images: int) -> str:
        """Of a network and the images it decides."""
        content = hashlib.sha256(self.graph(hidden).digest().encode())
        for array in (self.calibration, self.x[:images], self.y[:images]):
            content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()


def read_task(data: str, cache: Path) -> Task:
    """The images, test images in an order that is drawn once."""
    train, test = (ow.load_data(f"{data}:{split}", split) for split in ("train", "test"))
    assert train.y is not None
    assert test.y is not None
    x, order = train.x.reshape(len(train.x), -1), np.random.default_rng(1).permutation(len(test.x))
    calibration = x[np.random.default_rng(0).permutation(len(x))[:CALIBRATION]]
    source = SOURCES[data.partition(":")[0]]
    return Task(source, calibration, test.x.reshape(len(test.x), -1)[order], test.y[order], x, train.y, cache)


@cache
def accuracy(task: Task, hidden: tuple[int, ...]) -> float:
    """Share of all test images that a network decides rightly."""
    return float((task.graph(hidden).forward(task.x).argmax(axis=1) == task.y).mean())


def coded(x: Array, bits: int) -> Array:
    """Inputs of 0 to 1 as an ideal converter of so many bits gives them."""
    return np.round(x * (2**bits - 1)) / (2**bits - 1) if bits else x


def weave(task: Task, point: Point) -> Chip:
    """The chip of a point; its op-amps are measured in ngspice where that is not done yet."""
    if point.target is None:
        known = TwoStage45()
        opamp = Finite(point.gain, v_low=known.v_low, v_high=known.v_high, quiescent_power=known.quiescent_power)
        design = replace(point.design, opamp=opamp)
    else:
        design = replace(point.design, opamp=sized(point.target, task.cache / "opamps"))
    return ow.compile(task.graph(point.hidden), design, calibration=task.calibration)


def measure(task: Task, point: Point, images: int) -> dict[str, Any]:
    """What a chip decides, draws and takes; ``error`` is what its scores are off by, relative, after a common gain."""
    begun, chip = time.perf_counter(), weave(task, point)
    x, y = coded(task.x[:images], point.bits), task.y[:images]
    run, scores = chip.simulate(x), task.graph(point.hidden).forward(task.x[:images])
    right, before = run.logits.argmax(axis=1) == y, scores.argmax(axis=1) == y
    gain = float(np.vdot(run.logits, scores) / np.vdot(scores, scores))
    found: dict[str, Any] = {
        "images": images,
        "software": int(before.sum()),
        "circuit": int(right.sum()),
        "lost": int((before & ~right).sum()),
        "gained": int((right & ~before).sum()),
        "gain": round(gain, 5),
        "error": round(float(np.linalg.norm(run.logits - gain * scores) / np.linalg.norm(gain * scores)), 5),
        "power": float(f"{run.power.total.mean():.5g}"),
        "opamps": chip.plan.opamps,
        "devices": chip.plan.devices,
        "sinks": float(f"{largest_sink(chip, run, x):.4g}"),
    }
    if point.target is not None and shutil.which("ngspice"):
        each = [settling(chip, run, index, x) for index in range(len(chip.plan.stages))]
        found |= {"settling": [float(f"{seconds:.4g}") for seconds in each]}
    return {**found, "seconds": round(time.perf_counter() - begun, 2)}


def largest_sink(chip: Chip, run: Any, x: Array) -> float:
    """What an inner op-amp would have to sink at most, A: twice the current of its plus line, without wires."""
    stages = enumerate(chip.plan.stages)
    return max(2.0 * float(line_amps(stage, stage_inputs(chip, run, k, x))[:, ::2].max()) for k, stage in stages)


def whole(task: Task, point: Point, ohms: float) -> dict[str, Any]:
    """The whole netlist of a chip in ngspice, transistors and all, on one image, against the native engine."""
    design = replace(point.design, array=replace(point.design.array, r_row=ohms, r_col=ohms))
    chip = weave(task, replace(point, design=design))
    native = chip.simulate(task.x[:1])
    spice = chip.simulate(task.x[:1], NgspiceSimulator(time_limit=5000.0))
    return {
        "devices": chip.plan.devices,
        "opamps": chip.plan.opamps,
        "ohms": ohms,
        "deviation": float(f"{deviation(native.stage_volts, spice.stage_volts).largest:.3g}"),
        "native_power": float(native.power.total[0]),
        "spice_power": float(spice.power.total[0]),
        "spice_seconds": round(spice.waves.seconds["total"], 1),
        "same": bool(native.logits.argmax() == spice.logits.argmax()),
    }


@dataclass(frozen=True)
class Study:
    """Measures points that are not kept yet.

    Args:
        task: the images.
        path: where finished points are.
        images, many: how many images chips of transistors decide, and chips of sources.
        only_draw: measure nothing.
    """

    task: Task
    path: Path
    images: int
    many: int
    only_draw: bool

    def records(self, chosen: Sequence[Point]) -> Iterator[dict[str, Any]]:
        """The records of some points, each with its axis and value."""
        for point in chosen:
            count = min(self.many if point.target is None else self.images, len(self.task.y))
            try:
                yield from self._record(point, count, f"{count}", partial(measure, self.task, point, count))
            except EngineError as error:
                print(f"FAILED {point.axis} {point.value}: {error}", file=sys.stderr, flush=True)

    def whole(self, count: int) -> Iterator[dict[str, Any]]:
        """The records of whole netlists in ngspice, the first so many of :data:`WHOLE`."""
        for ohms, number in WHOLE[:count]:
            point = Point("whole", ohms, hidden=self.task.source.networks[number])
            yield from self._record(point, 1, f"whole {ohms}", partial(whole, self.task, point, ohms))

    def _record(
        self, point: Point, images: int, what: str, make: Callable[[], dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        kept = read_kept(self.path)
        key = point.key(f"{self.task.digest(point.hidden, images)} {what}")
        place = {"axis": point.axis, "value": point.value, "transistors": point.target is not None}
        if key not in kept and self.only_draw:
            return
        if key not in kept:
            kept[key] = {"key": key, **place, **make()}
            append(self.path, kept[key])
            print(json.dumps(kept[key], ensure_ascii=False), file=sys.stderr, flush=True)
        network = accuracy(self.task, point.hidden or self.task.source.networks[0])
        yield {**kept[key], **place, "network": network}


def main(arguments: Sequence[str] | None = None) -> Records:
    """Run the study; returns its records."""
    options = read_arguments(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    task, path = read_task(options.data, options.cache), options.output / f"{options.data.partition(':')[0]}.jsonl"
    study = Study(task, path, options.images, options.many, options.only_draw)
    every = points(task.source.networks)
    chosen = [point for axis in options.axes for point in every[axis]]
    if not shutil.which("ngspice"):
        print("no ngspice: settling is left out, and op-amps of other sizes", file=sys.stderr)
        chosen = [point for point in chosen if point.target in (None, Target())]
    found = list(study.records(chosen))
    best = winner(found)
    if best is not None and options.final:
        point = next(each for each in chosen if (each.axis, each.value) == (best["axis"], best["value"]))
        found += replace(study, images=options.final).records([replace(point, axis="final")])
    if shutil.which("ngspice"):
        found += study.whole(options.whole)
    page = [*numbers(found, task.source.title), *summary(found)]
    if found:
        draw(found, options.output)
        write_page(options.output.with_suffix(".md"), page)
        print("\n".join(page))
    return found


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    axes = list(points(((1,),)))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=f"mnist:{ROOT / 'data' / 'mnist'}", help="mnist:DIR or digits")
    parser.add_argument("--axes", nargs="+", choices=axes, default=axes)
    parser.add_argument("--images", type=int, default=100, help="test images for chips of transistors")
    parser.add_argument("--many", type=int, default=2000, help="test images for chips of finite op-amps")
    parser.add_argument("--final", type=int, default=500, help="test images for the best chip; 0 leaves it out")
    parser.add_argument("--whole", type=int, default=len(WHOLE), help="whole netlists that go through ngspice")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "studies" / "co-optimisation")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "co-optimisation", help="weights and op-amps")
    parser.add_argument("--only-draw", action="store_true", help="compute nothing; draw the points that are there")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
