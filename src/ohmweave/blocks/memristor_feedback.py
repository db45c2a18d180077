"""Memristors in the loops of the readouts: the same devices as in the arrays."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ohmweave.blocks.loops import TwoTerminal
from ohmweave.circuit import Cell, Instance, Resistor
from ohmweave.devices import Device, bent, require_reach
from ohmweave.effects import Effect, bend, disturb
from ohmweave.units import Array

__all__ = ["MemristorFeedback"]

# What is left of a device that has become an open: the leakage of its stack.
_LEAKAGE = 1e-12
_BELOW = 1.0 - 1e-9


@dataclass(frozen=True)
class MemristorFeedback:
    """A resistance R made of p branches of s devices in series, each programmed to s / (p R).

    p and s are the smallest that bring s / (p R) into the range of the device. They are programmed and disturbed
    as those of the arrays, so what changes all devices alike leaves the ratio of feedback and array, and with it
    the gain of a layer, as it was; their current law bends the answer as theirs does. Devices of few levels
    are as far from s / (p R) as their levels are apart.
    """

    def arrangement(self, ohms: float, g_range: tuple[float, float]) -> tuple[int, int]:
        """Branches p and devices in each s for a resistance (ohm) and the range of a device (S)."""
        low, high = g_range
        # What rounding puts a hair beyond an end is at the end.
        series = max(1, math.ceil(low * ohms * _BELOW))
        while True:
            branches = max(1, math.ceil(series / (ohms * high) * _BELOW))
            # Too narrow a range may have nothing for so few.
            if series >= low * branches * ohms * _BELOW:
                return branches, series
            series += 1

    def loops(
        self, name: str, ohms: Sequence[float], columns: int, device: Device, effects: Sequence[Effect], rng: Generator
    ) -> list[tuple[TwoTerminal, ...]]:
        """As :meth:`ohmweave.blocks.Feedback.loops`."""
        shapes = [self.arrangement(each, device.g_range) for each in ohms]
        targets = [np.full(p * s, s / (p * each)) for (p, s), each in zip(shapes, ohms, strict=True)]
        target = np.tile(np.clip(np.concatenate(targets), *device.g_range), (columns, 1))
        writing, acting, curving = rng.spawn(3)
        g = disturb(effects, device.program(target, writing), device.g_range, acting)
        require_reach(device, g, "feedback")
        kind = device.cell()
        scales = None if kind is None else bend(effects, g, curving)
        edges = np.cumsum([0, *(p * s for p, s in shapes)])
        cells: dict[tuple[bytes, bytes, tuple[int, int]], TwoTerminal] = {}

        def network(column: int, k: int) -> TwoTerminal:
            span = column, slice(edges[k], edges[k + 1])
            mine, scale = g[span].reshape(shapes[k]), None if scales is None else scales[span].reshape(shapes[k])
            key = mine.tobytes(), b"" if scale is None else scale.tobytes(), shapes[k]
            return cells.setdefault(key, _network(f"{name}_{column}_{k}", kind, mine, scale))

        return [tuple(network(column, k) for k in range(len(ohms))) for column in range(columns)]


def _network(name: str, kind: Cell | None, g: Array, scale: Array | None) -> TwoTerminal:
    """Branches of devices in series, ``g`` [branches, devices], S; their voltage scales likewise, where they bend.

    An open device, g = nan, leaves of its branch a resistor of its leakage.
    """
    if kind is None:
        return Resistor(float(1.0 / (1.0 / (1.0 / np.where(np.isnan(g), _LEAKAGE, g)).sum(axis=1)).sum()))
    device = kind if scale is None else bent(kind)
    parts, (branches, series) = list[Instance](), g.shape
    for b in range(branches):
        if np.isnan(g[b]).any():
            parts.append(Instance(f"open{b}", Resistor(1.0 / _LEAKAGE), ("p", "n")))
            continue
        nets = ("p", *(f"m{b}_{d}" for d in range(1, series)), "n")
        for d in range(series):
            params = {"g": float(g[b, d])} | ({} if scale is None else {"s": float(scale[b, d])})
            parts.append(Instance(f"d{b}_{d}", device, (nets[d], nets[d + 1]), params))
    return Cell(name, ("p", "n"), tuple(parts), note=f"{branches} branches of {series} devices")
