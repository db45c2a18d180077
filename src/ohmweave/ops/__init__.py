"""The operations networks are made of, one family a file: each knows its shape and its reference forward pass."""

from collections.abc import Mapping
from typing import Any

from ohmweave.ops.activation import (
    Clip,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyRelu,
    Relu,
    Sigmoid,
    Softmax,
    Tanh,
)
from ohmweave.ops.arithmetic import Add, Mul
from ohmweave.ops.convolution import Conv
from ohmweave.ops.dense import Linear
from ohmweave.ops.neurons import (
    LeakyIntegrateFire,
    RecurrentLeakyIntegrateFire,
    RecurrentSynapticIntegrateFire,
    SynapticIntegrateFire,
)
from ohmweave.ops.normalization import BatchNorm
from ohmweave.ops.operation import Op, Shape
from ohmweave.ops.pooling import AveragePool, GlobalAveragePool, MaxPool
from ohmweave.ops.shaping import Concat, Flatten, Pad, Reshape, Slice
from ohmweave.ops.source import Input
from ohmweave.ops.spiking import NeuronState, Stateful

__all__ = [
    "OPS",
    "Add",
    "AveragePool",
    "BatchNorm",
    "Clip",
    "Concat",
    "Conv",
    "Flatten",
    "GlobalAveragePool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "Input",
    "LeakyIntegrateFire",
    "LeakyRelu",
    "Linear",
    "MaxPool",
    "Mul",
    "NeuronState",
    "Op",
    "Pad",
    "RecurrentLeakyIntegrateFire",
    "RecurrentSynapticIntegrateFire",
    "Relu",
    "Reshape",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Stateful",
    "SynapticIntegrateFire",
    "Tanh",
]

_FAMILIES: tuple[tuple[type[Any], ...], ...] = (
    (Input, Linear, Conv, BatchNorm),
    (AveragePool, MaxPool, GlobalAveragePool),
    (Relu, Clip, LeakyRelu, Tanh, Sigmoid, HardSigmoid, HardSwish, Identity, Softmax),
    (Add, Mul, Flatten, Reshape, Concat, Slice, Pad),
    (LeakyIntegrateFire, SynapticIntegrateFire, RecurrentLeakyIntegrateFire, RecurrentSynapticIntegrateFire),
)
OPS: Mapping[str, type[Any]] = {op.__name__: op for family in _FAMILIES for op in family}
