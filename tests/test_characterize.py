"""The command that measures op-amps and neurons: what it prints, what it writes, what it refuses."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ohmweave.blocks import ClockedLif45, TwoStage45, opamps
from ohmweave.blocks.characterize import characterize_cells
from ohmweave.blocks.curves import Bends
from ohmweave.blocks.figures import BENCHES, OpAmpFigures
from ohmweave.blocks.lif_45_figures import LifFigures
from ohmweave.blocks.two_stage import Target, circuit, size
from ohmweave.circuit import Behavioural, Cell, Instance
from ohmweave.simulate.ngspice import NgspiceSimulator

CommandLine = Callable[..., SimpleNamespace]
TRANSISTORS = sorted(name for name, kind in opamps().items() if kind.supplied)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", TRANSISTORS)
def test_a_kind_is_measured_anew_and_is_what_designs_have(
    kind: str, ngspice: str, ohmweave: CommandLine, desk: Path
) -> None:
    done = ohmweave("characterize", kind, "-o", "mine.json", "--json")
    assert done.code == 0, done.err
    said, kept = json.loads(done.out), opamps()[kind]().figures
    found = OpAmpFigures.load(Path("mine.json"))
    assert found.circuit == said["circuit"] == kept.circuit
    for name, value, unit in kept.rows():
        assert said["figures"][name] == pytest.approx(value, rel=1e-2, abs=1e-7), name
        assert said["units"][name] == unit
        assert said["benches"][name]
    assert (said["opamp"], said["file"], said["supplies"]) == (kind, "mine.json", [-0.55, 0.55])
    assert said["points"]["drive"] == len(found.curves.drive) > 10
    assert said["engine"].startswith("ngspice ")
    assert [path.name for path in desk.iterdir()] == ["mine.json"]


def test_a_neuron_is_measured_anew_and_is_what_designs_have(ngspice: str, ohmweave: CommandLine, desk: Path) -> None:
    """Its shipped figures are what the command finds, and the error that they state is a step's."""
    done = ohmweave("characterize", "clocked_lif_45", "-o", "mine.json", "--json")
    assert done.code == 0, done.err
    said, kept, found = json.loads(done.out), ClockedLif45().figures, LifFigures.load(Path("mine.json"))
    assert found.circuit == said["circuit"] == kept.circuit
    for name, value, unit in kept.rows():
        assert said["figures"][name] == pytest.approx(value, rel=0.02, abs=1e-7 if unit == "V" else 0.0), name
        assert said["units"][name] == unit
        assert said["benches"][name]
    for name in ("given", "taken", "drift", "parasitic"):
        wanted = np.array(getattr(kept, name))
        np.testing.assert_allclose(getattr(found, name), wanted, rtol=0.0, atol=2e-3 * np.abs(wanted).max())
    assert 0.0 < kept.error < 0.003
    assert [path.name for path in desk.iterdir()] == ["mine.json"]


def test_a_table_states_every_figure_with_its_bench(ngspice: str, ohmweave: CommandLine, desk: Path) -> None:
    done = ohmweave("characterize", "two_stage_45")
    assert done.code == 0, done.err
    for name, bench in BENCHES.items():
        assert f"│ {name} " in done.out
        assert bench.split(" ", 1)[0] in done.out
    assert "36.45 kohm" in done.out
    assert "\nwritten: two_stage_45.characterized.json (figures and curves, by ngspice " in done.out


def test_every_figure_has_a_unit_and_a_bench() -> None:
    rows = opamps()["two_stage_45"]().figures.rows()
    assert {name for name, _, _ in rows} == set(BENCHES)
    assert all(math.isfinite(value) for _, value, _ in rows)


def test_a_design_says_which_output_is_measured(ngspice: str, ohmweave: CommandLine, desk: Path) -> None:
    (desk / "ab.toml").write_text(
        '[opamp]\nkind = "two_stage_45"\noutput = "class_ab"\n[signal]\nv_read = "0.1 V"\nv_out = "0.3 V"\n'
    )
    done = ohmweave("characterize", "ab.toml", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["circuit"] == TwoStage45(output="class_ab").figures.circuit
    assert (desk / "two_stage_45.characterized.json").is_file()


def test_what_holds_the_output_may_stop_where_it_is_looked_at_last(ngspice: str) -> None:
    plain = circuit("opamp", size(Target()))
    # 1 mA up to 0.34 V, nothing from 0.345 V on; outputs are looked at up to 0.35 V.
    stopping = Behavioural(Bends(((-1.0, 1e-3), (0.34, 1e-3), (0.345, 0.0), (1.0, 0.0))))
    parts = (*plain.parts, Instance("hold", stopping, ("vdd", "out", "out", "0")))
    held = Cell("opamp_held", plain.ports, parts)
    floor = characterize_cells(plain, held, NgspiceSimulator(ngspice)).curves.floor
    volts, amps = zip(*floor, strict=True)
    assert 0.335 < volts[0] < 0.35 == volts[-1]
    assert amps[-1] == pytest.approx(0.0, abs=1e-6)
    assert characterize_cells(plain, plain, NgspiceSimulator(ngspice)).curves.floor == ()


COMMANDS = {
    ("two_stage_54",): (
        "characterize: expected an op-amp's or a neuron's kind, a design or a model file, found none of them: "
        "'two_stage_54'; did you mean 'two_stage_45'? (or give a file that exists)"
    ),
    ("finite",): (
        "characterize: expected an op-amp of transistors, found 'finite', whose figures are its design's own; "
        f"known are {', '.join(TRANSISTORS)}"
    ),
    ("clocked_lif",): (
        "characterize: expected a neuron of transistors, found 'clocked_lif', whose figures are its design's own; "
        'try "clocked_lif_45"'
    ),
    ("clocked_lif_54",): (
        "characterize: expected an op-amp's or a neuron's kind, a design or a model file, found none of them: "
        "'clocked_lif_54'; did you mean 'clocked_lif_45'? (or give a file that exists)"
    ),
    ("two_stage_45", "--name", "x"): (
        "two_stage_45: expected no choices of a model file, found --name; leave the option out, or give a file that "
        "exists"
    ),
    ("some.lib", "-o", "x.json"): (
        "some.lib: expected --output for a kind alone, found it for a file; leave it out: what is measured "
        "stands beside the model's file"
    ),
}


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_mistaken_command_is_told(arguments: tuple[str, ...], ohmweave: CommandLine, desk: Path) -> None:
    done = ohmweave("characterize", *arguments)
    assert (done.code, done.err) == (2, f"error: {COMMANDS[arguments]}\n")
    assert not list(desk.iterdir())


@pytest.mark.parametrize("kind", ["two_stage_45", "clocked_lif_45"])
def test_a_folder_that_is_not_there_is_told_before_anything_is_measured(
    kind: str, ohmweave: CommandLine, desk: Path
) -> None:
    done = ohmweave("characterize", kind, "-o", "none/x.json", "--json")
    assert done.code == 2
    assert json.loads(done.out)["error"] == {
        "kind": "UserError",
        "where": "none/x.json",
        "message": "expected a folder to write to, found no 'none'",
        "remedy": "choose a place that is there",
    }


def test_a_place_that_cannot_be_written_is_told(ngspice: str, ohmweave: CommandLine, desk: Path) -> None:
    (desk / "x.json").mkdir()
    done = ohmweave("characterize", "two_stage_45", "-o", "x.json", "--json")
    assert done.code == 2
    assert json.loads(done.out)["error"] == {
        "kind": "UserError",
        "where": "x.json",
        "message": "cannot be written (Is a directory)",
        "remedy": "choose a place that can",
    }
