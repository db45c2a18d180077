"""How far apart two sets of spike trains are."""

from dataclasses import dataclass

import numpy as np

from ohmweave.units import Array

__all__ = ["TrainAgreement", "agreement_of_trains"]


@dataclass(frozen=True)
class TrainAgreement:
    """Spikes of one circuit beside those of another, or of the network.

    Args:
        decisions: number of places in the trains, samples x steps x neurons.
        spikes: of the first.
        differing: places where one spikes and the other does not.
        astray: spikes of either that have none of the other within one step, each of which answers for one alone.
    """

    decisions: int
    spikes: int
    differing: int
    astray: int

    @property
    def share_astray(self) -> float:
        """Spikes astray as a share of the first's spikes, at least one."""
        return self.astray / max(1, self.spikes)


def agreement_of_trains(first: Array, second: Array) -> TrainAgreement:
    """Compare two sets of trains.

    Args:
        first: 0 or 1, shape [samples, steps, neurons].
        second: the same shape.
    """
    a, b = first > 0.5, second > 0.5
    differing = int(np.count_nonzero(a != b))
    astray = 0
    waiting = np.zeros((2, *a[:, 0].shape), dtype=bool)
    for t in range(a.shape[1]):
        # Earliest first: what waits since the last step takes the other's spike, if there is one, else it is lost.
        now = np.stack([a[:, t], b[:, t]])
        answered = waiting & now[::-1]
        astray += int(np.count_nonzero(waiting & ~answered))
        left = now & ~answered[::-1]
        waiting = left & ~(left[0] & left[1])
    astray += int(np.count_nonzero(waiting))
    return TrainAgreement(a.size, int(np.count_nonzero(a)), differing, astray)
