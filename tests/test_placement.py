"""Every weight lies on exactly one tile; the tiles are fewer than those of the matrix cut in its own order."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix, csc_matrix

from ohmweave.errors import DesignError
from ohmweave.placement import Spot, Utilisation, place, place_in_order, utilisation


def pattern_of(rows: Any, cols: Any, shape: tuple[int, int]) -> csc_matrix:
    """Stored zeros where devices are, each once."""
    made = coo_matrix((np.zeros(len(rows)), (rows, cols)), shape=shape).tocsc()
    made.sum_duplicates()
    return made


def dense(rows: int, cols: int) -> csc_matrix:
    row, col = (axis.ravel() for axis in np.indices((rows, cols)))
    return pattern_of(row, col, (rows, cols))


def blocks(count: int, rows: int, cols: int = 1, rng: np.random.Generator | None = None) -> csc_matrix:
    """Equal blocks on the diagonal; with a generator, in no order at all."""
    k, r, c = (axis.ravel() for axis in np.indices((count, rows, cols)))
    row, col = k * rows + r, k * cols + c
    if rng is not None:
        row, col = rng.permutation(count * rows)[row], rng.permutation(count * cols)[col]
    return pattern_of(row, col, (count * rows, count * cols))


def convolution(channels: int, outputs: int, kernel: int, padded: int, groups: int = 1) -> csc_matrix:
    """An unrolled convolution with stride 1 on ``padded`` x ``padded`` pixels; the last row is the bias."""
    places, ins, outs = padded - kernel + 1, channels // groups, outputs // groups
    c, p, q, i, u, v = (axis.ravel() for axis in np.indices((outputs, places, places, ins, kernel, kernel)))
    rows, cols = ((c // outs * ins + i) * padded + p + u) * padded + q + v, (c * places + p) * places + q
    count = outputs * places**2
    bias = np.full(count, channels * padded**2)
    return pattern_of(np.append(rows, bias), np.append(cols, np.arange(count)), (channels * padded**2 + 1, count))


def tiles(spots: Sequence[Spot], pattern: csc_matrix, height: int, width: int) -> int:
    """How many, after the check that they hold the pattern."""
    owned = np.concatenate([spot.entries for spot in spots]) if spots else np.zeros(0, dtype=np.int64)
    np.testing.assert_array_equal(np.sort(owned), np.arange(pattern.nnz))
    cols = np.repeat(np.arange(pattern.shape[1]), np.diff(pattern.indptr))
    for spot in spots:
        assert 1 <= len(spot.rows) <= height
        assert 1 <= len(spot.cols) <= width
        assert (np.diff(spot.entries) > 0).all()
        np.testing.assert_array_equal(spot.rows, np.unique(pattern.indices[spot.entries]))
        np.testing.assert_array_equal(spot.cols, np.unique(cols[spot.entries]))
        assert spot.rows.dtype == spot.cols.dtype == spot.entries.dtype == np.int64
    return len(spots)


sizes = st.integers(1, 12)


@st.composite
def patterns(draw: st.DrawFn) -> tuple[csc_matrix, tuple[int, int, int]]:
    """Any pattern, from empty to full, and a shape of its outputs."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5)))
    rows, cols = draw(st.integers(1, 40)), int(np.prod(shape))
    share = draw(st.sampled_from((0.0, 0.03, 0.1, 0.3, 0.8, 1.0)))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    row, col = np.nonzero(rng.random((rows, cols)) < share)
    return pattern_of(row, col, (rows, cols)), shape


@settings(deadline=None)
@given(patterns(), sizes, sizes, st.booleans())
def test_every_entry_lies_on_one_spot_and_no_more_tiles_are_used_than_in_order(
    drawn: tuple[csc_matrix, tuple[int, int, int]], height: int, width: int, shaped: bool
) -> None:
    pattern, shape = drawn
    in_order = tiles(place_in_order(pattern, height, width), pattern, height, width)
    assert tiles(place(pattern, height, width, shape if shaped else None), pattern, height, width) <= in_order


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 6), sizes, sizes)
def test_convolutions_of_every_shape_are_held(
    groups: int, ins: int, outs: int, kernel: int, more: int, height: int, width: int
) -> None:
    pattern = convolution(ins * groups, outs * groups, kernel, kernel + more, groups)
    shape = (outs * groups, more + 1, more + 1)
    found = tiles(place(pattern, height, width, shape), pattern, height, width)
    assert found <= len(place_in_order(pattern, height, width))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), sizes, sizes)
def test_a_dense_pattern_is_cut_into_a_grid(rows: int, cols: int, height: int, width: int) -> None:
    pattern = dense(rows, cols)
    spots = place(pattern, height, width)
    assert tiles(spots, pattern, height, width) == -(-rows // height) * -(-cols // width)
    for spot in spots:
        assert spot.rows[-1] - spot.rows[0] == len(spot.rows) - 1
        assert spot.cols[-1] - spot.cols[0] == len(spot.cols) - 1
        assert len(spot.entries) == len(spot.rows) * len(spot.cols)


@pytest.mark.parametrize("count", [1, 7, 8, 14, 50, 63])
@pytest.mark.parametrize("seed", [None, 0])
def test_seven_depthwise_kernels_of_nine_taps_share_a_tile(count: int, seed: int | None) -> None:
    # 7 * 9 = 63 <= 64 rows; no output is spread over two tiles
    pattern = blocks(count, 9, rng=None if seed is None else np.random.default_rng(seed))
    spots = place(pattern, 64, 32)
    assert tiles(spots, pattern, 64, 32) == -(-count // 7)
    assert utilisation(spots, pattern, 64, 32).joints == count


@pytest.mark.parametrize("count", [64, 640])
def test_a_kernel_is_spread_over_two_tiles_only_where_that_saves_a_tile(count: int) -> None:
    # 64 kernels of 9 taps are 9 times 64 rows, so that 9 tiles hold them instead of 10
    pattern = blocks(count, 9)
    assert tiles(place(pattern, 64, 32), pattern, 64, 32) == 9 * count // 64


def test_blocks_of_different_sizes_fill_each_others_tiles() -> None:
    # five blocks of 5 x 5 and five of 3 x 3: two of a kind do not fit on 8 x 8, one of each does
    at = 0
    rows: list[int] = []
    cols: list[int] = []
    for size in (5, 5, 5, 5, 5, 3, 3, 3, 3, 3):
        r, c = (axis.ravel() + at for axis in np.indices((size, size)))
        rows, cols, at = [*rows, *r], [*cols, *c], at + size
    pattern = pattern_of(rows, cols, (at, at))
    assert tiles(place(pattern, 8, 8), pattern, 8, 8) == 5


def test_blocks_that_share_their_bias_share_its_row() -> None:
    # 7 * 9 taps and one bias are 64 rows; a bias row for each block would leave room for six
    whole = blocks(70, 9).tocoo()
    rows, cols = np.append(whole.row, np.full(70, 630)), np.append(whole.col, np.arange(70))
    pattern = pattern_of(rows, cols, (631, 70))
    assert tiles(place(pattern, 64, 32), pattern, 64, 32) == 10


@pytest.mark.parametrize("shape", [None, (4, 16, 16)])
def test_residual_sums_use_every_row(shape: tuple[int, int, int] | None) -> None:
    # y = a + b, 1024 outputs of two signals each: 32 outputs fill the 64 rows of a tile
    i = np.arange(1024)
    pattern = pattern_of(np.append(i, i + 1024), np.append(i, i), (2048, 1024))
    assert tiles(place(pattern, 64, 64, shape), pattern, 64, 64) == 32


def test_neighbouring_output_pixels_of_all_channels_share_a_tile() -> None:
    # 4 pixels of 4 channels fill 16 columns; 2 x 2 pixels see 4 x 4 inputs, with the bias 17 rows
    pattern = convolution(1, 4, 3, 10)
    spots = place(pattern, 17, 16, (4, 8, 8))
    assert tiles(spots, pattern, 17, 16) == 16
    for spot in spots:
        c, p, q = np.unravel_index(spot.cols, (4, 8, 8))
        assert len(set(c)) == 4
        assert p.max() - p.min() == q.max() - q.min() == 1


def test_what_one_row_too_many_leaves_over_is_collected() -> None:
    # As before, but on 16 rows: each patch leaves one row over. The corner of its window is seen by one
    # pixel, 4 columns, and 4 such corners of 4 patches fill the columns of one more tile.
    pattern = convolution(1, 4, 3, 10)
    assert tiles(place(pattern, 16, 16, (4, 8, 8)), pattern, 16, 16) == 16 + 4


@pytest.mark.parametrize(
    ("layer", "shape", "tile", "in_order", "placed"),
    [
        ((1, 6, 5, 32), (6, 28, 28), 64, 377, 80),
        ((1, 6, 5, 32), (6, 28, 28), 128, 152, 38),
        ((6, 16, 5, 14), (16, 10, 10), 64, 475, 88),
        ((6, 16, 5, 14), (16, 10, 10), 128, 130, 29),
    ],
)
def test_the_convolutions_of_lenet_take_a_fraction_of_the_tiles(
    layer: tuple[int, int, int, int], shape: tuple[int, int, int], tile: int, in_order: int, placed: int
) -> None:
    pattern = convolution(*layer)
    assert tiles(place_in_order(pattern, tile, tile), pattern, tile, tile) == in_order
    assert tiles(place(pattern, tile, tile, shape), pattern, tile, tile) == placed


def test_a_kernel_larger_than_a_tile_is_cut() -> None:
    # 25 taps and a bias on tiles of 8 rows
    pattern = convolution(1, 2, 5, 8)
    assert tiles(place(pattern, 8, 8, (2, 4, 4)), pattern, 8, 8) < len(place_in_order(pattern, 8, 8))


def test_a_layer_of_resnet_20_is_placed_within_seconds() -> None:
    pattern = convolution(16, 16, 3, 34)
    begun = time.process_time()
    spots = place(pattern, 64, 64, (16, 32, 32))
    # 2 s of processor here; 6 s leave room for slow machines.
    assert time.process_time() - begun < 6.0
    assert tiles(spots, pattern, 64, 64) < len(place_in_order(pattern, 64, 64)) / 10


def test_the_same_pattern_is_placed_in_the_same_way() -> None:
    one, other = (place(convolution(2, 3, 3, 9, 1), 16, 12, (3, 7, 7)) for _ in range(2))
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.entries, b.entries)


def test_values_do_not_matter_and_zeros_are_devices() -> None:
    zeros = convolution(1, 2, 3, 7)
    values = csc_matrix((np.arange(zeros.nnz, dtype=float), zeros.indices, zeros.indptr), zeros.shape)
    for a, b in zip(place(zeros, 8, 8, (2, 5, 5)), place(values, 8, 8, (2, 5, 5)), strict=True):
        np.testing.assert_array_equal(a.entries, b.entries)


def test_no_devices_take_no_tiles() -> None:
    nothing = csc_matrix((5, 6))
    assert place(nothing, 4, 4) == place_in_order(nothing, 4, 4) == ()
    assert utilisation((), nothing, 4, 4) == Utilisation(0, 0, 0.0, 0.0, 0)


def test_utilisation_counts_what_is_there() -> None:
    # two blocks of 3 x 2 on tiles of 4 x 4: one each, of 3 rows and 2 columns in use
    pattern = blocks(2, 3, 2)
    found = utilisation(place(pattern, 4, 4), pattern, 4, 4)
    assert found == Utilisation(2, 12, 12 / 32, 2 * (2 * 3 * 2), 4)


@pytest.mark.parametrize("method", [place, place_in_order])
@pytest.mark.parametrize(("height", "width"), [(0, 4), (4, 0), (-1, 4)])
def test_a_tile_without_rows_or_columns_is_refused(method: object, height: int, width: int) -> None:
    assert callable(method)
    with pytest.raises(DesignError) as caught:
        method(dense(3, 3), height, width)
    assert str(caught.value) == (
        f"placement: expected tiles of at least 1 signal and 1 output, found {height} x {width}; choose larger tiles"
    )


def test_a_shape_of_other_outputs_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a shape of 3 outputs, found \(2, 2, 1\)"):
        place(dense(3, 3), 4, 4, (2, 2, 1))


def test_an_entry_stored_twice_is_refused() -> None:
    twice = csc_matrix((np.ones(2), np.array([1, 1]), np.array([0, 2])), (3, 1))
    with pytest.raises(ValueError, match="expected each entry once"):
        place(twice, 4, 4)


def test_the_benchmark_prints_and_keeps_both_placements(tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "benchmarks" / "placement.py"
    asked = ["--layers", "LeNet-5 conv1", "--tiles", "64", "--output", str(tmp_path / "kept.txt")]
    done = subprocess.run(
        [sys.executable, str(script), *asked], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kept.txt").read_text(encoding="utf-8") == done.stdout
    _, in_order, placed, compared = done.stdout.splitlines()
    assert in_order.split()[3:7] == ["in", "order", "122304", "377"]
    assert placed.split()[3:6] == ["placed", "122304", "80"]
    assert compared.startswith("LeNet-5 conv1 on 64 x 64: 4.7 times fewer tiles")
