"""The clocked neuron in transistors as mathematics: the network's own neuron within what its circuit errs."""

import numpy as np
import pytest

from ohmweave.blocks import BUILTIN_NEURONS, ClockedLif45, ClockedNeuron, Clocking
from ohmweave.blocks.spiking import Membrane
from ohmweave.ops import LeakyIntegrateFire
from ohmweave.ops.spiking import run_steps
from ohmweave.units import Array

CLOCK, NEURON = Clocking(), ClockedLif45()
RESETS = [("zero", True), ("zero", False), ("subtract", True), ("subtract", False), ("none", False), ("hold", True)]
# Of one neuron, in thresholds a step; no membrane comes within 5 % of its threshold.
INPUTS = np.array([0.6, 0.8, -0.5, 0.9, 1.0, -0.9, 0.3, 0.8, 0.9, 0.2])


def by_circuit(membrane: Membrane, inputs: Array) -> tuple[Array, Array]:
    """Spikes, and membranes in thresholds, of charges on top of one of 4 pC in both columns."""
    soma = NEURON.soma([membrane], CLOCK)
    unit = NEURON.c_m * NEURON.v_threshold / (membrane.gain * float(np.mean(NEURON.figures.transfer)))
    v, spikes, found = soma.start(1), np.zeros((1, 1)), []
    for moved in inputs:
        charges = 4e-12 + unit * max(moved, 0.0), 4e-12 + unit * max(-moved, 0.0)
        v, spikes = soma.step(v, spikes, (np.full((1, 1), charges[0]), np.full((1, 1), charges[1])))
        found.append((spikes[0, 0], v[0, 0] / NEURON.v_threshold))
    spiked, volts = np.array(found).T
    return spiked, volts


@pytest.mark.parametrize("beta", [0.6, 0.9])
@pytest.mark.parametrize(("reset", "delay"), RESETS)
def test_every_reset_is_the_networks(reset: str, delay: bool, beta: float) -> None:
    # Without a reset membranes would leave their mirrors' room.
    inputs = INPUTS * (0.55 if reset == "none" and beta == 0.9 else 1.0)
    op = LeakyIntegrateFire(np.full(1, beta), np.ones(1), reset, delay)
    wanted, membranes = (each.ravel() for each in run_steps(op, inputs[None, :, None]))
    spiked, volts = by_circuit(Membrane(0.1, beta, reset, delay), inputs)
    np.testing.assert_array_equal(spiked, wanted)
    assert 0 < wanted.sum() < len(wanted)
    assert np.abs(volts - membranes).max() < 0.03


@pytest.mark.parametrize("kind", BUILTIN_NEURONS)
def test_every_neuron_has_all_that_a_chip_asks_of_it(kind: str) -> None:
    neuron = BUILTIN_NEURONS[kind]()
    asked = {name for name in vars(ClockedNeuron) if not name.startswith("_")}
    assert {"tolerance", "membrane_tolerance", "gain", "soma"} <= asked
    assert [name for name in sorted(asked) if not hasattr(neuron, name)] == []
    assert 0.0 <= neuron.tolerance <= 0.01
    assert 0.0 < neuron.membrane_tolerance <= 0.05
