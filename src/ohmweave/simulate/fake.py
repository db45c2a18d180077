"""A simulator that answers from a function: it proves that the seam is right, and serves in tests."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ohmweave.bench import Bench, Waves
from ohmweave.units import Array

__all__ = ["Fake"]


@dataclass(frozen=True)
class Fake:
    """Answer every bench by a function of it; no circuit is solved.

    Args:
        respond: bench -> probed voltages, shape [samples, probes], V. Currents and powers come back
            as zeros.
    """

    respond: Callable[[Bench], Array]
    name: str = "fake"

    def version(self) -> str:
        """It never changes."""
        return "1"

    def run(self, bench: Bench) -> Waves:
        """The function's voltages as waves.

        Raises:
            ValueError: an answer whose shape does not fit the bench.
        """
        volts = np.asarray(self.respond(bench), dtype=np.float64)
        empty = Waves.empty(bench, self.name, self.version())
        if volts.shape != empty.volts.shape:
            raise ValueError(f"the answer has shape {volts.shape}, expected {empty.volts.shape}")
        quiet = {field: np.zeros_like(getattr(empty, field)) for field in ("input_amps", "source_volts", "source_amps")}
        return replace(empty, volts=volts, **quiet)
