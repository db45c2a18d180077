"""Clamps solved in closed form: what holds a gain stage between its limits.

A clamp's current is i(c) = s [pos(c - h) - pos(l - c)], pos(u) = (u + sqrt(u^2 + w^2)) / 2, and a circuit
answers it with c = r + m i, m < 0. With p = pos(c - h), t = pos(l - c) and a = -m s this is, because
pos(u) (pos(u) - u) = w^2 / 4,

    (1 + a) p^2 - rho p - w^2 / 4 = 0,   rho = r - h + a t,

whose positive root is p. Measured from the middle of the swing the nearer limit is h or its mirror
image; t, of the limit further away, is w^2 / (4 (c - l)), for which c is r held between the limits: it is
off by at most w sqrt(1 + a), which makes an error of a w^3 sqrt(1 + a) / (4 (h - l)^2).
"""

from typing import Any

import numpy as np

from ohmweave.simulate.compiled import compiled
from ohmweave.units import Array

__all__ = [
    "LEAST_ROOM",
    "clamp_currents",
    "coefficients",
    "lone_currents",
    "quiet_coefficients",
    "rest_coefficients",
    "solvable",
    "tail_lines",
    "tail_rests",
]

_ERROR = 1e-12
LEAST_ROOM = 1e-3


def solvable(clamps: Array, own: Array) -> Any:
    """Which elements are clamps whose equation has the closed form: [elements], boolean.

    Args:
        clamps: low and high limit (V), siemens, corner (V), shape [4, elements]; nan for other laws.
        own: m, the answer of each controlling voltage to its own element's current, [elements], ohm.
    """
    low, high, siemens, corner = clamps
    with np.errstate(invalid="ignore"):
        a = -own * siemens
        error = 0.25 * a * corner**3 * np.sqrt(1.0 + a) / (high - low) ** 2
        return (own < 0) & (high > low) & (error <= _ERROR)


def coefficients(clamps: Array, own: Array) -> Array:
    """What the closed form needs of each clamp, shape [8, clamps].

    Middle and half of the swing (V), w^2 / 4 (V^2), its double (V^2), a, s (S), 1 / (2 + 2a), (1 + a) w^2 (V^2).

    Args:
        clamps: low and high limit (V), siemens, corner (V), shape [4, clamps].
        own: m, [clamps], ohm, negative.
    """
    low, high, siemens, corner = clamps
    a, quarter = -own * siemens, 0.25 * corner**2
    middle, half = 0.5 * (high + low), 0.5 * (high - low)
    return np.array([middle, half, quarter, 2.0 * quarter, a, siemens, 0.5 / (1.0 + a), 4.0 * (1.0 + a) * quarter])


@compiled
def clamp_currents(still: Array, r: Array, old: Array, known: Array, amps: Array, moved: Array) -> None:
    """Solve c = r + m i(c) for each clamp by itself.

    Args:
        still: part of r, shape [samples, clamps or more], V.
        r: the other part, which ``still`` is added to; voltage without the clamp's own current, [samples, clamps], V.
        old: r of the sweep before, [samples, clamps or more], V.
        known: see :func:`coefficients`.
        amps: takes i, [samples, clamps], A.
        moved: takes the root of the summed squares of the changes of r, [samples], V.
    """
    # Rows and columns are taken out by name, and no number is written out, which would be one of float64:
    # else the loop is not vectorised.
    middle, half, quarter, twice = known[0], known[1], known[2], known[3]
    a, siemens, share, width = known[4], known[5], known[6], known[7]
    for sample in range(r.shape[0]):
        base, new, before, out = still[sample], r[sample], old[sample], amps[sample]
        total = half[0] - half[0]
        for k in range(new.shape[0]):
            # What is stored has the precision of r, whatever that of the rest.
            new[k] += base[k]
            volts = new[k]
            out[k] = _lone(volts - middle[k], half[k], quarter[k], twice[k], a[k], siemens[k], share[k], width[k])
            change = volts - before[k]
            total += change * change
        moved[sample] = np.sqrt(total)


@compiled
def lone_currents(r: Array, known: Array, amps: Array) -> None:
    """Solve c = r + m i(c) for each clamp by itself, whatever r was before.

    Args:
        r: voltage without the clamp's own current, shape [samples, clamps or more], V.
        known: see :func:`coefficients`.
        amps: takes i, [samples, clamps], A.
    """
    middle, half, quarter, twice = known[0], known[1], known[2], known[3]
    a, siemens, share, width = known[4], known[5], known[6], known[7]
    for sample in range(amps.shape[0]):
        volts, out = r[sample], amps[sample]
        for k in range(out.shape[0]):
            out[k] = volts[k] - middle[k]
            out[k] = _lone(out[k], half[k], quarter[k], twice[k], a[k], siemens[k], share[k], width[k])


@compiled
def _lone(away: Any, half: Any, quarter: Any, twice: Any, a: Any, siemens: Any, share: Any, width: Any) -> Any:
    """One clamp's current, ``away`` being r from the middle of its swing."""
    y = abs(away)
    tail = quarter / (min(y, half) + half)
    rho = y - half + a * tail
    wide = abs(rho) + np.sqrt(rho * rho + width)
    deep, shallow = wide * share, twice / wide
    zero = half - half
    current = siemens * ((deep if rho >= zero else shallow) - tail)
    return current if away >= zero else -current


def quiet_coefficients(clamps: Array, constant: Array) -> Array:
    """What the tails of each clamp need, shape [6, clamps].

    Low and high limit (V), s w^2 / 4 (A V), least distance from a limit (V), half the tail's slope in mid-swing (S),
    ``constant``.

    Args:
        clamps: low and high limit (V), siemens, corner (V), shape [4, clamps].
        constant: the part of the controlling voltages that is the same for every sample, [clamps], V.
    """
    low, high, siemens, corner = clamps
    swing, product = high - low, 0.25 * siemens * corner**2
    return np.array([low, high, product, LEAST_ROOM * swing, 4.0 * product / swing**2, constant])


def rest_coefficients(clamps: Array, lines: Array, start: Array) -> Array:
    """What the rests of each clamp need, shape [6, clamps].

    High limit over ``start`` and ``start`` over the low one (V), s w^2 / 4 (A V), least distance from a limit (V),
    slope of the line (S), the line at ``start`` (A).

    Args:
        clamps: low and high limit (V), siemens, corner (V), shape [4, clamps].
        lines: slope (S) and value at zero (A) of the line that stands for each tail, shape [2, clamps].
        start: what controlling voltages are counted from, [clamps], V.
    """
    low, high, siemens, corner = clamps
    slope, level = lines
    return np.array(
        [high - start, start - low, 0.25 * siemens * corner**2, LEAST_ROOM * (high - low), slope, level + slope * start]
    )


def tail_lines(clamps: Array, seen: Array) -> Array:
    """The straight lines that stand for the tails: slope (S) and value at zero (A), shape [2, clamps].

    Each meets its tail in the middle of the voltages seen, with the mean of the tail's slopes at their ends.

    Args:
        clamps: low and high limit (V), siemens, corner (V), shape [4, clamps].
        seen: least and largest controlling voltage seen, within the limits, shape [2, clamps], V.
    """
    low, high, siemens, corner = clamps
    product, middle = 0.25 * siemens * corner**2, 0.5 * (seen[0] + seen[1])
    slope = 0.5 * product * (1.0 / (high - seen) ** 2 + 1.0 / (seen - low) ** 2).sum(axis=0)
    return np.array([slope, product * (1.0 / (high - middle) - 1.0 / (middle - low)) - slope * middle])


@compiled
def tail_rests(c: Array, known: Array, room: Array) -> None:
    """What tails have beyond their lines, s w^2 / 4 [1 / (h - c) - 1 / (c - l)] - line, and how far clamps are.

    Args:
        c: controlling voltages less their start, shape [samples, clamps], V; becomes the rests, A.
        known: see :func:`rest_coefficients`.
        room: takes the smallest distance of any sample from a limit, [clamps], V; negative beyond it.
    """
    up, down, product, least, slope, level = known[0], known[1], known[2], known[3], known[4], known[5]
    room[:] = np.inf
    for sample in range(c.shape[0]):
        volts = c[sample]
        for k in range(volts.shape[0]):
            v = volts[k]
            above, below = up[k] - v, down[k] + v
            room[k] = min(room[k], above, below)
            # On its way a clamp may pass a limit; its current stays that of a quiet one.
            above, below = max(above, least[k]), max(below, least[k])
            volts[k] = product[k] * (below - above) / (above * below) - (level[k] + slope[k] * v)
