"""What the nodes of NIR mean: layers as operations, neurons as decays and gains of one time step.

With the membrane equation tau dv/dt = (v_leak - v) + r I and a step dt, by the forward Euler rule::

    v' = beta v + g I + o,    beta = 1 - dt / tau,    g = r dt / tau,    o = v_leak dt / tau     (LIF)
    v' = v + g I,             g = r dt                                                            (IF)
    i' = alpha i + x, v' = beta v + g i',    alpha = 1 - dt / tau_syn,
    g = (w_in dt / tau_syn) (r dt / tau_mem), with i in units of its own gain                     (CubaLIF)

Where v_reset = v_leak = v_0 is not 0, membranes and thresholds are counted from v_0, where neurons then begin.

Source: Pedersen et al., "Neuromorphic intermediate representation", Nature Communications 15, 2024; the discrete
form is that of snnTorch, SpikingJelly and Lava.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from ohmweave.frontend.nir_structure import NirNode, shown
from ohmweave.ops import AveragePool, Conv, Flatten, Input, Linear, Op, Reshape, Shape
from ohmweave.units import Array

__all__ = ["LAYERS", "NEURONS", "Neurons", "Timing", "input_op", "layer_op", "neurons"]

NEURONS = ("LIF", "IF", "CubaLIF")
_LARGEST = 2**24
# Files in single precision state 1 to within this, and decays of 0 as this much below it.
_SINGLE = 1e-6


@dataclass(frozen=True)
class Timing:
    """The time step of a network.

    Args:
        dt: step, s.
        stated: whether the file or the user states it.
    """

    dt: float
    stated: bool


@dataclass(frozen=True, eq=False)
class Neurons:
    """u' = beta u + gain I + offset (through alpha where there is one), spikes above the threshold; one value each.

    Args:
        beta: decay of the membrane a step.
        threshold: above rest.
        gain: of the inputs, above 0.
        offset: added at every step.
        alpha: decay of the synaptic current, None without one.
        shifted: whether the membrane is counted from a rest other than 0.
    """

    beta: Array
    threshold: Array
    gain: Array
    offset: Array
    alpha: Array | None = None
    shifted: bool = False


def layer_op(node: NirNode, shape: Shape) -> Op:
    """A node without memory as an operation on samples of a shape."""
    reader = LAYERS.get(node.kind)
    if reader is None:
        raise node.error(
            f"expected a node of a kind that is read, found {node.kind}",
            f"supported are {', '.join(sorted((*LAYERS, *NEURONS, 'Input', 'Output', 'NIRGraph')))}",
        )
    op = reader(node, shape)
    if prod(op.out_shape(shape)) > _LARGEST:
        raise node.error(f"expected at most {_LARGEST} values, found {op.out_shape(shape)}", "give a smaller network")
    return op


def input_op(node: NirNode) -> Input:
    """The network's input."""
    shape = node.whole("shape")
    if min(shape) < 1 or prod(shape) > _LARGEST:
        raise node.error(f"expected a shape of 1 to {_LARGEST} values, found {shape}")
    return Input(shape)


def _linear(node: NirNode) -> Op:
    weight = node.numbers("weight")
    bias = node.numbers("bias") if node.kind == "Affine" else np.zeros(len(weight) if weight.ndim else 0)
    return Linear(weight, bias)


def _pair(node: NirNode, field: str) -> tuple[int, int]:
    values = node.whole(field)
    if len(values) not in (1, 2):
        raise node.error(f"expected one or two numbers {field!r}, found {values}")
    return values[0], values[-1]


def _conv(node: NirNode, shape: Shape) -> Op:
    weight = node.numbers("weight")
    if weight.ndim != 4 or ("input_shape" in node.fields and node.whole("input_shape") != shape[1:]):
        stated = node.fields.get("input_shape")
        found = f"weight {weight.shape}" if weight.ndim != 4 else f"input_shape {shown(stated)}"
        raise node.error(f"expected a kernel of four dimensions for pictures {shape[1:]}, found {found}")
    stride, dilation = _pair(node, "stride"), _pair(node, "dilation")
    (groups,) = node.whole("groups")[:1]
    kernel = (weight.shape[2], weight.shape[3])
    return Conv(weight, node.numbers("bias"), stride, _padding(node, kernel, stride, dilation), dilation, groups)


def _padding(
    node: NirNode, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[int, int, int, int]:
    value = node.fields.get("padding")
    if isinstance(value, str):
        if value == "valid":
            return (0, 0, 0, 0)
        if value != "same" or stride != (1, 1):
            raise node.error(
                f"expected a padding in pixels, 'valid', or 'same' with a stride of 1, found {shown(value)}"
            )
        down, across = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
        return (down // 2, across // 2, down - down // 2, across - across // 2)
    down, across = _pair(node, "padding")
    return (down, across, down, across)


def _average_pool(node: NirNode) -> Op:
    down, across = _pair(node, "padding")
    padding = (down, across, down, across)
    return AveragePool(_pair(node, "kernel_size"), _pair(node, "stride"), padding, count_include_pad=True)


def _sum_pool(node: NirNode, shape: Shape) -> Op:
    kernel = _pair(node, "kernel_size")
    if min(kernel) < 1 or shape[0] * prod(kernel) > _LARGEST:
        raise node.error(f"expected a window of 1 to {_LARGEST} pixels, found {kernel}")
    down, across = _pair(node, "padding")
    padding = (down, across, down, across)
    return Conv(np.ones((shape[0], 1, *kernel)), np.zeros(shape[0]), _pair(node, "stride"), padding, groups=shape[0])


def _flatten(node: NirNode, shape: Shape) -> Op:
    ends = [node.whole(field)[0] for field in ("start_dim", "end_dim")]
    first, last = (end + len(shape) if end < 0 else end for end in ends)
    if not 0 <= first <= last < len(shape):
        raise node.error(f"expected dimensions of {shape} in order, found start_dim {ends[0]} and end_dim {ends[1]}")
    flat = (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :])
    return Flatten() if len(flat) == 1 else Reshape(flat)


LAYERS: Mapping[str, Callable[[NirNode, Shape], Op]] = {
    "Affine": lambda node, shape: _linear(node),
    "AvgPool2d": lambda node, shape: _average_pool(node),
    "Conv2d": _conv,
    "Flatten": _flatten,
    "Linear": lambda node, shape: _linear(node),
    "SumPool2d": _sum_pool,
}


def neurons(node: NirNode, shape: Shape, timing: Timing) -> Neurons:
    """A node with neurons, one for each value of a shape."""

    def spread(field: str, default: float | None = None) -> Array:
        values = node.numbers(field, default)
        if not np.isfinite(values).all():
            raise node.error(f"expected finite numbers {field!r}, found {values[~np.isfinite(values)][0]}")
        try:
            return np.array(np.broadcast_to(values, shape))
        except ValueError:
            raise node.error(f"expected {field!r} of one value or of shape {shape}, found {values.shape}") from None

    reset, threshold, r = spread("v_reset", 0.0), spread("v_threshold"), spread("r")
    if node.kind == "IF":
        leak, one = reset, np.ones(shape)
        # r = 1 means "a spike adds its weight" wherever no step is stated; SpikingJelly writes 1 / dt for the same.
        gain = r if not timing.stated and not np.allclose(r * timing.dt, 1.0, rtol=1e-5) else r * timing.dt
        found = Neurons(one, threshold, gain, 0.0 * one)
    else:
        leak = spread("v_leak", 0.0)
        found = _leaky(node, shape, timing, r, threshold, leak)
    if not np.array_equal(reset, leak) and reset.any():
        raise node.error("expected v_reset of 0 or equal to v_leak, found other values", "shift the voltages")
    if reset.any():
        found = Neurons(found.beta, threshold - reset, found.gain, 0.0 * found.offset, found.alpha, shifted=True)
    return _checked(node, found)


def _leaky(node: NirNode, shape: Shape, timing: Timing, r: Array, threshold: Array, leak: Array) -> Neurons:
    beta, share = _decay(node, "tau" if node.kind == "LIF" else "tau_mem", shape, timing)
    if node.kind == "LIF":
        return Neurons(beta, threshold, r * share, leak * share)
    alpha, synaptic = _decay(node, "tau_syn", shape, timing)
    w_in = node.numbers("w_in", 1.0)
    try:
        gain = r * share * synaptic * np.broadcast_to(w_in, shape)
    except ValueError:
        raise node.error(f"expected 'w_in' of one value or of shape {shape}, found {w_in.shape}") from None
    return Neurons(beta, threshold, gain, leak * share, alpha)


def _decay(node: NirNode, field: str, shape: Shape, timing: Timing) -> tuple[Array, Array]:
    """1 - dt / tau, and dt / tau."""
    tau = node.numbers(field)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = timing.dt / tau
        decay = 1.0 - share
    wrong = ~((tau > 0.0) & (decay > -_SINGLE) & (decay < 1.0))
    if wrong.any():
        raise node.error(
            f"expected time constants {field!r} from dt = {timing.dt:g} s up, with a decay 1 - dt / tau of at least 0 "
            f"and below 1, found {tau[wrong].flat[0]:g} s, a decay of {decay[wrong].flat[0]:g}",
            "give time constants that fit dt, or an IF node for neurons without leak",
        )
    if node.raw(field).dtype.itemsize == 4:
        # A decay of 0.9 in single precision comes back as itself only by the same rounding.
        decay = decay.astype(np.float32).astype(np.float64)
    try:
        return np.array(np.broadcast_to(np.maximum(decay, 0.0), shape)), np.array(np.broadcast_to(share, shape))
    except ValueError:
        raise node.error(f"expected {field!r} of one value or of shape {shape}, found {tau.shape}") from None


def _checked(node: NirNode, found: Neurons) -> Neurons:
    """Thresholds above rest and gains above 0; a gain that single precision cannot tell from 1 is 1."""
    if not (found.threshold > 0.0).all():
        worst = found.threshold[~(found.threshold > 0.0)].flat[0]
        raise node.error(f"expected thresholds above rest, found one {worst:g} above it", "give a v_threshold above it")
    if not ((found.gain > 0.0) & np.isfinite(found.gain)).all():
        raise node.error("expected gains r dt / tau above 0, found others", "give an r above 0")
    gain = np.where(np.abs(found.gain - 1.0) <= _SINGLE, 1.0, found.gain)
    return Neurons(found.beta, found.threshold, gain, found.offset, found.alpha, found.shifted)
