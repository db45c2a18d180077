"""The study of co-optimisation: its op-amps and columns are those of its chips, and it goes on where it stopped."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ohmweave.bench import Bench
from ohmweave.blocks import TwoStage45
from ohmweave.blocks.two_stage import Target
from ohmweave.circuit import Cell, Instance, Resistor
from ohmweave.simulate.native import Native
from ohmweave.simulate.ngspice import NgspiceSimulator

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, ModuleType]]:
    """The modules of the study, as a script beside them would import them."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        names = ("analog_parts", "cooptimisation_page", "study_keys", "study_cooptimisation")
        yield {name: import_module(name) for name in names}
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def task(modules: dict[str, ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The digits, with networks that are trained once."""
    found = modules["study_cooptimisation"].read_task("digits", tmp_path_factory.mktemp("study"))
    return replace(found, source=replace(found.source, networks=((8,), (6,)), epochs=20))


def test_the_op_amp_of_any_target_is_its_transistors_and_measured_once(
    ngspice: str, modules: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sized = modules["analog_parts"].sized
    assert sized(Target(), tmp_path) == TwoStage45()
    opamp = sized(Target(gbw=60e6, i_out=50e-6), tmp_path)
    assert opamp.figures.i_sink == pytest.approx(50e-6, rel=0.05)
    parts = (
        Instance("i", Resistor(50e3), ("a", "n")),
        Instance("f", Resistor(50e3), ("n", "out")),
        Instance("op1", opamp.cell("opamp", 0.0), ("0", "n", "out")),
    )
    bench = Bench(Cell("jig", ("a", "out"), parts), ("a",), np.linspace(-0.3, 0.3, 13)[:, None], ("out",))
    native, spice = Native().run(bench), NgspiceSimulator(ngspice).run(bench)
    np.testing.assert_allclose(native.volts, spice.volts, rtol=0.0, atol=1e-3)
    monkeypatch.delattr(modules["analog_parts"], "characterize_cells")
    assert sized(Target(gbw=60e6, i_out=50e-6), tmp_path) == opamp


@pytest.mark.parametrize("ohms", [0.0, 1.0])
def test_a_column_settles_to_what_the_whole_chip_gives(
    ohms: float, ngspice: str, modules: dict[str, ModuleType], task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, study = modules["analog_parts"], modules["study_cooptimisation"]
    design = replace(study.BASE, array=replace(study.BASE.array, r_row=ohms, r_col=ohms))
    chip, x = study.weave(task, study.Point("base", 0.0, design)), task.x[:10]
    run, ends = chip.simulate(x), []

    class Watching(NgspiceSimulator):
        def trace(self, transient: Any) -> Any:
            found = super().trace(transient)
            ends.append(found.volts[-1, 0])
            return found

    monkeypatch.setattr(parts, "NgspiceSimulator", Watching)
    for index, stage in enumerate(chip.plan.stages):
        output, sample = parts.most_loaded(chip, run, index)
        assert 10e-9 < parts.settling(chip, run, index, x) < 2e-6
        # Row wires, which other columns load, and the drivers' resistance are not in the column alone.
        volts = run.stage_volts[stage.name]
        assert ends[-1] == pytest.approx(volts[sample, output], abs=(0.01 + 0.05 * ohms) * np.abs(volts).max())


def test_the_least_energy_wins_among_those_that_keep_up_with_the_bases_network(modules: dict[str, ModuleType]) -> None:
    page = modules["cooptimisation_page"]
    shared = {"images": 100, "software": 98, "transistors": True, "settling": [1e-7, 1e-7], "network": 0.97}
    found = [
        {**shared, "axis": "base", "value": 0.0, "circuit": 98, "power": 0.06},
        {**shared, "axis": "sink", "value": 1e-4, "circuit": 98, "power": 0.03},
        {**shared, "axis": "sink", "value": 5e-5, "circuit": 96, "power": 0.01},
        {**shared, "axis": "network", "value": "8", "circuit": 98, "power": 0.01, "network": 0.95},
        {"axis": "gain", "value": 10.0, "images": 100, "software": 98, "circuit": 98, "power": 0.001, "network": 0.97},
    ]
    assert page.winner(found) == found[1]
    assert page.energy(found[1]) == pytest.approx(6e-9)
    assert page.winner(found[1:]) is None
    line = next(line for line in page.summary(found) if line.startswith("Least energy"))
    assert line == (
        "Least energy within 1% of the base's network: op-amps sized for a sink current: 100 µA: 6.00 nJ an image, "
        "30.00 mW, 200 ns; the base takes 12.00 nJ."
    )


KEPT = EXAMPLES.parent / "docs" / "studies" / "co-optimisation" / "mnist.jsonl"


def test_kept_points_are_of_the_chips_of_today(modules: dict[str, ModuleType]) -> None:
    study = modules["study_cooptimisation"]
    every = study.points(study.SOURCES["mnist"].networks)
    chips = {(point.axis, point.value): point.chip() for axis in every.values() for point in axis}
    chips |= {("whole", ohms): study.Point("whole", ohms).chip() for ohms, _ in study.WHOLE}
    for key, record in study.read_kept(KEPT).items():
        axis = "joint" if record["axis"] == "final" else record["axis"]
        assert key.partition("-")[0] == chips[axis, record["value"]], record


def test_chips_have_a_name_each(modules: dict[str, ModuleType]) -> None:
    study = modules["study_cooptimisation"]
    names: dict[str, set[Any]] = {}
    for points in study.points(study.SOURCES["mnist"].networks).values():
        for point in points:
            opamp = point.target or point.gain
            names.setdefault(point.chip(), set()).add((point.design, opamp, point.bits))
    assert all(len(chips) == 1 for chips in names.values())
    assert len(names) == len(set.union(*names.values())) > 50


def test_choices_that_designs_get_leave_names_alone_and_defaults_that_change_do_not(
    modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, known = modules["study_cooptimisation"], modules["study_keys"].known()
    point = study.Point("base", 0.0, study.conductances(10e-6, 30.0))
    told = replace(point, design=replace(point.design, array=replace(point.design.array, reserve=0.2)))
    names = point.chip(), told.chip()
    assert names[0] != names[1]

    def without(kind: str, *fields: str) -> dict[str, Any]:
        return {**known, kind: {key: value for key, value in known[kind].items() if key not in fields}}

    for older in (
        without("ArrayChoice", "reserve"),
        without("Design", "driver", "feedback"),
        without("Linear", "levels"),
    ):
        monkeypatch.setattr(study, "known", lambda older=older: older)
        assert (point.chip(), told.chip()) == names
    for kind, field in (("ArrayChoice", "r_row"), ("Finite", "r_out"), ("Design", "seed")):
        monkeypatch.setattr(study, "known", lambda k=kind, f=field: {**known, k: {**known[k], f: "77.0"}})
        assert point.chip() != names[0]


def test_inputs_of_few_bits_are_the_nearest_codes(modules: dict[str, ModuleType]) -> None:
    coded = modules["study_cooptimisation"].coded
    x = np.linspace(0.0, 1.0, 101)
    assert sorted(set(coded(x, 2))) == pytest.approx([0.0, 1 / 3, 2 / 3, 1.0])
    assert np.abs(coded(x, 4) - x).max() <= 0.5 / 15 + 1e-12
    np.testing.assert_array_equal(coded(x, 0), x)


def test_the_study_goes_on_where_it_stopped_and_keeps_the_page_around_its_numbers(
    modules: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, page = modules["study_cooptimisation"], tmp_path / "study.md"
    short = replace(study.SOURCES["digits"], networks=((8,),), epochs=5)
    monkeypatch.setattr(study, "SOURCES", {"digits": short})
    words = ["--data", "digits", "--many", "30", "--final", "0", "--whole", "0", "--axes", "gain", "bits"]
    words += ["--output", str(tmp_path / "study"), "--cache", str(tmp_path / "cache")]
    page.write_text("# Before\n", encoding="utf-8")
    found, kept = study.main(words), tmp_path / "study" / "digits.jsonl"
    said, lines = capsys.readouterr().out, kept.read_text(encoding="utf-8").splitlines(keepends=True)
    assert said.strip() in page.read_text(encoding="utf-8")
    assert page.read_text(encoding="utf-8").startswith("# Before\n")
    assert len(lines) == len(found) == 13
    kept.write_text("".join(lines[:9]) + lines[9][:40], encoding="utf-8")
    again = study.main([*words, "--only-draw"])
    assert again == found[:9]
    assert len(study.main(words)) == 13
    assert len(kept.read_text(encoding="utf-8").splitlines()) == 14
    assert (tmp_path / "study" / "limits.svg").is_file()
