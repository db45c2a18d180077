"""Netlist writing: devices per second, memory and growth, against writing each instance on its own.

Both write the same netlist of 128 x 128 tiles with wires to a file on disk, each in a process of its
own, three times (the quickest counts). Prints a table and keeps it in netlist.txt beside this file.
"""

import argparse
import math
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from ohmweave.circuit import Cell, Crossbar, Resistor
from ohmweave.netlist import Ngspice, write

TILE = 128
SIZES = (10_000, 100_000, 1_000_000)


@dataclass(frozen=True)
class Row:
    """One measurement: who wrote how many devices, in how much time (wall and processor, s) and memory (bytes)."""

    writer: str
    devices: int
    seconds: float
    processor: float
    memory: int

    @property
    def rate(self) -> float:
        """Devices per second."""
        return self.devices / self.seconds


def chip(devices: int) -> Cell:
    """A cell of as many tiles, the last one with fewer rows, as hold ``devices`` memristors."""
    rng, left = np.random.default_rng(0), devices
    parts: list[Crossbar] = []
    while left > 0:
        cols = min(TILE, left)
        rows = min(TILE, left // cols)
        g = rng.uniform(1e-6, 1e-4, (rows, cols))
        k = len(parts)
        row_nets, col_nets = tuple(f"t{k}_r{i}" for i in range(rows)), tuple(f"t{k}_c{j}" for j in range(cols))
        parts.append(Crossbar(f"t{k}", row_nets, col_nets, None, g, 1.0, 1.0))
        left -= rows * cols
    return Cell("chip", (), tuple(parts))


def write_by_row(cell: Cell, stream: TextIO) -> None:
    """What ohmweave does."""
    write(cell, Ngspice(), stream)


def write_by_instance(cell: Cell, stream: TextIO) -> None:
    """The peer: one object and one call for each resistor."""
    dialect = Ngspice()
    for part in cell.parts:
        assert isinstance(part, Crossbar)
        m, n = part.g.shape
        ports = (*(f"r{i}" for i in range(m)), *(f"c{j}" for j in range(n)))
        stream.write(dialect.open_cell(f"chip_{part.name}", ports, {}) + "\n")
        for instance in part.expand():
            assert isinstance(instance.of, Resistor)
            stream.write(dialect.element(instance.name, instance.of, instance.nets) + "\n")
        stream.write(dialect.close_cell(f"chip_{part.name}") + "\n")
    stream.write(dialect.open_cell(cell.name, (), {}) + "\n")
    for part in cell.parts:
        assert isinstance(part, Crossbar)
        stream.write(dialect.call(part.name, (*part.rows, *part.cols), f"chip_{part.name}", {}) + "\n")
    stream.write(dialect.close_cell(cell.name) + "\n")


WRITERS: dict[str, Callable[[Cell, TextIO], None]] = {"row by row": write_by_row, "one by one": write_by_instance}


def measure(writer: str, devices: int, times: int = 3) -> Row:
    """Write to a file and time it, the quickest of several; memory is the growth of the process."""
    cell, before = chip(devices), _peak()
    timings = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder, (Path(folder) / "chip.cir").open("w", encoding="ascii") as stream:
            begun, worked = time.perf_counter(), time.process_time()
            WRITERS[writer](cell, stream)
            stream.flush()
            timings.append((time.perf_counter() - begun, time.process_time() - worked))
    return Row(writer, devices, *min(timings), _peak() - before)


def run(sizes: Sequence[int]) -> str:
    """Measure every writer at every size, each in a fresh process; return the table."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1, maxtasksperchild=1) as pool:
        jobs = [(writer, size) for writer in WRITERS for size in sizes]
        rows = pool.starmap(measure, jobs, chunksize=1)
    lines = [f"{'writer':<12}{'memristors':>12}{'seconds':>10}{'processor':>11}{'per second':>14}{'memory, MB':>12}"]
    lines += [
        f"{r.writer:<12}{r.devices:>12}{r.seconds:>10.3f}{r.processor:>11.3f}{r.rate:>14.3g}{r.memory / 1e6:>12.1f}"
        for r in rows
    ]
    for writer in WRITERS:
        lines.append(f"{writer}: seconds grow as devices^{_exponent([r for r in rows if r.writer == writer]):.2f}")
    return "\n".join(lines) + "\n"


def _exponent(rows: Sequence[Row]) -> float:
    if len(rows) < 2:
        return math.nan
    slope, _ = np.polyfit(np.log([r.devices for r in rows]), np.log([r.seconds for r in rows]), 1)
    return float(slope)


def _peak() -> int:
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="memristors")
    table = run(parser.parse_args().sizes)
    sys.stdout.write(table)
    Path(__file__).with_suffix(".txt").write_text(table, encoding="ascii")
