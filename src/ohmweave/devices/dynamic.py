"""What the models with a state have in common: their walls, their series resistor, both faces of both laws.

A model says how its state sets the conductance, i = G(x) f(u), and how voltage and current move it,
dx/dt = drift(u, i, x), each as arithmetic and as text. Everything else is here.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.random import Generator

from ohmweave.circuit import Behavioural, Capacitor, Cell, Clock, Instance, Resistor, Surface
from ohmweave.devices.conductance import check_levels, nearest_level
from ohmweave.devices.curve import Curve, ScaledCurve, conductance_expression
from ohmweave.devices.pulses import Pulses
from ohmweave.units import Array, Unit, require

__all__ = ["Dynamic"]

# A state of 1 V on a nanofarad: rates from one to 1e9 a second are then nanoamperes to amperes.
_FARADS = 1e-9
# What holds a state at DC: fast motion then displaces it by 1e-9 of its range.
_HOLD = 1e9
_WALL = 1e-3


@dataclass(frozen=True)
class _Flow:
    """G(x) f(u) of the model at voltage u and state x."""

    model: "Dynamic"

    def expression(self, x: str, y: str) -> str:
        """The current of the texts ``x`` (voltage) and ``y`` (state)."""
        return self.model.flow_expression(x, y)


@dataclass(frozen=True)
class _Motion:
    """C dx/dt: what charges the state's capacitor."""

    model: "Dynamic"

    def expression(self, x: str, y: str) -> str:
        """The charging current of the texts ``x`` (voltage) and ``y`` (state)."""
        model = self.model
        (low, high), reach = model.bounds, _WALL * (model.bounds[1] - model.bounds[0])
        rising, falling = f"min(1,({high!r}-{y})/{reach!r})", f"min(1,({y}-{low!r})/{reach!r})"
        ahead, behind = (rising, falling) if model.forward else (falling, rising)
        drift = model.drift_expression(x, f"({model.flow_expression(x, y)})", model.clipped_expression(y))
        return f"{_FARADS!r}*({drift})*(({x}>0)?{ahead}:{behind})"


@dataclass(frozen=True)
class _Hold:
    """What holds the state where g puts it until time goes by."""

    model: "Dynamic"

    def expression(self, x: str, y: str) -> str:
        """The charging current of the texts ``x`` (clock) and ``y`` (state)."""
        start = self.model.state_expression(f"({conductance_expression(self.model.r_series)})")
        return f"(({x}>0)?0.0:({_HOLD!r}*({start}-{y})))"


@dataclass(frozen=True)
class Dynamic(ABC):
    """A memristor whose state x moves: i = G(x) f(u), dx/dt = drift(u, i, x) wall(x), v = u + r_series i.

    The wall is what every published model needs at the ends of its state's range, and where windows differ: it is
    1, and falls to 0 in a straight line over the last thousandth of the range before the end that the state moves to.

    Args:
        r_series: resistor in series (the on resistance of a 1T1R cell's transistor, or a compliance), ohm.
        levels: number of evenly spaced conductances that programming reaches; 0 is analog.

    Raises:
        DesignError: a negative resistor, a single level.
    """

    r_series: Annotated[float, Unit("ohm")] = 0.0
    levels: int = 0

    def __post_init__(self) -> None:
        require("device.r_series", self.r_series, "ohm", "1 kohm", zero=True)
        check_levels(self.levels)
        self.check()

    @abstractmethod
    def check(self) -> None:
        """Refuse impossible parameters by a DesignError."""

    @property
    @abstractmethod
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest state."""

    @property
    @abstractmethod
    def forward(self) -> bool:
        """Whether positive voltage raises the state."""

    @property
    @abstractmethod
    def curve(self) -> Curve:
        """The read curve f."""

    @property
    @abstractmethod
    def pulses(self) -> Pulses:
        """Programming pulses that suit the model."""

    @abstractmethod
    def own_conductance(self, x: Array) -> Array:
        """G(x) without the series resistor, S."""

    @abstractmethod
    def own_state(self, g: Array) -> Array:
        """The x of G(x) = ``g`` (S)."""

    @abstractmethod
    def drift(self, u: Array, i: Array, x: Array) -> Array:
        """dx/dt in 1/s away from the walls; ``u`` is the voltage across the device (V), ``i`` its current (A)."""

    @abstractmethod
    def conductance_expression(self, x: str) -> str:
        """G of the text ``x``."""

    @abstractmethod
    def state_expression(self, g: str) -> str:
        """The x of G(x) = g, of the text ``g``."""

    @abstractmethod
    def drift_expression(self, u: str, i: str, x: str) -> str:
        """The drift of the texts of voltage, current and state."""

    @property
    def g_range(self) -> tuple[float, float]:
        """Lowest and highest conductance at small voltages, the series resistor included, S."""
        ends = self.conductance(np.array(self.bounds))
        return float(ends.min()), float(ends.max())

    def program(self, target: Array, rng: Generator) -> Array:
        """Round each target (S) to the nearest level; analog devices reach it exactly.

        What pulse trains reach is :func:`ohmweave.devices.programming.program_by_pulses`.
        """
        return nearest_level(target, self.g_range, self.levels)

    def conductance(self, x: Array) -> Array:
        """Conductance at small voltages in S at state ``x``, the series resistor included."""
        own = self.own_conductance(np.clip(x, *self.bounds))
        return np.asarray(own / (1.0 + self.r_series * own))

    def state(self, g: Array) -> Array:
        """The state whose conductance at small voltages is ``g`` (S), the series resistor included."""
        return np.clip(self.own_state(self._own(g)), *self.bounds)

    def current(self, v: Array, g: Array) -> Array:
        """Current in A at voltage ``v`` (V) and conductance ``g`` (S) at small voltages, the state at rest."""
        if self.curve.straight:
            return np.asarray(g * v)
        own = self._own(g)
        return np.asarray(own * self.curve.value(self._across(v, own)))

    def slope(self, v: Array, g: Array) -> Array:
        """di/dv in S, the state at rest."""
        if self.curve.straight:
            return np.broadcast_arrays(g, v)[0]
        own = self._own(g)
        own = own * self.curve.slope(self._across(v, own))
        return np.asarray(own / (1.0 + self.r_series * own) if self.r_series else own)

    def flow(self, v: Array, x: Array) -> Array:
        """Current in A at voltage ``v`` (V) and state ``x``."""
        return self.current(v, self.conductance(x))

    def rate(self, v: Array, x: Array) -> Array:
        """dx/dt in states a second at voltage ``v`` (V) and state ``x``, walls included."""
        (low, high), inside = self.bounds, np.clip(x, *self.bounds)
        own = self.own_conductance(inside)
        u = self._across(v, own)
        room = np.where((u > 0.0) == self.forward, high - x, x - low) / (_WALL * (high - low))
        return np.asarray(self.drift(u, own * self.curve.value(u), inside) * np.minimum(1.0, room))

    def _own(self, g: Array) -> Array:
        """G of the device itself where it and its resistor have ``g`` together, S."""
        return np.asarray(g / (1.0 - self.r_series * g)) if self.r_series else g

    def _across(self, v: Array, own: Array) -> Array:
        """Voltage across the device itself, V."""
        return self.curve.behind(self.r_series, v, own) if self.r_series else v

    def cell(self) -> Cell | None:
        """The read face, the state at rest: g f(v), and the series resistor where there is one."""
        if self.curve.straight:
            return None
        inner = "q" if self.r_series else "p"
        source = Instance("b1", Behavioural(ScaledCurve(self.curve, self.r_series)), (inner, "n", inner, "n"))
        return Cell(
            f"memristor_{type(self).__name__.lower()}",
            ("p", "n"),
            (*self._resistor(), source),
            {"g": self.g_range[0]},
            self,
            "i = g v0 sinh(v/v0), the state at rest",
        )

    def dynamic_cell(self) -> Cell:
        """The whole device: the current through it, and its state as the voltage of the net x.

        At DC, and at 0 s of a transient, the state is where the parameter g puts it; from then on it moves.
        """
        inner = "q" if self.r_series else "p"
        parts = (
            *self._resistor(),
            Instance("flow", Surface(_Flow(self)), (inner, "n", inner, "n", "x", "0")),
            Instance("motion", Surface(_Motion(self)), ("0", "x", inner, "n", "x", "0")),
            Instance("state", Capacitor(_FARADS), ("x", "0")),
            Instance("clock", Clock(), ("t", "0")),
            Instance("hold", Surface(_Hold(self)), ("0", "x", "t", "0", "x", "0")),
        )
        kind = type(self).__name__
        note = f"{kind} in motion: v(x) is its state, g its conductance until time goes by"
        return Cell(f"memristor_{kind.lower()}_dynamic", ("p", "n"), parts, {"g": self.g_range[0]}, self, note)

    def flow_expression(self, u: str, x: str) -> str:
        """The current of the texts of the voltage across the device and of its state."""
        return f"({self.conductance_expression(self.clipped_expression(x))})*{self.curve.expression(u)}"

    def clipped_expression(self, x: str) -> str:
        """The text ``x`` held within the bounds."""
        low, high = self.bounds
        return f"min(max({x},{low!r}),{high!r})"

    def _resistor(self) -> tuple[Instance, ...]:
        return (Instance("rs", Resistor(self.r_series), ("p", "q")),) if self.r_series else ()
