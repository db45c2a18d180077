"""What was read of a live snnTorch module runs beside the module itself: what watching its calls cannot see.

A module's own code may do anything to values and states. So the graph and the module get the same random trains, of
many amplitudes, and every layer's spikes must be the same at every step; the membranes too, where they are left as
they were compared. Only a membrane so near its threshold that single precision decides may differ.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.errors import ModelError
from ohmweave.frontend.snntorch_layers import at_rest, first_tensor, leaves, refuse
from ohmweave.graph import Graph
from ohmweave.ops import Stateful
from ohmweave.temporal import Trace, trace
from ohmweave.units import Array

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Way", "check"]

_SEED, _STEPS, _SAMPLES = 0, 8, 10
# Amplitudes of the inputs: of powers of two, so that trains of spikes stay exact.
_SMALLEST, _LARGEST = -1.0, 5.0
# Roundings of the module's precision that a sum may have gathered, as a share of a sample's largest membrane.
_ROUNDINGS = 1000.0


@dataclass(frozen=True)
class Way:
    """How a module takes its input.

    Args:
        own_loop: whether one call makes all steps.
        steps: that one call makes; of trains, as many as they have.
        axis: which of the input's first two dimensions are the steps; None for still samples.
        lead: dimensions before a sample's own.
    """

    own_loop: bool
    steps: int
    axis: int | None
    lead: int


@dataclass
class _Heard:
    """What a layer of neurons gave, a call each."""

    spikes: list[Array] = field(default_factory=list)
    membranes: list[Array] = field(default_factory=list)


def check(module: "nn.Module", graph: Graph, way: Way) -> None:
    """Refuse a module whose spikes on random trains are not those of the graph that was read.

    Args:
        module: the module.
        graph: what was read of it.
        way: how it takes its input.

    Raises:
        ModelError: other spikes or membranes, told with the first layer that has them, another result, or what the
            module's own code raised.
    """
    import torch

    steps = way.steps if way.own_loop and way.axis is None else _STEPS
    parameter = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
    given = torch.from_numpy(_trains(steps, graph.input_shape, still=way.axis is None and way.own_loop))
    given = given.to(dtype=parameter.dtype, device=parameter.device)
    x = _array(given)
    names = [node.name for node in graph.nodes if isinstance(node.op, Stateful)]
    heard = {name: _Heard() for name in names}
    with at_rest(module), torch.no_grad(), _listening(module, heard):
        result = _result(module, given, way)
    expected = trace(graph, x, [*names, graph.outputs[0]])
    tolerance = _ROUNDINGS * float(torch.finfo(parameter.dtype).eps)
    alive = _compare(graph, heard, expected, tolerance)
    _check_result(module, graph.outputs[0], result, expected.values[graph.outputs[0]][alive], alive, tolerance)


def _trains(steps: int, shape: tuple[int, ...], *, still: bool) -> Array:
    """Inputs [samples, steps, ...]: spikes and normal numbers in turn, louder from sample to sample."""
    rng = np.random.default_rng(_SEED)
    size = (_SAMPLES, 1 if still else steps, *shape)
    spikes, numbers = (rng.random(size) < 0.5).astype(np.float64), rng.normal(size=size)
    loud = 2.0 ** np.round(np.linspace(_SMALLEST, _LARGEST, _SAMPLES))
    odd = (np.arange(_SAMPLES) % 2).reshape(-1, *[1] * (len(size) - 1))
    x = loud.reshape(odd.shape) * np.where(odd, numbers, spikes)
    return np.array(np.broadcast_to(x, (_SAMPLES, steps, *shape)))


def _array(tensor: Any) -> Array:
    return np.array(tensor.detach().cpu().double().numpy())


@contextmanager
def _listening(module: "nn.Module", heard: Mapping[str, _Heard]) -> Iterator[None]:
    """Hooks on the neurons, which keep what they give."""

    def hook(name: str) -> Any:
        def keep(layer: Any, _: Any, result: Any) -> None:
            heard[name].spikes.append(_array(first_tensor(result)))
            heard[name].membranes.append(_array(layer.mem))

        return keep

    layers = dict(leaves(module))
    handles = [layers[name].register_forward_hook(hook(name)) for name in heard]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _result(module: "nn.Module", given: Any, way: Way) -> Array:
    """What the module gives, of single steps [steps, samples, ...]."""
    try:
        if not way.own_loop:
            return np.stack([_array(first_tensor(module(given[:, step]))) for step in range(given.shape[1])])
        if way.axis is None:
            sample = given[:, 0] if way.lead == 1 else given[:, 0].unsqueeze(0)
            return _array(first_tensor(module(sample)))
        return _array(first_tensor(module(given if way.axis == 1 else given.swapaxes(0, 1))))
    except Exception as error:
        line = (str(error).strip() or "no message").splitlines()[0]
        raise ModelError(
            f"expected a forward pass on {_SAMPLES} samples of random trains, found {type(error).__name__}: {line}",
            where=type(module).__name__,
            remedy="let it take any number of samples, and of steps where its input has them",
        ) from error


def _compare(graph: Graph, heard: Mapping[str, _Heard], expected: Trace, tolerance: float) -> NDArray[np.bool_]:
    """Layer by layer and step by step; returns the samples that no rounding has led astray."""
    samples, steps = next(iter(expected.values.values())).shape[:2]
    alive = np.ones(samples, dtype=bool)
    near, other = dict[str, NDArray[np.bool_]](), dict[str, NDArray[np.bool_]]()
    for name, of in heard.items():
        if len(of.spikes) != steps:
            raise refuse(name, f"expected one call a step, {steps} in all, found {len(of.spikes)}", _REMEDY)
        other[name], near[name] = _differences(graph.node(name).op, of, name, expected, tolerance)
    for step in range(steps):
        for name in heard:
            differs, rounded = other[name][:, step], near[name][:, step]
            if (differs & ~rounded)[alive].any():
                raise refuse(
                    name,
                    f"expected what was read to do on random trains what the module does, found other spikes or "
                    f"membranes at step {step + 1}",
                    _REMEDY,
                )
            alive &= ~differs.any(axis=1)
    return alive


_REMEDY = (
    "between layers use flatten, view, reshape and sums of two alone; let states begin at 0 and leave them to the "
    "neurons"
)


def _differences(
    op: Any, of: _Heard, name: str, expected: Trace, tolerance: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which spikes or membranes differ, and where rounding may be why; both [samples, steps, neurons]."""
    wanted, membranes = expected.values[name], expected.membranes[name]
    samples, steps = wanted.shape[:2]
    spikes, found = (np.stack(v).reshape(steps, samples, -1).swapaxes(0, 1) for v in (of.spikes, of.membranes))
    wanted, membranes = wanted.reshape(spikes.shape), membranes.reshape(spikes.shape)
    threshold = op.threshold.reshape(-1)
    allowed = tolerance * np.maximum(np.abs(membranes).max(axis=(1, 2), keepdims=True), threshold)
    differs = spikes != wanted
    near = differs & (np.abs(membranes - threshold) <= allowed)
    if op.delay:
        # What is reset at once is no longer what was compared.
        differs |= ~(np.abs(found - membranes) <= allowed)
    return differs, near


def _check_result(
    module: "nn.Module", name: str, result: Array, wanted: Array, alive: NDArray[np.bool_], tolerance: float
) -> None:
    """All steps, wherever their dimension stands, or one of them."""
    samples, base = len(alive), wanted.swapaxes(0, 1)
    allowed = tolerance * np.abs(wanted).max(initial=1.0)
    arranged = [np.moveaxis(base, 0, axis) for axis in range(base.ndim)] + list(base)
    for one in arranged:
        axis = 1 if one is arranged[0] else 0
        full = (*one.shape[:axis], samples, *one.shape[axis + 1 :])
        if (
            result.size == np.prod(full)
            and (abs(np.compress(alive, result.reshape(full), axis) - one) <= allowed).all()
        ):
            return
    raise ModelError(
        f"expected the forward pass to return the spikes of {name!r} as they are, found others on random trains",
        where=type(module).__name__,
        remedy="return them all, or those of one step, before anything is made of them",
    )
