"""From a spiking network to its populations: what is linear between two layers of neurons is one matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from scipy.sparse import csc_matrix, diags_array, hstack

from ohmweave.errors import ModelError
from ohmweave.graph import Graph, Node
from ohmweave.layers import weighted_sums
from ohmweave.ops import (
    Add,
    AveragePool,
    BatchNorm,
    Conv,
    GlobalAveragePool,
    Input,
    LeakyIntegrateFire,
    Linear,
    MaxPool,
    RecurrentLeakyIntegrateFire,
    Stateful,
)
from ohmweave.spiking.population import INPUTS, Population
from ohmweave.units import Array
from ohmweave.wiring import GROUND, MOVING, Signals, move, stored, unroll_sums

__all__ = ["populations"]

_LINEAR = (Add, AveragePool, BatchNorm, Conv, GlobalAveragePool, Linear, *MOVING)
# Some 6 GiB at most, with all matrices of as many entries that are there at a time.
_MOST_SYNAPSES = 2**27
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


@dataclass(frozen=True, eq=False)
class _Sums:
    """Values as weighted sums of the source's spikes.

    Args:
        weight: [spikes, values].
        reach: paths from a spike to a value, [spikes, values]: every stored entry is a synapse, also where weights of
            several paths make nothing together.
        bias: [values].
    """

    weight: csc_matrix
    reach: csc_matrix
    bias: Array

    def then(self, rows: Signals, weights: csc_matrix, bias: Array) -> "_Sums":
        """Weighted sums of these values, by their numbers ``rows``."""
        ones = csc_matrix((np.ones(weights.nnz), weights.indices, weights.indptr), weights.shape)
        moved = self.bias[rows] @ weights + bias
        return _Sums(self.weight[:, rows] @ weights, self.reach[:, rows] @ ones, moved)

    def beside(self, others: "_Sums") -> "_Sums":
        """These values and others."""
        weight, reach = (
            hstack(pair, format="csc") for pair in ((self.weight, others.weight), (self.reach, others.reach))
        )
        return _Sums(weight, reach, np.concatenate([self.bias, others.bias]))


def _matrix(graph: Graph, chain: Sequence[Node], source: str, node: Node) -> tuple[csc_matrix, Array]:
    """W transposed, [inputs, neurons], with an entry for every synapse, and the bias, [neurons]."""
    inputs = prod(graph.shapes[source])
    # Value 0 is ground, the spikes follow.
    own = csc_matrix((np.ones(inputs), np.arange(inputs), np.concatenate([[0], np.arange(inputs + 1)])))
    sums = _Sums(own, own, np.zeros(1 + inputs))
    values: dict[str, Signals] = {source: np.arange(1, 1 + inputs).reshape(graph.shapes[source])}
    for each in chain:
        read = [values[name] for name in each.inputs]
        if isinstance(each.op, MOVING):
            values[each.name] = move(each.op, read)
            continue
        rows, weights, bias = _unrolled(each, read)
        first = len(sums.bias)
        sums = sums.beside(sums.then(rows, weights, bias))
        _require_few(each, sums.reach.nnz)
        values[each.name] = np.arange(first, first + len(bias)).reshape(graph.shapes[each.name])
    wanted = values[node.inputs[0]].ravel()
    return _kept(sums.weight[:, wanted], sums.reach[:, wanted]), sums.bias[wanted]


def _unrolled(node: Node, values: Sequence[Signals]) -> tuple[Signals, csc_matrix, Array]:
    """The weighted sums of an operation at all positions at once: signals of the rows, weights and biases."""
    op, uncounted = node.op, None
    if isinstance(op, AveragePool) and not op.count_include_pad:
        uncounted, node = op, replace(node, op=replace(op, count_include_pad=True))
    rows, weights, bias = weighted_sums(node, values)
    _require_few(node, len(rows) * weights.nnz)
    rows, weights, bias = unroll_sums(rows, weights, bias)
    if uncounted is not None:
        # Means of what is not padding.
        sums = np.asarray((rows[0] != GROUND).astype(np.float64) @ weights)
        weights = csc_matrix(weights @ diags_array(1.0 / sums))
    return rows[0], weights, bias


def _kept(weight: csc_matrix, reach: csc_matrix) -> csc_matrix:
    """Weights with an entry wherever ``reach`` has one."""
    # Sorted, an entry is found by bisection.
    weight.sort_indices()
    reach.sort_indices()
    columns = np.repeat(np.arange(reach.shape[1]), np.diff(reach.indptr))
    found = np.asarray(weight[reach.indices, columns]).ravel()
    return csc_matrix((found, reach.indices, reach.indptr), reach.shape)


def _require_few(node: Node, synapses: int) -> None:
    if synapses > _MOST_SYNAPSES:
        raise ModelError(
            f"expected at most {_MOST_SYNAPSES} synapses, found {synapses}",
            where=f"layer {node.name!r}",
            remedy="make the layer smaller",
        )
