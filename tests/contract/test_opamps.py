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


def differences(opamp: OpAmp) -> Array:
    """Input differences: over the linear range, near both corners and deep in both saturations."""
    gain, _, offset, low, high = opamp.macro
    outputs = np.concatenate([np.linspace(low, high, 13), [low - 1e-3, low + 1e-3, high - 1e-3, high + 1e-3]])
    return np.concatenate([outputs / gain - offset, [-0.5, -0.1, 0.1, 0.5]])


@FLOORS
@EVERY_OPAMP
def test_the_open_circuit_response_is_the_cell(opamp: OpAmp, floor: float | None, both: Both) -> None:
    e = differences(opamp)
    cell = opamp.cell("opamp", floor)
    for scale, volts in (("n at ground", np.stack([e, np.zeros_like(e)], axis=1)), ("p at ground", None)):
        drive = np.stack([np.zeros_like(e), -e], axis=1) if volts is None else volts
        native, spice = both(Bench(cell, ("p", "n"), drive, ("out",)))
        expected = opamp.respond(e, floor)
        tolerance = 1e-9 * (opamp.v_high - opamp.v_low)
        np.testing.assert_allclose(spice.volts[:, 0], expected, rtol=0.0, atol=tolerance, err_msg=scale)
        np.testing.assert_allclose(native.volts[:, 0], expected, rtol=0.0, atol=tolerance, err_msg=scale)


@FLOORS
@EVERY_OPAMP
def test_between_its_limits_the_output_is_gain_times_difference(opamp: OpAmp, floor: float | None) -> None:
    gain, _, offset, low, high = opamp.macro
    bottom = low if floor is None else floor
    wanted = np.linspace(bottom, high, 9)[1:-1]
    np.testing.assert_allclose(opamp.respond(wanted / gain - offset, floor), wanted, rtol=1e-5, atol=1e-9)


@FLOORS
@EVERY_OPAMP
def test_beyond_its_limits_the_output_stays(opamp: OpAmp, floor: float | None) -> None:
    bottom = opamp.v_low if floor is None else floor
    low, high = opamp.respond(np.array([-0.5, 0.5]), floor)
    # The limits give way by 0.5 V over the stage's own R s = 1000 times the gain, gain cancelled.
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
        np.testing.assert_allclose(waves.volts[:, 1], expected, rtol=1e-9, atol=1e-12)


@EVERY_OPAMP
def test_inputs_draw_nothing(opamp: OpAmp, both: Both) -> None:
    cell = opamp.cell("opamp")
    for waves in both(Bench(cell, ("p", "n"), np.array([[0.3, 0.1], [-0.2, 0.4]]), ("out",))):
        np.testing.assert_array_equal(waves.input_amps, np.zeros((2, 2)))
