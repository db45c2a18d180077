"""Converters between stages: an ideal quantiser, or a sample-and-hold."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ohmweave.circuit import Behavioural, Cell, Instance, Resistor, Vcvs
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, require

__all__ = ["Converter"]

_MOST_BITS = 24
# What is converted at once, so that every pass over it stays in the processor's cache.
_BLOCK = 1 << 16


@dataclass(frozen=True)
class _Staircase:
    """y = low + step min(max(floor(x / step + 1/2 - low / step), 0), top); the current in A of a voltage in V."""

    low: float
    step: float
    top: float

    @property
    def shift(self) -> float:
        return 0.5 - self.low / self.step

    def value(self, x: Array) -> Array:
        return self.apply(x, np.empty_like(x))

    def slope(self, x: Array) -> Array:
        return np.zeros_like(x)

    def expression(self, x: str) -> str:
        code = f"min(max(floor({x}*{1.0 / self.step!r}+({self.shift!r})),0),{self.top!r})"
        return f"({self.low!r})+{self.step!r}*{code}"

    def apply(self, x: Array, out: Array) -> Array:
        """The same into ``out``, which may be ``x``."""
        np.multiply(x, 1.0 / self.step, out=out)
        out += self.shift
        np.floor(out, out=out)
        np.maximum(out, 0.0, out=out)
        np.minimum(out, self.top, out=out)
        out *= self.step
        out += self.low
        return out


@dataclass(frozen=True)
class Converter:
    """An ideal analog-to-digital converter with its digital-to-analog one behind it.

    code = floor((v - low) / step + 1/2), held within 0 .. 2^bits - 1, step = (high - low) / (2^bits - 1),
    v_out = low + step code. Exactly halfway between two levels it is the upper one, as SPICE's floor has it;
    there the rounding of a double decides. With ``bits`` = 0 the voltage stays analog: a sample-and-hold
    follower, v_out = v, and low and high mean nothing.

    Args:
        bits: resolution; 0 is analog.
        low: voltage of code 0, V.
        high: voltage of the last code, V.
        step_energy: energy of a conversion for each of its 2^bits levels (Walden's figure of merit), J; the default
            is 4.4 fJ of van Elzakker et al., A 1.9 uW 4.4 fJ/conversion-step 10b 1 MS/s charge-redistribution
            ADC, ISSCC 2008.

    Raises:
        DesignError: bits that are not 0 to 24, a range without width.
    """

    bits: int
    low: Annotated[float, Unit("V")]
    high: Annotated[float, Unit("V")]
    step_energy: Annotated[float, Unit("J")] = 4.4e-15

    def __post_init__(self) -> None:
        if not 0 <= self.bits <= _MOST_BITS:
            raise DesignError(
                f"expected 0 (analog) to {_MOST_BITS} bits, found {self.bits}",
                where="converter.bits",
                remedy="try bits = 8",
            )
        if self.bits and not -math.inf < self.low < self.high < math.inf:
            raise DesignError(
                f"expected low < high, found {self.low:g} V and {self.high:g} V",
                where="converter",
                remedy="give a range, lower end first",
            )
        require("converter.step_energy", self.step_energy, "J", "4.4 fJ", zero=True)

    @property
    def step(self) -> float:
        """Distance of neighbouring levels, V; 0 where there are none."""
        return (self.high - self.low) / (2**self.bits - 1) if self.bits else 0.0

    def energy(self) -> float:
        """Energy of one conversion, 2^bits times the figure of merit, J; 0 for a sample-and-hold.

        Source: Walden, Analog-to-digital converter survey and analysis, IEEE JSAC 1999.
        """
        return self.step_energy * 2**self.bits if self.bits else 0.0

    def cell(self, name: str) -> Cell:
        """The circuit, ports in, out: the staircase as a current into 1 ohm, and a follower."""
        if not self.bits:
            follower = Instance("hold", Vcvs(1.0), ("out", "0", "in", "0"))
            return Cell(name, ("in", "out"), (follower,), note="sample-and-hold")
        parts = (
            Instance("q", Behavioural(self._staircase), ("0", "q", "in", "0")),
            Instance("r", Resistor(1.0), ("q", "0")),
            Instance("hold", Vcvs(1.0), ("out", "0", "q", "0")),
        )
        note = f"converter, {self.bits} bits, {self.low:.6g} to {self.high:.6g} V"
        return Cell(name, ("in", "out"), parts, note=note)

    def respond(self, v: Array, out: Array | None = None) -> Array:
        """The converted voltages, V.

        Args:
            v: any shape, V.
            out: takes the answer where it is given, may be ``v`` itself; of the same shape.
        """
        if out is None:
            out = np.empty_like(v)
        if not self.bits:
            np.copyto(out, v)
        elif v.flags.c_contiguous and out.flags.c_contiguous:
            given, taken = v.reshape(-1), out.reshape(-1)
            for first in range(0, v.size, _BLOCK):
                block = slice(first, first + _BLOCK)
                self._staircase.apply(given[block], taken[block])
        else:
            self._staircase.apply(v, out)
        return out

    @property
    def _staircase(self) -> _Staircase:
        return _Staircase(self.low, self.step, 2.0**self.bits - 1.0)
