"""The native engine against independent dense solutions, and the laws of circuits."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.bench import Bench
from ohmweave.circuit import Behavioural, Cell, Crossbar, Diode, Instance, Resistor, Vcvs, VoltageSource
from ohmweave.compile import compile as weave
from ohmweave.design import Design
from ohmweave.devices import Sinh
from ohmweave.errors import ConvergenceError, SimulationError
from ohmweave.frontend import load_data
from ohmweave.graph import Graph
from ohmweave.simulate.elements import Elements
from ohmweave.simulate.native import Native
from ohmweave.simulate.newton import solve_elements
from ohmweave.simulate.reduction import reduce_array
from ohmweave.units import Array


@pytest.fixture(scope="module", autouse=True)
def compiled_kernels() -> None:
    """Hypothesis times its examples; the first must not wait for a compiler."""
    reduce_array(crossbar(33, 33, 1.0, 1.0, 0))


Shape = tuple[int, int, float, float, int]

arrays = st.tuples(
    st.integers(1, 6), st.integers(1, 6), st.sampled_from([0.0, 0.5, 20.0]), st.sampled_from([0.0, 1.0, 50.0]),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
ends = st.sampled_from(["", "rows", "cols", "rows and cols"])


def crossbar(m: int, n: int, r_row: float, r_col: float, seed: int, opens: float = 0.2, *, both: str = "") -> Crossbar:
    """A random array; ``both`` says which wires have a port at either end, if they have resistance."""
    rng = np.random.default_rng(seed)
    g = rng.uniform(1e-6, 1e-4, (m, n))
    g[rng.random((m, n)) < opens] = np.nan
    rows, cols = tuple(f"r{i}" for i in range(m)), tuple(f"c{j}" for j in range(n))
    far_rows = tuple(f"fr{i}" for i in range(m)) if "rows" in both and r_row > 0 else ()
    far_cols = tuple(f"fc{j}" for j in range(n)) if "cols" in both and r_col > 0 else ()
    return Crossbar("a", rows, cols, None, g, r_row, r_col, "", far_rows, far_cols)


def dense_admittance(array: Crossbar) -> Array:
    """Port admittance by stamping the instances of ``expand`` one by one and a dense Schur complement."""
    ports = array.port_names
    names = list(ports)
    stamps = []
    for part in array.expand():
        assert isinstance(part.of, Resistor)
        names += [net for net in part.nets if net not in names]
        stamps.append((names.index(part.nets[0]), names.index(part.nets[1]), 1 / part.of.ohms))
    y = np.zeros((len(names), len(names)))
    for a, b, g in stamps:
        y[a, a] += g
        y[b, b] += g
        y[a, b] -= g
        y[b, a] -= g
    p = len(ports)
    return np.asarray(y[:p, :p] - y[:p, p:] @ np.linalg.lstsq(y[p:, p:], y[p:, :p], rcond=None)[0])


@given(arrays, ends)
def test_the_reduction_equals_a_dense_elimination_of_every_instance(shape: Shape, both: str) -> None:
    array = crossbar(*shape, both=both)
    expected = dense_admittance(array)
    np.testing.assert_allclose(reduce_array(array).admittance, expected, rtol=1e-9, atol=1e-13)


@given(arrays, ends)
def test_conductances_of_either_sign_are_reduced_too(shape: Shape, both: str) -> None:
    array = crossbar(*shape, both=both)
    falling = -1e-2 * array.g
    expected = dense_admittance(replace(array, g=falling))
    np.testing.assert_allclose(reduce_array(array, falling).admittance, expected, rtol=1e-9, atol=1e-13)


@given(arrays, ends)
def test_port_admittance_is_reciprocal_passive_and_leaks_nothing(shape: Shape, both: str) -> None:
    y = reduce_array(crossbar(*shape, both=both)).admittance
    np.testing.assert_allclose(y, y.T, atol=1e-15)
    np.testing.assert_allclose(y.sum(axis=1), 0.0, atol=1e-14)
    assert np.linalg.eigvalsh((y + y.T) / 2).min() > -1e-14


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_without_wires_the_currents_are_g_v(m: int, n: int, seed: int) -> None:
    array = crossbar(m, n, 0.0, 0.0, seed)
    volts = np.random.default_rng(seed).uniform(-0.2, 0.2, m)
    amps = -(reduce_array(array).admittance @ np.concatenate([volts, np.zeros(n)]))[m:]
    np.testing.assert_allclose(amps, volts @ np.nan_to_num(array.g), atol=1e-18)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_more_wire_resistance_loses_more_current(m: int, n: int, seed: int) -> None:
    volts = np.concatenate([np.full(m, 0.2), np.zeros(n)])
    totals = []
    for ohms in (0.0, 1.0, 10.0, 100.0):
        array = crossbar(m, n, ohms, ohms, seed, opens=0.0)
        totals.append(-(reduce_array(array).admittance @ volts)[m:].sum())
    assert all(a > b for a, b in pairwise(totals))


@given(arrays)
def test_a_second_way_in_and_out_never_loses_current(shape: Shape) -> None:
    # Rayleigh's monotonicity law: all rows at one voltage, all columns grounded, more wire can only help.
    totals = {}
    for both in ("", "rows", "cols", "rows and cols"):
        array = crossbar(*shape, both=both)
        into_rows = np.array([name.strip("f").startswith("r") for name in array.port_names])
        totals[both] = (reduce_array(array).admittance @ np.where(into_rows, 0.2, 0.0))[into_rows].sum()
    ideal = 0.2 * np.nansum(crossbar(*shape).g)
    slack = 1e-12 * ideal
    assert totals[""] <= min(totals["rows"], totals["cols"]) + slack
    assert max(totals["rows"], totals["cols"]) <= totals["rows and cols"] + slack
    assert totals["rows and cols"] <= ideal + slack


@given(arrays, ends)
def test_currents_at_every_inner_node_sum_to_zero(shape: Shape, both: str) -> None:
    array = crossbar(*shape, both=both)
    rng = np.random.default_rng(shape[4])
    v_ports = rng.uniform(-0.2, 0.2, (3, len(array.ports)))
    reduction = reduce_array(array)
    excess = rng.uniform(-1e-6, 1e-6, (3, len(reduction.g)))
    nodes = reduction.wire_volts(v_ports, excess)
    across = reduction.device_volts(v_ports, excess)
    into = reduction.g * across + excess
    # What leaves the rows through the devices enters the columns: the ports' totals must say the same.
    ports = v_ports @ reduction.admittance.T + reduction.port_amps(excess)
    into_rows = np.array([name.strip("f").startswith("r") for name in array.port_names])
    np.testing.assert_allclose(ports[:, into_rows].sum(axis=1), into.sum(axis=1), atol=2e-15)
    np.testing.assert_allclose(ports[:, ~into_rows].sum(axis=1), -into.sum(axis=1), atol=2e-15)
    np.testing.assert_array_equal(nodes[:, : len(array.ports)], v_ports)


def sinh_bench(v0: float, volts: float, r: float = 30.0, size: int = 6) -> Bench:
    array = crossbar(size, size, r, r, 1, opens=0.1)
    array = Crossbar("a", array.rows, array.cols, Sinh(v0=v0).cell(), array.g, r, r)
    loads = tuple(Instance(f"l{j}", Resistor(100.0), (f"c{j}", "0")) for j in range(size))
    cell = Cell("bed", (*array.rows, *array.cols), (array, *loads))
    drives = np.random.default_rng(2).uniform(0.2 * volts, volts, (4, size))
    return Bench(cell, array.rows, drives, array.cols)


def residual_amps(bench: Bench, volts: Array) -> Array:
    """Kirchhoff's residual at every column node of :func:`sinh_bench` by an independent scipy solve."""
    from scipy.optimize import fsolve

    array = bench.cell.parts[0]
    assert isinstance(array, Crossbar)
    m, n = array.g.shape
    law = Sinh(v0=array.device.law.v0)  # type: ignore[union-attr]
    g = np.nan_to_num(array.g)
    y = 1 / array.r_row

    def currents(x: Array, drive: Array) -> Array:
        word, bit = x[: m * n].reshape(m, n), x[m * n : 2 * m * n].reshape(m, n)
        col = x[2 * m * n :]
        device = law.current(word - bit, g)
        left = np.hstack([drive[:, None], word[:, :-1]])
        kcl_word = y * (word - left) + device
        kcl_word[:, :-1] += y * (word[:, :-1] - word[:, 1:])
        below = np.vstack([bit[1:], col[None, :]])
        kcl_bit = y * (bit - below) - device
        kcl_bit[1:] += y * (bit[1:] - bit[:-1])
        kcl_col = y * (col - bit[-1]) + col / 100.0
        return np.concatenate([kcl_word.ravel(), kcl_bit.ravel(), kcl_col])

    out = []
    for drive, found in zip(bench.volts, volts, strict=True):
        start = np.concatenate([np.repeat(drive, n), np.zeros(m * n), np.zeros(n)])
        solution = fsolve(currents, start, args=(drive,), xtol=1e-13)
        out.append(found - solution[-n:])
    return np.array(out)


@pytest.mark.parametrize(("v0", "volts"), [(0.33, 0.2), (0.25, 0.5), (0.05, 0.5)])
def test_nonlinear_arrays_equal_an_independent_root_search(v0: float, volts: float) -> None:
    bench = sinh_bench(v0, volts)
    waves = Native().run(bench)
    np.testing.assert_allclose(residual_amps(bench, waves.volts), 0.0, atol=1e-11)


@pytest.mark.parametrize("v0", [0.33, 0.2])
def test_newton_takes_up_what_mixing_leaves(v0: float, digits_graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    design = replace(Design.default(), device=Sinh(v0=v0))
    x = load_data("digits", "test").x[:2]
    chip = weave(digits_graph, design, calibration=load_data("digits", "train").x)
    mixed = chip.simulate(x)
    monkeypatch.setattr("ohmweave.simulate.coupled._ITERATIONS", 1)
    newton = chip.simulate(x)
    assert not mixed.waves.remarks
    assert newton.waves.remarks == ("Newton's method on the arrays of 2 samples",)
    np.testing.assert_allclose(newton.volts, mixed.volts, rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("largest", [None, 0.5, 5.0])
def test_a_prepared_circuit_of_nonlinear_arrays_answers_as_a_run_does(largest: float | None) -> None:
    bench = sinh_bench(0.1, 0.5)
    expected = Native().run(bench).volts
    prepared = Native().prepare(replace(bench, volts=np.empty((0, 6))), largest)
    np.testing.assert_allclose(prepared.solve(0.01 * bench.volts[:1]), Native().run(small(bench)).volts, rtol=1e-9)
    for _ in range(2):
        np.testing.assert_allclose(prepared.solve(bench.volts), expected, rtol=1e-9)


def small(bench: Bench) -> Bench:
    return replace(bench, volts=0.01 * bench.volts[:1])


def test_a_prepared_circuit_of_nonlinear_arrays_refuses_what_is_no_number() -> None:
    bench = sinh_bench(0.33, 0.2)
    volts = bench.volts.copy()
    volts[2, 1] = np.inf
    with pytest.raises(ConvergenceError, match=f"^input {bench.inputs[1]}: .* found inf for sample 2"):
        Native().prepare(bench).solve(volts)


def test_arrays_that_only_a_constant_source_drives_are_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    g = np.full((2, 2), 1e-4)
    array = Crossbar("a", ("b", "u"), ("c0", "c1"), Sinh(v0=0.1).cell(), g, 1.0, 1.0)
    loads = [Instance(f"l{j}", Resistor(1e3), (f"c{j}", "0")) for j in range(2)]
    cell = Cell("biased", ("u",), (Instance("v", VoltageSource(0.5), ("b", "0")), array, *loads))
    bench = Bench(cell, ("u",), np.zeros((1, 1)), ("c0", "c1"))
    mixed = Native().run(bench).volts
    monkeypatch.setattr("ohmweave.simulate.coupled._ITERATIONS", 1)
    np.testing.assert_allclose(Native().run(bench).volts, mixed, rtol=1e-9)
    assert mixed.min() > 0.05


def test_a_drive_that_is_no_number_is_told_with_its_sample_and_input() -> None:
    bench = sinh_bench(0.33, 0.2)
    volts = bench.volts.copy()
    volts[2, 1] = np.nan
    with pytest.raises(
        ConvergenceError, match=f"^input {bench.inputs[1]}: expected finite voltages, found nan for sample 2"
    ):
        Native().run(replace(bench, volts=volts))


def test_samples_that_wander_are_left_to_newton(digits_graph: Graph) -> None:
    # v_read / v0 = 4: op-amps saturate, and the circuit has more than one operating point. This is SPICE's.
    design = replace(Design.default(), device=Sinh(v0=0.05))
    chip = weave(digits_graph, design, calibration=load_data("digits", "train").x)
    run = chip.simulate(load_data("digits", "test").x[:1])
    assert run.waves.remarks == ("Newton's method on the arrays of 1 samples",)
    np.testing.assert_allclose(run.volts, -0.987, atol=0.002)


def test_devices_that_do_not_settle_are_an_error_that_names_tile_and_sample() -> None:
    with pytest.raises(ConvergenceError) as caught:
        Native(device_tolerance=0.0).run(sinh_bench(0.05, 0.5))
    text = str(caught.value)
    assert text.startswith("tile a: the devices did not settle for sample 0: residual ")
    assert text.endswith("expected 0e+00; lower signal.v_read or the device's nonlinearity")


def test_the_batch_size_changes_nothing() -> None:
    bench = sinh_bench(0.33, 0.2)
    whole, single = Native().run(bench), Native(batch=1).run(bench)
    np.testing.assert_allclose(whole.volts, single.volts, rtol=1e-11)


def test_progress_is_told_sample_by_sample() -> None:
    told: list[tuple[str, int, int]] = []
    Native(batch=3, progress=lambda *what: told.append(what)).run(sinh_bench(0.33, 0.2))
    assert told == [("arrays", 1, 1), ("samples", 3, 4), ("samples", 4, 4)]


def test_a_diode_settles_where_its_equation_says() -> None:
    cell = Cell("d", ("a",), (Instance("r", Resistor(1e3), ("a", "k")), Instance("d1", Diode(1e-14), ("k", "0"))))
    volts = np.array([[-5.0], [0.0], [0.3], [0.7], [5.0], [100.0]])
    v = Native().run(Bench(cell, ("a",), volts, ("k",))).volts[:, 0]
    v_t = 1.380649e-23 * 300.15 / 1.602176634e-19
    np.testing.assert_allclose((volts[:, 0] - v) / 1e3, 1e-14 * np.expm1(v / v_t), rtol=1e-7, atol=1e-14)


def test_source_power_equals_what_resistors_burn() -> None:
    cell = Cell(
        "p",
        ("a", "b"),
        (
            Instance("r1", Resistor(100.0), ("a", "b")),
            Instance("e1", Vcvs(2.0), ("c", "0", "b", "0")),
            Instance("r2", Resistor(50.0), ("b", "c")),
            Instance("v1", VoltageSource(0.3), ("d", "0")),
            Instance("r3", Resistor(70.0), ("d", "b")),
        ),
    )
    waves = Native().run(Bench(cell, ("a",), np.array([[1.0]]), ("b", "c", "d"), ("e1", "v1")))
    (b, c, d) = waves.volts[0]
    burnt = (1.0 - b) ** 2 / 100 + (b - c) ** 2 / 50 + (d - b) ** 2 / 70
    delivered = waves.input_amps[0, 0] * 1.0 + (waves.source_volts * waves.source_amps).sum()
    assert delivered == pytest.approx(burnt, rel=1e-12)
    assert c == pytest.approx(2 * b, rel=1e-12)
    assert d == pytest.approx(0.3, rel=1e-12)


def test_a_floating_net_is_an_error() -> None:
    cell = Cell("f", ("a",), (Instance("r1", Resistor(1.0), ("a", "0")), Instance("r2", Resistor(1.0), ("p", "q"))))
    with pytest.raises(SimulationError) as caught:
        Native().run(Bench(cell, ("a",), np.ones((1, 1)), ("p",)))
    assert str(caught.value) == (
        "f: the circuit has no single operating point (Factor is exactly singular); "
        "look for a net without a path to ground or a loop of voltage sources"
    )


def test_an_unknown_probe_is_an_error() -> None:
    cell = Cell("f", ("a",), (Instance("r1", Resistor(1.0), ("a", "0")),))
    with pytest.raises(SimulationError, match="bench: there is no net 'nowhere' in the circuit"):
        Native().run(Bench(cell, ("a",), np.ones((1, 1)), ("nowhere",)))


class Cubic:
    """i = x^3 / 1 kohm: far from its root Newton's step shrinks by a third each time."""

    def value(self, x: Array) -> Array:
        return np.asarray(1e-3 * x**3)

    def slope(self, x: Array) -> Array:
        return np.asarray(3e-3 * x**2)


@settings(max_examples=30)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=5))
def test_newton_finds_the_root_of_every_sample(c_0: list[float]) -> None:
    # c = c_0 - 1 kohm * i(c), that is c + c^3 = c_0, has one root.
    start = np.array(c_0)[:, None]
    found = solve_elements(np.array([[-1e3]]), start, Elements([(Cubic(), 1)]), 1e-12)
    c = found.controls
    assert found.done.all()
    np.testing.assert_allclose(found.amps, 1e-3 * c**3, atol=1e-12)
    np.testing.assert_allclose(c + c**3, start, atol=1e-9)


class Latch:
    """i = 1 mS x above 1 V, else nothing: with 1 kohm there is no single operating point above."""

    def value(self, x: Array) -> Array:
        return np.asarray(np.where(x > 1.0, 1e-3 * x, 0.0))

    def slope(self, x: Array) -> Array:
        return np.asarray(np.where(x > 1.0, 1e-3, 0.0))


def test_a_sample_whose_equations_are_singular_leaves_the_others_their_solutions() -> None:
    found = solve_elements(np.array([[1e3]]), np.array([[0.5], [2.0], [-3.0]]), Elements([(Latch(), 1)]), 1e-12)
    assert found.done.tolist() == [True, False, True]
    np.testing.assert_allclose(found.controls[[0, 2], 0], [0.5, -3.0], rtol=1e-12)


def test_elements_that_move_no_control_follow_the_others() -> None:
    # The second and the third see the first; nothing sees them.
    response, c_0 = np.array([[-1e3, 0.0, 0.0], [200.0, 0.0, 0.0], [-5.0, 0.0, 0.0]]), np.array([[2.0, -1.0, 0.3]])
    found = solve_elements(response, c_0, Elements([(Cubic(), 3)]), 1e-12)
    alone = solve_elements(response[:1, :1], c_0[:, :1], Elements([(Cubic(), 1)]), 1e-12)
    assert (found.controls[0, 0], found.amps[0, 0]) == (alone.controls[0, 0], alone.amps[0, 0])
    np.testing.assert_allclose(found.controls, c_0 + found.amps @ response.T, rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(found.amps, 1e-3 * found.controls**3, rtol=1e-9)
    none = solve_elements(0.0 * response, c_0, Elements([(Cubic(), 3)]), 1e-12)
    np.testing.assert_allclose(none.amps, 1e-3 * c_0**3, rtol=1e-15)
    assert none.done.all()


def test_a_sample_whose_equations_are_singular_is_named() -> None:
    parts = (Instance("r", Resistor(1e3), ("u", "x")), Instance("b", Behavioural(Latch()), ("0", "x", "x", "0")))
    bench = Bench(Cell("latch", ("u",), parts), ("u",), np.array([[0.5], [2.0]]), ("x",))
    with pytest.raises(ConvergenceError) as caught:
        Native().run(bench)
    assert str(caught.value) == (
        "latch: Newton's method did not settle to 1e-10 V for sample 1 (1 of 1 in this batch); "
        "look for extreme values in the design, or inputs far beyond the calibration data"
    )
