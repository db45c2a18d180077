"""The clocked neuron with ideal parts: its refractory period, what is refused, and its mathematics in two ways."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.blocks import ClockedLif, ClockedLif45, Clocking
from ohmweave.blocks.lif_soma import LifSoma
from ohmweave.blocks.spiking import Membrane, SomaState
from ohmweave.circuit import Instance, Resistor
from ohmweave.design import Design
from ohmweave.errors import DesignError, UserError
from ohmweave.units import Array

CLOCK = Clocking()
RESETS = [("zero", False), ("subtract", False), ("subtract", True), ("hold", False), ("none", False)]
# A charge into column p that is one threshold of a neuron with a gain of 0.1.
UNIT = 1e-12 * 0.3 / 0.1


def soma_of(neuron: ClockedLif, *resets: tuple[str, bool], beta: float = 0.9) -> LifSoma:
    return neuron.soma(
        [Membrane(0.1, beta, *reset, offset=1e-3, mismatch=(0.01, -0.02, 0.0)) for reset in resets], CLOCK
    )


def stepped(soma: LifSoma, charges: Array) -> tuple[Array, Array]:
    """Spikes and membranes step by step, for charges into p (positive) or n, [samples, steps, neurons], C."""
    state, spikes, volts = soma.start(len(charges)), [], []
    for now in charges.swapaxes(0, 1):
        state = soma.step(state, (np.maximum(now, 0.0), np.maximum(-now, 0.0)))
        spikes.append(state.spikes)
        volts.append(state.membranes)
    return np.stack(spikes, axis=1), np.stack(volts, axis=1)


def scanned(soma: LifSoma, charges: Array) -> tuple[Array, Array]:
    """The same in one scan."""
    moved = soma.gains[0] * np.maximum(charges, 0.0) - soma.gains[1] * np.maximum(-charges, 0.0)
    return soma.scan(moved), moved


def charges(seed: int, steps: int = 30) -> Array:
    return UNIT * np.random.default_rng(seed).normal(0.4, 0.8, (3, steps, len(RESETS)))


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_strongest_input_makes_one_spike_in_a_period(steps: int) -> None:
    soma = soma_of(ClockedLif(refractory=steps), *RESETS)
    spikes, volts = stepped(soma, np.full((1, 18, len(RESETS)), 5.0 * UNIT))
    fires = (np.arange(18) % (steps + 1) == 0).astype(np.float64)
    np.testing.assert_array_equal(spikes[0], np.repeat(fires[:, None], len(RESETS), axis=1))
    assert (volts[spikes == 0.0] == 0.0).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), steps=st.integers(0, 6), leak=st.sampled_from(["switched", "resistor"]))
def test_a_scan_is_every_step(seed: int, steps: int, leak: str) -> None:
    soma, x = soma_of(ClockedLif(refractory=steps, leak=leak), *RESETS), charges(seed)
    for one, other in zip(stepped(soma, x), scanned(soma, x), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), steps=st.integers(1, 6))
def test_neurons_hear_nothing_while_they_are_silent(seed: int, steps: int) -> None:
    soma, x = soma_of(ClockedLif(refractory=steps), *RESETS), charges(seed)
    spikes, _ = stepped(soma, x)
    before = np.concatenate([np.zeros_like(spikes[:, :1]), spikes[:, :-1]], axis=1)
    silent = np.zeros(spikes.shape, dtype=bool)
    for late in range(steps):
        silent[:, late:] |= before[:, : spikes.shape[1] - late] > 0.0
    assert not spikes[silent].any()
    # Any other charge there changes nothing, and any in a step with an ear does.
    deafened, _ = stepped(soma, np.where(silent, -x, x))
    np.testing.assert_array_equal(deafened, spikes)
    heard, volts = stepped(soma, x)
    assert (volts[silent] == 0.0).all()
    assert (volts[~silent] != 0.0).all()
    np.testing.assert_array_equal(heard, spikes)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_silence_leaves_no_reset_to_do(seed: int) -> None:
    x = charges(seed)
    x[:] = x[:, :, :1]
    spikes, volts = stepped(soma_of(ClockedLif(refractory=2), *RESETS), x)
    np.testing.assert_array_equal(spikes, np.repeat(spikes[:, :, :1], len(RESETS), axis=2))
    np.testing.assert_array_equal(volts, np.repeat(volts[:, :, :1], len(RESETS), axis=2))


def test_a_state_of_one_sample_is_that_of_many() -> None:
    one = SomaState(np.array([[0.1, 0.2]]), np.array([[1.0, 0.0]]), np.array([[3.0, 0.0]]))
    many = one.repeated(3)
    for name in ("membranes", "spikes", "silent"):
        np.testing.assert_array_equal(getattr(many, name), np.repeat(getattr(one, name), 3, axis=0))


def ohms(neuron: ClockedLif, clock: Clocking) -> float:
    cell = neuron.cell("neuron", Membrane(0.1, 0.9, "zero", False), clock)
    (found,) = [part.of for part in cell.parts if isinstance(part, Instance) and part.name == "rw"]
    assert isinstance(found, Resistor)
    return found.ohms


@pytest.mark.parametrize("step", [0.5e-6, 1e-6])
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_a_silence_ends_when_a_step_begins(steps: int, step: float) -> None:
    """Charged until 0.20 of the step behind the spike, half of the way from HIGH to LOW N - 0.20 steps later."""
    clock = Clocking(step=step)
    tau = ohms(ClockedLif(refractory=steps), clock) * 100e-15
    assert (0.20 + tau * np.log(2.0) / step) == pytest.approx(steps, rel=1e-12)


def test_a_neuron_that_always_listens_has_no_circuit_for_silence() -> None:
    membrane = Membrane(0.1, 0.9, "subtract", False)
    plain, silent = (ClockedLif(refractory=steps).cell("neuron", membrane, CLOCK) for steps in (0, 2))
    names = [{part.name for part in cell.parts} for cell in (plain, silent)]
    assert names[0] - names[1] == {"packet"}
    assert names[1] - names[0] == {"both", "rg", "vl", "vh", "sw", "cw", "rw", "waits", "rs", "still"}
    assert plain.note == "clocked neuron, beta 0.9, mirrors 1:0.1, reset subtract"
    assert silent.note == "clocked neuron, beta 0.9, mirrors 1:0.1, refractory 2"


@pytest.mark.parametrize("steps", [-1, 101, 1.5, 2.0, True, "2"])
def test_a_refractory_period_is_a_number_of_steps(steps: Any) -> None:
    with pytest.raises(DesignError) as refused:
        ClockedLif(refractory=steps)
    assert str(refused.value) == (
        f"neuron.refractory: expected a whole number of steps from 0 to 100, found {steps!r}; try refractory = 1"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "refractory = -1",
            "d.toml: neuron.refractory: expected a whole number of steps from 0 to 100, found -1; try refractory = 1",
        ),
        ("refractory = 1.5", "d.toml: neuron.refractory: expected a whole number, found 1.5; mend the value"),
        ('refractory = "2 us"', "d.toml: neuron.refractory: expected a whole number, found '2 us'; mend the value"),
        (
            'kind = "clocked_lif_45"\nrefractory = 11',
            "d.toml: neuron.refractory: expected a whole number of steps from 0 to 10, found 11; try refractory = 1",
        ),
    ],
)
def test_a_designs_refractory_period_is_told_by_its_place(text: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        Design.parse(f"[neuron]\n{text}\n", "d.toml")


def test_a_designs_refractory_period_is_written_as_it_is_read() -> None:
    for kind, neuron in (("clocked_lif", ClockedLif(refractory=3)), ("clocked_lif_45", ClockedLif45(refractory=3))):
        design = Design.parse(f'[neuron]\nkind = "{kind}"\nrefractory = 3\n')
        assert design.neuron == neuron
        assert Design.parse(design.dump()) == design


@pytest.mark.parametrize(
    ("step", "steps", "found", "remedy"),
    [
        (50e-9, 1, "5.771e+05 ohm for refractory = 1 and steps of 5e-08 s", "lengthen clock.step or raise"),
        (1e-3, 100, "1.44e+12 ohm for refractory = 100 and steps of 0.001 s", "shorten clock.step or lower"),
    ],
)
def test_a_silence_that_no_resistor_times_is_refused(step: float, steps: int, found: str, remedy: str) -> None:
    clock = Clocking(step=step, pulse=0.1 * step, edge=0.01 * step)
    with pytest.raises(DesignError) as refused:
        ClockedLif(refractory=steps).gain(UNIT, 0.9, clock)
    assert str(refused.value) == (
        "neuron.refractory: expected a resistor from 1e+06 to 1e+12 ohm for the refractory period, found "
        f"{found}; {remedy} neuron.refractory"
    )
    assert ClockedLif().gain(UNIT, 0.9, clock) > 0.0
