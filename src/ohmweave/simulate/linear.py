"""The linear part of a circuit: what every watched quantity answers to every excitation.

Modified nodal analysis (Ho, Ruehli and Brennan, IEEE TCAS 1975): node voltages and the currents of
voltage-defined branches are the unknowns; crossbars enter by their port admittance. One sparse
factorisation answers all excitations; the answers are kept for the watched rows only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix, vstack
from scipy.sparse.linalg import splu

from ohmweave.bench import Bench
from ohmweave.errors import SimulationError
from ohmweave.simulate.elaborate import GROUND, FlatCircuit, incidence
from ohmweave.simulate.newton import anchor
from ohmweave.simulate.reduction import Reduction
from ohmweave.units import Array

__all__ = ["LinearResponse", "Watched", "respond"]

_LOOSE = 1.0


@dataclass(frozen=True, eq=False)
class Watched:
    """Slices of the watched quantities, in the order of the rows of a :class:`LinearResponse`."""

    controls: slice
    ports: slice
    probes: slice
    source_volts: slice
    source_amps: slice
    input_amps: slice


@dataclass(frozen=True, eq=False)
class LinearResponse:
    """Answers of the watched quantities; rows as in ``watched``.

    Args:
        watched: where each quantity stands.
        constant: to all constant sources together, shape [watched].
        to_inputs: to one volt at each input, shape [watched, inputs].
        to_laws: to one ampere of each nonlinear element, shape [watched, elements].
        to_ports: to one ampere into each port of the nonlinear arrays, shape [watched, ports].
    """

    watched: Watched
    constant: Array
    to_inputs: Array
    to_laws: Array
    to_ports: Array


def respond(flat: FlatCircuit, bench: Bench, reductions: Sequence[Reduction], curved: Sequence[int]) -> LinearResponse:
    """Factorise the circuit and answer every excitation.

    Args:
        flat: the elaborated cell.
        bench: inputs and what is watched.
        reductions: of every crossbar.
        curved: indices of the crossbars with nonlinear devices.

    Raises:
        SimulationError: a net without a path to ground, or a loop of voltage sources.
    """
    inputs = [flat.nets[name] for name in bench.inputs]
    nets, branches = len(flat.nets), len(flat.branches)
    unknowns = nets + branches + len(inputs)
    matrix = _matrix(flat, inputs, reductions, unknowns)
    elements = [pair for pairs in flat.laws.values() for pair in pairs]
    ports = [net for index in curved for net in flat.crossbars[index].ports]
    _refuse_floating(flat, bench, matrix)
    watch, slices = _watch(flat, bench, elements, ports, unknowns)
    right = _excitations(flat, elements, ports, nets, branches, len(inputs), unknowns)
    try:
        answers = watch @ splu(matrix).solve(right)
    except RuntimeError as error:
        raise SimulationError(
            f"the circuit has no single operating point ({error})",
            where=bench.cell.name,
            remedy="look for a net without a path to ground or a loop of voltage sources",
        ) from error
    edges = np.cumsum([1, len(inputs), len(elements)])
    constant, to_inputs, to_laws, to_ports = np.split(answers, edges, axis=1)
    return LinearResponse(slices, constant[:, 0], to_inputs, to_laws, to_ports)


def _matrix(flat: FlatCircuit, inputs: Sequence[int], reductions: Sequence[Reduction], unknowns: int) -> Any:
    rows, cols, values = _stamps(flat, inputs)
    matrix = coo_matrix((values, (rows, cols)), shape=(unknowns, unknowns)).tocsc()
    for placed, reduction in zip(flat.crossbars, reductions, strict=True):
        ports = np.array(placed.ports)
        row, col = np.meshgrid(ports, ports, indexing="ij")
        there = (row != GROUND) & (col != GROUND)
        matrix = matrix + coo_matrix(
            (reduction.admittance[there], (row[there], col[there])), shape=(unknowns, unknowns)
        )
    # A port that nothing inside is joined to has no equation; it gets one, and may not be watched.
    floating = np.flatnonzero(matrix.getnnz(axis=0)[: len(flat.nets)] == 0)
    return csc_matrix(matrix + coo_matrix((np.full(len(floating), _LOOSE), (floating, floating)), shape=matrix.shape))


def _refuse_floating(flat: FlatCircuit, bench: Bench, matrix: Any) -> None:
    for probe in bench.probes:
        number = flat.find(probe)
        if number != GROUND and matrix.getnnz(axis=0)[number] == 1 and matrix[number, number] == _LOOSE:
            raise SimulationError(
                f"nothing is joined to the net {probe!r}, so it has no voltage", where="bench", remedy="check the probe"
            )


def _stamps(flat: FlatCircuit, inputs: Sequence[int]) -> tuple[list[int], list[int], list[float]]:
    entries: list[tuple[int, int, float]] = []
    for a, b, y in flat.conductances:
        entries += [(a, a, y), (b, b, y), (a, b, -y), (b, a, -y)]
    anchored = [(*nets, anchor(law)) for law, elements in flat.laws.items() if anchor(law) for nets in elements]
    for p, n, cp, cn, gm in [*flat.transconductances, *anchored]:
        entries += [(p, cp, gm), (p, cn, -gm), (n, cp, -gm), (n, cn, gm)]
    nets = len(flat.nets)
    for row, branch in enumerate(flat.branches.values(), start=nets):
        p, n = branch.p, branch.n
        entries += [(p, row, 1.0), (n, row, -1.0), (row, p, 1.0), (row, n, -1.0)]
        entries += [(row, branch.cp, -branch.gain), (row, branch.cn, branch.gain)]
    for row, net in enumerate(inputs, start=nets + len(flat.branches)):
        entries += [(net, row, 1.0), (row, net, 1.0)]
    kept = [entry for entry in entries if entry[0] != GROUND and entry[1] != GROUND and entry[2] != 0.0]
    rows, cols, values = zip(*kept, strict=True) if kept else ((), (), ())
    return list(rows), list(cols), list(values)


def _excitations(
    flat: FlatCircuit, elements: Any, ports: Sequence[int], nets: int, branches: int, inputs: int, unknowns: int
) -> Array:
    right = np.zeros((unknowns + 1, 1 + inputs + len(elements) + len(ports)))  # the last row takes what goes to ground
    for p, n, amps in flat.currents:
        right[p, 0] -= amps
        right[n, 0] += amps
    for row, branch in enumerate(flat.branches.values(), start=nets):
        right[row, 0] += branch.volts
    for k in range(inputs):
        right[nets + branches + k, 1 + k] = 1.0
    for column, (p, n, _, _) in enumerate(elements, start=1 + inputs):
        right[p, column] -= 1.0
        right[n, column] += 1.0
    for column, net in enumerate(ports, start=1 + inputs + len(elements)):
        right[net, column] -= 1.0
    return right[:-1]


def _watch(flat: FlatCircuit, bench: Bench, elements: Any, ports: Sequence[int], unknowns: int) -> tuple[Any, Watched]:
    nets, names = len(flat.nets), list(flat.branches)
    branches = len(names)
    sources = [flat.branch(name) for name in bench.sources]
    chosen = [flat.branches[names[index]] for index in sources]
    groups = [
        [(cp, cn) for _, _, cp, cn in elements],
        [(net, GROUND) for net in ports],
        [(flat.find(name), GROUND) for name in bench.probes],
        [(branch.p, branch.n) for branch in chosen],
        # A branch current flows from p through the source to n: out of p into the circuit is its negative.
        [(GROUND, nets + index) for index in sources],
        [(GROUND, nets + branches + k) for k in range(len(bench.inputs))],
    ]
    edges = np.cumsum([0, *(len(group) for group in groups)])
    spans = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    return vstack([incidence(group, unknowns) for group in groups]).tocsr(), Watched(*spans)
