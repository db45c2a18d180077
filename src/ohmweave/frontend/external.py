"""Weights that an ONNX file keeps in other files of its folder: every place is checked before any byte is read."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import onnx

from ohmweave.errors import ModelError

__all__ = ["external_tensors", "inline_external"]

# Widths of the element types a network ohmweave reads can hold, bytes.
_WIDTHS: Mapping[int, int] = {
    onnx.TensorProto.FLOAT: 4,
    onnx.TensorProto.DOUBLE: 8,
    onnx.TensorProto.FLOAT16: 2,
    onnx.TensorProto.BFLOAT16: 2,
    onnx.TensorProto.INT32: 4,
    onnx.TensorProto.INT64: 8,
    onnx.TensorProto.BOOL: 1,
}


@dataclass(frozen=True)
class _Region:
    """The bytes of one tensor: a file, the first byte, the number of bytes."""

    tensor: onnx.TensorProto
    path: Path
    offset: int
    length: int


def external_tensors(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Every tensor of the model whose data lies in another file."""
    nodes = chain.from_iterable(function.node for function in model.functions)
    tensors = chain(_graph_tensors(model.graph), _node_tensors(nodes))
    return [tensor for tensor in tensors if tensor.data_location == onnx.TensorProto.EXTERNAL]


def inline_external(model: onnx.ModelProto, folder: Path, limit: int) -> None:
    """Read external data into the model itself.

    Args:
        model: a model just read from a file in ``folder``; changed in place.
        folder: the folder no data may lie outside of.
        limit: most bytes to read in all.

    Raises:
        ModelError: a place outside the folder, a missing or short file, or more bytes than ``limit``.
    """
    regions = [_locate(tensor, folder) for tensor in external_tensors(model)]
    total = sum(region.length for region in regions)
    if total > limit:
        raise ModelError(
            f"expected at most {limit} bytes of external data, found {total}",
            where=str(folder),
            remedy="give a smaller network",
        )
    for region in regions:
        region.tensor.raw_data = _read(region)
        region.tensor.ClearField("external_data")
        region.tensor.ClearField("data_location")


def _read(region: _Region) -> bytes:
    try:
        with region.path.open("rb") as stream:
            stream.seek(region.offset)
            return stream.read(region.length)
    except OSError as error:
        raise ModelError(
            f"expected external data that can be read, found {error}",
            where=f"tensor {region.tensor.name!r}",
            remedy="make the file readable",
        ) from error


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield sparse.values
                yield sparse.indices
            if attribute.HasField("g"):
                yield from _graph_tensors(attribute.g)
            for graph in attribute.graphs:
                yield from _graph_tensors(graph)


def _locate(tensor: onnx.TensorProto, folder: Path) -> _Region:
    """Where a tensor's bytes lie, once place, size and type are known to be sound."""
    where = f"tensor {tensor.name!r}"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = _inside(entries.get("location", ""), folder, where)
    length = _size(tensor, where)
    offset = _number(entries.get("offset", "0"), "offset", where)
    stated = _number(entries.get("length", str(length)), "length", where)
    if stated != length:
        raise ModelError(
            f"expected {length} bytes of external data for shape {tuple(tensor.dims)}, found length {stated}",
            where=where,
            remedy="export the network again",
        )
    available = path.stat().st_size
    if offset + length > available:
        raise ModelError(
            f"expected {length} bytes at offset {offset} of {path.name!r}, found a file of {available} bytes",
            where=where,
            remedy="export the network again, or copy the whole file",
        )
    return _Region(tensor, path, offset, length)


def _inside(location: str, folder: Path, where: str) -> Path:
    home = folder.resolve()
    path = _resolve(location, home)
    if path is None or not path.is_relative_to(home):
        raise ModelError(
            f"expected external data inside the model's own folder, found location {location!r}",
            where=where,
            remedy="keep the data beside the ONNX file and refer to it by its plain name",
        )
    if not _is_file(path):
        raise ModelError(
            f"expected external data in {location!r} beside the model, found no such file",
            where=where,
            remedy="copy it beside the ONNX file",
        )
    return path


def _resolve(location: str, home: Path) -> Path | None:
    given = Path(location)
    if not location or "\0" in location or given.is_absolute() or ".." in given.parts:
        return None
    try:
        # resolve() follows links, so that a link which leaves the folder is seen too.
        return (home / given).resolve()
    except (OSError, RuntimeError):  # links that go round
        return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _size(tensor: onnx.TensorProto, where: str) -> int:
    width = _WIDTHS.get(tensor.data_type)
    if width is None or any(dim < 0 for dim in tensor.dims):
        kinds = ", ".join(onnx.TensorProto.DataType.Name(onnx.TensorProto.DataType.ValueType(kind)) for kind in _WIDTHS)
        raise ModelError(
            f"expected external data of a known size ({kinds}), "
            f"found type {tensor.data_type}, shape {tuple(tensor.dims)}",
            where=where,
            remedy="export the network with floating-point weights",
        )
    return width * int(math.prod(tensor.dims))


def _number(text: str, label: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ModelError(
            f"expected external data with a whole {label}, found {text!r}",
            where=where,
            remedy="export the network again",
        )
    return int(text)
