"""Every memristor is its circuit: the current law and the cell agree in SPICE."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.bench import Bench, Waves
from ohmweave.circuit import Behavioural, Bent, Cell, Crossbar, DeviceLaw, Instance, Resistor
from ohmweave.devices import Device, bent, devices
from ohmweave.errors import DesignError
from ohmweave.units import Array

Both = Callable[[Bench], tuple[Waves, Waves]]


def has_levels(device: Any) -> bool:
    return "levels" in {field.name for field in dataclasses.fields(device)}


def with_levels(device: Any, levels: int) -> Device:
    changed: Device = dataclasses.replace(device, levels=levels)
    return changed


EVERY_DEVICE = pytest.mark.parametrize("device", [kind() for kind in devices().values()], ids=devices())
CURVED = [kind() for kind in devices().values() if kind().cell() is not None]
EVERY_CURVE = pytest.mark.parametrize("device", CURVED, ids=[type(device).__name__ for device in CURVED])
LEVELLED = {name: kind() for name, kind in devices().items() if has_levels(kind())}
READ_VOLTS = np.linspace(-0.5, 0.5, 21)


def conductances(device: Device, count: int) -> Array:
    return np.geomspace(*device.g_range, count)


def one_by_one(device: Device, g: Array) -> Cell:
    """Port p<k> is a device of conductance g[k] to ground."""
    cell = device.cell()
    parts = [
        Instance(f"d{k}", Resistor(1.0 / value), (f"p{k}", "0"))
        if cell is None
        else Instance(f"d{k}", cell, (f"p{k}", "0"), {"g": value})
        for k, value in enumerate(g.tolist())
    ]
    return Cell("devices", tuple(f"p{k}" for k in range(len(g))), tuple(parts))


@EVERY_DEVICE
def test_the_range_of_conductances_is_positive_and_ordered(device: Device) -> None:
    g_off, g_on = device.g_range
    assert 0.0 < g_off < g_on < 1.0


@EVERY_DEVICE
def test_the_current_law_is_the_cell(device: Device, both: Both) -> None:
    g = conductances(device, 7)
    cell = one_by_one(device, g)
    bench = Bench(cell, cell.ports, np.repeat(READ_VOLTS[:, None], len(g), axis=1), ())
    native, spice = both(bench)
    expected = device.current(READ_VOLTS[:, None], g)
    np.testing.assert_allclose(spice.input_amps, expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(native.input_amps, expected, rtol=1e-9, atol=1e-15)


@EVERY_DEVICE
def test_a_crossbar_without_wires_sums_the_law_on_its_columns(device: Device, both: Both) -> None:
    rng = np.random.default_rng(3)
    g = rng.uniform(*device.g_range, (3, 4))
    g[1, 2] = np.nan
    rows, cols = ("r0", "r1", "r2"), ("c0", "c1", "c2", "c3")
    cell = Cell("array", (*rows, *cols), (Crossbar("bar", rows, cols, device.cell(), g, 0.0, 0.0),))
    volts = np.hstack([rng.uniform(-0.5, 0.5, (6, 3)), np.zeros((6, 4))])
    native, spice = both(Bench(cell, cell.ports, volts, ()))
    amps = np.nan_to_num(device.current(volts[:, :3, None], g))
    expected = np.hstack([amps.sum(axis=2), -amps.sum(axis=1)])
    np.testing.assert_allclose(spice.input_amps, expected, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(native.input_amps, expected, rtol=1e-9, atol=1e-14)


@EVERY_DEVICE
def test_the_native_engine_agrees_through_wires(device: Device, both: Both) -> None:
    rng = np.random.default_rng(4)
    g = rng.uniform(*device.g_range, (3, 4))
    rows, cols = ("r0", "r1", "r2"), ("c0", "c1", "c2", "c3")
    cell = Cell("array", (*rows, *cols), (Crossbar("bar", rows, cols, device.cell(), g, 100.0, 50.0),))
    volts = np.hstack([rng.uniform(-0.5, 0.5, (6, 3)), np.zeros((6, 4))])
    native, spice = both(Bench(cell, cell.ports, volts, ()))
    scale = np.abs(spice.input_amps).max()
    np.testing.assert_allclose(native.input_amps, spice.input_amps, rtol=0.0, atol=1e-9 * scale)


@EVERY_DEVICE
@settings(max_examples=60, deadline=None)
@given(v=st.floats(-0.5, 0.5), share=st.floats(0.0, 1.0))
def test_the_slope_is_the_derivative_of_the_current(device: Device, v: float, share: float) -> None:
    g = np.array(np.interp(share, (0.0, 1.0), device.g_range))
    step = 1e-5
    ahead, behind = (device.current(np.array(v + s * step), g) for s in (1.0, -1.0))
    slope, after, before = (device.slope(np.array(v + s * step), g) for s in (0.0, 1.0, -1.0))
    # Central differences: off by h^2/6 of the third derivative and by rounding, 1e-16 i / h; where the slope
    # has a corner (a table's points) by its second difference.
    corner = abs(after - 2 * slope + before)
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-7, atol=float(corner))


@EVERY_DEVICE
@settings(max_examples=60, deadline=None)
@given(v=st.floats(1e-6, 0.5), share=st.floats(0.0, 1.0))
def test_a_device_only_dissipates(device: Device, v: float, share: float) -> None:
    g = np.array(np.interp(share, (0.0, 1.0), device.g_range))
    assert device.current(np.array(0.0), g) == 0.0
    assert device.current(np.array(v), g) > 0.0
    assert device.current(np.array(-v), g) < 0.0


@EVERY_DEVICE
def test_currents_and_slopes_broadcast_voltages_over_conductances(device: Device) -> None:
    g = conductances(device, 4)
    for law in (device.current, device.slope):
        together = law(READ_VOLTS[:, None], g)
        assert together.shape == (21, 4)
        np.testing.assert_array_equal(together[5, 2], law(READ_VOLTS[5], g[2]))


@EVERY_DEVICE
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), levels=st.sampled_from([None, 2, 3, 4, 16, 256]))
def test_programming_reaches_the_range_and_nothing_else(device: Device, seed: int, levels: int | None) -> None:
    if levels is not None and has_levels(device):
        device = with_levels(device, levels)
    g_off, g_on = device.g_range
    target = np.random.default_rng(seed).uniform(g_off, g_on, (5, 6))
    target[0, :2] = g_off, g_on
    asked = target.copy()
    reached = device.program(target, np.random.default_rng(seed))
    np.testing.assert_array_equal(target, asked)
    assert reached.shape == target.shape
    assert (reached >= g_off * (1 - 1e-12)).all()
    assert (reached <= g_on * (1 + 1e-12)).all()
    np.testing.assert_array_equal(reached, device.program(target, np.random.default_rng(seed)))


@pytest.mark.parametrize("levels", [2, 4, 16])
@pytest.mark.parametrize("device", LEVELLED.values(), ids=LEVELLED)
def test_programming_a_level_again_leaves_it_where_it_is(device: Device, levels: int) -> None:
    device = with_levels(device, levels)
    rng = np.random.default_rng(1)
    reached = device.program(rng.uniform(*device.g_range, (9, 8)), rng)
    assert len(np.unique(reached)) <= levels
    np.testing.assert_allclose(device.program(reached, rng), reached, rtol=1e-14)
    nearest = np.linspace(*device.g_range, levels)
    assert np.abs(reached[..., None] - nearest).min(axis=-1).max() < 1e-12 * device.g_range[1]


def bent_cell(device: Device) -> Cell:
    cell = device.cell()
    assert cell is not None
    return bent(cell)


@EVERY_CURVE
def test_a_bent_cell_is_the_law_at_another_voltage_scale(device: Device, both: Both) -> None:
    g, s = (values.ravel() for values in np.meshgrid(conductances(device, 3), [0.7, 0.95, 1.0, 1.4]))
    cell = bent_cell(device)
    parts = [
        Instance(f"d{k}", cell, (f"p{k}", "0"), {"g": each, "s": scale})
        for k, (each, scale) in enumerate(zip(g.tolist(), s.tolist(), strict=True))
    ]
    ports = tuple(f"p{k}" for k in range(len(g)))
    native, spice = both(
        Bench(Cell("devices", ports, tuple(parts)), ports, np.repeat(READ_VOLTS[:, None], len(g), axis=1), ())
    )
    expected = s * device.current(READ_VOLTS[:, None] / s, g)
    np.testing.assert_allclose(spice.input_amps, expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(native.input_amps, expected, rtol=1e-9, atol=1e-15)
    # The scales are seen at the ends of the range.
    assert np.ptp((expected[-1] / g).reshape(4, -1)[:, 0]) > 1e-5


@EVERY_CURVE
def test_a_bent_cell_without_a_scale_is_the_device(device: Device, both: Both) -> None:
    cell, g = bent_cell(device), float(device.g_range[1])
    plain = device.cell()
    assert plain is not None
    assert (cell.name, cell.law, dict(cell.params)) == (f"{plain.name}_bent", plain.law, {**plain.params, "s": 1.0})
    parts = (Instance("one", cell, ("p", "0"), {"g": g}), Instance("two", plain, ("q", "0"), {"g": g}))
    native, spice = both(Bench(Cell("two", ("p", "q"), parts), ("p", "q"), np.tile(READ_VOLTS[:, None], 2), ()))
    for waves in (native, spice):
        np.testing.assert_allclose(waves.input_amps[:, 0], waves.input_amps[:, 1], rtol=1e-12, atol=1e-18)


@EVERY_CURVE
@given(v=st.floats(-0.5, 0.5), s=st.floats(0.5, 2.0))
def test_both_faces_of_a_bend_agree_and_its_slope_is_the_derivative(device: Device, v: float, s: float) -> None:
    g, volts, law = np.array(device.g_range[1]), np.array(v), Bent(device, s)
    (source,) = bent_cell(device).parts
    assert isinstance(source, Instance)
    assert isinstance(source.of, Behavioural)
    # The cell's own arithmetic is that of its defaults: s is 1, and g its law's own.
    inner = source.of.law
    own_g = np.asarray(inner.slope(np.array(0.0)) / device.slope(np.array(0.0), np.array(1.0)))
    np.testing.assert_allclose(inner.value(volts), device.current(volts, own_g), rtol=1e-12, atol=1e-20)
    bent_inner = dataclasses.replace(inner, s=s)  # type: ignore[type-var]
    np.testing.assert_allclose(bent_inner.value(volts), law.current(volts, own_g), rtol=1e-12, atol=1e-20)
    np.testing.assert_allclose(bent_inner.slope(volts), law.slope(volts, own_g), rtol=1e-12)
    assert law.slope(np.array(0.0), g) == device.slope(np.array(0.0), g)
    step = 1e-5
    ahead, behind = (law.current(volts + sign * step, g) for sign in (1.0, -1.0))
    slope, after, before = (law.slope(volts + sign * step, g) for sign in (0.0, 1.0, -1.0))
    corner = float(abs(after - 2 * slope + before))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-7, atol=corner)


def strange(law: DeviceLaw | None, *parts: Instance, **params: float) -> Cell:
    return Cell("strange", ("p", "n"), parts, {"g": 1e-6, **params}, law)


def test_devices_that_cannot_be_bent_are_refused() -> None:
    (source,) = bent_cell(CURVED[0]).parts
    assert isinstance(source, Instance)
    elsewhere = dataclasses.replace(source, nets=("p", "n", "inside", "n"))
    law, what = CURVED[0], "expected nothing but behavioural sources between the terminals, "
    messages = {
        f"{what}controlled by the voltage there, found r1": strange(law, Instance("r1", Resistor(1e5), ("p", "n"))),
        f"{what}controlled by the voltage there, found b1": strange(law, elsewhere),
        "expected a device with a current law and no parameter s, found no law": strange(None, source),
        "expected a device with a current law and no parameter s, found a parameter s of its own": strange(
            law, source, s=1.0
        ),
    }
    for message, cell in messages.items():
        with pytest.raises(DesignError) as caught:
            bent(cell)
        assert str(caught.value) == f"device strange: {message}; leave out effects that bend the device's curve"
