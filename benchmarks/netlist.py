"""Netlist writing: devices per second, memory and growth, against writing each instance on its own.

Both write the same netlist of 128 x 128 tiles with wires to a file on disk, each in a process of its
own, three times (the quickest counts). Then a convolutional network of as many memristors as the option
``--network`` asks for is planned as a sampled chip, kept as a build, and written stage by stage, once.
Prints a table and keeps it in netlist.txt beside this file.
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

from ohmweave.archive import save
from ohmweave.chip import Chip
from ohmweave.circuit import Cell, Crossbar, Resistor
from ohmweave.design import Design
from ohmweave.graph import Graph, Node
from ohmweave.mapping import plan
from ohmweave.netlist import Ngspice, write
from ohmweave.ops import Conv, Input, Relu

TILE = 128
SIZES = (10_000, 100_000, 1_000_000)
NETWORK = 10_000_000
# A Python object with its reference takes more.
MOST_BYTES = 64


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


def network(devices: int) -> Graph:
    """Four convolutions of 3 x 3 over pictures of 16 x 16, about as many memristors, two a weight."""
    # Of the 9 (2 + 8 + 16) w^2 weights between w, 2 w, 4 w and 4 w channels each is a pair.
    width = max(1, math.isqrt(devices // (2 * 9 * 26)))
    rng, nodes, source, channels = np.random.default_rng(0), [Node("x", Input((3, 16, 16)), ())], "x", 3
    for k, (outputs, stride) in enumerate(((width, 1), (2 * width, 2), (4 * width, 2), (4 * width, 2))):
        weight = rng.standard_normal((outputs, channels, 3, 3)) / math.sqrt(9 * channels)
        conv = Conv(weight, np.zeros(outputs), (stride, stride), (1, 1, 1, 1))
        nodes += [Node(f"conv{k}", conv, (source,)), Node(f"relu{k}", Relu(), (f"conv{k}",))]
        source, channels = f"relu{k}", outputs
    return Graph(tuple(nodes), (source,))


def weave(devices: int) -> list[Row]:
    """Plan a network, keep it and write every stage; memory is the growth of the process since it was there."""
    graph, rows = network(devices), []
    images, before = np.random.default_rng(1).uniform(0.0, 1.0, (16, 3, 16, 16)), _peak()
    begun, worked = time.perf_counter(), time.process_time()

    def lap(name: str, chip: Chip) -> None:
        nonlocal begun, worked
        spent = time.perf_counter() - begun, time.process_time() - worked
        rows.append(Row(name, chip.plan.devices, *spent, _peak() - before))
        begun, worked = time.perf_counter(), time.process_time()

    woven = Chip(plan(graph, Design.preset("sampled"), images))
    lap("CNN: plan", woven)
    with tempfile.TemporaryDirectory() as folder:
        save(woven, Path(folder, "build"))
        lap("CNN: save", woven)
        for stage in woven.plan.stages:
            # Ten million make a gigabyte.
            woven.write(folder, stage=stage.name).unlink()
        lap("CNN: stages", woven)
    return rows


def run(sizes: Sequence[int], devices: int) -> str:
    """Measure every writer at every size, each in a fresh process, and a network; return the table."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1, maxtasksperchild=1) as pool:
        jobs = [(writer, size) for writer in WRITERS for size in sizes]
        rows = pool.starmap(measure, jobs, chunksize=1)
        rows += pool.apply(weave, (devices,))
    lines = [f"{'writer':<12}{'memristors':>12}{'seconds':>10}{'processor':>11}{'per second':>14}{'memory, MB':>12}"]
    lines += [
        f"{r.writer:<12}{r.devices:>12}{r.seconds:>10.3f}{r.processor:>11.3f}{r.rate:>14.3g}{r.memory / 1e6:>12.1f}"
        for r in rows
    ]
    for writer in WRITERS:
        lines.append(f"{writer}: seconds grow as devices^{_exponent([r for r in rows if r.writer == writer]):.2f}")
    last = rows[-1]
    word = "KEPT" if last.memory <= MOST_BYTES * last.devices else "BROKEN"
    lines.append(
        f"{word}: the CNN of {last.devices:,} memristors takes {last.memory / last.devices:.0f} bytes each to plan, "
        f"keep and write, 16 of them its conductances; at most {MOST_BYTES} promised, less than any object takes"
    )
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
    parser.add_argument("--network", type=int, default=NETWORK, help="memristors of the network, about")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".txt"), help="where to keep it")
    options = parser.parse_args()
    table = run(options.sizes, options.network)
    sys.stdout.write(table)
    options.output.write_text(table, encoding="ascii")
