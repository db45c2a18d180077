"""Where the arrays of a spiking chip stand, and how far spikes travel between them."""

import math

import numpy as np
from numpy.typing import NDArray

from ohmweave.errors import DesignError
from ohmweave.spiking.plan import SpikingPlan

__all__ = ["check_routes", "hops", "places"]

Numbers = NDArray[np.int64]
# Spikes are there at 0.70 of a step and have to be at the drivers when the next step's pulse begins, at 0.30.
_SLACK = 0.55


def places(plan: SpikingPlan) -> list[Numbers]:
    """Column and row of every tile on a square mesh, stage by stage, [tiles, 2]; filled row by row."""
    counts = [len(stage.tiles) for stage in plan.stages]
    side = math.ceil(math.sqrt(sum(counts)))
    ends = np.cumsum(counts)
    numbers = [np.arange(end - count, end) for end, count in zip(ends, counts, strict=True)]
    return [np.stack([each % side, each // side], axis=1) for each in numbers]


def hops(plan: SpikingPlan, index: int) -> list[Numbers]:
    """Hops to each tile of a stage from the neuron of each of its rows, a vector of [rows] a tile.

    A neuron is at the first tile that has its columns; the chip's inputs and biases come to every array by themselves.
    """
    stage, where = plan.stages[index], places(plan)
    found = []
    for tile, here in zip(stage.tiles, where[index], strict=True):
        distance = np.zeros(len(tile.rows), dtype=np.int64)
        for row, signal in enumerate(tile.rows.tolist()):
            home = _home(plan, index, signal, where)
            distance[row] = 0 if home is None else int(np.abs(home - here).sum())
        found.append(distance)
    return found


def _home(plan: SpikingPlan, index: int, signal: int, where: list[Numbers]) -> Numbers | None:
    stage = plan.stages[index]
    if signal < stage.inputs:
        owner, neuron = stage.source, signal
    elif signal < stage.inputs + stage.bias_rows:
        return None
    else:
        owner, neuron = index, signal - stage.inputs - stage.bias_rows
    if owner < 0:
        return None
    first = next(t for t, tile in enumerate(plan.stages[owner].tiles) if 2 * neuron in tile.cols)
    return np.asarray(where[owner][first])


def check_routes(plan: SpikingPlan) -> None:
    """Refuse a chip whose spikes would arrive too late.

    Raises:
        DesignError: names the stage, the delay and what there is for it.
    """
    design = plan.design
    if not design.spiking.tiled:
        return
    slack = _SLACK * design.clock.step
    for index, stage in enumerate(plan.stages):
        most = max(int(each.max(initial=0)) for each in hops(plan, index))
        if most * design.spiking.hop_delay > slack:
            raise DesignError(
                f"expected spikes to arrive within {slack:.4g} s, found {most} hops of "
                f"{design.spiking.hop_delay:.4g} s",
                where=f"stage {stage.name}, spiking.hop_delay",
                remedy="lengthen clock.step, enlarge the arrays or shorten the hops' delay",
            )
