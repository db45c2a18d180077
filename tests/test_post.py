"""HSPICE's binary files: what was written is read, anything less is refused."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ohmweave.errors import SimulationError
from ohmweave.simulate.post import read_post
from ohmweave.units import Array

REMEDY = "the simulator stopped early or its disk is full; run it again"
FINITE = st.floats(-1e29, 1e29)


def block(content: bytes, order: str = "<") -> bytes:
    size = len(content)
    return struct.pack(f"{order}4i", 4, size // 8, 4, size) + content + struct.pack(f"{order}i", size)


def header(names: tuple[str, ...], version: str = "2001") -> bytes:
    first = f"{len(names):04d}000000000000    {version}* t".ljust(256)
    return f"{first}{' '.join('1' for _ in names)}  {'  '.join(names)}  $&%#    ".encode()


def post(values: Array, order: str = "<") -> bytes:
    names = tuple(f"v(n{k}" for k in range(values.shape[1]))
    data = np.append(values.ravel(), 1e30).astype(f"{order}f8").tobytes()
    cut = 8 * (len(data) // 16)
    return block(header(names), order) + block(data[:cut], order) + block(data[cut:], order)


@given(arrays(np.float64, st.tuples(st.integers(0, 5), st.integers(1, 5)), elements=FINITE), st.sampled_from("<>"))
def test_reading_returns_what_was_written(tmp_path_factory: pytest.TempPathFactory, values: Array, order: str) -> None:
    path = tmp_path_factory.mktemp("post") / "a.sw0"
    path.write_bytes(post(values, order))
    found = read_post(path)
    assert found.names == tuple(f"v(n{k})" for k in range(values.shape[1]))
    np.testing.assert_array_equal(found.values, values)


def refusal(content: bytes | None, folder: Path) -> str:
    if content is not None:
        (folder / "a.sw0").write_bytes(content)
    with pytest.raises(SimulationError) as caught:
        read_post(folder / "a.sw0")
    return str(caught.value)


GOOD = post(np.ones((2, 3)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, f"a.sw0: expected an output file, found none; {REMEDY}"),
        (b"", f"a.sw0: expected the format 2001, found ''; {REMEDY}"),
        (GOOD[:-3], f"a.sw0: expected whole blocks, found one cut at byte {len(GOOD) - 52}; {REMEDY}"),
        (GOOD[:-52], f"a.sw0: expected the end of the last table, found none; {REMEDY}"),
        (
            block(header(("v(a",))) + block(np.array([1e30, 1.0]).tobytes()),
            f"a.sw0: expected the end of the last table, found none; {REMEDY}",
        ),
        (
            block(header(("v(a", "v(b"))) + block(np.array([1.0, 2.0, 3.0, 1e30]).tobytes()),
            "a.sw0: expected whole points of 2 vectors, found a part of one",
        ),
        (block(header(("v(a",), "9601")), f"a.sw0: expected the format 2001, found '9601'; {REMEDY}"),
        (
            block(header(("v(a",)).replace(b"0001", b"0002", 1)),
            f"a.sw0: expected a header with its vectors counted, found 0 names of 2 vectors; {REMEDY}",
        ),
    ],
)
def test_less_than_a_whole_file_is_refused(content: bytes | None, message: str, tmp_path: Path) -> None:
    assert refusal(content, tmp_path) == message
