"""What spiking chips take: counted by hand on a small chip, and joules that are those of its parts."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from ohmweave.blocks import ClockedLif, ClockedLif45, Clocking
from ohmweave.choices import ArrayChoice, SpikingChoice
from ohmweave.design import Design
from ohmweave.devices import Sinh
from ohmweave.graph import Graph, Input, Linear, Node
from ohmweave.ops import Conv, LeakyIntegrateFire, RecurrentLeakyIntegrateFire
from ohmweave.spiking import SpikingChip, plan_spiking
from ohmweave.spiking.costs import (
    Layout,
    distances,
    energies,
    energy_scope,
    fan_outs,
    layouts,
    stage_energies,
    synaptic_events,
    together,
)
from ohmweave.units import Array

LAYER = Design(array=ArrayChoice(rows=4, cols=6))
TILED = replace(LAYER, spiking=SpikingChoice("crossbar"))


def network(*, recurrent: bool = False) -> Graph:
    """7-5-3 with biases in the second layer."""
    rng = np.random.default_rng(0)
    nodes = [Node("x", Input((7,)))]
    for k, (inputs, outputs) in enumerate(((7, 5), (5, 3))):
        layer = Linear(rng.normal(0.3, 1.0, (outputs, inputs)), np.full(outputs, 0.1 * k))
        args = np.full(outputs, 0.9), np.ones(outputs)
        heard = RecurrentLeakyIntegrateFire(*args, rng.normal(size=(outputs, outputs)), np.zeros(outputs))
        op = heard if recurrent else LeakyIntegrateFire(*args)
        nodes += [Node(f"fc{k}", layer, (nodes[-1].name,)), Node(f"lif{k}", op, (f"fc{k}",))]
    return Graph(tuple(nodes), ("lif1",))


def spikes() -> Array:
    return (np.random.default_rng(2).random((4, 8, 7)) < 0.5).astype(np.float64)


def test_a_layer_is_one_array_whose_crossings_are_all_in_use() -> None:
    first, second = layouts(plan_spiking(network(), LAYER))
    assert first == Layout("s0", ("fc0", "lif0"), 1, 70, 70, 5, 7, 140, 0, 0)
    assert second == Layout("s1", ("fc1", "lif1"), 1, 36, 36, 3, 6, 72, 0, 0)
    assert together((first, second)) == Layout("chip", ("fc0", "lif0", "fc1", "lif1"), 2, 106, 106, 8, 13, 212, 0, 0)
    assert first.utilisation == 1.0


def test_tiles_of_one_size_are_used_in_part_and_spikes_hop_between_them() -> None:
    plan = plan_spiking(network(), TILED)
    first, second = layouts(plan)
    assert (first.arrays, first.crossings, first.drivers, first.hops) == (4, 4 * 24, 7 + 7, 0)
    assert first.utilisation == pytest.approx(70 / 96)
    # Tiles 0, 1, 2 in the mesh's first row, 3, 4, 5 in its second; 4 and 5 are the second layer's, rows 0 to 3 and
    # neuron 4 with the bias. Neurons 0 to 2 are at tile 0, 3 and 4 at tile 2.
    assert (second.arrays, second.longest) == (2, 2)
    assert second.hops == 3 * 2 + 2 + 1
    np.testing.assert_array_equal(distances(plan, 1), [2, 2, 2, 2, 1, 0])
    assert together((first, second)).arrays == 6


@pytest.mark.parametrize(("r_row", "r_col", "sides"), [(0.0, 0.0, 0), (1.0, 0.0, 1), (0.0, 1.0, 1), (1.0, 1.0, 2)])
def test_lines_without_resistance_have_no_segments(r_row: float, r_col: float, sides: int) -> None:
    plan = plan_spiking(network(), replace(LAYER, array=ArrayChoice(r_row=r_row, r_col=r_col)))
    assert together(layouts(plan)).segments == sides * sum(t.g.size for stage in plan.stages for t in stage.tiles)


@pytest.mark.parametrize("recurrent", [False, True])
def test_routing_takes_a_hops_energy_for_each_hop_of_each_spike(recurrent: bool) -> None:
    chip, x = SpikingChip(plan_spiking(network(recurrent=recurrent), TILED)), spikes()
    found, run = energies(chip, x), chip.simulate(x, energy=True)
    first, second = (run.spikes[name].sum(axis=1) for name in ("s0", "s1"))
    hops = first @ distances(chip.plan, 1)[:5]
    if recurrent:
        hops = hops + first @ distances(chip.plan, 0)[7:] + second @ distances(chip.plan, 1)[6:]
    assert (hops > 0).all()
    np.testing.assert_allclose(found["routing"], 100e-15 * hops, rtol=1e-12)
    np.testing.assert_allclose(found["rows"], run.joules["s0"] + run.joules["s1"], rtol=1e-12)
    assert set(found) == {"rows", "routing"}
    assert (energies(SpikingChip(plan_spiking(network(), LAYER)), x)["routing"] == 0.0).all()


def pictures() -> Graph:
    """A 5 x 5 picture, two kernels of 3 x 3, and 18 neurons that each hear themselves."""
    rng, shape = np.random.default_rng(1), (2, 3, 3)
    heard = RecurrentLeakyIntegrateFire(np.full(shape, 0.9), np.ones(shape), rng.normal(size=shape), np.zeros(shape))
    conv = Conv(rng.normal(0.3, 1.0, (2, 1, 3, 3)), np.full(2, 0.1))
    return Graph((Node("x", Input((1, 5, 5))), Node("c", conv, ("x",)), Node("lif", heard, ("c",))), ("lif",))


@pytest.mark.parametrize("design", [LAYER, TILED], ids=["layer", "crossbar"])
def test_a_pixel_has_a_synapse_for_each_tap_that_sees_it_and_a_neuron_that_hears_itself_one(design: Design) -> None:
    (stage,) = plan_spiking(pictures(), design).stages
    # Windows of three that see each of five pixels of a line.
    along = np.array([1, 2, 3, 2, 1])
    found = fan_outs(stage)
    np.testing.assert_array_equal(found[:25], 2 * np.outer(along, along).ravel())
    np.testing.assert_array_equal(found[25 : 25 + stage.bias_rows].sum(), 18)
    np.testing.assert_array_equal(found[25 + stage.bias_rows :], np.ones(18))


def test_a_dense_layer_has_a_synapse_for_every_weight_also_of_zero_and_where_a_device_failed() -> None:
    graph = network()
    layer = Linear(np.eye(5, 7), np.zeros(5))
    (first, second) = plan_spiking(
        replace(graph, nodes=(graph.nodes[0], replace(graph.nodes[1], op=layer), *graph.nodes[2:])), TILED
    ).stages
    np.testing.assert_array_equal(fan_outs(first), np.full(7, 5))
    np.testing.assert_array_equal(fan_outs(second), np.full(6, 3))
    opened = replace(first, tiles=tuple(replace(tile, g=np.full_like(tile.g, np.nan)) for tile in first.tiles))
    np.testing.assert_array_equal(fan_outs(opened), np.full(7, 5))


@pytest.mark.parametrize("design", [LAYER, TILED], ids=["layer", "crossbar"])
def test_events_are_spikes_times_the_synapses_they_reach(design: Design) -> None:
    plan = plan_spiking(pictures(), design)
    x, own = np.zeros((2, 4, 25)), np.zeros((2, 4, 18))
    x[0, 1, 0] = x[0, 3, 12] = x[1, 2, 7] = 1.0
    # The last step's spike is heard by nobody.
    own[0, 0, 4] = own[0, 2, 4] = own[0, 3, 4] = 1.0
    # A corner is seen once by both kernels, the middle nine times, the pixel above it six times.
    np.testing.assert_array_equal(synaptic_events(plan, x, {"s0": own}), [2 * 1 + 2 * 9 + 2, 2 * 6])
    np.testing.assert_array_equal(synaptic_events(plan, 0.5 * x, {"s0": 0.0 * own}), [1 + 9, 6])


def test_events_of_a_stage_are_those_of_the_spikes_it_reads() -> None:
    chip, x = SpikingChip(plan_spiking(network(), LAYER)), spikes()
    run = chip.simulate(x)
    wanted = 5 * x.sum(axis=(1, 2)) + 3 * run.spikes["s0"].sum(axis=(1, 2))
    np.testing.assert_array_equal(synaptic_events(chip.plan, x, run.spikes), wanted)


def test_what_energies_include_is_said() -> None:
    assert energy_scope(LAYER) == (
        "only what row drivers deliver to the arrays and what routing takes; ideal neurons have no supply, so that the "
        "currents of columns and their copies, comparators, clocks and leaks are not in it"
    )
    assert energy_scope(replace(LAYER, neuron=ClockedLif45())) == (
        "what row drivers deliver to the arrays, what routing takes, and what neurons take from their supplies; clocks "
        "come from outside"
    )


@dataclass(frozen=True)
class Costly(ClockedLif):
    """1 fJ a step, 1 pJ a spike, 1 J/C."""

    def joules(self, clock: Clocking, steps: int, spikes: Array, coulombs: Array) -> Array:
        return steps * 1e-15 + spikes * 1e-12 + coulombs


@pytest.mark.parametrize("device", [LAYER.device, Sinh(v0=100.0)], ids=["linear", "sinh"])
def test_neurons_take_what_their_figures_say(device: object) -> None:
    array = replace(LAYER.array, r_row=0.0, r_col=0.0)
    design = replace(LAYER, neuron=Costly(r_in=1e-6), device=device, array=array)  # type: ignore[arg-type]
    chip, x = SpikingChip(plan_spiking(network(), design)), spikes()
    run = chip.simulate(x)
    charge = np.zeros(4)
    for stage, rows in zip(chip.plan.stages, (x, run.spikes["s0"]), strict=True):
        each = 0.2 * 100e-9 * np.nansum(stage.tiles[0].g, axis=1)
        charge += rows.sum(axis=1) @ each[: stage.inputs] + 8 * each[stage.inputs :].sum()
    count = sum(found.sum(axis=(1, 2)) for found in run.spikes.values())
    np.testing.assert_allclose(energies(chip, x)["neurons"], 8 * 8 * 1e-15 + count * 1e-12 + charge, rtol=3e-3)


def test_transistor_neurons_have_figures() -> None:
    neuron = ClockedLif45()
    found = neuron.figures
    taken = neuron.joules(Clocking(), 10, np.array([3.0]), np.array([2e-12]))
    wanted = 10 * found.energy_step + 3 * found.energy_spike + 2e-12 * found.energy_charge
    np.testing.assert_allclose(taken, [wanted], rtol=1e-12)
    # Currents at rest last as long as the step and are shares of the design current.
    more = replace(neuron, i_column=200e-6).joules(Clocking(step=2e-6), 10, np.array([3.0]), np.array([2e-12]))
    np.testing.assert_allclose(more - taken, [30 * found.energy_step], rtol=1e-9)
    assert set(energies(SpikingChip(plan_spiking(network(), replace(TILED, neuron=neuron))), spikes())) == {
        "rows",
        "routing",
        "neurons",
    }


def test_stages_energies_add_up_to_the_chips() -> None:
    chip, x = SpikingChip(plan_spiking(network(), replace(TILED, neuron=ClockedLif45()))), spikes()
    every, stages = energies(chip, x), stage_energies(chip, x)
    assert list(every) == ["rows", "routing", "neurons"]
    assert list(stages) == ["s0", "s1"]
    for part, joules in every.items():
        np.testing.assert_allclose(stages["s0"][part] + stages["s1"][part], joules, rtol=1e-12)
    # Inputs come from elsewhere: their ways are not the chip's.
    assert (stages["s0"]["routing"] == 0.0).all()
    assert (stages["s1"]["routing"] > 0.0).all()
