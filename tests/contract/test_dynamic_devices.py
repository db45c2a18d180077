"""Memristors that move: their state equations follow their circuits, and pulses bring them where they shall be."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.analysis.deviation import deviation
from ohmweave.bench import Bench, Traces, Transient, Waveform
from ohmweave.chip import Chip
from ohmweave.circuit import Cell, Crossbar, Instance, Resistor
from ohmweave.compile import compile as weave
from ohmweave.design import ArrayChoice, Design, SignalChoice
from ohmweave.devices import (
    DynamicDevice,
    LinearIonDrift,
    Stanford,
    Vteam,
    Yakopcic,
    dynamic_devices,
    follow,
    program_by_pulses,
)
from ohmweave.frontend import load_data
from ohmweave.graph import Graph
from ohmweave.simulate.native import Native
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array


@dataclass(frozen=True)
class Loop:
    """A device, the triangle that drives it over two periods, and its conductance at 0 s (V, s, S)."""

    device: DynamicDevice
    high: float
    low: float
    period: float
    g: float

    @property
    def drive(self) -> Waveform:
        return Waveform.triangle(self.high, self.low, self.period, 2)


LOOPS: Mapping[str, Loop] = {
    "linear ion drift, Biolek": Loop(LinearIonDrift(), 1.0, -1.0, 3.0, 1 / 15e3),
    "linear ion drift, Joglekar": Loop(LinearIonDrift(window="joglekar"), 1.0, -1.0, 3.0, 1 / 15e3),
    "linear ion drift behind a resistor": Loop(LinearIonDrift(r_series=1e3), 1.0, -1.2, 6.0, 1 / 15e3),
    "vteam": Loop(Vteam(), 0.5, -0.5, 1e-6, 1 / 500),
    "vteam behind a resistor": Loop(Vteam(r_series=200.0), 0.5, -1.0, 1e-6, 1 / 700),
    "yakopcic": Loop(Yakopcic(), 0.45, -0.45, 10e-3, 1e-3),
    "yakopcic backwards, asymmetric": Loop(Yakopcic(eta=-1, a2=0.1), 0.5, -0.5, 10e-3, 1e-3),
    "stanford": Loop(Stanford(), 1.2, -1.2, 1e-3, 20e-6),
    "stanford behind a resistor": Loop(Stanford(r_series=500.0), 1.5, -2.2, 10e-3, 10e-6),
}
EVERY_LOOP = pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
KINDS = {name: kind() for name, kind in dynamic_devices().items()}
EVERY_KIND = pytest.mark.parametrize("device", KINDS.values(), ids=KINDS)
BEHIND = {name: replace(device, r_series=0.3 / device.g_range[1]) for name, device in KINDS.items()}
EVERY_1T1R = pytest.mark.parametrize("device", BEHIND.values(), ids=BEHIND)


def traced(spice: NgspiceSimulator, loop: Loop) -> Traces:
    """One device between the port p and ground, its state watched."""
    device = Instance("d", loop.device.dynamic_cell(), ("p", "0"), {"g": loop.g})
    drive = loop.drive
    bench = Transient(Cell("one", ("p",), (device,)), ("p",), (drive,), drive.end, drive.end / 2000, ("d.x",))
    return spice.trace(bench)


@EVERY_LOOP
def test_the_state_equation_follows_the_circuit_over_a_loop(loop: Loop, spice: NgspiceSimulator) -> None:
    found = traced(spice, loop)
    expected = follow(loop.device, loop.drive, np.array([loop.g]), found.times)
    low, high = loop.device.bounds
    # The loop is one: the state crosses a good part of its range, there and back.
    assert np.ptp(expected.states) > 0.2 * (high - low)
    assert np.abs(found.volts - expected.states).max() <= 0.01 * (high - low)
    assert np.abs(found.input_amps - expected.amps).max() <= 0.01 * np.abs(expected.amps).max()


@EVERY_LOOP
def test_a_loop_is_pinched_and_stays_within_the_bounds(loop: Loop) -> None:
    found = follow(loop.device, loop.drive, np.array([loop.g]))
    low, high = loop.device.bounds
    assert (found.amps[found.volts == 0.0] == 0.0).all()
    assert (found.amps[:, 0] * found.volts >= 0.0).all()
    assert found.states.min() >= low - 1e-6
    assert found.states.max() <= high + 1e-6


@EVERY_KIND
def test_at_dc_the_state_is_where_the_conductance_puts_it(device: DynamicDevice, spice: NgspiceSimulator) -> None:
    g = np.geomspace(*device.g_range, 5)
    cell = device.dynamic_cell()
    parts = tuple(Instance(f"d{k}", cell, (f"p{k}", "0"), {"g": each}) for k, each in enumerate(g.tolist()))
    ports = tuple(f"p{k}" for k in range(5))
    bench = Bench(Cell("five", ports, parts), ports, np.repeat(np.linspace(-0.2, 0.2, 5)[:, None], 5, axis=1), ())
    expected = device.current(bench.volts, g)
    for engine in (Native(), spice):
        np.testing.assert_allclose(engine.run(bench).input_amps, expected, rtol=1e-8, atol=1e-14)


@EVERY_1T1R
def test_the_read_face_behind_a_resistor_is_the_circuit(device: DynamicDevice, spice: NgspiceSimulator) -> None:
    g = np.geomspace(*device.g_range, 5)
    rows, cols = ("p0", "p1", "p2", "p3", "p4"), ("c",)
    array = Cell("array", (*rows, *cols), (Crossbar("bar", rows, cols, device.cell(), g[:, None], 0.0, 0.0),))
    volts = np.hstack([np.repeat(np.linspace(-0.5, 0.5, 11)[:, None], 5, axis=1), np.zeros((11, 1))])
    expected = device.current(volts[:, :5], g)
    for engine in (Native(), spice):
        found = engine.run(Bench(array, array.ports, volts, ())).input_amps
        np.testing.assert_allclose(found[:, :5], expected, rtol=1e-8, atol=1e-14)


@EVERY_1T1R
@settings(max_examples=50, deadline=None)
@given(v=st.floats(-3.0, 3.0), share=st.floats(0.0, 1.0))
def test_what_a_resistor_leaves_to_the_device_obeys_kirchhoff(device: Any, v: float, share: float) -> None:
    x = np.array(np.interp(share, (0.0, 1.0), device.bounds))
    amps = device.flow(np.array(v), x)
    inner = v - device.r_series * amps
    alone = replace(device, r_series=0.0).flow(inner, x)
    # The difference of v and the resistor's own voltage has the rounding of v.
    np.testing.assert_allclose(alone, amps, rtol=1e-9, atol=1e-14 * (1.0 + abs(v)) / device.r_series)


@pytest.mark.parametrize("device", [*KINDS.values(), *BEHIND.values()], ids=[*KINDS, *(f"1t1r {n}" for n in BEHIND)])
@settings(max_examples=50, deadline=None)
@given(share=st.floats(0.0, 1.0))
def test_states_and_conductances_are_each_others_inverse(device: DynamicDevice, share: float) -> None:
    low, high = device.bounds
    x = np.array(low + share * (high - low))
    np.testing.assert_allclose(device.state(device.conductance(x)), x, rtol=0.0, atol=1e-9 * (high - low))
    g_off, g_on = device.g_range
    assert g_off * (1 - 1e-12) <= device.conductance(x) <= g_on * (1 + 1e-12)
    # A small voltage sees the conductance.
    seen = device.flow(np.array(1e-5), x) / 1e-5
    np.testing.assert_allclose(seen, device.conductance(x), rtol=1e-6)


@EVERY_KIND
@settings(max_examples=50, deadline=None)
@given(v=st.floats(-1.0, 1.0), share=st.floats(0.0, 1.0))
def test_the_amplitudes_of_a_device_move_it_as_they_say(device: DynamicDevice, v: float, share: float) -> None:
    low, high = device.bounds
    x = np.array(np.interp(share, (0.0, 1.0), (low, high)))
    grows = float(np.sign(device.conductance(np.array(high)) - device.conductance(np.array(low))))
    # The same sign as the amplitude that raises the conductance never lowers it.
    assert grows * np.sign(device.pulses.up) * np.sign(v) * device.rate(np.array(v), x) >= 0.0
    assert device.rate(np.array(0.0), x) == 0.0
    assert (device.rate(np.array(device.pulses.up), np.array(0.5 * (low + high))) * grows) > 0.0
    assert (device.rate(np.array(device.pulses.down), np.array(0.5 * (low + high))) * grows) < 0.0


PROGRAMMED: Mapping[str, DynamicDevice] = {
    **{name: device for name, device in KINDS.items() if name != "stanford"},
    "stanford behind a resistor": Stanford(r_series=500.0),
    "yakopcic backwards": Yakopcic(eta=-1, a2=0.1),
    "stanford alone": Stanford(),
}


@pytest.mark.parametrize("tolerance", [0.02, 0.002])
@pytest.mark.parametrize("device", PROGRAMMED.values(), ids=PROGRAMMED)
def test_write_verify_reaches_its_target(device: DynamicDevice, tolerance: float) -> None:
    g_off, g_on = device.g_range
    target = np.geomspace(1.05 * g_off, 0.95 * g_on, 12).reshape(3, 4)
    for start in (g_off, g_on):
        done = program_by_pulses(device, target, start, tolerance=tolerance)
        assert done.reached.all()
        assert (np.abs(done.g / target - 1.0) <= tolerance).all()
        assert (done.joules[done.pulses > 0] > 0.0).all()
        assert (done.seconds[done.pulses > 0] > 0.0).all()
        assert done.pulses.max() < device.pulses.most


PULSED: Mapping[str, tuple[DynamicDevice, float, float]] = {
    "linear ion drift": (LinearIonDrift(), 1.0, 0.2),
    "vteam": (Vteam(), 0.3, 1e-7),
    "yakopcic": (Yakopcic(), 0.45, 5e-4),
    "stanford": (Stanford(r_series=500.0), 1.5, 2e-6),
}


@pytest.mark.parametrize(("device", "volts", "width"), PULSED.values(), ids=PULSED)
def test_a_pulse_moves_the_circuit_as_programming_says(
    device: DynamicDevice, volts: float, width: float, spice: NgspiceSimulator
) -> None:
    from ohmweave.devices.trajectories import hold

    g = np.array([np.sqrt(device.g_range[0] * device.g_range[1])])
    reached, joules = hold(device, np.array([volts]), device.state(g), np.array([width]))
    drive = Waveform.pulses(np.array([volts]), np.array([width]))
    cell = Cell("one", ("p",), (Instance("d", device.dynamic_cell(), ("p", "0"), {"g": float(g[0])}),))
    found = spice.trace(Transient(cell, ("p",), (drive,), drive.end, drive.end / 1000, ("d.x",)))
    low, high = device.bounds
    assert abs(reached[0] - device.state(g)[0]) > 0.01 * (high - low)
    assert abs(found.volts[-1, 0] - reached[0]) <= 0.01 * (high - low)
    watts = found.input_amps[:, 0] * drive.at(found.times)
    taken = float(np.sum(0.5 * (watts[1:] + watts[:-1]) * np.diff(found.times)))
    assert taken == pytest.approx(joules[0], rel=0.01)


@pytest.mark.parametrize("device", PROGRAMMED.values(), ids=PROGRAMMED)
def test_a_train_brings_the_circuit_to_its_target(device: DynamicDevice, spice: NgspiceSimulator) -> None:
    g_off, g_on = device.g_range
    target = g_off**0.4 * g_on**0.6
    done = program_by_pulses(device, np.array([target]), g_off, tolerance=0.01)
    drive = Waveform.pulses(done.volts[:, 0], done.widths[:, 0])
    cell = Cell("one", ("p",), (Instance("d", device.dynamic_cell(), ("p", "0"), {"g": g_off}),))
    found = spice.trace(Transient(cell, ("p",), (drive,), drive.end, drive.end / 1000, ("d.x",)))
    reached = float(device.conductance(found.volts[-1:, 0])[0])
    assert reached == pytest.approx(float(done.g[0]), rel=0.01)
    assert reached == pytest.approx(target, rel=0.02)


READS: Mapping[str, tuple[Any, SignalChoice, float]] = {
    "linear ion drift": (LinearIonDrift(), SignalChoice(v_read=0.2), 0.05),
    "vteam below its thresholds": (Vteam(), SignalChoice(v_read=0.01), 0.05),
    "vteam with high thresholds": (
        Vteam(r_on=1e3, r_off=300e3, k_on=-216.2, k_off=0.091, alpha_on=4.0, alpha_off=4.0, v_on=-1.5, v_off=0.3),
        SignalChoice(v_read=0.2),
        1.0,
    ),
    "yakopcic": (Yakopcic(), SignalChoice(v_read=0.1), 0.05),
    "stanford": (Stanford(), SignalChoice(v_read=0.2), 1.0),
    "stanford behind a resistor": (Stanford(r_series=1e3), SignalChoice(v_read=0.2), 1.0),
}


@pytest.mark.parametrize(("device", "signal", "ohms"), READS.values(), ids=READS)
def test_the_digits_network_verifies_on_every_model(
    device: Any, signal: SignalChoice, ohms: float, digits_graph: Graph, spice: NgspiceSimulator
) -> None:
    design = Design(device=device, signal=signal, array=ArrayChoice(r_row=ohms, r_col=ohms))
    chip: Chip = weave(digits_graph, design, calibration=load_data("digits", "train").x)
    x: Array = load_data("digits", "test").x[:2]
    native, reference = chip.simulate(x, Native()), chip.simulate(x, spice)
    assert deviation(native.stage_volts, reference.stage_volts).largest <= 1e-8


def test_a_cell_at_work_in_a_circuit_divides_the_voltage_with_its_load(spice: NgspiceSimulator) -> None:
    # A device that is switched on behind a load takes less and less of the voltage.
    device = Vteam()
    parts = (
        Instance("load", Resistor(500.0), ("p", "m")),
        Instance("d", device.dynamic_cell(), ("m", "0"), {"g": 1.2e-3}),
    )
    drive = Waveform(np.array([0.0, 1e-9, 50e-9]), np.array([0.0, -1.0, -1.0]))
    found = spice.trace(Transient(Cell("loaded", ("p",), parts), ("p",), (drive,), 50e-9, 1e-10, ("m", "d.x")))
    behind = replace(device, r_series=500.0)
    expected = follow(behind, drive, np.array([1.0 / (1.0 / 1.2e-3 + 500.0)]), found.times)
    assert np.abs(found.volts[:, 1] - expected.states[:, 0]).max() <= 0.01
    assert found.volts[:, 0] == pytest.approx(drive.at(found.times) - 500.0 * expected.amps[:, 0], abs=0.01)
