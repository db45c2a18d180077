"""Raw files: what was written is read, anything less is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ohmweave.errors import SimulationError
from ohmweave.simulate.raw import read_raw
from ohmweave.units import Array

REMEDY = "the simulator stopped early or its disk is full; run it again"


def raw(values: Array, flags: str = "real") -> bytes:
    names = "".join(f"\t{k}\tv(n{k})\tvoltage\n" for k in range(values.shape[1]))
    points, variables = values.shape
    head = f"Title: t\nPlotname: DC\nFlags: {flags}\nNo. Variables: {variables}\nNo. Points: {points}       \n"
    return f"{head}Variables:\n{names}Binary:\n".encode() + values.astype("<f8").tobytes()


def refusal(path: Path) -> str:
    with pytest.raises(SimulationError) as caught:
        read_raw(path)
    return str(caught.value)


@given(arrays(np.float64, st.tuples(st.integers(0, 5), st.integers(1, 5))))
def test_reading_returns_what_was_written(tmp_path_factory: pytest.TempPathFactory, values: Array) -> None:
    path = tmp_path_factory.mktemp("raw") / "a.raw"
    path.write_bytes(raw(values))
    found = read_raw(path)
    assert found.names == tuple(f"v(n{k})" for k in range(values.shape[1]))
    np.testing.assert_array_equal(found.values, values)


def test_vectors_are_found_by_name_even_where_the_first_appears_twice(tmp_path: Path) -> None:
    content = raw(np.arange(6.0).reshape(2, 3)).replace(b"v(n2)", b"V(N0)")
    (tmp_path / "a.raw").write_bytes(content)
    np.testing.assert_array_equal(read_raw(tmp_path / "a.raw").columns(("v(n1)", "v(n0)")), [[1.0, 2.0], [4.0, 5.0]])


def test_a_vector_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(raw(np.zeros((1, 1))))
    with pytest.raises(SimulationError) as caught:
        read_raw(tmp_path / "a.raw").columns(("v(n0)", "v(x)", "v(y)"))
    assert str(caught.value) == "expected the vector 'v(x)', found none of that name (2 missing in all)"


def test_a_truncated_file_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(raw(np.zeros((4, 7)))[:-104])
    assert refusal(tmp_path / "a.raw") == (
        f"a.raw: expected 4 points of 7 vectors (224 bytes) after the header, found 120 bytes; {REMEDY}"
    )


def test_a_second_plot_is_too_much(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(raw(np.zeros((1, 1))) + b"Title: ")
    assert refusal(tmp_path / "a.raw") == (
        f"a.raw: expected 1 points of 1 vectors (8 bytes) after the header, found 15 bytes; {REMEDY}"
    )


def test_no_file_is_said(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a.raw") == f"a.raw: expected a raw file, found none; {REMEDY}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", f"expected a header that ends in 'Binary:', found none; {REMEDY}"),
        (raw(np.zeros((1, 1)), "complex"), "expected the flag 'real' in the header, found 'complex'"),
        (
            raw(np.zeros((1, 2))).replace(b"\t1\tv(n1)\tvoltage\n", b""),
            f"expected a header with its variables and points counted, found 1 rows of 2 variables; {REMEDY}",
        ),
        (
            raw(np.zeros((1, 1))).replace(b"No. Points: 1", b"No. Points: x"),
            "expected a header with its variables and points counted, found "
            f"invalid literal for int() with base 10: ' x       '; {REMEDY}",
        ),
    ],
)
def test_a_malformed_header_is_explained(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.raw").write_bytes(content)
    assert refusal(tmp_path / "a.raw") == f"a.raw: {message}"
