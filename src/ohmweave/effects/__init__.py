"""What real devices do to the conductances they were asked for: one effect a file, composed in the order given.

An effect is a frozen dataclass whose fields are its parameters, with their units in the annotations. All
chance comes from the generator passed in; its draws depend on the shape of the array alone, not on the
parameters, so that a sweep of a parameter moves the same chip and not from chip to chip.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.random import Generator

from ohmweave.effects.drift import Drift
from ohmweave.effects.gaussian import Gaussian
from ohmweave.effects.level_dependent import CMO_HFOX, HFOX_AFTER_A_DAY, HFOX_AFTER_A_SECOND, LevelDependent
from ohmweave.effects.levels import Levels
from ohmweave.effects.lognormal import LogNormal
from ohmweave.effects.read_noise import ReadNoise
from ohmweave.effects.relaxation import Relaxation
from ohmweave.effects.stuck import Stuck
from ohmweave.errors import DesignError
from ohmweave.registry import merge
from ohmweave.units import Array

__all__ = [
    "BUILTIN_EFFECTS",
    "CMO_HFOX",
    "HFOX_AFTER_A_DAY",
    "HFOX_AFTER_A_SECOND",
    "Drift",
    "Effect",
    "Gaussian",
    "LevelDependent",
    "Levels",
    "LogNormal",
    "ReadNoise",
    "Relaxation",
    "Stuck",
    "disturb",
    "effects",
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


BUILTIN_EFFECTS: dict[str, type[Any]] = {
    "levels": Levels,
    "gaussian": Gaussian,
    "lognormal": LogNormal,
    "level_dependent": LevelDependent,
    "drift": Drift,
    "relaxation": Relaxation,
    "stuck": Stuck,
    "read_noise": ReadNoise,
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
