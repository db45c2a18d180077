"""From a network and a design to a plan: stages, tiles, target conductances, scales."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ohmweave.blocks import Activation, Readout, Through, readouts
from ohmweave.design import Design
from ohmweave.errors import DataError, DesignError, ModelError
from ohmweave.graph import Graph, Linear, Node
from ohmweave.layers import activation_kind, split_stages
from ohmweave.units import Array

__all__ = ["Plan", "Stage", "Tile", "plan"]

_MOST_BIAS_ROWS = 8


@dataclass(frozen=True, eq=False)
class Tile:
    """One array of a stage.

    Args:
        name: safe name within its stage.
        rows: physical rows of the stage that it holds.
        cols: physical columns of the stage that it holds.
        target: conductances asked for, shape [rows, cols], S.
        g: conductances reached by programming, same shape, S.
    """

    name: str
    rows: slice
    cols: slice
    target: Array
    g: Array


@dataclass(frozen=True, eq=False)
class Stage:
    """One layer of weights with its activation.

    Args:
        name: safe name, ``s0``, ``s1``, ...
        layers: the network's nodes that it realises, first the weights, last its output.
        activation: ``"through"``, ``"relu"``, ``"tanh"`` or ``"sigmoid"``.
        inputs: number of input signals, without biases.
        bias_rows: number of input signals driven by the constant bias voltage, after the others.
        outputs: number of output signals.
        tiles: the arrays; tiles with the same rows share their row nets, tiles with the same
            columns sum their currents on the column nets.
        k: conductance per unit of weight, S.
        s_in: input scale, V per unit.
        s_pre: scale of the readout's output, V per unit of the pre-activation.
        s_out: output scale, V per unit.
        r_feedback: R_f of the readouts, ohm.
        r_mixing: inner resistor of the readouts, ohm.
    """

    name: str
    layers: tuple[str, ...]
    activation: str
    inputs: int
    bias_rows: int
    outputs: int
    tiles: tuple[Tile, ...]
    k: float
    s_in: float
    s_pre: float
    s_out: float
    r_feedback: float
    r_mixing: float

    def __post_init__(self) -> None:
        scales = (self.k, self.s_in, self.s_pre, self.s_out, self.r_feedback, self.r_mixing)
        if not all(math.isfinite(value) and value > 0.0 for value in scales):
            raise ModelError(f"expected positive scales and resistors, found {scales}", where=f"stage {self.name}")
        for tile in self.tiles:
            shape = (tile.rows.stop - tile.rows.start, tile.cols.stop - tile.cols.start)
            if tile.g.shape != shape or tile.target.shape != shape:
                raise ModelError(
                    f"expected conductances of shape {shape}, found {tile.g.shape}",
                    where=f"tile {self.name}.{tile.name}",
                )
            wrong = tile.g[~((tile.g > 0.0) & (tile.g < math.inf))]
            if wrong.size:
                raise ModelError(
                    f"expected positive conductances, found {wrong.flat[0]} S ({wrong.size} in all)",
                    where=f"tile {self.name}.{tile.name}",
                    remedy="a device's program() must return what it can conduct",
                )

    @property
    def devices(self) -> int:
        """Number of memristors."""
        return sum(tile.g.size for tile in self.tiles)


@dataclass(frozen=True, eq=False)
class Plan:
    """How a network lies on a chip.

    Args:
        graph: the network.
        design: the choices it was mapped with.
        stages: in the order signals pass them.
        host: names of the nodes after the last stage; they are computed outside the circuit.
    """

    graph: Graph
    design: Design
    stages: tuple[Stage, ...]
    host: tuple[str, ...]

    @property
    def devices(self) -> int:
        """Number of memristors."""
        return sum(stage.devices for stage in self.stages)

    @property
    def opamps(self) -> int:
        """Number of op-amps: in readouts, activations and line inverters."""
        total = 0
        for index, stage in enumerate(self.stages):
            per_output = self.readout.opamps + self.activation(stage).opamps
            inverters = stage.inputs if index and self.design.scheme.lines_per_input == 2 else 0
            total += stage.outputs * per_output + inverters
        return total

    @property
    def quiescent_power(self) -> float:
        """What op-amps and activations draw at rest, W."""
        opamp = self.design.opamp
        supply = opamp.v_high - opamp.v_low
        blocks = sum(s.outputs * self.activation(s).quiescent_power(supply) for s in self.stages)
        return self.opamps * opamp.quiescent_power + blocks

    @property
    def readout(self) -> Readout:
        """The readout that the scheme asks for."""
        return _readout(self.design)

    def activation(self, stage: Stage) -> Activation:
        """The activation circuit of a stage."""
        return _activation(self.design, stage.activation)

    def input_volts(self, x: Array) -> Array:
        """Voltages of the chip's inputs for samples ``x`` in network units, [samples, inputs], V."""
        return self.graph.fit(x).reshape(len(x), -1) * self.stages[0].s_in

    def logits(self, volts: Array) -> Array:
        """The network's output from the last stage's voltages, host operations included.

        Args:
            volts: output voltages of the last stage, shape [samples, outputs], V.

        Returns:
            The graph's first output in network units, [samples, ...].
        """
        value = volts / self.stages[-1].s_out
        for name in self.host:
            value = self.graph.node(name).op.forward(value)
        return value

    def digest(self) -> str:
        """Content hash of the graph, the design and every conductance."""
        structure, arrays = self.pack()
        state = hashlib.sha256(json.dumps(structure, sort_keys=True).encode())
        state.update((self.graph.digest() + self.design.digest()).encode())
        for name in sorted(arrays):
            state.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
        return state.hexdigest()

    def pack(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Split into a JSON-ready structure and named arrays; :meth:`unpack` is the inverse."""
        arrays: dict[str, Array] = {}
        stages = []
        for stage in self.stages:
            entry = {key: value for key, value in vars(stage).items() if key != "tiles"}
            entry["layers"] = list(stage.layers)
            entry["tiles"] = []
            for tile in stage.tiles:
                spans = {"rows": [tile.rows.start, tile.rows.stop], "cols": [tile.cols.start, tile.cols.stop]}
                entry["tiles"].append({"name": tile.name, **spans})
                arrays[f"{stage.name}.{tile.name}.target"] = tile.target
                arrays[f"{stage.name}.{tile.name}.g"] = tile.g
            stages.append(entry)
        return {"stages": stages, "host": list(self.host)}, arrays

    @staticmethod
    def unpack(graph: Graph, design: Design, structure: Mapping[str, Any], arrays: Mapping[str, Array]) -> "Plan":
        """Rebuild a plan from its graph, its design and what :meth:`pack` returned."""
        stages = []
        for entry in structure["stages"]:
            tiles = tuple(
                Tile(
                    t["name"],
                    slice(*t["rows"]),
                    slice(*t["cols"]),
                    np.asarray(arrays[f"{entry['name']}.{t['name']}.target"], dtype=np.float64),
                    np.asarray(arrays[f"{entry['name']}.{t['name']}.g"], dtype=np.float64),
                )
                for t in entry["tiles"]
            )
            stages.append(Stage(**{**entry, "layers": tuple(entry["layers"]), "tiles": tiles}))
        return Plan(graph, design, tuple(stages), tuple(structure["host"]))


def plan(graph: Graph, design: Design, calibration: Array) -> Plan:
    """Map a network.

    Weights become conductances, g = G_off + k |w|, k = (G_on - G_off) / max|w|; scales come from the
    largest values seen on the calibration data; R_f = s_pre / (s_in k) sets the gain of each stage.

    Args:
        graph: a chain of Linear layers with activations.
        design: every choice of the chip.
        calibration: representative inputs in network units, [samples, ...].

    Raises:
        ModelError: an op or a shape of network that cannot be mapped, or a layer of zeros.
        DataError: calibration data that does not fit or carries no signal.
    """
    chains, host = split_stages(graph)
    values = graph.trace(calibration)
    rng = np.random.default_rng(design.seed)
    stages: list[Stage] = []
    x = values[graph.nodes[0].name].reshape(len(calibration), -1)
    s_in = design.signal.v_read / _largest(x, "calibration data", "the inputs")
    for index, chain in enumerate(chains):
        volts = design.signal.v_out if index == len(chains) - 1 else design.signal.v_read
        stage = _stage(f"s{index}", chain, x, values, s_in, volts, design, rng)
        stages.append(stage)
        x, s_in = values[chain[-1].name].reshape(len(x), -1), stage.s_out
    return Plan(graph, design, tuple(stages), tuple(node.name for node in host))


def _stage(
    name: str,
    chain: list[Node],
    x: Array,
    values: Mapping[str, Array],
    s_in: float,
    volts: float,
    design: Design,
    rng: np.random.Generator,
) -> Stage:
    kind = activation_kind(chain)
    activation, where = _activation(design, kind), f"layer {chain[0].name!r}"
    w, bias_rows = _weights(chain[0], s_in, design.signal.v_read, activation.inverting)
    largest = _largest(w, where, "the weights")
    g_off, g_on = design.device.g_range
    k = (g_on - g_off) / largest
    if not math.isfinite(k):
        raise ModelError(
            f"the largest weight is {largest:g}, too small to map", where=where, remedy="scale the layer up"
        )
    target = design.scheme.encode(w, design.device.g_range, k)
    s_out = volts / _largest(values[chain[-1].name], where, "the outputs on the calibration data")
    y_max = float(np.abs(values[chain[0].name]).max())
    swing = design.signal.headroom * min(design.opamp.v_high, -design.opamp.v_low)
    s_pre = activation.input_scale(y_max, s_out, swing)
    r_feedback = s_pre / (s_in * k)
    inputs = np.hstack([x * s_in, np.full((len(x), bias_rows), design.signal.v_read)])
    readout = _readout(design)
    r_mixing = readout.mixing_resistor(r_feedback, _line_current(inputs, target, design), swing)
    tiles = _tiles(target, design, rng)
    layers = tuple(node.name for node in chain)
    outputs = w.shape[1]
    return Stage(
        name, layers, kind, x.shape[1], bias_rows, outputs, tiles, k, s_in, s_pre, s_out, r_feedback, r_mixing
    )  # fmt: skip


def _weights(node: Node, s_in: float, v_bias: float, inverting: bool) -> tuple[Array, int]:
    """Weights with the bias as extra rows, [inputs + bias rows, outputs]; the number of bias rows.

    A bias row carries v_bias where a unit carries s_in, so its weight is b s_in / v_bias. Biases
    larger than the weights are spread over several rows rather than squeeze the weights' range.
    """
    op = node.op
    assert isinstance(op, Linear)
    w, b = op.weight.T, op.bias * s_in / v_bias
    if not np.any(w):
        raise ModelError(
            f"every weight of the {w.shape[0]} x {w.shape[1]} matrix is zero, nothing can be mapped",
            where=f"layer {node.name!r}",
            remedy="remove the layer or train it",
        )
    rows = 0
    if np.any(b):
        rows = min(_MOST_BIAS_ROWS, max(1, math.ceil(np.abs(b).max() / np.abs(w).max())))
    stacked = np.vstack([w, np.broadcast_to(b / max(rows, 1), (rows, len(b)))])
    return (-stacked if inverting else stacked), rows


def _largest(values: Array, where: str, what: str) -> float:
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        raise DataError(
            f"{what} are all zero, so no scale can be set", where=where, remedy="calibrate with representative data"
        )
    return largest


def _line_current(volts: Array, target: Array, design: Design) -> float:
    """Largest current of any first line of an output, A, over the calibration samples."""
    scheme = design.scheme
    first = target[:, :: scheme.lines_per_output]
    signs = np.array([1.0, -1.0])[: scheme.lines_per_input]
    lines = (volts[:, :, None] * signs).reshape(len(volts), -1)
    return float(np.abs(lines @ first).max())


def _tiles(target: Array, design: Design, rng: np.random.Generator) -> tuple[Tile, ...]:
    scheme, choice = design.scheme, design.array
    height = choice.rows - choice.rows % scheme.lines_per_input
    width = choice.cols - choice.cols % scheme.lines_per_output
    if not height or not width:
        raise DesignError(
            f"expected tiles of at least {scheme.lines_per_input} x {scheme.lines_per_output} lines for this scheme, "
            f"found {choice.rows} x {choice.cols}",
            where="array",
            remedy="enlarge array.rows or array.cols",
        )
    tiles = []
    for i, top in enumerate(range(0, target.shape[0], height)):
        for j, left in enumerate(range(0, target.shape[1], width)):
            rows = slice(top, min(top + height, target.shape[0]))
            cols = slice(left, min(left + width, target.shape[1]))
            part = target[rows, cols].copy()
            tiles.append(Tile(f"t{i}_{j}", rows, cols, part, design.device.program(part, rng)))
    return tuple(tiles)


def _activation(design: Design, kind: str) -> Activation:
    if kind == "through":
        return Through()
    chosen: Activation = {"relu": design.relu, "tanh": design.tanh, "sigmoid": design.sigmoid}[kind]
    return chosen


def _readout(design: Design) -> Readout:
    name, known = design.scheme.readout, readouts()
    if name not in known:
        raise DesignError(f"the scheme asks for the unknown readout {name!r}", where="scheme")
    readout: Readout = known[name]()
    return readout
