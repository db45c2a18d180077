"""Wired arrays of linear devices: the exact reduction against sparse solvers, SPICE and its floor.

An N x N array, 1 to 100 uS, segments of 2.5 ohm (rows) and 1 ohm (columns), columns grounded. Every
method works in a process of its own on one thread; the quickest of several runs counts. All must
give the same column currents. What a method is timed for stands behind its name: the whole matrix
from row voltages to column currents, or the currents of one vector. Prints a table and keeps it in
arrays.txt beside this file.
"""

import argparse
import itertools
import logging
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import vacask
from direct import (
    admittance_matrix,
    klu,
    needs,
    pardiso,
    pardiso_schur,
    simplicial,
    solved_in_blocks,
    superlu,
    supernodal,
)
from scipy.linalg import solve, solveh_banded
from scipy.sparse import csc_matrix

from ohmweave.bench import Bench
from ohmweave.circuit import Cell, Crossbar
from ohmweave.simulate.merging import port_admittance
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.simulate.survey import detect
from ohmweave.units import Array

SIZES = (32, 64, 128, 256, 512, 1024)
R_ROW, R_COL = 2.5, 1.0
BATCH = 10_000
LIMIT, SPICE_LIMIT = 60.0, 300.0
FLOOR_FLOPS = 35.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

Prepared = Callable[[], Array]
Transfer = Callable[[csc_matrix, Array, Array], Array]


@dataclass(frozen=True)
class Row:
    """One measurement.

    Args:
        seconds: the quickest run.
        operation: quickest second per operation of a large matrix product between those runs.
        memory: growth of the process, bytes.
        amps: column currents of the test vector, [N], A; empty where there is nothing to compare.
    """

    seconds: float
    operation: float
    memory: int
    amps: Array


@dataclass(frozen=True)
class Method:
    """A way to the currents.

    Args:
        prepare: given the array's size, a function that does the timed work and returns the
            currents, or nothing to compare.
        growth: exponent of its cost, to foretell what would take too long.
        largest: size above which it is not tried.
        missing: why it cannot run here, empty if it can.
    """

    prepare: Callable[[int], Prepared]
    growth: float = 3.0
    largest: int = 1 << 30
    missing: Callable[[], str] = lambda: ""


def case(size: int) -> tuple[Array, Array]:
    """Conductances, [N, N], S, and one vector of row voltages, [N], V."""
    rng = np.random.default_rng(size)
    return rng.uniform(1e-6, 1e-4, (size, size)), rng.uniform(0.0, 0.5, size)


def merging(size: int) -> Prepared:
    g, volts = case(size)
    port_admittance(g[:9, :9], R_ROW, R_COL)
    return lambda: -port_admittance(g, R_ROW, R_COL)[size:, :size] @ volts


def sparse_transfer(transfer: Transfer, size: int) -> Prepared:
    g, volts = case(size)
    matrix, rows, cols = admittance_matrix(g, R_ROW, R_COL)
    transfer(*admittance_matrix(g[:4, :4], R_ROW, R_COL))  # loads the solver
    return lambda: transfer(matrix, rows, cols) @ (volts / (R_ROW * R_COL))


def columns(size: int) -> Prepared:
    """Block elimination from the right column to the left, each seen from its word nodes."""
    g, volts = case(size)

    def work() -> Array:
        y, transfer = np.zeros((size, size)), np.empty((size, size))
        segment, band = 1.0 / R_ROW, np.empty((2, size))
        for j in reversed(range(size)):
            band[0], band[1] = -1.0 / R_COL, 2.0 / R_COL + g[:, j]
            band[1, 0] -= 1.0 / R_COL
            bit = solveh_banded(band, np.diag(g[:, j]), check_finite=False)
            transfer[j] = bit[-1] / R_COL
            seen = y - g[:, j, None] * bit + np.diag(g[:, j] + segment)
            word = solve(seen, segment * np.eye(size), assume_a="pos", check_finite=False)
            transfer[j:] = transfer[j:] @ word
            y = segment * (np.eye(size) - word)
        return transfer @ volts

    return work


def badcrossbar(size: int) -> Prepared:
    from badcrossbar import compute

    logging.disable(logging.INFO)
    g, volts = case(size)
    options = {"r_i_word_line": R_ROW, "r_i_bit_line": R_COL, "node_voltages": False, "all_currents": False}
    return lambda: np.ravel(compute(volts[:, None], 1.0 / g, **options).currents.output)


def ngspice(vectors: int) -> Callable[[int], Prepared]:
    def prepare(size: int) -> Prepared:
        g, volts = case(size)
        rows, cols = tuple(f"r{i}" for i in range(size)), tuple(f"c{j}" for j in range(size))
        cell = Cell("bed", (*rows, *cols), (Crossbar("a", rows, cols, None, g, R_ROW, R_COL),))
        drives = np.hstack([batch(volts, vectors), np.zeros((vectors, size))])
        bench = Bench(cell, (*rows, *cols), drives, (cols[0],))
        return lambda: -NgspiceSimulator().run(bench).input_amps[0, size:]

    return prepare


def other_spice(vectors: int) -> Callable[[int], Prepared]:
    def prepare(size: int) -> Prepared:
        g, volts = case(size)
        array, drives = vacask.WiredArray(g, R_ROW, R_COL), batch(volts, vectors)
        return lambda: vacask.currents(array, drives, SPICE_LIMIT)[0][0]

    return prepare


def batch(volts: Array, vectors: int) -> Array:
    """Row voltages, [vectors, N], V, of which the first are ``volts``."""
    more = np.random.default_rng(1).uniform(0.0, 0.5, (vectors, len(volts)))
    more[0] = volts
    return more


def no_klu() -> str:
    found = detect().get("ngspice")
    if found is None:
        return "ngspice is not on this machine"
    return "" if found["klu"] else "this ngspice has no KLU"


def no_plain_ngspice() -> str:
    found = detect().get("ngspice")
    if found is None:
        return "ngspice is not on this machine"
    return "this ngspice has KLU" if found["klu"] else ""


def matrix_product() -> float:
    """Seconds that one operation takes within a large matrix product."""
    matrix = np.random.default_rng(0).random((1024, 1024))
    begun = time.perf_counter()
    matrix @ matrix
    return (time.perf_counter() - begun) / (2 * 1024**3)


def product(vectors: int) -> Callable[[int], Prepared]:
    def prepare(size: int) -> Prepared:
        g, volts = case(size)
        transfer = np.ascontiguousarray(-port_admittance(g, R_ROW, R_COL)[size:, :size].T)
        drives = batch(volts, vectors)
        return lambda: (drives @ transfer)[0]

    return prepare


def torch_product(size: int) -> Prepared:
    import torch

    torch.set_num_threads(1)
    matrix, drives = torch.rand(size, size, dtype=torch.float64), torch.rand(BATCH, size, dtype=torch.float64)

    def work() -> Array:
        torch.matmul(drives, matrix)
        return np.empty(0)

    return work


def sparse(transfer: Transfer, missing: Callable[[], str] = lambda: "") -> Method:
    return Method(lambda size: sparse_transfer(transfer, size), growth=3.3, missing=missing)


FIRST, LU = "merging, whole matrix", "SciPy SuperLU, whole matrix"
DIRECT = {
    LU: sparse(partial(solved_in_blocks, superlu)),
    "CHOLMOD supernodal, whole matrix": sparse(partial(solved_in_blocks, supernodal), needs("sksparse")),
    "CHOLMOD simplicial, whole matrix": sparse(partial(solved_in_blocks, simplicial), needs("sksparse")),
    "KLU, whole matrix": sparse(partial(solved_in_blocks, klu), needs("PyKLU")),
    "PARDISO, whole matrix": sparse(partial(solved_in_blocks, pardiso), needs("pypardiso")),
    "PARDISO Schur, whole matrix": sparse(pardiso_schur, needs("pypardiso")),
}
METHODS = {
    FIRST: Method(merging),
    **DIRECT,
    "column by column, whole matrix": Method(columns, growth=3.6),
    "badcrossbar, one vector": Method(badcrossbar, growth=2.8, missing=needs("badcrossbar")),
    "ngspice with KLU, one vector": Method(ngspice(1), largest=256, missing=no_klu),
    "ngspice with KLU, 10 vectors": Method(ngspice(10), largest=256, missing=no_klu),
    "ngspice without KLU, one vector": Method(ngspice(1), growth=4.5, largest=64, missing=no_plain_ngspice),
    "VACASK, one vector": Method(other_spice(1), largest=256, missing=vacask.missing),
    "VACASK, 10 vectors": Method(other_spice(10), largest=256, missing=vacask.missing),
    "afterwards: one vector": Method(product(1), growth=2.0),
    "afterwards: 10,000 vectors": Method(product(BATCH), growth=2.0),
    "bare torch product, 10,000 vectors": Method(torch_product, growth=2.0, missing=needs("torch")),
}
FLOOR = "floor: 35 N^3 operations"


def measure(name: str, size: int) -> Row:
    """Time one method at one size: the quickest of up to seven runs, as long as they take five seconds."""
    work, before = METHODS[name].prepare(size), _peak()
    timings: list[float] = []
    operations: list[float] = []
    while not timings or (len(timings) < 7 and sum(timings) < 5.0):
        begun = time.perf_counter()
        amps = work()
        timings.append(time.perf_counter() - begun)
        if name == FIRST:
            # Here, because a machine's rate comes and goes with what else it does.
            operations.append(matrix_product())
    return Row(min(timings), min(operations, default=0.0), _peak() - before, amps)


def run(sizes: Sequence[int]) -> str:
    """Measure every method at every size, each in a fresh process; return the table."""
    # Read when the libraries are loaded, which is in the processes made below.
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    rows: dict[tuple[str, int], Row] = {}
    notes: list[str] = []
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1, maxtasksperchild=1) as pool:
        ready = {name: method.missing() for name, method in METHODS.items()}
        notes += [f"SKIPPED {name}: {reason}" for name, reason in ready.items() if reason]
        for size, name in itertools.product(sorted(sizes), METHODS):
            if ready[name]:
                continue
            if reason := _too_large(name, size, rows):
                notes.append(f"SKIPPED {name} at {size}: {reason}")
                continue
            rows[name, size] = pool.apply(measure, (name, size))
            print(f"{name}, {size}: {rows[name, size].seconds:.3g} s", file=sys.stderr)
    for note in notes:
        print(note, file=sys.stderr)
    operation = min(rows[FIRST, size].operation for size in sizes)
    for size in sizes:
        rows[FLOOR, size] = Row(FLOOR_FLOPS * size**3 * operation, operation, 0, np.empty(0))
    return "\n".join([*_table(sizes, rows), *_findings(sizes, rows), *notes]) + "\n"


def _too_large(name: str, size: int, rows: dict[tuple[str, int], Row]) -> str:
    if size > METHODS[name].largest:
        return f"it is measured up to {METHODS[name].largest}"
    done = [n for n in range(size) if (name, n) in rows]
    if not done:
        return ""
    foretold = rows[name, done[-1]].seconds * (size / done[-1]) ** METHODS[name].growth
    return f"it would take about {foretold:.0f} s" if foretold > LIMIT else ""


def _table(sizes: Sequence[int], rows: dict[tuple[str, int], Row]) -> list[str]:
    lines = [f"{'seconds':<36}" + "".join(f"{size:>10}" for size in sizes) + f"{'grows as':>12}"]
    for name in (*METHODS, FLOOR):
        done = [size for size in sizes if (name, size) in rows]
        cells = [f"{rows[name, size].seconds:>10.3g}" if size in done else f"{'-':>10}" for size in sizes]
        if done:
            lines.append(f"{name:<36}{''.join(cells)}{_exponent(name, done, rows):>12}")
    return lines


def _exponent(name: str, sizes: Sequence[int], rows: dict[tuple[str, int], Row]) -> str:
    if len(sizes) < 2:
        return "-"
    slope, _ = np.polyfit(np.log(sizes), np.log([rows[name, size].seconds for size in sizes]), 1)
    return f"N^{slope:.2f}"


def _findings(sizes: Sequence[int], rows: dict[tuple[str, int], Row]) -> list[str]:
    lines = [
        f"floor at {1e-9 / rows[FLOOR, sizes[0]].operation:.0f} Gflop/s, the best rate of a matrix product in this run"
    ]
    for other, text in ((LU, "times faster than SuperLU"), (FLOOR, "times its floor")):
        for size in sizes:
            if (other, size) not in rows:
                continue
            ratio = rows[FIRST, size].seconds / rows[other, size].seconds
            lines.append(f"merging at {size}: {1 / ratio if other == LU else ratio:.1f} {text}")
    lines += [f"merging at {size}: {rows[FIRST, size].memory / 1e6:.0f} MB more than before" for size in sizes]
    lines += _acceptance(sizes, rows)
    gaps = [
        float(np.max(np.abs(row.amps / rows[FIRST, size].amps - 1.0)))
        for (_, size), row in rows.items()
        if row.amps.size
    ]
    lines.append(f"largest relative difference of any column current between any two methods: {2 * max(gaps):.1e}")
    return lines


def _acceptance(sizes: Sequence[int], rows: dict[tuple[str, int], Row]) -> list[str]:
    """Whether what is promised of the one-off reduction holds in this run."""
    lines = []
    others = {name: rows[name, 256].seconds for name in DIRECT if (name, 256) in rows}
    if 256 in sizes and LU in others:
        mine, best = rows[FIRST, 256].seconds, min(others, key=lambda name: others[name])
        met = others[LU] >= 20 * mine and others[best] >= 10 * mine
        lines.append(
            f"{_word(met)}: 256 x 256 {others[LU] / mine:.0f} times faster than SuperLU (20 promised), "
            f"{others[best] / mine:.0f} times faster than the best sparse direct solver here, "
            f"{best.partition(',')[0]} (10 promised)"
        )
    if 1024 in sizes:
        factor, memory = rows[FIRST, 1024].seconds / rows[FLOOR, 1024].seconds, rows[FIRST, 1024].memory
        lines.append(
            f"{_word(factor <= 6 and memory < 1e9)}: 1024 x 1024 within {factor:.1f} times its floor (6 promised), "
            f"{memory / 1e6:.0f} MB (under 1000 promised)"
        )
    return lines


def _word(met: bool) -> str:
    return "KEPT" if met else "NOT KEPT"


def _peak() -> int:
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="rows and columns")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".txt"), help="where to keep it")
    arguments = parser.parse_args()
    table = run(sorted(arguments.sizes))
    sys.stdout.write(table)
    arguments.output.write_text(table, encoding="utf-8")
