"""Drivers and inverters do to a line what they say, whatever hangs on it."""

from collections.abc import Callable

import numpy as np
import pytest

from ohmweave.bench import Bench, Waves
from ohmweave.blocks import Driver, Finite, Ideal, inverter
from ohmweave.circuit import Cell, Instance, Resistor

Both = Callable[[Bench], tuple[Waves, Waves]]

VOLTS = np.linspace(-0.4, 0.4, 5)[:, None]
LOAD = 1e3


@pytest.mark.parametrize("r_source", [0.0, 1.0, 50.0])
@pytest.mark.parametrize("lines", [1, 2])
def test_a_driver_is_a_source_behind_its_resistance(lines: int, r_source: float, both: Both) -> None:
    driver = Driver(r_source).cell("driver", lines)
    ends = ("p", "n")[:lines]
    loads = tuple(Instance(f"l{end}", Resistor(LOAD), (end, "0")) for end in ends)
    jig = Cell("jig", ("in", *ends), (Instance("dut", driver, ("in", *ends)), *loads))
    for waves in both(Bench(jig, ("in",), VOLTS, ends)):
        expected = VOLTS * np.array([[1.0, -1.0]])[:, :lines] * LOAD / (LOAD + r_source)
        np.testing.assert_allclose(waves.volts, expected, rtol=1e-12, atol=1e-15)
        # Without resistance a follower drives the line, and the input itself gives nothing.
        drawn = VOLTS / (LOAD + r_source) if r_source else 0.0 * VOLTS
        np.testing.assert_allclose(waves.input_amps, drawn, rtol=1e-12, atol=1e-15)


def test_an_inverter_with_an_ideal_opamp_changes_the_sign(both: Both) -> None:
    cell = inverter("inverter", Ideal().cell("opamp"), 10e3)
    for waves in both(Bench(cell, ("in",), VOLTS, ("out",))):
        np.testing.assert_allclose(waves.volts, -VOLTS, rtol=0.0, atol=1e-7)
        # The summing node is ground: the input sees the first resistor alone.
        np.testing.assert_allclose(waves.input_amps, VOLTS / 10e3, rtol=0.0, atol=1e-11)


def test_an_inverter_with_a_finite_opamp_obeys_kirchhoff_at_its_two_nodes(both: Both) -> None:
    gain, r_out, offset, r = 1e3, 200.0, 1e-3, 10e3
    cell = inverter("inverter", Finite(gain=gain, r_out=r_out, offset=offset).cell("opamp"), r)
    jig = Cell(
        "jig", ("in", "out"), (Instance("dut", cell, ("in", "out")), Instance("l", Resistor(LOAD), ("out", "0")))
    )
    # Unknowns: summing node s, output. (s - in) / R + (s - out) / R = 0;
    # (out - A (V_os - s)) / R_o + (out - s) / R + out / R_L = 0.
    matrix = np.array([[2 / r, -1 / r], [gain / r_out - 1 / r, 1 / r_out + 1 / r + 1 / LOAD]])
    right = np.stack([VOLTS[:, 0] / r, np.full(len(VOLTS), gain * offset / r_out)])
    expected = np.linalg.solve(matrix, right)[1][:, None]
    for waves in both(Bench(jig, ("in",), VOLTS, ("out",))):
        # The clamp's tails are 1e-9 V at most, half a volt from the limits.
        np.testing.assert_allclose(waves.volts, expected, rtol=0.0, atol=3e-9)
