"""Measured curves as laws, and the macro-model that an op-amp's curves make."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import ClassVar

import numpy as np

from ohmweave.circuit import Behavioural, Cell, CurrentSource, Instance, Resistor, Vccs, VoltageSource
from ohmweave.units import Array

__all__ = ["Bends", "OpAmpCurves", "Points", "SupplyCurrents"]

Points = tuple[tuple[float, float], ...]

# What a stage's voltage is of the output current, ohm: some tenths of a volt, as in the circuit around it.
_STAGE_OHM = 500.0
_STAGE_OHM_PER_GAIN = 100.0
# Share of the distance to the nearer neighbour over which a corner is rounded.
_ROUNDING = 0.25
# Beyond a supply the output goes no further than this at its largest current, V.
_GIVE = 5e-3
_BEYOND = 1.1
_BISECTIONS = 60


@dataclass(frozen=True)
class Bends:
    """A straight line from point to point with rounded corners, extended by its first and last slope.

    i(x) = y_0 + s_0 (x - x_0) + sum_k (s_k - s_k-1) pos_k(x - x_k), s_k the slope behind point k,

        pos_k(u) = 0 for u < -w_k,   (u + w_k)^2 / (4 w_k) up to w_k,   u beyond,

    w_k a share of the distance to its nearer neighbour: a corner is felt nowhere else. An op-amp's curves lean on
    each other so that engines solve them together.

    Args:
        points: x (V) in rising order, and i (A) there; at least two.

    Raises:
        ValueError: fewer than two points, or an x that does not rise.
    """

    points: Points
    together: ClassVar[bool] = True

    def __post_init__(self) -> None:
        x = [point[0] for point in self.points]
        if len(x) < 2 or not all(left < right for left, right in pairwise(x)):
            raise ValueError(f"expected at least two points at rising voltages, found {x}")

    @cached_property
    def _line(self) -> tuple[float, float, float]:
        """First point (V, A) and slope (S)."""
        (x_0, y_0), (x_1, y_1) = self.points[:2]
        return x_0, y_0, (y_1 - y_0) / (x_1 - x_0)

    @cached_property
    def _corners(self) -> tuple[tuple[float, float, float], ...]:
        """Place (V), change of slope (S) and half width (V) of each corner."""
        x, y = np.array(self.points).T
        slopes, gaps = np.diff(y) / np.diff(x), np.diff(x)
        widths = _ROUNDING * np.minimum(gaps[:-1], gaps[1:])
        return tuple(zip(x[1:-1].tolist(), np.diff(slopes).tolist(), widths.tolist(), strict=True))

    @cached_property
    def _pieces(self) -> Array:
        """Beginning (V), current (A), slope (S) and half curvature (S/V) there of each piece, [4, pieces]."""
        x_0, y_0, slope = self._line
        pieces = [(x_0, y_0, slope, 0.0)]
        for place, change, width in self._corners:
            for x, bend in ((place - width, 0.25 * change / width), (place + width, 0.0)):
                begun, current, slope, curvature = pieces[-1]
                step = x - begun
                current += step * (slope + step * curvature)
                pieces.append((x, current, slope + 2.0 * step * curvature, bend))
        return np.array(pieces).T

    def _piece(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """How far each voltage is into its piece, and the piece's current, slope and half curvature."""
        begins, currents, slopes, curvatures = self._pieces
        # Before the first point the first piece goes on.
        index = np.maximum(np.searchsorted(begins, x, side="right") - 1, 0)
        return x - begins[index], currents[index], slopes[index], curvatures[index]

    def value(self, x: Array) -> Array:
        """Current in A at voltage ``x`` (V)."""
        u, current, slope, curvature = self._piece(x)
        return np.asarray(current + u * (slope + u * curvature))

    def slope(self, x: Array) -> Array:
        """di/dv in S."""
        u, _, slope, curvature = self._piece(x)
        return np.asarray(slope + 2.0 * u * curvature)

    def expression(self, x: str) -> str:
        """The same in SPICE's words."""
        x_0, y_0, s_0 = self._line
        terms = [f"{y_0!r}+({s_0!r})*({x}-({x_0!r}))"]
        for place, change, width in self._corners:
            left, right = f"abs({x}-({place - width!r}))", f"({x}-({place + width!r}))"
            # |u + w| - |u - w| is twice what u is within -w and w.
            near = f"(0.5*({left}-abs({right}))+{width!r})"
            terms.append(f"({change!r})*({near}*{near}/{4.0 * width!r}+0.5*({right}+abs({right})))")
        return "+".join(terms)


@dataclass(frozen=True)
class SupplyCurrents:
    """What an op-amp draws from its supplies at rest, A: by itself, and with what keeps its output above a limit."""

    alone: float
    limited: float


@dataclass(frozen=True)
class OpAmpCurves:
    """An op-amp's DC behaviour as measured curves, and the circuit of sources that has it.

    The output current is that of the driver less what the output's own voltage takes,

        i_out = F(e) - H(v_out) + C(v_out - v_limit),   e = v_p - v_n,

    F measured with the output held at 0 V, H at the input e_0 where F is zero, C, the current of the circuit that
    keeps the output above a limit, with the output stage switched off, and with its steepest slope kept beyond. For
    engines F is turned inside out, because Newton's method is thrown about by what saturates: a stage's voltage
    x = R_s F(e), R_s = 500 ohm, settles where

        x / R_x + r(x) = g (e - e_0),   g R_x = R_s A / R_o,

    r growing steeply where F saturates (the form of the macro-model of Boyle et al., IEEE JSSC 1974, with measured
    curves for its limits). 1 / R_o and A / R_o are the slopes of H and F at rest.

    Into the lower supply flows i_SS, from the upper one by Kirchhoff's current law i_SS + i_out,

        i_SS = I + D(F) + L(v_out) + E(v_out - v_limit),

    I what does at rest, D measured as F is, L as H, and E, what the circuit that keeps the output draws besides what it
    gives, as C.

    Args:
        supplies: V_SS and V_DD, V.
        rest: e_0, V.
        gain: A.
        r_out: R_o, ohm.
        drive: points (e - e_0, F), V and A.
        load: points (v_out, H), V and A.
        floor: points (v_out - v_limit, C), V and A; none where nothing can hold the output.
        currents: what it draws at rest.
        sunk: points (F, D), A; none where hardly more flows than at rest, whatever the output gives or sinks.
        lower: points (v_out, L), V and A; none in figures of older versions, whose output's own voltage takes current
            from the upper supply and ground.
        held: points (v_out - v_limit, E), V and A; none where nothing can hold the output, and in older figures.
    """

    supplies: tuple[float, float]
    rest: float
    gain: float
    r_out: float
    drive: Points
    load: Points
    floor: Points
    currents: SupplyCurrents
    sunk: Points = ()
    lower: Points = ()
    held: Points = ()

    @cached_property
    def stage(self) -> Bends:
        """r, the current beyond the stage's resistor at the stage's voltage."""
        return Bends(
            tuple((_STAGE_OHM * i, (self.stage_gain * e - _STAGE_OHM * i) / self.stage_ohm) for e, i in self.drive)
        )

    @property
    def stage_gain(self) -> float:
        """g R_x, from e to x at rest."""
        return self.gain * _STAGE_OHM / self.r_out

    @property
    def stage_ohm(self) -> float:
        """R_x, ohm: it grows with the gain, so that the stage's currents stay near those of the circuit."""
        return _STAGE_OHM_PER_GAIN * self.stage_gain

    @cached_property
    def output(self) -> Bends:
        """H less the output resistance's current; beyond the supplies it takes all that the driver has."""
        # An input transistor at the output takes more there than the driver has.
        least = min(2.0 * self.drive[0][1], _BEYOND * self.load[0][1])
        most = max(2.0 * self.drive[-1][1], _BEYOND * self.load[-1][1])
        ends = (self.supplies[0] - _GIVE, least), (self.supplies[1] + _GIVE, most)
        points = (ends[0], *self.load, ends[1])
        return Bends(tuple((v, i - v / self.r_out) for v, i in points))

    def holding(self, limit: float) -> Bends:
        """C for an output limit, V."""
        return _shifted(self.floor, limit)

    def cell(self, name: str, low: float | None) -> Cell:
        """The circuit, ports p, n, out; ``low`` is the limit above which the output is held, V, or none."""
        drawn = self.currents.alone if low is None else self.currents.limited
        parts = [
            Instance("vdd", VoltageSource(self.supplies[1]), ("vdd", "0")),
            Instance("vss", VoltageSource(self.supplies[0]), ("vss", "0")),
            Instance("rest", CurrentSource(drawn), ("vdd", "vss")),
            Instance("os", CurrentSource(self.stage_gain * self.rest / self.stage_ohm), ("x", "0")),
            Instance("a", Vccs(self.stage_gain / self.stage_ohm), ("0", "x", "p", "n")),
            Instance("x", Resistor(self.stage_ohm), ("x", "0")),
            Instance("lim", Behavioural(self.stage), ("x", "0", "x", "0")),
            Instance("drv", Vccs(1.0 / _STAGE_OHM), ("vdd", "out", "x", "0")),
            Instance("o", Resistor(self.r_out), ("out", "0")),
            Instance("load", Behavioural(self.output), ("out", "vdd", "out", "0")),
        ]
        parts += self._between_supplies(low)
        if low is not None:
            parts.append(Instance("hold", Behavioural(self.holding(low)), ("vdd", "out", "out", "0")))
        note = f"macro-model of measured curves, gain {self.gain:.6g}, output {self.r_out:.6g} ohm"
        return Cell(name, ("p", "n", "out"), tuple(parts), note=note)

    def _between_supplies(self, low: float | None) -> Iterator[Instance]:
        """What brings the supplies' currents to those measured; it moves no voltage."""
        if self.sunk:
            through = Bends(tuple((_STAGE_OHM * i, drawn) for i, drawn in self.sunk))
            yield Instance("sink", Behavioural(through), ("vdd", "vss", "x", "0"))
        if self.lower:
            # The output resistor's current is the upper supply's, as all of H is, and L then the lower one's.
            yield Instance("back", Vccs(1.0 / self.r_out), ("0", "vdd", "out", "0"))
            yield Instance("low", Behavioural(Bends(self.lower)), ("vdd", "vss", "out", "0"))
        if low is not None and self.held:
            yield Instance("held", Behavioural(_shifted(self.held, low)), ("vdd", "vss", "out", "0"))

    def respond(self, e: Array, low: float | None) -> Array:
        """Open-circuit output in V for an input difference ``e`` (V)."""
        ends = _STAGE_OHM * 2.0 * self.drive[0][1], _STAGE_OHM * 2.0 * self.drive[-1][1]
        x = _solve(lambda x: x + self.stage_ohm * self.stage.value(x), self.stage_gain * (e - self.rest), ends)

        def taken(v: Array) -> Array:
            held = 0.0 if low is None else self.holding(low).value(v)
            return np.asarray(v / self.r_out + self.output.value(v) - held)

        return _solve(taken, x / _STAGE_OHM, (2.0 * self.supplies[0], 2.0 * self.supplies[1]))


def _shifted(points: Points, by: float) -> Bends:
    return Bends(tuple((v + by, i) for v, i in points))


def _solve(function: Callable[[Array], Array], wanted: Array, ends: tuple[float, float]) -> Array:
    """Where a rising function has the values wanted, by bisection."""
    low, high = np.full(np.shape(wanted), ends[0]), np.full(np.shape(wanted), ends[1])
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        below = function(middle) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray(0.5 * (low + high))
