"""Netlist truth: what is written, simulated in ngspice on real activations, against the native engine.

Run it as ``python benchmarks/netlist_truth.py --mnist DIR --cifar ZIP [NAME ...]``, NAME being one of the checks:
LeNet-5 slid (every stage at some positions) and unrolled (every stage whole), MobileNetV3 (one stage of each
kind), and a CNN on 8 x 8 digits as one analog circuit. Every stage's netlist is run by itself on what the native
engine finds before it. A stage that ngspice does not do with wires within the limit is run again without, and its row
says so. Seconds are wall time, of whatever else the machine does too. Prints a table and keeps it in
netlist_truth.txt beside this file, one for each check.
"""

import argparse
import importlib
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from cnn import keep

import ohmweave as ow
from ohmweave.analysis.deviation import deviation
from ohmweave.archive import netlist_path
from ohmweave.chip import Chip
from ohmweave.design import Design
from ohmweave.errors import EngineError, SimulatorMissing
from ohmweave.floorplan import Plan, Stage
from ohmweave.frontend import Data
from ohmweave.runs.staged import check_stage
from ohmweave.runs.verifying import TOLERANCE
from ohmweave.sampling import Sampler
from ohmweave.simulate import Simulator, simulator
from ohmweave.units import Array

if TYPE_CHECKING:
    from torch import nn

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
# Images that are run and that chips are calibrated on; images and passes of training of the digits' CNN.
IMAGES, CALIBRATION, WHOLE, EPOCHS = 2, 64, 2, 30
SEED = 0
HEADER = f"{'stage':<6}{'what':<36}{'devices':>9}{'positions':>11}{'wires':>7}{'s ngspice':>11}{'of full scale':>15}"


@dataclass(frozen=True)
class Task:
    """What is checked.

    Args:
        mnist: folder of MNIST.
        cifar: zip file of CIFAR-10's images.
        positions: of each stage of a slid network.
        limit: s, that ngspice may take for a stage with wires, and again without.
    """

    mnist: Path | None
    cifar: Path | None
    positions: int
    limit: float


@dataclass(frozen=True)
class Row:
    """A stage's netlist in ngspice.

    Args:
        stage: its name.
        what: the network's ops that it realises.
        devices: memristors.
        positions: how many operating points were compared.
        ohms: resistance of a segment of its wires, ohm; NaN of a stage without arrays.
        seconds: wall time of ngspice, s.
        deviation: largest difference from the native engine, of the stage's full scale, before and behind its
            converters; infinite where ngspice has no answer.
        remark: what is to be told beside it.
    """

    stage: str
    what: str
    devices: int
    positions: int
    ohms: float
    seconds: float
    deviation: float
    remark: str = ""

    def told(self) -> str:
        """A line of the table."""
        wires = "none" if math.isnan(self.ohms) else f"{self.ohms:g}"
        figures = f"{self.devices:>9,}{self.positions:>11}{wires:>7}{self.seconds:>11.1f}{self.deviation:>15.1e}"
        return f"{self.stage:<6}{self.what:<36}{figures}{self.remark and '  ' + self.remark}"


def trained(name: str) -> tuple["nn.Module", str]:
    """A reference network with its trained weights, or with chance ones where there are none, and which."""
    import torch
    from safetensors.torch import load_file
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    sys.path.insert(0, str(EXAMPLES))
    network: nn.Module = importlib.import_module("reference_models").FACTORIES[name]()
    path = EXAMPLES / f"{name}.safetensors"
    if path.is_file():
        network.load_state_dict({key: value.float() for key, value in load_file(path).items()}, strict=False)
        return network.eval(), "trained weights"
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.3, 0.3)
            assert part.running_mean is not None
            assert part.running_var is not None
            nn.init.uniform_(part.running_mean, -0.2, 0.2)
            nn.init.uniform_(part.running_var, 0.3, 1.0)
    return network.eval(), f"weights and statistics by chance for want of {path.name}"


def what(plan: Plan, stage: Stage) -> str:
    """The network's ops that a stage realises, with the kind of its convolution."""
    ops = [plan.graph.node(name).op for name in stage.layers]
    words = [type(op).__name__ for op in ops]
    first: Any = ops[0]
    if words[0] == "Conv":
        groups, taps = first.groups, first.weight.shape[2:]
        words[0] = f"{'depthwise' if groups > 1 else 'conv'} {taps[0]}x{taps[1]}"
    if stage.positions == 1 and words[0] == "conv 1x1":
        words[0] = "squeezed 1x1"
    return ", ".join(words)


def truth(network: "nn.Module", design: Design, data: Data, positions: int, limit: float, kinds: bool) -> list[Row]:
    """Run stages' netlists, all or one of each kind, at some positions of the data's images."""
    rows: list[Row] = []
    with TemporaryDirectory() as folder:
        wired = Prepared.of(network, design, data, positions, Path(folder, "wired"))
        flat: Prepared | None = None
        told: set[str] = set()
        for stage in wired.chip.plan.stages:
            kind = f"{what(wired.chip.plan, stage)} {stage.activation}"
            if kinds and kind in told:
                continue
            told.add(kind)
            row = wired.row(stage.name, limit)
            if row.deviation == np.inf and design.array.r_row:
                bare = replace(design, array=replace(design.array, r_row=0.0, r_col=0.0, reserve=0.0))
                flat = flat or Prepared.of(network, bare, data, positions, Path(folder, "flat"))
                row = replace(flat.row(stage.name, limit), remark=f"wires off, since with wires: {row.remark}")
            print(row.told(), file=sys.stderr, flush=True)
            rows.append(row)
    return rows


@dataclass(frozen=True, eq=False)
class Prepared:
    """A sampled chip, and what the native engine finds in it.

    Args:
        chip: the chip.
        seen: stage -> what goes into it and comes out of it, [positions, ...], V.
        build: folder for its netlists.
        native: the native engine.
    """

    chip: Chip
    seen: Mapping[str, tuple[Array, Array]]
    build: Path
    native: Simulator

    @staticmethod
    def of(network: "nn.Module", design: Design, data: Data, positions: int, build: Path) -> "Prepared":
        """Compile a network, calibrated on the images after the first, and run the first ones in the native engine."""
        count = min(IMAGES, positions)
        chip = ow.compile(network, design, calibration=data.x[count:])
        native = simulator("native")
        found = Sampler(chip.plan, native).probe(chip.plan.input_volts(data.x[:count]), positions)
        return Prepared(chip, found, build, native)

    def row(self, name: str, limit: float) -> Row:
        """Write a stage's netlist, run it, and compare."""
        plan, stage, seen = self.chip.plan, self.chip.stage(name), self.seen[name]
        ohms = plan.design.array.r_row if stage.tiles else math.nan
        facts = name, what(plan, stage), stage.devices, len(seen[0]), ohms
        begun = time.perf_counter()
        try:
            found = check_stage(self.build, self.chip, stage, seen, self.native, ("ngspice", {"time_limit": limit}))
        except EngineError as error:
            return Row(*facts, time.perf_counter() - begun, math.inf, str(error).splitlines()[0][:80])
        finally:
            # Some of these are tens of megabytes.
            netlist_path(self.build, name).unlink(missing_ok=True)
        return Row(*facts, found.seconds[0], deviation(found.native, found.volts).largest)


def lenet(task: Task, design: Design, said: str) -> str:
    """Every stage of LeNet-5."""
    network, weights = trained("lenet5_mnist")
    data = pictures(f"mnist:{task.mnist}")
    # An unrolled stage has one position an image.
    positions = 1 if design.coupling.unrolled else task.positions
    rows = truth(network, design, data, positions, task.limit, kinds=False)
    return table(f"LeNet-5 {said}", f"every stage, {weights}", rows)


def lenet_slid(task: Task) -> str:
    """Analog sums, no converters."""
    return lenet(task, Design.preset("sampled"), "slid with analog sums")


def lenet_digital(task: Task) -> str:
    """Sums and activations in numbers, converters of eight bits."""
    return lenet(task, Design.preset("digital"), "slid with digital sums")


def lenet_unrolled(task: Task) -> str:
    """A device for every tap of every pixel."""
    design = Design.preset("sampled")
    coupling = replace(design.coupling, convolution="unrolled", sums="digital")
    return lenet(task, replace(design, coupling=coupling), "unrolled with digital sums")


def mobilenet(task: Task) -> str:
    """One stage of each kind, with analog sums and activations."""
    network, weights = trained("mobilenetv3_cifar10")
    data = pictures(f"imagefolder:{task.cifar}:test")
    rows = truth(network, Design.preset("sampled"), data, task.positions, task.limit, kinds=True)
    return table("MobileNetV3 slid with analog sums", f"a stage of each kind, {weights}", rows)


def digits(task: Task) -> str:
    """A CNN on 8 x 8 digits as one circuit, trained here."""
    sys.path.insert(0, str(EXAMPLES))
    made = importlib.import_module("digits_cnn")
    learnt, held_out = ow.load_data("digits", "train"), ow.load_data("digits", "test")
    x = learnt.x.reshape(-1, 1, 8, 8)
    design = replace(Design.default(), array=replace(Design.default().array, r_row=0.0, r_col=0.0))
    chip = ow.compile(made.train(learnt, EPOCHS), design, calibration=x)
    images = held_out.x[:WHOLE].reshape(-1, 1, 8, 8)
    begun = time.perf_counter()
    spice = chip.simulate(images, simulator("ngspice", time_limit=task.limit))
    seconds = time.perf_counter() - begun
    by_stage = deviation(chip.simulate(images).stage_volts, spice.stage_volts).by_stage
    plan = chip.plan
    rows = [
        Row(stage.name, what(plan, stage), stage.devices, len(images), 0.0, seconds, by_stage[stage.name])
        for stage in plan.stages
    ]
    return table("CNN on 8x8 digits", "one analog circuit, unrolled; seconds are those of the whole", rows)


def pictures(spec: str) -> Data:
    """Some of the images, drawn from all: folders of images are sorted by their class."""
    data = ow.load_data(spec, "test")
    chosen = np.random.default_rng(SEED).permutation(len(data.x))[: IMAGES + CALIBRATION]
    return Data(np.ascontiguousarray(data.x[chosen]), None, data.name)


def table(title: str, said: str, rows: Sequence[Row]) -> str:
    """All rows and whether the promise is kept."""
    worst = max(row.deviation for row in rows)
    word = "KEPT" if worst <= TOLERANCE else "BROKEN"
    verdict = f"{word}: at most {worst:.1e} of a stage's full scale, {TOLERANCE:g} promised; {version()}"
    return "\n".join([f"{title}: {len(rows)} stages; {said}", HEADER, *(row.told() for row in rows), verdict]) + "\n"


def version() -> str:
    """The engine that the native one is compared with."""
    return f"ngspice {simulator('ngspice').version()}"


CHECKS: Mapping[str, tuple[Callable[[Task], str], str]] = MappingProxyType(
    {
        "lenet-slid": (lenet_slid, "mnist"),
        "lenet-digital": (lenet_digital, "mnist"),
        "lenet-unrolled": (lenet_unrolled, "mnist"),
        "mobilenet": (mobilenet, "cifar"),
        "digits": (digits, ""),
    }
)


def skipped(name: str, task: Task) -> str:
    """Why a check cannot be made; nothing where it can."""
    needs = CHECKS[name][1]
    if needs and getattr(task, needs) is None:
        return f"SKIPPED {name}: no --{needs}\n"
    try:
        version()
    except SimulatorMissing as error:
        return f"SKIPPED {name}: {error}\n"
    return ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(CHECKS), metavar="NAME", help=f"of {', '.join(CHECKS)}")
    parser.add_argument("--mnist", type=Path, help="folder of MNIST")
    parser.add_argument("--cifar", type=Path, help="zip file of CIFAR-10 as folders of images")
    parser.add_argument("--positions", type=int, default=2, help="of each stage that is slid")
    parser.add_argument("--limit", type=float, default=1800.0, help="s, for a run of ngspice")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".txt"), help="where to keep it")
    options = parser.parse_args()
    if unknown := set(options.names) - set(CHECKS):
        parser.error(f"no check called {', '.join(sorted(unknown))}")
    task = Task(options.mnist, options.cifar, options.positions, options.limit)
    for name in options.names:
        if why := skipped(name, task):
            sys.stdout.write(why)
            continue
        sys.stdout.write(found := CHECKS[name][0](task))
        sys.stdout.flush()
        keep(options.output, found)
