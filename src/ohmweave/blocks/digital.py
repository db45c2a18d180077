"""The activation of a chip whose sums are added in numbers: arithmetic, written out as a behavioural source."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ohmweave.circuit import Behavioural, Cell, Instance, Resistor
from ohmweave.ops import Clip, HardSwish, Identity, LeakyRelu, Relu, Sigmoid, Tanh
from ohmweave.units import Array

__all__ = ["DigitalActivation"]

_Words = Callable[..., str]


def _within(x: str, low: float, high: float) -> str:
    """x between two limits, of which either may be infinite: SPICE has no word for that."""
    above = f"max({x},{low!r})" if math.isfinite(low) else x
    return f"min({above},{high!r})" if math.isfinite(high) else above


# The network's own operation of each activation, and the same in SPICE's words.
_FUNCTIONS: Mapping[str, tuple[type[Any], _Words]] = {
    "through": (Identity, lambda x: x),
    "relu": (Relu, lambda x: f"max({x},0)"),
    "tanh": (Tanh, lambda x: f"tanh({x})"),
    "sigmoid": (Sigmoid, lambda x: f"0.5*(1+tanh(0.5*{x}))"),
    "clip": (Clip, _within),
    "leaky_relu": (LeakyRelu, lambda x, slope: f"(max({x},0)+{slope!r}*min({x},0))"),
    "hard_swish": (HardSwish, lambda x: f"({x}*min(max({x}/6+0.5,0),1))"),
}


@dataclass(frozen=True)
class DigitalActivation:
    """v_out = s_out f(v_in / s_in), what arithmetic makes of converted values.

    Exact: the numbers are taken to be wide enough that only the converters round. It is no circuit to
    build but stands in the netlist for the digital part, so that another simulator computes the whole stage.

    Args:
        kind: name of the activation, or ``"through"``.
        parameters: its parameters, network units.
        s_in: V per unit at the input.
        s_out: V per unit at the output.
    """

    kind: str
    parameters: tuple[float, ...]
    s_in: float
    s_out: float

    def respond(self, v: Array) -> Array:
        """The output in V for an input ``v`` (V)."""
        operation = _FUNCTIONS[self.kind][0](*self.parameters)
        return np.asarray(self.s_out * operation.forward(v / self.s_in))

    def value(self, x: Array) -> Array:
        """The current into one ohm that is the output, A."""
        return self.respond(x)

    def slope(self, x: Array) -> Array:
        """Its derivative, from both sides of a small step, S."""
        step = 1e-6 * self.s_in
        return (self.respond(x + step) - self.respond(x - step)) / (2.0 * step)

    def expression(self, x: str) -> str:
        """The same in SPICE's words."""
        return f"{self.s_out!r}*{_FUNCTIONS[self.kind][1](f'({x}/{self.s_in!r})', *self.parameters)}"

    def cell(self, name: str) -> Cell:
        """Ports in, out: a behavioural source into one ohm."""
        parts = (
            Instance("f", Behavioural(self), ("0", "out", "in", "0")),
            Instance("one", Resistor(1.0), ("out", "0")),
        )
        return Cell(name, ("in", "out"), parts, note=f"arithmetic, {self.kind}")
