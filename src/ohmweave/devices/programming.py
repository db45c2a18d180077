"""Write-verify programming: pulse, read, pulse again, until the conductance is near enough."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ohmweave.devices.protocols import DynamicDevice
from ohmweave.devices.pulses import Pulses
from ohmweave.devices.trajectories import hold
from ohmweave.errors import DesignError
from ohmweave.units import Array, format_quantity

__all__ = ["Programmed", "program_by_pulses"]

_SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class Programmed:
    """What pulse trains came to, each of the shape of the targets; the trains themselves have a round a row.

    Args:
        g: conductance reached, S.
        pulses: how many it took.
        seconds: their widths together, s.
        joules: energy taken from the source by the pulses; reading between them is not counted, J.
        reached: whether g is within the tolerance.
        volts: amplitude of each pulse, shape [rounds, ...], V; 0 where a device needed none.
        widths: width of each pulse, shape [rounds, ...], s; 0 where a device needed none.
    """

    g: Array
    pulses: NDArray[np.int64]
    seconds: Array
    joules: Array
    reached: NDArray[np.bool_]
    volts: Array
    widths: Array


@dataclass(eq=False)
class _Train:
    """Where each device's train is: widths and repetitions by direction, down first."""

    width: Array
    used: NDArray[np.bool_]
    last: NDArray[np.int64]
    repeated: NDArray[np.int64]

    @staticmethod
    def begin(devices: int, rule: Pulses) -> "_Train":
        nothing = np.zeros(devices, dtype=np.int64)
        return _Train(np.full((2, devices), rule.width), np.zeros((2, devices), dtype=bool), nothing - 1, nothing)

    def next(self, which: NDArray[np.intp], way: NDArray[np.int64], rule: Pulses) -> tuple[Array, Array]:
        """Amplitudes (V) and widths (s) of the next pulse of the devices ``which``, 1 up and 0 down."""
        same, used = self.last[which] == way, self.used[way, which]
        factor = np.where(same, rule.longer, np.where(used, rule.shorter, 1.0))
        width = np.clip(self.width[way, which] * factor, rule.shortest, rule.longest)
        repeated = np.where(same, self.repeated[which] + 1, 0)
        self.width[way, which], self.used[way, which] = width, True
        self.last[which], self.repeated[which] = way, repeated
        first = np.where(way == 1, rule.up, rule.down)
        height = np.minimum(np.abs(first) + rule.step * repeated, rule.highest)
        return np.copysign(height, first), width


def program_by_pulses(
    device: DynamicDevice, target: Array, start: Array | float, *, tolerance: float = 0.01, pulses: Pulses | None = None
) -> Programmed:
    """Bring devices to conductances by trains of pulses, each as long as its device needs.

    After each pulse the conductance at small voltages is compared with the target g: |g'/g − 1| <= tolerance ends
    the train (write-verify: F. Alibart et al., Nanotechnology 23, 2012).

    Args:
        device: the model.
        target: conductances wanted, any shape, S.
        start: conductances before, broadcast to the targets, S.
        tolerance: relative.
        pulses: the rule; the device's own where none is given.

    Raises:
        DesignError: a target or start outside the device's range, or a tolerance that is none.
        ConvergenceError: the state equation could not be integrated.
    """
    rule = device.pulses if pulses is None else pulses
    wanted = np.asarray(target, dtype=np.float64)
    begun = np.broadcast_to(np.asarray(start, dtype=np.float64), wanted.shape)
    _check(device, wanted, begun, tolerance)
    x, joules, trains = _pulse(device, wanted.ravel(), device.state(begun.ravel()), tolerance, rule)
    volts, widths = (trains[:, k].reshape(-1, *wanted.shape) for k in (0, 1))
    g = device.conductance(x).reshape(wanted.shape)
    return Programmed(
        g,
        np.count_nonzero(widths, axis=0),
        widths.sum(axis=0),
        joules.reshape(wanted.shape),
        np.abs(g / wanted - 1.0) <= tolerance,
        volts,
        widths,
    )


def _pulse(device: DynamicDevice, goal: Array, x: Array, tolerance: float, rule: Pulses) -> tuple[Array, Array, Array]:
    """States at the end, energies (J), and each round's amplitudes (V) and widths (s), [rounds, 2, devices]."""
    train, joules, rounds = _Train.begin(goal.size, rule), np.zeros(goal.size), []
    for _ in range(rule.most):
        away = device.conductance(x) / goal - 1.0
        left = np.flatnonzero(np.abs(away) > tolerance)
        if not left.size:
            break
        pulse = np.zeros((2, goal.size))
        pulse[:, left] = train.next(left, (away[left] < 0.0).astype(np.int64), rule)
        x[left], taken = hold(device, pulse[0, left], x[left], pulse[1, left])
        joules[left] += taken
        rounds.append(pulse)
    return x, joules, np.stack(rounds) if rounds else np.zeros((0, 2, goal.size))


def _check(device: DynamicDevice, target: Array, start: Array, tolerance: float) -> None:
    low, high = device.g_range
    for name, values in (("target", target), ("start", start)):
        outside = ~((values >= low * (1.0 - _SLACK)) & (values <= high * (1.0 + _SLACK)))
        if outside.any():
            raise DesignError(
                f"expected conductances from {format_quantity(low, 'S')} to {format_quantity(high, 'S')}, "
                f"found {format_quantity(float(values[outside].flat[0]), 'S')}",
                where=f"programming, {name}",
                remedy="stay within the device's g_range",
            )
    if not 0.0 < tolerance < 1.0:
        raise DesignError(
            f"expected a share between 0 and 1, found {tolerance:g}",
            where="programming, tolerance",
            remedy="try tolerance = 0.01",
        )
