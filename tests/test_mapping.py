"""A hand-made 3-2 network, mapped, built and written, against values worked out by hand.

    W = [[1, -1/2, 0], [1/4, 0, -1]],  b = [0.1, -0.2]

Design: G from 1 to 101 uS, v_read 0.2 V, v_out 0.6 V, wires of 1 ohm, tiles of 64 x 64.

    max|w| = 1                 k = 100 uS a unit
    max|x| = 1                 s_in = 0.2 V a unit; a bias row at v_read then carries w = b
    y(1,0,0) = ( 1.1, 0.05)
    y(0,1,1) = (-0.4, -1.2)    max|y| = 1.2, so s_out = 0.6 V / 1.2 = 0.5 V a unit
    R_f = s_out / (s_in k) = 0.5 / (0.2 * 100 uS) = 25 kohm
    I+ at most 0.2 V (101 + 11) uS = 22.4 uA, and 0.8 * 1 V / 22.4 uA = 35.7 kohm > R_f, so R_m = R_f

Physical columns are y0+ y0- y1+ y1-; a zero weight rests at 1 uS on both.
"""

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.bench import Bench
from ohmweave.blocks import PrecisionRectifier
from ohmweave.build import build, input_nets, layer_names, output_nets, row_nets
from ohmweave.chip import Chip
from ohmweave.circuit import Cell, Crossbar, Instance
from ohmweave.design import ArrayChoice, Design, SignalChoice
from ohmweave.devices import Linear, Sinh, bent
from ohmweave.effects import Curvature, Gaussian, Stuck
from ohmweave.errors import DataError, DesignError, ModelError
from ohmweave.graph import Flatten, Graph, Input, Node, Relu, Reshape, Softmax
from ohmweave.graph import Linear as Weights
from ohmweave.mapping import Plan, plan
from ohmweave.netlist import DIALECTS, write
from ohmweave.ops import Add, Concat, MaxPool, Mul, Pad, Slice
from ohmweave.schemes import Pair, RowPair
from ohmweave.simulate.native import Native
from ohmweave.units import Array

W = np.array([[1.0, -0.5, 0.0], [0.25, 0.0, -1.0]])
B = np.array([0.1, -0.2])
X = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
US = 1e-6
BY_HAND = US * np.array(
    [
        [101, 1, 26, 1],
        [1, 51, 1, 1],
        [1, 1, 1, 101],
        [11, 1, 1, 21],
    ]
)
DESIGN = Design(device=Linear(1e-6, 101e-6), signal=SignalChoice(0.2, 0.6))


def network(*layers: Node) -> Graph:
    nodes = (Node("pixels", Input((3,))), Node("fc", Weights(W, B), ("pixels",)), *layers)
    return Graph(nodes, (nodes[-1].name,))


def test_conductances_scales_and_resistors_are_those_worked_out_by_hand() -> None:
    stage = plan(network(), DESIGN, X).stages[0]
    (tile,) = stage.tiles
    np.testing.assert_allclose(tile.target, BY_HAND, rtol=1e-12)
    np.testing.assert_array_equal(tile.g, tile.target)
    found = (stage.k, stage.s_in, stage.s_pre, stage.s_out, stage.r_feedback, stage.r_mixing)
    assert found == pytest.approx((100e-6, 0.2, 0.5, 0.5, 25e3, 25e3), rel=1e-12)
    assert (stage.inputs, stage.bias_rows, stage.outputs, stage.layers) == (3, 1, 2, ("fc",))


def test_the_row_pair_puts_positive_weights_on_the_inverted_line() -> None:
    stage = plan(network(), replace(DESIGN, scheme=RowPair()), X).stages[0]
    # Rows come as +v, -v of each input; the readout inverts, so w > 0 lies on -v.
    by_hand = US * np.array([[1, 1], [101, 26], [51, 1], [1, 1], [1, 101], [1, 1], [1, 21], [11, 1]])
    np.testing.assert_allclose(stage.tiles[0].target, by_hand, rtol=1e-12)


def test_the_circuit_is_the_one_drawn_by_hand() -> None:
    chip = build(plan(network(), DESIGN, X))
    assert chip.ports == ("x0", "x1", "x2", "s0_y0", "s0_y1")
    # One bias source, four drivers (three inputs and the bias row), one stage.
    assert [part.name for part in chip.parts] == ["bias", "s0_drv0", "s0_drv1", "s0_drv2", "s0_drv3", "s0"]
    stage = chip.parts[-1]
    assert isinstance(stage, Instance)
    assert stage.nets == ("s0_p0", "s0_p1", "s0_p2", "s0_p3", "s0_y0", "s0_y1")
    assert isinstance(stage.of, Cell)
    array, first, second = stage.of.parts
    assert isinstance(array, Crossbar)
    assert (array.rows, array.cols) == (("r0", "r1", "r2", "r3"), ("c0", "c1", "c2", "c3"))
    assert isinstance(first, Instance)
    assert isinstance(second, Instance)
    assert (first.nets, second.nets) == (("c0", "c1", "y0"), ("c2", "c3", "y1"))


def test_the_netlist_holds_the_values_worked_out_by_hand() -> None:
    stream = io.StringIO()
    mapped = plan(network(), DESIGN, X)
    assert write(build(mapped), DIALECTS["ngspice"](), stream, names=layer_names(mapped)) == 16
    lines = stream.getvalue().splitlines()
    devices = {line.split()[0]: line.split() for line in lines if line.startswith("rd")}
    assert len(devices) == 16
    for (i, j), g in np.ndenumerate(BY_HAND):
        _, word, bit, ohms = devices[f"rd{i}_{j}"]
        assert (word, bit) == (f"w{i}_{j}", f"b{i}_{j}")
        assert float(ohms) == pytest.approx(1 / g, rel=1e-12)
    assert sum(line.split()[-1] == "1.0" for line in lines if line.startswith(("rrr", "rrc"))) == 32
    assert [line for line in lines if line.startswith("vbias")] == ["vbias bias 0 0.2"]
    (feedback,) = [line.split() for line in lines if line.startswith("rf c1 out")]
    assert float(feedback[-1]) == pytest.approx(25e3, rel=1e-12)


def test_an_ideal_chip_answers_in_the_networks_own_units() -> None:
    ideal = replace(Design.preset("ideal"), device=DESIGN.device, signal=DESIGN.signal)
    mapped = plan(network(), ideal, X)
    bench = Bench(build(mapped), input_nets(mapped), mapped.input_volts(X), output_nets(mapped.stages[0]))
    volts = Native().run(bench).volts
    # 0.5 V a unit: y = (1.1, 0.05) and (-0.4, -1.2).
    np.testing.assert_allclose(volts, [[0.55, 0.025], [-0.2, -0.6]], rtol=0, atol=1e-6)
    np.testing.assert_allclose(mapped.logits(volts), X @ W.T + B, rtol=0, atol=2e-6)


def test_softmax_stays_on_the_host() -> None:
    mapped = plan(network(Node("prob", Softmax(), ("fc",))), DESIGN, X)
    assert mapped.host == ("prob",)
    probabilities = mapped.logits(np.array([[0.55, 0.025]]))
    np.testing.assert_allclose(probabilities, np.exp([[1.1, 0.05]]) / np.exp([1.1, 0.05]).sum(), rtol=1e-12)


def test_a_rectifier_stage_holds_the_negated_weights() -> None:
    design = replace(DESIGN, relu=PrecisionRectifier())
    (tile,) = plan(network(Node("act", Relu(), ("fc",))), design, X).stages[0].tiles
    np.testing.assert_allclose(tile.target, BY_HAND[:, [1, 0, 3, 2]], rtol=1e-12)


def test_large_biases_are_spread_over_rows() -> None:
    big = Graph((Node("x", Input((3,))), Node("fc", Weights(W, np.array([2.5, -1.0])), ("x",))), ("fc",))
    stage = plan(big, DESIGN, X).stages[0]
    # |b| / |w| = 2.5, so three rows carry a third each: 100 uS * 2.5 / 3 + 1 uS.
    assert stage.bias_rows == 3
    np.testing.assert_allclose(stage.tiles[0].target[3:, 0], 100e-6 * 2.5 / 3 + 1e-6, rtol=1e-12)


@given(st.integers(2, 9), st.integers(2, 9), st.sampled_from(["pair", "row_pair"]))
def test_tiles_cover_every_device_exactly_once(rows: int, cols: int, scheme: str) -> None:
    design = replace(DESIGN, array=ArrayChoice(rows, cols), scheme=RowPair() if scheme == "row_pair" else DESIGN.scheme)
    stage = plan(network(), design, X).stages[0]
    whole = plan(network(), replace(design, array=ArrayChoice()), X).stages[0].tiles[0].target
    seen = np.zeros_like(whole)
    for tile in stage.tiles:
        assert tile.target.shape[0] <= rows
        assert tile.target.shape[1] <= cols
        np.testing.assert_array_equal(tile.target, whole[np.ix_(tile.rows, tile.cols)])
        seen[np.ix_(tile.rows, tile.cols)] += 1
    np.testing.assert_array_equal(seen, 1)


def test_tiles_in_one_column_share_their_column_nets() -> None:
    mapped = plan(network(), replace(DESIGN, array=ArrayChoice(2, 64)), X)
    stage = build(mapped).parts[-1]
    assert isinstance(stage, Instance)
    assert isinstance(stage.of, Cell)
    upper, lower = (part for part in stage.of.parts if isinstance(part, Crossbar))
    assert upper.cols == lower.cols
    assert (upper.rows, lower.rows) == (("r0", "r1"), ("r2", "r3"))


@pytest.mark.parametrize(
    ("choice", "far_rows", "far_cols"),
    [
        (ArrayChoice(), False, False),
        (ArrayChoice(drive="both"), True, False),
        (ArrayChoice(ground="both"), False, True),
        (ArrayChoice(r_row=0.0, drive="both", ground="both"), False, True),
        (ArrayChoice(r_col=0.0, drive="both", ground="both"), True, False),
    ],
)
def test_far_ends_are_strapped_to_the_near_ones_where_wires_have_any(
    choice: ArrayChoice, far_rows: bool, far_cols: bool
) -> None:
    stage = build(plan(network(), replace(DESIGN, array=choice), X)).parts[-1]
    assert isinstance(stage, Instance)
    assert isinstance(stage.of, Cell)
    array = stage.of.parts[0]
    assert isinstance(array, Crossbar)
    assert array.far_rows == (array.rows if far_rows else ())
    assert array.far_cols == (array.cols if far_cols else ())


def test_later_stages_are_fed_by_the_stage_before() -> None:
    second = Weights(np.array([[1.0, -1.0]]), np.array([0.5]))
    graph = network(Node("act", Relu(), ("fc",)), Node("flat", Flatten(), ("act",)), Node("out", second, ("flat",)))
    mapped = plan(graph, DESIGN, X)
    assert [stage.layers for stage in mapped.stages] == [("fc", "act"), ("out",)]
    assert row_nets(mapped, 1) == ("s0_y0", "s0_y1", "s1_p2")
    paired = plan(graph, replace(DESIGN, scheme=RowPair()), X)
    assert row_nets(paired, 1) == ("s0_y0", "s1_n0", "s0_y1", "s1_n1", "s1_p2", "s1_n2")
    # Two op-amps a column of a pair; one a column and one an inverted line of a row pair.
    assert (mapped.opamps, paired.opamps) == (2 * 2 + 2 * 1, 2 + 1 + 2)


def test_a_plan_survives_packing() -> None:
    mapped = plan(network(), DESIGN, X)
    structure, arrays = mapped.pack()
    again = Plan.unpack(mapped.graph, mapped.design, structure, arrays)
    assert again.digest() == mapped.digest()
    arrays["s0.t0_0.g"] = arrays["s0.t0_0.g"] * 1.01
    assert Plan.unpack(mapped.graph, mapped.design, structure, arrays).digest() != mapped.digest()


CURVED = replace(DESIGN, device=Sinh(1e-6, 101e-6), effects=(Stuck(unformed=0.2, g_pristine=0.0), Curvature(0.2)))


def test_curves_are_bent_where_there_are_devices_and_conductances_stay() -> None:
    (tile,) = plan(network(), CURVED, X).stages[0].tiles
    assert tile.bend is not None
    assert 0 < np.isnan(tile.g).sum() < tile.g.size
    np.testing.assert_array_equal(np.isnan(tile.bend), np.isnan(tile.g))
    assert np.nanstd(np.log(tile.bend)) == pytest.approx(0.2, rel=0.6)
    (plain,) = plan(network(), replace(CURVED, effects=CURVED.effects[:1]), X).stages[0].tiles
    assert plain.bend is None
    np.testing.assert_array_equal(tile.g, plain.g)


def test_the_circuit_holds_the_bends_of_the_plan() -> None:
    mapped = plan(network(), CURVED, X)
    (tile,) = mapped.stages[0].tiles
    stage = build(mapped).parts[-1]
    assert isinstance(stage, Instance)
    assert isinstance(stage.of, Cell)
    array = stage.of.parts[0]
    assert isinstance(array, Crossbar)
    device = CURVED.device.cell()
    assert device is not None
    assert array.device is not None
    assert (array.device.name, array.device.parts) == (bent(device).name, bent(device).parts)
    assert array.bend is tile.bend


def test_resistors_have_no_curve_to_bend() -> None:
    (bent_tile,), (tile,) = (
        plan(network(), replace(DESIGN, effects=effects), X).stages[0].tiles
        for effects in ((Gaussian(), Curvature(0.2)), (Gaussian(),))
    )
    assert bent_tile.bend is None
    np.testing.assert_array_equal(bent_tile.g, tile.g)


def test_a_plan_with_bends_survives_packing_and_one_without_keeps_none() -> None:
    mapped = plan(network(), CURVED, X)
    structure, arrays = mapped.pack()
    again = Plan.unpack(mapped.graph, mapped.design, structure, arrays)
    assert again.digest() == mapped.digest()
    found, kept = again.stages[0].tiles[0].bend, mapped.stages[0].tiles[0].bend
    assert found is not None
    assert kept is not None
    np.testing.assert_array_equal(found, kept)
    arrays["s0.t0_0.bend"] = arrays["s0.t0_0.bend"] * 1.01
    assert Plan.unpack(mapped.graph, mapped.design, structure, arrays).digest() != mapped.digest()
    assert not any(name.endswith("bend") for name in plan(network(), DESIGN, X).pack()[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s[:1], "tile s0.t0_0: expected bends of shape (4, 4), found (1, 4)"),
        (
            lambda s: -s,
            "tile s0.t0_0: expected positive bends where devices are, found -1.0 (16 in all); "
            "every effect's bend() must return a positive number for each device",
        ),
    ],
)
def test_bends_that_no_device_has_are_refused(change: Callable[[Array], Array], message: str) -> None:
    mapped = plan(network(), DESIGN, X)
    structure, arrays = mapped.pack()
    with pytest.raises(ModelError) as caught:
        Plan.unpack(mapped.graph, mapped.design, structure, {**arrays, "s0.t0_0.bend": change(np.ones((4, 4)))})
    assert str(caught.value) == message


def test_an_all_zero_layer_is_refused() -> None:
    graph = Graph((Node("x", Input((3,))), Node("dead", Weights(np.zeros((2, 3)), B), ("x",))), ("dead",))
    with pytest.raises(ModelError) as caught:
        plan(graph, DESIGN, X)
    assert str(caught.value) == (
        "layer 'dead': every weight of the 3 x 2 matrix is zero, nothing can be mapped; remove the layer or train it"
    )


def test_calibration_without_signal_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        plan(network(), DESIGN, 0 * X)
    assert str(caught.value) == (
        "calibration data: the inputs are all zero, so no scale can be set; calibrate with representative data"
    )


def test_an_activation_without_weights_gets_an_array_of_ones() -> None:
    graph = Graph(
        (Node("x", Input((3,))), Node("early", Relu(), ("x",)), Node("fc", Weights(W, B), ("early",))), ("fc",)
    )
    early, _ = plan(graph, DESIGN, X).stages
    assert (early.layers, early.activation) == (("early",), "relu")
    weights = DESIGN.scheme.decode(np.nan_to_num(early.tiles[0].target), early.k)
    np.testing.assert_allclose(weights, np.eye(3), atol=1e-12)


def test_shape_changes_are_wiring_and_softmax_stays_on_the_host() -> None:
    graph = network(Node("pairs", Reshape((1, 2)), ("fc",)), Node("prob", Softmax(), ("pairs",)))
    mapped = plan(graph, DESIGN, X)
    assert mapped.host == ("prob",)
    np.testing.assert_allclose(mapped.logits(mapped.stages[0].s_out * (X @ W.T + B)), graph.forward(X), rtol=1e-12)


def test_weights_too_small_to_map_are_refused() -> None:
    graph = Graph((Node("x", Input((3,))), Node("faint", Weights(1e-320 * np.ones((2, 3)), B), ("x",))), ("faint",))
    big = Graph((graph.nodes[0], Node("faint", Weights(1e-320 * np.ones((2, 3)), 0 * B), ("x",))), ("faint",))
    with pytest.raises(ModelError, match=r"layer 'faint': the largest weight is 9.99989e-321, too small to map"):
        plan(big, DESIGN, X)


def test_tiles_smaller_than_a_group_of_lines_are_refused() -> None:
    class Wide(Pair):
        lines_per_output = 4

    with pytest.raises(DesignError, match="expected tiles of at least 1 x 4 lines for this scheme, found 64 x 3"):
        plan(network(), replace(DESIGN, scheme=Wide(), array=ArrayChoice(64, 3)), X)


def test_layers_whose_values_meet_in_one_place_share_a_scale() -> None:
    # A maximum over joined branches: its windows see the input at some positions, a layer at others.
    nodes = (
        Node("x", Input((1, 2, 2))),
        Node("double", Add(), ("x", "x")),
        Node("both", Concat(), ("x", "double")),
        Node("max", MaxPool((2, 2), (1, 1)), ("both",)),
        Node("flat", Flatten(), ("max",)),
        Node("fc", Weights(np.ones((1, 2)), np.zeros(1)), ("flat",)),
    )
    x = np.random.default_rng(0).uniform(0.0, 1.0, (5, 1, 2, 2))
    found = plan(Graph(nodes, ("fc",)), DESIGN, x)
    double, most, _ = found.stages
    # The doubled values are the largest: 0.2 V at twice the largest pixel.
    assert found.s_input == double.s_out == most.s_in == most.s_out == pytest.approx(0.2 / (2.0 * x.max()))


def test_what_is_silent_on_calibration_still_has_a_range_for_its_converters() -> None:
    # The second half of the first layer's outputs is never above zero.
    w = np.vstack([W, -np.ones((2, 3))])
    nodes = (
        Node("x", Input((3,))),
        Node("fc", Weights(w, np.zeros(4)), ("x",)),
        Node("act", Relu(), ("fc",)),
        Node("dead", Slice((2,), (4,), (1,)), ("act",)),
        Node("live", Slice((0,), (2,), (1,)), ("act",)),
        Node("of_dead", Weights(np.ones((2, 2)), np.ones(2)), ("dead",)),
        Node("sum", Add(), ("of_dead", "live")),
    )
    mapped = plan(Graph(nodes, ("sum",)), replace(Design.preset("digital"), device=DESIGN.device), X)
    silent = next(stage for stage in mapped.stages if stage.layers[0] == "of_dead")
    assert silent.dac == (0.0, 0.2)
    assert np.isfinite(Chip(mapped).predict(X)).all()


def test_a_layer_that_sees_ground_alone_is_mapped() -> None:
    nodes = (
        Node("x", Input((3,))),
        Node("padded", Pad((2,), (0,)), ("x",)),
        Node("edge", Slice((0,), (2,), (1,)), ("padded",)),
        Node("of_edge", Weights(np.ones((2, 2)), np.array([1.0, 2.0])), ("edge",)),
        Node("fc", Weights(W, B), ("x",)),
        Node("sum", Add(), ("of_edge", "fc")),
    )
    graph = Graph(nodes, ("sum",))
    chip = Chip(plan(graph, replace(Design.preset("ideal"), device=DESIGN.device), X))
    np.testing.assert_allclose(chip.predict(X), graph.forward(X), rtol=0, atol=1e-6)


def test_a_product_beyond_its_multipliers_reach_is_refused() -> None:
    nodes = (Node("x", Input((3,))), Node("square", Mul(), ("x", "x")))
    with pytest.raises(DesignError) as caught:
        plan(Graph(nodes, ("square",)), Design(signal=SignalChoice(v_read=0.6)), X)
    assert str(caught.value) == (
        "layer 'square', multiplier: expected factors of at most 1 V together, found 1.2 V on the calibration data; "
        "lower signal.v_read or raise multiplier.overdrive"
    )


def test_branches_may_be_written_breadth_first() -> None:
    second = Weights(-W, B)
    nodes = (
        Node("x", Input((3,))),
        Node("one", Weights(W, B), ("x",)),
        Node("two", second, ("x",)),
        Node("relu_one", Relu(), ("one",)),
        Node("relu_two", Relu(), ("two",)),
        Node("sum", Add(), ("relu_one", "relu_two")),
    )
    stages = plan(Graph(nodes, ("sum",)), DESIGN, X).stages
    assert [stage.layers for stage in stages] == [("one", "relu_one"), ("two", "relu_two"), ("sum",)]
