"""The layers of neurons of a spiking network, each with all weights that lead to it in one matrix."""

from dataclasses import dataclass

from scipy.sparse import csc_matrix

from ohmweave.units import Array

__all__ = ["INPUTS", "Population"]

INPUTS = -1


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons that spike together, in units of their thresholds.

        u(t) = beta u(t-1) - reset + W s_source(t) + V s(t-1) + b,   spike where u(t) > 1.

    Args:
        name: of the network's node.
        layers: every node that it realises, the neurons last.
        source: the population whose spikes it reads, by number; :data:`INPUTS` for the network's inputs.
        weight: W transposed, [inputs, neurons]; every stored entry is a synapse.
        bias: b, [neurons].
        beta: decay, [neurons].
        reset: ``"zero"``, ``"subtract"``, ``"hold"`` or ``"none"``.
        delay: whether the reset acts in the next step, after the decay.
        recurrent: V transposed, [neurons, neurons], or ``None``.
        shape: of the neurons in the network.
    """

    name: str
    layers: tuple[str, ...]
    source: int
    weight: csc_matrix
    bias: Array
    beta: Array
    reset: str
    delay: bool
    recurrent: csc_matrix | None
    shape: tuple[int, ...]
