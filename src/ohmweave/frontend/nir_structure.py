"""What a NIR file says, before what it means: nodes with their fields, edges between them, graphs in graphs opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.errors import ModelError
from ohmweave.units import Array

__all__ = ["Net", "NirNode", "parse", "refuse", "shown"]

Edge = tuple[str, str]
_LONGEST = 60
_MOST_EDGES = 100_000
_AGAIN = "write the NIR file again with nir.write"


@dataclass(frozen=True, eq=False)
class NirNode:
    """One node of a NIR graph.

    Args:
        name: its name, those of the graphs it lies in before it.
        kind: its type, such as ``LIF``.
        fields: arrays and texts by name, as the file has them.
        metadata: its own.
        where: place for messages.
    """

    name: str
    kind: str
    fields: Mapping[str, Any]
    metadata: Mapping[str, Any]
    where: str

    def error(self, message: str, remedy: str = "mend the graph and write it again") -> ModelError:
        """The error about this node."""
        return ModelError(message, where=self.where, remedy=remedy)

    def raw(self, field: str) -> NDArray[Any]:
        """A field as the file has it."""
        value = self.fields.get(field)
        if not isinstance(value, np.ndarray):
            raise self.error(f"expected numbers {field!r}, found {shown(value)}", _AGAIN)
        if value.dtype.kind not in "biuf" or not value.size:
            raise self.error(f"expected numbers {field!r}, found {value.dtype} of shape {value.shape}", _AGAIN)
        return value

    def numbers(self, field: str, default: float | None = None) -> Array:
        """A field as float64."""
        if default is not None and field not in self.fields:
            return np.asarray(default, dtype=np.float64)
        return np.asarray(self.raw(field), dtype=np.float64)

    def whole(self, field: str) -> tuple[int, ...]:
        """A field of whole numbers, one or a row of them."""
        values = np.atleast_1d(self.numbers(field))
        if values.ndim != 1 or not (np.isfinite(values) & (values == np.floor(values)) & (abs(values) < 2**31)).all():
            raise self.error(f"expected whole numbers {field!r}, found {shown(self.raw(field))}", _AGAIN)
        return tuple(int(value) for value in values)


@dataclass(frozen=True, eq=False)
class Net:
    """All nodes, and edges that each name two of them.

    Args:
        nodes: by name; exactly one Input and one Output.
        edges: from, to; none twice.
        metadata: of the whole graph.
        where: the file, for messages.
    """

    nodes: Mapping[str, NirNode]
    edges: tuple[Edge, ...]
    metadata: Mapping[str, Any]
    where: str

    def of_kind(self, kind: str) -> list[NirNode]:
        """Nodes of one type."""
        return [node for node in self.nodes.values() if node.kind == kind]


def shown(value: Any) -> str:
    """A value of a file in a few words of one line."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return "a group"
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"numbers of shape {value.shape}"
    text = repr(value.tolist() if isinstance(value, np.ndarray) else value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def refuse(where: str, message: str, remedy: str = _AGAIN) -> ModelError:
    """The error about a file or a place in it."""
    return ModelError(message, where=where, remedy=remedy)


def parse(tree: Mapping[str, Any], where: str) -> Net:
    """The nodes and edges of a file's contents.

    Args:
        tree: what the file holds.
        where: the file, for messages.

    Raises:
        ModelError: no graph in it, a node without a type, edges that are none, of unknown nodes or twice, or
            another number than one of inputs and outputs.
    """
    root = tree.get("node")
    found = root.get("type") if isinstance(root, Mapping) else None
    if not isinstance(root, Mapping) or not isinstance(found, str) or found != "NIRGraph":
        raise refuse(
            where, f"expected a NIR graph in the group 'node', found {shown(found)}", "write it with nir.write"
        )
    nodes, edges = _graph(root, "", where)
    nodes, edges = _through(nodes, edges)
    net = Net(nodes, tuple(edges), _mapping(root.get("metadata")), where)
    for kind in ("Input", "Output"):
        names = [node.name for node in net.of_kind(kind)]
        if len(names) != 1:
            found = ", ".join(map(repr, names)) or "none"
            raise refuse(where, f"expected one {kind} node, found {found}", "mend the graph and write it again")
    return net


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _graph(tree: Mapping[str, Any], prefix: str, where: str) -> tuple[dict[str, NirNode], list[Edge]]:
    """Nodes and edges of a graph and of the graphs in it, whose ends become Identity nodes."""
    place = f"{where}: graph {prefix[:-1]!r}" if prefix else where
    children = tree.get("nodes")
    if not isinstance(children, Mapping):
        raise refuse(place, "expected a group 'nodes', found none")
    nodes: dict[str, NirNode] = {}
    outer, inner_edges = _edges(tree.get("edges"), children, prefix, place), list[Edge]()
    ends: dict[str, tuple[str, ...]] = {}
    for name, child in children.items():
        full = prefix + name
        spot = f"{where}: node {shown(full)}"
        kind = child.get("type") if isinstance(child, Mapping) else None
        if not isinstance(kind, str):
            raise refuse(spot, f"expected a node with a type, found {shown(kind)}")
        if kind != "NIRGraph":
            _add(nodes, {full: NirNode(full, kind, child, _mapping(child.get("metadata")), spot)}, where)
            continue
        inner, edges = _graph(child, f"{full}.", where)
        inner_edges += edges
        ends[full] = tuple(_end(inner, kind, spot) for kind in ("Input", "Output"))
        for end in ends[full]:
            inner[end] = NirNode(end, "Identity", {}, {}, spot)
        _add(nodes, inner, where)
    return nodes, [(ends[a][1] if a in ends else a, ends[b][0] if b in ends else b) for a, b in outer] + inner_edges


def _add(nodes: dict[str, NirNode], more: Mapping[str, NirNode], where: str) -> None:
    """Further nodes; a name with a dot may be that of a node in a graph."""
    for name in more:
        if name in nodes:
            raise refuse(where, f"expected each name once, found {shown(name)} twice", "rename the node")
    nodes |= more


def _end(nodes: Mapping[str, NirNode], kind: str, where: str) -> str:
    """The one Input or Output of a graph within a graph."""
    ends = [node.name for node in nodes.values() if node.kind == kind]
    if len(ends) != 1:
        raise refuse(where, f"expected one {kind} node in it, found {', '.join(map(repr, ends)) or 'none'}")
    return ends[0]


def _edges(value: Any, nodes: Mapping[str, Any], prefix: str, where: str) -> list[Edge]:
    if isinstance(value, np.ndarray) and value.size == 0:
        return []
    if not isinstance(value, list) or any(not isinstance(edge, list) or len(edge) != 2 for edge in value):
        raise refuse(where, "expected edges as pairs of names, found something else")
    edges: dict[Edge, None] = {}
    for a, b in value:
        for end in (a, b):
            if not isinstance(end, str) or end not in nodes:
                raise refuse(
                    where, f"expected edges between nodes, found ({shown(a)}, {shown(b)}), but there is no {shown(end)}"
                )
        edge = (prefix + a, prefix + b)
        if edge in edges:
            raise refuse(where, f"expected each edge once, found ({a!r}, {b!r}) twice")
        edges[edge] = None
    return list(edges)


def _through(nodes: dict[str, NirNode], edges: Sequence[Edge]) -> tuple[dict[str, NirNode], list[Edge]]:
    """Without Identity nodes: what led to one leads to where it led."""
    kept = dict.fromkeys(edges)
    sources: dict[str, dict[str, None]] = {name: {} for name in nodes}
    readers: dict[str, dict[str, None]] = {name: {} for name in nodes}
    for a, b in kept:
        sources[b][a] = readers[a][b] = None
    made = len(kept)
    for node in [node for node in nodes.values() if node.kind == "Identity"]:
        name = node.name
        before, after = ([end for end in ends[name] if end != name] for ends in (sources, readers))
        if not before or not after:
            raise node.error(f"expected edges to and from {name!r}, found none on one side")
        made += len(before) * len(after)
        if made > _MOST_EDGES:
            raise node.error(f"expected at most {_MOST_EDGES} edges, found more through {name!r}")
        for a in before:
            del kept[a, name], readers[a][name]
        for b in after:
            del kept[name, b], sources[b][name]
        kept.pop((name, name), None)
        for a, b in product(before, after):
            kept[a, b] = sources[b][a] = readers[a][b] = None
        del nodes[name]
    return nodes, list(kept)
