"""Arrays whose wires have resistance one way only: every wire is a ladder, reduced in closed form.

The rows are nets, each column a chain of m nodes with conductance y between neighbours, y from the last
node to the column port and, where the far end is a port too, y from there to the first node. Device i
is a shunt g_i from node i to row port i. With all ports grounded, U_i is the conductance seen from node
i upwards, its shunt included, and D_i the one seen downwards,

    U_i = g_i + y U_(i-1) / (y + U_(i-1)),   D_i = y T / (y + T) with T = g_(i+1) + D_(i+1),   D_(m-1) = y.

The impedance between nodes is Z_kk = 1 / (U_k + D_k) and Z_ik = Z_(i+1)k y / (y + U_i) for i < k, and
ports couple by c_a Z_ab c_b, c the conductance from a node to its port. All terms are positive: nothing
cancels, however far apart wires and devices are (a tridiagonal M-matrix; R. Vandebril, M. Van Barel and
N. Mastronardi, *Matrix Computations and Semiseparable Matrices*, 2008).
"""

import numpy as np

from ohmweave.units import Array

__all__ = ["ladder_admittance"]


def ladder_admittance(g: Array, ohms: float, *, far: bool = False) -> Array:
    """Exact port admittance of an array whose row wires have no resistance.

    Args:
        g: device conductances, shape [m, n], S, not negative; 0 where there is no device.
        ohms: resistance of one column segment, above zero, ohm.
        far: whether the columns' upper ends are ports too, one more segment above the first crossing.

    Returns:
        Current into each port for port voltages, S, shape [m + n, m + n], or [m + 2 n, m + 2 n] with
        ``far``; ports in the order rows, columns, far ends. Symmetric; its rows sum to zero.
    """
    (m, n), y = g.shape, 1.0 / ohms
    upwards, impedance = _seen(g, y, far=far)
    couplings = np.zeros((m + n * (1 + far),) * 2)
    cols, fars = m + np.arange(n), m + n + np.arange(n * far)
    # What one ampere into node k puts on the nodes above it, times their shunts; for every column.
    share, first = np.zeros((m, n)), np.ones(n)
    for k in range(m):
        if k:
            passed = y / (y + upwards[k - 1])
            share[:k] *= passed
            first *= passed
        share[k] = g[k]
        couplings[k, :k] = share[:k] @ (impedance[k] * g[k])
        if far:
            couplings[fars, k] = first * impedance[k] * g[k] * y
    couplings[cols, :m] = (share * (impedance[-1] * y)).T
    if far:
        couplings[fars, cols] = first * impedance[-1] * y * y
    admittance = -(couplings + couplings.T)
    admittance[np.diag_indices_from(admittance)] = -admittance.sum(axis=1)
    return admittance


def _seen(g: Array, y: float, *, far: bool) -> tuple[Array, Array]:
    """U and Z_kk of every node, [m, n]."""
    upwards, downwards = np.empty_like(g), np.empty_like(g)
    upwards[0] = g[0] + y * far
    for i in range(1, len(g)):
        upwards[i] = g[i] + y * upwards[i - 1] / (y + upwards[i - 1])
    downwards[-1] = y
    for i in reversed(range(len(g) - 1)):
        beyond = g[i + 1] + downwards[i + 1]
        downwards[i] = y * beyond / (y + beyond)
    return upwards, 1.0 / (upwards + downwards)
