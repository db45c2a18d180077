"""What a clocked neuron is to the rest of a spiking chip."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from ohmweave.blocks.clocking import Clocking
from ohmweave.circuit import Cell
from ohmweave.errors import DesignError, ModelError
from ohmweave.units import Array

__all__ = [
    "MOST_SPREAD",
    "NEURON_PORTS",
    "ClockedNeuron",
    "Consumer",
    "LinearSoma",
    "Membrane",
    "RowDriver",
    "ScanningSoma",
    "Soma",
    "SomaState",
    "require_refractory",
]

# p and n end the columns of positive and negative weights; spike is held from one comparison to the next.
NEURON_PORTS = ("p", "n", "spike", "start", "leak", "discharge", "compare", "reset", "integrate")
# Below which relative spreads of copies and leaks stay: parts further off are not the neuron that was meant.
MOST_SPREAD = 0.3
_RESETS = ("zero", "subtract", "hold", "none")


@dataclass(frozen=True)
class Membrane:
    """What one neuron has to be.

    A charge of C_m V_theta on the membrane is the network's threshold: with the network's membrane u in units of its
    threshold, v = u V_theta.

    Args:
        gain: current into the membrane for a current into column p, k, no unit; see :func:`ohmweave.spiking.plan`.
        beta: decay from one step to the next, 0 to 1; 1 does not leak.
        reset: what a spike does to the membrane: ``"zero"`` empties it, ``"subtract"`` takes V_theta from it,
            ``"hold"`` empties it after the next step's pulse, or ``"none"``.
        delay: whether what is subtracted is so after the next step's leak, at the clock ``early``, and not before it.
        offset: of the comparator, V.
        mismatch: deviations of the gain of column p, of that of column n, and of the leak's capacitor or resistor,
            relative.
    """

    gain: float
    beta: float
    reset: str
    delay: bool
    offset: float = 0.0
    mismatch: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        numbers = (self.gain, self.beta, self.offset, *self.mismatch)
        if not all(map(math.isfinite, numbers)) or self.gain <= 0.0 or not 0.0 <= self.beta <= 1.0:
            raise ModelError(
                f"expected a positive gain and a decay from 0 to 1, found {self.gain} and {self.beta}", where="neuron"
            )
        if self.reset not in _RESETS or min(self.mismatch) <= -1.0:
            raise ModelError(
                f"expected a reset of {', '.join(_RESETS)} and parts that are there, found {self.reset!r} and "
                f"mismatches {self.mismatch}",
                where="neuron",
            )

    @property
    def reset_clock(self) -> str:
        """The clock of its port ``reset``."""
        if self.reset == "hold":
            return "hold"
        return "early" if self.reset == "subtract" and self.delay else "reset"


@dataclass(frozen=True, eq=False)
class SomaState:
    """What many neurons side by side have at a comparison.

    Args:
        membranes: shape [samples, neurons], V.
        spikes: what the comparison found, 0 or 1, same shape.
        silent: steps from here on in which they do not listen, whole numbers, same shape.
    """

    membranes: Array
    spikes: Array
    silent: Array

    @staticmethod
    def still(samples: int, neurons: int) -> "SomaState":
        """Empty membranes that have not spiked yet."""
        return SomaState(*np.zeros((3, samples, neurons)))

    def after(self, volts: Array, level: Array, refractory: int) -> "SomaState":
        """One step later; while a refractory period lasts, membranes are held at 0 V.

        Args:
            volts: what membranes would come to at the comparison, V, [samples, neurons].
            level: thresholds, V, [neurons].
            refractory: steps after a spike in which a neuron does not listen.
        """
        if not refractory:
            return SomaState(volts, (volts > level).astype(np.float64), self.silent)
        v = volts * (self.silent == 0.0)
        fires = v > level
        silent = np.where(fires, float(refractory), np.maximum(self.silent - 1.0, 0.0))
        return SomaState(v, fires.astype(np.float64), silent)

    def repeated(self, samples: int) -> "SomaState":
        """The state of one sample for each of many."""
        return SomaState(*(np.repeat(each, samples, axis=0) for each in (self.membranes, self.spikes, self.silent)))


def require_refractory(steps: object, most: int) -> None:
    """Refuse a refractory period that is no whole number of steps, or longer than what times it.

    Raises:
        DesignError: names the parameter, what was expected and found, and an example.
    """
    whole = isinstance(steps, int) and not isinstance(steps, bool)
    if not whole or steps not in range(most + 1):
        raise DesignError(
            f"expected a whole number of steps from 0 to {most}, found {steps!r}",
            where="neuron.refractory",
            remedy="try refractory = 1",
        )


class Soma(Protocol):
    """The mathematics of many neurons side by side, from one comparison to the next.

    Those for which ``linear`` holds are a :class:`LinearSoma`.
    """

    linear: ClassVar[bool]

    def start(self, samples: int) -> SomaState:
        """Before the first step."""
        ...

    def step(self, state: SomaState, charges: tuple[Array, Array]) -> SomaState:
        """One step.

        Args:
            state: at the last comparison.
            charges: into columns p and n in this step, each [samples, neurons], C.

        Returns:
            What there is at this comparison.
        """
        ...


class LinearSoma(Soma, Protocol):
    """Neurons that charge moves by a constant voltage a coulomb, whatever the membrane has."""

    @property
    def gains(self) -> tuple[Array, Array]:
        """V at the comparison per coulomb into column p, and per coulomb out of the membrane into n, [neurons]."""
        ...

    def advance(self, state: SomaState, moved: Array) -> SomaState:
        """One step, as :meth:`step`, for what charges move the membranes by, shape [samples, neurons], V."""
        ...


@runtime_checkable
class ScanningSoma(Protocol):
    """Linear neurons that know a quicker way through all steps than one after the other."""

    def scan(self, moved: Array) -> Array:
        """Every step from empty membranes on, as :meth:`LinearSoma.advance`.

        Args:
            moved: what charges move the membranes by, shape [samples, steps, neurons], V; becomes the membranes at the
                comparisons.

        Returns:
            Spikes, 0 or 1, same shape.
        """
        ...


@runtime_checkable
class Consumer(Protocol):
    """Neurons whose circuit's energy is known."""

    def joules(self, clock: Clocking, steps: int, spikes: Array, coulombs: Array) -> Array:
        """What neurons of one kind take from their supplies.

        Args:
            clock: the clocks.
            steps: of all neurons together.
            spikes: of all of them, shape [samples].
            coulombs: into all their columns, shape [samples], C.

        Returns:
            Shape [samples], J.
        """
        ...


class RowDriver(Protocol):
    """Drives a row of synapses: a pulse of v_read while its gate and the clock ``pulse`` are high."""

    @property
    def r_source(self) -> float:
        """Source resistance, ohm, on and off."""
        ...

    @property
    def stretch(self) -> float:
        """What its pulses are longer than their clock's, s."""
        ...

    def cell(self, name: str, v_read: float, *, straight: bool = False) -> Cell:
        """The circuit, ports gate, pulse, row; with ``straight`` gates are analog values.

        Raises:
            DesignError: a driver that cannot do so.
        """
        ...


class ClockedNeuron(Protocol):
    """Ends two columns, holds a membrane and makes its spikes, by the clocks of :class:`Clocking`."""

    @property
    def c_m(self) -> float:
        """Membrane capacitance, F."""
        ...

    @property
    def v_threshold(self) -> float:
        """V_theta, V."""
        ...

    @property
    def tolerance(self) -> float:
        """Share of spikes that the mathematics may place further than a step from the circuit's."""
        ...

    @property
    def membrane_tolerance(self) -> float:
        """Median distance of the mathematics' membranes from the circuit's that is to be expected, thresholds."""
        ...

    @property
    def offset_spread(self) -> float:
        """Standard deviation of the comparators' offsets, V."""
        ...

    @property
    def mirror_spread(self) -> float:
        """Standard deviation of the gains of the copies of a column's current, relative."""
        ...

    @property
    def leak_spread(self) -> float:
        """Standard deviation of the leaks' parts, relative."""
        ...

    @property
    def refractory(self) -> int:
        """Steps after a spike in which it does not listen."""
        ...

    def most_load(self, clock: Clocking) -> float:
        """Largest conductance of a column's devices that it can hold at ground, S."""
        ...

    def gain(self, per_unit: float, beta: float, clock: Clocking) -> float:
        """The gain k that moves the membrane by V_theta at the comparison, for ``per_unit`` coulombs into column p.

        Raises:
            DesignError: a gain that the circuit cannot have.
        """
        ...

    def column(self, name: str) -> Cell:
        """How a column ends while it is read, port c; its VoltageSource ``sense`` carries the column's current."""
        ...

    def cell(self, name: str, membrane: Membrane, clock: Clocking) -> Cell:
        """The circuit, ports :data:`NEURON_PORTS`; the membrane is its net ``m``.

        Raises:
            DesignError: a part beyond what can be built.
        """
        ...

    def soma(self, membranes: Sequence[Membrane], clock: Clocking) -> Soma:
        """The mathematics of these neurons."""
        ...
