"""How far apart two sets of spike trains are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ohmweave.analysis.trains import TrainAgreement, agreement_of_trains

SETS = arrays(np.float64, (2, 6, 3), elements=st.sampled_from([0.0, 1.0]))


def trains(*rows: str) -> np.ndarray:
    """One sample, a text of 0 and 1 a neuron."""
    return np.array([[float(value) for value in row] for row in rows]).T[None]


def test_equal_trains_agree_everywhere() -> None:
    some = trains("0110", "1001")
    assert agreement_of_trains(some, some) == TrainAgreement(8, 4, 0, 0)


def test_a_spike_one_step_off_differs_but_is_not_astray() -> None:
    assert agreement_of_trains(trains("0100"), trains("0010")) == TrainAgreement(4, 1, 2, 0)


def test_a_spike_two_steps_off_is_astray_in_both() -> None:
    assert agreement_of_trains(trains("1000"), trains("0010")) == TrainAgreement(4, 1, 2, 2)


def test_one_spike_answers_for_one_alone() -> None:
    assert agreement_of_trains(trains("10100"), trains("01000")).astray == 1


def test_a_spike_of_another_neuron_does_not_answer() -> None:
    assert agreement_of_trains(trains("10", "00"), trains("00", "01")).astray == 2


@given(SETS, SETS)
def test_neither_is_more_astray_than_it_differs(a: np.ndarray, b: np.ndarray) -> None:
    there, back = agreement_of_trains(a, b), agreement_of_trains(b, a)
    assert there.astray <= there.differing == int(np.abs(a - b).sum())
    assert there.differing == back.differing
    # Pairs of a spike and one a step off lower what differs by two.
    assert (there.differing - there.astray) % 2 == 0
