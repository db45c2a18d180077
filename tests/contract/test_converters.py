"""The converter's mathematics is its circuit in ngspice over all codes; the native engine has no need of the cell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.bench import Bench
from ohmweave.blocks import Converter
from ohmweave.circuit import Behavioural, Instance
from ohmweave.errors import DesignError
from ohmweave.simulate.native import Native
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

RANGES = pytest.mark.parametrize(("low", "high"), [(-0.5, 0.5), (0.0, 0.2), (0.1, 0.7), (-0.3, -0.1)])


def between_thresholds(converter: Converter) -> Array:
    """Three voltages for each code, none within a tenth of a step from a threshold, and some beyond the range."""
    levels = converter.low + converter.step * np.arange(2**converter.bits)
    inside = (levels[:, None] + converter.step * np.array([-0.4, 0.0, 0.4])).ravel()
    beyond = np.array([converter.low - 1.0, converter.low - 0.6 * converter.step, converter.high + 3.0])
    return np.concatenate([inside, beyond])


@RANGES
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 10])
def test_every_code_in_ngspice(bits: int, low: float, high: float, spice: NgspiceSimulator) -> None:
    converter = Converter(bits, low, high)
    volts = between_thresholds(converter)
    waves = spice.run(Bench(converter.cell("converter"), ("in",), volts[:, None], ("out",)))
    # ngspice keeps eleven digits of a constant in an expression.
    np.testing.assert_allclose(waves.volts[:, 0], converter.respond(volts), rtol=0.0, atol=1e-10)
    np.testing.assert_array_equal(waves.input_amps, 0.0)


@RANGES
@pytest.mark.parametrize("bits", [1, 3, 8])
def test_the_codes_are_the_nearest_levels(bits: int, low: float, high: float) -> None:
    converter, levels = Converter(bits, low, high), np.linspace(low, high, 2**bits)
    volts = between_thresholds(converter)
    nearest = levels[np.abs(volts[:, None] - levels).argmin(axis=1)]
    np.testing.assert_allclose(converter.respond(volts), nearest, rtol=0.0, atol=1e-15)


def test_halfway_between_two_levels_it_is_the_upper_one() -> None:
    converter = Converter(2, 0.0, 3.0)
    np.testing.assert_array_equal(converter.respond(np.array([0.5, 1.5, 2.5, -0.5])), [1.0, 2.0, 3.0, 0.0])


def test_no_bits_leave_the_voltage_as_it_is(spice: NgspiceSimulator) -> None:
    converter, volts = Converter(0, 0.0, 0.1), np.linspace(-2.0, 2.0, 9)
    np.testing.assert_array_equal(converter.respond(volts), volts)
    bench = Bench(converter.cell("hold"), ("in",), volts[:, None], ("out",))
    for waves in (spice.run(bench), Native().run(bench)):
        np.testing.assert_allclose(waves.volts[:, 0], volts, rtol=1e-12)
    assert converter.energy() == 0.0
    assert converter.step == 0.0


@given(
    bits=st.integers(1, 12),
    low=st.floats(-1.0, 0.9),
    width=st.floats(0.01, 2.0),
    volts=st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=20),
)
def test_what_was_converted_is_not_changed_again(bits: int, low: float, width: float, volts: list[float]) -> None:
    converter = Converter(bits, low, low + width)
    once = converter.respond(np.array(volts))
    np.testing.assert_allclose(converter.respond(once), once, rtol=0.0, atol=1e-15)
    within = np.clip(volts, converter.low, converter.high)
    assert np.abs(once - within).max() <= 0.5 * converter.step * (1 + 1e-9) + 1e-15


@pytest.mark.parametrize("bits", [0, 6])
def test_it_works_in_place_on_any_layout(bits: int) -> None:
    converter = Converter(bits, -0.5, 0.5)
    whole = np.random.default_rng(3).normal(0.0, 0.4, (7, 40_000))
    expected, before = converter.respond(whole), whole.copy()
    np.testing.assert_array_equal(whole, before)
    np.testing.assert_array_equal(converter.respond(whole[::2, 1::3]), expected[::2, 1::3])
    columns = np.asfortranarray(whole)
    assert converter.respond(columns, out=columns) is columns
    np.testing.assert_array_equal(columns, expected)
    assert converter.respond(whole, out=whole) is whole
    np.testing.assert_array_equal(whole, expected)


def test_the_law_of_the_cell_is_the_response_and_has_no_slope() -> None:
    converter = Converter(5, -0.2, 0.6)
    (law,) = (
        part.of.law
        for part in converter.cell("converter").parts
        if isinstance(part, Instance) and isinstance(part.of, Behavioural)
    )
    volts = np.linspace(-1.0, 1.0, 101)
    np.testing.assert_array_equal(law.value(volts), converter.respond(volts))
    np.testing.assert_array_equal(law.slope(volts), np.zeros(101))


def test_energy_doubles_with_every_bit() -> None:
    # 2^8.75 levels at 4.4 fJ: the 1.9 uW at 1 MS/s of the source.
    assert Converter(8, 0.0, 1.0).energy() * 2**0.75 == pytest.approx(1.9e-12, rel=0.01)
    assert Converter(9, 0.0, 1.0).energy() == 2.0 * Converter(8, 0.0, 1.0).energy()
    assert Converter(4, 0.0, 1.0, step_energy=1e-15).energy() == pytest.approx(16e-15)


@pytest.mark.parametrize(
    ("bits", "low", "high", "message"),
    [
        (-1, 0.0, 1.0, r"converter.bits: expected 0 \(analog\) to 24 bits, found -1"),
        (25, 0.0, 1.0, r"converter.bits: expected 0 \(analog\) to 24 bits, found 25"),
        (8, 1.0, 1.0, "converter: expected low < high, found 1 V and 1 V"),
        (8, 0.0, np.inf, "converter: expected low < high, found 0 V and inf V"),
        (8, np.nan, 1.0, "converter: expected low < high, found nan V and 1 V"),
    ],
)
def test_impossible_converters_are_refused(bits: int, low: float, high: float, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        Converter(bits, low, high)


def test_a_negative_energy_is_refused() -> None:
    with pytest.raises(DesignError, match=r"converter.step_energy: expected at least 0 J"):
        Converter(8, 0.0, 1.0, step_energy=-1e-15)
