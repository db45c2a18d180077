"""Sweeps over clamps and other elements: exact, wherever and however precisely they are computed."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ohmweave.bench import Bench
from ohmweave.blocks.opamp import SwingClamp
from ohmweave.chip import Chip
from ohmweave.circuit import Behavioural, Cell, CurrentSource, Instance, Resistor, Vccs
from ohmweave.design import Design
from ohmweave.errors import ConvergenceError, DesignError
from ohmweave.graph import Graph, Input, Linear, Node, Relu
from ohmweave.mapping import plan
from ohmweave.simulate.clamps import (
    clamp_currents,
    coefficients,
    lone_currents,
    rest_coefficients,
    solvable,
    tail_lines,
    tail_rests,
)
from ohmweave.simulate.elaborate import elaborate
from ohmweave.simulate.elements import Elements
from ohmweave.simulate.native import Native
from ohmweave.simulate.newton import solve_elements
from ohmweave.simulate.operating import OperatingPoints
from ohmweave.simulate.prepared import Prepared
from ohmweave.simulate.sweeps import Sweeper
from ohmweave.simulate.tails import Tails
from ohmweave.units import Array

limits = st.tuples(st.floats(-3.0, 0.0), st.floats(0.5, 3.0))


@pytest.fixture(scope="module", autouse=True)
def compiled_kernels() -> None:
    """Hypothesis times its examples; the first must not wait for a compiler."""
    clamps = np.array([SwingClamp(-1.0, 1.0, 1.0).clamp]).T
    one = np.zeros((1, 1))
    clamp_currents(one, one.copy(), one, coefficients(clamps, np.array([-1.0])), one.copy(), np.empty(1))
    lone_currents(one, coefficients(clamps, np.array([-1.0])), one.copy())
    tail_rests(one.copy(), rest_coefficients(clamps, np.zeros((2, 1)), np.zeros(1)), np.empty(1))


@pytest.fixture(scope="module")
def chip() -> tuple[Chip, Array]:
    """A chip of three layers with clamped op-amps, and samples that reach beyond its calibration."""
    rng = np.random.default_rng(3)
    sizes, nodes = (20, 15, 10, 4), [Node("x", Input((20,)))]
    for index, (n_in, n_out) in enumerate(pairwise(sizes)):
        layer = Linear(rng.normal(0.0, 1.5 / np.sqrt(n_in), (n_out, n_in)), rng.normal(0.0, 0.3, n_out))
        nodes.append(Node(f"fc{index}", layer, (nodes[-1].name,)))
        if index < 2:
            nodes.append(Node(f"relu{index}", Relu(), (nodes[-1].name,)))
    graph = Graph(tuple(nodes), (nodes[-1].name,))
    x = rng.uniform(-0.2, 1.0, (64, 20))
    return Chip(plan(graph, Design.default(), x)), np.concatenate([x[:40], 6.0 * x[40:]])


def exact(bench: Bench, engine: Native) -> Array:
    """Probes by Newton's method on all elements of all samples at once, without any sweep."""
    points = engine._assemble(elaborate(bench.cell), bench)
    assert isinstance(points, OperatingPoints)
    controls, watched = points.response.controls, points.response.watched
    c_0 = controls.constant + bench.volts @ controls.to_drives.T
    found = solve_elements(controls.to_laws, c_0, points.elements, 1e-12)
    assert found.done.all()
    every = watched.constant + bench.volts @ watched.to_drives.T + found.amps @ watched.to_laws.T
    return every[:, points.slices.probes]


@given(limits, st.floats(-50.0, 50.0), st.floats(1.0, 1e6), st.floats(0.1, 100.0))
def test_a_clamp_by_itself_satisfies_its_equation(
    swing: tuple[float, float], r: float, ohms: float, siemens: float
) -> None:
    law = SwingClamp(*swing, siemens)
    clamps, own = np.array([law.clamp]).T, np.array([-ohms])
    assume(bool(solvable(clamps, own).all()))
    amps, moved = np.empty((1, 1)), np.empty(1)
    zero = np.zeros((1, 1))
    clamp_currents(np.array([[r]]), zero.copy(), zero, coefficients(clamps, own), amps, moved)
    c = r - ohms * amps[0, 0]
    # What the current would have to change by for the equation to hold at its voltage, in volts.
    slope = float(law.slope(np.array(c)))
    error = ohms * abs(amps[0, 0] - float(law.value(np.array(c)))) / (1.0 + ohms * slope)
    assert error <= 1e-11 * max(1.0, abs(r))
    assert moved[0] == pytest.approx(abs(r))
    alone = np.empty((1, 1))
    lone_currents(np.array([[r, np.nan]]), coefficients(clamps, own), alone)
    assert alone[0, 0] == pytest.approx(amps[0, 0], rel=1e-12)


@given(limits, st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_a_line_and_the_rest_are_the_tail_of_a_quiet_clamp(
    swing: tuple[float, float], share: float, one: float, other: float
) -> None:
    law = SwingClamp(*swing, 10.0)
    low, high = swing
    c, start = np.array([[low + share * (high - low)]]), np.array([0.25])
    clamps, seen = np.array([law.clamp]).T, low + np.array([[min(one, other)], [max(one, other)]]) * (high - low)
    lines = tail_lines(clamps, seen)
    rests, room = c - start, np.empty(1)
    tail_rests(rests, rest_coefficients(clamps, lines, start), room)
    np.testing.assert_allclose(lines[0] * c[0] + lines[1] + rests[0], law.value(c)[0], rtol=1e-3, atol=1e-15)
    assert room[0] == pytest.approx(min(high - c[0, 0], c[0, 0] - low))


def test_a_line_meets_its_tail_in_the_middle_and_has_the_mean_of_its_slopes() -> None:
    law = SwingClamp(-1.0, 1.0, 10.0)
    clamps, seen = np.array([law.clamp]).T, np.array([[-0.4], [0.2]])
    lines = tail_lines(clamps, seen)
    assert lines[0, 0] == pytest.approx(float(law.slope(seen).mean()), rel=1e-3)
    rests = np.array([[-0.4], [-0.1], [0.2]])
    tail_rests(rests, rest_coefficients(clamps, lines, np.zeros(1)), np.empty(1))
    assert abs(rests[1, 0]) < 1e-9 * abs(rests[0, 0])


@pytest.mark.parametrize(
    ("law", "own", "closed"),
    [
        (SwingClamp(-1.0, 1.0, 10.0), -100.0, True),
        (SwingClamp(0.0, 1e-4, 10.0), -100.0, False),
        (SwingClamp(-1.0, 1.0, 10.0), -1e9, False),
        (SwingClamp(-1.0, 1.0, 10.0), 100.0, False),
    ],
    ids=["an op-amp in its loop", "a narrow swing", "an open loop", "positive feedback"],
)
def test_the_closed_form_is_left_to_those_it_is_exact_for(law: SwingClamp, own: float, closed: bool) -> None:
    assert solvable(np.array([law.clamp]).T, np.array([own])).tolist() == [closed]


def test_sweeps_equal_newton_on_all_elements_at_once(chip: tuple[Chip, Array]) -> None:
    bench = chip[0].bench(chip[1])
    np.testing.assert_allclose(Native().run(bench).volts, exact(bench, Native()), rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_clamps_found_quiet_change_nothing(
    chip: tuple[Chip, Array], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = chip[0].bench(chip[1])
    swept = Native(batch=batch).run(bench)
    monkeypatch.setattr("ohmweave.simulate.sweeps._QUIET", np.inf)
    loud = Native(batch=batch).run(bench)
    np.testing.assert_allclose(swept.volts, loud.volts, rtol=0.0, atol=1e-10)


def layer(rng: np.random.Generator, inputs: int, outputs: int) -> Bench:
    """One layer of op-amps that never come near their limits."""
    weights = Linear(rng.normal(0.0, 0.2, (outputs, inputs)), np.zeros(outputs))
    x = rng.uniform(0.0, 1.0, (512, inputs))
    bench = Chip(plan(Graph((Node("x", Input((inputs,))), Node("fc", weights, ("x",))), ("fc",)), Design.default(), x))
    return replace(bench.bench(x), sources=(), input_amps=False)


def tails_of(prepared: Prepared) -> Tails:
    """What stands for the quiet clamps of a prepared circuit."""
    assert isinstance(prepared.circuit, OperatingPoints)
    assert len(prepared.circuit._sweeper.split.quiet)
    return prepared.circuit._sweeper.split.tails


@pytest.mark.parametrize(("slight", "coarse"), [(0.1, "bfloat16"), (0.0, "float32")])
def test_rests_are_coarse_where_that_is_exact_enough(
    slight: float, coarse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    # Where the processor is slow at it, bfloat16 still computes the same.
    monkeypatch.setattr("ohmweave.simulate.processor._WORTH_TORCH", 0.0)
    monkeypatch.setattr("ohmweave.simulate.processor.get_host_cpu_features", lambda: {"amx-bf16": True})
    monkeypatch.setattr("ohmweave.simulate.sweeps._SLIGHT", slight)
    bench = layer(np.random.default_rng(7), 24, 8)
    prepared = Native().prepare(bench)
    for _ in range(2):
        np.testing.assert_allclose(prepared.solve(bench.volts), exact(bench, Native()), rtol=0.0, atol=2e-11)
    assert tails_of(prepared).coarse == coarse


def test_processors_without_units_for_bfloat16_keep_to_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ohmweave.simulate.processor._WORTH_TORCH", 0.0)
    monkeypatch.setattr("ohmweave.simulate.processor.get_host_cpu_features", dict)
    bench = layer(np.random.default_rng(7), 24, 8)
    prepared = Native().prepare(bench)
    np.testing.assert_allclose(prepared.solve(bench.volts), exact(bench, Native()), rtol=0.0, atol=1e-11)
    assert tails_of(prepared).coarse == "float32"


def test_a_quiet_clamp_that_meets_its_limit_is_swept_from_then_on(chip: tuple[Chip, Array]) -> None:
    tame = np.zeros((8, 20))
    wild = np.full((8, 20), 20.0)
    bench = chip[0].bench(np.concatenate([tame, tame, wild, tame]))
    points = Native()._assemble(elaborate(bench.cell), bench)
    assert isinstance(points, OperatingPoints)
    sweeper: Sweeper = points._sweeper
    counts = []
    for first in range(0, 32, 8):
        points.solve(bench.volts[first : first + 8], first)
        counts.append(len(sweeper.split.quiet))
    assert counts[0] == 0
    assert counts[1] > counts[2] == counts[3]
    np.testing.assert_allclose(Native(batch=8).run(bench).volts, exact(bench, Native()), rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("batch", [5, 512])
def test_a_prepared_circuit_answers_as_a_run_does_call_after_call(chip: tuple[Chip, Array], batch: int) -> None:
    bench = chip[0].bench(chip[1])
    expected = Native().run(bench).volts
    prepared = Native(batch=batch).prepare(replace(bench, volts=bench.volts[:0]))
    # A few tame samples first, then all of them, saturating ones too, then one by one.
    np.testing.assert_allclose(prepared.solve(bench.volts[:3]), expected[:3], rtol=0.0, atol=1e-10)
    for _ in range(2):
        np.testing.assert_allclose(prepared.solve(bench.volts), expected, rtol=0.0, atol=1e-10)
    for sample in (0, 45, 63):
        volts = prepared.solve(bench.volts[sample : sample + 1])
        np.testing.assert_allclose(volts, expected[sample : sample + 1], rtol=0.0, atol=1e-10)
    assert prepared.solve(bench.volts[:0]).shape == (0, expected.shape[1])


@pytest.mark.parametrize("seed", range(12))
def test_no_order_of_quiet_and_loud_calls_makes_a_difference(chip: tuple[Chip, Array], seed: int) -> None:
    bench = chip[0].bench(chip[1][:1])
    rng = np.random.default_rng(seed)
    prepared = Native(batch=int(rng.integers(1, 50))).prepare(replace(bench, volts=np.empty((0, 20))))
    for _ in range(4):
        volts = 10.0 ** rng.uniform(-2.0, 1.5) * rng.uniform(-0.2, 0.2, (int(rng.integers(0, 40)), 20))
        expected = exact(replace(bench, volts=volts), Native())
        np.testing.assert_allclose(prepared.solve(volts), expected, rtol=0.0, atol=1e-10)


def test_a_prepared_circuit_takes_its_samples_in_the_scale_of_its_bench(chip: tuple[Chip, Array]) -> None:
    bench = chip[0].bench(chip[1][:40])
    halved = Native().prepare(replace(bench, volts=np.empty((0, 20)), scale=0.5))
    np.testing.assert_allclose(halved.solve(2.0 * bench.volts), Native().run(bench).volts, rtol=0.0, atol=1e-10)


def test_a_prepared_circuit_names_samples_within_the_call(chip: tuple[Chip, Array]) -> None:
    bench = chip[0].bench(chip[1][:12])
    prepared = Native(batch=4).prepare(bench)
    volts = bench.volts.copy()
    volts[6, 5] = np.nan
    for _ in range(2):
        prepared.solve(bench.volts)
        with pytest.raises(ConvergenceError, match="for sample 6 "):
            prepared.solve(volts)
    with pytest.raises(ValueError, match=r"volts has shape \(12, 19\), expected \[samples, 20\]"):
        prepared.solve(bench.volts[:, 1:])


def test_torch_on_any_device_computes_the_same(chip: tuple[Chip, Array]) -> None:
    pytest.importorskip("torch")
    bench = chip[0].bench(chip[1])
    np.testing.assert_allclose(
        Native(device="cpu", batch=16).run(bench).volts, Native().run(bench).volts, rtol=0.0, atol=1e-10
    )


def test_a_device_that_is_not_there_is_the_users_to_mend(chip: tuple[Chip, Array]) -> None:
    pytest.importorskip("torch")
    with pytest.raises(DesignError, match=r"^engine: torch has no device 'abacus'"):
        Native(device="abacus").run(chip[0].bench(chip[1][:1]))


@pytest.mark.parametrize("device", [None, "cpu"])
def test_float32_tells_its_error(chip: tuple[Chip, Array], device: str | None) -> None:
    if device is not None:
        pytest.importorskip("torch")
    bench = chip[0].bench(chip[1])
    single, double = Native(precision="float32", device=device).run(bench), Native().run(bench)
    few = np.unique(np.linspace(0, 63, 32).astype(int))
    error = np.abs(single.volts - double.volts)[few].max() / np.abs(double.volts[few]).max()
    assert 1e-9 < error < 1e-5
    assert single.remarks == (f"float32: at most {error:.1e} of full scale from float64 on 32 samples",)
    assert single.version.endswith(" float32")


def test_an_input_that_is_no_number_is_an_error_that_names_the_sample(chip: tuple[Chip, Array]) -> None:
    bench = chip[0].bench(chip[1][:4])
    volts = bench.volts.copy()
    volts[2, 5] = np.nan
    with pytest.raises(ConvergenceError, match="for sample 2 "):
        Native().run(replace(bench, volts=volts))


def test_a_clamp_with_positive_feedback_goes_the_general_way() -> None:
    # The stage drives itself with half of what it takes to latch: r + m i with m > 0.
    law = SwingClamp(-1.0, 1.0, 1e-4)
    parts = (
        Instance("i", CurrentSource(1e-3), ("0", "x")),
        Instance("r", Resistor(1e3), ("x", "0")),
        Instance("g", Vccs(0.5e-3), ("0", "x", "x", "0")),
        Instance("l", Behavioural(law), ("0", "x", "x", "0")),
        Instance("d", Resistor(1e3), ("u", "0")),
    )
    v = Native().run(Bench(Cell("latch", ("u",), parts), ("u",), np.zeros((1, 1)), ("x",))).volts[0, 0]
    assert 1e-3 + float(law.value(np.array(v))) == pytest.approx(0.5e-3 * v, rel=1e-9)


def test_elements_keep_the_order_they_are_chosen_in() -> None:
    one, other = SwingClamp(-1.0, 1.0, 1.0), SwingClamp(0.0, 2.0, 3.0)
    chosen = Elements([(one, 2), (other, 2)]).choose(np.array([3, 0, 2]))
    assert [law for law, _ in chosen.laws] == [other, one, other]
    np.testing.assert_array_equal(chosen.clamps[1], [2.0, 1.0, 2.0])


def test_clamps_with_and_without_closed_form_may_stand_in_any_order() -> None:
    # The op-amps' swing is so narrow that some of their clamps are left to Newton's method.
    rng = np.random.default_rng(5)
    first = Linear(rng.normal(0.0, 0.1, (16, 60)), rng.normal(0.0, 0.1, 16))
    second = Linear(rng.normal(0.0, 0.4, (6, 16)), rng.normal(0.0, 0.1, 6))
    nodes = (Node("x", Input((60,))), Node("a", first, ("x",)), Node("r", Relu(), ("a",)), Node("b", second, ("r",)))
    default = Design.default()
    opamp = replace(default.opamp, v_low=-0.3, v_high=0.3)
    signal = replace(default.signal, v_read=0.06, v_out=0.15)
    x = rng.uniform(0.0, 1.0, (32, 60))
    bench = Chip(plan(Graph(nodes, ("b",)), replace(default, opamp=opamp, signal=signal), x)).bench(x)
    for batch in (1, 32):
        np.testing.assert_allclose(Native(batch=batch).run(bench).volts, exact(bench, Native()), rtol=0.0, atol=1e-10)


class Steep:
    """i = 1 mA tanh(v / 1 mV): undamped, Newton's method goes round in circles from far away."""

    def value(self, x: Array) -> Array:
        return np.asarray(1e-3 * np.tanh(x / 1e-3))

    def slope(self, x: Array) -> Array:
        return np.asarray(1.0 - np.tanh(x / 1e-3) ** 2)


@pytest.mark.parametrize("volts", [0.3, 0.5, 0.9])
def test_what_newton_does_not_find_is_no_result(volts: float) -> None:
    parts = (Instance("r", Resistor(1e3), ("u", "x")), Instance("b", Behavioural(Steep()), ("x", "0", "x", "0")))
    bench = Bench(Cell("bed", ("u",), parts), ("u",), np.array([[volts]]), ("x",))
    try:
        v = Native().run(bench).volts[0, 0]
    except ConvergenceError:
        return
    assert (volts - v) / 1e3 == pytest.approx(float(Steep().value(np.array(v))), rel=1e-6)


@pytest.mark.parametrize("batch", [2, 64])
def test_a_chip_whose_clamps_are_all_quiet_refuses_what_is_no_number(batch: int) -> None:
    nodes = (Node("x", Input((4,))), Node("fc", Linear(np.eye(2, 4), np.zeros(2)), ("x",)))
    chip = Chip(plan(Graph(nodes, ("fc",)), Design.default(), np.full((8, 4), 0.5)))
    bench = chip.bench(np.full((8, 4), 0.5))
    volts = bench.volts.copy()
    volts[6, 1] = np.nan
    with pytest.raises(ConvergenceError, match="sample 6"):
        Native(batch=batch).run(replace(bench, volts=volts))


@pytest.mark.parametrize("option", [{"batch": 0}, {"threads": 0}, {"tolerance": np.nan}, {"precision": "float16"}])
def test_impossible_options_are_refused_by_name(option: dict[str, object]) -> None:
    (name,) = option
    with pytest.raises(DesignError, match=f"^engine native, {name}: expected "):
        Native(**option)  # type: ignore[arg-type]
