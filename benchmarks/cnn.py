"""A trained convolutional network as a sampled chip, over a test set: against torch's forward pass, and peers.

Run it as ``python benchmarks/cnn.py NETWORK --data SPEC``, NETWORK being one of examples/reference_models.py or
``digits_mlp`` of the package. The chip is near-ideal unless told otherwise: tiles of 64 x 64, wires of 1 ohm a segment,
linear devices, converters of 8 bits, tiles read one by one, convolutions slid. torch (float32, float64, batches)
and the chip take turns on parts of the images in one process on one thread. What the chip needs once,
compiling and reducing its circuits, is timed by itself. Seconds are those that the processor worked,
which other jobs on the machine disturb less than wall time. Peers decide the first images, in an interpreter
of their own (``--peer-python``), see cnn_peer.py. Prints a table and keeps it in cnn.txt beside this
file, one for each network.
"""

import argparse
import json
import math
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

import ohmweave as ow
from ohmweave.chip import Chip
from ohmweave.demo.digits_mlp import WEIGHTS as DIGITS_WEIGHTS
from ohmweave.demo.digits_mlp import model as digits_mlp
from ohmweave.design import PRESETS, Design
from ohmweave.frontend import Data, load_data
from ohmweave.frontend.data import Labels
from ohmweave.sampling import Sampler
from ohmweave.simulate.native import Native
from ohmweave.units import Array

if TYPE_CHECKING:
    from torch import nn

ROOT = Path(__file__).parents[1]
EXAMPLES, PEER = ROOT / "examples", Path(__file__).with_name("cnn_peer.py")
CALIBRATION, PART = 256, 500
MOST_LOSS, MOST_TIMES, PROMISED = 1.0, 10.0, "resnet20_cifar10"
PEERS: Mapping[str, str] = MappingProxyType({"aihwkit": "aihwkit", "aihwkit_lightning": "aihwkit-lightning"})
# What was looked at and is not run, and why.
ABSENT = (
    "SKIPPED CrossSim: it is on no package index, so nothing here calls it",
    "SKIPPED MemTorch: its last release, 1.1.6 of 2022, is source alone and needs sklearn, a withdrawn package",
)
PEER_LIMIT = 1800.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Task:
    """What is measured.

    Args:
        network: name of a reference network.
        weights: its safetensors file.
        data: specification of the images, without the split.
        images: how many of the test set, drawn from all of it; 0 for all.
        design: the chip.
        batch: images in one forward pass of torch.
        peer_python: interpreter that has the peers, where they are installed.
        peer_images: images that peers decide.
    """

    network: str
    weights: Path
    data: str
    images: int
    design: Design
    batch: int
    peer_python: Path
    peer_images: int


@dataclass(frozen=True)
class Row:
    """One way to all answers: seconds worked, seconds passed, and the classes decided, [images]."""

    worked: float
    passed: float
    decided: Labels


@dataclass(frozen=True)
class Race:
    """What one process found.

    Args:
        rows: of each way.
        labels: the right classes, [images].
        chip: what it consists of.
        compiling, reducing: seconds worked, once for the chip.
        memory: peak of the process after it, bytes.
        before: peak before the chip was made, with all libraries and images loaded and torch's passes done once.
    """

    rows: dict[str, Row]
    labels: Labels
    chip: str
    compiling: float
    reducing: float
    memory: int
    before: int


def module(task: Task) -> "nn.Module":
    """The trained network in float32."""
    from safetensors.torch import load_file

    if task.network == "digits_mlp":
        made = digits_mlp()
    else:
        sys.path.insert(0, str(EXAMPLES))
        from reference_models import FACTORIES

        made = FACTORIES[task.network]()
    made.load_state_dict({name: value.float() for name, value in load_file(task.weights).items()}, strict=False)
    return made.eval()


def images(task: Task, split: str, count: int) -> Data:
    """A choice of images from all of a split: folders of images are sorted by their class."""
    spec = f"{task.data}:{split}" if task.data.startswith("imagefolder") else task.data
    data = load_data(spec, split)
    if not count:
        return data
    chosen = np.random.default_rng(0).permutation(len(data.x))[:count]
    assert data.y is not None
    return Data(np.ascontiguousarray(data.x[chosen]), data.y[chosen], data.name)


def forward(network: "nn.Module", precision: str, batch: int) -> Callable[[Array], Array]:
    """Scores by the network itself."""
    import torch

    dtype = getattr(torch, precision)
    # ``to`` changes a module in place.
    copy = deepcopy(network).to(dtype)

    def way(x: Array) -> Array:
        with torch.inference_mode():
            parts = torch.split(torch.from_numpy(x).to(dtype), batch)
            return torch.cat([copy(part) for part in parts]).numpy()

    return way


def answer(chip: Chip, sampler: Sampler, x: Array) -> Array:
    """What ``Chip.predict`` returns, by a sampler that is ready."""
    volts, scores = chip.plan.input_volts(x), []
    for first in range(0, len(volts), sampler.most_samples):
        last = np.empty((0, 0))
        for _, values in sampler.run(volts[first : first + sampler.most_samples]):
            last = values
        scores.append(chip.plan.logits(last))
    return np.concatenate(scores)


def race(task: Task, calibration: Array) -> Race:
    """torch and the chip, in turns, on all images."""
    import torch

    torch.set_num_threads(1)
    network, test = module(task), images(task, "test", task.images)
    ways = {f"torch, {precision}": forward(network, precision, task.batch) for precision in ("float32", "float64")}
    for way in ways.values():
        way(test.x[: task.batch])
    before, begun = _peak(), time.process_time()
    chip = ow.compile(network, task.design, calibration=calibration)
    compiled = time.process_time()
    sampler = Sampler(chip.plan, Native())
    reduced = time.process_time()
    ways["ohmweave, float64"] = lambda x: answer(chip, sampler, x)
    # Kernels are compiled at their first use, which is no part of what an image takes.
    answer(chip, sampler, test.x[:2])
    assert test.y is not None
    rows = take_turns(ways, test.x)
    return Race(rows, test.y, _told(chip), compiled - begun, reduced - compiled, _peak(), before)


def take_turns(ways: dict[str, Callable[[Array], Array]], x: Array) -> dict[str, Row]:
    """Every way on every part of the images, one way after the other on each."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    decided: dict[str, list[Labels]] = {name: [] for name in ways}
    for first in range(0, len(x), PART):
        for name, way in ways.items():
            worked, passed = time.process_time(), time.perf_counter()
            scores = way(x[first : first + PART])
            times[name].append((time.process_time() - worked, time.perf_counter() - passed))
            decided[name].append(scores.argmax(axis=1))
        print(f"{min(first + PART, len(x))} of {len(x)} images", file=sys.stderr, flush=True)
    spent = {name: np.sum(times[name], axis=0) for name in ways}
    return {name: Row(float(spent[name][0]), float(spent[name][1]), np.concatenate(decided[name])) for name in ways}


def ask_peers(task: Task, calibration: Array) -> list[str]:
    """What peers take for the first images, the same as the chip's, or why they were not asked."""
    if task.network == "digits_mlp":
        return [f"SKIPPED {name}: {task.network} is none of reference_models.py" for name in PEERS.values()]
    test = images(task, "test", task.images)
    x, y = test.x[: task.peer_images], test.y
    assert y is not None
    with TemporaryDirectory() as folder:
        path = Path(folder, "images.npz")
        np.savez(path, x=x, y=y[: len(x)], calibration=calibration)
        return [_ask(task, name, path) for name in PEERS]


def _ask(task: Task, name: str, path: Path) -> str:
    array, coupling = task.design.array, task.design.coupling
    command = [str(task.peer_python), str(PEER), name, task.network, str(task.weights), str(path)]
    command += [str(number) for number in (array.rows, coupling.dac_bits, coupling.adc_bits)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PEER_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"SKIPPED {PEERS[name]}: {error}"
    if done.returncode:
        return f"SKIPPED {PEERS[name]}: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}"
    said = json.loads(done.stdout.splitlines()[-1])
    count = said["images"]
    return (
        f"{PEERS[name]} {said['version']}: {1e3 * said['seconds'] / count:.3g} ms an image, "
        f"{said['seconds'] / said['torch']:.1f} times torch's float32 in its process; "
        f"{said['right'] / count:.4f} of {count} decided rightly; {said['how']}"
    )


def run(task: Task) -> str:
    """Measure everything; return the table."""
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    # A process for each, lest all training images count as memory of the chip.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        calibration = pool.apply(images, (task, "train", CALIBRATION)).x
        found = pool.apply(race, (task, calibration))
    return "\n".join([*_table(task, found), *_verdicts(task, found), *ask_peers(task, calibration), *ABSENT]) + "\n"


def keep(path: Path, table: str) -> None:
    """Write the network's table, in the place of an earlier one of the same network; those of others stay."""
    name = table.partition(":")[0]
    tables = path.read_text(encoding="utf-8").split("\n\n") if path.exists() else []
    others = [each.strip("\n") + "\n" for each in tables if not each.startswith(f"{name}:")]
    path.write_text("\n".join([*others, table]), encoding="utf-8")


def _table(task: Task, found: Race) -> list[str]:
    count = len(found.labels)
    lines = [f"{task.network}: {found.chip}"]
    lines.append(
        f"{f'{count:,} images, one thread':<28}{'s worked':>10}{'s passed':>10}{'ms an image':>13}{'times float32':>15}"
        f"{'times float64':>15}{'decided rightly':>17}"
    )
    for name, row in found.rows.items():
        single, double = (row.worked / found.rows[f"torch, {each}"].worked for each in ("float32", "float64"))
        share = np.mean(row.decided == found.labels)
        lines.append(
            f"{name:<28}{row.worked:>10.4g}{row.passed:>10.4g}{1e3 * row.worked / count:>13.4g}{single:>15.2f}"
            f"{double:>15.2f}{share:>17.4f}"
        )
    lines.append(
        f"once for the chip: compiling {found.compiling:.1f} s (calibrated on {CALIBRATION} images), reducing its "
        f"circuits {found.reducing:.1f} s; peak memory {found.memory / 1e6:.0f} MB, without the chip "
        f"{found.before / 1e6:.0f} MB"
    )
    return lines


def _verdicts(task: Task, found: Race) -> list[str]:
    software, circuit = found.rows["torch, float64"], found.rows["ohmweave, float64"]
    right, before = circuit.decided == found.labels, software.decided == found.labels
    lost, gained, count = int((before & ~right).sum()), int((right & ~before).sum()), len(found.labels)
    loss, error = 100.0 * (lost - gained) / count, 100.0 * math.sqrt(lost + gained) / count
    same = np.mean(circuit.decided == software.decided)
    lines = [
        f"{_word(loss <= MOST_LOSS)}: the circuit loses {loss:.2f} points (standard error {error:.2f}; {lost} images "
        f"lost, {gained} gained of {count:,}; {same:.4f} decided alike); at most {MOST_LOSS:g} promised"
    ]
    for precision, said in (("float64", "equal precision"), ("float32", "torch's usual precision")):
        times = circuit.worked / found.rows[f"torch, {precision}"].worked
        promise = f"at most {MOST_TIMES:g} promised" if task.network == PROMISED else f"promised of {PROMISED} alone"
        word = f"{_word(times <= MOST_TIMES)}: " if task.network == PROMISED else ""
        lines.append(
            f"{word}the circuit takes {times:.1f} times torch's forward pass in {precision}, {said}; {promise}"
        )
    return lines


def _told(chip: Chip) -> str:
    plan, array, bits = chip.plan, chip.plan.design.array, chip.plan.design.coupling
    tiles = sum(len(stage.tiles) for stage in plan.stages)
    return (
        f"{plan.devices:,} memristors in {tiles} tiles of at most {array.rows} x {array.cols}, {len(plan.stages)} "
        f"stages, wires of {array.r_row:g} ohm a segment, converters of {bits.dac_bits} and {bits.adc_bits} bits"
    )


def _word(kept: bool) -> str:
    return "KEPT" if kept else "BROKEN"


def _peak() -> int:
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _task(options: Any) -> Task:
    design = Design.preset(options.design) if options.design in PRESETS else Design.load(options.design)
    if not design.coupling.sampled:
        raise SystemExit('this measures sampled chips: give a design whose coupling.kind is "sampled"')
    weights = options.weights
    if weights is None:
        name = f"{options.network}.safetensors"
        found = [ROOT / "build" / "reference" / name, EXAMPLES / name]
        weights = (
            DIGITS_WEIGHTS if options.network == "digits_mlp" else next((p for p in found if p.exists()), found[0])
        )
    if not weights.exists():
        raise SystemExit(f"SKIPPED {options.network}: no {weights}; train_reference_models.py makes it")
    peers = options.peer_python, options.peer_images
    return Task(options.network, weights, options.data, options.images, design, options.batch, *peers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="a name in examples/reference_models.py, or digits_mlp")
    parser.add_argument("--data", required=True, help="mnist:DIR, imagefolder:ZIP, digits; without the split")
    parser.add_argument("--weights", type=Path, help="safetensors file (default: build/reference, then examples)")
    parser.add_argument("--images", type=int, default=0, help="of the test set, drawn from all (default: all)")
    parser.add_argument("--design", default="digital", help="a preset or a TOML file")
    parser.add_argument("--batch", type=int, default=125, help="images in one forward pass of torch")
    peer = os.environ.get("OHMWEAVE_PEERS", sys.executable)
    parser.add_argument("--peer-python", type=Path, default=peer, help="interpreter that has them (OHMWEAVE_PEERS)")
    parser.add_argument("--peer-images", type=int, default=100, help="images that peers decide")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".txt"), help="where to keep it")
    table = run(_task(options := parser.parse_args()))
    sys.stdout.write(table)
    keep(options.output, table)
