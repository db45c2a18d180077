"""Wired arrays of linear devices: the exact reduction against sparse solvers, SPICE and its floor.

An N x N array, 1 to 100 uS, segments of 2.5 ohm (rows) and 1 ohm (columns), columns grounded. Every
method works in a process of its own on one thread; the quickest of several runs counts. All must
give the same column currents. What a method is timed for stands behind its name: the whole matrix
from row voltages to column currents, or the currents of one vector. Prints a table and keeps it in
arrays.txt beside this file.
"""

import argparse
import importlib.util
import itertools
import logging
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.linalg import solve, solveh_banded
from scipy.sparse import csc_matrix, diags_array, eye_array, kron, vstack
from scipy.sparse.linalg import splu

from ohmweave.bench import Bench
from ohmweave.circuit import Cell, Crossbar
from ohmweave.simulate.merging import port_admittance
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.simulate.survey import detect
from ohmweave.units import Array

SIZES = (32, 64, 128, 256, 512, 1024)
R_ROW, R_COL = 2.5, 1.0
BATCH = 10_000
LIMIT = 60.0
FLOOR_FLOPS = 35.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

Prepared = Callable[[], Array]


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


def admittance_matrix(g: Array) -> tuple[csc_matrix, Array, Array]:
    """Nodal matrix of the inner nodes, columns grounded, and the nodes that row and column ports touch."""
    n = len(g)
    chain = diags_array([-np.ones(n - 1), np.append(np.full(n - 1, 2.0), 1.0), -np.ones(n - 1)], offsets=[-1, 0, 1])
    word = kron(eye_array(n), chain / R_ROW)
    bit = kron(chain.toarray()[::-1, ::-1] / R_COL, eye_array(n))
    devices = diags_array(g.ravel())
    upper, lower = (
        csc_matrix(block)
        for block in (
            vstack([word + devices, -devices]).T,
            vstack([-devices, bit + devices]).T,
        )
    )
    matrix = csc_matrix(vstack([upper, lower]))
    return matrix, np.arange(n) * n, n * n + (n - 1) * n + np.arange(n)


def sparse_transfer(solver: Callable[[csc_matrix], Callable[[Array], Array]], size: int) -> Prepared:
    g, volts = case(size)
    matrix, rows, cols = admittance_matrix(g)

    def work() -> Array:
        answer, block = solver(matrix), 64
        transfer = np.empty((size, size))
        for left in range(0, size, block):
            right = np.zeros((2 * size * size, min(block, size - left)), order="F")
            right[rows[left : left + block], np.arange(right.shape[1])] = 1.0 / R_ROW
            transfer[:, left : left + block] = answer(right)[cols] / R_COL
        return transfer @ volts

    return work


def superlu(matrix: csc_matrix) -> Callable[[Array], Array]:
    factor = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return factor.solve  # type: ignore[no-any-return]


def cholmod(matrix: csc_matrix) -> Callable[[Array], Array]:
    from sksparse.cholmod import cholesky

    return cholesky(matrix, mode="supernodal").solve_A  # type: ignore[no-any-return]


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


def klu(size: int) -> Prepared:
    g, volts = case(size)
    rows, cols = tuple(f"r{i}" for i in range(size)), tuple(f"c{j}" for j in range(size))
    cell = Cell("bed", (*rows, *cols), (Crossbar("a", rows, cols, None, g, R_ROW, R_COL),))
    bench = Bench(cell, (*rows, *cols), np.append(volts, np.zeros(size))[None, :], (cols[0],))
    return lambda: -NgspiceSimulator().run(bench).input_amps[0, size:]


def no_klu() -> str:
    found = detect().get("ngspice")
    if found is None:
        return "ngspice is not on this machine"
    return "" if found["klu"] else "this ngspice has no KLU"


def needs(module: str) -> Callable[[], str]:
    return lambda: "" if importlib.util.find_spec(module) else f"{module} is not installed"


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
        batch = np.random.default_rng(1).uniform(0.0, 0.5, (vectors, size))
        batch[0] = volts
        return lambda: (batch @ transfer)[0]

    return prepare


def torch_product(size: int) -> Prepared:
    import torch

    torch.set_num_threads(1)
    matrix, batch = torch.rand(size, size, dtype=torch.float64), torch.rand(BATCH, size, dtype=torch.float64)

    def work() -> Array:
        torch.matmul(batch, matrix)
        return np.empty(0)

    return work


METHODS = {
    "merging, whole matrix": Method(merging),
    "SciPy SuperLU, whole matrix": Method(lambda size: sparse_transfer(superlu, size), growth=3.3),
    "CHOLMOD, whole matrix": Method(lambda size: sparse_transfer(cholmod, size), growth=3.3, missing=needs("sksparse")),
    "column by column, whole matrix": Method(columns, growth=3.6),
    "badcrossbar, one vector": Method(badcrossbar, growth=2.8, missing=needs("badcrossbar")),
    "ngspice with KLU, one vector": Method(klu, growth=3.0, largest=256, missing=no_klu),
    "afterwards: one vector": Method(product(1), growth=2.0),
    "afterwards: 10,000 vectors": Method(product(BATCH), growth=2.0),
    "bare torch product, 10,000 vectors": Method(torch_product, growth=2.0, missing=needs("torch")),
}
FIRST, LU = "merging, whole matrix", "SciPy SuperLU, whole matrix"
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
    gaps = [
        float(np.max(np.abs(row.amps / rows[FIRST, size].amps - 1.0)))
        for (_, size), row in rows.items()
        if row.amps.size
    ]
    lines.append(f"largest relative difference of any column current between any two methods: {2 * max(gaps):.1e}")
    return lines


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
