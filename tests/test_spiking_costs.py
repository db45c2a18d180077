"""What spiking chips take: counted by hand on a small chip, and joules that are those of its parts."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from ohmweave.blocks import ClockedLif, ClockedLif45, Clocking
from ohmweave.choices import ArrayChoice, SpikingChoice
from ohmweave.design import Design
from ohmweave.devices import Sinh
from ohmweave.graph import Graph, Input, Linear, Node
from ohmweave.ops import LeakyIntegrateFire, RecurrentLeakyIntegrateFire
from ohmweave.spiking import SpikingChip, plan_spiking
from ohmweave.spiking.costs import Layout, distances, energies, layouts, stage_energies, together
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


def test_no_wires_have_no_segments() -> None:
    plan = plan_spiking(network(), replace(LAYER, array=ArrayChoice(r_row=0.0, r_col=0.0)))
    assert together(layouts(plan)).segments == 0


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
