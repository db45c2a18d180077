"""Making up for wires: conductances that act, behind their wires, as the ones asked for would without."""

import math
from dataclasses import replace

import numpy as np

from ohmweave.circuit import Crossbar
from ohmweave.design import Design
from ohmweave.simulate.reduction import reduce_array
from ohmweave.units import Array

__all__ = ["compensate", "transfer"]

# Each round leaves a share of the error that is about the share of the signal which the wires take.
_ROUNDS = 5


def compensate(target: Array, design: Design) -> Array:
    """Raise conductances until what arrives at the columns is what was asked for.

    g <- min(max(g t / T(g), G_off), G_on), t the target and T(g) the tile's exact transfer from row i to column
    j, with drivers and wires as they are and the columns grounded. Of the tile's own wires and drivers
    nothing is left but what does not fit into the range, for which ``array.reserve`` keeps room; where much does
    not fit, the round with the least error (root mean square) counts. What other tiles draw from a shared row
    is not seen. After Liu et al., Reduction and IR-drop compensations techniques
    for reliable neuromorphic computing systems, ICCAD 2014, who correct by a model of the drop.

    Args:
        target: shape [rows, cols], S; NaN where there is no device.
        design: gives wires, drivers and the range.

    Returns:
        Conductances to program, same shape, S.
    """
    if design.array.r_row == design.array.r_col == design.driver.r_source == 0.0:
        return target.copy()
    g = best = target.copy()
    least = math.inf
    for _ in range(_ROUNDS + 1):
        acting = transfer(g, design)
        error = float(np.sqrt(np.nanmean((acting - target) ** 2))) if not np.isnan(target).all() else 0.0
        if error >= least:
            break
        least, best = error, g
        # NaN stays NaN.
        g = np.clip(g * target / acting, *design.device.g_range)
    return best


def transfer(g: Array, design: Design) -> Array:
    """Current into each grounded column for one volt at the driver of each row, shape [rows, cols], S.

    T = -Y_cr (1 + R_s Y_rr)^-1, Y the port admittance of the wired tile.

    Args:
        g: conductances, shape [rows, cols], S; NaN where there is no device.
        design: gives wires and drivers.
    """
    choice, (m, n) = design.array, g.shape
    rows, cols = tuple(f"r{i}" for i in range(m)), tuple(f"c{j}" for j in range(n))
    array = Crossbar("tile", rows, cols, None, g, choice.r_row, choice.r_col)
    if choice.drive == "both" and choice.r_row > 0.0:
        array = replace(array, far_rows=rows)
    if choice.ground == "both" and choice.r_col > 0.0:
        array = replace(array, far_cols=cols)
    admittance = _strapped(array)
    loaded = np.eye(m) + design.driver.r_source * admittance[:m, :m]
    return np.asarray(-np.linalg.solve(loaded.T, admittance[m:, :m].T))


def _strapped(array: Crossbar) -> Array:
    """The port admittance with far ends joined to the near ones, rows before columns, S."""
    m, n = array.g.shape
    admittance = reduce_array(array).admittance
    near = np.concatenate([np.arange(m + n), np.arange(len(array.far_rows)), m + np.arange(len(array.far_cols))])
    joined = np.zeros((m + n, m + n))
    np.add.at(joined, (near[:, None], near[None, :]), admittance)
    return joined
