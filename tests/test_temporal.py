"""Spiking networks in time: against the equations step by step, against snnTorch, and in words about mistakes."""

from itertools import pairwise
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ohmweave import temporal
from ohmweave.errors import DataError, ModelError
from ohmweave.graph import Flatten, Graph, Input, Linear, Node
from ohmweave.ops import Add, AveragePool, Conv, LeakyIntegrateFire, RecurrentLeakyIntegrateFire
from ohmweave.temporal import decide, run, trace
from ohmweave.units import Array

snn = pytest.importorskip("snntorch", reason="snnTorch is not here")
acc = pytest.importorskip("snntorch.functional.acc", reason="snnTorch is not here")


def lif(shape: tuple[int, ...], beta: float = 0.9) -> LeakyIntegrateFire:
    return LeakyIntegrateFire(np.full(shape, beta), np.ones(shape))


def dense(rng: np.random.Generator, *sizes: int) -> Graph:
    """Dense layers of neurons with a decay of 0.9."""
    nodes = [Node("x", Input(sizes[:1]))]
    for k, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        weight = rng.normal(size=(outputs, inputs)) / np.sqrt(inputs) * 2
        nodes.append(Node(f"fc{k}", Linear(weight, np.zeros(outputs)), (nodes[-1].name,)))
        nodes.append(Node(f"lif{k}", lif((outputs,)), (nodes[-1].name,)))
    return Graph(tuple(nodes), (nodes[-1].name,))


def spike_trains(rng: np.random.Generator, *shape: int) -> Array:
    return (rng.random(shape) < 0.4).astype(np.float64)


def test_a_network_runs_as_its_equations_say() -> None:
    rng = np.random.default_rng(0)
    graph, x = dense(rng, 6, 5, 4), spike_trains(rng, 3, 12, 6)
    w1, w2 = (graph.node(name).op.weight for name in ("fc1", "fc2"))  # type: ignore[attr-defined]
    seen = trace(graph, x)
    for sample in range(3):
        u1, u2 = np.zeros(5), np.zeros(4)
        for step in range(12):
            u1 = 0.9 * u1 + w1 @ x[sample, step]
            s1 = (u1 > 1.0).astype(float)
            u2 = 0.9 * u2 + w2 @ s1
            s2 = (u2 > 1.0).astype(float)
            for name, u, s in (("lif1", u1, s1), ("lif2", u2, s2)):
                np.testing.assert_allclose(seen.membranes[name][sample, step], u, rtol=1e-13, atol=1e-14)
                np.testing.assert_array_equal(seen.values[name][sample, step], s)
            u1, u2 = u1 * (1 - s1), u2 * (1 - s2)
    np.testing.assert_array_equal(run(graph, x), seen.values["lif2"])
    assert set(seen.values) == set(graph.shapes)
    assert set(seen.membranes) == {"lif1", "lif2"}
    assert 0.05 < run(graph, x).mean() < 0.95


def test_a_picture_network_is_that_of_torch() -> None:
    rng = np.random.default_rng(3)
    torch.manual_seed(0)
    words = {"spike_grad": lambda u: (u > 0).to(u.dtype), "reset_mechanism": "zero", "init_hidden": True}
    conv, fc = nn.Conv2d(1, 3, 3, padding=1).double(), nn.Linear(12, 4).double()
    net = nn.Sequential(conv, snn.Leaky(0.5, **words), nn.AvgPool2d(2), nn.Flatten(), fc, snn.Leaky(0.8, **words))
    pool = AveragePool((2, 2), (2, 2))
    weights = [p.detach().numpy() for p in (conv.weight, conv.bias, fc.weight, fc.bias)]
    nodes = (
        Node("x", Input((1, 4, 4))),
        Node("conv", Conv(weights[0] * 4, weights[1], padding=(1, 1, 1, 1)), ("x",)),
        Node("lif1", lif((3, 4, 4), 0.5), ("conv",)),
        Node("pool", pool, ("lif1",)),
        Node("flat", Flatten(), ("pool",)),
        Node("fc", Linear(weights[2] * 4, weights[3]), ("flat",)),
        Node("lif2", lif((4,), 0.8), ("fc",)),
    )
    conv.weight.data *= 4
    fc.weight.data *= 4
    x = spike_trains(rng, 5, 20, 1, 4, 4)
    with torch.no_grad():
        wanted = np.stack([net(torch.from_numpy(x[:, step])).numpy() for step in range(20)], axis=1)
    np.testing.assert_array_equal(run(Graph(nodes, ("lif2",)), x), wanted)
    assert 0.05 < wanted.mean() < 0.95


def test_branches_meet_at_the_same_step() -> None:
    one, two = Linear(np.eye(2), np.zeros(2)), Linear(2 * np.eye(2), np.zeros(2))
    nodes = (
        Node("x", Input((2,))),
        Node("a", one, ("x",)),
        Node("b", two, ("x",)),
        Node("sum", Add(), ("a", "b")),
        Node("lif", LeakyIntegrateFire(np.zeros(2), np.full(2, 2.5)), ("sum",)),
    )
    x = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    assert run(Graph(nodes, ("lif",)), x).tolist() == x.tolist()


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_samples_do_not_see_each_other_nor_steps_what_comes_later(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    base = dense(rng, 4, 6)
    loop = RecurrentLeakyIntegrateFire(np.full(6, 0.5), np.ones(6), rng.normal(size=(6, 6)), np.zeros(6))
    graph = Graph((*base.nodes, Node("loop", loop, ("lif1",))), ("loop",))
    x = spike_trains(rng, 4, 5, 4)
    whole = run(graph, x)
    np.testing.assert_array_equal(np.concatenate([run(graph, x[i : i + 1]) for i in range(4)]), whole)
    np.testing.assert_array_equal(run(graph, x[:, :cut]), whole[:, :cut])


def test_many_samples_are_computed_some_at_a_time_and_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    graph, x = dense(rng, 6, 5, 4), spike_trains(rng, 9, 7, 6)
    whole = trace(graph, x)
    monkeypatch.setattr(temporal, "_MOST_VALUES", 2 * 7 * 6)
    parts = trace(graph, x)
    for name in graph.shapes:
        np.testing.assert_array_equal(parts.values[name], whole.values[name])
    np.testing.assert_array_equal(parts.membranes["lif2"], whole.membranes["lif2"])
    np.testing.assert_array_equal(run(graph, x), whole.values["lif2"])


def test_trains_take_the_inputs_shape() -> None:
    graph = Graph(
        (Node("x", Input((1, 2, 2))), Node("flat", Flatten(), ("x",)), Node("n", lif((4,)), ("flat",))), ("n",)
    )
    x = spike_trains(np.random.default_rng(0), 2, 3, 4)
    np.testing.assert_array_equal(run(graph, x), run(graph, x.reshape(2, 3, 1, 2, 2)))


def test_the_class_is_that_with_most_spikes_and_of_equal_ones_the_first_as_snntorch_takes_it() -> None:
    rng = np.random.default_rng(5)
    spikes = spike_trains(rng, 200, 4, 3)
    y = np.zeros(200, dtype=np.int64)
    counts = spikes.sum(axis=1)
    assert ((counts == counts.max(axis=1, keepdims=True)).sum(axis=1) > 1).any()
    wanted = acc.accuracy_rate(torch.from_numpy(spikes.swapaxes(0, 1)), torch.from_numpy(y))
    assert float((decide(spikes) == y).mean()) == wanted
    assert decide(np.array([[[0, 1, 1], [0, 1, 1]]])).tolist() == [1]


def test_digest_and_files_keep_a_spiking_network() -> None:
    graph = dense(np.random.default_rng(0), 3, 2)
    again = Graph.unpack(*graph.pack())
    assert again.digest() == graph.digest()
    other = Graph(
        (*graph.nodes[:-1], Node("lif1", LeakyIntegrateFire(np.full(2, 0.9), np.ones(2), "none"), ("fc1",))), ("lif1",)
    )
    assert other.digest() != graph.digest()
    assert graph.spiking
    assert not Graph(graph.nodes[:2], ("fc1",)).spiking


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            np.ones((2, 3)),
            "data: expected trains of shape [samples, steps, 3], found (2, 3); "
            "encode the samples as spike trains first",
        ),
        (
            np.ones((2, 5, 4)),
            "data: expected trains of shape [samples, steps, 3], found (2, 5, 4); "
            "encode the samples as spike trains first",
        ),
        (
            np.ones((2, 0, 3)),
            "data: expected trains of shape [samples, steps, 3], found (2, 0, 3); "
            "encode the samples as spike trains first",
        ),
        (
            np.where(np.arange(prod((2, 5, 3))).reshape(2, 5, 3) == 22, np.inf, 0.0),
            "data: expected finite values, found inf at sample 1, step 2, feature 1; clean the data",
        ),
    ],
)
def test_trains_that_do_not_fit_are_refused(x: Array, message: str) -> None:
    with pytest.raises(DataError) as caught:
        run(dense(np.random.default_rng(0), 3, 2), x)
    assert str(caught.value) == message


def test_a_network_with_memory_has_no_forward_pass_of_single_samples() -> None:
    with pytest.raises(ModelError) as caught:
        dense(np.random.default_rng(0), 3, 2).forward(np.ones((2, 3)))
    assert str(caught.value) == (
        "graph: expected a network without memory, found spiking neurons; "
        "run it on spike trains with ohmweave.temporal.run"
    )
