"""Neurons: each against snnTorch's own, bit for bit in double precision, by hand, and in words about mistakes."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.errors import ModelError
from ohmweave.graph import Graph, Input, Node
from ohmweave.ops import (
    LeakyIntegrateFire,
    NeuronState,
    RecurrentLeakyIntegrateFire,
    RecurrentSynapticIntegrateFire,
    Stateful,
    SynapticIntegrateFire,
)
from ohmweave.ops.spiking import run_steps
from ohmweave.units import Array

snn = pytest.importorskip("snntorch", reason="snnTorch is not here")

SAMPLES, STEPS, NEURONS = 20, 40, 12
KINDS = ("leaky", "synaptic", "recurrent", "one_to_one", "recurrent_synaptic")
# RSynaptic of snnTorch 1.0.0 cannot reset at once: it divides a spike it was not given.
CASES = [
    (kind, reset, delay)
    for kind in KINDS
    for reset in ("zero", "subtract", "none")
    for delay in (True, False)
    if delay or kind != "recurrent_synaptic"
]


def ours(kind: str, reset: str, delay: bool) -> str:
    """What snnTorch's reset is called here."""
    if reset == "zero":
        return "hold" if delay and kind != "leaky" else "zero"
    return "guarded" if reset == "subtract" and not delay else reset


def twins(kind: str, reset: str, delay: bool, rng: np.random.Generator) -> tuple[torch.nn.Module, Stateful]:
    """The same neurons in snnTorch and here."""
    alpha, beta = rng.uniform(0, 1, (2, NEURONS))
    threshold, own, bias = rng.uniform(0.2, 2, NEURONS), rng.normal(size=NEURONS), rng.normal(size=NEURONS) / 10
    weight = rng.normal(size=(NEURONS, NEURONS))
    a, b = torch.as_tensor(alpha), torch.as_tensor(beta)
    words = {"reset_mechanism": reset, "reset_delay": delay, "threshold": torch.as_tensor(threshold)}
    # Its own spikes are single precision, which no double layer behind them takes.
    words["spike_grad"] = lambda u: (u > 0).to(u.dtype)
    rest = (threshold, *(() if kind in ("leaky", "synaptic") else (weight, bias)))
    name = ours(kind, reset, delay)
    match kind:
        case "leaky":
            return snn.Leaky(b, **words), LeakyIntegrateFire(beta, *rest, name, delay)
        case "synaptic":
            return snn.Synaptic(a, b, **words), SynapticIntegrateFire(alpha, beta, *rest, name, delay)
        case "one_to_one":
            theirs = snn.RLeaky(b, V=torch.as_tensor(own), all_to_all=False, **words)
            return theirs, RecurrentLeakyIntegrateFire(beta, threshold, own, 0 * own, name, delay)
        case "recurrent":
            theirs = snn.RLeaky(b, linear_features=NEURONS, **words)
            mine: Stateful = RecurrentLeakyIntegrateFire(beta, *rest, name, delay)
        case _:
            theirs = snn.RSynaptic(a, b, linear_features=NEURONS, **words)
            mine = RecurrentSynapticIntegrateFire(alpha, beta, *rest, name, delay)
    theirs.recurrent.weight.data, theirs.recurrent.bias.data = torch.as_tensor(weight), torch.as_tensor(bias)
    return theirs, mine


def their_steps(theirs: torch.nn.Module, x: Array) -> tuple[Array, Array]:
    """Spikes and membranes that snnTorch carries on."""
    spikes, membranes = np.empty_like(x), np.empty_like(x)
    state: tuple[torch.Tensor, ...] = ()
    recurrent = hasattr(theirs, "recurrent")
    with torch.no_grad():
        for step in range(x.shape[1]):
            out = theirs(torch.from_numpy(x[:, step]), *state)
            state = out if recurrent else out[1:]
            spikes[:, step], membranes[:, step] = out[0].numpy(), out[-1].numpy()
    return spikes, membranes


def my_steps(mine: Stateful, x: Array) -> tuple[Array, Array]:
    """Spikes and membranes that are carried on here."""
    state, spikes, membranes = mine.start(len(x), x.shape[2:]), np.empty_like(x), np.empty_like(x)
    for step in range(x.shape[1]):
        state, spikes[:, step] = mine.step(state, x[:, step])
        membranes[:, step] = state.membrane
    return spikes, membranes


@pytest.mark.parametrize(("kind", "reset", "delay"), CASES)
@pytest.mark.parametrize("seed", range(3))
def test_neurons_are_snntorchs_bit_for_bit(kind: str, reset: str, delay: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    theirs, mine = twins(kind, reset, delay, rng)
    x = rng.normal(size=(SAMPLES, STEPS, NEURONS)) * 2
    (spikes, membranes), (my_spikes, my_membranes) = their_steps(theirs, x), my_steps(mine, x)
    np.testing.assert_array_equal(my_spikes, spikes)
    np.testing.assert_array_equal(my_membranes, membranes)
    assert 0.05 < spikes.mean() < 0.95


def one(reset: str, delay: bool, beta: float = 0.5) -> LeakyIntegrateFire:
    """A single neuron with a threshold of 1."""
    return LeakyIntegrateFire(np.array([beta]), np.ones(1), reset, delay)


@pytest.mark.parametrize(
    ("reset", "delay", "compared"),
    [
        ("zero", False, [1.5, 0.25, 2.625, 1.0, 0.5]),
        ("zero", True, [1.5, 0.25, 2.625, 1.0, 0.5]),
        ("subtract", False, [1.5, 0.5, 2.75, 1.875, 0.4375]),
        ("subtract", True, [1.5, 0.0, 2.5, 1.25, -0.375]),
        ("none", False, [1.5, 1.0, 3.0, 2.5, 1.25]),
        ("hold", True, [1.5, 0.0, 2.5, 0.0, 0.0]),
        ("guarded", False, [1.5, 0.5, 2.75, 0.875, -0.0625]),
    ],
)
def test_a_single_neuron_by_hand(reset: str, delay: bool, compared: list[float]) -> None:
    x = np.array([1.5, 0.25, 2.5, 1.0, 0.0]).reshape(1, 5, 1)
    spikes, membranes = run_steps(one(reset, delay), x)
    assert membranes.ravel().tolist() == compared
    assert spikes.ravel().tolist() == [float(u > 1.0) for u in compared]


def test_nothing_fires_at_the_threshold_itself() -> None:
    neuron = LeakyIntegrateFire(np.zeros(2), np.ones(2))
    assert neuron.forward(np.array([[[1.0, np.nextafter(1.0, 2.0)]]])).tolist() == [[[0.0, 1.0]]]


def test_a_membrane_without_leak_counts_its_inputs() -> None:
    x = np.full((1, 9, 1), 0.75)
    assert one("zero", delay=False, beta=1.0).forward(x).ravel().tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 0]


def test_a_neuron_hears_itself_one_step_late() -> None:
    neuron = RecurrentLeakyIntegrateFire(np.zeros(1), np.ones(1), np.array([2.0]), np.zeros(1))
    x = np.zeros((1, 5, 1))
    x[0, 1] = 1.5
    spikes, membranes = run_steps(neuron, x)
    assert membranes.ravel().tolist() == [0.0, 1.5, 2.0, 2.0, 2.0]
    assert spikes.ravel().tolist() == [0, 1, 1, 1, 1]


def test_a_square_of_weights_says_who_hears_whom() -> None:
    weight = np.array([[0.0, 2.0], [0.0, 0.0]])
    neurons = RecurrentLeakyIntegrateFire(np.zeros(2), np.ones(2), weight, np.zeros(2))
    x = np.zeros((1, 3, 2))
    x[0, 0, 1] = 1.5
    assert neurons.forward(x).tolist() == [[[0, 1], [1, 0], [0, 0]]]


trains = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(size=(3, 15, NEURONS)) * 2)


@given(trains, st.sampled_from(KINDS[:4]), st.integers(1, 14))
@settings(max_examples=40, deadline=None)
def test_the_state_is_all_there_is_to_know_of_the_past(x: Array, kind: str, cut: int) -> None:
    _, neurons = twins(kind, "zero", False, np.random.default_rng(1))
    state: NeuronState = neurons.start(len(x), x.shape[2:])
    for step in range(cut):
        state, _ = neurons.step(state, x[:, step])
    rest = []
    for step in range(cut, x.shape[1]):
        state, spikes = neurons.step(state, x[:, step])
        rest.append(spikes)
    np.testing.assert_array_equal(np.stack(rest, axis=1), neurons.forward(x)[:, cut:])


@given(trains)
@settings(max_examples=40, deadline=None)
def test_reset_to_zero_gives_the_same_spikes_at_once_and_delayed(x: Array) -> None:
    rng = np.random.default_rng(7)
    beta, threshold = rng.uniform(0, 1, NEURONS), rng.uniform(0.2, 2, NEURONS)
    early, late = (LeakyIntegrateFire(beta, threshold, "zero", delay) for delay in (False, True))
    np.testing.assert_array_equal(early.forward(x), late.forward(x))


@given(trains, st.floats(1e-3, 1e3))
@settings(max_examples=40, deadline=None)
def test_spikes_stay_where_inputs_and_thresholds_scale_by_a_power_of_two(x: Array, factor: float) -> None:
    scale = 2.0 ** round(np.log2(factor))
    beta, threshold = np.full(NEURONS, 0.9), np.linspace(0.5, 2, NEURONS)
    for reset, delay in (("zero", False), ("subtract", True), ("guarded", False)):
        plain = LeakyIntegrateFire(beta, threshold, reset, delay).forward(x)
        scaled = LeakyIntegrateFire(beta, threshold * scale, reset, delay).forward(x * scale)
        np.testing.assert_array_equal(plain, scaled)


def alone(op: Stateful, shape: tuple[int, ...]) -> Graph:
    return Graph((Node("x", Input(shape)), Node("lif", op, ("x",))), ("lif",))


HALF, ONE = np.full(3, 0.5), np.ones(3)
RESETS = "expected reset 'zero', 'subtract', 'none', 'hold', 'guarded', hold only with and guarded only without delay, "


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: LeakyIntegrateFire(np.array([0.5, 1.2, -1.0]), ONE),
            "LeakyIntegrateFire: expected decays from 0 to 1, found 1.2 in beta[1] (2 in all); "
            "train or export the network again",
        ),
        (
            lambda: SynapticIntegrateFire(np.array([0.5, 0.5, -0.1]), HALF, ONE),
            "SynapticIntegrateFire: expected decays from 0 to 1, found -0.1 in alpha[2] (1 in all); "
            "train or export the network again",
        ),
        (
            lambda: LeakyIntegrateFire(HALF, np.array([1.0, 0.0, 1.0])),
            "LeakyIntegrateFire: expected thresholds above 0, found 0 in threshold[1] (1 in all); "
            "train or export the network again",
        ),
        (
            lambda: LeakyIntegrateFire(HALF, np.ones(2)),
            "LeakyIntegrateFire: expected beta and threshold of one shape, found (2,), (3,); give one value a neuron",
        ),
        (
            lambda: LeakyIntegrateFire(HALF, ONE, "soft"),
            f"LeakyIntegrateFire: {RESETS}found 'soft' with delay False; try reset \"zero\"",
        ),
        (
            lambda: LeakyIntegrateFire(HALF, ONE, "hold"),
            f"LeakyIntegrateFire: {RESETS}found 'hold' with delay False; try reset \"zero\"",
        ),
        (
            lambda: LeakyIntegrateFire(HALF, ONE, "guarded", delay=True),
            f"LeakyIntegrateFire: {RESETS}found 'guarded' with delay True; try reset \"zero\"",
        ),
        (
            lambda: RecurrentLeakyIntegrateFire(HALF, ONE, np.ones((3, 2)), ONE),
            "RecurrentLeakyIntegrateFire: expected recurrent weights of shape (3, 3) or (3,) and a bias of shape (3,), "
            "found (3, 2) and (3,); give a weight for every pair of neurons, or one a neuron",
        ),
        (
            lambda: alone(LeakyIntegrateFire(HALF, ONE), (4,)),
            "layer 'lif': expected one input a neuron, shape (3,), found (4,)",
        ),
        (
            lambda: alone(LeakyIntegrateFire(np.array([0.5, np.nan, 0.5]), ONE), (3,)),
            "layer 'lif': expected finite values, found nan in beta[1] (1 in all); train or export the network again",
        ),
    ],
)
def test_neurons_that_cannot_be_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        build()
    assert str(caught.value) == message
