"""Encoders: how samples become trains of inputs, one value a step; a registry of them, and the seed that goes with one.

x is one value of a sample, s[t] its train at step t = 0 .. steps - 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.random import Generator

from ohmweave.errors import DataError, DesignError
from ohmweave.registry import merge
from ohmweave.temporal import real
from ohmweave.units import Array

__all__ = [
    "BUILTIN_ENCODERS",
    "Direct",
    "Encoder",
    "Encoding",
    "Given",
    "Latency",
    "Rate",
    "encoders",
]

# Values of trains made at a time, 64 MiB of them: those of a whole test set of pictures fit no memory.
_MOST_VALUES = 2**23


class Encoder(Protocol):
    """Samples to trains.

    Trains of an ``analog`` encoder have values of the samples' own in place of spikes.
    """

    analog: ClassVar[bool]

    @property
    def steps(self) -> int:
        """Length of the trains; 0 where the samples bring their own."""
        ...

    def encode(self, x: Array, rng: Generator) -> Array:
        """Trains of samples.

        Args:
            x: samples, [samples, ...].
            rng: all chance of it; drawn sample by sample, so that samples in parts have the same trains.

        Returns:
            [samples, steps, ...].
        """
        ...


@dataclass(frozen=True)
class Rate:
    """s[t] = 1 with the probability x, independently at every step, else 0.

    Args:
        steps: length of the trains.

    Raises:
        DesignError: less than one step. DataError, on encoding: values outside 0..1.

    Source: Eshraghian et al., Proc. IEEE 111, 2023, section "rate coding".
    """

    analog: ClassVar[bool] = False

    steps: int = 25

    def __post_init__(self) -> None:
        _require_steps(self.steps, 1)

    def encode(self, x: Array, rng: Generator) -> Array:
        """Bernoulli trains, [samples, steps, ...]."""
        _require_unit(x)
        return np.asarray(rng.random((len(x), self.steps, *x.shape[1:])) < x[:, np.newaxis], dtype=np.float64)


@dataclass(frozen=True)
class Latency:
    """s[t] = 1 at t = floor((1 - x) (steps - 1) + 1/2) alone, the earlier the larger x; no spike where x <= least.

    Args:
        steps: length of the trains.
        least: values up to this one are silent.

    Raises:
        DesignError: less than one step, or a ``least`` outside 0..1. DataError, on encoding: values outside 0..1.

    Source: Eshraghian et al., Proc. IEEE 111, 2023, section "latency coding", its linear form.
    """

    analog: ClassVar[bool] = False

    steps: int = 25
    least: float = 0.0

    def __post_init__(self) -> None:
        _require_steps(self.steps, 1)
        if not 0.0 <= self.least < 1.0:
            raise DesignError(
                f"expected a share from 0 to below 1, found {self.least:g}",
                where="encoding.least",
                remedy="try least = 0.01",
            )

    def encode(self, x: Array, rng: Generator) -> Array:
        """Trains of one spike or none, [samples, steps, ...]."""
        _require_unit(x)
        when = np.where(x > self.least, np.floor((1.0 - x) * (self.steps - 1) + 0.5), -1.0)
        place = (1, -1, *[1] * (x.ndim - 1))
        return np.asarray(when[:, np.newaxis] == np.arange(self.steps).reshape(place), dtype=np.float64)


@dataclass(frozen=True)
class Direct:
    """s[t] = x: the same analog value at every step; the first layer of neurons makes the spikes.

    Args:
        steps: length of the trains.

    Raises:
        DesignError: less than one step.

    Source: Rathi and Roy, "DIET-SNN", IEEE TNNLS 34, 2023, on direct input encoding.
    """

    analog: ClassVar[bool] = True

    steps: int = 25

    def __post_init__(self) -> None:
        _require_steps(self.steps, 1)

    def encode(self, x: Array, rng: Generator) -> Array:
        """Constant trains, [samples, steps, ...]."""
        return np.asarray(np.repeat(x[:, np.newaxis], self.steps, axis=1))


@dataclass(frozen=True)
class Given:
    """s[t] = x[t]: the samples are trains already, [samples, steps, ...].

    Args:
        steps: how many of their steps are taken, from the first; 0 takes all.

    Raises:
        DesignError: a negative number of steps. DataError, on encoding: samples that are no trains, or shorter.
    """

    analog: ClassVar[bool] = False

    steps: int = 0

    def __post_init__(self) -> None:
        _require_steps(self.steps, 0)

    def encode(self, x: Array, rng: Generator) -> Array:
        """The first steps of the trains."""
        if x.ndim < 3 or x.shape[1] < max(self.steps, 1):
            wanted = f"at least {self.steps} steps" if self.steps else "their steps"
            raise DataError(
                f"expected trains of shape [samples, steps, ...] with {wanted}, found {x.shape}",
                where="data",
                remedy="give spike trains, or choose another encoding",
            )
        return x[:, : self.steps or None]


BUILTIN_ENCODERS: dict[str, type[Any]] = {"rate": Rate, "latency": Latency, "direct": Direct, "given": Given}


def encoders() -> dict[str, type[Any]]:
    """Every encoder known, by the name a design calls it."""
    return merge("ohmweave.encoders", BUILTIN_ENCODERS)


@dataclass(frozen=True)
class Encoding:
    """An encoder and the seed of its chance.

    Args:
        encoder: how samples become trains.
        seed: seeds its generator, the same trains for the same samples every time.

    Raises:
        DesignError: a negative seed.
    """

    encoder: Encoder = field(default_factory=Rate)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise DesignError(
                f"expected a seed of at least 0, found {self.seed}", where="encoding.seed", remedy="try seed = 0"
            )

    def trains(self, x: Array) -> Array:
        """The trains of all samples, [samples, steps, ...]; of x [samples, ...]."""
        return self.encoder.encode(np.asarray(real(x), dtype=np.float64), np.random.default_rng(self.seed))

    def parts(self, x: Array) -> Iterator[tuple[slice, Array]]:
        """Which samples, and their trains, as many at a time as memory takes; together they are :meth:`trains`."""
        rng = np.random.default_rng(self.seed)
        some = max(1, _MOST_VALUES // max(1, prod(x.shape[1:]) * max(1, self.encoder.steps)))
        for first in range(0, len(x), some):
            part = slice(first, first + some)
            yield part, self.encoder.encode(np.asarray(real(x[part]), dtype=np.float64), rng)


def _require_steps(steps: int, least: int) -> None:
    if steps < least:
        raise DesignError(f"expected at least {least}, found {steps}", where="encoding.steps", remedy="try steps = 25")


def _require_unit(x: Array) -> None:
    bad = np.argwhere(~((x >= 0.0) & (x <= 1.0)).reshape(len(x), prod(x.shape[1:])))
    if len(bad):
        sample, feature = bad[0]
        raise DataError(
            f"expected values from 0 to 1 to encode as spikes, found {x.reshape(len(x), -1)[sample, feature]:g} "
            f"at sample {sample}, feature {feature}",
            where="data",
            remedy='scale the data, or choose the encoding "direct"',
        )
