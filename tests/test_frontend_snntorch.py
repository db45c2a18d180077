"""Live snnTorch modules: read as they are, spike for spike, and refused by the layer's name where they are not."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ohmweave.errors import AssumptionWarning, ModelError
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
    with warnings.catch_warnings():
        # Told by a test of its own.
        warnings.simplefilter("ignore", AssumptionWarning)
        graph = from_module(net)
    same(graph, x, by_steps(net, x))


@pytest.mark.parametrize(
    ("neurons", "said"),
    [
        (lambda: snn.Leaky(1.2, **HIDDEN), ["beta = 1.2 is taken as 1"]),
        (lambda: snn.Leaky(-0.2, **HIDDEN), ["beta = -0.2 is taken as 0"]),
        (
            lambda: snn.Synaptic(torch.tensor([0.5, 1.5, -3.0]), 1.25, **HIDDEN),
            ["alpha = 1.5 of neuron 1, and of 2 neurons in all is taken as 1", "beta = 1.25 is taken as 1"],
        ),
        (lambda: snn.Leaky(1.0, **HIDDEN), []),
    ],
)
def test_decays_that_snntorch_itself_cuts_off_are_told(neurons: Callable[[], nn.Module], said: list[str]) -> None:
    net = nn.Sequential(nn.Linear(4, 3), neurons())
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        from_module(net)
    assert [(w.category, str(w.message)) for w in heard] == [
        (AssumptionWarning, f"layer '1': {each}, as snnTorch takes it in its forward pass") for each in said
    ]


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


def test_spikes_put_into_a_tensor_for_all_steps() -> None:
    net = louder(Prepared())
    still = torch.rand(SAMPLES, 8)
    with torch.no_grad():
        wanted = net(still).numpy().swapaxes(0, 1)
    same(from_module(net), np.repeat(still.double().numpy()[:, np.newaxis], STEPS, axis=1), wanted)


def test_what_does_not_change_from_step_to_step_may_be_made_once() -> None:
    net = louder(Once())
    still = torch.rand(SAMPLES, 8)
    with torch.no_grad():
        wanted = net(still).numpy().swapaxes(0, 1)
    same(from_module(net), np.repeat(still.double().numpy()[:, np.newaxis], STEPS, axis=1), wanted)


def test_trains_with_their_samples_first() -> None:
    net = louder(SamplesFirst(), 1.0)
    x = trains(8)
    with torch.no_grad():
        same(from_module(net), x, net(torch.from_numpy(x).float()).numpy())


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


class Late(Tutorial):
    """The second layer hears the first one a step late, on the way round its own loop."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        for _ in range(3):
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            before = spk1
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk1 = before
        return spk2


class Halved(Tutorial):
    """Changes membranes by hand."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mem1 = self.lif1.init_leaky()
        for _ in range(3):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            mem1 = mem1 / 2
        return spk1


class Prepared(Tutorial):
    """Puts its spikes into a tensor made before, and copies its states."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mem1 = self.lif1.init_leaky()
        out = torch.zeros(STEPS, x.size(0), 7)
        for step in range(STEPS):
            spk1, mem1 = self.lif1(self.fc1(x), mem1.clone().detach())
            out[step] = spk1
        return out


class Once(Tutorial):
    """The first layer's sums of a still image, made once for all steps."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mem1, current = self.lif1.init_leaky(), self.fc1(x)
        out = []
        for _ in range(STEPS):
            spk1, mem1 = self.lif1(current + current, mem1)
            out.append(spk1)
        return torch.stack(out)


class TimeReversed(Tutorial):
    """Reads its steps from the last to the first."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mem1 = self.lif1.init_leaky()
        for step in reversed(range(x.size(0))):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
        return spk1


class SamplesFirst(Tutorial):
    """Takes trains as they are stored, [samples, steps, ...]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mem1, out = self.lif1.init_leaky(), []
        for step in range(x.size(1)):
            spk1, mem1 = self.lif1(self.fc1(x[:, step, :]), mem1)
            out.append(spk1)
        return torch.stack(out, dim=1)


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


def same_value(value: torch.Tensor, _: torch.Tensor | None = None) -> torch.Tensor:
    return value


class Odd(nn.Module):
    """Steps first, with something done to the sums before the first layer, to its membranes or to the result."""

    def __init__(
        self,
        sums: Callable[..., torch.Tensor] = same_value,
        membranes: Callable[..., torch.Tensor] = same_value,
        result: Callable[..., torch.Tensor] = same_value,
    ) -> None:
        super().__init__()
        self.fc, self.more, self.out = nn.Linear(8, 7), nn.Linear(8, 7), nn.Linear(7, 4)
        self.lif, self.end = snn.Leaky(beta=0.9), snn.Leaky(beta=0.8)
        self.sums, self.membranes, self.result = sums, membranes, result

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mem, last = self.lif.init_leaky(), self.end.init_leaky()
        out = []
        for step in range(x.size(0)):
            spk, mem = self.lif(self.sums(self.fc(x[step]), self.more(x[step])), mem)
            mem = self.membranes(mem, self.lif)
            spk, last = self.end(self.out(spk), last)
            out.append(spk)
        return self.result(torch.stack(out))


class OneSample(Odd):
    """Takes the steps of one sample alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.view(-1, 8))


def by_data(value: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    value.data = 2 * value.data
    return value


def halved(value: torch.Tensor, neurons: nn.Module) -> torch.Tensor:
    value.data = 0.5 * value.data
    return value


@pytest.mark.parametrize("result", [same_value, lambda r: r[-1], lambda r: r.permute(1, 2, 0), lambda r: r.unbind(0)])
def test_results_may_have_their_steps_anywhere(result: Callable[..., torch.Tensor]) -> None:
    net = louder(Odd(torch.add, lambda mem, lif: mem.clone(), result))
    x = trains(8)
    plain = louder(Odd(torch.add))
    plain.load_state_dict(net.state_dict())
    with torch.no_grad():
        same(from_snntorch(net, (8,)), x, plain(torch.from_numpy(x).float().swapaxes(0, 1)).numpy().swapaxes(0, 1))


def test_a_module_in_training_mode_is_read_as_in_evaluation_and_not_changed() -> None:
    net = louder(stack(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), snn.Leaky(0.9, **HIDDEN))).train()
    net[1].eval()
    modes, before = [m.training for m in net.modules()], {k: v.clone() for k, v in net.state_dict().items()}
    from_snntorch(net, (6,))
    net[1].train()
    graph = from_snntorch(net, (6,))
    assert [m.training for m in net.modules()] == [
        mode or m is net[1] for mode, m in zip(modes, net.modules(), strict=True)
    ]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    x = trains(6)
    same(graph, x, by_steps(net.eval(), x))


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.BatchNorm1d(5)])
def test_layers_in_training_mode_are_refused_and_neurons_need_no_mode(layer: nn.Module) -> None:
    net = louder(stack(nn.Linear(6, 5), layer, snn.Leaky(0.9, **HIDDEN))).train()
    with pytest.raises(ModelError) as refused:
        from_module(net, (6,))
    name = next(name for name, child in net.named_modules() if child is layer)
    assert str(refused.value) == (
        f"layer {name!r}: expected evaluation mode, found {type(layer).__name__} in training mode; call .eval() on the "
        "module first"
    )
    assert all(child.training for child in net.modules())
    layer.eval()
    graph = from_module(net, (6,))
    assert [child.training for child in net.modules()] == [child is not layer for child in net.modules()]
    x = trains(6)
    same(graph, x, by_steps(net.eval(), x))


@pytest.mark.parametrize("factor", [1.0, 2.0, 8.0])
def test_rounding_alone_refuses_no_module(factor: float) -> None:
    # Tenths that no float holds: membranes meet their thresholds again and again.
    net = nn.Sequential(nn.Linear(6, 5, bias=False), snn.Leaky(1.0, threshold=0.3 * factor, **HIDDEN)).eval()
    net[0].weight.data = 0.1 * torch.ones(5, 6)
    assert from_snntorch(net, (6,)).spiking


def quiet(make: Callable[[], nn.Module]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


HIDDEN = {"init_hidden": True}
ALONE = (
    "between layers use flatten, view, reshape and sums of two alone; let states begin at 0 and leave them to the "
    "neurons"
)
OWN = (
    "layer 'lif': expected states of its own that begin at 0 and go from step to step as they are, found {}; "
    "begin with init_leaky(), and leave them to the neurons"
)
CHANGED_ONES = OWN.format("changed ones, or those of another step")
OTHERS = "layer 'lif': expected what was read to do on random trains what the module does, found other spikes or "
CHANGED_SPIKES = (
    "Odd: expected the forward pass to return a layer's spikes first, found the changed spikes of 'end'; "
    "return the spikes, before any membranes"
)
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
        "layer 'fc': expected it to read 'lif' at the same step, 2, found step 1; give every place of the network a "
        "layer of its own, and no value of an earlier step but to RLeaky",
    ),
    "steps in another order": (
        TimeReversed, (8,),
        "layer 'fc1': expected it to read whole samples of the input, step by step, found parts or another order; "
        f"{ONLY}",
    ),
    "a value of an earlier step": (
        Late, (8,),
        "layer 'fc2': expected it to read 'lif1' at the same step, 2, found step 1; give every place of the network a "
        "layer of its own, and no value of an earlier step but to RLeaky",
    ),
    "states changed by hand": (
        Halved, (8,),
        "layer 'lif1': expected states of its own that begin at 0 and go from step to step as they are, found changed "
        "ones, or those of another step; begin with init_leaky(), and leave them to the neurons",
    ),
    "a difference of layers": (
        lambda: Odd(lambda a, b: torch.add(a, b, alpha=-3)), (8,),
        f"layer 'fc': expected its value to go to a layer, found torch's 'add' of it; {ONLY}",
    ),
    "a sum into another tensor": (
        lambda: Odd(lambda a, b: torch.add(a, b, out=torch.empty(0))), (8,),
        f"layer 'fc': expected its value to go to a layer, found torch's 'add' of it; {ONLY}",
    ),
    "a bias by hand": (
        lambda: Odd(lambda a, b: a + 1.0), (8,),
        f"layer 'fc': expected its value to go to a layer, found torch's 'add' of it; {ONLY}",
    ),
    "whole numbers": (
        lambda: louder(Odd(lambda a, b: a.to(torch.int32).float())), (8,), f"{OTHERS}membranes at step 1; {ALONE}",
    ),
    "values changed behind the scenes": (
        lambda: louder(Odd(by_data)), (8,), f"{OTHERS}membranes at step 1; {ALONE}",
    ),
    "states changed behind the scenes": (
        lambda: louder(Odd(membranes=halved)), (8,), f"{OTHERS}membranes at step 2; {ALONE}",
    ),
    "clamped states": (lambda: Odd(membranes=lambda mem, lif: mem.clamp(min=0)), (8,), CHANGED_ONES),
    "scaled states": (lambda: Odd(membranes=lambda mem, lif: mem * 0.5), (8,), CHANGED_ONES),
    "new states at every step": (
        lambda: Odd(membranes=lambda mem, lif: torch.zeros_like(mem)), (8,), OWN.format("new ones"),
    ),
    "states begun again at every step": (
        lambda: Odd(membranes=lambda mem, lif: lif.init_leaky()), (8,), OWN.format("new ones"),
    ),
    "no spikes for spikes": (lambda: Odd(result=lambda out: 1 - out), (8,), CHANGED_SPIKES),
    "numbers of spikes": (lambda: Odd(result=lambda out: out.sum(0)), (8,), CHANGED_SPIKES),
    "neurons in another order": (
        lambda: louder(Odd(result=lambda out: out[..., [3, 2, 1, 0]]), 1.0), (8,),
        "Odd: expected the forward pass to return the spikes of 'end' as they are, found others on random trains; "
        "return them all, or those of one step, before anything is made of them",
    ),
    "one sample alone": (
        OneSample, (8,),
        "OneSample: expected steps of several samples each, found 2 steps of shape (2, 8); "
        "let it take [steps, samples, ...]",
    ),
    "an input in another order": (
        Reordered, (4,),
        f"layer 'fc': expected it to read whole samples of the input, step by step, found parts or "
        f"another order; {ONLY}",
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
