"""Wired arrays of nonlinear devices: the native engine against full Newton and SPICE.

An N x N array of i = g v0 sinh(v / v0), v0 = 0.33 V, g of 1 to 100 uS, read at up to 0.5 V, segments of
2.5 ohm (rows) and 1 ohm (columns), columns grounded. The native engine solves a batch of 256 vectors;
the others the first few of the same vectors: full Newton with SciPy's SuperLU, ngspice with KLU (one
sweep), VACASK with the device in Verilog-A (one sweep, relative tolerance 1e-9). Every method works in
a process of its own on one thread; the quickest of four runs of the engine counts, of two of SPICE.
Prints a table of seconds a vector and keeps it in nonlinear.txt beside this file.
"""

import argparse
import itertools
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import vacask
from arrays import R_COL, R_ROW, no_klu
from direct import admittance_matrix, superlu

from ohmweave.bench import Bench
from ohmweave.circuit import Cell, Crossbar
from ohmweave.devices import Sinh
from ohmweave.errors import SimulationError
from ohmweave.simulate import Simulator
from ohmweave.simulate.native import Native
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

SIZES = (64, 128, 256)
BATCH = 256
LARGEST_VOLT = 0.5
DEVICE = Sinh(v0=0.33)
EXACT, FURTHER, ROUNDS = 2, 3, 4
LIMIT = 300.0
SETTLED = 1e-13
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Row:
    """One measurement.

    Args:
        seconds: of a vector, in a run of one; of a batch, divided by its vectors.
        further: seconds of each vector more in the same run, where that is another thing.
        amps: column currents, [vectors, N], A.
        failure: why there is none of these.
    """

    seconds: float
    further: float
    amps: Array
    failure: str = ""


@dataclass(frozen=True)
class Method:
    """A way to the currents.

    Args:
        solve: given the array's size, the measurement.
        growth: exponent of its cost, to foretell what would take too long.
        vectors: how many vectors' worth of work one measurement is.
        missing: why it cannot run here, empty if it can.
    """

    solve: Callable[[int], Row]
    growth: float
    vectors: int
    missing: Callable[[], str] = lambda: ""


def case(size: int) -> tuple[Array, Array]:
    """Conductances, [N, N], S, and a batch of row voltages, [256, N], V."""
    rng = np.random.default_rng(size)
    return rng.uniform(1e-6, 1e-4, (size, size)), rng.uniform(0.0, LARGEST_VOLT, (BATCH, size))


def simulated(simulator: Simulator, size: int, vectors: int) -> tuple[Array, float]:
    """Column currents of the first vectors by an engine, [vectors, N], A, and how long it ran, s."""
    g, volts = case(size)
    rows, cols = tuple(f"r{i}" for i in range(size)), tuple(f"c{j}" for j in range(size))
    cell = Cell("bed", (*rows, *cols), (Crossbar("a", rows, cols, DEVICE.cell(), g, R_ROW, R_COL),))
    drives = np.hstack([volts[:vectors], np.zeros((vectors, size))])
    begun = time.perf_counter()
    waves = simulator.run(Bench(cell, (*rows, *cols), drives, ()))
    return -waves.input_amps[:, size:], time.perf_counter() - begun


def quickest(run: Callable[[], tuple[Array, float]], rounds: int) -> tuple[Array, float]:
    """Currents and seconds of the quickest of some runs."""
    return min((run() for _ in range(rounds)), key=lambda done: done[1])


def native(size: int) -> Row:
    simulated(Native(), 8, 2)  # compiles what is compiled
    amps, seconds = quickest(lambda: simulated(Native(), size, BATCH), ROUNDS)
    return Row(seconds / BATCH, seconds / BATCH, amps)


def newton(size: int) -> Row:
    """Every vector and every step with its own factorisation of the array's 2 N^2 equations."""
    g, volts = case(size)
    begun = time.perf_counter()
    amps = np.array([newton_currents(g, v) for v in volts[:EXACT]])
    seconds = (time.perf_counter() - begun) / EXACT
    return Row(seconds, seconds, amps)


def newton_currents(g: Array, volts: Array) -> Array:
    """Column currents, [N], A, for row voltages, [N], V."""
    wires, rows, cols = admittance_matrix(np.zeros_like(g), R_ROW, R_COL)
    half = g.size
    drive, x = np.zeros(2 * half), np.zeros(2 * half)
    drive[rows] = volts / R_ROW
    step = np.array([np.inf])
    while np.abs(step).max() > SETTLED:
        across = (x[:half] - x[half:]).reshape(g.shape)
        amps = DEVICE.current(across, g).ravel()
        matrix = admittance_matrix(DEVICE.slope(across, g), R_ROW, R_COL)[0]
        step = superlu(matrix)(drive - wires @ x - np.concatenate([amps, -amps]))
        x += step
    return np.asarray(x[cols] / R_COL)


def swept(solve: Callable[[int], tuple[Array, float]], more: int) -> Row:
    """One vector, then one and ``more`` in a single sweep: what the first costs, and what each further one."""
    _, one = quickest(lambda: solve(1), 2)
    amps, all_seconds = quickest(lambda: solve(1 + more), 2)
    # At small sizes what a vector costs is lost in what starting a program costs.
    return Row(one, (all_seconds - one) / more if all_seconds > one else np.nan, amps)


def ngspice(size: int) -> Row:
    return swept(lambda vectors: simulated(NgspiceSimulator(time_limit=LIMIT), size, vectors), FURTHER)


def verilog_a(size: int) -> Row:
    g, volts = case(size)
    array = vacask.WiredArray(g, R_ROW, R_COL, DEVICE.v0)
    return swept(lambda vectors: vacask.currents(array, volts[:vectors], LIMIT), FURTHER)


NATIVE, NEWTON = "ohmweave, batch of 256", "full Newton, SuperLU"
SPICE = {"ngspice with KLU": ngspice, "VACASK, Verilog-A": verilog_a}
METHODS: Mapping[str, Method] = {
    NATIVE: Method(native, 2.5, BATCH),
    NEWTON: Method(newton, 3.3, EXACT),
    "ngspice with KLU": Method(ngspice, 3.0, FURTHER + 2, no_klu),
    "VACASK, Verilog-A": Method(verilog_a, 3.0, FURTHER + 2, vacask.missing),
}


def measure(name: str, size: int) -> Row:
    """Time one method at one size."""
    try:
        return METHODS[name].solve(size)
    except SimulationError as error:
        return Row(np.nan, np.nan, np.empty((0, size)), str(error))


def run(sizes: Sequence[int]) -> str:
    """Measure every method at every size, each in a fresh process; return the table."""
    # Read when the libraries are loaded, which is in the processes made below.
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    rows: dict[tuple[str, int], Row] = {}
    notes: list[str] = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        ready = {name: method.missing() for name, method in METHODS.items()}
        notes += [f"SKIPPED {name}: {reason}" for name, reason in ready.items() if reason]
        for size, name in itertools.product(sizes, METHODS):
            if ready[name]:
                continue
            reason = _too_large(name, size, rows)
            row = Row(np.nan, np.nan, np.empty(0), reason) if reason else pool.apply(measure, (name, size))
            print(f"{name}, {size}: {row.failure or f'{row.seconds:.3g} s a vector'}", file=sys.stderr)
            if row.failure:
                notes.append(f"SKIPPED {name} at {size}: {row.failure}")
            else:
                rows[name, size] = row
    return "\n".join([*_table(sizes, rows), *_findings(sizes, rows), *notes]) + "\n"


def _too_large(name: str, size: int, rows: Mapping[tuple[str, int], Row]) -> str:
    done = [n for n in range(size) if (name, n) in rows]
    if not done:
        return ""
    method, last = METHODS[name], rows[name, done[-1]].seconds
    foretold = method.vectors * last * (size / done[-1]) ** method.growth
    return f"it would take about {foretold:.0f} s" if foretold > 2 * LIMIT else ""


def _table(sizes: Sequence[int], rows: Mapping[tuple[str, int], Row]) -> list[str]:
    lines = [f"{'seconds a vector':<40}" + "".join(f"{size:>10}" for size in sizes) + f"{'grows as':>12}"]
    for name in METHODS:
        first = {size: rows[name, size].seconds for size in sizes if (name, size) in rows}
        further = {size: rows[name, size].further for size in first if np.isfinite(rows[name, size].further)}
        lines.append(_line(f"{name}, one vector" if name in SPICE else name, sizes, first))
        if name in SPICE:
            lines.append(_line(f"{name}, each further vector", sizes, further))
    return lines


def _line(label: str, sizes: Sequence[int], seconds: Mapping[int, float]) -> str:
    cells = "".join(f"{seconds[size]:>10.3g}" if size in seconds else f"{'-':>10}" for size in sizes)
    growth = "-"
    if len(seconds) > 1:
        growth = f"N^{np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)[0]:.2f}"
    return f"{label:<40}{cells}{growth:>12}"


def _findings(sizes: Sequence[int], rows: Mapping[tuple[str, int], Row]) -> list[str]:
    lines = []
    for size in sizes:
        if (NATIVE, size) not in rows:
            continue
        mine = rows[NATIVE, size]
        lines.append(f"ohmweave at {size}: {1e3 * mine.seconds:.3g} ms a vector, all that is done once included")
        for text, of in (("a vector alone", "seconds"), ("a vector more in a sweep", "further")):
            times = {name: getattr(rows[name, size], of) for name in SPICE if (name, size) in rows}
            times = {name: seconds for name, seconds in times.items() if np.isfinite(seconds)}
            if times:
                best = min(times, key=lambda name: times[name])
                factor = times[best] / mine.seconds
                lines.append(f"ohmweave at {size}: {factor:.0f} times faster than {best}, the fastest SPICE for {text}")
    for (name, size), row in rows.items():
        if name != NEWTON and (NEWTON, size) in rows:
            exact = rows[NEWTON, size].amps
            gap = np.abs(row.amps[: len(exact)] / exact - 1.0).max()
            lines.append(
                f"largest relative difference of a column current from full Newton: {name} at {size}: {gap:.1e}"
            )
    return lines + _agreement(sizes, rows) + _promise(rows)


def _agreement(sizes: Sequence[int], rows: Mapping[tuple[str, int], Row]) -> list[str]:
    """How far the further vectors of the sweeps are from the native engine's."""
    lines = []
    for name, size in itertools.product(SPICE, sizes):
        if (name, size) in rows and (NATIVE, size) in rows:
            swept_amps = rows[name, size].amps
            gap = np.abs(rows[NATIVE, size].amps[: len(swept_amps)] / swept_amps - 1.0).max()
            lines.append(f"largest relative difference of ohmweave from {name} at {size}, all its vectors: {gap:.1e}")
    return lines


def _promise(rows: Mapping[tuple[str, int], Row]) -> list[str]:
    """Whether what is promised of 128 x 128 devices holds in this run."""
    said = [rows[name, 128] for name in SPICE if (name, 128) in rows]
    # What a vector costs SPICE at the least: in a sweep, once the deck is read.
    times = [min(row.seconds, row.further) if np.isfinite(row.further) else row.seconds for row in said]
    if (NATIVE, 128) not in rows or (NEWTON, 128) not in rows or not times:
        return []
    exact = rows[NEWTON, 128].amps
    factor = min(times) / rows[NATIVE, 128].seconds
    gap = np.abs(rows[NATIVE, 128].amps[: len(exact)] / exact - 1.0).max()
    word = "KEPT" if factor >= 250 and gap <= 1e-9 else "NOT KEPT"
    return [
        f"{word}: 128 x 128 {factor:.0f} times faster a vector than the fastest SPICE (250 promised), "
        f"{gap:.0e} from Newton (1e-9)"
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="rows and columns")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".txt"), help="where to keep it")
    arguments = parser.parse_args()
    table = run(sorted(arguments.sizes))
    sys.stdout.write(table)
    arguments.output.write_text(table, encoding="utf-8")
