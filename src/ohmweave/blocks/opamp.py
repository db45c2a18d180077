"""Op-amps: an ideal one and a finite one, in the same macro-model."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from ohmweave.circuit import Behavioural, Cell, CurrentSource, Instance, Resistor, Vccs, Vcvs
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, require

__all__ = ["BUFFER", "Finite", "Ideal", "SwingClamp"]

# The source in an op-amp that delivers its output; power is told from its current.
BUFFER = "buf"
_STAGE_OHM_PER_GAIN = 100.0
# A steeper or sharper clamp than these costs ngspice digits: its KLU refactorises without pivoting anew.
_CLAMP_SIEMENS = 10.0
_CORNER = 1e-6


@dataclass(frozen=True)
class SwingClamp:
    """The current that holds a gain stage between its limits.

    i(v) = s [pos(v - high) - pos(low - v)], pos(u) = (u + sqrt(u^2 + w^2)) / 2, w = 1 uV: zero
    between the limits, a resistance of 1/s beyond them, smooth at both corners. A characteristic
    whose slope grows outside the swing is one that Newton's method cannot be thrown out of, unlike
    a saturating tanh.

    Args:
        low: lower limit, V.
        high: upper limit, V.
        siemens: conductance s beyond the limits, S.
    """

    low: float
    high: float
    siemens: float

    @property
    def clamp(self) -> tuple[float, float, float, float]:
        """Low and high limit (V), s (S) and w (V), for engines that solve a clamp in closed form."""
        return self.low, self.high, self.siemens, _CORNER

    def value(self, x: Array) -> Array:
        """Clamp current in A at stage voltage ``x`` (V)."""
        return np.asarray(self.siemens * (_positive(x - self.high) - _positive(self.low - x)))

    def slope(self, x: Array) -> Array:
        """di/dv, S."""
        return np.asarray(self.siemens * (_positive_slope(x - self.high) + _positive_slope(self.low - x)))

    def expression(self, x: str) -> str:
        """The same in SPICE's words."""
        above, below = f"({x}-({self.high!r}))", f"(({self.low!r})-{x})"
        return f"{self.siemens!r}*({_positive_expression(above)}-{_positive_expression(below)})"


def _positive(u: Array) -> Array:
    # (u + sqrt(u^2 + w^2)) / 2 without the difference of nearly equal terms that it is for u < 0.
    size = np.abs(u)
    return np.asarray(0.5 * (u + size) + 0.5 * _CORNER**2 / (np.sqrt(u * u + _CORNER**2) + size))


def _positive_expression(u: str) -> str:
    return f"(0.5*({u}+abs({u}))+{0.5 * _CORNER**2!r}/(sqrt({u}*{u}+{_CORNER**2!r})+abs({u})))"


def _positive_slope(u: Array) -> Array:
    return np.asarray(0.5 * (1.0 + u / np.sqrt(u * u + _CORNER**2)))


@dataclass(frozen=True)
class _MacroModel:
    """A gain stage with limits, a buffer and an output resistance (after Boyle et al., IEEE JSSC 1974).

    x + R_x i_clamp(x) = A (v_p - v_n + V_os), v_out = x - R_o i_out. The stage's own resistance R_x
    grows with the gain: its currents then stay near those of the circuit around it, and a simulator's
    absolute tolerance means the same for both.
    """

    supplied: ClassVar[bool] = False

    @property
    def macro(self) -> tuple[float, float, float, float, float]:
        """Gain, output resistance (ohm), offset (V), low and high limit (V)."""
        raise AssertionError("every op-amp states its macro-model")

    def cell(self, name: str, low: float | None = None, high: float | None = None) -> Cell:
        """The circuit, ports p, n, out.

        Args:
            name: the cell's name.
            low: lower limit of the output, V; none, or one below the op-amp's own, is the op-amp's own.
            high: upper limit, V, likewise.

        Raises:
            DesignError: limits that leave nothing between them within the op-amp's own.
        """
        gain, r_out, offset, _, _ = self.macro
        clamp, r_stage = self._clamp(low, high), _STAGE_OHM_PER_GAIN * gain
        # The offset enters as a current of the stage: a source in series with the input would give the
        # matrix a zero pivot for every op-amp, which costs a sparse solver its ordering.
        parts = [Instance("os", CurrentSource(gain * offset / r_stage), ("0", "x"))] if offset else []
        parts += [
            Instance("a", Vccs(gain / r_stage), ("0", "x", "p", "n")),
            Instance("x", Resistor(r_stage), ("x", "0")),
            Instance("lim", Behavioural(clamp), ("x", "0", "x", "0")),
            Instance(BUFFER, Vcvs(1.0), ("y" if r_out else "out", "0", "x", "0")),
        ]
        if r_out:
            parts.append(Instance("o", Resistor(r_out), ("y", "out")))
        return Cell(
            name,
            ("p", "n", "out"),
            tuple(parts),
            note=f"op-amp, gain {gain:g}, output {r_out:g} ohm, {clamp.low:g} to {clamp.high:g} V",
        )

    def respond(self, e: Array, low: float | None = None, high: float | None = None) -> Array:
        """Open-circuit output in V for an input difference ``e`` = v_p - v_n (V); limits as in :meth:`cell`."""
        gain, _, offset, _, _ = self.macro
        clamp, r_stage = self._clamp(low, high), _STAGE_OHM_PER_GAIN * gain
        drive = gain * (e + offset)
        x = np.clip(drive, clamp.low, clamp.high)
        for _ in range(60):
            x = x - (x + r_stage * clamp.value(x) - drive) / (1.0 + r_stage * clamp.slope(x))
        return x

    def _clamp(self, low: float | None, high: float | None) -> SwingClamp:
        _, _, _, v_low, v_high = self.macro
        bottom = v_low if low is None else max(v_low, low)
        top = v_high if high is None else min(v_high, high)
        if not bottom < top:
            raise DesignError(
                f"expected output limits with a range between them within {v_low:g} V to {v_high:g} V, "
                f"found {v_low if low is None else low:g} V and {v_high if high is None else high:g} V",
                where="opamp",
                remedy="widen opamp.v_low and opamp.v_high, or use smaller signals",
            )
        return SwingClamp(bottom, top, _CLAMP_SIEMENS)


def _require_swing(v_low: float, v_high: float) -> None:
    if not -math.inf < v_low < 0.0 < v_high < math.inf:
        raise DesignError(
            f"expected v_low < 0 V < v_high, found {v_low:g} V and {v_high:g} V",
            where="opamp",
            remedy="give limits on both sides of ground",
        )


@dataclass(frozen=True)
class Finite(_MacroModel):
    """An op-amp with finite gain, output resistance, input offset and output swing.

    Args:
        gain: open-loop gain at DC.
        r_out: output resistance, ohm.
        offset: input offset voltage, V; the same in every op-amp of the chip.
        offset_spread: standard deviation of a further offset, drawn for each op-amp of a readout, V; some
            millivolts for small input pairs (Pelgrom, Duinmaijer and Welbers, IEEE JSSC 1989).
        v_low: lowest output, V.
        v_high: highest output, V.
        quiescent_power: drawn from the supply at rest, W; the default is that of an 8-transistor
            Miller op-amp at 1.1 V in a 45 nm technology.

    Raises:
        DesignError: a gain below 1, a negative resistance, limits that do not enclose 0 V.
    """

    gain: float = 1e4
    r_out: Annotated[float, Unit("ohm")] = 100.0
    offset: Annotated[float, Unit("V")] = 0.0
    offset_spread: Annotated[float, Unit("V")] = 0.0
    v_low: Annotated[float, Unit("V")] = -1.0
    v_high: Annotated[float, Unit("V")] = 1.0
    quiescent_power: Annotated[float, Unit("W")] = 50e-6

    def __post_init__(self) -> None:
        if not 1.0 <= self.gain < math.inf:
            raise DesignError(
                f"expected a gain of at least 1, found {self.gain:g}", where="opamp.gain", remedy="try gain = 1e4"
            )
        if not math.isfinite(self.offset):
            raise DesignError(f"expected a finite offset, found {self.offset}", where="opamp.offset")
        require("opamp.r_out", self.r_out, "ohm", "100 ohm", zero=True)
        require("opamp.offset_spread", self.offset_spread, "V", "0 V", zero=True)
        _require_swing(self.v_low, self.v_high)
        require("opamp.quiescent_power", self.quiescent_power, "W", "50 uW", zero=True)

    @property
    def macro(self) -> tuple[float, float, float, float, float]:
        """Gain, output resistance (ohm), offset (V), low and high limit (V)."""
        return self.gain, self.r_out, self.offset, self.v_low, self.v_high


@dataclass(frozen=True)
class Ideal(_MacroModel):
    """An op-amp with a gain of 1e8 and no output resistance, offset or quiescent power.

    Not infinite, because it is a circuit that SPICE has to solve. Its errors are near 1e-8 within the
    swing; a limit (the floor of a clamping ReLU) gives way by 1e-3 of the overdrive, as in any op-amp here.

    Args:
        v_low: lowest output, V.
        v_high: highest output, V.
    """

    v_low: Annotated[float, Unit("V")] = -10.0
    v_high: Annotated[float, Unit("V")] = 10.0
    quiescent_power: Annotated[float, Unit("W")] = 0.0
    offset_spread: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        _require_swing(self.v_low, self.v_high)
        require("opamp.quiescent_power", self.quiescent_power, "W", "0 W", zero=True)

    @property
    def macro(self) -> tuple[float, float, float, float, float]:
        """Gain, output resistance (ohm), offset (V), low and high limit (V)."""
        return 1e8, 0.0, 0.0, self.v_low, self.v_high
