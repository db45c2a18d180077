"""From a spiking network and a design to a plan: arrays, neurons and their parts."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import csc_matrix, vstack

from ohmweave.blocks.spiking import Membrane
from ohmweave.design import Design
from ohmweave.errors import DesignError, ModelError
from ohmweave.floorplan import Tile, chance
from ohmweave.graph import Graph
from ohmweave.mapping import program, tile_size
from ohmweave.placement import Spot, place, place_in_order
from ohmweave.spiking.lowering import populations
from ohmweave.spiking.mesh import check_routes
from ohmweave.spiking.plan import SpikingPlan, SpikingStage
from ohmweave.spiking.population import Population
from ohmweave.wiring import stored

__all__ = ["plan_spiking"]

_MOST_BIAS_ROWS = 8
_MOST_DEVIATIONS = 3.0


def plan_spiking(graph: Graph, design: Design, *, straight: bool = False) -> SpikingPlan:
    """Map a spiking network.

    Weights in units of the neuron's threshold become conductances, g = G_off + k |w|; a spike's charge on the membrane,
    gain v_read t_pulse k w, is w C_m V_theta.

    Args:
        graph: the network.
        design: every choice of the chip.
        straight: whether the inputs are analog values, of which a row's pulse is a share.

    Raises:
        ModelError: a network that cannot be mapped, or a layer of zeros.
        DesignError: a scheme, a row driver, a neuron or an array that will not do, or choices that do not go
            together.
    """
    design.check(spiking=True)
    scheme = design.scheme
    if scheme.lines_per_input != 1 or scheme.lines_per_output != 2:
        raise DesignError(
            "expected two columns a neuron and one row an input, as clocked neurons have",
            where="scheme",
            remedy='set scheme.kind = "pair"',
        )
    for analog in {False, straight}:
        # Told now, and not when the circuit is built.
        design.synapse.cell("driver", design.signal.v_read, straight=analog)
    stages = tuple(_stage(f"s{index}", each, design) for index, each in enumerate(populations(graph)))
    plan = SpikingPlan(graph, design, stages, straight)
    check_routes(plan)
    return plan


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
        _require_light(tiles, outputs, design)
        membranes = tuple(_membranes(name, population, k, design))
    except DesignError as error:
        raise DesignError(error.message, where=f"{where}, {error.where}", remedy=error.remedy) from error
    recurrent = population.recurrent is not None
    layers, source = population.layers, population.source
    return SpikingStage(name, layers, source, inputs, bias_rows, recurrent, outputs, tiles, k, membranes)


def _require_light(tiles: Sequence[Tile], outputs: int, design: Design) -> None:
    """Refuse columns with more conductance than the neurons hold at ground."""
    loads = np.zeros(2 * outputs)
    for tile in tiles:
        np.add.at(loads, tile.cols, tile.g.sum(axis=0))
    most = design.neuron.most_load(design.clock)
    if loads.max() > most:
        column = int(loads.argmax())
        raise DesignError(
            f"expected at most {most:.3g} S of devices in a column, found {loads[column]:.3g} S in column "
            f"{'pn'[column % 2]} of neuron {column // 2} ({int((loads > most).sum())} in all)",
            where="neuron",
            remedy="raise neuron.i_column, lower the device's range, or give neurons fewer inputs",
        )


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
    per_unit = design.signal.v_read * (clock.pulse + design.synapse.stretch) * k
    if _MOST_DEVIATIONS * neuron.offset_spread >= neuron.v_threshold:
        raise DesignError(
            f"expected offsets below a third of the threshold of {neuron.v_threshold:g} V, found a spread of "
            f"{neuron.offset_spread:g} V",
            where="neuron.offset_spread",
            remedy='try offset_spread = "5 mV"',
        )
    normal = chance(design, f"{name}.neurons").standard_normal((len(population.beta), 4))
    # Parts further off would not have been sold, and none is negative.
    drawn = np.clip(normal, -_MOST_DEVIATIONS, _MOST_DEVIATIONS)
    spreads = np.array([neuron.offset_spread, neuron.mirror_spread, neuron.mirror_spread, neuron.leak_spread])
    parts = zip(population.beta.tolist(), (drawn * spreads).tolist(), strict=True)
    for index, (beta, (offset, *mismatch)) in enumerate(parts):
        try:
            gain = neuron.gain(per_unit, beta, clock)
        except DesignError as error:
            # Some choices are of no neuron in particular.
            where = f"neuron {index}" if error.where == "neuron" else error.where
            raise DesignError(error.message, where=where, remedy=error.remedy) from error
        ideal = Membrane(gain, beta, population.reset, population.delay)
        yield replace(ideal, offset=offset, mismatch=(mismatch[0], mismatch[1], mismatch[2]))
