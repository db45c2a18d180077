"""How a network lies on a chip: tiles, stages and the plan that holds them."""

import hashlib
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.blocks import Activation, Readout, Through, readouts
from ohmweave.design import Design
from ohmweave.errors import DesignError, ModelError
from ohmweave.graph import Graph
from ohmweave.layers import Lowered, lower
from ohmweave.units import Array

__all__ = [
    "Plan",
    "Stage",
    "Tile",
    "bound_activation",
    "chance",
    "check_tile",
    "pack_tile",
    "plan_digest",
    "readout_of",
    "unpack_tile",
]

Lines = NDArray[np.int64]
_TILE_ARRAYS = ("rows", "cols", "target", "g")


@dataclass(frozen=True, eq=False)
class Tile:
    """One array of a stage.

    Args:
        name: safe name within its stage.
        rows: physical rows of the stage that it holds, ascending.
        cols: physical columns of the stage that it holds, ascending.
        target: conductances asked for, shape [rows, cols], S; NaN where there is no device.
        g: conductances reached by programming and after every effect, same shape, S; NaN also where a
            device failed to an open.
        bend: voltage scales of the devices (:class:`ohmweave.circuit.Bent`), same shape, no unit; NaN where ``g``
            is. ``None`` where no effect bends their curves.
    """

    name: str
    rows: Lines
    cols: Lines
    target: Array
    g: Array
    bend: Array | None = None

    @property
    def devices(self) -> int:
        """Number of memristors that conduct."""
        return int(np.count_nonzero(~np.isnan(self.g)))


@dataclass(frozen=True, eq=False)
class Stage:
    """One layer of the network (:class:`ohmweave.layers.Layer`) as circuits.

    Args:
        name: safe name, ``s0``, ``s1``, ...
        layers: the network's nodes that it realises, the last one's value being its output.
        kind: ``"array"``, ``"maximum"`` or ``"product"``.
        activation: name of the activation, ``"through"`` where there is none.
        parameters: the activation's, in network units.
        inputs: number of input signals at a position, without biases.
        bias_rows: number of input signals driven by the constant bias voltage, after the others.
        outputs: number of output signals at a position.
        positions: how often the stage is there (analog) or runs (sampled).
        tiles: the arrays; tiles with the same rows share their row nets, tiles with the same
            columns sum their currents on the column nets, or their digitised sums.
        s_in: input scale, V per unit; of a product, the product of both scales.
        s_out: output scale, V per unit.
        k: conductance per unit of weight, S.
        s_pre: scale of the readouts' output, V per unit of the pre-activation.
        r_feedback: R_f of the readouts, ohm.
        r_mixing: inner resistor of the readouts, ohm.
        dac: lowest and highest voltage of the converters at the inputs, V.
        adc: the same of those behind the readouts, or behind the stage where sums stay analog, V.
    """

    name: str
    layers: tuple[str, ...]
    kind: str
    activation: str
    parameters: tuple[float, ...]
    inputs: int
    bias_rows: int
    outputs: int
    positions: int
    tiles: tuple[Tile, ...]
    s_in: float
    s_out: float
    k: float = 0.0
    s_pre: float = 0.0
    r_feedback: float = 0.0
    r_mixing: float = 0.0
    dac: tuple[float, float] = (0.0, 0.0)
    adc: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        scales: tuple[float, ...] = (self.s_in, self.s_out)
        if self.kind == "array":
            scales += (self.k, self.s_pre, self.r_feedback, self.r_mixing)
        if not all(math.isfinite(value) and value > 0.0 for value in scales):
            raise ModelError(f"expected positive scales and resistors, found {scales}", where=f"stage {self.name}")
        for tile in self.tiles:
            check_tile(tile, f"tile {self.name}.{tile.name}")

    @property
    def devices(self) -> int:
        """Number of memristors."""
        return sum(tile.devices for tile in self.tiles)

    @property
    def values(self) -> int:
        """Number of output values of all positions."""
        return self.outputs * self.positions


def check_tile(tile: Tile, where: str) -> None:
    """Refuse a tile whose arrays do not belong together or whose conductances are none; ModelError names it."""
    shape = (len(tile.rows), len(tile.cols))
    if tile.g.shape != shape or tile.target.shape != shape:
        raise ModelError(f"expected conductances of shape {shape}, found {tile.g.shape}", where=where)
    wrong = tile.g[~(np.isnan(tile.g) | ((tile.g > 0.0) & (tile.g < math.inf)))]
    if np.any(np.isnan(tile.target) & ~np.isnan(tile.g)):
        wrong = np.append(wrong, math.nan)
    if wrong.size:
        raise ModelError(
            f"expected positive conductances, found {wrong.flat[0]} S ({wrong.size} in all)",
            where=where,
            remedy="a device's program() and every effect must return what it can conduct",
        )
    _check_bend(tile, where)


def _check_bend(tile: Tile, where: str) -> None:
    if tile.bend is None:
        return
    if tile.bend.shape != tile.g.shape:
        raise ModelError(f"expected bends of shape {tile.g.shape}, found {tile.bend.shape}", where=where)
    fine = (tile.bend > 0.0) & (tile.bend < math.inf)
    wrong = tile.bend[~np.where(np.isnan(tile.g), np.isnan(tile.bend), fine)]
    if wrong.size:
        raise ModelError(
            f"expected positive bends where devices are, found {wrong[0]} ({wrong.size} in all)",
            where=where,
            remedy="every effect's bend() must return a positive number for each device",
        )


@dataclass(frozen=True, eq=False)
class Plan:
    """How a network lies on a chip.

    Args:
        graph: the network.
        design: the choices it was mapped with.
        stages: in the order signals pass them.
        s_input: scale of the network's inputs, V per unit.
    """

    graph: Graph
    design: Design
    stages: tuple[Stage, ...]
    s_input: float

    @cached_property
    def lowered(self) -> Lowered:
        """The network's layers, one a stage, and their wiring."""
        coupling = self.design.coupling
        return lower(self.graph, unrolled=coupling.unrolled, fold=coupling.folds)

    @property
    def host(self) -> tuple[str, ...]:
        """Names of the nodes after the last stage; they are computed outside the circuit."""
        return self.lowered.host

    @property
    def devices(self) -> int:
        """Number of memristors."""
        return sum(stage.devices for stage in self.stages)

    @property
    def opamps(self) -> int:
        """Number of op-amps: in readouts, activations, other blocks and line inverters."""
        return sum(self._opamps(stage) for stage in self.stages)

    @property
    def quiescent_power(self) -> float:
        """What op-amps and other blocks draw at rest, W."""
        return self.opamps * self.design.opamp.quiescent_power + self._blocks_at_rest

    @property
    def unsupplied_power(self) -> float:
        """What of the power at rest no source in the circuit delivers, W."""
        return self._blocks_at_rest if self.design.opamp.supplied else self.quiescent_power

    @property
    def _blocks_at_rest(self) -> float:
        opamp = self.design.opamp
        supply = opamp.v_high - opamp.v_low
        blocks = 0.0
        for stage in self.stages:
            copies = 1 if self.design.coupling.sampled else stage.positions
            if stage.kind == "array" and not self.design.coupling.digital_sums:
                blocks += stage.outputs * self.activation(stage).quiescent_power(supply)
            elif stage.kind == "product":
                blocks += copies * self.design.multiplier.quiescent_power(supply)
        return blocks

    def _opamps(self, stage: Stage) -> int:
        design = self.design
        copies = 1 if design.coupling.sampled else stage.positions
        if stage.kind == "product":
            return copies * int(design.multiplier.opamps)
        if stage.kind == "maximum":
            return copies * int(design.maximum.opamps(stage.inputs))
        lines = self.readout.lines
        readouts_of_tiles = sum(len(tile.cols) // lines for tile in stage.tiles)
        columns = readouts_of_tiles if design.coupling.digital_sums else stage.outputs
        layer = self.lowered.layers[self.stages.index(stage)]
        inner = layer.source[0] > self.graph_inputs
        inverters = int(inner.sum()) if design.scheme.lines_per_input == 2 and not design.coupling.sampled else 0
        activations = 0 if design.coupling.digital_sums else stage.outputs * self.activation(stage).opamps
        return columns * self.readout.opamps + activations + inverters

    @property
    def graph_inputs(self) -> int:
        """Number of values of one input sample."""
        return math.prod(self.graph.input_shape)

    @property
    def readout(self) -> Readout:
        """The readout that the scheme asks for."""
        return readout_of(self.design)

    def activation(self, stage: Stage) -> Activation:
        """The activation circuit of a stage."""
        return bound_activation(self.design, stage.activation, stage.parameters)

    def input_volts(self, x: Array) -> Array:
        """Voltages of the chip's inputs for samples ``x`` in network units, noise included, [samples, inputs], V."""
        volts = self.graph.fit(x).reshape(len(x), -1) * self.s_input
        noise = self.design.driver.noise
        return volts + noise * chance(self.design, "inputs").standard_normal(volts.shape) if noise else volts

    def logits(self, volts: Array) -> Array:
        """The network's output from the last stage's voltages, host operations included.

        Args:
            volts: output voltages of the last stage, shape [samples, values], V.

        Returns:
            The graph's first output in network units, [samples, ...].
        """
        value = volts[:, self.lowered.output - self.lowered.layers[-1].first] / self.stages[-1].s_out
        for name in self.host:
            value = self.graph.node(name).op.forward(value)
        return np.asarray(value)

    def digest(self) -> str:
        """Content hash of the graph, the design and every conductance."""
        return plan_digest(self.graph, self.design, *self.pack())

    def pack(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Split into a JSON-ready structure and named arrays; :meth:`unpack` is the inverse."""
        arrays: dict[str, Array] = {}
        stages = []
        for stage in self.stages:
            entry = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(stage).items()}
            entry["tiles"] = [tile.name for tile in stage.tiles]
            for tile in stage.tiles:
                arrays |= pack_tile(stage.name, tile)
            stages.append(entry)
        return {"s_input": self.s_input, "stages": stages}, arrays

    @staticmethod
    def unpack(graph: Graph, design: Design, structure: Mapping[str, Any], arrays: Mapping[str, Array]) -> "Plan":
        """Rebuild a plan from its graph, its design and what :meth:`pack` returned."""
        tuples = {item.name for item in fields(Stage) if str(item.type).startswith("tuple")}
        stages = []
        for entry in structure["stages"]:
            values: dict[str, Any] = {key: tuple(value) if key in tuples else value for key, value in entry.items()}
            values["tiles"] = tuple(unpack_tile(entry["name"], name, arrays) for name in entry["tiles"])
            stages.append(Stage(**values))
        return Plan(graph, design, tuple(stages), float(structure["s_input"]))


def plan_digest(graph: Graph, design: Design, structure: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    """Content hash of a plan from what it was made of and what it packs into."""
    state = hashlib.sha256(json.dumps(structure, sort_keys=True).encode())
    state.update((graph.digest() + design.digest()).encode())
    for name in sorted(arrays):
        state.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return state.hexdigest()


def pack_tile(stage: str, tile: Tile) -> dict[str, Array]:
    """A tile's arrays by names that say whose they are; :func:`unpack_tile` is the inverse."""
    arrays = {f"{stage}.{tile.name}.{name}": getattr(tile, name) for name in _TILE_ARRAYS}
    return arrays if tile.bend is None else {**arrays, f"{stage}.{tile.name}.bend": tile.bend}


def unpack_tile(stage: str, name: str, arrays: Mapping[str, Array]) -> Tile:
    """A tile from what :func:`pack_tile` made."""
    rows, cols, target, g = (arrays[f"{stage}.{name}.{part}"] for part in _TILE_ARRAYS)
    lines, bend = (rows.astype(np.int64), cols.astype(np.int64)), arrays.get(f"{stage}.{name}.bend")
    values = target.astype(np.float64), g.astype(np.float64)
    return Tile(name, *lines, *values, None if bend is None else bend.astype(np.float64))


def bound_activation(design: Design, kind: str, parameters: tuple[float, ...]) -> Activation:
    """The circuit that a design chooses for an activation, for the parameters of the network's own."""
    if kind == "through":
        return Through()
    chosen: Activation = getattr(design, kind)
    return chosen.bind(*parameters)


def chance(design: Design, place: str) -> np.random.Generator:
    """The design's chance at one place of the chip: the same again for the same seed, whatever is drawn elsewhere."""
    return np.random.default_rng((design.seed, zlib.crc32(place.encode())))


def readout_of(design: Design) -> Readout:
    """The readout that the design's scheme asks for.

    Raises:
        DesignError: a scheme that asks for an unknown one.
    """
    name, known = design.scheme.readout, readouts()
    if name not in known:
        raise DesignError(f"the scheme asks for the unknown readout {name!r}", where="scheme")
    readout: Readout = known[name]()
    return readout
