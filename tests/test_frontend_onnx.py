"""ONNX models by hand: what each operation means, where weights may lie, what is refused and how."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from ohmweave.errors import ModelError
from ohmweave.frontend import from_onnx
from ohmweave.graph import Graph, Linear
from ohmweave.units import Array

RNG = np.random.default_rng(7)
W1, B1 = RNG.normal(size=(4, 3)).astype(np.float32), RNG.normal(size=4).astype(np.float32)
W2, B2 = RNG.normal(size=(2, 4)).astype(np.float32), RNG.normal(size=2).astype(np.float32)
X = RNG.normal(size=(5, 3))
SUPPORTED = (
    "supported are Add, AveragePool, BatchNormalization, Clip, Concat, Conv, Dropout, Flatten, Gemm, "
    "GlobalAveragePool, HardSigmoid, HardSwish, Identity, LeakyRelu, MatMul, MaxPool, Mul, Pad, ReduceMean, Relu, "
    "Reshape, Sigmoid, Slice, Softmax, Tanh"
)


def build(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, Any] | None = None,
    *,
    shape: Sequence[str | int | None] = ("batch", 3),
    kind: int = TensorProto.FLOAT,
    opset: int = 17,
    outputs: Sequence[str] = ("y",),
) -> onnx.ModelProto:
    """A model with input x and the given nodes and initializers."""
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", kind, list(shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "out"]) for name in outputs],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def node(op: str, inputs: str, output: str = "y", name: str = "", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=name, **attributes)


def two_layers() -> onnx.ModelProto:
    nodes = [
        node("Gemm", "x w1 b1", "h", "first", transB=1),
        node("Relu", "h", "r", "act"),
        node("Gemm", "r w2 b2", "y", "second", transB=1),
    ]
    return build(nodes, {"w1": W1, "b1": B1, "w2": W2, "b2": B2})


def expected() -> Array:
    hidden = np.maximum(X @ W1.astype(np.float64).T + B1, 0)
    return np.asarray(hidden @ W2.astype(np.float64).T + B2)


def refused(model: onnx.ModelProto | Path) -> str:
    with pytest.raises(ModelError) as caught:
        from_onnx(model)
    assert caught.value.exit_code == 2
    return str(caught.value)


def layer(graph: Graph, index: int = 1) -> Linear:
    op = graph.nodes[index].op
    assert isinstance(op, Linear)
    return op


def test_a_perceptron_keeps_its_names_and_its_values() -> None:
    graph = from_onnx(two_layers())
    assert [(n.name, type(n.op).__name__, n.inputs) for n in graph.nodes] == [
        ("x", "Input", ()),
        ("first", "Linear", ("x",)),
        ("act", "Relu", ("first",)),
        ("second", "Linear", ("act",)),
    ]
    assert graph.outputs == ("second",)
    np.testing.assert_allclose(graph.forward(X), expected(), rtol=1e-14)


def test_weights_are_float64_and_exactly_those_of_the_file() -> None:
    linear = layer(from_onnx(two_layers()))
    assert (linear.weight.dtype.name, linear.bias.dtype.name) == ("float64", "float64")
    np.testing.assert_array_equal(linear.weight, W1.astype(np.float64))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_every_float_type_is_read(dtype: str) -> None:
    kind = getattr(TensorProto, {"float32": "FLOAT", "float64": "DOUBLE"}.get(dtype, dtype.upper()))
    weight = W1.astype(helper.tensor_dtype_to_np_dtype(kind))
    model = build([node("Gemm", "x w", transB=1)], {"w": weight}, kind=kind)
    np.testing.assert_array_equal(layer(from_onnx(model)).weight, weight.astype(np.float64))


def test_typed_data_is_read_like_raw_data() -> None:
    model = two_layers()
    tensor = model.graph.initializer[0]
    typed = helper.make_tensor("w1", TensorProto.FLOAT, W1.shape, W1.ravel().tolist())
    assert tensor.raw_data
    assert not typed.raw_data
    tensor.CopyFrom(typed)
    np.testing.assert_allclose(from_onnx(model).forward(X), expected(), rtol=1e-14)


def test_constants_may_be_nodes() -> None:
    nodes = [
        node("Constant", "", "w", value=numpy_helper.from_array(W1.T.copy())),
        node("Constant", "", "b", value_float=0.5),
        node("MatMul", "x w", "m"),
        node("Add", "m b"),
    ]
    for constant in nodes[:2]:
        del constant.input[:]
    np.testing.assert_allclose(from_onnx(build(nodes)).forward(X), X @ W1.astype(np.float64).T + 0.5, rtol=1e-14)


@given(st.booleans(), st.floats(-2, 2, width=32), st.floats(-2, 2, width=32), st.sampled_from([(), (1,), (4,), (1, 4)]))
def test_gemm_is_alpha_x_w_plus_beta_c(transposed: bool, alpha: float, beta: float, shape: tuple[int, ...]) -> None:
    bias = np.resize(B1, shape).astype(np.float32)
    model = build(
        [node("Gemm", "x w c", alpha=alpha, beta=beta, transB=int(transposed))],
        {"w": W1 if transposed else W1.T.copy(), "c": bias},
    )
    wanted = alpha * (X @ W1.astype(np.float64).T) + beta * bias.astype(np.float64)
    np.testing.assert_allclose(from_onnx(model).forward(X), wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("order", ["m b", "b m"])
def test_matmul_and_add_in_either_order_are_one_layer(order: str) -> None:
    graph = from_onnx(build([node("MatMul", "x w", "m", "fc"), node("Add", order)], {"w": W1.T.copy(), "b": B1}))
    assert [n.name for n in graph.nodes] == ["x", "fc"]
    np.testing.assert_array_equal(layer(graph).bias, B1.astype(np.float64))


def test_matmul_alone_has_no_bias() -> None:
    assert layer(from_onnx(build([node("MatMul", "x w")], {"w": W1.T.copy()}))).bias.tolist() == [0.0] * 4


@pytest.mark.parametrize(
    ("nodes", "kinds"),
    [
        ([node("Tanh", "x")], ["Tanh"]),
        ([node("Sigmoid", "x")], ["Sigmoid"]),
        ([node("Identity", "x")], ["Identity"]),
        ([node("Dropout", "x ratio")], ["Identity"]),
        ([node("Dropout", "x ratio off")], ["Identity"]),
        ([node("Softmax", "x")], ["Softmax"]),
        ([node("Softmax", "x", axis=1)], ["Softmax"]),
        ([node("Flatten", "x")], ["Flatten"]),
        ([node("Flatten", "x", axis=-1)], ["Flatten"]),
        ([node("Reshape", "x flat")], ["Flatten"]),
        ([node("Reshape", "x rows")], ["Reshape"]),
        ([node("Reshape", "x copied")], ["Reshape"]),
        ([node("Relu", "x", "unread"), node("Identity", "x")], ["Identity"]),
    ],
)
def test_the_other_operations(nodes: list[onnx.NodeProto], kinds: list[str]) -> None:
    constants = {
        "ratio": np.float32(0.5),
        "off": np.array(False),
        "flat": np.array([-1, 3]),
        "rows": np.array([0, -1, 1]),
        "copied": np.array([-1, 0, 1]),
    }
    assert [type(n.op).__name__ for n in from_onnx(build(nodes, constants)).nodes[1:]] == kinds


@pytest.mark.parametrize("batch", ["batch", None, 1, 4])
def test_a_reshape_computed_from_the_shape_of_the_input(batch: str | int | None) -> None:
    # What older exporters write for x.view(x.size(0), -1).
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Unsqueeze", "n axes", "n1"),
        node("Concat", "n1 rest", "target", axis=0),
        node("Reshape", "x target", "f"),
        node("MatMul", "f w"),
    ]
    constants = {
        "zero": np.array(0),
        "axes": np.array([0]),
        "rest": np.array([-1]),
        "w": np.ones((6, 2), dtype=np.float32),
    }
    graph = from_onnx(build(nodes, constants, shape=(batch, 2, 3)))
    assert graph.forward(np.ones((3, 2, 3))).tolist() == [[6.0, 6.0]] * 3


def test_a_transposed_constant_weight_is_folded() -> None:
    nodes = [node("Transpose", "w", "t", perm=[1, 0]), node("MatMul", "x t")]
    np.testing.assert_array_equal(layer(from_onnx(build(nodes, {"w": W1}))).weight, W1.astype(np.float64))


def test_layers_without_a_name_are_called_by_their_output_and_names_are_made_unique() -> None:
    nodes = [
        node("Relu", "x", "a", "act"),
        node("Relu", "a", "b", "act"),
        node("Relu", "b", "c"),
        node("Relu", "c", "y", "x"),
    ]
    assert [n.name for n in from_onnx(build(nodes)).nodes] == ["x", "act", "act_2", "c", "x_2"]


def test_a_linear_layer_is_called_by_its_weights_module() -> None:
    model = build([node("Gemm", "x fc1.weight", "h", "/fc1/Gemm", transB=1), node("Relu", "h")], {"fc1.weight": W1})
    assert [n.name for n in from_onnx(model).nodes] == ["x", "fc1", "y"]


def test_several_outputs_are_kept_in_order() -> None:
    nodes = [node("MatMul", "x w", "h", "fc"), node("Relu", "h", "y", "act")]
    assert from_onnx(build(nodes, {"w": W1.T.copy()}, outputs=("y", "h"))).outputs == ("act", "fc")


def test_a_bias_is_not_folded_into_an_output_that_others_read() -> None:
    nodes = [node("MatMul", "x w", "h", "fc"), node("Add", "h b", "y", "plus")]
    assert refused(build(nodes, {"w": W1.T.copy(), "b": B1}, outputs=("h", "y"))) == (
        "layer 'plus': expected Add of a constant to the output of Gemm, MatMul or Conv, found inputs ['h', 'b']; "
        "write it as the bias of a layer"
    )


REFUSALS = [
    (build([node("Selu", "x", name="act")]), f"layer 'act': op Selu is not supported; {SUPPORTED}"),
    (
        build([node("Gemm", "x w", name="fc", transA=1)], {"w": W1}),
        "layer 'fc': expected Gemm with transA = 0, found 1, which mixes samples; export the layer as x W + b",
    ),
    (
        build([node("MatMul", "x x", name="fc")]),
        (
            "layer 'fc': expected MatMul of one computed input and constants, found inputs ['x', 'x']; "
            "only layers with fixed weights can be mapped to a crossbar"
        ),
    ),
    (
        build([node("MatMul", "x w", name="fc")], {"w": np.ones(3, np.float32)}),
        "layer 'fc': expected a constant weight matrix, found shape (3,); use a plain linear layer",
    ),
    (
        build([node("MatMul", "x w", name="fc")], {"w": np.ones((5, 2), np.float32)}),
        "layer 'fc': expected an input of shape (5,), found (3,)",
    ),
    (
        build([node("MatMul", "x w", name="fc")], {"w": np.ones((3, 2), np.int64)}),
        "layer 'fc': expected floating-point weights, found int64; export before quantising",
    ),
    (
        build([node("Gemm", "x w b", name="fc", transB=1)], {"w": W1, "b": np.ones((5, 1), np.float32)}),
        "layer 'fc': expected a bias of shape (4,), found (5, 1); use one bias an output",
    ),
    (
        build([node("MatMul", "x w", name="fc")], {"w": np.full((3, 2), np.nan, np.float32)}),
        "layer 'fc': expected finite values, found nan in weight[0, 0] (6 in all); train or export the network again",
    ),
    (
        build([node("Softmax", "x", name="soft", axis=0)]),
        "layer 'soft': expected Softmax over the last axis, found axis 0 of 2; move that axis last",
    ),
    (
        build([node("Softmax", "x", name="soft")], opset=11, shape=("n", 2, 3)),
        "layer 'soft': expected Softmax over the last axis, found axis 1 of 3; move that axis last",
    ),
    (
        build([node("Flatten", "x", name="flat", axis=0)]),
        "layer 'flat': expected Flatten from axis 1, found axis 0; keep the batch dimension apart",
    ),
    (
        build([node("Reshape", "x s", name="view")], {"s": np.array([3, -1])}),
        (
            "layer 'view': expected Reshape to keep the batch dimension first, found shape [3, -1]; "
            "write it like x.reshape(len(x), -1)"
        ),
    ),
    (
        build([node("Reshape", "x s", name="view")], {"s": np.array([-1, 2])}),
        "layer 'view': expected a shape of 3 values a sample, found [2]; export the network again",
    ),
    (
        build([node("Dropout", "x r t", name="drop")], {"r": np.float32(0.5), "t": np.array(True)}),
        "layer 'drop': expected dropout at inference, found training mode; call .eval() before exporting",
    ),
    (
        build([node("Relu", "x")], kind=TensorProto.INT64),
        "input 'x': expected floating-point samples, found INT64; export with float input",
    ),
    (
        build([node("Relu", "x")], shape=("batch", "features")),
        (
            "input 'x': expected the shape [batch, features...] with fixed features, found [?, ?]; "
            "export with a batch of samples, only the batch dimension being dynamic"
        ),
    ),
    (
        build([node("Relu", "x")], shape=(64,)),
        (
            "input 'x': expected the shape [batch, features...] with fixed features, found [64]; "
            "export with a batch of samples, only the batch dimension being dynamic"
        ),
    ),
    (
        build([node("Identity", "w")], {"w": W1}),
        "model: expected output 'y' to depend on the input, found a constant; export the network again",
    ),
    (
        build([node("Relu", "x")], opset=6),
        "model: expected ONNX operator set 7 or later, found 6; export it again with opset 13 or later",
    ),
]


@pytest.mark.parametrize(("model", "message"), REFUSALS, ids=range(len(REFUSALS)))
def test_what_cannot_be_mapped_is_refused_by_name(model: onnx.ModelProto, message: str) -> None:
    assert refused(model) == message


def test_two_inputs_are_refused() -> None:
    model = build([node("Relu", "x")])
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 3]))
    assert refused(model) == "model: expected one input, found 'x', 'z'; export the network with one input"


def test_a_foreign_operator_is_refused_with_its_domain() -> None:
    model = build([node("Fused", "x", name="f", domain="com.acme")])
    model.opset_import.append(helper.make_opsetid("com.acme", 1))
    assert refused(model) == f"layer 'f': op com.acme.Fused is not supported; {SUPPORTED}"


def test_growing_constants_on_reading_is_refused() -> None:
    nodes = [node("Concat", "big big", "w", "join", axis=1), node("MatMul", "x w")]
    assert refused(build(nodes, {"big": np.ones((3, 600), np.float32)})) == (
        f"layer 'join': op Concat of 3600 constant values is not supported; {SUPPORTED}"
    )


def test_a_tensor_that_is_not_whole_is_refused() -> None:
    model = two_layers()
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    assert refused(model).startswith(
        ("layer 'first': expected tensor 'w1' to be whole", "model: expected a valid ONNX model")
    )


def test_a_missing_file_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    assert refused(path) == f"{path}: expected an ONNX file, found no such file; check the path"
    path.write_bytes(b"\xff not a model")
    assert refused(path).startswith(f"{path}: expected a valid ONNX model, found a damaged one (")
    path.write_bytes(b"")
    assert refused(path).startswith(f"{path}: expected a valid ONNX model, found a damaged one (")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4), st.integers(0, 40))
def test_a_mutated_file_is_read_or_refused_but_nothing_else(
    tmp_path: Path, changes: list[tuple[int, int]], cut: int
) -> None:
    content = bytearray(two_layers().SerializeToString())
    for position, value in changes:
        content[position % len(content)] = value
    path = tmp_path / "mutated.onnx"
    path.write_bytes(content[: len(content) - cut])
    with contextlib.suppress(ModelError):
        from_onnx(path)
