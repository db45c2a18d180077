"""Runs of a build: what is reused, what is refused, and what SPICE finds out."""

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ohmweave import archive, runs
from ohmweave.bench import Bench
from ohmweave.chip import Chip
from ohmweave.compile import compile as weave
from ohmweave.design import Design
from ohmweave.errors import BuildError, DataError, DesignError, NetlistError, SimulationError, SimulatorMissing
from ohmweave.frontend import Data, load_data
from ohmweave.graph import Graph, Input, Linear, Node
from ohmweave.simulate import SIMULATORS
from ohmweave.simulate.fake import Fake

X = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.5, -0.25, 0.75]])
DATA = Data(X, np.array([0, 1, 1]), "three")
REMEDY = "remove it: a circuit file may hold circuit only, analyses are ohmweave's own"


@pytest.fixture
def chip(perceptron: Graph) -> Chip:
    return weave(perceptron, calibration=X)


@pytest.fixture
def build(chip: Chip, tmp_path: Path) -> Path:
    return archive.save(chip, tmp_path / "build")


def listing(folder: Path) -> list[str]:
    return sorted(str(item.relative_to(folder)) for item in folder.rglob("*"))


def use(monkeypatch: pytest.MonkeyPatch, respond: Callable[[Bench], np.ndarray]) -> None:
    """Let ``ngspice`` be a simulator that answers by a function."""
    monkeypatch.setitem(SIMULATORS, "ngspice", lambda **_: Fake(respond))  # type: ignore[index]


def test_a_simulation_is_kept_and_taken_up_again(build: Path) -> None:
    first = runs.simulate(build, DATA)
    again = runs.simulate(build, DATA)
    assert (first.reused, again.reused) == (False, True)
    np.testing.assert_array_equal(again.evidence.logits, first.evidence.logits)
    assert {**again.summary(), "reused": False} == first.summary()


def test_fresh_computes_again(build: Path) -> None:
    runs.simulate(build, DATA)
    assert not runs.simulate(build, DATA, fresh=True).reused


@pytest.mark.parametrize(
    "other", [Data(X[:2], DATA.y[:2], "three"), Data(X + 1e-9, DATA.y, "three"), Data(X, DATA.y, "renamed")]
)
def test_other_data_is_another_simulation(build: Path, other: Data) -> None:
    runs.simulate(build, DATA)
    assert not runs.simulate(build, other).reused


def test_a_limit_takes_the_first_samples(build: Path, chip: Chip) -> None:
    done = runs.simulate(build, DATA, limit=2)
    assert done.summary()["samples"] == 2
    np.testing.assert_array_equal(done.evidence.logits, chip.simulate(X[:2]).logits)


def test_engines_keep_their_results_apart(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.simulate(build, DATA)
    use(monkeypatch, lambda bench: np.full((bench.samples, len(bench.probes)), 0.1))
    done = runs.simulate(build, DATA, engine="ngspice")
    assert (done.reused, done.summary()["engine"]) == (False, "fake")
    assert runs.simulate(build, DATA).summary()["engine"] == "native"


def test_accuracy_needs_labels(build: Path) -> None:
    summary = runs.simulate(build, Data(X, None, "bare")).summary()
    assert (summary["accuracy"], summary["software_accuracy"]) == (None, None)
    assert summary["decision_agreement"] == 1.0


def test_a_result_of_another_plan_is_computed_anew_and_never_reported(
    build: Path, perceptron: Graph, tmp_path: Path
) -> None:
    runs.simulate(build, DATA)
    other = archive.save(weave(perceptron, Design.preset("ideal"), calibration=X), tmp_path / "other")
    (build / "results").rename(other / "results")
    stale = json.loads((other / "results" / "simulate-native.json").read_text())["plan"]
    with pytest.raises(BuildError) as caught:
        runs.report(other, other / "report.html")
    assert str(caught.value) == (
        f"{other / 'results' / 'simulate-native.json'}: was made from another plan (digest {stale[:12]}, "
        f"expected {archive.load(other).plan.digest()[:12]}); run ohmweave simulate --fresh again"
    )
    assert not runs.simulate(other, DATA).reused
    assert runs.simulate(other, DATA).reused


def test_a_broken_result_is_computed_anew(build: Path) -> None:
    runs.simulate(build, DATA)
    (build / "results" / "simulate-native.npz").write_bytes(b"PK")
    assert not runs.simulate(build, DATA).reused


def test_a_reused_result_is_judged_by_the_labels_given(build: Path) -> None:
    first = runs.simulate(build, DATA)
    decisions = first.evidence.logits.argmax(axis=1)
    again = runs.simulate(build, replace(DATA, y=(decisions + 1) % first.evidence.logits.shape[1]))
    assert again.reused
    assert again.summary()["accuracy"] == 0.0


def test_signals_beyond_the_calibration_are_told(build: Path) -> None:
    assert runs.simulate(build, DATA).summary()["beyond_calibration"]["inputs"] == 0.0
    wild = runs.simulate(build, replace(DATA, x=100.0 * DATA.x)).summary()["beyond_calibration"]
    assert wild["inputs"] > 0.5
    assert max(share for place, share in wild.items() if place != "inputs") > 0.1


def test_a_check_of_another_netlist_is_not_reported(build: Path, ngspice: str) -> None:
    runs.simulate(build, DATA)
    runs.verify(build, DATA, samples=1)
    confirmed = runs.report(build, build / "report.html").read_text()
    with (build / "netlist" / "chip.cir").open("a") as stream:
        stream.write("* another\n")
    assert "confirms every stage" in confirmed
    assert "confirms every stage" not in runs.report(build, build / "report.html").read_text()


def test_one_output_is_no_decision(tmp_path: Path) -> None:
    graph = Graph((Node("x", Input((2,))), Node("y", Linear(np.ones((1, 2)), np.zeros(1)), ("x",))), ("y",))
    x = np.random.default_rng(0).uniform(0.1, 1.0, (5, 2))
    place = archive.save(weave(graph, calibration=x), tmp_path / "one")
    found = runs.simulate(place, Data(x, np.ones(5, dtype=np.int64), "one")).summary()
    assert (found["accuracy"], found["software_accuracy"], found["decision_agreement"]) == (None, None, None)


def test_a_report_needs_a_simulation(build: Path) -> None:
    before = listing(build)
    with pytest.raises(BuildError) as caught:
        runs.report(build, build / "report.html")
    assert str(caught.value) == f"{build}: nothing was simulated yet; run ohmweave simulate on it first"
    assert listing(build) == before


def test_a_report_is_one_file(build: Path, tmp_path: Path) -> None:
    runs.simulate(build, DATA)
    page = runs.report(build, tmp_path / "pages" / "r.html")
    assert page.read_text().startswith("<!doctype html>")
    assert listing(tmp_path / "pages") == ["r.html"]


@pytest.mark.parametrize("count", [0, -3])
def test_samples_are_counted_from_one(build: Path, count: int) -> None:
    for attempt in (
        lambda: runs.verify(build, DATA, samples=count),
        lambda: runs.simulate(build, DATA, limit=count),
    ):
        with pytest.raises(DataError) as caught:
            attempt()
        assert str(caught.value) == f"samples: expected at least 1 sample, found {count}; ask for one or more"


def test_data_that_does_not_fit_is_refused(build: Path) -> None:
    before = listing(build)
    for attempt in (runs.simulate, runs.verify):
        with pytest.raises(DataError) as caught:
            attempt(build, Data(np.ones((2, 5)), None, "wide"))
        assert str(caught.value) == (
            "data: expected samples of shape (3,) (3 values), found (5,); give data that fits the network's input"
        )
    assert listing(build) == before


def test_unknown_engines_name_the_nearest(build: Path) -> None:
    for attempt in (runs.simulate, runs.verify):
        with pytest.raises(DesignError) as caught:
            attempt(build, DATA, engine="ngspce")
        assert str(caught.value) == "engine: expected a simulator, found 'ngspce'; did you mean 'ngspice'?"


def test_the_native_engine_cannot_check_itself(build: Path) -> None:
    with pytest.raises(DesignError) as caught:
        runs.verify(build, DATA, engine="native")
    assert str(caught.value) == (
        "engine: expected an engine that reads netlists, found 'native', which is the one that is checked; use ngspice"
    )


def test_a_netlist_that_is_gone_is_told(build: Path) -> None:
    (build / archive.NETLIST).unlink()
    with pytest.raises(BuildError) as caught:
        runs.verify(build, DATA)
    assert str(caught.value) == f"{build / archive.NETLIST}: expected the netlist, found none; compile again"


def test_a_missing_simulator_is_the_users_to_install(build: Path) -> None:
    before = listing(build)
    with pytest.raises(SimulatorMissing) as caught:
        runs.verify(build, DATA, options={"executable": "ngspice-nowhere"})
    assert str(caught.value) == (
        "expected the simulator 'ngspice-nowhere', found none on this machine; "
        "install it (Debian/Ubuntu: apt install ngspice; macOS: brew install ngspice) or use the native engine"
    )
    assert caught.value.exit_code == 2
    assert listing(build) == before


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """Makes shell scripts that stand in for ngspice."""

    def make(body: str) -> str:
        path = tmp_path / "ngspice-script"
        path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "** ngspice-46 : fake"; exit 0; fi\n{body}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


HEAD = r"Flags: real\nNo. Variables: 2\nNo. Points: 3\nVariables:\n\t0\tv(a)\tvoltage\n\t1\tv(b)\tvoltage\nBinary:\n"
FAILURES = {
    "sleep 30": (
        "expected an answer within 0.5 s, found none; the process was stopped; "
        "raise --time-limit, use fewer samples or smaller tiles"
    ),
    f"printf '{HEAD}12345678' > out.raw; echo half": (
        "expected 3 points of 2 vectors (48 bytes) after the header, found 8 bytes; the log ends: half; "
        "the simulator stopped early or its disk is full; run it again"
    ),
    "echo nothing": (
        "expected a raw file, found none; the log ends: nothing; "
        "the simulator stopped early or its disk is full; run it again"
    ),
    "echo 'fatal error'; exit 1": (
        "expected a run without errors, found exit code 1 and 'fatal error'; the log ends: fatal error; "
        "check the netlist and the design"
    ),
}


@pytest.mark.parametrize("body", FAILURES)
def test_a_run_that_does_not_end_well_is_no_result(build: Path, script: Callable[[str], str], body: str) -> None:
    runs.simulate(build, DATA)
    before = listing(build)
    with pytest.raises(SimulationError) as caught:
        runs.verify(build, DATA, options={"executable": script(body), "time_limit": 0.5})
    assert str(caught.value) == f"ngspice, chip: {FAILURES[body]}"
    assert caught.value.exit_code == 1
    assert listing(build) == before


@pytest.mark.parametrize(
    ("smuggled", "line", "found"),
    [
        (".control\nshell touch {w}\n.endc", 0, ".control"),
        ("shell touch {w}", 0, "shell"),
        ("* a\n*#shell {w}", 1, "*#shell"),
    ],
)
def test_a_netlist_with_more_than_circuit_is_refused(build: Path, smuggled: str, line: int, found: str) -> None:
    witness, netlist = build / "witness", build / archive.NETLIST
    lines = len(netlist.read_text().splitlines())
    with netlist.open("a") as stream:
        stream.write(smuggled.format(w=witness) + "\n")
    with pytest.raises(NetlistError) as caught:
        runs.verify(build, DATA, options={"executable": "true"})
    where = f"chip.cir:{lines + 1 + line}"
    shown = found if found != "*#shell" else f"*#shell {witness}"[:10]
    assert str(caught.value) == f"{where}: expected circuit cards only, found {shown!r}; {REMEDY}"
    assert not witness.exists()
    assert not (build / "results").exists()


def test_a_disagreement_names_stage_sample_and_node(build: Path, chip: Chip, monkeypatch: pytest.MonkeyPatch) -> None:
    native = chip.simulate(X)
    volts = np.hstack(list(native.stage_volts.values()))
    volts[2, 4] += 1e-3 * np.abs(native.stage_volts["s1"]).max()
    use(monkeypatch, lambda bench: volts)
    done = runs.verify(build, DATA)
    assert not done.ok
    summary = done.summary()
    assert summary["worst"] == {"stage": "s1", "sample": 2, "node": "s1_y0"}
    assert summary["by_stage"]["s0"] < 1e-12
    assert summary["max_relative_error"] == pytest.approx(1e-3, rel=1e-9)
    assert runs.verify(build, DATA, tolerance=2e-3).ok


def device_line(chip: Chip, stage: str, row: int, col: int) -> tuple[str, str]:
    """Where the device stands in the netlist: its subcircuit and the beginning of its line."""
    found = next(s for s in chip.plan.stages if s.name == stage)
    tile = next(t for t in found.tiles if row in t.rows and col in t.cols)
    i, j = tile.rows.tolist().index(row), tile.cols.tolist().index(col)
    return f".subckt stage_{stage}_{tile.name} ", f"rd{i}_{j} "


def raise_one_resistance(netlist: Path, chip: Chip, stage: str, row: int, col: int) -> None:
    """Change one device by one per cent."""
    opening, name = device_line(chip, stage, row, col)
    lines = netlist.read_text().splitlines()
    begun = next(number for number, line in enumerate(lines) if line.startswith(opening))
    place = next(number for number in range(begun, len(lines)) if lines[number].startswith(name))
    *words, ohms = lines[place].split()
    lines[place] = " ".join([*words, repr(1.01 * float(ohms))])
    netlist.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def images() -> Data:
    return load_data("digits", "test")


def test_the_whole_netlist_of_the_digits_agrees_in_spice(ngspice: str, digits_build: Path, images: Data) -> None:
    done = runs.verify(digits_build, images, samples=8)
    assert done.ok
    assert done.deviation.largest <= 1e-6
    assert set(done.deviation.by_stage) == {"s0", "s1"}
    assert done.chip.plan.design == Design.default()


@pytest.mark.parametrize("stage", ["s0", "s1"])
def test_one_conductance_in_4820_off_by_one_per_cent_is_found_and_placed(
    ngspice: str, digits_build: Path, digits_chip: Chip, images: Data, stage: str
) -> None:
    # The device that carries most current over the eight images.
    run = digits_chip.simulate(images.x[:8])
    volts = digits_chip.plan.input_volts(images.x[:8]) if stage == "s0" else run.stage_volts["s0"]
    tile = next(s for s in digits_chip.plan.stages if s.name == stage).tiles[0]
    currents = np.abs(volts).sum(axis=0)[: len(tile.g), None] * tile.g[: volts.shape[1]]
    row, col = (int(index) for index in np.unravel_index(currents.argmax(), currents.shape))
    raise_one_resistance(digits_build / archive.NETLIST, digits_chip, stage, row, col)
    done = runs.verify(digits_build, images, samples=8)
    assert not done.ok
    assert done.deviation.by_stage[stage] > 1e-4
    if stage == "s1":
        # Nothing before it sees the change, and of its outputs only the one whose column pair it is in.
        assert done.deviation.by_stage["s0"] <= 1e-6
        assert (done.deviation.stage, done.deviation.node) == ("s1", f"s1_y{col // 2}")
