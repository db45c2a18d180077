"""The activation of a chip whose sums are added in numbers: arithmetic, written out as a behavioural source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ohmweave.circuit import Behavioural, Cell, Instance, Resistor
from ohmweave.units import Array

__all__ = ["DigitalActivation"]

_Function = tuple[Callable[..., Array], Callable[..., str]]


def _gate(x: str) -> str:
    return f"min(max({x}/6+0.5,0),1)"


_FUNCTIONS: Mapping[str, _Function] = {
    "through": (lambda x: x, lambda x: x),
    "relu": (lambda x: np.maximum(x, 0.0), lambda x: f"max({x},0)"),
    "tanh": (np.tanh, lambda x: f"tanh({x})"),
    "sigmoid": (lambda x: 0.5 * (1.0 + np.tanh(0.5 * x)), lambda x: f"0.5*(1+tanh(0.5*{x}))"),
    "clip": (np.clip, lambda x, low, high: f"min(max({x},{low!r}),{high!r})"),
    "leaky_relu": (
        lambda x, slope: np.where(x >= 0.0, x, slope * x),
        lambda x, slope: f"(max({x},0)+{slope!r}*min({x},0))",
    ),
    "hard_swish": (lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0), lambda x: f"({x}*{_gate(x)})"),
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
        return np.asarray(self.s_out * _FUNCTIONS[self.kind][0](v / self.s_in, *self.parameters))

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
