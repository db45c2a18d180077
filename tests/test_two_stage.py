"""The op-amp of transistors without a simulator: its sizes, its curves, its data, its place in a design."""

import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmweave import archive
from ohmweave.analysis.power import watched_sources
from ohmweave.bench import Bench
from ohmweave.blocks import TwoStage45
from ohmweave.blocks.curves import Bends
from ohmweave.blocks.figures import OpAmpFigures, circuit_digest
from ohmweave.blocks.ota import FIGURES as OTA
from ohmweave.blocks.technology import N_CHANNEL, NMOS, P_CHANNEL, V_DD, V_SS, nmos, pmos
from ohmweave.blocks.two_stage import FIGURES, FIGURES_AB, Target, circuit, size
from ohmweave.circuit import Capacitor, Cell, Instance, Mosfet, MosfetModel, Resistor, VoltageSource
from ohmweave.compile import compile as weave
from ohmweave.design import Design
from ohmweave.errors import DesignError, SimulationError
from ohmweave.graph import Graph
from ohmweave.netlist import Ngspice, Vacask, scan, write
from ohmweave.simulate.native import Native

EXAMPLE = Path(__file__).parents[1] / "examples" / "design_two_stage_45.toml"


def text(cell: Cell) -> str:
    stream = io.StringIO()
    write(cell, Ngspice(), stream)
    return stream.getvalue()


def inverter(opamp: TwoStage45, low: float | None = None) -> Cell:
    """Gain -1 with 5 kohm, loaded by 3 kohm."""
    parts = (
        Instance("i", Resistor(5e3), ("a", "n")),
        Instance("f", Resistor(5e3), ("n", "out")),
        Instance("l", Resistor(3e3), ("out", "0")),
        Instance("op1", opamp.cell("opamp", low), ("0", "n", "out")),
    )
    return Cell("jig", ("a", "out"), parts)


def test_a_transistor_is_written_with_one_model_for_all() -> None:
    model = MosfetModel("n1", "nmos", 54, {"version": 4.8, "binunit": 1, "vth0": 0.42})
    parts = tuple(Instance(f"m{k}", Mosfet(model, k * 1e-6, 45e-9), ("d", "g", "0", "0")) for k in (1, 2))
    inner = Cell("inner", ("d", "g"), (*parts, Instance("c", Capacitor(1e-12), ("d", "0"))))
    lines = text(Cell("top", ("d",), (Instance("a", inner, ("d", "d")),))).splitlines()
    assert [line for line in lines if line.startswith(".model")] == [
        ".model n1 nmos( level=54 version=4.8 binunit=1 vth0=0.42 )"
    ]
    assert "mm1 d g 0 0 n1 w=1e-06 l=4.5e-08" in lines
    assert "mm2 d g 0 0 n1 w=2e-06 l=4.5e-08" in lines
    assert "cc d 0 1e-12" in lines


def in_vacask(model: MosfetModel) -> list[str]:
    stream = io.StringIO()
    cell = Cell("top", ("d",), (Instance("a", Mosfet(model, 1e-6, 45e-9), ("d", "d", "0", "0")),))
    write(cell, Vacask(), stream)
    return stream.getvalue().splitlines()


def test_vacask_has_its_own_words_for_bsim4() -> None:
    lines = in_vacask(MosfetModel("p1", "pmos", 54, {"version": 4.8, "binunit": 1, "vth0": -0.42}))
    assert 'load "spice/bsim4v8.osdi"' in lines
    assert 'model p1 sp_bsim4v8 type=-1 version="4.8.0" binunit=1 vth0=-0.42' in lines
    assert "ma (d d 0 0) p1 w=1e-06 l=4.5e-08" in lines
    for level, words, found in ((1, {"version": 4.8}, "level 1, version 4.8"), (54, {}, "level 54, version None")):
        with pytest.raises(
            ValueError, match=r"^model n1: expected BSIM4 4\.8 \(level 14 or 54\) for VACASK, "
        ) as refused:
            in_vacask(MosfetModel("n1", "nmos", level, words))
        assert f"found {found}; use ngspice" in str(refused.value)


def test_two_models_of_one_name_are_found() -> None:
    other = dataclasses.replace(NMOS, parameters={"vth0": 0.3})
    parts = (
        Instance("a", nmos(1e-6, 1e-6), ("d", "d", "0", "0")),
        Instance("b", Mosfet(other, 1e-6, 1e-6), ("d",) * 4),
    )
    with pytest.raises(ValueError, match=r"^two different models are called 'nmos45'$"):
        text(Cell("top", ("d",), parts))


def test_impossible_transistors_and_capacitors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^transistor: expected a positive finite width, found 0\.0 m$"):
        nmos(0.0, 45e-9)
    with pytest.raises(ValueError, match="is not a safe circuit name"):
        MosfetModel("n1", "nmos", 54, {"vth0=1 m1": 0.1})
    with pytest.raises(ValueError, match=r"^capacitor a: expected more than 0 F, found 0\.0$"):
        text(Cell("top", ("p",), (Instance("a", Capacitor(0.0), ("p", "0")),)))
    with pytest.raises(ValueError, match=re.escape("top.a: expected 4 nets, found 3")):
        text(Cell("top", ("p",), (Instance("a", pmos(1e-6, 1e-6), ("p", "p", "0")),)))


def test_a_macro_has_the_ports_of_its_cell() -> None:
    macro = Cell("a", ("p",), ())
    with pytest.raises(ValueError, match=re.escape("cell a: expected a macro with ports ('p', 'n'), found ('p',)")):
        Cell("a", ("p", "n"), (), macro=macro)


def test_the_native_engine_refuses_what_no_macro_stands_for() -> None:
    cell = circuit("opamp", size(Target()))
    with pytest.raises(SimulationError) as refused:
        Native().run(Bench(cell, ("p", "n"), np.zeros((1, 2)), ("out",)))
    assert str(refused.value) == (
        "native, opamp: expected a circuit without transistors, found m8 (8 in all); "
        "simulate it in ngspice, or give the cell around them a macro"
    )


@given(
    st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(-1.0, 1.0)), min_size=2, max_size=8),
    st.floats(-2.0, 10.0),
)
def test_rounded_lines_are_smooth_have_their_slope_and_are_their_expression(
    steps: list[tuple[float, float]], x: float
) -> None:
    places = np.cumsum([step for step, _ in steps])
    law = Bends(tuple(zip(places.tolist(), [y for _, y in steps], strict=True)))
    at = np.array([x])
    said = eval(law.expression("x"), {"x": x, "abs": abs})  # noqa: S307
    np.testing.assert_allclose(law.value(at), said, rtol=1e-9, atol=1e-9)
    step = 1e-7
    rise = law.value(at + step) - law.value(at - step)
    steepest = np.abs(np.diff([y for _, y in steps]) / np.diff(places)).max()
    np.testing.assert_allclose(rise / (2.0 * step), law.slope(at), rtol=0.0, atol=1e-3 * steepest + 1e-6)


def test_rounded_lines_pass_between_their_points_exactly() -> None:
    law = Bends(((0.0, 0.0), (1.0, 1.0), (2.0, 5.0)))
    np.testing.assert_allclose(law.value(np.array([-1.0, 0.0, 0.5, 1.5, 2.0, 3.0])), [-1, 0, 0.5, 3, 5, 9], atol=1e-12)
    with pytest.raises(ValueError, match="expected at least two points at rising voltages"):
        Bends(((0.0, 0.0), (0.0, 1.0)))


def test_sizes_follow_from_what_is_asked() -> None:
    one, twice = size(Target()), size(Target(i_out=400e-6))
    assert twice.driver[0] == pytest.approx(2.0 * one.driver[0])
    assert twice.sink[0] == pytest.approx(2.0 * one.sink[0])
    assert twice.pair == one.pair
    # Currents in proportion to widths: M7 over M8, and M4 and M6 with equal gate voltages.
    assert one.sink[0] / one.bias[0] == pytest.approx(200.0 / 5.0)
    i_1 = one.tail[0] / one.bias[0] * 5e-6 / 2.0
    assert one.driver[0] / one.mirror[0] == pytest.approx(200e-6 / i_1)
    assert N_CHANNEL.transconductance(i_1, 0.05) == pytest.approx(2.0 * np.pi * 30e6 * 0.25e-12)
    assert (V_DD - V_SS - one.r_bias * 5e-6) == pytest.approx(N_CHANNEL.gate_voltage(0.5))
    assert P_CHANNEL.transconductance(200e-6, 1.0) * one.r_zero == pytest.approx(1.0)


def test_an_impossible_target_is_refused() -> None:
    with pytest.raises(
        DesignError, match=r'opamp.c_load: expected a positive value in F, found 0 F; try c_load = "1 pF"'
    ):
        Target(c_load=0.0)


def test_the_figures_are_those_of_the_circuit() -> None:
    sizes = size(Target())
    plain, held = circuit("opamp", sizes), circuit("opamp_held", sizes, 0.0)
    assert TwoStage45().figures.circuit == circuit_digest(plain, held), "measure it again: docs/theory/cmos.md"


def test_figures_survive_their_file(tmp_path: Path) -> None:
    figures = OpAmpFigures.load(FIGURES)
    figures.save(tmp_path / "figures.json")
    assert OpAmpFigures.load(tmp_path / "figures.json") == figures
    assert {name for name, _, _ in figures.rows()} <= {field.name for field in dataclasses.fields(figures)}


DAMAGED: dict[str, dict[str, Any]] = {
    "ValueError: gain = 'high' is no number": {"gain": "high"},
    "ValueError: gain = None is no number": {"gain": None},
    "ValueError: offset = nan is not finite": {"offset": float("nan")},
    "ValueError: r_out = 0 is not above 0": {"r_out": 0},
    "ValueError: gain = -3.0 is not above 0": {"gain": -3.0},
    "ValueError: curves: r_out = 0.0 is not above 0": {"curves": {"r_out": 0.0}},
    "ValueError: curves: alone = True is no number": {"curves": {"currents": {"alone": True, "limited": 0.0}}},
    "ValueError: points that are not finite": {"curves": {"drive": [[0.0, 0.0], [1.0, float("inf")]]}},
    "ValueError: expected at least two points at rising voltages, found [0.0]": {"curves": {"drive": [[0.0, 0.0]]}},
    "IndexError: tuple index out of range": {"curves": {"load": []}},
}


@pytest.mark.parametrize("what", DAMAGED)
def test_damaged_figures_are_explained(what: str, tmp_path: Path) -> None:
    found, change = json.loads(FIGURES.read_text(encoding="utf-8")), dict(DAMAGED[what])
    change["curves"] = {**found["curves"], **change.get("curves", {})}
    path = tmp_path / "figures.json"
    path.write_text(json.dumps({**found, **change}), encoding="utf-8")
    with pytest.raises(DesignError) as refused:
        OpAmpFigures.load(path)
    assert str(refused.value) == (
        f"{path}: cannot be read as an op-amp's figures ({what}); measure them again with characterize_opamp"
    )


def test_a_file_without_figures_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(DesignError) as refused:
        OpAmpFigures.load(path)
    assert str(refused.value) == (
        f"{path}: cannot be read as an op-amp's figures (KeyError: 'curves'); "
        "measure them again with characterize_opamp"
    )


def test_figures_of_older_versions_are_read_as_they_were(tmp_path: Path) -> None:
    figures = OpAmpFigures.load(FIGURES)
    older = dataclasses.replace(figures, curves=dataclasses.replace(figures.curves, lower=(), held=()))
    found = json.loads(older.dump())
    assert not {"lower", "held"} & set(found["curves"])
    (tmp_path / "figures.json").write_text(older.dump(), encoding="utf-8")
    assert OpAmpFigures.load(tmp_path / "figures.json") == older
    parts = {part.name for part in older.curves.cell("opamp", 0.0).parts}
    assert not {"back", "low", "held"} & parts


HELD = [(path, low) for path in (FIGURES, OTA) for low in (None, 0.0, 0.05)]


@pytest.mark.parametrize(("path", "low"), [*HELD, (FIGURES_AB, None)])
def test_supplies_give_what_was_measured_and_ground_gives_nothing(path: Path, low: float | None) -> None:
    curves = OpAmpFigures.load(path).curves
    v = np.linspace(-0.5, 0.5, 41)
    v = v if low is None else v[v >= low - 1e-3]
    volts = np.stack([np.full_like(v, curves.rest), 0.0 * v, v], axis=1)
    found = Native().run(Bench(curves.cell("opamp", low), ("p", "n", "out"), volts, (), ("vdd", "vss")))
    upper, lower = found.source_amps.T
    np.testing.assert_allclose(upper + lower + found.input_amps[:, 2], 0.0, atol=1e-12)
    expected = Bends(curves.lower).value(v) + (curves.currents.alone if low is None else curves.currents.limited)
    if curves.sunk:
        expected += Bends(curves.sunk).value(0.0 * v)
    if low is not None and curves.held:
        expected += Bends(curves.held).value(v - low)
    # F is within 1 uV of the input, which is 0.1 uA here.
    np.testing.assert_allclose(-lower, expected, rtol=0.0, atol=0.15e-6 if curves.sunk else 1e-9)


def test_an_upper_limit_is_refused() -> None:
    opamp = TwoStage45()
    with pytest.raises(DesignError) as refused:
        opamp.cell("opamp", high=0.1)
    assert str(refused.value) == (
        f"opamp two_stage_45: expected no upper limit below the output's own of {opamp.v_high:g} V, found 0.1 V; "
        'it can only be held from below: choose other activations, or opamp.kind = "finite"'
    )
    with pytest.raises(DesignError) as refused:
        opamp.respond(np.zeros(1), low=0.3)
    assert str(refused.value) == (
        "opamp two_stage_45: expected a lower limit of -0.1 V to 0.2 V, found 0.3 V; "
        'choose other activations, or opamp.kind = "finite"'
    )


def test_limits_beyond_its_own_are_its_own() -> None:
    opamp = TwoStage45()
    assert text(opamp.cell("opamp", -1.0, 1.0)) == text(opamp.cell("opamp"))
    e = np.linspace(-1e-3, 1e-3, 5)
    np.testing.assert_array_equal(opamp.respond(e, -1.0, 1.0), opamp.respond(e))


@pytest.mark.parametrize("low", [None, 0.0, -5e-3])
def test_the_response_is_the_macro(low: float | None) -> None:
    opamp = TwoStage45()
    gain, _, offset, v_low, v_high = opamp.macro
    e = np.concatenate([np.linspace(v_low, v_high, 9) / gain - offset, [-0.1, -1e-3, 1e-3, 0.1]])
    bench = Bench(opamp.cell("opamp", low), ("p", "n"), np.stack([e, 0.0 * e], axis=1), ("out",))
    np.testing.assert_allclose(Native().run(bench).volts[:, 0], opamp.respond(e, low), rtol=0.0, atol=1e-6)


def test_the_response_has_the_gain_the_offset_and_the_limits() -> None:
    opamp = TwoStage45()
    gain, _, offset, v_low, v_high = opamp.macro
    out = opamp.respond(np.array([-1e-6, 0.0, 1e-6]) - offset)
    assert out[2] - out[0] == pytest.approx(2e-6 * gain, rel=0.05)
    # A microvolt at the input is 15 mV here.
    assert out[1] == pytest.approx(0.0, abs=1e-2)
    lowest, highest = opamp.respond(np.array([-0.1, 0.1]))
    assert V_SS - 0.01 < lowest < v_low < v_high < highest < V_DD + 0.01
    assert opamp.respond(np.array([-0.1]), low=0.0) == pytest.approx(0.0, abs=1e-3)


def test_an_inverter_rectifies_where_its_output_is_held() -> None:
    volts = np.linspace(-0.3, 0.3, 13)[:, None]
    for low, expected in ((None, -volts), (0.0, np.maximum(-volts, 0.0))):
        found = Native().run(Bench(inverter(TwoStage45(), low), ("a",), volts, ("out",))).volts
        np.testing.assert_allclose(found, expected, rtol=0.0, atol=2e-3)


def test_a_design_may_say_so() -> None:
    design = Design.load(EXAMPLE)
    assert design.opamp == TwoStage45()
    assert Design.parse(design.dump()) == design
    spread = Design.parse('[opamp]\nkind = "two_stage_45"\noffset_spread = "2 mV"\n[signal]\nv_out = "300 mV"\n')
    assert spread.opamp == TwoStage45(2e-3)


def test_a_chip_of_transistors_is_written_and_passes_the_gate(perceptron: Graph) -> None:
    chip = weave(perceptron, Design.load(EXAMPLE), calibration=np.eye(3))
    written = text(chip.cell)
    scan(written)
    assert written.count(".model ") == 2
    # 8 transistors an op-amp, and 6 more in each of those that rectify, in two different cells.
    assert sum(line.startswith("mm") for line in written.splitlines()) == 8 + 14


def test_its_supplies_deliver_the_power(perceptron: Graph) -> None:
    chip = weave(perceptron, Design.load(EXAMPLE), calibration=np.eye(3))
    assert {path.rsplit(".", 1)[-1] for path in watched_sources(chip.cell) if ".op" in path} == {"vdd", "vss"}
    run = chip.simulate(np.eye(3))
    assert run.power.quiescent == 0.0
    at_rest = chip.plan.quiescent_power
    assert at_rest == pytest.approx(chip.plan.opamps * TwoStage45().figures.quiescent_power)
    np.testing.assert_allclose(run.power.total, at_rest, rtol=0.1)
    assert run.beyond == {"inputs": 0.0, "s0": 0.0, "s1": 0.0}


def test_macros_are_for_engines_alone() -> None:
    opamp = TwoStage45()
    cell = opamp.cell("opamp")
    assert text(cell) == text(dataclasses.replace(cell, macro=None))
    assert not any(isinstance(part.of, Mosfet) for part in cell.macro.parts)  # type: ignore[union-attr]
    sources = [
        {part.name: part.of for part in each.parts if isinstance(part.of, VoltageSource)}  # type: ignore[union-attr]
        for each in (cell, cell.macro)
    ]
    assert sources[0] == sources[1]


def test_a_build_of_transistors_is_read_back(perceptron: Graph, tmp_path: Path) -> None:
    chip = weave(perceptron, Design.load(EXAMPLE), calibration=np.eye(3))
    found = archive.load(archive.save(chip, tmp_path / "build"))
    assert found.plan.digest() == chip.plan.digest()
    assert text(found.cell) == text(chip.cell)
    assert (tmp_path / "build" / archive.NETLIST).read_text(encoding="ascii").count("two-stage op-amp") == 2
