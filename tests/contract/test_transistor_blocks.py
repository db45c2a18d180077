"""The one-stage amplifier and the pairs of transistors in ngspice: what was measured, and the macros against them."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from ohmweave.analysis.deviation import deviation
from ohmweave.bench import Bench, Waves
from ohmweave.blocks import Ota45, SigmoidPair45, TanhPair45, TwoStage45
from ohmweave.blocks.characterize import characterize_opamp
from ohmweave.blocks.characterize_pair import characterize_pair
from ohmweave.chip import Chip
from ohmweave.choices import SignalChoice
from ohmweave.circuit import Cell, Instance, Resistor
from ohmweave.design import Design
from ohmweave.devices import Linear
from ohmweave.graph import Op, Relu, Sigmoid, Tanh
from ohmweave.simulate.native import Native
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

Both = Callable[[Bench], tuple[Waves, Waves]]
MakeChip = Callable[..., tuple[Chip, Array]]

EVERY_PAIR = pytest.mark.parametrize("pair", [TanhPair45(), SigmoidPair45()], ids=["tanh", "sigmoid"])


@EVERY_PAIR
def test_a_curve_is_what_ngspice_measures(pair: TanhPair45 | SigmoidPair45, spice: NgspiceSimulator) -> None:
    kept, found = pair.curve, characterize_pair(mirrored=pair.mirrored, simulator=spice)
    assert found.circuit == kept.circuit
    assert (found.amps, found.v_n) == pytest.approx((kept.amps, kept.v_n), rel=1e-3)
    assert found.drawn == pytest.approx(kept.drawn, rel=1e-3, abs=1e-9)
    v = np.linspace(-0.5, 0.5, 101)
    np.testing.assert_allclose(found.law.value(v), kept.law.value(v), rtol=0.0, atol=5e-9)


@EVERY_PAIR
def test_a_pairs_macro_is_its_transistors(pair: TanhPair45 | SigmoidPair45, both: Both) -> None:
    cell = Cell("jig", ("a", "n"), (pair.pair("pair"),))
    volts = np.stack([np.linspace(-0.4, 0.4, 33), np.zeros(33)], axis=1)
    native, spice = both(Bench(cell, ("a", "n"), volts, (), ("pair.vdd", "pair.vss")))
    # 1e-4 of the tail's current, and the corners' rounding; what the supplies give moves with the tail.
    np.testing.assert_allclose(native.input_amps[:, 1], spice.input_amps[:, 1], rtol=0.0, atol=3e-9)
    np.testing.assert_allclose(native.source_amps, spice.source_amps, rtol=0.0, atol=0.4e-6)


@pytest.mark.parametrize("low", [None, 0.0, -5e-3, 0.1], ids=["free", "0 V", "-5 mV", "0.1 V"])
@pytest.mark.parametrize(("loop", "load"), [(50e3, 20e3), (50e3, 1e6), (10e3, 10e3)])
def test_the_amplifiers_macro_is_its_transistors(low: float | None, loop: float, load: float, both: Both) -> None:
    parts = (
        Instance("i", Resistor(loop), ("a", "n")),
        Instance("f", Resistor(loop), ("n", "out")),
        Instance("l", Resistor(load), ("out", "0")),
        Instance("op1", Ota45().cell("opamp", low), ("0", "n", "out")),
    )
    bench = Bench(
        Cell("jig", ("a", "out"), parts), ("a",), np.linspace(-0.3, 0.25, 23)[:, None], ("out",), ("op1.vdd", "op1.vss")
    )
    native, spice = both(bench)
    np.testing.assert_allclose(native.volts, spice.volts, rtol=0.0, atol=4e-4)
    np.testing.assert_allclose(native.source_amps, spice.source_amps, rtol=0.0, atol=0.2e-6)


CLASS_AB = TwoStage45(output="class_ab")


def test_class_ab_figures_are_what_ngspice_measures(spice: NgspiceSimulator) -> None:
    kept, found = CLASS_AB.figures, characterize_opamp(CLASS_AB, spice)
    assert found.circuit == kept.circuit
    for (name, one, _), (_, other, _) in zip(found.rows(), kept.rows(), strict=True):
        assert one == pytest.approx(other, rel=1e-2, abs=1e-7), name


@pytest.mark.parametrize(("loop", "load"), [(5e3, 1e3), (5e3, 100e3), (1e3, 3e3)])
def test_the_class_ab_macro_is_its_transistors(loop: float, load: float, both: Both) -> None:
    parts = (
        Instance("i", Resistor(loop), ("a", "n")),
        Instance("f", Resistor(loop), ("n", "out")),
        Instance("l", Resistor(load), ("out", "0")),
        Instance("op1", CLASS_AB.cell("opamp"), ("0", "n", "out")),
    )
    cell, volts = Cell("jig", ("a", "out"), parts), np.linspace(-0.3, 0.3, 25)[:, None]
    native, spice = both(Bench(cell, ("a",), volts, ("out",), ("op1.vdd", "op1.vss")))
    np.testing.assert_allclose(native.volts, spice.volts, rtol=0.0, atol=7e-4)
    # The curves do not know that M7 minds the output's voltage less where it carries less.
    np.testing.assert_allclose(native.source_amps, spice.source_amps, rtol=0.0, atol=2.5e-6)


OTA = Design(opamp=Ota45(), device=Linear(0.1e-6, 10e-6), signal=SignalChoice(v_read=0.1, v_out=0.2))
TWO_STAGE = Design(
    opamp=TwoStage45(), tanh=TanhPair45(), sigmoid=SigmoidPair45(), signal=SignalChoice(v_read=0.1, v_out=0.3)
)


@pytest.mark.parametrize(
    ("design", "activation"),
    [
        (OTA, Relu()),
        (TWO_STAGE, Tanh()),
        (TWO_STAGE, Sigmoid()),
        (dataclasses.replace(OTA, tanh=TanhPair45()), Tanh()),
        (dataclasses.replace(TWO_STAGE, opamp=CLASS_AB), Relu()),
    ],
    ids=["ota relu", "two-stage tanh", "two-stage sigmoid", "ota tanh", "class AB relu"],
)
def test_a_chip_of_transistors_agrees_with_its_macros(
    design: Design, activation: Op, make_chip: MakeChip, spice: NgspiceSimulator
) -> None:
    chip, x = make_chip(design, (4, 3, 2), activation)
    native, reference = chip.simulate(x, Native()), chip.simulate(x, spice)
    found = deviation(native.stage_volts, reference.stage_volts)
    assert found.largest <= 3e-3, found
    assert native.power.parts.keys() == reference.power.parts.keys()
    for part, watts in reference.power.parts.items():
        np.testing.assert_allclose(native.power.parts[part], watts, rtol=0.0, atol=0.01 * reference.power.total.max())
