"""Conductances programmed so that a wired tile acts as the one asked for would without wires."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.bench import Bench
from ohmweave.blocks import Driver
from ohmweave.circuit import Cell, Crossbar, Instance, Resistor
from ohmweave.compensation import compensate, transfer
from ohmweave.design import ArrayChoice, Design
from ohmweave.simulate.native import Native
from ohmweave.units import Array


def asked(m: int, n: int, seed: int) -> Array:
    """Conductances of trained weights' kind: few are large, some crossings are empty."""
    rng = np.random.default_rng(seed)
    g = 1e-6 + 80e-6 * np.minimum(1.0, rng.exponential(0.15, (m, n)))
    g[rng.random((m, n)) < 0.1] = np.nan
    return g


def rms(found: Array, wanted: Array) -> float:
    return float(np.sqrt(np.nanmean((found - wanted) ** 2)) / np.nanmean(wanted))


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.integers(2, 40)] * 2), st.floats(0.1, 3.0), st.sampled_from(["one", "both"]), st.integers(0, 99))
def test_what_fits_into_the_range_is_made_up_for(size: tuple[int, int], ohms: float, drive: str, seed: int) -> None:
    design = Design(array=ArrayChoice(r_row=ohms, r_col=ohms, drive=drive, reserve=0.15))
    target = asked(*size, seed)
    g = compensate(target, design)
    np.testing.assert_array_equal(np.isnan(g), np.isnan(target))
    low, high = design.device.g_range
    assert np.nanmin(g) >= low
    assert np.nanmax(g) <= high
    if np.nanmax(g) < high:
        assert rms(transfer(g, design), target) < 1e-5


@pytest.mark.parametrize("ohms", [20.0, 100.0])
def test_where_much_does_not_fit_it_is_not_made_worse(ohms: float) -> None:
    design = Design(array=ArrayChoice(r_row=ohms, r_col=ohms, reserve=0.15))
    target = asked(64, 64, 1)
    assert rms(transfer(compensate(target, design), design), target) <= rms(transfer(target, design), target)


def test_drivers_are_made_up_for_where_there_are_no_wires() -> None:
    design = Design(array=ArrayChoice(r_row=0.0, r_col=0.0, reserve=0.15), driver=Driver(r_source=100.0))
    target = asked(20, 20, 2)
    assert rms(transfer(target, design), target) > 0.01
    assert rms(transfer(compensate(target, design), design), target) < 1e-5


def test_the_transfer_is_that_of_the_circuit() -> None:
    design, g = Design(array=ArrayChoice(r_row=3.0, r_col=2.0, drive="both", ground="both")), asked(5, 4, 3)
    rows, cols = tuple(f"r{i}" for i in range(5)), tuple(f"c{j}" for j in range(4))
    tile = Crossbar("tile", rows, cols, None, g, 3.0, 2.0, far_rows=rows, far_cols=cols)
    sources = tuple(Instance(f"s{i}", Resistor(design.driver.r_source), (f"x{i}", f"r{i}")) for i in range(5))
    senses = tuple(Instance(f"m{j}", Resistor(1e-3), (f"c{j}", "0")) for j in range(4))
    inputs = tuple(f"x{i}" for i in range(5))
    cell = Cell("bar", inputs, (tile, *sources, *senses))
    volts = Native().run(Bench(cell, inputs, np.eye(5), tuple(f"c{j}" for j in range(4)))).volts
    np.testing.assert_allclose(volts / 1e-3, transfer(g, design), rtol=1e-4, atol=1e-12)
