"""How a spiking network lies on a chip: its stages, arrays and neurons."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ohmweave.blocks.spiking import Membrane
from ohmweave.design import Design
from ohmweave.errors import DataError, ModelError
from ohmweave.floorplan import Tile, chance, check_tile, pack_tile, plan_digest, unpack_tile
from ohmweave.graph import Graph
from ohmweave.spiking.idle import idle_remarks
from ohmweave.spiking.population import INPUTS
from ohmweave.temporal import real
from ohmweave.units import Array

__all__ = ["SpikingPlan", "SpikingStage"]


@dataclass(frozen=True, eq=False)
class SpikingStage:
    """One population as circuits.

    Signals, the inputs of its rows, are numbered: the spikes of the source first, then the bias rows, which are
    pulsed in every step, then the stage's own neurons where they are recurrent.

    Args:
        name: safe name, ``s0``, ``s1``, ...
        layers: the network's nodes that it realises.
        source: number of the stage whose spikes it reads; -1 for the chip's inputs.
        inputs: number of spikes read.
        bias_rows: number of rows pulsed in every step.
        recurrent: whether its own spikes drive further rows.
        outputs: number of neurons.
        tiles: its arrays; ``rows`` are signals, column 2j and 2j + 1 lead to columns p and n of neuron j.
        k: conductance per threshold of weight, S.
        membranes: what each neuron has to be.
    """

    name: str
    layers: tuple[str, ...]
    source: int
    inputs: int
    bias_rows: int
    recurrent: bool
    outputs: int
    tiles: tuple[Tile, ...]
    k: float
    membranes: tuple[Membrane, ...]

    def __post_init__(self) -> None:
        where = f"stage {self.name}"
        if len(self.membranes) != self.outputs or min(self.inputs, self.outputs, len(self.tiles)) < 1:
            raise ModelError(
                f"expected inputs, arrays and a membrane for each of {self.outputs} neurons, found {self.inputs} "
                f"inputs, {len(self.tiles)} arrays and {len(self.membranes)} membranes",
                where=where,
            )
        if not (math.isfinite(self.k) and self.k > 0.0 and self.bias_rows >= 0):
            raise ModelError(f"expected a positive scale, found {self.k}", where=where)
        for tile in self.tiles:
            check_tile(tile, f"tile {self.name}.{tile.name}")
            beyond = tile.rows.max(initial=0) >= self.signals or tile.cols.max(initial=0) >= 2 * self.outputs
            if beyond or min(tile.rows.min(initial=0), tile.cols.min(initial=0)) < 0:
                raise ModelError("expected rows and columns of the stage, found others", where=f"{where}, {tile.name}")

    @property
    def signals(self) -> int:
        """Number of signals that drive rows."""
        return self.inputs + self.bias_rows + (self.outputs if self.recurrent else 0)

    @property
    def devices(self) -> int:
        """Number of memristors."""
        return sum(tile.devices for tile in self.tiles)


@dataclass(frozen=True, eq=False)
class SpikingPlan:
    """How a spiking network lies on a chip.

    Args:
        graph: the network.
        design: the choices it was mapped with.
        stages: in the order spikes pass them.
        straight: whether the inputs are analog values, of which a row's pulse is a share, and no spikes.
    """

    graph: Graph
    design: Design
    stages: tuple[SpikingStage, ...]
    straight: bool

    def __post_init__(self) -> None:
        widths = [self.inputs, *(stage.outputs for stage in self.stages)]
        for index, stage in enumerate(self.stages):
            if not INPUTS <= stage.source < index or stage.inputs != widths[stage.source + 1]:
                raise ModelError(
                    f"expected an earlier stage of {stage.inputs} outputs as its source, found {stage.source}",
                    where=f"stage {stage.name}",
                )

    @property
    def inputs(self) -> int:
        """Number of the chip's inputs."""
        return math.prod(self.graph.input_shape)

    @property
    def devices(self) -> int:
        """Number of memristors."""
        return sum(stage.devices for stage in self.stages)

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return sum(stage.outputs for stage in self.stages)

    @cached_property
    def delays(self) -> tuple[int, ...]:
        """Steps after the chip's inputs in which each stage has their answer: one for every stage before it."""
        found: list[int] = []
        for stage in self.stages:
            found.append(0 if stage.source == INPUTS else found[stage.source] + 1)
        return tuple(found)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What there is to tell of the chip: :attr:`unlike`, and choices of the design that are of no use to it."""
        return (*self.unlike, *idle_remarks(self.design))

    @property
    def unlike(self) -> tuple[str, ...]:
        """What neurons of the chip do otherwise than the network's, one sentence a layer."""
        return tuple(text for stage in self.stages for text in _unlike(self, stage.layers[-1]))

    def encode(self, x: Array) -> Array:
        """The trains of samples, the same for the same samples, [samples, steps, inputs]; of x [samples, ...]."""
        return np.concatenate([trains for _, trains in self.parts(x, max(1, len(x)))])

    def parts(self, x: Array, count: int) -> Iterator[tuple[slice, Array]]:
        """Which samples, and their trains, ``count`` samples at a time; together they are :meth:`encode`.

        Raises:
            DataError: no samples, or samples that cannot be encoded.
        """
        if not len(x):
            raise DataError("expected at least one sample, found none", where="data", remedy="give samples")
        rng = chance(self.design, "encoding")
        for first in range(0, len(x), count):
            part = slice(first, min(first + count, len(x)))
            trains = self.design.encoding.encode(np.asarray(real(x[part]), dtype=np.float64), rng)
            yield part, trains.reshape(*trains.shape[:2], -1)

    def digest(self) -> str:
        """Content hash of the network, the design, every conductance and every neuron."""
        return plan_digest(self.graph, self.design, *self.pack())

    def pack(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Split into a JSON-ready structure and named arrays; :meth:`unpack` is the inverse."""
        arrays: dict[str, Array] = {}
        stages = []
        for stage in self.stages:
            entry = {name: getattr(stage, name) for name in _STAGE_FACTS}
            entry |= {"layers": list(stage.layers), "tiles": [tile.name for tile in stage.tiles]}
            entry["resets"] = [[each.reset, each.delay] for each in stage.membranes]
            arrays[f"{stage.name}.membranes"] = np.array(
                [(each.gain, each.beta, each.offset, *each.mismatch) for each in stage.membranes]
            )
            for tile in stage.tiles:
                arrays |= pack_tile(stage.name, tile)
            stages.append(entry)
        return {"spiking": True, "straight": self.straight, "stages": stages}, arrays

    @staticmethod
    def unpack(
        graph: Graph, design: Design, structure: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> "SpikingPlan":
        """Rebuild a plan from its graph, its design and what :meth:`pack` returned."""
        stages = tuple(_unpack_stage(entry, arrays) for entry in structure["stages"])
        return SpikingPlan(graph, design, stages, bool(structure["straight"]))


def _unlike(plan: SpikingPlan, layer: str) -> Iterator[str]:
    reset, silent = getattr(plan.graph.node(layer).op, "reset", ""), plan.design.neuron.refractory
    if silent:
        # That reset is the loss of one step's inputs.
        if (reset, silent) != ("hold", 1):
            yield (
                f"layer {layer!r}: neuron.refractory = {silent} silences neurons after a spike, where the network has "
                f"a reset {reset!r} alone"
            )
    elif reset == "guarded":
        yield (
            f"layer {layer!r}: its reset 'guarded' is built as subtraction, which is another where a membrane comes "
            "beyond twice its threshold"
        )


_STAGE_FACTS = ("name", "source", "inputs", "bias_rows", "recurrent", "outputs", "k")


def _unpack_stage(entry: Mapping[str, Any], arrays: Mapping[str, Array]) -> SpikingStage:
    name = entry["name"]
    tiles = tuple(unpack_tile(name, tile, arrays) for tile in entry["tiles"])
    figures = arrays[f"{name}.membranes"].tolist()
    membranes = tuple(
        Membrane(gain, beta, str(reset), bool(delay), offset, (into, out_of, leak))
        for (gain, beta, offset, into, out_of, leak), (reset, delay) in zip(figures, entry["resets"], strict=True)
    )
    facts = {each: entry[each] for each in _STAGE_FACTS}
    return SpikingStage(**facts, layers=tuple(entry["layers"]), tiles=tiles, membranes=membranes)
