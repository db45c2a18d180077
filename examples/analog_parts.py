"""What the study of co-optimisation is made of: op-amps of any size, small networks, and how long a stage takes.

Nothing here is run by itself; ``study_cooptimisation.py`` uses it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
from safetensors.numpy import load_file, save_file

from ohmweave.bench import Transient, Waveform
from ohmweave.blocks import TwoStage45
from ohmweave.blocks.characterize import characterize_cells
from ohmweave.blocks.figures import OpAmpFigures, circuit_digest
from ohmweave.blocks.measured import MeasuredOpAmp
from ohmweave.blocks.two_stage import Target, circuit, size
from ohmweave.chip import Chip, Run
from ohmweave.circuit import Capacitor, Cell, Instance, Resistor
from ohmweave.floorplan import Stage
from ohmweave.frontend.data import Labels
from ohmweave.graph import Graph, Input, Linear, Node, Relu
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

SEED = 1
# What stands at each crossing of wires, an assumption: some micrometres of wire and a selector.
CROSSING_FARAD = 1e-15
OUTPUT_FARAD = 1e-12
# A step of the inputs: when it begins and how long it takes, s.
BEGIN, RISE = 2e-9, 1e-9
WITHIN = 0.01
# What has not settled by then never will, s.
_LONGEST = 50e-6


@dataclass(frozen=True)
class Sized(MeasuredOpAmp):
    """The two-stage op-amp of ``two_stage_45`` in other sizes, with what SPICE measured on it.

    Args:
        target: what it was sized for.
        measured: what it is.
    """

    target: Target
    measured: OpAmpFigures
    offset_spread: ClassVar[float] = 0.0

    @property
    def figures(self) -> OpAmpFigures:
        """What SPICE measured."""
        return self.measured

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"opamp for {self.target.gbw / 1e6:g} MHz and {self.target.i_out * 1e6:g} uA"

    @property
    def holds(self) -> tuple[float, float] | None:
        """Lowest and highest limit that its output can be held above, V: its input pair's, as in ``two_stage_45``."""
        return TwoStage45().holds

    def circuit(self, name: str, low: float | None) -> Cell:
        """The transistors, ports p, n, out; ``low`` is the limit above which the output is held, V, or none."""
        return circuit(name, size(self.target), low)


def opamp_cells(target: Target) -> tuple[Cell, Cell]:
    """The circuits of an op-amp for a target, free and with its output held above 0 V."""
    sizes = size(target)
    return circuit("opamp", sizes), circuit("opamp_held", sizes, 0.0)


def sized(target: Target, folder: Path) -> TwoStage45 | Sized:
    """An op-amp for a target; measured in ngspice unless the folder has the figures of this very circuit."""
    if target == Target():
        return TwoStage45()
    cells = opamp_cells(target)
    path = (
        folder
        / f"{target.gbw / 1e6:g}MHz_{target.c_load * 1e12:g}pF_{target.i_out * 1e6:g}uA_{target.i_bias * 1e6:g}uA.json"
    )
    if path.exists() and (kept := OpAmpFigures.load(path)).circuit == circuit_digest(*cells):
        return Sized(target, kept)
    figures = characterize_cells(*cells, c_load=target.c_load)
    path.parent.mkdir(parents=True, exist_ok=True)
    figures.save(path)
    return Sized(target, figures)


def train(hidden: Sequence[int], x: Array, y: Labels, epochs: int) -> dict[str, Array]:
    """Weights ``w0``, ``b0``, ``w1``, ... of a multilayer perceptron with ReLUs, by Adam with weight decay."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    widths = (x.shape[1], *hidden, int(y.max()) + 1)
    layers = [torch.nn.Linear(before, after) for before, after in pairwise(widths)]
    parts = [part for layer in layers for part in (layer, torch.nn.ReLU())]
    network, inputs, labels = torch.nn.Sequential(*parts[:-1]), torch.from_numpy(x).float(), torch.as_tensor(y)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(len(inputs)), 128):
            optimizer.zero_grad()
            torch.autograd.backward(torch.nn.functional.cross_entropy(network(inputs[chosen]), labels[chosen]))
            optimizer.step()
        schedule.step()
    named = {f"w{k}": layer.weight for k, layer in enumerate(layers)}
    named |= {f"b{k}": layer.bias for k, layer in enumerate(layers)}
    return {name: value.detach().numpy() for name, value in named.items()}


def network(hidden: Sequence[int], x: Array, y: Labels, epochs: int, folder: Path) -> Graph:
    """A trained perceptron as a graph; its weights are kept in the folder."""
    path = folder / f"{'-'.join(map(str, (x.shape[1], *hidden)))}_{epochs}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(train(hidden, x, y, epochs), path)
    w = load_file(path)
    nodes = [Node("x", Input((x.shape[1],)))]
    for k in range(len(hidden) + 1):
        layer = Linear(w[f"w{k}"].astype(np.float64), w[f"b{k}"].astype(np.float64))
        nodes.append(Node(f"layer{k}", layer, (nodes[-1].name,)))
        if k < len(hidden):
            nodes.append(Node(f"relu{k}", Relu(), (nodes[-1].name,)))
    return Graph(tuple(nodes), (nodes[-1].name,))


def stage_inputs(chip: Chip, run: Run, index: int, x: Array) -> Array:
    """Voltages of a stage's rows, biases last, [samples, rows], V."""
    plan, stage = chip.plan, chip.plan.stages[index]
    volts = plan.input_volts(x) if index == 0 else run.stage_volts[plan.stages[index - 1].name]
    return np.hstack([volts, np.full((len(volts), stage.bias_rows), plan.design.signal.v_read)])


def line_amps(stage: Stage, volts: Array) -> Array:
    """Currents of a stage's bit lines if wires had no resistance, [samples, lines], A."""
    amps = np.zeros((len(volts), 1 + max(int(tile.cols.max()) for tile in stage.tiles)))
    for tile in stage.tiles:
        amps[:, tile.cols] += volts[:, tile.rows] @ np.nan_to_num(tile.g)
    return amps


def column(chip: Chip, index: int, output: int) -> Cell:
    """One output of a stage alone: its two bit lines with wires and capacitance, readout and load.

    Ports r0.. and y. Each crossing has its device from the row to the bit line, a segment of wire and 1 fF to
    ground; y has the rows of the next stage to drive, conductances and 1 fF a crossing, or 1 pF at the end.
    """
    plan, stage = chip.plan, chip.plan.stages[index]
    readout = next(part for part in chip.stage_cell(stage.name).parts if part.name == f"ro{output}")
    assert isinstance(readout, Instance)
    parts = [Instance("ro", readout.of, ("c0", "c1", "y"))]
    for number, tile in enumerate(stage.tiles):
        for side in range(2):
            for place in np.flatnonzero(tile.cols == 2 * output + side):
                parts += _line(f"t{number}c{side}", f"c{side}", tile.rows, tile.g[:, place], plan.design.array.r_col)
    later = plan.stages[index + 1].tiles if index + 1 < len(plan.stages) else ()
    loads = [tile.g[list(tile.rows).index(output)] for tile in later if output in tile.rows]
    siemens, crossings = sum(float(np.nansum(g)) for g in loads), sum(len(g) for g in loads)
    parts += [Instance("rl", Resistor(1.0 / siemens), ("y", "0"))] if loads else []
    parts.append(Instance("cl", Capacitor(crossings * CROSSING_FARAD if loads else OUTPUT_FARAD), ("y", "0")))
    rows = stage.inputs + stage.bias_rows
    return Cell("column", (*(f"r{i}" for i in range(rows)), "y"), tuple(parts))


def _line(name: str, end: str, rows: Sequence[int], g: Array, ohms: float) -> list[Instance]:
    """A bit line of one tile down to the net ``end``."""
    nets = [f"{name}n{k}" if ohms else end for k in range(len(g))] + [end]
    parts = []
    for k, (row, siemens) in enumerate(zip(rows, g, strict=True)):
        parts.append(Instance(f"{name}g{k}", Resistor(float(1.0 / siemens)), (f"r{row}", nets[k])))
        parts.append(Instance(f"{name}x{k}", Capacitor(CROSSING_FARAD), (nets[k], "0")))
        parts += [Instance(f"{name}w{k}", Resistor(ohms), (nets[k], nets[k + 1]))] if ohms else []
    return parts


def most_loaded(chip: Chip, run: Run, index: int) -> tuple[int, int]:
    """The output with the most conductance at its lines, so the least loop gain, and the sample that drives it most.

    It need not be the slowest: nothing else was timed.
    """
    stage = chip.plan.stages[index]
    rows = stage.inputs + stage.bias_rows
    loaded = line_amps(stage, np.ones((1, rows)))[0].reshape(-1, 2).sum(axis=1)
    volts = run.stage_volts[stage.name]
    # An output that a ReLU holds at zero has nothing to settle to.
    busy = np.abs(volts).max(axis=0) > 0.2 * np.abs(volts).max()
    output = int(np.where(busy, loaded, 0.0).argmax())
    return output, int(np.abs(volts[:, output]).argmax())


def settling(chip: Chip, run: Run, index: int, x: Array, end: float = 1e-6) -> float:
    """How long a stage's most loaded output takes to within 1 % of its final voltage, s; infinite if it never does.

    Inputs step from 0 V, the bias being there, to those of the sample. ngspice with the real transistors.
    """
    output, sample = most_loaded(chip, run, index)
    stage, volts = chip.plan.stages[index], stage_inputs(chip, run, index, x)[sample]
    corners = np.array([0.0, BEGIN, BEGIN + RISE])
    drives = [Waveform(corners, np.array([0.0, 0.0, volt])) for volt in volts[: stage.inputs]]
    drives += [Waveform(corners[:1], np.array([volt])) for volt in volts[stage.inputs :]]
    cell = column(chip, index, output)
    asked = Transient(cell, cell.ports[:-1], tuple(drives), end, end / 400.0, ("y",))
    while asked.end < _LONGEST:
        traces = NgspiceSimulator().trace(asked)
        final = traces.volts[-1, 0]
        outside = np.flatnonzero(np.abs(traces.volts[:, 0] - final) > WITHIN * abs(final))
        settled = float(traces.times[min(outside[-1] + 1, len(traces.times) - 1)]) - BEGIN if len(outside) else 0.0
        if settled < 0.5 * asked.end:
            return settled
        asked = replace(asked, end=4.0 * asked.end, step=4.0 * asked.step)
    return math.inf
