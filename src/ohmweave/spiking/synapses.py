"""The charges that spikes bring to the neurons: a stage's arrays solved at DC, wires, drivers and column ends included.

Arrays hold no charge, so that while a row's voltage follows the pulse from 0 V to v_read and back the column currents
follow it at once. With linear devices a column's charge is

    Q_c = t_pulse v_read sum_i T_ci s_i,

T the transfer from open-circuit voltages to column currents, computed once. With others it is an integral over the
pulse's edges and top,

    Q_c = (t_pulse - t_edge) I_c(v_read s) + 2 t_edge int_0^1 I_c(x v_read s) dx,

the last by Gauss and Legendre's rule of three points.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ohmweave.bench import Bench
from ohmweave.simulate.native import Native
from ohmweave.spiking.circuit import synapses
from ohmweave.spiking.plan import SpikingPlan, SpikingStage
from ohmweave.units import Array

__all__ = ["Synapses"]

_POINTS, _SHARES = np.polynomial.legendre.leggauss(3)


@dataclass(frozen=True, eq=False)
class Synapses:
    """The arrays of one stage.

    Args:
        plan: of the chip.
        stage: one of its stages.
        engine: what solves them.
    """

    plan: SpikingPlan
    stage: SpikingStage
    engine: Native

    @property
    def linear(self) -> bool:
        """Whether charges are a matrix times spikes."""
        return self.plan.design.device.cell() is None

    @cached_property
    def _solved(self) -> tuple[Array, Array, Array]:
        """Column currents at rest, and what they change by a volt of every signal; the latter of drivers' currents too.

        Shapes [columns], A; [signals, columns] and [signals, signals], A/V.
        """
        count, v_read = self.stage.signals, self.plan.design.signal.v_read
        columns, rows = self._currents(np.vstack([np.zeros(count), v_read * np.eye(count)]))
        return columns[0], (columns[1:] - columns[0]) / v_read, (rows[1:] - rows[0]) / v_read

    @property
    def transfer(self) -> Array:
        """Column currents per volt of every signal's driver, linear devices, [signals, columns], A/V."""
        return self._solved[1]

    @property
    def loads(self) -> Array:
        """Currents of drivers (second index) per volt of drivers, linear devices, [signals, signals], A/V."""
        return self._solved[2]

    def charges(self, gates: Array, widths: Array) -> tuple[Array, Array]:
        """What comes into columns p and n beyond what comes at rest.

        Args:
            gates: spikes, or analog inputs' shares of a pulse, shape [samples, signals].
            widths: of the pulses, shape [samples], s.

        Returns:
            Each [samples, neurons], C.
        """
        design = self.plan.design
        v_read, edge = design.signal.v_read, design.clock.edge
        if self.linear:
            charges = gates @ (v_read * self.transfer) * widths[:, None]
        else:
            at_rest = self._currents(np.zeros((1, gates.shape[1])))[0]
            top = self._currents(v_read * gates)[0] - at_rest
            charges = (widths[:, None] - edge) * top
            for point, share in zip(_POINTS, _SHARES, strict=True):
                charges += edge * share * (self._currents(0.5 * (1.0 + point) * v_read * gates)[0] - at_rest)
        return charges[:, 0::2], charges[:, 1::2]

    def powers(self, gates: Array) -> Array:
        """What the drivers deliver while rows are pulsed, shape [samples], W; ``gates`` as in :meth:`charges`."""
        volts = self.plan.design.signal.v_read * gates
        amps = volts @ self.loads if self.linear else self._currents(volts)[1]
        return np.asarray(np.einsum("si,si->s", volts, amps))

    def _currents(self, volts: Array) -> tuple[Array, Array]:
        """Into columns, [samples, columns], and out of the drivers, [samples, signals], A."""
        inputs = tuple(f"v{i}" for i in range(self.stage.signals))
        sources = tuple(f"e{j}.sense" for j in range(2 * self.stage.outputs))
        waves = self.engine.run(Bench(synapses(self.plan, self.stage), inputs, volts, (), sources))
        return -waves.source_amps, waves.input_amps
