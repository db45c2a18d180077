"""Encoders: what their trains are, that seeds and parts change nothing else, and their words about mistakes."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import ohmweave.encoders as module
from ohmweave.encoders import BUILTIN_ENCODERS, Direct, Encoding, Given, Latency, Rate, encoders
from ohmweave.errors import UserError
from ohmweave.frontend import load_data
from ohmweave.units import Array

unit = arrays(np.float64, (4, 3), elements=st.floats(0, 1))


def test_rates_are_the_values() -> None:
    x = load_data("digits", "test").x[:40]
    trains = Encoding(Rate(500), seed=3).trains(x)
    assert trains.shape == (40, 500, 64)
    assert set(np.unique(trains)) == {0.0, 1.0}
    error = trains.mean(axis=1) - x
    assert np.abs(error).max() < 5.5 * np.sqrt(0.25 / 500)
    assert (trains.mean(axis=1)[x == 0.0] == 0.0).all()
    assert (trains.mean(axis=1)[x == 1.0] == 1.0).all()


@given(unit, st.integers(0, 9), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_a_seed_gives_the_same_trains_again_also_of_the_first_samples_alone(x: Array, seed: int, steps: int) -> None:
    encoding = Encoding(Rate(steps), seed)
    np.testing.assert_array_equal(encoding.trains(x), encoding.trains(x))
    np.testing.assert_array_equal(encoding.trains(x[:2]), encoding.trains(x)[:2])


def test_another_seed_gives_other_trains() -> None:
    x = np.full((3, 50), 0.5)
    assert (Encoding(Rate(9), 1).trains(x) != Encoding(Rate(9), 2).trains(x)).any()


@given(unit, st.integers(1, 30), st.floats(0, 0.5))
@settings(max_examples=50, deadline=None)
def test_a_latency_is_one_spike_the_earlier_the_larger_the_value(x: Array, steps: int, least: float) -> None:
    trains = Encoding(Latency(steps, least)).trains(x)
    np.testing.assert_array_equal(trains.sum(axis=1), x > least)
    when, loud = trains.argmax(axis=1), x > least
    order = np.argsort(x[loud])
    assert (np.diff(when[loud][order]) <= 0).all()


def test_latencies_by_hand() -> None:
    trains = Encoding(Latency(5, 0.1)).trains(np.array([[1.0, 0.75, 0.5, 0.11, 0.1, 0.0]]))
    assert trains[0].argmax(axis=0).tolist() == [0, 1, 2, 4, 0, 0]
    assert trains[0].sum(axis=0).tolist() == [1, 1, 1, 1, 0, 0]


def test_direct_values_stay_and_given_trains_pass() -> None:
    x = np.arange(6.0).reshape(2, 3) - 2.5
    trains = Encoding(Direct(4)).trains(x)
    np.testing.assert_array_equal(trains, np.stack([x] * 4, axis=1))
    np.testing.assert_array_equal(Encoding(Given()).trains(trains), trains)
    np.testing.assert_array_equal(Encoding(Given(3)).trains(trains), trains[:, :3])


@pytest.mark.parametrize("encoder", [Rate(7), Latency(7), Direct(7)], ids=lambda e: type(e).__name__)
def test_parts_together_are_the_whole(encoder: Rate | Latency | Direct, monkeypatch: pytest.MonkeyPatch) -> None:
    x = load_data("digits", "test").x[:23]
    encoding = Encoding(encoder, 5)
    monkeypatch.setattr(module, "_MOST_VALUES", 7 * 64 * 4)
    parts = list(encoding.parts(x))
    assert [part for part, _ in parts] == [slice(k, k + 4) for k in range(0, 23, 4)]
    np.testing.assert_array_equal(np.concatenate([trains for _, trains in parts]), encoding.trains(x))


def test_the_registry_knows_every_encoder() -> None:
    assert encoders().items() >= BUILTIN_ENCODERS.items()
    assert set(BUILTIN_ENCODERS) == {"rate", "latency", "direct", "given"}


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: Rate(0), "encoding.steps: expected at least 1, found 0; try steps = 25"),
        (lambda: Given(-1), "encoding.steps: expected at least 0, found -1; try steps = 25"),
        (
            lambda: Latency(5, 1.0),
            "encoding.least: expected a share from 0 to below 1, found 1; try least = 0.01",
        ),
        (lambda: Encoding(Rate(), -2), "encoding.seed: expected a seed of at least 0, found -2; try seed = 0"),
        (
            lambda: Encoding(Rate()).trains(np.array([[0.0, 0.5], [1.5, 0.0]])),
            "data: expected values from 0 to 1 to encode as spikes, found 1.5 at sample 1, feature 0; "
            'scale the data, or choose the encoding "direct"',
        ),
        (
            lambda: Encoding(Latency()).trains(np.array([[0.0, np.nan]])),
            "data: expected values from 0 to 1 to encode as spikes, found nan at sample 0, feature 1; "
            'scale the data, or choose the encoding "direct"',
        ),
        (
            lambda: Encoding(Given()).trains(np.ones((2, 3))),
            "data: expected trains of shape [samples, steps, ...] with their steps, found (2, 3); "
            "give spike trains, or choose another encoding",
        ),
        (
            lambda: Encoding(Given(9)).trains(np.ones((2, 3, 4))),
            "data: expected trains of shape [samples, steps, ...] with at least 9 steps, found (2, 3, 4); "
            "give spike trains, or choose another encoding",
        ),
    ],
)
def test_what_cannot_be_encoded_is_refused(act: Callable[[], object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        act()
    assert str(caught.value) == message
