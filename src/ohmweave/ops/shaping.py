"""Operations that move values and change none."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ohmweave.errors import ModelError
from ohmweave.ops.operation import Shape
from ohmweave.units import Array

__all__ = ["Concat", "Flatten", "Pad", "Reshape", "Slice"]


@dataclass(frozen=True)
class Flatten:
    """All features of a sample in one row."""

    arity: ClassVar[int | None] = 1

    def out_shape(self, *inputs: Shape) -> Shape:
        """[product of the input's dimensions]."""
        return (int(np.prod(inputs[0])),)

    def forward(self, *inputs: Array) -> Array:
        """The same values, [samples, features]."""
        return inputs[0].reshape(len(inputs[0]), -1)


@dataclass(frozen=True)
class Reshape:
    """The same values of a sample in another ``shape``."""

    arity: ClassVar[int | None] = 1

    shape: Shape

    def out_shape(self, *inputs: Shape) -> Shape:
        """The target shape, where it holds as many values as the input."""
        if np.prod(self.shape) != np.prod(inputs[0]):
            raise ModelError(f"expected an input with {int(np.prod(self.shape))} values, found shape {inputs[0]}")
        return self.shape

    def forward(self, *inputs: Array) -> Array:
        """The reshaped samples."""
        return inputs[0].reshape(len(inputs[0]), *self.shape)


@dataclass(frozen=True)
class Concat:
    """The channels of all inputs, one input after another.

    Every input is [channels, ...] with the same further dimensions.
    """

    arity: ClassVar[int | None] = None

    def out_shape(self, *inputs: Shape) -> Shape:
        """[all channels, ...]."""
        if len({shape[1:] for shape in inputs}) > 1:
            raise ModelError(
                f"expected inputs that differ in their channels alone, found {', '.join(map(str, inputs))}",
                remedy="bring the branches to one height and width",
            )
        return (sum(shape[0] for shape in inputs), *inputs[0][1:])

    def forward(self, *inputs: Array) -> Array:
        """The joined channels, [samples, channels, ...]."""
        return np.concatenate(inputs, axis=1)


@dataclass(frozen=True)
class Slice:
    """y[i, j, ...] = x[start_0 + i step_0, start_1 + j step_1, ...], as far as the stops.

    Args:
        starts: first index along each dimension of a sample, from 0.
        stops: where each dimension ends, that index left out.
        steps: distance of the indices that are kept, from 1.

    Raises:
        ModelError: another number of starts, stops and steps, or numbers out of range.
    """

    arity: ClassVar[int | None] = 1

    starts: Shape
    stops: Shape
    steps: Shape

    def __post_init__(self) -> None:
        lengths = {len(self.starts), len(self.stops), len(self.steps)}
        if len(lengths) > 1 or min(self.starts, default=0) < 0 or min(self.steps, default=1) < 1:
            raise ModelError(
                f"expected as many starts from 0 and steps from 1 as stops, "
                f"found {self.starts}, {self.steps} and {self.stops}",
                where="Slice",
                remedy="mend the layer",
            )

    def out_shape(self, *inputs: Shape) -> Shape:
        """The number of indices kept along each dimension."""
        (shape,) = inputs
        fits = len(shape) == len(self.stops)
        if not fits or any(not a < b <= n for a, b, n in zip(self.starts, self.stops, shape, strict=True)):
            raise ModelError(
                f"expected a slice of at least one value within {shape}, found {self.starts} to {self.stops}",
                remedy="mend the slice",
            )
        return tuple(-(-(b - a) // s) for a, b, s in zip(self.starts, self.stops, self.steps, strict=True))

    def forward(self, *inputs: Array) -> Array:
        """The values that are kept."""
        kept = (slice(a, b, s) for a, b, s in zip(self.starts, self.stops, self.steps, strict=True))
        return inputs[0][(slice(None), *kept)]


@dataclass(frozen=True)
class Pad:
    """The input with zeros around it.

    Args:
        before: zeros before the first index along each dimension of a sample.
        after: zeros behind the last index.

    Raises:
        ModelError: another number of the two, or a negative one.
    """

    arity: ClassVar[int | None] = 1

    before: Shape
    after: Shape

    def __post_init__(self) -> None:
        if len(self.before) != len(self.after) or min((*self.before, *self.after), default=0) < 0:
            raise ModelError(
                f"expected as many zeros before as after, none of them negative, found {self.before} and {self.after}",
                where="Pad",
                remedy="cut with a slice instead of a negative padding",
            )

    def out_shape(self, *inputs: Shape) -> Shape:
        """Each dimension with its zeros."""
        (shape,) = inputs
        if len(shape) != len(self.before):
            raise ModelError(
                f"expected an input of as many dimensions as the padding has, {len(self.before)}, found shape {shape}"
            )
        return tuple(a + n + b for a, n, b in zip(self.before, shape, self.after, strict=True))

    def forward(self, *inputs: Array) -> Array:
        """The values with zeros around them."""
        return np.pad(inputs[0], ((0, 0), *zip(self.before, self.after, strict=True)))
