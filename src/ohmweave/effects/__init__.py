"""What real devices do to the conductances they were asked for: one effect a file, composed in the order given.

Some bend the devices' curves as well (:class:`Bending`), or act on wires (:class:`Wiring`).

An effect is a frozen dataclass whose fields are its parameters, with their units in the annotations. All
chance comes from the generator passed in; its draws depend on the shape of the array alone, not on the
parameters, so that a sweep of a parameter moves the same chip and not from chip to chip.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.random import Generator

from ohmweave.effects.curvature import Curvature
from ohmweave.effects.drift import Drift
from ohmweave.effects.gaussian import Gaussian
from ohmweave.effects.level_dependent import CMO_HFOX, HFOX_AFTER_A_DAY, HFOX_AFTER_A_SECOND, LevelDependent
from ohmweave.effects.lognormal import LogNormal
from ohmweave.effects.read_noise import ReadNoise
from ohmweave.effects.relaxation import Relaxation
from ohmweave.effects.stuck import Stuck
from ohmweave.effects.temperature import ROOM, Temperature
from ohmweave.errors import DesignError
from ohmweave.registry import merge
from ohmweave.units import Array

__all__ = [
    "BUILTIN_EFFECTS",
    "CMO_HFOX",
    "HFOX_AFTER_A_DAY",
    "HFOX_AFTER_A_SECOND",
    "ROOM",
    "Bending",
    "Curvature",
    "Drift",
    "Effect",
    "Gaussian",
    "LevelDependent",
    "LogNormal",
    "ReadNoise",
    "Relaxation",
    "Stuck",
    "Temperature",
    "Wiring",
    "bend",
    "disturb",
    "effects",
    "wired",
]


class Effect(Protocol):
    """A departure of conductances from what they were before it."""

    def perturb(self, g: Array, g_range: tuple[float, float], rng: Generator) -> Array:
        """Conductances after this effect.

        Args:
            g: before it, shape [rows, cols], S; nan where there is no device.
            g_range: lowest and highest conductance of the device, S.
            rng: all chance of the effect.

        Returns:
            A new array of the same shape, S: nan where there was no device, elsewhere positive and finite,
            or nan where a device has become an open.
        """
        ...


@runtime_checkable
class Bending(Protocol):
    """What an effect may do besides: change how the devices' curves bend."""

    def bend(self, s: Array, rng: Generator) -> Array:
        """Voltage scales after this effect.

        Args:
            s: before it, shape [rows, cols], no unit; nan where there is no device.
            rng: all chance of it, another stream than that of ``perturb``.

        Returns:
            A new array of the same shape: nan where there is no device, elsewhere positive and finite.
        """
        ...


@runtime_checkable
class Wiring(Protocol):
    """What an effect may do besides: change the wires of the arrays."""

    def wires(self, ohms: float) -> float:
        """Resistance of a wire after this effect, ohm, positive; ``ohms`` before it."""
        ...


BUILTIN_EFFECTS: dict[str, type[Any]] = {
    "gaussian": Gaussian,
    "lognormal": LogNormal,
    "level_dependent": LevelDependent,
    "drift": Drift,
    "relaxation": Relaxation,
    "stuck": Stuck,
    "read_noise": ReadNoise,
    "curvature": Curvature,
    "temperature": Temperature,
}


def effects() -> dict[str, type[Any]]:
    """Every effect known, by the name a design calls it."""
    return merge("ohmweave.effects", BUILTIN_EFFECTS)


def disturb(chosen: Sequence[Effect], g: Array, g_range: tuple[float, float], rng: Generator) -> Array:
    """Let effects act on an array, one after the other, each with its own stream of ``rng``.

    As streams are spawned in order, an effect that is appended leaves the draws of those before it as they were.

    Args:
        chosen: in the order they act.
        g: conductances, shape [rows, cols], S; nan where there is no device.
        g_range: lowest and highest conductance of the device, S.
        rng: parent of the streams.

    Returns:
        Conductances after all of them, a new array.

    Raises:
        DesignError: an effect that returns another shape, a device where there was none, or a conductance
            that is not positive and finite; names its place in ``chosen``.
    """
    out = g.copy()
    for index, (effect, stream) in enumerate(zip(chosen, rng.spawn(len(chosen)), strict=True)):
        before, out = out, effect.perturb(out, g_range, stream)
        _check(before, out, f"effects[{index}]", type(effect).__name__)
    return out


def bend(chosen: Sequence[Effect], g: Array, rng: Generator) -> Array | None:
    """Let effects bend the curves of an array's devices, one after the other, each with its own stream of ``rng``.

    Args:
        chosen: in the order they act; those that bend nothing are passed over.
        g: conductances after all effects, shape [rows, cols], S; nan where there is no device.
        rng: parent of the streams, another one than that of :func:`disturb`.

    Returns:
        Voltage scales s (:func:`ohmweave.devices.bent`), shape [rows, cols], no unit; nan where there is no
        device. ``None`` where no effect bends anything.

    Raises:
        DesignError: an effect that returns another shape or a scale that is not positive and finite; names its
            place in ``chosen``.
    """
    if not any(isinstance(effect, Bending) for effect in chosen):
        return None
    s = np.where(np.isnan(g), np.nan, 1.0)
    for index, (effect, stream) in enumerate(zip(chosen, rng.spawn(len(chosen)), strict=True)):
        if isinstance(effect, Bending):
            s = effect.bend(s, stream)
            _check_bend(g, s, f"effects[{index}]", type(effect).__name__)
    return s


def wired(chosen: Sequence[Effect], ohms: float) -> float:
    """Let effects act on the resistance of a segment of wire, ohm, one after the other."""
    for effect in chosen:
        if isinstance(effect, Wiring):
            ohms = effect.wires(ohms)
    return ohms


def _check_bend(g: Array, s: Array, where: str, name: str) -> None:
    remedy = "its bend() must return a positive number for each device, and nan where there is none"
    if s.shape != g.shape:
        raise DesignError(f"{name}: expected scales of shape {g.shape}, found {s.shape}", where=where, remedy=remedy)
    wrong = ~np.where(np.isnan(g), np.isnan(s), (s > 0.0) & (s < np.inf))
    if wrong.any():
        raise DesignError(
            f"{name}: expected positive scales where devices are and nan elsewhere, "
            f"found {s[wrong][0]:g} ({np.count_nonzero(wrong)} in all)",
            where=where,
            remedy=remedy,
        )


def _check(before: Array, after: Array, where: str, name: str) -> None:
    remedy = "its perturb() must return what each device can conduct, or nan for an open one"
    if after.shape != before.shape:
        raise DesignError(
            f"{name}: expected conductances of shape {before.shape}, found {after.shape}", where=where, remedy=remedy
        )
    wrong = ~(np.isnan(after) | ((after > 0.0) & (after < np.inf) & ~np.isnan(before)))
    if wrong.any():
        raise DesignError(
            f"{name}: expected positive conductances where devices are and nan elsewhere, "
            f"found {after[wrong][0]:g} S ({np.count_nonzero(wrong)} in all)",
            where=where,
            remedy=remedy,
        )
