"""Networks as executable graphs: nodes, operations and the reference forward pass."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import numpy as np

from ohmweave.errors import DataError, ModelError
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
    "Sigmoid",
    "Softmax",
    "Tanh",
]

Shape = tuple[int, ...]


class Op(Protocol):
    """An operation on batches; shapes leave the batch dimension out."""

    def out_shape(self, *inputs: Shape) -> Shape:
        """Shape of one sample's result; raises ModelError where the inputs do not fit."""
        ...

    def forward(self, *inputs: Array) -> Array:
        """The ideal result, float64 [samples, ...]."""
        ...


@dataclass(frozen=True)
class Input:
    """The network's input, one sample of ``shape``."""

    shape: Shape

    def out_shape(self, *inputs: Shape) -> Shape:
        """The declared shape."""
        return self.shape

    def forward(self, *inputs: Array) -> Array:
        """Pass the samples on."""
        return inputs[0]


@dataclass(frozen=True, eq=False)
class Linear:
    """y = W x + b.

    W: weight, shape [outputs, inputs]; b: bias, shape [outputs].
    """

    weight: Array
    bias: Array

    def __post_init__(self) -> None:
        # Networks come in single precision; what is mapped and hashed from them is double.
        for name in ("weight", "bias"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise ModelError(
                f"expected a weight of shape [outputs, inputs] and a bias of shape [outputs], "
                f"found {self.weight.shape} and {self.bias.shape}",
                where="Linear",
                remedy="mend the arrays",
            )

    def out_shape(self, *inputs: Shape) -> Shape:
        """[outputs], where the input has as many features as W has columns."""
        (shape,) = inputs
        if len(shape) != 1 or shape[0] != self.weight.shape[1]:
            raise ModelError(f"expected an input of shape ({self.weight.shape[1]},), found {shape}")
        return (self.weight.shape[0],)

    def forward(self, *inputs: Array) -> Array:
        """W x + b."""
        return inputs[0] @ self.weight.T + self.bias


class _Elementwise:
    """An operation that keeps its input's shape."""

    def out_shape(self, *inputs: Shape) -> Shape:
        """The input's shape."""
        return inputs[0]


@dataclass(frozen=True)
class Relu(_Elementwise):
    """y = max(x, 0)."""

    def forward(self, *inputs: Array) -> Array:
        """max(x, 0)."""
        return np.maximum(inputs[0], 0.0)


@dataclass(frozen=True)
class Tanh(_Elementwise):
    """y = tanh(x)."""

    def forward(self, *inputs: Array) -> Array:
        """tanh(x)."""
        return np.tanh(inputs[0])


@dataclass(frozen=True)
class Sigmoid(_Elementwise):
    """y = 1 / (1 + exp(-x))."""

    def forward(self, *inputs: Array) -> Array:
        """1 / (1 + exp(-x)), written so that it cannot overflow."""
        return 0.5 * (1.0 + np.tanh(0.5 * inputs[0]))


@dataclass(frozen=True)
class Identity(_Elementwise):
    """y = x; dropout at inference is this too."""

    def forward(self, *inputs: Array) -> Array:
        """x."""
        return inputs[0]


@dataclass(frozen=True)
class Softmax(_Elementwise):
    """y_i = exp(x_i) / sum_j exp(x_j) over the last axis; stays on the host, outside the circuit."""

    def forward(self, *inputs: Array) -> Array:
        """The exponentials' shares, shifted by the maximum against overflow."""
        shifted = np.exp(inputs[0] - inputs[0].max(axis=-1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class Flatten:
    """All features of a sample in one row."""

    def out_shape(self, *inputs: Shape) -> Shape:
        """[product of the input's dimensions]."""
        return (int(np.prod(inputs[0])),)

    def forward(self, *inputs: Array) -> Array:
        """The same values, [samples, features]."""
        return inputs[0].reshape(len(inputs[0]), -1)


@dataclass(frozen=True)
class Reshape:
    """The same values of a sample in another ``shape``."""

    shape: Shape

    def out_shape(self, *inputs: Shape) -> Shape:
        """The target shape, where it holds as many values as the input."""
        if np.prod(self.shape) != np.prod(inputs[0]):
            raise ModelError(f"expected an input with {int(np.prod(self.shape))} values, found shape {inputs[0]}")
        return self.shape

    def forward(self, *inputs: Array) -> Array:
        """The reshaped samples."""
        return inputs[0].reshape(len(inputs[0]), *self.shape)


OPS: Mapping[str, type[Any]] = {
    op.__name__: op for op in (Input, Linear, Relu, Tanh, Sigmoid, Identity, Softmax, Flatten, Reshape)
}


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
        return self.trace(x)[self.outputs[0]]

    def trace(self, x: Array) -> dict[str, Array]:
        """The ideal value of every node, by name; ``x`` as in :meth:`forward`."""
        values: dict[str, Array] = {}
        for node in self.nodes:
            arguments = [values[name] for name in node.inputs] or [self.fit(x)]
            values[node.name] = node.op.forward(*arguments)
        return values

    def fit(self, x: Array) -> Array:
        """Bring samples into the input's shape, float64.

        Raises:
            DataError: another number of values a sample, or values that are not finite.
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
        bad = np.argwhere(~np.isfinite(x.reshape(len(x), -1)))
        if len(bad):
            raise DataError(
                f"expected finite values, found {x.reshape(len(x), -1)[tuple(bad[0])]} "
                f"at sample {bad[0][0]}, feature {bad[0][1]}",
                where="data",
                remedy="clean the data",
            )
        return x.reshape(len(x), *self.input_shape)

    def digest(self) -> str:
        """Content hash of structure and weights."""
        structure, arrays = self.pack()
        state = hashlib.sha256(json.dumps(structure, sort_keys=True).encode())
        for name in sorted(arrays):
            state.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
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
            attributes = {k: tuple(v) if isinstance(v, Sequence) else v for k, v in entry["attributes"].items()}
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
        if node.name in shapes:
            raise ModelError(
                "this name is used twice", where=f"layer {node.name!r}", remedy="give each layer its own name"
            )
        if len(node.inputs) != (0 if isinstance(node.op, Input) else 1):
            raise ModelError(
                f"expected {'no input' if isinstance(node.op, Input) else 'one input'}, found {len(node.inputs)}",
                where=f"layer {node.name!r}",
                remedy="mend the graph",
            )
        unknown = [name for name in node.inputs if name not in shapes]
        if unknown:
            raise ModelError(f"reads {unknown[0]!r}, which no earlier layer makes", where=f"layer {node.name!r}")
        _check_finite(node)
        try:
            shapes[node.name] = node.op.out_shape(*(shapes[name] for name in node.inputs))
        except ModelError as error:
            raise ModelError(error.message, where=f"layer {node.name!r}", remedy=error.remedy) from error
    for name in outputs:
        if name not in shapes:
            raise ModelError(f"output {name!r} is made by no layer", where="graph")
    return shapes


def _check_finite(node: Node) -> None:
    if not isinstance(node.op, Linear):
        return
    for label, values in (("weight", node.op.weight), ("bias", node.op.bias)):
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            index = tuple(int(i) for i in bad[0])
            raise ModelError(
                f"expected finite values, found {values[index]} in {label}{list(index)} ({len(bad)} in all)",
                where=f"layer {node.name!r}",
                remedy="train or export the network again",
            )
