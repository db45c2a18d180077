"""The tabulated memristor: what it is between its points, and what it refuses."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.bench import Bench
from ohmweave.circuit import Cell, Instance
from ohmweave.design import Design
from ohmweave.devices import Table
from ohmweave.errors import DesignError, UserError
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

G = np.array(1e-5)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Points at random, ascending through zero."""

    def climb(count: int) -> Array:
        return np.cumsum(draw(st.lists(st.floats(1e-3, 1.0), min_size=count, max_size=count)))

    below, above = draw(st.integers(0, 6)), draw(st.integers(1, 6))
    axes = (np.concatenate([-climb(below)[::-1], [0.0], climb(above)]) for _ in range(2))
    volts, shape = (tuple(float(x) for x in axis) for axis in axes)
    return Table(volts=volts, shape=shape)


@given(tables())
def test_the_curve_goes_through_its_points(table: Table) -> None:
    np.testing.assert_allclose(table.current(np.array(table.volts), G), 1e-5 * np.array(table.shape), rtol=1e-12)


@given(tables())
def test_the_current_never_falls_as_the_voltage_rises(table: Table) -> None:
    v = np.linspace(table.volts[0] - 1.0, table.volts[-1] + 1.0, 997)
    amps, slope = table.current(v, G), table.slope(v, G)
    assert (np.diff(amps) >= -1e-12 * np.abs(amps).max()).all()
    assert (slope >= -1e-12 * slope.max()).all()


@given(tables())
def test_beyond_the_outer_points_the_curve_is_straight(table: Table) -> None:
    for end, away in ((table.volts[0], -1.0), (table.volts[-1], 1.0)):
        at, near, far = (table.current(np.array(end + away * k), G) for k in (0.0, 1.0, 2.0))
        np.testing.assert_allclose(far - near, near - at, rtol=1e-9, atol=1e-18)
        np.testing.assert_allclose(away * (near - at), table.slope(np.array(end), G), rtol=1e-9, atol=1e-18)


@given(tables())
def test_the_slope_does_not_jump(table: Table) -> None:
    v, step = np.array(table.volts), 1e-12
    # The slope of a piece changes by no more than some of its mean slopes over its length.
    bend = 20.0 * step * np.max(np.diff(table.current(v, G)) / np.diff(v) ** 2)
    np.testing.assert_allclose(table.slope(v - step, G), table.slope(v + step, G), rtol=1e-9, atol=bend)


def test_points_may_lie_far_apart_and_close_together() -> None:
    table = Table(volts=(-1.0, 0.0, 1e-7, 1.0), shape=(-1.0, 0.0, 1e-7, 1.0))
    v = np.array([-2.0, -1.0, -0.3, 0.0, 5e-8, 1e-7, 0.3, 1.0, 2.0])
    np.testing.assert_allclose(table.current(v, G), 1e-5 * v, rtol=1e-12)


def test_a_straight_table_is_a_resistor() -> None:
    table = Table(volts=(-1.0, 0.0, 0.5), shape=(-1.0, 0.0, 0.5))
    v = np.linspace(-2.0, 2.0, 41)
    np.testing.assert_allclose(table.current(v, G), 1e-5 * v, rtol=1e-14)
    np.testing.assert_allclose(table.slope(v, G), 1e-5, rtol=1e-14)


@pytest.mark.parametrize("points", [2, 3, 64])
def test_the_circuit_of_a_table_is_its_law(ngspice: str, points: int) -> None:
    volts = np.linspace(0.0, 0.6, points)
    both = np.concatenate([-volts[:0:-1], volts])
    table = Table(volts=tuple(both.tolist()), shape=tuple((both + both**3).tolist()))
    cell = Cell("devices", ("p",), (Instance("d", table.cell(), ("p", "0"), {"g": 2e-5}),))
    v = np.concatenate([both, np.linspace(-0.9, 0.9, 101)])
    found = NgspiceSimulator(ngspice, time_limit=60.0).run(Bench(cell, ("p",), v[:, None], ()))
    expected = table.current(v, np.array(2e-5))
    np.testing.assert_allclose(found.input_amps[:, 0], expected, rtol=1e-9, atol=1e-15)


def test_a_table_survives_toml() -> None:
    design = Design(device=Table(1e-6, 2e-5, 4, (-0.5, 0.0, 0.25), (-1.0, 0.0, 0.5)))
    assert Design.parse(design.dump()) == design
    assert 'volts = ["-500 mV", "0 V", "250 mV"]' in design.dump()


def toml(**fields: Any) -> str:
    return "\n".join(['[device]\nkind = "table"', *(f"{name} = {value}" for name, value in fields.items())])


MESSAGES = {
    toml(volts='["0 V"]', shape='["0 V"]'): (
        'd.toml: device.volts: expected at least 2 points, found 1; try volts = ["-0.5 V", "0 V", "0.5 V"]'
    ),
    toml(volts='["0 V", "1 V"]', shape='["0 V", "1 V", "2 V"]'): (
        "d.toml: device.shape: expected one value for each of the 2 volts, found 3; give both lists the same length"
    ),
    toml(volts='["0 V", "1 V", "0.5 V"]', shape='["0 V", "1 V", "2 V"]'): (
        "d.toml: device.volts: expected strictly ascending values, found 0.5 V after 1 V; "
        "sort the points; the current must rise with the voltage"
    ),
    toml(volts='["0 V", "1 V", "2 V"]', shape='["0 V", "1 V", "1 V"]'): (
        "d.toml: device.shape: expected strictly ascending values, found 1 V after 1 V; "
        "sort the points; the current must rise with the voltage"
    ),
    toml(volts='["1 V", "2 V"]', shape='["0 V", "1 V"]'): (
        "d.toml: device.shape: expected the point 0 V of volts and 0 V of shape, found none; "
        "a memristor at no voltage takes no current: put 0 V at the same place of both lists"
    ),
    toml(volts='"0 V"'): "d.toml: device.volts: expected a list of quantities in V, found '0 V'",
    toml(volts='["0 V", 1]'): (
        "d.toml: device.volts[1]: expected a unit (V), found the bare number '1'; write \"1 V\""
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", MESSAGES)
def test_a_mistake_in_a_table_is_told_whole(text: str) -> None:
    with pytest.raises(UserError, match=re.escape(MESSAGES[text]) + "$"):
        Design.parse(text, "d.toml")


def test_a_table_from_python_is_checked_too() -> None:
    with pytest.raises(DesignError, match=r"device\.volts: expected strictly ascending"):
        Table(volts=(0.0, float("nan")), shape=(0.0, 1.0))


def test_what_is_no_number_has_none_as_its_value() -> None:
    table = Table(volts=(-1.0, 0.0, 0.5), shape=(-1.2, 0.0, 0.5))
    assert np.isnan(table.current(np.array([np.nan]), G)).all()
    assert np.isfinite(table.current(np.array([1e300, -1e300]), G)).all()
