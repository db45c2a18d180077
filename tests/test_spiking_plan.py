"""Spiking networks on arrays: conductances whose charges are the weights, rows for biases, routes in time."""

from dataclasses import replace

import numpy as np
import pytest

from ohmweave.blocks import ClockedLif, ClockedLif45, Clocking, PulseDriver45
from ohmweave.choices import ArrayChoice, SpikingChoice
from ohmweave.circuit import Crossbar
from ohmweave.design import Design
from ohmweave.effects import Temperature, effects
from ohmweave.errors import DesignError, ModelError
from ohmweave.graph import Graph, Input, Linear, Node
from ohmweave.ops import LeakyIntegrateFire, RecurrentLeakyIntegrateFire
from ohmweave.schemes import RowPair
from ohmweave.spiking import plan_spiking
from ohmweave.spiking.circuit import synapses
from ohmweave.spiking.lowering import populations
from ohmweave.spiking.mesh import hops, places
from ohmweave.spiking.plan import SpikingPlan, SpikingStage
from ohmweave.units import Array

SMALL = Design(array=ArrayChoice(rows=4, cols=6))
TILED = replace(SMALL, spiking=SpikingChoice("crossbar"))


def network(
    *,
    bias: float = 0.0,
    recurrent: bool = False,
    threshold: float = 1.0,
    beta: float = 0.9,
    reset: tuple[str, bool] = ("zero", False),
) -> Graph:
    """7-5-3."""
    rng = np.random.default_rng(0)
    nodes = [Node("x", Input((7,)))]
    for k, (inputs, outputs) in enumerate(((7, 5), (5, 3))):
        layer = Linear(rng.normal(size=(outputs, inputs)), np.full(outputs, bias))
        decay, level = np.full(outputs, beta), np.linspace(threshold, 2.0 * threshold, outputs)
        heard = RecurrentLeakyIntegrateFire(decay, level, rng.normal(size=(outputs, outputs)), np.zeros(outputs))
        op = heard if recurrent else LeakyIntegrateFire(decay, level, *reset)
        nodes += [Node(f"fc{k}", layer, (nodes[-1].name,)), Node(f"lif{k}", op, (f"fc{k}",))]
    return Graph(tuple(nodes), ("lif1",))


def weights(plan: SpikingPlan, stage: SpikingStage) -> Array:
    """What a spike of each signal moves each neuron by, in thresholds, from the conductances alone."""
    design, moved = plan.design, np.zeros((stage.signals, stage.outputs))
    for tile in stage.tiles:
        charge = np.zeros((stage.signals, 2 * stage.outputs))
        charge[np.ix_(tile.rows, tile.cols)] = design.signal.v_read * design.clock.pulse * np.nan_to_num(tile.g)
        moved += charge[:, 0::2] - charge[:, 1::2]
    gains = np.array([membrane.gain for membrane in stage.membranes])
    return np.asarray(moved * gains / (design.neuron.c_m * design.neuron.v_threshold))


@pytest.mark.parametrize("design", [SMALL, TILED], ids=["layer", "crossbar"])
@pytest.mark.parametrize("threshold", [1.0, 0.05, 40.0])
@pytest.mark.parametrize("recurrent", [False, True])
def test_a_spikes_charge_is_its_weight_in_thresholds(design: Design, threshold: float, recurrent: bool) -> None:
    graph = network(threshold=threshold, bias=0.3 * threshold, recurrent=recurrent)
    plan = plan_spiking(graph, design)
    for stage, population in zip(plan.stages, populations(graph), strict=True):
        found, heard = weights(plan, stage), stage.inputs + stage.bias_rows
        np.testing.assert_allclose(found[: stage.inputs], population.weight.toarray(), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(found[stage.inputs : heard].sum(axis=0), population.bias, rtol=1e-10, atol=1e-12)
        if population.recurrent is not None:
            np.testing.assert_allclose(found[heard:], population.recurrent.toarray(), rtol=1e-10, atol=1e-12)


def test_conductances_use_the_whole_range_and_a_zero_costs_two_at_its_foot() -> None:
    weight = np.array([[1.0, 0.0, -0.5]])
    neuron = LeakyIntegrateFire(np.array([0.9]), np.array([1.0]))
    nodes = (Node("x", Input((3,))), Node("fc", Linear(weight, np.zeros(1)), ("x",)), Node("lif", neuron, ("fc",)))
    (stage,) = plan_spiking(Graph(nodes, ("lif",)), SMALL).stages
    low, high = SMALL.device.g_range
    middle = low + 0.5 * (high - low)
    np.testing.assert_allclose(stage.tiles[0].g, [[high, low], [low, low], [low, middle]], rtol=1e-12)
    assert stage.k == pytest.approx(high - low)
    assert stage.devices == 6


def test_a_large_bias_is_spread_over_rows_and_no_bias_has_none() -> None:
    plan = plan_spiking(network(bias=5.0), SMALL)
    wanted = [
        int(np.ceil(np.abs(each.bias).max() / np.abs(each.weight.data).max())) for each in populations(plan.graph)
    ]
    assert [stage.bias_rows for stage in plan.stages] == wanted
    assert min(wanted) > 1
    assert [stage.bias_rows for stage in plan_spiking(network(bias=1e3), SMALL).stages] == [8, 8]
    assert [stage.bias_rows for stage in plan_spiking(network(), SMALL).stages] == [0, 0]


def test_a_layer_is_one_array_or_many_of_one_size() -> None:
    layer, tiled = plan_spiking(network(), SMALL), plan_spiking(network(), TILED)
    assert [[tile.g.shape for tile in stage.tiles] for stage in layer.stages] == [[(7, 10)], [(5, 6)]]
    assert [[tile.g.shape for tile in stage.tiles] for stage in tiled.stages] == [
        [(4, 6), (3, 6), (4, 4), (3, 4)],
        [(4, 6), (1, 6)],
    ]
    assert (layer.devices, layer.neurons, layer.inputs) == (100, 8, 7)
    assert (tiled.devices, tiled.neurons) == (100, 8)
    assert layer.delays == tiled.delays == (0, 1)


def test_spikes_hop_from_the_array_of_their_neuron_over_a_square_mesh() -> None:
    plan = plan_spiking(network(bias=0.5, recurrent=True), TILED)
    where = np.concatenate(places(plan))
    tiles = sum(len(stage.tiles) for stage in plan.stages)
    side = int(np.ceil(np.sqrt(tiles)))
    np.testing.assert_array_equal(where, [[n % side, n // side] for n in range(tiles)])
    for tile, far in zip(plan.stages[0].tiles, hops(plan, 0), strict=True):
        assert (far[tile.rows < 7] == 0).all()
    homes = {
        neuron: (index, next(t for t, tile in enumerate(stage.tiles) if 2 * neuron in tile.cols))
        for index, stage in enumerate(plan.stages[:1])
        for neuron in range(stage.outputs)
    }
    here, stage = places(plan), plan.stages[1]
    for t, (tile, found) in enumerate(zip(stage.tiles, hops(plan, 1), strict=True)):
        for signal, far in zip(tile.rows.tolist(), found.tolist(), strict=True):
            if signal < stage.inputs:
                index, home = homes[signal]
                assert far == np.abs(here[index][home] - here[1][t]).sum()
            elif signal < stage.inputs + stage.bias_rows:
                assert far == 0
    assert max(int(far.max()) for far in hops(plan, 1)) > 0


def test_every_choice_of_chance_is_the_seeds() -> None:
    design = replace(SMALL, neuron=ClockedLif(offset_spread=0.01, mirror_spread=0.02, leak_spread=0.03))
    one, same = plan_spiking(network(), design), plan_spiking(network(), design)
    other = plan_spiking(network(), replace(design, seed=1))
    assert one.digest() == same.digest() != other.digest()
    assert one.digest() != plan_spiking(network(), design, straight=True).digest()
    drawn = [membrane for stage in one.stages for membrane in stage.membranes]
    assert len({membrane.offset for membrane in drawn}) == len(drawn)
    assert drawn[0].mismatch[0] != drawn[0].mismatch[1]


def test_effects_reach_the_synapses() -> None:
    stuck = replace(SMALL, effects=(effects()["stuck"](),))
    plain, changed = plan_spiking(network(), SMALL), plan_spiking(network(), replace(stuck, seed=3))
    assert plain.digest() != changed.digest()


def refused(graph: Graph, design: Design, kind: type[Exception] = DesignError) -> str:
    with pytest.raises(kind) as found:
        plan_spiking(graph, design)
    return str(found.value)


def test_a_scheme_without_two_columns_a_neuron_is_refused() -> None:
    assert refused(network(), replace(SMALL, scheme=RowPair())) == (
        'scheme: expected two columns a neuron and one row an input, as clocked neurons have; set scheme.kind = "pair"'
    )


def test_routes_that_take_too_long_are_refused() -> None:
    late = replace(TILED, spiking=SpikingChoice("crossbar", hop_delay=400e-9))
    assert refused(network(), late) == (
        "stage s1, spiking.hop_delay: expected spikes to arrive within 5.5e-07 s, found 2 hops of 4e-07 s; "
        "lengthen clock.step, enlarge the arrays or shorten the hops' delay"
    )
    plan_spiking(network(), replace(late, clock=Clocking(step=2e-6)))
    plan_spiking(network(), replace(late, spiking=SpikingChoice("layer", hop_delay=400e-9)))


@pytest.mark.parametrize(
    ("c_m", "found", "remedy"), [(1e-17, "2.818e-06", "raise neuron.c_m"), (1e-9, "281.8", "lower neuron.c_m")]
)
def test_mirrors_that_cannot_be_built_are_refused_by_their_layer(c_m: float, found: str, remedy: str) -> None:
    assert refused(network(beta=1.0), replace(SMALL, neuron=ClockedLif(c_m=c_m))) == (
        f"layer 'lif0', neuron 0: expected a ratio of the current mirrors from 1e-05 to 20, found {found}; "
        f"{remedy}, or change the read voltage, clock.pulse or the device's range"
    )


@pytest.mark.parametrize(
    ("neuron", "beta", "message"),
    [
        (
            ClockedLif(),
            0.99999,
            "expected a leak's capacitor from 1e-16 to 1e-09 F, found 1e-17 F for beta = 0.99999; "
            "raise neuron.c_m or train with another beta",
        ),
        (
            ClockedLif(),
            1e-4,
            "expected a leak's capacitor from 1e-16 to 1e-09 F, found 9.999e-09 F for beta = 0.0001; "
            "lower neuron.c_m or train with another beta",
        ),
        (
            ClockedLif(leak="resistor", c_m=1e-10, v_threshold=0.01),
            1e-10,
            "expected a leak's resistor from 1000 to 1e+13 ohm, found 434.3 ohm for beta = 1e-10; "
            "lower neuron.c_m or train with another beta",
        ),
        (
            ClockedLif(leak="resistor"),
            1.0 - 1e-8,
            "expected a leak's resistor from 1000 to 1e+13 ohm, found 1e+14 ohm for beta = 0.99999999; "
            "raise neuron.c_m or train with another beta",
        ),
    ],
)
def test_leaks_that_cannot_be_built_are_refused_by_their_layer(neuron: ClockedLif, beta: float, message: str) -> None:
    assert refused(network(beta=beta), replace(SMALL, neuron=neuron)) == f"layer 'lif0', neuron 0: {message}"


@pytest.mark.parametrize("neuron", [ClockedLif(), ClockedLif45()])
def test_parts_that_cannot_be_built_are_told_by_their_neuron(neuron: ClockedLif | ClockedLif45) -> None:
    nodes = list(network().nodes)
    beta = np.array([0.9, 0.9, 0.9, 1.0 - 1e-9, 0.9])
    nodes[2] = replace(nodes[2], op=replace(nodes[2].op, beta=beta))
    said = refused(Graph(tuple(nodes), ("lif1",)), replace(SMALL, neuron=neuron))
    assert said.startswith("layer 'lif0', neuron 3: expected a leak's capacitor from ")
    assert "F for beta = 0.999999999; raise neuron.c_m" in said


def test_a_layer_of_zeros_is_refused() -> None:
    nodes = (
        Node("x", Input((3,))),
        Node("fc", Linear(np.zeros((2, 3)), np.ones(2)), ("x",)),
        Node("lif", LeakyIntegrateFire(np.full(2, 0.9), np.ones(2)), ("fc",)),
    )
    assert refused(Graph(nodes, ("lif",)), SMALL, ModelError) == (
        "layer 'lif': every weight of the 3 x 2 matrix is zero, nothing can be mapped; remove the layer or train it"
    )


def test_what_a_row_driver_cannot_do_is_told_by_the_plan() -> None:
    driven = replace(SMALL, synapse=PulseDriver45())
    with pytest.raises(DesignError) as refused:
        plan_spiking(network(), driven, straight=True)
    assert str(refused.value) == (
        "synapse pulse_driver_45: expected spikes at the rows, found values in between; encode inputs as spikes, or "
        'choose synapse.kind = "ideal"'
    )
    with pytest.raises(DesignError) as refused:
        plan_spiking(network(), replace(driven, signal=replace(driven.signal, v_read=0.05)))
    assert str(refused.value) == (
        "synapse pulse_driver_45: expected a read voltage from 0.1 V to 0.3 V, found 0.05 V; change signal.v_read, or "
        'choose synapse.kind = "ideal"'
    )
    assert not plan_spiking(network(), driven).straight


def test_a_leak_that_no_capacitor_makes_is_told_by_the_plan() -> None:
    with pytest.raises(DesignError) as refused:
        plan_spiking(network(beta=0.0), replace(SMALL, neuron=ClockedLif45()))
    assert str(refused.value) == (
        "layer 'lif0', neuron 0: expected a beta above 0, which a leak's capacitor can make, found 0; train with a "
        'larger beta, or choose neuron.kind = "clocked_lif"'
    )


def test_a_silence_that_cannot_be_timed_is_told_by_its_layer() -> None:
    quick = replace(SMALL, neuron=ClockedLif(refractory=1), clock=Clocking(step=50e-9, pulse=5e-9, edge=0.5e-9))
    assert refused(network(), quick) == (
        "layer 'lif0', neuron.refractory: expected a resistor from 1e+06 to 1e+12 ohm for the refractory period, found "
        "5.771e+05 ohm for refractory = 1 and steps of 5e-08 s; lengthen clock.step or raise neuron.refractory"
    )


@pytest.mark.parametrize(
    ("reset", "refractory", "said"),
    [
        (("zero", False), 0, ""),
        (("hold", True), 0, ""),
        (("hold", True), 1, ""),
        (
            ("guarded", False),
            0,
            "its reset 'guarded' is built as subtraction, which is another where a membrane comes beyond twice its "
            "threshold",
        ),
        (
            ("zero", True),
            1,
            "neuron.refractory = 1 silences neurons after a spike, where the network has a reset 'zero' alone",
        ),
        (
            ("guarded", False),
            2,
            "neuron.refractory = 2 silences neurons after a spike, where the network has a reset 'guarded' alone",
        ),
    ],
)
def test_neurons_that_are_not_the_networks_are_told(reset: tuple[str, bool], refractory: int, said: str) -> None:
    plan = plan_spiking(network(reset=reset), replace(SMALL, neuron=ClockedLif(refractory=refractory)))
    assert plan.unlike == tuple(f"layer 'lif{k}': {said}" for k in (0, 1) if said)


def test_wires_follow_the_temperature_as_in_other_chips() -> None:
    heat = Temperature(t=350.15)
    warm = Design(effects=(heat,), array=ArrayChoice(r_row=2.0, r_col=3.0))
    plan = plan_spiking(network(), warm)
    (array,) = (part for part in synapses(plan, plan.stages[0]).parts if isinstance(part, Crossbar))
    grown = 1.0 + heat.wire * 50.0
    assert (array.r_row, array.r_col) == pytest.approx((2.0 * grown, 3.0 * grown))


def test_columns_heavier_than_neurons_hold_are_refused() -> None:
    heavy = Graph(
        (
            Node("x", Input((100,))),
            Node("fc", Linear(np.concatenate([np.ones((1, 100)), -np.ones((1, 100))]), np.zeros(2)), ("x",)),
            Node("lif", LeakyIntegrateFire(np.full(2, 0.9), np.full(2, 10.0), "zero", False), ("fc",)),
        ),
        ("lif",),
    )
    design = replace(SMALL, neuron=ClockedLif45(), array=ArrayChoice(rows=128, cols=8, r_row=0.0, r_col=0.0))
    with pytest.raises(DesignError) as refused:
        plan_spiking(heavy, design)
    assert str(refused.value) == (
        "layer 'lif', neuron: expected at most 0.0025 S of devices in a column, found 0.01 S in column p of neuron 0 "
        "(2 in all); raise neuron.i_column, lower the device's range, or give neurons fewer inputs"
    )
