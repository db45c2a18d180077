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
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix, vstack
from scipy.sparse.linalg import splu

from ohmweave.bench import Bench
from ohmweave.errors import SimulationError
from ohmweave.simulate.elaborate import GROUND, FlatCircuit, incidence
from ohmweave.simulate.elements import anchor
from ohmweave.units import Array

__all__ = ["LinearResponse", "Response", "Watched", "respond"]

_LOOSE = 1.0
_BLOCK = 256


@dataclass(frozen=True, eq=False)
class Watched:
    """Slices of the watched quantities among the rows of their :class:`Response`."""

    ports: slice
    probes: slice
    source_volts: slice
    source_amps: slice
    input_amps: slice


@dataclass(frozen=True, eq=False)
class Response:
    """What some quantities answer.

    Args:
        constant: to all constant sources together, shape [rows].
        to_drives: to one unit of the bench (its scale, V) at each input, and then to one ampere into each
            port of the nonlinear arrays, shape [rows, inputs + ports].
        to_laws: to one ampere of each nonlinear element, shape [rows, elements].
    """

    constant: Array
    to_drives: Array
    to_laws: Array


@dataclass(frozen=True, eq=False)
class LinearResponse:
    """Answers of the elements' controlling voltages and of everything watched.

    Args:
        controls: of the controlling voltages, in the order of the elements.
        watched: of the watched quantities.
        slices: where each of them stands.
    """

    controls: Response
    watched: Response
    slices: Watched


def respond(flat: FlatCircuit, bench: Bench, admittances: Sequence[Array], curved: Sequence[int]) -> LinearResponse:
    """Factorise the circuit and answer every excitation.

    Args:
        flat: the elaborated cell.
        bench: inputs and what is watched.
        admittances: port admittance of every crossbar, each [ports, ports], S.
        curved: indices of the crossbars with nonlinear devices.

    Raises:
        SimulationError: a net without a path to ground, or a loop of voltage sources.
    """
    inputs = [flat.nets[name] for name in bench.inputs]
    nets, branches = len(flat.nets), len(flat.branches)
    unknowns = nets + branches + len(inputs)
    matrix, floating = _matrix(flat, inputs, admittances, unknowns)
    elements = [pair for pairs in flat.laws.values() for pair in pairs]
    ports = [net for index in curved for net in flat.crossbars[index].ports]
    _refuse_floating(flat, bench, floating)
    watch, slices = _watch(flat, bench, elements, ports, unknowns)
    right = _excitations(flat, elements, ports, len(inputs), bench.scale, unknowns)
    try:
        answers = _solve(matrix, watch, right)
    except RuntimeError as error:
        raise SimulationError(
            f"the circuit has no single operating point ({error})",
            where=bench.cell.name,
            remedy="look for a net without a path to ground or a loop of voltage sources",
        ) from error
    constant, to_drives, to_laws = np.split(answers, np.cumsum([1, len(inputs) + len(ports)]), axis=1)
    controls, watched = slice(0, len(elements)), slice(len(elements), None)
    return LinearResponse(
        Response(constant[controls, 0], to_drives[controls], to_laws[controls]),
        Response(constant[watched, 0], to_drives[watched], to_laws[watched]),
        slices,
    )


def _solve(matrix: csc_matrix, watch: csr_matrix, right: csc_matrix) -> Array:
    """watch A^-1 right, from whichever side has fewer columns, some columns at a time."""
    factor = splu(matrix)
    forward = right.shape[1] <= watch.shape[0]
    given, taken = (right, watch) if forward else (watch.T.tocsc(), right.T.tocsr())
    out = np.empty((taken.shape[0], given.shape[1]))
    for left in range(0, given.shape[1], _BLOCK):
        columns = given[:, left : left + _BLOCK].toarray()
        out[:, left : left + _BLOCK] = taken @ factor.solve(columns, "N" if forward else "T")
    return out if forward else out.T


def _matrix(
    flat: FlatCircuit, inputs: Sequence[int], admittances: Sequence[Array], unknowns: int
) -> tuple[Any, frozenset[int]]:
    """The circuit's matrix, and the nets that nothing is joined to."""
    matrix = _stamps(flat, inputs, unknowns).tocsc()
    for placed, admittance in zip(flat.crossbars, admittances, strict=True):
        ports = np.array(placed.ports)
        row, col = np.meshgrid(ports, ports, indexing="ij")
        there = (row != GROUND) & (col != GROUND)
        matrix = matrix + coo_matrix((admittance[there], (row[there], col[there])), shape=(unknowns, unknowns))
    # A port that nothing inside is joined to has no equation; it gets one, and may not be watched.
    floating = np.flatnonzero(matrix.getnnz(axis=0)[: len(flat.nets)] == 0)
    loose = coo_matrix((np.full(len(floating), _LOOSE), (floating, floating)), shape=matrix.shape)
    return csc_matrix(matrix + loose), frozenset(floating.tolist())


def _refuse_floating(flat: FlatCircuit, bench: Bench, floating: frozenset[int]) -> None:
    for probe in bench.probes:
        if flat.find(probe) in floating:
            raise SimulationError(
                f"nothing is joined to the net {probe!r}, so it has no voltage", where="bench", remedy="check the probe"
            )


def _stamps(flat: FlatCircuit, inputs: Sequence[int], unknowns: int) -> coo_matrix:
    entries: list[tuple[int, int, float]] = []
    for a, b, y in flat.conductances:
        entries += [(a, a, y), (b, b, y), (a, b, -y), (b, a, -y)]
    anchored = [
        (*nets, float(siemens))
        for law, elements in flat.laws.items()
        for nets, siemens in zip(elements, np.broadcast_to(anchor(law), len(elements)), strict=True)
        if siemens
    ]
    for p, n, cp, cn, gm in [*flat.transconductances, *anchored]:
        entries += [(p, cp, gm), (p, cn, -gm), (n, cp, -gm), (n, cn, gm)]
    nets = len(flat.nets)
    for row, branch in enumerate(flat.branches.values(), start=nets):
        p, n = branch.p, branch.n
        entries += [(p, row, 1.0), (n, row, -1.0), (row, p, 1.0), (row, n, -1.0)]
        entries += [(row, branch.cp, -branch.gain), (row, branch.cn, branch.gain)]
    for row, net in enumerate(inputs, start=nets + len(flat.branches)):
        entries += [(net, row, 1.0), (row, net, 1.0)]
    return _sparse(entries, (unknowns, unknowns))


def _sparse(entries: Sequence[tuple[int, int, float]], shape: tuple[int, int]) -> coo_matrix:
    """Add up (row, column, value); what goes to ground has no equation."""
    kept = [entry for entry in entries if entry[0] != GROUND and entry[1] != GROUND and entry[2] != 0.0]
    rows, cols, values = zip(*kept, strict=True) if kept else ((), (), ())
    return coo_matrix((values, (rows, cols)), shape=shape)


def _excitations(
    flat: FlatCircuit, elements: Any, ports: Sequence[int], inputs: int, scale: float, unknowns: int
) -> csc_matrix:
    """Right sides: the constant sources, each input, each port, each element; shape [unknowns, excitations], sparse."""
    nets, branches = len(flat.nets), len(flat.branches)
    entries: list[tuple[int, int, float]] = []
    for p, n, amps in flat.currents:
        entries += [(p, 0, -amps), (n, 0, amps)]
    entries += [(row, 0, branch.volts) for row, branch in enumerate(flat.branches.values(), start=nets)]
    entries += [(nets + branches + k, 1 + k, scale) for k in range(inputs)]
    entries += [(net, column, -1.0) for column, net in enumerate(ports, start=1 + inputs)]
    columns = 1 + inputs + len(ports) + len(elements)
    for column, (p, n, _, _) in enumerate(elements, start=1 + inputs + len(ports)):
        entries += [(p, column, -1.0), (n, column, 1.0)]
    return _sparse(entries, (unknowns, columns)).tocsc()


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
        [(GROUND, nets + branches + k) for k in range(len(bench.inputs) if bench.input_amps else 0)],
    ]
    edges = np.cumsum([0, *(len(group) for group in groups[1:])])
    spans = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    return vstack([incidence(group, unknowns) for group in groups]).tocsr(), Watched(*spans)
