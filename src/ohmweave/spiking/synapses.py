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
from ohmweave.spiking.events import squares
from ohmweave.spiking.plan import SpikingPlan, SpikingStage
from ohmweave.units import Array

__all__ = ["Synapses"]

_POINTS, _SHARES = np.polynomial.legendre.leggauss(3)
# Where along an edge, as shares of its height.
_HEIGHTS = tuple((0.5 * (1.0 + _POINTS)).tolist())


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
    def _solved(self) -> tuple[Array, Array]:
        """What the currents of columns and of drivers change by a volt of every signal.

        Shapes [signals, columns] and [signals, signals], A/V.
        """
        count, v_read = self.stage.signals, self.plan.design.signal.v_read
        columns, rows = self._currents(np.vstack([np.zeros(count), v_read * np.eye(count)]))
        return (columns[1:] - columns[0]) / v_read, (rows[1:] - rows[0]) / v_read

    @property
    def transfer(self) -> Array:
        """Column currents per volt of every signal's driver, linear devices, [signals, columns], A/V."""
        return self._solved[0]

    @property
    def loads(self) -> Array:
        """Currents of drivers (second index) per volt of drivers, linear devices, [signals, signals], A/V."""
        return self._solved[1]

    def charges(self, gates: Array, widths: Array) -> tuple[Array, Array]:
        """What comes into columns p and n beyond what comes at rest.

        Args:
            gates: spikes, or analog inputs' shares of a pulse, shape [samples, signals].
            widths: of the pulses, shape [samples], s.

        Returns:
            Each [samples, neurons], C.
        """
        if self.linear:
            charges = gates @ (self.plan.design.signal.v_read * self.transfer) * widths[:, None]
        else:
            charges = self._over_pulse([columns - self._rest for columns, _ in self._tops(gates)], widths)
        return charges[:, 0::2], charges[:, 1::2]

    def total(self, gates: Array, widths: Array) -> Array:
        """What comes into all columns together, arguments as for :meth:`charges`; shape [samples], C."""
        if self.linear:
            return np.asarray(gates @ (self.plan.design.signal.v_read * self.transfer.sum(axis=1)) * widths)
        return np.asarray(np.sum([each.sum(axis=1) for each in self.charges(gates, widths)], axis=0))

    def joules(self, gates: Array, widths: Array) -> Array:
        """What the drivers deliver in one pulse.

        With linear devices t_pulse - t_edge / 3 times the power at its top: along edges the voltage squared is a third.

        Args:
            gates: spikes, or analog inputs' shares of a pulse, shape [samples, steps, signals].
            widths: of the pulses, shape [steps], s.

        Returns:
            Shape [samples, steps], J.
        """
        v_read, edge = self.plan.design.signal.v_read, self.plan.design.clock.edge
        if self.linear:
            return np.asarray(v_read**2 * squares(gates, self.loads) * (widths - edge / 3.0))
        flat, heights = gates.reshape(-1, gates.shape[2]), (1.0, *_HEIGHTS)
        watts = [
            height * v_read * np.einsum("si,si->s", flat, amps)[:, None]
            for height, (_, amps) in zip(heights, self._tops(flat), strict=True)
        ]
        return self._over_pulse(watts, np.tile(widths, len(gates))).reshape(gates.shape[:2])

    def _over_pulse(self, values: list[Array], widths: Array) -> Array:
        """The integral over pulses of what is so large at the top and at the heights of the rule, [samples, any]."""
        edge = self.plan.design.clock.edge
        edges = sum(share * value for share, value in zip(_SHARES, values[1:], strict=True))
        return np.asarray((widths[:, None] - edge) * values[0] + edge * edges)

    def _tops(self, gates: Array) -> list[tuple[Array, Array]]:
        """Currents as :meth:`_currents` at the pulse's top and at each height of the rule."""
        volts = self.plan.design.signal.v_read * gates
        columns, rows = self._currents(np.concatenate([volts, *(height * volts for height in _HEIGHTS)]))
        parts = len(_HEIGHTS) + 1
        return list(zip(np.split(columns, parts), np.split(rows, parts), strict=True))

    @cached_property
    def _rest(self) -> Array:
        """Column currents at rest, [columns], A."""
        columns, _ = self._currents(np.zeros((1, self.stage.signals)))
        return np.asarray(columns[0])

    def _currents(self, volts: Array) -> tuple[Array, Array]:
        """Into columns, [samples, columns], and out of the drivers, [samples, signals], A."""
        inputs = tuple(f"v{i}" for i in range(self.stage.signals))
        sources = tuple(f"e{j}.sense" for j in range(2 * self.stage.outputs))
        waves = self.engine.run(Bench(synapses(self.plan, self.stage), inputs, volts, (), sources))
        return -waves.source_amps, waves.input_amps
