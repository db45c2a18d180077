"""Quantities: what is read, what is refused and with which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.errors import UnitError
from ohmweave.units import format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("1 ohm", "ohm", 1.0),
        ("4.7 kohm", "ohm", 4700.0),
        ("4.7kΩ", "ohm", 4700.0),
        ("100 uS", "S", 1e-4),
        ("100 µS", "S", 1e-4),
        ("-200mV", "V", -0.2),
        (" 1e-3 V ", "V", 1e-3),
        (".5 MHz", "Hz", 5e5),
        ("2 m", "m", 2.0),
        ("2 mm", "m", 2e-3),
    ],
)
def test_a_number_with_prefix_and_unit_is_read_as_si(text: str, unit: str, value: float) -> None:
    assert parse_quantity(text, unit) == value


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("1.0", "ohm", "expected a unit (ohm), found the bare number '1.0'; write \"1.0 ohm\""),
        ("1 V", "ohm", "expected a value in ohm, found '1 V'; write it like \"1 ohm\""),
        ("1 KV", "V", "expected a value in V, found '1 KV'; write it like \"1 V\""),
        ("1,5 kohm", "ohm", "expected a value in ohm, found '1,5 kohm'; write it like \"1 ohm\""),
        ("nan V", "V", "expected a number in V, found 'nan V'; write it like \"1 V\""),
        ("1e999 V", "V", "expected a finite value in V, found '1e999 V'; write it like \"1 V\""),
        ("", "V", "expected a number in V, found ''; write it like \"1 V\""),
    ],
)
def test_anything_else_is_refused(text: str, unit: str, message: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_quantity(text, unit)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1 ohm"), (4700.0, "4.7 kohm"), (0.0, "0 ohm"), (-1e-4, "-100 uohm"), (5e20, "5e+20 ohm")]
)
def test_a_quantity_is_written_with_its_prefix(value: float, text: str) -> None:
    assert format_quantity(value, "ohm") == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_written_is_read_back_exactly(value: float) -> None:
    assert parse_quantity(format_quantity(value, "S"), "S") == value
