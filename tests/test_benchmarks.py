"""Benchmarks run at a small size, with the peers that are here, and all that they compare agrees."""

import re
import subprocess
import sys
from pathlib import Path

from ohmweave.demo.digits_mlp import WEIGHTS

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(script: str, kept: Path, *arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / script), *arguments, "--output", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert kept.read_text(encoding="utf-8") == done.stdout
    return done.stdout


def last_numbers(beginning: str, text: str) -> list[float]:
    """The numbers at the ends of the lines that begin so."""
    return [float(found) for found in re.findall(rf"^{re.escape(beginning)}.* (\S+)$", text, re.MULTILINE)]


def test_nonlinear_arrays_have_the_same_currents_by_every_method(tmp_path: Path) -> None:
    said = run("nonlinear.py", tmp_path / "nonlinear.txt", "--sizes", "6")
    gap = "largest relative difference of a column current from full Newton: "
    assert len(last_numbers(f"{gap}ohmweave", said)) == 1
    assert max(last_numbers(gap, said)) < 1e-9
    assert max(last_numbers("largest relative difference of ohmweave from ", said), default=0.0) < 1e-9


def test_a_whole_chip_is_timed_against_its_network_and_agrees_with_spice(tmp_path: Path) -> None:
    task = ("digits", "--weights", str(WEIGHTS), "--checked", "2", "--threads", "1")
    said = run("mnist.py", tmp_path / "mnist.txt", *task)
    assert said.startswith("digits_mlp: 4,820 memristors in 2 arrays")
    for precision in ("float64", "float32"):
        shares = re.findall(rf"^ohmweave, {precision} .* (0\.\d{{4}})$", said, re.MULTILINE)
        assert len(shares) == 1
        assert float(shares[0]) > 0.96
    deviations = re.findall(r"^largest deviation from ngspice .*: (\S+) of full scale$", said, re.MULTILINE)
    assert len(deviations) == (0 if "SKIPPED ngspice" in said else 2)
    assert max(map(float, deviations), default=0.0) < 1e-6
