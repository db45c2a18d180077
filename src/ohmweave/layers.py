"""Which layers of a network make a stage of the chip, and which stay on the host."""

from collections.abc import Mapping, Sequence
from typing import Any

from ohmweave.errors import ModelError
from ohmweave.graph import Flatten, Graph, Identity, Linear, Node, Relu, Reshape, Sigmoid, Softmax, Tanh

__all__ = ["activation_kind", "split_stages"]

_ACTIVATIONS: Mapping[type[Any], str] = {Relu: "relu", Tanh: "tanh", Sigmoid: "sigmoid"}
_MAPPED: tuple[type[Any], ...] = (Linear, *_ACTIVATIONS, Flatten, Reshape, Identity, Softmax)


def activation_kind(stage: Sequence[Node]) -> str:
    """The name of a stage's activation; ``"through"`` where there is none."""
    return next((_ACTIVATIONS[type(node.op)] for node in stage if type(node.op) in _ACTIVATIONS), "through")


def split_stages(graph: Graph) -> tuple[list[list[Node]], list[Node]]:
    """Split a chain of layers into stages and what follows them on the host.

    Returns:
        The nodes of each stage, its weights first; and the nodes after the last one.

    Raises:
        ModelError: an operation without a circuit, a branch, an activation without weights, something
            after Softmax, no weights at all.
    """
    chains: list[list[Node]] = []
    host: list[Node] = []
    previous = graph.nodes[0].name
    for node in graph.nodes[1:]:
        _check_mapped(node)
        if node.inputs != (previous,):
            raise ModelError(
                f"expected a chain of layers, found one that reads {', '.join(node.inputs)} instead of {previous}",
                where=f"layer {node.name!r}",
                remedy="branches and sums cannot be mapped yet",
            )
        previous = node.name
        if host or isinstance(node.op, Softmax):
            host.append(_on_host(node, first=not host))
        elif isinstance(node.op, Linear):
            chains.append([node])
        elif type(node.op) in _ACTIVATIONS:
            _activated(chains, node).append(node)
        elif chains:
            chains[-1].append(node)
    while chains and isinstance(chains[-1][-1].op, Flatten | Reshape | Identity):
        # Nothing follows in the circuit that could take another shape.
        host.insert(0, chains[-1].pop())
    if not chains:
        raise ModelError("expected at least one Linear layer, found none", where="graph", remedy="give a perceptron")
    if graph.outputs != (previous,):
        raise ModelError(f"expected one output, the last layer {previous!r}, found {graph.outputs}", where="graph")
    return chains, host


def _check_mapped(node: Node) -> None:
    if not isinstance(node.op, _MAPPED):
        raise ModelError(
            f"expected an operation with a circuit ({', '.join(op.__name__ for op in _MAPPED)}), "
            f"found {type(node.op).__name__}",
            where=f"layer {node.name!r}",
            remedy="give a perceptron: convolutional networks can be read and run as software, but not mapped yet",
        )


def _on_host(node: Node, *, first: bool) -> Node:
    if not first and not isinstance(node.op, Identity | Flatten | Reshape):
        raise ModelError(
            f"expected nothing after Softmax, which stays on the host, found {type(node.op).__name__}",
            where=f"layer {node.name!r}",
            remedy="remove the Softmax or what follows it",
        )
    return node


def _activated(chains: list[list[Node]], node: Node) -> list[Node]:
    if not chains or any(type(other.op) in _ACTIVATIONS for other in chains[-1]):
        raise ModelError(
            f"expected weights (Linear) before {type(node.op).__name__}, found none",
            where=f"layer {node.name!r}",
            remedy="put a Linear layer before it",
        )
    return chains[-1]
