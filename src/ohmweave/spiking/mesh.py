"""Where the arrays of a spiking chip stand, and how far spikes travel between them."""

import math

import numpy as np
from numpy.typing import NDArray

from ohmweave.errors import DesignError
from ohmweave.spiking.plan import SpikingPlan, SpikingStage

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
    home = np.full((stage.signals, 2), -1)
    if stage.source >= 0:
        home[: stage.inputs] = _homes(plan.stages[stage.source], where[stage.source])
    if stage.recurrent:
        home[stage.inputs + stage.bias_rows :] = _homes(stage, where[index])
    return [
        np.where(home[tile.rows, 0] < 0, 0, np.abs(home[tile.rows] - here).sum(axis=1))
        for tile, here in zip(stage.tiles, where[index], strict=True)
    ]


def _homes(stage: SpikingStage, where: Numbers) -> Numbers:
    """Where each neuron of a stage stands: at the first tile with its columns, [neurons, 2]."""
    homes = np.zeros((stage.outputs, 2), dtype=np.int64)
    for tile, here in zip(reversed(stage.tiles), where[::-1], strict=True):
        homes[tile.cols // 2] = here
    return homes


def check_routes(plan: SpikingPlan) -> None:
    """Refuse a chip whose spikes would arrive too late.

    Raises:
        DesignError: names the stage, the delay and what there is for it.
    """
    design = plan.design
    if not (design.spiking.tiled and design.spiking.hop_delay):
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
