"""Every multiplier gives the product of its inputs, and the engines agree with any op-amp."""

from collections.abc import Callable

import numpy as np
import pytest

from ohmweave.bench import Bench, Waves
from ohmweave.blocks import Finite, Ideal, Multiplier, OpAmp, QuarterSquare, multipliers
from ohmweave.circuit import Cell, Instance, Resistor
from ohmweave.errors import DesignError
from ohmweave.units import Array

Both = Callable[[Bench], tuple[Waves, Waves]]

V_REF = 0.4
MULTIPLIERS: dict[str, Multiplier] = {name: kind() for name, kind in multipliers().items()} | {
    "quarter_square, other transistors": QuarterSquare(bias_current=5e-6, overdrive=0.3, resistor=20e3)
}
EVERY_MULTIPLIER = pytest.mark.parametrize("multiplier", MULTIPLIERS.values(), ids=MULTIPLIERS)


def pairs(reach: float) -> Array:
    """Inputs of all four quadrants with |a| + |b| <= reach, to its very edge, shape [samples, 2], V."""
    axis = np.linspace(-1.0, 1.0, 9)
    a, b = (grid.ravel() for grid in np.meshgrid(axis, axis))
    return reach * np.stack([a, b], axis=1)[np.abs(a) + np.abs(b) <= 1.0]


def bench(multiplier: Multiplier, opamp: OpAmp, volts: Array, load: float | None = None) -> Bench:
    product = multiplier.cell("product", opamp, V_REF)
    loads = [] if load is None else [Instance("load", Resistor(load), ("out", "0"))]
    cell = Cell("jig", ("a", "b", "out"), (Instance("dut", product, ("a", "b", "out")), *loads))
    return Bench(cell, ("a", "b"), volts, ("out",))


@EVERY_MULTIPLIER
def test_with_ideal_opamps_it_is_the_product(multiplier: Multiplier, both: Both) -> None:
    volts = pairs(multiplier.reach)
    expected = multiplier.respond(volts[:, 0], volts[:, 1], V_REF)
    np.testing.assert_allclose(expected, volts[:, 0] * volts[:, 1] / V_REF, rtol=1e-15)
    for waves in both(bench(multiplier, Ideal(), volts)):
        np.testing.assert_allclose(waves.volts[:, 0], expected, rtol=0.0, atol=1e-7 * np.abs(expected).max())


@EVERY_MULTIPLIER
def test_with_a_gain_of_1e4_it_is_near_the_product(multiplier: Multiplier, both: Both) -> None:
    volts = pairs(multiplier.reach)
    expected = multiplier.respond(volts[:, 0], volts[:, 1], V_REF)
    for waves in both(bench(multiplier, Finite(v_low=-2.0, v_high=2.0), volts)):
        np.testing.assert_allclose(waves.volts[:, 0], expected, rtol=0.0, atol=5e-4 * np.abs(expected).max())


@pytest.mark.parametrize("load", [None, 2e3], ids=["open", "2 kohm"])
@pytest.mark.parametrize("opamp", [Finite(), Finite(offset=2e-3), Finite(gain=500.0, r_out=1e3)], ids=repr)
@EVERY_MULTIPLIER
def test_the_engines_agree_within_and_beyond_the_reach(
    multiplier: Multiplier, opamp: OpAmp, load: float | None, both: Both
) -> None:
    volts = np.vstack([pairs(multiplier.reach), pairs(2.5 * multiplier.reach)])
    native, spice = both(bench(multiplier, opamp, volts, load))
    np.testing.assert_allclose(native.volts, spice.volts, rtol=0.0, atol=1e-9 * np.abs(spice.volts).max())
    np.testing.assert_allclose(
        native.input_amps, spice.input_amps, rtol=0.0, atol=1e-9 * np.abs(spice.input_amps).max()
    )


@EVERY_MULTIPLIER
def test_only_port_b_draws_a_current(multiplier: Multiplier, both: Both) -> None:
    for waves in both(bench(multiplier, Finite(), pairs(multiplier.reach))):
        np.testing.assert_array_equal(waves.input_amps[:, 0], 0.0)
        assert np.abs(waves.input_amps[:, 1]).max() > 0.0


@EVERY_MULTIPLIER
def test_it_says_what_it_draws(multiplier: Multiplier) -> None:
    assert multiplier.opamps == 2
    assert multiplier.quiescent_power(2.0) == pytest.approx(2.0 * multiplier.quiescent_power(1.0))
    assert multiplier.quiescent_power(1.0) > 0.0


def test_the_quarter_square_draws_both_bias_currents() -> None:
    assert QuarterSquare(bias_current=10e-6).quiescent_power(2.0) == pytest.approx(40e-6)
    assert QuarterSquare(overdrive=0.3).reach == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("field", "remedy"),
    [("bias_current", '"20 uA"'), ("overdrive", '"0.5 V"'), ("resistor", '"100 kohm"')],
)
def test_impossible_parameters_are_refused(field: str, remedy: str) -> None:
    with pytest.raises(DesignError, match=f"multiplier.{field}: .*try {field} = {remedy}"):
        QuarterSquare(**{field: -1.0})


def test_an_impossible_reference_is_refused() -> None:
    with pytest.raises(DesignError, match=r"multiplier.v_ref: expected a positive value in V, found 0 V"):
        QuarterSquare().cell("product", Ideal(), 0.0)
