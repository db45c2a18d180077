"""Every activation is its function with an ideal op-amp, and the engines agree with any."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from ohmweave.bench import Bench, Waves
from ohmweave.blocks import (
    Activation,
    Finite,
    Ideal,
    LeakyRectifier,
    OpAmp,
    PrecisionRectifier,
    Readout,
    SigmoidPair45,
    TanhPair45,
    Through,
    activations,
    opamps,
    readouts,
)
from ohmweave.circuit import Cell, Instance, Resistor
from ohmweave.errors import DesignError
from ohmweave.ops import Clip, HardSwish, LeakyRelu, Relu, Sigmoid, Tanh
from ohmweave.units import Array

# Their curves were measured, and are near their functions.
TRANSISTORS = (SigmoidPair45, TanhPair45)
Both = Callable[[Bench], tuple[Waves, Waves]]

Y_MAX, S_OUT = 3.0, 0.2
OPERATIONS = {
    "relu": Relu,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "clip": Clip,
    "leaky_relu": LeakyRelu,
    "hard_swish": HardSwish,
}
# What the network's operation is given, where it has parameters.
PARAMETERS: dict[str, list[tuple[float, ...]]] = {
    "clip": [(0.0, 6.0), (-1.0, 1.0), (0.5, 2.0), (-2.0, -0.5), (-math.inf, 1.0), (0.0, math.inf)],
    "leaky_relu": [(0.01,), (0.0,), (0.3,), (1.0,), (2.5,), (-0.2,)],
}
CHOICES = {
    f"{function}: {name} {' '.join(map(str, parameters))}": (
        OPERATIONS[function](*parameters).forward,
        kind().bind(*parameters),
    )
    for function, kinds in activations().items()
    for name, kind in kinds.items()
    for parameters in PARAMETERS.get(function, [()])
}
CIRCUITS = {
    name: (function, activation)
    for name, (function, activation) in CHOICES.items()
    if activation.cell("activation", Finite(), 0.2, S_OUT) is not None
}
EVERY_ACTIVATION = pytest.mark.parametrize(("function", "activation"), CHOICES.values(), ids=CHOICES)
BY_READOUT = {name: choice for name, choice in CHOICES.items() if name not in CIRCUITS}
EVERY_BY_READOUT = pytest.mark.parametrize(("function", "activation"), BY_READOUT.values(), ids=BY_READOUT)
EVERY_READOUT = pytest.mark.parametrize("readout", [kind() for kind in readouts().values()], ids=readouts())
EVERY_CIRCUIT = pytest.mark.parametrize(("function", "activation"), CIRCUITS.values(), ids=CIRCUITS)
Function = Callable[..., Array]


def scale_in(activation: Activation) -> float:
    return activation.input_scale(Y_MAX, S_OUT, 1.0)


def input_volts(activation: Activation) -> Array:
    return np.linspace(-Y_MAX, Y_MAX, 25) * scale_in(activation)


def jig(activation: Activation, opamp: OpAmp, load: float | None = None) -> Bench:
    """The activation's circuit behind a source over its input range."""
    shape = activation.cell("activation", opamp, scale_in(activation), S_OUT)
    assert shape is not None
    loads = [] if load is None else [Instance("load", Resistor(load), ("out", "0"))]
    cell = Cell("jig", ("in", "out"), (Instance("dut", shape, ("in", "out")), *loads))
    return Bench(cell, ("in",), input_volts(activation)[:, None], ("out",))


@EVERY_ACTIVATION
def test_the_response_is_the_networks_function(function: Function, activation: Activation) -> None:
    s_in = scale_in(activation)
    volts = 2.0 * input_volts(activation)
    expected = S_OUT * function(volts / s_in * (-1.0 if activation.inverting else 1.0))
    np.testing.assert_allclose(activation.respond(volts, s_in, S_OUT), expected, rtol=1e-12, atol=1e-15)


def share(activation: Activation) -> float:
    """What SPICE is good for: junctions in loops of high gain run at its looser tolerances; or a measured curve."""
    if isinstance(activation, TRANSISTORS):
        return 1e-3
    return 1e-7 if isinstance(activation, PrecisionRectifier) else 1e-9


def likeness(activation: Activation) -> float:
    """How far from its function a circuit with an ideal op-amp may be, of full scale."""
    return 1.5e-2 if isinstance(activation, TRANSISTORS) else 1e-4


@EVERY_ACTIVATION
def test_inputs_use_the_swing_and_stay_within_it(function: Function, activation: Activation) -> None:
    for y_max in (0.5, 3.0):
        assert 0.0 < activation.input_scale(y_max, S_OUT / y_max, 1.0) * y_max <= 0.8


@EVERY_CIRCUIT
def test_the_circuit_with_an_ideal_opamp_has_the_response(
    function: Function, activation: Activation, both: Both
) -> None:
    bench = jig(activation, opamps()["ideal"]())
    expected = activation.respond(bench.volts[:, 0], scale_in(activation), S_OUT)
    for waves in both(bench):
        np.testing.assert_allclose(
            waves.volts[:, 0], expected, rtol=0.0, atol=likeness(activation) * np.abs(expected).max()
        )


@EVERY_CIRCUIT
def test_with_a_gain_of_1e4_it_is_near_the_response(function: Function, activation: Activation, both: Both) -> None:
    # A swing that has room for the drop of a diode.
    bench = jig(activation, Finite(r_out=0.0, v_low=-2.0, v_high=2.0))
    expected = activation.respond(bench.volts[:, 0], scale_in(activation), S_OUT)
    for waves in both(bench):
        # As many times 1 / gain as the largest noise gain of any of them, and what the inverters before it add.
        atol = (5e-4 + likeness(activation)) * np.abs(expected).max()
        np.testing.assert_allclose(waves.volts[:, 0], expected, rtol=0.0, atol=atol)


@pytest.mark.parametrize("load", [None, 2e3], ids=["open", "2 kohm"])
@pytest.mark.parametrize("opamp", [Finite(), Finite(offset=2e-3), Finite(gain=500.0, r_out=1e3)], ids=repr)
@EVERY_CIRCUIT
def test_the_engines_agree_with_real_opamps(
    function: Function, activation: Activation, opamp: OpAmp, load: float | None, both: Both
) -> None:
    native, spice = both(jig(activation, opamp, load))
    np.testing.assert_allclose(native.volts, spice.volts, rtol=0.0, atol=share(activation) * np.abs(spice.volts).max())
    np.testing.assert_allclose(
        native.input_amps, spice.input_amps, rtol=0.0, atol=share(activation) * np.abs(spice.input_amps).max()
    )


@pytest.mark.parametrize("kind", [Finite, Ideal])
@EVERY_CIRCUIT
def test_a_range_beyond_the_swing_still_agrees(
    function: Function, activation: Activation, kind: type[OpAmp], both: Both
) -> None:
    bench = jig(activation, kind())
    wide = Bench(bench.cell, bench.inputs, np.linspace(-2.0, 2.0, 17)[:, None], bench.probes)
    native, spice = both(wide)
    np.testing.assert_allclose(native.volts, spice.volts, rtol=0.0, atol=share(activation) * np.abs(spice.volts).max())


def test_no_activation_is_no_circuit() -> None:
    nothing = Through()
    assert nothing.cell("activation", Finite(), 0.1, S_OUT) is None
    assert nothing.limits(S_OUT) == (None, None)
    volts = np.linspace(-1.0, 1.0, 5)
    np.testing.assert_array_equal(nothing.respond(volts, 0.1, S_OUT), volts)


@EVERY_CIRCUIT
def test_a_circuit_of_its_own_leaves_the_readout_its_limits(function: Function, activation: Activation) -> None:
    assert activation.limits(S_OUT) == (None, None)


def column(readout: Readout, opamp: OpAmp, limits: tuple[float | None, float | None], after: Activation) -> Bench:
    """A readout whose lines are fed through 20 kohm each, its last op-amp limited, an activation behind it."""
    inner, last = opamp.cell("opamp"), opamp.cell("last", *limits)
    lines = tuple(f"c{q}" for q in range(readout.lines))
    ports = tuple(f"x{q}" for q in range(readout.lines))
    shape = after.cell("activation", opamp, scale_in(after), S_OUT)
    loops = [Resistor(ohms) for ohms in readout.resistances(10e3, 10e3)]
    parts = [Instance("dut", readout.cell("readout", (inner, last), loops), (*lines, "y"))]
    parts += [Instance(f"r{q}", Resistor(20e3), (ports[q], lines[q])) for q in range(readout.lines)]
    parts += [] if shape is None else [Instance("act", shape, ("y", "out"))]
    # Within the swing of what stands before the last op-amp, and to the swing of what the lines' sum makes.
    volts = np.random.default_rng(2).uniform(-1.2, 1.2, (24, readout.lines))
    probe = "y" if shape is None else "out"
    return Bench(Cell("jig", (*ports, "y", "out"), tuple(parts)), ports, volts, (probe,))


@EVERY_READOUT
@EVERY_BY_READOUT
def test_what_the_readout_does_alone_is_the_function(
    function: Function, activation: Activation, readout: Readout, both: Both
) -> None:
    through = both(column(readout, Ideal(), (None, None), Through()))[0].volts
    expected = S_OUT * function(through / S_OUT)
    assert np.ptp(through) > 0.8, "the currents reach beyond the limits"
    for waves in both(column(readout, Ideal(), activation.limits(S_OUT), Through())):
        # A limit gives way by a thousandth of the input difference.
        np.testing.assert_allclose(waves.volts, expected, rtol=0.0, atol=1e-3 * np.abs(through).max())


@pytest.mark.parametrize("opamp", [Finite(), Finite(gain=500.0, r_out=1e3, offset=2e-3)], ids=repr)
@EVERY_READOUT
@EVERY_ACTIVATION
def test_behind_a_readout_the_engines_agree(
    function: Function, activation: Activation, readout: Readout, opamp: OpAmp, both: Both
) -> None:
    native, spice = both(column(readout, opamp, activation.limits(S_OUT), activation))
    np.testing.assert_allclose(native.volts, spice.volts, rtol=0.0, atol=share(activation) * np.abs(spice.volts).max())


def test_what_the_readout_does_alone_it_does_by_its_limits() -> None:
    clip = activations()["clip"]["clamp"]()
    assert activations()["relu"]["clamp"]().limits(0.2) == (0.0, None)
    assert clip.limits(0.05) == pytest.approx((0.0, 0.3))
    assert clip.bind(-0.5, 2.0).limits(0.2) == pytest.approx((-0.1, 0.4))
    assert clip.bind(-math.inf, 2.0).limits(0.2) == (None, pytest.approx(0.4))
    assert clip.bind(1.0, math.inf).limits(0.2) == (pytest.approx(0.2), None)


@pytest.mark.parametrize("function", [name for name in OPERATIONS if name not in PARAMETERS])
def test_an_operation_without_parameters_binds_to_the_activation_itself(function: str) -> None:
    for kind in activations()[function].values():
        activation = kind()
        assert activation.bind() is activation


def test_the_operations_are_those_that_have_a_circuit() -> None:
    assert activations().keys() == OPERATIONS.keys()


def test_large_negative_values_are_scaled_into_the_swing() -> None:
    leaky = LeakyRectifier().bind(0.1)
    assert leaky.input_scale(50.0, 0.2, 0.8) == pytest.approx(0.8 / 50.0)
    assert leaky.input_scale(1.0, 0.2, 0.8) == 0.2
    assert leaky.input_scale(0.0, 0.2, 0.8) == 0.2


@pytest.mark.parametrize(
    ("function", "field"),
    [
        ("leaky_relu", "resistor"),
        ("hard_swish", "bias_current"),
        ("hard_swish", "overdrive"),
        ("hard_swish", "resistor"),
    ],
)
def test_impossible_parameters_are_refused(function: str, field: str) -> None:
    (kind,) = activations()[function].values()
    with pytest.raises(DesignError, match=f"{function}.{field}: expected a positive value in "):
        kind(**{field: 0.0})
