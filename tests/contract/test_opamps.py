"""Every op-amp's response is that of its circuit, in the linear range and beyond it."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from ohmweave.bench import Bench, Waves
from ohmweave.blocks import OpAmp, opamps
from ohmweave.circuit import Cell, Instance, Resistor
from ohmweave.units import Array

Both = Callable[[Bench], tuple[Waves, Waves]]


def variants() -> dict[str, OpAmp]:
    """Every op-amp as it comes, and with an offset where it can have one."""
    found: dict[str, OpAmp] = {}
    for name, kind in opamps().items():
        found[name] = opamp = kind()
        if "offset" in {field.name for field in dataclasses.fields(opamp)}:
            found[f"{name}, 1 mV offset"] = dataclasses.replace(opamp, offset=1e-3)
            found[f"{name}, -2 mV offset"] = dataclasses.replace(opamp, offset=-2e-3)
    return found


EVERY_OPAMP = pytest.mark.parametrize("opamp", variants().values(), ids=variants())
FLOORS = pytest.mark.parametrize("floor", [None, 0.0], ids=["no floor", "floor 0 V"])


DEEP = np.array([-0.5, -0.1, 0.1, 0.5])


def differences(opamp: OpAmp) -> Array:
    """Input differences over the linear range and to 10 times it, many of them near the corners."""
    gain, _, offset, low, high = opamp.macro
    corners = [low - 1e-3, low + 1e-3, -1e-3, 1e-3, high - 1e-3, high + 1e-3]
    outputs = np.concatenate([np.linspace(low, high, 13), corners, [10.0 * low, 10.0 * high]])
    return outputs / gain - offset


@FLOORS
@EVERY_OPAMP
def test_the_open_circuit_response_is_the_cell(opamp: OpAmp, floor: float | None, both: Both) -> None:
    e = differences(opamp)
    expected, tolerance = opamp.respond(e, floor), 1e-9 * (opamp.v_high - opamp.v_low)
    for driven in (np.stack([e, 0.0 * e], axis=1), np.stack([0.0 * e, -e], axis=1)):
        native, spice = both(Bench(opamp.cell("opamp", floor), ("p", "n"), driven, ("out",)))
        np.testing.assert_allclose(spice.volts[:, 0], expected, rtol=0.0, atol=tolerance)
        np.testing.assert_allclose(native.volts[:, 0], expected, rtol=0.0, atol=tolerance)


@FLOORS
@EVERY_OPAMP
def test_deep_in_saturation_too(opamp: OpAmp, floor: float | None, both: Both) -> None:
    driven = np.stack([DEEP, np.zeros_like(DEEP)], axis=1)
    native, spice = both(Bench(opamp.cell("opamp", floor), ("p", "n"), driven, ("out",)))
    expected, tolerance = opamp.respond(DEEP, floor), 1e-9 * (opamp.v_high - opamp.v_low)
    np.testing.assert_allclose(spice.volts[:, 0], expected, rtol=0.0, atol=tolerance)
    np.testing.assert_allclose(native.volts[:, 0], expected, rtol=0.0, atol=tolerance)


@FLOORS
@EVERY_OPAMP
def test_between_its_limits_the_output_is_gain_times_difference(opamp: OpAmp, floor: float | None) -> None:
    gain, _, offset, low, high = opamp.macro
    bottom = low if floor is None else floor
    wanted = np.linspace(bottom, high, 9)[1:-1]
    # The clamp's tails are those of an input difference of 2.5e-10 V^2 / distance to the nearer limit.
    error = (opamp.respond(wanted / gain - offset, floor) - wanted) / gain
    assert (np.abs(error) <= 3e-10 / np.minimum(wanted - bottom, high - wanted)).all()


@FLOORS
@EVERY_OPAMP
def test_beyond_its_limits_the_output_stays(opamp: OpAmp, floor: float | None) -> None:
    bottom = opamp.v_low if floor is None else floor
    low, high = opamp.respond(np.array([-0.5, 0.5]), floor)
    # The limits give way by a thousandth of the input difference: gain / (R_stage s).
    assert low == pytest.approx(bottom, abs=1e-3)
    assert high == pytest.approx(opamp.v_high, abs=1e-3)


@FLOORS
@EVERY_OPAMP
def test_a_load_divides_with_the_output_resistance(opamp: OpAmp, floor: float | None, both: Both) -> None:
    r_load, (_, r_out, _, _, _) = 1e3, opamp.macro
    jig = Cell(
        "jig",
        ("p", "open", "load"),
        (
            Instance("a", inner := opamp.cell("opamp", floor), ("p", "0", "open")),
            Instance("b", inner, ("p", "0", "load")),
            Instance("r", Resistor(r_load), ("load", "0")),
        ),
    )
    native, spice = both(Bench(jig, ("p",), differences(opamp)[:, None], ("open", "load")))
    for waves in (native, spice):
        expected = waves.volts[:, 0] * r_load / (r_load + r_out)
        np.testing.assert_allclose(waves.volts[:, 1], expected, rtol=1e-9, atol=1e-10)


@EVERY_OPAMP
def test_inputs_draw_nothing(opamp: OpAmp, both: Both) -> None:
    cell = opamp.cell("opamp")
    for waves in both(Bench(cell, ("p", "n"), np.array([[0.3, 0.1], [-0.2, 0.4]]), ("out",))):
        np.testing.assert_array_equal(waves.input_amps, np.zeros((2, 2)))
