"""The page about a sampled chip says what is known of it, and that the rest is not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ohmweave import archive, runs
from ohmweave.analysis.used import utilisation
from ohmweave.chip import Chip
from ohmweave.design import ArrayChoice, CouplingChoice, Design
from ohmweave.frontend import Data
from ohmweave.graph import Flatten, Graph, Input, Linear, Node, Relu
from ohmweave.mapping import plan
from ohmweave.ops import Conv, MaxPool
from ohmweave.report import Check, render
from ohmweave.report.quantities import percent
from ohmweave.report.tables import stage_header, stage_rows
from ohmweave.runs import Simulated, streaming

X = np.random.default_rng(2).uniform(0.0, 1.0, (20, 2, 5, 5))
DESIGN = Design(array=ArrayChoice(rows=8, cols=8), coupling=CouplingChoice(kind="sampled", dac_bits=8, adc_bits=8))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    rng = np.random.default_rng(5)
    nodes = (
        Node("x", Input((2, 5, 5))),
        Node("conv", Conv(rng.normal(size=(3, 2, 2, 2)), np.zeros(3)), ("x",)),
        Node("relu", Relu(), ("conv",)),
        Node("pool", MaxPool((2, 2), (2, 2)), ("relu",)),
        Node("flat", Flatten(), ("pool",)),
        Node("dense", Linear(rng.normal(size=(4, 12)), np.zeros(4)), ("flat",)),
    )
    chip = Chip(plan(Graph(nodes, ("dense",)), DESIGN, X))
    build: Path = archive.save(chip, tmp_path_factory.mktemp("sampled") / "build")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "MEASURED", 18)
        return runs.simulate(build, Data(X, np.arange(20) % 4, "pictures"))


@pytest.fixture(scope="module")
def page(simulated: Simulated) -> str:
    return render(simulated.chip.plan, simulated.evidence, None)


def test_no_power_and_no_wires_are_made_up(page: str) -> None:
    assert '<th scope="row">Static power</th><td><span class="value">not computed</span>' in page
    assert "Not computed: power is known of chips that are one circuit" in page
    assert "Not drawn: the picture is made of chips that are one circuit" in page
    assert "0 W" not in page


def test_stages_are_told_with_kind_positions_tiles_and_use(simulated: Simulated) -> None:
    plan_ = simulated.chip.plan
    header = stage_header(plan_, None)
    rows = [dict(zip(header, row, strict=True)) for row in stage_rows(plan_, simulated.evidence, None)]
    assert [row["kind"] for row in rows] == ["array", "maximum", "array"]
    assert [row["positions"] for row in rows] == ["16", "12", "1"]
    for row, stage in zip(rows, plan_.stages, strict=True):
        assert row["tiles"] == str(len(stage.tiles))
        error = simulated.evidence.errors[stage.name]
        assert (row["rms"], row["largest"]) == (percent(error.rms), percent(error.largest))
    assert (rows[1]["used"], rows[1]["k"], rows[1]["R_f"]) == ("–", "–", "–")
    # 12 rows and no bias, plus and minus columns of 4 outputs, on two tiles of 8 x 8.
    assert rows[2]["used"] == percent(12 * 8 / (2 * 64), 1)


def test_utilisation_counts_devices_of_whole_tiles(simulated: Simulated) -> None:
    plan_ = simulated.chip.plan
    tiles = sum(len(stage.tiles) for stage in plan_.stages)
    assert utilisation(plan_) == plan_.devices / (64 * tiles)
    assert utilisation(plan_, plan_.stages[1]) == 0.0


def test_samples_behind_errors_and_points_are_told(page: str) -> None:
    assert "Errors are those of the first 18 samples." in page
    assert "Of the first 16 samples." in page
    assert "2 × 5 × 5 → 3 stages → 4" in page


def test_a_check_of_stages_is_not_told_as_one_of_the_whole_netlist(simulated: Simulated) -> None:
    volts = {name: values[:3] for name, values in simulated.evidence.stage_volts.items()}
    volts["s0_readouts"] = np.ones((3, 2))
    check = Check("ngspice", "46", 3, volts, volts, seconds=1.0, tolerance=1e-6)
    page = render(simulated.chip.plan, simulated.evidence, check)
    assert "(3 samples at every stage&#39;s netlist)" in page
    assert "<td>s0_readouts</td>" in page
    assert "complete netlist" not in page


def test_an_analog_chip_keeps_its_columns(simulated: Simulated) -> None:
    analog = replace(simulated.chip.plan, design=replace(DESIGN, coupling=CouplingChoice()))
    assert not {"kind", "positions", "used"} & set(stage_header(analog, None))
