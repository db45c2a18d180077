"""What an operation with memory is: a state, a step in time, and what the state shows of itself."""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from ohmweave.ops.operation import Shape
from ohmweave.units import Array

__all__ = ["NeuronState", "Stateful", "run_steps"]


@dataclass(frozen=True, eq=False)
class NeuronState:
    """What neurons carry from one step to the next; all arrays [samples, ...].

    Args:
        membrane: u, as the next step finds it.
        before: u as it was compared with the threshold, before any reset at once.
        spikes: s, 1 where the last step fired, else 0.
        current: i, the synaptic current; zeros where neurons have none.
    """

    membrane: Array
    before: Array
    spikes: Array
    current: Array


@runtime_checkable
class Stateful(Protocol):
    """An operation on trains, [samples, steps, ...], beside :class:`ohmweave.ops.Op`; shapes are those of one step."""

    arity: ClassVar[int | None]

    def out_shape(self, *inputs: Shape) -> Shape:
        """Shape of one sample's result at one step; raises ModelError where the inputs do not fit."""
        ...

    def forward(self, *inputs: Array) -> Array:
        """The spikes of whole trains, from rest, [samples, steps, ...]."""
        ...

    def start(self, samples: int, shape: Shape) -> NeuronState:
        """The state at rest."""
        ...

    def step(self, state: NeuronState, x: Array) -> tuple[NeuronState, Array]:
        """The state after one more step with the inputs x [samples, ...], and the spikes of that step."""
        ...


def run_steps(op: Stateful, x: Array) -> tuple[Array, Array]:
    """Run neurons through whole trains, from rest.

    Args:
        op: the neurons.
        x: inputs, [samples, steps, ...].

    Returns:
        Spikes and membranes before reset, both of x's shape.
    """
    state = op.start(len(x), x.shape[2:])
    spikes, membranes = np.empty_like(x), np.empty_like(x)
    for step in range(x.shape[1]):
        state, spikes[:, step] = op.step(state, x[:, step])
        membranes[:, step] = state.before
    return spikes, membranes
