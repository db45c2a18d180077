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

__all__ = ["LEAST_ROOM", "clamp_currents", "coefficients", "solvable", "tail_currents"]

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


@compiled
def tail_currents(c: Array, clamps: Array, amps: Array, room: Array) -> None:
    """Currents of clamps far from their limits, and how far: s w^2 / 4 [1 / (h - c) - 1 / (c - l)].

    Args:
        c: controlling voltages, shape [samples, clamps], V.
        clamps: as above.
        amps: takes the currents, same shape as ``c``, A.
        room: takes the smallest distance of any sample from a limit, [clamps], V; negative beyond it.
    """
    low, high, siemens, corner = clamps[0], clamps[1], clamps[2], clamps[3]
    room[:] = np.inf
    for sample in range(c.shape[0]):
        volts, out = c[sample], amps[sample]
        for k in range(volts.shape[0]):
            above, below = high[k] - volts[k], volts[k] - low[k]
            room[k] = min(room[k], above, below)
            # On its way a clamp may pass a limit; its current stays that of a quiet one.
            least = LEAST_ROOM * (high[k] - low[k])
            tail = 1.0 / max(above, least) - 1.0 / max(below, least)
            out[k] = 0.25 * siemens[k] * corner[k] * corner[k] * tail
