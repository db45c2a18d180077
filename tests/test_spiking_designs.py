"""Designs of spiking chips: one line chooses, the network's kind says the rest."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file

from ohmweave.choices import SpikingChoice
from ohmweave.compile import compile as weave
from ohmweave.design import Design
from ohmweave.errors import DesignError
from ohmweave.frontend import load_data
from ohmweave.graph import Graph, Input, Linear, Node
from ohmweave.ops import LeakyIntegrateFire
from ohmweave.spiking import SpikingChip
from ohmweave.temporal import decide, run

CommandLine = Callable[..., SimpleNamespace]
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def digits() -> Graph:
    """The trained 64-32-10 network of the examples."""
    w = load_file(EXAMPLES / "spiking_digits.safetensors")
    nodes = [Node("x", Input((64,)))]
    for linear, lif in (("hidden", "lif1"), ("output", "lif2")):
        outputs = len(w[f"{linear}.weight"])
        nodes.append(Node(linear, Linear(w[f"{linear}.weight"], np.zeros(outputs)), (nodes[-1].name,)))
        beta, threshold = (np.full(outputs, w[f"{lif}.{name}"]) for name in ("beta", "threshold"))
        nodes.append(Node(lif, LeakyIntegrateFire(beta, threshold, "zero", delay=True), (linear,)))
    return Graph(tuple(nodes), ("lif2",))


def spiking(graph: Graph, design: Design | Path | str) -> SpikingChip:
    chip = weave(graph, design)
    assert isinstance(chip, SpikingChip)
    return chip


@pytest.mark.parametrize("kind", ["layer", "crossbar"])
def test_one_line_chooses_the_microarchitecture_and_keeps_the_accuracy(
    digits: Graph, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "one.toml"
    path.write_text(f'[spiking]\nmicroarchitecture = "{kind}"\n')
    chip = spiking(digits, path)
    assert chip.plan.design == replace(Design.preset("spiking"), spiking=SpikingChoice(kind))
    data = load_data("digits", "test")
    trains = chip.plan.encode(data.x)
    circuit, software = chip.simulate(trains, membranes=False).classes, decide(run(digits, trains))
    assert len(data.x) == 360
    assert abs(np.mean(circuit == data.y) - np.mean(software == data.y)) <= 0.01


def test_a_design_is_a_value_a_presets_name_or_a_file(digits: Graph, perceptron: Graph, tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("")
    for chosen in (None, "spiking", path, str(path), Design.preset("spiking")):
        assert weave(digits, chosen).plan.design == Design.preset("spiking")
    for chosen in (None, "default", path, Design()):
        assert weave(perceptron, chosen, calibration=np.eye(3)).plan.design == Design.default()
    # What is given whole is taken as it is.
    assert spiking(digits, Design()).plan.design == Design()
    with pytest.raises(DesignError, match=r"^loosy: cannot be read \("):
        weave(digits, "loosy")
