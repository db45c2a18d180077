"""Graphs to NIR files, with what NIR does not say (time step, reset) in the metadata."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ohmweave.errors import ModelError
from ohmweave.graph import Graph, Node
from ohmweave.ops import (
    Add,
    AveragePool,
    Conv,
    Flatten,
    Input,
    LeakyIntegrateFire,
    Linear,
    RecurrentLeakyIntegrateFire,
    RecurrentSynapticIntegrateFire,
    Shape,
    SynapticIntegrateFire,
)
from ohmweave.units import Array
from ohmweave.whole import whole

__all__ = ["write_nir"]


def write_nir(graph: Graph, path: Path, dt: float = 1e-4) -> Path:
    """Write a network as a NIR file; :func:`ohmweave.frontend.read_nir` reads it back with the same spikes.

    Args:
        graph: the network, of the operations NIR has nodes for.
        path: the file, replaced in one step.
        dt: time step that decays and gains are stated for, s: tau = dt / (1 - beta), r = 1 / (1 - beta).

    Raises:
        ModelError: nir missing, an operation without a node, or neurons of which only some have no leak.
    """
    try:
        import nir
    except ImportError as error:
        raise ModelError(
            f"expected nir, which writes NIR files, found no {error.name}",
            where="nir",
            remedy='pip install "ohmweave[snn]"',
        ) from error
    resets = {(node.op.reset, node.op.delay) for node in graph.nodes if isinstance(node.op, _NEURONS)}
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    for node in graph.nodes:
        if isinstance(node.op, Add):
            continue
        shape = graph.shapes[node.inputs[0]] if node.inputs else ()
        nodes[node.name] = _nir_node(nir, node, shape, dt)
        edges += [(source, node.name) for name in node.inputs for source in _terms(graph, name)]
        if isinstance(node.op, _NEURONS) and len(resets) > 1:
            nodes[node.name].metadata = {"reset": node.op.reset, "reset_delay": node.op.delay}
        if isinstance(node.op, RecurrentLeakyIntegrateFire | RecurrentSynapticIntegrateFire):
            loop = _free(f"{node.name}.recurrent", nodes)
            nodes[loop] = _dense(nir, _square(node.op.weight), node.op.bias)
            edges += [(node.name, loop), (loop, node.name)]
    last = _free("output", nodes)
    nodes[last] = nir.Output({"output": np.array(graph.shapes[graph.outputs[0]])})
    edges += [(source, last) for source in _terms(graph, graph.outputs[0])]
    reset = dict(zip(("reset", "reset_delay"), resets.pop(), strict=True)) if len(resets) == 1 else {}
    _write(nir, nir.NIRGraph(nodes, edges, metadata={"dt": dt, **reset}, type_check=False), path)
    return path


def _write(nir: Any, graph: Any, path: Path) -> None:
    with whole(path) as partial:
        nir.write(partial, graph)


def _terms(graph: Graph, name: str) -> list[str]:
    """The nodes whose sum a node is: NIR adds up what several edges bring."""
    node = graph.node(name)
    return [term for source in node.inputs for term in _terms(graph, source)] if isinstance(node.op, Add) else [name]


def _free(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name


def _square(weight: Array) -> Array:
    return np.diag(weight) if weight.ndim == 1 else weight


def _dense(nir: Any, weight: Array, bias: Array) -> Any:
    return nir.Affine(weight, bias) if bias.any() else nir.Linear(weight)


def _nir_node(nir: Any, node: Node, shape: Shape, dt: float) -> Any:
    """One operation as a node."""
    writer = _WRITERS.get(type(node.op))
    found = None
    if writer is not None and "/" not in node.name:
        found = writer(nir, node.op, shape, dt)
    if found is None:
        names = ", ".join(kind.__name__ for kind in (*_WRITERS, Add))
        raise ModelError(
            f"expected an operation that NIR has a node for, found {node.op!r}",
            where=f"layer {node.name!r}",
            remedy=f"it has nodes for {names}, with paddings equal on both sides, and names without a slash",
        )
    return found


def _conv(nir: Any, op: Conv, shape: Shape) -> Any:
    if op.padding[:2] != op.padding[2:]:
        return None
    return nir.Conv2d(shape[1:], op.weight, op.stride, op.padding[:2], op.dilation, op.groups, op.bias)


def _average_pool(nir: Any, op: AveragePool) -> Any:
    if op.padding[:2] != op.padding[2:] or (any(op.padding) and not op.count_include_pad):
        return None
    return nir.AvgPool2d(*(np.array(pair) for pair in (op.kernel, op.stride, op.padding[:2])))


def _leaky(nir: Any, op: Any, dt: float) -> Any:
    zero, still = np.zeros_like(op.threshold), op.beta == 1.0
    if still.all():
        return nir.IF(np.full_like(zero, 1.0 / dt), op.threshold, zero)
    if still.any():
        return None
    return nir.LIF(dt / (1.0 - op.beta), 1.0 / (1.0 - op.beta), zero, op.threshold, zero)


def _synaptic(nir: Any, op: Any, dt: float) -> Any:
    if (op.alpha == 1.0).any() or (op.beta == 1.0).any():
        return None
    zero, fast, slow = np.zeros_like(op.threshold), 1.0 - op.alpha, 1.0 - op.beta
    return nir.CubaLIF(dt / fast, dt / slow, 1.0 / slow, zero, op.threshold, zero, w_in=1.0 / fast)


_NEURONS = (
    LeakyIntegrateFire,
    SynapticIntegrateFire,
    RecurrentLeakyIntegrateFire,
    RecurrentSynapticIntegrateFire,
)
# Each takes the package, the operation, the shape of its input and the time step; None where there is no node.
_WRITERS: Mapping[type[Any], Callable[[Any, Any, Shape, float], Any]] = {
    Input: lambda nir, op, shape, dt: nir.Input({"input": np.array(op.shape)}),
    Linear: lambda nir, op, shape, dt: _dense(nir, op.weight, op.bias),
    Conv: lambda nir, op, shape, dt: _conv(nir, op, shape),
    AveragePool: lambda nir, op, shape, dt: _average_pool(nir, op),
    Flatten: lambda nir, op, shape, dt: nir.Flatten({"input": np.array(shape)}, 0, -1),
    LeakyIntegrateFire: lambda nir, op, shape, dt: _leaky(nir, op, dt),
    RecurrentLeakyIntegrateFire: lambda nir, op, shape, dt: _leaky(nir, op, dt),
    SynapticIntegrateFire: lambda nir, op, shape, dt: _synaptic(nir, op, dt),
    RecurrentSynapticIntegrateFire: lambda nir, op, shape, dt: _synaptic(nir, op, dt),
}
