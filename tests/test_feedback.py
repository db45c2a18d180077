"""What stands in the loops of readouts: its resistances, their spread, and what it costs or saves a chip."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.analysis.deviation import deviation
from ohmweave.blocks import Finite, MemristorFeedback, ResistorFeedback, SwitchedFeedback, feedbacks
from ohmweave.chip import Chip
from ohmweave.circuit import Cell, Library, Resistor
from ohmweave.design import Design
from ohmweave.devices import Linear, Sinh
from ohmweave.devices.conductance import ConductanceRange
from ohmweave.devices.file import FileDevice, ModelChoice, StateRange
from ohmweave.devices.surface import Surface
from ohmweave.effects import Curvature, Drift, Gaussian, Stuck, Temperature
from ohmweave.errors import DesignError
from ohmweave.graph import Graph, Input, Node, Relu
from ohmweave.graph import Linear as Layer
from ohmweave.mapping import plan
from ohmweave.units import Array

OHMS = (5e3, 5e3, 20e3)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ohms(feedback: Any, columns: int = 1, effects: tuple[Any, ...] = (), seed: int = 0) -> Array:
    """Resistances of linear loops, [columns, loops], ohm."""
    loops = feedback.loops("loop", OHMS, columns, Linear(), effects, rng(seed))
    return np.array([[part.ohms for part in parts] for parts in loops])


def chip(**choices: Any) -> Chip:
    rows = rng(4)
    nodes = (
        Node("x", Input((6,))),
        Node("one", Layer(rows.normal(size=(5, 6)), rows.normal(size=5)), ("x",)),
        Node("relu", Relu(), ("one",)),
        Node("two", Layer(rows.normal(size=(3, 5)), rows.normal(size=3)), ("relu",)),
    )
    return Chip(plan(Graph(nodes, ("two",)), replace(Design(), **choices), X))


def file_device(v_max: float = 1.0) -> FileDevice:
    """A device of a user's model that reaches 1 uS to 100 uS, its table that of i = g v."""
    g, volts = np.geomspace(1e-6, 1e-4, 9), np.linspace(-v_max, v_max, 9)
    choice = ModelChoice("user.sub", "user", ("p", "n"), StateRange("x", 0.0, 1.0), v_max=v_max)
    library = Library((("user.sub", ""),), (("user.sub", ""),), ("user",), ("p", "n"))
    surface = Surface(v_max, g, g[:, None] * volts, np.linspace(0.0, 1.0, 9))
    return FileDevice(choice, ConductanceRange(1e-6, 1e-4), 1e-6, library, surface)


X = rng(5).uniform(0.0, 1.0, (30, 6))


@given(st.floats(1e3, 1e6), st.floats(1.05, 200.0))
def test_a_network_of_memristors_has_the_resistance_asked_within_the_range_of_its_devices(
    wanted: float, ratio: float
) -> None:
    device = Linear(100e-6 / ratio, 100e-6)
    p, s = MemristorFeedback().arrangement(wanted, device.g_range)
    assert device.g_off * (1 - 1e-8) <= s / (p * wanted) <= device.g_on * (1 + 1e-8)
    (parts,) = MemristorFeedback().loops("loop", (wanted,), 1, device, (), rng())
    assert isinstance(parts[0], Resistor)
    assert parts[0].ohms == pytest.approx(wanted, rel=1e-9)


def test_as_few_memristors_as_possible() -> None:
    arrangement = MemristorFeedback().arrangement
    assert arrangement(10e3, (1e-6, 100e-6)) == (1, 1)
    assert arrangement(5e3, (1e-6, 100e-6)) == (2, 1)
    assert arrangement(3e6, (1e-6, 100e-6)) == (1, 3)
    # 40 to 100 uS: no single device has 30 kohm, and two in series have.
    assert arrangement(30e3, (40e-6, 100e-6)) == (1, 2)
    assert arrangement(15e3, (90e-6, 100e-6)) == (2, 3)


def test_exact_resistors_are_what_is_asked() -> None:
    np.testing.assert_array_equal(ohms(ResistorFeedback(), 3), [OHMS] * 3)


@pytest.mark.parametrize(
    ("feedback", "spread"),
    [(ResistorFeedback(0.01), [0.01] * 3), (SwitchedFeedback(1e6, 20e-15, 0.05), 0.05 / np.sqrt([1e4, 1e4, 2500]))],
)
def test_resistances_are_spread_about_what_is_asked(feedback: Any, spread: Any) -> None:
    off = ohms(feedback, 20_000) / OHMS - 1.0
    np.testing.assert_allclose(off.std(axis=0), spread, rtol=0.03)
    np.testing.assert_allclose(off.mean(axis=0), 0.0, atol=0.01 * np.max(spread) + 1e-12)
    np.testing.assert_array_equal(ohms(feedback, 5, seed=1), ohms(feedback, 5, seed=1))


def test_a_switched_capacitor_is_a_whole_number_of_units() -> None:
    # 1 / (10 MHz 20 fF) = 5 Mohm a unit.
    (real,) = ohms(SwitchedFeedback(10e6, 20e-15, 0.0))
    np.testing.assert_allclose(5e6 / real, [1000, 1000, 250])
    assert SwitchedFeedback().units(3.4e6) == 1


def test_an_open_memristor_leaves_its_leakage() -> None:
    assert ohms(MemristorFeedback(), 1, (Stuck(unformed=1.0, g_pristine=0.0),)).min() > 1e11


@pytest.mark.parametrize("device", [Sinh(), file_device()], ids=["sinh", "file"])
def test_a_branch_with_an_open_nonlinear_memristor_is_its_leakage(device: Any) -> None:
    broken = (Stuck(unformed=1.0, g_pristine=0.0),)
    ((one, _, last),) = MemristorFeedback().loops("loop", (5e3, 5e3, 3e6), 1, device, broken, rng())
    assert [(part.of, part.nets) for part in one.parts] == [(Resistor(1e12), ("p", "n"))] * 2
    assert [(part.of, part.nets) for part in last.parts] == [(Resistor(1e12), ("p", "n"))]


def test_outputs_beyond_what_was_measured_on_the_users_model_are_told() -> None:
    message = (
        "feedback: expected op-amp limits within device.v_max = 0.6 V, as devices in the loops see the output, "
        'found 1.2 V; raise device.v_max to "1.2 V" and characterize again'
    )
    opamp = Finite(v_low=-1.2, v_high=1.0)
    with pytest.raises(DesignError, match=f"^{re.escape(message)}$"):
        Design(device=file_device(0.6), feedback=MemristorFeedback(), opamp=opamp).check()
    Design(device=file_device(1.2), feedback=MemristorFeedback(), opamp=opamp).check()
    Design(device=file_device(0.6), opamp=opamp).check()
    # A spiking chip has no loops.
    Design(device=file_device(0.6), feedback=MemristorFeedback(), opamp=opamp).check(spiking=True)


def test_conductances_in_loops_that_the_users_model_does_not_reach_are_told() -> None:
    stuck = (Stuck(unformed=1.0, g_pristine=1e-7),)
    message = (
        "feedback: expected conductances that user reaches, 1e-06 S to 0.0001 S, found 1e-07 S in 4 devices; "
        "leave room for the effects: give device.g_off and device.g_on inside of that"
    )
    with pytest.raises(DesignError, match=f"^{re.escape(message)}$"):
        MemristorFeedback().loops("loop", (5e3, 5e3), 1, file_device(), stuck, rng())


def test_loops_of_nonlinear_memristors_are_circuits_of_the_device() -> None:
    ((one, _, _),) = MemristorFeedback().loops("loop", OHMS, 1, Sinh(), (Curvature(0.1),), rng())
    assert isinstance(one, Cell)
    assert [part.nets for part in one.parts if not hasattr(part, "g")] == [("p", "n"), ("p", "n")]
    scales = {part.params["s"] for part in one.parts if not hasattr(part, "g")}
    assert len(scales) == 2
    assert 1.0 not in scales


def test_loops_that_are_alike_are_one_cell() -> None:
    loops = MemristorFeedback().loops("loop", OHMS, 9, Sinh(), (), rng())
    assert len(set(loops)) == 1
    assert len({cell.name for parts in loops for cell in parts if isinstance(cell, Cell)}) == 2


def test_what_cannot_be_made_is_told_with_its_stage() -> None:
    with pytest.raises(
        DesignError, match=r"^stage s0, feedback: expected resistances up to that of one unit, 1000 ohm, "
    ):
        chip(feedback=SwitchedFeedback(1e9, 1e-12)).simulate(X)


def test_what_changes_all_devices_alike_leaves_the_gain_of_memristor_feedback() -> None:
    aged = (Drift(t=1e6, nu=0.1, nu_sigma=0.0),)

    def loss(feedback: Any) -> float:
        fresh, old = (chip(feedback=feedback, effects=effects).simulate(X) for effects in ((), aged))
        return deviation(fresh.stage_volts, old.stage_volts).largest

    # Drift lowers all conductances by two thirds: columns of resistors lose as much, and biases with them.
    assert loss(ResistorFeedback()) > 0.5
    assert loss(MemristorFeedback()) < 0.02


def warmed(feedback: Any, **coefficients: float) -> tuple[float, float]:
    """What 50 K change: the gain from the inputs to the outputs, and the outputs at most, as shares."""
    warm = (Temperature(350.0, sigma=0.0, **coefficients),)
    still, hot = (chip(feedback=feedback, effects=effects).simulate(X).volts for effects in ((), warm))
    gain = float(np.vdot(still, hot) / np.vdot(still, still))
    return abs(gain - 1.0), deviation({"out": still}, {"out": hot}).largest


def test_memristor_feedback_follows_the_temperature_of_the_arrays() -> None:
    gain, outputs = warmed(ResistorFeedback(), alpha_off=-1e-3, alpha_on=-1e-3)
    tracked_gain, tracked_outputs = warmed(MemristorFeedback(), alpha_off=-1e-3, alpha_on=-1e-3)
    assert gain > 0.05
    assert outputs > 0.05
    assert tracked_gain < gain / 500.0
    assert tracked_outputs < outputs / 100.0


def test_memristor_feedback_follows_less_where_coefficients_differ_with_the_conductance() -> None:
    _, outputs = warmed(ResistorFeedback())
    _, tracked = warmed(MemristorFeedback())
    assert outputs / 10.0 < tracked < outputs / 1.5


def test_a_spread_of_the_feedback_moves_outputs_by_as_much() -> None:
    exact, off = chip().simulate(X), chip(feedback=ResistorFeedback(0.01)).simulate(X)
    assert 1e-3 < deviation(exact.stage_volts, off.stage_volts).largest < 0.1


def test_memristors_that_are_programmed_badly_do_worse_than_resistors() -> None:
    badly = (Gaussian(0.02),)
    good, bad = (chip(feedback=feedback, effects=badly) for feedback in (ResistorFeedback(), MemristorFeedback()))
    exact = chip().simulate(X).stage_volts
    assert (
        deviation(exact, bad.simulate(X).stage_volts).largest > deviation(exact, good.simulate(X).stage_volts).largest
    )


def test_designs_name_their_feedback() -> None:
    for name, kind in feedbacks().items():
        design = Design(feedback=kind())
        assert f'[feedback]\nkind = "{name}"' in design.dump()
        assert Design.parse(design.dump()) == design


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ResistorFeedback(0.5),
            "feedback.mismatch: expected a spread from 0 to 0.3, found 0.5; try mismatch = 0.01",
        ),
        (
            lambda: SwitchedFeedback(mismatch=-1.0),
            "feedback.mismatch: expected a spread from 0 to 0.3, found -1; try mismatch = 0.005",
        ),
        (
            lambda: SwitchedFeedback(clock=0.0),
            'feedback.clock: expected a positive value in Hz, found 0 Hz; try clock = "10 MHz"',
        ),
        (
            lambda: SwitchedFeedback().units(20e6),
            "feedback: expected resistances up to that of one unit, 5e+06 ohm, found 2e+07 ohm; "
            "lower feedback.clock or feedback.unit",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_told_whole(make: Any, message: str) -> None:
    with pytest.raises(DesignError, match=f"^{re.escape(message)}$"):
        make()
