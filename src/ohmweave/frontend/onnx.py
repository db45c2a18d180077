"""ONNX models, from files or from memory, to graphs."""

import re
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper, numpy_helper

from ohmweave.errors import ModelError
from ohmweave.frontend.external import external_tensors, inline_external
from ohmweave.frontend.onnx_call import Call, Constant, refuse
from ohmweave.frontend.onnx_dense import add_bias
from ohmweave.frontend.onnx_ops import HANDLERS, JOINTS
from ohmweave.graph import Graph, Node
from ohmweave.ops import Conv, Input, Linear, Op, Shape

__all__ = ["from_onnx"]

# Models above this are no crossbar networks; it also keeps checking below protobuf's own limit of 2 GiB.
_LIMIT = 2**30
_OLDEST_OPSET = 7
_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
# Operations on constants that are carried out on reading. The second group can make values larger
# than what it reads, so it is for shape vectors only.
_SAME_SIZE = ("Identity", "Transpose", "Cast", "Squeeze", "Unsqueeze", "Reshape")
_ARITHMETIC = ("Add", "Sub", "Mul", "Div")
_SHAPE_SIZE = ("Gather", "Concat", "Slice", "ConstantOfShape", *_ARITHMETIC)
_LARGEST_SHAPE = 1024
_SUPPORTED = ", ".join(sorted((*HANDLERS, *JOINTS)))


def from_onnx(model: onnx.ModelProto | Path) -> Graph:
    """Read an ONNX model.

    Args:
        model: a model in memory, or the path of a file; external data lies beside that file.

    Returns:
        The network with float64 weights; the batch dimension, symbolic or fixed, is left out.

    Raises:
        ModelError: a file that is missing, damaged or above 1 GiB, external data outside the file's
            folder, an unsupported operation, or shapes that do not fit. Source of each operation's
            meaning: the ONNX operator documentation.
    """
    if not isinstance(model, onnx.ModelProto):
        return _convert(_load(Path(model)), str(model))
    if external_tensors(model):
        raise ModelError(
            "expected a model that holds its weights, found external data",
            where="model",
            remedy="give the path of the ONNX file, so that its folder is known",
        )
    return _convert(model, "model")


def _load(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise ModelError("expected an ONNX file, found no such file", where=str(path), remedy="check the path")
    size = path.stat().st_size
    if size > _LIMIT:
        raise ModelError(
            f"expected an ONNX file of at most {_LIMIT} bytes, found {size}",
            where=str(path),
            remedy="give a smaller network",
        )
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except (DecodeError, ValueError, OSError) as error:
        raise _unreadable(str(path), error) from error
    inline_external(model, path.parent, _LIMIT - size)
    return model


def _unreadable(where: str, error: Exception) -> ModelError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ModelError(
        f"expected a valid ONNX model, found a damaged one ({reason})",
        where=where,
        remedy="export it again, for example with torch.onnx.export(..., dynamo=True)",
    )


def _convert(model: onnx.ModelProto, where: str) -> Graph:
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise _unreadable(where, error) from error
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < _OLDEST_OPSET:
        raise ModelError(
            f"expected ONNX operator set {_OLDEST_OPSET} or later, found {opset}",
            where=where,
            remedy="export it again with opset 13 or later",
        )
    # Numbers that are not finite are refused by the graph, which names their layer; no warning need precede it.
    with np.errstate(invalid="ignore", over="ignore"):
        return _Reader(model, opset, where).graph()


def _input(graph: onnx.GraphProto, where: str) -> tuple[str, Shape, int | None]:
    """The name, sample shape and batch size (``None``: symbolic) of a model's one input."""
    known = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in known]
    if len(inputs) != 1:
        names = ", ".join(repr(value.name) for value in inputs) or "none"
        raise ModelError(f"expected one input, found {names}", where=where, remedy="export the network with one input")
    (value,) = inputs
    tensor = value.type.tensor_type
    place = f"input {value.name!r}"
    if tensor.elem_type not in _FLOATS:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type) if tensor.elem_type < 17 else str(tensor.elem_type)
        raise ModelError(
            f"expected floating-point samples, found {kind}", where=place, remedy="export with float input"
        )
    dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    shape = tuple(dim for dim in dims[1:] if dim)
    if len(dims) < 2 or len(shape) != len(dims) - 1 or min(shape) < 1:
        text = ", ".join("?" if dim is None else str(dim) for dim in dims)
        raise ModelError(
            f"expected the shape [batch, features...] with fixed features, found [{text}]",
            where=place,
            remedy="export with a batch of samples, only the batch dimension being dynamic",
        )
    return value.name, shape, dims[0]


def _live(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes the outputs depend on, in order."""
    wanted = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


class _Reader:
    """One pass over a model's live nodes; everything it gathers ends in one graph."""

    def __init__(self, model: onnx.ModelProto, opset: int, where: str) -> None:
        self.model, self.opset, self.where = model, opset, where
        self.live = _live(model.graph)
        name, shape, self.batch = _input(model.graph, where)
        self.nodes = {name: Node(name, Input(shape))}
        self.shapes = {name: shape}
        self.values = {name: name}
        self.tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self.constants: dict[str, Constant] = {}

    def graph(self) -> Graph:
        """Read every node and put the graph together."""
        for node in self.live:
            self._read(node)
        outputs = []
        for value in self.model.graph.output:
            if value.name not in self.values:
                raise ModelError(
                    f"expected output {value.name!r} to depend on the input, found a constant",
                    where=self.where,
                    remedy="export the network again",
                )
            outputs.append(self.values[value.name])
        return Graph(tuple(self.nodes.values()), tuple(outputs))

    def _read(self, node: onnx.NodeProto) -> None:
        name = self._name(node)
        if node.domain not in ("", "ai.onnx"):
            raise self._unsupported(name, f"{node.domain}.{node.op_type}")
        constants = [self._constant(value, name) for value in node.input]
        computed = [value for value in node.input if value in self.values]
        if node.op_type == "Constant":
            self.constants[node.output[0]] = _constant_value(node, name)
        elif node.op_type == "Shape" and computed:
            self.constants[node.output[0]] = self._shape(node)
        elif not computed and node.op_type in _SAME_SIZE + _SHAPE_SIZE:
            self.constants[node.output[0]] = self._fold(node, constants, name)
        elif node.op_type == "Add" and len(computed) < len(node.input):
            self._add(node, constants, name)
        elif node.op_type in JOINTS:
            self._joint(node, name)
        elif node.op_type in HANDLERS:
            self._layer(node, constants, name)
        else:
            raise self._unsupported(name, node.op_type)

    def _unsupported(self, name: str, op: str) -> ModelError:
        return refuse(name, f"op {op} is not supported", f"supported are {_SUPPORTED}")

    def _constant(self, value: str, name: str) -> Constant | None:
        if value in self.tensors and value not in self.constants:
            self.constants[value] = _array(self.tensors[value], name)
        return self.constants.get(value)

    def _layer(self, node: onnx.NodeProto, constants: Sequence[Constant | None], name: str) -> None:
        unknown = [v for v, c in zip(node.input[1:], constants[1:], strict=True) if v and c is None]
        if node.input[0] not in self.values or unknown:
            raise refuse(
                name,
                f"expected {node.op_type} of one computed input and constants, found inputs {list(node.input)}",
                "only layers with fixed weights can be mapped to a crossbar",
            )
        self._place(node, HANDLERS[node.op_type], (self.values[node.input[0]],), tuple(constants[1:]), name)

    def _joint(self, node: onnx.NodeProto, name: str) -> None:
        if any(value not in self.values for value in node.input):
            raise refuse(
                name,
                f"expected {node.op_type} of computed inputs alone, found inputs {list(node.input)}",
                "put constants into the weights of a layer",
            )
        self._place(node, JOINTS[node.op_type], tuple(self.values[value] for value in node.input), (), name)

    def _place(
        self,
        node: onnx.NodeProto,
        handler: Callable[[Call], Op],
        sources: tuple[str, ...],
        constants: tuple[Constant | None, ...],
        name: str,
    ) -> None:
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        outputs = sum(bool(value) for value in node.output)
        shapes = [self.shapes[source] for source in sources]
        call = Call(node.op_type, name, shapes[0], constants, attributes, outputs, self.batch, self.opset)
        try:
            op = handler(call)
            self.shapes[name] = op.out_shape(*shapes)
        except ModelError as error:
            raise refuse(name, error.message, error.remedy) from error
        self.nodes[name] = Node(name, op, sources)
        self.values[node.output[0]] = name

    def _add(self, node: onnx.NodeProto, constants: Sequence[Constant | None], name: str) -> None:
        """A constant added to the output of a layer with weights is that layer's bias."""
        terms = [
            (v, c) for v, c in zip(node.input, reversed(constants), strict=True) if v in self.values and c is not None
        ]
        readers = [other for other in self.live if terms and terms[0][0] in other.input]
        shown = terms and terms[0][0] in {value.name for value in self.model.graph.output}
        layer = self.nodes[self.values[terms[0][0]]] if terms else None
        if layer is None or not isinstance(layer.op, Linear | Conv) or len(readers) != 1 or shown:
            raise refuse(
                name,
                f"expected Add of a constant to the output of Gemm, MatMul or Conv, found inputs {list(node.input)}",
                "write it as the bias of a layer",
            )
        values = terms[0][1]
        assert values is not None
        self.nodes[layer.name] = Node(layer.name, add_bias(layer.op, values, layer.name), layer.inputs)
        self.values[node.output[0]] = layer.name

    def _shape(self, node: onnx.NodeProto) -> Constant:
        """The shape of a computed value; -1 stands for a symbolic batch."""
        limits = {item.name: int(helper.get_attribute_value(item)) for item in node.attribute}
        full = [-1 if self.batch is None else self.batch, *self.shapes[self.values[node.input[0]]]]
        return np.array(full[limits.get("start", 0) : limits.get("end", len(full))], dtype=np.int64)

    def _fold(self, node: onnx.NodeProto, constants: Sequence[Constant | None], name: str) -> Constant:
        """Carry out an operation on constants with the reference implementation of ONNX."""
        given = [constant for constant in constants if constant is not None]
        filled = node.op_type == "ConstantOfShape"
        size = prod(given[0].ravel().tolist()) if filled else sum(constant.size for constant in given)
        if node.op_type in _SHAPE_SIZE and size > _LARGEST_SHAPE:
            raise self._unsupported(name, f"{node.op_type} of {size} constant values")
        if node.op_type in _ARITHMETIC and any(one.dtype.kind == "i" and one.min() < 0 for one in given):
            # A symbolic batch is written -1: half of it would pass for a size.
            raise self._unsupported(name, f"{node.op_type} of a symbolic or negative size")
        names = [value for value in node.input if value]
        slots = [helper.make_empty_tensor_value_info(value) for value in (*dict.fromkeys(names), node.output[0])]
        graph = helper.make_graph([node], "constants", slots[:-1], slots[-1:])
        feeds = {value: self.constants.get(value) for value in names}
        from onnx.reference import ReferenceEvaluator

        try:
            model = helper.make_model(graph, opset_imports=self.model.opset_import)
            (result,) = ReferenceEvaluator(model).run(None, feeds)
        except Exception as error:  # the evaluator raises whatever numpy does
            raise refuse(
                name, f"expected {node.op_type} of constants to work, found {error}", "export it again"
            ) from error
        return np.asarray(result)

    def _name(self, node: onnx.NodeProto) -> str:
        """The user's name for a layer: of its weight's module, of the node, or of its output."""
        weight = re.fullmatch(r"(.+)\.weight", node.input[1]) if len(node.input) > 1 else None
        # torch numbers its nodes ("node_linear_1"); the value's own name ("linear_1") reads better.
        numbered = self.model.producer_name == "pytorch" and node.name.startswith("node_")
        name = weight.group(1) if weight else "" if numbered else node.name
        name = name or next((value for value in node.output if value), node.op_type)
        candidates = (f"{name}_{k}" if k > 1 else name for k in range(1, len(self.nodes) + 2))
        return next(candidate for candidate in candidates if candidate not in self.nodes)


def _constant_value(node: onnx.NodeProto, name: str) -> Constant:
    (attribute,) = node.attribute
    value: Any = helper.get_attribute_value(attribute)
    if attribute.name == "value":
        return _array(value, name)
    if attribute.name in ("value_float", "value_floats"):
        return np.asarray(value, dtype=np.float32)
    if attribute.name in ("value_int", "value_ints"):
        return np.asarray(value, dtype=np.int64)
    raise refuse(name, f"expected a numeric constant, found {attribute.name}", "export the network again")


def _array(tensor: onnx.TensorProto, name: str) -> Constant:
    label = f"tensor {tensor.name!r}"
    try:
        if min(tensor.dims, default=1) < 1:
            raise ValueError(f"shape {tuple(tensor.dims)}")
        if tensor.HasField("raw_data") and len(tensor.raw_data) > _LIMIT:
            raise ValueError(f"{len(tensor.raw_data)} bytes")
        values = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, RuntimeError, OverflowError) as error:
        raise refuse(name, f"expected {label} to be whole, found {error}", "export the network again") from error
    if values.size != prod(tensor.dims):
        raise refuse(name, f"expected {prod(tensor.dims)} values in {label}, found {values.size}", "export it again")
    return values
