"""The native engine in time: ideal parts are the network's own equations, and every spread moves what it should."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ohmweave.blocks import ClockedLif, ClockedLif45, Clocking, PulseDriver
from ohmweave.choices import ArrayChoice, SpikingChoice
from ohmweave.design import Design
from ohmweave.devices import Sinh
from ohmweave.encoders import Encoding
from ohmweave.errors import DataError, DesignError
from ohmweave.graph import Graph, Input, Linear, Node
from ohmweave.ops import LeakyIntegrateFire, RecurrentLeakyIntegrateFire
from ohmweave.spiking import SpikingChip, plan_spiking, steps
from ohmweave.temporal import run, trace
from ohmweave.units import Array

# Nothing of a chip but its mathematics: no wires, next to no resistances, membranes without limits.
IDEAL = Design(
    array=ArrayChoice(rows=4, cols=4, r_row=0.0, r_col=0.0),
    neuron=ClockedLif(r_in=1e-6, v_limit=1e3),
    synapse=PulseDriver(r_source=1e-6),
)
TILED = SpikingChoice("crossbar")
RESETS = [("zero", True), ("zero", False), ("subtract", True), ("subtract", False), ("none", False), ("hold", True)]


def one_layer(beta: float = 0.9, reset: str = "zero", *, inputs: int = 6, outputs: int = 5, seed: int = 0) -> Graph:
    """Random weights without biases, thresholds of 1."""
    weight = np.random.default_rng(seed).normal(0.0, 1.0, (outputs, inputs))
    neurons = LeakyIntegrateFire(np.full(outputs, beta), np.ones(outputs), reset, False)
    nodes = (Node("x", Input((inputs,))), Node("fc", Linear(weight, np.zeros(outputs)), ("x",)))
    return Graph((*nodes, Node("lif", neurons, ("fc",))), ("lif",))


def two_layers(rng: np.random.Generator, reset: tuple[str, bool], *, recurrent: bool, biased: bool) -> Graph:
    """7-6-4 with thresholds, decays and recurrent weights of all kinds."""
    nodes = [Node("x", Input((7,)))]
    for k, (inputs, outputs) in enumerate(((7, 6), (6, 4))):
        weight, bias = rng.normal(0.2, 1.0, (outputs, inputs)), rng.normal(0.0, 0.4, outputs) * biased
        beta, threshold = rng.choice([0.0, 0.5, 0.9, 1.0], outputs), rng.uniform(0.5, 3.0, outputs)
        op: LeakyIntegrateFire | RecurrentLeakyIntegrateFire = LeakyIntegrateFire(beta, threshold, *reset)
        if recurrent:
            own = rng.normal(0.0, 1.0, (outputs, outputs)) if k else rng.normal(0.0, 1.0, outputs)
            op = RecurrentLeakyIntegrateFire(beta, threshold, own, rng.normal(0.0, 0.2, outputs), *reset)
        nodes += [Node(f"fc{k}", Linear(weight, bias), (nodes[-1].name,)), Node(f"lif{k}", op, (f"fc{k}",))]
    return Graph(tuple(nodes), ("lif1",))


def spikes(seed: int, *shape: int) -> Array:
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.float64)


def charges(chip: SpikingChip, x: Array) -> tuple[Array, Array]:
    """Charge into columns p and n without wires or resistances, C, [samples, steps, neurons]."""
    design, (stage,) = chip.plan.design, chip.plan.stages
    (tile,) = stage.tiles
    each = design.signal.v_read * design.clock.pulse * tile.g
    return x @ each[:, 0::2], x @ each[:, 1::2]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**31),
    reset=st.sampled_from(RESETS),
    leak=st.sampled_from(["switched", "resistor"]),
    tiled=st.booleans(),
    recurrent=st.booleans(),
    biased=st.booleans(),
    straight=st.booleans(),
)
def test_ideal_parts_compute_the_network(
    seed: int, reset: tuple[str, bool], leak: str, tiled: bool, recurrent: bool, biased: bool, straight: bool
) -> None:
    rng = np.random.default_rng(seed)
    graph = two_layers(rng, reset, recurrent=recurrent, biased=biased)
    x = rng.random((3, 9, 7)) if straight else spikes(seed, 3, 9, 7)
    seen = trace(graph, x)
    margins = [np.abs(seen.membranes[f"lif{k}"] - graph.node(f"lif{k}").op.threshold).min() for k in (0, 1)]  # type: ignore[attr-defined]
    assume(min(margins) > 1e-4)
    neuron = replace(IDEAL.neuron, leak=leak)
    design = replace(IDEAL, neuron=neuron, spiking=TILED if tiled else SpikingChoice())
    found = SpikingChip(plan_spiking(graph, design, straight=straight)).simulate(x)
    for k in (0, 1):
        np.testing.assert_array_equal(found.spikes[f"s{k}"], seen.values[f"lif{k}"])
        wanted = seen.membranes[f"lif{k}"] / graph.node(f"lif{k}").op.threshold  # type: ignore[attr-defined]
        np.testing.assert_allclose(found.membranes[f"s{k}"], wanted, rtol=0.0, atol=2e-5)


@pytest.mark.parametrize("device", [IDEAL.device, Sinh(v0=100.0)], ids=["linear", "sinh"])
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("reset", RESETS)
def test_a_step_of_silence_is_what_the_network_calls_hold(
    reset: tuple[str, bool], recurrent: bool, device: Any
) -> None:
    """A refractory period of one step, whatever the reset, against the network whose spikes cost a step's inputs."""
    graph, deaf = (
        two_layers(np.random.default_rng(11), each, recurrent=recurrent, biased=True)
        for each in (reset, ("hold", True))
    )
    design, x = replace(IDEAL, neuron=replace(IDEAL.neuron, refractory=1), device=device), spikes(11, 4, 20, 7)
    found, seen = SpikingChip(plan_spiking(graph, design)).simulate(x), trace(deaf, x)
    for k in (0, 1):
        np.testing.assert_array_equal(found.spikes[f"s{k}"], seen.values[f"lif{k}"])
        assert found.spikes[f"s{k}"].any()


@pytest.mark.parametrize("steps", [2, 5])
@pytest.mark.parametrize("recurrent", [False, True])
def test_no_neuron_spikes_twice_within_its_refractory_period(recurrent: bool, steps: int) -> None:
    graph = two_layers(np.random.default_rng(12), ("zero", False), recurrent=recurrent, biased=True)
    chips = [
        SpikingChip(plan_spiking(graph, replace(IDEAL, neuron=replace(IDEAL.neuron, refractory=n)))) for n in (0, steps)
    ]
    always, found = (chip.simulate(spikes(12, 4, 40, 7)).spikes for chip in chips)
    for stage in ("s0", "s1"):
        within = [np.cumsum(each[stage], axis=1) for each in (always, found)]
        most = [(total[:, steps + 1 :] - total[:, : -steps - 1]).max() for total in within]
        assert most[0] > most[1] == 1.0


def test_samples_in_parts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = two_layers(np.random.default_rng(3), ("subtract", True), recurrent=True, biased=True)
    chip, x = SpikingChip(plan_spiking(graph, IDEAL)), spikes(3, 7, 9, 7)
    whole = chip.simulate(x, energy=True)
    monkeypatch.setattr(steps, "_MOST_VALUES", 500)
    parts = [part for part, _ in chip.stream(x)]
    assert [(part.start, part.stop) for part in parts] == [(0, 2), (2, 4), (4, 6), (6, 7)]
    again = chip.simulate(x, energy=True)
    for name in ("s0", "s1"):
        np.testing.assert_array_equal(again.spikes[name], whole.spikes[name])
        np.testing.assert_allclose(again.membranes[name], whole.membranes[name], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(again.joules[name], whole.joules[name], rtol=1e-12)


def test_each_stage_has_its_own_part_of_the_pulses_jitter() -> None:
    design = replace(IDEAL, clock=Clocking(jitter=0.1))
    graph, x = one_layer(), spikes(1, 2, 9, 6)
    chip = SpikingChip(plan_spiking(graph, design))
    widths = chip.widths(9)
    assert widths.std() > 0.05 * design.clock.pulse
    seen = trace(graph, x * widths[:, None] / design.clock.pulse)
    found = chip.simulate(x)
    np.testing.assert_allclose(found.membranes["s0"], seen.membranes["lif"], rtol=0.0, atol=2e-5)
    second = two_layers(np.random.default_rng(5), ("none", False), recurrent=False, biased=False)
    deep = SpikingChip(plan_spiking(second, design))
    widths, run = deep.widths(9), deep.simulate(spikes(5, 2, 9, 7))
    fc, lif = second.node("fc1").op, second.node("lif1").op
    moved = run.spikes["s0"] @ fc.weight.T / lif.threshold * widths[1:, None] / design.clock.pulse  # type: ignore[attr-defined]
    membranes = run.membranes["s1"]
    before = np.concatenate([np.zeros_like(membranes[:, :1]), membranes[:, :-1]], axis=1)
    np.testing.assert_allclose(membranes, lif.beta * before + moved, rtol=0.0, atol=2e-5)  # type: ignore[attr-defined]


def test_offsets_move_thresholds() -> None:
    design = replace(IDEAL, neuron=replace(IDEAL.neuron, offset_spread=60e-3))
    chip = SpikingChip(plan_spiking(one_layer(reset="none", outputs=40), design))
    found, offsets = chip.simulate(spikes(2, 4, 20, 6)), [each.offset for each in chip.plan.stages[0].membranes]
    assert np.std(offsets) == pytest.approx(60e-3, rel=0.3)
    fires = found.membranes["s0"] > 1.0 + np.array(offsets) / design.neuron.v_threshold
    np.testing.assert_array_equal(found.spikes["s0"], fires)
    assert (fires != (found.membranes["s0"] > 1.0)).any()


def test_each_copy_of_a_current_has_its_own_gain() -> None:
    design = replace(IDEAL, neuron=replace(IDEAL.neuron, mirror_spread=0.1), array=replace(IDEAL.array, rows=64))
    chip, x = SpikingChip(plan_spiking(one_layer(0.0, "none"), design)), spikes(4, 3, 5, 6)
    membranes = chip.plan.stages[0].membranes
    p, n = (np.array([1.0 + each.mismatch[k] for each in membranes]) for k in (0, 1))
    assert np.abs(p - n).min() > 1e-3
    into, out_of = charges(chip, x)
    gain = np.array([each.gain for each in membranes]) / (design.neuron.c_m * design.neuron.v_threshold)
    np.testing.assert_allclose(chip.simulate(x).membranes["s0"], gain * (p * into - n * out_of), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("leak", ["switched", "resistor"])
def test_leaks_forget_as_fast_as_their_parts_say(leak: str) -> None:
    design = replace(IDEAL, neuron=replace(IDEAL.neuron, leak=leak, leak_spread=0.1))
    chip, x = SpikingChip(plan_spiking(one_layer(0.8, "none"), design)), np.zeros((1, 6, 6))
    x[0, 0] = 1.0
    more = 1.0 + np.array([each.mismatch[2] for each in chip.plan.stages[0].membranes])
    assert np.std(more) > 0.01
    keeps = 0.8 / (0.8 + 0.2 * more) if leak == "switched" else 0.8 ** (1.0 / more)
    (u,) = chip.simulate(x).membranes["s0"]
    np.testing.assert_allclose(u[1:] / u[:-1], np.tile(keeps, (5, 1)), rtol=1e-12)


def test_membranes_are_held_within_their_limits() -> None:
    design = replace(IDEAL, neuron=replace(IDEAL.neuron, v_limit=0.36))
    graph, x = one_layer(reset="none", seed=1), spikes(6, 3, 30, 6)
    seen, wanted = SpikingChip(plan_spiking(graph, design)).simulate(x).membranes["s0"], np.zeros((3, 5))
    weight = graph.node("fc").op.weight  # type: ignore[attr-defined]
    for t in range(30):
        wanted = np.clip(0.9 * wanted + x[:, t] @ weight.T, -1.2, 1.2)
        np.testing.assert_allclose(seen[:, t], wanted, rtol=0.0, atol=2e-5)
    assert (np.abs(seen) == 1.2).sum() > 10


def test_devices_with_a_curve_bring_the_charge_of_the_whole_pulse() -> None:
    design = replace(IDEAL, device=Sinh(), clock=Clocking(edge=10e-9), array=replace(IDEAL.array, rows=64, cols=64))
    graph = one_layer(0.0, "none", inputs=3, outputs=2)
    chip, x = SpikingChip(plan_spiking(graph, design)), spikes(7, 2, 3, 3)
    scale, clock = design.signal.v_read / 0.33, design.clock
    # Of i = g v0 sinh(v / v0): the pulse's top, and both edges along which v rises evenly from 0 to v_read.
    top = (clock.pulse - clock.edge) * np.sinh(scale) / scale
    both_edges = 2.0 * clock.edge * (np.cosh(scale) - 1.0) / scale**2
    into, out_of = charges(chip, x)
    (stage,) = chip.plan.stages
    gain = stage.membranes[0].gain / (design.neuron.c_m * design.neuron.v_threshold)
    wanted = gain * (into - out_of) * (top + both_edges) / clock.pulse
    np.testing.assert_allclose(chip.simulate(x).membranes["s0"], wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("device", [IDEAL.device, Sinh(v0=100.0)], ids=["linear", "sinh"])
def test_row_drivers_deliver_what_the_rows_take(device: Any) -> None:
    design = replace(IDEAL, device=device)
    chip, x = SpikingChip(plan_spiking(one_layer(), design)), spikes(8, 3, 4, 6)
    clock, (stage,) = design.clock, chip.plan.stages
    # Along an edge the voltage squared is a third of its top's in the mean, so that both edges take 2/3 of their time.
    lasting = clock.pulse - clock.edge / 3.0
    watts = design.signal.v_read**2 * x.sum(axis=1) @ np.nansum(stage.tiles[0].g, axis=1)
    found = chip.simulate(x, energy=True, membranes=False)
    np.testing.assert_allclose(found.joules["s0"], watts * lasting, rtol=1e-5)
    assert found.membranes == {}


def test_the_class_is_the_output_that_spikes_most_and_the_first_of_equals() -> None:
    found = SpikingChip(plan_spiking(one_layer(), IDEAL)).simulate(spikes(9, 30, 8, 6))
    counts = found.output.sum(axis=1)
    np.testing.assert_array_equal(found.classes, counts.argmax(axis=1))
    assert len(set(found.classes.tolist())) > 1


@pytest.mark.parametrize(
    ("shape", "value", "straight", "message"),
    [
        ((2, 4, 5), 0.0, False, "expected spike trains of shape [samples, steps, 6], found (2, 4, 5)"),
        ((0, 4, 6), 0.0, False, "expected spike trains of shape [samples, steps, 6], found (0, 4, 6)"),
        ((2, 6), 0.0, False, "expected spike trains of shape [samples, steps, 6], found (2, 6)"),
        ((2, 4, 6), 0.5, False, "expected spikes of 0 or 1, found 0.5"),
        ((2, 4, 6), np.nan, False, "expected spikes of 0 or 1, found nan"),
        ((2, 4, 6), 1.5, True, "expected shares of a pulse from 0 to 1, found 1.5"),
    ],
)
def test_samples_that_do_not_fit_are_refused(
    shape: tuple[int, ...], value: float, straight: bool, message: str
) -> None:
    chip = SpikingChip(plan_spiking(one_layer(), IDEAL, straight=straight))
    with pytest.raises(DataError) as refused:
        chip.simulate(np.full(shape, value))
    remedy = "encode the samples as spike trains" if "trains" in message else "encode the samples"
    assert str(refused.value) == f"data: {message}; {remedy}"


@pytest.mark.parametrize(
    ("trains", "message"),
    [
        (np.ones((1, 2, 6)) * 1j, "expected real numbers, found values of type complex128; give real numbers"),
        (np.full((1, 2, 6), "1"), "expected real numbers, found values of type <U1; give real numbers"),
        ([[[0.0] * 6], [[0.0] * 5]], "expected an array, found lists of unequal lengths; make them equal"),
    ],
)
def test_what_is_no_array_of_real_numbers_is_refused(trains: Any, message: str) -> None:
    chip = SpikingChip(plan_spiking(one_layer(), IDEAL))
    for ask in (chip.simulate, chip.plan.encode, Encoding().trains, lambda x: run(chip.plan.graph, x)):
        with pytest.raises(DataError) as refused:
            ask(trains)
        assert str(refused.value) == f"data: {message}"


def test_energies_are_not_asked_of_an_engine_that_has_none() -> None:
    chip = SpikingChip(plan_spiking(one_layer(), IDEAL))
    with pytest.raises(DesignError) as refused:
        chip.simulate(spikes(0, 1, 2, 6), "ngspice", energy=True)
    assert str(refused.value) == (
        "energy: expected the native engine, which has the energies of the row drivers, found 'ngspice'; leave energy "
        'out, or use engine = "native"'
    )


def test_membranes_of_later_stages_drift_while_they_wait() -> None:
    graph = two_layers(np.random.default_rng(1), ("zero", False), recurrent=False, biased=False)
    nodes = [
        replace(node, op=replace(node.op, beta=np.full(node.op.beta.shape, 0.9)))
        if isinstance(node.op, LeakyIntegrateFire)
        else node
        for node in graph.nodes
    ]
    plan = plan_spiking(Graph(tuple(nodes), graph.outputs), replace(IDEAL, neuron=ClockedLif45()))
    found = SpikingChip(plan).simulate(np.zeros((2, 3, 7))).membranes
    for stage, delay in zip(plan.stages, (0, 1), strict=True):
        soma = plan.design.neuron.soma(stage.membranes, plan.design.clock)
        state, still, expected = soma.start(1), np.zeros((1, stage.outputs)), []
        for _ in range(delay + 3):
            state = soma.step(state, (still, still))
            expected.append(state.membranes[0] / plan.design.neuron.v_threshold)
        wanted = np.broadcast_to(expected[delay:], (2, 3, stage.outputs))
        np.testing.assert_allclose(found[stage.name], wanted, atol=1e-9)
        assert (np.abs(found[stage.name][:, 0] - expected[0]) > 1e-6).all() == bool(delay)


def test_columns_that_were_not_measured_are_told_with_their_stage() -> None:
    heavy = Graph(
        (
            Node("x", Input((24,))),
            Node("fc", Linear(np.ones((2, 24)), np.zeros(2)), ("x",)),
            Node("lif", LeakyIntegrateFire(np.full(2, 0.9), np.ones(2)), ("fc",)),
        ),
        ("lif",),
    )
    chip = SpikingChip(plan_spiking(heavy, replace(IDEAL, array=ArrayChoice(rows=64, cols=64), neuron=ClockedLif45())))
    few = np.zeros((1, 2, 24))
    few[:, :, :5] = 1.0
    assert chip.simulate(few).output.sum() == 4.0
    with pytest.raises(DesignError, match=r"^stage s0, neuron\.i_column: expected column currents from -3e-06"):
        chip.simulate(np.ones((1, 2, 24)))
