"""Networks of very many memristors are planned, kept and written in memory that their conductances alone set."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ohmweave.archive import load, save
from ohmweave.build import sampled_parts
from ohmweave.chip import Chip
from ohmweave.design import Design
from ohmweave.graph import Graph, Node
from ohmweave.mapping import plan
from ohmweave.ops import Conv, Input

# What a plan holds of each device: its target and what was reached, 8 bytes each.
HELD = 16
WIDTHS = (32, 96)


def chip(width: int) -> Chip:
    """Two convolutions over a small picture; 9 w (2 w + 3) pairs of devices or so."""
    rng = np.random.default_rng(0)
    shapes = (width, 3, 3, 3), (2 * width, width, 3, 3)
    first, second = (Conv(rng.standard_normal(shape), np.zeros(shape[0])) for shape in shapes)
    nodes = Node("x", Input((3, 6, 6))), Node("first", first, ("x",)), Node("second", second, ("first",))
    return Chip(plan(Graph(nodes, ("second",)), Design.preset("sampled"), rng.uniform(0.0, 1.0, (4, 3, 6, 6))))


def growth(act: Callable[[], object]) -> int:
    """The most memory that is taken beside what was there, bytes."""
    tracemalloc.start()
    try:
        # What is made lives until the peak was read.
        made = act()
        peak = tracemalloc.get_traced_memory()[1]
        del made
    finally:
        tracemalloc.stop()
    return peak


def per_device(act: Callable[[Chip], object]) -> float:
    """Bytes that each further device costs, from a small and a nine times larger network."""
    small, large = (chip(width) for width in WIDTHS)
    act(small)
    found = [growth(lambda each=each: act(each)) for each in (small, large)]  # type: ignore[misc]
    return (found[1] - found[0]) / (large.plan.devices - small.plan.devices)


def test_a_plan_holds_little_more_than_two_numbers_a_device() -> None:
    chip(WIDTHS[0])
    small, large = (growth(lambda width=width: chip(width)) for width in WIDTHS)  # type: ignore[misc]
    more = chip(WIDTHS[1]).plan.devices - chip(WIDTHS[0]).plan.devices
    assert (large - small) / more < 4 * HELD


def test_writing_a_stage_takes_no_memory_for_each_device(tmp_path: Path) -> None:
    assert per_device(lambda each: each.write(tmp_path, stage="s1")) < HELD


def test_the_digest_of_a_plan_takes_no_memory_for_each_device() -> None:
    assert per_device(lambda each: each.plan.digest()) < 1.0


def test_a_build_is_written_in_less_memory_than_its_conductances(tmp_path: Path) -> None:
    assert per_device(lambda each: save(each, tmp_path / "build")) < HELD


def test_a_build_is_read_in_little_more_memory_than_its_conductances(tmp_path: Path) -> None:
    for width in WIDTHS:
        save(chip(width), tmp_path / str(width))
    devices = [load(tmp_path / str(width)).plan.devices for width in WIDTHS]
    found = [growth(lambda width=width: load(tmp_path / str(width))) for width in WIDTHS]  # type: ignore[misc]
    assert (found[1] - found[0]) / (devices[1] - devices[0]) < 4 * HELD


def test_parts_of_a_stage_share_no_input_and_no_output() -> None:
    kernels = Conv(np.random.default_rng(0).standard_normal((24, 1, 3, 3)), np.zeros(24), groups=24)
    graph = Graph((Node("x", Input((24, 4, 4))), Node("each", kernels, ("x",))), ("each",))
    made = plan(graph, Design.preset("sampled"), np.random.default_rng(1).uniform(0.0, 1.0, (4, 24, 4, 4)))
    parts = sampled_parts(made, made.stages[0])
    assert len(parts) > 1
    assert sorted(np.concatenate([part.inputs for part in parts])) == list(range(24 * 9))
    assert sorted(np.concatenate([part.outputs for part in parts])) == list(range(24))
