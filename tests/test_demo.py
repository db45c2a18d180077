"""The demonstration, as a user runs it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ohmweave import archive
from ohmweave.chip import Chip
from ohmweave.demo.digits_mlp import WEIGHTS
from ohmweave.simulate import SIMULATORS
from ohmweave.simulate.fake import Fake

PROGRAM = Path(sys.executable).with_name("ohmweave")
TREE = [
    "cache",
    "cache/*.bin",
    "conductances.npz",
    "design.toml",
    "graph.json",
    "netlist",
    "netlist/chip.cir",
    "plan.json",
    "report.html",
    "results",
    "results/simulate-native.json",
    "results/simulate-native.npz",
    "results/verify.json",
    "results/verify.npz",
    "weights.safetensors",
]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "160", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [PROGRAM, "demo", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def tree(folder: Path) -> list[str]:
    names = (str(item.relative_to(folder)) for item in folder.rglob("*"))
    return sorted({re.sub(r"^cache/[0-9a-f]{64}\.bin$", "cache/*.bin", name) for name in names})


def cells(table: str) -> dict[str, str]:
    """First cell -> second cell of a table drawn with lines."""
    rows = (re.split(r"\s*│\s*", line.strip("│ ")) for line in table.splitlines() if line.startswith("│"))
    return {row[0]: row[1] for row in rows}


def test_the_demo_tells_its_story_in_a_table_and_leaves_a_build(ngspice: str, tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    table = cells(done.stdout)
    assert list(table)[:7] == [
        "software accuracy",
        "circuit accuracy",
        "decision agreement",
        "largest deviation from SPICE",
        "memristors",
        "op-amps",
        "static power",
    ]
    assert table["software accuracy"] == "97.50% of 360 held-out images"
    assert abs(float(table["circuit accuracy"].rstrip("%")) - 97.5) <= 1.0
    deviation = re.fullmatch(
        r"(\S+) of full scale \(stage s\d, sample \d; every layer of 8 images\)", table["largest deviation from SPICE"]
    )
    assert deviation is not None
    assert float(deviation.group(1)) <= 1e-6
    assert (table["memristors"], table["op-amps"]) == ("4820", "84")
    assert re.fullmatch(r"\d+\.\d\d mW", table["static power"])
    assert re.fullmatch(r"\d+\.\d\d s for 360 images", table["native engine"])
    spice = next(name for name in table if name.startswith("ngspice "))
    assert re.fullmatch(r"\d+\.\d\d s for 8 images", table[spice])
    assert done.stdout.splitlines()[-3:] == [
        "build directory: build/demo",
        "netlist:         build/demo/netlist/chip.cir",
        "report:          build/demo/report.html",
    ]
    assert done.stderr.splitlines()[:3] == [
        "compiling the 64-32-10 digits network",
        "running all 360 held-out images through the circuit",
        "running 8 of them through the complete netlist in ngspice",
    ]
    assert tree(tmp_path / "build" / "demo") == TREE
    assert "97.5" in (tmp_path / "build" / "demo" / "report.html").read_text()
    assert archive.load(tmp_path / "build" / "demo").plan.devices == 4820


def test_the_demo_in_json_prints_one_object_and_nothing_else(ngspice: str, tmp_path: Path) -> None:
    done = run(tmp_path, "--json", "-o", "d")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["simulate"]["samples"] == 360
    assert value["simulate"]["accuracy"] >= value["simulate"]["software_accuracy"] - 0.01
    assert value["verify"]["ok"] is True
    assert value["verify"]["max_relative_error"] <= 1e-6
    assert (value["memristors"], value["opamps"], value["report"]) == (4820, 84, "d/report.html")
    assert tree(tmp_path / "d") == TREE


@pytest.fixture
def woven(monkeypatch: pytest.MonkeyPatch, digits_chip: Chip) -> None:
    """The demonstration's compiler replaced by one that has its chip ready."""

    def weave(model: str, design: object, *, calibration: object, weights: Path) -> Chip:
        assert (model, weights) == ("ohmweave.demo.digits_mlp:model", WEIGHTS)
        assert design == digits_chip.plan.design
        return digits_chip

    monkeypatch.setattr("ohmweave.demo.story.weave", weave)


def test_without_spice_the_demo_says_what_it_left_out(
    ohmweave: Callable[..., SimpleNamespace], woven: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("COLUMNS", "300")
    missing = (
        "expected the simulator 'ngspice', found none on this machine; "
        "install it (Debian/Ubuntu: apt install ngspice; macOS: brew install ngspice) or use the native engine"
    )
    done = ohmweave("demo", "-o", tmp_path / "d")
    assert done.code == 0
    assert cells(done.out)["largest deviation from SPICE"] == f"not checked: {missing}"
    assert missing in done.err
    assert tree(tmp_path / "d") == [name for name in TREE if "verify" not in name]
    done = ohmweave("demo", "-o", tmp_path / "d", "--json")
    assert json.loads(done.out)["verify"] is None


def test_a_demo_that_disagrees_with_spice_exits_3(
    ohmweave: Callable[..., SimpleNamespace], woven: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = Fake(lambda bench: np.full((bench.samples, len(bench.probes)), 0.1))
    monkeypatch.setitem(SIMULATORS, "ngspice", lambda **_: other)  # type: ignore[index]
    done = ohmweave("demo", "-o", tmp_path / "d", "--json")
    assert done.code == 3
    assert json.loads(done.out)["verify"]["ok"] is False
