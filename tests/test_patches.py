"""Patches of held signals: what the kernels add is what a product, the converters and a sum give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.blocks import Converter
from ohmweave.patches import FaintPatches, add_codes, patches
from ohmweave.simulate.faint import Tangent
from ohmweave.units import Array

ANALOG, EIGHT = Converter(0, 0.0, 0.0), Converter(8, -1.0, 1.0)


def stage(seed: int, samples: int, positions: int) -> tuple[Array, Array, Tangent]:
    """Signals of some samples, [samples, 12], which of them 5 inputs take at each position, and their tangent."""
    rng = np.random.default_rng(seed)
    source = rng.integers(0, 12, (positions, 5)).astype(np.uint32)
    return rng.normal(size=(samples, 12)), source, Tangent(2.0, rng.normal(size=3), rng.normal(size=(5, 3)))


def test_a_patch_holds_the_signals_of_its_position() -> None:
    compact = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    source = np.array([[0, 1], [2, 2]], dtype=np.uint32)
    np.testing.assert_array_equal(patches(compact, source, np.array([0, 1, 3])), [[1, 2], [3, 3], [6, 6]])


def test_codes_are_added_at_their_rows_and_outputs_alone() -> None:
    out = np.ones((3, 4))
    add_codes(np.array([[0.5, 9.0]]), Converter(1, 0.0, 1.0), np.array([1]), np.array([3, 0]), out)
    np.testing.assert_array_equal(out, [[1, 1, 1, 1], [2, 1, 1, 2], [1, 1, 1, 1]])


@pytest.mark.parametrize("adc", [ANALOG, EIGHT], ids=["analog", "8 bits"])
@pytest.mark.parametrize("outputs", [(1, 2, 3), (4, 0, 2)], ids=["side by side", "scattered"])
@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), samples=st.integers(1, 40), positions=st.integers(1, 9))
def test_faint_patches_get_the_product_and_loud_ones_are_left(
    adc: Converter, outputs: tuple[int, ...], seed: int, samples: int, positions: int
) -> None:
    compact, source, tangent = stage(seed, samples, positions)
    rows = np.arange(samples * positions)
    out = np.random.default_rng(seed).normal(size=(len(rows), 5))
    expected, volts = out.copy(), patches(compact, source, rows)
    faint = np.linalg.norm(volts, axis=1) <= tangent.reach
    answer = (volts @ tangent.from_drives + tangent.constant)[faint]
    add_codes(answer.copy(), adc, np.flatnonzero(faint), np.array(outputs), expected)
    made = FaintPatches.of([tangent], [np.array(outputs)])
    assert made is not None
    left = made.add(compact, source, adc, out)
    np.testing.assert_array_equal(left, np.flatnonzero(~faint))
    # A voltage on the very edge between two codes may fall on either side.
    edge = np.zeros_like(out)
    if adc.bits:
        place = (answer - adc.low) / adc.step + 0.5
        edge[np.ix_(faint, outputs)] = np.where(np.abs(place - np.round(place)) < 1e-9, 1.01 * adc.step, 0.0)
    assert (np.abs(out - expected) <= edge + 1e-12).all()


def test_circuits_side_by_side_reach_as_far_as_the_shyest() -> None:
    far, near = (Tangent(reach, np.zeros(1), np.ones((2, 1))) for reach in (5.0, 1.0))
    made = FaintPatches.of([far, near], [np.array([0]), np.array([1])])
    assert made is not None
    compact, source, out = np.array([[0.5], [2.0]]), np.zeros((1, 2), dtype=np.uint32), np.zeros((2, 2))
    assert made.add(compact, source, ANALOG, out).tolist() == [1]
    np.testing.assert_array_equal(out, [[1.0, 1.0], [0.0, 0.0]])


def test_a_circuit_without_a_tangent_leaves_all_to_the_engine() -> None:
    tangent = Tangent(1.0, np.zeros(1), np.ones((1, 1)))
    assert FaintPatches.of([tangent, None], [np.array([0]), np.array([1])]) is None


def test_what_is_no_number_is_left() -> None:
    compact, source, tangent = stage(0, 3, 1)
    compact[1] = np.nan
    made = FaintPatches.of([tangent], [np.arange(3)])
    assert made is not None
    out = np.zeros((3, 3))
    assert 1 in made.add(compact, source, EIGHT, out)
    assert np.isfinite(out).all()


def test_any_rows_are_gathered() -> None:
    compact, source, _ = stage(3, 7, 4)
    rows = np.array([27, 0, 13, 13])
    expected = [compact[row // 4, source[row % 4]] for row in rows]
    np.testing.assert_array_equal(patches(compact, source, rows), expected)
