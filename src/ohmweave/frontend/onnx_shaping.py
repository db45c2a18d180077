"""What the ONNX operations mean that move values and change none."""

from math import prod

from ohmweave.frontend.onnx_call import Call, floats, refuse
from ohmweave.ops import Concat, Flatten, Identity, Pad, Reshape, Slice

__all__ = ["concat", "flatten", "pad", "reshape", "slices"]

# What exporters write for "to the end": the largest number of the type they happen to use.
_END = 2**31 - 1


def flatten(call: Call) -> Flatten:
    """Flatten from axis 1."""
    axis = int(call.attributes.get("axis", 1))
    if axis not in (1, 1 - call.rank):
        raise refuse(call.name, f"expected Flatten from axis 1, found axis {axis}", "keep the batch dimension apart")
    return Flatten()


def reshape(call: Call) -> Flatten | Reshape:
    """Reshape to a constant shape, the batch first."""
    target = call.constant(1)
    if target is None or target.ndim != 1 or target.dtype.kind != "i":
        raise refuse(call.name, "expected Reshape to a constant shape, found none", "use fixed feature dimensions")
    wanted = [int(dim) for dim in target]
    copies = not call.attributes.get("allowzero", 0)
    keeps_batch = wanted[:1] == [-1] or (copies and wanted[:1] == [0]) or wanted[:1] == [call.batch]
    if len(wanted) < 2 or not keeps_batch:
        raise refuse(
            call.name,
            f"expected Reshape to keep the batch dimension first, found shape {wanted}",
            "write it like x.reshape(len(x), -1)",
        )
    before = (0, *call.shape)
    rest = [before[i] if dim == 0 and copies and i < len(before) else dim for i, dim in enumerate(wanted)][1:]
    return _resolved(rest, call)


def _resolved(rest: list[int], call: Call) -> Flatten | Reshape:
    known = prod(dim for dim in rest if dim != -1)
    fits = known > 0 and min(rest) >= -1 and rest.count(-1) <= 1 and prod(call.shape) % known == 0
    if not fits:
        raise refuse(
            call.name,
            f"expected a shape of {prod(call.shape)} values a sample, found {rest}",
            "export the network again",
        )
    shape = tuple(prod(call.shape) // known if dim == -1 else dim for dim in rest)
    return Flatten() if len(shape) == 1 and shape[0] == prod(call.shape) else Reshape(shape)


def concat(call: Call) -> Concat:
    """Concat along the channels."""
    axis = int(call.attributes["axis"])
    if axis not in (1, 1 - call.rank):
        raise refuse(
            call.name,
            f"expected Concat along the channels, axis 1, found axis {axis} of {call.rank}",
            "join the branches along their channels",
        )
    return Concat()


def slices(call: Call) -> Slice | Identity:
    """Slice of a sample, by constants and forwards."""
    starts, ends = call.integers("starts", 1), call.integers("ends", 2)
    if starts is None or ends is None:
        raise refuse(call.name, "expected constant starts and ends, found none", "slice by fixed numbers")
    axes = call.integers("axes", 3) or tuple(range(len(starts)))
    steps = call.integers("steps", 4) or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise refuse(
            call.name,
            f"expected as many starts, ends, axes and steps, found {len(starts)}, {len(ends)}, {len(axes)} and "
            f"{len(steps)}",
            "export the network again",
        )
    kept = [slice(0, size, 1) for size in call.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 1:
            raise refuse(call.name, f"expected a step of at least 1, found {step}", "slice forwards")
        place = _axis(axis, call)
        if place > 0:
            kept[place - 1] = slice(*slice(start, end, step).indices(call.shape[place - 1]))
        elif (start, step) != (0, 1) or end < _END:
            raise refuse(
                call.name,
                f"expected every sample of the batch to be kept, found {start} to {end} by {step}",
                "slice features, not samples",
            )
    if all(one == slice(0, size, 1) for one, size in zip(kept, call.shape, strict=True)):
        return Identity()
    columns = zip(*((one.start, one.stop, one.step) for one in kept), strict=True)
    return Slice(*columns)


def pad(call: Call) -> Pad | Identity:
    """Pad with zeros."""
    mode, value = call.text("mode", "constant"), call.constant(2)
    if mode != "constant":
        raise refuse(call.name, f"expected padding with zeros, found mode {mode}", "pad with zeros")
    filled = call.number("value", 0.0) if value is None else float(floats(value, call.name).reshape(-1)[0])
    if filled != 0:
        raise refuse(call.name, f"expected padding with zeros, found the value {filled:g}", "pad with zeros")
    pads = call.integers("pads", 1)
    axes = call.integers("axes", 3) or tuple(range(call.rank))
    if pads is None or len(pads) != 2 * len(axes):
        found = "none" if pads is None else str(len(pads))
        raise refuse(call.name, f"expected {2 * len(axes)} constant pads, found {found}", "pad by fixed numbers")
    before, after = [0] * call.rank, [0] * call.rank
    for axis, first, last in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        before[_axis(axis, call)], after[_axis(axis, call)] = first, last
    if before[0] or after[0]:
        raise refuse(
            call.name,
            f"expected no padding of the batch, found {before[0]} and {after[0]}",
            "pad features, not samples",
        )
    return Pad(tuple(before[1:]), tuple(after[1:])) if any(before) or any(after) else Identity()


def _axis(axis: int, call: Call) -> int:
    if not -call.rank <= axis < call.rank:
        raise refuse(call.name, f"expected an axis of {call.rank} dimensions, found {axis}", "export the network again")
    return axis % call.rank
