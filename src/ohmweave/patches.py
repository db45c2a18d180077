"""Patches: the inputs of a sampled circuit at every position, gathered from held signals, and what comes of them.

Positions of all samples are counted on: row = sample * positions + position. A kernel takes some rows at a
time from the signals to the added codes, so that no patch ever leaves the processor's cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.blocks import Converter
from ohmweave.simulate.compiled import compiled
from ohmweave.simulate.faint import Tangent
from ohmweave.units import Array

__all__ = ["FaintPatches", "add_codes", "patches"]

_ROWS = 128
Numbers = NDArray[np.int64]
Places = NDArray[np.uint32]
# Codes a volt, voltage of code 0, distance of codes, last code.
Staircase = tuple[float, float, float, float]


def patches(compact: Array, source: Places, rows: Numbers) -> Array:
    """Voltages of a circuit's inputs, [rows, inputs], V.

    Args:
        compact: held signals, [samples, signals], V.
        source: signals of the inputs at every position, [positions, inputs].
        rows: numbers of the rows.
    """
    out = np.empty((len(rows), source.shape[1]))
    _gather(compact, source, rows, out, np.empty(len(rows)))
    return out


def add_codes(answer: Array, adc: Converter, rows: Numbers, outputs: Numbers, out: Array) -> None:
    """Convert voltages, [rows, outputs], V, and add them at some rows and outputs of ``out``."""
    out[rows[:, None], outputs] += adc.respond(answer)


@dataclass(frozen=True, eq=False)
class FaintPatches:
    """Circuits with the same inputs, for patches so faint that one product answers all of them.

    Args:
        reach: largest norm of such a patch, V.
        weights: answers to one volt at each input, and then without any, [inputs + 1, outputs].
        outputs: which outputs of the stage these are.
    """

    reach: float
    weights: Array
    outputs: Numbers

    @staticmethod
    def of(tangents: Sequence[Tangent | None], outputs: Sequence[Numbers]) -> "FaintPatches | None":
        """Some circuits side by side, each with its outputs; ``None`` where one of them has no tangent."""
        there = [tangent for tangent in tangents if tangent is not None]
        if len(there) < len(tangents):
            return None
        weights = [np.vstack([tangent.from_drives, tangent.constant]) for tangent in there]
        reach = min(tangent.reach for tangent in there)
        return FaintPatches(reach, np.ascontiguousarray(np.hstack(weights)), np.concatenate(outputs))

    def add(self, compact: Array, source: Places, adc: Converter, out: Array) -> Numbers:
        """Add what faint patches come to.

        Args:
            compact: held signals, [samples, signals], V.
            source: signals of the inputs at every position, [positions, inputs].
            adc: converter of every output.
            out: of the stage, [rows, outputs], V; contiguous.

        Returns:
            The rows whose patches are not faint; nothing is added there.
        """
        staircase = (1.0 / adc.step, adc.low, adc.step, 2.0**adc.bits - 1.0) if adc.bits else None
        squares = np.empty(len(out))
        _add_products(compact, source, self.weights, self.reach**2, staircase, self.outputs, out, squares)
        return np.flatnonzero(~(squares <= self.reach**2))


@compiled
def _add_products(
    compact: Array,
    source: Places,
    weights: Array,
    limit: float,
    staircase: Staircase | None,
    outputs: Numbers,
    out: Array,
    squares: Array,
) -> None:
    """As :meth:`FaintPatches.add`, for patches of summed squares up to ``limit``; ``squares`` takes those, [rows]."""
    patch, answer = np.ones((_ROWS, len(weights))), np.empty((_ROWS, weights.shape[1]))
    follow = outputs[-1] - outputs[0] == len(outputs) - 1 and bool((np.diff(outputs) == 1).all())
    for first in range(0, len(out), _ROWS):
        end = min(first + _ROWS, len(out))
        rows = end - first
        _gather(compact, source, np.arange(first, end), patch[:rows], squares[first:end])
        np.dot(patch[:rows], weights, answer[:rows])
        if staircase is not None:
            _convert(answer.reshape(-1), staircase)
        if follow:
            _add(answer, squares[first:end], limit, out[first:end], np.uint64(outputs[0]))
        else:
            _scatter(answer, squares[first:end], limit, out[first:end], outputs)


@compiled
def _gather(compact: Array, source: Places, rows: Numbers, patch: Array, squares: Array) -> None:
    """Patches of some rows, in the first columns of ``patch``, and their summed squares."""
    positions, inputs = source.shape
    for k in range(len(rows)):
        sample = rows[k] // positions
        signals, places, into = compact[sample], source[rows[k] - sample * positions], patch[k]
        for i in range(inputs):
            into[i] = signals[places[i]]
        total = 0.0
        for i in range(inputs):
            total += into[i] * into[i]
        squares[k] = total


@compiled
def _convert(volts: Array, staircase: Staircase) -> None:
    """What :meth:`Converter.respond` makes of voltages, in their place."""
    per_volt, low, step, top = staircase
    shift = 0.5 - low * per_volt
    for k in range(volts.shape[0]):
        volts[k] = low + step * min(max(np.floor(volts[k] * per_volt + shift), 0.0), top)


@compiled
def _add(answer: Array, squares: Array, limit: float, out: Array, left: Any) -> None:
    """Add rows of faint patches to the outputs from ``left`` on."""
    # Flat, and by numbers that cannot be negative, additions take a sixth of the time.
    given, into = answer.reshape(-1), out.reshape(-1)
    count, width = np.uint64(answer.shape[1]), np.uint64(out.shape[1])
    for row in range(len(out)):
        if squares[row] <= limit:
            to, at = np.uint64(row) * width + left, np.uint64(row) * count
            for j in range(count):
                into[to + j] += given[at + j]


@compiled
def _scatter(answer: Array, squares: Array, limit: float, out: Array, outputs: Numbers) -> None:
    for row in range(len(out)):
        if squares[row] <= limit:
            for j in range(len(outputs)):
                out[row, outputs[j]] += answer[row, j]
