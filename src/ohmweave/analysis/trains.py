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
    alone_a, alone_b = a & ~b, b & ~a
    differing = int(np.count_nonzero(alone_a) + np.count_nonzero(alone_b))
    for t in range(1, a.shape[1]):
        # A spike answers for one a step earlier of the other, never for two.
        for early, late in ((alone_a, alone_b), (alone_b, alone_a)):
            paired = early[:, t - 1] & late[:, t]
            early[:, t - 1] &= ~paired
            late[:, t] &= ~paired
    astray = int(np.count_nonzero(alone_a) + np.count_nonzero(alone_b))
    return TrainAgreement(a.size, int(np.count_nonzero(a)), differing, astray)
