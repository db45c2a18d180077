"""Rules of programming pulses."""

import math
from dataclasses import dataclass

from ohmweave.errors import DesignError

__all__ = ["Pulses"]


@dataclass(frozen=True)
class Pulses:
    """Rectangular pulses of a write-verify train.

    The first pulse of a direction has ``width`` and the direction's amplitude. Each further one that follows it is
    ``longer`` times as wide and ``step`` higher. After pulses of the other direction the next one is ``shorter`` times
    as wide as the direction's last, at the first amplitude again.

    Args:
        up: amplitude that raises the conductance, V; its sign is the device's.
        down: amplitude that lowers it, V, of the other sign.
        width: of the first pulse, s.
        longer: factor, at least 1.
        shorter: factor, between 0 and 1.
        step: growth of the amplitude, V.
        highest: largest amplitude, V.
        shortest: least width, s.
        longest: largest width, s.
        most: pulses after which a device is given up.

    Raises:
        DesignError: amplitudes of one sign, or widths and factors that lead nowhere.
    """

    up: float
    down: float
    width: float
    longer: float = 1.5
    shorter: float = 0.3
    step: float = 0.0
    highest: float = math.inf
    shortest: float = 1e-12
    longest: float = math.inf
    most: int = 200

    def __post_init__(self) -> None:
        for good, expected, found in (
            (self.up * self.down < 0.0, "amplitudes of two signs", f"up = {self.up:g} V and down = {self.down:g} V"),
            (self.longer >= 1.0, "longer of at least 1", f"{self.longer:g}"),
            (0.0 < self.shorter < 1.0, "shorter between 0 and 1", f"{self.shorter:g}"),
            (self.step >= 0.0, "a step of at least 0 V", f"{self.step:g} V"),
            (
                self.highest >= max(abs(self.up), abs(self.down)),
                "a highest amplitude of at least up and down",
                f"{self.highest:g} V",
            ),
            (
                0.0 < self.shortest <= self.width <= self.longest,
                "0 s < shortest <= width <= longest",
                f"{self.shortest:g} s, {self.width:g} s and {self.longest:g} s",
            ),
            (self.most >= 1, "at least 1 pulse", f"most = {self.most}"),
        ):
            if not good:
                raise DesignError(f"expected {expected}, found {found}", where="pulses", remedy="mend the rule")
