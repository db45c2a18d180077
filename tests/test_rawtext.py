"""Raw files of text: what was written is read, anything less is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ohmweave.errors import SimulationError
from ohmweave.simulate.rawtext import read_raw_text
from ohmweave.units import Array

REMEDY = "the simulator stopped early or its disk is full; run it again"


def text(values: Array, flags: str = "real") -> str:
    points, variables = values.shape
    names = "\n\t\t".join(f"{k}\tx1.N{k}\tV plot=0 grid=0" for k in range(variables))
    head = f"Title: t\nPlotname: DC Analysis `s': k = (0 -> 1)\nFlags: {flags}\nNo. Variables:  {variables}\n"
    rows = "".join(f"{k}\t" + "\n\t".join(map(repr, row)) + "\n" for k, row in enumerate(values.tolist()))
    return f"{head}No. Points:  {points}\nVariables:\t{names}\nValues:\n{rows}"


@given(arrays(np.float64, st.tuples(st.integers(0, 5), st.integers(1, 5))))
def test_reading_returns_what_was_written(tmp_path_factory: pytest.TempPathFactory, values: Array) -> None:
    path = tmp_path_factory.mktemp("raw") / "a.raw"
    path.write_text(text(values))
    found = read_raw_text(path)
    assert found.names == tuple(f"x1.n{k}" for k in range(values.shape[1]))
    np.testing.assert_array_equal(found.values, values)


GOOD = text(np.ones((2, 3)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, f"a.raw: expected a raw file, found none; {REMEDY}"),
        ("", f"a.raw: expected a header, then 'Values:', found none; {REMEDY}"),
        (text(np.ones((1, 1)), "complex"), "a.raw: expected the flag 'real' in the header, found 'complex'"),
        (
            GOOD[:-5],
            f"a.raw: expected 2 points of 3 vectors (8 numbers with the points' own), found 7; {REMEDY}",
        ),
        (
            GOOD.replace("No. Points", "Points"),
            f"a.raw: expected a header with its variables and points counted, found 'No. Points'; {REMEDY}",
        ),
        (
            GOOD.replace("No. Variables:  3", "No. Variables:  4"),
            f"a.raw: expected a header with its variables and points counted, found 3 rows of 4 variables; {REMEDY}",
        ),
        (
            GOOD[:-5] + "\tx",
            "a.raw: expected a header with its variables and points counted, found could not convert string to float: "
            f"'x'; {REMEDY}",
        ),
    ],
)
def test_less_than_a_whole_file_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.raw").write_text(content)
    with pytest.raises(SimulationError) as caught:
        read_raw_text(tmp_path / "a.raw")
    assert str(caught.value) == message
