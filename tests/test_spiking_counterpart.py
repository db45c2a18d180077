"""A network in the other microarchitecture: what it takes there is what a chip made so takes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ohmweave.choices import ArrayChoice, SpikingChoice
from ohmweave.design import Design
from ohmweave.devices import Sinh
from ohmweave.graph import Graph, Input, Linear, Node
from ohmweave.ops import LeakyIntegrateFire
from ohmweave.spiking import SpikingChip, plan_spiking
from ohmweave.spiking.costs import energies, layouts, together
from ohmweave.spiking.counterpart import Counterpart, counterpart

LAYER = Design(array=ArrayChoice(rows=4, cols=6))
TILED = replace(LAYER, spiking=SpikingChoice("crossbar"))
TRAINS = (np.random.default_rng(2).random((4, 8, 7)) < 0.5).astype(np.float64)


def network() -> Graph:
    """7-5-3."""
    rng = np.random.default_rng(0)
    nodes = [Node("x", Input((7,)))]
    for k, (inputs, outputs) in enumerate(((7, 5), (5, 3))):
        layer = Linear(rng.normal(0.3, 1.0, (outputs, inputs)), np.zeros(outputs))
        lif = LeakyIntegrateFire(np.full(outputs, 0.9), np.ones(outputs))
        nodes += [Node(f"fc{k}", layer, (nodes[-1].name,)), Node(f"lif{k}", lif, (f"fc{k}",))]
    return Graph(tuple(nodes), ("lif1",))


@pytest.mark.parametrize(("design", "other"), [(LAYER, TILED), (TILED, LAYER)], ids=["layer", "crossbar"])
@pytest.mark.parametrize("straight", [False, True])
def test_it_is_what_a_chip_made_so_takes(design: Design, other: Design, straight: bool) -> None:
    trains = 0.5 * TRAINS if straight else TRAINS
    found = counterpart(plan_spiking(network(), design, straight=straight), trains)
    chip = SpikingChip(plan_spiking(network(), other, straight=straight))
    assert found.microarchitecture == other.spiking.microarchitecture
    assert found.layout == together(layouts(chip.plan))
    assert found.joules == {part: each.mean() for part, each in energies(chip, trains).items()}
    assert found.left_out == ""
    assert found.summary()["energy_total_j"] == pytest.approx(sum(found.joules.values()))
    assert found.summary()["arrays"] == len(chip.plan.stages[0].tiles) + len(chip.plan.stages[1].tiles)


def test_large_ones_are_left_out() -> None:
    left_out = "its arrays have 100 crossings, too many to be planned in passing"
    assert counterpart(plan_spiking(network(), TILED), TRAINS, most=99) == Counterpart("layer", left_out=left_out)
    assert counterpart(plan_spiking(network(), LAYER), TRAINS, most=99) == Counterpart("crossbar", left_out=left_out)
    assert counterpart(plan_spiking(network(), LAYER), TRAINS, most=100).layout is not None


def test_those_that_cannot_be_built_say_why() -> None:
    slow = replace(LAYER, spiking=SpikingChoice("layer", hop_delay=1e-6))
    found = counterpart(plan_spiking(network(), slow), TRAINS)
    assert found.left_out == (
        "this design will not do there: stage s1, spiking.hop_delay: expected spikes to arrive within 5.5e-07 s, found "
        "2 hops of 1e-06 s; lengthen clock.step, enlarge the arrays or shorten the hops' delay"
    )
    assert (found.layout, found.joules) == (None, {})
    assert found.summary() == {"microarchitecture": "crossbar", "energy_total_j": None, "left_out": found.left_out}


def test_nonlinear_devices_are_planned_alone() -> None:
    found = counterpart(plan_spiking(network(), replace(LAYER, device=Sinh())), TRAINS)
    assert found.layout == together(layouts(plan_spiking(network(), replace(TILED, device=Sinh()))))
    assert (found.joules, found.left_out) == ({}, "energies of nonlinear devices take too long in passing")


@pytest.mark.parametrize("most", [0, 1000])
def test_it_is_kept_as_json(most: int) -> None:
    found = counterpart(plan_spiking(network(), LAYER), TRAINS, most)
    assert Counterpart.unpack(json.loads(json.dumps(found.pack()))) == found
