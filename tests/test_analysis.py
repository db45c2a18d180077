"""Numbers from results, against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ohmweave.analysis.accuracy import accuracy, agreement, confusion
from ohmweave.analysis.deviation import deviation, stage_errors, stage_values
from ohmweave.analysis.power import power, watched_sources
from ohmweave.analysis.spread import spread
from ohmweave.bench import Bench, Waves
from ohmweave.chip import Chip
from ohmweave.circuit import Cell, Crossbar, Instance, Resistor, Vcvs, VoltageSource
from ohmweave.compile import compile as weave
from ohmweave.design import Design
from ohmweave.graph import Graph
from ohmweave.simulate.native import Native

# Decisions: 0, 2, 1, 2.
LOGITS = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [-3.0, -1.0, -2.0], [0.0, 0.0, 1e-9]])
LABELS = np.array([0, 2, 2, 1])


def test_accuracy_is_the_share_of_right_decisions() -> None:
    assert accuracy(LOGITS, LABELS) == 0.5
    assert accuracy(LOGITS, np.array([0, 2, 1, 2])) == 1.0


def test_agreement_asks_for_the_same_decision_not_for_the_right_one() -> None:
    # Decisions of the other: 0, 1, 1, 2.
    others = np.array([[5.0, 0.0, 0.0], [0.2, 0.6, 0.5], [-3.0, 0.0, -2.0], [0.0, 0.0, 1.0]])
    assert agreement(LOGITS, others) == 0.75
    assert agreement(LOGITS, 7.0 * LOGITS) == 1.0


def test_confusion_counts_labels_in_rows_and_decisions_in_columns() -> None:
    np.testing.assert_array_equal(confusion(LOGITS, LABELS), [[1, 0, 0], [0, 0, 1], [0, 1, 1]])


def test_confusion_has_room_for_labels_that_no_output_stands_for() -> None:
    counts = confusion(LOGITS, np.array([0, 1, 2, 4]))
    assert counts.shape == (5, 5)
    assert counts[4].tolist() == [0, 0, 1, 0, 0]


@given(arrays(np.float64, (20, 4), elements=st.floats(-1, 1)), arrays(np.int64, 20, elements=st.integers(0, 3)))
def test_the_diagonal_of_the_confusion_is_the_accuracy(logits: np.ndarray, labels: np.ndarray) -> None:
    counts = confusion(logits, labels)
    assert counts.sum() == 20
    assert np.trace(counts) / 20 == accuracy(logits, labels)
    np.testing.assert_array_equal(counts.sum(axis=1), np.bincount(labels, minlength=4))


REFERENCE = {"s0": np.array([[0.1, -0.2], [0.05, 0.0]]), "s1": np.array([[0.5], [-0.25]])}


def test_deviation_is_relative_to_each_stages_own_full_scale() -> None:
    # Off by 0.01 of 0.2 in s0, by 0.02 of 0.5 in s1: 5 % and 4 %.
    volts = {"s0": np.array([[0.1, -0.2], [0.05, 0.01]]), "s1": np.array([[0.52], [-0.25]])}
    found = deviation(volts, REFERENCE)
    assert found.by_stage == pytest.approx({"s0": 0.05, "s1": 0.04})
    assert (found.stage, found.sample, found.node) == ("s0", 1, "s0_y1")
    assert found.largest == pytest.approx(0.05)
    np.testing.assert_allclose(spread(volts, REFERENCE)["s0"], [[0, 0], [0, 0.05]], atol=1e-15)


def test_equal_runs_deviate_by_nothing() -> None:
    assert deviation(REFERENCE, REFERENCE).by_stage == {"s0": 0.0, "s1": 0.0}


def test_a_value_that_is_not_a_number_is_infinitely_far_away() -> None:
    volts = {**REFERENCE, "s1": np.array([[0.5], [np.nan]])}
    found = deviation(volts, REFERENCE)
    assert (found.largest, found.stage, found.sample, found.node) == (np.inf, "s1", 1, "s1_y0")


@pytest.mark.parametrize(("volt", "expected"), [(0.0, 0.0), (1e-30, np.inf)])
def test_a_stage_without_signal_has_no_scale(volt: float, expected: float) -> None:
    silent = {"s0": np.zeros((2, 2))}
    volts = {"s0": np.array([[0.0, 0.0], [volt, 0.0]])}
    assert deviation(volts, silent).largest == expected
    assert spread(volts, silent)["s0"].max() == expected


def test_stage_errors_are_shares_of_the_networks_largest_value(perceptron: Graph) -> None:
    x = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    chip = weave(perceptron, calibration=x)
    ideal = stage_values(perceptron, chip.plan, x)
    # By hand: W1 x + b1 = (1.1, .05, .5, -.7) and (-.4, -1.2, 1, 1.3); ReLU; W2 h + b2.
    np.testing.assert_allclose(ideal["s0"], [[1.1, 0.05, 0.5, 0.0], [0.0, 0.0, 1.0, 1.3]], atol=1e-12)
    np.testing.assert_allclose(ideal["s1"], [[1.3, 0.075], [0.5, 2.05]], atol=1e-12)
    scales = {stage.name: stage.s_out for stage in chip.plan.stages}
    volts = {name: values * scales[name] for name, values in ideal.items()}
    volts["s1"][1, 0] += 0.41 * scales["s1"]
    errors = stage_errors(chip.plan, volts, ideal)
    assert errors["s0"].largest == pytest.approx(0.0, abs=1e-15)
    # 0.41 of 2.05 is 0.2, in one value of four.
    assert (errors["s1"].largest, errors["s1"].rms) == pytest.approx((0.2, 0.1))


def part(name: str, *inside: Instance | Crossbar) -> Instance:
    return Instance(name, Cell(f"c_{name}", (), inside), ())


BUFFER = Instance("buf", Vcvs(1.0), ("a", "0", "b", "0"))
CHIP = Cell(
    "chip",
    ("x0",),
    (
        Instance("bias", VoltageSource(0.2), ("b", "0")),
        part("s0", part("ro3", part("op1", BUFFER)), part("act0", part("op1", BUFFER))),
        part("s1_inv4", part("op1", BUFFER)),
        part("s1", part("ro12", part("op2", BUFFER)), Instance("load", Resistor(1.0), ("a", "0"))),
    ),
)


def test_every_source_of_the_hierarchy_is_watched() -> None:
    assert watched_sources(CHIP) == (
        "bias", "s0.ro3.op1.buf", "s0.act0.op1.buf", "s1_inv4.op1.buf", "s1.ro12.op2.buf"
    )  # fmt: skip


def test_power_is_volts_times_amps_by_part() -> None:
    bench = Bench(CHIP, ("x0",), np.array([[0.2], [0.1]]), (), watched_sources(CHIP))
    volts = np.array([[0.2, 1.0, 0.5, -1.0, 0.5], [0.2, 0.0, 0.5, 1.0, 0.5]])
    amps = 1e-3 * np.array([[1.0, 2.0, 2.0, -3.0, 1.0], [2.0, 5.0, 0.0, 1.0, 2.0]])
    waves = Waves("fake", "1", np.zeros((2, 0)), 1e-3 * np.array([[5.0], [10.0]]), volts, amps)
    found = power(bench, waves, 3e-3, (-1.0, 1.0))
    expected = {
        "drivers": [1.2, 1.4],
        "s0 readouts": [2.0, 0.0],
        "s0 activations": [1.0, 0.0],
        "s1 inverters": [3.0, 1.0],
        "s1 readouts": [0.5, 1.0],
        # The buffers draw 2 + 2 + 3 + 1 mA and 5 + 0 + 1 + 2 mA from rails of 1 V and deliver 6.5 and 2 mW.
        "output stages": [1.5, 6.0],
    }
    assert list(found.parts) == list(expected)
    for name, milliwatts in expected.items():
        np.testing.assert_allclose(found.parts[name], 1e-3 * np.array(milliwatts), rtol=1e-12)
    assert found.quiescent == 3e-3
    np.testing.assert_allclose(found.total, [12.2e-3, 12.4e-3], rtol=1e-12)


def test_what_sources_deliver_is_what_resistors_burn() -> None:
    # 1 kohm up, 3 kohm down from 0.4 V, a follower of the middle drives 300 ohm: 0.04 mW and 0.3 mW.
    parts = (
        Instance("up", Resistor(1e3), ("a", "m")),
        Instance("down", Resistor(3e3), ("m", "0")),
        Instance("e", Vcvs(1.0), ("y", "0", "m", "0")),
        Instance("load", Resistor(300.0), ("y", "0")),
    )
    cell = Cell("follower", ("a",), parts)
    bench = Bench(cell, ("a",), np.array([[0.4]]), (), watched_sources(cell))
    found = power(bench, Native().run(bench), 0.0, (-1.0, 1.0))
    np.testing.assert_allclose(found.parts["drivers"], [0.16 / 4e3], rtol=1e-9)
    np.testing.assert_allclose(found.total, [0.16 / 4e3 + 0.09 / 300.0], rtol=1e-9)


def test_a_chips_power_grows_with_its_signal_and_keeps_its_rest(perceptron: Graph) -> None:
    x = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    chip: Chip = weave(perceptron, Design.default(), calibration=x)
    run = chip.simulate(np.vstack([x, 0 * x[:1]]))
    assert run.power.quiescent == pytest.approx(chip.plan.opamps * chip.plan.design.opamp.quiescent_power)
    assert set(run.power.parts) == {"drivers", "s0 readouts", "s1 readouts", "output stages"}
    assert run.power.parts["drivers"][0] > run.power.parts["drivers"][2] > 0.0
    assert np.all(run.power.total > run.power.quiescent)
