"""The native engine in time: membranes as state, arrays by their reduction, step by step for many samples at once.

Stages run one after the other over all steps, since a stage's spikes drive only later ones: the charges of all steps
are there before its neurons begin. Stages with spikes of their own for inputs go step by step.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ohmweave.blocks.spiking import LinearSoma, ScanningSoma, Soma, SomaState
from ohmweave.errors import DesignError
from ohmweave.simulate.native import Native
from ohmweave.simulate.threads import one_thread_each
from ohmweave.spiking.events import gather
from ohmweave.spiking.plan import SpikingPlan, SpikingStage
from ohmweave.spiking.population import INPUTS
from ohmweave.spiking.synapses import Synapses
from ohmweave.units import Array

__all__ = ["StageTrains", "Stepper"]

Charges = Callable[[int, Array], tuple[Array, Array]]
# Values of the widest stage over all steps that are held at a time: few enough for a processor's caches.
_MOST_VALUES = 2**20


@dataclass(frozen=True, eq=False)
class StageTrains:
    """What the neurons of a stage did, in the network's own steps.

    Args:
        spikes: 0 or 1, shape [samples, steps, neurons].
        membranes: at the comparisons, in thresholds, same shape; empty where not asked for.
        joules: what the row drivers delivered for each sample, [samples], J; empty where not asked for.
        coulombs: what came into all columns, [samples], C; empty where not asked for.
    """

    spikes: Array
    membranes: Array
    joules: Array
    coulombs: Array = field(default_factory=lambda: np.empty(0))


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
            widths: of the clock's pulses from the chip's first step on, shape [steps + delay], s.
            membranes: whether membranes are wanted.
            energy: whether energies are wanted.

        Yields:
            Stage by stage what its neurons did.

        Raises:
            DesignError: currents for which a neuron has no figures.
        """
        found: list[Array] = []
        with one_thread_each():
            for index, stage in enumerate(self.plan.stages):
                read = trains if stage.source == INPUTS else found[stage.source]
                delay = self.plan.delays[index]
                own = widths[delay : delay + trains.shape[1]] + self.plan.design.synapse.stretch
                try:
                    spikes, volts = self._stage(index, stage, read, own)
                except DesignError as error:
                    where = f"stage {stage.name}, {error.where}"
                    raise DesignError(error.message, where=where, remedy=error.remedy) from error
                found.append(spikes)
                taken = self._taken(index, stage, read, spikes, own) if energy else (np.empty(0), np.empty(0))
                scaled = volts / self.plan.design.neuron.v_threshold if membranes else np.empty(0)
                yield StageTrains(spikes, scaled, *taken)

    def _stage(self, index: int, stage: SpikingStage, read: Array, widths: Array) -> tuple[Array, Array]:
        """Spikes, and membranes in V, each [samples, steps, neurons]."""
        soma, moves = self._stages[index][1], self._moves(index, stage, read, widths)
        if isinstance(soma, ScanningSoma) and isinstance(moves, np.ndarray) and not stage.recurrent:
            return soma.scan(moves), moves
        samples, steps, _ = read.shape
        spikes, volts = np.empty((2, samples, steps, stage.outputs))
        state = self._waited(index, stage).repeated(samples)
        heard = stage.inputs + stage.bias_rows
        for t in range(steps):
            if isinstance(moves, np.ndarray):
                own = state.spikes @ self._moved_by(index)[heard:] * widths[t] if stage.recurrent else 0.0
                state = soma.advance(state, moves[:, t] + own)  # type: ignore[attr-defined]
            else:
                state = soma.step(state, moves(t, state.spikes))
            spikes[:, t], volts[:, t] = state.spikes, state.membranes
        return spikes, volts

    def _waited(self, index: int, stage: SpikingStage) -> SomaState:
        """One sample's neurons when a stage begins: it waits without charges for those before it."""
        soma, still = self._stages[index][1], np.zeros((1, stage.outputs))
        state = soma.start(1)
        for _ in range(self.plan.delays[index]):
            state = soma.step(state, (still, still))
        return state

    def _moves(self, index: int, stage: SpikingStage, read: Array, widths: Array) -> "Array | Charges":
        """What charges of other neurons move membranes by, [samples, steps, neurons], V; or the charges of each step.

        Charges take the step and the stage's own spikes.
        """
        synapses, moving = self._stages[index][0], self._moving[index]
        if moving is not None:
            always = moving[stage.inputs : stage.inputs + stage.bias_rows].sum(axis=0)
            return gather(read, moving[: stage.inputs], always, widths)
        samples, steps, _ = read.shape
        if stage.recurrent:
            return lambda t, own: synapses.charges(_gates(stage, read[:, t], own), np.full(samples, widths[t]))
        # Charges that do not wait for spikes are solved at once.
        gates = _gates(stage, read.reshape(samples * steps, -1), None)
        into, out_of = (each.reshape(samples, steps, -1) for each in synapses.charges(gates, np.tile(widths, samples)))
        return lambda t, own: (into[:, t], out_of[:, t])

    def _moved_by(self, index: int) -> Array:
        moving = self._moving[index]
        assert moving is not None
        return moving

    def _taken(self, index: int, stage: SpikingStage, read: Array, spikes: Array, widths: Array) -> tuple[Array, Array]:
        """What the row drivers delivered, J, and what came into columns, C, each [samples]."""
        before = np.concatenate([np.zeros_like(spikes[:, :1]), spikes[:, :-1]], axis=1)
        samples, steps, _ = read.shape
        own = before.reshape(samples * steps, -1) if stage.recurrent else None
        gates, synapses = _gates(stage, read.reshape(samples * steps, -1), own), self._stages[index][0]
        joules = synapses.joules(gates.reshape(samples, steps, -1), widths).sum(axis=1)
        return joules, synapses.total(gates, np.tile(widths, samples)).reshape(samples, steps).sum(axis=1)


def _gates(stage: SpikingStage, read: Array, own: Array | None) -> Array:
    """What every signal's rows are pulsed with in one step, [samples, signals]."""
    parts = [read, np.ones((len(read), stage.bias_rows))]
    if stage.recurrent:
        assert own is not None
        parts.append(own)
    return np.hstack(parts)
