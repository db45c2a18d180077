"""Newton's method on the nonlinear elements of a circuit, batched over samples.

The linear rest of a circuit answers the currents of its K nonlinear elements with c = c_0 + M phi(c), c the
elements' controlling voltages, c_0 what drives and constant sources alone cause, phi the elements' currents.
Newton's step solves (I - M diag(phi')) dc = c_0 + M phi(c) - c for every sample at once. It is for the
samples that sweeps (:mod:`ohmweave.simulate.sweeps`) do not settle: a step costs K^3 a sample.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ohmweave.simulate.elements import Elements
from ohmweave.units import Array

__all__ = ["Settled", "solve_elements"]

Indices = NDArray[np.int64]

_BATCH_BYTES = 256e6
_ITERATIONS = 100
_RAMP = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, eq=False)
class Settled:
    """Solutions of c = c_0 + M phi(c).

    Args:
        amps: phi(c) to the last digit, [samples, elements], A. Evaluating phi at c would not give it: a
            clamp turns the rounding of c into microamperes.
        controls: c, [samples, elements], V.
        done: which samples settled, [samples].
        ramped: which of them needed their sources ramped, [samples].
    """

    amps: Array
    controls: Array
    done: NDArray[np.bool_]
    ramped: NDArray[np.bool_]


def solve_elements(response: Array, c_0: Array, elements: Elements, tolerance: float) -> Settled:
    """Solve c = c_0 + phi(c) M^T for every sample, some samples at a time.

    Samples that Newton does not settle from c_0 are taken again with their sources ramped up from zero
    (source stepping, Nagel 1975). Elements whose currents move no control, such as those from one supply to another,
    are evaluated once the others are known.

    Args:
        response: M, shape [elements, elements], ohm.
        c_0: shape [samples, elements], V.
        elements: the nonlinear elements.
        tolerance: largest last step allowed, V.
    """
    acting = np.flatnonzero(response.any(axis=0))
    if len(acting) < elements.count:
        return _with_idle(response, c_0, elements, tolerance, acting)
    c, amps = np.empty_like(c_0), np.empty_like(c_0)
    done, ramped = np.zeros(len(c_0), dtype=bool), np.zeros(len(c_0), dtype=bool)
    step = max(1, int(_BATCH_BYTES / (8 * max(elements.count, 1) ** 2)))
    with np.errstate(over="ignore", invalid="ignore"):  # what runs away is seen by its NaN, and taken again
        for first in range(0, len(c_0), step):
            part = np.arange(first, min(first + step, len(c_0)))
            c[part], amps[part], done[part] = _newton(response, c_0[part], elements, c_0[part], tolerance)
            again = part[~done[part]]
            if len(again):
                ramped[again] = True
                c[again], amps[again], done[again] = _ramp(response, c_0[again], elements, tolerance)
    return Settled(amps, c, done, ramped)


def _with_idle(response: Array, c_0: Array, elements: Elements, tolerance: float, acting: Indices) -> Settled:
    """The ``acting`` elements solved, and what the others then carry."""
    among = response[np.ix_(acting, acting)]
    found = solve_elements(among, c_0[:, acting], elements.choose(acting), tolerance)
    c = c_0 + found.amps @ response[:, acting].T
    c[:, acting] = found.controls
    with np.errstate(over="ignore", invalid="ignore"):
        amps = elements.current(c)
    amps[:, acting] = found.amps
    return Settled(amps, c, found.done, found.ramped)


def _ramp(response: Array, c_0: Array, elements: Elements, tolerance: float) -> tuple[Array, Array, NDArray[np.bool_]]:
    c = np.zeros_like(c_0)
    for scale in _RAMP[:-1]:
        c, _, _ = _newton(response, scale * c_0, elements, c, tolerance)
    return _newton(response, c_0, elements, c, tolerance)


def _newton(
    response: Array, c_0: Array, elements: Elements, start: Array, tolerance: float
) -> tuple[Array, Array, NDArray[np.bool_]]:
    # Junctions must not start from what the circuit would do without them.
    c, active = elements.limit(start, np.zeros_like(start)), np.arange(len(c_0))
    settled = np.zeros(len(c_0), dtype=bool)
    identity = np.eye(elements.count)
    for _ in range(_ITERATIONS):
        old = c[active]
        residual = c_0[active] + elements.current(old) @ response.T - old
        jacobian = identity - response * elements.slope(old)[:, None, :]
        full = old + _solved(jacobian, residual)
        c[active] = elements.limit(full, old)
        moved = np.abs(full - old).max(axis=1, initial=0.0)
        # A step that ended in NaN is not small: the comparison is then false, as it should be.
        done = moved <= tolerance
        settled[active[done]] = True
        active = active[~done]
        if not len(active):
            break
    # The last step once more in the currents: (I - diag(phi') M) i = phi + phi' (c_0 - c).
    slope = elements.slope(c)
    right = elements.current(c) + slope * (c_0 - c)
    return c, _solved(identity - slope[:, :, None] * response, right), settled


def _solved(matrices: Array, right: Array) -> Array:
    """x of A x = b for every sample, nan where A is singular: such a sample does not settle, others may.

    Args:
        matrices: A, [samples, elements, elements].
        right: b, [samples, elements].
    """
    try:
        return np.asarray(np.linalg.solve(matrices, right[..., None])[..., 0], dtype=np.float64)
    except np.linalg.LinAlgError:
        if len(right) == 1:
            return np.full_like(right, np.nan)
        return np.concatenate([_solved(matrices[k : k + 1], right[k : k + 1]) for k in range(len(right))])
