"""Blocks of transistors without a simulator: sizes by equations, measured data that belong to the circuits."""

import math

import numpy as np
import pytest

from ohmweave.bench import Bench
from ohmweave.blocks import Ota45, SigmoidPair45, TanhPair45, TwoStage45, opamps
from ohmweave.blocks.class_ab import ClassAbTarget, size_class_ab
from ohmweave.blocks.figures import circuit_digest
from ohmweave.blocks.measured import MeasuredOpAmp
from ohmweave.blocks.ota import OtaTarget, size_ota
from ohmweave.blocks.technology import N_CHANNEL, V_DD, V_SS
from ohmweave.blocks.transistor_pair import pair_circuit
from ohmweave.circuit import Instance, Mosfet, VoltageSource
from ohmweave.design import Design
from ohmweave.errors import DesignError
from ohmweave.simulate.native import Native

TRANSISTORS: dict[str, MeasuredOpAmp] = {
    **{name: kind() for name, kind in opamps().items() if kind.supplied},
    "two_stage_45, class AB": TwoStage45(output="class_ab"),
}
EVERY_OPAMP = pytest.mark.parametrize("opamp", TRANSISTORS.values(), ids=TRANSISTORS)
EVERY_PAIR = pytest.mark.parametrize("pair", [TanhPair45(), SigmoidPair45()], ids=["tanh", "sigmoid"])


@EVERY_OPAMP
def test_an_opamps_figures_are_those_of_its_circuit(opamp: MeasuredOpAmp) -> None:
    cells = [cell for cell in opamp.circuits() if cell is not None]
    assert opamp.figures.circuit == circuit_digest(*cells), "measure it again: docs/theory/cmos.md"


@EVERY_PAIR
def test_a_pairs_curve_is_that_of_its_circuit(pair: TanhPair45 | SigmoidPair45) -> None:
    measured = pair_circuit("pair", mirrored=pair.mirrored)
    assert pair.curve.circuit == circuit_digest(measured), "measure it again: docs/theory/cmos.md"


@EVERY_OPAMP
def test_the_response_is_the_macro(opamp: MeasuredOpAmp) -> None:
    gain, _, offset, v_low, v_high = opamp.macro
    e = np.concatenate([np.linspace(v_low, v_high, 9) / gain - offset, [-0.1, -1e-2, 1e-2, 0.1]])
    for low in (None, 0.0):
        bench = Bench(opamp.cell("opamp", low), ("p", "n"), np.stack([e, 0.0 * e], axis=1), ("out",))
        np.testing.assert_allclose(Native().run(bench).volts[:, 0], opamp.respond(e, low), rtol=0.0, atol=1e-6)


@EVERY_OPAMP
def test_both_faces_have_the_same_supplies(opamp: MeasuredOpAmp) -> None:
    cell = opamp.cell("opamp")
    assert cell.macro is not None
    supplies = [
        {part.name: part.of for part in each.parts if isinstance(part, Instance) and isinstance(part.of, VoltageSource)}
        for each in (cell, cell.macro)
    ]
    assert supplies[0] == supplies[1] == {"vdd": VoltageSource(V_DD), "vss": VoltageSource(V_SS)}


def test_the_amplifiers_sizes_follow_from_what_is_asked() -> None:
    one, twice = size_ota(OtaTarget()), size_ota(OtaTarget(i_out=400e-6))
    for name in ("pair", "mirror", "tail"):
        assert getattr(twice, name)[0] == pytest.approx(2.0 * getattr(one, name)[0])
    # Currents in proportion to widths: M5 over M8; the pair halves the tail's at an inversion of 0.1.
    assert one.tail[0] / one.bias[0] == pytest.approx(200.0 / 10.0)
    width, length = one.pair
    assert 100e-6 / (N_CHANNEL.specific_current * width / length) == pytest.approx(0.1)
    assert V_DD - V_SS - one.r_bias * 10e-6 == pytest.approx(N_CHANNEL.gate_voltage(0.5))


def test_the_amplifier_is_what_was_asked_for() -> None:
    found, target = Ota45().figures, OtaTarget()
    assert found.i_sink == pytest.approx(target.i_out, rel=0.1)
    assert found.i_source == pytest.approx(target.i_out, rel=0.1)
    # Its transconductance is its gain over its output resistance, and its bandwidth that over the load.
    asked = N_CHANNEL.transconductance(0.5 * target.i_out, 0.1)
    assert found.gain / found.r_out == pytest.approx(asked, rel=0.1)
    assert 0.5 * asked < 2.0 * math.pi * found.gbw * found.c_load < asked
    assert found.phase_margin > 60.0
    assert found.v_low < -0.3 < 0.4 < found.v_high


def test_class_ab_gives_much_more_than_it_draws() -> None:
    a, ab, target = TwoStage45().figures, TwoStage45(output="class_ab").figures, ClassAbTarget()
    # The output's, the pair's and five branches of bias, at 1.1 V; the loops of gate voltages set the first.
    asked = (V_DD - V_SS) * (target.i_rest + 5.0 * target.i_bias)
    assert ab.quiescent_power == pytest.approx(asked, rel=0.2)
    assert min(ab.i_sink, ab.i_source) > 20.0 * target.i_rest
    assert ab.i_sink / ab.quiescent_power > 40.0 * a.i_sink / a.quiescent_power
    assert 0.7 * target.gbw < ab.gbw < target.gbw
    assert ab.phase_margin > 60.0
    assert ab.gain > a.gain
    assert abs(ab.offset) < 0.5e-3
    assert ab.curves.sunk
    assert not a.curves.sunk


def test_class_ab_sizes_keep_the_densities_of_the_loop() -> None:
    target = ClassAbTarget(i_rest=60e-6)
    sizes = size_class_ab(target)
    # Half of the bias current in MA, all of it in MD1; M7 as dense as MD2, M6 as MD3.
    assert target.i_rest / target.i_bias == pytest.approx(sizes.lower / sizes.n_diode)
    assert target.i_rest / target.i_bias == pytest.approx(sizes.upper / sizes.p_diode)
    assert sizes.n_shift == pytest.approx(N_CHANNEL.width(0.5 * target.i_bias, 0.05, 0.5e-6))


def test_where_an_output_is_held_class_a_stands() -> None:
    a, ab = TwoStage45(), TwoStage45(output="class_ab")
    one, other = (sum(isinstance(part.of, Mosfet) for part in each.cell("x", 0.0).parts) for each in (a, ab))  # type: ignore[union-attr]
    assert one == other == 14
    assert sum(isinstance(part.of, Mosfet) for part in ab.cell("x").parts) == 20  # type: ignore[union-attr]
    assert ab.circuits()[1] is None
    assert ab.v_high <= a.v_high


def test_another_output_is_refused() -> None:
    with pytest.raises(DesignError) as refused:
        Design.parse('[opamp]\nkind = "two_stage_45"\noutput = "class_b"\n', "d.toml")
    assert str(refused.value) == (
        "d.toml: opamp.output: expected 'class_a' or 'class_ab', found 'class_b'; try output = \"class_a\""
    )


def test_five_transistors_and_a_bias() -> None:
    def transistors(low: float | None) -> int:
        return sum(isinstance(part.of, Mosfet) for part in Ota45().cell("opamp", low).parts)  # type: ignore[union-attr]

    assert (transistors(None), transistors(0.0)) == (6, 12)


def test_an_amplifiers_limits_are_told() -> None:
    with pytest.raises(DesignError) as refused:
        Ota45().cell("opamp", low=0.3)
    assert str(refused.value) == (
        "opamp ota_45: expected a lower limit of -0.1 V to 0.2 V, found 0.3 V; "
        'choose other activations, or opamp.kind = "finite"'
    )
    with pytest.raises(DesignError, match=r"^opamp ota_45: expected no upper limit below the output's own of 0.441 V"):
        Ota45().cell("opamp", high=0.1)


@pytest.mark.parametrize("kind", ["ota_45", "two_stage_45"])
def test_a_design_may_say_so(kind: str) -> None:
    text = f'[opamp]\nkind = "{kind}"\noffset_spread = "2 mV"\n[signal]\nv_out = "200 mV"\n'
    cells = '[tanh]\nkind = "transistors_45"\n[sigmoid]\nkind = "transistors_45"\nattenuator = "50 kohm"\n'
    design = Design.parse(text + cells)
    assert design.opamp == {"ota_45": Ota45, "two_stage_45": TwoStage45}[kind](2e-3)
    assert (design.tanh, design.sigmoid) == (TanhPair45(), SigmoidPair45(50e3))
    assert Design.parse(design.dump()) == design


@EVERY_PAIR
def test_an_impossible_divider_is_refused(pair: TanhPair45 | SigmoidPair45) -> None:
    section = "tanh" if pair.mirrored else "sigmoid"
    with pytest.raises(DesignError, match=rf"^{section}.attenuator: expected a positive value in ohm, found 0 ohm"):
        type(pair)(0.0)


@EVERY_PAIR
def test_a_pairs_curve_is_near_its_function(pair: TanhPair45 | SigmoidPair45) -> None:
    curve, v = pair.curve, np.linspace(-0.4, 0.4, 201)
    wanted = pair.base + pair.share * np.tanh(v / curve.v_n)
    np.testing.assert_allclose(curve.law.value(v) / curve.amps, wanted, rtol=0.0, atol=1.5e-2)
    # 2 n V_T in weak inversion, n as sizing has it.
    assert curve.v_n == pytest.approx(2.0 * 1.67 * 0.025865, rel=0.02)
    assert curve.amps == pytest.approx(10e-6, rel=0.02)
