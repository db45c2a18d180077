"""Every simulator finds what mathematics says, with the same signs and the same names."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import brentq

from ohmweave.bench import Bench, Waves
from ohmweave.circuit import (
    Behavioural,
    Cell,
    Crossbar,
    CurrentSource,
    DeviceLaw,
    Diode,
    Instance,
    Resistor,
    Vccs,
    Vcvs,
    VoltageSource,
)
from ohmweave.devices import Linear, Sinh
from ohmweave.errors import SimulationError, SimulatorMissing
from ohmweave.simulate import Simulator, simulator, simulators
from ohmweave.units import Array

ACROSS = 1.380649e-23 * 300.15 / 1.602176634e-19  # k T / q at 27 degrees Celsius, V


# Programs that few machines have: not even told to be missing, tests/test_outside.py stands in for them.
RARE = {"hspice": "hspice", "spectre": "spectre", "xyce": "Xyce"}


@pytest.fixture(params=[name for name in simulators() if name not in RARE or shutil.which(RARE[name])])
def engine(request: pytest.FixtureRequest) -> Simulator:
    """Each simulator that is on this machine."""
    if request.param == "ngspice":
        request.getfixturevalue("ngspice")
    made = simulator(request.param)
    try:
        made.version()
    except SimulatorMissing as error:
        pytest.skip(str(error))
    return made


def column(*values: float) -> Array:
    return np.array(values)[:, None]


def solve(
    engine: Simulator, parts: tuple[Instance, ...], volts: Array, *probes: str, sources: tuple[str, ...] = ()
) -> Waves:
    """Parts between the driven port ``a``, the port ``y`` and ground."""
    return engine.run(Bench(Cell("jig", ("a", "y"), parts), ("a",), volts, probes, sources))


def test_a_divider_divides(engine: Simulator) -> None:
    parts = (Instance("up", Resistor(1e3), ("a", "y")), Instance("down", Resistor(3e3), ("y", "0")))
    waves = solve(engine, parts, column(0.4, -1.0, 0.0), "y", "a")
    # v_y = 3/4 v_a, i = v_a / 4 kohm out of the source.
    np.testing.assert_allclose(waves.volts, [[0.3, 0.4], [-0.75, -1.0], [0.0, 0.0]], rtol=1e-12, atol=1e-18)
    np.testing.assert_allclose(waves.input_amps, column(1e-4, -2.5e-4, 0.0), rtol=1e-12, atol=1e-18)


def test_waves_have_the_shapes_of_the_bench_and_name_the_engine(engine: Simulator) -> None:
    parts = (Instance("v", VoltageSource(1.0), ("y", "0")), Instance("r", Resistor(1.0), ("a", "y")))
    waves = solve(engine, parts, column(0.5), "y", "a", "y", sources=("v",))
    assert waves.volts.tolist() == [[1.0, 0.5, 1.0]]
    assert waves.input_amps.shape == waves.source_volts.shape == waves.source_amps.shape == (1, 1)
    assert (waves.engine, waves.version) == (engine.name, engine.version())
    assert waves.seconds["total"] > 0.0
    assert waves.remarks == ()


def test_sources_count_what_they_deliver_as_positive(engine: Simulator) -> None:
    # 2 V behind 1 kohm against the input's 0.5 V: 1.5 mA flows out of the battery's p and into the input.
    parts = (Instance("v", VoltageSource(2.0), ("y", "0")), Instance("r", Resistor(1e3), ("a", "y")))
    waves = solve(engine, parts, column(0.5), "y", sources=("v",))
    np.testing.assert_allclose(waves.source_volts, [[2.0]], rtol=1e-12)
    np.testing.assert_allclose(waves.source_amps, [[1.5e-3]], rtol=1e-12)
    np.testing.assert_allclose(waves.input_amps, [[-1.5e-3]], rtol=1e-12)


def test_a_floating_source_has_the_voltage_between_its_ports(engine: Simulator) -> None:
    # a -- 0.25 V -- y -- 1 kohm -- ground: v_y = v_a - 0.25 V, and the source absorbs 0.75 mA x 0.25 V.
    parts = (Instance("v", VoltageSource(0.25), ("a", "y")), Instance("r", Resistor(1e3), ("y", "0")))
    waves = solve(engine, parts, column(1.0), "y", sources=("v",))
    np.testing.assert_allclose(waves.volts, [[0.75]], rtol=1e-12)
    np.testing.assert_allclose(waves.source_volts, [[0.25]], rtol=1e-12)
    np.testing.assert_allclose(waves.source_amps, [[-0.75e-3]], rtol=1e-12)


def test_a_port_that_nothing_is_connected_to_floats_and_does_no_harm(engine: Simulator) -> None:
    waves = solve(engine, (Instance("r", Resistor(1e3), ("a", "0")),), column(1.0), "a")
    np.testing.assert_allclose(waves.input_amps, [[1e-3]], rtol=1e-12)


def test_a_current_source_drives_from_p_through_itself_to_n(engine: Simulator) -> None:
    parts = (Instance("i", CurrentSource(2e-6), ("0", "y")), Instance("r", Resistor(1e4), ("y", "a")))
    # 2 uA into y and through 10 kohm into the input.
    waves = solve(engine, parts, column(0.1), "y")
    np.testing.assert_allclose(waves.volts, [[0.12]], rtol=1e-12)
    np.testing.assert_allclose(waves.input_amps, [[-2e-6]], rtol=1e-9)


def test_a_controlled_voltage_is_gain_times_difference(engine: Simulator) -> None:
    parts = (
        Instance("b", VoltageSource(0.1), ("h", "0")),
        Instance("e", Vcvs(-3.0), ("y", "h", "a", "h")),
        Instance("r", Resistor(1e3), ("y", "0")),
    )
    # v_y = 0.1 - 3 (v_a - 0.1); its current flows through the source to h, so b absorbs it.
    waves = solve(engine, parts, column(0.2, -0.3), "y", sources=("e", "b"))
    y = np.array([-0.2, 1.3])
    np.testing.assert_allclose(waves.volts, y[:, None], rtol=1e-12)
    np.testing.assert_allclose(waves.source_volts, np.stack([y - 0.1, [0.1, 0.1]], axis=1), rtol=1e-12)
    np.testing.assert_allclose(waves.source_amps, np.stack([y / 1e3, y / 1e3], axis=1), rtol=1e-12)
    np.testing.assert_array_equal(waves.input_amps, column(0.0, 0.0))


def test_a_controlled_current_leaves_p_and_enters_n(engine: Simulator) -> None:
    parts = (Instance("g", Vccs(2e-3), ("y", "0", "a", "0")), Instance("r", Resistor(500.0), ("y", "0")))
    np.testing.assert_allclose(solve(engine, parts, column(0.3), "y").volts, [[-0.3]], rtol=1e-12)


@dataclass(frozen=True)
class Cubic:
    """i = 1 mA/V v + 2 mA/V^3 v^3."""

    def value(self, x: Array) -> Array:
        return np.asarray(1e-3 * x + 2e-3 * x * x * x)

    def slope(self, x: Array) -> Array:
        return np.asarray(1e-3 + 6e-3 * x * x)

    def expression(self, x: str) -> str:
        return f"0.001*{x}+0.002*{x}*{x}*{x}"


def test_a_behavioural_current_follows_its_law(engine: Simulator) -> None:
    parts = (
        Instance("drop", Behavioural(Cubic()), ("a", "y", "a", "y")),
        Instance("r", Resistor(1e3), ("y", "0")),
    )
    waves = solve(engine, parts, column(-2.0, 0.0, 0.5), "y")
    # Kirchhoff at y: law(v_a - v_y) = v_y / 1 kohm.
    expected = [brentq(lambda y, a=a: Cubic().value(a - y) - y / 1e3, -3, 3, xtol=1e-15) for a in (-2.0, 0.0, 0.5)]
    np.testing.assert_allclose(waves.volts[:, 0], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("emission", [1.0, 1.7])
def test_a_diode_is_exponential(engine: Simulator, emission: float) -> None:
    parts = (Instance("r", Resistor(1e3), ("a", "y")), Instance("d", Diode(1e-14, emission), ("y", "0")))
    drives = np.array([-1.0, 0.0, 0.3, 0.7, 1.0, 5.0])

    def excess(y: float, a: float) -> float:
        return (a - y) / 1e3 - 1e-14 * float(np.expm1(y / (emission * ACROSS)))

    expected = [brentq(excess, -6.0, min(a + 1e-9, 2.0), args=(a,), xtol=1e-15, rtol=1e-14) for a in drives.tolist()]
    waves = solve(engine, parts, drives[:, None], "y")
    # SPICE's own tolerances are those it still converges with where junctions are.
    rtol = 1e-9 if engine.name == "native" else 1e-7
    np.testing.assert_allclose(waves.volts[:, 0], expected, rtol=rtol, atol=2e-11)


def random_array(rng: np.random.Generator, *, holes: bool = False) -> Array:
    g = rng.uniform(1e-6, 1e-4, (5, 4))
    if holes:
        g[[0, 2, 4], [1, 1, 3]] = np.nan
    return np.asarray(g)


def array_bench(bar: Crossbar, samples: int = 4) -> Bench:
    """Rows driven, each column on 300 ohm to ground."""
    loads = [Instance(f"l{j}", Resistor(300.0), (f"c{j}", "0")) for j in range(len(bar.cols))]
    volts = np.random.default_rng(9).uniform(-0.5, 0.5, (samples, len(bar.rows)))
    return Bench(Cell("array", (*bar.rows, *bar.cols), (bar, *loads)), bar.rows, volts, bar.cols)


def nodal(bar: Crossbar, v: Array, law: DeviceLaw) -> tuple[Array, float]:
    """Dense Newton on every node of the expanded array with its loads, for one sample of row volts.

    Returns the column voltages and what all devices, wires and loads dissipate.
    """
    names: dict[str, int] = {}
    ends: list[tuple[int, int]] = []
    devices: list[bool] = []
    values: list[float] = []
    parts = [*bar.expand(), *(Instance(f"l{j}", Resistor(300.0), (f"c{j}", "0")) for j in range(len(bar.cols)))]
    for part in parts:
        p, n = ((0 if net == "0" else names.setdefault(net, len(names) + 1)) for net in part.nets)
        ends.append((p, n))
        devices.append(part.name[0] == "d")
        values.append(1.0 / part.of.ohms if isinstance(part.of, Resistor) else part.params["g"])
    incidence = np.zeros((len(ends), len(names) + 1))
    for k, (p, n) in enumerate(ends):
        incidence[k, p] += 1.0
        incidence[k, n] -= 1.0
    is_device, g = np.array(devices), np.array(values)
    potential, rows = np.zeros(len(names) + 1), [names[f"r{i}"] for i in range(len(v))]
    potential[rows] = v
    free = np.setdiff1d(np.arange(1, len(names) + 1), rows)
    for _ in range(30):
        across = incidence @ potential
        amps = np.where(is_device, law.current(across, g), g * across)
        slope = np.where(is_device, law.slope(across, g), g)
        jacobian = incidence.T @ (slope[:, None] * incidence)
        potential[free] -= np.linalg.solve(jacobian[np.ix_(free, free)], (incidence.T @ amps)[free])
    across = incidence @ potential
    amps = np.where(is_device, law.current(across, g), g * across)
    columns = np.array([potential[names[f"c{j}"]] for j in range(len(bar.cols))])
    return columns, float(across @ amps)


@pytest.mark.parametrize("holes", [False, True], ids=["full", "with holes"])
@pytest.mark.parametrize(("r_row", "r_col"), [(0.0, 0.0), (2.5, 1.0), (0.0, 40.0), (150.0, 0.0)])
@pytest.mark.parametrize("device", [Linear(), Sinh(v0=0.2)], ids=["linear", "sinh"])
def test_an_array_obeys_kirchhoff_at_every_node(
    engine: Simulator, device: Linear | Sinh, r_row: float, r_col: float, holes: bool
) -> None:
    g = random_array(np.random.default_rng(6), holes=holes)
    rows, cols = tuple(f"r{i}" for i in range(5)), tuple(f"c{j}" for j in range(4))
    bench = array_bench(Crossbar("bar", rows, cols, device.cell(), g, r_row, r_col))
    bar = bench.cell.parts[0]
    assert isinstance(bar, Crossbar)
    answers = [nodal(bar, v, device) for v in bench.volts]
    waves = engine.run(bench)
    expected = np.array([columns for columns, _ in answers])
    np.testing.assert_allclose(waves.volts, expected, rtol=0.0, atol=1e-9 * np.abs(expected).max())
    # What the sources deliver is what everything dissipates.
    delivered = (bench.volts * waves.input_amps).sum(axis=1)
    np.testing.assert_allclose(delivered, [watts for _, watts in answers], rtol=1e-9)


def test_all_sources_together_deliver_what_the_resistors_dissipate(engine: Simulator) -> None:
    parts = (
        Instance("r1", Resistor(1e3), ("a", "y")),
        Instance("e", Vcvs(5.0), ("z", "0", "y", "0")),
        Instance("r2", Resistor(2e3), ("z", "y")),
        Instance("v", VoltageSource(-0.7), ("w", "z")),
        Instance("r3", Resistor(3e3), ("w", "0")),
        Instance("r4", Resistor(4e3), ("y", "0")),
    )
    waves = solve(engine, parts, column(0.3, -0.2), "a", "y", "z", "w", sources=("e", "v"))
    a, y, z, w = waves.volts.T
    burnt = (a - y) ** 2 / 1e3 + (z - y) ** 2 / 2e3 + w**2 / 3e3 + y**2 / 4e3
    delivered = a * waves.input_amps[:, 0] + (waves.source_volts * waves.source_amps).sum(axis=1)
    np.testing.assert_allclose(delivered, burnt, rtol=1e-12)


def nested() -> Cell:
    """a -- 1k -- outer.inner.mid -- 1k -- y -- 2k -- ground, and a 2 x 2 array from a to ground."""
    inner = Cell(
        "inner", ("p", "n"), (Instance("r1", Resistor(1e3), ("p", "mid")), Instance("r2", Resistor(1e3), ("mid", "n")))
    )
    outer = Cell(
        "outer", ("p", "n"), (Instance("inner", inner, ("p", "n")), Instance("b", VoltageSource(0.5), ("k", "n")))
    )
    g = np.full((2, 2), 1e-4)
    bar = Crossbar("bar", ("p", "p"), ("0", "0"), None, g, 100.0, 100.0)
    below = Cell("below", ("p",), (bar,))
    return Cell(
        "top",
        ("a", "y"),
        (
            Instance("outer", outer, ("a", "y")),
            Instance("r", Resistor(2e3), ("y", "0")),
            Instance("tile", below, ("a",)),
        ),
    )


@pytest.mark.parametrize(
    ("path", "volts"),
    [
        ("a", 0.4),
        ("y", 0.2),
        ("outer.inner.mid", 0.3),
        ("outer.k", 0.7),
        pytest.param("outer.p", 0.4, id="a port of an instance is the net outside"),
        pytest.param("outer.inner.n", 0.2, id="a port of a port"),
        pytest.param("0", 0.0, id="ground"),
        pytest.param("tile.bar.r1", 0.4, id="a port of an array"),
        pytest.param("tile.bar.c0", 0.0, id="a port of an array on ground"),
    ],
)
def test_dotted_paths_reach_every_net(engine: Simulator, path: str, volts: float) -> None:
    waves = engine.run(Bench(nested(), ("a",), column(0.4), (path,)))
    np.testing.assert_allclose(waves.volts, [[volts]], rtol=1e-12, atol=1e-18)


def test_sources_below_are_reached_by_their_path(engine: Simulator) -> None:
    waves = engine.run(Bench(nested(), ("a",), column(0.4), ("y",), ("outer.b",)))
    np.testing.assert_allclose(waves.source_volts, [[0.5]], rtol=1e-12)
    np.testing.assert_allclose(waves.source_amps, [[0.0]], atol=1e-15)


@pytest.mark.parametrize(
    ("probes", "sources"),
    [(("nowhere",), ()), (("outer.nowhere",), ()), (("nobody.mid",), ()), ((), ("outer.r1",)), ((), ("outer.nobody",))],
)
def test_what_is_not_there_cannot_be_watched(
    engine: Simulator, probes: tuple[str, ...], sources: tuple[str, ...]
) -> None:
    with pytest.raises(SimulationError) as caught:
        engine.run(Bench(nested(), ("a",), column(0.4), probes, sources))
    assert repr((*probes, *sources)[0]) in str(caught.value)


def test_many_samples_are_each_its_own_operating_point(engine: Simulator) -> None:
    parts = (Instance("r", Resistor(1e3), ("a", "y")), Instance("d", Diode(1e-14), ("y", "0")))
    volts = np.random.default_rng(2).uniform(-1.0, 2.0, (60, 1))
    together = solve(engine, parts, volts, "y").volts
    rtol = 1e-9 if engine.name == "native" else 1e-7
    for k in (0, 17, 59):
        np.testing.assert_allclose(together[k], solve(engine, parts, volts[k : k + 1], "y").volts[0], rtol=rtol)


BROKEN: dict[str, Callable[[], Cell]] = {
    "a net without a path to ground": lambda: Cell(
        "bad", ("a",), (Instance("r", Resistor(1.0), ("b", "c")), Instance("i", CurrentSource(1e-3), ("b", "0")))
    ),
    "a loop of sources": lambda: Cell("bad", ("a",), (Instance("v", VoltageSource(1.0), ("a", "0")),)),
}


@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN)
def test_a_circuit_without_an_operating_point_is_an_error(engine: Simulator, make: Callable[[], Cell]) -> None:
    with pytest.raises(SimulationError):
        engine.run(Bench(make(), ("a",), column(0.4), ()))
