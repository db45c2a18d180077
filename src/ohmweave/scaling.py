"""How many volts a unit of the network is, layer by layer."""

from collections.abc import Iterable

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ohmweave.design import Design
from ohmweave.errors import DataError
from ohmweave.layers import Layer, Lowered
from ohmweave.units import Array

__all__ = ["row_scales", "scales"]


def scales(lowered: Lowered, values: Array, design: Design) -> Array:
    """Scale of the network's inputs, and then of every layer's outputs, V per unit.

    The largest value on the calibration data is at the read voltage, or for the last layer at its output
    voltage. Layers whose values meet in one place, an input that takes another one at another position or a
    maximum, share the smallest scale of them all; so does a maximum with what it is taken of.

    Args:
        lowered: the network's layers.
        values: the network's own value of every signal, [samples, signals], network units.
        design: gives the voltages.

    Raises:
        DataError: inputs or outputs that are all zero.
    """
    signal, layers = design.signal, lowered.layers
    inputs = values[:, 1 : layers[0].first]
    own = [signal.v_read / _largest(inputs, "calibration data", "the inputs")]
    for layer in layers:
        volts = signal.v_out if layer is layers[-1] else signal.v_read
        where = f"layer {layer.nodes[0]!r}"
        own.append(volts / _largest(values[:, layer.signals], where, "the outputs on the calibration data"))
    pairs = np.array([(0, 0), *(pair for number in range(len(layers)) for pair in _tied(lowered, number))])
    links = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(own), len(own)))
    groups = connected_components(links, directed=False)[1]
    shared = np.full(groups.max() + 1, np.inf)
    np.minimum.at(shared, groups, own)
    return np.asarray(shared[groups])


def _tied(lowered: Lowered, number: int) -> Iterable[tuple[int, int]]:
    """Pairs of inputs and layers, 0 being the network's input, that must share a scale."""
    layer = lowered.layers[number]
    found = lowered.owners(layer.source)
    if layer.kind == "maximum":
        return [(number + 1, int(owner)) for owner in np.unique(found[found >= 0])]
    several = found[:, (found != found.max(axis=0)).any(axis=0)].T
    mixed = (np.unique(column[column >= 0]) for column in np.unique(several, axis=0))
    return [(int(column[0]), int(other)) for column in mixed for other in column[1:]]


def row_scales(lowered: Lowered, layer: Layer, known: Array) -> Array:
    """Scale of every input of a layer, V per unit, [inputs]; an input that is always ground takes another's.

    Args:
        lowered: the network's layers.
        layer: one of them.
        known: see :func:`scales`.
    """
    owner = lowered.owners(layer.source).max(axis=0)
    return np.asarray(known[np.where(owner < 0, owner.max(initial=0), owner)])


def _largest(values: Array, where: str, what: str) -> float:
    found = float(np.abs(values).max(initial=0.0))
    if found == 0.0:
        raise DataError(
            f"{what} are all zero, so no scale can be set", where=where, remedy="calibrate with representative data"
        )
    return found
