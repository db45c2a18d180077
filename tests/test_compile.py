"""A network in, a chip out; or a message that says what to mend, and nothing left behind."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from ohmweave.chip import Chip
from ohmweave.compile import compile as weave
from ohmweave.design import Design
from ohmweave.errors import DataError, ModelError
from ohmweave.frontend import load_data
from ohmweave.graph import Graph

CommandLine = Callable[..., SimpleNamespace]

NETS = """
import numpy as np
from ohmweave.graph import Graph, Input, Linear, Node

def net(weight, bias=(0.1, -0.2)):
    nodes = (Node("x", Input((3,))), Node("fc", Linear(np.array(weight), np.array(bias)), ("x",)))
    return Graph(nodes, ("fc",))

def good(): return net([[1, -0.5, 0], [0.25, 0, -1]])
def infinite(): return net([[1, -0.5, 0], [0.25, np.inf, -np.inf]])
def bad_bias(): return net([[1, -0.5, 0], [0.25, 0, -1]], (np.nan, 0))
def dead(): return net([[0, 0, 0], [0, 0, 0]])
def misfit():
    layers = [Node("x", Input((4,))), Node("fc", Linear(np.ones((2, 3)), np.zeros(2)), ("x",))]
    return Graph(tuple(layers), ("fc",))
def number(): return 3
"""
X = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's directory, the current one: networks, data and designs in it."""
    desk = tmp_path / "desk"
    desk.mkdir()
    (desk / "nets.py").write_text(NETS)
    np.savez(desk / "good.npz", x=X, y=np.array([0, 1]))
    np.savez(desk / "wide.npz", x=np.ones((2, 5)))
    np.savez(desk / "flat.npz", x=np.ones(3))
    np.savez(desk / "zeros.npz", x=0 * X)
    np.savez(desk / "nan.npz", x=np.array([[1.0, 0.0, 0.0], [0.0, np.nan, 1.0]]))
    np.savez(desk / "inf.npz", x=np.array([[1.0, 0.0, -np.inf]]))
    onnx.save(perceptron_with(np.nan), desk / "nan.onnx")
    for name in ("model.pt2", "model.pkl", "weights.pt"):
        (desk / name).write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    monkeypatch.chdir(desk)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "nets", raising=False)
    return desk


def perceptron_with(weight: float) -> onnx.ModelProto:
    values = np.array([[1.0, 2.0, weight], [0.0, -1.0, 1.0]], dtype=np.float32)
    tensors = [onnx.numpy_helper.from_array(values, "fc.weight")]
    shapes = [
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["batch", s]) for n, s in (("x", 3), ("y", 2))
    ]
    node = onnx.helper.make_node("Gemm", ["x", "fc.weight"], ["y"], name="fc", transB=1)
    graph = onnx.helper.make_graph([node], "g", shapes[:1], shapes[1:], tensors)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(Path(top, f)): Path(top, f).read_bytes() for top, _, files in os.walk(folder) for f in files}


# What is asked for; what is said.
MODELS = {
    "nan.onnx": (
        "layer 'fc': expected finite values, found nan in weight[0, 2] (1 in all); train or export the network again"
    ),
    "nets:infinite": (
        "layer 'fc': expected finite values, found inf in weight[1, 1] (2 in all); train or export the network again"
    ),
    "nets:bad_bias": (
        "layer 'fc': expected finite values, found nan in bias[0] (1 in all); train or export the network again"
    ),
    "nets:dead": (
        "layer 'fc': every weight of the 3 x 2 matrix is zero, nothing can be mapped; remove the layer or train it"
    ),
    "nets:misfit": "layer 'fc': expected an input of shape (3,), found (4,)",
    "nets:number": (
        "nets:number: expected the factory to return an nn.Module or a Graph, found int; return the network itself"
    ),
    "nets:nothing": (
        "nets:nothing: expected a function 'nothing' in 'nets', found no such name; "
        "name a function without arguments that returns the network"
    ),
    "model.pt2": (
        "model.pt2: expected a file that is only data, found .pt2, which can run code when it is read; "
        "export the network to ONNX, or save its weights as safetensors and name the function that makes it"
    ),
    "model.pkl": (
        "model.pkl: expected a file that is only data, found .pkl, which can run code when it is read; "
        "export the network to ONNX, or save its weights as safetensors and name the function that makes it"
    ),
    "missing.onnx": "missing.onnx: expected an ONNX file, found no such file; check the path",
    "nets": (
        "model: expected FILE.onnx, FILE.nir or package.module:factory, found 'nets'; "
        "export the network to ONNX or NIR, or name a function that returns it"
    ),
}

DATA = {
    "npz:wide.npz": (
        "data: expected samples of shape (3,) (3 values), found (5,); give data that fits the network's input"
    ),
    "npz:flat.npz": "flat.npz: expected 'x' of shape [samples, ...], found (3,); save one row a sample",
    "npz:zeros.npz": (
        "calibration data: the inputs are all zero, so no scale can be set; calibrate with representative data"
    ),
    "npz:nan.npz": "data: expected finite values, found nan at sample 1, feature 1; clean the data",
    "npz:inf.npz": "data: expected finite values, found -inf at sample 0, feature 2; clean the data",
    "npz:none.npz": "none.npz: expected an .npz file, found no such file; check the path",
    "digits": "data: expected samples of shape (3,) (3 values), found (64,); give data that fits the network's input",
    "digist": (
        "data: expected digits, mnist:DIR, npz:FILE or imagefolder:DIR_OR_ZIP, found 'digist'; "
        "name the kind of the data before the colon"
    ),
}

DESIGNS = {
    '[array]\nr_rwo = "1 ohm"': "d.toml: [array]: unknown key 'r_rwo'; did you mean 'r_row'?",
    "[array]\nr_row = 1": "d.toml: array.r_row: expected a unit (ohm), found the bare number '1'; write \"1 ohm\"",
    '[array]\nr_row = "1 V"': "d.toml: array.r_row: expected a value in ohm, found '1 V'; write it like \"1 ohm\"",
    '[device]\ng_off = "100 uS"': (
        "d.toml: device: expected 0 S < g_off < g_on, found g_off = 100 uS and g_on = 100 uS; "
        "give g_off the lower conductance"
    ),
    '[device]\ng_off = "1 mS"': (
        "d.toml: device: expected 0 S < g_off < g_on, found g_off = 1 mS and g_on = 100 uS; "
        "give g_off the lower conductance"
    ),
    '[scheme]\nkind = "row_pare"': "d.toml: scheme.kind: unknown kind 'row_pare'; did you mean 'row_pair'?",
}


def refused(ohmweave: CommandLine, desk: Path, *arguments: str) -> str:
    """What the command says when it refuses: on standard error, with exit code 2, leaving nothing."""
    before, entries = contents(desk.parent), sorted(os.listdir(desk))  # noqa: PTH208 - hidden ones as well
    done = ohmweave("compile", *arguments, "-o", "build")
    assert (done.code, done.out) == (2, "")
    assert contents(desk.parent) == before
    assert sorted(os.listdir(desk)) == entries  # noqa: PTH208
    assert done.err.startswith("error: ")
    return str(done.err.removeprefix("error: ").removesuffix("\n"))


@pytest.mark.parametrize("model", MODELS)
def test_a_bad_network_is_refused_whole(ohmweave: CommandLine, desk: Path, model: str) -> None:
    assert refused(ohmweave, desk, model, "--calibrate", "npz:good.npz") == MODELS[model]


@pytest.mark.parametrize("data", DATA)
def test_bad_data_is_refused_whole(ohmweave: CommandLine, desk: Path, data: str) -> None:
    assert refused(ohmweave, desk, "nets:good", "--calibrate", data) == DATA[data]


@pytest.mark.parametrize("text", DESIGNS)
def test_a_bad_design_is_refused_whole(ohmweave: CommandLine, desk: Path, text: str) -> None:
    (desk / "d.toml").write_text(text)
    arguments = ("nets:good", "--calibrate", "npz:good.npz", "--design", "d.toml")
    assert refused(ohmweave, desk, *arguments) == DESIGNS[text]


@pytest.mark.parametrize(
    ("design", "message"),
    [
        (
            "lossi",
            "--design: expected a preset or a TOML file, found neither: 'lossi'; "
            "did you mean 'lossy'? (or give a file that exists)",
        ),
        (
            "none.toml",
            "none.toml: cannot be read ([Errno 2] No such file or directory: 'none.toml'); give a TOML file",
        ),
    ],
)
def test_a_missing_design_is_told(ohmweave: CommandLine, desk: Path, design: str, message: str) -> None:
    assert refused(ohmweave, desk, "nets:good", "--calibrate", "npz:good.npz", "--design", design) == message


def test_weights_that_are_code_are_refused(ohmweave: CommandLine, desk: Path) -> None:
    said = refused(ohmweave, desk, "nets:good", "--weights", "weights.pt", "--calibrate", "npz:good.npz")
    assert said == (
        "weights.pt: expected a file that is only data, found .pt, which can run code when it is read; "
        "export the network to ONNX, or save its weights as safetensors and name the function that makes it"
    )
    assert not (desk / "owned").exists()


def test_a_directory_of_other_files_is_left_alone(ohmweave: CommandLine, desk: Path) -> None:
    (desk / "build").mkdir()
    (desk / "build" / "thesis.tex").write_text("mine")
    assert refused(ohmweave, desk, "nets:good", "--calibrate", "npz:good.npz") == (
        "build: expected a new, an empty or a build directory, found other files (thesis.tex); choose another"
    )


def test_the_same_words_stand_in_the_json(ohmweave: CommandLine, desk: Path) -> None:
    done = ohmweave("compile", "nets:dead", "--calibrate", "npz:good.npz", "-o", "build", "--json")
    assert done.code == 2
    assert json.loads(done.out) == {
        "error": {
            "kind": "ModelError",
            "where": "layer 'fc'",
            "message": "every weight of the 3 x 2 matrix is zero, nothing can be mapped",
            "remedy": "remove the layer or train it",
        }
    }


def test_an_interrupted_compile_leaves_nothing(
    ohmweave: CommandLine, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(cell: object, dialect: object, stream: object, **_: object) -> None:
        stream.write("* half a netlist")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr("ohmweave.netlist.write", interrupted)
    before = contents(desk)
    done = ohmweave("compile", "nets:good", "--calibrate", "npz:good.npz", "-o", "build")
    assert (done.code, done.out) == (130, "")
    assert done.err.strip() == "interrupted; nothing half-written was left"
    assert contents(desk) == before
    assert not (desk / "build").exists()


@pytest.mark.parametrize("model", ["nets:good", "good.onnx"])
def test_what_is_good_is_compiled(ohmweave: CommandLine, desk: Path, model: str) -> None:
    onnx.save(perceptron_with(0.5), desk / "good.onnx")
    done = ohmweave("compile", model, "--calibrate", "npz:good.npz", "-o", "further/down/build")
    assert (done.code, done.err) == (0, "")
    assert (desk / "further/down/build/netlist/chip.cir").is_file()
    assert os.listdir(desk / "further/down") == ["build"]  # noqa: PTH208


def test_a_live_module_an_onnx_file_and_a_graph_make_chips_alike(digits_graph: Graph, digits_chip: Chip) -> None:
    from safetensors.torch import load_file

    from ohmweave.demo.digits_mlp import WEIGHTS, model

    module = model()
    module.load_state_dict(load_file(WEIGHTS))
    x = load_data("digits", "train").x
    chip = weave(module.eval(), calibration=x)
    for stage, other in zip(chip.plan.stages, digits_chip.plan.stages, strict=True):
        np.testing.assert_allclose(stage.tiles[0].g, other.tiles[0].g, rtol=1e-12)
    np.testing.assert_allclose(chip.simulate(x[:4]).logits, digits_chip.simulate(x[:4]).logits, rtol=1e-6)


def test_a_prediction_is_the_answer_of_the_whole_circuit(digits_chip: Chip) -> None:
    x = load_data("digits", "test").x[:40]
    run = digits_chip.simulate(x)
    np.testing.assert_allclose(digits_chip.predict(x), run.logits, rtol=0.0, atol=1e-9 * np.abs(run.logits).max())


def test_calibration_that_does_not_fit_is_refused(perceptron: Graph) -> None:
    with pytest.raises(DataError) as caught:
        weave(perceptron, calibration=np.ones((2, 4)))
    assert str(caught.value) == (
        "data: expected samples of shape (3,) (3 values), found (4,); give data that fits the network's input"
    )


def test_a_network_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        weave(object(), calibration=X)
    assert str(caught.value) == (
        "model: expected a Graph, an nn.Module, FILE.onnx or package.module:factory, found object; "
        "give the network itself or where it is"
    )


def test_the_default_design_keeps_the_accuracy_and_lossy_wires_cost_it(digits_graph: Graph, digits_chip: Chip) -> None:
    test, train = load_data("digits", "test"), load_data("digits", "train")
    assert test.y is not None
    assert len(test.x) == 360

    def right(logits: np.ndarray) -> float:
        return float((logits.argmax(axis=1) == test.y).mean())

    software = right(digits_graph.forward(test.x))
    circuit = right(digits_chip.simulate(test.x).logits)
    assert software >= 0.97
    assert abs(software - circuit) <= 0.01
    lossy_design = Design.preset("lossy")
    assert (lossy_design.array.r_row, lossy_design.array.r_col) == (100.0, 100.0)
    lossy = right(weave(digits_graph, lossy_design, calibration=train.x).simulate(test.x).logits)
    assert lossy < circuit - 0.10


CONVOLUTION = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
"""


def test_a_factory_that_begins_with_a_convolution_takes_its_shape_from_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    (tmp_path / "convolution.py").write_text(CONVOLUTION)
    monkeypatch.chdir(tmp_path)
    rng = torch.Generator().manual_seed(1)
    shapes = {"0.weight": (3, 2, 3, 3), "0.bias": (3,), "3.weight": (2, 12), "3.bias": (2,)}
    # Half precision, as weights are stored to save space.
    weights = {name: torch.randn(shape, generator=rng).half() for name, shape in shapes.items()}
    save_file(weights, "w.safetensors")
    x = np.random.default_rng(0).uniform(0.0, 1.0, (6, 2, 4, 4))
    try:
        graph = weave("convolution:net", calibration=x, weights="w.safetensors").plan.graph
    finally:
        sys.modules.pop("convolution", None)
    assert graph.input_shape == (2, 4, 4)
    doubles = {name: values.double() for name, values in weights.items()}
    hidden = torch.nn.functional.conv2d(torch.from_numpy(x), doubles["0.weight"], doubles["0.bias"]).relu()
    expected = hidden.flatten(1) @ doubles["3.weight"].T + doubles["3.bias"]
    np.testing.assert_allclose(graph.forward(x), expected.numpy(), rtol=1e-6, atol=1e-6)
