"""Every scheme turns weights into conductances whose currents are the weighted sums."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.bench import Bench, Waves
from ohmweave.blocks import Ideal, readouts
from ohmweave.circuit import Cell, Crossbar, Instance, Resistor
from ohmweave.schemes import Scheme, schemes
from ohmweave.units import Array

Both = Callable[[Bench], tuple[Waves, Waves]]

G_RANGE = (1e-6, 1e-4)
EVERY_SCHEME = pytest.mark.parametrize("scheme", [kind() for kind in schemes().values()], ids=schemes())
SHAPES = {"inputs": st.integers(1, 7), "outputs": st.integers(1, 6), "seed": st.integers(0, 2**32 - 1)}


def weights(inputs: int, outputs: int, seed: int) -> Array:
    """Random weights of any size, some of them zero, not all."""
    rng = np.random.default_rng(seed)
    w = rng.normal(0.0, 10.0 ** rng.uniform(-3, 3), (inputs, outputs)) * (rng.random((inputs, outputs)) < 0.8)
    w[0, 0] = 1.0 if not w.any() else w[0, 0]
    return np.asarray(w)


def unit(w: Array) -> float:
    """Conductance per unit of weight, S."""
    return float((G_RANGE[1] - G_RANGE[0]) / np.abs(w).max())


def line_volts(scheme: Scheme, v: Array) -> Array:
    """What the physical rows carry: +v, and -v on the second of two."""
    signs = np.array([1.0, -1.0])[: scheme.lines_per_input]
    return np.asarray((v[:, :, None] * signs).reshape(len(v), -1))


@EVERY_SCHEME
@settings(deadline=None)
@given(**SHAPES)
def test_decoding_the_currents_gives_the_weighted_sums(scheme: Scheme, inputs: int, outputs: int, seed: int) -> None:
    w, v = weights(inputs, outputs, seed), np.random.default_rng(seed).uniform(-0.5, 0.5, (3, inputs))
    k = unit(w)
    g = scheme.encode(w, G_RANGE, k)
    assert g.shape == (inputs * scheme.lines_per_input, outputs * scheme.lines_per_output)
    sums = scheme.decode(line_volts(scheme, v) @ g, k)
    np.testing.assert_allclose(sums, v @ w, rtol=0.0, atol=1e-9 * np.abs(w).max())


@EVERY_SCHEME
@settings(deadline=None)
@given(**SHAPES)
def test_every_conductance_is_one_that_the_device_has(scheme: Scheme, inputs: int, outputs: int, seed: int) -> None:
    w = weights(inputs, outputs, seed)
    g = scheme.encode(w, G_RANGE, unit(w))
    assert (g >= G_RANGE[0] * (1 - 1e-12)).all()
    assert (g <= G_RANGE[1] * (1 + 1e-12)).all()


@EVERY_SCHEME
@settings(deadline=None)
@given(**SHAPES)
def test_a_zero_weight_costs_no_more_than_two_g_off(scheme: Scheme, inputs: int, outputs: int, seed: int) -> None:
    w = weights(inputs, outputs, seed)
    g = scheme.encode(w, G_RANGE, unit(w))
    cost = g.reshape(inputs, scheme.lines_per_input, outputs, scheme.lines_per_output).sum(axis=(1, 3))
    assert (cost[w == 0.0] <= 2 * G_RANGE[0] * (1 + 1e-12)).all()


@EVERY_SCHEME
@settings(deadline=None)
@given(**SHAPES)
def test_the_opposite_weights_give_the_opposite_sums(scheme: Scheme, inputs: int, outputs: int, seed: int) -> None:
    w, v = weights(inputs, outputs, seed), np.random.default_rng(seed).uniform(-0.5, 0.5, (2, inputs))
    rows, k = line_volts(scheme, v), unit(w)
    plus, minus = (scheme.decode(rows @ scheme.encode(sign * w, G_RANGE, k), k) for sign in (1.0, -1.0))
    np.testing.assert_allclose(plus, -minus, rtol=0.0, atol=1e-9 * np.abs(w).max())


def array(scheme: Scheme, w: Array) -> Crossbar:
    g = scheme.encode(w, G_RANGE, unit(w))
    rows, cols = (tuple(f"{letter}{i}" for i in range(count)) for letter, count in zip("rc", g.shape, strict=True))
    return Crossbar("bar", rows, cols, None, g, 0.0, 0.0)


@EVERY_SCHEME
def test_an_ideal_crossbar_multiplies(scheme: Scheme, both: Both) -> None:
    w, v = weights(4, 3, 7), np.random.default_rng(7).uniform(-0.5, 0.5, (5, 4))
    bar = array(scheme, w)
    driven = np.hstack([line_volts(scheme, v), np.zeros((len(v), len(bar.cols)))])
    for waves in both(Bench(Cell("array", (*bar.rows, *bar.cols), (bar,)), (*bar.rows, *bar.cols), driven, ())):
        currents = -waves.input_amps[:, len(bar.rows) :]
        np.testing.assert_allclose(scheme.decode(currents, unit(w)), v @ w, rtol=0.0, atol=1e-9 * np.abs(v @ w).max())


@EVERY_SCHEME
def test_the_schemes_own_readout_makes_the_sums_with_their_sign(scheme: Scheme, both: Both) -> None:
    w, v = weights(4, 3, 8), np.random.default_rng(8).uniform(-0.5, 0.5, (5, 4))
    bar, readout, opamp, r_f = array(scheme, w), readouts()[scheme.readout](), Ideal().cell("opamp"), 5e3
    assert readout.lines == scheme.lines_per_output
    column = readout.cell("readout", (opamp, opamp), [Resistor(ohms) for ohms in readout.resistances(r_f, r_f)])
    ends = [bar.cols[j * readout.lines : (j + 1) * readout.lines] for j in range(w.shape[1])]
    outs = tuple(f"y{j}" for j in range(w.shape[1]))
    columns = [Instance(f"ro{j}", column, (*lines, outs[j])) for j, lines in enumerate(ends)]
    cell = Cell("layer", (*bar.rows, *outs), (bar, *columns))
    expected = r_f * unit(w) * v @ w
    for waves in both(Bench(cell, bar.rows, line_volts(scheme, v), outs)):
        np.testing.assert_allclose(waves.volts, expected, rtol=0.0, atol=1e-6 * np.abs(expected).max())
