"""Pictures of spikes: small stages whole, large ones by the neurons that say most."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from ohmweave.report import pictures
from ohmweave.report.pictures import raster_picture
from ohmweave.units import Array

CUT = "Spikes. Of large stages those neurons are drawn that differ, then those that spike, most."


def trains(steps: int, neurons: int) -> Array:
    return (np.random.default_rng(0).random((steps, neurons)) < 0.2).astype(np.float64)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn, before they become PNGs."""
    drawn, make = list[Figure](), pictures._figure

    def kept(width: float, height: float) -> Figure:
        drawn.append(make(width, height))
        return drawn[-1]

    monkeypatch.setattr(pictures, "_figure", kept)
    return drawn


def test_a_small_stage_is_drawn_whole(figures: list[Figure]) -> None:
    spikes = trains(25, 10)
    picture = raster_picture({"out": (spikes, spikes)}, "Spikes.")
    (axes,) = figures[0].axes
    assert picture.caption == "Spikes."
    assert axes.get_title(loc="left") == "out"
    assert sum(len(points.get_offsets()) for points in axes.collections) == spikes.sum()


def test_of_a_large_stage_the_neurons_that_differ_and_those_that_spike_most_are_drawn(figures: list[Figure]) -> None:
    expected = np.zeros((25, 4608))
    expected[:, 1000:1300] = trains(25, 300)
    circuit = expected.copy()
    circuit[3, [7, 4000]] = 1.0
    picture = raster_picture({"conv": (circuit, expected), "out": (circuit[:, :5], expected[:, :5])}, "Spikes.")
    large, small = figures[0].axes
    assert picture.caption == CUT
    assert (large.get_title(loc="left"), small.get_title(loc="left")) == ("conv, 200 of 4,608", "out")
    missing, alone, both = (np.asarray(points.get_offsets()) for points in large.collections)
    assert (len(missing), len(alone)) == (0, 2)
    label = large.yaxis.get_major_formatter()
    assert [label(row, None) for row in sorted(alone[:, 1])] == ["7", "4000"]
    counts = np.sort(expected.sum(axis=0))
    assert len(both) == counts[-198:].sum()
    assert [label(row, None) for row in (-1.0, 0.5, 200.0)] == ["", "", ""]
    assert imread(io.BytesIO(picture.png)).shape[0] < 1500


@pytest.mark.parametrize(("steps", "rows"), [(25, 200), (100, 80), (4000, 20)])
def test_over_many_steps_fewer_neurons_are_drawn(steps: int, rows: int, figures: list[Figure]) -> None:
    raster_picture({"s": (np.zeros((steps, 500)), np.zeros((steps, 500)))}, "Spikes.")
    assert figures[0].axes[0].get_title(loc="left") == f"s, {rows} of 500"
