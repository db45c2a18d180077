"""What a spiking chip takes: arrays, wires, drivers and hops of its microarchitecture, events, and joules by part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ohmweave.blocks.spiking import Consumer
from ohmweave.design import Design
from ohmweave.spiking.chip import SpikingChip
from ohmweave.spiking.mesh import hops
from ohmweave.spiking.plan import SpikingPlan, SpikingStage
from ohmweave.spiking.population import INPUTS
from ohmweave.spiking.steps import StageTrains
from ohmweave.units import Array

__all__ = [
    "Layout",
    "distances",
    "energies",
    "energy_scope",
    "fan_outs",
    "layouts",
    "stage_energies",
    "synaptic_events",
    "together",
]

_PARTS = ("rows", "routing", "neurons")


@dataclass(frozen=True)
class Layout:
    """How a stage, or a chip, lies on arrays.

    Args:
        name: of the stage.
        layers: the network's nodes that it realises.
        arrays: number of arrays.
        devices: number of memristors.
        crossings: number of crossings of all arrays; of ``crossbar``, those of whole tiles.
        neurons: number of neurons.
        drivers: number of row drivers.
        segments: number of wire segments between crossings, rows and columns in use.
        hops: hops of one spike of each of the neurons it reads to every array that has a row for it, in all.
        longest: the most hops of them.
    """

    name: str
    layers: tuple[str, ...]
    arrays: int
    devices: int
    crossings: int
    neurons: int
    drivers: int
    segments: int
    hops: int
    longest: int

    @property
    def utilisation(self) -> float:
        """Share of the crossings that have a device."""
        return self.devices / self.crossings


def layouts(plan: SpikingPlan) -> tuple[Layout, ...]:
    """The layout of each stage."""
    return tuple(_layout(plan, index) for index in range(len(plan.stages)))


def _layout(plan: SpikingPlan, index: int) -> Layout:
    stage, choice = plan.stages[index], plan.design.array
    used = sum(tile.g.size for tile in stage.tiles)
    drivers = sum(len(tile.rows) for tile in stage.tiles)
    far = hops(plan, index) if plan.design.spiking.tiled else [np.zeros(1, dtype=np.int64)]
    return Layout(
        stage.name,
        stage.layers,
        len(stage.tiles),
        stage.devices,
        len(stage.tiles) * choice.rows * choice.cols if plan.design.spiking.tiled else used,
        stage.outputs,
        drivers,
        used * ((choice.r_row > 0.0) + (choice.r_col > 0.0)),
        sum(int(each.sum()) for each in far),
        max(int(each.max(initial=0)) for each in far),
    )


def together(parts: Sequence[Layout], name: str = "chip") -> Layout:
    """The layout of all stages."""
    counts = ("arrays", "devices", "crossings", "neurons", "drivers", "segments", "hops")
    sums = {each: sum(getattr(part, each) for part in parts) for each in counts}
    layers = tuple(layer for part in parts for layer in part.layers)
    return Layout(name, layers, **sums, longest=max(part.longest for part in parts))


def distances(plan: SpikingPlan, index: int) -> Array:
    """Hops of one spike of each signal of a stage to all its arrays, [signals]; each copy travels by itself."""
    stage = plan.stages[index]
    found = np.zeros(stage.signals)
    if plan.design.spiking.tiled:
        for tile, far in zip(stage.tiles, hops(plan, index), strict=True):
            found[tile.rows] += far
    return found


def fan_outs(stage: SpikingStage) -> Array:
    """Synapses of each signal of a stage, [signals].

    A synapse is a pair of devices, the memristors where the columns of one neuron cross the signal's row. Dense layers
    have one from every input to every neuron, also where a weight is zero; convolutions have them at the taps of
    their kernels, recurrent neurons that hear themselves alone one each.
    """
    found = np.zeros(stage.signals)
    for tile in stage.tiles:
        # Placed, whether or not it failed to an open since.
        found[tile.rows] += np.count_nonzero(~np.isnan(tile.target), axis=1) / 2
    return found


def synaptic_events(plan: SpikingPlan, trains: Array, spikes: Mapping[str, Array]) -> Array:
    """Spikes times the synapses that they reach, E = sum_t s(t) . f, f of :func:`fan_outs`; [samples].

    Biases are no spikes. Recurrent neurons hear the step before, so that nobody hears their spikes of the last one.

    Args:
        plan: of the chip.
        trains: at its inputs, [samples, steps, inputs]; shares of a pulse count as shares.
        spikes: of each stage by its name, 0 or 1, [samples, steps, neurons].
    """
    events = np.zeros(len(trains))
    for stage in plan.stages:
        fan = fan_outs(stage)
        read = trains if stage.source == INPUTS else spikes[plan.stages[stage.source].name]
        events += read.sum(axis=1) @ fan[: stage.inputs]
        if stage.recurrent:
            events += spikes[stage.name][:, :-1].sum(axis=1) @ fan[stage.inputs + stage.bias_rows :]
    return events


def energy_scope(design: Design) -> str:
    """What the energies of a chip include, and what they do not, in words."""
    if isinstance(design.neuron, Consumer):
        return (
            "what row drivers deliver to the arrays, what routing takes, and what neurons take from their supplies; "
            "clocks come from outside"
        )
    return (
        "only what row drivers deliver to the arrays and what routing takes; ideal neurons have no supply, so that the "
        "currents of columns and their copies, comparators, clocks and leaks are not in it"
    )


def energies(chip: SpikingChip, trains: Array) -> Mapping[str, Array]:
    """Joules of each sample by part, those of :func:`stage_energies` for all stages together; each [samples], J.

    Arguments and errors are those of :func:`stage_energies`.
    """
    stages = stage_energies(chip, trains).values()
    parts = {part for found in stages for part in found}
    return {part: np.sum([found[part] for found in stages], axis=0) for part in _PARTS if part in parts}


def stage_energies(chip: SpikingChip, trains: Array) -> Mapping[str, Mapping[str, Array]]:
    """Joules of each sample by stage and part: rows, routing, and neurons where their circuit has figures.

        rows: what the row drivers deliver, the integral of v i over the pulses.
        routing: spikes times hops times ``spiking.hop_energy``.
        neurons: as :class:`ohmweave.blocks.spiking.Consumer`, for their steps, spikes and charges.

    Args:
        chip: a compiled chip; the native engine runs it.
        trains: at its inputs, [samples, steps, inputs].

    Returns:
        By the stage's name, then by the part's, each [samples], J.

    Raises:
        DataError: samples that do not fit.
    """
    plan = chip.plan
    far = [distances(plan, index) for index in range(len(plan.stages))]
    found: list[list[Mapping[str, Array]]] = [[] for _ in plan.stages]
    for _, stages in chip.stream(trains, energy=True):
        counts = [each.spikes.sum(axis=1) for each in stages]
        for index, each in enumerate(stages):
            parts = {"rows": each.joules, "routing": _routing(plan, index, counts, far[index])}
            found[index].append(parts | _somata(plan, each, counts[index]))
    return {
        stage.name: {part: np.concatenate([some[part] for some in mine]) for part in mine[0]}
        for stage, mine in zip(plan.stages, found, strict=True)
    }


def _somata(plan: SpikingPlan, stage: StageTrains, counts: Array) -> dict[str, Array]:
    """What a stage's neurons take, [samples], J, where they have figures."""
    neuron, (_, steps, count) = plan.design.neuron, stage.spikes.shape
    if not isinstance(neuron, Consumer):
        return {}
    return {"neurons": neuron.joules(plan.design.clock, steps * count, counts.sum(axis=1), stage.coulombs)}


def _routing(plan: SpikingPlan, index: int, counts: Sequence[Array], far: Array) -> Array:
    """What the spikes that a stage reads take on their way, [samples], J."""
    stage, energy = plan.stages[index], plan.design.spiking.hop_energy
    travelled = np.zeros(len(counts[0]))
    if stage.source != INPUTS:
        travelled += counts[stage.source] @ far[: stage.inputs]
    if stage.recurrent:
        travelled += counts[index] @ far[stage.inputs + stage.bias_rows :]
    return travelled * energy
