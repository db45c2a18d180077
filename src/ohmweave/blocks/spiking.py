"""What a clocked neuron is to the rest of a spiking chip."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ohmweave.blocks.clocking import Clocking
from ohmweave.circuit import Cell
from ohmweave.units import Array

__all__ = ["NEURON_PORTS", "ClockedNeuron", "Membrane", "Soma"]

# p and n end the columns of positive and negative weights; spike is held from one comparison to the next.
NEURON_PORTS = ("p", "n", "spike", "start", "leak", "discharge", "compare", "reset")


@dataclass(frozen=True)
class Membrane:
    """What one neuron has to be.

    A charge of C_m V_theta on the membrane is the network's threshold: with the network's membrane u in units of its
    threshold, v = u V_theta.

    Args:
        gain: current into the membrane for a current into column p, k, no unit; see :func:`ohmweave.spiking.plan`.
        beta: decay from one step to the next, 0 to 1; 1 does not leak.
        reset: what a spike does to the membrane: ``"zero"`` empties it, ``"subtract"`` takes V_theta from it, or
            ``"none"``.
        delay: whether the reset comes after the next step's leak, at the clock ``early``, and not before it.
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


class Soma(Protocol):
    """The mathematics of many neurons side by side, from one comparison to the next."""

    def start(self, samples: int) -> Array:
        """Membranes before the first step, shape [samples, neurons], V."""
        ...

    def step(self, v: Array, spikes: Array, charges: tuple[Array, Array]) -> tuple[Array, Array]:
        """One step.

        Args:
            v: membranes at the last comparison, shape [samples, neurons], V.
            spikes: what it found, 0 or 1, same shape.
            charges: into columns p and n in this step, each [samples, neurons], C.

        Returns:
            Membranes at this comparison, V, and spikes, 0 or 1.
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
