"""How a spiking network lies on a chip: its stages, arrays and neurons."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ohmweave.blocks.spiking import Membrane
from ohmweave.design import Design
from ohmweave.floorplan import Tile, chance, pack_tile, unpack_tile
from ohmweave.graph import Graph
from ohmweave.spiking.population import INPUTS
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

    def encode(self, x: Array) -> Array:
        """The trains of samples, the same for the same samples, [samples, steps, inputs]; of x [samples, ...]."""
        trains = self.design.encoding.encode(np.asarray(x, dtype=np.float64), chance(self.design, "encoding"))
        return trains.reshape(*trains.shape[:2], -1)

    def digest(self) -> str:
        """Content hash of the network, the design, every conductance and every neuron."""
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
