"""What the ONNX operations mean that treat a sample as a picture."""

import numpy as np

from ohmweave.frontend.onnx_call import Call, floats, refuse
from ohmweave.ops import AveragePool, BatchNorm, Conv, GlobalAveragePool, Identity, MaxPool
from ohmweave.ops.window import Pair, Sides, Window

__all__ = ["average_pool", "batch_norm", "conv", "max_pool", "reduce_mean"]

_NO_PADDING: Sides = (0, 0, 0, 0)


def conv(call: Call) -> Conv:
    """Conv of pictures."""
    given, bias = call.constant(1), call.constant(2)
    if given is None or given.ndim != 4:
        found = "none" if given is None else f"shape {given.shape}"
        raise refuse(
            call.name,
            f"expected a constant kernel of shape [outputs, channels, height, width], found {found}",
            "use a two-dimensional convolution",
        )
    weight = floats(given, call.name)
    kernel = (weight.shape[2], weight.shape[3])
    if "kernel_shape" in call.attributes and call.pair("kernel_shape") != kernel:
        raise refuse(
            call.name,
            f"expected kernel_shape {kernel}, that of the kernel itself, found {call.pair('kernel_shape')}",
            "export the network again",
        )
    stride, dilation = call.pair("strides"), call.pair("dilations")
    padding = _padding(call, kernel, stride, dilation)
    groups = int(call.attributes.get("group", 1))
    values = np.zeros(len(weight)) if bias is None else floats(bias, call.name)
    return Conv(weight, values, stride, padding, dilation, groups)


def batch_norm(call: Call) -> BatchNorm:
    """BatchNormalization with the statistics of training."""
    if call.flag("training_mode") or (call.opset < 14 and call.outputs > 1):
        raise refuse(
            call.name,
            "expected batch normalization at inference, found training mode",
            "call .eval() before exporting",
        )
    if not call.attributes.get("spatial", 1):
        raise refuse(call.name, "expected one scale a channel, found spatial = 0", "normalise whole channels")
    arrays = []
    for index, label in enumerate(("scale", "B", "mean", "var"), start=1):
        values = call.constant(index)
        if values is None:
            raise refuse(call.name, f"expected a constant {label}, found none", "export the network again")
        arrays.append(floats(values, call.name))
    scale, shift, mean, variance = arrays
    return BatchNorm(scale, shift, mean, variance, call.number("epsilon", 1e-5))


def average_pool(call: Call) -> AveragePool:
    """AveragePool with or without the padding in the count."""
    kernel, stride, padding = _pool(call)
    return AveragePool(kernel, stride, padding, call.flag("count_include_pad"))


def max_pool(call: Call) -> MaxPool:
    """MaxPool, its values alone."""
    if call.outputs > 1:
        raise refuse(
            call.name, "expected MaxPool of values alone, found one that also gives their places", "drop the indices"
        )
    return MaxPool(*_pool(call))


def reduce_mean(call: Call) -> GlobalAveragePool | Identity:
    """ReduceMean over height and width."""
    axes = call.integers("axes", 1)
    if not axes and call.flag("noop_with_empty_axes"):
        return Identity()
    places = sorted(axis + call.rank if axis < 0 else axis for axis in axes or range(call.rank))
    if call.rank != 4 or places != [2, 3]:
        raise refuse(
            call.name,
            f"expected ReduceMean over height and width, axes [2, 3] of 4, found {places} of {call.rank}",
            "average over height and width alone; a batch normalization must keep its running statistics",
        )
    return GlobalAveragePool(bool(call.attributes.get("keepdims", 1)))


def _pool(call: Call) -> tuple[Pair, Pair, Sides]:
    kernel, stride = call.pair("kernel_shape"), call.pair("strides")
    if call.pair("dilations") != (1, 1):
        raise refuse(
            call.name,
            f"expected {call.op} without dilation, found {call.pair('dilations')}",
            "pool neighbouring pixels",
        )
    padding = _padding(call, kernel, stride, (1, 1))
    if call.flag("ceil_mode") and _leaves_rest(call, kernel, stride, padding):
        raise refuse(
            call.name,
            f"expected {call.op} with ceil_mode = 0, found 1 where windows reach beyond the padded picture",
            "pad the picture, or leave ceil_mode out",
        )
    return kernel, stride, padding


def _leaves_rest(call: Call, kernel: Pair, stride: Pair, padding: Sides) -> bool:
    sizes = (size + padding[i] + padding[i + 2] - kernel[i] for i, size in enumerate(call.shape[1:3]))
    return any(size % s for size, s in zip(sizes, stride, strict=False))


def _padding(call: Call, kernel: Pair, stride: Pair, dilation: Pair) -> Sides:
    """The pads of a window, those of auto_pad worked out for this picture."""
    mode = call.text("auto_pad", "NOTSET")
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise refuse(
            call.name,
            f"expected auto_pad of NOTSET, VALID, SAME_UPPER or SAME_LOWER, found {mode}",
            "give the pads as numbers",
        )
    Window(kernel, stride, _NO_PADDING, dilation)  # refuses a stride of 0 before it divides
    pads = tuple(int(pad) for pad in call.attributes.get("pads", _NO_PADDING))
    if mode == "NOTSET":
        if len(pads) != 4:
            raise refuse(call.name, f"expected four pads, found {pads}", "use a two-dimensional layer")
        return pads
    if mode == "VALID" or call.rank != 4:
        return _NO_PADDING
    extra = [
        max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
        for size, k, s, d in zip(call.shape[1:], kernel, stride, dilation, strict=True)
    ]
    less, more = [pad // 2 for pad in extra], [pad - pad // 2 for pad in extra]
    first, last = (less, more) if mode == "SAME_UPPER" else (more, less)
    return (first[0], first[1], last[0], last[1])
