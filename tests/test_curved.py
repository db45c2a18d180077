"""Arrays of nonlinear devices, against a full Newton method on every node of the circuit."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix, csc_matrix
from scipy.sparse.linalg import splu

from ohmweave.circuit import Bent, Crossbar
from ohmweave.devices import Linear, Sinh, Table, bent
from ohmweave.simulate.curved import CurvedArray, Wires, settle_array, solve_array
from ohmweave.simulate.reduction import reduce_array
from ohmweave.units import Array

TABLE = Table(volts=(-0.5, -0.2, -0.1, 0.0, 0.1, 0.2, 0.5), shape=(-1.1, -0.25, -0.1, 0.0, 0.1, 0.22, 0.8))
LAWS = {"sinh": Sinh(), "steep": Sinh(v0=0.05), "table": TABLE}

arrays = st.fixed_dictionaries(
    {
        "m": st.integers(1, 6),
        "n": st.integers(1, 6),
        "r_row": st.sampled_from([0.0, 0.5, 2e3]),
        "r_col": st.sampled_from([0.0, 1.0, 5e2]),
        "both": st.tuples(st.booleans(), st.booleans()),
        "seed": st.integers(0, 2**32 - 1),
    }
)


@pytest.fixture(scope="module", autouse=True)
def compiled_kernels() -> None:
    """Hypothesis times its examples; the first must not wait for a compiler."""
    array, v_ports = example(2, 2, 1.0, 1.0, (True, True), 0, Sinh(v0=0.02), samples=1)
    assert solve_array(array, v_ports).settled.all()


def example(
    m: int, n: int, r_row: float, r_col: float, both: tuple[bool, bool], seed: int, law: Any, samples: int = 3
) -> tuple[CurvedArray, Array]:
    rng = np.random.default_rng(seed)
    g = rng.uniform(1e-6, 1e-4, (m, n))
    g[rng.random((m, n)) < 0.2] = np.nan
    wires = Wires(m, n, r_row, r_col, both[0] and r_row > 0, both[1] and r_col > 0)
    return CurvedArray(wires, g, law), rng.uniform(-0.5, 0.5, (samples, wires.ports))


def bend_of(array: CurvedArray, sigma: float) -> CurvedArray:
    """The same array with a voltage scale of its own for every device."""
    bend = np.exp(np.random.default_rng(array.g.size).normal(0.0, sigma, array.g.shape))
    return replace(array, bend=np.where(np.isnan(array.g), np.nan, bend))


class Nodes:
    """Every node of an array by number, ports first, and its wire segments."""

    def __init__(self, wires: Wires) -> None:
        m, n, ports = wires.m, wires.n, wires.ports
        across, inner = np.arange(m * n).reshape(m, n), ports
        self.word = np.repeat(np.arange(m)[:, None], n, axis=1)
        self.bit = np.repeat(m + np.arange(n)[None], m, axis=0)
        self.segments: list[tuple[int, int, float]] = []
        if wires.r_row:
            self.word, inner = inner + across, inner + m * n
        if wires.r_col:
            self.bit, inner = inner + across, inner + m * n
        self.count = inner
        for i in range(m if wires.r_row else 0):
            far = [m + n + i] if wires.rows_both_ends else []
            self._chain([i, *self.word[i], *far], 1 / wires.r_row)
        for j in range(n if wires.r_col else 0):
            far = [wires.ports - n + j] if wires.cols_both_ends else []
            self._chain([*far, *self.bit[:, j], m + j], 1 / wires.r_col)

    def _chain(self, nodes: list[int], siemens: float) -> None:
        self.segments += [(int(a), int(b), siemens) for a, b in pairwise(nodes)]


def full_newton(array: CurvedArray, v_ports: Array, ramp: int = 10) -> Array:
    """Port currents of one sample by Newton's method on all node voltages, the sources ramped up."""
    nodes, present = Nodes(array.wires), ~np.isnan(array.g)
    a, b, g = nodes.word[present], nodes.bit[present], array.g[present]
    starts, ends, siemens = (np.array([s[k] for s in nodes.segments]) for k in range(3))
    starts, ends = starts.astype(int), ends.astype(int)
    ports, law = array.wires.ports, array.unbent
    if array.bend is not None:
        law = Bent(law, array.bend[present])

    def residual(v: Array) -> Array:
        out = np.zeros(nodes.count)
        for one, other, amps in ((starts, ends, siemens * (v[starts] - v[ends])), (a, b, law.current(v[a] - v[b], g))):
            np.add.at(out, one, amps)
            np.add.at(out, other, -amps)
        return out

    def jacobian(v: Array) -> Any:
        x, y, s = np.append(starts, a), np.append(ends, b), np.append(siemens, law.slope(v[a] - v[b], g))
        rows, cols = np.concatenate([x, y, x, y]), np.concatenate([x, y, y, x])
        stamps = coo_matrix((np.concatenate([s, s, -s, -s]), (rows, cols)), shape=2 * (nodes.count,))
        return csc_matrix(stamps.tocsr()[ports:, ports:])

    v = np.zeros(nodes.count)
    v[:ports] = v_ports
    for scale in np.arange(1, ramp + 1) / ramp:
        v[:ports] = scale * v_ports
        for _ in range(60 if nodes.count > ports else 0):
            step = splu(jacobian(v), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0).solve(residual(v)[ports:])
            v[ports:] -= step
            if np.abs(step).max() < 1e-11:  # the next one would be its square
                break
    return residual(v)[:ports]


def close(found: Array, expected: Array, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max(initial=0.0))


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@settings(max_examples=60, deadline=None)
@given(case=arrays)
def test_port_currents_are_those_of_newton_on_every_node(law: Any, case: dict[str, Any]) -> None:
    array, v_ports = example(**case, law=law)
    found = settle_array(array, v_ports)
    assert found.settled.all()
    for sample, held in enumerate(v_ports):
        close(found.port_amps[sample], full_newton(array, held))


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@settings(max_examples=40, deadline=None)
@given(case=arrays)
def test_devices_with_curves_of_their_own_are_solved_as_newton_does(law: Any, case: dict[str, Any]) -> None:
    plain, v_ports = example(**case, law=law)
    array = bend_of(plain, 0.2)
    found = settle_array(array, v_ports)
    assert found.settled.all()
    for sample, held in enumerate(v_ports):
        close(found.port_amps[sample], full_newton(array, held))
    amps = np.nan_to_num(array.law.current(found.device_volts, array.g))
    np.testing.assert_allclose(amps, found.device_amps, rtol=0.0, atol=1e-11 * np.abs(amps).max(initial=0.0))


def test_bends_of_one_change_nothing() -> None:
    array, v_ports = example(5, 4, 20.0, 10.0, (False, True), 8, Sinh())
    ones = replace(array, bend=np.where(np.isnan(array.g), np.nan, 1.0))
    np.testing.assert_array_equal(solve_array(ones, v_ports).port_amps, solve_array(array, v_ports).port_amps)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@settings(max_examples=40, deadline=None)
@given(case=arrays)
def test_kirchhoff_holds_at_every_device(law: Any, case: dict[str, Any]) -> None:
    array, v_ports = example(**case, law=law)
    found = settle_array(array, v_ports)
    amps = np.nan_to_num(law.current(found.device_volts, array.g))
    gap, largest = (np.abs(x).max(axis=(1, 2)) for x in (amps - found.device_amps, amps))
    assert (found.residual <= 1e-12 * largest).all()
    np.testing.assert_allclose(gap, found.residual, atol=1e-14 * largest.max())
    assert (found.device_amps[:, np.isnan(array.g)] == 0.0).all()


@settings(max_examples=40, deadline=None)
@given(case=arrays)
def test_what_enters_the_ports_leaves_them(case: dict[str, Any]) -> None:
    array, v_ports = example(**case, law=Sinh())
    amps = solve_array(array, v_ports).port_amps
    np.testing.assert_allclose(amps.sum(axis=1), 0.0, atol=1e-14 * np.abs(amps).sum())


@settings(max_examples=40, deadline=None)
@given(case=arrays)
def test_wires_held_at_one_end_carry_what_their_devices_take(case: dict[str, Any]) -> None:
    array, v_ports = example(**{**case, "both": (False, False)}, law=Sinh())
    found, m = solve_array(array, v_ports), case["m"]
    np.testing.assert_allclose(found.port_amps[:, :m], found.device_amps.sum(axis=2), rtol=1e-14, atol=1e-20)
    np.testing.assert_allclose(found.port_amps[:, m:], -found.device_amps.sum(axis=1), rtol=1e-14, atol=1e-20)


@settings(max_examples=40, deadline=None)
@given(case=arrays)
def test_linear_devices_make_the_reduction(case: dict[str, Any]) -> None:
    array, v_ports = example(**{**case, "both": (False, False)}, law=Linear())
    rows, cols = tuple(f"r{i}" for i in range(case["m"])), tuple(f"c{j}" for j in range(case["n"]))
    crossbar = Crossbar("a", rows, cols, None, array.g, case["r_row"], case["r_col"])
    close(solve_array(array, v_ports).port_amps, v_ports @ reduce_array(crossbar).admittance.T)


@settings(max_examples=40, deadline=None)
@given(case=arrays)
def test_without_wires_the_currents_are_the_law(case: dict[str, Any]) -> None:
    array, v_ports = example(**{**case, "r_row": 0.0, "r_col": 0.0}, law=Sinh())
    m = case["m"]
    across = v_ports[:, :m, None] - v_ports[:, None, m:]
    found = solve_array(array, v_ports)
    np.testing.assert_allclose(found.device_volts, across, atol=1e-16)
    expected = np.nan_to_num(Sinh().current(across, array.g))
    np.testing.assert_allclose(found.device_amps, expected, rtol=1e-12, atol=1e-20)
    np.testing.assert_allclose(found.port_amps[:, :m], expected.sum(axis=2), rtol=1e-12, atol=1e-18)


def large(samples: int) -> tuple[CurvedArray, Array]:
    """128 x 128 sinh devices, 2.5 ohm and 1 ohm a segment, reads of up to 0.5 V."""
    rng = np.random.default_rng(5)
    array = CurvedArray(Wires(128, 128, 2.5, 1.0), rng.uniform(1e-6, 1e-4, (128, 128)), Sinh(v0=0.33))
    return array, np.hstack([rng.uniform(0.0, 0.5, (samples, 128)), np.zeros((samples, 128))])


def test_a_large_array_is_solved_to_the_tolerance_and_to_newton() -> None:
    array, v_ports = large(9)
    found = solve_array(array, v_ports)
    assert found.settled.all()
    assert found.steps.max() <= 6
    close(found.port_amps[0], full_newton(array, v_ports[0], ramp=1))


def test_a_start_nearby_saves_steps_and_changes_nothing() -> None:
    array, v_ports = large(4)
    first = solve_array(array, v_ports)
    assert (solve_array(array, v_ports, first).steps == 0).all()
    near = v_ports * (1.0 + 1e-6)
    again, cold = solve_array(array, near, first), solve_array(array, near)
    assert (again.steps < cold.steps).all()
    close(again.port_amps, cold.port_amps, 1e-11)


def test_samples_do_not_depend_on_their_company_or_on_threads() -> None:
    array, v_ports = example(5, 4, 20.0, 10.0, (False, True), 8, Sinh(), samples=37)
    together, shared = solve_array(array, v_ports), solve_array(array, v_ports, threads=2)
    np.testing.assert_array_equal(together.port_amps, shared.port_amps)
    alone = np.vstack([solve_array(array, v_ports[k : k + 1]).port_amps for k in range(37)])
    close(together.port_amps, alone, 1e-11)


def test_an_empty_batch_has_empty_answers() -> None:
    array, v_ports = example(3, 2, 1.0, 1.0, (True, False), 1, Sinh(), samples=0)
    found = solve_array(array, v_ports)
    assert found.port_amps.shape == (0, 8)
    assert found.device_volts.shape == (0, 3, 2)
    assert found.settled.shape == (0,)


def test_an_array_without_devices_takes_no_current() -> None:
    array = CurvedArray(Wires(3, 2, 1.0, 1.0), np.full((3, 2), np.nan), Sinh())
    found = solve_array(array, np.ones((1, 5)))
    assert found.settled.all()
    assert not found.port_amps.any()


def test_what_does_not_settle_is_reported_with_its_residual() -> None:
    array, v_ports = large(1)
    short = solve_array(array, v_ports, most_steps=1)
    assert not short.settled.any()
    assert short.steps.tolist() == [1]
    gap = np.abs(array.law.current(short.device_volts, array.g) - short.device_amps).max()
    np.testing.assert_allclose(short.residual, gap, rtol=1e-9)


def test_an_overflow_is_one_sample_that_does_not_settle() -> None:
    array, v_ports = example(3, 3, 1.0, 1.0, (False, False), 2, Sinh(v0=0.33))
    v_ports[1, 0] = 1e4
    found = solve_array(array, v_ports)
    assert found.settled.tolist() == [True, False, True]
    alone = solve_array(array, v_ports[[0, 2]])
    close(found.port_amps[[0, 2]], alone.port_amps, 1e-11)


def test_devices_far_steeper_than_their_wires_are_settled_from_ramped_sources() -> None:
    array, v_ports = example(4, 4, 1e3, 1e3, (False, False), 6, Sinh(v0=0.02))
    assert solve_array(array, v_ports).settled.tolist() == [False, True, False]
    found = settle_array(array, v_ports, threads=2)
    assert found.settled.all()
    for sample, held in enumerate(v_ports):
        close(found.port_amps[sample], full_newton(array, held))
    np.testing.assert_allclose(found.port_amps[:, :4], found.device_amps.sum(axis=2), rtol=1e-14, atol=1e-20)


def test_a_crossbar_of_curved_devices_is_such_an_array() -> None:
    g = np.array([[1e-5, np.nan], [2e-5, 3e-5]])
    rows, cols, far = ("r0", "r1"), ("c0", "c1"), ("f0", "f1")
    array = CurvedArray.of(Crossbar("a", rows, cols, Sinh().cell(), g, 2.0, 3.0, far_cols=far))
    assert array.wires == Wires(2, 2, 2.0, 3.0, rows_both_ends=False, cols_both_ends=True)
    assert array.law == Sinh()
    assert array.bend is None
    bend = np.array([[0.9, np.nan], [1.1, 1.2]])
    curved = CurvedArray.of(Crossbar("a", rows, cols, bent(Sinh().cell()), g, 2.0, 3.0, bend=bend))
    assert curved.bend is bend
    np.testing.assert_array_equal(curved.law.slope(np.array(0.2), g), Sinh().slope(0.2 / bend, g))
    with pytest.raises(ValueError, match="crossbar a: expected a device with a current law"):
        CurvedArray.of(Crossbar("a", rows, cols, None, g, 2.0, 3.0))


def test_what_does_not_fit_is_refused() -> None:
    array, v_ports = example(2, 2, 1.0, 1.0, (False, False), 0, Sinh())
    with pytest.raises(ValueError, match=r"v_ports has shape \(3, 3\), expected \[samples, 4\]"):
        solve_array(array, v_ports[:, :3])
    with pytest.raises(ValueError, match="the start has 3 samples"):
        solve_array(array, v_ports[:2], solve_array(array, v_ports))
    with pytest.raises(ValueError, match=r"g has shape \(2, 2\), the wires ask for \(2, 3\)"):
        CurvedArray(Wires(2, 3, 1.0, 1.0), array.g, Sinh())
    with pytest.raises(ValueError, match=r"bend has shape \(2,\), the wires ask for \(2, 2\)"):
        replace(array, bend=np.ones(2))
    with pytest.raises(ValueError, match="expected a positive finite bend wherever there is a device"):
        replace(array, g=np.full((2, 2), 1e-5), bend=np.array([[1.0, 1.0], [1.0, np.nan]]))
    with pytest.raises(ValueError, match="r_row: expected a finite resistance"):
        Wires(2, 2, 0.0, 1.0, rows_both_ends=True)


def test_an_overflow_alone_does_not_settle_either() -> None:
    array = CurvedArray(Wires(3, 3, 1.0, 1.0), np.full((3, 3), 1e-5), Sinh(v0=0.33))
    found = solve_array(array, np.array([[1e4, 1e4, 1e4, 0.0, 0.0, 0.0]]))
    assert not found.settled.any()


def test_what_all_ports_have_in_common_costs_no_digits() -> None:
    array = CurvedArray(Wires(32, 32, 1.0, 1.0), np.random.default_rng(0).uniform(1e-6, 1e-4, (32, 32)), Sinh(v0=0.33))
    volts = np.zeros((1, 64))
    volts[:, :32] = 1e-4
    alone, lifted = solve_array(array, volts), solve_array(array, volts + 0.5)
    assert lifted.settled.all()
    np.testing.assert_allclose(lifted.port_amps, alone.port_amps, rtol=0.0, atol=1e-11 * np.abs(alone.port_amps).max())
