"""How a spiking network lies on a chip: its stages, arrays and neurons."""

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ohmweave.blocks.spiking import Membrane
from ohmweave.design import Design
from ohmweave.floorplan import Tile
from ohmweave.graph import Graph
from ohmweave.spiking.population import INPUTS

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

    def digest(self) -> str:
        """Content hash of the network, the design, every conductance and every neuron."""
        state = hashlib.sha256((self.graph.digest() + self.design.digest() + str(self.straight)).encode())
        for stage in self.stages:
            state.update(json.dumps([stage.name, stage.source, [vars(each) for each in stage.membranes]]).encode())
            for tile in stage.tiles:
                state.update(tile.name.encode())
                for array in (tile.rows, tile.cols, tile.g):
                    state.update(np.ascontiguousarray(array).tobytes())
        return state.hexdigest()
