"""Sampled chips: whatever way a network is cut into circuits and samples into parts, it is the same network.

Nothing loads anything here: no wires, op-amps of a gain of 1e8 and drivers without resistance, so that what
is left between a chip and its network is what limits cost: an op-amp's limit, which is what makes a ReLU, a
clip and a maximum, gives way by 1e-3 of its overdrive and has a corner of some 30 uV.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmweave import sampling
from ohmweave.blocks import Converter
from ohmweave.build import converters
from ohmweave.chip import Chip, Run
from ohmweave.design import ArrayChoice, CouplingChoice, Design
from ohmweave.effects import Gaussian
from ohmweave.errors import ConvergenceError, DesignError
from ohmweave.graph import Flatten, Graph, Input, Linear, Node, Op, Relu
from ohmweave.mapping import _coded, plan
from ohmweave.ops import Add, AveragePool, BatchNorm, Clip, Conv, GlobalAveragePool, HardSigmoid, MaxPool, Mul
from ohmweave.sampling import Sampler, stage_bench
from ohmweave.schemes import schemes
from ohmweave.simulate.native import Native
from ohmweave.units import Array

IDEAL = Design.preset("ideal")
SHAPE = (2, 6, 6)
X = np.random.default_rng(1).uniform(-0.3, 1.0, (24, *SHAPE))
SAME = (1, 1, 1, 1)
# The same numbers, added up in another order.
ROUNDING = 1e-9
# What the limits of ideal op-amps leave; measured is 2e-4.
LIMITS = 1e-3


def sampled(base: Design = IDEAL, **coupling: Any) -> Design:
    return replace(base, coupling=CouplingChoice(kind="sampled", **coupling))


def tiled(size: int, design: Design) -> Design:
    return replace(design, array=replace(design.array, rows=size, cols=size))


def _network(*layers: tuple[str, Op, str]) -> Graph:
    """Operations by name, each with the one-letter names of what it reads."""
    nodes = (Node("x", Input(SHAPE)), *(Node(name, op, tuple(inputs)) for name, op, inputs in layers))
    return Graph(nodes, (nodes[-1].name,))


def _conv(rng: np.random.Generator, channels: int, outputs: int, size: int, **options: Any) -> Conv:
    inside = channels // options.get("groups", 1)
    weight = rng.normal(0.0, 1.0 / np.sqrt(inside * size**2), (outputs, inside, size, size))
    return Conv(weight, rng.normal(0.0, 0.2, outputs), **options)


@cache
def small() -> Graph:
    """A convolution, a depthwise one, a residual sum, both pools, a gate, a dense layer."""
    rng = np.random.default_rng(0)
    shift, mean = rng.normal(0.0, 0.1, (2, 3))
    norm = BatchNorm(rng.uniform(0.5, 1.5, 3), shift, mean, rng.uniform(0.5, 1.5, 3), 1e-5)
    return _network(
        ("a", _conv(rng, 2, 3, 3, padding=SAME), "x"), ("b", norm, "a"), ("c", Relu(), "b"),
        ("d", _conv(rng, 3, 3, 3, padding=SAME, groups=3), "c"), ("e", Clip(0.0, 0.5), "d"),
        ("f", Add(), "ec"), ("g", Relu(), "f"),
        ("h", MaxPool((2, 2), (2, 2)), "g"), ("i", AveragePool((2, 2), (1, 1)), "h"),
        ("j", GlobalAveragePool(), "i"), ("k", _conv(rng, 3, 3, 1), "j"), ("l", HardSigmoid(), "k"),
        ("m", Mul(), "il"), ("n", Flatten(), "m"),
        ("o", Linear(rng.normal(size=(3, 12)), rng.normal(size=3)), "n"),
    )  # fmt: skip


@cache
def straight() -> Graph:
    """Weighted sums alone: nothing is limited."""
    rng = np.random.default_rng(2)
    dense = Linear(rng.normal(size=(3, 12)), rng.normal(size=3))
    return _network(
        ("a", _conv(rng, 2, 3, 3, padding=SAME), "x"), ("b", _conv(rng, 3, 3, 3, groups=3, stride=(2, 2)), "a"),
        ("c", Flatten(), "b"), ("d", dense, "c"),
    )  # fmt: skip


@cache
def chip(graph: Graph, design: Design) -> Chip:
    return Chip(plan(graph, design, X))


@cache
def run(graph: Graph, design: Design) -> Run:
    return chip(graph, design).simulate(X[:6])


def in_order(found: Run) -> dict[tuple[str, ...], Array]:
    """Each stage's values in the network's order, in units of the network, by the nodes that it realises."""
    layers = found.plan.lowered.layers
    return {
        stage.layers: found.stage_volts[stage.name][:, layer.signals - layer.first] / stage.s_out
        for stage, layer in zip(found.plan.stages, layers, strict=True)
    }


def apart(one: Run, other: Run) -> float:
    """The largest difference of two chips over all stages, in shares of the stage's largest value."""
    a, b = in_order(one), in_order(other)
    assert a.keys() == b.keys()
    return max(float(np.abs(a[key] - b[key]).max() / np.abs(b[key]).max()) for key in a)


def from_network(found: Run) -> float:
    wanted = found.plan.graph.forward(X[: len(found.logits)])
    return float(np.abs(found.logits - wanted).max() / np.abs(wanted).max())


WAYS: dict[str, Design] = {
    "unrolled": sampled(convolution="unrolled"),
    "sliding on tiles of 8": tiled(8, sampled()),
    "unrolled on tiles of 16": tiled(16, sampled(convolution="unrolled")),
    "analog, one circuit": IDEAL,
}


@pytest.mark.parametrize("design", WAYS.values(), ids=WAYS)
def test_sliding_unrolled_and_analog_chips_agree_where_nothing_loads(design: Design) -> None:
    assert apart(run(small(), design), run(small(), sampled())) <= ROUNDING


def test_a_kernel_larger_than_a_tile_simply_works() -> None:
    design = tiled(8, sampled())
    first = run(small(), design).plan.stages[0]
    assert first.inputs > 8
    assert len(first.tiles) > 1
    assert from_network(run(small(), design)) <= LIMITS


@pytest.mark.parametrize("scheme", ["pair", "row_pair"])
def test_a_chip_computes_its_network_but_for_the_limits_of_op_amps(scheme: str) -> None:
    design = replace(sampled(), scheme=schemes()[scheme]())
    assert 1e-6 < from_network(run(small(), design)) <= LIMITS
    # Where nothing is limited a gain of 1e8 is all there is.
    assert from_network(run(straight(), design)) <= 1e-6


@pytest.mark.parametrize("batch_norm", ["folded", "stage"])
def test_norms_are_folded_or_kept_as_stages_and_give_the_same(batch_norm: str) -> None:
    found = run(small(), sampled(batch_norm=batch_norm))
    assert (("a", "b", "c") in in_order(found)) == (batch_norm == "folded")
    assert from_network(found) <= LIMITS


def test_digital_sums_are_analog_sums_where_nothing_is_converted_or_limited() -> None:
    for design in (sampled(), tiled(8, sampled())):
        digital = replace(design, coupling=replace(design.coupling, sums="digital"))
        # Tiles are read out at 40 times the gain, up to the swing, which leaves as much less of the op-amps' own.
        assert apart(run(straight(), digital), run(straight(), design)) <= 1e-5
        # Arithmetic has no limits that give way.
        assert apart(run(small(), digital), run(small(), design)) <= LIMITS


def test_converters_of_no_bits_change_nothing() -> None:
    v = X.ravel()
    np.testing.assert_array_equal(Converter(0, 0.0, 0.0).respond(v), v)
    assert 0.0 < apart(run(straight(), sampled(dac_bits=24, adc_bits=24)), run(straight(), sampled())) <= 1e-6


def test_converters_cut_what_the_calibration_has_not_seen() -> None:
    # A ReLU's limit gives way below ground, where the network has no values and the converter no codes.
    assert in_order(run(small(), sampled()))["a", "b", "c"].min() < 0.0
    assert in_order(run(small(), sampled(adc_bits=24)))["a", "b", "c"].min() == 0.0


@pytest.mark.parametrize("sums", ["analog", "digital"])
def test_the_error_of_converters_halves_with_every_bit(sums: str) -> None:
    exact = chip(small(), sampled(sums=sums)).predict(X)
    errors = []
    for bits in (6, 8, 10, 12):
        found = chip(small(), sampled(sums=sums, dac_bits=bits, adc_bits=bits)).predict(X)
        errors.append(float(np.sqrt(np.mean((found - exact) ** 2))))
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    # Two bits are a factor of 4, give or take the luck of 72 outputs.
    assert np.all((ratios > 2.5) & (ratios < 6.5)), errors
    assert errors[0] / errors[-1] == pytest.approx(64.0, rel=0.4)


@pytest.mark.parametrize("sums", ["analog", "digital"])
@pytest.mark.parametrize("bits", [2, 3, 5, 8, 12])
def test_ground_is_a_code_of_every_converter(bits: int, sums: str) -> None:
    mapped = chip(small(), sampled(sums=sums, dac_bits=bits, adc_bits=bits)).plan
    for stage in mapped.stages:
        for converter in converters(mapped, stage):
            assert abs(converter.respond(np.zeros(1))[0]) <= 1e-12 * converter.step, stage.name


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 12))
def test_ranges_reach_as_far_as_the_calibration_but_for_half_a_step(below: int, above: int, bits: int) -> None:
    low, high = _coded(-below, above, bits)
    # Ground moves the steps by half of one at most.
    half = 0.5 * (below + above) / (2**bits - 1) * (1 + 1e-9)
    assert low <= 0.0 <= high
    assert low <= -below + half
    assert high >= above - half


def test_seeds_reproduce_a_chip_and_tell_chips_apart() -> None:
    uneven = replace(sampled(), effects=(Gaussian(0.02),))
    again = Chip(plan(small(), uneven, X)).predict(X[:6])
    np.testing.assert_array_equal(run(small(), uneven).logits, again)
    other = run(small(), replace(uneven, seed=1))
    assert apart(other, run(small(), uneven)) > 1e-3
    assert apart(run(small(), uneven), run(small(), sampled())) > 1e-3


def test_samples_in_parts_give_what_all_give_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    design = sampled(dac_bits=8, adc_bits=8)
    at_once = chip(small(), design).simulate(X)
    signals = at_once.plan.graph_inputs + sum(stage.values for stage in at_once.plan.stages)
    monkeypatch.setattr(sampling, "_MOST_SIGNALS", 5 * signals)
    monkeypatch.setattr(sampling, "_MOST_VALUES", 300)
    told: list[tuple[str, int, int]] = []
    parts = list(chip(small(), design).stream(X, progress=lambda *words: told.append(words)))
    assert [(part.start, part.stop) for part, _ in parts] == [(0, 5), (5, 10), (10, 15), (15, 20), (20, 24)]
    assert told[-1] == ("samples", 24, 24)
    for stage in at_once.plan.stages:
        found = np.concatenate([volts[stage.name] for _, volts in parts])
        # A product of few rows may add up in another order, which can cross a converter's threshold: it does not here.
        np.testing.assert_allclose(found, at_once.stage_volts[stage.name], rtol=0, atol=1e-12)


def test_predictions_are_those_of_a_run() -> None:
    np.testing.assert_array_equal(chip(small(), sampled()).predict(X[:6]), run(small(), sampled()).logits)


def stage_voltages(found: Chip, count: int) -> Mapping[str, tuple[Array, Array]]:
    return Sampler(found.plan, Native()).probe(found.plan.input_volts(X[:4]), count)


@pytest.mark.parametrize("coupling", [{}, {"dac_bits": 8, "adc_bits": 8}])
def test_what_is_written_of_a_stage_does_what_its_parts_do(coupling: dict[str, Any]) -> None:
    # The parts are what runs; the whole cell, converters and all, is what the netlist holds.
    found = chip(small(), tiled(8, sampled(**coupling)))
    for name, (before, after) in stage_voltages(found, 7).items():
        bench = stage_bench(found.plan, found.stage(name), before)
        np.testing.assert_allclose(Native().run(bench).volts, after, rtol=0, atol=1e-9, err_msg=name)
        assert len(before) == len(after) == min(7, 4 * found.stage(name).positions)


def test_a_sampled_chip_is_no_circuit_as_a_whole() -> None:
    with pytest.raises(DesignError) as caught:
        _ = chip(small(), sampled()).cell
    assert str(caught.value) == (
        "coupling.kind: expected an analog chip, which is one circuit, found a sampled one; ask for one of its stages"
    )


def test_wires_move_a_chip_and_more_of_them_move_it_more() -> None:
    distances = [
        from_network(run(small(), replace(sampled(), array=ArrayChoice(16, 16, ohms, ohms))))
        for ohms in (0.0, 3.0, 30.0)
    ]
    assert distances == sorted(distances)
    assert distances[1] > LIMITS


@pytest.mark.parametrize("coupling", [{}, {"sums": "digital", "dac_bits": 8, "adc_bits": 8}], ids=["analog", "digital"])
def test_what_is_no_number_is_named_by_its_picture_and_position(
    coupling: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_MOST_VALUES", 300)
    made = chip(small(), sampled(Design(), **coupling))
    volts = made.plan.input_volts(X)
    volts[17] = np.nan
    with pytest.raises(ConvergenceError, match=r"^stage s0, .*: that is position 0 of picture 17; "):
        list(Sampler(made.plan, Native()).run(volts))
