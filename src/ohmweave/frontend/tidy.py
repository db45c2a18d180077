"""Graphs as they were watched to graphs as they are meant: nothing dead, no identities, normalisations folded."""

from dataclasses import replace

import numpy as np

from ohmweave.graph import Graph, Node
from ohmweave.ops import BatchNorm, Conv, Identity, Linear

__all__ = ["tidy"]


def tidy(graph: Graph) -> Graph:
    """What the output depends on, batch normalisations folded into weights that nobody else reads."""
    wanted, live = set(graph.outputs), list[Node]()
    for node in reversed(graph.nodes):
        if node.name in wanted:
            wanted.update(node.inputs)
            live.insert(0, node)
    # Identities first: then every reader is known by what it really reads.
    nodes, names = dict[str, Node](), dict[str, str]()
    for node in live:
        sources = tuple(names[name] for name in node.inputs)
        names[node.name] = sources[0] if isinstance(node.op, Identity) else node.name
        if not isinstance(node.op, Identity):
            nodes[node.name] = Node(node.name, node.op, sources)
    outputs = tuple(names[name] for name in graph.outputs)
    for name in list(nodes):
        nodes, outputs = _without(nodes[name], nodes, outputs)
    return Graph(tuple(nodes.values()), outputs)


def _without(norm: Node, nodes: dict[str, Node], outputs: tuple[str, ...]) -> tuple[dict[str, Node], tuple[str, ...]]:
    """The nodes with a batch normalisation folded into the layer before it, where it is one and can be."""
    before = nodes[norm.inputs[0]] if norm.inputs else norm
    readers = sum(before.name in node.inputs for node in nodes.values()) + (before.name in outputs)
    if not isinstance(norm.op, BatchNorm) or not isinstance(before.op, Linear | Conv) or readers > 1:
        return nodes, outputs

    def named(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(before.name if name == norm.name else name for name in names)

    folded = {before.name: _fold(before.op, norm.op)}
    kept = (
        Node(node.name, folded.get(node.name, node.op), named(node.inputs))
        for node in nodes.values()
        if node.name != norm.name
    )
    return {node.name: node for node in kept}, named(outputs)


def _fold(layer: Linear | Conv, norm: BatchNorm) -> Linear | Conv:
    """W' = f W and b' = f (b - mean) + shift with f = scale / sqrt(variance + epsilon), channel by channel."""
    factor = norm.scale / np.sqrt(norm.variance + norm.epsilon)
    weight = layer.weight * factor.reshape(-1, *[1] * (layer.weight.ndim - 1))
    return replace(layer, weight=weight, bias=factor * (layer.bias - norm.mean) + norm.shift)
