"""ONNX models of convolutional networks by hand: what each attribute means, what is refused and how."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from ohmweave.errors import ModelError
from ohmweave.frontend import from_onnx
from ohmweave.graph import Node
from ohmweave.ops import Add, Clip, Concat, Conv, Identity, Mul, Op, Pad, Relu, Slice

RNG = np.random.default_rng(5)
X = RNG.normal(size=(3, 4, 7, 6))
KERNEL = RNG.normal(size=(6, 2, 3, 2)).astype(np.float32)
BIAS = RNG.normal(size=6).astype(np.float32)
STATISTICS = {name: np.abs(RNG.normal(size=4)).astype(np.float32) for name in ("scale", "b", "mean", "var")}


def integers(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def node(op: str, inputs: str, output: str = "y", name: str = "layer", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), output.split(), name=name, **attributes)


def build(
    nodes: onnx.NodeProto | Sequence[onnx.NodeProto],
    constants: dict[str, Any] | None = None,
    *,
    shape: Sequence[str | int] = ("batch", 4, 7, 6),
    opset: int = 20,
) -> onnx.ModelProto:
    """A model with input x, output y and the given nodes and initializers, all in single precision."""
    graph = helper.make_graph(
        [nodes] if isinstance(nodes, onnx.NodeProto) else list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "out"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def op_of(model: onnx.ModelProto) -> Op:
    """The operation that makes the output."""
    return from_onnx(model).nodes[-1].op


def agrees_with_onnx(model: onnx.ModelProto, x: Any = X) -> None:
    """The graph gives what the reference implementation of ONNX gives, which computes in single precision."""
    (wanted,) = ReferenceEvaluator(model).run(None, {"x": x.astype(np.float32)})
    np.testing.assert_allclose(from_onnx(model).forward(x), wanted, rtol=1e-5, atol=1e-5)


CORNER = {"s": integers(1, -6), "e": integers(3, 2**62), "a": integers(1, -2), "t": integers(1, 3)}
LAYERS: list[tuple[onnx.NodeProto, dict[str, Any], int]] = [
    (node("Conv", "x k b", group=2, strides=[2, 1], pads=[1, 0, 2, 1], dilations=[1, 2]), {"k": KERNEL, "b": BIAS}, 20),
    (node("Conv", "x k", group=2, kernel_shape=[3, 2], auto_pad="VALID"), {"k": KERNEL}, 20),
    (node("Conv", "x k", group=2, kernel_shape=[3, 2], auto_pad="SAME_UPPER", strides=[2, 2]), {"k": KERNEL}, 20),
    (node("Conv", "x k", group=2, kernel_shape=[3, 2], auto_pad="SAME_LOWER", strides=[3, 1]), {"k": KERNEL}, 20),
    (node("BatchNormalization", "x scale b mean var", epsilon=0.25), STATISTICS, 20),
    (node("BatchNormalization", "x scale b mean var"), STATISTICS, 14),
    (node("MaxPool", "x", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 2, 1]), {}, 20),
    (node("MaxPool", "x", kernel_shape=[2, 2], strides=[1, 2], ceil_mode=1), {}, 20),
    (node("MaxPool", "x", kernel_shape=[3, 3], auto_pad="SAME_UPPER", strides=[2, 2]), {}, 20),
    (node("AveragePool", "x", kernel_shape=[3, 2], pads=[1, 1, 0, 1]), {}, 20),
    (node("AveragePool", "x", kernel_shape=[3, 2], pads=[1, 1, 0, 1], count_include_pad=1), {}, 20),
    (node("GlobalAveragePool", "x"), {}, 20),
    (node("ReduceMean", "x axes"), {"axes": integers(2, 3)}, 20),
    (node("ReduceMean", "x axes", keepdims=0), {"axes": integers(-1, -2)}, 20),
    (node("ReduceMean", "x", axes=[-2, 3], keepdims=0), {}, 13),
    (node("ReduceMean", "x", noop_with_empty_axes=1), {}, 20),
    (node("Clip", "x low high"), {"low": np.float32(-0.5), "high": np.float32(1)}, 20),
    (node("Clip", "x", min=-0.5, max=1.0), {}, 7),
    (node("Clip", "x low"), {"low": np.float32(0)}, 20),
    (node("Clip", "x"), {}, 20),
    (node("LeakyRelu", "x", alpha=0.3), {}, 20),
    (node("LeakyRelu", "x"), {}, 20),
    (node("HardSigmoid", "x"), {}, 20),
    (node("HardSigmoid", "x", alpha=0.5, beta=0.25), {}, 20),
    (node("HardSwish", "x"), {}, 20),
    (node("Slice", "x s e a t"), CORNER, 20),
    (node("Slice", "x s e"), {"s": integers(0, 1), "e": integers(2**31 - 1, -1)}, 20),
    (node("Slice", "x", starts=[2], ends=[100], axes=[3]), {}, 9),
    (node("Pad", "x p"), {"p": integers(0, 1, 0, 2, 0, 0, 3, 0)}, 20),
    (node("Pad", "x p v a"), {"p": integers(1, 2), "v": np.float32(0), "a": integers(-2)}, 20),
    (node("Concat", "x x", axis=1), {}, 20),
    (node("Concat", "x x", axis=-3), {}, 20),
    (node("Add", "x x"), {}, 20),
    (node("Mul", "x x"), {}, 20),
]  # fmt: skip
NAMES = [f"{index}-{layer.op_type}" for index, (layer, _, _) in enumerate(LAYERS)]


@pytest.mark.parametrize(("layer", "constants", "opset"), LAYERS, ids=NAMES)
def test_a_layer_means_what_onnx_says(layer: onnx.NodeProto, constants: dict[str, Any], opset: int) -> None:
    agrees_with_onnx(build(layer, constants, opset=opset))


def test_older_batch_normalization_of_one_output_is_at_inference() -> None:
    # ONNX's reference implementation takes the batch's own statistics here, against the operator's text.
    old, new = (build(node("BatchNormalization", "x scale b mean var"), STATISTICS, opset=n) for n in (9, 15))
    np.testing.assert_array_equal(from_onnx(old).forward(X), from_onnx(new).forward(X))


def test_older_padding_keeps_its_pads_in_an_attribute() -> None:
    model = build(node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 0, 3], mode="constant"), opset=10)
    assert op_of(model) == Pad((0, 1, 2), (0, 0, 3))


def test_what_changes_nothing_is_an_identity() -> None:
    assert op_of(build(node("Pad", "x p"), {"p": integers(*[0] * 8)})) == Identity()
    assert op_of(build(node("Slice", "x s e"), {"s": integers(0), "e": integers(2**63 - 1)})) == Identity()
    limits = {"low": np.float32(-3.4028235e38), "high": np.float32(np.inf)}
    assert op_of(build(node("Clip", "x low high"), limits)) == Identity()


def test_limits_and_slices_are_kept_as_numbers() -> None:
    assert op_of(build(node("Clip", "x low"), {"low": np.float32(0)})) == Relu()
    limits = {"low": np.float32(0), "high": np.float32(6)}
    assert op_of(build(node("Clip", "x low high"), limits)) == Clip(0.0, 6.0)
    constants = {"s": integers(1), "e": integers(-1), "a": integers(2)}
    assert op_of(build(node("Slice", "x s e a"), constants)) == Slice((0, 1, 0), (4, 6, 6), (1, 1, 1))


def test_a_constant_added_to_a_convolution_is_its_bias() -> None:
    nodes = [node("Conv", "x k b", "c", "conv", group=2), node("Add", "more c", "y", "add")]
    model = build(nodes, {"k": KERNEL, "b": BIAS, "more": BIAS.reshape(6, 1, 1)})
    graph = from_onnx(model)
    conv = graph.nodes[-1].op
    assert isinstance(conv, Conv)
    assert [n.name for n in graph.nodes] == ["x", "conv"]
    np.testing.assert_allclose(conv.bias, 2 * BIAS.astype(np.float64), rtol=1e-15)
    agrees_with_onnx(model)


def test_branches_keep_their_names_and_order() -> None:
    nodes = [
        node("Relu", "x", "a", "act"),
        node("GlobalAveragePool", "a", "m", "squeeze"),
        node("Sigmoid", "m", "g", "gate"),
        node("Mul", "g a", "s", "scale"),
        node("Add", "s x", "r", "residual"),
        node("Concat", "r a x", "y", "join", axis=1),
    ]
    model = build(nodes)
    graph = from_onnx(model)
    assert graph.nodes[4:] == (
        Node("scale", Mul(), ("gate", "act")),
        Node("residual", Add(), ("scale", "x")),
        Node("join", Concat(), ("residual", "act", "x")),
    )
    agrees_with_onnx(model)


def refused(model: onnx.ModelProto) -> str:
    with pytest.raises(ModelError) as caught:
        from_onnx(model)
    assert caught.value.exit_code == 2
    return str(caught.value)


PADDED = {"p": integers(*[0, 0, 1, 1] * 2)}
WHOLE = np.ones((6, 5, 5), np.float32)
SLICED = {"s": integers(0), "e": integers(2)}
REFUSALS: list[tuple[onnx.ModelProto, str]] = [
    (
        build(node("Conv", "x k"), {"k": np.ones((6, 4, 3), np.float32)}),
        (
            "expected a constant kernel of shape [outputs, channels, height, width], found shape (6, 4, 3); "
            "use a two-dimensional convolution"
        ),
    ),
    (
        build(node("Conv", "x k", kernel_shape=[2, 2], group=2), {"k": KERNEL}),
        "expected kernel_shape (3, 2), that of the kernel itself, found (2, 2); export the network again",
    ),
    (
        build(node("Conv", "x k", auto_pad="SAME", group=2), {"k": KERNEL}),
        (
            "expected auto_pad of NOTSET, VALID, SAME_UPPER or SAME_LOWER, found SAME; "
            "give the pads as numbers"
        ),
    ),
    (
        build(node("Conv", "x k", pads=[1, 1], group=2), {"k": KERNEL}),
        "expected four pads, found (1, 1); use a two-dimensional layer",
    ),
    (
        build(node("Conv", "x k", strides=[1], group=2), {"k": KERNEL}),
        "expected two numbers for strides, found (1,); use a layer for samples of shape (channels, height, width)",
    ),
    (
        build(node("Conv", "x k", strides=[0, 1], group=2, auto_pad="SAME_UPPER"), {"k": KERNEL}),
        "expected 2 numbers of at least 1 for the stride, found (0, 1); mend the layer",
    ),
    (
        build(node("Conv", "x k", group=4), {"k": KERNEL}),
        "expected a number of groups that divides the 6 outputs, found 4; mend the layer",
    ),
    (
        build(node("Conv", "x k"), {"k": KERNEL}),
        "expected an input of 2 channels, found 4 in shape (4, 7, 6)",
    ),
    (
        build(node("Conv", "x x"), {}),
        (
            "expected Conv of one computed input and constants, found inputs ['x', 'x']; "
            "only layers with fixed weights can be mapped to a crossbar"
        ),
    ),
    (
        build([node("Conv", "x k", "c", group=2), node("Add", "c b")], {"k": KERNEL, "b": WHOLE}),
        "expected a bias of shape (6, 1, 1), found (6, 5, 5); use one bias an output",
    ),
    (
        build(node("BatchNormalization", "x scale b mean var", training_mode=1), STATISTICS),
        "expected batch normalization at inference, found training mode; call .eval() before exporting",
    ),
    (
        build(node("BatchNormalization", "x scale b mean var", "y m v sm sv"), STATISTICS, opset=9),
        "expected batch normalization at inference, found training mode; call .eval() before exporting",
    ),
    (
        build(node("BatchNormalization", "x scale b mean var", spatial=0), STATISTICS, opset=7),
        "expected one scale a channel, found spatial = 0; normalise whole channels",
    ),
    (
        build(node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 1])),
        "expected MaxPool without dilation, found (2, 1); pool neighbouring pixels",
    ),
    (
        build(node("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)),
        (
            "expected AveragePool with ceil_mode = 0, found 1 where windows reach beyond the padded picture; "
            "pad the picture, or leave ceil_mode out"
        ),
    ),
    (
        build(node("MaxPool", "x", "y places", kernel_shape=[2, 2])),
        "expected MaxPool of values alone, found one that also gives their places; drop the indices",
    ),
    (
        build(node("MaxPool", "x", kernel_shape=[3])),
        "expected two numbers for kernel_shape, found (3,); use a layer for samples of shape (channels, height, width)",
    ),
    (
        build(node("ReduceMean", "x axes"), {"axes": integers(0, 2, 3)}),
        (
            "expected ReduceMean over height and width, axes [2, 3] of 4, found [0, 2, 3] of 4; "
            "average over height and width alone; a batch normalization must keep its running statistics"
        ),
    ),
    (
        build(node("ReduceMean", "x axes"), {"axes": np.array(2)}),
        "expected a row of whole numbers for axes, found int64 of shape (); export the network again",
    ),
    (
        build(node("Clip", "x low"), {"low": np.float32(1)}),
        (
            "expected Clip between two limits, found a minimum of 1 alone; "
            "give both limits, or a minimum of 0, which is Relu"
        ),
    ),
    (
        build(node("Clip", "x none high"), {"high": np.float32(6), "none": np.float32(-np.inf)}),
        (
            "expected Clip between two limits, found a maximum of 6 alone; "
            "give both limits, or a minimum of 0, which is Relu"
        ),
    ),
    (
        build(node("Pad", "x p", mode="reflect"), PADDED),
        "expected padding with zeros, found mode reflect; pad with zeros",
    ),
    (
        build(node("Pad", "x p v"), {**PADDED, "v": np.float32(0.5)}),
        "expected padding with zeros, found the value 0.5; pad with zeros",
    ),
    (
        build(node("Pad", "x p"), {"p": integers(1, 0, 0, 0, 0, 0, 0, 0)}),
        "expected no padding of the batch, found 1 and 0; pad features, not samples",
    ),
    (
        build(node("Pad", "x p"), {"p": integers(1, 1)}),
        "expected 8 constant pads, found 2; pad by fixed numbers",
    ),
    (
        build(node("Pad", "x p"), {"p": integers(0, 0, -1, 0, 0, 0, 0, 0)}),
        (
            "expected as many zeros before as after, none of them negative, found (0, -1, 0) and (0, 0, 0); "
            "cut with a slice instead of a negative padding"
        ),
    ),
    (
        build(node("Slice", "x s e a t"), {**SLICED, "a": integers(2), "t": integers(-1)}),
        "expected a step of at least 1, found -1; slice forwards",
    ),
    (
        build(node("Slice", "x s e"), SLICED),
        "expected every sample of the batch to be kept, found 0 to 2 by 1; slice features, not samples",
    ),
    (
        build(node("Slice", "x s e a"), {**SLICED, "a": integers(4)}),
        "expected an axis of 4 dimensions, found 4; export the network again",
    ),
    (
        build(node("Slice", "x s e a"), {**SLICED, "a": integers(1, 2)}),
        "expected as many starts, ends, axes and steps, found 1, 1, 2 and 1; export the network again",
    ),
    (
        build(node("Slice", "x s e a"), {"s": integers(5), "e": integers(9), "a": integers(1)}),
        "expected a slice of at least one value within (4, 7, 6), found (4, 0, 0) to (4, 7, 6); mend the slice",
    ),
    (
        build(node("Concat", "x x", axis=2)),
        "expected Concat along the channels, axis 1, found axis 2 of 4; join the branches along their channels",
    ),
    (
        build(node("Mul", "x two"), {"two": np.float32(2)}),
        (
            "expected Mul of computed inputs alone, found inputs ['x', 'two']; "
            "put constants into the weights of a layer"
        ),
    ),
    (
        build([node("Conv", "x k", "c", "conv", group=2), node("Add", "c x")], {"k": KERNEL}),
        (
            "expected two branches of one shape, found (6, 5, 5) and (4, 7, 6); "
            "bring the branches to one shape, for example by a convolution of 1 x 1 pixels"
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("model", "message"), REFUSALS, ids=range(len(REFUSALS)))
def test_what_a_circuit_cannot_do_is_refused_by_name(model: onnx.ModelProto, message: str) -> None:
    assert refused(model) == f"layer 'layer': {message}"


def test_a_picture_of_dynamic_size_is_refused() -> None:
    assert refused(build(node("Relu", "x"), shape=("batch", 3, "height", "width"))) == (
        "input 'x': expected the shape [batch, features...] with fixed features, found [?, 3, ?, ?]; "
        "export with a batch of samples, only the batch dimension being dynamic"
    )


def test_weights_that_are_no_numbers_are_refused_without_a_warning() -> None:
    signalling = np.full(KERNEL.shape, 0x7F800001, np.uint32).view(np.float32)
    assert refused(build(node("Conv", "x k", group=2), {"k": signalling})) == (
        "layer 'layer': expected finite values, found nan in weight[0, 0, 0, 0] (72 in all); "
        "train or export the network again"
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=3), st.data())
def test_a_mutated_network_is_read_or_refused_but_nothing_else(
    changes: list[tuple[int, int]], data: st.DataObject
) -> None:
    layer, constants, opset = data.draw(st.sampled_from(LAYERS))
    content = bytearray(build(layer, constants, opset=opset).SerializeToString())
    for position, value in changes:
        content[position % len(content)] = value
    model = onnx.ModelProto()
    with contextlib.suppress(Exception):  # what protobuf cannot read is for the reader of files
        model.ParseFromString(bytes(content))
    with contextlib.suppress(ModelError):
        from_onnx(model)
