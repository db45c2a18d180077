"""The reference networks of ohmweave: LeNet-5, a VGG-style net, ResNet-20 and a small MobileNetV3.

``train_reference_models.py`` beside this file trains them; the weights made so stand beside it as
safetensors. To weave one into circuits, from this folder::

    ohmweave compile reference_models:lenet5 --weights lenet5_mnist.safetensors --calibrate mnist:DIR -o build/lenet5

All take pixels in 0..1 and give one score a class.

Sources: LeNet-5, LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 1998;
VGG, Simonyan and Zisserman, ICLR 2015; ResNet-20, He et al., "Deep residual learning for image
recognition", CVPR 2016, section 4.2, with its parameter-free shortcuts; MobileNetV3, Howard et al.,
"Searching for MobileNetV3", ICCV 2019; squeeze-and-excitation, Hu et al., CVPR 2018.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional


def lenet5() -> nn.Module:
    """LeNet-5 with rectifiers and average pooling, x of [1, 28, 28], 10 classes, 61,706 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def vgg7(classes: int = 10) -> nn.Module:
    """Six batch-normed 3x3 convolutions in three max-pooled pairs and one dense layer, x of [3, 32, 32]."""
    parts: list[nn.Module] = []
    channels = 3
    for width in (32, 64, 128):
        for _ in range(2):
            parts += [*_normed(channels, width, 3), nn.ReLU()]
            channels = width
        parts.append(nn.MaxPool2d(2))
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(channels * 16, classes))


class Residual(nn.Module):
    """y = max(F(x) + shortcut(x), 0), F two batch-normed 3x3 convolutions.

    Where the block halves the picture and doubles the channels, the shortcut takes every second pixel and
    fills the new channels with zeros (option A of He et al.).
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_normed(channels, width, 3, stride), nn.ReLU(), *_normed(width, width, 3))
        self.stride, self.fill = stride, (width - channels) // 2

    def forward(self, x: Tensor) -> Tensor:
        """x of [n, channels, h, w] to [n, width, h / stride, w / stride]."""
        shortcut = x
        if self.fill:
            picked = x[:, :, :: self.stride, :: self.stride]
            shortcut = functional.pad(picked, (0, 0, 0, 0, self.fill, self.fill))
        return torch.relu(self.body(x) + shortcut)


def resnet20(classes: int = 10) -> nn.Module:
    """ResNet-20 of 16, 32 and 64 channels, x of [3, 32, 32], about 270,000 parameters."""
    parts: list[nn.Module] = [*_normed(3, 16, 3), nn.ReLU()]
    channels = 16
    for width in (16, 32, 64):
        for block in range(3):
            parts.append(Residual(channels, width, 2 if block == 0 and width > channels else 1))
            channels = width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def resnet20_100() -> nn.Module:
    """ResNet-20 for 100 classes."""
    return resnet20(100)


class Excitation(nn.Module):
    """Squeeze-and-excitation: y = x hardsigmoid(W2 max(W1 mean(x), 0)), one gate a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(8, channels // 4)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x of [n, channels, h, w], the same out."""
        return x * self.gate(x)


class Bottleneck(nn.Module):
    """MobileNetV3's block: widen by 1x1, filter each channel by itself, gate, narrow by 1x1, add the input."""

    def __init__(
        self, kernel: int, channels: int, inner: int, width: int, gated: bool, hard: bool, stride: int
    ) -> None:
        super().__init__()
        bend: Callable[[], nn.Module] = nn.Hardswish if hard else nn.ReLU
        self.body = nn.Sequential(
            *_normed(channels, inner, 1),
            bend(),
            *_normed(inner, inner, kernel, stride, inner),
            bend(),
            *([Excitation(inner)] if gated else []),
            *_normed(inner, width, 1),
        )
        self.shortcut = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        """x of [n, channels, h, w] to [n, width, h / stride, w / stride]."""
        y: Tensor = self.body(x)
        return x + y if self.shortcut else y


def mobilenetv3(classes: int = 10) -> nn.Module:
    """A small MobileNetV3 for x of [3, 32, 32]: six bottlenecks, half of them gated."""
    blocks = (
        # kernel, channels, inner, width, gated, hard-swish, stride
        (3, 16, 16, 16, True, False, 2),
        (3, 16, 64, 24, False, False, 1),
        (3, 24, 72, 24, False, False, 1),
        (5, 24, 96, 40, True, True, 2),
        (5, 40, 160, 40, True, True, 1),
        (5, 40, 160, 40, True, True, 1),
    )
    return nn.Sequential(
        *_normed(3, 16, 3),
        nn.Hardswish(),
        *(Bottleneck(*sizes, gated=gated, hard=hard, stride=stride) for *sizes, gated, hard, stride in blocks),
        *_normed(40, 160, 1),
        nn.Hardswish(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(160, classes),
    )


def _normed(channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> tuple[nn.Module, nn.Module]:
    """A convolution that keeps the picture's size (up to its stride) and the batch normalisation behind it."""
    convolution = nn.Conv2d(channels, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    return convolution, nn.BatchNorm2d(width)


FACTORIES: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "lenet5_mnist": lenet5,
        "vgg7_cifar10": vgg7,
        "resnet20_cifar10": resnet20,
        "mobilenetv3_cifar10": mobilenetv3,
        "resnet20_cifar100": resnet20_100,
    }
)
