"""Kernels that run without Python's lock do what numpy does."""

import numpy as np
import pytest

from ohmweave.simulate.blas import add_product, cholesky, solve_triangle
from ohmweave.units import Array


def fortran(*shape: int) -> Array:
    return np.asfortranarray(np.random.default_rng(len(shape)).uniform(0.5, 1.5, shape))


def test_a_matrix_is_factorised_in_place() -> None:
    x = fortran(7, 7)
    x = np.asfortranarray(x @ x.T)
    expected = np.linalg.cholesky(x)
    assert cholesky(x) == 0
    np.testing.assert_allclose(np.tril(x), expected, rtol=1e-10)


def test_the_pivot_that_is_not_positive_is_counted_from_one() -> None:
    assert cholesky(np.asfortranarray(np.diag([1.0, 2.0, -1.0, 1.0]))) == 3


def test_a_triangle_is_solved_and_a_product_added() -> None:
    factor, right = np.asfortranarray(np.tril(fortran(4, 4))), fortran(6, 4)
    tall = np.linalg.solve(factor, right.T).T
    total = fortran(6, 6)
    expected = total + tall @ tall.T
    solve_triangle(factor, right)
    np.testing.assert_allclose(right, tall, rtol=1e-10)
    add_product(right, total)
    np.testing.assert_allclose(np.tril(total), np.tril(expected), rtol=1e-10)


def test_a_matrix_in_the_wrong_order_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^expected float64 in Fortran order, found float64 with strides \(24, 8\)$"):
        cholesky(np.ones((3, 3)))
