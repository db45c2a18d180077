"""Sizes and pads that older exporters have the model work out: read as numbers, or refused by name."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ohmweave.errors import ModelError
from ohmweave.frontend import from_onnx
from ohmweave.ops import Op, Pad, Slice


def integers(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def node(op: str, inputs: str, output: str = "y", name: str = "layer", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=name, **attributes)


def build(nodes: Sequence[onnx.NodeProto], constants: dict[str, Any], batch: str | int = "batch") -> onnx.ModelProto:
    """A model with input x, pictures of 4 x 7 x 6, output y and the given nodes and initializers."""
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 4, 7, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "out"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def op_of(model: onnx.ModelProto) -> Op:
    """The operation that makes the output."""
    return from_onnx(model).nodes[-1].op


def refused(model: onnx.ModelProto) -> str:
    with pytest.raises(ModelError) as caught:
        from_onnx(model)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_the_pads_that_older_exporters_compute_are_folded() -> None:
    # Two pads of the last two axes, zeros for the others, reversed: what torch's older exporter writes.
    nodes = [
        node("ConstantOfShape", "four", "zeros", value=numpy_helper.from_array(np.array([0]))),
        node("Concat", "given zeros", "all", axis=0),
        node("Reshape", "all two", "rows"),
        node("Slice", "rows from to axis back", "turned"),
        node("Transpose", "turned", "columns", perm=[1, 0]),
        node("Reshape", "columns flat", "pads"),
        node("Pad", "x pads"),
    ]
    constants = {
        "given": integers(1, 2, 3, 0), "four": integers(4), "two": integers(-1, 2), "flat": integers(-1),
        "from": integers(-1), "to": integers(-(2**62)), "axis": integers(0), "back": integers(-1),
    }  # fmt: skip
    assert op_of(build(nodes, constants)) == Pad((0, 3, 1), (0, 0, 2))


def halves(index: int, batch: str | int) -> onnx.ModelProto:
    """x[:, : x.shape[index] // 2] with the size worked out in the model."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape index", "size", axis=0),
        node("Div", "size two", "half", "half"),
        node("Slice", "x zero half one"),
    ]
    constants = {"index": integers(index), "two": integers(2), "zero": integers(0), "one": integers(1)}
    return build(nodes, constants, batch)


def test_sizes_may_be_worked_out_in_the_model_but_not_from_a_symbolic_batch() -> None:
    assert op_of(halves(1, "batch")) == Slice((0, 0, 0), (2, 7, 6), (1, 1, 1))
    assert op_of(halves(0, 6)) == Slice((0, 0, 0), (3, 7, 6), (1, 1, 1))
    assert refused(halves(0, "batch")).startswith(
        "layer 'half': op Div of a symbolic or negative size is not supported; "
    )


def test_a_constant_of_a_large_shape_is_refused() -> None:
    nodes = [node("ConstantOfShape", "size", "k"), node("Conv", "x k")]
    assert refused(build(nodes, {"size": integers(10**5, 10**6)})).startswith(
        "layer 'layer': op ConstantOfShape of 100000000000 constant values is not supported; supported are "
    )
