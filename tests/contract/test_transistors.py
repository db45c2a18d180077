"""Transistors in ngspice: the cards' figures, the op-amp's, and the macro-model against the circuit it stands for."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from ohmweave.analysis.deviation import deviation
from ohmweave.bench import Bench, Waves
from ohmweave.blocks import Finite, TwoStage45
from ohmweave.blocks.characterize import characterize_opamp
from ohmweave.blocks.figures import OpAmpFigures
from ohmweave.blocks.technology import N_CHANNEL, NMOS, P_CHANNEL, PMOS, Channel
from ohmweave.blocks.two_stage import FIGURES, Target, circuit, size
from ohmweave.chip import Chip
from ohmweave.circuit import Cell, Instance, Mosfet, MosfetModel, Resistor
from ohmweave.design import Design
from ohmweave.errors import SimulationError
from ohmweave.graph import Relu
from ohmweave.simulate.native import Native
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

Both = Callable[[Bench], tuple[Waves, Waves]]
MakeChip = Callable[..., tuple[Chip, Array]]

EXAMPLE = Path(__file__).parents[2] / "examples" / "design_two_stage_45.toml"
THERMAL_VOLTAGE = 0.025865
CARDS = pytest.mark.parametrize(("model", "sign"), [(NMOS, 1.0), (PMOS, -1.0)], ids=["n", "p"])


def drain_current(
    spice: NgspiceSimulator, model: MosfetModel, sign: float, length: float, v_d: float
) -> tuple[Array, Array]:
    """Gate voltages and drain currents of a transistor 1 um wide, magnitudes."""
    cell = Cell("one", ("d", "g"), (Instance("m1", Mosfet(model, 1e-6, length), ("d", "g", "0", "0")),))
    gates = np.linspace(0.0, 1.0, 201)
    volts = sign * np.stack([np.full_like(gates, v_d), gates], axis=1)
    return gates, sign * spice.run(Bench(cell, ("d", "g"), volts, ())).input_amps[:, 0]


@CARDS
def test_a_card_has_the_figures_of_its_technology(model: MosfetModel, sign: float, spice: NgspiceSimulator) -> None:
    gates, amps = drain_current(spice, model, sign, 45e-9, 1.0)
    _, linear = drain_current(spice, model, sign, 45e-9, 0.05)
    on, off, threshold = {"nmos": (799e-6, 2.1e-9, 0.32), "pmos": (453e-6, 0.7e-9, 0.38)}[model.kind]
    assert amps[-1] == pytest.approx(on, rel=0.05)
    assert amps[0] == pytest.approx(off, rel=0.15)
    weak = (gates > 0.1) & (gates < 0.25)
    assert 1.0 / np.polyfit(gates[weak], np.log10(amps[weak]), 1)[0] == pytest.approx(89e-3, rel=0.05)
    # Where 100 nA W/L flow.
    assert np.interp(1e-7 / 45e-3, linear, gates) == pytest.approx(threshold, abs=0.01)


@CARDS
def test_sizing_knows_a_long_transistor(model: MosfetModel, sign: float, spice: NgspiceSimulator) -> None:
    channel: Channel = N_CHANNEL if model is NMOS else P_CHANNEL
    gates, amps = drain_current(spice, model, sign, 1e-6, 0.3)
    slopes = np.gradient(amps, gates)
    for inversion in (0.05, 0.5, 1.0):
        wanted = inversion * channel.specific_current
        assert np.interp(wanted, amps, gates) == pytest.approx(channel.gate_voltage(inversion), abs=0.01)
        assert np.interp(wanted, amps, slopes) == pytest.approx(channel.transconductance(wanted, inversion), rel=0.05)


def test_the_figures_are_what_ngspice_measures(spice: NgspiceSimulator) -> None:
    kept, found = OpAmpFigures.load(FIGURES), characterize_opamp(TwoStage45(), spice)
    assert found.circuit == kept.circuit
    for (name, one, _), (_, other, _) in zip(found.rows(), kept.rows(), strict=True):
        assert one == pytest.approx(other, rel=1e-2, abs=1e-7), name


def test_the_op_amp_is_what_was_asked_for() -> None:
    found, target = OpAmpFigures.load(FIGURES), Target()
    assert found.i_sink == pytest.approx(target.i_out, rel=0.05)
    assert found.i_source > 10.0 * target.i_out
    # The driver's gate and the mirror, which the equations leave out, cost a quarter of the bandwidth.
    assert 0.7 * target.gbw < found.gbw < target.gbw
    assert found.phase_margin > 60.0
    assert found.gain > 1e4
    assert abs(found.offset) < 0.1e-3
    assert found.v_low < -0.4 < 0.4 < found.v_high


def test_a_larger_target_makes_a_larger_op_amp(spice: NgspiceSimulator) -> None:
    @dataclasses.dataclass(frozen=True)
    class Larger(TwoStage45):
        def cell(self, name: str, low: float | None = None, high: float | None = None) -> Cell:
            return circuit(name, size(Target(gbw=60e6, i_out=400e-6, i_bias=10e-6)), low)

    found, kept = characterize_opamp(Larger(), spice), OpAmpFigures.load(FIGURES)
    assert found.i_sink == pytest.approx(400e-6, rel=0.05)
    assert found.quiescent_power == pytest.approx(2.0 * kept.quiescent_power, rel=0.05)
    assert found.gbw > 1.2 * kept.gbw
    assert found.circuit != kept.circuit


def test_what_has_no_supplies_is_refused(spice: NgspiceSimulator) -> None:
    with pytest.raises(SimulationError) as refused:
        characterize_opamp(Finite(), spice)
    assert str(refused.value) == (
        "characterize, opamp: expected voltage sources vdd and vss, found none; give an op-amp in transistors"
    )


@pytest.mark.parametrize("low", [None, 0.0, -5e-3, 0.1], ids=["free", "0 V", "-5 mV", "0.1 V"])
@pytest.mark.parametrize("load", [1e3, 100e3], ids=["1 kohm", "100 kohm"])
def test_the_macro_is_the_transistors_with_the_loop_closed(low: float | None, load: float, both: Both) -> None:
    jig = Cell(
        "jig",
        ("a", "out"),
        (
            Instance("i", Resistor(5e3), ("a", "n")),
            Instance("f", Resistor(5e3), ("n", "out")),
            Instance("l", Resistor(load), ("out", "0")),
            Instance("op1", TwoStage45().cell("opamp", low), ("0", "n", "out")),
        ),
    )
    # The output sinks no more than 200 uA: 0.16 V into 1 kohm and 5 kohm.
    volts = np.linspace(-0.3, 0.3 if load > 2e3 else 0.15, 25)[:, None]
    native, spice = both(Bench(jig, ("a",), volts, ("out", "n"), ("op1.vdd", "op1.vss")))
    np.testing.assert_allclose(native.volts, spice.volts, rtol=0.0, atol=2e-4)
    np.testing.assert_allclose(native.source_amps, spice.source_amps, rtol=0.0, atol=0.2e-6)


@pytest.mark.parametrize("low", [None, 0.0])
def test_the_macro_is_the_transistors_with_the_loop_open(low: float | None, both: Both) -> None:
    opamp = TwoStage45()
    gain, _, offset, v_low, v_high = opamp.macro
    e = np.concatenate([0.8 * np.linspace(v_low, v_high, 7) / gain - offset, [-0.1, -0.01, 0.01, 0.1]])
    bench = Bench(opamp.cell("opamp", low), ("p", "n"), np.stack([0.0 * e, -e], axis=1), ("out",))
    native, spice = both(bench)
    np.testing.assert_allclose(native.volts, spice.volts, rtol=0.0, atol=0.02)


@pytest.mark.parametrize("spread", [0.0, 2e-3])
def test_a_chip_of_transistors_agrees_with_its_macros(
    spread: float, make_chip: MakeChip, spice: NgspiceSimulator
) -> None:
    design = dataclasses.replace(Design.load(EXAMPLE), opamp=TwoStage45(spread))
    chip, x = make_chip(design, (4, 3, 2), Relu())
    native, reference = chip.simulate(x, Native()), chip.simulate(x, spice)
    found = deviation(native.stage_volts, reference.stage_volts)
    # Measured is 2e-4 of full scale, and 1.1e-4 on four images of the whole digits network; 1e-2 is promised.
    assert found.largest <= 1e-3, found
    assert native.power.parts.keys() == reference.power.parts.keys()
    for part, watts in reference.power.parts.items():
        np.testing.assert_allclose(native.power.parts[part], watts, rtol=0.0, atol=0.01 * reference.power.total.max())


def test_a_small_signal_analysis_is_complex_and_failures_are_told(spice: NgspiceSimulator) -> None:
    divider = Cell("divider", ("a", "b"), (Instance("r", Resistor(1e3), ("a", "b")),))
    cards: Sequence[str] = ("x1 a b divider", "va a 0 dc 0 ac 1", "cl b 0 1e-9", ".ac lin 1 159154.943 159154.943")
    raw = spice.analyse(divider, cards, "complex")
    assert raw.columns(("v(b)",))[0, 0] == pytest.approx(0.5 - 0.5j, rel=1e-6)
    with pytest.raises(SimulationError, match="expected the flag 'real' in the header, found 'complex'"):
        spice.analyse(divider, cards)
