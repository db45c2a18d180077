"""States of memristors in time: the state equation, integrated for voltages that are given."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

from ohmweave.bench import Waveform
from ohmweave.devices.protocols import DynamicDevice
from ohmweave.errors import ConvergenceError
from ohmweave.units import Array

__all__ = ["Trajectory", "follow", "hold", "hysteresis"]

_RELATIVE = 1e-8
_POINTS = 400


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What devices did under one voltage.

    Args:
        times: shape [points], s.
        volts: shape [points], V.
        states: shape [points, devices], the model's unit.
        amps: shape [points, devices], A.
    """

    times: Array
    volts: Array
    states: Array
    amps: Array


def follow(device: DynamicDevice, drive: Waveform, g: Array, times: Array | None = None) -> Trajectory:
    """Integrate dx/dt = rate(v(t), x) from corner to corner of the voltage.

    By LSODA (L. Petzold, SIAM J. Sci. Stat. Comput. 4, 1983), which turns to stiff formulae by itself: a state that
    settles at a wall is stiff.

    Args:
        device: the model.
        drive: voltage across every device, V.
        g: conductances at 0 s, shape [devices], S.
        times: where the answer is wanted, ascending from 0, s; 401 even times up to the drive's end, and its
            corners, where none are given.

    Raises:
        ConvergenceError: the integration stopped early.
    """
    wanted = _default_times(drive) if times is None else times
    x = device.state(g)
    states = np.empty((len(wanted), len(x)))
    states[wanted <= 0.0] = x
    last = float(wanted.max(initial=0.0))
    ends = np.append(drive.times, last) if last > drive.end else drive.times
    for begun, ended in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        inside = (wanted > begun) & (wanted <= ended)
        points = np.union1d(wanted[inside], [ended])

        def motion(time: float, state: Array) -> Array:
            return device.rate(drive.at(np.array(time)), state)

        found = _integrate(device, motion, x, points, begun, bands=(0, 0), absolute=_finest(device))
        states[inside], x = found[np.searchsorted(points, wanted[inside])], found[-1]
    volts = drive.at(wanted)
    return Trajectory(wanted, volts, states, device.flow(volts[:, None], states))


def hysteresis(
    device: DynamicDevice, high: float, low: float, period: float, *, g: float | None = None, cycles: int = 1
) -> Trajectory:
    """The loop under a triangular voltage: 0 V, ``high``, ``low``, 0 V in each ``period``.

    Args:
        device: the model.
        high: V.
        low: V.
        period: s.
        g: conductance at 0 s, S; the lowest where none is given.
        cycles: number of periods.

    Raises:
        ConvergenceError: the integration stopped early.
    """
    start = device.g_range[0] if g is None else g
    return follow(device, Waveform.triangle(high, low, period, cycles), np.array([start]))


def hold(device: DynamicDevice, v: Array, x: Array, seconds: Array) -> tuple[Array, Array]:
    """States after rectangular pulses, and the energy that each took: dE/dt = v i.

    Args:
        device: the model.
        v: amplitude of each device's pulse, shape [devices], V.
        x: states before, shape [devices].
        seconds: width of each pulse, shape [devices], s.

    Returns:
        States after the pulses, and energies in J.

    Raises:
        ConvergenceError: the integration stopped early.
    """

    def motion(_: float, both: Array) -> Array:
        state = both[0::2]
        change = np.empty_like(both)
        change[0::2] = seconds * device.rate(v, state)
        change[1::2] = seconds * v * device.flow(v, state)
        return change

    begun, absolute = np.zeros(2 * len(x)), np.empty(2 * len(x))
    begun[0::2] = x
    absolute[0::2] = _finest(device)
    absolute[1::2] = 1e-9 * seconds * np.abs(v * device.current(v, np.full_like(x, device.g_range[1])))
    found = _integrate(device, motion, begun, np.ones(1), 0.0, bands=(1, 0), absolute=absolute)[0]
    return np.clip(found[0::2], *device.bounds), found[1::2]


def _integrate(
    device: DynamicDevice,
    motion: Callable[[float, Array], Array],
    start: Array,
    points: Array,
    begun: float,
    *,
    bands: tuple[int, int],
    absolute: Array | float,
) -> Array:
    """The solution at ``points``, [points, unknowns]; the last of them is the end."""
    # One device's state says nothing about another's: the Jacobian is a band.
    lower, upper = bands
    ended = float(points[-1])
    solved = solve_ivp(
        motion,
        (begun, ended),
        start,
        method="LSODA",
        t_eval=points,
        rtol=_RELATIVE,
        atol=absolute,
        lband=lower,
        uband=upper,
    )
    if solved.status != 0 or solved.y.shape[1] != len(points) or not np.isfinite(solved.y).all():
        raise ConvergenceError(
            f"expected the state up to {ended:g} s, found it up to {float(solved.t[-1:].sum()):g} s: {solved.message}",
            where=f"device {type(device).__name__}",
            remedy="check the parameters and the voltages",
        )
    return np.asarray(solved.y.T)


def _default_times(drive: Waveform) -> Array:
    return np.union1d(np.linspace(0.0, drive.end, _POINTS + 1), drive.times)


def _finest(device: DynamicDevice) -> float:
    low, high = device.bounds
    return 1e-10 * (high - low)
