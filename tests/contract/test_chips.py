"""Whole chips: the native engine and the complete netlist in ngspice say the same at every stage.

The chips have wires of 1 ohm a segment and op-amps with a gain of 1e4, an output resistance of 100 ohm
and limits, unless a test says otherwise.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ohmweave.analysis.deviation import deviation
from ohmweave.blocks import Driver, Finite, Ideal, PrecisionRectifier
from ohmweave.chip import Chip, Run
from ohmweave.design import ArrayChoice, Design
from ohmweave.devices import Linear, Sinh
from ohmweave.graph import Op, Relu, Sigmoid, Tanh
from ohmweave.schemes import Pair, RowPair
from ohmweave.simulate.native import Native
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

MakeChip = Callable[..., tuple[Chip, Array]]
Agree = Callable[..., tuple[Run, Run]]

# Measured is 1e-10 and better, and 3e-8 with junctions, where SPICE runs at looser tolerances; promised is 1e-6.
FULL_SCALE_SHARE = 1e-8
JUNCTION_SHARE = 1e-7

DEVICES = {"linear": Linear(), "sinh": Sinh()}
SCHEMES = {"pair": Pair(), "row_pair": RowPair()}
ACTIVATIONS: dict[str, tuple[Op, dict[str, Any]]] = {
    "relu by clamp": (Relu(), {}),
    "relu by rectifier": (Relu(), {"relu": PrecisionRectifier()}),
    "tanh": (Tanh(), {}),
    "sigmoid": (Sigmoid(), {}),
}


@pytest.fixture
def agree(make_chip: MakeChip, spice: NgspiceSimulator) -> Agree:
    """Run a random chip in both engines, hold them against each other, give both runs."""

    def check(
        design: Design,
        sizes: Sequence[int] = (20, 12, 5),
        activation: Op | None = None,
        *,
        boost: float = 1.0,
        samples: int = 4,
    ) -> tuple[Run, Run]:
        chip, x = make_chip(design, sizes, Relu() if activation is None else activation)
        x = boost * x[:samples]
        native, reference = chip.simulate(x, Native()), chip.simulate(x, spice)
        found = deviation(native.stage_volts, reference.stage_volts)
        junctions = isinstance(design.relu, PrecisionRectifier)
        assert found.largest <= (JUNCTION_SHARE if junctions else FULL_SCALE_SHARE), found
        assert set(found.by_stage) == {stage.name for stage in chip.plan.stages}
        assert native.power.parts.keys() == reference.power.parts.keys()
        for part, watts in reference.power.parts.items():
            tolerance = (1e-7 if junctions else 1e-9) * float(reference.power.total.max())
            np.testing.assert_allclose(native.power.parts[part], watts, rtol=0.0, atol=tolerance, err_msg=part)
        return native, reference

    return check


def distance(run: Run, x: Array) -> float:
    """How far a chip is from its network, in shares of the network's largest output."""
    ideal = run.plan.graph.forward(x)
    return float(np.abs(run.logits - ideal).max() / np.abs(ideal).max())


@pytest.mark.parametrize(("activation", "choice"), ACTIVATIONS.values(), ids=ACTIVATIONS)
@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
def test_every_device_scheme_and_activation(
    agree: Agree, device: Any, scheme: Any, activation: Op, choice: dict[str, Any]
) -> None:
    agree(Design(device=device, scheme=scheme, **choice), activation=activation)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("tile", [16, 32, 64])
def test_layers_that_are_no_multiples_of_the_tile(agree: Agree, tile: int, scheme: Any) -> None:
    # Pair: 71 x 80 lines of 70 inputs, a bias and 40 outputs. Row pair: 72 x 80 lines of 35, one and 80.
    inputs, outputs = 70 // scheme.lines_per_input, 80 // scheme.lines_per_output
    native, _ = agree(Design(scheme=scheme, array=ArrayChoice(tile, tile)), (inputs, outputs, 7))
    lines = (inputs + 1) * scheme.lines_per_input, outputs * scheme.lines_per_output
    down, across = (-(-count // tile) for count in lines)
    assert len(native.plan.stages[0].tiles) == down * across > 1


@pytest.mark.parametrize("tile", [16, 64])
def test_tiles_of_nonlinear_devices(agree: Agree, tile: int) -> None:
    agree(Design(device=Sinh(), array=ArrayChoice(tile, tile)), (70, 40, 7))


def test_tiles_of_128(agree: Agree) -> None:
    # 131 rows x 132 columns: 2 x 2 tiles, one of them whole.
    native, _ = agree(Design(array=ArrayChoice(128, 128)), (130, 66, 5))
    assert native.plan.stages[0].tiles[0].g.shape == (128, 128)
    assert len(native.plan.stages[0].tiles) == 4


def test_tiles_of_128_with_nonlinear_devices_and_row_pairs(agree: Agree) -> None:
    # 2 x 66 rows x 130 columns.
    design = Design(device=Sinh(), scheme=RowPair(), array=ArrayChoice(128, 128))
    native, _ = agree(design, (65, 130, 3), samples=2)
    assert native.plan.stages[0].tiles[0].g.shape == (128, 128)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_tiles_that_are_neither_even_nor_square(agree: Agree, scheme: Any) -> None:
    native, _ = agree(Design(scheme=scheme, array=ArrayChoice(15, 17)), (40, 23, 6))
    shapes = [tile.g.shape for tile in native.plan.stages[0].tiles]
    # No tile cuts the pair of lines of an input or an output in two.
    assert all(rows % scheme.lines_per_input == cols % scheme.lines_per_output == 0 for rows, cols in shapes)
    assert max(rows for rows, _ in shapes) <= 15
    assert max(cols for _, cols in shapes) <= 17


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("activation", [Relu(), Tanh()], ids=["relu", "tanh"])
def test_three_stages(agree: Agree, activation: Op, scheme: Any) -> None:
    native, _ = agree(Design(scheme=scheme), (16, 14, 12, 5), activation)
    assert len(native.plan.stages) == 3


def test_rectifiers_behind_nonlinear_devices_and_stiff_opamps(make_chip: MakeChip, ngspice: str) -> None:
    # A chip on which SPICE once ran in circles: diodes in loops of low resistance.
    design = Design(
        device=Sinh(),
        scheme=RowPair(),
        relu=PrecisionRectifier(),
        array=ArrayChoice(14, 15, 50.0, 1.0),
        opamp=Finite(r_out=0.0),
        driver=Driver(0.0),
    )
    chip, x = make_chip(design, (9, 6, 3), Relu(), seed=43910)
    native, reference = chip.simulate(x, Native()), chip.simulate(x, NgspiceSimulator(ngspice, time_limit=10.0))
    assert deviation(native.stage_volts, reference.stage_volts).largest <= JUNCTION_SHARE


def test_one_stage(agree: Agree) -> None:
    agree(Design(), (12, 4))


VARIANTS: dict[str, Design] = {
    "offset of 1 mV": Design(opamp=Finite(offset=1e-3)),
    "offset of -1 mV": Design(opamp=Finite(offset=-1e-3)),
    "coarse op-amps": Design(opamp=Finite(gain=300.0, r_out=1e3)),
    "op-amps without output resistance": Design(opamp=Finite(r_out=0.0)),
    "ideal op-amps": Design(opamp=Ideal()),
    "narrow swing": Design(opamp=Finite(v_low=-0.55, v_high=0.52)),
    "wires of 100 ohm": Design(array=ArrayChoice(r_row=100.0, r_col=100.0)),
    "no wires": Design(array=ArrayChoice(r_row=0.0, r_col=0.0)),
    "row wires only": Design(array=ArrayChoice(r_row=5.0, r_col=0.0)),
    "column wires only": Design(array=ArrayChoice(r_row=0.0, r_col=5.0)),
    "rows driven at both ends": Design(array=ArrayChoice(r_row=20.0, r_col=20.0, drive="both")),
    "columns read at both ends": Design(array=ArrayChoice(r_row=20.0, r_col=20.0, ground="both")),
    "both ends of all wires": Design(array=ArrayChoice(16, 16, 100.0, 50.0, "both", "both")),
    "both ends of wires of which the columns are none": Design(array=ArrayChoice(16, 16, 100.0, 0.0, "both", "both")),
    "both ends of all wires, sinh": Design(device=Sinh(v0=0.1), array=ArrayChoice(16, 16, 100.0, 50.0, "both", "both")),
    "4 levels": Design(device=Linear(levels=4)),
    "4 levels, sinh": Design(device=Sinh(levels=4)),
    "strong nonlinearity": Design(device=Sinh(v0=0.1), array=ArrayChoice(r_row=20.0, r_col=20.0)),
    "sinh, wires of 100 ohm": Design(device=Sinh(), array=ArrayChoice(r_row=100.0, r_col=100.0)),
    "drivers without resistance": Design(driver=Driver(0.0)),
    "drivers of 50 ohm": Design(driver=Driver(50.0)),
    "preset ideal": Design.preset("ideal"),
    "preset lossy": Design.preset("lossy"),
}


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("design", VARIANTS.values(), ids=VARIANTS)
def test_every_departure_from_the_ideal(agree: Agree, design: Design, scheme: Any) -> None:
    agree(replace(design, scheme=scheme))


@pytest.mark.parametrize("boost", [0.0, 3.0, 20.0], ids=["dark", "3 times too bright", "20 times too bright"])
@pytest.mark.parametrize(("activation", "choice"), ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_inputs_far_from_the_calibration(agree: Agree, activation: Op, choice: dict[str, Any], boost: float) -> None:
    # Op-amps go into their limits at both ends; the dark chip still has its biases.
    agree(Design(**choice), activation=activation, boost=boost)


@pytest.mark.parametrize(("activation", "choice"), ACTIVATIONS.values(), ids=ACTIVATIONS)
@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_an_ideal_chip_computes_the_network(
    make_chip: MakeChip, spice: NgspiceSimulator, scheme: Any, activation: Op, choice: dict[str, Any]
) -> None:
    design = replace(Design.preset("ideal"), scheme=scheme, **choice)
    chip, x = make_chip(design, (12, 9, 5), activation)
    for engine in (Native(), spice):
        # Not zero: the clamp's corner is soft, its limit gives way by a thousandth of the input difference.
        assert distance(chip.simulate(x, engine), x) < 3e-3


def test_wires_and_finite_opamps_cost_accuracy_and_both_engines_say_how_much(agree: Agree, make_chip: MakeChip) -> None:
    _, x = make_chip(Design(), (20, 12, 5), Relu())
    native, reference = agree(Design())
    lossy, lossy_reference = agree(Design.preset("lossy"))
    assert distance(native, x) == pytest.approx(distance(reference, x), rel=1e-6)
    assert distance(lossy, x) == pytest.approx(distance(lossy_reference, x), rel=1e-6)
    assert 1e-4 < distance(native, x) < distance(lossy, x)


def test_one_conductance_changed_by_a_percent_is_seen(make_chip: MakeChip, spice: NgspiceSimulator) -> None:
    chip, x = make_chip(Design(), (20, 12, 5), Relu())
    stage = chip.plan.stages[0]
    g = stage.tiles[0].g.copy()
    g[3, 4] *= 1.01
    other = replace(chip.plan, stages=(replace(stage, tiles=(replace(stage.tiles[0], g=g),)), *chip.plan.stages[1:]))
    found = deviation(chip.simulate(x, Native()).stage_volts, Chip(other).simulate(x, spice).stage_volts)
    assert found.largest > 1e-6
