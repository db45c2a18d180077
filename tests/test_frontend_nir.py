"""NIR files: there and back, by other tools' conventions, and what becomes of broken or hostile ones."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.errors import AssumptionWarning, ModelError
from ohmweave.frontend import from_nir, load_model, read_nir, write_nir
from ohmweave.frontend.nir import _Reader
from ohmweave.frontend.nir_process import HdfReader
from ohmweave.frontend.nir_structure import parse
from ohmweave.graph import Flatten, Graph, Input, Linear, Node, Relu
from ohmweave.ops import (
    Add,
    AveragePool,
    Conv,
    LeakyIntegrateFire,
    RecurrentLeakyIntegrateFire,
    RecurrentSynapticIntegrateFire,
    Stateful,
    SynapticIntegrateFire,
)
from ohmweave.temporal import run
from ohmweave.units import Array

h5py = pytest.importorskip("h5py", reason="h5py is not here")
nir = pytest.importorskip("nir", reason="nir is not here")

RNG = np.random.default_rng(4)
DT = 1e-4


@pytest.fixture(scope="module")
def reader() -> Iterator[HdfReader]:
    with HdfReader() as reader:
        yield reader


def spike_trains(*shape: int, seed: int = 0) -> Array:
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.float64)


def wide(*shape: int) -> Array:
    """Weights that make neurons with a threshold of 1 fire now and then."""
    return np.random.default_rng(shape).normal(size=shape) * 2 / np.sqrt(np.prod(shape[1:]))


def chain(*ops: Any, shape: tuple[int, ...] = (6,)) -> Graph:
    nodes = [Node("x", Input(shape))]
    for k, op in enumerate(ops):
        nodes.append(Node(f"n{k}", op, (nodes[-1].name,)))
    return Graph(tuple(nodes), (nodes[-1].name,))


def lif(*shape: int, reset: str = "zero", delay: bool = False) -> LeakyIntegrateFire:
    return LeakyIntegrateFire(np.full(shape, 0.9), np.ones(shape), reset, delay)


BETA, ONE = np.linspace(0.0, 0.9, 5), np.ones(5)
BOTH = Graph(
    (
        Node("x", Input((6,))),
        Node("a", Linear(wide(5, 6), np.zeros(5)), ("x",)),
        Node("b", Linear(wide(5, 6) / 2, ONE / 8), ("x",)),
        Node("sum", Add(), ("a", "b")),
        Node("lif", lif(5), ("sum",)),
    ),
    ("lif",),
)
PICTURE = chain(
    Conv(wide(4, 1, 3, 2), wide(4), (2, 1), (1, 0, 1, 0), (1, 2)),
    lif(4, 4, 5, reset="subtract", delay=True),
    Conv(wide(4, 1, 3, 3) * 2, np.zeros(4), padding=(1, 1, 1, 1), groups=4),
    lif(4, 4, 5, reset="subtract", delay=True),
    AveragePool((2, 2), (2, 1), (1, 0, 1, 0), count_include_pad=True),
    Flatten(),
    Linear(wide(3, 48) * 9, np.full(3, 0.5)),
    lif(3, reset="subtract", delay=True),
    shape=(1, 7, 7),
)
NETWORKS: Mapping[str, Graph] = {
    "dense": chain(Linear(wide(5, 6), np.zeros(5)), lif(5), Linear(wide(3, 5), wide(3) / 9), lif(3)),
    "no leak": chain(Linear(wide(5, 6), np.zeros(5)), LeakyIntegrateFire(ONE, ONE * 2, "subtract")),
    "synaptic": chain(
        Linear(wide(5, 6), np.zeros(5)), SynapticIntegrateFire(BETA[::-1], BETA, ONE, "hold", delay=True)
    ),
    "recurrent": chain(
        Linear(wide(5, 6), ONE / 9), RecurrentLeakyIntegrateFire(BETA, ONE, wide(5, 5), ONE / 9, "guarded")
    ),
    "one to one": chain(RecurrentLeakyIntegrateFire(BETA, ONE / 2, wide(5), 0 * ONE), shape=(5,)),
    "recurrent synaptic": chain(RecurrentSynapticIntegrateFire(BETA, BETA, ONE, wide(5, 5), 0 * ONE), shape=(5,)),
    "several resets": chain(
        lif(6, reset="none"), Linear(wide(5, 6), np.zeros(5)), lif(5, reset="subtract", delay=True)
    ),
    "sum": BOTH,
    "picture": PICTURE,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_comes_back_from_its_file(name: str, tmp_path: Path, reader: HdfReader) -> None:
    graph = NETWORKS[name]
    model = read_nir(write_nir(graph, tmp_path / "net.nir"), reader=reader)
    x = spike_trains(40, 30, *graph.input_shape)
    spikes = run(graph, x)
    np.testing.assert_array_equal(run(model.graph, x), spikes)
    assert 0.002 < spikes.mean() < 0.99
    assert model.remarks == ()
    kinds = [(node.name, type(node.op)) for node in graph.nodes if isinstance(node.op, Stateful)]
    assert [(node.name, type(node.op)) for node in model.graph.nodes if isinstance(node.op, Stateful)] == kinds
    for node in graph.nodes:
        if isinstance(node.op, Stateful):
            again = model.graph.node(node.name).op
            assert (again.reset, again.delay) == (node.op.reset, node.op.delay)  # type: ignore[attr-defined]


def test_what_is_written_satisfies_nirs_own_reader(tmp_path: Path) -> None:
    graph = nir.read(write_nir(NETWORKS["dense"], tmp_path / "net.nir", dt=1e-3))
    assert [type(node).__name__ for node in graph.nodes.values()] == [
        "Linear",
        "LIF",
        "Affine",
        "LIF",
        "Output",
        "Input",
    ]
    assert graph.metadata == {"dt": 1e-3, "reset": b"zero", "reset_delay": False} or graph.metadata["reset"] == "zero"
    np.testing.assert_allclose(graph.nodes["n1"].tau, 1e-2)
    assert type(nir.read(write_nir(NETWORKS["recurrent"], tmp_path / "loop.nir"))).__name__ == "NIRGraph"


def test_load_model_takes_a_file(tmp_path: Path) -> None:
    graph = NETWORKS["dense"]
    path = write_nir(graph, tmp_path / "net.nir")
    x = spike_trains(5, 9, 6)
    np.testing.assert_array_equal(run(load_model(str(path)), x), run(graph, x))
    with pytest.raises(ModelError) as caught:
        load_model(str(path), Path("w.safetensors"))
    assert str(caught.value) == (
        f"{path}: expected no further weights, since the NIR file brings its own, found 'w.safetensors'; "
        "leave the weights out"
    )


def write(path: Path, nodes: dict[str, Any], edges: list[tuple[str, str]] | None = None, **metadata: Any) -> Path:
    """A file as another tool writes it; edges along the nodes if none are given."""
    names = list(nodes)
    given_edges = list(pairwise(names)) if edges is None else edges
    nir.write(path, nir.NIRGraph(nodes, given_edges, metadata=metadata, type_check=False))
    return path


def ends(first: int, last: int) -> tuple[Any, Any]:
    return nir.Input({"input": np.array([first])}), nir.Output({"output": np.array([last])})


def simulate(x: Array, step: Callable[[Any, Array], tuple[Any, Array]], state: Any) -> Array:
    """Spikes of a model written down step by step, [samples, steps, ...]."""
    out = []
    for t in range(x.shape[1]):
        state, spikes = step(state, x[:, t])
        out.append(spikes)
    return np.stack(out, axis=1)


@pytest.mark.parametrize("decay_input", [True, False])
@pytest.mark.parametrize("v_reset", [0.0, -0.5])
def test_neurons_as_spikingjelly_states_them(
    decay_input: bool, v_reset: float, tmp_path: Path, reader: HdfReader
) -> None:
    # LIFNode: v += (x - (v - v_reset)) / tau with decay_input, v += x - (v - v_reset) / tau without; IFNode: v += x.
    # Exported with tau dt, r = 1 or tau, v_leak = v_reset; IF with r = 1 / dt (activation_based/nir_exchange).
    w1, w2, tau = wide(5, 6) * (6 if decay_input else 3), wide(3, 5) * 4, 2.5
    x, full = spike_trains(40, 30, 6), np.full(5, 1.0)
    first, last = ends(6, 3)
    nodes = {
        "input": first,
        "0": nir.Linear(w1),
        "1": nir.LIF(full * tau * DT, full * (1.0 if decay_input else tau), full * v_reset, full * 1.0, full * v_reset),
        "2": nir.Affine(w2, np.array([0.1, -0.1, 0.2])),
        "3": nir.IF(np.full(3, 1 / DT), np.full(3, 1.5), np.zeros(3)),
        "output": last,
    }
    model = read_nir(write(tmp_path / "sj.nir", nodes), reader=reader)

    def step(state: tuple[Array, Array], now: Array) -> tuple[tuple[Array, Array], Array]:
        v, u = state
        drive = now @ w1.T
        v = v + ((drive - (v - v_reset)) / tau if decay_input else drive - (v - v_reset) / tau)
        s = (v > 1.0).astype(float)
        u = u + s @ w2.T + [0.1, -0.1, 0.2]
        z = (u > 1.5).astype(float)
        return (np.where(s, v_reset, v), u * (1 - z)), z

    wanted = simulate(x, step, (np.full((40, 5), v_reset), np.zeros((40, 3))))
    np.testing.assert_array_equal(run(model.graph, x), wanted)
    assert 0.02 < wanted.mean() < 0.95
    path = tmp_path / "sj.nir"
    shifted = (f"{path} node '1': v_reset = v_leak is not 0; membranes begin there and are counted from it",)
    assert model.remarks == (
        f"{path} states no time step; dt = 0.0001 s assumed",
        f"{path} states no reset; reset to zero at once assumed, as the NIR specification has it",
        *(shifted if v_reset else ()),
    )


def test_neurons_with_synapses_and_a_loop_as_norse_and_lava_state_them(tmp_path: Path, reader: HdfReader) -> None:
    # Norse exports tau in seconds, r = w_in = 1, all gains in the weights; Lava-dl tau = dt / decay, r = tau / dt.
    dt, n = 1e-3, 5
    tau_syn, tau_mem, full = np.full(n, 5e-3), np.linspace(8e-3, 2e-2, n), np.ones(n)
    w, loop, out = wide(n, 6) * 60, wide(n, n) * 60, wide(3, n) * 2
    x = spike_trains(40, 30, 6)
    first, last = ends(6, 3)
    nodes = {
        "in": first,
        "w": nir.Linear(w),
        "cuba": nir.CubaLIF(tau_syn, tau_mem, full, 0 * full, full, 0 * full, w_in=full),
        "back": nir.Affine(loop, full / 9),
        "out": nir.Linear(out),
        "lava": nir.CubaLIF(
            dt / np.full(3, 0.4), dt / np.full(3, 0.2), np.full(3, 5.0), np.zeros(3), np.ones(3), w_in=2.5
        ),
        "end": last,
    }
    edges = [
        ("in", "w"),
        ("w", "cuba"),
        ("cuba", "back"),
        ("back", "cuba"),
        ("cuba", "out"),
        ("out", "lava"),
        ("lava", "end"),
    ]
    model = read_nir(write(tmp_path / "norse.nir", nodes, edges, dt=dt, reset="zero"), reader=reader)

    def step(state: list[Array], now: Array) -> tuple[list[Array], Array]:
        i, v, s, j, u = state
        i = i - dt / tau_syn * i + dt / tau_syn * (now @ w.T + s @ loop.T + full / 9)
        v = v + dt / tau_mem * (i - v)
        s = (v > 1.0).astype(float)
        j = 0.6 * j + s @ out.T
        u = 0.8 * u + j
        z = (u > 1.0).astype(float)
        return [i, v * (1 - s), s, j, u * (1 - z)], z

    wanted = simulate(x, step, [np.zeros((40, k)) for k in (n, n, n, 3, 3)])
    np.testing.assert_array_equal(run(model.graph, x), wanted)
    assert 0.05 < wanted.mean() < 0.95
    assert model.remarks == ()
    assert [type(node.op).__name__ for node in model.graph.nodes] == [
        "Input", "Linear", "RecurrentSynapticIntegrateFire", "Linear", "SynapticIntegrateFire",
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore:nirtorch.extract_nir_graph is being deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ohmweave.errors.AssumptionWarning")
def test_snntorchs_own_export_is_the_network_again(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    snn = pytest.importorskip("snntorch")
    pytest.importorskip("nirtorch", reason="nirtorch, which snnTorch exports with, is not here")
    from snntorch.export_nir import export_to_nir

    torch.manual_seed(0)
    words = {"threshold": torch.ones(6), "reset_mechanism": "zero", "reset_delay": False, "init_hidden": True}
    loop = snn.RLeaky(beta=torch.full((6,), 0.8), linear_features=6, **words)
    net = torch.nn.Sequential(
        torch.nn.Linear(8, 6, bias=False), snn.Leaky(beta=torch.linspace(0, 0.95, 6), **words),
        torch.nn.Linear(6, 6), loop,
        torch.nn.Linear(6, 6), snn.Synaptic(alpha=torch.full((6,), 0.7), beta=torch.full((6,), 0.9), **words),
    )  # fmt: skip
    for parameter in net.parameters():
        parameter.data *= 2
    path = tmp_path / "snn.nir"
    nir.write(path, export_to_nir(net, torch.rand(1, 8), ignore_dims=[0]))
    graph = from_nir(path)
    ops = [node.op for node in graph.nodes if isinstance(node.op, Stateful)]
    for op, layer in zip(ops, net[1::2], strict=True):
        # 1 - beta was rounded to single precision on its way into tau.
        np.testing.assert_allclose(op.beta, layer.beta.double().numpy(), rtol=0, atol=6e-8)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(op.threshold, np.ones(6))  # type: ignore[attr-defined]
    x = spike_trains(50, 30, 8)
    with torch.no_grad():
        wanted = np.stack([net(torch.from_numpy(x[:, t]).float()).numpy() for t in range(30)], axis=1)
    np.testing.assert_array_equal(run(graph, x), wanted)
    assert 0.05 < wanted.mean() < 0.95


def test_pictures_and_graphs_in_graphs(tmp_path: Path, reader: HdfReader) -> None:
    shape = np.array([1, 6, 6])
    kernel, full = wide(2, 1, 3, 3), np.ones((2, 6, 6))
    block = nir.NIRGraph(
        {
            "start": nir.Input({"input": shape}),
            "conv": nir.Conv2d((6, 6), kernel, 1, "same", 1, 1, np.array([0.1, 0.2])),
            "lif": nir.LIF(full * 1e-3, full * 10, 0 * full, full, 0 * full),
            "stop": nir.Output({"output": np.array([2, 6, 6])}),
        },
        [("start", "conv"), ("conv", "lif"), ("lif", "stop")],
        type_check=False,
    )
    nodes = {
        "input": nir.Input({"input": shape}),
        "block": block,
        "sum": nir.SumPool2d(np.array([3, 2]), np.array([3, 2]), np.array([0, 0])),
        "flat": nir.Flatten({"input": np.array([2, 2, 3])}, 0, -1),
        "if": nir.IF(np.ones(12), np.full(12, 2.5)),
        "output": nir.Output({"output": np.array([12])}),
    }
    model = read_nir(write(tmp_path / "nested.nir", nodes), reader=reader)
    assert [node.name for node in model.graph.nodes] == ["input", "block.conv", "block.lif", "sum", "flat", "if"]
    x = spike_trains(10, 20, 1, 6, 6)
    conv = Conv(kernel, np.array([0.1, 0.2]), padding=(1, 1, 1, 1))

    def step(state: tuple[Array, Array], now: Array) -> tuple[tuple[Array, Array], Array]:
        v = 0.9 * state[0] + conv.forward(now)
        s = (v > 1.0).astype(float)
        pooled = s.reshape(10, 2, 2, 3, 3, 2).sum(axis=(3, 5)).reshape(10, 12)
        u = state[1] + pooled
        z = (u > 2.5).astype(float)
        return (v * (1 - s), u * (1 - z)), z

    wanted = simulate(x, step, (np.zeros((10, 2, 6, 6)), np.zeros((10, 12))))
    np.testing.assert_array_equal(run(model.graph, x), wanted)


@given(st.floats(1e-5, 1e-2), st.floats(1.0, 50.0), st.floats(0.1, 100.0), st.booleans())
@settings(max_examples=20, deadline=None)
def test_gains_go_into_weights_or_into_thresholds(
    reader: HdfReader, tmp_path_factory: Any, dt: float, ratio: float, r: float, shared: bool
) -> None:
    tau, full = dt * ratio, np.ones(4)
    w = wide(4, 6) * ratio / r
    first, last = ends(6, 4)
    nodes = {"x": first, "w": nir.Linear(w), "lif": nir.LIF(full * tau, full * r, 0 * full, full), "y": last}
    edges = [("x", "w"), ("w", "lif"), ("lif", "y"), *([("w", "y")] if shared else [])]
    folder = tmp_path_factory.mktemp("gain")
    graph = read_nir(write(folder / "gain.nir", nodes, edges, dt=dt, reset="zero"), reader=reader).graph
    op = graph.node("lif").op
    assert isinstance(op, LeakyIntegrateFire)
    weight = graph.node("w").op.weight  # type: ignore[attr-defined]
    gain = r / ratio if abs(r / ratio - 1) > 1e-6 else 1.0
    np.testing.assert_allclose(weight, w if shared else w * gain, rtol=1e-12)
    np.testing.assert_allclose(op.threshold, full / gain if shared else full, rtol=1e-12)
    np.testing.assert_allclose(op.beta, 1 - 1 / ratio, rtol=0, atol=1e-12)


def test_a_leak_towards_another_voltage_is_a_bias(tmp_path: Path, reader: HdfReader) -> None:
    full = np.ones(4)
    first, last = ends(6, 4)
    neurons = nir.LIF(full * 1e-3, full * 10, full * 0.5, full)
    nodes = {"x": first, "w": nir.Affine(wide(4, 6), full), "lif": neurons, "y": last}
    graph = read_nir(write(tmp_path / "leak.nir", nodes, dt=DT, reset="zero"), reader=reader).graph
    np.testing.assert_allclose(graph.node("w").op.bias, full * 1.05)  # type: ignore[attr-defined]


def test_a_time_step_of_the_users_own_is_taken_where_the_file_states_none(tmp_path: Path) -> None:
    full = np.ones(4)
    first, last = ends(4, 4)
    path = write(tmp_path / "dt.nir", {"x": first, "lif": nir.LIF(full * 1e-2, full * 10, 0 * full, full), "y": last})
    with pytest.warns(AssumptionWarning, match="states no (time step|reset)") as heard:
        op = from_nir(path, dt=1e-3).node("lif").op
    np.testing.assert_allclose(op.beta, 0.9)  # type: ignore[attr-defined]
    assert len(heard) == 2


def test_what_was_assumed_is_heard_wherever_a_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "net.nir", parts(), dt=DT, reset="subtract")
    remark = f"{path} states a reset but no reset_delay; subtraction at once assumed, where snnTorch's waits a step"
    with pytest.warns(AssumptionWarning) as heard:
        graph = load_model(str(path))
    assert [str(warning.message) for warning in heard] == [remark]
    op = graph.node("lif").op
    assert isinstance(op, LeakyIntegrateFire)
    assert (op.reset, op.delay) == ("subtract", False)


@pytest.mark.parametrize(("reset", "delay"), [("zero", False), ("none", False), ("hold", True), ("guarded", False)])
def test_resets_that_leave_no_choice_need_no_delay(reset: str, delay: bool, tmp_path: Path, reader: HdfReader) -> None:
    model = read_nir(write(tmp_path / "net.nir", parts(), dt=DT, reset=reset), reader=reader)
    op = model.graph.node("lif").op
    assert isinstance(op, LeakyIntegrateFire)
    assert (op.reset, op.delay, model.remarks) == (reset, delay, ())


def test_neurons_that_hear_themselves_alone_need_no_square_of_weights(tmp_path: Path, reader: HdfReader) -> None:
    # 40,000 neurons squared are 12 GiB.
    first, last = ends(40_000, 40_000)
    nodes = {"x": first, "if": nir.IF(np.ones(1), np.ones(1), np.zeros(1)), "y": last}
    path = write(tmp_path / "echo.nir", nodes, [("x", "if"), ("if", "if"), ("if", "y")], dt=1.0, reset="zero")
    assert path.stat().st_size < 40_000
    op = read_nir(path, reader=reader).graph.node("if").op
    assert isinstance(op, RecurrentLeakyIntegrateFire)
    np.testing.assert_array_equal(op.weight, np.ones(40_000))


def test_an_edge_to_itself_adds_to_weights_of_its_own(tmp_path: Path, reader: HdfReader) -> None:
    loop = wide(4, 4)
    nodes = parts(back=nir.Linear(loop), lif=lif_node())
    edges = [*STRAIGHT, ("lif", "lif"), ("lif", "back"), ("back", "lif")]
    op = read_nir(write(tmp_path / "net.nir", nodes, edges, dt=DT, reset="zero"), reader=reader).graph.node("lif").op
    assert isinstance(op, RecurrentLeakyIntegrateFire)
    np.testing.assert_allclose(op.weight, np.eye(4) + loop)


def test_a_long_chain_takes_time_in_proportion(tmp_path: Path, reader: HdfReader) -> None:
    first, last = ends(1, 1)
    one = np.ones((1, 1))
    path = write(tmp_path / "chain.nir", {"x": first, **{f"n{k}": nir.Linear(one) for k in range(2000)}, "y": last})
    tree = reader.read(path)
    begun = time.perf_counter()
    net = parse(tree, "chain")
    assert len(_Reader(net, None).model().graph.nodes) == 2001
    assert time.perf_counter() - begun < 2.0


def test_a_node_is_not_taken_for_one_of_the_same_name_in_a_graph(tmp_path: Path, reader: HdfReader) -> None:
    first, last = ends(4, 4)
    inner = {"in": first, "w": nir.Linear(wide(4, 4)), "out": last}
    block = nir.NIRGraph(inner, [("in", "w"), ("w", "out")], type_check=False)
    nodes = {"x": first, "block": block, "block.w": nir.Linear(wide(4, 4)), "y": last}
    assert refused(write(tmp_path / "net.nir", nodes), reader) == (
        f"{tmp_path / 'net.nir'}: expected each name once, found 'block.w' twice; rename the node"
    )


def test_ends_of_graphs_do_not_multiply_edges_without_limit(tmp_path: Path, reader: HdfReader) -> None:
    first, last = ends(4, 4)
    some = [f"a{k}" for k in range(320)]
    pair = nir.NIRGraph({"in": first, "out": last}, [("in", "out")], type_check=False)
    nodes = {"x": first, **{name: nir.Flatten({"input": np.array([4])}, 0, -1) for name in some}}
    nodes |= {"pair": pair, **{f"b{name}": nir.Flatten({"input": np.array([4])}, 0, -1) for name in some}, "y": last}
    edges = [(name, "pair") for name in some] + [("pair", f"b{name}") for name in some]
    assert refused(write(tmp_path / "net.nir", nodes, edges), reader) == (
        f"{tmp_path / 'net.nir'}: node 'pair': expected at most 100000 edges, found more through 'pair.out'; {MEND}"
    )


FULL = np.ones(4)


def parts(**changed: Any) -> dict[str, Any]:
    """A small sound network, some of its nodes changed."""
    first, last = ends(6, 4)
    lif = nir.LIF(FULL * 1e-3, FULL * 10, 0 * FULL, FULL)
    return {"x": first, "w": nir.Linear(wide(4, 6)), "lif": lif, "y": last} | changed


def lif_node(**changed: Any) -> Any:
    fields = {
        "tau": FULL * 1e-3,
        "r": FULL * 10,
        "v_leak": 0 * FULL,
        "v_threshold": FULL,
        "v_reset": 0 * FULL,
    } | changed
    return nir.LIF(**fields)


MEND = "mend the graph and write it again"
AGAIN = "write the NIR file again with nir.write"
STRAIGHT = [("x", "w"), ("w", "lif"), ("lif", "y")]
DECAYS = (
    "expected time constants 'tau' from dt = 0.0001 s up, with a decay 1 - dt / tau of at least 0 and below 1, found "
)
FIT = "give time constants that fit dt, or an IF node for neurons without leak"
WRONG: Mapping[str, tuple[dict[str, Any], list[tuple[str, str]], dict[str, Any], str]] = {
    "negative tau": (
        parts(lif=lif_node(tau=FULL * -1e-3)), STRAIGHT, {},
        f": node 'lif': {DECAYS}-0.001 s, a decay of 1.1; {FIT}",
    ),
    "tau of zero": (
        parts(lif=lif_node(tau=FULL * 0)), STRAIGHT, {},
        f": node 'lif': {DECAYS}0 s, a decay of -inf; {FIT}",
    ),
    "tau below dt": (
        parts(lif=lif_node(tau=FULL * 1e-5)), STRAIGHT, {},
        f": node 'lif': {DECAYS}1e-05 s, a decay of -9; {FIT}",
    ),
    "beta of 1": (
        parts(lif=lif_node(tau=FULL * np.inf)), STRAIGHT, {},
        f": node 'lif': {DECAYS}inf s, a decay of 1; {FIT}",
    ),
    "tau that is no number": (
        parts(lif=lif_node(tau=FULL * np.nan)), STRAIGHT, {},
        f": node 'lif': {DECAYS}nan s, a decay of nan; {FIT}",
    ),
    "threshold": (
        parts(lif=lif_node(v_threshold=np.array([1.0, 1.0, -2.0, 1.0]))), STRAIGHT, {},
        ": node 'lif': expected thresholds above rest, found one -2 above it; give a v_threshold above it",
    ),
    "gain": (
        parts(lif=lif_node(r=FULL * -1)), STRAIGHT, {},
        ": node 'lif': expected gains r dt / tau above 0, found others; give an r above 0",
    ),
    "reset": (
        parts(lif=lif_node(v_reset=FULL * 0.5)), STRAIGHT, {},
        ": node 'lif': expected v_reset of 0 or equal to v_leak, found other values; shift the voltages",
    ),
    "leak of synaptic neurons": (
        parts(lif=nir.CubaLIF(FULL * 1e-3, FULL * 1e-3, FULL, FULL, FULL)), STRAIGHT, {},
        ": node 'lif': expected v_leak of 0, or equal to v_reset, found other values; shift the voltages",
    ),
    "neurons": (
        parts(lif=nir.LIF(*(np.ones(5) for _ in range(4)))), STRAIGHT, {},
        ": node 'lif': expected 'v_reset' of one value or of shape (4,), found (5,)" + f"; {MEND}",
    ),
    "weights": (
        parts(w=nir.Linear(wide(4, 7))), STRAIGHT, {},
        f": node 'w': expected an input of shape (7,), found (6,); {MEND}",
    ),
    "weights that are no numbers": (
        parts(w=nir.Linear(np.full((4, 6), np.nan))), STRAIGHT, {},
        "layer 'w': expected finite values, found nan in weight[0, 0] (24 in all); train or export the network again",
    ),
    "output": (
        parts(y=ends(6, 5)[1]), STRAIGHT, {},
        f": node 'y': expected the shape (4,) of 'lif', found (5,); {MEND}",
    ),
    "input": (
        parts(x=ends(0, 5)[0]), STRAIGHT, {},
        f": node 'x': expected a shape of 1 to 16777216 values, found (0,); {MEND}",
    ),
    "two inputs": (
        parts(z=ends(6, 4)[0]), [*STRAIGHT, ("z", "w")], {},
        f": expected one Input node, found 'x', 'z'; {MEND}",
    ),
    "kind": (
        parts(w=nir.Delay(np.ones(6))), STRAIGHT, {},
        ": node 'w': expected a node of a kind that is read, found Delay; supported are Affine, AvgPool2d, Conv2d, "
        "CubaLIF, Flatten, IF, Input, LIF, Linear, NIRGraph, Output, SumPool2d",
    ),
    "missing edge to a node": (
        parts(), [("x", "w"), ("lif", "y")], {},
        f": node 'lif': expected an edge to 'lif', found none; {MEND}",
    ),
    "missing first edge": (
        parts(), STRAIGHT[1:], {},
        f": node 'x': expected an edge from 'x' to what reads it, found none; {MEND}",
    ),
    "missing last edge": (
        parts(), STRAIGHT[:2], {},
        f": node 'y': expected an edge to 'y', found none; {MEND}",
    ),
    "unknown node": (
        parts(), [*STRAIGHT, ("lif", "gone")], {},
        f": expected edges between nodes, found ('lif', 'gone'), but there is no 'gone'; {AGAIN}",
    ),
    "edge twice": (
        parts(), [*STRAIGHT, ("lif", "y")], {},
        f": expected each edge once, found ('lif', 'y') twice; {AGAIN}",
    ),
    "cycle without neurons": (
        parts(a=nir.Linear(wide(6, 6)), b=nir.Linear(wide(6, 6))),
        [*STRAIGHT, ("x", "a"), ("a", "b"), ("b", "a"), ("b", "w")], {},
        ": expected neurons in every cycle, found 'a' -> 'b' -> 'a'; cut the cycle",
    ),
    "cycle through other layers": (
        parts(a=nir.Linear(wide(6, 4)), b=nir.LIF(*(np.full(6, v) for v in (1e-3, 10.0, 0.0, 1.0)))),
        [*STRAIGHT, ("lif", "a"), ("a", "b"), ("b", "w")], {},
        ": expected cycles of neurons with weights of their own that nobody else reads, "
        "found 'a' -> 'b' -> 'w' -> 'lif' -> 'a'; cut the cycle",
    ),
    "loop of another shape": (
        parts(a=nir.Linear(wide(3, 4))), [*STRAIGHT, ("lif", "a"), ("a", "lif")], {},
        ": node 'a': expected recurrent weights of shape (4, 4) in a Linear or Affine node, "
        f"found Linear from (4,) to (3,); {MEND}",
    ),
    "more recurrent weights than are read": (
        {
            "x": ends(5000, 1)[0], "lif": nir.IF(np.ones(1), np.ones(1)),
            "a": nir.Linear(wide(1, 1)), "y": ends(1, 5000)[1],
        },
        [("x", "lif"), ("lif", "a"), ("a", "lif"), ("lif", "y")], {},
        ": node 'lif': expected at most 16777216 recurrent weights, found those of 5000 neurons; "
        "give a smaller network",
    ),
    "time step": (
        parts(), STRAIGHT, {"dt": -1.0},
        ": expected a time step dt above 0, found -1 s; state dt in the metadata",
    ),
    "words for a reset": (
        parts(), STRAIGHT, {"reset": "soft"},
        ": node 'lif': expected reset 'zero', 'subtract', 'none', 'hold', 'guarded', hold only with and guarded only "
        "without delay, found 'soft' with delay False; try reset \"zero\"",
    ),
    "number for a reset": (
        parts(), STRAIGHT, {"reset": 3},
        ": node 'lif': expected a reset in words in the metadata, found 3; try \"zero\"",
    ),
    "numbers for a reset": (
        parts(), STRAIGHT, {"reset": np.ones(2)},
        ": node 'lif': expected a reset in words in the metadata, found [1.0, 1.0]; try \"zero\"",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_networks_that_cannot_be_are_refused(name: str, tmp_path: Path, reader: HdfReader) -> None:
    nodes, edges, metadata, message = WRONG[name]
    path = write(tmp_path / "wrong.nir", nodes, edges, **metadata)
    with pytest.raises(ModelError) as caught:
        read_nir(path, reader=reader)
    assert str(caught.value) == (f"{path}{message}" if message.startswith(":") else message)


def refused(path: Path, reader: HdfReader) -> str:
    with pytest.raises(ModelError) as caught:
        read_nir(path, reader=reader)
    return str(caught.value)


def sound(path: Path) -> Path:
    return write_nir(NETWORKS["dense"], path)


def test_files_that_lead_out_of_themselves_are_refused(tmp_path: Path, reader: HdfReader) -> None:
    other = tmp_path / "secret.bin"
    other.write_bytes(bytes(64))
    place = "expected data in the file itself, found "
    with h5py.File(sound(tmp_path / "external.nir"), "r+") as file:
        del file["node/nodes/n0/weight"]
        file["node/nodes/n0"].create_dataset("weight", (8,), "f8", external=[(str(other), 0, 64)])
    assert refused(tmp_path / "external.nir", reader) == (
        f"{tmp_path / 'external.nir'}: {place}'/node/nodes/n0/weight' in another; {AGAIN}"
    )
    for name, link in (("soft", h5py.SoftLink("/node")), ("far", h5py.ExternalLink(str(other), "/"))):
        path = sound(tmp_path / f"{name}.nir")
        with h5py.File(path, "r+") as file:
            file["node/nodes/elsewhere"] = link
        assert refused(path, reader) == f"{path}: {place}'elsewhere' in '/node/nodes', a link; {AGAIN}"
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "soft.nir"), "x", shape=(4,))
    with h5py.File(sound(tmp_path / "virtual.nir"), "r+") as file:
        file["node/nodes/n0"].create_virtual_dataset("more", layout)
    assert refused(tmp_path / "virtual.nir", reader).startswith(f"{tmp_path / 'virtual.nir'}: {place}")


def test_files_without_end_are_refused(tmp_path: Path, reader: HdfReader) -> None:
    with h5py.File(sound(tmp_path / "round.nir"), "r+") as file:
        file["node/nodes/again"] = file["node"]
    assert "expected groups at most 12 deep, found deeper ones at " in refused(tmp_path / "round.nir", reader)
    with h5py.File(sound(tmp_path / "huge.nir"), "r+") as file:
        file["node/nodes/n0"].create_dataset("more", (2**30,), "f8", chunks=(2**20,), compression="gzip")
    assert refused(tmp_path / "huge.nir", reader) == (
        f"{tmp_path / 'huge.nir'}: expected at most {2**27} numbers, found {2**30 + 2} up to "
        f"'/node/nodes/n0/more'; {AGAIN}"
    )
    with h5py.File(sound(tmp_path / "long.nir"), "r+") as file:
        file["node/nodes/n0"].create_dataset("words", (2000,), "S100000", chunks=(1,), compression="gzip")
    assert refused(tmp_path / "long.nir", reader) == (
        f"{tmp_path / 'long.nir'}: expected texts of at most {2**24} letters in all, found more in "
        f"'/node/nodes/n0/words'; {AGAIN}"
    )
    with h5py.File(sound(tmp_path / "free.nir"), "r+") as file:
        file["node/nodes/n0"].create_dataset("words", data=["\x01" * 2**22], dtype=h5py.string_dtype())
    assert "expected texts of at most 16777216 letters in all, found more" in refused(tmp_path / "free.nir", reader)
    with h5py.File(sound(tmp_path / "wide.nir"), "r+") as file:
        del file["node/nodes/x/shape"]
        file["node/nodes/x/shape"] = np.array([2**20, 2**20])
    assert "expected a shape of 1 to 16777216 values" in refused(tmp_path / "wide.nir", reader)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", bytes(4096), b"import os"])
def test_what_is_no_hdf5_file_is_refused(content: bytes, tmp_path: Path, reader: HdfReader) -> None:
    path = tmp_path / "broken.nir"
    path.write_bytes(content)
    assert refused(path, reader).startswith(f"{path}: expected a whole HDF5 file, found a damaged one (OSError: ")


def test_files_that_are_not_there_or_hold_something_else_are_refused(tmp_path: Path, reader: HdfReader) -> None:
    path = tmp_path / "gone.nir"
    assert refused(path, reader) == f"{path}: expected a NIR file, found no such file; check the path"
    with h5py.File(path, "w") as file:
        file["node/type"] = "LIF"
    assert refused(path, reader) == (
        f"{path}: expected a NIR graph in the group 'node', found 'LIF'; write it with nir.write"
    )


def test_a_reader_that_is_brought_down_is_started_again(tmp_path: Path) -> None:
    path = sound(tmp_path / "net.nir")
    with HdfReader() as reader:
        read_nir(path, reader=reader)
        assert reader._process is not None
        os.kill(reader._process.pid, signal.SIGSTOP)
        reader.time_limit = 0.3
        assert refused(path, reader) == f"{path}: expected to be read within 0.3 s, found no end; {AGAIN}"
        reader.time_limit = 60.0
        assert len(read_nir(path, reader=reader).graph.nodes) == 5
        pid = reader._process.pid
        os.kill(pid, signal.SIGSTOP)
        # A stopped process still takes the signal that ends it, here in the middle of a file.
        killer = threading.Timer(0.3, os.kill, (pid, signal.SIGSEGV))
        waker = threading.Timer(0.4, os.kill, (pid, signal.SIGCONT))
        killer.start()
        waker.start()
        assert refused(path, reader) == (
            f"{path}: expected a whole HDF5 file, found one that ends the reader by SIGSEGV; {AGAIN}"
        )
        waker.join()
        assert len(read_nir(path, reader=reader).graph.nodes) == 5


def test_mutations_end_in_networks_or_in_errors_of_one_line() -> None:
    program = Path(__file__).parents[1] / "benchmarks" / "nir_mutations.py"
    command = [sys.executable, str(program), "--mutations", "120", "--seed", "50000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^120 mutations in \d+ s, 0 ended wrongly$", done.stdout, re.MULTILINE)
    assert {line.split()[1] for line in done.stdout.splitlines()[:-1]} >= {"network", "refused"}


def test_without_h5py_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sound(tmp_path / "net.nir")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError) as caught:
        read_nir(path)
    assert str(caught.value) == 'h5py: expected h5py, which reads NIR files, found none; pip install "ohmweave[snn]"'


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (
            chain(Relu()),
            "layer 'n0': expected an operation that NIR has a node for, found Relu(); it has nodes for Input, Linear, "
            "Conv, AveragePool, Flatten, LeakyIntegrateFire, RecurrentLeakyIntegrateFire, SynapticIntegrateFire, "
            "RecurrentSynapticIntegrateFire, Add, with paddings equal on both sides, and names without a slash",
        ),
    ],
)
def test_what_nir_has_no_node_for_is_not_written(graph: Graph, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        write_nir(graph, tmp_path / "net.nir")
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []
