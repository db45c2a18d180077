"""Fixtures for every test."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file

from ohmweave import archive, cli
from ohmweave.chip import Chip
from ohmweave.compile import compile as weave
from ohmweave.demo.digits_mlp import WEIGHTS
from ohmweave.frontend import load_data
from ohmweave.graph import Graph, Input, Linear, Node, Relu

CommandLine = Callable[..., SimpleNamespace]


@pytest.fixture(scope="session")
def ngspice() -> str:
    """The path of ngspice; skips where there is none, fails where there must be one (REQUIRE_NGSPICE=1)."""
    found = shutil.which("ngspice")
    if found is None:
        if os.environ.get("REQUIRE_NGSPICE") == "1":
            pytest.fail("REQUIRE_NGSPICE=1, but ngspice is not on this machine")
        pytest.skip("ngspice is not on this machine")
    return found


@pytest.fixture(scope="session")
def digits_graph() -> Graph:
    """The demonstration's network, read straight from its weights: quicker than through torch."""
    w = load_file(WEIGHTS)
    nodes = (
        Node("x", Input((64,))),
        Node("hidden", Linear(w["hidden.weight"], w["hidden.bias"]), ("x",)),
        Node("relu", Relu(), ("hidden",)),
        Node("output", Linear(w["output.weight"], w["output.bias"]), ("relu",)),
    )
    return Graph(nodes, ("output",))


@pytest.fixture(scope="session")
def digits_chip(digits_graph: Graph) -> Chip:
    """The demonstration's network in the default design."""
    return weave(digits_graph, calibration=load_data("digits", "train").x)


@pytest.fixture(scope="session")
def digits_original(digits_chip: Chip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its build, made once; to be left as it is."""
    return archive.save(digits_chip, tmp_path_factory.mktemp("digits") / "build")


@pytest.fixture
def digits_build(digits_original: Path, tmp_path: Path) -> Path:
    """A copy of its build, to do with as one likes."""
    return Path(shutil.copytree(digits_original, tmp_path / "build"))


@pytest.fixture
def perceptron() -> Graph:
    """A small network with every kind of thing in it: 3-4-2, a ReLU, biases."""
    first = Linear(np.array([[1, -0.5, 0], [0.25, 0, -1], [0.5, 0.5, 0.5], [-1, 0, 1]]), np.array([0.1, -0.2, 0, 0.3]))
    second = Linear(np.array([[1, -1, 0.5, 0], [-0.5, 0, 0.25, 1]]), np.array([0.0, 0.5]))
    nodes = (
        Node("x", Input((3,))),
        Node("first", first, ("x",)),
        Node("act", Relu(), ("first",)),
        Node("second", second, ("act",)),
    )
    return Graph(nodes, ("second",))


@pytest.fixture
def ohmweave(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line: arguments -> exit code, standard output, standard error."""

    def run(*arguments: object) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["ohmweave", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return SimpleNamespace(code=ended.value.code, out=said.out, err=said.err)

    return run
