"""From a network's operations to the layers of a chip.

A layer is what one stage of the chip does at every position of its input: a crossbar with an activation
(``array``), a maximum or a product. Convolutions, dense layers, average pools, residual sums and batch
normalisations are all weighted sums, hence arrays; what only moves values is wiring
(:mod:`ohmweave.wiring`) and makes no layer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csc_matrix

from ohmweave.errors import ModelError
from ohmweave.graph import Graph, Linear, Node, Relu, Sigmoid, Softmax, Tanh
from ohmweave.ops import (
    Add,
    AveragePool,
    BatchNorm,
    Clip,
    Conv,
    GlobalAveragePool,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    MaxPool,
    Mul,
)
from ohmweave.ops.window import Window
from ohmweave.units import Array
from ohmweave.wiring import GROUND, MOVING, Signals, blocks, by_channel, move, stored, unroll_sums, windows

__all__ = ["Layer", "Lowered", "WeightedSums", "lower", "weighted_sums"]

# Each with its parameters in the network's units, in the order its circuit takes them.
_ACTIVATIONS: Mapping[type[Any], Callable[[Any], tuple[str, tuple[float, ...]]]] = {
    Relu: lambda op: ("relu", ()),
    Tanh: lambda op: ("tanh", ()),
    Sigmoid: lambda op: ("sigmoid", ()),
    Clip: lambda op: ("clip", (float(op.low), float(op.high))),
    HardSigmoid: lambda op: ("clip", (0.0, 1.0)),
    LeakyRelu: lambda op: ("leaky_relu", (float(op.slope),)),
    HardSwish: lambda op: ("hard_swish", ()),
}


@dataclass(frozen=True, eq=False)
class WeightedSums:
    """What an array computes, y = x W + b.

    Args:
        weights: W, [inputs, outputs]; every stored entry is a device, also a zero.
        bias: b, [outputs].
    """

    weights: csc_matrix
    bias: Array


# No signal: a maximum leaves its own padding out, whereas zeros of a layer before it are ground and count.
_OUTSIDE = -1
_NO_SUMS = WeightedSums(csc_matrix((0, 0)), np.zeros(0))


@dataclass(frozen=True, eq=False)
class Layer:
    """What one stage does, the same at every position.

    Args:
        kind: ``"array"`` (weights, then the activation), ``"maximum"`` or ``"product"`` of its inputs.
        nodes: the network's nodes that it realises, the last one's value being its own.
        source: signals of its inputs at every position, [positions, inputs].
        outputs: number of outputs at a position; of all values, output o at position p is number
            p outputs + o.
        first: number of its first signal.
        sums: of an array, its weights.
        activation: name of the activation; ``"through"`` where there is none.
        parameters: the activation's, network units.
    """

    kind: str
    nodes: tuple[str, ...]
    source: Signals
    outputs: int
    first: int
    sums: WeightedSums = _NO_SUMS
    activation: str = "through"
    parameters: tuple[float, ...] = ()

    @property
    def positions(self) -> int:
        """How often the stage is there, or runs."""
        return len(self.source)

    @property
    def signals(self) -> Signals:
        """Numbers of all its outputs, in the order of its value: outputs first, then positions."""
        numbers = self.first + np.arange(self.outputs * self.positions)
        return numbers.reshape(self.positions, self.outputs).T.ravel()


@dataclass(frozen=True, eq=False)
class Lowered:
    """A network as layers.

    Args:
        layers: in the order signals pass them.
        output: signals of the value that the host takes up, in its shape.
        host: names of the nodes after that.
    """

    layers: tuple[Layer, ...]
    output: Signals
    host: tuple[str, ...]

    def owners(self, signals: Signals) -> Signals:
        """Who makes each signal: 0 for the network's input, 1 and on for the layers, -1 for ground."""
        found = np.searchsorted([layer.first for layer in self.layers], signals, side="right")
        return np.asarray(np.where(signals == GROUND, -1, found))


def lower(graph: Graph, *, unrolled: bool, fold: bool) -> Lowered:
    """Say which layers a network needs and how they are wired.

    Args:
        graph: the network.
        unrolled: arrays for all positions at once, as in a chip without sampling, instead of one that is
            used for every position.
        fold: fold batch normalisations into the weights before them, where there are any.

    Raises:
        ModelError: an operation without a circuit, or a network without any.
    """
    work = _Lowering(graph, unrolled=unrolled, fold=fold)
    for node in graph.nodes[1:]:
        work.add(node)
    return work.finish()


class _Lowering:
    """The layers so far and the signals of every node's value."""

    def __init__(self, graph: Graph, *, unrolled: bool, fold: bool) -> None:
        self.graph, self.unrolled, self.fold = graph, unrolled, fold
        self.layers: list[Layer] = []
        self.host: list[str] = []
        self.readers = [name for node in graph.nodes for name in node.inputs] + list(graph.outputs)
        count = int(np.prod(graph.input_shape))
        self.next = 1 + count
        self.values = {graph.nodes[0].name: np.arange(1, 1 + count).reshape(graph.input_shape)}

    def add(self, node: Node) -> None:
        """Lower one node."""
        op = node.op
        if self.host or isinstance(op, Softmax):
            self.host.append(self._on_host(node))
        elif isinstance(op, MOVING):
            self.values[node.name] = move(op, [self.values[name] for name in node.inputs])
        elif type(op) in _ACTIVATIONS:
            self._activate(node)
        elif isinstance(op, BatchNorm) and self.fold and (layer := self._whole(node)) is not None:
            self._scale(layer, node, *_affine(op))
        elif type(op) in _ARRAYS:
            self._array(node, *weighted_sums(node, [self.values[name] for name in node.inputs]))
        elif isinstance(op, MaxPool):
            self._maximum(node, op)
        elif isinstance(op, Mul):
            pairs = np.stack([s.ravel() for s in np.broadcast_arrays(*(self.values[n] for n in node.inputs))], axis=1)
            self._put(node, Layer("product", (node.name,), pairs, 1, self.next))
        else:
            known = [kind.__name__ for kind in (*_ARRAYS, *_ACTIVATIONS, *MOVING, MaxPool, Mul, Softmax)]
            raise ModelError(
                f"expected an operation with a circuit ({', '.join(sorted(known))}), found {type(op).__name__}",
                where=f"layer {node.name!r}",
                remedy="replace it in the network",
            )

    def finish(self) -> Lowered:
        """All layers, once every node was added."""
        if not self.layers:
            raise ModelError(
                "expected at least one layer with a circuit, found none", where="graph", remedy="give a network"
            )
        last = self.graph.node(self.host[0]).inputs[0] if self.host else self.graph.outputs[0]
        wanted = (self.host[-1],) if self.host else (self.graph.nodes[-1].name,)
        if self.graph.outputs != wanted:
            raise ModelError(
                f"expected one output, the last layer {wanted[0]!r}, found {self.graph.outputs}", where="graph"
            )
        output = self.values[last]
        if not np.isin(output, self.layers[-1].signals).all():
            raise ModelError(
                "expected an output that the last layer makes, found values of others in it",
                where=f"layer {last!r}",
                remedy="end the network with one layer",
            )
        return Lowered(tuple(self.layers), output, tuple(self.host))

    def _put(self, node: Node, layer: Layer) -> None:
        self.layers.append(layer)
        self.next += layer.outputs * layer.positions
        self.values[node.name] = layer.signals.reshape(self.graph.shapes[node.name])

    def _array(self, node: Node, source: Signals, weights: csc_matrix, bias: Array) -> None:
        if self.unrolled:
            source, weights, bias = unroll_sums(source, weights, bias)
        self._put(node, Layer("array", (node.name,), source, len(bias), self.next, WeightedSums(weights, bias)))

    def _maximum(self, node: Node, op: MaxPool) -> None:
        seen = _filled(self.values[node.inputs[0]], op)
        if seen.shape[1] == 1:
            # The largest of one value is that value.
            self.values[node.name] = seen.reshape(self.graph.shapes[node.name])
        else:
            self._put(node, Layer("maximum", (node.name,), seen, 1, self.next))

    def _activate(self, node: Node) -> None:
        layer = self._whole(node)
        if layer is None:
            value = self.values[node.inputs[0]]
            self._array(node, by_channel(_channels(value)), *_ones(len(_channels(value))))
            layer = self.layers[-1]
        if isinstance(node.op, HardSigmoid):
            channels = layer.outputs
            layer = _scaled(layer, np.full(channels, node.op.alpha), np.full(channels, node.op.beta))
        kind, parameters = _ACTIVATIONS[type(node.op)](node.op)
        nodes = layer.nodes if layer.nodes[-1] == node.name else (*layer.nodes, node.name)
        self._replace(node, replace(layer, nodes=nodes, activation=kind, parameters=parameters))

    def _scale(self, layer: Layer, node: Node, factor: Array, shift: Array) -> None:
        # Of an unrolled layer each channel has many outputs.
        each = layer.outputs // len(factor)
        scaled = _scaled(layer, np.repeat(factor, each), np.repeat(shift, each))
        self._replace(node, replace(scaled, nodes=(*layer.nodes, node.name)))

    def _replace(self, node: Node, layer: Layer) -> None:
        self.layers[self._maker(layer.first)] = layer
        self.values[node.name] = layer.signals.reshape(self.graph.shapes[node.name])

    def _maker(self, signal: int) -> int:
        """Number of the layer that makes a signal; -1 for an input of the network, or ground."""
        return int(np.searchsorted([layer.first for layer in self.layers], signal, side="right")) - 1

    def _whole(self, node: Node) -> Layer | None:
        """The layer before, if it is an array without activation whose whole value this node alone reads."""
        value = self.values[node.inputs[0]]
        maker = self._maker(int(value.flat[0]))
        layer = self.layers[maker] if maker >= 0 else None
        if layer is None or layer.kind != "array" or layer.activation != "through":
            return None
        channels = self.graph.shapes[node.inputs[0]][0]
        fits = not isinstance(node.op, BatchNorm) or layer.outputs % channels == 0
        same = np.array_equal(value.ravel(), layer.signals)
        return layer if fits and same and self._alone(node, layer.nodes[-1]) else None

    def _alone(self, node: Node, source: str) -> bool:
        """Whether nobody else reads what lies between a node and an earlier one, all of it moving operations."""
        while self.readers.count(node.inputs[0]) == 1 == len(node.inputs):
            if node.inputs[0] == source:
                return True
            node = self.graph.node(node.inputs[0])
        return False

    def _on_host(self, node: Node) -> str:
        if self.host and not (isinstance(node.op, MOVING) and node.inputs == (self.host[-1],)):
            raise ModelError(
                f"expected nothing after Softmax, which stays on the host, found {type(node.op).__name__}",
                where=f"layer {node.name!r}",
                remedy="remove the Softmax or what follows it",
            )
        return node.name


_Parts = tuple[Signals, csc_matrix, Array]


def weighted_sums(node: Node, values: Sequence[Signals]) -> _Parts:
    """What an operation of weighted sums is at every position.

    Args:
        node: one of Linear, Conv, AveragePool, GlobalAveragePool, Add, BatchNorm.
        values: the signals of its inputs, each in the shape of one sample.

    Returns:
        Signals of its inputs, [positions, inputs]; weights, [inputs, outputs]; biases, [outputs].

    Raises:
        ModelError: an operation whose weights differ from position to position.
    """
    try:
        return _ARRAYS[type(node.op)](node.op, *values)
    except ModelError as error:
        raise ModelError(error.message, where=f"layer {node.name!r}", remedy=error.remedy) from error


def _channels(value: Signals) -> Signals:
    return value if value.ndim > 1 else value[:, None]


def _ones(channels: int) -> tuple[csc_matrix, Array]:
    return blocks(np.ones((channels, 1))), np.zeros(channels)


def _scaled(layer: Layer, factor: Array, shift: Array) -> Layer:
    """The layer whose sums are factor times as large, plus shift, [outputs] each."""
    sums = layer.sums
    weights = sums.weights.copy()
    weights.data = weights.data * np.repeat(factor, np.diff(weights.indptr))
    return replace(layer, sums=WeightedSums(weights, sums.bias * factor + shift))


def _affine(op: BatchNorm) -> tuple[Array, Array]:
    factor = op.scale / np.sqrt(op.variance + op.epsilon)
    return factor, op.shift - op.mean * factor


def _linear(op: Linear, value: Signals) -> _Parts:
    return value.reshape(1, -1), stored(op.weight.T), op.bias


def _conv(op: Conv, value: Signals) -> _Parts:
    seen = windows(value, op.window())
    places = seen.shape[1] * seen.shape[2]
    if op.groups == 1:
        # Channels side by side, as the layer before leaves them.
        return seen.transpose(1, 2, 3, 4, 0).reshape(places, -1), stored(_flat_taps(op)), op.bias
    source = seen.transpose(1, 2, 0, 3, 4).reshape(places, -1)
    outputs, taps = len(op.weight), op.weight[0].size
    first = np.arange(outputs) // (outputs // op.groups) * taps
    indices = (first[:, None] + np.arange(taps)).ravel()
    pointers = np.arange(0, outputs * taps + 1, taps)
    return source, csc_matrix((op.weight.ravel(), indices, pointers), (source.shape[1], outputs)), op.bias


def _flat_taps(op: Conv) -> Array:
    return op.weight.transpose(2, 3, 1, 0).reshape(-1, len(op.weight))


def _pool(op: AveragePool, value: Signals) -> _Parts:
    if any(op.padding) and not op.count_include_pad:
        raise ModelError(
            "expected an average over whole windows, found one that leaves the padding out of its count",
            remedy="set count_include_pad, or pad with zeros in a layer of its own",
        )
    return _mean(value, op.window())


def _global(_: GlobalAveragePool, value: Signals) -> _Parts:
    down, across = value.shape[1:]
    return _mean(value, Window((down, across), (1, 1), (0, 0, 0, 0)))


def _mean(value: Signals, window: Window) -> _Parts:
    seen = windows(value, window)
    channels, taps = len(seen), seen.shape[3] * seen.shape[4]
    source = seen.transpose(1, 2, 0, 3, 4).reshape(-1, channels * taps)
    return source, blocks(np.full((channels, taps), 1.0 / taps)), np.zeros(channels)


def _add(_: Add, a: Signals, b: Signals) -> _Parts:
    both = np.stack([_channels(a), _channels(b)], axis=1)
    source = both.reshape(2 * len(a), -1).T
    return source, blocks(np.ones((len(a), 2))), np.zeros(len(a))


def _normalise(op: BatchNorm, value: Signals) -> _Parts:
    factor, shift = _affine(op)
    return by_channel(_channels(value)), blocks(factor[:, None]), shift


def _filled(value: Signals, op: MaxPool) -> Signals:
    """Windows of a maximum, [channels positions, taps]: padding never wins, so a real pixel stands in for it."""
    seen = windows(value, op.window(), fill=_OUTSIDE).reshape(-1, int(np.prod(op.kernel)))
    real = np.argmax(seen != _OUTSIDE, axis=1)
    return np.where(seen == _OUTSIDE, seen[np.arange(len(seen)), real][:, None], seen)


_ARRAYS: Mapping[type[Any], Callable[..., _Parts]] = {
    Linear: _linear,
    Conv: _conv,
    AveragePool: _pool,
    GlobalAveragePool: _global,
    Add: _add,
    BatchNorm: _normalise,
}
