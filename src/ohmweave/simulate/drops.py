"""Voltage drops along the wires of an array.

With device currents i the wires leave each device the voltage v = V - Z i, V that of the open array.
Z i is the drop along the row plus the rise along the column, each a double sum over the wire: the
current in every segment, then the voltage over all segments up to the crossing. A wire held at both
ends has the same drop less its linear share: u_k - (k / last) u_last, k counting segments.

Kernels work on many samples side by side: arrays are [m, n LANES], the lanes of a crossing together,
so that every sum along a row is a recurrence over LANES numbers at once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.simulate.compiled import compiled
from ohmweave.units import Array

__all__ = [
    "LANES",
    "Wires",
    "descent",
    "go_down",
    "line_sums",
    "mismatch",
    "rise_at_top",
    "row_drops",
    "start_down",
    "volts",
]

LANES = 4

Single = NDArray[np.float32]


@dataclass(frozen=True)
class Wires:
    """The wires of an array, as :class:`~ohmweave.circuit.Crossbar` lays them.

    Args:
        m: rows.
        n: columns.
        r_row: resistance of one row segment, ohm; zero for rows of one net.
        r_col: resistance of one column segment, ohm; zero for columns of one net.
        rows_both_ends: one more segment leads from the last crossing of each row to a far port.
        cols_both_ends: one more segment leads from the first crossing of each column up to a far port.

    Raises:
        ValueError: a negative or infinite resistance, or two ends of a wire without resistance.
    """

    m: int
    n: int
    r_row: float
    r_col: float
    rows_both_ends: bool = False
    cols_both_ends: bool = False

    def __post_init__(self) -> None:
        for name, ohms, both in (
            ("r_row", self.r_row, self.rows_both_ends),
            ("r_col", self.r_col, self.cols_both_ends),
        ):
            if not (0.0 < ohms < np.inf or (ohms == 0.0 and not both)):
                raise ValueError(f"{name}: expected a finite resistance, above zero where both ends are led out")

    @property
    def ports(self) -> int:
        """Number of ports: rows, columns, far ends of rows, far ends of columns."""
        return self.m * (1 + self.rows_both_ends) + self.n * (1 + self.cols_both_ends)


@compiled
def rise_at_top(amps: Array, rise: Array) -> None:
    """Rise of each column above its port at the first crossing, were it led out below only.

    Args:
        amps: device currents, shape [m, n LANES], A.
        rise: takes the rises over the resistance of a segment, shape [n LANES], A.
    """
    m, width = amps.shape
    rise[:] = 0.0
    for i in range(m):
        x, height = amps[i], float(m - i)
        for k in range(width):
            rise[k] += height * x[k]


@compiled
def volts(
    amps: Array, first: int, row_ends: Array, col_ends: Array, ohms: Any, both: Any, flow: Array, v: Array
) -> None:
    """v = V - Z i for the rows of ``v``, from row ``first`` on; rows are asked for one after the other.

    Args:
        amps: i, shape [m, n LANES], A.
        first: number of the first row.
        row_ends: voltage of each row at its port, and its gain a segment, shape [2, m, LANES], V.
        col_ends: voltage of each column one segment above its first crossing, and its gain a segment
            downwards, shape [2, n LANES], V.
        ohms: r_row and r_col, shape [2], ohm.
        both: whether rows, and columns, are led out at both ends.
        flow: rises, for row 0 from :func:`rise_at_top`, and currents down the columns; as left by the rows
            before, shape [2, n LANES], A.
        v: takes the voltages, shape [rows, n LANES], V.
    """
    m, width = amps.shape
    current, drop = np.empty(width), np.empty(width)
    base, tilt, rise, down = col_ends[0], col_ends[1], flow[0], flow[1]
    if first == 0:
        start_down(rise, down, m, both[1])
    for i in range(first, first + v.shape[0]):
        x, out, near, gain = amps[i], v[i - first], row_ends[0, i], row_ends[1, i]
        row_drops(x, current, drop, both[0])
        for k in range(width):
            out[k] = -(ohms[0] * drop[k] + ohms[1] * rise[k])
        for k in range(width):
            out[k] -= base[k] + (i + 1) * tilt[k]
        for j in range(width // LANES):
            for lane in range(LANES):
                out[j * LANES + lane] += near[lane] + (j + 1) * gain[lane]
        go_down(x, down, rise)


@compiled
def row_drops(x: Any, current: Any, drop: Any, both: bool) -> None:
    """Drop from the near port to each crossing of one row, a unit of resistance a segment."""
    width = x.shape[0]
    last = width - LANES
    for k in range(last, width):
        current[k] = x[k]
    for k in range(last - 1, -1, -1):
        current[k] = current[k + LANES] + x[k]
    for k in range(LANES):
        drop[k] = current[k]
    for k in range(last):
        drop[k + LANES] = drop[k] + current[k + LANES]
    if both:
        n = width // LANES
        for j in range(n):
            share = (j + 1) / (n + 1)
            for lane in range(LANES):
                drop[j * LANES + lane] -= share * drop[last + lane]


@compiled
def start_down(rise: Any, down: Any, m: int, both: bool) -> None:
    """From the rise at the top of columns led out below only, to what the sweep down starts with."""
    for k in range(rise.shape[0]):
        down[k] = 0.0
    if both:
        for k in range(rise.shape[0]):
            rise[k] = rise[k] / (m + 1)
            down[k] = -rise[k]


@compiled
def go_down(x: Any, down: Any, rise: Any) -> None:
    """From the rise at one crossing of each column to that at the next."""
    for k in range(x.shape[0]):
        down[k] += x[k]
        rise[k] -= down[k]


@compiled
def mismatch(amps: Array, wired: Array, first: int, gap: Single, worst: Array, largest: Array) -> None:
    """How far device currents are from those the wires were solved for, in the rows of ``amps``.

    Args:
        amps: of the devices in rows from ``first`` on, shape [rows, n LANES], A.
        wired: those that the voltages came from, shape [m, n LANES], A.
        first: number of the first row.
        gap: takes amps - wired, shape [m, n LANES], A.
        worst: largest mismatch so far at each place of a row, shape [n LANES], A; infinite for no number.
        largest: largest current so far, likewise.
    """
    for i in range(amps.shape[0]):
        a, w, e = amps[i], wired[first + i], gap[first + i]
        for k in range(amps.shape[1]):
            difference = a[k] - w[k]
            e[k] = difference
            size = abs(difference)
            if not size < np.inf:
                size = np.inf
            if size > worst[k]:  # noqa: PLR1730 - twice as fast as max()
                worst[k] = size
        for k in range(amps.shape[1]):
            size = abs(a[k])
            if size > largest[k]:  # noqa: PLR1730
                largest[k] = size


@compiled
def descent(gap: Single, change: Single, ohms: Any, both: Any, out: Array) -> None:
    """Slope of the co-content along the last change of the wires' currents: the sum of e dv, dv = -Z change.

    Args:
        gap: e, shape [m, n LANES], A.
        change: as left by :func:`take`, same shape, A.
        ohms: r_row and r_col, shape [2], ohm.
        both: whether rows, and columns, are led out at both ends.
        out: takes the slope of each lane, shape [LANES], W.
    """
    m, width = gap.shape
    current, drop, rise, down = np.empty(width), np.empty(width), np.zeros(width), np.empty(width)
    for i in range(m):
        for k in range(width):
            rise[k] += (m - i) * change[i, k]
    start_down(rise, down, m, both[1])
    out[:] = 0.0
    for i in range(m):
        row_drops(change[i], current, drop, both[0])
        for k in range(width):
            out[k % LANES] -= gap[i, k] * (ohms[0] * drop[k] + ohms[1] * rise[k])
        go_down(change[i], down, rise)


@compiled
def line_sums(amps: Array, rows: Array, cols: Array) -> None:
    """Sums of the device currents along each wire, plain and weighed by the place along it.

    The weights are those with which a current leaves by the far end of a wire held at both ends: the
    segments before the crossing by all segments.

    Args:
        amps: shape [m, n LANES], A.
        rows: takes both sums of each row, shape [2, m, LANES], A.
        cols: takes both sums of each column, weights from the bottom, shape [2, n LANES], A.
    """
    m, width = amps.shape
    n = width // LANES
    rows[:] = 0.0
    cols[:] = 0.0
    plain, weighed = cols[0], cols[1]
    for i in range(m):
        x, near, far, share = amps[i], rows[0, i], rows[1, i], (m - i) / (m + 1)
        for j in range(n):
            place = (j + 1) / (n + 1)
            for lane in range(LANES):
                near[lane] += x[j * LANES + lane]
                far[lane] += place * x[j * LANES + lane]
        for k in range(width):
            plain[k] += x[k]
            weighed[k] += share * x[k]
