"""Networks as executable graphs: nodes, their order and the reference forward pass."""

import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ohmweave.errors import DataError, ModelError
from ohmweave.ops import (
    OPS,
    Flatten,
    Identity,
    Input,
    Linear,
    Op,
    Relu,
    Reshape,
    Shape,
    Sigmoid,
    Softmax,
    Stateful,
    Tanh,
)
from ohmweave.units import Array

__all__ = [
    "OPS",
    "Flatten",
    "Graph",
    "Identity",
    "Input",
    "Linear",
    "Node",
    "Op",
    "Relu",
    "Reshape",
    "Shape",
    "Sigmoid",
    "Softmax",
    "Tanh",
]

# Values of the largest layer computed at a time, 64 MiB of them: a whole test set of pictures fits no memory.
_MOST_VALUES = 2**23


@dataclass(frozen=True)
class Node:
    """One operation, its name in the user's network, and the names of the nodes it reads."""

    name: str
    op: Op
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Graph:
    """A network in topological order; its one Input node comes first.

    Raises:
        ModelError: a name used twice or before its definition, shapes that do not fit, or a weight
            that is not finite; each names the layer.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, Shape] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", _check(self.nodes, self.outputs))

    @property
    def input_shape(self) -> Shape:
        """Shape of one input sample."""
        return self.shapes[self.nodes[0].name]

    @property
    def spiking(self) -> bool:
        """Whether any layer has a memory, so that the network runs on trains (:mod:`ohmweave.temporal`)."""
        return any(isinstance(node.op, Stateful) for node in self.nodes)

    def node(self, name: str) -> Node:
        """The node called ``name``."""
        return next(node for node in self.nodes if node.name == name)

    def forward(self, x: Array) -> Array:
        """The network's ideal output.

        Args:
            x: inputs [samples, ...]; any shape with as many values a sample as the input.

        Returns:
            The first output, float64 [samples, ...].
        """
        wanted = self.outputs[0]
        parts = [values[wanted] for _, values in self.trace_parts(x, {wanted})]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def trace_parts(self, x: Array, names: Collection[str]) -> Iterator[tuple[slice, dict[str, Array]]]:
        """The ideal values of some nodes, a part of the samples at a time.

        Args:
            x: inputs, as in :meth:`forward`.
            names: the nodes.

        Yields:
            Which samples, and their values by name.
        """
        samples = self.fit(x)
        step = max(1, _MOST_VALUES // max(math.prod(shape) for shape in self.shapes.values()))
        for first in range(0, len(samples), step):
            part = slice(first, first + step)
            yield part, self._values(samples[part], names)

    def trace(self, x: Array) -> dict[str, Array]:
        """The ideal value of every node, by name; ``x`` as in :meth:`forward`."""
        return self._values(self.fit(x), self.shapes)

    def _values(self, samples: Array, wanted: Collection[str]) -> dict[str, Array]:
        """The values of the wanted nodes; every other one is let go once its last reader has run."""
        if self.spiking:
            raise ModelError(
                "expected a network without memory, found spiking neurons",
                where="graph",
                remedy="run it on spike trains with ohmweave.temporal.run",
            )
        last = {name: reader for reader in self.nodes for name in reader.inputs}
        values: dict[str, Array] = {}
        for node in self.nodes:
            arguments = [values[name] for name in node.inputs] or [samples]
            values[node.name] = node.op.forward(*arguments)
            for name in (*dict.fromkeys(node.inputs), node.name):
                if name not in wanted and last.get(name, node) is node:
                    del values[name]
        return values

    def fit(self, x: Array) -> Array:
        """Bring samples into the input's shape, float64.

        Raises:
            DataError: another number of values a sample, or values that are not finite.
        """
        x = self.shaped(x)
        bad = np.argwhere(~np.isfinite(x.reshape(len(x), -1)))
        if len(bad):
            raise DataError(
                f"expected finite values, found {x.reshape(len(x), -1)[tuple(bad[0])]} "
                f"at sample {bad[0][0]}, feature {bad[0][1]}",
                where="data",
                remedy="clean the data",
            )
        return x

    def shaped(self, x: Array) -> Array:
        """Bring samples into the input's shape, float64, whatever their values are.

        Raises:
            DataError: no samples, or another number of values a sample.
        """
        x = np.asarray(x, dtype=np.float64)
        values = int(np.prod(self.input_shape))
        if len(x.shape) > 0 and len(x) == 0:
            raise DataError("expected at least one sample, found none", where="data", remedy="give samples")
        if x.ndim < 2 or int(np.prod(x.shape[1:])) != values:
            raise DataError(
                f"expected samples of shape {self.input_shape} ({values} values), found {x.shape[1:]}",
                where="data",
                remedy="give data that fits the network's input",
            )
        return x.reshape(len(x), *self.input_shape)

    def digest(self) -> str:
        """Content hash of structure and weights."""
        structure, arrays = self.pack()
        state = hashlib.sha256(json.dumps(structure, sort_keys=True).encode())
        for name in sorted(arrays):
            # The shape counts: a kernel of 1 x 4 taps is not one of 4 x 1 with the same numbers.
            state.update(f"{name} {arrays[name].shape}".encode())
            # As it lies in memory: large networks have weights of which no copy is wanted.
            state.update(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data)
        return state.hexdigest()

    def pack(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Split into a JSON-ready structure and named float64 arrays; :meth:`unpack` is the inverse."""
        arrays: dict[str, Array] = {}
        nodes = []
        for node in self.nodes:
            attributes: dict[str, Any] = {}
            for item in fields(node.op):  # type: ignore[arg-type]
                value = getattr(node.op, item.name)
                if isinstance(value, np.ndarray):
                    arrays[f"{node.name}.{item.name}"] = value
                else:
                    attributes[item.name] = value
            nodes.append(
                {"name": node.name, "op": type(node.op).__name__, "inputs": list(node.inputs), "attributes": attributes}
            )
        return {"nodes": nodes, "outputs": list(self.outputs)}, arrays

    @staticmethod
    def unpack(structure: Mapping[str, Any], arrays: Mapping[str, Array]) -> "Graph":
        """Rebuild a graph from what :meth:`pack` returned."""
        nodes = []
        for entry in structure["nodes"]:
            kind = OPS.get(entry["op"])
            if kind is None:
                raise ModelError(f"expected one of {', '.join(OPS)}, found op {entry['op']!r}", where=entry["name"])
            attributes = {k: tuple(v) if isinstance(v, list) else v for k, v in entry["attributes"].items()}
            for item in fields(kind):
                if f"{entry['name']}.{item.name}" in arrays:
                    attributes[item.name] = np.asarray(arrays[f"{entry['name']}.{item.name}"], dtype=np.float64)
            nodes.append(Node(entry["name"], kind(**attributes), tuple(entry["inputs"])))
        return Graph(tuple(nodes), tuple(structure["outputs"]))


def _check(nodes: tuple[Node, ...], outputs: tuple[str, ...]) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    if not nodes or not isinstance(nodes[0].op, Input):
        raise ModelError("expected the network to begin with its input", where="graph")
    for node in nodes:
        _check_place(node, shapes)
        _check_finite(node)
        try:
            shapes[node.name] = node.op.out_shape(*(shapes[name] for name in node.inputs))
        except ModelError as error:
            raise ModelError(error.message, where=f"layer {node.name!r}", remedy=error.remedy) from error
    for name in outputs:
        if name not in shapes:
            raise ModelError(f"output {name!r} is made by no layer", where="graph")
    return shapes


def _check_place(node: Node, earlier: Collection[str]) -> None:
    where = f"layer {node.name!r}"
    if node.name in earlier:
        raise ModelError("this name is used twice", where=where, remedy="give each layer its own name")
    if earlier and isinstance(node.op, Input):
        raise ModelError("expected one input of the network, found a second", where=where, remedy="mend the graph")
    arity = node.op.arity
    if len(node.inputs) != arity and (arity is not None or not node.inputs):
        wanted = "one input or more" if arity is None else ("no input", "one input", "two inputs")[arity]
        raise ModelError(f"expected {wanted}, found {len(node.inputs)}", where=where, remedy="mend the graph")
    unknown = [name for name in node.inputs if name not in earlier]
    if unknown:
        # This is also what a cycle comes to: one of its layers reads a later one.
        raise ModelError(f"reads {unknown[0]!r}, which no earlier layer makes", where=where)


def _check_finite(node: Node) -> None:
    for item in fields(node.op):  # type: ignore[arg-type]
        value = getattr(node.op, item.name)
        if not isinstance(value, np.ndarray | float):
            continue
        values = np.asarray(value)
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            index = tuple(int(i) for i in bad[0])
            place = f"{item.name}{list(index)} ({len(bad)} in all)" if index else item.name
            raise ModelError(
                f"expected finite values, found {values[index]} in {place}",
                where=f"layer {node.name!r}",
                remedy="train or export the network again",
            )
