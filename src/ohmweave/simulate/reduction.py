"""A wired array seen from its ports: Kron reduction.

With devices of conductance g the nodes of the array obey Kirchhoff's current law, A v = i. Sorted
into ports P and inner nodes I, and with a device current excess e beyond g v (nonlinear devices),

    v_I = -A_II^-1 (A_IP v_P + B_I e)
    i_P = (A_PP - A_PI A_II^-1 A_IP) v_P + (B_P - A_PI A_II^-1 B_I) e,

where B takes each device's current from its row node to its column node (Kron, 1939; Doerfler and
Bullo, IEEE TCAS-I 2013). The first bracket is the port admittance; nothing is approximated. It comes
from merging blocks (:mod:`ohmweave.simulate.merging`) and, where the wires of one direction or of both
have no resistance, in closed form (:mod:`ohmweave.simulate.ladders`); inner nodes come from a sparse
factorisation.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix
from scipy.sparse.linalg import splu

from ohmweave.circuit import Crossbar
from ohmweave.errors import SimulationError
from ohmweave.simulate.ladders import ladder_admittance
from ohmweave.simulate.merging import port_admittance
from ohmweave.units import Array

__all__ = ["Reduction", "conductances", "reduce_array"]

_BLOCK = 256


@dataclass(frozen=True, eq=False)
class _Nodes:
    """The nodes of an array inside and out.

    Args:
        across: incidence of the present devices, shape [devices, nodes], sparse.
        inner: factorised A_II, or None where there are no inner nodes.
        to_ports: A_PI, shape [ports, inner nodes], sparse, S.
        direct: A_PP, shape [ports, ports], S.
    """

    across: Any
    inner: Any
    to_ports: Any
    direct: Array


@dataclass(frozen=True, eq=False)
class Reduction:
    """What :func:`reduce_array` returns.

    The inner nodes are factorised when their voltages, or the answer to a current excess, are first
    asked for.

    Args:
        crossbar: the array.
        present: flat indices of the devices present, row by row.
        g: programmed conductance of each present device, S.
        linear: conductance with which each present device was linearised, S.
        admittance: current into each port for port voltages, shape [ports, ports], S; ports in the
            crossbar's order.
    """

    crossbar: Crossbar
    present: np.ndarray[Any, np.dtype[np.int64]]
    g: Array
    linear: Array
    admittance: Array

    @cached_property
    def _nodes(self) -> _Nodes:
        return _factorise(self.crossbar, self.present, self.linear)

    def wire_volts(self, v_ports: Array, excess: Array | None = None) -> Array:
        """Voltages of every node: ports, then inner nodes.

        Args:
            v_ports: shape [samples, ports], V.
            excess: device currents beyond the linear ones, shape [samples, devices], A.

        Returns:
            Shape [samples, nodes], V.
        """
        nodes = self._nodes
        if nodes.inner is None:
            return v_ports
        right = -(nodes.to_ports.T @ v_ports.T)
        if excess is not None:
            right -= nodes.across[:, v_ports.shape[1] :].T @ excess.T
        return np.hstack([v_ports, nodes.inner.solve(np.ascontiguousarray(right)).T])

    def device_volts(self, v_ports: Array, excess: Array | None = None) -> Array:
        """Voltage across every present device, [samples, devices], V; arguments as above."""
        return np.asarray((self._nodes.across @ self.wire_volts(v_ports, excess).T).T)

    def port_amps(self, excess: Array) -> Array:
        """Current into each grounded port due to a device current excess, [samples, ports], A."""
        nodes, ports = self._nodes, len(self.admittance)
        direct = (nodes.across[:, :ports].T @ excess.T).T
        if nodes.inner is None:
            return np.asarray(direct)
        inner = nodes.inner.solve(np.ascontiguousarray(nodes.across[:, ports:].T @ excess.T))
        return np.asarray(direct - (nodes.to_ports @ inner).T)


def reduce_array(crossbar: Crossbar, linear: Array | None = None, admittance: Array | None = None) -> Reduction:
    """Eliminate the inner nodes of an array.

    Args:
        crossbar: the array.
        linear: conductance to linearise each device with, shape [m, n], S; the programmed one if
            not given.
        admittance: what the reduction of an equal array gave before, shape [ports, ports], S; computed
            if not given.

    Raises:
        SimulationError: wires that cannot be solved.
        ValueError: an admittance of another shape.
    """
    ports, present = len(crossbar.ports), np.flatnonzero(~np.isnan(crossbar.g.ravel()))
    if admittance is None:
        admittance = _admittance(crossbar, conductances(crossbar, linear))
    elif admittance.shape != (ports, ports):
        raise ValueError(f"crossbar {crossbar.name} has {ports} ports, found an admittance {admittance.shape}")
    g = crossbar.g.ravel()[present]
    return Reduction(crossbar, present, g, g if linear is None else linear.ravel()[present], admittance)


def conductances(crossbar: Crossbar, linear: Array | None = None) -> Array:
    """What an array is reduced with, shape [m, n], S: ``linear`` or the programmed values; 0 for no device."""
    return np.where(np.isnan(crossbar.g), 0.0, crossbar.g if linear is None else linear)


def _admittance(crossbar: Crossbar, g: Array) -> Array:
    r_row, r_col = crossbar.r_row, crossbar.r_col
    if not g.size or not np.all((g >= 0) & np.isfinite(g)):
        return _any_admittance(crossbar, g)
    far_rows, far_cols = bool(crossbar.far_rows), bool(crossbar.far_cols)
    if r_row > 0 and r_col > 0:
        try:
            return port_admittance(g, r_row, r_col, far_rows=far_rows, far_cols=far_cols)
        except SimulationError as error:
            raise SimulationError(error.message, where=crossbar.name, remedy=error.remedy) from error
    if r_col > 0:
        return ladder_admittance(g, r_col, far=far_cols)
    if r_row > 0:
        # Seen from its columns an array without column resistance is one without row resistance, upside down.
        turned = ladder_admittance(np.ascontiguousarray(g[::-1, ::-1].T), r_row, far=far_rows)
        ports = _turned_ports(*g.shape, far=far_rows)
        return np.asarray(turned[np.ix_(ports, ports)])
    return _any_admittance(crossbar, g)


def _turned_ports(m: int, n: int, *, far: bool) -> Any:
    """Where rows, columns and far ends of rows stand among the ports of the array g[::-1, ::-1].T."""
    rows = n + np.arange(m)[::-1]
    return np.concatenate([rows, np.arange(n)[::-1], m + rows if far else rows[:0]])


def _any_admittance(crossbar: Crossbar, g: Array) -> Array:
    """The admittance by a sparse factorisation, for conductances of either sign and for no wires at all."""
    nodes = _factorise(crossbar, np.arange(g.size), g.ravel())
    admittance = nodes.direct.copy()
    if nodes.inner is not None:
        for left in range(0, len(admittance), _BLOCK):
            columns = nodes.to_ports[left : left + _BLOCK].T.toarray()
            admittance[:, left : left + _BLOCK] -= nodes.to_ports @ nodes.inner.solve(columns)
    return admittance


def _factorise(crossbar: Crossbar, present: Any, linear: Array) -> _Nodes:
    word, bit, count = _nodes(crossbar)
    ports = len(crossbar.ports)
    matrix = _laplacian(crossbar, word, bit, count, present, linear)
    across = _difference(word.ravel()[present], bit.ravel()[present], count)
    direct = matrix[:ports, :ports].toarray()
    if count == ports:
        return _Nodes(across, None, None, direct)
    try:
        # Symmetric and positive definite: no pivoting needed, the ordering stays sparse.
        inner = splu(
            csc_matrix(matrix[ports:, ports:]),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
    except RuntimeError as error:
        raise SimulationError(f"the array's wires could not be solved ({error})", where=crossbar.name) from error
    return _Nodes(across, inner, csr_matrix(matrix[:ports, ports:]), direct)


def _nodes(crossbar: Crossbar) -> tuple[Any, Any, int]:
    """Node numbers of the row and column wire at every crossing, [m, n], and their count; ports come first."""
    m, n = crossbar.g.shape
    count = len(crossbar.ports)
    if crossbar.r_row > 0:
        word = count + np.arange(m * n).reshape(m, n)
        count += m * n
    else:
        word = np.repeat(np.arange(m)[:, None], n, axis=1)
    if crossbar.r_col > 0:
        bit = count + np.arange(m * n).reshape(m, n)
        count += m * n
    else:
        bit = np.repeat(m + np.arange(n)[None, :], m, axis=0)
    return word, bit, count


def _laplacian(crossbar: Crossbar, word: Any, bit: Any, nodes: int, present: Any, g: Array) -> Any:
    m, n = crossbar.g.shape
    far_rows = m + n + np.arange(len(crossbar.far_rows))
    far_cols = m + n + len(far_rows) + np.arange(len(crossbar.far_cols))
    starts, ends, values = [word.ravel()[present]], [bit.ravel()[present]], [g]
    if crossbar.r_row > 0:
        starts += [np.arange(m), word[:, :-1].ravel(), word[: len(far_rows), -1]]
        ends += [word[:, 0], word[:, 1:].ravel(), far_rows]
        values.append(np.full(m * n + len(far_rows), 1.0 / crossbar.r_row))
    if crossbar.r_col > 0:
        starts += [far_cols, bit[:-1].ravel(), bit[-1]]
        ends += [bit[0, : len(far_cols)], bit[1:].ravel(), m + np.arange(n)]
        values.append(np.full(m * n + len(far_cols), 1.0 / crossbar.r_col))
    a, b, y = np.concatenate(starts), np.concatenate(ends), np.concatenate(values)
    rows, cols = np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a])
    return coo_matrix((np.concatenate([y, y, -y, -y]), (rows, cols)), shape=(nodes, nodes)).tocsr()


def _difference(a: Any, b: Any, nodes: int) -> Any:
    rows = np.tile(np.arange(len(a)), 2)
    signs = np.repeat([1.0, -1.0], len(a))
    return csr_matrix((signs, (rows, np.concatenate([a, b]))), shape=(len(a), nodes))
