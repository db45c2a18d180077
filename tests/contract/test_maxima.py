"""Every maximum finds the largest of its inputs, and the engines agree with any op-amp."""

from collections.abc import Callable

import numpy as np
import pytest

from ohmweave.bench import Bench, Waves
from ohmweave.blocks import ClampedDifference, Finite, Ideal, Maximum, OpAmp, maxima
from ohmweave.circuit import Cell, Instance, Resistor
from ohmweave.errors import DesignError
from ohmweave.units import Array

Both = Callable[[Bench], tuple[Waves, Waves]]

TAPS = [2, 3, 4, 9]
EVERY_MAXIMUM = pytest.mark.parametrize("maximum", [kind() for kind in maxima().values()], ids=maxima())
EVERY_TAPS = pytest.mark.parametrize("taps", TAPS)


def inputs(taps: int, largest: float) -> Array:
    """Random voltages of both signs, all equal ones, each input the largest once, shape [samples, taps], V."""
    rng = np.random.default_rng(taps)
    alone = np.full((taps, taps), -largest) + 1.5 * largest * np.eye(taps)
    equal = largest * np.array([[-1.0], [0.0], [1.0]]) * np.ones(taps)
    return np.vstack([rng.uniform(-largest, largest, (8, taps)), alone, equal])


def bench(maximum: Maximum, opamp: OpAmp, volts: Array, *, load: float | None = None, source: float = 0.0) -> Bench:
    """The circuit behind resistive sources where one is given."""
    taps = volts.shape[1]
    ports = tuple(f"x{k}" for k in range(taps))
    inner = tuple(f"s{k}" for k in range(taps)) if source else ports
    parts = [Instance("dut", maximum.cell("maximum", taps, opamp), (*inner, "out"))]
    parts += [Instance(f"r{k}", Resistor(source), (ports[k], inner[k])) for k in range(taps) if source]
    parts += [] if load is None else [Instance("load", Resistor(load), ("out", "0"))]
    return Bench(Cell("jig", (*ports, "out"), tuple(parts)), ports, volts, ("out",))


def levels(taps: int) -> int:
    return int(np.ceil(np.log2(taps)))


@EVERY_TAPS
@EVERY_MAXIMUM
def test_with_ideal_opamps_it_is_the_largest_input(maximum: Maximum, taps: int, both: Both) -> None:
    for largest in (0.2, 5.0):
        volts = inputs(taps, largest)
        expected = maximum.respond(volts)
        np.testing.assert_array_equal(expected, volts.max(axis=1))
        for waves in both(bench(maximum, Ideal(), volts)):
            np.testing.assert_allclose(waves.volts[:, 0], expected, rtol=1e-6, atol=40e-6 * levels(taps))


@EVERY_TAPS
@EVERY_MAXIMUM
def test_with_a_gain_of_1e4_it_is_near_the_largest_input(maximum: Maximum, taps: int, both: Both) -> None:
    volts = inputs(taps, 0.5)
    for waves in both(bench(maximum, Finite(), volts)):
        np.testing.assert_allclose(waves.volts[:, 0], volts.max(axis=1), rtol=0.0, atol=8e-4 * 0.5 * levels(taps))


@EVERY_MAXIMUM
def test_its_inputs_use_the_whole_swing(maximum: Maximum, both: Both) -> None:
    volts = np.array([[-0.95, 0.95], [0.95, -0.95], [-0.95, -0.9], [0.9, 0.95]])
    for waves in both(bench(maximum, Finite(), volts)):
        np.testing.assert_allclose(waves.volts[:, 0], volts.max(axis=1), rtol=0.0, atol=2e-3)


@pytest.mark.parametrize("load", [None, 2e3], ids=["open", "2 kohm"])
@pytest.mark.parametrize("opamp", [Finite(), Finite(offset=2e-3), Finite(gain=500.0, r_out=1e3)], ids=repr)
@EVERY_TAPS
@EVERY_MAXIMUM
def test_the_engines_agree_within_and_beyond_the_swing(
    maximum: Maximum, taps: int, opamp: OpAmp, load: float | None, both: Both
) -> None:
    volts = np.vstack([inputs(taps, 0.3), inputs(taps, 1.5)])
    native, spice = both(bench(maximum, opamp, volts, load=load, source=1e3))
    np.testing.assert_allclose(native.volts, spice.volts, rtol=0.0, atol=1e-9 * np.abs(spice.volts).max())
    np.testing.assert_allclose(
        native.input_amps, spice.input_amps, rtol=0.0, atol=1e-9 * np.abs(spice.input_amps).max()
    )


@EVERY_MAXIMUM
def test_the_response_takes_any_shape(maximum: Maximum) -> None:
    volts = np.random.default_rng(1).normal(size=(3, 5, 4))
    np.testing.assert_array_equal(maximum.respond(volts), volts.max(axis=-1))


@EVERY_TAPS
@EVERY_MAXIMUM
def test_it_counts_its_opamps(maximum: Maximum, taps: int) -> None:
    assert maximum.opamps(taps) == count(maximum.cell("maximum", taps, Finite()))


def count(cell: Cell) -> int:
    """Op-amps in a cell: what has ports p, n, out."""
    if cell.ports == ("p", "n", "out"):
        return 1
    return sum(count(part.of) for part in cell.parts if isinstance(part, Instance) and isinstance(part.of, Cell))


def test_one_input_is_nothing_to_choose_from() -> None:
    with pytest.raises(ValueError, match="maximum: expected at least 2 inputs to choose from, found 1"):
        ClampedDifference().cell("maximum", 1, Finite())


def test_an_impossible_resistor_is_refused() -> None:
    with pytest.raises(DesignError, match=r'maximum.resistor: .*try resistor = "1 Mohm"'):
        ClampedDifference(resistor=0.0)
