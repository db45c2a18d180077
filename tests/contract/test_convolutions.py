"""Convolutional chips: the circuit of every kind of stage, and a whole unrolled network, in both engines.

Wires have 1 ohm a segment and op-amps a gain of 1e4 and 100 ohm, on images of the handwritten digits.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from ohmweave.analysis.deviation import Deviation, deviation
from ohmweave.chip import Chip
from ohmweave.design import ArrayChoice, CouplingChoice, Design
from ohmweave.frontend import load_data
from ohmweave.graph import Flatten, Graph, Input, Linear, Node, Op, Relu, Sigmoid, Tanh
from ohmweave.mapping import plan
from ohmweave.ops import (
    Add,
    AveragePool,
    BatchNorm,
    Clip,
    Conv,
    GlobalAveragePool,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    MaxPool,
    Mul,
)
from ohmweave.sampling import Sampler, stage_bench
from ohmweave.schemes import Pair, RowPair, Scheme
from ohmweave.simulate.native import Native
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

# Promised is 1e-6.
FULL_SCALE_SHARE = 1e-8
SCHEMES: dict[str, Scheme] = {"pair": Pair(), "row_pair": RowPair()}
COUPLINGS: dict[str, dict[str, Any]] = {
    "held": {},
    "8 bits": {"dac_bits": 8, "adc_bits": 8},
    "digital sums": {"sums": "digital", "dac_bits": 8, "adc_bits": 8},
}
SAME = (1, 1, 1, 1)
# A stage's nodes -> what it is.
KINDS: Mapping[tuple[str, ...], str] = {
    ("a", "b"): "convolution, ReLU",
    ("c",): "depthwise convolution",
    ("d", "e"): "batch normalisation, leaky ReLU",
    ("f", "g"): "convolution, hard swish",
    ("h", "i"): "residual sum, ReLU6",
    ("j",): "maximum",
    ("k",): "average",
    ("l",): "average of everything",
    ("m", "n"): "hard sigmoid",
    ("o",): "gate",
    ("q", "r"): "dense layer, tanh",
    ("s", "t"): "dense layer, sigmoid",
}


def _conv(rng: np.random.Generator, channels: int, outputs: int, size: int, **options: Any) -> Conv:
    inside = channels // options.get("groups", 1)
    weight = rng.normal(0.0, 1.5 / np.sqrt(inside * size**2), (outputs, inside, size, size))
    return Conv(weight, rng.normal(0.0, 0.2, outputs), **options)


def _dense(rng: np.random.Generator, inputs: int, outputs: int) -> Linear:
    return Linear(rng.normal(0.0, 2.0 / np.sqrt(inputs), (outputs, inputs)), rng.normal(0.0, 0.2, outputs))


def _graph(*layers: tuple[str, Op, str]) -> Graph:
    nodes = (Node("x", Input((1, 8, 8))), *(Node(name, op, tuple(inputs)) for name, op, inputs in layers))
    return Graph(nodes, (nodes[-1].name,))


@cache
def every_kind() -> Graph:
    """A network with every kind of stage."""
    rng = np.random.default_rng(0)
    shift, mean = rng.normal(0.0, 0.2, (2, 4))
    norm = BatchNorm(rng.uniform(0.5, 1.5, 4), shift, mean, rng.uniform(0.5, 1.5, 4), 1e-5)
    return _graph(
        ("a", _conv(rng, 1, 4, 3, padding=SAME), "x"), ("b", Relu(), "a"),
        ("c", _conv(rng, 4, 4, 3, padding=SAME, groups=4), "b"), ("d", norm, "c"), ("e", LeakyRelu(0.1), "d"),
        ("f", _conv(rng, 4, 4, 1), "e"), ("g", HardSwish(), "f"),
        ("h", Add(), "gb"), ("i", Clip(0.0, 6.0), "h"),
        ("j", MaxPool((3, 3), (2, 2), SAME), "i"), ("k", AveragePool((2, 2), (2, 2)), "j"),
        ("l", GlobalAveragePool(), "k"), ("m", _conv(rng, 4, 4, 1), "l"), ("n", HardSigmoid(), "m"),
        ("o", Mul(), "kn"), ("p", Flatten(), "o"), ("q", _dense(rng, 16, 6), "p"), ("r", Tanh(), "q"),
        ("s", _dense(rng, 6, 3), "r"), ("t", Sigmoid(), "s"),
    )  # fmt: skip


def cnn(pool: Op) -> Graph:
    """A convolution, a pool and a dense layer."""
    rng = np.random.default_rng(1)
    return _graph(
        ("a", _conv(rng, 1, 4, 3), "x"), ("b", Relu(), "a"), ("c", pool, "b"), ("d", Flatten(), "c"),
        ("e", _dense(rng, 36, 10), "d"),
    )  # fmt: skip


@cache
def digits(count: int) -> Array:
    # A pixel of 8 sixteenths would lie exactly between two codes of 8 bits, where the last digit decides.
    return load_data("digits", "train").x[:count].reshape(-1, 1, 8, 8) ** 1.1


def chip(graph: Graph, design: Design) -> Chip:
    return Chip(plan(graph, design, digits(64)))


def sampled(size: int = 8, scheme: Scheme | None = None, **coupling: Any) -> Design:
    chosen = CouplingChoice(kind="sampled", batch_norm="stage", **coupling)
    return Design(array=ArrayChoice(size, size), scheme=scheme or Pair(), coupling=chosen)


def check_stages(made: Chip, spice: NgspiceSimulator, positions: int) -> Deviation:
    """Both engines on every stage, at some positions, with what the network brings there."""
    seen = Sampler(made.plan, Native()).probe(made.plan.input_volts(digits(3)), positions)
    reference = {
        stage.name: spice.run(stage_bench(made.plan, stage, seen[stage.name][0])).volts for stage in made.plan.stages
    }
    return deviation({name: after for name, (_, after) in seen.items()}, reference)


@pytest.mark.parametrize("coupling", COUPLINGS.values(), ids=COUPLINGS)
@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_every_kind_of_stage(spice: NgspiceSimulator, scheme: Scheme, coupling: dict[str, Any]) -> None:
    made = chip(every_kind(), sampled(scheme=scheme, **coupling))
    assert [stage.layers for stage in made.plan.stages] == list(KINDS)
    convolutions = [stage for stage in made.plan.stages if stage.layers[0] in "ac"]
    assert all(len(stage.tiles) > 1 for stage in convolutions)
    found = check_stages(made, spice, positions=5)
    assert found.largest <= FULL_SCALE_SHARE, {KINDS[s.layers]: found.by_stage[s.name] for s in made.plan.stages}


def test_tiles_with_all_kernels_of_a_layer(spice: NgspiceSimulator) -> None:
    found = check_stages(chip(every_kind(), sampled(64)), spice, positions=3)
    assert found.largest <= FULL_SCALE_SHARE, found


def test_unrolled_stages_of_a_sampled_chip(spice: NgspiceSimulator) -> None:
    design = replace(sampled(convolution="unrolled", dac_bits=8, adc_bits=8), array=ArrayChoice(32, 32, 0.0, 0.0))
    found = check_stages(chip(cnn(AveragePool((2, 2), (2, 2))), design), spice, positions=2)
    assert found.largest <= FULL_SCALE_SHARE, found


def test_a_whole_sampled_network_stage_by_stage_in_spice(spice: NgspiceSimulator) -> None:
    made, x = chip(cnn(AveragePool((2, 2), (2, 2))), sampled(16)), digits(1)
    native, reference = made.simulate(x, Native()), made.simulate(x, spice)
    found = deviation(native.stage_volts, reference.stage_volts)
    # Each stage takes up what its own engine made of the one before.
    assert found.largest <= FULL_SCALE_SHARE, found


def check_circuit(made: Chip, x: Array, spice: NgspiceSimulator) -> None:
    """Both engines on a whole analog chip: every stage's outputs, and the power."""
    native, reference = made.simulate(x, Native()), made.simulate(x, spice)
    found = deviation(native.stage_volts, reference.stage_volts)
    assert found.largest <= FULL_SCALE_SHARE, found
    assert set(found.by_stage) == {"s0", "s1", "s2"}
    for part, watts in reference.power.parts.items():
        tolerance = 1e-8 * float(reference.power.total.max())
        np.testing.assert_allclose(native.power.parts[part], watts, rtol=0.0, atol=tolerance, err_msg=part)


@pytest.mark.parametrize(
    ("scheme", "pool"),
    [(Pair(), AveragePool((2, 2), (2, 2))), (RowPair(), MaxPool((2, 2), (2, 2)))],
    ids=["pair, average", "row_pair, maximum"],
)
def test_an_unrolled_network_as_one_circuit(spice: NgspiceSimulator, scheme: Scheme, pool: Op) -> None:
    # Without wires: with them ngspice 46 finds no operating point of so many rectifiers on shared rows.
    check_circuit(chip(cnn(pool), Design(scheme=scheme, array=ArrayChoice(r_row=0.0, r_col=0.0))), digits(2), spice)


def test_an_unrolled_network_with_wires_as_one_circuit(spice: NgspiceSimulator) -> None:
    # As large a picture as ngspice manages.
    rng = np.random.default_rng(1)
    nodes = (
        Node("x", Input((1, 5, 5))), Node("a", _conv(rng, 1, 4, 3), ("x",)), Node("b", Relu(), ("a",)),
        Node("c", AveragePool((2, 2), (1, 1)), ("b",)), Node("d", Flatten(), ("c",)),
        Node("e", _dense(rng, 16, 10), ("d",)),
    )  # fmt: skip
    x = digits(64)[:, :, 1:6, 1:6]
    made = Chip(plan(Graph(nodes, ("e",)), Design(), x))
    assert len(made.plan.stages[0].tiles) > 1
    check_circuit(made, x[:2], spice)


def test_a_tap_changed_by_a_percent_is_seen(spice: NgspiceSimulator) -> None:
    made = chip(every_kind(), sampled())
    stage = made.plan.stages[0]
    g = stage.tiles[0].g.copy()
    g[0, 0] *= 1.01
    other = replace(made.plan, stages=(replace(stage, tiles=(replace(stage.tiles[0], g=g), *stage.tiles[1:])),))
    before, after = Sampler(made.plan, Native()).probe(made.plan.input_volts(digits(3)), 5)["s0"]
    found = spice.run(stage_bench(other, other.stages[0], before)).volts
    assert np.abs(found - after).max() > 1e-6 * np.abs(after).max()
