"""The operations: each against torch's own in double precision, in files, and in its words about mistakes."""

import json
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from ohmweave.errors import ModelError
from ohmweave.graph import Graph, Node
from ohmweave.ops import (
    OPS,
    Add,
    AveragePool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Flatten,
    GlobalAveragePool,
    HardSigmoid,
    HardSwish,
    Identity,
    Input,
    LeakyIntegrateFire,
    LeakyRelu,
    Linear,
    MaxPool,
    Mul,
    Op,
    Pad,
    RecurrentLeakyIntegrateFire,
    RecurrentSynapticIntegrateFire,
    Relu,
    Reshape,
    Sigmoid,
    Slice,
    Softmax,
    Stateful,
    SynapticIntegrateFire,
    Tanh,
)
from ohmweave.temporal import run
from ohmweave.units import Array

RNG = np.random.default_rng(11)
PICTURES = RNG.normal(size=(3, 4, 7, 6)) * 4
KERNEL = RNG.normal(size=(6, 2, 3, 2))
ONES = np.ones(4)
small = st.integers(1, 3)
pads = st.integers(0, 2)


def agree(op: Op, wanted: torch.Tensor, *inputs: Array) -> None:
    """The operation gives what torch gives, in the shape it promises."""
    result = op.forward(*inputs)
    assert result.dtype == np.float64
    assert op.out_shape(*(x.shape[1:] for x in inputs)) == result.shape[1:]
    np.testing.assert_allclose(result, wanted.numpy(), rtol=1e-11, atol=1e-12)


def padded(x: Array, sides: tuple[int, int, int, int], value: float = 0.0) -> torch.Tensor:
    top, left, bottom, right = sides
    return functional.pad(torch.from_numpy(x), (left, right, top, bottom), value=value)


@settings(max_examples=80, deadline=None)
@given(
    kernel=st.tuples(small, small),
    stride=st.tuples(small, small),
    sides=st.tuples(pads, pads, pads, pads),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 99),
)
def test_a_convolution_is_that_of_torch(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    sides: tuple[int, int, int, int],
    dilation: tuple[int, int],
    groups: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=(8, 4 // groups, *kernel)), rng.normal(size=8)
    wanted = functional.conv2d(
        padded(PICTURES, sides), torch.from_numpy(weight), torch.from_numpy(bias), stride, 0, dilation, groups
    )
    agree(Conv(weight, bias, stride, sides, dilation, groups), wanted, PICTURES)


def test_a_convolution_sample_by_sample_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = Conv(KERNEL, np.arange(6.0), stride=(2, 1), padding=(1, 0, 0, 1), groups=2)
    whole = conv.forward(PICTURES)
    monkeypatch.setattr("ohmweave.ops.convolution._MOST_PATCH_VALUES", 1)
    np.testing.assert_allclose(conv.forward(PICTURES), whole, rtol=1e-13)


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.tuples(st.integers(2, 4), st.integers(2, 4)),
    stride=st.tuples(small, small),
    sides=st.tuples(*[st.integers(0, 1)] * 4),
)
def test_pools_are_those_of_torch(
    kernel: tuple[int, int], stride: tuple[int, int], sides: tuple[int, int, int, int]
) -> None:
    lowest = padded(PICTURES, sides, -torch.inf)
    agree(MaxPool(kernel, stride, sides), functional.max_pool2d(lowest, kernel, stride), PICTURES)
    zeros = padded(PICTURES, sides)
    mean = functional.avg_pool2d(zeros, kernel, stride)
    agree(AveragePool(kernel, stride, sides, count_include_pad=True), mean, PICTURES)
    share = functional.avg_pool2d(padded(np.ones_like(PICTURES), sides), kernel, stride)
    agree(AveragePool(kernel, stride, sides), mean / share, PICTURES)


def test_the_mean_of_each_channel() -> None:
    agree(GlobalAveragePool(), torch.from_numpy(PICTURES).mean((2, 3), keepdim=True), PICTURES)
    agree(GlobalAveragePool(keepdims=False), torch.from_numpy(PICTURES).mean((2, 3)), PICTURES)


@pytest.mark.parametrize("x", [PICTURES, PICTURES[:, :, 0, 0]], ids=["pictures", "features"])
def test_batch_normalization_keeps_its_statistics(x: Array) -> None:
    scale, shift, mean, variance = RNG.normal(size=(4, 4))
    variance = np.abs(variance)
    tensors = [torch.from_numpy(a) for a in (mean, variance, scale, shift)]
    agree(
        BatchNorm(scale, shift, mean, variance, 1e-3), functional.batch_norm(torch.from_numpy(x), *tensors, eps=1e-3), x
    )


ACTIVATIONS: list[tuple[Op, nn.Module]] = [
    (Relu(), nn.ReLU()),
    (Clip(0.0, 6.0), nn.ReLU6()),
    (Clip(-1.5, 0.25), nn.Hardtanh(-1.5, 0.25)),
    (LeakyRelu(0.2), nn.LeakyReLU(0.2)),
    (LeakyRelu(-0.5), nn.LeakyReLU(-0.5)),
    (Tanh(), nn.Tanh()),
    (Sigmoid(), nn.Sigmoid()),
    (HardSigmoid(), nn.Hardsigmoid()),
    (HardSwish(), nn.Hardswish()),
    (Identity(), nn.Identity()),
    (Softmax(), nn.Softmax(dim=-1)),
]


@pytest.mark.parametrize(("op", "module"), ACTIVATIONS, ids=[repr(op) for op, _ in ACTIVATIONS])
def test_activations_are_those_of_torch(op: Op, module: nn.Module) -> None:
    edges = np.array([[-7.0, -6.0, -3.0, -1.5, -0.0, 0.0, 0.25, 3.0, 6.0, 7.0]])
    for x in (PICTURES, edges):
        agree(op, module(torch.from_numpy(x)), x)


def test_a_hard_sigmoid_of_other_slope_by_hand() -> None:
    result = HardSigmoid(alpha=0.25, beta=0.75).forward(np.array([[-4.0, -1.0, 0.5, 2.0]]))
    assert result.tolist() == [[0.0, 0.5, 0.875, 1.0]]


def test_branches_come_together() -> None:
    x, gate = torch.from_numpy(PICTURES), torch.from_numpy(PICTURES[:, :, 2:3, 3:4])
    agree(Add(), x + 2 * x, PICTURES, 2 * PICTURES)
    agree(Mul(), x * x, PICTURES, PICTURES)
    agree(Mul(), x * gate, PICTURES, gate.numpy())
    agree(Mul(), x * gate, gate.numpy(), PICTURES)
    agree(Concat(), torch.cat([x, gate.expand_as(x), x], 1), PICTURES, gate.expand_as(x).numpy(), PICTURES)


def test_values_move() -> None:
    x = torch.from_numpy(PICTURES)
    agree(Slice((1, 0, 2), (3, 7, 6), (1, 2, 3)), x[:, 1:3, ::2, 2::3], PICTURES)
    agree(Pad((2, 0, 1), (0, 3, 1)), functional.pad(x, (1, 1, 0, 3, 2, 0)), PICTURES)
    agree(Flatten(), x.flatten(1), PICTURES)
    agree(Reshape((2, 14, 6)), x.reshape(3, 2, 14, 6), PICTURES)


EXAMPLES: Mapping[str, Op] = {
    "Input": Input((4, 7, 6)),
    "Linear": Linear(RNG.normal(size=(2, 3)), np.ones(2)),
    "Conv": Conv(KERNEL, np.ones(6), (2, 1), (0, 1, 2, 3), (1, 2), 2),
    "BatchNorm": BatchNorm(ONES, ONES, ONES, ONES, 1e-5),
    "AveragePool": AveragePool((2, 3), (2, 1), (0, 1, 1, 0), count_include_pad=True),
    "MaxPool": MaxPool((2, 3), (2, 1), (0, 1, 1, 0)),
    "GlobalAveragePool": GlobalAveragePool(keepdims=False),
    "Relu": Relu(),
    "Clip": Clip(0.0, 6.0),
    "LeakyRelu": LeakyRelu(0.1),
    "Tanh": Tanh(),
    "Sigmoid": Sigmoid(),
    "HardSigmoid": HardSigmoid(0.25, 0.75),
    "HardSwish": HardSwish(),
    "Identity": Identity(),
    "Softmax": Softmax(),
    "Add": Add(),
    "Mul": Mul(),
    "Flatten": Flatten(),
    "Reshape": Reshape((42, 4)),
    "Concat": Concat(),
    "Slice": Slice((0, 1, 0), (4, 7, 6), (2, 1, 1)),
    "Pad": Pad((0, 1, 1), (0, 2, 0)),
    "LeakyIntegrateFire": LeakyIntegrateFire(ONES / 2, ONES, "subtract", delay=True),
    "SynapticIntegrateFire": SynapticIntegrateFire(ONES / 4, ONES / 2, ONES, "hold", delay=True),
    "RecurrentLeakyIntegrateFire": RecurrentLeakyIntegrateFire(ONES / 2, ONES, np.eye(4) / 2, ONES / 8, "guarded"),
    "RecurrentSynapticIntegrateFire": RecurrentSynapticIntegrateFire(ONES / 4, ONES / 2, ONES, ONES / 3, 0 * ONES),
}


def around(op: Op) -> Graph:
    """A network of one operation."""
    if isinstance(op, Input):
        return Graph((Node("x", op),), ("x",))
    shape = (4,) if isinstance(op, Stateful) else (3,) if isinstance(op, Linear) else (4, 7, 6)
    inputs = ("x",) * (op.arity or 3)
    return Graph((Node("x", Input(shape)), Node("y", op, inputs)), ("y",))


@pytest.mark.parametrize("name", OPS)
def test_every_operation_survives_a_file(name: str) -> None:
    graph = around(EXAMPLES[name])
    structure, values = graph.pack()
    again = Graph.unpack(json.loads(json.dumps(structure, allow_nan=False)), values)
    assert type(again.nodes[-1].op) is OPS[name]
    assert again.digest() == graph.digest()
    assert again.shapes == graph.shapes
    if graph.spiking:
        trains = RNG.normal(size=(2, 9, *graph.input_shape))
        np.testing.assert_array_equal(run(again, trains), run(graph, trains))
    else:
        x = RNG.normal(size=(2, *graph.input_shape))
        np.testing.assert_array_equal(again.forward(x), graph.forward(x))


def test_the_digest_tells_every_operation_and_the_shape_of_a_kernel_from_others() -> None:
    lying, standing = (Conv(np.ones((1, 4, *taps)), np.zeros(1)) for taps in ((1, 4), (4, 1)))
    wide = Conv(np.ones((1, 4, 1, 4)), np.zeros(1), padding=(0, 1, 0, 0))
    graphs = [around(op) for op in (*EXAMPLES.values(), lying, standing, wide)]
    assert len({graph.digest() for graph in graphs}) == len(graphs)


def test_single_precision_becomes_double() -> None:
    conv = Conv(KERNEL.astype(np.float32), np.ones(6, np.float32))
    norm = BatchNorm(*(np.ones(4, np.float32),) * 4, 1e-5)
    arrays = (conv.weight, conv.bias, norm.scale, norm.shift, norm.mean, norm.variance)
    assert {array.dtype for array in arrays} == {np.dtype(np.float64)}


MISMATCHES: list[tuple[Op, tuple[tuple[int, ...], ...], str]] = [
    (Conv(KERNEL, np.ones(6)), ((3,),), "expected an input of shape (channels, height, width), found (3,)"),
    (Conv(KERNEL, np.ones(6)), ((4, 7, 6),), "expected an input of 2 channels, found 4 in shape (4, 7, 6)"),
    (
        Conv(KERNEL, np.ones(6), padding=(1, 0, 0, 0), dilation=(2, 1)),
        ((2, 3, 9),),
        "expected at least 5 x 2 pixels, padding included, found 4 x 9; give larger samples or a smaller kernel",
    ),
    (
        MaxPool((3, 3), (1, 1)),
        ((2, 3, 2),),
        "expected at least 3 x 3 pixels, padding included, found 3 x 2; give larger samples or a smaller kernel",
    ),
    (AveragePool((2, 2), (2, 2)), ((6,),), "expected an input of shape (channels, height, width), found (6,)"),
    (GlobalAveragePool(), ((6,),), "expected an input of shape (channels, height, width), found (6,)"),
    (EXAMPLES["BatchNorm"], ((3, 5, 5),), "expected an input of 4 channels, found 3 in shape (3, 5, 5)"),
    (
        Add(),
        ((4, 7, 6), (8, 7, 6)),
        (
            "expected two branches of one shape, found (4, 7, 6) and (8, 7, 6); "
            "bring the branches to one shape, for example by a convolution of 1 x 1 pixels"
        ),
    ),
    (
        Mul(),
        ((4, 7, 6), (4,)),
        (
            "expected factors of one shape, or a gate with 1 in its place, found (4, 7, 6) and (4,); "
            "give the gate the shape (channels, 1, 1)"
        ),
    ),
    (
        Mul(),
        ((4, 7, 6), (2, 1, 1)),
        (
            "expected factors of one shape, or a gate with 1 in its place, found (4, 7, 6) and (2, 1, 1); "
            "give the gate the shape (channels, 1, 1)"
        ),
    ),
    (
        Concat(),
        ((4, 7, 6), (4, 7, 5)),
        (
            "expected inputs that differ in their channels alone, found (4, 7, 6), (4, 7, 5); "
            "bring the branches to one height and width"
        ),
    ),
    (
        Slice((0, 2), (4, 8), (1, 1)),
        ((4, 7),),
        "expected a slice of at least one value within (4, 7), found (0, 2) to (4, 8); mend the slice",
    ),
    (
        Slice((2,), (2,), (1,)),
        ((4,),),
        "expected a slice of at least one value within (4,), found (2,) to (2,); mend the slice",
    ),
    (Pad((1,), (1,)), ((4, 7),), "expected an input of as many dimensions as the padding has, 1, found shape (4, 7)"),
]


@pytest.mark.parametrize(("op", "shapes", "message"), MISMATCHES, ids=range(len(MISMATCHES)))
def test_inputs_that_do_not_fit_are_refused(op: Op, shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        op.out_shape(*shapes)
    assert str(caught.value) == message


IMPOSSIBLE: list[tuple[Callable[[], Op], str]] = [
    (
        lambda: Conv(np.ones((2, 3)), np.ones(2)),
        (
            "Conv: expected a weight of shape [outputs, channels, height, width] and a bias of shape [outputs], "
            "found (2, 3) and (2,); use a two-dimensional convolution"
        ),
    ),
    (
        lambda: Conv(KERNEL, np.ones(6), groups=4),
        "Conv: expected a number of groups that divides the 6 outputs, found 4; mend the layer",
    ),
    (
        lambda: Conv(KERNEL, np.ones(6), stride=(0, 1)),
        "expected 2 numbers of at least 1 for the stride, found (0, 1); mend the layer",
    ),
    (
        lambda: Conv(KERNEL, np.ones(6), padding=(0, -1, 0, 0)),
        "expected 4 numbers of at least 0 for the padding, found (0, -1, 0, 0); mend the layer",
    ),
    (
        lambda: MaxPool((2, 3), (1, 1), (0, 0, 2, 0)),
        (
            "expected a padding smaller than the kernel (2, 3), found (0, 0, 2, 0); "
            "pad less, or pad in a layer of its own"
        ),
    ),
    (
        lambda: BatchNorm(ONES, ONES, ONES, np.ones(3), 0.0),
        (
            "BatchNorm: expected scale, shift, mean and variance of one shape [channels], "
            "found (4,), (4,), (4,), (3,); mend the arrays"
        ),
    ),
    (
        lambda: BatchNorm(ONES, ONES, ONES, np.array([1.0, -0.5, 1.0, 1.0]), 0.5),
        (
            "BatchNorm: expected variances above -epsilon = -0.5, found -0.5 in variance[1]; "
            "train or export the network again"
        ),
    ),
    (
        lambda: Clip(1.0, 0.5),
        "Clip: expected a lower limit of at most the upper one, found 1.0 and 0.5; exchange the limits",
    ),
    (
        lambda: Slice((0,), (4,), (0,)),
        "Slice: expected as many starts from 0 and steps from 1 as stops, found (0,), (0,) and (4,); mend the layer",
    ),
    (
        lambda: Pad((0,), (-1,)),
        (
            "Pad: expected as many zeros before as after, none of them negative, found (0,) and (-1,); "
            "cut with a slice instead of a negative padding"
        ),
    ),
]


@pytest.mark.parametrize(("make", "message"), IMPOSSIBLE, ids=range(len(IMPOSSIBLE)))
def test_operations_that_cannot_be_are_refused(make: Callable[[], Op], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        make()
    assert str(caught.value) == message
