"""The voltages along a tile's wires are those of Kirchhoff's laws."""

from dataclasses import replace

import numpy as np
import pytest

from ohmweave.analysis.ir_drop import TileDrop, ir_drop
from ohmweave.analysis.spread import spread
from ohmweave.bench import Bench
from ohmweave.build import build, input_nets
from ohmweave.design import ArrayChoice, Design
from ohmweave.devices import Linear as LinearDevice
from ohmweave.devices import Sinh
from ohmweave.errors import ConvergenceError
from ohmweave.graph import Graph, Input, Linear, Node, Relu
from ohmweave.mapping import Plan, plan
from ohmweave.schemes import RowPair
from ohmweave.simulate.native import Native
from ohmweave.units import Array


def two_one(design: Design) -> Plan:
    """Two inputs and a bias row to one output: a single tile of 3 x 2 devices."""
    op = Linear(np.array([[1.0, -0.5]]), np.array([0.25]))
    graph = Graph((Node("in", Input((2,))), Node("out", op, ("in",))), ("out",))
    return plan(graph, design, np.array([[1.0, 0.5], [-0.5, 1.0]]))


def deep(design: Design, rng: np.random.Generator) -> tuple[Plan, Array]:
    first = Linear(rng.normal(size=(6, 9)), rng.normal(size=6))
    second = Linear(rng.normal(size=(3, 6)), rng.normal(size=3))
    nodes = (
        Node("in", Input((9,))),
        Node("a", first, ("in",)),
        Node("relu", Relu(), ("a",)),
        Node("b", second, ("relu",)),
    )
    x = rng.uniform(-1.0, 1.0, size=(5, 9))
    return plan(Graph(nodes, ("b",)), design, x), x


def wires(r_row: float, r_col: float, rows: int = 64, cols: int = 64) -> ArrayChoice:
    return ArrayChoice(rows=rows, cols=cols, r_row=r_row, r_col=r_col)


def kirchhoff(drop: TileDrop, g: Array, r_row: float, r_col: float) -> Array:
    """The twelve inner nodes of a 3 x 2 array solved as one dense system, written node by node.

    Node 2 i + j is the row wire at crossing (i, j), node 6 + 2 i + j the column wire there. A row is fed
    from its port into crossing (i, 0); a column leaves to its port from crossing (2, j).
    """
    y, currents = np.zeros((12, 12)), np.zeros(12)

    def join(a: int, b: int, siemens: float) -> None:
        y[a, a] += siemens
        y[b, b] += siemens
        y[a, b] -= siemens
        y[b, a] -= siemens

    def feed(node: int, volts: float, siemens: float) -> None:
        y[node, node] += siemens
        currents[node] += siemens * volts

    for i in range(3):
        feed(2 * i, drop.row_volts[i], 1.0 / r_row)
        join(2 * i, 2 * i + 1, 1.0 / r_row)
        for j in range(2):
            join(2 * i + j, 6 + 2 * i + j, g[i, j])
    for j in range(2):
        join(6 + j, 8 + j, 1.0 / r_col)
        join(8 + j, 10 + j, 1.0 / r_col)
        feed(10 + j, drop.col_volts[j], 1.0 / r_col)
    return np.linalg.solve(y, currents)


def test_a_three_by_two_tile_is_the_dense_nodal_solution() -> None:
    chip = two_one(Design(array=wires(150.0, 70.0)))
    drop = ir_drop(chip, build(chip), np.array([[0.1, 0.1], [1.0, -1.0], [0.3, 0.2]]))
    expected = kirchhoff(drop, chip.stages[0].tiles[0].g, 150.0, 70.0)
    assert (drop.stage, drop.tile, drop.sample) == ("s0", "t0_0", 1)
    np.testing.assert_allclose(drop.word_volts.ravel(), expected[:6], rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(drop.bit_volts.ravel(), expected[6:], rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(drop.across.ravel(), expected[:6] - expected[6:], rtol=1e-11, atol=1e-16)
    assert drop.lost.max() > 1e-3
    assert drop.lost[drop.worst] == drop.lost.max()


def test_ports_are_the_nets_of_the_chip() -> None:
    chip = two_one(Design(array=wires(150.0, 70.0)))
    cell, x = build(chip), np.array([[1.0, -1.0]])
    drop = ir_drop(chip, cell, x)
    nets = ("s0_p0", "s0_p1", "s0_p2", "s0.c0", "s0.c1")
    volts = Native().run(Bench(cell, input_nets(chip), chip.input_volts(x), nets)).volts[0]
    np.testing.assert_array_equal(drop.row_volts, volts[:3])
    np.testing.assert_array_equal(drop.col_volts, volts[3:])
    # The drivers' source resistance takes a little of +-0.2 V; the columns end in virtual grounds.
    np.testing.assert_allclose(drop.row_volts, [0.2, -0.2, 0.2], rtol=0.02)
    assert np.abs(drop.col_volts).max() < 1e-3


@pytest.mark.parametrize("v0", [0.33, 0.05])
def test_nonlinear_devices_obey_kirchhoffs_law_at_every_crossing(v0: float) -> None:
    chip = two_one(Design(device=Sinh(v0=v0), array=wires(150.0, 70.0)))
    drop = ir_drop(chip, build(chip), np.array([[1.0, -1.0]]))
    amps = chip.design.device.current(drop.across, chip.stages[0].tiles[0].g)
    towards = np.hstack([drop.row_volts[:, None], drop.word_volts])
    along_rows = -np.diff(towards, axis=1) / 150.0
    down_cols = -np.diff(np.vstack([drop.bit_volts, drop.col_volts]), axis=0) / 70.0
    # What enters a crossing on its row leaves through its device or onwards; the columns gather it.
    np.testing.assert_allclose(along_rows - np.hstack([along_rows[:, 1:], np.zeros((3, 1))]), amps, atol=1e-15)
    np.testing.assert_allclose(down_cols - np.vstack([np.zeros((1, 2)), down_cols[:-1]]), amps, atol=1e-15)
    assert np.abs(amps / (chip.stages[0].tiles[0].g * drop.across) - 1.0).max() > 0.01


def test_wires_fed_from_both_ends_obey_kirchhoffs_law_and_lose_less() -> None:
    array = replace(wires(150.0, 70.0), drive="both", ground="both")
    chip = two_one(Design(array=array))
    drop = ir_drop(chip, build(chip), np.array([[1.0, -1.0]]))
    amps = chip.stages[0].tiles[0].g * drop.across
    along_rows = -np.diff(np.hstack([drop.row_volts[:, None], drop.word_volts, drop.row_volts[:, None]])) / 150.0
    down_cols = -np.diff(np.vstack([drop.col_volts, drop.bit_volts, drop.col_volts]), axis=0) / 70.0
    np.testing.assert_allclose(along_rows[:, :-1] - along_rows[:, 1:], amps, atol=1e-15)
    np.testing.assert_allclose(down_cols[1:] - down_cols[:-1], amps, atol=1e-15)
    one_sided = two_one(Design(array=wires(150.0, 70.0)))
    assert drop.lost.max() < ir_drop(one_sided, build(one_sided), np.array([[1.0, -1.0]])).lost.max()


def test_devices_that_never_settle_are_an_error_naming_the_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ohmweave.analysis.ir_drop._ITERATIONS", 1)
    chip = two_one(Design(device=Sinh(), array=wires(150.0, 70.0)))
    with pytest.raises(ConvergenceError) as caught:
        ir_drop(chip, build(chip), np.array([[1.0, -1.0]]))
    assert str(caught.value) == (
        "tile s0.t0_0: the wires' voltages did not settle in 1 steps; lower signal.v_read or the device's nonlinearity"
    )


@pytest.mark.parametrize(("r_row", "r_col"), [(0.0, 0.0), (20.0, 0.0), (0.0, 20.0)])
def test_a_wire_without_resistance_loses_nothing(r_row: float, r_col: float) -> None:
    chip = two_one(Design(array=wires(r_row, r_col)))
    drop = ir_drop(chip, build(chip), np.array([[1.0, -1.0]]))
    along_rows = np.abs(drop.row_volts[:, None] - drop.word_volts).max()
    along_cols = np.abs(drop.col_volts[None, :] - drop.bit_volts).max()
    assert (along_rows > 0.0, along_cols > 0.0) == (r_row > 0.0, r_col > 0.0)
    assert (drop.lost.max() > 0.0) == (r_row + r_col > 0.0)


@pytest.mark.parametrize("scheme", ["pair", "row_pair"])
def test_the_worst_of_all_tiles_and_samples_is_chosen(scheme: str) -> None:
    rng = np.random.default_rng(5)
    array = wires(30.0, 30.0, rows=4, cols=6)
    design = Design(array=array, device=LinearDevice()) if scheme == "pair" else Design(array=array, scheme=RowPair())
    chip, x = deep(design, rng)
    cell = build(chip)
    drop = ir_drop(chip, cell, x)
    assert sum(len(stage.tiles) for stage in chip.stages) > 4
    alone = [ir_drop(chip, cell, x[k : k + 1]) for k in range(len(x))]
    losses = [one.lost.max() for one in alone]
    assert drop.sample == int(np.argmax(losses))
    np.testing.assert_allclose(drop.lost.max(), max(losses), rtol=1e-12)
    assert (drop.stage, drop.tile) == (alone[drop.sample].stage, alone[drop.sample].tile)


def test_the_spread_is_relative_to_the_stages_full_scale() -> None:
    reference = {"s0": np.array([[0.1, -0.5]]), "s1": np.zeros((1, 2))}
    volts = {"s0": np.array([[0.2, -0.5]]), "s1": np.array([[0.0, 1e-9]])}
    shares = spread(volts, reference)
    np.testing.assert_allclose(shares["s0"], [[0.2, 0.0]])
    np.testing.assert_array_equal(shares["s1"], [[0.0, np.inf]])


def test_a_voltage_that_is_not_a_number_is_infinitely_far() -> None:
    shares = spread({"s0": np.array([[np.nan, 1.0]])}, {"s0": np.array([[1.0, 1.0]])})
    np.testing.assert_array_equal(shares["s0"], [[np.inf, 0.0]])
