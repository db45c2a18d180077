"""Benchmarks run at a small size, with the peers that are here, and all that they compare agrees."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

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


def test_a_sampled_chip_takes_turns_with_its_network_and_peers_are_skipped_aloud(tmp_path: Path) -> None:
    task = ("digits_mlp", "--data", "digits", "--images", "200", "--weights", str(WEIGHTS))
    said = run("cnn.py", tmp_path / "cnn.txt", *task)
    assert said.startswith("digits_mlp: 4,736 memristors in 2 tiles of at most 64 x 64, 2 stages, wires of 1 ohm")
    rows = re.findall(r"^(torch, float32|torch, float64|ohmweave, float64) .* (0\.\d{4})$", said, re.MULTILINE)
    assert [name for name, _ in rows] == ["torch, float32", "torch, float64", "ohmweave, float64"]
    assert min(float(share) for _, share in rows) > 0.9
    loss = re.search(
        r"^(KEPT|BROKEN): the circuit loses (-?\d+\.\d+) points .* at most 1 promised$", said, re.MULTILINE
    )
    assert loss is not None
    assert float(loss.group(2)) == pytest.approx(100.0 * (float(rows[1][1]) - float(rows[2][1])), abs=0.011)
    assert (loss.group(1) == "KEPT") == (float(loss.group(2)) <= 1.0)
    for peer in ("aihwkit", "aihwkit-lightning", "CrossSim", "MemTorch"):
        assert re.search(rf"^SKIPPED {peer}: \S", said, re.MULTILINE)


def test_spiking_chips_take_turns_with_snntorch_and_keep_what_they_promise(tmp_path: Path) -> None:
    pytest.importorskip("snntorch", reason="snnTorch is not here")
    said = run("spiking.py", tmp_path / "spiking.txt", "digits", "--checked", "0")
    assert said.startswith("spiking_digits: 4,736 memristors, 42 neurons, 25 steps; wires of 1 ohm a segment, ")
    rows = re.findall(r"^(snnTorch|ohmweave), (\S.*\S) {2,}\S+ +\S+ +\S+ +(0\.\d{4})$", said, re.MULTILINE)
    assert [name for _, name, _ in rows] == [
        *("float32", "float32, batches of 1000", "layer", "crossbar", "layer, not spared"),
    ]
    software, circuits = float(rows[0][2]), [float(share) for *_, share in rows[2:4]]
    assert software > 0.9
    losses = re.findall(r"^(KEPT|NOT KEPT): ohmweave, .* is (\S+) points from it \(at most 1\)$", said, re.MULTILINE)
    assert [float(loss) for _, loss in losses] == pytest.approx([100 * abs(software - c) for c in circuits], abs=0.011)
    assert max(float(loss) for _, loss in losses) <= 1.0
    assert len(re.findall(r"^SKIPPED ngspice, \S+: no image asked for$", said, re.MULTILINE)) == 2
    same = re.findall(r"^KEPT: ideal parts, (\S+), 360 images: 0 of 378,000 spikes .*, 360 of 360", said, re.MULTILINE)
    assert same == ["layer", "crossbar"]


def test_images_of_a_chip_in_transistors_are_kept_and_compared_anew(tmp_path: Path) -> None:
    """What ngspice would have found is made up of the native engine's own answer, in one image with a spike less."""
    spec = importlib.util.spec_from_file_location("spiking_transistors", BENCHMARKS / "spiking_transistors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    desk, kept = module.Desk.laid(), tmp_path / "kept"
    kept.mkdir()
    for image, digest in enumerate((desk.digest, desk.digest, "another circuit's")):
        one = slice(image, image + 1)
        found = {f"spikes_{s}": spikes[one].copy() for s, spikes in desk.native.spikes.items()}
        found |= {f"membranes_{s}": volts[one] for s, volts in desk.native.membranes.items()}
        if image == 1:
            found["spikes_s0"][tuple(np.argwhere(found["spikes_s0"])[0])] = 0.0
        np.savez(kept / f"image_{image:03d}.npz", seconds=60.0, digest=digest, **found)
    said = run("spiking_transistors.py", tmp_path / "kept.txt", "--images", "0", "--kept", str(kept))
    assert said.startswith("native, 360 images: ")
    spikes = sum(int(each[:2].sum()) for each in desk.native.spikes.values()) - 1
    assert f"2 images: {spikes} spikes, 1 places unlike the native engine, 1 spikes ({1 / spikes:.2%}) off" in said
    assert "\nKEPT: 100.0% of decisions as software's (95% promised), 2 of 2 as the native engine's\n" in said
    assert len(re.findall(r"^image \d+: ngspice 60 s, ", said, re.MULTILINE)) == 2


def test_a_network_without_weights_is_told_of(tmp_path: Path) -> None:
    script, missing = str(BENCHMARKS / "cnn.py"), str(tmp_path / "none.safetensors")
    command = [sys.executable, script, "lenet5_mnist", "--data", "mnist:none", "--weights", missing]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"SKIPPED lenet5_mnist: no {missing}; train_reference_models.py makes it")
