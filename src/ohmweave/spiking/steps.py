"""The native engine in time: membranes as state, arrays by their reduction, step by step for many samples at once.

Stages run one after the other over all steps, since a stage's spikes drive only later ones: with linear devices and
neurons one matrix product gives the charges of all steps. Stages with spikes of their own for inputs go step by step.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ohmweave.blocks.spiking import LinearSoma, Soma
from ohmweave.simulate.native import Native
from ohmweave.simulate.threads import one_thread_each
from ohmweave.spiking.plan import SpikingPlan, SpikingStage
from ohmweave.spiking.population import INPUTS
from ohmweave.spiking.synapses import Synapses
from ohmweave.units import Array

__all__ = ["StageTrains", "Stepper"]

# Values of the widest stage over all steps that are held at a time.
_MOST_VALUES = 2**22


@dataclass(frozen=True, eq=False)
class StageTrains:
    """What the neurons of a stage did, in the network's own steps.

    Args:
        spikes: 0 or 1, shape [samples, steps, neurons].
        membranes: at the comparisons, in thresholds, same shape; empty where not asked for.
        joules: what the row drivers delivered for each sample, [samples], J; empty where not asked for.
    """

    spikes: Array
    membranes: Array
    joules: Array


@dataclass(frozen=True, eq=False)
class Stepper:
    """A chip that is ready to be run.

    Args:
        plan: of the chip.
        engine: what solves its arrays.
    """

    plan: SpikingPlan
    engine: Native

    @cached_property
    def _stages(self) -> tuple[tuple[Synapses, Soma], ...]:
        design = self.plan.design
        return tuple(
            (Synapses(self.plan, stage, self.engine), design.neuron.soma(stage.membranes, design.clock))
            for stage in self.plan.stages
        )

    @cached_property
    def _moving(self) -> tuple[Array | None, ...]:
        """V on the membranes per second of pulse and signal, [signals, neurons]; ``None`` where that is no number."""
        return tuple(self._moved(synapses, soma) for synapses, soma in self._stages)

    def _moved(self, synapses: Synapses, soma: Soma) -> Array | None:
        if not (soma.linear and synapses.linear):
            return None
        linear: LinearSoma = soma  # type: ignore[assignment]
        into, out_of = linear.gains
        return np.asarray(
            self.plan.design.signal.v_read * (synapses.transfer[:, 0::2] * into - synapses.transfer[:, 1::2] * out_of)
        )

    def most_samples(self, steps: int) -> int:
        """How many samples to run at a time."""
        widest = max(stage.signals + 2 * stage.outputs for stage in self.plan.stages)
        return max(1, _MOST_VALUES // (steps * widest))

    def run(
        self, trains: Array, widths: Array, *, membranes: bool = False, energy: bool = False
    ) -> Iterator[StageTrains]:
        """Run some samples through every stage.

        Args:
            trains: at the inputs, 0 or 1 (or shares of a pulse), shape [samples, steps, inputs].
            widths: of the chip's pulses from its first step on, shape [steps + delay], s.
            membranes: whether membranes are wanted.
            energy: whether energies are wanted.

        Yields:
            Stage by stage what its neurons did.
        """
        found: list[Array] = []
        with one_thread_each():
            for index, stage in enumerate(self.plan.stages):
                read = trains if stage.source == INPUTS else found[stage.source]
                delay = self.plan.delays[index]
                own = widths[delay : delay + trains.shape[1]]
                spikes, volts = self._stage(index, stage, read, own)
                found.append(spikes)
                joules = self._joules(index, stage, read, spikes, own) if energy else np.empty(0)
                scaled = volts / self.plan.design.neuron.v_threshold if membranes else np.empty(0)
                yield StageTrains(spikes, scaled, joules)

    def _stage(self, index: int, stage: SpikingStage, read: Array, widths: Array) -> tuple[Array, Array]:
        synapses, soma = self._stages[index]
        moving = self._moving[index]
        samples, steps, _ = read.shape
        spikes, volts = np.zeros((2, steps, samples, stage.outputs))
        v, spiked = soma.start(samples), np.zeros((samples, stage.outputs))
        ahead = None if stage.recurrent or moving is None else self._all_moves(stage, read, moving, widths)
        for t in range(steps):
            if ahead is not None:
                v, spiked = soma.advance(v, spiked, ahead[t])  # type: ignore[attr-defined]
            else:
                gates = _gates(stage, read[:, t], spiked)
                width = np.full(samples, widths[t])
                if moving is None:
                    v, spiked = soma.step(v, spiked, synapses.charges(gates, width))
                else:
                    v, spiked = soma.advance(v, spiked, gates @ moving * widths[t])  # type: ignore[attr-defined]
            spikes[t], volts[t] = spiked, v
        return spikes.transpose(1, 0, 2), volts.transpose(1, 0, 2)

    @staticmethod
    def _all_moves(stage: SpikingStage, read: Array, moving: Array, widths: Array) -> Array:
        """What the charges of every step move membranes by, [steps, samples, neurons], V."""
        samples, steps, inputs = read.shape
        rows = np.ascontiguousarray(read.transpose(1, 0, 2)).reshape(-1, inputs)
        # Rows that never spike need no product.
        alive = np.flatnonzero(rows.any(axis=0))
        moved = rows[:, alive] @ moving[alive] if len(alive) < 0.9 * inputs else rows @ moving[:inputs]
        moved += moving[inputs : inputs + stage.bias_rows].sum(axis=0)
        moves = moved.reshape(steps, samples, -1)
        moves *= widths[:, None, None]
        return moves

    def _joules(self, index: int, stage: SpikingStage, read: Array, spikes: Array, widths: Array) -> Array:
        synapses, _ = self._stages[index]
        joules = np.zeros(len(read))
        before = np.zeros_like(spikes[:, 0])
        for t, width in enumerate(widths):
            joules += width * synapses.powers(_gates(stage, read[:, t], before))
            before = spikes[:, t]
        return joules


def _gates(stage: SpikingStage, read: Array, own: Array) -> Array:
    """What every signal's rows are pulsed with in one step, [samples, signals]."""
    parts = [read, np.ones((len(read), stage.bias_rows)), *([own] if stage.recurrent else [])]
    return np.hstack(parts)
