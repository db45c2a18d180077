"""Convolutional networks from torch, as users write and export them: the graph gives what torch gives."""

import io
import warnings
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from ohmweave import compile as compile_chip
from ohmweave.design import Design
from ohmweave.errors import ModelError
from ohmweave.frontend import from_module, from_onnx
from ohmweave.graph import Graph


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def lively(module: nn.Module) -> nn.Module:
    """The module in evaluation mode, with batch statistics as training would leave them."""
    for child in module.modules():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (child.weight, child.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (child.bias, child.running_mean):
                nn.init.normal_(tensor, std=0.5)
    return module.eval()


def assert_same(graph: Graph, module: nn.Module, shape: tuple[int, ...], samples: int = 3) -> None:
    """Graph and module agree to 1e-6 of the largest output.

    Torch computes in float64 too: what is left are the exporters' foldings in single precision.
    """
    x = torch.randn(samples, *shape, dtype=torch.float64)
    wanted = module.double()(x).detach().numpy()
    result = graph.forward(x.numpy())
    assert result.shape == wanted.shape
    assert np.abs(result - wanted).max() <= 1e-6 * np.abs(wanted).max()


class Residual(nn.Module):
    """ResNet's basic block; its shortcut halves the picture and pads the channels (option A)."""

    def __init__(self, channels: int = 4, outputs: int = 8) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, outputs, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.extra = outputs - channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        short = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2))
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + short)


class SqueezeExcite(nn.Module):
    """A gate of one value a channel, from the channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = functional.hardsigmoid(self.expand(torch.relu(self.reduce(x.mean((2, 3), keepdim=True)))))
        return x * gate


class InvertedResidual(nn.Module):
    """MobileNetV3's block: expand, filter each channel, gate, project, and add."""

    def __init__(self, channels: int = 4, wide: int = 12, stride: int = 1) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.Hardswish())
        self.depthwise = nn.Sequential(
            nn.Conv2d(wide, wide, 5, stride, 2, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()
        )
        self.gate = SqueezeExcite(wide)
        self.project = nn.Sequential(nn.Conv2d(wide, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.project(self.gate(self.depthwise(self.expand(x))))
        return x + y if self.stride == 1 else y


class Branches(nn.Module):
    """Branches that part, keep their batch normalization, and are joined by their channels."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=(2, 0), dilation=(2, 1), stride=(1, 2))
        self.fc = nn.Linear(14, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.leaky_relu(self.norm(x), 0.1)
        near = functional.avg_pool2d(x[:, :2], 3, 2, 1, count_include_pad=False)
        far = functional.max_pool2d(functional.pad(x, (1, 0, 0, 1)), 2)
        means = [self.conv(x).mean((2, 3)), near.mean((2, 3)), functional.adaptive_avg_pool2d(far, 1).flatten(1)]
        return self.fc(torch.cat([*means, torch.sigmoid(means[1])], 1))


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(3, 6, 3), nn.Tanh(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(24, 10), nn.Tanh(), nn.Linear(10, 4), nn.Softmax(dim=1),
    )  # fmt: skip


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], set[str]]] = {
    "LeNet": (lenet, (1, 12, 12), {"Conv", "AveragePool", "MaxPool", "Reshape", "Flatten", "Linear", "Softmax"}),
    "residual": (Residual, (4, 8, 8), {"Conv", "Slice", "Pad", "Add", "Relu"}),
    "inverted residual": (
        InvertedResidual,
        (4, 7, 7),
        {"Conv", "HardSwish", "Clip", "GlobalAveragePool", "HardSigmoid", "Mul", "Add"},
    ),
    "branches": (
        Branches,
        (4, 9, 8),
        {"BatchNorm", "LeakyRelu", "Slice", "AveragePool", "Pad", "MaxPool", "Concat", "Sigmoid"},
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_from_torch_gives_what_torch_gives(name: str) -> None:
    torch.manual_seed(1)
    make, shape, kinds = NETWORKS[name]
    module = lively(make())
    graph = from_module(module, shape)
    # A Reshape of all features is a Flatten.
    assert {type(node.op).__name__ for node in graph.nodes} >= kinds - {"Reshape"}
    assert_same(graph, module, shape)
    again = Graph.unpack(*graph.pack())
    assert again.digest() == graph.digest()


def test_layers_of_a_block_keep_the_names_of_the_module() -> None:
    names = [node.name for node in from_module(Residual().eval(), (4, 8, 8)).nodes]
    assert {"conv1", "conv2"} <= set(names)


# The depth of a drawn network, and layers that fit any picture; each draws its own numbers.
sizes = st.integers(1, 3)


def draw_window(draw: st.DrawFn, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Kernel, stride and padding that fit a picture of this size, the padding at most half the kernel."""
    kernel = (draw(st.integers(1, min(3, size[0]))), draw(st.integers(1, min(3, size[1]))))
    return kernel, (draw(sizes), draw(sizes)), tuple(draw(st.integers(0, k // 2)) for k in kernel)


class Both(nn.Module):
    """Two ways of one value, brought together."""

    def __init__(self, left: nn.Module, right: nn.Module, how: str) -> None:
        super().__init__()
        self.left, self.right, self.how = left, right, how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.left(x), self.right(x)
        if self.how == "gate":
            return a * b.mean((2, 3), keepdim=True)
        return torch.cat([a, b], 1) if self.how == "concat" else a + b if self.how == "add" else a * b


class Cut(nn.Module):
    """Some channels, every other row."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, : max(1, x.shape[1] // 2), ::2]


def activation(draw: st.DrawFn) -> nn.Module:
    kinds = [
        nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.3), nn.Tanh(), nn.Sigmoid(), nn.Hardsigmoid(), nn.Hardswish(),
        nn.Identity(), nn.Hardtanh(-0.5, 0.75), nn.Dropout(0.5),
    ]  # fmt: skip
    return draw(st.sampled_from(kinds))


def layer(draw: st.DrawFn, shape: tuple[int, int, int]) -> nn.Module:
    """One layer for a picture of this shape."""
    channels, kernel_stride_padding = shape[0], draw_window(draw, shape[1:])
    kernel, stride, padding = kernel_stride_padding
    outputs = channels * draw(st.integers(1, 2))
    groups = draw(st.sampled_from([1, channels]))
    same = [nn.Conv2d(channels, channels, 3, padding=2, dilation=2, groups=groups) for _ in range(2)]
    how = draw(st.sampled_from(["add", "mul", "gate", "concat"]))
    kinds: list[Callable[[], nn.Module]] = [
        lambda: nn.Conv2d(channels, outputs, kernel, stride, padding, groups=groups, bias=draw(st.booleans())),
        lambda: nn.BatchNorm2d(channels),
        lambda: nn.MaxPool2d(kernel, stride, padding),
        lambda: nn.AvgPool2d(kernel, stride, padding, count_include_pad=draw(st.booleans())),
        lambda: nn.ZeroPad2d((draw(sizes), 0, draw(sizes), 1)),
        lambda: Both(nn.Sequential(same[0], activation(draw)), draw(st.sampled_from([same[1], nn.Identity()])), how),
        Cut,
    ]
    return draw(st.sampled_from(kinds))()


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Module, tuple[int, int, int]]:
    """A network of up to four layers with activations, and the shape of its pictures."""
    torch.manual_seed(draw(st.integers(0, 2**16)))
    shape = (draw(st.integers(1, 4)), draw(st.integers(5, 8)), draw(st.integers(5, 8)))
    layers: list[nn.Module] = []
    x = torch.zeros(2, *shape)
    for _ in range(draw(st.integers(1, 4))):
        for module in (layer(draw, tuple(x.shape[1:])), activation(draw)):
            layers.append(module.eval())
            x = module(x)
    head: list[nn.Module] = [nn.AdaptiveAvgPool2d(1)] if draw(st.booleans()) else []
    features = x.shape[1] if head else x[0].numel()
    return lively(nn.Sequential(*layers, *head, nn.Flatten(), nn.Linear(features, 3))), shape


def exported(module: nn.Module, shape: tuple[int, ...]) -> onnx.ModelProto:
    """The module through torch's older exporter, whose files users have, and which is twenty times faster."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.zeros(2, *shape),), stream, dynamo=False, opset_version=17,
            input_names=["x"], dynamic_axes={"x": {0: "batch"}},
        )  # fmt: skip
    return onnx.load_from_string(stream.getvalue())


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(networks())
def test_random_networks_give_what_torch_gives(network: tuple[nn.Module, tuple[int, int, int]]) -> None:
    module, shape = network
    graph = from_onnx(exported(module, shape))
    assert_same(graph, module, shape)
    assert Graph.unpack(*graph.pack()).digest() == graph.digest()


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(ModelError) as caught:
        call()
    assert caught.value.exit_code == 2
    return str(caught.value)


class FunctionalNorm(nn.Module):
    """Takes the batch's own statistics without a layer that says so."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.batch_norm(x, None, None, training=True)


def test_batch_normalization_in_training_mode_is_refused() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert refused(lambda: from_module(module, (1, 5, 5))) == (
        "layer '1': expected evaluation mode, found BatchNorm2d in training mode; call .eval() on the module first"
    )
    message = refused(lambda: from_module(FunctionalNorm().eval(), (2, 5, 5)))
    assert message.endswith("found [0, 2, 3] of 4; average over height and width alone; "
                            "a batch normalization must keep its running statistics")  # fmt: skip


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
            "expected padding with zeros, found mode reflect; pad with zeros",
        ),
        (
            nn.MaxPool2d(2, dilation=2),
            "expected MaxPool without dilation, found (2, 2); pool neighbouring pixels",
        ),
        (
            nn.MaxPool2d(2, ceil_mode=True),
            "expected MaxPool with ceil_mode = 0, found 1 where windows reach beyond the padded picture; "
            "pad the picture, or leave ceil_mode out",
        ),
    ],
    ids=["padding", "dilation", "ceil"],
)
def test_what_torch_has_and_circuits_have_not_is_refused_by_name(module: nn.Module, message: str) -> None:
    found = refused(lambda: from_module(module.eval(), (4, 7, 7)))
    assert found.startswith("layer '")
    assert found.endswith(f": {message}")


@pytest.mark.parametrize("make", [lambda: nn.Conv2d(1, 2, 3), nn.ReLU6])
def test_what_is_read_is_mapped(make: Callable[[], nn.Module]) -> None:
    first = make()
    module = nn.Sequential(first, nn.Flatten(), nn.Linear(18 if isinstance(first, nn.Conv2d) else 25, 2))
    x = np.random.default_rng(2).uniform(0.0, 1.0, (4, 1, 5, 5))
    chip = compile_chip(from_module(module.eval(), (1, 5, 5)), Design.preset("ideal"), calibration=x)
    expected = chip.plan.graph.forward(x)
    np.testing.assert_allclose(chip.predict(x), expected, rtol=0, atol=1e-3 * np.abs(expected).max())
