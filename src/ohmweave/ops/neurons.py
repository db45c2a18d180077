"""Neurons that integrate and fire, step by step.

One step takes the membrane u and the spikes s of the step before to u' and s', all for one neuron::

    u' = beta u + x + (V s + c)              the bracket in recurrent neurons alone
    s' = 1 where u' > theta, else 0          strictly: at the threshold itself nothing fires

synaptic neurons through a current i::

    i' = alpha i + x + (V s + c)
    u' = beta u + i'

and the reset, by its name, with ``delay`` (on the step after the spike) or without (at once):

=========  ==========================================  =====================================
reset      with delay                                  at once
=========  ==========================================  =====================================
zero       beta u becomes beta (1 - s) u               u' becomes 0 behind the comparison
subtract   u' becomes u' - theta s                     u' becomes u' - theta s' behind it
none       --                                          --
hold       u' becomes (1 - s) u': a step without ear   not defined
guarded    not defined                                 below
=========  ==========================================  =====================================

``zero`` gives the same spikes either way. ``hold`` is what the RLeaky and Synaptic of snnTorch do with
``reset_mechanism="zero"``. ``guarded`` is the subtraction of snnTorch's ``reset_delay=False``: a membrane that
is still above its threshold after a reset fires only above twice the threshold; with r = 1 where u > theta,
u' - theta r is compared, then becomes u' - theta s'. Sums are formed in the order written here, which is
snnTorch's, so that both round alike.

Source: Eshraghian et al., "Training spiking neural networks using lessons from deep learning", Proc. IEEE
111, 2023, and the code of snnTorch 1.0.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ohmweave.errors import ModelError
from ohmweave.ops.operation import Shape, hold_double
from ohmweave.ops.spiking import NeuronState, run_steps
from ohmweave.units import Array

__all__ = [
    "LeakyIntegrateFire",
    "RecurrentLeakyIntegrateFire",
    "RecurrentSynapticIntegrateFire",
    "SynapticIntegrateFire",
]

# Each reset, with whether it may be delayed and whether it may be at once.
_RESETS: Mapping[str, tuple[bool, bool]] = {
    "zero": (True, True),
    "subtract": (True, True),
    "none": (True, True),
    "hold": (True, False),
    "guarded": (False, True),
}


def _check(op: "_Neurons", *decays: str) -> None:
    """Arrays of one shape, decays from 0 to 1, thresholds above 0, a reset that there is."""
    where = type(op).__name__
    hold_double(op, "threshold", *decays)
    shapes = {getattr(op, name).shape for name in ("threshold", *decays)}
    if len(shapes) > 1:
        raise ModelError(
            f"expected {', '.join(decays)} and threshold of one shape, found {', '.join(map(str, sorted(shapes)))}",
            where=where,
            remedy="give one value a neuron",
        )
    for name in decays:
        values = getattr(op, name)
        _refuse(where, name, values, (values < 0.0) | (values > 1.0), "decays from 0 to 1")
    _refuse(where, "threshold", op.threshold, op.threshold <= 0.0, "thresholds above 0")
    kinds = _RESETS.get(op.reset, (False, False))
    if not kinds[0 if op.delay else 1]:
        raise ModelError(
            f"expected reset {', '.join(map(repr, _RESETS))}, hold only with and guarded only without delay, "
            f"found {op.reset!r} with delay {op.delay!r}",
            where=where,
            remedy='try reset "zero"',
        )


def _refuse(where: str, name: str, values: Array, wrong: NDArray[np.bool_], wanted: str) -> None:
    # Infinities and NaN have a message of their own in the graph.
    bad = np.argwhere(wrong)
    if len(bad):
        place = name + str([int(i) for i in bad[0]]) if values.ndim else name
        raise ModelError(
            f"expected {wanted}, found {values[tuple(bad[0])]:g} in {place} ({len(bad)} in all)",
            where=where,
            remedy="train or export the network again",
        )


class _Neurons:
    """The step that all neurons share; subclasses say what drives their membranes."""

    arity: ClassVar[int | None] = 1

    beta: Array
    threshold: Array
    reset: str
    delay: bool

    def __post_init__(self) -> None:
        _check(self, "beta")

    def out_shape(self, *inputs: Shape) -> Shape:
        """The input's shape: one neuron a value."""
        (shape,) = inputs
        if shape != self.threshold.shape:
            raise ModelError(f"expected one input a neuron, shape {self.threshold.shape}, found {shape}")
        return shape

    def forward(self, *inputs: Array) -> Array:
        """The spikes of whole trains, from rest, [samples, steps, ...]."""
        return run_steps(self, inputs[0])[0]

    def start(self, samples: int, shape: Shape) -> NeuronState:
        """Membranes and currents at 0, no spikes."""
        rest = np.zeros((samples, *shape))
        return NeuronState(rest, rest, rest, rest)

    def step(self, state: NeuronState, x: Array) -> tuple[NeuronState, Array]:
        """One step of the equations above."""
        carried = state.membrane
        if self.delay and self.reset == "zero":
            carried = (1.0 - state.spikes) * carried
        current, u = self._drive(state, carried, x)
        early = self._early(state)
        if early is not None:
            u = (1.0 - early) * u if self.reset == "hold" else u - early * self.threshold
        spikes = (u > self.threshold).astype(np.float64)
        return NeuronState(self._late(u, spikes, early), u, spikes, current), spikes

    def _drive(self, state: NeuronState, carried: Array, x: Array) -> tuple[Array, Array]:
        """The synaptic current and the membrane before any reset of this step."""
        return state.current, self._add(self.beta * carried, x, state.spikes)

    def _add(self, decayed: Array, x: Array, spikes: Array) -> Array:
        return decayed + x

    def _early(self, state: NeuronState) -> Array | None:
        """Which neurons are reset before the comparison, 1 or 0, where the reset is of that kind."""
        if self.reset == "guarded":
            return (state.membrane > self.threshold).astype(np.float64)
        return state.spikes if self.delay and self.reset in ("subtract", "hold") else None

    def _late(self, u: Array, spikes: Array, early: Array | None) -> Array:
        """The membrane behind the comparison."""
        if self.delay or self.reset == "none":
            return u
        if self.reset == "zero":
            return (1.0 - spikes) * u
        return u - (spikes if early is None else spikes - early) * self.threshold


class _Synaptic(_Neurons):
    """Neurons whose inputs pass a current that decays."""

    alpha: Array

    def __post_init__(self) -> None:
        _check(self, "alpha", "beta")

    def _drive(self, state: NeuronState, carried: Array, x: Array) -> tuple[Array, Array]:
        current = self._add(self.alpha * state.current, x, state.spikes)
        return current, self.beta * carried + current


class _Recurrent(_Neurons):
    """Neurons that hear their own spikes one step later."""

    weight: Array
    bias: Array

    def __post_init__(self) -> None:
        super().__post_init__()
        hold_double(self, "weight", "bias")
        shape = self.threshold.shape
        square = (*shape, *shape) if len(shape) == 1 else None
        if self.weight.shape not in (shape, square) or self.bias.shape != shape:
            wanted = f"{square} or {shape}" if square else str(shape)
            raise ModelError(
                f"expected recurrent weights of shape {wanted} and a bias of shape {shape}, "
                f"found {self.weight.shape} and {self.bias.shape}",
                where=type(self).__name__,
                remedy="give a weight for every pair of neurons, or one a neuron",
            )

    def _add(self, decayed: Array, x: Array, spikes: Array) -> Array:
        one_to_one = self.weight.shape == self.threshold.shape
        heard = spikes * self.weight if one_to_one else spikes @ self.weight.T
        return decayed + x + (heard + self.bias)


@dataclass(frozen=True, eq=False)
class LeakyIntegrateFire(_Neurons):
    """u' = beta u + x, s' = 1 where u' > theta; with beta = 1 it is integrate-and-fire.

    Args:
        beta: decay of the membrane a step, 0 to 1, one a neuron.
        threshold: theta, above 0, one a neuron, in the units of x.
        reset: ``zero``, ``subtract``, ``none``, ``hold`` or ``guarded``, as this module says.
        delay: whether the reset acts on the step after the spike.

    Raises:
        ModelError: numbers out of range, arrays of different shapes, or no such reset.
    """

    beta: Array
    threshold: Array
    reset: str = "zero"
    delay: bool = False


@dataclass(frozen=True, eq=False)
class SynapticIntegrateFire(_Synaptic):
    """i' = alpha i + x, u' = beta u + i', s' = 1 where u' > theta.

    Args:
        alpha: decay of the synaptic current a step, 0 to 1, one a neuron.
        beta: decay of the membrane a step, 0 to 1, one a neuron.
        threshold: theta, above 0, one a neuron, in the units of x.
        reset: as for LeakyIntegrateFire.
        delay: as for LeakyIntegrateFire.

    Raises:
        ModelError: as for LeakyIntegrateFire.
    """

    alpha: Array
    beta: Array
    threshold: Array
    reset: str = "zero"
    delay: bool = False


@dataclass(frozen=True, eq=False)
class RecurrentLeakyIntegrateFire(_Recurrent):
    """u' = beta u + x + V s + c, s' = 1 where u' > theta; s: the neurons' own spikes one step before.

    Args:
        beta: decay of the membrane a step, 0 to 1, one a neuron.
        threshold: theta, above 0, one a neuron, in the units of x.
        weight: V, [neurons, neurons] (to, from), or one a neuron where each hears itself alone.
        bias: c, one a neuron.
        reset: as for LeakyIntegrateFire.
        delay: as for LeakyIntegrateFire.

    Raises:
        ModelError: as for LeakyIntegrateFire.
    """

    beta: Array
    threshold: Array
    weight: Array
    bias: Array
    reset: str = "zero"
    delay: bool = False


@dataclass(frozen=True, eq=False)
class RecurrentSynapticIntegrateFire(_Recurrent, _Synaptic):
    """i' = alpha i + x + V s + c, u' = beta u + i', s' = 1 where u' > theta; s: own spikes one step before.

    Args:
        alpha: decay of the synaptic current a step, 0 to 1, one a neuron.
        beta: decay of the membrane a step, 0 to 1, one a neuron.
        threshold: theta, above 0, one a neuron, in the units of x.
        weight: V, [neurons, neurons] (to, from), or one a neuron where each hears itself alone.
        bias: c, one a neuron.
        reset: as for LeakyIntegrateFire.
        delay: as for LeakyIntegrateFire.

    Raises:
        ModelError: as for LeakyIntegrateFire.
    """

    alpha: Array
    beta: Array
    threshold: Array
    weight: Array
    bias: Array
    reset: str = "zero"
    delay: bool = False
