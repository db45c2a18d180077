"""The graph: its arithmetic by hand, its files, its digest and its words about mistakes."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ohmweave.errors import DataError, ModelError
from ohmweave.graph import (
    Flatten,
    Graph,
    Identity,
    Input,
    Linear,
    Node,
    Op,
    Relu,
    Reshape,
    Sigmoid,
    Softmax,
    Tanh,
)
from ohmweave.ops import OPS, Add, Concat, Conv, LeakyRelu, Mul
from ohmweave.units import Array

WEIGHT = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, -1.0]])
BIAS = np.array([0.25, -0.5])


def chain(*ops: Op, shape: tuple[int, ...] = (3,)) -> Graph:
    """Input, then the operations one after another, named n1, n2, ..."""
    nodes = [Node("x", Input(shape))]
    for index, op in enumerate(ops, start=1):
        nodes.append(Node(f"n{index}", op, (nodes[-1].name,)))
    return Graph(tuple(nodes), (nodes[-1].name,))


def test_a_linear_layer_by_hand() -> None:
    # x = (1, 2, 4): 1 - 4 + 2 + 0.25 = -0.75 and 2 - 4 - 0.5 = -2.5
    assert chain(Linear(WEIGHT, BIAS)).forward(np.array([[1.0, 2.0, 4.0]])).tolist() == [[-0.75, -2.5]]


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (Relu(), [0.0, 0.0, 2.0]),
        (Tanh(), [np.tanh(-1.0), 0.0, np.tanh(2.0)]),
        (Sigmoid(), [1 / (1 + np.e), 0.5, 1 / (1 + np.exp(-2.0))]),
        (Identity(), [-1.0, 0.0, 2.0]),
        (Softmax(), list(np.exp([-1.0, 0.0, 2.0]) / np.exp([-1.0, 0.0, 2.0]).sum())),
    ],
)
def test_elementwise_operations_and_softmax(op: Op, expected: list[float]) -> None:
    result = chain(op).forward(np.array([[-1.0, 0.0, 2.0]]))
    np.testing.assert_allclose(result, [expected], rtol=1e-15)


def test_sigmoid_and_softmax_do_not_overflow() -> None:
    extreme = np.array([[-1e4, 0.0, 1e4]])
    assert chain(Sigmoid()).forward(extreme).tolist() == [[0.0, 0.5, 1.0]]
    assert chain(Softmax()).forward(extreme).tolist() == [[0.0, 0.0, 1.0]]


def test_shapes_follow_the_operations() -> None:
    graph = chain(Reshape((3, 4)), Flatten(), Linear(np.ones((2, 12)), np.zeros(2)), shape=(2, 6))
    assert dict(graph.shapes) == {"x": (2, 6), "n1": (3, 4), "n2": (12,), "n3": (2,)}
    assert graph.input_shape == (2, 6)


def test_samples_of_any_shape_with_as_many_values_fit() -> None:
    graph = chain(Flatten(), shape=(2, 2))
    np.testing.assert_array_equal(graph.forward(np.arange(8.0).reshape(2, 4)), np.arange(8.0).reshape(2, 4))


def test_a_trace_holds_the_value_of_every_node() -> None:
    trace = chain(Linear(WEIGHT, BIAS), Relu()).trace(np.array([[2.0, 0.0, 0.0]]))
    assert {name: value.tolist() for name, value in trace.items()} == {
        "x": [[2.0, 0.0, 0.0]],
        "n1": [[2.25, -0.5]],
        "n2": [[2.25, 0.0]],
    }


def test_one_node_may_feed_two() -> None:
    nodes = (Node("x", Input((3,))), Node("a", Relu(), ("x",)), Node("b", Tanh(), ("x",)))
    graph = Graph(nodes, ("b", "a"))
    np.testing.assert_array_equal(graph.forward(np.ones((1, 3))), np.tanh(np.ones((1, 3))))
    assert graph.node("a").op == Relu()


def residual() -> Graph:
    """y = relu(x) + x, and what three readers of one sum make of it."""
    nodes = (
        Node("x", Input((3,))),
        Node("r", Relu(), ("x",)),
        Node("sum", Add(), ("r", "x")),
        Node("square", Mul(), ("sum", "sum")),
        Node("unread", Tanh(), ("sum",)),
        Node("joined", Concat(), ("sum", "square", "x")),
    )
    return Graph(nodes, ("joined", "sum"))


def test_branches_part_and_meet_again() -> None:
    graph = residual()
    # x = (-1, 2, 3): relu(x) + x = (-1, 4, 6)
    assert graph.forward(np.array([[-1.0, 2.0, 3.0]])).tolist() == [[-1, 4, 6, 1, 16, 36, -1, 2, 3]]
    assert graph.trace(np.array([[-1.0, 2.0, 3.0]]))["sum"].tolist() == [[-1, 4, 6]]
    assert graph.shapes["joined"] == (9,)


def test_samples_computed_a_few_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, x = residual(), np.arange(33.0).reshape(11, 3) - 15
    whole = graph.forward(x)
    # The largest layer has nine values: two samples at a time.
    monkeypatch.setattr("ohmweave.graph._MOST_VALUES", 19)
    np.testing.assert_array_equal(graph.forward(x), whole)
    np.testing.assert_array_equal(graph.trace(x)["joined"], whole)


finite = st.floats(-1e6, 1e6)


@given(arrays(np.float64, (2, 3), elements=finite), arrays(np.float64, (2,), elements=finite))
def test_packing_and_unpacking_keeps_everything(weight: Array, bias: Array) -> None:
    graph = chain(Reshape((3,)), Linear(weight, bias), Softmax(), shape=(1, 3))
    structure, values = graph.pack()
    again = Graph.unpack(json.loads(json.dumps(structure)), values)
    assert again.digest() == graph.digest()
    assert again.shapes == graph.shapes
    np.testing.assert_array_equal(again.forward(np.ones((4, 3))), graph.forward(np.ones((4, 3))))


@given(st.integers(0, 1), st.integers(0, 2))
def test_the_digest_changes_with_one_weight(row: int, column: int) -> None:
    other = WEIGHT.copy()
    other[row, column] = np.nextafter(other[row, column], np.inf)
    assert chain(Linear(WEIGHT, BIAS)).digest() == chain(Linear(WEIGHT.copy(), BIAS)).digest()
    assert chain(Linear(WEIGHT, BIAS)).digest() != chain(Linear(other, BIAS)).digest()


def test_the_digest_changes_with_the_structure() -> None:
    digests = {
        chain(op).digest() for op in (Relu(), Tanh(), Sigmoid(), Identity(), Softmax(), Flatten(), Reshape((3,)))
    }
    assert len(digests) == 7


def with_bad_weight() -> Graph:
    weight = WEIGHT.copy()
    weight[0, 2] = weight[1, 1] = np.nan
    return chain(Linear(weight, BIAS))


def with_bad_bias() -> Graph:
    return chain(Linear(WEIGHT, np.array([0.0, -np.inf])))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            with_bad_weight,
            "layer 'n1': expected finite values, found nan in weight[0, 2] (2 in all); "
            "train or export the network again",
        ),
        (
            with_bad_bias,
            "layer 'n1': expected finite values, found -inf in bias[1] (1 in all); train or export the network again",
        ),
        (lambda: chain(Linear(WEIGHT, BIAS), shape=(4,)), "layer 'n1': expected an input of shape (3,), found (4,)"),
        (lambda: chain(Reshape((2, 2))), "layer 'n1': expected an input with 4 values, found shape (3,)"),
        (lambda: Graph((), ()), "graph: expected the network to begin with its input"),
        (
            lambda: Graph((Node("x", Input((3,))), Node("x", Relu(), ("x",))), ("x",)),
            "layer 'x': this name is used twice; give each layer its own name",
        ),
        (
            lambda: Graph((Node("x", Input((3,))), Node("a", Relu(), ("b",))), ("a",)),
            "layer 'a': reads 'b', which no earlier layer makes",
        ),
        (lambda: Graph((Node("x", Input((3,))),), ("y",)), "graph: output 'y' is made by no layer"),
        (
            lambda: Graph((Node("x", Input((3,))), Node("a", Add(), ("x", "b")), Node("b", Relu(), ("a",))), ("b",)),
            "layer 'a': reads 'b', which no earlier layer makes",
        ),
        (
            lambda: Graph((Node("x", Input((3,))), Node("a", Relu(), ("a",))), ("a",)),
            "layer 'a': reads 'a', which no earlier layer makes",
        ),
        (
            lambda: Graph((Node("x", Input((3,))), Node("z", Input((3,)))), ("z",)),
            "layer 'z': expected one input of the network, found a second; mend the graph",
        ),
        (
            lambda: Graph((Node("x", Input((3,)), ("x",)),), ("x",)),
            "layer 'x': expected no input, found 1; mend the graph",
        ),
        (
            lambda: Graph((Node("x", Input((3,))), Node("a", Relu(), ("x", "x"))), ("a",)),
            "layer 'a': expected one input, found 2; mend the graph",
        ),
        (lambda: chain(Mul()), "layer 'n1': expected two inputs, found 1; mend the graph"),
        (
            lambda: Graph((Node("x", Input((3,))), Node("a", Concat())), ("a",)),
            "layer 'a': expected one input or more, found 0; mend the graph",
        ),
        (
            lambda: chain(LeakyRelu(float("nan"))),
            "layer 'n1': expected finite values, found nan in slope; train or export the network again",
        ),
        (
            lambda: chain(Conv(np.full((1, 1, 2, 1), np.inf), np.zeros(1)), shape=(1, 2, 2)),
            (
                "layer 'n1': expected finite values, found inf in weight[0, 0, 0, 0] (2 in all); "
                "train or export the network again"
            ),
        ),
    ],
)
def test_a_graph_that_cannot_be_is_refused_by_the_layers_name(build: Callable[[], Graph], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        build()
    assert str(caught.value) == message


def test_an_unknown_operation_in_a_packed_graph_is_refused() -> None:
    structure = {"nodes": [{"name": "x", "op": "Gru", "inputs": [], "attributes": {}}], "outputs": ["x"]}
    with pytest.raises(ModelError) as caught:
        Graph.unpack(structure, {})
    assert str(caught.value) == f"x: expected one of {', '.join(OPS)}, found op 'Gru'"


def not_finite() -> Array:
    x = np.zeros((4, 3))
    x[2, 1] = np.nan
    return x


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            np.ones((5, 4)),
            "data: expected samples of shape (3,) (3 values), found (4,); give data that fits the network's input",
        ),
        (
            np.ones(3),
            "data: expected samples of shape (3,) (3 values), found (); give data that fits the network's input",
        ),
        (not_finite(), "data: expected finite values, found nan at sample 2, feature 1; clean the data"),
    ],
)
def test_data_that_does_not_fit_is_refused(x: Array, message: str) -> None:
    with pytest.raises(DataError) as caught:
        chain(Relu()).forward(x)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2
