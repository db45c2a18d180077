"""What effects say of parameters that make no sense."""

import math
import re
from collections.abc import Callable

import pytest

from ohmweave.effects import (
    Curvature,
    Drift,
    Effect,
    Gaussian,
    LevelDependent,
    LogNormal,
    ReadNoise,
    Relaxation,
    Stuck,
    Temperature,
)
from ohmweave.errors import DesignError

MESSAGES: dict[str, Callable[[], Effect]] = {
    "effects.gaussian.sigma: expected a number from 0 to 10, found -0.1; try sigma = 0.03": lambda: Gaussian(-0.1),
    "effects.lognormal.sigma: expected a number from 0 to 10, found 11; try sigma = 0.1": lambda: LogNormal(11.0),
    "effects.read_noise.sigma: expected a number from 0 to 10, found nan; try sigma = 0.01": (
        lambda: ReadNoise(math.nan)
    ),
    "effects.curvature.sigma: expected a number from 0 to 1, found 1.5; try sigma = 0.05": lambda: Curvature(1.5),
    "effects.level_dependent.scale: expected a number from 0 to 10, found -1; try scale = 1.0": (
        lambda: LevelDependent(scale=-1.0)
    ),
    'effects.level_dependent.g_reference: expected a positive value in S, found 0 S; try g_reference = "40 uS"': (
        lambda: LevelDependent(g_reference=0.0)
    ),
    'effects.level_dependent.sigma: expected at least one coefficient, found none; try sigma = ["1 uS"]': (
        lambda: LevelDependent(sigma=())
    ),
    # 1 - 5 x + 5 x² is lowest at x = 0.5.
    "effects.level_dependent.sigma: expected a spread of at least 0 S, found -2.5e-07 S at 2e-05 S; "
    'try sigma = ["1 uS"]': lambda: LevelDependent(sigma=(1e-6, -5e-6, 5e-6)),
    "effects.level_dependent.sigma: expected a spread of at least 0 S, found nan S at 0 S; "
    'try sigma = ["1 uS"]': lambda: LevelDependent(sigma=(1e-6, math.inf)),
    "effects.drift.nu: expected a number from 0 to 1, found 2; try nu = 0.05": lambda: Drift(nu=2.0),
    "effects.drift.nu_sigma: expected a number from 0 to 1, found -1; try nu_sigma = 0.01": (
        lambda: Drift(nu_sigma=-1.0)
    ),
    'effects.drift.t0: expected a positive value in s, found 0 s; try t0 = "20 s"': lambda: Drift(t0=0.0),
    "effects.drift.t: expected a time from t0 = 20 s to 1e+12 t0, found 10 s; "
    'try t = "86.4 ks", a day': lambda: Drift(t=10.0),
    "effects.relaxation.t: expected a time from 1 s to 1e+12 s, found 500 ms; "
    'try t = "86.4 ks", a day': lambda: Relaxation(t=0.5),
    'effects.relaxation.t: expected a positive value in s, found nan s; try t = "86.4 ks"': (
        lambda: Relaxation(t=math.nan)
    ),
    'effects.relaxation.sigma: expected at least 0 S, found -1e-06 S; try sigma = "412 nS"': (
        lambda: Relaxation(sigma=-1e-6)
    ),
    "effects.stuck.off: expected a number from 0 to 1, found 1.5; try off = 0.01": lambda: Stuck(off=1.5),
    "effects.stuck: expected on, off and unformed to be at most 1 together, found 1.1; "
    "a device fails in one way only: lower the shares": lambda: Stuck(0.5, 0.5, 0.1),
    'effects.stuck.g_pristine: expected at least 0 S, found -1 S; try g_pristine = "1 nS"': (
        lambda: Stuck(g_pristine=-1.0)
    ),
    'effects.temperature.t: expected a temperature from 200 K to 500 K, found 77 K; try t = "350 K"': (
        lambda: Temperature(t=77.0)
    ),
    "effects.temperature.alpha_off: expected a number from -0.02 to 0.02, found 1; try alpha_off = 2e-3": (
        lambda: Temperature(alpha_off=1.0)
    ),
    "effects.temperature.sigma: expected a number from 0 to 0.02, found -1; try sigma = 2e-4": (
        lambda: Temperature(sigma=-1.0)
    ),
    "effects.temperature.wire: expected wires with a resistance, found none at 200 K; lower it, or raise t": (
        lambda: Temperature(t=200.0, t0=450.0, wire=5e-3)
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES)
def test_a_mistake_in_an_effect_is_told_whole(message: str) -> None:
    with pytest.raises(DesignError, match=f"^{re.escape(message)}$"):
        MESSAGES[message]()
