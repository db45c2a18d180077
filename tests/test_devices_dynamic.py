"""Memristors that move: their parameters are judged, their equations are the published ones, their trains end."""

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmweave.circuit import Cell, Instance
from ohmweave.design import Design
from ohmweave.devices import (
    DynamicDevice,
    LinearIonDrift,
    Pulses,
    Stanford,
    Vteam,
    Yakopcic,
    devices,
    dynamic_devices,
    hysteresis,
    program_by_pulses,
)
from ohmweave.devices.curve import Curve
from ohmweave.errors import DesignError
from ohmweave.netlist import Ngspice, scan, write
from ohmweave.report.pictures import hysteresis_picture

GOLDEN = Path(__file__).parent / "golden" / "moving.cir"

REFUSED: Mapping[str, Callable[[], object]] = {
    'device.r_series: expected at least 0 ohm, found -1 ohm; try r_series = "1 kohm"': lambda: Vteam(r_series=-1.0),
    "device.levels: expected 0 (analog) or at least 2 levels, found 1; set levels = 0": lambda: Stanford(levels=1),
    "device: expected r_on < r_off, found 100 ohm and 50 ohm; give r_on the lower resistance": lambda: LinearIonDrift(
        r_off=50.0
    ),
    "device.p: expected at least 1, found 0; try p = 2": lambda: LinearIonDrift(p=0),
    "device.window: expected 'joglekar' or 'biolek', found 'wide'; try window = \"biolek\"": lambda: LinearIonDrift(
        window="wide"
    ),
    'device.k_on: expected a negative value in m/s, found 10 m/s; try k_on = "-10 m/s"': lambda: Vteam(k_on=10.0),
    'device.v_on: expected a negative value in V, found 0 V; try v_on = "-0.2 V"': lambda: Vteam(v_on=0.0),
    "device.alpha_off: expected at least 1, found 0.5; try alpha_off = 3.0": lambda: Vteam(alpha_off=0.5),
    "device: expected r_on < r_off, found 50 ohm and 20 ohm; give r_on the lower resistance": lambda: Vteam(r_off=20.0),
    "device.x_p: expected a state between 0 and 1, found 1; try x_p = 0.3": lambda: Yakopcic(x_p=1.0),
    "device.eta: expected 1 or -1, found 0; try eta = 1": lambda: Yakopcic(eta=0),
    'device.v_p: expected a positive value in V, found -1 V; try v_p = "0.16 V"': lambda: Yakopcic(v_p=-1.0),
    "device: expected gap_min < gap_max < t_ox and gamma0 > beta (gap_max / 1 nm)³, found gaps of 2e-10 m to 3e-09 m, "
    't_ox = 1.2e-08 m and gamma = -5.6 at gap_max; try gap_min = "0.2 nm" and gap_max = "1.7 nm"': lambda: Stanford(
        gap_max=3e-9
    ),
    'device.e_a: expected a positive value in eV, found nan eV; try e_a = "0.6 eV"': lambda: Stanford(e_a=np.nan),
    "pulses: expected amplitudes of two signs, found up = 1 V and down = 1 V; mend the rule": lambda: Pulses(
        1, 1, 1e-6
    ),
    "pulses: expected longer of at least 1, found 0.5; mend the rule": lambda: Pulses(1, -1, 1e-6, longer=0.5),
    "pulses: expected shorter between 0 and 1, found 1; mend the rule": lambda: Pulses(1, -1, 1e-6, shorter=1.0),
    "pulses: expected a step of at least 0 V, found -0.1 V; mend the rule": lambda: Pulses(1, -1, 1e-6, step=-0.1),
    "pulses: expected a highest amplitude of at least up and down, found 0.5 V; mend the rule": lambda: Pulses(
        1, -1, 1e-6, highest=0.5
    ),
    "pulses: expected 0 s < shortest <= width <= longest, found 1e-12 s, 1e-06 s and 1e-09 s; mend the rule": (
        lambda: Pulses(1, -1, 1e-6, longest=1e-9)
    ),
    "pulses: expected at least 1 pulse, found most = 0; mend the rule": lambda: Pulses(1, -1, 1e-6, most=0),
    "programming, target: expected conductances from 1 mS to 20 mS, found 30 mS; stay within the device's g_range": (
        lambda: program_by_pulses(Vteam(), np.array([2e-3, 3e-2]), 2e-3)
    ),
    "programming, start: expected conductances from 1 mS to 20 mS, found 0 S; stay within the device's g_range": (
        lambda: program_by_pulses(Vteam(), np.array([2e-3]), 0.0)
    ),
    "programming, tolerance: expected a share between 0 and 1, found 0; try tolerance = 0.01": (
        lambda: program_by_pulses(Vteam(), np.array([2e-3]), 2e-3, tolerance=0.0)
    ),
}


@pytest.mark.parametrize(("message", "make"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_is_refused(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(DesignError) as caught:
        make()
    assert str(caught.value) == message


def test_every_model_is_known_by_its_name() -> None:
    assert set(dynamic_devices()) >= {"linear_ion_drift", "stanford", "vteam", "yakopcic"}
    assert set(dynamic_devices()) < set(devices())


@pytest.mark.parametrize("name", dynamic_devices())
def test_a_design_names_a_model_with_its_units_and_is_written_back(name: str) -> None:
    design = Design.parse(f'[device]\nkind = "{name}"\nr_series = "2 kohm"\nlevels = 16\n')
    assert design.device == dynamic_devices()[name](r_series=2e3, levels=16)
    assert Design.parse(design.dump()) == design


def rate(device: DynamicDevice, v: float, x: float) -> float:
    return float(device.rate(np.array(v), np.array(x)))


def test_the_rates_are_the_published_ones() -> None:
    # By hand from the papers' equations, in the middle of each range.
    middle = 1e-14 * 100.0 / (10e-9) ** 2 * 0.5 / 8050.0
    assert rate(LinearIonDrift(window="joglekar", p=1), 0.5, 0.5) == pytest.approx(middle)
    assert rate(LinearIonDrift(p=1), 0.5, 0.5) == pytest.approx(0.75 * middle)
    assert rate(LinearIonDrift(p=1), -0.5, 0.5) == pytest.approx(-0.75 * middle)
    assert rate(Vteam(), 0.1, 0.5) == pytest.approx(5e-4 / 3e-9 * 4.0)
    assert rate(Vteam(), -0.4, 0.5) == pytest.approx(-10.0 / 3e-9)
    assert rate(Vteam(), 0.02, 0.5) == rate(Vteam(), -0.2, 0.5) == 0.0
    assert rate(Yakopcic(), 0.5, 0.2) == pytest.approx(4000.0 * (np.exp(0.5) - np.exp(0.16)))
    slowed = np.exp(-0.3) * ((0.3 - 0.6) / 0.7 + 1.0)
    assert rate(Yakopcic(), 0.5, 0.6) == pytest.approx(4000.0 * (np.exp(0.5) - np.exp(0.16)) * slowed)
    returning = np.exp(5.0 * (0.2 + 0.5 - 1.0)) * 0.2 / 0.5
    assert rate(Yakopcic(), -0.5, 0.2) == pytest.approx(-4000.0 * (np.exp(0.5) - np.exp(0.15)) * returning)
    v, k = 1.0, 8.617333262e-5
    i = 1e-3 * np.exp(-1.0 / 0.25) * np.sinh(v / 0.25)
    kelvin = 298.0 + v * i * 2.1e3
    hop = np.exp(-0.6 / (k * kelvin)) * np.sinh((16.0 - 0.8) * 0.25 / 12.0 * v / (k * kelvin))
    assert rate(Stanford(), v, 1.0) == pytest.approx(-10.0 * 1e9 * hop, rel=1e-6)


def test_the_walls_stop_the_state_and_let_it_return() -> None:
    device = Vteam()
    assert rate(device, 0.1, 1.0) == 0.0
    assert rate(device, 0.1, 0.9995) == pytest.approx(0.5 * rate(device, 0.1, 0.5))
    assert rate(device, -0.4, 1.0) == rate(device, -0.4, 0.5)
    # Beyond a wall the way leads back.
    assert rate(device, 0.1, 1.001) == pytest.approx(-rate(device, 0.1, 0.5))


@pytest.mark.parametrize("name", dynamic_devices())
def test_levels_are_reached_by_rounding(name: str) -> None:
    device: Any = dynamic_devices()[name](levels=3)
    g_off, g_on = device.g_range
    target = np.array([g_off, 0.6 * g_on + 0.4 * g_off, g_on])
    np.testing.assert_allclose(
        device.program(target, np.random.default_rng(0)), [g_off, 0.5 * (g_off + g_on), g_on], rtol=1e-12
    )


def test_a_straight_curve_behind_a_resistor_divides() -> None:
    u = Curve().behind(1e3, np.array([2.0, -1.0]), np.array([1e-3, 3e-3]))
    np.testing.assert_allclose(u, [1.0, -0.25])


def test_a_window_from_whose_end_no_current_leads_back_is_said_to_be_stuck() -> None:
    device = LinearIonDrift(window="joglekar")
    done = program_by_pulses(device, np.array([1e-3]), device.g_range[0], pulses=replace(device.pulses, most=5))
    assert (done.reached.tolist(), done.pulses.tolist()) == ([False], [5])
    np.testing.assert_allclose(done.g, device.g_range[0])


def test_a_device_that_is_there_already_takes_no_pulse() -> None:
    done = program_by_pulses(Vteam(), np.array([2e-3, 5e-3]), np.array([2.01e-3, 2e-3]), tolerance=0.01)
    assert done.pulses[0] == 0 < done.pulses[1]
    assert done.joules[0] == done.seconds[0] == 0.0
    assert done.reached.all()


def test_programming_one_device_or_many_is_the_same() -> None:
    target = np.array([2e-4, 1e-3, 5e-3])
    together = program_by_pulses(Yakopcic(), target, 1e-3, tolerance=0.005)
    for k, each in enumerate(target):
        alone = program_by_pulses(Yakopcic(), np.array([each]), 1e-3, tolerance=0.005)
        assert alone.pulses[0] == together.pulses[k]
        np.testing.assert_allclose(alone.g[0], together.g[k], rtol=1e-5)
        np.testing.assert_allclose(alone.joules[0], together.joules[k], rtol=1e-4)


def test_pulses_grow_while_they_lead_on_and_shrink_when_they_come_back() -> None:
    # A device of unit speed: the state moves by v times the width, and is the conductance.
    rule = Pulses(up=1.0, down=-1.0, width=0.1, longer=2.0, shorter=0.5, step=0.5, highest=1.5)

    class Steady:
        bounds, g_range = (0.0, 10.0), (0.0, 10.0)
        pulses = rule

        def state(self, g: Any) -> Any:
            return g.copy()

        conductance = state

        def rate(self, v: Any, x: Any) -> Any:
            return v + 0.0 * x

        def current(self, v: Any, g: Any) -> Any:
            return v * g

        flow = current

    steady: Any = Steady()
    # 1 + 0.1, + 0.2 x 1.5, + 0.4 x 1.5 = 2.0; back by 0.1 = 1.9, done within 0.05 of 1.9.
    done = program_by_pulses(steady, np.array([1.9]), 1.0, tolerance=0.03)
    assert done.pulses.tolist() == [4]
    np.testing.assert_allclose(done.g, 1.9, rtol=1e-7)
    np.testing.assert_allclose(done.seconds, 0.1 + 0.2 + 0.4 + 0.1)


def test_a_loop_is_drawn() -> None:
    loops = {"vteam": hysteresis(Vteam(), 0.5, -0.5, 1e-6), "yakopcic": hysteresis(Yakopcic(), 0.4, -0.4, 1e-2)}
    picture = hysteresis_picture(loops, "two loops")
    assert picture.png.startswith(b"\x89PNG")
    assert picture.caption == "two loops"


def test_the_golden_netlist_of_moving_devices_is_written_to_the_byte() -> None:
    models: dict[str, DynamicDevice] = {
        "drift": LinearIonDrift(),
        "vteam": Vteam(),
        "yakopcic": Yakopcic(),
        "stanford": Stanford(r_series=1e3),
    }
    parts = tuple(Instance(name, each.dynamic_cell(), (name, "0"), {"g": 5e-4}) for name, each in models.items())
    stream = io.StringIO()
    assert write(Cell("moving", tuple(models), parts), Ngspice(), stream) == 4
    assert stream.getvalue() == GOLDEN.read_text(encoding="ascii")
    assert scan(GOLDEN) == (GOLDEN,)
