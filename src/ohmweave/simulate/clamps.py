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
    "add_tails",
    "clamp_currents",
    "coefficients",
    "quiet_coefficients",
    "solvable",
    "tail_currents",
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
        still: part of r, shape [samples, clamps], V.
        r: the other part, which ``still`` is added to; voltage without the clamp's own current.
        old: r of the sweep before, same shape, V.
        known: see :func:`coefficients`.
        amps: takes i, same shape, A.
        moved: takes the root of the summed squares of the changes of r, [samples], V.
    """
    # Rows and columns are taken out by name, and no number is written out, which would be one of float64:
    # else the loop is not vectorised.
    middle, half, quarter, twice = known[0], known[1], known[2], known[3]
    a, siemens, share, width = known[4], known[5], known[6], known[7]
    for sample in range(r.shape[0]):
        base, new, before, out = still[sample], r[sample], old[sample], amps[sample]
        zero = total = base[0] - base[0]
        for k in range(new.shape[0]):
            volts = base[k] + new[k]
            away = volts - middle[k]
            y = abs(away)
            tail = quarter[k] / (min(y, half[k]) + half[k])
            rho = y - half[k] + a[k] * tail
            wide = abs(rho) + np.sqrt(rho * rho + width[k])
            deep, shallow = wide * share[k], twice[k] / wide
            current = siemens[k] * ((deep if rho >= zero else shallow) - tail)
            out[k] = current if away >= zero else -current
            change = volts - before[k]
            new[k] = volts
            total += change * change
        moved[sample] = np.sqrt(total)


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


@compiled
def tail_currents(c: Array, known: Array, weights: Array, room: Array, bend: Array) -> None:
    """Currents of clamps far from their limits, s w^2 / 4 [1 / (h - c) - 1 / (c - l)], and how far they are.

    Args:
        c: controlling voltages less their constant part, shape [samples, clamps], V; becomes the currents, A.
        known: see :func:`quiet_coefficients`.
        weights: of each clamp in ``bend``, [clamps], ohm.
        room: takes the smallest distance of any sample from a limit, [clamps], V; negative beyond it.
        bend: takes how far the currents are from their tangents in mid-swing, weighted and summed
            in magnitude, [samples], V.
    """
    low, high, product, least, slope, constant = known[0], known[1], known[2], known[3], known[4], known[5]
    room[:] = np.inf
    for sample in range(c.shape[0]):
        volts = c[sample]
        total = weights[0] - weights[0]
        for k in range(volts.shape[0]):
            v = volts[k] + constant[k]
            above, below = high[k] - v, v - low[k]
            room[k] = min(room[k], above, below)
            # On its way a clamp may pass a limit; its current stays that of a quiet one.
            above, below = max(above, least[k]), max(below, least[k])
            away = below - above
            tail = product[k] * away / (above * below)
            total += weights[k] * abs(tail - slope[k] * away)
            volts[k] = tail
        bend[sample] = total


@compiled
def add_tails(amps: Array, ohms: Array, linear: Array) -> None:
    """Add to each quantity what it answers to the few currents that move it.

    Args:
        amps: currents, shape [samples, rounds x quantities or more], A.
        ohms: answers, shape [rounds, quantities], ohm; of round n and quantity w to current n x quantities + w.
        linear: shape [samples, quantities], V; is added to.
    """
    rounds, quantities = ohms.shape
    for sample in range(linear.shape[0]):
        into, currents = linear[sample], amps[sample]
        for n in range(rounds):
            for w in range(quantities):
                into[w] += ohms[n, w] * currents[n * quantities + w]
