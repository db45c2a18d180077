"""Networks as layers: what the layers compute, worked out in plain numpy, is what the network computes."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ohmweave.errors import ModelError
from ohmweave.frontend import from_onnx
from ohmweave.graph import Flatten, Graph, Identity, Input, Linear, Node, Op, Relu, Reshape, Sigmoid, Softmax, Tanh
from ohmweave.layers import Layer, Lowered, lower
from ohmweave.ops import (
    Add,
    AveragePool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    GlobalAveragePool,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    MaxPool,
    Mul,
    Pad,
    Slice,
)
from ohmweave.units import Array

BOTH = (False, True)
# What the circuits of the activations compute, told anew.
FUNCTIONS: Mapping[str, Callable[..., Array]] = {
    "through": lambda v: v,
    "relu": lambda v: np.maximum(v, 0.0),
    "tanh": np.tanh,
    "sigmoid": lambda v: 1.0 / (1.0 + np.exp(-v)),
    "clip": lambda v, low, high: np.minimum(np.maximum(v, low), high),
    "leaky_relu": lambda v, slope: v + (slope - 1.0) * np.minimum(v, 0.0),
    "hard_swish": lambda v: v * np.minimum(np.maximum(v / 6.0 + 0.5, 0.0), 1.0),
}


def answer(layer: Layer, bus: Array) -> Array:
    """A layer's outputs at every position, [samples, positions, outputs], from the values of all signals."""
    seen = bus[:, layer.source]
    if layer.kind == "array":
        sums = seen @ layer.sums.weights.toarray() + layer.sums.bias
    else:
        sums = (seen.max if layer.kind == "maximum" else seen.prod)(axis=-1, keepdims=True)
    return np.asarray(FUNCTIONS[layer.activation](sums, *layer.parameters))


def compute(lowered: Lowered, x: Array) -> Array:
    """The network's output by its layers; a signal that no layer has made yet is no number."""
    inputs = x.reshape(len(x), -1)
    count = 1 + inputs.shape[1] + sum(layer.outputs * layer.positions for layer in lowered.layers)
    bus = np.full((len(x), count), np.nan)
    bus[:, 0], bus[:, 1 : 1 + inputs.shape[1]] = 0.0, inputs
    for layer in lowered.layers:
        bus[:, layer.signals] = answer(layer, bus).transpose(0, 2, 1).reshape(len(x), -1)
    return bus[:, lowered.output]


def assert_equal(graph: Graph, x: Array) -> None:
    """Every way to lower the network computes it to 1e-12 of its largest value."""
    wanted = graph.forward(x)
    for unrolled in BOTH:
        for fold in BOTH:
            found = compute(lower(graph, unrolled=unrolled, fold=fold), x)
            assert found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12 * max(1.0, np.abs(wanted).max()))


def chain(shape: tuple[int, ...], *ops: Op) -> Graph:
    """One operation after another."""
    nodes = [Node("x", Input(shape))]
    for number, op in enumerate(ops):
        nodes.append(Node(f"n{number}", op, (nodes[-1].name,)))
    return Graph(tuple(nodes), (nodes[-1].name,))


def web(shape: tuple[int, ...], **layers: tuple[Op, Sequence[str]]) -> Graph:
    """Operations by name, each with the names of what it reads; the last is the output."""
    nodes = (Node("x", Input(shape)), *(Node(name, op, tuple(inputs)) for name, (op, inputs) in layers.items()))
    return Graph(nodes, (nodes[-1].name,))


def conv(channels: int, outputs: int, size: int = 3, seed: int = 0, **options: Any) -> Conv:
    rng = np.random.default_rng(seed)
    groups = options.get("groups", 1)
    return Conv(rng.normal(size=(outputs, channels // groups, size, size)), rng.normal(size=outputs), **options)


def norm(channels: int, seed: int = 3) -> BatchNorm:
    rng = np.random.default_rng(seed)
    scale, shift, mean = rng.normal(size=(3, channels))
    return BatchNorm(scale, shift, mean, rng.uniform(0.5, 2.0, channels), 1e-5)


def dense(inputs: int, outputs: int) -> Linear:
    rng = np.random.default_rng(5)
    return Linear(rng.normal(size=(outputs, inputs)), rng.normal(size=outputs))


def pictures(graph: Graph) -> Array:
    return np.random.default_rng(9).normal(size=(3, *graph.input_shape))


SHAPE = (4, 6, 5)
ACTIVATIONS: dict[str, Op] = {
    "relu": Relu(),
    "tanh": Tanh(),
    "sigmoid": Sigmoid(),
    "relu6": Clip(0.0, 6.0),
    "clip": Clip(-0.5, 0.75),
    "leaky relu": LeakyRelu(0.1),
    "hard sigmoid": HardSigmoid(0.2, 0.4),
    "hard swish": HardSwish(),
}
OPS: dict[str, Graph] = {
    "convolution": chain(SHAPE, conv(4, 3)),
    "stride": chain(SHAPE, conv(4, 3, stride=(2, 1))),
    "padding": chain(SHAPE, conv(4, 3, padding=(1, 2, 0, 1))),
    "dilation": chain(SHAPE, conv(4, 3, dilation=(2, 1), padding=(1, 1, 1, 1))),
    "groups": chain(SHAPE, conv(4, 6, groups=2, padding=(1, 1, 1, 1))),
    "depthwise": chain(SHAPE, conv(4, 4, groups=4, padding=(1, 1, 1, 1), stride=(2, 2))),
    "depthwise with a multiplier": chain(SHAPE, conv(4, 8, groups=4)),
    "a kernel as large as the picture": chain(SHAPE, Conv(np.ones((2, 4, 6, 5)), np.ones(2))),
    "norm of a convolution": chain(SHAPE, conv(4, 3), norm(3), Relu()),
    "norm of a dense layer": chain((4,), dense(4, 6), norm(6), Tanh()),
    "norm alone": chain(SHAPE, norm(4), Relu()),
    "norm of a reshaped picture": chain(SHAPE, conv(4, 4), Reshape((2, 8, 3)), norm(2)),
    "norm of flat pictures": chain(SHAPE, conv(4, 2), Flatten(), norm(24)),
    "two norms": chain(SHAPE, conv(4, 3), norm(3), norm(3, seed=4)),
    "norm behind an activation": chain(SHAPE, conv(4, 3), Relu(), norm(3)),
    "average": chain(SHAPE, AveragePool((2, 2), (2, 2))),
    "overlapping average": chain(SHAPE, AveragePool((3, 2), (1, 2), (1, 0, 1, 1), count_include_pad=True)),
    "average of everything": chain(SHAPE, GlobalAveragePool()),
    "average of everything, flat": chain(SHAPE, GlobalAveragePool(keepdims=False), dense(4, 2)),
    "maximum": chain(SHAPE, MaxPool((2, 2), (2, 2))),
    "padded maximum": chain(SHAPE, MaxPool((3, 3), (2, 2), (1, 1, 1, 1))),
    "maximum of one pixel": chain(SHAPE, conv(4, 3), MaxPool((1, 1), (2, 1)), conv(3, 2, 2)),
    "maximum that sees zeros of a padding": chain(SHAPE, Pad((0, 1, 2), (0, 0, 1)), MaxPool((2, 2), (2, 2))),
    "zeros around a picture": chain(SHAPE, Pad((1, 0, 2), (1, 1, 0)), conv(6, 3)),
    "activation of padding": chain(SHAPE, Pad((1, 0, 2), (1, 1, 0)), Sigmoid()),
    "slice": chain(SHAPE, conv(4, 4), Slice((1, 0, 1), (4, 4, 3), (2, 3, 1)), conv(2, 2, 1)),
    "dense layers": chain(SHAPE, Flatten(), dense(120, 5), Identity(), Relu(), dense(5, 3)),
    "residual": web(
        SHAPE, a=(conv(4, 4, padding=(1, 1, 1, 1)), "x"), b=(Relu(), "a"),
        c=(conv(4, 4, seed=1, padding=(1, 1, 1, 1)), "b"), d=(norm(4), "c"), e=(Add(), "dx"), f=(Relu(), "e"),
    ),
    "residual with a shortcut of option A": web(
        SHAPE, a=(conv(4, 8, stride=(2, 2), padding=(1, 1, 1, 1)), "x"),
        b=(Slice((0, 0, 0), SHAPE, (1, 2, 2)), "x"), c=(Pad((2, 0, 0), (2, 0, 0)), "b"),
        d=(Add(), "ac"), e=(Relu(), "d"),
    ),
    "a value added to itself": web(SHAPE, a=(conv(4, 2), "x"), b=(Add(), "aa")),
    "sum of vectors": web((4,), a=(dense(4, 4), "x"), b=(Add(), "ax"), c=(LeakyRelu(0.2), "b")),
    "gate": web(
        SHAPE, a=(conv(4, 4), "x"), b=(GlobalAveragePool(), "a"), c=(conv(4, 4, 1), "b"), d=(HardSigmoid(), "c"),
        e=(Mul(), "ad"),
    ),
    "square": web(SHAPE, a=(Mul(), "xx")),
    "product with padding": web(SHAPE, a=(Slice((0, 1, 0), SHAPE, (1, 1, 1)), "x"), b=(Pad((0, 1, 0), (0, 0, 0)), "a"),
        c=(Mul(), "bx"),
    ),
    "concatenation": web(
        SHAPE, a=(conv(4, 2), "x"), b=(conv(4, 3, seed=1), "x"), c=(Concat(), "ab"), d=(Tanh(), "c"),
    ),
    "one value twice": web(SHAPE, a=(Concat(), "xx"), b=(conv(8, 2), "a")),
    "an activation whose input is read too": web(SHAPE, a=(conv(4, 3), "x"), b=(Relu(), "a"), c=(Add(), "ab")),
    "an activation whose input is read under another name": web(
        SHAPE, a=(conv(4, 3), "x"), b=(Identity(), "a"), c=(Identity(), "b"), d=(Relu(), "c"), e=(Add(), "bd"),
    ),
    "a norm whose input is read under another name": web(
        SHAPE, a=(conv(4, 3), "x"), b=(Identity(), "a"), c=(Identity(), "b"), d=(norm(3), "c"), e=(Add(), "bd"),
    ),
    "activation of an activation": chain(SHAPE, conv(4, 3), Relu(), Tanh()),
    "activation of the input": chain(SHAPE, HardSigmoid()),
}  # fmt: skip


@pytest.mark.parametrize("graph", OPS.values(), ids=OPS)
def test_layers_compute_each_operation(graph: Graph) -> None:
    assert_equal(graph, pictures(graph))


@pytest.mark.parametrize("op", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_layers_compute_each_activation(op: Op) -> None:
    for graph in (chain(SHAPE, conv(4, 3), norm(3), op), chain((4,), dense(4, 3), op), chain(SHAPE, op)):
        assert_equal(graph, 3.0 * pictures(graph))


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Graph, Array]:
    """A convolution of any kind with a norm or an activation behind it, and pictures for it."""
    groups, inside, each = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    weight = rng.normal(size=(groups * each, inside, *draw(pairs)))
    sides = tuple(draw(st.lists(st.integers(0, 2), min_size=4, max_size=4)))
    op = Conv(weight, rng.normal(size=groups * each), draw(pairs), sides, draw(pairs), groups)  # type: ignore[arg-type]
    shape = (groups * inside, draw(st.integers(7, 8)), draw(st.integers(7, 8)))
    behind: list[list[Op]] = [[], [norm(groups * each)], [Relu()], [norm(groups * each), Clip(-1.0, 1.0)]]
    graph = chain(shape, op, *draw(st.sampled_from(behind)))
    assume(np.prod(graph.shapes["n0"]) < 400)
    return graph, rng.normal(size=(2, *shape))


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_layers_compute_convolutions_of_any_stride_padding_dilation_and_groups(drawn: tuple[Graph, Array]) -> None:
    assert_equal(*drawn)


def _frontend_networks() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "drawn_networks", Path(__file__).with_name("test_frontend_networks.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DRAWN = _frontend_networks()
# What circuits cannot do is refused, and has tests of its own below.
REFUSED = "leaves the padding out of its count"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(DRAWN.networks())
def test_layers_compute_random_networks_from_torch(network: tuple[torch.nn.Module, tuple[int, int, int]]) -> None:
    torch.set_num_threads(1)
    module, shape = network
    graph = from_onnx(DRAWN.exported(module, shape))
    partial = any(
        isinstance(n.op, AveragePool) and any(n.op.padding) and not n.op.count_include_pad for n in graph.nodes
    )
    if partial:
        with pytest.raises(ModelError, match=REFUSED):
            lower(graph, unrolled=False, fold=True)
    else:
        assert_equal(graph, pictures(graph))


@pytest.mark.parametrize("unrolled", BOTH)
def test_norms_are_folded_into_the_weights_before_them_or_stages_of_their_own(unrolled: bool) -> None:
    graph = chain(SHAPE, conv(4, 3), norm(3), Relu())
    folded, kept = (lower(graph, unrolled=unrolled, fold=fold).layers for fold in (True, False))
    assert [layer.nodes for layer in folded] == [("n0", "n1", "n2")]
    assert [(layer.nodes, layer.activation) for layer in kept] == [(("n0",), "through"), (("n1", "n2"), "relu")]


def test_moving_values_makes_no_layer() -> None:
    graph = chain(SHAPE, conv(4, 4), Pad((0, 1, 1), (0, 1, 1)), Slice((1, 0, 0), (3, 6, 5), (1, 2, 1)), Flatten(),
                  dense(30, 3), Reshape((3, 1)))  # fmt: skip
    assert [layer.nodes for layer in lower(graph, unrolled=False, fold=True).layers] == [("n0",), ("n4",)]


def test_a_sliding_kernel_has_its_taps_and_an_unrolled_one_only_those_of_each_position() -> None:
    graph = chain((2, 6, 6), conv(2, 3, padding=(1, 1, 1, 1)))
    (sliding,) = lower(graph, unrolled=False, fold=True).layers
    (unrolled,) = lower(graph, unrolled=True, fold=True).layers
    assert (sliding.positions, sliding.outputs, sliding.sums.weights.shape) == (36, 3, (18, 3))
    assert (unrolled.positions, unrolled.outputs) == (1, 108)
    # A device at every tap of every position: 72 pixels of a row each, and the grounded ones of a corner, 5 a channel.
    assert unrolled.sums.weights.shape == (72 + 10, 108)
    assert set(np.diff(unrolled.sums.weights.indptr)) == {18}


def test_a_depthwise_kernel_is_a_block_a_channel() -> None:
    (layer,) = lower(chain((3, 5, 5), conv(3, 3, groups=3)), unrolled=False, fold=True).layers
    assert layer.sums.weights.shape == (27, 3)
    assert layer.sums.weights.nnz == 27


def test_weights_of_zero_are_devices_too() -> None:
    weight = np.zeros((2, 1, 3, 3))
    weight[:, 0, 1, 1] = 1.0
    graph = chain((1, 5, 5), Conv(weight, np.zeros(2)))
    (sliding,) = lower(graph, unrolled=False, fold=True).layers
    (unrolled,) = lower(graph, unrolled=True, fold=True).layers
    assert (sliding.sums.weights.nnz, unrolled.sums.weights.nnz) == (18, 18 * 9)


def test_an_activation_whose_input_others_read_too_is_a_stage_of_its_own() -> None:
    graph = web(SHAPE, a=(conv(4, 3), "x"), b=(Relu(), "a"), c=(Add(), "ab"))
    layers = lower(graph, unrolled=False, fold=True).layers
    assert [(layer.nodes, layer.activation) for layer in layers] == [
        (("a",), "through"), (("b",), "relu"), (("c",), "through"),
    ]  # fmt: skip


def test_softmax_and_what_moves_its_values_stay_on_the_host() -> None:
    lowered = lower(chain((4,), dense(4, 3), Softmax(), Reshape((3, 1))), unrolled=False, fold=True)
    assert lowered.host == ("n1", "n2")
    assert len(lowered.layers) == 1


@dataclass(frozen=True)
class Strange:
    """An operation that no circuit does."""

    arity: ClassVar[int | None] = 1

    def out_shape(self, *inputs: tuple[int, ...]) -> tuple[int, ...]:
        return inputs[0]

    def forward(self, *inputs: Array) -> Array:
        return inputs[0]


REFUSALS: dict[str, tuple[Graph, str]] = {
    "an operation without a circuit": (
        chain(SHAPE, conv(4, 3), Strange()),
        "layer 'n1': expected an operation with a circuit (Add, AveragePool, BatchNorm, Clip, Concat, Conv, Flatten, "
        "GlobalAveragePool, HardSigmoid, HardSwish, Identity, LeakyRelu, Linear, MaxPool, Mul, Pad, Relu, Reshape, "
        "Sigmoid, Slice, Softmax, Tanh), found Strange; replace it in the network",
    ),
    "an average that leaves the padding out": (
        chain(SHAPE, AveragePool((3, 3), (2, 2), (1, 1, 1, 1))),
        "layer 'n0': expected an average over whole windows, found one that leaves the padding out of its count; "
        "set count_include_pad, or pad with zeros in a layer of its own",
    ),
    "an output that several layers make": (
        web(SHAPE, a=(conv(4, 2), "x"), b=(conv(4, 3), "x"), c=(Concat(), "ab")),
        "layer 'c': expected an output that the last layer makes, found values of others in it; "
        "end the network with one layer",
    ),
    "an output with a padding": (
        chain(SHAPE, conv(4, 2), Pad((0, 1, 1), (0, 1, 1))),
        "layer 'n1': expected an output that the last layer makes, found values of others in it; "
        "end the network with one layer",
    ),
    "an output that is not the last layer": (
        Graph((Node("x", Input((4,))), Node("a", dense(4, 2), ("x",)), Node("b", dense(4, 2), ("x",))), ("a",)),
        "graph: expected one output, the last layer 'b', found ('a',)",
    ),
    "no layer": (
        chain(SHAPE, Flatten()), "graph: expected at least one layer with a circuit, found none; give a network",
    ),
    "a layer behind a softmax": (
        chain((4,), dense(4, 3), Softmax(), dense(3, 2)),
        "layer 'n2': expected nothing after Softmax, which stays on the host, found Linear; "
        "remove the Softmax or what follows it",
    ),
    "a concatenation behind a softmax": (
        web((4,), a=(dense(4, 3), "x"), b=(Softmax(), "a"), c=(Concat(), "ba")),
        "layer 'c': expected nothing after Softmax, which stays on the host, found Concat; "
        "remove the Softmax or what follows it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("unrolled", BOTH)
@pytest.mark.parametrize(("graph", "message"), REFUSALS.values(), ids=REFUSALS)
def test_what_has_no_circuit_is_refused_with_its_place(graph: Graph, message: str, unrolled: bool) -> None:
    with pytest.raises(ModelError) as caught:
        lower(graph, unrolled=unrolled, fold=True)
    assert str(caught.value) == message


def test_branches_of_different_shape_are_refused_by_the_graph() -> None:
    with pytest.raises(ModelError) as caught:
        web(SHAPE, a=(conv(4, 4), "x"), b=(Add(), "xa"))
    assert str(caught.value) == (
        "layer 'b': expected two branches of one shape, found (4, 6, 5) and (4, 4, 3); "
        "bring the branches to one shape, for example by a convolution of 1 x 1 pixels"
    )
