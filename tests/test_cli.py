"""The command line: one JSON object or a table on standard output, words on standard error, exit codes."""

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO
from unittest.mock import ANY

import numpy as np
import pytest

from ohmweave import archive, cli, runs
from ohmweave.chip import Chip
from ohmweave.compile import compile as weave
from ohmweave.demo.digits_mlp import WEIGHTS
from ohmweave.design import Design
from ohmweave.graph import Graph
from ohmweave.netlist import DIALECTS
from ohmweave.simulate import SIMULATORS
from ohmweave.simulate.fake import Fake

CommandLine = Callable[..., SimpleNamespace]
DIGITS = ("--data", "digits")
TREE = {
    "conductances.npz", "design.toml", "graph.json", "netlist", "netlist/chip.cir", "plan.json", "weights.safetensors"
}  # fmt: skip


def tree(folder: Path) -> set[str]:
    return {str(item.relative_to(folder)) for item in folder.rglob("*")}


def read(done: SimpleNamespace, code: int = 0) -> dict[str, Any]:
    """The one JSON object on standard output."""
    assert done.code == code, done.err
    assert done.out.count("\n") == 1
    value = json.loads(done.out)
    assert isinstance(value, dict)
    return value


def have(value: dict[str, Any], **types: type | tuple[type, ...]) -> None:
    for key, kind in types.items():
        assert isinstance(value[key], kind), (key, value[key])


def test_compile_says_what_it_made(ohmweave: CommandLine, tmp_path: Path) -> None:
    spec = ("ohmweave.demo.digits_mlp:model", "--weights", WEIGHTS, "--calibrate", "digits")
    value = read(ohmweave("compile", *spec, "-o", tmp_path / "b", "--json"))
    have(value, build=str, digest=str, stages=int, tiles=int, utilisation=float, memristors=int, opamps=int)
    assert value == {
        "build": str(tmp_path / "b"),
        "digest": archive.load(tmp_path / "b").plan.digest(),
        "stages": 2,
        "tiles": 3,
        "utilisation": 4820 / (3 * 64 * 64),
        "memristors": 4820,
        "opamps": 84,
    }
    assert tree(tmp_path / "b") == TREE
    assert os.listdir(tmp_path) == ["b"]  # noqa: PTH208 - hidden files as well
    # A preset makes another chip in the same place.
    done = ohmweave("compile", *spec, "-o", tmp_path / "b", "--design", "lossy")
    assert done.code == 0
    assert "4820" in done.out
    assert archive.load(tmp_path / "b").plan.design.array.r_row == 100.0


def test_simulate_says_how_good_the_circuit_is(ohmweave: CommandLine, digits_build: Path) -> None:
    value = read(ohmweave("simulate", digits_build, *DIGITS, "--json"))
    have(value, engine=str, samples=int, accuracy=float, software_accuracy=float, decision_agreement=float)
    have(value, static_power_w=float, seconds=dict, reused=bool)
    have(value["seconds"], reduce=float, solve=float, total=float)
    assert (value["engine"], value["samples"], value["reused"]) == ("native", 360, False)
    assert abs(value["accuracy"] - value["software_accuracy"]) <= 0.01
    assert value["static_power_w"] == pytest.approx(sum(value["power_w"].values()))
    assert read(ohmweave("simulate", digits_build, *DIGITS, "--json"))["reused"] is True
    assert read(ohmweave("simulate", digits_build, *DIGITS, "--fresh", "--limit", 3, "--json"))["samples"] == 3
    done = ohmweave("simulate", digits_build, *DIGITS, "--limit", 3)
    assert done.code == 0
    assert done.out.startswith("simulated by native")
    assert "decision_agreement" in done.out


def test_simulate_in_float32_tells_its_error(ohmweave: CommandLine, digits_build: Path) -> None:
    value = read(ohmweave("simulate", digits_build, *DIGITS, "--precision", "float32", "--threads", 2, "--json"))
    (remark,) = value["remarks"]
    found = re.fullmatch(r"float32: at most (\S+) of full scale from float64 on 32 samples", remark)
    assert found is not None
    assert 1e-9 < float(found.group(1)) < 1e-5
    assert value["engine_version"].endswith(" float32")


def test_simulate_leaves_out_what_needs_labels(ohmweave: CommandLine, digits_build: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.full((2, 64), 0.5))
    value = read(ohmweave("simulate", digits_build, "--data", f"npz:{tmp_path / 'x.npz'}", "--json"))
    assert (value["accuracy"], value["software_accuracy"]) == (None, None)


def test_simulate_runs_spice_as_well(ngspice: str, ohmweave: CommandLine, digits_build: Path) -> None:
    value = read(ohmweave("simulate", digits_build, *DIGITS, "--engine", "ngspice", "--limit", 2, "--json"))
    assert (value["engine"], value["samples"]) == ("ngspice", 2)
    native = read(ohmweave("simulate", digits_build, *DIGITS, "--limit", 2, "--json"))
    assert value["static_power_w"] == pytest.approx(native["static_power_w"], rel=1e-6)


def test_verify_agrees_and_disagrees_by_its_exit_code(
    ngspice: str, ohmweave: CommandLine, digits_build: Path, digits_chip: Chip
) -> None:
    asked = ("verify", digits_build, *DIGITS, "--samples", 8, "--json")
    value = read(ohmweave(*asked))
    have(value, engine=str, engine_version=str, samples=int, max_relative_error=float, worst=dict, ok=bool)
    have(value["worst"], stage=str, sample=int, node=str)
    assert (value["engine"], value["samples"], value["ok"]) == ("ngspice", 8, True)
    assert value["max_relative_error"] <= 1e-6
    assert set(value["by_stage"]) == {"s0", "s1"}

    # The largest conductance of the first output's positive column in the last stage.
    netlist = digits_build / archive.NETLIST
    lines = netlist.read_text().splitlines()
    begun = next(k for k, line in enumerate(lines) if line.startswith(".subckt stage_s1_t0_0 "))
    tile = digits_chip.plan.stages[1].tiles[0].g
    live = digits_chip.simulate(np.ones((1, 64))).stage_volts["s0"][0] > 0
    row = int(np.where(live, tile[: len(live), 0], 0).argmax())
    place = next(k for k in range(begun, len(lines)) if lines[k].startswith(f"rd{row}_0 "))
    *words, ohms = lines[place].split()
    lines[place] = " ".join([*words, repr(float(ohms) * 1.01)])
    netlist.write_text("\n".join(lines) + "\n")

    done = ohmweave(*asked)
    value = read(done, code=3)
    assert value["ok"] is False
    assert value["max_relative_error"] > 1e-6
    assert (value["worst"]["stage"], value["worst"]["node"]) == ("s1", "s1_y0")
    assert done.err == (
        f"the engines disagree by {value['max_relative_error']:.2e} of full scale, allowed 1e-06: "
        f"see node {value['worst']['node']} at sample {value['worst']['sample']}\n"
    )
    done = ohmweave(*asked[:-1])
    assert done.code == 3
    assert "s1_y0" in done.out

    # Written anew, it agrees again.
    assert ohmweave("netlist", digits_build).code == 0
    assert read(ohmweave(*asked))["ok"] is True


def test_verify_refuses_a_netlist_that_runs_code(ngspice: str, ohmweave: CommandLine, digits_build: Path) -> None:
    netlist, witness = digits_build / archive.NETLIST, digits_build / "witness"
    count = len(netlist.read_text().splitlines())
    with netlist.open("a") as stream:
        stream.write(f".control\nshell touch {witness}\n.endc\n")
    done = ohmweave("verify", digits_build, *DIGITS)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"error: chip.cir:{count + 1}: expected circuit cards only, found '.control'; "
        "remove it: a circuit file may hold circuit only, analyses are ohmweave's own\n"
    )
    assert not witness.exists()


def test_netlist_says_what_it_wrote(ohmweave: CommandLine, digits_build: Path, tmp_path: Path) -> None:
    value = read(ohmweave("netlist", digits_build, "-o", tmp_path / "n", "--json"))
    have(value, dialect=str, files=list, devices=int, seconds=float)
    path = tmp_path / "n" / "chip.cir"
    assert (value["dialect"], value["files"], value["devices"]) == ("ngspice", [str(path)], 4820)
    assert path.read_bytes() == (digits_build / archive.NETLIST).read_bytes()
    done = ohmweave("netlist", digits_build)
    assert done.code == 0
    assert "4820" in done.out


SUFFIXES = {"ngspice": ".cir", "hspice": ".sp", "xyce": ".xyce", "spectre": ".scs", "vacask": ".sim"}


@pytest.mark.parametrize("name", DIALECTS)
def test_a_netlist_is_called_as_its_simulator_expects(
    name: str, ohmweave: CommandLine, perceptron: Graph, tmp_path: Path
) -> None:
    build = archive.save(weave(perceptron, calibration=np.eye(3)), tmp_path / "build")
    before = (build / archive.NETLIST).read_bytes()
    value = read(ohmweave("netlist", build, "--dialect", name, "--json"))
    assert value["files"] == [str(build / "netlist" / f"chip{SUFFIXES[name]}")]
    # Beside that of ngspice, which verify runs, and part of the build.
    assert (build / archive.NETLIST).read_bytes() == before
    assert archive.load(build).plan.devices == value["devices"]
    assert archive.save(archive.load(build), build) == build
    elsewhere = read(ohmweave("netlist", build, "--dialect", name, "-o", tmp_path / "n", "--json"))
    assert elsewhere["files"] == [str(tmp_path / "n" / f"chip{SUFFIXES[name]}")]


@pytest.fixture
def sampled_build(perceptron: Graph, tmp_path: Path) -> Path:
    x = np.random.default_rng(0).uniform(-1.0, 1.0, (9, 3))
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(9) % 2)
    return archive.save(weave(perceptron, Design.preset("digital"), calibration=x), tmp_path / "sampled")


def test_a_sampled_chip_has_a_netlist_for_each_stage(
    ohmweave: CommandLine, sampled_build: Path, tmp_path: Path
) -> None:
    value = read(ohmweave("netlist", sampled_build, "--json"))
    assert value["files"] == [str(sampled_build / "netlist" / f"s{k}.cir") for k in range(2)]
    assert value["devices"] == archive.load(sampled_build).plan.devices
    one = read(ohmweave("netlist", sampled_build, "--stage", "s1", "-o", tmp_path / "n", "--json"))
    assert one["files"] == [str(tmp_path / "n" / "s1.cir")]
    assert one["devices"] == archive.load(sampled_build).stage("s1").devices
    assert (tmp_path / "n" / "s1.cir").read_bytes() == (sampled_build / "netlist" / "s1.cir").read_bytes()


def test_a_stage_that_is_not_there_is_told_before_anything_is_written(
    ohmweave: CommandLine, sampled_build: Path, tmp_path: Path
) -> None:
    done = ohmweave("netlist", sampled_build, "--stage", "s0", "--stage", "s11", "-o", tmp_path / "n")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: stage: expected a stage of the chip, found 's11'; did you mean 's1'?\n"
    assert not (tmp_path / "n").exists()


def test_a_sampled_chip_goes_all_the_way(ngspice: str, ohmweave: CommandLine, sampled_build: Path) -> None:
    data = ("--data", f"npz:{sampled_build.parent / 'data.npz'}")
    simulated = read(ohmweave("simulate", sampled_build, *data, "--limit", 7, "--json"))
    assert (simulated["samples"], simulated["power_w"], simulated["stage_errors_samples"]) == (7, None, 7)
    verified = read(ohmweave("verify", sampled_build, *data, "--samples", 3, "--json"))
    assert verified["ok"] is True
    assert set(verified["by_stage"]) == {"s0", "s0_readouts", "s1", "s1_readouts"}
    assert read(ohmweave("report", sampled_build, "--json")) == {"report": str(sampled_build / "report.html")}


def test_an_interrupted_netlist_leaves_the_older_one(
    ohmweave: CommandLine, digits_build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(cell: object, dialect: object, stream: TextIO, **_: object) -> None:
        stream.write("* half a netlist")
        raise KeyboardInterrupt

    before, text = tree(digits_build), (digits_build / archive.NETLIST).read_bytes()
    monkeypatch.setattr("ohmweave.netlist.write", interrupted)
    done = ohmweave("netlist", digits_build)
    assert (done.code, done.out) == (130, "")
    assert done.err.strip() == "interrupted; nothing half-written was left"
    assert (tree(digits_build), (digits_build / archive.NETLIST).read_bytes()) == (before, text)


def test_report_says_where_the_page_is(ohmweave: CommandLine, digits_build: Path) -> None:
    before = tree(digits_build)
    done = ohmweave("report", digits_build)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: {digits_build}: nothing was simulated yet; run ohmweave simulate on it first\n"
    assert tree(digits_build) == before
    ohmweave("simulate", digits_build, *DIGITS, "--limit", 20)
    assert read(ohmweave("report", digits_build, "--json")) == {"report": str(digits_build / "report.html")}
    assert (digits_build / "report.html").read_text().startswith("<!doctype html>")


def test_doctor_says_what_is_here(ngspice: str, ohmweave: CommandLine) -> None:
    engines = read(ohmweave("doctor", "--json"))["engines"]
    for facts in engines.values():
        have(facts, path=str, version=str, klu=bool, osdi=bool, runs=bool)
    assert engines["ngspice"]["path"] == ngspice
    done = ohmweave("doctor")
    assert done.code == 0
    assert "ngspice" in done.out


def test_doctor_without_simulators_still_has_the_native_one(
    ohmweave: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("ohmweave.simulate.vacask.importlib.util.find_spec", lambda name: None)
    assert read(ohmweave("doctor", "--json")) == {
        "engines": {"native": {"path": "built in", "version": ANY, "klu": False, "osdi": False, "runs": True}},
        "compilers": {},
    }


MISSING = (
    "error: expected the simulator 'ngspice', found none on this machine; "
    "install it (Debian/Ubuntu: apt install ngspice; macOS: brew install ngspice) or use the native engine\n"
)


@pytest.mark.parametrize("command", [("verify",), ("simulate", "--engine", "ngspice")])
def test_a_missing_simulator_is_told(
    ohmweave: CommandLine, digits_build: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    before = tree(digits_build)
    done = ohmweave(command[0], digits_build, *DIGITS, *command[1:])
    assert (done.code, done.out) == (2, "")
    assert done.err.lstrip("\n") == MISSING
    assert tree(digits_build) == before


def test_a_simulator_that_hangs_is_not_the_users_fault(
    ohmweave: CommandLine, digits_build: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "ngspice"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nif [ "$1" = --version ]; then echo "** ngspice-46 : fake"; else sleep 30; fi\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    before = tree(digits_build)
    done = ohmweave("verify", digits_build, *DIGITS, "--time-limit", 0.5, "--json")
    words = {
        "where": "ngspice, chip",
        "message": "expected an answer within 0.5 s, found none; the process was stopped",
        "remedy": "raise --time-limit, use fewer samples or smaller tiles",
    }
    assert read(done, code=1) == {"error": {"kind": "SimulationError", **words}}
    assert done.err == f"error: {words['where']}: {words['message']}; {words['remedy']}\n"
    assert tree(digits_build) == before


SUFFIX = "; see ohmweave --help"
MISTAKES = {
    ("simulate", "B", "--data", "digits", "--engine", "ngspce"): (
        "engine: expected a simulator, found 'ngspce'; did you mean 'ngspice'?"
    ),
    ("netlist", "B", "--dialect", "ngspcie"): (
        "dialect: expected a netlist dialect, found 'ngspcie'; did you mean 'ngspice'?"
    ),
    ("verify", "B", "--data", "digits", "--samples", "0"): (
        "samples: expected at least 1 sample, found 0; ask for one or more"
    ),
    ("verify", "B", "--data", "digits", "--tolerance", "2"): (
        "--tolerance: expected a share between 0 and 1, found 2; try 1e-6"
    ),
    ("verify", "B", "--data", "digits", "--time-limit", "-1"): (
        "--time-limit: expected more than 0 s, found -1 s; try 600"
    ),
    ("verify", "B", "--data", "digits", "--engine", "native"): (
        "engine: expected an engine that reads netlists, found 'native', which is the one that is checked; use ngspice"
    ),
    ("simulate", "B", "--data", "digits", "--limit", "0"): (
        "samples: expected at least 1 sample, found 0; ask for one or more"
    ),
    ("simulate", "nowhere", "--data", "digits"): (
        "nowhere: expected a build directory, found none; make one with ohmweave compile"
    ),
    ("netlist", "B", "-o", "B/plan.json"): "B/plan.json: cannot be written (File exists); choose a place that can",
    ("demo", "--engine", "ngspce", "-o", "D"): "engine: expected a simulator, found 'ngspce'; did you mean 'ngspice'?",
    ("simulate", "B"): f"Missing option '--data'{SUFFIX}",
}


@pytest.mark.parametrize("arguments", MISTAKES)
def test_a_mistake_is_told_in_words_and_in_json(
    ohmweave: CommandLine,
    digits_build: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    digits_build.rename(digits_build.parent / "B")
    monkeypatch.chdir(digits_build.parent)
    before = tree(digits_build.parent)
    done = ohmweave(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.lstrip("\n") == f"error: {MISTAKES[arguments]}\n"
    error = read(ohmweave(*arguments, "--json"), code=2)["error"]
    assert set(error) == {"kind", "where", "message", "remedy"}
    assert (f"{error['where']}: " if error["where"] else "") + f"{error['message']}; {error['remedy']}" == MISTAKES[
        arguments
    ]
    assert tree(digits_build.parent) == before


@pytest.mark.parametrize("arguments", [("simulat", "B"), ("verify", "B", "--data", "digits", "--samples", "many")])
def test_usage_errors_keep_to_the_same_form(ohmweave: CommandLine, arguments: tuple[str, ...]) -> None:
    done = ohmweave(*arguments, "--json")
    error = read(done, code=2)["error"]
    assert (error["kind"], error["where"], error["remedy"]) == ("UserError", "", "see ohmweave --help")
    assert done.err == f"error: {error['message']}; see ohmweave --help\n"


@pytest.mark.parametrize("arguments", [(), ("--help",), ("verify", "--help")])
def test_help_is_given(ohmweave: CommandLine, arguments: tuple[str, ...]) -> None:
    done = ohmweave(*arguments)
    assert done.code == (0 if arguments else 2)
    assert "Usage: ohmweave" in done.out
    assert done.err == ""


def test_a_fault_of_ours_says_so(ohmweave: CommandLine, digits_build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(runs, "simulate", broken)
    done = ohmweave("simulate", digits_build, *DIGITS, "--json")
    assert read(done, code=1)["error"]["kind"] == "OhmweaveError"
    assert "Traceback" in done.err
    assert done.err.endswith(
        "error: a fault of ohmweave: ZeroDivisionError: nobody thought of this; please report it with the lines above\n"
    )


def test_numbers_that_are_not_finite_are_null_in_json(
    ohmweave: CommandLine, digits_build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Fake(lambda bench: np.full((bench.samples, len(bench.probes)), np.nan))
    monkeypatch.setitem(SIMULATORS, "ngspice", lambda **_: lost)  # type: ignore[index]
    value = read(ohmweave("verify", digits_build, *DIGITS, "--samples", 1, "--json"), code=3)
    assert (value["max_relative_error"], value["ok"]) == (None, False)


def test_progress_goes_to_standard_error(ohmweave: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    with cli._progress("simulating") as step:
        step("samples", 1, 2)
    assert capsys.readouterr().out == ""
