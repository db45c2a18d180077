"""The spiking examples: their scripts learn, what is shipped beside them is what they say."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from ohmweave.encoders import Encoding, Rate
from ohmweave.frontend import load_data, load_model
from ohmweave.temporal import decide, run

pytest.importorskip("snntorch", reason="snnTorch is not here")
pytest.importorskip("h5py", reason="h5py is not here")

EXAMPLES = Path(__file__).parents[1] / "examples"
MNIST = os.environ.get("OHMWEAVE_MNIST", "")


def learn(folder: Path, script: str, *arguments: str) -> float:
    """The accuracy that a training script prints."""
    command = [sys.executable, str(EXAMPLES / script), *arguments, "--output", "made.safetensors"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.search(r"accuracy on \d+ .*: (\S+);", done.stdout)
    assert found is not None
    return float(found.group(1))


def same_network(folder: Path, shipped: str) -> None:
    """A script made what is shipped, up to the numbers, and the same network as NIR."""
    made, theirs = load_file(folder / "made.safetensors"), load_file(EXAMPLES / shipped)
    assert {name: array.shape for name, array in made.items()} == {name: array.shape for name, array in theirs.items()}
    assert load_model(str(folder / "made.nir")).spiking


def test_a_few_passes_over_the_digits_already_learn(tmp_path: Path) -> None:
    assert learn(tmp_path, "train_spiking_digits.py", "--epochs", "3") > 0.6
    same_network(tmp_path, "spiking_digits.safetensors")


def test_the_order_of_bursts_is_learnt_on_trains_that_the_script_writes(tmp_path: Path) -> None:
    found = learn(tmp_path, "train_spiking_recurrent.py", "--epochs", "3", "--samples", "400", "--trains", ".")
    assert found > 0.3
    same_network(tmp_path, "spiking_order.safetensors")
    trains = load_data(f"npz:{tmp_path}/spiking_order_train.npz", "train")
    assert trains.x.shape == (400, 40, 16)
    assert set(np.unique(trains.x)) == {0.0, 1.0}
    assert set(trains.y if trains.y is not None else ()) == {0, 1, 2, 3}


@pytest.fixture
def in_examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where factories are named from."""
    monkeypatch.chdir(EXAMPLES)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("train_spiking"):
            del sys.modules[name]


@pytest.mark.usefixtures("in_examples")
@pytest.mark.parametrize("name", ["digits", "mnist", "order"])
def test_what_is_shipped_is_one_network_by_every_way_in(name: str) -> None:
    script = {"order": "recurrent"}.get(name, name)
    by_file = load_model(str(EXAMPLES / f"spiking_{name}.nir"))
    by_factory = load_model(f"train_spiking_{script}:model", EXAMPLES / f"spiking_{name}.safetensors")
    x = (np.random.default_rng(0).random((20, 25, *by_file.input_shape)) < 0.3).astype(np.float64)
    np.testing.assert_array_equal(run(by_file, x), run(by_factory, x))


def test_the_shipped_digits_network_is_as_accurate_as_it_has_to_be() -> None:
    data = load_data("digits", "test")
    network = load_model(str(EXAMPLES / "spiking_digits.nir"))
    for seed in (1, 2, 3):
        decisions = decide(run(network, Encoding(Rate(25), seed).trains(data.x)))
        assert np.mean(decisions == data.y) >= 0.95


@pytest.mark.skipif(not MNIST, reason="OHMWEAVE_MNIST does not name a folder with MNIST's files")
def test_the_shipped_mnist_network_is_as_accurate_as_its_example_says() -> None:
    data = load_data(f"mnist:{MNIST}", "test")
    network = load_model(str(EXAMPLES / "spiking_mnist.nir"))
    decisions = np.concatenate([decide(run(network, trains)) for _, trains in Encoding(Rate(25), 1).parts(data.x)])
    assert np.mean(decisions == data.y) == pytest.approx(0.9646, abs=2e-4)
