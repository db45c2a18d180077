"""What each supported ONNX operation means: one pure function an operation, from a call to an op of the graph."""

from collections.abc import Callable, Mapping

from ohmweave.frontend.onnx_call import Call, floats, refuse
from ohmweave.frontend.onnx_dense import gemm, matmul
from ohmweave.frontend.onnx_shaping import concat, flatten, pad, reshape, slices
from ohmweave.frontend.onnx_spatial import average_pool, batch_norm, conv, max_pool, reduce_mean
from ohmweave.ops import (
    Add,
    Clip,
    GlobalAveragePool,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyRelu,
    Mul,
    Op,
    Relu,
    Sigmoid,
    Softmax,
    Tanh,
)

__all__ = ["HANDLERS", "JOINTS"]

# Limits as large as single precision goes are those of no limit.
_UNLIMITED = 3.4e38


def _dropout(call: Call) -> Op:
    training = call.constant(2)
    if training is not None and training.any():
        raise refuse(call.name, "expected dropout at inference, found training mode", "call .eval() before exporting")
    return Identity()


def _softmax(call: Call) -> Op:
    axis = int(call.attributes.get("axis", -1 if call.opset >= 13 else 1))
    if axis not in (-1, call.rank - 1):
        raise refuse(
            call.name, f"expected Softmax over the last axis, found axis {axis} of {call.rank}", "move that axis last"
        )
    return Softmax()


def _clip(call: Call) -> Op:
    low, high = _limit(call, 1, "min"), _limit(call, 2, "max")
    if low is None and high is None:
        return Identity()
    if low is not None and high is not None:
        return Clip(low, high)
    if low == 0:
        return Relu()
    found = f"a minimum of {low:g} alone" if high is None else f"a maximum of {high:g} alone"
    raise refuse(
        call.name,
        f"expected Clip between two limits, found {found}",
        "give both limits, or a minimum of 0, which is Relu",
    )


def _limit(call: Call, index: int, attribute: str) -> float | None:
    """A limit of Clip, an input of newer operator sets and an attribute of older ones."""
    given = call.constant(index)
    value = call.attributes.get(attribute) if given is None else floats(given, call.name).reshape(-1)[0]
    return None if value is None or abs(float(value)) > _UNLIMITED else float(value)


# One computed input and constants.
HANDLERS: Mapping[str, Callable[[Call], Op]] = {
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Clip": _clip,
    "Conv": conv,
    "Dropout": _dropout,
    "Flatten": flatten,
    "Gemm": gemm,
    "GlobalAveragePool": lambda call: GlobalAveragePool(),
    "HardSigmoid": lambda call: HardSigmoid(call.number("alpha", 0.2), call.number("beta", 0.5)),
    "HardSwish": lambda call: HardSwish(),
    "Identity": lambda call: Identity(),
    "LeakyRelu": lambda call: LeakyRelu(call.number("alpha", 0.01)),
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Relu": lambda call: Relu(),
    "Reshape": reshape,
    "Sigmoid": lambda call: Sigmoid(),
    "Slice": slices,
    "Softmax": _softmax,
    "Tanh": lambda call: Tanh(),
}
# Computed inputs alone.
JOINTS: Mapping[str, Callable[[Call], Op]] = {
    "Add": lambda call: Add(),
    "Concat": concat,
    "Mul": lambda call: Mul(),
}
