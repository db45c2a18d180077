"""Networks in time: spiking graphs run on trains, step by step.

At step t every layer reads what its sources give at the same step t; only neurons have a memory, and only
recurrent ones hear spikes of the step before. Layers therefore run one after the other over the whole time,
which gives the same numbers as all layers step by step and needs far fewer products of matrices.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ohmweave.errors import DataError
from ohmweave.graph import Graph
from ohmweave.ops import Op, Stateful
from ohmweave.ops.spiking import run_steps
from ohmweave.units import Array

__all__ = ["Trace", "decide", "fit_trains", "real", "run", "trace"]

# Values of the largest layer held at a time over all steps, 64 MiB of them.
_MOST_VALUES = 2**23


@dataclass(frozen=True, eq=False)
class Trace:
    """What every node of a spiking network did.

    Args:
        values: by node, its values (of neurons, their spikes), [samples, steps, ...].
        membranes: by node with neurons, the membranes as they were compared with the threshold, before any
            reset at once, [samples, steps, ...], in the units of the neurons' inputs.
    """

    values: Mapping[str, Array]
    membranes: Mapping[str, Array]


def run(graph: Graph, x: Array) -> Array:
    """The output spikes of a network from rest.

    Args:
        graph: the network; without neurons each step is a sample of its own.
        x: trains, [samples, steps, ...] with as many values a step as the graph's input.

    Returns:
        The first output at every step, float64 [samples, steps, ...].

    Raises:
        DataError: trains that do not fit the input, or values that are not finite.
    """
    wanted = graph.outputs[0]
    return np.concatenate([part.values[wanted] for part in _parts(graph, fit_trains(graph, x), {wanted}, ())])


def trace(graph: Graph, x: Array, names: Collection[str] | None = None) -> Trace:
    """The values of nodes and the membranes of those that are neurons; ``x`` and errors as for :func:`run`.

    Args:
        graph: the network.
        x: trains.
        names: the nodes; all if not given.
    """
    wanted = list(graph.shapes) if names is None else list(names)
    neurons = [name for name in wanted if isinstance(graph.node(name).op, Stateful)]
    parts = list(_parts(graph, fit_trains(graph, x), wanted, neurons))
    values = {name: np.concatenate([part.values[name] for part in parts]) for name in wanted}
    return Trace(values, {name: np.concatenate([part.membranes[name] for part in parts]) for name in neurons})


def decide(spikes: Array) -> NDArray[np.int64]:
    """The class of each sample: the output with the most spikes, of equal ones the first.

    Args:
        spikes: outputs, [samples, steps, classes].

    Returns:
        Class numbers from 0, [samples]; as ``snntorch.functional.accuracy_rate`` takes them.
    """
    return np.asarray(spikes.sum(axis=1).argmax(axis=1), dtype=np.int64)


def real(x: ArrayLike) -> NDArray[Any]:
    """An array of real numbers, of the type they have.

    Raises:
        DataError: anything else, which a conversion would cut short or fail on without a place.
    """
    try:
        found = np.asarray(x)
    except ValueError as error:
        raise DataError(
            "expected an array, found lists of unequal lengths", where="data", remedy="make them equal"
        ) from error
    if found.dtype.kind not in "buif":
        raise DataError(
            f"expected real numbers, found values of type {found.dtype}", where="data", remedy="give real numbers"
        )
    return found


def fit_trains(graph: Graph, x: Array) -> Array:
    """Bring trains into the shape [samples, steps, *input], float64.

    Raises:
        DataError: no samples or steps, another number of values a step, or values that are no finite numbers.
    """
    x = np.asarray(real(x), dtype=np.float64)
    values = prod(graph.input_shape)
    if x.ndim < 3 or prod(x.shape[2:]) != values or not prod(x.shape[:2]):
        raise DataError(
            f"expected trains of shape [samples, steps, {', '.join(map(str, graph.input_shape))}], found {x.shape}",
            where="data",
            remedy="encode the samples as spike trains first",
        )
    bad = np.argwhere(~np.isfinite(x.reshape(*x.shape[:2], -1)))
    if len(bad):
        sample, step, feature = bad[0]
        raise DataError(
            f"expected finite values, found {x.reshape(*x.shape[:2], -1)[sample, step, feature]} "
            f"at sample {sample}, step {step}, feature {feature}",
            where="data",
            remedy="clean the data",
        )
    return x.reshape(*x.shape[:2], *graph.input_shape)


def _parts(graph: Graph, x: Array, values: Collection[str], membranes: Collection[str]) -> Iterator[Trace]:
    """The wanted values and membranes, some samples at a time."""
    largest = x.shape[1] * max(prod(shape) for shape in graph.shapes.values())
    some = max(1, _MOST_VALUES // largest)
    for first in range(0, len(x), some):
        yield _part(graph, x[first : first + some], values, membranes)


def _part(graph: Graph, x: Array, values: Collection[str], membranes: Collection[str]) -> Trace:
    last = {name: reader.name for reader in graph.nodes for name in reader.inputs}
    held: dict[str, Array] = {}
    kept: dict[str, Array] = {}
    for node in graph.nodes:
        arguments = [held[name] for name in node.inputs] or [x]
        held[node.name], before = _node(node.op, arguments)
        if before is not None and node.name in membranes:
            kept[node.name] = before
        for name in (*dict.fromkeys(node.inputs), node.name):
            if name not in values and last.get(name, node.name) == node.name:
                del held[name]
    return Trace(held, kept)


def _node(op: Op, arguments: list[Array]) -> tuple[Array, Array | None]:
    """A node's values at all steps, and its membranes where it has any."""
    if isinstance(op, Stateful):
        return run_steps(op, arguments[0])
    samples, steps = arguments[0].shape[:2]
    result = op.forward(*(a.reshape(samples * steps, *a.shape[2:]) for a in arguments))
    return result.reshape(samples, steps, *result.shape[1:]), None
