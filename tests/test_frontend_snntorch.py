"""Live snnTorch modules: read as they are, spike for spike, and refused by the layer's name where they are not."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ohmweave.errors import ModelError
from ohmweave.frontend import from_module, from_snntorch, load_model
from ohmweave.graph import Graph
from ohmweave.ops import BatchNorm, Stateful
from ohmweave.temporal import run
from ohmweave.units import Array

snn = pytest.importorskip("snntorch", reason="snnTorch is not here")
utils = pytest.importorskip("snntorch.utils", reason="snnTorch is not here")

STEPS, SAMPLES = 20, 30


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(3)


def trains(*shape: int) -> Array:
    return (np.random.default_rng(0).random((SAMPLES, STEPS, *shape)) < 0.5).astype(np.float64)


def louder(module: nn.Module, factor: float = 3.0) -> nn.Module:
    """Weights large enough that neurons fire."""
    for name, parameter in module.named_parameters():
        if "weight" in name and parameter.ndim > 1:
            parameter.data = factor * parameter.data + 0.15
    return module.eval()


def by_steps(module: nn.Module, x: Array) -> Array:
    """What a module with hidden states gives, called once a step."""
    utils.reset(module)
    out = []
    with torch.no_grad():
        for step in range(x.shape[1]):
            spikes = module(torch.from_numpy(x[:, step]).float())
            out.append((spikes[0] if isinstance(spikes, tuple) else spikes).numpy())
    return np.stack(out, axis=1)


def same(graph: Graph, x: Array, wanted: Array) -> None:
    np.testing.assert_array_equal(run(graph, x), wanted)
    assert 0.01 < wanted.mean() < 0.99


NEURONS: dict[str, Callable[..., nn.Module]] = {
    "leaky": lambda **words: snn.Leaky(torch.linspace(0.2, 0.95, 5), **words),
    "scalar leaky": lambda **words: snn.Leaky(0.9, **words),
    "leaky beyond 1": lambda **words: snn.Leaky(torch.tensor([1.5, -0.5, 1.0, 0.0, 0.5]), **words),
    "synaptic": lambda **words: snn.Synaptic(torch.rand(5), torch.rand(5), **words),
    "rleaky": lambda **words: snn.RLeaky(torch.rand(5), linear_features=5, **words),
    "one to one": lambda **words: snn.RLeaky(0.8, V=torch.randn(5), all_to_all=False, **words),
    "one V for all": lambda **words: snn.RLeaky(0.8, V=0.4, all_to_all=False, **words),
}


@pytest.mark.parametrize("kind", NEURONS)
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("delay", [True, False])
def test_every_kind_of_neuron_with_every_reset(kind: str, reset: str, delay: bool) -> None:
    threshold = torch.linspace(0.5, 1.5, 5) if kind != "scalar leaky" else 0.8
    words = {"reset_mechanism": reset, "reset_delay": delay, "threshold": threshold, "init_hidden": True}
    net = louder(
        nn.Sequential(
            nn.Linear(6, 5), NEURONS[kind](**words), nn.Linear(5, 4, bias=False), snn.Leaky(0.9, init_hidden=True)
        )
    )
    x = trains(6)
    same(from_module(net), x, by_steps(net, x))


def test_rsynaptic_too() -> None:
    words = {"init_hidden": True, "reset_mechanism": "zero"}
    net = louder(nn.Sequential(nn.Linear(6, 5), snn.RSynaptic(0.5, 0.8, linear_features=5, **words)), 2.0)
    x = trains(6)
    same(from_module(net), x, by_steps(net, x))


class Tutorial(nn.Module):
    """As snnTorch's tutorials write it: the loop over steps inside, states passed by hand, still images."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(8, 7), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(7, 4), snn.Leaky(beta=0.8)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for _ in range(STEPS):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


class Pictures(nn.Module):
    """Steps first; convolution, batch normalisation, pooling, a view, a residual sum and a loop of spikes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.same, self.drop = nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.Dropout(0.5)
        self.lif1, self.lif2 = snn.Leaky(beta=0.7), snn.Leaky(beta=0.7, threshold=0.5)
        self.pool, self.fc = nn.AvgPool2d(2), nn.Linear(36, 5)
        self.lif3 = snn.RLeaky(beta=0.8, linear_features=5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk3, mem3 = self.lif3.init_rleaky()
        out = []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.norm(self.conv(x[step])), mem1)
            spk2, mem2 = self.lif2(self.drop(self.same(spk1)) + spk1, mem=mem2)
            flat = self.pool(spk2).view(x.size(1), -1)
            spk3, mem3 = self.lif3(self.fc(flat), spk3, mem3)
            out.append(spk3)
        return torch.stack(out)


def test_a_loop_over_steps_in_the_forward_pass() -> None:
    net = louder(Tutorial())
    still = torch.rand(SAMPLES, 8)
    with torch.no_grad():
        wanted = net(still)[0].numpy().swapaxes(0, 1)
    graph = from_module(net)
    assert [node.name for node in graph.nodes] == ["x", "fc1", "lif1", "fc2", "lif2"]
    same(graph, np.repeat(still.double().numpy()[:, np.newaxis], STEPS, axis=1), wanted)


def test_pictures_branches_and_folded_batch_normalisation() -> None:
    net = louder(Pictures())
    net.fc.weight.data -= 0.2
    net.lif3.recurrent.weight.data -= 0.3
    net.norm.running_mean.uniform_(-0.2, 0.2)
    net.norm.running_var.uniform_(0.1, 0.5)
    net.norm.weight.data.uniform_(0.5, 1.5)
    net.norm.bias.data.uniform_(-0.2, 0.2)
    x = trains(1, 6, 6)
    with torch.no_grad():
        wanted = net(torch.from_numpy(x).float().swapaxes(0, 1)).numpy().swapaxes(0, 1)
    graph = from_snntorch(net, (1, 6, 6))
    names = ["x", "conv", "lif1", "same", "add", "lif2", "pool", "flatten", "fc", "lif3"]
    assert [node.name for node in graph.nodes] == names
    assert not any(isinstance(node.op, BatchNorm) for node in graph.nodes)
    same(graph, x, wanted)


def test_modules_in_modules_keep_their_names() -> None:
    words = {"init_hidden": True}
    block = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), snn.Leaky(0.5, **words))
    graph = from_module(nn.Sequential(block, nn.Linear(3, 2), snn.Leaky(0.5, **words, output=True)), (1, 2, 2))
    assert [node.name for node in graph.nodes] == ["x", "0.0", "0.1", "0.2", "1", "2"]


def test_a_module_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(6, 5), snn.Leaky(0.9, init_hidden=True))
    net(torch.rand(3, 6))
    before = net[1].mem
    from_module(net.eval())
    assert net[1].mem is before
    assert not net[0]._forward_hooks
    assert not net[0]._forward_pre_hooks


def test_one_beta_and_threshold_a_neuron() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), snn.Leaky(0.5, threshold=torch.full((2, 1, 1), 2.0), init_hidden=True))
    op = from_module(net.eval(), (1, 5, 5)).nodes[-1].op
    assert isinstance(op, Stateful)
    assert op.beta.shape == op.threshold.shape == (2, 3, 3)  # type: ignore[attr-defined]


def test_a_factory_may_return_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "spiking_nets.py").write_text(
        "import snntorch\nfrom torch import nn\n\n\ndef net():\n"
        "    return nn.Sequential(nn.Linear(6, 5), snntorch.Leaky(0.9, init_hidden=True))\n"
    )
    monkeypatch.chdir(tmp_path)
    assert load_model("spiking_nets:net").spiking


def stack(*layers: nn.Module, last: nn.Module | None = None) -> nn.Module:
    return nn.Sequential(*layers, last or snn.Leaky(0.9, init_hidden=True)).eval()


class Between(nn.Module):
    """Something between two layers."""

    def __init__(self, act: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.fc, self.lif, self.out, self.end = nn.Linear(4, 4), snn.Leaky(0.9), nn.Linear(4, 4), snn.Leaky(0.9)
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spk, mem = self.lif(self.fc(x))
        return self.end(self.out(self.act(spk, mem)))[0]


class Backwards(nn.Module):
    """The last layer's spikes go back to the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(4, 4), snn.Leaky(0.9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spk, mem = self.lif(self.fc(x))
        spk, mem = self.lif(self.fc(spk), mem)
        return spk


class Reordered(nn.Module):
    """Reads its input the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(4, 4), snn.Leaky(0.9, init_hidden=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lif(self.fc(x[:, [3, 2, 1, 0]]))


class Membranes(Tutorial):
    """Returns membranes alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)[1]


def quiet(make: Callable[[], nn.Module]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


HIDDEN = {"init_hidden": True}
ONLY = "between layers nothing is read but flatten, view, reshape and sums of two; use layers for the rest"
SUPPORTED = (
    "supported are Linear, Conv2d, AvgPool2d, Flatten, BatchNorm1d, BatchNorm2d, Dropout, Dropout2d, Identity, "
    "Leaky, Synaptic, RLeaky, RSynaptic"
)
REFUSED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "max pool": (
        lambda: stack(nn.Conv2d(1, 2, 3), snn.Leaky(0.9, init_hidden=True), nn.MaxPool2d(2)), (1, 6, 6),
        "layer '2': expected a layer that spiking circuits have, found MaxPool2d; the largest of several spike trains "
        "has no circuit here; use AvgPool2d or a convolution with stride",
    ),
    "other layers": (
        lambda: stack(nn.Linear(4, 4), nn.ReLU()), (4,),
        f"layer '1': expected a layer that spiking circuits have, found ReLU; {SUPPORTED}",
    ),
    "other neurons": (
        lambda: stack(nn.Linear(4, 4), last=snn.Lapicque(0.9, init_hidden=True)), (4,),
        f"layer '1': expected a layer that spiking circuits have, found Lapicque; {SUPPORTED}",
    ),
    "inhibition": (
        lambda: stack(nn.Linear(4, 4), last=snn.Leaky(0.9, inhibition=True, **HIDDEN)), (4,),
        "layer '1': expected plain neurons, found inhibition; train without it",
    ),
    "graded spikes": (
        lambda: stack(nn.Linear(4, 4), last=snn.Leaky(0.9, graded_spikes_factor=0.5, **HIDDEN)), (4,),
        "layer '1': expected plain neurons, found graded_spikes_factor; train without it",
    ),
    "a surrogate that is no step": (
        lambda: stack(nn.Linear(4, 4), last=snn.Leaky(0.9, spike_grad=torch.sigmoid, **HIDDEN)), (4,),
        "layer '1': expected plain neurons, found a spike_grad that is no step; train without it",
    ),
    "a loop of convolutions": (
        lambda: stack(nn.Conv2d(1, 2, 3), last=snn.RLeaky(0.9, conv2d_channels=2, kernel_size=3, **HIDDEN)), (1, 5, 5),
        "layer '1': expected recurrent weights of a Linear, or one a neuron, found Conv2d; "
        "use linear_features, or all_to_all=False",
    ),
    "thresholds of another shape": (
        lambda: stack(nn.Conv2d(1, 4, 3), last=snn.Leaky(torch.rand(2, 4, 3, 3), **HIDDEN)), (1, 5, 5),
        "layer '1': expected beta of one value, or of shape (4, 3, 3), found (2, 4, 3, 3); give one value a neuron",
    ),
    "a negative threshold": (
        lambda: stack(nn.Linear(4, 4), last=snn.Leaky(0.9, threshold=-1.0, **HIDDEN)), (4,),
        "LeakyIntegrateFire: expected thresholds above 0, found -1 in threshold[0] (4 in all); "
        "train or export the network again",
    ),
    "a function between layers": (
        lambda: Between(lambda spk, mem: torch.relu(spk)).eval(), (4,),
        f"layer 'lif': expected its value to go to a layer, found torch's 'relu' of it; {ONLY}",
    ),
    "a factor between layers": (
        lambda: Between(lambda spk, mem: 2 * spk).eval(), (4,),
        f"layer 'lif': expected its value to go to a layer, found torch's 'mul' of it; {ONLY}",
    ),
    "membranes as inputs": (
        lambda: Between(lambda spk, mem: mem).eval(), (4,),
        f"layer 'out': expected it to read a layer's output or the input, found the state of 'lif'; {ONLY}",
    ),
    "a value from nowhere": (
        lambda: Between(lambda spk, mem: torch.ones(2, 4)).eval(), (4,),
        f"layer 'out': expected it to read a layer's output or the input, found a value that no layer makes; {ONLY}",
    ),
    "a layer at two places": (
        Backwards, (4,),
        "layer 'fc': expected one source at every step, found 'x' and 'lif'; give every place of the network a layer "
        "of its own, and no value of an earlier step but to RLeaky",
    ),
    "an input in another order": (
        Reordered, (4,),
        f"layer 'fc': expected it to read whole samples of the input, found parts or another order; {ONLY}",
    ),
    "no spikes": (
        Membranes, (8,),
        "Membranes: expected the forward pass to return a layer's spikes first, found the membranes of 'lif2'; "
        "return the spikes, before any membranes",
    ),
    "a flatten of parts": (
        lambda: stack(nn.Flatten(2), nn.Linear(4, 4)), (3, 2, 2),
        "layer '0': expected Flatten of all but the batch, found start_dim 2 and end_dim -1; write Flatten()",
    ),
    "training mode": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), snn.Leaky(0.9, **HIDDEN)), (4,),
        "layer '1': expected evaluation mode, found Dropout in training mode; call .eval() on the module first",
    ),
    "another input shape": (
        lambda: stack(nn.Linear(4, 4)), (5,),
        "Sequential: expected a forward pass on samples of shape (5,), found RuntimeError: mat1 and mat2 shapes cannot "
        "be multiplied (2x5 and 4x4) (given one step), RuntimeError: mat1 and mat2 shapes cannot be multiplied "
        "(6x5 and 4x4) (given [steps, samples, ...]); give the right input_shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_refused_by_its_name(name: str) -> None:
    make, shape, message = REFUSED[name]
    module = quiet(make)
    with pytest.raises(ModelError) as caught:
        from_module(module, shape)
    assert str(caught.value) == message
