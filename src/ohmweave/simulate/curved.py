"""Wired arrays of nonlinear devices, solved for many samples at once by an inexact Newton method.

Unknown are the device currents i that the wires carry; they leave each device v = V - Z i
(:mod:`ohmweave.simulate.drops`), where it really takes f(v). Newton's method drives the mismatch
e = f(v) - i to zero. Its step solves

    (I + Z D) dv = -Z e,   D = diag f'(v),   i <- f(v) + D dv,

by conjugate gradients without any matrix, only as far as the quadratic error of the step deserves
(Dembo, Eisenstat and Steihaug, SIAM J. Numer. Anal. 19, 1982; Eisenstat and Walker, SIAM J. Sci.
Comput. 17, 1996). The step is found in float32, a few samples side by side; mismatches and voltages
are float64, so every step gains what float32 holds and the solution has float64's digits. As v always
comes from i, e is the residual of Kirchhoff's current law at each device, in amperes.

A step that leaves e larger and has passed the least co-content on its way (Millar, Philosophical Magazine
42, 1951; convex, as the laws are monotone) is halved until it has not.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.simulate.correction import correct, step_back, take
from ohmweave.simulate.drops import LANES, Wires, descent, line_sums, mismatch, rise_at_top, volts
from ohmweave.simulate.lanes import CurvedArray, Ends, constants
from ohmweave.units import Array

__all__ = ["ArraySolution", "CurvedArray", "Wires", "settle_array", "solve_array"]

_CHUNK = 8192
_HALVINGS = 40
_LOOSE, _TIGHT, _MARGIN = 0.1, 1e-6, 0.3
_RAMP = np.linspace(0.025, 1.0, 40)


@dataclass(frozen=True, eq=False)
class ArraySolution:
    """What :func:`solve_array` returns.

    Args:
        port_amps: current into each port, shape [samples, ports], A: sums of the device currents i.
        residual: largest difference of any device's f(v) from its i, shape [samples], A.
        largest: largest current of any device, shape [samples], A.
        settled: which samples reached the tolerance, shape [samples].
        steps: Newton steps taken, shape [samples].
        lanes: device currents i as the kernels hold them, shape [groups, m, n LANES], A.
        wires: of the array.
        v_ports: shape [samples, ports], V.
    """

    port_amps: Array
    residual: Array
    largest: Array
    settled: NDArray[np.bool_]
    steps: NDArray[np.int64]
    lanes: Array
    wires: Wires
    v_ports: Array

    @property
    def device_amps(self) -> Array:
        """Device currents i, shape [samples, m, n], A; zero where there is no device."""
        return _by_sample(self.lanes, self.wires)[: len(self.v_ports)]

    @property
    def device_volts(self) -> Array:
        """Voltages V - Z i from the row to the column wire at every crossing, shape [samples, m, n], V."""
        out, ends = np.zeros_like(self.lanes), Ends.of(self.wires, self.v_ports)
        flow = np.zeros((2, self.lanes.shape[2]))
        for group, amps in enumerate(self.lanes):
            held = ends.rows[group], ends.cols[group]
            rise_at_top(amps, flow[0])
            volts(amps, 0, *held, *constants(self.wires), flow, out[group])
        return _by_sample(out, self.wires)[: len(self.v_ports)]


def _by_sample(lanes: Array, wires: Wires) -> Array:
    by_group = lanes.reshape(len(lanes), wires.m, wires.n, LANES)
    return np.moveaxis(by_group, 3, 1).reshape(-1, wires.m, wires.n)


def solve_array(
    array: CurvedArray,
    v_ports: Array,
    start: ArraySolution | None = None,
    *,
    tolerance: float = 1e-12,
    most_steps: int = 50,
    threads: int = 1,
) -> ArraySolution:
    """Device currents i = f(V - Z i) and the currents into the ports.

    Args:
        array: devices and wires.
        v_ports: shape [samples, ports], V; rows, columns, far ends of rows, far ends of columns.
        start: a solution of the same samples at nearby voltages; without it the wires start without drops.
        tolerance: largest mismatch of a device's current allowed, relative to the sample's largest.
        most_steps: Newton steps after which a sample is given back as it is.
        threads: to share the samples among.

    Returns:
        The solution. Samples that did not settle are marked, with the residual they have.

    Raises:
        ValueError: voltages that do not fit the ports, or a start of other samples.
    """
    wires = array.wires
    if v_ports.ndim != 2 or v_ports.shape[1] != wires.ports:
        raise ValueError(f"v_ports has shape {v_ports.shape}, expected [samples, {wires.ports}]")
    if start is not None and (len(start.v_ports) != len(v_ports) or start.wires != wires):
        raise ValueError(f"the start has {len(start.v_ports)} samples on {start.wires}, not {len(v_ports)} on {wires}")
    ends = Ends.of(wires, v_ports)
    groups = len(ends.rows)
    found = _Found.room(groups, wires)

    def solve(numbers: NDArray[np.int64]) -> None:
        solver = _Solver(array, tolerance, most_steps)
        for group in numbers:
            solver.solve(ends, None if start is None else start.lanes, int(group), found)

    if threads == 1 or groups < 2:
        solve(np.arange(groups))
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(solve, np.array_split(np.arange(groups), threads)))
    samples = slice(len(v_ports))
    port_amps = np.moveaxis(found.port_amps, 2, 1).reshape(-1, wires.ports)[samples]
    return ArraySolution(
        port_amps,
        residual=found.residual.ravel()[samples],
        largest=found.largest.ravel()[samples],
        settled=found.settled.ravel()[samples],
        steps=found.steps.ravel()[samples],
        lanes=found.amps,
        wires=wires,
        v_ports=v_ports,
    )


def settle_array(
    array: CurvedArray, v_ports: Array, *, tolerance: float = 1e-12, most_steps: int = 50, threads: int = 1
) -> ArraySolution:
    """As :func:`solve_array`; samples that do not settle are solved again with their sources ramped up from zero.

    Source stepping (Nagel, UCB/ERL M520, 1975) is for devices so steep that at the undropped voltages their
    currents dwarf what the wires can carry.
    """
    found = solve_array(array, v_ports, tolerance=tolerance, most_steps=most_steps, threads=threads)
    left = np.flatnonzero(~found.settled)
    if not len(left):
        return found
    again: ArraySolution | None = None
    for scale in _RAMP:
        again = solve_array(
            array, scale * v_ports[left], again, tolerance=tolerance, most_steps=most_steps, threads=threads
        )
    assert again is not None
    for name in ("port_amps", "residual", "largest", "settled", "steps"):
        getattr(found, name)[left] = getattr(again, name)
    by_lane = found.lanes.reshape(-1, array.wires.m, array.wires.n, LANES)
    by_lane[left // LANES, :, :, left % LANES] = again.device_amps
    return found


@dataclass(frozen=True, eq=False)
class _Found:
    """Room for the answers of all groups."""

    amps: Array
    port_amps: Array
    residual: Array
    largest: Array
    settled: NDArray[np.bool_]
    steps: NDArray[np.int64]

    @staticmethod
    def room(groups: int, wires: Wires) -> "_Found":
        """Empty room."""
        by_lane = groups, LANES
        return _Found(
            np.empty((groups, wires.m, wires.n * LANES)),
            np.empty((groups, wires.ports, LANES)),
            np.empty(by_lane),
            np.empty(by_lane),
            np.empty(by_lane, dtype=bool),
            np.empty(by_lane, dtype=np.int64),
        )


class _Solver:
    """Room to solve one group of lanes after the other."""

    def __init__(self, array: CurvedArray, tolerance: float, most_steps: int) -> None:
        self.array, self.tolerance, self.most_steps = array, tolerance, most_steps
        m, width = array.wires.m, array.wires.n * LANES
        self.ohms, self.both = constants(array.wires)
        self.short_ohms = self.ohms.astype(np.float32)
        self.v = np.empty((max(1, _CHUNK // width), width))
        self.gap, self.slopes = np.zeros((2, m, width), dtype=np.float32)
        self.work = np.zeros((4, m, width), dtype=np.float32)
        self.flow, self.worst, self.largest = np.zeros((2, width)), np.zeros(width), np.zeros(width)

    def solve(self, ends: Ends, start: Array | None, group: int, found: _Found) -> None:
        """Solve one group into its place."""
        wired, held = found.amps[group], (ends.rows[group], ends.cols[group])
        wired[:] = 0.0 if start is None else np.nan_to_num(start[group])
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a runaway is seen by its residual
            steps, settled, residual, largest = self._newton(wired, held)
        found.residual[group], found.largest[group] = residual, largest
        found.settled[group], found.steps[group] = settled, steps
        self._port_amps(wired, ends, group, found.port_amps[group])

    def _newton(self, wired: Array, held: tuple[Array, Array]) -> tuple[Any, Any, Any, Any]:
        steps, ratio = np.zeros(LANES, dtype=np.int64), np.ones(LANES)
        rise_at_top(wired, self.flow[0])
        residual, largest = self._evaluate(wired, held, slopes=True)
        for count in range(self.most_steps + 1):
            settled = (residual <= self.tolerance * largest) & np.isfinite(residual)
            going = ~settled & np.isfinite(residual) & np.isfinite(largest)
            if count == self.most_steps or not going.any():
                break
            steps[going] += 1
            share = np.where(going, residual / np.where(going, largest, 1.0), 1.0)
            goal = np.maximum(_MARGIN * ratio * share, 0.3 * self.tolerance / share)
            goal = np.where(going, np.clip(goal, _TIGHT, _LOOSE), np.inf)
            scale = np.where(going, residual, 0.0)
            correct(self.gap, self.slopes, scale, goal, self.short_ohms, self.both, self.work)
            take(self.gap, self.slopes, scale, self.work, wired, self.flow[0])
            # Slopes are for the next step; should there be one after all, the last ones are as good so near its end.
            final = np.all(np.maximum(goal, ratio * share)[going] * share[going] <= self.tolerance)
            residual, largest = self._held_back(wired, held, residual, slopes=not final)
            after = residual / np.where(largest > 0.0, largest, 1.0)
            ratio = np.where(going, np.clip(after / share**2, 1e-3, 1e3), ratio)
        return steps, settled, residual, largest

    def _evaluate(self, wired: Array, held: tuple[Array, Array], *, slopes: bool) -> tuple[Array, Array]:
        """Mismatch, and slopes if asked, of all devices at the voltages that the wires leave them.

        Rows are taken in pieces that stay in cache.

        Returns:
            The largest mismatch and the largest current of each lane, A.
        """
        self.worst[:] = self.largest[:] = 0.0
        m, width = wired.shape
        for first in range(0, m, len(self.v)):
            v = self.v[: m - first]
            rows = slice(first, first + len(v))
            volts(wired, first, *held, self.ohms, self.both, self.flow, v)
            places = slice(first * width, first * width + v.size)
            amps = self.array.amps_of_lanes(v.reshape(-1), places).reshape(-1, width)
            if slopes:
                self.slopes[rows] = self.array.slopes_of_lanes(v.reshape(-1), places).reshape(-1, width)
            if len(self.array.absent):
                for out in (amps, self.slopes[rows]):
                    out.reshape(-1, LANES)[self.array.absent_in(rows)] = 0.0
            mismatch(amps, wired, first, self.gap, self.worst, self.largest)
        return self.worst.reshape(-1, LANES).max(axis=0), self.largest.reshape(-1, LANES).max(axis=0)

    def _held_back(
        self, wired: Array, held: tuple[Array, Array], before: Array, *, slopes: bool
    ) -> tuple[Array, Array]:
        """Evaluate after a step, halving the steps of lanes that went too far."""
        slope = np.zeros(LANES)
        residual, largest = self._evaluate(wired, held, slopes=slopes)
        for _ in range(_HALVINGS):
            too_far = ~(residual <= before)
            if too_far.any():
                descent(self.gap, self.work[0], self.ohms, self.both, slope)
                too_far &= ~(slope <= 0.0)
            if not too_far.any():
                break
            step_back(wired, self.work[0], np.where(too_far, 0.5, 0.0))
            rise_at_top(wired, self.flow[0])
            residual, largest = self._evaluate(wired, held, slopes=slopes)
        return residual, largest

    def _port_amps(self, amps: Array, ends: Ends, group: int, out: Array) -> None:
        wires, m, n = self.array.wires, self.array.wires.m, self.array.wires.n
        rows, cols = np.empty((2, m, LANES)), np.empty((2, n * LANES))
        line_sums(amps, rows, cols)
        up, far_up = -cols.reshape(2, n, LANES)
        out[:m], out[m : m + n] = rows[0], up
        if wires.rows_both_ends:
            through = ends.rows[group, 1] / wires.r_row
            out[:m] -= rows[1] + through
            out[m + n : 2 * m + n] = rows[1] + through
        if wires.cols_both_ends:
            through = ends.cols[group, 1].reshape(n, LANES) / wires.r_col
            out[m : m + n] += through - far_up
            out[-n:] = far_up - through
