"""Tanh and sigmoid by a differential pair in weak inversion."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from ohmweave.blocks.activation import Unlimited
from ohmweave.blocks.protocols import OpAmp
from ohmweave.circuit import Behavioural, Cell, Instance, Resistor
from ohmweave.units import Array, Unit, require

__all__ = ["AttenuatedPair", "SigmoidPair", "TanhPair"]

# The divider keeps a tenth of its length in series, and saturates no sooner than at four units.
_HEADROOM = 0.9
_LEAST_UNITS = 4.0


@dataclass(frozen=True)
class _PairCurrent:
    """i(v) = I_b [base + share tanh(v / V_n)]: the output current of a differential pair."""

    tail: float
    base: float
    share: float
    v_n: float

    def value(self, x: Array) -> Array:
        return np.asarray(self.tail * (self.base + self.share * np.tanh(x / self.v_n)))

    def slope(self, x: Array) -> Array:
        # 1 - tanh^2 rather than 1/cosh^2, which overflows far from balance.
        return np.asarray(self.tail * self.share / self.v_n * (1.0 - np.tanh(x / self.v_n) ** 2))

    def expression(self, x: str) -> str:
        return f"{self.tail!r}*({self.base!r}+{self.share!r}*tanh({x}/{self.v_n!r}))"


class AttenuatedPair(Unlimited):
    """A resistive attenuator, a differential pair and a transimpedance op-amp.

    In weak inversion the two drain currents of a pair with tail current I_b differ by
    I_b tanh(v / (2 n V_T)) and each one is I_b (1 + tanh) / 2 (Mead, Analog VLSI and Neural Systems,
    1989; 2 n V_T = 72.4 mV at n = 1.4, 27 degrees Celsius). The attenuator
    brings a unit of the network to the pair's own voltage, R_L = s_out / I_b sets the output scale.
    """

    inverting: ClassVar[bool] = False
    opamps: ClassVar[int] = 1
    # v_out = s_out [base + share tanh(steepness v / s_in)]
    steepness: ClassVar[float]
    base: ClassVar[float]
    share: ClassVar[float]
    attenuator: float

    @property
    def amps(self) -> float:
        """I_b, A."""
        raise AssertionError("every pair states its tail current")

    @property
    def volts(self) -> float:
        """V_n = 2 n V_T, V."""
        raise AssertionError("every pair states its voltage")

    def pair(self, name: str) -> Instance:
        """The pair, from the divider's net ``a`` to the summing node ``n``; a cell of it is called ``name``."""
        raise AssertionError("every pair has a circuit")

    def input_scale(self, y_max: float, s_out: float, swing: float) -> float:
        """V per unit of the pre-activation, so that ``y_max`` units reach the ``swing`` given, V.

        Room is kept for a few units even where calibration has less, since new samples will have more;
        and at least what the attenuator, which cannot amplify, needs is given: beyond the swing the
        function is saturated already.
        """
        return max(swing / max(y_max, _LEAST_UNITS), self.volts * self.steepness / _HEADROOM)

    def cell(self, name: str, opamp: OpAmp, s_in: float, s_out: float) -> Cell | None:
        """The circuit, ports in, out; scales in V per unit."""
        ratio = self.volts * self.steepness / s_in
        parts = (
            Instance("a1", Resistor(self.attenuator * (1.0 - ratio)), ("in", "a")),
            Instance("a2", Resistor(self.attenuator * ratio), ("a", "0")),
            self.pair(f"{name}_pair"),
            Instance("op1", opamp.cell(f"{name}_opamp"), ("0", "n", "out")),
            Instance("l", Resistor(s_out / self.amps), ("n", "out")),
        )
        return Cell(name, ("in", "out"), parts, note=f"differential pair, {s_in:.6g} V to {s_out:.6g} V a unit")

    def respond(self, v: Array, s_in: float, s_out: float) -> Array:
        """s_out [base + share tanh(steepness v / s_in)], V."""
        return np.asarray(s_out * (self.base + self.share * np.tanh(self.steepness * v / s_in)))


@dataclass(frozen=True)
class _Pair(AttenuatedPair):
    """The pair as a source of its current, from its equation.

    Args:
        tail_current: I_b, A.
        pair_voltage: 2 n V_T, V.
        attenuator: total resistance of the divider, ohm.
    """

    tail_current: Annotated[float, Unit("A")] = 10e-6
    pair_voltage: Annotated[float, Unit("V")] = 0.0724
    attenuator: Annotated[float, Unit("ohm")] = 100e3

    def __post_init__(self) -> None:
        section = type(self).__name__.removesuffix("Pair").lower()
        require(f"{section}.tail_current", self.tail_current, "A", "10 uA")
        require(f"{section}.pair_voltage", self.pair_voltage, "V", "72.4 mV")
        require(f"{section}.attenuator", self.attenuator, "ohm", "100 kohm")

    @property
    def amps(self) -> float:
        """I_b, A."""
        return self.tail_current

    @property
    def volts(self) -> float:
        """2 n V_T, V."""
        return self.pair_voltage

    def quiescent_power(self, supply: float) -> float:
        """The tail current from rail to rail, I_b supply, W."""
        return self.tail_current * supply

    def pair(self, name: str) -> Instance:
        """The source of its current."""
        law = _PairCurrent(self.tail_current, self.base, self.share, self.pair_voltage)
        return Instance("pair", Behavioural(law), ("n", "0", "a", "0"))


@dataclass(frozen=True)
class TanhPair(_Pair):
    """v_out = s_out tanh(v_in / s_in): the difference of the pair's currents."""

    steepness: ClassVar[float] = 1.0
    base: ClassVar[float] = 0.0
    share: ClassVar[float] = 1.0


@dataclass(frozen=True)
class SigmoidPair(_Pair):
    """v_out = s_out / (1 + exp(-v_in / s_in)): one of the pair's currents."""

    steepness: ClassVar[float] = 0.5
    base: ClassVar[float] = 0.5
    share: ClassVar[float] = 0.5
