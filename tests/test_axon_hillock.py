"""The axon hillock's sizes: what is refused, what follows from a trained neuron, and its mathematics."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.blocks.axon_hillock import AxonHillock
from ohmweave.blocks.technology import V_SS
from ohmweave.errors import DesignError

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"c_m": 0.0}, 'neuron.c_m: expected a positive value in F, found 0 F; try c_m = "160 fF"'),
    (
        {"c_m": 4e-12, "c_feedback": 2e-12},
        "neuron.c_m: expected c_m + c_feedback from 1e-13 F to 1e-12 F, found 6e-12 F; lower c_m",
    ),
    (
        {"c_m": 20e-15, "c_feedback": 200e-15},
        "neuron.c_feedback: expected c_feedback / (c_m + c_feedback) from 0.2 to 0.4, found 0.9091; lower c_feedback",
    ),
    (
        {"c_m": 0.9e-12, "c_feedback": 10e-15},
        "neuron.c_feedback: expected c_feedback / (c_m + c_feedback) from 0.2 to 0.4, found 0.01099; raise c_feedback",
    ),
    (
        {"i_reset": 30e-6},
        "neuron.i_reset: expected a reset's current from 2.5e-07 A to 2e-06 A, found 3e-05 A; lower i_reset",
    ),
    (
        {"i_leak": 300e-9},
        "neuron.i_leak: expected no leak, or one from 2e-09 A to 2e-07 A, found 3e-07 A; lower i_leak",
    ),
    (
        {"i_leak": 1e-9},
        "neuron.i_leak: expected no leak, or one from 2e-09 A to 2e-07 A, found 1e-09 A; raise i_leak",
    ),
]


@pytest.mark.parametrize(("sizes", "message"), REFUSED)
def test_sizes_that_the_figures_do_not_know_are_refused(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(DesignError) as refused:
        AxonHillock(**sizes)
    assert str(refused.value) == message


@pytest.mark.parametrize("amps", [19e-9, 34e-9, 660e-9, 900e-9, 2e-6, math.nan])
def test_currents_that_the_figures_do_not_know_are_refused(amps: float) -> None:
    neuron = AxonHillock()
    for method in (neuron.rate, neuron.width, neuron.joules):
        with pytest.raises(
            DesignError, match=r"^neuron.amps: expected a current into the membrane from 3.5e-08 A to 6.5"
        ):
            method(amps)
    assert neuron.rate(0.9 * neuron.i_leak) == neuron.rate(-1e-9) == 0.0
    assert AxonHillock(i_leak=0.0).rate(0.0) == 0.0


def test_parts_follow_from_a_trained_neuron() -> None:
    neuron = AxonHillock.of(0.9, 2.0, 1e-6)
    assert neuron.c_feedback == 80e-15
    assert neuron.c_m == pytest.approx(160e-15)
    assert neuron.i_leak == pytest.approx(0.1 * 88e-15 / 1e-6)
    assert neuron.i_reset == pytest.approx(10.0 * 88e-15 / 1e-6)
    assert neuron.amps(2.0, 2.0, 1e-6) == pytest.approx(88e-9)
    assert AxonHillock.of(1.0, 2.0, 1e-6).i_leak == 0.0


@given(
    beta=st.floats(0.8, 0.97),
    threshold=st.floats(0.01, 100.0),
    step=st.floats(0.5e-6, 1.2e-6),
    drive=st.floats(0.4, 4.0),
)
def test_a_sized_neuron_begins_to_spike_where_the_trained_one_does(
    beta: float, threshold: float, step: float, drive: float
) -> None:
    """No spikes below (1 - beta) theta; above, those of a leak and a refractory period of a tenth of a step."""
    neuron = AxonHillock.of(beta, threshold, step)
    first = (1.0 - beta) * threshold
    assert neuron.amps(first, threshold, step) == pytest.approx(neuron.i_leak)
    assert neuron.rate(neuron.amps(0.89 * first, threshold, step)) == 0.0
    x = drive - (1.0 - beta)
    steps = 1.0 / x + 1.0 / (10.0 - x)
    assert neuron.rate(neuron.amps(drive * threshold, threshold, step)) * step == pytest.approx(1.0 / steps, rel=0.1)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((1.2, 1.0, 1e-6), "neuron.beta: expected beta above 0 and up to 1, found 1.2; train with another beta"),
        (
            (0.9, 0.0, 1e-6),
            "neuron.threshold: expected a positive value in units of the network, found 0 units of the network; "
            'try threshold = "1"',
        ),
        (
            (0.9, 1.0, 0.1e-6),
            "neuron.i_reset: expected a reset's current from 2.5e-07 A to 2e-06 A, found 8.8e-06 A, of beta = 0.9, "
            "steps of 1e-07 s, c_feedback = 8e-14 F, jump = 0.366667 V and refractory = 0.1; choose another "
            "c_feedback, jump or refractory, or train with another beta or step",
        ),
        (
            (0.99, 1.0, 1e-6),
            "neuron.i_leak: expected no leak, or one from 2e-09 A to 1.76e-07 A, found 8.8e-10 A, of beta = 0.99, "
            "steps of 1e-06 s, c_feedback = 8e-14 F, jump = 0.366667 V and refractory = 0.1; choose another "
            "c_feedback, jump or refractory, or train with another beta or step",
        ),
    ],
)
def test_parts_that_cannot_be_built_are_refused(asked: tuple[float, float, float], message: str) -> None:
    with pytest.raises(DesignError) as refused:
        AxonHillock.of(*asked)
    assert str(refused.value) == message


@given(
    volts=st.floats(V_SS + 1e-6, -0.1),
    first=st.floats(0.0, 3e-6),
    then=st.floats(0.0, 3e-6),
    leak=st.sampled_from([0.0, 2e-9, 20e-9]),
)
def test_decay_goes_on_where_it_stopped(volts: float, first: float, then: float, leak: float) -> None:
    neuron = AxonHillock(i_leak=leak)
    between = neuron.decayed(volts, first)
    assert V_SS <= between <= volts
    end = neuron.decayed(volts, first + then) - V_SS
    assert neuron.decayed(between, then) - V_SS == pytest.approx(end, rel=1e-3, abs=1e-9)
    assert neuron.decayed(V_SS, first) == V_SS


def test_decay_begins_below_the_threshold() -> None:
    with pytest.raises(DesignError) as refused:
        AxonHillock().decayed(0.0, 1e-6)
    assert str(refused.value) == (
        "neuron.volts: expected a membrane from -0.55 V to -0.1 V, found 0 V; begin below the threshold"
    )
