"""From a spiking network to its populations: what is linear between two layers of neurons is one matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from math import prod
from typing import Any

import numpy as np
from scipy.sparse import csc_matrix

from ohmweave.errors import ModelError
from ohmweave.graph import Graph, Node
from ohmweave.ops import (
    Add,
    AveragePool,
    BatchNorm,
    Conv,
    GlobalAveragePool,
    Identity,
    Input,
    LeakyIntegrateFire,
    Linear,
    MaxPool,
    RecurrentLeakyIntegrateFire,
    Stateful,
)
from ohmweave.spiking.population import INPUTS, Population
from ohmweave.units import Array
from ohmweave.wiring import MOVING, stored

__all__ = ["populations"]

_LINEAR = (Add, AveragePool, BatchNorm, Conv, GlobalAveragePool, Identity, Linear, *MOVING)
# A dense matrix of a layer, 2 GiB in float64.
_MOST_WEIGHTS = 2**28
_REMEDIES: Mapping[type, str] = {
    MaxPool: "a maximum of spikes is no current: use average pooling, or a convolution with a stride",
}


def populations(graph: Graph) -> tuple[Population, ...]:
    """The layers of neurons of a network, in the order in which spikes pass them.

    Args:
        graph: with neurons; between them operations that are linear.

    Raises:
        ModelError: what cannot be mapped, by its layer.
    """
    names = [node.name for node in graph.nodes if isinstance(node.op, Stateful)]
    if not names:
        raise ModelError("expected a spiking network, found one without neurons", where="graph")
    _check_output(graph, names)
    return tuple(_population(graph, graph.node(name), names) for name in names)


def _check_output(graph: Graph, names: Sequence[str]) -> None:
    """The network's output is that of the last neurons, perhaps in another shape."""
    node = graph.node(graph.outputs[0])
    while isinstance(node.op, MOVING) and len(node.inputs) == 1:
        node = graph.node(node.inputs[0])
    if node.name != names[-1]:
        raise ModelError(
            f"expected the last layer's spikes to be the network's output, found {type(node.op).__name__}",
            where=f"layer {node.name!r}",
            remedy="end the network with its last layer of neurons",
        )


def _population(graph: Graph, node: Node, names: Sequence[str]) -> Population:
    where, op = f"layer {node.name!r}", node.op
    if not isinstance(op, LeakyIntegrateFire | RecurrentLeakyIntegrateFire):
        raise ModelError(
            f"expected neurons with one state, the membrane, found {type(op).__name__}",
            where=where,
            remedy="the circuits have no synaptic currents of their own: train with leaky neurons",
        )
    chain, source = _segment(graph, node)
    weight, bias = _matrix(graph, chain, source, node)
    threshold, beta = op.threshold.ravel(), op.beta.ravel()
    recurrent = None
    if isinstance(op, RecurrentLeakyIntegrateFire):
        bias = bias + op.bias.ravel()
        recurrent = _recurrent(op, threshold)
    weight.data = weight.data / np.repeat(threshold, np.diff(weight.indptr))
    # Above twice the threshold, which membranes do not reach on a chip, a guarded reset is another than subtraction.
    reset = "subtract" if op.reset == "guarded" else op.reset
    number = INPUTS if isinstance(graph.node(source).op, Input) else names.index(source)
    layers = (*(each.name for each in chain), node.name)
    shape = graph.shapes[node.name]
    return Population(node.name, layers, number, weight, bias / threshold, beta, reset, op.delay, recurrent, shape)


def _recurrent(op: RecurrentLeakyIntegrateFire, threshold: Array) -> csc_matrix:
    """Weights from the neurons to themselves in thresholds, [from, to]."""
    if op.weight.shape == op.threshold.shape:
        count = len(threshold)
        return csc_matrix((op.weight.ravel() / threshold, np.arange(count), np.arange(count + 1)), (count, count))
    return stored(op.weight.T / threshold)


def _segment(graph: Graph, node: Node) -> tuple[list[Node], str]:
    """The nodes between some neurons and the one source of their spikes, in the graph's order, and the source."""
    wanted, sources = set(node.inputs), set[str]()
    chain: list[Node] = []
    for each in reversed(graph.nodes):
        if each.name not in wanted:
            continue
        if isinstance(each.op, Stateful | Input):
            sources.add(each.name)
            continue
        if not isinstance(each.op, _LINEAR):
            raise ModelError(
                f"expected linear operations between layers of neurons, found {type(each.op).__name__}",
                where=f"layer {each.name!r}",
                remedy=_REMEDIES.get(type(each.op), "take it out: neurons are the only nonlinear part of the circuit"),
            )
        chain.append(each)
        wanted.update(each.inputs)
    if len(sources) != 1:
        raise ModelError(
            f"expected spikes of one layer, found those of {', '.join(map(repr, sorted(sources)))}",
            where=f"layer {node.name!r}",
            remedy="each layer answers one step after the one before it: spikes of several would come in other steps",
        )
    return chain[::-1], sources.pop()


def _matrix(graph: Graph, chain: Sequence[Node], source: str, node: Node) -> tuple[csc_matrix, Array]:
    """W transposed, [inputs, neurons], with an entry for every synapse, and the bias, [neurons]."""
    inputs, outputs = (prod(graph.shapes[name]) for name in (source, node.name))
    if inputs * outputs > _MOST_WEIGHTS:
        raise ModelError(
            f"expected at most {_MOST_WEIGHTS} pairs of input and neuron, found {inputs} x {outputs}",
            where=f"layer {node.name!r}",
            remedy="make the layer smaller",
        )
    at_rest = np.zeros((1, *graph.shapes[source]))
    each = np.eye(inputs).reshape(inputs, *graph.shapes[source])
    last = node.inputs[0]
    bias = _run(chain, source, at_rest, last).ravel()
    weight = _run(chain, source, each, last).reshape(inputs, outputs) - bias
    there = _run([_counted(part) for part in chain], source, each, last).reshape(inputs, outputs) != 0.0
    rows, cols = np.nonzero(there.T)[::-1]
    ends = np.concatenate([[0], np.cumsum(np.bincount(cols, minlength=outputs))])
    return csc_matrix((weight[rows, cols], rows, ends), (inputs, outputs)), bias


def _run(chain: Sequence[Node], source: str, x: Array, last: str) -> Array:
    values = {source: x}
    for node in chain:
        values[node.name] = node.op.forward(*(values[name] for name in node.inputs))
    return values[last]


def _counted(node: Node) -> Node:
    """The node with weights of one and no bias: what comes out is not zero where there is a synapse."""
    op: Any = node.op
    if isinstance(op, BatchNorm):
        return replace(node, op=Identity())
    named = {item.name for item in fields(op)}
    if "weight" not in named:
        return node
    return replace(node, op=replace(op, weight=np.ones_like(op.weight), bias=np.zeros_like(op.bias)))
