"""The clocked neuron in transistors as mathematics: the network's own neuron within what its circuit errs."""

import numpy as np
import pytest

from ohmweave.blocks import BUILTIN_NEURONS, ClockedLif45, ClockedNeuron, Clocking
from ohmweave.blocks.spiking import Membrane
from ohmweave.circuit import Instance, Resistor
from ohmweave.errors import DesignError
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
    farads = NEURON.c_m + NEURON.figures.at_rest(membrane.gain)
    unit = farads * NEURON.v_threshold / (membrane.gain * float(np.mean(NEURON.figures.transfer)))
    assert NEURON.gain(unit, 1.0, CLOCK) == pytest.approx(membrane.gain)
    state, found = soma.start(1), []
    for moved in inputs:
        charges = 4e-12 + unit * max(moved, 0.0), 4e-12 + unit * max(-moved, 0.0)
        state = soma.step(state, (np.full((1, 1), charges[0]), np.full((1, 1), charges[1])))
        found.append((state.spikes[0, 0], state.membranes[0, 0] / NEURON.v_threshold))
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
    assert 0.0 < neuron.membrane_tolerance <= 0.1


# k = 0.2.
UNIT = 1e-12 * 0.2 / 0.2
REFUSED: list[tuple[ClockedLif45, float, float, Clocking, str]] = [
    (
        NEURON,
        1e-15,
        0.9,
        CLOCK,
        "neuron: expected a ratio of the current mirrors from 0.02 to 0.4, found 201.3; lower neuron.c_m, or change "
        "the read voltage, clock.pulse or the device's range",
    ),
    (
        NEURON,
        UNIT / 2.2,
        0.9,
        CLOCK,
        "neuron: expected a ratio of the current mirrors from 0.02 to 0.4, found 0.4429; lower neuron.c_m, or change "
        "the read voltage, clock.pulse or the device's range",
    ),
    (
        NEURON,
        UNIT,
        0.0,
        CLOCK,
        "neuron: expected a beta above 0, which a leak's capacitor can make, found 0; train with a larger beta, or "
        'choose neuron.kind = "clocked_lif"',
    ),
    (
        NEURON,
        UNIT,
        0.999,
        CLOCK,
        "neuron: expected a leak's capacitor from 2e-15 to 2.5e-10 F, found 1.001e-15 F for beta = 0.999; raise "
        "neuron.c_m or train with a smaller beta",
    ),
    (
        NEURON,
        UNIT,
        0.9,
        Clocking(step=5e-6),
        'clock.step: expected 5e-07 s to 2e-06 s, found 5e-06 s; try step = "1 us"',
    ),
    (
        NEURON,
        UNIT,
        0.9,
        Clocking(pulse=20e-9),
        'clock.pulse: expected 5e-08 s to 2.1e-07 s, found 2e-08 s; try pulse = "100 ns"',
    ),
]


@pytest.mark.parametrize(
    ("neuron", "per_unit", "beta", "clock", "message"),
    REFUSED,
    ids=["high", "beyond", "beta0", "beta1", "step", "pulse"],
)
def test_only_what_was_measured_is_planned(
    neuron: ClockedLif45, per_unit: float, beta: float, clock: Clocking, message: str
) -> None:
    with pytest.raises(DesignError) as refused:
        neuron.gain(per_unit, beta, clock)
    assert str(refused.value) == message


def test_a_neuron_without_leak_needs_no_capacitor() -> None:
    k = NEURON.gain(UNIT, 1.0, CLOCK)
    farads = NEURON.c_m + NEURON.figures.at_rest(k)
    assert k == pytest.approx(farads * NEURON.v_threshold / (UNIT * np.mean(NEURON.figures.transfer)))
    assert 0.2 < k < 0.204


def test_the_figures_hold_for_currents_like_the_one_measured() -> None:
    with pytest.raises(DesignError) as refused:
        ClockedLif45(i_column=1e-3)
    assert str(refused.value) == (
        'neuron.i_column: expected 5e-05 A to 0.0002 A, found 0.001 A; try i_column = "100 uA"'
    )
    cells = [ClockedLif45(i_column=amps).column("end") for amps in (50e-6, 100e-6)]
    ohms = [
        part.of.ohms
        for cell in cells
        for part in cell.parts
        if isinstance(part, Instance) and isinstance(part.of, Resistor)
    ]
    assert ohms[0] == pytest.approx(2.0 * ohms[1])


def test_columns_beyond_the_tables_are_told() -> None:
    soma = NEURON.soma([Membrane(0.1, 0.9, "zero", False)] * 3, CLOCK)
    charges = np.array([[0.0, 1.0, 4.0], [0.0, 4.2, 4.4]]) * 100e-6 * CLOCK.pulse
    none = np.zeros_like(charges)
    with pytest.raises(DesignError) as refused:
        soma.step(soma.start(2), (none, charges))
    assert str(refused.value) == (
        "neuron.i_column: expected column currents from -3e-06 to 0.0004 A, as were measured, found 0.00042 A in "
        "column n of neuron 1 (2 in all); raise i_column, or lower signal.v_read or the device's range"
    )
    assert np.isfinite(soma.step(soma.start(1), (charges[:1], charges[:1])).membranes).all()
