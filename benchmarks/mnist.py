"""A whole chip on a whole test set: the native engine against the network's own forward pass and SPICE.

The network of examples/train_mnist_mlp.py (784-128-10, ReLU) on tiles of 128 x 128 with wires of 1 ohm a
segment and op-amps of finite gain and output resistance. Run it as ``python benchmarks/mnist.py
mnist:DIR``. The engine and torch's plain forward pass take turns in one process, once on one thread and
once on two; of each the quickest run counts. "+ power" is the engine when every stage's outputs and every
source's power are wanted, not only the network's answer. The first images are run by ngspice too, the
whole netlist in one sweep of about a quarter of an hour (``--checked 0`` leaves it out), and every stage's
outputs are compared. Prints a table and keeps it in mnist.txt beside this file.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ohmweave as ow
from ohmweave.analysis.accuracy import accuracy
from ohmweave.analysis.deviation import deviation
from ohmweave.bench import Bench, Waves
from ohmweave.chip import Chip
from ohmweave.circuit import Crossbar
from ohmweave.design import ArrayChoice, Design
from ohmweave.errors import SimulationError
from ohmweave.frontend import load_data
from ohmweave.simulate import Simulator
from ohmweave.simulate.native import Native
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.simulate.processor import Precision
from ohmweave.simulate.survey import detect
from ohmweave.units import Array

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = Path(__file__).parents[1] / "examples" / "mnist_mlp.safetensors"
TILE, OHMS, WORSE = 128, 1.0, 10.0
CALIBRATION = 10_000
CHECKED = 8
SPICE_LIMIT = 1200.0
AGREEMENT = 1e-6
ROUNDS, LIMIT = 7, 60.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

ENGINE, TORCH = "ohmweave, float64", "torch, float64"
_PRECISIONS: tuple[Precision, ...] = ("float64", "float32")


@dataclass(frozen=True)
class Task:
    """What is measured.

    Args:
        data: specification of the images.
        weights: safetensors file of the network's ``hidden`` and ``output`` layers.
        checked: images that SPICE runs too.
        threads: numbers of threads, each with a process of its own; promises are of the first.
    """

    data: str
    weights: Path
    checked: int
    threads: tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One way to all answers.

    Args:
        seconds: the quickest run over all images.
        wall: the quickest whole call, with whatever it does once for a circuit.
        once: what that was, s.
        share: of the images, how many are decided rightly.
        remarks: what the engine said.
    """

    seconds: float
    wall: float
    once: float
    share: float
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Race:
    """The rows of one process by name, its number of threads and images, and its peak memory, bytes."""

    threads: int
    images: int
    rows: Mapping[str, Row]
    memory: int


@dataclass(frozen=True)
class Check:
    """What SPICE said: its version, wall times of one and of all images, peak memory, and how far each stage was."""

    version: str
    first: float
    seconds: float
    memory: int
    by_stage: Mapping[str, float]


def network(weights: Path) -> "nn.Sequential":
    """The trained network."""
    from safetensors.torch import load_file
    from torch import nn

    state = load_file(weights)
    (hidden, inputs), (outputs, _) = state["hidden.weight"].shape, state["output.weight"].shape
    made = nn.Sequential()
    made.add_module("flatten", nn.Flatten())
    made.add_module("hidden", nn.Linear(inputs, hidden))
    made.add_module("relu", nn.ReLU())
    made.add_module("output", nn.Linear(hidden, outputs))
    made.load_state_dict(state)
    return made.eval()


def weave(task: Task, ohms: float) -> tuple[Chip, float]:
    """The chip with wires of ``ohms`` a segment, and the seconds that compiling took."""
    calibration = load_data(task.data, "train").x[:CALIBRATION]
    design = replace(Design.preset("default"), array=ArrayChoice(TILE, TILE, ohms, ohms))
    begun = time.perf_counter()
    return ow.compile(network(task.weights), design, calibration=calibration), time.perf_counter() - begun


def race(task: Task, chip: Chip, worse: Chip, threads: int) -> Race:
    """Let torch and the engines take turns on all images; one of them on a chip with worse wires."""
    import torch

    torch.set_num_threads(threads)
    data = load_data(task.data, "test")
    assert data.y is not None
    ways = {}
    for precision in _PRECISIONS:
        ways[f"torch, {precision}"] = forward(task.weights, data.x, precision)
        engine = Recorded(Native(threads=threads, precision=precision))
        ways[f"ohmweave, {precision}"] = whole_chip(engine, partial(chip.predict, data.x, engine))
        ways[f"ohmweave + power, {precision}"] = whole_chip(engine, partial(everything, chip, data.x, engine))
    engine = Recorded(Native(threads=threads))
    ways[f"ohmweave, {WORSE:g} ohm, float64"] = whole_chip(engine, partial(worse.predict, data.x, engine))
    rows: dict[str, list[Row]] = {name: [] for name in ways}
    begun = time.perf_counter()
    for _ in range(ROUNDS):
        for name, way in ways.items():
            started = time.perf_counter()
            logits, row = way()
            wall = time.perf_counter() - started
            share = accuracy(logits, data.y)
            rows[name].append(replace(row, seconds=row.seconds or wall, wall=wall, share=share))
        if time.perf_counter() - begun > LIMIT:
            break
    best = {name: _quickest(runs) for name, runs in rows.items()}
    return Race(threads, len(data.x), best, _peak(resource.RUSAGE_SELF))


Way = Callable[[], tuple[Array, Row]]


def forward(weights: Path, x: Array, precision: str) -> Way:
    """The network itself; its time is that of the call."""
    import torch

    dtype = getattr(torch, precision)
    model, batch = network(weights).to(dtype), torch.from_numpy(x).to(dtype)

    def way() -> tuple[Array, Row]:
        with torch.inference_mode():
            return model(batch).numpy(), Row(0.0, 0.0, 0.0, 0.0)

    return way


class Recorded:
    """An engine that remembers what it returned last, with the times it took."""

    def __init__(self, engine: Simulator) -> None:
        self.engine, self.name = engine, engine.name
        self.waves: Waves | None = None

    def version(self) -> str:
        """The engine's."""
        return self.engine.version()

    def run(self, bench: Bench) -> Waves:
        """Let the engine run, and keep what it returns."""
        self.waves = self.engine.run(bench)
        return self.waves


def whole_chip(engine: Recorded, answer: Callable[[], Array]) -> Way:
    """The circuit: the whole call but for what is done once for a circuit, which the engine tells."""

    def way() -> tuple[Array, Row]:
        begun = time.perf_counter()
        logits = answer()
        ended = time.perf_counter()
        assert engine.waves is not None
        once = engine.waves.seconds["reduce"]
        return logits, Row(ended - begun - once, 0.0, once, 0.0, engine.waves.remarks)

    return way


def everything(chip: Chip, x: Array, engine: Simulator) -> Array:
    """Every stage's outputs and every source's power, of which the logits are returned."""
    return chip.simulate(x, engine).logits


def check(task: Task, chip: Chip) -> Check:
    """Run the first images by ngspice, the whole netlist in one run, and compare every stage."""
    x, spice = load_data(task.data, "test").x[: task.checked], NgspiceSimulator(time_limit=SPICE_LIMIT)
    begun = time.perf_counter()
    chip.simulate(x[:1], spice)
    between = time.perf_counter()
    said = chip.simulate(x, spice)
    ended = time.perf_counter()
    gaps = deviation(chip.simulate(x).stage_volts, said.stage_volts).by_stage
    memory = _peak(resource.RUSAGE_CHILDREN)
    return Check(said.waves.version, between - begun, ended - between, memory, gaps)


def run(task: Task) -> str:
    """Measure everything, each part in a fresh process; return the table."""
    chip, compiling = _apart(1, weave, task, OHMS)
    worse, _ = _apart(1, weave, task, WORSE)
    races = []
    for threads in task.threads:
        races.append(_apart(threads, race, task, chip, worse, threads))
        print(f"{threads} threads: done", file=sys.stderr)
    lines = [*_heading(task, chip, compiling), *_table(races), *_once(races), _promise(races[0])]
    lines += _spice(task, chip, races[0].rows[ENGINE].seconds / races[0].images)
    return "\n".join(lines) + "\n"


def _apart(threads: int, work: Callable[..., Any], *arguments: object) -> Any:
    # The number of threads is read when the libraries are loaded, which is in the process made here.
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def _heading(task: Task, chip: Chip, compiling: float) -> list[str]:
    arrays = [p for cell in (chip.cell, *chip.cell.subcells()) for p in cell.parts if isinstance(p, Crossbar)]
    memristors = sum(array.devices for array in arrays)
    return [
        f"{task.weights.stem}: {memristors:,} memristors in {len(arrays)} arrays of at most {TILE} x {TILE}, "
        f"wires of {OHMS:g} ohm a segment, finite op-amps; compiled in {compiling:.1f} s"
    ]


def _table(races: Sequence[Race]) -> list[str]:
    images = f"{races[0].images:,} images"
    lines = [f"{images:<28}{'threads':>8}{'seconds':>10}{'us an image':>13}{'times torch':>13}{'decided rightly':>17}"]
    for each in races:
        for name, row in each.rows.items():
            factor = row.seconds / each.rows[f"torch, {name.rpartition(' ')[-1]}"].seconds
            lines.append(
                f"{name:<28}{each.threads:>8}{row.seconds:>10.3g}{1e6 * row.seconds / each.images:>13.2f}"
                f"{factor:>13.2f}{row.share:>17.4f}"
            )
    return lines


def _once(races: Sequence[Race]) -> list[str]:
    lines = []
    for each in races:
        for name, row in each.rows.items():
            if row.once:
                lines.append(
                    f"{name}, {each.threads} threads: once for the chip (reduction of its arrays, response of the "
                    f"circuit) {row.once:.2f} s, the whole call {row.wall:.2f} s"
                )
        lines.append(f"{each.threads} threads: peak memory of the process {each.memory / 1e6:.0f} MB")
    return lines + [f"{name}: {word}" for name, row in races[0].rows.items() for word in row.remarks]


def _promise(each: Race) -> str:
    """Whether what is promised of whole chips holds in this run."""
    mine = each.rows[ENGINE]
    factor = mine.seconds / each.rows[TORCH].seconds
    kept = factor <= 3.0 and each.memory < 2e9 and mine.once < 60.0
    return (
        f"{'KEPT' if kept else 'NOT KEPT'}: {factor:.1f} times torch's forward pass (3 promised), "
        f"{each.memory / 1e6:.0f} MB (under 2000), {mine.once:.1f} s once (under 60); threads: {each.threads}"
    )


def _spice(task: Task, chip: Chip, native: float) -> list[str]:
    found = detect().get("ngspice")
    if not task.checked or found is None or not found["klu"]:
        reason = "no image asked for" if not task.checked else "there is no ngspice with KLU here"
        return [f"SKIPPED ngspice: {reason}"]
    try:
        said = _apart(1, check, task, chip)
    except SimulationError as error:
        return [f"SKIPPED ngspice: {error}"]
    lines = [
        f"ngspice {said.version} with KLU, the whole netlist in one run, {said.memory / 1e6:.0f} MB: one image "
        f"{said.first:.1f} s, {task.checked} images in one sweep {said.seconds:.1f} s"
    ]
    further = (said.seconds - said.first) / max(task.checked - 1, 1)
    for text, spice in (("one image", said.first), ("an image more in the sweep", further)):
        if spice > 0:
            lines.append(f"ngspice takes {spice / native:.1e} times as long an image as ohmweave: {text}")
    lines += [
        f"largest deviation from ngspice at the outputs of {stage}: {gap:.1e} of full scale"
        for stage, gap in said.by_stage.items()
    ]
    kept = max(said.by_stage.values()) <= AGREEMENT
    return [*lines, f"{'KEPT' if kept else 'NOT KEPT'}: every stage within {AGREEMENT:g} of full scale of ngspice"]


def _quickest(rows: Sequence[Row]) -> Row:
    best = min(rows, key=lambda row: row.seconds)
    return replace(best, wall=min(row.wall for row in rows), once=min(row.once for row in rows))


def _peak(whose: int) -> int:
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(whose).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="where the images are: mnist:DIR")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="safetensors file of the network")
    parser.add_argument("--checked", type=int, default=CHECKED, help="images that ngspice runs too")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads, one after another")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".txt"), help="where to keep it")
    options = parser.parse_args()
    table = run(Task(options.data, options.weights, options.checked, tuple(options.threads)))
    sys.stdout.write(table)
    options.output.write_text(table, encoding="utf-8")
