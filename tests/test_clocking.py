"""The clocks of a spiking chip: phases in order, pulses of a stated width, gates that hold."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.bench import Waveform
from ohmweave.blocks.clocking import CLOCKS, Clocking
from ohmweave.blocks.logic import HIGH, LOW
from ohmweave.errors import DesignError
from ohmweave.units import Array


def high_time(wave: Waveform, begin: float, end: float) -> float:
    """The integral of (v - LOW) / (HIGH - LOW) between two times, s."""
    inner = wave.times[(wave.times > begin) & (wave.times < end)]
    times = np.concatenate([[begin], inner, [end]])
    return float(np.trapezoid((wave.at(times) - LOW) / (HIGH - LOW), times))


def test_what_a_membrane_goes_through_comes_in_order() -> None:
    clock = Clocking()
    phases = [clock.phase(name) for name in ("leak", "early", "pulse", "hold", "compare", "reset")]
    for before, after in pairwise(phases):
        assert before.begin < before.end < after.begin < after.end < 1.0
    longest = Clocking(pulse=0.21e-6).phase("pulse")
    assert longest.end < clock.phase("hold").begin
    # The leaks' capacitors are emptied while they are apart from their membranes.
    assert clock.phase("leak").end < clock.phase("discharge").begin < clock.phase("discharge").end < 1.0
    assert clock.strobe == pytest.approx(clock.step * clock.phase("compare").end)


@settings(max_examples=25)
@given(step=st.floats(1e-8, 1e-3), share=st.floats(0.02, 0.2), edge=st.floats(1e-4, 0.009), steps=st.integers(1, 20))
def test_each_clock_is_high_as_long_as_its_phase(step: float, share: float, edge: float, steps: int) -> None:
    clock = Clocking(step, share * step, edge * step)
    widths = clock.widths(steps, np.random.default_rng(0))
    for name in CLOCKS[1:]:
        wave, phase = clock.waveform(name, widths), clock.phase(name)
        assert (np.diff(wave.times) > 0.0).all()
        assert set(np.unique(wave.volts).tolist()) == {LOW, HIGH}
        for t in range(steps):
            # Behind the beginning, when capacitors are emptied once.
            lasting = high_time(wave, (t + 0.045) * step, (t + 1) * step)
            assert lasting == pytest.approx(step * (phase.end - phase.begin), rel=1e-6)
            half = wave.at(np.array([t + phase.begin, t + phase.end]) * step)
            np.testing.assert_allclose(half, 0.5 * (LOW + HIGH), atol=1e-5)


def test_membranes_begin_empty_before_anything_else() -> None:
    clock = Clocking()
    wave = clock.waveform("start", clock.widths(3, np.random.default_rng(0)))
    assert wave.at(np.array([0.0]))[0] == HIGH
    assert wave.times[-1] < clock.phase("leak").begin * clock.step
    assert wave.volts[-1] == LOW


def test_widths_jitter_around_the_pulse_and_stay_between_their_edges_and_the_next_phase() -> None:
    clock = Clocking(pulse=200e-9, jitter=0.19)
    widths = clock.widths(4000, np.random.default_rng(1))
    assert widths.max() == pytest.approx(210e-9)
    assert widths.min() >= 2.0 * clock.edge
    small = Clocking(jitter=0.01).widths(4000, np.random.default_rng(1))
    assert small.mean() == pytest.approx(100e-9, rel=1e-3)
    assert small.std() == pytest.approx(1e-9, rel=0.05)
    np.testing.assert_array_equal(Clocking().widths(5, np.random.default_rng(1)), 100e-9)
    wave = clock.waveform("pulse", widths[:3])
    lasting = [high_time(wave, t * clock.step, (t + 1) * clock.step) for t in range(3)]
    np.testing.assert_allclose(lasting, widths[:3], rtol=1e-6)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
def test_a_gate_holds_its_value_through_the_step(values: list[float]) -> None:
    clock = Clocking()
    wave = clock.gates(values)
    starts: Array = clock.step * np.arange(len(values))
    for share in (0.01, 0.5, 0.99):
        volts = wave.at(starts + share * clock.step)
        np.testing.assert_allclose((volts - LOW) / (HIGH - LOW), values, atol=1e-9)


REFUSED = {
    "pulse": (
        {"pulse": 0.3e-6},
        "clock.pulse: expected a pulse of at most 0.21 of the step (2.1e-07 s), found 3e-07 s; "
        "shorten clock.pulse or lengthen clock.step",
    ),
    "edge": (
        {"edge": 20e-9},
        "clock.edge: expected edges of at most half of the pulse and a hundredth of the step, found 2e-08 s; "
        "shorten clock.edge",
    ),
    "jitter": (
        {"jitter": 0.2},
        "clock.jitter: expected a relative spread from 0 to below 0.2, found 0.2; try jitter = 0.01",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_times_that_do_not_go_together_are_refused(name: str) -> None:
    values, message = REFUSED[name]
    with pytest.raises(DesignError) as refused:
        Clocking(**values)  # type: ignore[arg-type]
    assert str(refused.value) == message


@pytest.mark.parametrize("name", ["step", "pulse", "edge"])
def test_times_are_above_zero(name: str) -> None:
    with pytest.raises(DesignError, match=rf"^clock\.{name}: "):
        Clocking(**{name: 0.0})
