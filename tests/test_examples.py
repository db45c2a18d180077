"""What users are shown runs: every script of examples/, every command and program of README.md."""

import gzip
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from ohmweave.demo.digits_mlp import WEIGHTS
from ohmweave.design import Design
from ohmweave.frontend import load_data

ROOT = Path(__file__).parents[1]
# What scripts are made of.
PARTS = ("analog_parts.py", "cooptimisation_page.py", "study_keys.py")
TRAINERS = (
    *("train_digits_mlp.py", "train_mnist_mlp.py", "train_reference_models.py", "reference_models.py"),
    *("train_spiking_digits.py", "train_spiking_mnist.py", "train_spiking_recurrent.py"),
)
SCRIPTS = sorted(path.name for path in (ROOT / "examples").glob("*.py") if path.name not in (*TRAINERS, *PARTS))
# Arguments that keep a script short; a script that is not here runs as it is.
QUICK = {
    "digits_cnn.py": ("--epochs", "4", "--samples", "40", "--checked", "1"),
    "study_cooptimisation.py": (
        *("--data", "digits", "--images", "12", "--many", "40", "--final", "0", "--whole", "0"),
        *("--axes", "base", "gain", "read", "kelvin_memristor", "--output", "study", "--cache", "cache"),
    ),
    "explore_spiking.py": ("--images", "30", "--designs", "2", "--output", "space"),
    "study_tiles_and_nonidealities.py": (
        *("--networks", "digits_mlp", "--images", "60", "--seeds", "1"),
        *("--axes", "near_ideal", "tile_1", "stuck", "--output", "study"),
    ),
    "wire_resistance.py": ("--ohms", "1", "100", "--samples", "60"),
}
# Lines of README's shell blocks that are not run here: fetching the source, and make, whose targets the gate runs.
NOT_HERE = ("git clone ", "cd ", "make ")
# Commands of a reader who has MNIST, with the place they are given in.
IN_EXAMPLES = "cd examples"


def run(desk: Path, *command: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=desk, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def blocks(language: str) -> Iterator[str]:
    """The fenced blocks of README.md in one language."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return iter(re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def commands(*, in_examples: bool) -> list[str]:
    """README's commands, one a line, in order; those of the blocks that go to examples first, or of the others."""
    chosen = [block for block in blocks("sh") if block.startswith(IN_EXAMPLES) == in_examples]
    lines = (line.strip() for block in chosen for line in block.splitlines())
    return [line for line in lines if line and not line.startswith(("#", *NOT_HERE))]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Where README's reader is: a directory in which the source lies, and nothing made yet."""
    (tmp_path / "src").symlink_to(ROOT / "src")
    (tmp_path / "examples").mkdir()
    for pattern in ("own_device.*", "spiking_digits.nir", "spiking_quick.toml"):
        for path in (ROOT / "examples").glob(pattern):
            (tmp_path / "examples" / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_example_runs_and_says_something(script: str, tmp_path: Path) -> None:
    assert run(tmp_path, sys.executable, str(ROOT / "examples" / script), *QUICK.get(script, ()))


STUDY = ("--networks", "digits_mlp", "--images", "40", "--axes", "near_ideal", "gaussian", "--output", "study")


def test_a_study_goes_on_where_it_was_interrupted_and_keeps_what_was_written_around_its_numbers(tmp_path: Path) -> None:
    script = str(ROOT / "examples" / "study_tiles_and_nonidealities.py")
    said = run(tmp_path, sys.executable, script, *STUDY, "--seeds", "1")
    kept, page = tmp_path / "study" / "digits_mlp.jsonl", tmp_path / "study.md"
    lines, numbers = kept.read_text(encoding="utf-8").splitlines(keepends=True), page.read_text(encoding="utf-8")
    assert said.strip() in numbers
    assert len(lines) == 6
    kept.write_text("".join(lines[:4]) + lines[4][:30], encoding="utf-8")
    page.write_text(f"# Before\n\n{numbers}\nAfter.\n", encoding="utf-8")
    assert run(tmp_path, sys.executable, script, *STUDY, "--seeds", "1") == said
    again = kept.read_text(encoding="utf-8").splitlines(keepends=True)
    assert again[:4] == lines[:4]
    assert len(again) == 4 + 1 + 2
    assert page.read_text(encoding="utf-8") == f"# Before\n\n{numbers}\nAfter.\n"
    assert (tmp_path / "study" / "gaussian.svg").is_file()


def test_a_study_draws_no_more_than_what_was_measured(tmp_path: Path) -> None:
    script = str(ROOT / "examples" / "study_tiles_and_nonidealities.py")
    assert not run(tmp_path, sys.executable, script, *STUDY, "--only-draw").strip()
    assert not (tmp_path / "study" / "digits_mlp.jsonl").exists()


def test_training_two_epochs_already_learns_and_saves_what_the_demo_reads(tmp_path: Path) -> None:
    script = str(ROOT / "examples" / "train_digits_mlp.py")
    said = run(tmp_path, sys.executable, script, "--epochs", "2", "--output", "weights.safetensors")
    found = re.search(r"accuracy on 360 held-out images: (\S+);", said)
    assert found is not None
    assert float(found.group(1)) > 0.8
    made, shipped = load_file(tmp_path / "weights.safetensors"), load_file(WEIGHTS)
    assert {name: array.shape for name, array in made.items()} == {name: array.shape for name, array in shipped.items()}


def write_as_mnist(folder: Path) -> None:
    """The embedded digits as MNIST's four files: 28 x 28 pixels of 0 to 255, each 8 x 8 pixel three wide."""
    for split, prefix in (("train", "train"), ("test", "t10k")):
        data = load_data("digits", split)
        small = np.kron(data.x.reshape(-1, 8, 8) * 255.0, np.ones((3, 3)))
        images = np.pad(small, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)
        assert data.y is not None
        for name, magic, values in (("images-idx3", 0x803, images), ("labels-idx1", 0x801, data.y.astype(np.uint8))):
            head = np.array([magic, *values.shape], dtype=">u4").tobytes()
            (folder / f"{prefix}-{name}-ubyte.gz").write_bytes(gzip.compress(head + values.tobytes()))


def test_training_on_files_like_mnists_learns_and_saves_what_is_shipped(tmp_path: Path) -> None:
    write_as_mnist(tmp_path)
    script = ROOT / "examples" / "train_mnist_mlp.py"
    said = run(tmp_path, sys.executable, str(script), "mnist:.", "--epochs", "10", "--output", "weights.safetensors")
    found = re.search(r"accuracy on 360 test images: (\S+);", said)
    assert found is not None
    assert float(found.group(1)) > 0.8
    made, shipped = load_file(tmp_path / "weights.safetensors"), load_file(script.with_name("mnist_mlp.safetensors"))
    assert {name: array.shape for name, array in made.items()} == {name: array.shape for name, array in shipped.items()}


MNIST = os.environ.get("OHMWEAVE_MNIST", "")


@pytest.mark.skipif(not MNIST, reason="OHMWEAVE_MNIST does not name a folder with MNIST's files")
def test_the_shipped_mnist_weights_are_as_accurate_as_the_example_says() -> None:
    data, weights = load_data(f"mnist:{MNIST}", "test"), load_file(ROOT / "examples" / "mnist_mlp.safetensors")
    hidden = np.maximum(data.x.reshape(-1, 784) @ weights["hidden.weight"].T + weights["hidden.bias"], 0.0)
    decisions = (hidden @ weights["output.weight"].T + weights["output.bias"]).argmax(axis=1)
    assert np.mean(decisions == data.y) == pytest.approx(0.9793, abs=2e-4)


def test_the_readmes_commands_run_in_their_order(ngspice: str, desk: Path) -> None:
    listed = commands(in_examples=False)
    assert {shlex.split(line)[1] for line in listed} == {
        "characterize", "doctor", "compile", "simulate", "verify", "netlist", "report"
    }  # fmt: skip
    for line in listed:
        words = shlex.split(line)
        assert words[0] == "ohmweave"
        assert run(desk, *words)
    assert (desk / "build" / "digits" / "report.html").is_file()
    assert (desk / "build" / "netlists" / "chip.cir").is_file()


def test_the_readmes_convolutional_network_runs(ngspice: str, desk: Path) -> None:
    write_as_mnist(desk)
    # Where ".." of the reader's examples is: the link's own folder.
    place = desk / "at"
    place.mkdir()
    for path in (ROOT / "examples").glob("*lenet5*"):
        (place / path.name).symlink_to(path)
    (place / "reference_models.py").symlink_to(ROOT / "examples" / "reference_models.py")
    listed = commands(in_examples=True)
    assert {shlex.split(line)[1] for line in listed} == {"compile", "simulate", "verify", "netlist"}
    for line in listed:
        assert run(place, *shlex.split(line.replace("mnist:DIR", f"mnist:{desk}")))
    assert (desk / "build" / "lenet5" / "netlist" / "s2.cir").is_file()


def test_the_readmes_program_runs(ngspice: str, desk: Path) -> None:
    (program,) = blocks("python")
    said = run(desk, sys.executable, "-W", "error::ResourceWarning", "-c", program)
    accuracy = re.search(r"circuit accuracy (\S+) at (\S+) W", said)
    deviation = re.search(r"largest deviation from SPICE (\S+) V", said)
    assert accuracy is not None
    assert deviation is not None
    assert float(accuracy.group(1)) > 0.96
    assert float(deviation.group(1)) < 1e-6


def test_the_readmes_design_is_one() -> None:
    for text in blocks("toml"):
        assert Design.parse(text) != Design.default()
