"""Whole spiking chips on whole test sets: the native engine against snnTorch's forward pass and ngspice.

The networks of examples/train_spiking_digits.py (64-32-10) and train_spiking_mnist.py (784-128-10), 25 steps of spikes
by chance, in the default design of spiking networks: wires of 1 ohm a segment that devices are programmed to make up
for, columns read at both ends, resistances of 10 ohm in drivers and column ends, either microarchitecture; and by layer
once more without what spares them their wires. Run it as
``python benchmarks/spiking.py digits mnist:DIR``. In one process and on one thread the engine and snnTorch's forward
pass of the same network (single precision, all images of a step in one batch, or 1000) take turns; of each the quickest
run counts. The first images go through ngspice too, a transient of the whole chip each (``--checked 0`` leaves it out;
the large network takes ngspice hours), and every spike is compared; that chip has no wires, with which ngspice
takes many times as long. Last, parts that are ideal throughout (no wires, 10 mohm in drivers and column ends, membranes
held within 10 thresholds) against software itself: all images in the engine, the first ones in ngspice. Prints tables
and keeps them in spiking.txt beside this file, one for each network.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from ohmweave.blocks import ClockedLif, PulseDriver
from ohmweave.choices import ArrayChoice, SpikingChoice
from ohmweave.design import Design
from ohmweave.encoders import Encoding, Rate
from ohmweave.errors import OhmweaveError
from ohmweave.frontend import Data, load_data
from ohmweave.graph import Graph, Input, Linear, Node
from ohmweave.ops import LeakyIntegrateFire
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.simulate.survey import detect
from ohmweave.spiking import SpikingChip, plan_spiking
from ohmweave.temporal import decide, trace
from ohmweave.units import Array

EXAMPLES = Path(__file__).parents[1] / "examples"
ENCODING = Encoding(Rate(25), seed=1)
KINDS = ("layer", "crossbar")
# What the preset makes up for: columns grounded at one end, devices programmed as if wires had no resistance.
PLAIN = "layer, not spared"
BATCH, ROUNDS, LIMIT = 1000, 7, 30.0
SPICE_LIMIT = 3600.0
SLOWER, QUICKER, POINTS = 5.0, 1000.0, 1.0
# Thresholds; as the contract tests have it.
AGREEMENT = 1e-3
# Of spikes in a whole test set: 10 mohm take 1e-4 of the current of rows with hundreds of devices, and a membrane in
# some tens of thousands comes that close to its threshold.
UNLIKE = 1e-4
PEER = "snnTorch, float32"

Way = Callable[[], Array]


@dataclass(frozen=True)
class Row:
    """One way to all answers: the quickest run, s, what was done once, s, and the share of images decided rightly."""

    seconds: float
    once: float
    share: float


def network(weights: Path) -> Graph:
    """The trained network."""
    w = load_file(weights)
    nodes = [Node("x", Input((w["hidden.weight"].shape[1],)))]
    for linear, lif in (("hidden", "lif1"), ("output", "lif2")):
        outputs = len(w[f"{linear}.weight"])
        nodes.append(Node(linear, Linear(w[f"{linear}.weight"], np.zeros(outputs)), (nodes[-1].name,)))
        beta, threshold = (np.full(outputs, w[f"{lif}.{name}"]) for name in ("beta", "threshold"))
        nodes.append(Node(lif, LeakyIntegrateFire(beta, threshold, "zero", delay=True), (linear,)))
    return Graph(tuple(nodes), ("lif2",))


def peer(weights: Path, trains: NDArray[Any]) -> tuple[Way, Way]:
    """The forward pass of the same network in snnTorch, all images at once and some; the spikes of each output."""
    import snntorch
    import torch

    torch.set_num_threads(1)
    w = {name: torch.from_numpy(value) for name, value in load_file(weights).items()}
    linear = [torch.nn.functional.linear] * 2
    neurons = [
        snntorch.Leaky(beta=w[f"{name}.beta"], threshold=w[f"{name}.threshold"], reset_mechanism="zero")
        for name in ("lif1", "lif2")
    ]
    x = torch.from_numpy(trains).transpose(0, 1).contiguous()

    def forward(some: torch.Tensor) -> torch.Tensor:
        membranes = [each.init_leaky() for each in neurons]
        total = torch.zeros(some.shape[1], 10)
        for now in some:
            spikes = now
            for k, name in enumerate(("hidden", "output")):
                spikes, membranes[k] = neurons[k](linear[k](spikes, w[f"{name}.weight"]), membranes[k])
            total += spikes
        return total

    def way(batch: int) -> Way:
        def run() -> Array:
            with torch.inference_mode():
                return torch.cat([forward(some) for some in torch.split(x, batch, dim=1)]).numpy()

        return run

    return way(len(trains)), way(BATCH)


def circuit(chip: SpikingChip, trains: NDArray[Any]) -> Way:
    """The chip in the native engine; the spikes of each output."""
    return lambda: chip.simulate(trains, membranes=False).output.sum(axis=1)


def race(ways: dict[str, Way], once: dict[str, float], y: NDArray[Any]) -> dict[str, Row]:
    """Let all take turns."""
    rows: dict[str, Row] = {}
    begun = time.perf_counter()
    for _ in range(ROUNDS):
        for name, way in ways.items():
            started = time.perf_counter()
            counts = way()
            seconds = min(time.perf_counter() - started, rows[name].seconds if name in rows else np.inf)
            rows[name] = Row(seconds, once.get(name, 0.0), float((counts.argmax(axis=1) == y).mean()))
        if time.perf_counter() - begun > LIMIT:
            break
    return rows


def measure(spec: str, weights: Path, checked: int) -> Iterator[str]:
    """One network's table."""
    data = load_data(spec, "test")
    trains = trains_of(data)
    chips, once = {}, {}
    for kind in (*KINDS, PLAIN):
        begun = time.perf_counter()
        chips[kind] = SpikingChip(plan_spiking(network(weights), design_of(kind)))
        chips[kind].simulate(trains[:1], membranes=False)
        once[f"ohmweave, {kind}"] = time.perf_counter() - begun
    whole, parts = peer(weights, trains)
    ways = {PEER: whole, f"{PEER}, batches of {BATCH}": parts}
    ways |= {f"ohmweave, {kind}": circuit(chip, trains) for kind, chip in chips.items()}
    assert data.y is not None
    rows = race(ways, once, data.y)
    yield from _heading(weights, chips)
    yield from _table(rows, len(trains))
    yield from _promises(rows)
    for kind in KINDS:
        yield from _ideal(kind, network(weights), trains, checked)
    for kind in KINDS:
        bare = replace(design_of(kind), array=replace(design_of(kind).array, r_row=0.0, r_col=0.0))
        chip = SpikingChip(plan_spiking(network(weights), bare))
        yield from _spice(kind, chip, trains[:checked], rows[f"ohmweave, {kind}"].seconds / len(trains))


def design_of(kind: str) -> Design:
    """The default design of spiking networks in one microarchitecture, or one that is not spared its wires."""
    design = Design.default() if kind == PLAIN else Design.preset("spiking")
    return replace(design, spiking=replace(design.spiking, microarchitecture=kind.partition(",")[0]))


def trains_of(data: Data) -> NDArray[Any]:
    """The spikes of all images, [samples, steps, inputs], single precision."""
    parts = [part.astype(np.float32) for _, part in ENCODING.parts(data.x)]
    return np.concatenate(parts).reshape(len(data.x), ENCODING.encoder.steps, -1)


def _heading(weights: Path, chips: dict[str, SpikingChip]) -> list[str]:
    plan = chips[KINDS[0]].plan
    arrays = {kind: sum(len(stage.tiles) for stage in chip.plan.stages) for kind, chip in chips.items()}
    choice = plan.design.array
    return [
        f"{weights.stem}: {plan.devices:,} memristors, {plan.neurons} neurons, {ENCODING.encoder.steps} steps; "
        f"wires of {choice.r_row:g} ohm a segment, {arrays['layer']} arrays by layer, {arrays['crossbar']} of at most "
        f"{choice.rows} x {choice.cols} by crossbar; array.ground = {choice.ground}, array.reserve = {choice.reserve}"
    ]


def _table(rows: dict[str, Row], images: int) -> list[str]:
    heading = f"{images:,} images, one thread"
    lines = [f"{heading:<36}{'seconds':>10}{'us an image':>13}{'times snnTorch':>16}{'decided rightly':>17}"]
    best = _best(rows)
    for name, row in rows.items():
        lines.append(
            f"{name:<36}{row.seconds:>10.3g}{1e6 * row.seconds / images:>13.1f}{row.seconds / best:>16.2f}"
            f"{row.share:>17.4f}"
        )
    once = [f"{name} {row.once:.2f} s" for name, row in rows.items() if row.once]
    return [*lines, f"once for a chip (mapping, reduction of its arrays): {'; '.join(once)}"]


def _best(rows: dict[str, Row]) -> float:
    return min(row.seconds for name, row in rows.items() if name.startswith(PEER))


def _promises(rows: dict[str, Row]) -> Iterator[str]:
    for name, row in rows.items():
        if name.startswith(PEER) or name.endswith(PLAIN):
            continue
        factor, lost = row.seconds / _best(rows), 100.0 * abs(rows[PEER].share - row.share)
        kept = factor <= SLOWER and lost <= POINTS
        yield (
            f"{_word(kept)}: {name} takes {factor:.2f} times as long as snnTorch (at most {SLOWER:g} promised) and is "
            f"{lost:.2f} points from it (at most {POINTS:g})"
        )


def _spice(kind: str, chip: SpikingChip, trains: NDArray[Any], native: float) -> list[str]:
    found = detect().get("ngspice")
    if not len(trains) or found is None or not found["klu"]:
        reason = "there is no ngspice with KLU here" if len(trains) else "no image asked for"
        return [f"SKIPPED ngspice, {kind}: {reason}"]
    begun = time.perf_counter()
    try:
        its = chip.simulate(trains, "ngspice", spice=NgspiceSimulator(time_limit=SPICE_LIMIT))
    except OhmweaveError as error:
        return [f"SKIPPED ngspice, {kind}: {error}"]
    seconds = (time.perf_counter() - begun) / len(trains)
    mine = chip.simulate(trains)
    wrong = sum(int((mine.spikes[name] != its.spikes[name]).sum()) for name in mine.spikes)
    count = sum(spikes.size for spikes in mine.spikes.values())
    gap = max(float(np.abs(mine.membranes[name] - its.membranes[name]).max()) for name in mine.spikes)
    kept = seconds / native >= QUICKER and not wrong and gap <= AGREEMENT
    return [
        f"{its.engine} {its.version}, {kind}, without wires, {len(trains)} images: {seconds:.1f} s an image, "
        f"{seconds / native:.1e} times as long as ohmweave (at least {QUICKER:g} promised)",
        f"{_word(kept)}: {wrong} of {count:,} spikes differ from ngspice's, membranes by at most {gap:.1e} thresholds "
        f"(none and {AGREEMENT:g} promised)",
    ]


def ideal_of(kind: str) -> Design:
    """Parts of which none keeps the chip from doing as software does."""
    return Design(
        array=ArrayChoice(r_row=0.0, r_col=0.0),
        neuron=ClockedLif(r_in=0.01, v_limit=3.0),
        synapse=PulseDriver(r_source=0.01),
        spiking=SpikingChoice(kind),
    )


def _ideal(kind: str, graph: Graph, trains: NDArray[Any], checked: int) -> Iterator[str]:
    chip, wrong, right = SpikingChip(plan_spiking(graph, ideal_of(kind))), 0, 0
    for start in range(0, len(trains), BATCH):
        some = trains[start : start + BATCH]
        found = chip.simulate(some, membranes=False)
        wanted, classes = software(chip, some)
        wrong += sum(int((found.spikes[name] != wanted[name]).sum()) for name in wanted)
        right += int((found.classes == classes).sum())
    count = len(trains) * trains.shape[1] * chip.plan.neurons
    yield (
        f"{_word(wrong <= UNLIKE * count)}: ideal parts, {kind}, {len(trains):,} images: {wrong} of {count:,} spikes "
        f"differ from software's (a share of {UNLIKE:g} promised), {right:,} of {len(trains):,} decisions are "
        "software's"
    )
    if checked:
        yield _ideal_spice(kind, chip, trains[:checked])


def _ideal_spice(kind: str, chip: SpikingChip, trains: NDArray[Any]) -> str:
    try:
        its = chip.simulate(trains, "ngspice", spice=NgspiceSimulator(time_limit=SPICE_LIMIT))
    except OhmweaveError as error:
        return f"SKIPPED ideal parts in ngspice, {kind}: {error}"
    wanted, classes = software(chip, trains)
    wrong = sum(int((its.spikes[name] != wanted[name]).sum()) for name in wanted)
    count, same = sum(each.size for each in wanted.values()), int((its.classes == classes).sum())
    return (
        f"{_word(not wrong)}: ideal parts, {kind}, whole in {its.engine} {its.version}, {len(trains)} images: {wrong} "
        f"of {count:,} spikes differ from software's (none promised), {same} of {len(trains)} decisions are software's"
    )


def software(chip: SpikingChip, trains: NDArray[Any]) -> tuple[dict[str, Array], NDArray[Any]]:
    """The network's own spikes by the chip's stages, and its decisions."""
    names = {stage.name: stage.layers[-1] for stage in chip.plan.stages}
    values = trace(chip.plan.graph, trains, list(names.values())).values
    spikes = {stage: values[layer] for stage, layer in names.items()}
    return spikes, decide(spikes[chip.plan.stages[-1].name])


def _word(kept: bool) -> str:
    return "KEPT" if kept else "NOT KEPT"


def keep(path: Path, table: str) -> None:
    """Put a network's table in the place of the one before it, or at the end."""
    kept = path.read_text(encoding="utf-8").split("\n\n") if path.exists() else []
    tables = {each.split(":")[0]: each.rstrip("\n") for each in (*kept, table)}
    path.write_text("\n\n".join(tables.values()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+", help="digits, mnist:DIR")
    parser.add_argument("--weights", type=Path, help="safetensors file of the network, of examples/ without it")
    parser.add_argument("--checked", type=int, default=3, help="images that ngspice runs too")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".txt"), help="where to keep it")
    options = parser.parse_args()
    for each in options.data:
        chosen = options.weights or EXAMPLES / f"spiking_{each.split(':')[0]}.safetensors"
        if not chosen.exists():
            sys.exit(f"SKIPPED {each}: no {chosen}; a script train_spiking_*.py of examples/ makes it")
        said = "\n".join(measure(each, chosen, options.checked)) + "\n"
        sys.stdout.write(said)
        keep(options.output, said)
