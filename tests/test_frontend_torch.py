"""Live torch modules, factories and the demonstration's network: the graph gives what torch gives."""

import importlib.util
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ohmweave.demo.digits_mlp import WEIGHTS
from ohmweave.errors import ModelError
from ohmweave.frontend import from_module, load_data, load_model
from ohmweave.graph import Graph, Linear

EXAMPLE = Path(__file__).parents[1] / "examples" / "train_digits_mlp.py"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Pixels(nn.Module):
    """Reshapes by hand and shares one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(12, 6, bias=False)
        self.fc2 = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(self.fc1(x.view(x.size(0), -1)))
        return torch.softmax(self.fc2(torch.relu(self.fc2(hidden))).reshape(x.shape[0], 2, 3), dim=-1)


class ByMatrix(nn.Module):
    """x W + b with bare parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.randn(5, 3)), nn.Parameter(torch.randn(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b + x @ self.w


class FunctionalDropout(nn.Module):
    """Drops without a layer that says so."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.fc(x), 0.5, self.training)


def mlp() -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            hidden=nn.Linear(8, 6), act=nn.Tanh(), drop=nn.Dropout(0.4), middle=nn.Linear(6, 5), sig=nn.Sigmoid(),
            output=nn.Linear(5, 3), soft=nn.Softmax(dim=-1),
        )
    )  # fmt: skip


MODULES: list[tuple[Callable[[], nn.Module], tuple[int, ...] | None, tuple[int, ...]]] = [
    (mlp, None, (8,)),
    (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 2)), (1, 3, 4), (1, 3, 4)),
    (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ReLU()), None, (12,)),
    (Pixels, (3, 4), (3, 4)),
    (ByMatrix, (5,), (5,)),
    (FunctionalDropout, None, (4,)),
    (lambda: nn.Linear(3, 2, bias=False), None, (3,)),
    (lambda: nn.Linear(1, 1), None, (1,)),
]


@pytest.mark.parametrize(("make", "given", "shape"), MODULES, ids=range(len(MODULES)))
def test_the_graph_gives_what_torch_gives(
    make: Callable[[], nn.Module], given: tuple[int, ...] | None, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(3)
    module = make().eval()
    graph = from_module(module, given)
    x = torch.randn(9, *shape)
    result = graph.forward(x.double().numpy())
    # Torch's own float64 result: the comparison is then free of float32 rounding.
    wanted = module.double()(x.double()).detach().numpy()
    assert graph.input_shape == shape
    np.testing.assert_allclose(result, wanted, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_every_width_are_kept_exactly(dtype: torch.dtype) -> None:
    linear = nn.Linear(4, 3).to(dtype)
    op = from_module(nn.Sequential(OrderedDict(fc=linear))).node("fc").op
    assert isinstance(op, Linear)
    np.testing.assert_array_equal(op.weight, linear.weight.detach().double().numpy())


def test_layers_keep_the_names_of_the_module() -> None:
    graph = from_module(mlp().eval())
    assert [node.name for node in graph.nodes] == [
        "input", "hidden", "tanh", "middle", "sigmoid", "output", "softmax",
    ]  # fmt: skip


def test_reading_says_nothing_and_changes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    disabled = logging.root.manager.disable
    from_module(module)
    assert capfd.readouterr() == ("", "")
    assert module.training
    assert logging.root.manager.disable == disabled


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(ModelError) as caught:
        call()
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_layer_in_training_mode_is_refused() -> None:
    assert refused(lambda: from_module(mlp())) == (
        "layer 'drop': expected evaluation mode, found Dropout in training mode; call .eval() on the module first"
    )
    assert refused(lambda: from_module(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))) == (
        "layer '1': expected evaluation mode, found BatchNorm1d in training mode; call .eval() on the module first"
    )


def test_hidden_dropout_in_training_mode_is_refused_too() -> None:
    assert refused(lambda: from_module(FunctionalDropout())).endswith("call .eval() before exporting")


def test_the_input_shape_is_asked_for_where_it_cannot_be_told() -> None:
    assert refused(lambda: from_module(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2)))) == (
        "Sequential: expected a Linear layer first, whose features tell the input's shape, found Conv2d; "
        "give input_shape, the shape of one sample without the batch"
    )
    assert refused(lambda: from_module(nn.ReLU())) == (
        "ReLU: expected a Linear layer first, whose features tell the input's shape, found no layer with weights; "
        "give input_shape, the shape of one sample without the batch"
    )


def test_an_unsupported_layer_is_named() -> None:
    module = nn.Sequential(OrderedDict(up=nn.ConvTranspose2d(1, 2, 3), flat=nn.Flatten()))
    assert refused(lambda: from_module(module, (1, 5, 5))).startswith(
        "layer 'up': op ConvTranspose is not supported; supported are "
    )


def test_a_module_torch_cannot_export_is_named() -> None:
    message = refused(lambda: from_module(nn.Linear(4, 2), (5,)))
    assert message.startswith("Linear: expected a module that torch can export for samples of shape (5,), found ")
    assert message.endswith("; give the right input_shape, or export the module to ONNX yourself")


@pytest.mark.parametrize("package", ["torch", "onnxscript"])
def test_a_missing_torch_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    message = (
        f"torch: expected torch and onnxscript, which read nn.Modules, found no {package}; "
        'pip install "ohmweave[torch]"'
    )
    assert refused(lambda: from_module(nn.Linear(1, 1))) == message
    assert refused(lambda: load_model("ohmweave.demo.digits_mlp:model", WEIGHTS)) == message


FACTORY = """
from collections import OrderedDict
import numpy as np
from torch import nn
from ohmweave.graph import Graph, Input, Node

number = 3
def net():
    return nn.Sequential(OrderedDict(fc=nn.Linear(3, 2), drop=nn.Dropout(0.5)))
def graph():
    return Graph((Node("x", Input((3,))),), ("x",))
def text():
    return "network"
def fails():
    raise KeyError("layers")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with the module ``mynets``."""
    (tmp_path / "mynets.py").write_text(FACTORY)
    (tmp_path / "broken_net.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("mynets", "broken_net"):
        sys.modules.pop(name, None)


def test_a_factory_in_the_current_directory_with_its_weights(here: Path) -> None:
    path = list(sys.path)
    save_file({"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.ones(2)}, here / "w.safetensors")
    graph = load_model("mynets:net", here / "w.safetensors")
    # 0 + 1 + 2 + 1 and 3 + 4 + 5 + 1
    assert graph.forward(np.ones((1, 3))).tolist() == [[4.0, 13.0]]
    assert sys.path == path


def test_a_factory_may_return_a_graph_or_a_module_with_its_own_weights(here: Path) -> None:
    assert isinstance(load_model("mynets:graph"), Graph)
    assert load_model("mynets:net").input_shape == (3,)


def test_an_onnx_file_is_read(here: Path) -> None:
    program = torch.nn.Linear(3, 2)
    graph = from_module(program)
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)],
            "net",
            [onnx.helper.make_tensor_value_info("x", 1, ["n", 3])],
            [onnx.helper.make_tensor_value_info("y", 1, ["n", 2])],
            [
                onnx.numpy_helper.from_array(p.detach().numpy(), n)
                for n, p in zip("wb", program.parameters(), strict=True)
            ],
        ),
        ir_version=9,
        opset_imports=[onnx.helper.make_opsetid("", 17)],
    )
    onnx.save_model(model, "net.onnx")
    x = np.ones((1, 3))
    np.testing.assert_allclose(load_model("net.onnx").forward(x), graph.forward(x), rtol=1e-14)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".pickle", ".bin", ".pt2", ".ckpt", ".joblib", ".PT"])
def test_files_that_can_run_code_are_refused(suffix: str) -> None:
    reason = (
        f"expected a file that is only data, found {suffix.lower()}, which can run code when it is read; "
        "export the network to ONNX, or save its weights as safetensors and name the function that makes it"
    )
    assert refused(lambda: load_model(f"net{suffix}")) == f"net{suffix}: {reason}"
    assert refused(lambda: load_model("mynets:net", Path(f"w{suffix}"))) == f"w{suffix}: {reason}"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "network",
            (
                "model: expected FILE.onnx, FILE.nir or package.module:factory, found 'network'; "
                "export the network to ONNX or NIR, or name a function that returns it"
            ),
        ),
        ("gone.onnx", "gone.onnx: expected an ONNX file, found no such file; check the path"),
        (
            "not_here.nets:net",
            (
                "not_here.nets:net: expected an importable module 'not_here.nets', found no module 'not_here'; "
                "run in the directory that holds it, or install its package"
            ),
        ),
        (
            "broken_net:net",
            (
                "broken_net:net: expected an importable module 'broken_net', "
                "found ModuleNotFoundError: No module named 'a_package_that_is_not_there'; "
                "run in the directory that holds it, or install its package"
            ),
        ),
        (
            "mynets:gone",
            (
                "mynets:gone: expected a function 'gone' in 'mynets', found no such name; "
                "name a function without arguments that returns the network"
            ),
        ),
        (
            "mynets:number",
            (
                "mynets:number: expected a function 'number' in 'mynets', found a value of type int; "
                "name a function without arguments that returns the network"
            ),
        ),
        (
            "mynets:text",
            "mynets:text: expected the factory to return an nn.Module or a Graph, found str; return the network itself",
        ),
        (
            "mynets:fails",
            (
                "mynets:fails: expected fails() to return a network, found KeyError: 'layers'; "
                "call it in Python without arguments to see the whole failure"
            ),
        ),
    ],
)
def test_a_specification_that_leads_nowhere_is_refused(here: Path, spec: str, message: str) -> None:
    assert refused(lambda: load_model(spec)) == message


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {"fc.weight": torch.ones(2, 3), "head.bias": torch.ones(2)},
            (
                "expected exactly the module's weights, found missing ['fc.bias'], unexpected ['head.bias']; "
                "give the weights that belong to this module"
            ),
        ),
        (
            {"fc.weight": torch.ones(2, 4), "fc.bias": torch.ones(2)},
            "expected shape (2, 3) for 'fc.weight', found (2, 4); give the weights that belong to this module",
        ),
    ],
)
def test_weights_that_do_not_belong_are_refused(here: Path, tensors: dict[str, torch.Tensor], message: str) -> None:
    path = here / "w.safetensors"
    save_file(tensors, path)
    assert refused(lambda: load_model("mynets:net", path)) == f"{path}: {message}"


def test_missing_damaged_and_superfluous_weights_are_refused(here: Path) -> None:
    path = here / "w.safetensors"
    assert refused(lambda: load_model("mynets:net", path)) == (
        f"{path}: expected a safetensors file, found no such file; check the path"
    )
    path.write_bytes(b"\x80\x04 pickle")
    assert refused(lambda: load_model("mynets:net", path)).startswith(
        f"{path}: expected a safetensors file, found a damaged one ("
    )
    assert refused(lambda: load_model("mynets:graph", path)) == (
        f"mynets:graph: expected no further weights, since the factory returns a Graph, found {str(path)!r}; "
        "leave the weights out"
    )
    assert refused(lambda: load_model("net.onnx", path)) == (
        f"net.onnx: expected no further weights, since the ONNX file brings its own, found {str(path)!r}; "
        "leave the weights out"
    )


def test_the_shipped_network_reads_the_held_out_digits() -> None:
    graph = load_model("ohmweave.demo.digits_mlp:model", WEIGHTS)
    assert [node.name for node in graph.nodes] == ["input", "hidden", "relu", "output"]
    assert [graph.shapes[name] for name in ("input", "hidden", "output")] == [(64,), (32,), (10,)]
    data = load_data("digits", "test")
    assert float((graph.forward(data.x).argmax(axis=1) == data.y).mean()) >= 0.96


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_digits_mlp", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_training_example_runs_and_writes_its_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "w.safetensors"
    accuracy = example().main(["--epochs", "3", "--output", str(path)])
    assert accuracy > 0.8
    assert capsys.readouterr().out == f"accuracy on 360 held-out images: {accuracy:.4f}; weights in {path}\n"
    assert [file.name for file in path.parent.iterdir()] == ["w.safetensors"]
    graph = load_model("ohmweave.demo.digits_mlp:model", path)
    data = load_data("digits", "test")
    assert float((graph.forward(data.x).argmax(axis=1) == data.y).mean()) == pytest.approx(accuracy, abs=1 / 360)
