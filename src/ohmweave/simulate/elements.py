"""The nonlinear elements of a circuit other than the devices of its arrays, grouped by law."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.units import Array

__all__ = ["Elements", "anchor"]

Indices = NDArray[np.int64]


def anchor(law: object) -> Any:
    """The part of a law that counts as linear, S, one or one an element: what a junction needs so that no loop is open.

    An op-amp whose only feedback runs through diodes would answer the linear circuit with its whole
    open-loop gain, and the solution would drown in rounding.
    """
    return getattr(law, "anchor", 0.0)


@dataclass(frozen=True, eq=False)
class Elements:
    """Each law and how many consecutive elements follow it.

    A law may say more than its value and slope: ``anchor`` (see :func:`anchor`), ``limit(new, old)``,
    which holds back Newton's steps, ``clamp``, which tells that it is a clamp (:mod:`ohmweave.simulate.clamps`), and
    ``together``, true where sweeps over single elements would get nowhere. One whose elements differ is asked for all
    of them at once, in their order, and has ``choose(indices)`` for some of them.
    """

    laws: Sequence[tuple[Any, int]]

    @cached_property
    def count(self) -> int:
        """Number of elements."""
        return sum(count for _, count in self.laws)

    @cached_property
    def clamps(self) -> Array:
        """Low and high limit (V), siemens and corner (V) of each clamp, [4, elements]; nan for other laws."""
        nothing = (np.nan,) * 4
        told = [getattr(law, "clamp", None) or nothing for law, _ in self.laws]
        return np.repeat(np.array(told).reshape(-1, 4), [count for _, count in self.laws], axis=0).T

    @cached_property
    def together(self) -> bool:
        """Whether all of them are better solved together from the start."""
        return any(getattr(law, "together", False) for law, _ in self.laws)

    def choose(self, indices: Indices) -> "Elements":
        """Some of the elements, in the order of their indices given."""
        counts = [count for _, count in self.laws]
        owners, first = np.repeat(np.arange(len(counts)), counts)[indices], np.cumsum([0, *counts])
        chosen, begin = [], 0
        for owner, run in groupby(owners.tolist()):
            law, end = self.laws[owner][0], begin + len(list(run))
            if hasattr(law, "choose"):
                law = law.choose(indices[begin:end] - first[owner])
            chosen.append((law, end - begin))
            begin = end
        return Elements(chosen)

    def current(self, c: Array) -> Array:
        """Currents in A beyond the anchors at controlling voltages ``c``, [samples, elements], V."""
        return self._each(c, lambda law, part: law.value(part) - anchor(law) * part)

    def slope(self, c: Array) -> Array:
        """Their derivative in S, same shape."""
        return self._each(c, lambda law, part: law.slope(part) - anchor(law))

    def limit(self, new: Array, old: Array) -> Array:
        """Hold back steps where a law asks for it (junctions)."""
        out = new.copy()
        for law, left, right in self._spans():
            if hasattr(law, "limit"):
                out[:, left:right] = law.limit(new[:, left:right], old[:, left:right])
        return out

    def _spans(self) -> Iterator[tuple[Any, int, int]]:
        left = 0
        for law, count in self.laws:
            yield law, left, left + count
            left += count

    def _each(self, c: Array, function: Callable[[Any, Array], Array]) -> Array:
        out = np.empty_like(c)
        for law, left, right in self._spans():
            out[:, left:right] = function(law, c[:, left:right])
        return out
