"""Every activation is its function with an ideal op-amp, and the engines agree with any."""

from collections.abc import Callable

import numpy as np
import pytest

from ohmweave.bench import Bench, Waves
from ohmweave.blocks import Activation, Finite, OpAmp, PrecisionRectifier, Through, activations, opamps
from ohmweave.circuit import Cell, Instance, Resistor
from ohmweave.units import Array

Both = Callable[[Bench], tuple[Waves, Waves]]

Y_MAX, S_OUT = 3.0, 0.2
CHOICES = {
    f"{function}: {name}": (function, kind())
    for function, kinds in activations().items()
    for name, kind in kinds.items()
}
CIRCUITS = {
    name: (function, activation)
    for name, (function, activation) in CHOICES.items()
    # Some are done by the readout alone: they have their contract in test_readouts.py and test_chips.py.
    if activation.cell("activation", Finite().cell("opamp"), 0.2, S_OUT) is not None
}
EVERY_ACTIVATION = pytest.mark.parametrize(("function", "activation"), CHOICES.values(), ids=CHOICES)
EVERY_CIRCUIT = pytest.mark.parametrize(("function", "activation"), CIRCUITS.values(), ids=CIRCUITS)
NETWORK: dict[str, Callable[[Array], Array]] = {
    "relu": lambda y: np.maximum(y, 0.0),
    "tanh": np.tanh,
    "sigmoid": lambda y: 1.0 / (1.0 + np.exp(-y)),
}


def scale_in(activation: Activation) -> float:
    return activation.input_scale(Y_MAX, S_OUT, 1.0)


def input_volts(activation: Activation) -> Array:
    return np.linspace(-Y_MAX, Y_MAX, 25) * scale_in(activation)


def jig(activation: Activation, opamp: OpAmp, load: float | None = None) -> Bench:
    """The activation's circuit behind a source over its input range."""
    shape = activation.cell("activation", opamp.cell("opamp"), scale_in(activation), S_OUT)
    assert shape is not None
    loads = [] if load is None else [Instance("load", Resistor(load), ("out", "0"))]
    cell = Cell("jig", ("in", "out"), (Instance("dut", shape, ("in", "out")), *loads))
    return Bench(cell, ("in",), input_volts(activation)[:, None], ("out",))


@EVERY_ACTIVATION
def test_the_response_is_the_networks_function(function: str, activation: Activation) -> None:
    s_in = scale_in(activation)
    y = input_volts(activation) / s_in * (-1.0 if activation.inverting else 1.0)
    expected = S_OUT * NETWORK[function](y)
    np.testing.assert_allclose(
        activation.respond(input_volts(activation), s_in, S_OUT), expected, rtol=1e-12, atol=1e-16
    )


def share(activation: Activation) -> float:
    """What SPICE is good for: junctions in loops of high gain run at its looser tolerances."""
    return 1e-7 if isinstance(activation, PrecisionRectifier) else 1e-9


@EVERY_ACTIVATION
def test_inputs_use_the_swing_and_stay_within_it(function: str, activation: Activation) -> None:
    for y_max in (0.5, 3.0):
        assert 0.0 < activation.input_scale(y_max, S_OUT / y_max, 1.0) * y_max <= 0.8


@EVERY_CIRCUIT
def test_the_circuit_with_an_ideal_opamp_has_the_response(function: str, activation: Activation, both: Both) -> None:
    bench = jig(activation, opamps()["ideal"]())
    expected = activation.respond(bench.volts[:, 0], scale_in(activation), S_OUT)
    for waves in both(bench):
        np.testing.assert_allclose(waves.volts[:, 0], expected, rtol=0.0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("load", [None, 2e3], ids=["open", "2 kohm"])
@pytest.mark.parametrize("opamp", [Finite(), Finite(offset=2e-3), Finite(gain=500.0, r_out=1e3)], ids=repr)
@EVERY_CIRCUIT
def test_the_engines_agree_with_real_opamps(
    function: str, activation: Activation, opamp: OpAmp, load: float | None, both: Both
) -> None:
    native, spice = both(jig(activation, opamp, load))
    np.testing.assert_allclose(native.volts, spice.volts, rtol=0.0, atol=share(activation) * np.abs(spice.volts).max())
    np.testing.assert_allclose(
        native.input_amps, spice.input_amps, rtol=0.0, atol=share(activation) * np.abs(spice.input_amps).max()
    )


@pytest.mark.parametrize("kind", opamps().values(), ids=opamps())
@EVERY_CIRCUIT
def test_a_range_beyond_the_swing_still_agrees(
    function: str, activation: Activation, kind: type[OpAmp], both: Both
) -> None:
    bench = jig(activation, kind())
    wide = Bench(bench.cell, bench.inputs, np.linspace(-2.0, 2.0, 17)[:, None], bench.probes)
    native, spice = both(wide)
    np.testing.assert_allclose(native.volts, spice.volts, rtol=0.0, atol=share(activation) * np.abs(spice.volts).max())


def test_no_activation_is_no_circuit() -> None:
    nothing = Through()
    assert nothing.cell("activation", Finite().cell("opamp"), 0.1, S_OUT) is None
    volts = np.linspace(-1.0, 1.0, 5)
    np.testing.assert_array_equal(nothing.respond(volts, 0.1, S_OUT), volts)
