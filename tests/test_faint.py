"""Samples too faint to bring any clamp near its limits are answered by one product, to the tolerance asked for."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.bench import Bench
from ohmweave.blocks import Finite, PrecisionRectifier
from ohmweave.chip import Chip
from ohmweave.design import Design
from ohmweave.graph import Graph, Input, Linear, Node, Relu
from ohmweave.mapping import plan
from ohmweave.simulate.elaborate import elaborate
from ohmweave.simulate.elements import Elements
from ohmweave.simulate.faint import Faint
from ohmweave.simulate.linear import LinearResponse, respond
from ohmweave.simulate.native import Native
from ohmweave.simulate.processor import processor
from ohmweave.simulate.reduction import reduce_array
from ohmweave.units import Array

_RNG = np.random.default_rng(5)
X = _RNG.uniform(0.0, 1.0, (40, 6))


def bench(design: Design, *layers: Node) -> Bench:
    """A 6-4 layer, with more behind it where given, at 40 samples; only the outputs are watched."""
    weights = Linear(np.random.default_rng(6).normal(size=(4, 6)), np.full(4, 0.3))
    nodes = (Node("x", Input((6,))), Node("fc", weights, ("x",)), *layers)
    whole = Chip(plan(Graph(nodes, (nodes[-1].name,)), design, X)).bench(X)
    return replace(whole, sources=(), input_amps=False)


def parts(given_bench: Bench) -> tuple[Elements, LinearResponse]:
    flat = elaborate(given_bench.cell)
    response = respond(flat, given_bench, [reduce_array(each.crossbar).admittance for each in flat.crossbars], [])
    return Elements([(law, len(pairs)) for law, pairs in flat.laws.items()]), response


def faint(given_bench: Bench, tolerance: float) -> Faint:
    elements, response = parts(given_bench)
    options: dict[str, Any] = {"precision": "float64", "tolerance": tolerance}
    return Faint(elements, response.controls, response.watched, processor(None, 1.0), **options)


OFFSET = bench(Design(opamp=Finite(offset=1e-3)))
FAINT = {tolerance: faint(OFFSET, tolerance) for tolerance in (1e-9, 1e-7)}


@settings(deadline=None)
@given(st.sampled_from([1e-9, 1e-7]), st.floats(0.05, 0.999), st.integers(0, 2**31))
def test_what_is_faint_is_answered_to_the_tolerance(tolerance: float, share: float, seed: int) -> None:
    one, answers = OFFSET, FAINT[tolerance]
    assert answers.reach > 0.0
    u = np.random.default_rng(seed).uniform(0.0, 1.0, (8, 6))
    u *= share * answers.reach / np.linalg.norm(u, axis=1, keepdims=True)
    assert answers.is_faint(u).all()
    exact = Native(tolerance=1e-13).run(replace(one, volts=u)).volts
    np.testing.assert_allclose(answers.solve(u)[:, : exact.shape[1]], exact, rtol=0, atol=1.01 * tolerance + 1e-14)


def test_a_looser_tolerance_reaches_further_but_never_to_a_limit() -> None:
    one = bench(Design())
    reaches = [faint(one, tolerance).reach for tolerance in (1e-10, 1e-8, 1e-6, 1.0)]
    assert reaches == sorted(reaches)
    elements, response = parts(one)
    worst = np.abs(response.controls.constant) + np.linalg.norm(response.controls.to_drives, axis=1) * reaches[-1]
    assert np.all(worst <= 0.97 * elements.clamps[1] * (1 + 1e-12))


def test_louder_samples_and_what_is_no_number_are_not_faint() -> None:
    answers = faint(bench(Design()), 1e-7)
    u: Array = np.zeros((3, 6))
    u[0, 0], u[1, 0], u[2, 3] = 0.99 * answers.reach, 1.01 * answers.reach, np.nan
    assert answers.is_faint(u).tolist() == [True, False, False]


def test_junctions_are_left_to_the_sweeps() -> None:
    answers = faint(bench(Design(relu=PrecisionRectifier()), Node("act", Relu(), ("fc",))), 1e-7)
    assert answers.reach == 0.0
    assert not answers.is_faint(np.zeros((2, 6))).any()
