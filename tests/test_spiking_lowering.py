"""Spiking networks become populations: one matrix for all that is linear between two layers of neurons."""

import numpy as np
import pytest

from ohmweave.errors import ModelError
from ohmweave.graph import Flatten, Graph, Input, Linear, Node, Op, Relu
from ohmweave.ops import (
    Add,
    AveragePool,
    BatchNorm,
    Conv,
    LeakyIntegrateFire,
    MaxPool,
    RecurrentLeakyIntegrateFire,
    SynapticIntegrateFire,
)
from ohmweave.spiking import lowering
from ohmweave.spiking.lowering import populations
from ohmweave.temporal import trace


def neurons(*shape: int, seed: int = 0, reset: str = "zero", delay: bool = False) -> LeakyIntegrateFire:
    """Decays and thresholds of each neuron's own."""
    rng = np.random.default_rng(seed)
    return LeakyIntegrateFire(rng.uniform(0.1, 1.0, shape), rng.uniform(0.5, 3.0, shape), reset, delay)


def chain(*ops: Op) -> Graph:
    """Operations one after the other, named n0, n1, ..."""
    nodes = [Node(f"n{k}", op, (f"n{k - 1}",) if k else ()) for k, op in enumerate(ops)]
    return Graph(tuple(nodes), (nodes[-1].name,))


def picture_network() -> Graph:
    rng = np.random.default_rng(1)
    norm = BatchNorm(*(rng.uniform(0.5, 1.5, 3) for _ in range(4)), 1e-5)
    weight = rng.normal(size=(3, 2, 3, 3))
    weight[0, 0, 1, 1] = 0.0
    return chain(
        Input((2, 4, 4)),
        Conv(weight, rng.normal(size=3), padding=(1, 1, 1, 1)),
        norm,
        neurons(3, 4, 4),
        AveragePool((2, 2), (2, 2)),
        Flatten(),
        Linear(rng.normal(size=(5, 12)), rng.normal(size=5)),
        neurons(5, seed=2, reset="subtract", delay=True),
    )


def test_a_populations_matrix_is_what_is_linear_before_it() -> None:
    graph = picture_network()
    x = (np.random.default_rng(0).random((2, 6, 2, 4, 4)) < 0.5).astype(np.float64)
    first, second = populations(graph)
    seen = trace(graph, x)
    for population, read, driven in ((first, x, "n2"), (second, seen.values["n3"], "n6")):
        spikes = read.reshape(12, -1)
        op = graph.node(population.name).op
        wanted = seen.values[driven].reshape(12, -1) / op.threshold.ravel()  # type: ignore[attr-defined]
        np.testing.assert_allclose(spikes @ population.weight + population.bias, wanted, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(population.beta, op.beta.ravel())  # type: ignore[attr-defined]
    assert (first.name, first.layers, first.source, first.shape) == ("n3", ("n1", "n2", "n3"), -1, (3, 4, 4))
    assert (second.name, second.layers, second.source) == ("n7", ("n4", "n5", "n6", "n7"), 0)
    assert (first.reset, first.delay, second.reset, second.delay) == ("zero", False, "subtract", True)
    assert first.recurrent is None
    assert second.recurrent is None


def test_synapses_are_where_the_kernel_reaches_and_nowhere_else() -> None:
    first, second = populations(picture_network())
    # 4 + 8 + 4 pixels of a 4 x 4 picture see 4, 6 or 9 others of each of 2 channels; one weight of the kernel is zero
    # and a synapse all the same.
    assert first.weight.nnz == 3 * 2 * (4 * 4 + 8 * 6 + 4 * 9)
    assert np.count_nonzero(first.weight.data) == first.weight.nnz - 16
    # Pooling is part of the matrix: each of 12 means has 4 pixels, 5 neurons each.
    assert second.weight.nnz == 48 * 5


def test_a_guarded_reset_is_subtraction() -> None:
    graph = chain(Input((3,)), Linear(np.ones((2, 3)), np.zeros(2)), neurons(2, reset="guarded"))
    (population,) = populations(graph)
    assert (population.reset, population.delay) == ("subtract", False)


@pytest.mark.parametrize("own", ["pairs", "one a neuron"])
def test_recurrent_weights_are_in_thresholds_from_and_to(own: str) -> None:
    rng = np.random.default_rng(3)
    v = rng.normal(size=(4, 4)) if own == "pairs" else rng.normal(size=4)
    threshold, extra, bias = rng.uniform(0.5, 2.0, 4), rng.normal(size=4), rng.normal(size=4)
    op = RecurrentLeakyIntegrateFire(np.full(4, 0.9), threshold, v, extra)
    (population,) = populations(chain(Input((3,)), Linear(rng.normal(size=(4, 3)), bias), op))
    assert population.recurrent is not None
    full = v if own == "pairs" else np.diag(v)
    np.testing.assert_allclose(population.recurrent.toarray(), full.T / threshold, rtol=1e-14)
    assert population.recurrent.nnz == (16 if own == "pairs" else 4)
    np.testing.assert_allclose(population.bias, (bias + extra) / threshold, rtol=1e-14)


def test_two_paths_of_the_same_spikes_add_up() -> None:
    rng = np.random.default_rng(4)
    one, two = rng.normal(size=(2, 3, 4))
    nodes = (
        Node("x", Input((4,))),
        Node("a", Linear(one, np.ones(3)), ("x",)),
        Node("b", Linear(two, np.ones(3)), ("x",)),
        Node("sum", Add(), ("a", "b")),
        Node("lif", LeakyIntegrateFire(np.full(3, 0.9), np.ones(3)), ("sum",)),
    )
    (population,) = populations(Graph(nodes, ("lif",)))
    np.testing.assert_allclose(population.weight.toarray(), (one + two).T, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(population.bias, 2.0, rtol=1e-14)


def test_a_mean_may_leave_its_padding_out() -> None:
    mean = AveragePool((2, 2), (2, 2), padding=(1, 1, 1, 1), count_include_pad=False)
    graph = chain(Input((1, 4, 4)), mean, LeakyIntegrateFire(np.full((1, 3, 3), 0.9), np.ones((1, 3, 3))))
    (population,) = populations(graph)
    x = np.random.default_rng(5).random((4, 1, 4, 4))
    np.testing.assert_allclose(x.reshape(4, -1) @ population.weight, mean.forward(x).reshape(4, -1), rtol=1e-12)
    assert population.weight.nnz == 16


def test_paths_that_cancel_are_a_synapse_all_the_same() -> None:
    one = np.array([[1.0, 2.0], [0.5, -1.0]])
    nodes = (
        Node("x", Input((2,))),
        Node("a", Linear(one, np.zeros(2)), ("x",)),
        Node("b", Linear(-one, np.zeros(2)), ("x",)),
        Node("sum", Add(), ("a", "b")),
        Node("c", Linear(np.ones((1, 2)), np.zeros(1)), ("sum",)),
        Node("lif", LeakyIntegrateFire(np.full(1, 0.9), np.ones(1)), ("c",)),
    )
    (population,) = populations(Graph(nodes, ("lif",)))
    assert (population.weight.nnz, np.count_nonzero(population.weight.data)) == (2, 0)


def test_a_large_convolution_takes_no_more_than_its_synapses() -> None:
    """A dense matrix of this layer would have half a billion entries."""
    graph = chain(
        Input((2, 128, 128)),
        Conv(np.ones((4, 2, 3, 3)), np.zeros(4), stride=(1, 1), padding=(1, 1, 1, 1)),
        AveragePool((2, 2), (2, 2)),
        LeakyIntegrateFire(np.full((4, 64, 64), 0.9), np.ones((4, 64, 64))),
    )
    (population,) = populations(graph)
    # A mean of 2 x 2 pixels sees 4 x 4 of each of 2 channels, fewer at the edges; its weights add up to the kernel's.
    assert population.weight.nnz == 4 * 2 * (62 * 62 * 16 + 4 * 62 * 12 + 4 * 9)
    assert population.weight.sum(axis=0).max() == pytest.approx(18.0)


def _two_sources() -> Graph:
    nodes = (
        Node("x", Input((2,))),
        Node("l1", neurons(2), ("x",)),
        Node("l2", neurons(2), ("l1",)),
        Node("sum", Add(), ("l1", "l2")),
        Node("l3", neurons(2), ("sum",)),
    )
    return Graph(nodes, ("l3",))


ONE = np.ones((2, 2))
REFUSED = {
    "no neurons": (
        chain(Input((2,)), Linear(ONE, np.zeros(2))),
        "graph: expected a spiking network, found one without neurons",
    ),
    "linear end": (
        chain(Input((2,)), neurons(2), Linear(ONE, np.zeros(2))),
        "layer 'n2': expected the last layer's spikes to be the network's output, found Linear; "
        "end the network with its last layer of neurons",
    ),
    "currents": (
        chain(Input((2,)), SynapticIntegrateFire(np.full(2, 0.5), np.full(2, 0.9), np.ones(2))),
        "layer 'n1': expected neurons with one state, the membrane, found SynapticIntegrateFire; "
        "the circuits have no synaptic currents of their own: train with leaky neurons",
    ),
    "activation": (
        chain(Input((2,)), Linear(ONE, np.zeros(2)), Relu(), neurons(2)),
        "layer 'n2': expected linear operations between layers of neurons, found Relu; "
        "take it out: neurons are the only nonlinear part of the circuit",
    ),
    "maximum": (
        chain(Input((1, 2, 2)), MaxPool((2, 2), (2, 2)), neurons(1, 1, 1)),
        "layer 'n1': expected linear operations between layers of neurons, found MaxPool; "
        "a maximum of spikes is no current: use average pooling, or a convolution with a stride",
    ),
    "two sources": (
        _two_sources(),
        "layer 'l3': expected spikes of one layer, found those of 'l1', 'l2'; "
        "each layer answers one step after the one before it: spikes of several would come in other steps",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_chip_computes_is_refused(name: str) -> None:
    graph, message = REFUSED[name]
    with pytest.raises(ModelError) as refused:
        populations(graph)
    assert str(refused.value) == message


def test_a_layer_beyond_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering, "_MOST_SYNAPSES", 5)
    with pytest.raises(ModelError) as refused:
        populations(chain(Input((3,)), Linear(np.ones((2, 3)), np.zeros(2)), neurons(2)))
    assert str(refused.value) == ("layer 'n1': expected at most 5 synapses, found 6; make the layer smaller")
