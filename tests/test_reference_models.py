"""The reference networks of examples/: what ohmweave reads of them is what torch computes, and training goes on."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from ohmweave.frontend import from_module
from ohmweave.layers import lower

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ("lenet5_mnist", "mobilenetv3_cifar10", "resnet20_cifar10", "resnet20_cifar100", "vgg7_cifar10")


@pytest.fixture(scope="module")
def models() -> Iterator[ModuleType]:
    """The module of the factories, as a script beside it would import it."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        import reference_models

        yield reference_models
    finally:
        sys.path.remove(str(EXAMPLES))


def network(models: ModuleType, name: str) -> nn.Module:
    """The trained network where its weights are shipped, else one with random weights and statistics."""
    torch.manual_seed(0)
    found: nn.Module = models.FACTORIES[name]()
    weights = EXAMPLES / f"{name}.safetensors"
    if weights.exists():
        found.load_state_dict({key: value.float() for key, value in load_file(weights).items()}, strict=False)
    else:
        for module in found.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.5, 0.5)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
    return found.eval().double()


def pictures(name: str, count: int) -> torch.Tensor:
    shape = (1, 28, 28) if name.endswith("_mnist") else (3, 32, 32)
    return torch.rand((count, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_every_network_is_tested(models: ModuleType) -> None:
    assert sorted(models.FACTORIES) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_computes_what_torch_does(models: ModuleType, name: str) -> None:
    module, x = network(models, name), pictures(name, 3)
    graph = from_module(module, tuple(x.shape[1:]))
    with torch.no_grad():
        expected = module(x).numpy()
    np.testing.assert_allclose(graph.forward(x.numpy()), expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    # All of it has circuits.
    assert lower(graph, unrolled=False, fold=True).host == ()


def test_shipped_weights_are_small(models: ModuleType) -> None:
    shipped = sorted(EXAMPLES.glob("*.safetensors"))
    assert len(shipped) >= 3
    assert all(path.stat().st_size < 2e6 for path in shipped)


def test_training_that_was_interrupted_ends_as_if_it_had_not_been(models: ModuleType, tmp_path: Path) -> None:
    import train_reference_models as training

    x, y = torch.rand((64, 1, 28, 28), generator=torch.Generator().manual_seed(2)), torch.arange(64) % 10
    recipe = replace(training.RECIPES["lenet5_mnist"], epochs=3)
    whole = training.train("lenet5_mnist", x, y, recipe, tmp_path / "whole")
    torch.manual_seed(1)
    first = models.FACTORIES["lenet5_mnist"]().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        first.parameters(), lr=1.0, momentum=training.MOMENTUM, nesterov=True, weight_decay=recipe.decay
    )
    training.train_epoch(first, optimizer, x, y, recipe, 0)
    training.keep(first, optimizer, 1, tmp_path / "half")
    resumed = training.train("lenet5_mnist", x, y, recipe, tmp_path / "half")
    for mine, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_pictures_move_by_no_more_than_they_may(models: ModuleType) -> None:
    import train_reference_models as training

    x = torch.zeros((50, 1, 28, 28))
    x[:, 0, 14, 14] = 1.0
    moved = training.augment(x, training.RECIPES["lenet5_mnist"], torch.Generator().manual_seed(0))
    places = moved.reshape(50, -1).argmax(1)
    assert moved.sum() == 50
    assert int((places // 28 - 14).abs().max()) == int((places % 28 - 14).abs().max()) == 2
    assert len(set(places.tolist())) > 10
