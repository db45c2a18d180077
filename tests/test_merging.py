"""Reduction by merging against a column-by-column elimination, other software, and the laws of circuits."""

import importlib
import re
import subprocess
import sys
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ohmweave.circuit import Crossbar, Resistor
from ohmweave.errors import SimulationError
from ohmweave.simulate import merging
from ohmweave.simulate.leaf import LEAF, SIDE
from ohmweave.simulate.merging import port_admittance
from ohmweave.simulate.reduction import reduce_array
from ohmweave.units import Array

BLOCK = LEAF * SIDE

# The first example of a test may wait for kernels to be compiled.
any_array = settings(deadline=None)
small = st.tuples(st.integers(1, 20), st.integers(1, 20))
shapes = st.tuples(st.integers(1, 80), st.integers(1, 80))
ohms = st.floats(-2, 3).map(lambda x: 10.0**x)
seeds = st.integers(0, 2**32 - 1)
opens = st.sampled_from([0.0, 0.2, 0.9, 1.0])
ends = st.fixed_dictionaries({"far_rows": st.booleans(), "far_cols": st.booleans()})
ONE_SIDED: dict[str, bool] = {}
TWO_SIDED = {"far_rows": True, "far_cols": True}


def conductances(shape: tuple[int, int], seed: int, missing: float = 0.2) -> Array:
    rng = np.random.default_rng(seed)
    g = 10.0 ** rng.uniform(-7, -3, shape)
    g[rng.random(shape) < missing] = np.nan
    return g


def by_columns(g: Array, r_row: float, r_col: float, *, far_rows: bool = False, far_cols: bool = False) -> Array:
    """Port admittance: one column after the other, from right to left, its nodes eliminated one by one.

    The matrices are long doubles, because their diagonals, unlike those of ``port_admittance``, are
    differences of large numbers.
    """
    m, n = g.shape
    one, count = np.longdouble(1), m + n + m * far_rows + n * far_cols
    row_ends, column_ends = m + n + np.arange(m * far_rows), m + n + m * far_rows + np.arange(n * far_cols)
    # From the word nodes left of it and the ports other than the rows.
    seen = np.zeros((count, count), dtype=np.longdouble)
    stamp(seen, np.arange(len(row_ends)), row_ends, one / r_row)
    for j in reversed(range(n)):
        left, ports, word = np.arange(m), m + np.arange(count - m), count + np.arange(m)
        bit = word + m
        front = np.zeros((2 * m + count, 2 * m + count), dtype=np.longdouble)
        old = np.concatenate([word, ports])
        front[np.ix_(old, old)] = seen
        stamp(front, left, word, one / r_row)
        stamp(front, word, bit, np.nan_to_num(g[:, j]))
        stamp(front, bit, np.append(bit[1:], m + j), one / r_col)
        stamp(front, bit[: int(far_cols)], column_ends[j : j + 1], one / r_col)
        for k in reversed(range(count, 2 * m + count)):
            front = front[:k, :k] - np.outer(front[:k, k], front[k, :k] / front[k, k])
        seen = front
    return seen.astype(np.float64)


def stamp(matrix: NDArray[np.longdouble], a: NDArray[np.int64], b: NDArray[np.int64], y: Any) -> None:
    np.add.at(matrix, (a, a), y)
    np.add.at(matrix, (b, b), y)
    np.subtract.at(matrix, (a, b), y)
    np.subtract.at(matrix, (b, a), y)


def in_hundred_digits(array: Crossbar) -> Array:
    """Port admittance: every instance of ``expand`` stamped, the inner nodes eliminated, in decimal arithmetic."""
    with localcontext(Context(prec=100)):
        y: dict[str, dict[str, Decimal]] = {port: {} for port in array.port_names}
        for part in array.expand():
            assert isinstance(part.of, Resistor)
            siemens, (a, b) = 1 / Decimal(part.of.ohms), part.nets
            for row, col, value in ((a, a, siemens), (b, b, siemens), (a, b, -siemens), (b, a, -siemens)):
                y.setdefault(row, {})[col] = y.get(row, {}).get(col, Decimal(0)) + value
        for node in [node for node in y if node not in array.port_names]:
            gone = y.pop(node)
            pivot = gone.pop(node)
            for row, below in gone.items():
                del y[row][node]
                for col, right in gone.items():
                    y[row][col] = y[row].get(col, Decimal(0)) - below * right / pivot
        return np.array([[float(y[a].get(b, 0)) for b in array.port_names] for a in array.port_names])


def assert_same_array(g: Array, r_row: float, r_col: float, seed: int, **ends: bool) -> None:
    """Equal admittances, and equal currents out of every grounded column for positive and for mixed drives."""
    found, expected, rows = port_admittance(g, r_row, r_col, **ends), by_columns(g, r_row, r_col, **ends), len(g)
    # What long doubles leave of a zero.
    nothing = 1e-18 * max(1 / r_row, 1 / r_col)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max() + nothing)
    rng = np.random.default_rng(seed)
    positive = rng.uniform(0.0, 0.5, (rows, 3))
    np.testing.assert_allclose(
        found[rows:, :rows] @ positive, expected[rows:, :rows] @ positive, rtol=1e-9, atol=nothing
    )
    mixed = rng.uniform(-0.5, 0.5, (rows, 3))
    # Where contributions cancel, they themselves are what an error is measured by.
    scale = np.abs(expected[rows:, :rows]) @ np.abs(mixed)
    gap = np.abs(found[rows:, :rows] @ mixed - expected[rows:, :rows] @ mixed)
    assert (gap <= 1e-9 * scale + nothing).all()


def net_names(letters: str, count: int) -> tuple[str, ...]:
    return tuple(f"{letters}{k}" for k in range(count))


def wired(g: Array, r_row: float, r_col: float, *, far_rows: bool = False, far_cols: bool = False) -> Crossbar:
    (m, n), name = g.shape, net_names
    ends = name("fr", m * (far_rows and r_row > 0)), name("fc", n * (far_cols and r_col > 0))
    return Crossbar("a", name("r", m), name("c", n), None, g, r_row, r_col, "", *ends)


@any_array
@given(small, ohms, ohms, opens, seeds, ends)
@example((1, 1), 1.0, 1.0, 0.0, 0, ONE_SIDED)
@example((1, 1), 1.0, 1.0, 0.0, 0, TWO_SIDED)
@example((1, 40), 1.0, 100.0, 0.0, 0, ONE_SIDED)
@example((1, 40), 1.0, 100.0, 0.0, 0, TWO_SIDED)
@example((40, 1), 100.0, 1.0, 0.0, 0, ONE_SIDED)
@example((40, 1), 100.0, 1.0, 0.0, 0, TWO_SIDED)
@example((LEAF, LEAF), 1.0, 1.0, 0.0, 0, ONE_SIDED)
@example((LEAF + 1, LEAF), 1.0, 1.0, 0.0, 0, TWO_SIDED)
@example((LEAF, LEAF + 1), 1.0, 1.0, 0.0, 0, TWO_SIDED)
@example((BLOCK, BLOCK + 1), 0.01, 1000.0, 0.2, 0, ONE_SIDED)
def test_merging_equals_the_elimination_column_by_column(
    shape: tuple[int, int], r_row: float, r_col: float, missing: float, seed: int, ends: dict[str, bool]
) -> None:
    assert_same_array(conductances(shape, seed, missing), r_row, r_col, seed, **ends)


@pytest.mark.parametrize("ends", [ONE_SIDED, TWO_SIDED], ids=str)
@pytest.mark.parametrize("shape", [(34, 66), (3, 130), (130, 5)])
def test_so_it_does_over_several_levels_of_blocks_of_unequal_size(
    shape: tuple[int, int], ends: dict[str, bool]
) -> None:
    assert_same_array(conductances(shape, 1), 2.5, 0.5, 1, **ends)


@any_array
@given(shapes, ohms, ohms, opens, seeds, ends)
def test_port_admittance_is_reciprocal_passive_and_leaks_nothing(
    shape: tuple[int, int], r_row: float, r_col: float, missing: float, seed: int, ends: dict[str, bool]
) -> None:
    y = port_admittance(conductances(shape, seed, missing), r_row, r_col, **ends)
    assert (y == y.T).all()
    np.testing.assert_allclose(y.sum(axis=1), 0.0, atol=1e-14 * np.abs(y).max(initial=1e-30))
    assert (y - np.diag(np.diag(y)) <= 0).all()
    assert (np.diag(y) >= 0).all()


def test_one_device_is_three_resistors_in_series() -> None:
    # 2 ohm of row, 1/(1e-4 S) = 10 kohm, 3 ohm of column.
    y = 1 / 10005
    np.testing.assert_allclose(port_admittance(np.array([[1e-4]]), 2.0, 3.0), [[y, -y], [-y, y]], rtol=1e-15)


def test_far_ends_share_a_current_as_resistors_do() -> None:
    # 1 S from the crossing to each row end, 0.5 S to each column end, a device so good that both wires meet there.
    y = port_admittance(np.array([[1e12]]), 1.0, 2.0, far_rows=True, far_cols=True)
    branches = np.array([1.0, 0.5, 1.0, 0.5])
    np.testing.assert_allclose(y, np.diag(branches) - np.outer(branches, branches) / 3.0, rtol=1e-11)


stuck = st.sampled_from([1.0, 1e3])
far_apart = st.floats(-6, 6).map(lambda x: 10.0**x)
maybe_no_wire = st.one_of(st.just(0.0), far_apart)


@any_array
@given(st.tuples(st.integers(1, 5), st.integers(1, 5)), maybe_no_wire, maybe_no_wire, stuck, seeds, ends)
@example((2, 34), 1e6, 1e-6, 1e3, 0, ONE_SIDED)
@example((34, 2), 1e-6, 1e6, 1e3, 0, TWO_SIDED)
@example((40, 3), 1e-6, 1e-6, 1e3, 1, TWO_SIDED)
@example((34, 2), 1.0, 1.0, 1e3, 2, ONE_SIDED)
@example((12, 9), 0.0, 1e-3, 1e3, 2, TWO_SIDED)
@example((12, 9), 1e3, 0.0, 1e3, 2, TWO_SIDED)
def test_stuck_devices_cost_no_digit_of_any_coupling(
    shape: tuple[int, int], r_row: float, r_col: float, short: float, seed: int, ends: dict[str, bool]
) -> None:
    g, rng = conductances(shape, seed), np.random.default_rng(seed)
    g[rng.random(shape) < 0.3] = short
    array = wired(g, r_row, r_col, **ends)
    np.testing.assert_allclose(reduce_array(array).admittance, in_hundred_digits(array), rtol=1e-9, atol=1e-90)


def test_rows_shorted_together_behind_poor_wires_keep_every_digit() -> None:
    # Across the joint of two blocks the rows hang on each other 1e12 times as tightly as on anything else.
    g = np.full((3, 34), 1e-6)
    g[:, 20] = 1e3
    array = wired(g, 1e6, 1e-6)
    np.testing.assert_allclose(reduce_array(array).admittance, in_hundred_digits(array), rtol=1e-9)


def test_wires_a_trillion_times_better_than_devices_keep_every_digit() -> None:
    # Each current is g v to the ratio of the wires to the devices, whatever the size of a diagonal.
    g = np.random.default_rng(0).uniform(1e-9, 1e-6, (70, 50))
    found = -port_admittance(g, 1e-9, 1e-9)[:70, 70:]
    np.testing.assert_allclose(found, g, rtol=1e-10)


def test_an_array_without_devices_lets_nothing_through() -> None:
    assert (port_admittance(np.full((70, 9), np.nan), 1.0, 5.0) == 0).all()


def test_nan_and_zero_both_mean_that_a_device_is_missing() -> None:
    g = conductances((20, 30), 3)
    assert (port_admittance(g, 1.0, 5.0) == port_admittance(np.nan_to_num(g), 1.0, 5.0)).all()


def test_reversing_rows_and_columns_of_a_transposed_array_exchanges_its_ports() -> None:
    # Rows enter at column 0, columns leave at the last row: seen from the columns, the array is g[::-1, ::-1].T.
    g = conductances((37, 21), 4)
    y, seen = port_admittance(g, 2.0, 7.0), port_admittance(g[::-1, ::-1].T, 7.0, 2.0)
    ports = np.concatenate([21 + np.arange(37)[::-1], np.arange(21)[::-1]])
    np.testing.assert_allclose(y, seen[np.ix_(ports, ports)], rtol=1e-11, atol=1e-20)


@pytest.mark.parametrize(
    ("g", "r_row", "r_col", "message"),
    [
        (
            [[1e-5]],
            0.0,
            1.0,
            "array: expected a finite segment resistance above zero, found r_row = 0 ohm; "
            "an array without segments is reduced by reduce_array",
        ),
        (
            [[1e-5]],
            1.0,
            np.nan,
            "array: expected a finite segment resistance above zero, found r_col = nan ohm; "
            "an array without segments is reduced by reduce_array",
        ),
        (
            [[1e-5, 2e-5], [1e-5, -3e-6]],
            1.0,
            1.0,
            "array: expected finite conductances, none negative, found -3e-06 S at row 1, column 1; "
            "nan or 0 stands for a missing device",
        ),
        (
            [[np.inf]],
            1.0,
            1.0,
            "array: expected finite conductances, none negative, found inf S at row 0, column 0; "
            "nan or 0 stands for a missing device",
        ),
        ([1e-5], 1.0, 1.0, "array: expected conductances [rows, columns], found the shape (1,)"),
    ],
)
def test_impossible_arrays_are_refused(g: list[list[float]], r_row: float, r_col: float, message: str) -> None:
    with pytest.raises(SimulationError) as caught:
        port_admittance(np.array(g), r_row, r_col)
    assert str(caught.value) == message


def test_an_array_beyond_float64_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "cholesky", lambda matrix: 3)
    rows, cols = tuple(f"r{i}" for i in range(40)), ("c0", "c1")
    with pytest.raises(SimulationError) as caught:
        reduce_array(Crossbar("fc1_t0", rows, cols, None, conductances((40, 2), 0), 1.0, 1.0))
    assert str(caught.value) == (
        "fc1_t0: an edge of 20 nodes is singular in float64 (pivot 3); "
        "wires and devices are too many orders of magnitude apart"
    )


def test_inner_nodes_are_factorised_only_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reduction = importlib.import_module("ohmweave.simulate.reduction")
    solved: list[int] = []
    splu = reduction.splu
    monkeypatch.setattr(reduction, "splu", lambda a, **options: solved.append(a.shape[0]) or splu(a, **options))
    array = Crossbar("a", ("r0", "r1"), ("c0", "c1"), None, conductances((2, 2), 0), 1.0, 1.0)
    reduced = reduce_array(array)
    assert solved == []
    for _ in range(2):
        reduced.wire_volts(np.ones((1, 4)))
        reduced.device_volts(np.ones((1, 4)))
    assert solved == [8]


def test_200_random_arrays_agree_with_badcrossbar() -> None:
    badcrossbar = pytest.importorskip("badcrossbar", reason="badcrossbar is not installed (pip install '.[peers]')")
    rng = np.random.default_rng(2)
    worst = 0.0
    for k in range(200):
        m, n = (int(size) for size in rng.integers(1, 65, 2))
        g = rng.uniform(1e-6, 1e-4, (m, n))
        g[rng.random((m, n)) < (k % 3) * 0.1] = 0.0
        r_row, r_col = 10.0 ** rng.uniform(-1, 2, 2)
        volts = rng.uniform(0.0, 0.5, (m, 2))
        with np.errstate(divide="ignore"):
            resistances = 1.0 / g
        solution = badcrossbar.compute(
            volts, resistances, r_i_word_line=r_row, r_i_bit_line=r_col, node_voltages=False, all_currents=False
        )
        expected = np.atleast_2d(solution.currents.output)
        found = -(port_admittance(g, r_row, r_col)[m:, :m] @ volts).T
        worst = max(worst, float(np.max(np.abs(found - expected) / np.where(expected == 0, 1.0, np.abs(expected)))))
    assert worst <= 1e-9


def test_the_benchmark_finds_the_same_currents_by_every_method(tmp_path: Path) -> None:
    script, kept = Path(__file__).parents[1] / "benchmarks" / "arrays.py", tmp_path / "arrays.txt"
    command = [sys.executable, str(script), "--sizes", "32", "--output", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    assert kept.read_text() == done.stdout
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [["seconds", "32"], ["merging,", "whole"], ["SciPy", "SuperLU,"]]
    (gap,) = re.findall(r"any column current between any two methods: (\S+)", done.stdout)
    assert float(gap) < 1e-9
    assert "merging at 32: " in done.stdout
