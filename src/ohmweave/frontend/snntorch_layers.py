"""Layers of spiking torch modules to operations: what each means, and which of their options are not read."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ohmweave.errors import ModelError
from ohmweave.ops import (
    AveragePool,
    BatchNorm,
    Conv,
    Flatten,
    Identity,
    LeakyIntegrateFire,
    Linear,
    Op,
    RecurrentLeakyIntegrateFire,
    RecurrentSynapticIntegrateFire,
    Shape,
    SynapticIntegrateFire,
)
from ohmweave.units import Array

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NEURONS", "at_rest", "clamped", "first_tensor", "from_library", "layer_op", "leaves", "refuse"]

# Of snnTorch's modules; the others have states or spikes that no operation here has.
NEURONS = ("Leaky", "Synaptic", "RLeaky", "RSynaptic")
_REMEDIES: Mapping[str, str] = {
    "MaxPool2d": "the largest of several spike trains has no circuit here; use AvgPool2d or a convolution with stride",
    "BatchNormTT1d": "its scales change from step to step, which no crossbar does; use BatchNorm1d",
    "BatchNormTT2d": "its scales change from step to step, which no crossbar does; use BatchNorm2d",
}


def refuse(name: str, message: str, remedy: str) -> ModelError:
    """The error about one layer."""
    return ModelError(message, where=f"layer {name!r}", remedy=remedy)


def from_library(module: "nn.Module") -> bool:
    """Whether a module is one of snnTorch's."""
    return type(module).__module__.startswith("snntorch.")


def leaves(module: "nn.Module", name: str = "") -> Iterator[tuple[str, "nn.Module"]]:
    """Layers by name; what neurons hold inside, such as recurrent weights, is part of them."""
    children = list(module.named_children())
    if from_library(module) or not children:
        yield name or type(module).__name__.lower(), module
        return
    for label, child in children:
        yield from leaves(child, f"{name}.{label}" if name else label)


def first_tensor(result: Any) -> Any:
    """The first tensor among what a module gives, None without one."""
    if not isinstance(result, tuple | list):
        return result if hasattr(result, "dtype") and hasattr(result, "ndim") else None
    return next((found for entry in result if (found := first_tensor(entry)) is not None), None)


@contextlib.contextmanager
def at_rest(module: "nn.Module") -> Iterator[None]:
    """Neurons at rest and everything in evaluation mode; afterwards as they were."""
    neurons = [child for child in module.modules() if from_library(child)]
    saved = [(child, dict(child._buffers), child.__dict__.get("reset")) for child in neurons]
    training = [child for child in module.modules() if child.training]
    try:
        for child in training:
            child.training = False
        for child in neurons:
            for name in ("mem", "syn", "spk"):
                if (state := child._buffers.get(name)) is not None:
                    child._buffers[name] = state.new_zeros(0)
        yield
    finally:
        for child in training:
            child.training = True
        for child, buffers, reset in saved:
            child._buffers.update(buffers)
            child.__dict__.pop("reset", None)
            if reset is not None:
                child.__dict__["reset"] = reset


def clamped(name: str, module: "nn.Module") -> Iterator[str]:
    """What is told of neurons' decays beyond 0..1, which snnTorch's own forward pass takes as 0 or 1.

    Args:
        name: the layer's name.
        module: the neurons.
    """
    for parameter in ("alpha", "beta"):
        if (tensor := getattr(module, parameter, None)) is None:
            continue
        values = _array(tensor).ravel()
        beyond = np.flatnonzero((values < 0.0) | (values > 1.0))
        if len(beyond):
            value = float(values[beyond[0]])
            many = f", and of {len(beyond)} neurons in all" if len(beyond) > 1 else ""
            each = f" of neuron {beyond[0]}" if len(values) > 1 else ""
            yield (
                f"layer {name!r}: {parameter} = {value:.6g}{each}{many} is taken as {np.clip(value, 0.0, 1.0):g}, as "
                "snnTorch takes it in its forward pass"
            )


def layer_op(name: str, module: "nn.Module", shape: Shape) -> Op:
    """What a layer does to one step of its input.

    Args:
        name: the layer's name, for messages.
        module: the layer itself.
        shape: of one sample of its input at one step; neurons take a value for each.

    Returns:
        The operation, float64; of neurons with one beta and threshold a neuron.

    Raises:
        ModelError: a layer, or an option of one, that is not read.
    """
    kind = type(module).__name__
    reader = _READERS.get(kind)
    foreign = not type(module).__module__.startswith(("torch.nn.", "snntorch."))
    if reader is None or foreign:
        supported = ", ".join(_READERS)
        remedy = _REMEDIES.get(kind, f"supported are {supported}")
        raise refuse(name, f"expected a layer that spiking circuits have, found {kind}", remedy)
    return reader(_Layer(name, module, shape))


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer, its name for messages, and the shape of one sample of its input."""

    name: str
    module: Any
    shape: Shape


def _array(tensor: Any) -> Array:
    return np.asarray(tensor.detach().cpu().double().numpy())


def _linear(layer: _Layer) -> Op:
    weight = _array(layer.module.weight)
    return Linear(weight, np.zeros(len(weight)) if layer.module.bias is None else _array(layer.module.bias))


def _conv(layer: _Layer) -> Op:
    m = layer.module
    if m.padding_mode != "zeros" or isinstance(m.padding, str):
        raise refuse(
            layer.name,
            f"expected a padding of zeros given in pixels, found {m.padding!r}, mode {m.padding_mode!r}",
            "give the padding as numbers",
        )
    weight = _array(m.weight)
    bias = np.zeros(len(weight)) if m.bias is None else _array(m.bias)
    return Conv(
        weight,
        bias,
        m.stride,
        (*m.padding, *m.padding),
        m.dilation,
        m.groups,
    )


def _average_pool(layer: _Layer) -> Op:
    m = layer.module
    if m.ceil_mode or m.divisor_override is not None:
        raise refuse(
            layer.name,
            "expected AvgPool2d without ceil_mode and divisor_override, found one of them",
            "pad the picture, or scale the weights of the next layer",
        )
    kernel, stride, (down, across) = (_pair(v) for v in (m.kernel_size, m.stride, m.padding))
    return AveragePool(kernel, stride, (down, across, down, across), bool(m.count_include_pad))


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)


def _flatten(layer: _Layer) -> Op:
    m = layer.module
    if m.start_dim not in (1, -len(layer.shape)) or m.end_dim not in (-1, len(layer.shape)):
        raise refuse(
            layer.name,
            f"expected Flatten of all but the batch, found start_dim {m.start_dim} and end_dim {m.end_dim}",
            "write Flatten()",
        )
    return Flatten()


def _batch_norm(layer: _Layer) -> Op:
    m = layer.module
    if m.running_mean is None:
        raise refuse(layer.name, "expected running statistics, found none", "train with track_running_stats=True")
    mean, variance = _array(m.running_mean), _array(m.running_var)
    scale, shift = (np.ones_like(mean), np.zeros_like(mean)) if m.weight is None else (_array(m.weight), _array(m.bias))
    return BatchNorm(scale, shift, mean, variance, float(m.eps))


def _leaky(layer: _Layer) -> Op:
    beta, threshold = _neuron(layer, "beta", "threshold")
    return LeakyIntegrateFire(beta, threshold, *_reset(layer.module, hears_at_reset=True))


def _synaptic(layer: _Layer) -> Op:
    alpha, beta, threshold = _neuron(layer, "alpha", "beta", "threshold")
    return SynapticIntegrateFire(alpha, beta, threshold, *_reset(layer.module))


def _rleaky(layer: _Layer) -> Op:
    beta, threshold = _neuron(layer, "beta", "threshold")
    return RecurrentLeakyIntegrateFire(beta, threshold, *_loop(layer), *_reset(layer.module))


def _rsynaptic(layer: _Layer) -> Op:
    alpha, beta, threshold = _neuron(layer, "alpha", "beta", "threshold")
    return RecurrentSynapticIntegrateFire(alpha, beta, threshold, *_loop(layer), *_reset(layer.module))


def _reset(module: Any, *, hears_at_reset: bool = False) -> tuple[str, bool]:
    """The name of snnTorch's reset here, and whether it is delayed.

    All but Leaky lose the inputs of the step on which they are reset to zero late; subtracting at once, all of
    them hold a membrane back that is still above its threshold.
    """
    kind, delay = ("subtract", "zero", "none")[int(module.reset_mechanism_val)], bool(module.reset_delay)
    if kind == "zero" and delay and not hears_at_reset:
        return "hold", True
    return ("guarded" if kind == "subtract" and not delay else kind), delay


def _loop(layer: _Layer) -> tuple[Array, Array]:
    """The recurrent weights and biases."""
    recurrent = layer.module.recurrent
    if not layer.module.all_to_all:
        return _spread(layer.name, "V", recurrent.V, layer.shape), np.zeros(layer.shape)
    if type(recurrent).__name__ != "Linear":
        raise refuse(
            layer.name,
            f"expected recurrent weights of a Linear, or one a neuron, found {type(recurrent).__name__}",
            "use linear_features, or all_to_all=False",
        )
    weight = _array(recurrent.weight)
    return weight, np.zeros(len(weight)) if recurrent.bias is None else _array(recurrent.bias)


def _neuron(layer: _Layer, *parameters: str) -> list[Array]:
    """Parameters of neurons spread over all of them, decays within 0..1 as snnTorch takes them."""
    import torch

    # Many of each value: a surrogate whose forward pass is left to chance shows itself.
    around = torch.tensor([-2.0, -0.5, -1e-3, 0.0, 1e-3, 0.5, 2.0]).repeat(32)
    strange = [
        label
        for label, wrong in (
            ("state_quant", bool(layer.module.state_quant)),
            ("inhibition", bool(layer.module.inhibition)),
            ("graded_spikes_factor", bool((layer.module.graded_spikes_factor != 1.0).any())),
            ("a spike_grad that is no step", not torch.equal(layer.module.spike_grad(around), (around > 0).float())),
        )
        if wrong
    ]
    if strange:
        raise refuse(layer.name, f"expected plain neurons, found {strange[0]}", "train without it")
    values = [_spread(layer.name, parameter, getattr(layer.module, parameter), layer.shape) for parameter in parameters]
    return [v if p == "threshold" else np.clip(v, 0.0, 1.0) for p, v in zip(parameters, values, strict=True)]


def _spread(name: str, parameter: str, tensor: Any, shape: Shape) -> Array:
    values = _array(tensor)
    try:
        return np.array(np.broadcast_to(values, shape))
    except ValueError as error:
        raise refuse(
            name,
            f"expected {parameter} of one value, or of shape {shape}, found {values.shape}",
            "give one value a neuron",
        ) from error


_READERS: Mapping[str, Callable[[_Layer], Op]] = {
    "Linear": _linear,
    "Conv2d": _conv,
    "AvgPool2d": _average_pool,
    "Flatten": _flatten,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "Dropout": lambda layer: Identity(),
    "Dropout2d": lambda layer: Identity(),
    "Identity": lambda layer: Identity(),
    "Leaky": _leaky,
    "Synaptic": _synaptic,
    "RLeaky": _rleaky,
    "RSynaptic": _rsynaptic,
}
