"""The mathematics of clocked neurons with ideal parts: from comparison to comparison, or all steps in one scan."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ohmweave.blocks.spiking import SomaState
from ohmweave.simulate.compiled import compiled
from ohmweave.units import Array

__all__ = ["LifSoma"]


@dataclass(frozen=True, eq=False)
class LifSoma:
    """u(t) = beta u(t-1) - reset + injected charge, held within limits; voltages at the comparisons.

    With a refractory period u is 0 for so many steps after a spike, whatever the reset and the charge.

    Args:
        decay: what is left of membranes after a step, shape [neurons].
        gains: V per coulomb into column p and into column n at the comparison, each [neurons].
        level: thresholds with their offsets, V, [neurons].
        packet: what a spike takes at the next comparison, V, [neurons].
        emptied: whether a spike empties the membrane instead, [neurons].
        deaf: whether a spike empties it behind the next step's pulse instead, [neurons].
        limit: highest voltage at a comparison, V, [neurons].
        refractory: steps after a spike in which a neuron does not listen.
    """

    linear: ClassVar[bool] = True

    decay: Array
    gains: tuple[Array, Array]
    level: Array
    packet: Array
    emptied: Array
    deaf: Array
    limit: Array
    refractory: int = 0

    def start(self, samples: int) -> SomaState:
        """Empty membranes, as :class:`ohmweave.blocks.spiking.Soma`."""
        return SomaState.still(samples, len(self.decay))

    def step(self, state: SomaState, charges: tuple[Array, Array]) -> SomaState:
        """One step, as :class:`ohmweave.blocks.spiking.Soma`."""
        return self.advance(state, self.gains[0] * charges[0] - self.gains[1] * charges[1])

    def advance(self, state: SomaState, moved: Array) -> SomaState:
        """One step, as :class:`ohmweave.blocks.spiking.LinearSoma`."""
        before, fired = state.membranes, state.spikes
        left = self.decay * before * (1.0 - self.emptied * fired) - self.packet * fired
        v = np.clip(left + moved, -self.limit, self.limit) * (1.0 - self.deaf * fired)
        return state.after(v, self.level, self.refractory)

    def scan(self, moved: Array) -> Array:
        """Every step, as :class:`ohmweave.blocks.spiking.ScanningSoma`."""
        spikes = np.empty(moved.shape)
        if self.refractory:
            _scan_waiting(moved, spikes, self.decay, self.level, self.limit, float(self.refractory))
        else:
            _scan(moved, spikes, self.decay, self.level, self.packet, self.emptied, self.deaf, self.limit)
        return spikes


@compiled
def _scan(moved: Any, spikes: Any, decay: Any, level: Any, packet: Any, emptied: Any, deaf: Any, limit: Any) -> None:
    """Every step of every sample; ``moved`` becomes the membranes."""
    samples, steps, neurons = moved.shape
    before, fired = np.empty(neurons), np.empty(neurons)
    for s in range(samples):
        before[:] = 0.0
        fired[:] = 0.0
        for t in range(steps):
            row, out = moved[s, t], spikes[s, t]
            for j in range(neurons):
                v = decay[j] * before[j] * (1.0 - emptied[j] * fired[j]) - packet[j] * fired[j] + row[j]
                v = min(max(v, -limit[j]), limit[j]) * (1.0 - deaf[j] * fired[j])
                before[j] = v
                fired[j] = 1.0 if v > level[j] else 0.0
            row[:] = before
            out[:] = fired


@compiled
def _scan_waiting(moved: Any, spikes: Any, decay: Any, level: Any, limit: Any, refractory: float) -> None:
    """Every step of every sample of neurons that a spike silences; ``moved`` becomes the membranes."""
    samples, steps, neurons = moved.shape
    before, silent = np.empty(neurons), np.empty(neurons)
    for s in range(samples):
        before[:] = 0.0
        silent[:] = 0.0
        for t in range(steps):
            row, out = moved[s, t], spikes[s, t]
            for j in range(neurons):
                v = min(max(decay[j] * before[j] + row[j], -limit[j]), limit[j])
                v = v if silent[j] == 0.0 else 0.0
                fires = v > level[j]
                before[j] = v
                silent[j] = refractory if fires else max(silent[j] - 1.0, 0.0)
                out[j] = 1.0 if fires else 0.0
            row[:] = before
