"""Every op-amp's response is that of its circuit, in the linear range and beyond it."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.bench import Bench, Waves
from ohmweave.blocks import Finite, OpAmp, opamps
from ohmweave.circuit import Cell, Instance, Resistor
from ohmweave.errors import DesignError
from ohmweave.units import Array

Both = Callable[[Bench], tuple[Waves, Waves]]


def variants() -> dict[str, OpAmp]:
    """Every op-amp of sources as it comes, and with an offset where it can have one; not those of transistors."""
    found: dict[str, OpAmp] = {}
    for name, kind in opamps().items():
        opamp = kind()
        if opamp.supplied:
            continue
        found[name] = opamp
        if "offset" in {field.name for field in dataclasses.fields(opamp)}:
            found[f"{name}, 1 mV offset"] = dataclasses.replace(opamp, offset=1e-3)
            found[f"{name}, -2 mV offset"] = dataclasses.replace(opamp, offset=-2e-3)
    return found


EVERY_OPAMP = pytest.mark.parametrize("opamp", variants().values(), ids=variants())
Limits = tuple[float | None, float | None]
LIMITS: dict[str, Limits] = {
    "no limits of its own": (None, None),
    "from 0 V": (0.0, None),
    "to 0 V": (None, 0.0),
    "0 to 0.3 V": (0.0, 0.3),
    "0.1 to 0.3 V": (0.1, 0.3),
    "-0.3 to -0.1 V": (-0.3, -0.1),
}
EVERY_LIMITS = pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)


def swing(opamp: OpAmp, limits: Limits) -> tuple[float, float]:
    """Where the output stops, V."""
    low, high = limits
    return opamp.v_low if low is None else low, opamp.v_high if high is None else high


DEEP = np.array([-0.5, -0.1, 0.1, 0.5])


def differences(opamp: OpAmp) -> Array:
    """Input differences over the linear range and to 10 times it, many of them near the corners."""
    gain, _, offset, low, high = opamp.macro
    corners = [low - 1e-3, low + 1e-3, -1e-3, 1e-3, high - 1e-3, high + 1e-3]
    outputs = np.concatenate([np.linspace(low, high, 13), corners, [10.0 * low, 10.0 * high]])
    return outputs / gain - offset


@EVERY_LIMITS
@EVERY_OPAMP
def test_the_open_circuit_response_is_the_cell(opamp: OpAmp, limits: Limits, both: Both) -> None:
    e = differences(opamp)
    expected, tolerance = opamp.respond(e, *limits), 1e-9 * (opamp.v_high - opamp.v_low)
    for driven in (np.stack([e, 0.0 * e], axis=1), np.stack([0.0 * e, -e], axis=1)):
        native, spice = both(Bench(opamp.cell("opamp", *limits), ("p", "n"), driven, ("out",)))
        np.testing.assert_allclose(spice.volts[:, 0], expected, rtol=0.0, atol=tolerance)
        np.testing.assert_allclose(native.volts[:, 0], expected, rtol=0.0, atol=tolerance)


@EVERY_LIMITS
@EVERY_OPAMP
def test_deep_in_saturation_too(opamp: OpAmp, limits: Limits, both: Both) -> None:
    driven = np.stack([DEEP, np.zeros_like(DEEP)], axis=1)
    native, spice = both(Bench(opamp.cell("opamp", *limits), ("p", "n"), driven, ("out",)))
    expected, tolerance = opamp.respond(DEEP, *limits), 1e-9 * (opamp.v_high - opamp.v_low)
    np.testing.assert_allclose(spice.volts[:, 0], expected, rtol=0.0, atol=tolerance)
    np.testing.assert_allclose(native.volts[:, 0], expected, rtol=0.0, atol=tolerance)


@EVERY_LIMITS
@EVERY_OPAMP
def test_between_its_limits_the_output_is_gain_times_difference(opamp: OpAmp, limits: Limits) -> None:
    (gain, _, offset, _, _), (bottom, top) = opamp.macro, swing(opamp, limits)
    wanted = np.linspace(bottom, top, 9)[1:-1]
    # The clamp's tails are those of an input difference of 2.5e-10 V^2 / distance to the nearer limit.
    error = (opamp.respond(wanted / gain - offset, *limits) - wanted) / gain
    assert (np.abs(error) <= 3e-10 / np.minimum(wanted - bottom, top - wanted)).all()


@EVERY_LIMITS
@EVERY_OPAMP
def test_beyond_its_limits_the_output_stays(opamp: OpAmp, limits: Limits) -> None:
    bottom, top = swing(opamp, limits)
    low, high = opamp.respond(np.array([-0.5, 0.5]), *limits)
    # The limits give way by a thousandth of the input difference: gain / (R_stage s).
    assert low == pytest.approx(bottom, abs=1e-3)
    assert high == pytest.approx(top, abs=1e-3)


@EVERY_LIMITS
@EVERY_OPAMP
def test_a_load_divides_with_the_output_resistance(opamp: OpAmp, limits: Limits, both: Both) -> None:
    r_load, (_, r_out, _, _, _) = 1e3, opamp.macro
    jig = Cell(
        "jig",
        ("p", "open", "load"),
        (
            Instance("a", inner := opamp.cell("opamp", *limits), ("p", "0", "open")),
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


@EVERY_OPAMP
def test_limits_wider_than_the_swing_are_the_swing(opamp: OpAmp) -> None:
    e, beyond = differences(opamp), 2.0 * opamp.v_high
    np.testing.assert_array_equal(opamp.respond(e, -beyond, beyond), opamp.respond(e))
    np.testing.assert_array_equal(opamp.respond(e, 0.0, np.inf), opamp.respond(e, low=0.0))
    np.testing.assert_array_equal(opamp.respond(e, -np.inf, 0.1), opamp.respond(e, high=0.1))


@given(low=st.floats(-1.5, 1.5), width=st.floats(0.01, 3.0), e=st.floats(-1.0, 1.0))
def test_the_output_keeps_within_any_limits(low: float, width: float, e: float) -> None:
    opamp, high = Finite(), low + width
    if low >= 0.99 or high <= -0.99:
        return
    (out,) = opamp.respond(np.array([e]), low, high)
    assert max(low, -1.0) - 2e-3 <= out <= min(high, 1.0) + 2e-3


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0.3, 0.2, "0.3 V and 0.2 V"),
        (0.2, 0.2, "0.2 V and 0.2 V"),
        (2.0, None, "2 V and 1 V"),
        (-3.0, -2.0, "-3 V and -2"),
    ],
)
def test_limits_that_leave_nothing_are_refused(low: float, high: float | None, found: str) -> None:
    with pytest.raises(DesignError, match=f"opamp: expected output limits .* within -1 V to 1 V, found {found}"):
        Finite().cell("opamp", low, high)
