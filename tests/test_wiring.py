"""Values as numbers of the signals that carry them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csc_matrix

from ohmweave.graph import Flatten, Identity, Op, Reshape
from ohmweave.ops import Concat, Pad, Slice
from ohmweave.ops.window import Window
from ohmweave.units import Array
from ohmweave.wiring import GROUND, Signals, blocks, by_channel, move, stored, unroll, windows

PICTURE = np.arange(1, 13).reshape(2, 2, 3)
SINGLE: dict[str, Op] = {
    "flatten": Flatten(),
    "reshape": Reshape((3, 2, 2)),
    "identity": Identity(),
    "slice": Slice((0, 1, 0), (2, 2, 3), (1, 1, 2)),
    "pad": Pad((0, 1, 0), (1, 0, 2)),
}


def carried(signals: Signals, volts: Array) -> Array:
    """The values that some signals carry; ground carries zero."""
    return np.concatenate([[0.0], volts.ravel()])[signals]


@pytest.mark.parametrize("op", SINGLE.values(), ids=SINGLE)
def test_moving_signals_moves_their_values(op: Op) -> None:
    volts = np.random.default_rng(0).normal(size=PICTURE.shape)
    np.testing.assert_array_equal(carried(move(op, [PICTURE]), volts), op.forward(volts[None])[0])


def test_several_values_are_moved_together() -> None:
    np.testing.assert_array_equal(move(Concat(), [PICTURE, PICTURE[:1]])[2], PICTURE[0])


def test_a_padded_zero_is_ground() -> None:
    np.testing.assert_array_equal(move(Pad((1, 0), (0, 1)), [np.array([[5, 6]])]), [[0, 0, 0], [5, 6, GROUND]])


def test_windows_show_signals_and_ground_at_the_rim() -> None:
    seen = windows(np.array([[[1, 2], [3, 4]]]), Window((2, 2), (2, 1), (1, 0, 1, 0)))
    assert seen.shape == (1, 2, 1, 2, 2)
    np.testing.assert_array_equal(seen[0, :, 0], [[[GROUND, GROUND], [1, 2]], [[3, 4], [GROUND, GROUND]]])


def test_the_rim_of_windows_can_be_something_else() -> None:
    seen = windows(np.array([[[1]]]), Window((1, 2), (1, 1), (0, 1, 0, 0)), fill=-1)
    np.testing.assert_array_equal(seen.ravel(), [-1, 1])


def test_places_and_channels_change_their_order() -> None:
    np.testing.assert_array_equal(by_channel(PICTURE), PICTURE.reshape(2, 6).T)


def test_blocks_lie_on_the_diagonal_and_keep_zeros() -> None:
    found = blocks(np.array([[1.0, 0.0], [3.0, 4.0]]))
    assert found.nnz == 4
    np.testing.assert_array_equal(found.toarray(), [[1, 0], [0, 0], [0, 3], [0, 4]])


def test_a_stored_matrix_keeps_zeros() -> None:
    w = np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]])
    assert stored(w).nnz == 6
    np.testing.assert_array_equal(stored(w).toarray(), w)


def test_positions_share_rows_and_grounded_taps_have_rows_of_their_own() -> None:
    # Three positions of a window of two taps over signals 7 and 8, ground on either side.
    source = np.array([[GROUND, 7], [7, 8], [8, GROUND]])
    rows, weights = unroll(source, stored(np.array([[1.0], [2.0]])))
    np.testing.assert_array_equal(rows, [[7, 8, GROUND]])
    np.testing.assert_array_equal(weights.toarray(), [[2, 1, 0], [0, 2, 1], [1, 0, 2]])
    assert weights.nnz == 6


@st.composite
def wired(draw: st.DrawFn) -> tuple[Signals, csc_matrix]:
    """Sources of some positions, and weights with zeros of which some are stored."""
    positions, rows, cols = (draw(st.integers(1, 5)) for _ in range(3))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    dense = rng.normal(size=(rows, cols)) * (rng.random((rows, cols)) < 0.7)
    weights = stored(dense) if draw(st.booleans()) else csc_matrix(dense)
    return rng.integers(0, 6, (positions, rows)), weights


@given(wired())
def test_unrolling_keeps_every_sum_and_every_load(drawn: tuple[Signals, csc_matrix]) -> None:
    source, weights = drawn
    volts = np.random.default_rng(1).normal(size=5)
    rows, unrolled = unroll(source, weights)
    wanted = carried(source, volts) @ weights.toarray()
    np.testing.assert_allclose(carried(rows, volts) @ unrolled.toarray(), wanted.T.ravel()[None], atol=1e-12)
    real = rows[rows != GROUND]
    np.testing.assert_array_equal(real, np.unique(real))
    # No device is lost but where a position sees a signal twice.
    once = all(len(np.unique(seen[seen > 0])) == np.count_nonzero(seen) for seen in source)
    assert unrolled.nnz == weights.nnz * len(source) if once else unrolled.nnz <= weights.nnz * len(source)
