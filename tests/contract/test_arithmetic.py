"""The digital activations: what the netlist's behavioural source says in ngspice is the network's own operation."""

import math

import numpy as np
import pytest

from ohmweave.bench import Bench
from ohmweave.blocks import DigitalActivation
from ohmweave.ops import Clip, HardSwish, Identity, LeakyRelu, Op, Relu, Sigmoid, Tanh
from ohmweave.simulate.ngspice import NgspiceSimulator

S_IN, S_OUT = 0.05, 0.02
KINDS: list[tuple[str, tuple[float, ...], Op]] = [
    ("through", (), Identity()),
    ("relu", (), Relu()),
    ("tanh", (), Tanh()),
    ("sigmoid", (), Sigmoid()),
    ("clip", (0.0, 6.0), Clip(0.0, 6.0)),
    ("clip", (-1.0, 1.0), Clip(-1.0, 1.0)),
    ("clip", (-math.inf, 1.0), Clip(-math.inf, 1.0)),
    ("clip", (-1.0, math.inf), Clip(-1.0, math.inf)),
    ("clip", (-math.inf, math.inf), Identity()),
    ("leaky_relu", (0.1,), LeakyRelu(0.1)),
    ("hard_swish", (), HardSwish()),
]


@pytest.mark.parametrize(("kind", "parameters", "op"), KINDS)
def test_the_source_is_the_operation(kind: str, parameters: tuple[float, ...], op: Op, spice: NgspiceSimulator) -> None:
    activation = DigitalActivation(kind, parameters, S_IN, S_OUT)
    x = np.linspace(-8.0, 8.0, 33)
    expected = S_OUT * op.forward(x)
    np.testing.assert_allclose(activation.respond(S_IN * x), expected, rtol=0, atol=1e-15)
    waves = spice.run(Bench(activation.cell("digital"), ("in",), S_IN * x[:, None], ("out",)))
    np.testing.assert_allclose(waves.volts[:, 0], expected, rtol=0, atol=1e-9 * np.abs(expected).max())
