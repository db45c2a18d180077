"""What each supported ONNX operation means: one pure function an operation, from a call to an op of the graph."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.errors import ModelError
from ohmweave.graph import Flatten, Identity, Linear, Op, Relu, Reshape, Sigmoid, Softmax, Tanh
from ohmweave.units import Array

__all__ = ["HANDLERS", "Call", "add_bias", "refuse"]

Constant = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Call:
    """One ONNX node with what is known about its inputs.

    Args:
        op: the ONNX operation.
        name: the layer's name, for messages.
        shape: shape of one sample of the first input, which the network computes.
        constants: the values of the other inputs in order; ``None`` where one is left out.
        attributes: the node's attributes.
        batch: the model's batch size, ``None`` where it is symbolic.
        opset: version of the ONNX operator set.
    """

    op: str
    name: str
    shape: tuple[int, ...]
    constants: tuple[Constant | None, ...]
    attributes: Mapping[str, Any]
    batch: int | None
    opset: int

    def constant(self, index: int) -> Constant | None:
        """The constant at input ``index`` (the first constant is input 1), if it is given."""
        return self.constants[index - 1] if index <= len(self.constants) else None


def refuse(name: str, message: str, remedy: str) -> ModelError:
    """The error about one layer."""
    return ModelError(message, where=f"layer {name!r}", remedy=remedy)


def add_bias(linear: Linear, values: Constant, name: str) -> Linear:
    """The layer with ``values`` (shape [outputs] or one number) added to its bias."""
    return Linear(linear.weight, linear.bias + _bias(values, len(linear.bias), name))


def _matmul(call: Call) -> Op:
    weight = _weight(call)
    return Linear(np.ascontiguousarray(weight.T), np.zeros(weight.shape[1]))


def _gemm(call: Call) -> Op:
    if call.attributes.get("transA", 0):
        raise refuse(
            call.name, "expected Gemm with transA = 0, found 1, which mixes samples", "export the layer as x W + b"
        )
    weight = _weight(call) if call.attributes.get("transB", 0) else _weight(call).T
    weight = np.ascontiguousarray(weight * float(call.attributes.get("alpha", 1.0)))
    given = call.constant(2)
    bias = np.zeros(len(weight)) if given is None else _bias(given, len(weight), call.name)
    return Linear(weight, bias * float(call.attributes.get("beta", 1.0)))


def _weight(call: Call) -> Array:
    values = call.constant(1)
    if values is None or values.ndim != 2:
        found = "none" if values is None else f"shape {values.shape}"
        raise refuse(call.name, f"expected a constant weight matrix, found {found}", "use a plain linear layer")
    return _floats(values, call.name)


def _bias(values: Constant, outputs: int, name: str) -> Array:
    if values.size not in (1, outputs) or values.shape[-1:] not in ((), (1,), (outputs,)):
        raise refuse(name, f"expected a bias of shape ({outputs},), found {values.shape}", "use one bias an output")
    return np.broadcast_to(_floats(values, name).reshape(-1), (outputs,)).copy()


def _floats(values: Constant, name: str) -> Array:
    # bfloat16 is an extension type whose kind is "V"; its name says what it is.
    if values.dtype.kind != "f" and values.dtype.name != "bfloat16":
        raise refuse(name, f"expected floating-point weights, found {values.dtype}", "export before quantising")
    return np.asarray(values, dtype=np.float64)


def _dropout(call: Call) -> Op:
    training = call.constant(2)
    if training is not None and training.any():
        raise refuse(call.name, "expected dropout at inference, found training mode", "call .eval() before exporting")
    return Identity()


def _softmax(call: Call) -> Op:
    rank = 1 + len(call.shape)
    axis = int(call.attributes.get("axis", -1 if call.opset >= 13 else 1))
    if axis not in (-1, rank - 1):
        raise refuse(
            call.name, f"expected Softmax over the last axis, found axis {axis} of {rank}", "move that axis last"
        )
    return Softmax()


def _flatten(call: Call) -> Op:
    rank = 1 + len(call.shape)
    axis = int(call.attributes.get("axis", 1))
    if axis not in (1, 1 - rank):
        raise refuse(call.name, f"expected Flatten from axis 1, found axis {axis}", "keep the batch dimension apart")
    return Flatten()


def _reshape(call: Call) -> Op:
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


def _resolved(rest: list[int], call: Call) -> Op:
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


HANDLERS: Mapping[str, Callable[[Call], Op]] = {
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "Identity": lambda call: Identity(),
    "MatMul": _matmul,
    "Relu": lambda call: Relu(),
    "Reshape": _reshape,
    "Sigmoid": lambda call: Sigmoid(),
    "Softmax": _softmax,
    "Tanh": lambda call: Tanh(),
}
