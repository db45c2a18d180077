"""Transients: what is asked for, what the deck says, and when the answer is believed."""

import re
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.bench import Bench, Transient, Waveform
from ohmweave.circuit import Capacitor, Cell, Clock, Instance, Resistor, Surface, VoltageSource
from ohmweave.errors import SimulationError
from ohmweave.netlist import Ngspice
from ohmweave.simulate.deck import make_transient_deck
from ohmweave.simulate.native import Native
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

LOW_PASS = Cell(
    "low_pass",
    ("a", "m"),
    (Instance("r", Resistor(1e3), ("a", "m")), Instance("c", Capacitor(1e-9), ("m", "0"))),
)
STEP = Waveform(np.array([0.0, 1e-9]), np.array([0.0, 1.0]))


def charging(end: float = 5e-6) -> Transient:
    return Transient(LOW_PASS, ("a",), (STEP,), end, 5e-9, ("m",))


class Product:
    """1 mS (x - 2 y), as a surface."""

    def expression(self, x: str, y: str) -> str:
        return f"0.001*({x}-2*{y})"


def test_a_capacitor_charges_through_its_resistor(ngspice: str) -> None:
    found = NgspiceSimulator(ngspice).trace(charging())
    assert (found.times[0], found.times[-1]) == (0.0, pytest.approx(5e-6, rel=1e-9))
    late = found.times > 1e-9
    # The answer to a ramp of 1 ns, from its end on: 1 V less what is left of exp(-t / RC).
    left = 1e3 * (np.exp(1e-3) - 1.0) * np.exp(-found.times[late] / 1e-6)
    np.testing.assert_allclose(found.volts[late, 0], 1.0 - left, rtol=0.0, atol=1e-4)
    amps = (STEP.at(found.times) - found.volts[:, 0]) / 1e3
    np.testing.assert_allclose(found.input_amps[:, 0], amps, rtol=0.0, atol=1e-9)


def test_a_transient_begins_at_its_operating_point(ngspice: str) -> None:
    drive = Waveform(np.array([0.0, 1e-6]), np.array([0.7, 0.7]))
    found = NgspiceSimulator(ngspice).trace(replace(charging(), drives=(drive,), end=1e-6))
    np.testing.assert_allclose(found.volts, 0.7, rtol=1e-6)


def test_sources_inside_are_watched_in_time(ngspice: str) -> None:
    parts = (
        Instance("v", VoltageSource(0.5), ("m", "0")),
        Instance("r", Resistor(1e3), ("a", "m")),
    )
    bench = Transient(Cell("held", ("a",), parts), ("a",), (STEP,), 1e-8, 1e-9, (), ("v",))
    found = NgspiceSimulator(ngspice).trace(bench)
    np.testing.assert_allclose(found.source_volts, 0.5)
    np.testing.assert_allclose(found.source_amps[-1], -0.5e-3, rtol=1e-9)


@pytest.mark.parametrize("engine", ["native", "ngspice"])
def test_a_capacitor_is_open_at_dc(engine: str, ngspice: str) -> None:
    parts = (*LOW_PASS.parts, Instance("load", Resistor(3e3), ("m", "0")))
    bench = Bench(Cell("loaded", ("a", "m"), parts), ("a",), np.array([[0.4]]), ("m",))
    simulator = Native() if engine == "native" else NgspiceSimulator(ngspice)
    np.testing.assert_allclose(simulator.run(bench).volts, 0.3, rtol=1e-9)


@pytest.mark.parametrize("engine", ["native", "ngspice"])
def test_a_clock_stands_at_dc(engine: str, ngspice: str) -> None:
    parts = (Instance("t", Clock(), ("m", "0")), Instance("r", Resistor(1e3), ("a", "m")))
    bench = Bench(Cell("clocked", ("a", "m"), parts), ("a",), np.array([[0.4], [0.5], [0.6]]), ("m",))
    simulator = Native() if engine == "native" else NgspiceSimulator(ngspice)
    found = simulator.run(bench)
    np.testing.assert_allclose(found.volts, 0.0, atol=1e-15)
    np.testing.assert_allclose(found.input_amps[:, 0], [0.4e-3, 0.5e-3, 0.6e-3], rtol=1e-9)


def test_a_clock_goes_in_a_transient(ngspice: str) -> None:
    cell = Cell("clocked", ("m",), (Instance("t", Clock(), ("m", "0")),))
    found = NgspiceSimulator(ngspice).trace(Transient(cell, (), (), 1e-6, 1e-7, ("m",)))
    np.testing.assert_allclose(found.volts[:, 0], found.times, rtol=1e-9)


def test_a_surface_follows_two_voltages_in_ngspice(ngspice: str) -> None:
    surface = Instance("f", Surface(Product()), ("0", "m", "a", "0", "b", "0"))
    cell = Cell("two", ("a", "b", "m"), (surface, Instance("r", Resistor(1e3), ("m", "0"))))
    drives = (
        Waveform(np.array([0.0, 1e-6]), np.array([0.5, 0.2])),
        Waveform(np.array([0.0, 1e-6]), np.array([0.1, 0.3])),
    )
    found = NgspiceSimulator(ngspice).trace(Transient(cell, ("a", "b"), drives, 1e-6, 1e-7, ("m",)))
    np.testing.assert_allclose(found.volts[[0, -1], 0], [0.3, -0.4], rtol=1e-7)
    bench = Bench(cell, ("a", "b"), np.array([[0.5, 0.1], [0.2, 0.3]]), ("m",))
    with pytest.raises(SimulationError) as caught:
        Native().run(bench)
    # An engine for DC has no second voltage to ask; no chip has such an element but inside its devices.
    assert str(caught.value) == (
        "f: expected sources controlled by one voltage, found one of two voltages; "
        "keep it inside a device with a law, or ask ngspice for a transient"
    )


def test_new_elements_are_written_as_cards() -> None:
    dialect = Ngspice()
    assert dialect.element("x", Capacitor(1e-12), ("a", "0")) == "cx a 0 1e-12"
    assert dialect.element("t", Clock(), ("a", "0")) == "vt a 0 pwl(0 0 1 1)"
    nets = ("a", "0", "b", "c", "0", "d")
    assert dialect.element("f", Surface(Product()), nets) == "bf a 0 i=0.001*(v(b,c)-2*(-v(d)))"
    with pytest.raises(ValueError, match=re.escape("capacitor x: expected more than 0 F, found 0.0")):
        dialect.element("x", Capacitor(0.0), ("a", "0"))


def test_the_deck_says_what_is_asked() -> None:
    deck = make_transient_deck(charging(), "library/cell.cir", klu=True)
    assert deck.text.splitlines() == [
        "ohmweave transient of low_pass",
        ".include library/cell.cir",
        "vd0 in0 0 pwl(",
        "+ 0.0 0.0",
        "+ 1e-09 1.0",
        "+ )",
        "vi0 in0 p_a 0",
        "x1 p_a p_m low_pass",
        ".options klu reltol=1e-7 abstol=1e-15 vntol=1e-9 chgtol=1e-18 trtol=0.1 gmin=1e-18 itl1=1000 itl2=1000 "
        "itl4=200 temp=27 tnom=27",
        ".tran 5e-09 5e-06 0 5e-09",
        ".save v(p_m) i(vi0) v(p_a)",
        ".end",
    ]


Answer = Callable[[Array], str]


@pytest.fixture
def answering(tmp_path: Path) -> Answer:
    """Makes a program that answers the transient with the raw values given: time, m, i, a."""

    def make(values: Array) -> str:
        table = "".join(f"\t{k}\t{name}\tx\n" for k, name in enumerate(("time", "v(p_m)", "i(vi0)", "v(p_a)")))
        head = f"Flags: real\nNo. Variables: 4\nNo. Points: {len(values)}\nVariables:\n{table}Binary:\n"
        raw, program = tmp_path / "answer.raw", tmp_path / "ngspice-script"
        raw.write_bytes(head.encode() + values.astype("<f8").tobytes())
        greeting = 'if [ "$1" = --version ]; then echo "** ngspice-46 : fake"; exit 0; fi'
        program.write_text(f"#!/bin/sh\n{greeting}\n{shutil.which('cp')} {raw} out.raw; echo done\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return str(program)

    return make


GOOD = np.array([[0.0, 0.0, 0.0, 0.0], [1e-9, 1e-3, 1e-3, 1.0], [5e-6, 0.99, 1e-5, 1.0]])
DOUBTFUL = {
    "ngspice, low_pass: expected times from 0 to 5e-06 s, found 2 up to [1e-09] s; the log ends: done": GOOD[:2],
    "ngspice, low_pass: expected times from 0 to 5e-06 s, found 3 up to [5e-06] s; the log ends: done": GOOD[[1, 0, 2]],
    "ngspice, low_pass: expected finite values, found inf in v(p_m) at 5e-06 s (1 in all); the log ends: done": (
        np.where(GOOD == 0.99, np.inf, GOOD)
    ),
    "ngspice, low_pass: expected the drives of the transient, found them 1.0e-01 V away": (
        GOOD - np.array([0.0, 0.0, 0.0, 0.1]) * (GOOD[:, :1] > 1e-6)
    ),
}


def test_a_whole_answer_is_believed(answering: Answer) -> None:
    found = NgspiceSimulator(answering(GOOD)).trace(charging())
    np.testing.assert_array_equal(found.times, GOOD[:, 0])
    np.testing.assert_array_equal(found.volts[:, 0], GOOD[:, 1])
    np.testing.assert_array_equal(found.input_amps[:, 0], GOOD[:, 2])
    assert (found.engine, found.version, found.remarks) == ("ngspice", "46", ())


@pytest.mark.parametrize(("message", "values"), DOUBTFUL.items(), ids=["short", "disordered", "infinite", "driven"])
def test_a_doubtful_answer_is_refused(message: str, values: Array, answering: Answer) -> None:
    with pytest.raises(SimulationError) as caught:
        NgspiceSimulator(answering(values)).trace(charging())
    assert str(caught.value) == message


IMPOSSIBLE: dict[str, Callable[[], object]] = {
    "low_pass has no ports ['b']": lambda: replace(charging(), inputs=("b",)),
    "0 drives for 1 inputs": lambda: replace(charging(), drives=()),
    "expected 0 s < step <= end, found a step of 5e-09 s and an end at 1e-09 s": lambda: charging(1e-9),
    "a waveform has corners out of order, expected finite ones that ascend from 0 s": lambda: Waveform(
        np.array([0.0, 1.0, 1.0]), np.zeros(3)
    ),
    "a waveform has times (2,) and volts (3,), expected one each": lambda: Waveform(np.arange(2.0), np.zeros(3)),
}


@pytest.mark.parametrize(("message", "make"), IMPOSSIBLE.items(), ids=IMPOSSIBLE)
def test_what_cannot_be_is_refused(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        make()
    assert str(caught.value) == message


@given(high=st.floats(0.1, 3.0), low=st.floats(-3.0, -0.1), period=st.floats(1e-9, 10.0), cycles=st.integers(1, 3))
def test_a_triangle_comes_back_in_every_period(high: float, low: float, period: float, cycles: int) -> None:
    wave = Waveform.triangle(high, low, period, cycles)
    assert wave.end == pytest.approx(cycles * period)
    whole = period * np.arange(cycles)
    np.testing.assert_allclose(wave.at(whole), 0.0, atol=1e-12)
    np.testing.assert_allclose(wave.at(whole + 0.25 * period), high)
    np.testing.assert_allclose(wave.at(whole + 0.75 * period), low)
    assert wave.steepest == pytest.approx(max(high, -low, 0.5 * (high - low)) / (0.25 * period))


@given(amplitude=st.floats(0.1, 3.0), cycles=st.integers(1, 3), time=st.floats(0.0, 1.0))
def test_a_sine_is_one_to_its_corners(amplitude: float, cycles: int, time: float) -> None:
    wave = Waveform.sine(amplitude, 1.0, cycles)
    assert wave.end == cycles
    # A chord lies within the square of its half angle, halved, of the arc.
    away = wave.at(np.array(time)) - amplitude * np.sin(2.0 * np.pi * time)
    assert abs(away) <= 0.5 * amplitude * (np.pi / 128) ** 2 + 1e-12


@given(volts=st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=4), width=st.floats(1e-9, 1.0))
def test_pulses_have_the_area_of_rectangles(volts: list[float], width: float) -> None:
    widths = width * (1.0 + np.arange(len(volts)))
    wave = Waveform.pulses(np.array(volts), widths)
    area = float(np.sum(0.5 * (wave.volts[1:] + wave.volts[:-1]) * np.diff(wave.times)))
    assert area == pytest.approx(float(np.sum(volts * widths)), abs=1e-9 * width)
