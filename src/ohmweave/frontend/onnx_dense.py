"""What ONNX's matrix products mean, and the biases that exporters write apart from their layers."""

from dataclasses import replace

import numpy as np

from ohmweave.frontend.onnx_call import Call, Constant, floats, refuse
from ohmweave.ops import Conv, Linear
from ohmweave.units import Array

__all__ = ["add_bias", "gemm", "matmul"]


def add_bias(layer: Linear | Conv, values: Constant, name: str) -> Linear | Conv:
    """The layer with ``values`` added to its bias.

    Args:
        layer: a layer with a bias, shape [outputs].
        values: one number, or one an output, as it stands against the layer's result.
        name: the layer's name, for messages.

    Raises:
        ModelError: values that are not the same at every place of a picture, or too few or many.
    """
    if isinstance(layer, Linear):
        return Linear(layer.weight, layer.bias + _bias(values, len(layer.bias), name))
    if values.size > 1 and values.shape[-2:] != (1, 1):
        raise refuse(
            name,
            f"expected a bias of shape ({len(layer.bias)}, 1, 1), found {values.shape}",
            "use one bias an output",
        )
    bias = _bias(values.reshape(-1), len(layer.bias), name)
    return replace(layer, bias=layer.bias + bias)


def matmul(call: Call) -> Linear:
    """MatMul: x W."""
    weight = _weight(call)
    return Linear(np.ascontiguousarray(weight.T), np.zeros(weight.shape[1]))


def gemm(call: Call) -> Linear:
    """Gemm: alpha x W + beta c."""
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
    return floats(values, call.name)


def _bias(values: Constant, outputs: int, name: str) -> Array:
    if values.size not in (1, outputs) or values.shape[-1:] not in ((), (1,), (outputs,)):
        raise refuse(name, f"expected a bias of shape ({outputs},), found {values.shape}", "use one bias an output")
    return np.broadcast_to(floats(values, name).reshape(-1), (outputs,)).copy()
