"""Layouts as lines of text."""

from ohmweave.report import aligned
from ohmweave.spiking.costs import Layout, together

PARTS = (
    Layout("s0", ("a", "b"), 4, 4096, 4096, 32, 128, 8192, 0, 0),
    Layout("s1", ("c",), 1, 640, 1024, 10, 32, 1280, 64, 2),
)


def test_columns_are_aligned_below_their_heading() -> None:
    assert aligned((*PARTS, together(PARTS))).splitlines() == [
        "stage  arrays     used  neurons  memristors  row drivers  wire segments  hops",
        "s0          4  100.0 %       32       4,096          128          8,192     0",
        "s1          1   62.5 %       10         640           32          1,280    64",
        "chip        5   92.5 %       42       4,736          160          9,472    64",
    ]
