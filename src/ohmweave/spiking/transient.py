"""A spiking chip in SPICE: one transient a sample, membranes and spikes read where the clocks take them."""

from dataclasses import dataclass

import numpy as np

from ohmweave.bench import Traces, Transient, Waveform
from ohmweave.blocks.clocking import CLOCKS
from ohmweave.blocks.logic import LOW
from ohmweave.circuit import Cell
from ohmweave.spiking.circuit import clocks_heard, input_nets, on_net
from ohmweave.spiking.plan import SpikingPlan
from ohmweave.spiking.steps import StageTrains
from ohmweave.units import Array

__all__ = ["Reading", "read", "transient"]

_LONGEST_STEP = 0.02
# Spikes are read once the comparators are cut off, before the resets.
_SPIKE_AT = 0.75


@dataclass(frozen=True, eq=False)
class Reading:
    """What a transient of a chip says.

    Args:
        stages: spikes and membranes of each stage for the one sample, in the network's own steps.
        margin: smallest distance of a spike's voltage from 0 V, V: of levels of +-0.55 V, how well they are decided.
        remarks: of the simulator.
    """

    stages: tuple[StageTrains, ...]
    margin: float
    remarks: tuple[str, ...] = ()


def transient(plan: SpikingPlan, cell: Cell, train: Array, widths: Array) -> Transient:
    """One sample at the inputs of the chip.

    Args:
        plan: of the chip.
        cell: its circuit.
        train: at the inputs, 0 or 1, shape [steps, inputs].
        widths: of the pulses, shape [steps + delay of the last stage], s.
    """
    clock, steps = plan.design.clock, len(widths)
    shown = np.zeros((steps, plan.inputs))
    shown[: len(train)] = train
    inputs, drives = list(input_nets(plan)), [clock.gates(column) for column in shown.T]
    for stage, delay in zip(plan.stages, plan.delays, strict=True):
        if stage.bias_rows:
            acts = np.zeros(steps)
            acts[delay : delay + len(train)] = 1.0
            inputs.append(on_net(stage))
            drives.append(clock.gates(acts))
    inputs += CLOCKS
    # Every edge of a clock costs SPICE some tens of steps: what nothing listens to stays low.
    heard = clocks_heard(plan)
    silent = Waveform(np.zeros(1), np.full(1, LOW))
    drives += [clock.waveform(name, widths) if name in heard else silent for name in CLOCKS]
    probes = [f"{s.name}.n{j}.m" for s in plan.stages for j in range(s.outputs)]
    probes += [f"{s.name}_y{j}" for s in plan.stages for j in range(s.outputs)]
    end = steps * clock.step
    return Transient(cell, tuple(inputs), tuple(drives), end, _LONGEST_STEP * clock.step, tuple(probes), clocked=True)


def read(plan: SpikingPlan, traces: Traces, steps: int) -> Reading:
    """Take membranes at the comparisons and spikes after them.

    Args:
        plan: of the chip.
        traces: of :func:`transient`.
        steps: of the sample.
    """
    clock = plan.design.clock
    starts = clock.step * np.arange(round(traces.times[-1] / clock.step))
    # Before the clock's edge begins, while the comparators still see the membranes.
    membranes = _at(traces, starts + clock.strobe - clock.edge) / plan.design.neuron.v_threshold
    levels = _at(traces, starts + _SPIKE_AT * clock.step)
    stages, left = [], 0
    for stage, delay in zip(plan.stages, plan.delays, strict=True):
        mine, when = slice(left, left + stage.outputs), slice(delay, delay + steps)
        spikes = (levels[when, plan.neurons + mine.start : plan.neurons + mine.stop] > 0.0).astype(np.float64)
        stages.append(StageTrains(spikes[None], membranes[when, mine][None], np.empty(0)))
        left = mine.stop
    return Reading(tuple(stages), float(np.abs(levels[:, plan.neurons :]).min()), traces.remarks)


def _at(traces: Traces, times: Array) -> Array:
    """Every probe at some times, straight between the simulator's own, [times, probes], V."""
    right = np.clip(np.searchsorted(traces.times, times), 1, len(traces.times) - 1)
    t0, t1 = traces.times[right - 1], traces.times[right]
    share = ((times - t0) / (t1 - t0))[:, None]
    return np.asarray(traces.volts[right - 1] * (1.0 - share) + traces.volts[right] * share)
