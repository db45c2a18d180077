"""Spiking chips of small random networks, whole in ngspice: every spike and every membrane of the native engine."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ohmweave.analysis.trains import agreement_of_trains
from ohmweave.blocks import ClockedLif, ClockedLif45, Clocking, PulseDriver, PulseDriver45
from ohmweave.choices import ArrayChoice, SpikingChoice
from ohmweave.design import Design
from ohmweave.devices import Sinh
from ohmweave.encoders import Rate
from ohmweave.frontend import load_data, read_nir
from ohmweave.graph import Graph, Input, Linear, Node
from ohmweave.ops import LeakyIntegrateFire, RecurrentLeakyIntegrateFire
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.spiking import SpikingChip, plan_spiking
from ohmweave.temporal import run, trace
from ohmweave.units import Array

EXAMPLES = Path(__file__).parents[2] / "examples"
STEPS = 8
# Of the threshold; what is left is the simulator's tolerance and the corner of the clamp that holds membranes.
MEMBRANE = 1e-3
PLAIN = Design(array=ArrayChoice(rows=8, cols=8, r_row=0.0, r_col=0.0))
WIRED = Design(array=ArrayChoice(rows=4, cols=4, r_row=5.0, r_col=5.0))
ROUTED = replace(WIRED, spiking=SpikingChoice("crossbar", hop_delay=80e-9))
RESETS = [("zero", True), ("zero", False), ("subtract", True), ("subtract", False), ("none", False), ("hold", True)]


def network(reset: str = "zero", delay: bool = False, *, recurrent: bool = False, biased: bool = False) -> Graph:
    """Random weights, 6-5-3; thresholds around 1, decays from 0.7 to 1."""
    rng = np.random.default_rng(1)
    nodes = [Node("x", Input((6,)))]
    for k, (inputs, outputs) in enumerate(pairwise((6, 5, 3))):
        weight = rng.normal(0.3, 2.0 / np.sqrt(inputs), (outputs, inputs))
        bias = rng.normal(0.1, 0.3, outputs) * biased
        beta, threshold = rng.uniform(0.7, 1.0, outputs), rng.uniform(0.8, 1.2, outputs)
        own, more = rng.normal(0.0, 0.5, (outputs, outputs)), np.zeros(outputs)
        leaky = LeakyIntegrateFire(beta, threshold, reset, delay)
        heard = RecurrentLeakyIntegrateFire(beta, threshold, own, more, reset, delay)
        nodes.append(Node(f"fc{k}", Linear(weight, bias), (nodes[-1].name,)))
        nodes.append(Node(f"lif{k}", heard if recurrent else leaky, (nodes[-1].name,)))
    return Graph(tuple(nodes), ("lif1",))


def trains() -> Array:
    return (np.random.default_rng(2).random((1, STEPS, 6)) < 0.5).astype(np.float64)


def assert_same(spice: NgspiceSimulator, chip: SpikingChip, x: Array) -> None:
    """Both engines find the same spikes and membranes, and every layer has neurons that spike and others."""
    mine, its = chip.simulate(x), chip.simulate(x, "ngspice", spice=spice)
    for stage in ("s0", "s1"):
        np.testing.assert_array_equal(mine.spikes[stage], its.spikes[stage])
        np.testing.assert_allclose(mine.membranes[stage], its.membranes[stage], rtol=0.0, atol=MEMBRANE)
        assert 0.0 < mine.spikes[stage].mean() < 1.0


@pytest.mark.parametrize(("reset", "delay"), RESETS)
def test_every_reset_is_that_of_spice(spice: NgspiceSimulator, reset: str, delay: bool) -> None:
    assert_same(spice, SpikingChip(plan_spiking(network(reset, delay), PLAIN)), trains())


@pytest.mark.parametrize(("reset", "delay"), [("zero", False), ("subtract", True), ("hold", True)])
@pytest.mark.parametrize("design", [PLAIN, ROUTED], ids=["layer", "crossbar"])
def test_neurons_that_hear_themselves_and_biases_are_those_of_spice(
    spice: NgspiceSimulator, design: Design, reset: str, delay: bool
) -> None:
    assert_same(spice, SpikingChip(plan_spiking(network(reset, delay, recurrent=True, biased=True), design)), trains())


def test_a_digits_image_spikes_in_spice_as_in_software(spice: NgspiceSimulator) -> None:
    """The trained network whole, 42 neurons on 4,736 devices, all 25 steps; parts without resistance."""
    neuron, array = ClockedLif(r_in=0.01, v_limit=3.0), ArrayChoice(r_row=0.0, r_col=0.0)
    design = Design(neuron=neuron, array=array, synapse=PulseDriver(r_source=0.01), encoding=Rate(25))
    chip = SpikingChip(plan_spiking(read_nir(EXAMPLES / "spiking_digits.nir").graph, design))
    x = chip.plan.encode(load_data("digits", "test").x[:1])
    found, names = chip.simulate(x, "ngspice", spice=spice), [stage.layers[-1] for stage in chip.plan.stages]
    software = trace(chip.plan.graph, x, names).values
    for stage, name in zip(("s0", "s1"), names, strict=True):
        np.testing.assert_array_equal(found.spikes[stage], software[name])
        assert software[name].any()


def assert_followed(spice: NgspiceSimulator, chip: SpikingChip, allowed: float) -> None:
    """A chip in transistors: no spike is a step from the circuit's; where mirrors have room, membranes are close."""
    mine, its = chip.simulate(trains()), chip.simulate(trains(), "ngspice", spice=spice)
    for stage in ("s0", "s1"):
        assert agreement_of_trains(its.spikes[stage], mine.spikes[stage]).astray == 0
        inside = np.abs(its.membranes[stage]) < 1.8
        assert inside.mean() > 0.4
        np.testing.assert_allclose(mine.membranes[stage][inside], its.membranes[stage][inside], rtol=0.0, atol=allowed)
        assert 0.0 < mine.spikes[stage].mean() < 1.0


@pytest.mark.parametrize(
    ("design", "reset", "delay"),
    [(PLAIN, "zero", False), (PLAIN, "subtract", True), (WIRED, "zero", False)],
    ids=["bare", "subtract", "wired"],
)
def test_a_chip_in_transistors_is_that_of_spice(
    spice: NgspiceSimulator, design: Design, reset: str, delay: bool
) -> None:
    """Neurons and row drivers; columns of six devices, whose amplifiers have next to no load.

    What the mathematics miss where mirrors have no room, beyond 1.8 thresholds, stays when a reset only subtracts.
    """
    built = replace(design, neuron=ClockedLif45(), synapse=PulseDriver45())
    chip = SpikingChip(plan_spiking(network(reset, delay), built))
    assert_followed(spice, chip, 0.02 if reset == "zero" else 0.1)


@pytest.mark.parametrize("design", [WIRED, ROUTED], ids=["layer", "crossbar"])
def test_wires_and_routes_are_those_of_spice(spice: NgspiceSimulator, design: Design) -> None:
    plan = plan_spiking(network("subtract"), design)
    assert len(plan.stages[0].tiles) == (1 if design is WIRED else 6)
    assert_same(spice, SpikingChip(plan), trains())


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_leaks_by_resistors_are_those_of_spice(spice: NgspiceSimulator, reset: str) -> None:
    design = replace(PLAIN, neuron=ClockedLif(leak="resistor"))
    assert_same(spice, SpikingChip(plan_spiking(network(reset), design)), trains())


@pytest.mark.parametrize(("leak", "jitter"), [("switched", 0.05), ("resistor", 0.0)])
def test_spreads_and_jitter_are_those_of_spice(spice: NgspiceSimulator, leak: str, jitter: float) -> None:
    neuron = ClockedLif(leak=leak, offset_spread=20e-3, mirror_spread=0.05, leak_spread=0.1)
    design = replace(PLAIN, neuron=neuron, clock=Clocking(jitter=jitter))
    assert_same(spice, SpikingChip(plan_spiking(network("subtract", biased=True), design)), trains())


@pytest.mark.parametrize(
    ("design", "recurrent"),
    [(PLAIN, False), (PLAIN, True), (ROUTED, True)],
    ids=["ahead", "recurrent", "recurrent, crossbar"],
)
def test_neurons_that_are_silent_after_a_spike_are_those_of_spice(
    spice: NgspiceSimulator, design: Design, recurrent: bool
) -> None:
    graph = network("subtract", recurrent=recurrent, biased=True)
    chip = SpikingChip(plan_spiking(graph, replace(design, neuron=ClockedLif(refractory=2))))
    assert_same(spice, chip, trains())
    found = chip.simulate(trains()).spikes
    always = SpikingChip(plan_spiking(graph, design)).simulate(trains()).spikes
    for stage in ("s0", "s1"):
        assert found[stage].sum() < always[stage].sum()


def test_neurons_in_transistors_hear_themselves_over_routes_and_spread_as_in_spice(spice: NgspiceSimulator) -> None:
    neuron = ClockedLif45(offset_spread=5e-3, mirror_spread=0.02, leak_spread=0.05)
    design = replace(ROUTED, neuron=neuron, synapse=PulseDriver45(), clock=Clocking(jitter=0.03))
    assert_followed(spice, SpikingChip(plan_spiking(network(recurrent=True, biased=True), design)), 0.05)


def test_transistors_are_silent_after_a_spike_as_in_spice(spice: NgspiceSimulator) -> None:
    graph, built = network("subtract"), replace(PLAIN, synapse=PulseDriver45())
    chip, always = (SpikingChip(plan_spiking(graph, replace(built, neuron=ClockedLif45(refractory=n)))) for n in (2, 0))
    assert_followed(spice, chip, 0.02)
    found, free = chip.simulate(trains()).spikes, always.simulate(trains()).spikes
    for stage in ("s0", "s1"):
        assert found[stage].sum() < free[stage].sum()


@pytest.mark.parametrize("ohms", [0.0, 5.0])
def test_devices_with_a_curve_are_those_of_spice(spice: NgspiceSimulator, ohms: float) -> None:
    design = replace(WIRED, device=Sinh(), array=ArrayChoice(8, 8, ohms, ohms))
    assert_same(spice, SpikingChip(plan_spiking(network(biased=True, recurrent=True), design)), trains())


def test_analog_inputs_are_those_of_spice(spice: NgspiceSimulator) -> None:
    x = np.random.default_rng(3).random((1, STEPS, 6))
    assert_same(spice, SpikingChip(plan_spiking(network(), PLAIN, straight=True)), x)


def test_a_network_with_no_wires_in_its_way_spikes_as_the_chip_does(spice: NgspiceSimulator) -> None:
    graph, x = network("subtract", recurrent=True, biased=True), trains()
    design = replace(PLAIN, neuron=ClockedLif(r_in=0.01, v_limit=3.0), synapse=PulseDriver(r_source=0.01))
    found = SpikingChip(plan_spiking(graph, design)).simulate(x, "ngspice", spice=spice)
    np.testing.assert_array_equal(found.output, run(graph, x))
