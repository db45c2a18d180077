"""Train one of the reference networks and save its weights.

Run it as ``python examples/train_reference_models.py NAME DATA``, where NAME is one of
``reference_models.FACTORIES`` and DATA a data set as ohmweave names it (``mnist:DIR``,
``imagefolder:ZIP``). It works on one thread and takes from two minutes (LeNet-5) to an hour (ResNet-20 on
CIFAR-100). After every epoch the whole state is written beside the output (``NAME.resume.safetensors``);
an interrupted run that is started again goes on from there. (The weights of ResNet-20 for CIFAR-100 beside
this file had 22 epochs of the recipe's 44, and then the last ten of 32; VGG-7 its first two of 16.)
"""

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import torch
from reference_models import FACTORIES
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from ohmweave.frontend import load_data

BATCH = 128
MOMENTUM = 0.9


@dataclass(frozen=True)
class Recipe:
    """How one network is trained: stochastic gradient descent whose rate rises linearly, then falls to zero.

    Args:
        epochs: passes over the training images.
        rate: peak learning rate, reached after a fifth of them.
        decay: weight decay.
        smoothing: share of the label spread over all classes.
        shift: most pixels by which a picture is moved each way.
        mirror: whether half of the pictures are mirrored.
        bfloat16: whether layers multiply in bfloat16, which depthwise convolutions take longer for.
    """

    epochs: int
    rate: float
    decay: float = 5e-4
    smoothing: float = 0.0
    shift: int = 4
    mirror: bool = True
    bfloat16: bool = True


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "lenet5_mnist": Recipe(epochs=12, rate=0.05, shift=2, mirror=False, bfloat16=False),
        "vgg7_cifar10": Recipe(epochs=10, rate=0.1),
        "resnet20_cifar10": Recipe(epochs=26, rate=0.2),
        "mobilenetv3_cifar10": Recipe(epochs=14, rate=0.2, decay=2e-4, bfloat16=False),
        "resnet20_cifar100": Recipe(epochs=44, rate=0.2, smoothing=0.1),
    }
)


def augment(x: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Each picture of x [n, c, h, w] moved by at most ``recipe.shift`` pixels and perhaps mirrored."""
    s, (n, _, h, w) = recipe.shift, x.shape
    padded = nn.functional.pad(x, (s, s, s, s))
    top, left = torch.randint(0, 2 * s + 1, (2, n), generator=generator).tolist()
    moved = torch.stack([picture[:, a : a + h, b : b + w] for picture, a, b in zip(padded, top, left, strict=True)])
    if recipe.mirror:
        mirrored = torch.rand(n, generator=generator) < 0.5
        moved[mirrored] = moved[mirrored].flip(3)
    return moved


def learning_rate(recipe: Recipe, progress: float) -> float:
    """The rate when ``progress`` (0..1) of the training is done."""
    return recipe.rate * min(progress / 0.2, (1 - progress) / 0.8)


def train_epoch(
    network: nn.Module, optimizer: torch.optim.SGD, x: Tensor, y: Tensor, recipe: Recipe, epoch: int
) -> float:
    """One pass over the images in an order that depends on ``epoch`` alone; returns the mean loss."""
    generator = torch.Generator().manual_seed(1000 + epoch)
    batches = torch.split(torch.randperm(len(x), generator=generator), BATCH)
    network.train()
    total = 0.0
    for number, chosen in enumerate(batches):
        optimizer.param_groups[0]["lr"] = learning_rate(recipe, (epoch + number / len(batches)) / recipe.epochs)
        pictures = augment(x[chosen], recipe, generator).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            scores = network(pictures)
        loss = nn.functional.cross_entropy(scores.float(), y[chosen], label_smoothing=recipe.smoothing)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        total += float(loss.detach()) * len(chosen)
    return total / len(x)


def accuracy(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of the pictures whose largest score is their class, computed in float32."""
    network.eval()
    with torch.no_grad():
        hits = [int((network(a).argmax(1) == b).sum()) for a, b in zip(x.split(500), y.split(500), strict=True)]
    return sum(hits) / len(x)


def stored(network: nn.Module) -> dict[str, Tensor]:
    """The weights as they are shipped: float16, and float32 for the vectors of batch normalisation and bias."""
    state = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    return {name: (value.half() if value.ndim > 1 else value).contiguous() for name, value in state.items()}


def write(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write beside the final place, then move there in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(to_bytes(dict(tensors)))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def keep(network: nn.Module, optimizer: torch.optim.SGD, epoch: int, path: Path) -> None:
    """Write everything from which the training goes on after ``epoch`` epochs."""
    tensors = {f"model.{name}": value.contiguous() for name, value in network.state_dict().items()}
    for number, parameter in enumerate(optimizer.param_groups[0]["params"]):
        tensors[f"momentum.{number}"] = optimizer.state[parameter]["momentum_buffer"].contiguous()
    write(tensors | {"epoch": torch.tensor(epoch)}, path)


def resume(network: nn.Module, optimizer: torch.optim.SGD, path: Path) -> int:
    """The number of epochs already done, their state put back; 0 where nothing was kept."""
    if not path.exists():
        return 0
    tensors = load_file(path)
    network.load_state_dict({name.removeprefix("model."): value for name, value in tensors.items() if "model." in name})
    for number, parameter in enumerate(optimizer.param_groups[0]["params"]):
        optimizer.state[parameter]["momentum_buffer"] = tensors[f"momentum.{number}"]
    return int(tensors["epoch"])


def train(name: str, x: Tensor, y: Tensor, recipe: Recipe, kept: Path) -> nn.Module:
    """The network after all epochs of the recipe, going on from ``kept`` where that exists."""
    torch.manual_seed(1)
    network = FACTORIES[name]().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=recipe.rate, momentum=MOMENTUM, nesterov=True, weight_decay=recipe.decay
    )
    for epoch in range(resume(network, optimizer, kept), recipe.epochs):
        begun = time.monotonic()
        loss = train_epoch(network, optimizer, x, y, recipe, epoch)
        keep(network, optimizer, epoch + 1, kept)
        print(f"epoch {epoch + 1} of {recipe.epochs}: loss {loss:.4f}, {time.monotonic() - begun:.0f} s", flush=True)
    return network


def main(arguments: Sequence[str] | None = None) -> float:
    """Train, save, report; returns the accuracy on the test images with the weights as stored."""
    parser = argparse.ArgumentParser(description="Train one of ohmweave's reference networks.")
    parser.add_argument("name", choices=sorted(FACTORIES))
    parser.add_argument("data", help="mnist:DIR or imagefolder:ZIP, without the split")
    parser.add_argument("--output", type=Path, help="the safetensors file to write (default: NAME.safetensors here)")
    parser.add_argument("--epochs", type=int, help="fewer passes than the recipe's")
    parser.add_argument("--limit", type=int, help="train and test on the first LIMIT pictures only")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    output: Path = options.output or Path(__file__).with_name(f"{options.name}.safetensors")
    recipe = RECIPES[options.name]
    if options.epochs:
        recipe = replace(recipe, epochs=options.epochs)
    kept = output.with_name(f"{output.stem}.resume.safetensors")
    network = train(options.name, *pictures(options.data, "train", options.limit), recipe, kept)
    test = pictures(options.data, "test", options.limit)
    before = accuracy(network, *test)
    write(stored(network), output)
    network.load_state_dict({name: value.float() for name, value in load_file(output).items()}, strict=False)
    after = accuracy(network, *test)
    kept.unlink(missing_ok=True)
    print(f"{options.name}: {after:.4f} of {len(test[0])} test images ({before:.4f} in float32); weights in {output}")
    return after


def pictures(spec: str, split: str, limit: int | None) -> tuple[Tensor, Tensor]:
    """Pictures [n, c, h, w] in 0..1 and their classes [n]; a random choice of ``limit`` of them where given."""
    data = load_data(f"{spec}:{split}" if spec.startswith("imagefolder") else spec, split)
    chosen = torch.randperm(len(data.x), generator=torch.Generator().manual_seed(0))[:limit]
    return torch.from_numpy(data.x).float()[chosen], torch.as_tensor(data.y)[chosen]


if __name__ == "__main__":
    main()
