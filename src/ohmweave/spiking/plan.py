"""From layers of spiking neurons and a design to arrays, neurons and their parts."""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse import csc_matrix, vstack

from ohmweave.blocks.spiking import Membrane
from ohmweave.design import Design
from ohmweave.errors import DesignError, ModelError
from ohmweave.floorplan import Tile, chance
from ohmweave.graph import Graph
from ohmweave.mapping import program, tile_size
from ohmweave.placement import Spot, place, place_in_order
from ohmweave.spiking.population import INPUTS, Population
from ohmweave.wiring import stored

__all__ = ["SpikingPlan", "SpikingStage", "plan_populations"]

_MOST_BIAS_ROWS = 8


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


def plan_populations(graph: Graph, populations: Sequence[Population], design: Design, *, straight: bool) -> SpikingPlan:
    """Map layers of neurons.

    Weights in units of the neuron's threshold become conductances, g = G_off + k |w|; a spike's charge on the membrane,
    gain v_read t_pulse k w, is w C_m V_theta.

    Args:
        graph: the network that they are of.
        populations: its layers, sources before their readers.
        design: every choice of the chip.
        straight: whether the inputs are analog values.

    Raises:
        ModelError: a layer of zeros.
        DesignError: a scheme, a neuron or an array that will not do.
    """
    scheme = design.scheme
    if scheme.lines_per_input != 1 or scheme.lines_per_output != 2:
        raise DesignError(
            "expected two columns a neuron and one row an input, as clocked neurons have",
            where="scheme",
            remedy='set scheme.kind = "pair"',
        )
    stages = tuple(_stage(f"s{index}", each, design) for index, each in enumerate(populations))
    return SpikingPlan(graph, design, stages, straight)


def _stage(name: str, population: Population, design: Design) -> SpikingStage:
    where = f"layer {population.name!r}"
    w, bias_rows = _weights(population, where)
    g_off, g_on = design.device.g_range
    k = (g_on - g_off) * (1.0 - design.array.reserve) / float(np.abs(w.data).max())
    if not math.isfinite(k):
        raise ModelError("expected weights that can be mapped, found ones too small", where=where, remedy="scale them")
    tiles = program(name, _spots(w, population.shape, design), w, k, design)
    inputs, outputs = population.weight.shape
    try:
        membranes = tuple(_membranes(name, population, k, design))
    except DesignError as error:
        raise DesignError(error.message, where=f"{where}, {error.where}", remedy=error.remedy) from error
    recurrent = population.recurrent is not None
    layers, source = population.layers, population.source
    return SpikingStage(name, layers, source, inputs, bias_rows, recurrent, outputs, tiles, k, membranes)


def _weights(population: Population, where: str) -> tuple[csc_matrix, int]:
    """All weights in thresholds, [signals, neurons], and how many of the signals are biases.

    Biases larger than the weights are spread over several rows rather than squeeze the weights' range.
    """
    parts, bias, bias_rows = [population.weight], population.bias, 0
    largest = float(np.abs(population.weight.data).max(initial=0.0))
    if not largest:
        raise ModelError(
            f"every weight of the {population.weight.shape[0]} x {population.weight.shape[1]} matrix is zero, nothing "
            "can be mapped",
            where=where,
            remedy="remove the layer or train it",
        )
    if np.any(bias):
        bias_rows = min(_MOST_BIAS_ROWS, max(1, math.ceil(float(np.abs(bias).max()) / largest)))
        parts.append(stored(np.tile(bias / bias_rows, (bias_rows, 1))))
    if population.recurrent is not None:
        parts.append(population.recurrent)
    return vstack(parts, format="csc"), bias_rows


def _spots(w: csc_matrix, shape: tuple[int, ...], design: Design) -> tuple[Spot, ...]:
    if not design.spiking.tiled:
        return place_in_order(w, *w.shape)
    picture = (shape[0], shape[1], shape[2]) if len(shape) == 3 and shape[1] * shape[2] > 1 else None
    return place(w, *tile_size(design), picture)


def _membranes(name: str, population: Population, k: float, design: Design) -> Iterator[Membrane]:
    """What each neuron has to be, its own chance included."""
    neuron, clock = design.neuron, design.clock
    per_unit = design.signal.v_read * clock.pulse * k
    drawn = chance(design, f"{name}.neurons").standard_normal((len(population.beta), 4))
    spreads = np.array([neuron.offset_spread, neuron.mirror_spread, neuron.mirror_spread, neuron.leak_spread])
    for beta, (offset, *mismatch) in zip(population.beta.tolist(), (drawn * spreads).tolist(), strict=True):
        gain = neuron.gain(per_unit, beta, clock)
        ideal = Membrane(gain, beta, population.reset, population.delay)
        yield replace(ideal, offset=offset, mismatch=(mismatch[0], mismatch[1], mismatch[2]))
