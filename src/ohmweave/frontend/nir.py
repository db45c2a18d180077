"""NIR files to graphs: networks of spiking neurons as other tools exchange them.

A graph here has no cycles: neurons that hear their own spikes through weights of their own are one operation.
What NIR does not say is taken from the graph's metadata: ``dt`` (s), ``reset`` (a word of
:class:`ohmweave.ops.LeakyIntegrateFire`) and ``reset_delay``; what is not there either is assumed, and said in a
remark. Source: Pedersen et al., "Neuromorphic intermediate representation", Nature Communications 15, 2024.
"""

import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ohmweave.errors import AssumptionWarning, ModelError
from ohmweave.frontend.nir_nodes import NEURONS, Neurons, Timing, input_op, layer_op, neurons
from ohmweave.frontend.nir_process import HdfReader
from ohmweave.frontend.nir_structure import Net, NirNode, parse, refuse, shown
from ohmweave.graph import Graph, Node
from ohmweave.ops import (
    Add,
    Conv,
    LeakyIntegrateFire,
    Linear,
    Op,
    RecurrentLeakyIntegrateFire,
    RecurrentSynapticIntegrateFire,
    SynapticIntegrateFire,
)
from ohmweave.units import Array

__all__ = ["NirModel", "from_nir", "read_nir"]

_MOST_WEIGHTS = 2**24
# What snnTorch and SpikingJelly count in.
_USUAL_DT = 1e-4


@dataclass(frozen=True, eq=False)
class NirModel:
    """A network and what was assumed about it.

    Args:
        graph: the network.
        remarks: what the file does not say, one sentence each, for its owner.
    """

    graph: Graph
    remarks: tuple[str, ...]


def from_nir(path: Path, dt: float | None = None) -> Graph:
    """Read a NIR file; as :func:`read_nir`, with its remarks as warnings, each an AssumptionWarning."""
    model = read_nir(path, dt)
    for remark in model.remarks:
        warnings.warn(remark, AssumptionWarning, stacklevel=2)
    return model.graph


def read_nir(path: Path, dt: float | None = None, reader: HdfReader | None = None) -> NirModel:
    """Read a NIR file.

    Args:
        path: the file.
        dt: time step for a file that states none, s; 1e-4 if not given.
        reader: a process that reads several files; one of its own otherwise.

    Returns:
        The network, float64, one decay and threshold a neuron. Gains of neurons' inputs are in the weights before
        them where only they read these, otherwise in their thresholds.

    Raises:
        ModelError: a file that cannot be read, nodes or fields that are not supported, shapes that do not fit,
            time constants below dt, cycles other than of neurons with their own weights; names file and node.
    """
    if reader is None:
        with HdfReader() as own:
            return read_nir(path, dt, own)
    net = parse(reader.read(Path(path)), str(path))
    # Numbers that are not finite are refused by the graph, which names their layer; no warning need precede it.
    with np.errstate(invalid="ignore", over="ignore"):
        return _Reader(net, dt).model()


class _Reader:
    """One pass over a net in order; everything it gathers ends in one graph."""

    def __init__(self, net: Net, dt: float | None) -> None:
        self.net = net
        self.remarks: dict[str, None] = {}
        self.timing = self._timing(dt)
        self.loops = _loops(net)
        inside = {name for names in self.loops.values() for name in names}
        self.echoes = {a for a, b in net.edges if a == b}
        self.rest = [name for name in net.nodes if name not in inside]
        self.sources: dict[str, list[str]] = {name: [] for name in self.rest}
        self.readers: dict[str, list[str]] = {name: [] for name in self.rest}
        for a, b in net.edges:
            if a not in inside and b not in inside and a != b:
                self.sources[b].append(a)
                self.readers[a].append(b)
        self.nodes: dict[str, Node] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def model(self) -> NirModel:
        """Read every node and put the graph together."""
        output = ""
        for name in _order(self.sources, self.readers, self.net):
            node, sources = self.net.nodes[name], self.sources[name]
            if not sources and node.kind != "Input":
                raise node.error(f"expected an edge to {name!r}, found none")
            if node.kind != "Output" and not self.readers[name]:
                raise node.error(f"expected an edge from {name!r} to what reads it, found none")
            if node.kind == "Output":
                output = self._joined(name, sources, node)
                self._check_output(node, output)
            else:
                self._read(node, sources)
        return NirModel(Graph(tuple(self.nodes.values()), (output,)), tuple(self.remarks))

    def _timing(self, dt: float | None) -> Timing:
        data, where = self.net.metadata, self.net.where
        stated = "dt" in data
        step = float(_scalar(data["dt"], "dt", where)) if stated else _USUAL_DT if dt is None else dt
        if not 0.0 < step < np.inf:
            raise refuse(where, f"expected a time step dt above 0, found {step:g} s", "state dt in the metadata")
        if not stated:
            self._remark(f"states no time step; dt = {step:g} s assumed")
        if any("reset" not in {**data, **node.metadata} for node in self.net.nodes.values() if node.kind in NEURONS):
            self._remark("states no reset; reset to zero at once assumed, as the NIR specification has it")
        if any(
            str(told.get("reset")) == "subtract" and "reset_delay" not in told
            for told in ({**data, **node.metadata} for node in self.net.nodes.values() if node.kind in NEURONS)
        ):
            self._remark(
                "states a reset but no reset_delay; subtraction at once assumed, where snnTorch's waits a step"
            )
        return Timing(step, stated or dt is not None)

    def _remark(self, text: str) -> None:
        self.remarks[f"{self.net.where} {text}"] = None

    def _read(self, node: NirNode, sources: Sequence[str]) -> None:
        if node.kind == "Input":
            if sources:
                raise node.error(f"expected no edge to the input, found one from {sources[0]!r}")
            self._put(node, node.name, input_op(node), ())
            return
        source = self._joined(node.name, sources, node)
        if node.kind in NEURONS:
            self._neurons(node, source)
        else:
            self._put(node, node.name, _sound(node, lambda: layer_op(node, self.shapes[source])), (source,))

    def _put(self, node: NirNode, name: str, op: Op, sources: tuple[str, ...]) -> None:
        self.shapes[name] = _sound(node, lambda: op.out_shape(*(self.shapes[source] for source in sources)))
        self.nodes[name] = Node(name, op, sources)

    def _joined(self, name: str, sources: Sequence[str], node: NirNode) -> str:
        """One source, or the sum of several, which is what several edges to a node mean."""
        joined = sources[0]
        for count, source in enumerate(sources[1:], start=1):
            label = f"{name}.sum{count}"
            self._put(node, label, Add(), (joined, source))
            joined = label
        return joined

    def _neurons(self, node: NirNode, source: str) -> None:
        reset = _reset({**self.net.metadata, **node.metadata}, node.where)
        found = neurons(node, self.shapes[source], self.timing)
        if found.shifted:
            self._remark(
                f"node {node.name!r}: v_reset = v_leak is not 0; membranes begin there and are counted from it"
            )
        loop = self._loop(node, found)
        offset = 0.0 if loop is None else found.offset
        before = _scaled(self.nodes[source].op, found.gain, found.offset - offset)
        readers = len(self.readers[source]) if source in self.net.nodes else 1
        if found.alpha is not None and found.offset.any():
            raise node.error("expected v_leak of 0, or equal to v_reset, found other values", "shift the voltages")
        if before is not None and readers == 1:
            self.nodes[source] = replace(self.nodes[source], op=before)
            scale = np.ones_like(found.gain)
        elif (found.offset - offset).any():
            raise node.error(
                "expected v_leak of 0, or weights of its own before these neurons, found neither", "shift the voltages"
            )
        else:
            scale = found.gain
        op = _sound(node, lambda: _operation(found, scale, loop, reset))
        self._put(node, node.name, op, (source,))

    def _loop(self, node: NirNode, found: Neurons) -> tuple[Array, Array] | None:
        """Recurrent weights and biases in the units of the inputs, where there are any."""
        direct, names = node.name in self.echoes, self.loops.get(node.name, ())
        if not names and not direct:
            return None
        shape = found.threshold.shape
        if len(shape) != 1:
            raise node.error(f"expected recurrent neurons in one row, found shape {shape}", "flatten them")
        # One weight a neuron stays a vector: of many neurons no square matrix is made.
        weight, bias = np.full(shape, float(direct)), np.zeros(shape)
        if names and shape[0] ** 2 > _MOST_WEIGHTS:
            raise node.error(
                f"expected at most {_MOST_WEIGHTS} recurrent weights, found those of {shape[0]} neurons",
                "give a smaller network",
            )
        if names:
            weight = np.diag(weight)
        for name in names:
            other = self.net.nodes[name]
            layer = _sound(other, lambda other=other: layer_op(other, shape))
            if not isinstance(layer, Linear) or layer.weight.shape != weight.shape:
                raise other.error(
                    f"expected recurrent weights of shape {weight.shape} in a Linear or Affine node, "
                    f"found {other.kind} from {shape} to {layer.out_shape(shape)}"
                )
            weight, bias = weight + layer.weight, bias + layer.bias
        return weight, bias

    def _check_output(self, node: NirNode, source: str) -> None:
        if "shape" in node.fields and node.whole("shape") != self.shapes[source]:
            raise node.error(f"expected the shape {self.shapes[source]} of {source!r}, found {node.whole('shape')}")


def _sound(node: NirNode, make: Any) -> Any:
    """What ``make`` returns; what it refuses is told with the node's name."""
    try:
        return make()
    except ModelError as error:
        if error.where == node.where:
            raise
        raise node.error(error.message, error.remedy or "mend the graph and write it again") from error


def _reset(metadata: Mapping[str, Any], where: str) -> tuple[str, bool]:
    """The word of a reset and whether it is delayed, those of the specification where nothing is said."""
    reset = metadata.get("reset", "zero")
    if not isinstance(reset, str):
        raise refuse(where, f"expected a reset in words in the metadata, found {shown(reset)}", 'try "zero"')
    if "reset_delay" not in metadata:
        # Subtracting alone can be done both ways; to hold inputs back is done a step late or not at all.
        return reset, reset == "hold"
    return reset, bool(_scalar(metadata["reset_delay"], "reset_delay", where))


def _scalar(value: Any, label: str, where: str) -> Any:
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "biuf":
        return value.reshape(())[()]
    raise refuse(
        where, f"expected one number {label!r} in the metadata, found {shown(value)}", "state it as one number"
    )


def _scaled(op: Op, gain: Array, offset: Array) -> Linear | Conv | None:
    """The layer with its outputs times ``gain`` plus ``offset``, where it has weights for them."""
    if isinstance(op, Linear):
        return Linear(gain[:, np.newaxis] * op.weight, gain * op.bias + offset)
    if not isinstance(op, Conv):
        return None
    by_channel = [values.reshape(len(values), -1) for values in (gain, offset)]
    if any((values != values[:, :1]).any() for values in by_channel):
        return None
    factor, shift = (values[:, 0] for values in by_channel)
    return replace(op, weight=factor.reshape(-1, 1, 1, 1) * op.weight, bias=factor * op.bias + shift)


def _operation(found: Neurons, scale: Array, loop: tuple[Array, Array] | None, reset: tuple[str, bool]) -> Op:
    """Neurons whose inputs come ``scale`` times too small for their thresholds."""
    threshold = found.threshold / scale
    if loop is None:
        if found.alpha is None:
            return LeakyIntegrateFire(found.beta, threshold, *reset)
        return SynapticIntegrateFire(found.alpha, found.beta, threshold, *reset)
    gain = found.gain / scale
    rows = gain[:, np.newaxis] if loop[0].ndim == 2 else gain
    weight, bias = rows * loop[0], gain * loop[1] + found.offset / scale
    if weight.ndim == 2 and np.array_equal(weight, np.diag(np.diag(weight))):
        weight = np.diag(weight)
    if found.alpha is None:
        return RecurrentLeakyIntegrateFire(found.beta, threshold, weight, bias, *reset)
    return RecurrentSynapticIntegrateFire(found.alpha, found.beta, threshold, weight, bias, *reset)


def _loops(net: Net) -> Mapping[str, tuple[str, ...]]:
    """By neurons, the nodes that read them alone and are read by them alone."""
    readers: dict[str, list[str]] = {name: [] for name in net.nodes}
    sources: dict[str, list[str]] = {name: [] for name in net.nodes}
    for a, b in net.edges:
        readers[a].append(b)
        sources[b].append(a)
    found: dict[str, tuple[str, ...]] = {}
    for name, node in net.nodes.items():
        own = sources[name]
        if node.kind not in NEURONS and own == readers[name] and len(own) == 1 and net.nodes[own[0]].kind in NEURONS:
            found[own[0]] = (*found.get(own[0], ()), name)
    return found


def _order(sources: Mapping[str, Sequence[str]], readers: Mapping[str, Sequence[str]], net: Net) -> list[str]:
    """Nodes such that each comes after what it reads."""
    waiting = {name: len(own) for name, own in sources.items()}
    ready, order = deque(name for name, count in waiting.items() if not count), list[str]()
    while ready:
        name = ready.popleft()
        order.append(name)
        for reader in readers[name]:
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    if len(order) < len(sources):
        raise _cycle({name for name, count in waiting.items() if count}, sources, net)
    # The network's input first, whatever its name.
    return sorted(order, key=lambda name: net.nodes[name].kind != "Input")


def _cycle(stuck: set[str], sources: Mapping[str, Sequence[str]], net: Net) -> ModelError:
    """The error about one cycle among nodes that wait for each other."""
    name, found = min(stuck), dict[str, None]()
    while name not in found:
        found[name] = None
        name = [source for source in sources[name] if source in stuck][-1]
    path = list(found)
    cycle = path[path.index(name) :][::-1]
    first = cycle.index(min(cycle))
    cycle = cycle[first:] + cycle[:first]
    neural = any(net.nodes[name].kind in NEURONS for name in cycle)
    message = (
        "expected cycles of neurons with weights of their own that nobody else reads"
        if neural
        else "expected neurons in every cycle"
    )
    return refuse(net.where, f"{message}, found {' -> '.join(map(repr, (*cycle, cycle[0])))}", "cut the cycle")
