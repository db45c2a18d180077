"""The design space of a spiking chip: how rightly it decides and what it takes, choice by choice and by chance.

The network of train_spiking_digits.py (64-32-10, 25 steps of spikes by chance) as a chip with wires of 1 ohm a segment,
10 mV of comparator offset, 2 % of mirror mismatch and 1 ns of jitter in the pulses' widths, in either
microarchitecture. First one choice at a time is varied: membrane capacitance, read voltage, pulse width, conductance
range (G_on with G_off a hundredth of it), comparator offset, side of an array. Then designs are drawn from all values
at once, and those that no other beats in both accuracy and energy are joined in the picture. Every point is the whole
test set through the native engine.

Energy: what the row drivers deliver, hops of spikes between arrays, and at the neurons the charge of the columns and of
its copies, k times as large, from supplies of 1.1 V; comparators, clocks and leaks have no figures with ideal parts.
What cannot be built is told on an axis, and among the designs drawn counted and left out.

    python examples/explore_spiking.py --output spiking-design-space
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from safetensors.numpy import load_file

from ohmweave.blocks import ClockedLif
from ohmweave.choices import ArrayChoice, SpikingChoice
from ohmweave.design import Design
from ohmweave.devices import Linear as Resistive
from ohmweave.encoders import Encoding, Rate
from ohmweave.errors import DesignError
from ohmweave.frontend import load_data
from ohmweave.graph import Graph, Input, Linear, Node
from ohmweave.ops import LeakyIntegrateFire
from ohmweave.spiking import SpikingChip, plan_spiking
from ohmweave.spiking.costs import energies, layouts, together
from ohmweave.temporal import decide, run
from ohmweave.units import Array

WEIGHTS = Path(__file__).with_name("spiking_digits.safetensors")
ENCODING = Encoding(Rate(25), seed=1)
KINDS = ("layer", "crossbar")
SUPPLY, JITTER = 1.1, 1e-9
# Title, what values are multiplied by for the table, the values, and which of them is the default.
AXES = {
    "c_m": ("membrane capacitance, pF", 1e12, (0.1e-12, 0.3e-12, 1e-12, 3e-12, 10e-12), 1e-12),
    "v_read": ("read voltage, V", 1.0, (0.02, 0.05, 0.1, 0.2, 0.3), 0.2),
    "pulse": ("pulse width, ns", 1e9, (10e-9, 25e-9, 50e-9, 100e-9, 200e-9), 100e-9),
    "g_on": ("largest conductance, uS", 1e6, (3e-6, 10e-6, 30e-6, 100e-6, 300e-6, 1e-3), 100e-6),
    "offset": ("comparator offset, mV", 1e3, (0.0, 5e-3, 10e-3, 30e-3, 90e-3), 10e-3),
    "side": ("side of an array", 1.0, (8, 16, 32, 64, 128), 64),
}
DEFAULTS = {name: axis[3] for name, axis in AXES.items()}


@dataclass(frozen=True)
class Point:
    """One chip: microarchitecture, choices, share decided rightly, J an image by part, arrays and utilisation."""

    kind: str
    choices: dict[str, float]
    share: float
    joules: dict[str, float]
    arrays: int
    utilisation: float

    @property
    def total(self) -> float:
        """J an image."""
        return sum(self.joules.values())


def network() -> Graph:
    """The trained network, from its weights."""
    w = load_file(WEIGHTS)
    nodes = [Node("x", Input((w["hidden.weight"].shape[1],)))]
    for linear, lif in (("hidden", "lif1"), ("output", "lif2")):
        outputs = len(w[f"{linear}.weight"])
        nodes.append(Node(linear, Linear(w[f"{linear}.weight"], np.zeros(outputs)), (nodes[-1].name,)))
        beta, threshold = (np.full(outputs, w[f"{lif}.{name}"]) for name in ("beta", "threshold"))
        nodes.append(Node(lif, LeakyIntegrateFire(beta, threshold, "zero", delay=True), (linear,)))
    return Graph(tuple(nodes), ("lif2",))


def design(kind: str, choices: dict[str, float]) -> Design:
    """A design with these choices."""
    base, side, g_on = Design.default(), int(choices["side"]), choices["g_on"]
    return replace(
        base,
        neuron=ClockedLif(c_m=choices["c_m"], offset_spread=choices["offset"], mirror_spread=0.02),
        signal=replace(base.signal, v_read=choices["v_read"]),
        clock=replace(base.clock, pulse=choices["pulse"], jitter=JITTER / choices["pulse"]),
        device=Resistive(g_off=g_on / 100.0, g_on=g_on),
        array=ArrayChoice(rows=side, cols=side),
        spiking=SpikingChoice(microarchitecture=kind),
    )


def measure(graph: Graph, kind: str, choices: dict[str, float], trains: Array, y: Array) -> Point | str:
    """One chip on all images, or why it cannot be built."""
    try:
        chip = SpikingChip(plan_spiking(graph, design(kind, choices)))
    except DesignError as error:
        return str(error)
    found = energies(chip, trains)
    joules = {name: float(each.mean()) for name, each in found.items()}
    joules["columns"], spikes = 0.0, []
    for _, stages in chip.stream(trains, energy=True):
        for stage, each in zip(chip.plan.stages, stages, strict=True):
            gain = float(np.mean([membrane.gain for membrane in stage.membranes]))
            joules["columns"] += SUPPLY * (1.0 + gain) * float(each.coulombs.sum()) / len(trains)
        spikes.append(stages[-1].spikes)
    lies = together(layouts(chip.plan))
    share = float((decide(np.concatenate(spikes)) == y).mean())
    return Point(kind, choices, share, joules, lies.arrays, lies.utilisation)


def varied() -> Iterator[tuple[str, str, dict[str, float]]]:
    """Each axis of each microarchitecture: its name, the microarchitecture, the choices; layers make their arrays."""
    for name, (_, _, values, _) in AXES.items():
        for kind in KINDS if name != "side" else KINDS[1:]:
            for value in values:
                yield name, kind, {**DEFAULTS, name: value}


def drawn(count: int, rng: np.random.Generator) -> Iterator[tuple[str, dict[str, float]]]:
    """So many random designs of each microarchitecture, of the offset as it is."""
    for _ in range(count):
        choices = {name: float(rng.choice(axis[2])) for name, axis in AXES.items()} | {"offset": DEFAULTS["offset"]}
        for kind in KINDS:
            yield kind, choices


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats, by energy: none takes less and is as often right."""
    best: list[Point] = []
    for point in sorted(points, key=lambda each: (each.total, -each.share)):
        if not best or point.share > best[-1].share:
            best.append(point)
    return best


def picture(axes: Sequence[tuple[str, Point]], cloud: Sequence[Point], software: float, path: Path) -> None:
    """Each axis, and the cloud with its fronts."""
    figure = Figure(figsize=(15, 7), layout="constrained")
    places = figure.subplot_mosaic([["c_m", "v_read", "pulse", "cloud"], ["g_on", "offset", "side", "cloud"]])
    least = 100 * min(point.share for _, point in axes) - 1.0
    for name, (title, factor, values, _) in AXES.items():
        place, energy = places[name], places[name].twinx()
        for kind, mark in zip(KINDS, ("o-", "s--"), strict=True):
            found = [point for axis, point in axes if axis == name and point.kind == kind]
            where = [values.index(point.choices[name]) for point in found]
            place.plot(where, [100 * p.share for p in found], mark, label=kind)
            energy.plot(where, [1e9 * p.total for p in found], mark[1:], color="0.6")
        place.set(xlabel=title, ylabel="decided rightly, %", ylim=(least, 100.0))
        place.set_xticks(range(len(values)), [f"{value * factor:g}" for value in values])
        energy.set(yscale="log", ylabel="nJ an image (grey)", ylim=(0.5, 100.0))
    place = places["cloud"]
    for kind, colour in zip(KINDS, ("C0", "C1"), strict=True):
        found = [point for point in cloud if point.kind == kind]
        place.scatter([p.total for p in found], [100 * p.share for p in found], s=14, color=colour, alpha=0.5)
        best = front(found)
        place.step([p.total for p in best], [100 * p.share for p in best], where="post", color=colour, label=kind)
    place.axhline(100 * software, color="0.5", linestyle=":", label="software")
    place.set(xscale="log", xlabel="energy an image, J", ylabel="decided rightly, %", title="best of all designs drawn")
    place.legend()
    places["c_m"].legend()
    figure.savefig(path, dpi=110)


def row(point: Point, what: str) -> str:
    """A line of a table."""
    parts = " | ".join(f"{1e12 * point.joules[name]:.4g}" for name in ("rows", "columns", "routing"))
    return (
        f"| {point.kind} | {what} | {100 * point.share:.2f} | {1e12 * point.total:.4g} | {parts} | {point.arrays} | "
        f"{100 * point.utilisation:.0f} |"
    )


HEADING = (
    "| chip | {} | decided rightly, % | pJ an image | rows | columns | routing | arrays | used, % |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description="Explore the designs of a spiking chip.")
    parser.add_argument("--images", type=int, default=360, help="how many of the test images")
    parser.add_argument("--designs", type=int, default=60, help="how many designs are drawn of each microarchitecture")
    parser.add_argument("--output", type=Path, default=Path("spiking-design-space"), help="folder of the picture")
    options = parser.parse_args(arguments)
    data, graph = load_data("digits", "test"), network()
    assert data.y is not None
    x, y = ENCODING.trains(data.x[: options.images]), data.y[: options.images]
    software = float((decide(run(graph, x)) == y).mean())
    print(f"{len(x)} images, software decides {100 * software:.2f} % rightly")
    axes = []
    for name, kind, choices in varied():
        point = measure(graph, kind, choices, x, y)
        if isinstance(point, str):
            print(f"{kind}, {AXES[name][0]} {choices[name] * AXES[name][1]:g} cannot be built: {point}")
        else:
            axes.append((name, point))
    for name, (title, factor, _, _) in AXES.items():
        print("\n" + HEADING.format(title))
        print("\n".join(row(p, f"{p.choices[name] * factor:g}") for axis, p in axes if axis == name))
    tried = list(drawn(options.designs, np.random.default_rng(0)))
    cloud = [p for kind, choices in tried if isinstance(p := measure(graph, kind, choices, x, y), Point)]
    print(f"\n{len(tried)} designs drawn, {len(tried) - len(cloud)} cannot be built; of the others the best:\n")
    print(HEADING.format("C_m pF, V_read V, pulse ns, G_on uS, offset mV, side"))
    for kind in KINDS:
        for p in front([point for point in cloud if point.kind == kind]):
            print(row(p, ", ".join(f"{p.choices[name] * axis[1]:g}" for name, axis in AXES.items())))
    options.output.mkdir(parents=True, exist_ok=True)
    picture(axes, cloud, software, options.output / "design-space.png")


if __name__ == "__main__":
    main()
