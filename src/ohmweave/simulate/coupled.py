"""Arrays of nonlinear devices within their circuit.

To its circuit an array is what it takes at its ports, i_P = F(v_P) (:mod:`ohmweave.simulate.curved`). Split into
the port admittance Y of the linearised array and an excess e,

    i_P = Y v_P + e,   e = F(v_P) - Y v_P,

the circuit around it answers e as it answers every drive (:mod:`ohmweave.simulate.operating`), with new port
voltages. This fixed-point iteration of e is mixed (:mod:`ohmweave.simulate.mixing`); what e still changes by is
the residual of Kirchhoff's current law at the ports. Samples for which it does not vanish are
solved by Newton's method: Y is then taken anew, at the sample's own device voltages, in every step.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ohmweave.errors import ConvergenceError
from ohmweave.simulate.curved import ArraySolution, CurvedArray, settle_array, solve_array
from ohmweave.simulate.drops import LANES
from ohmweave.simulate.elaborate import PlacedCrossbar
from ohmweave.simulate.linear import Watched
from ohmweave.simulate.mixing import Mixer
from ohmweave.simulate.operating import OperatingPoints
from ohmweave.units import Array

__all__ = ["Coupled", "Linearise"]


class Linearise(Protocol):
    """Makes a circuit whose nonlinear arrays are linearised."""

    def __call__(self, slopes: Sequence[Array]) -> tuple[list[Array], OperatingPoints]:
        """The port admittance of each nonlinear array, and the circuit.

        Args:
            slopes: conductance of every device of these arrays, each [m, n], S.
        """
        ...


_ITERATIONS = 60
_NEWTON_ITERATIONS = 40
_PATIENCE = 10
# After so many iterations a sample must be so near, as a share of its largest current. Circuits with op-amps that
# saturate may have several operating points; one that wanders may end in another than the one it is driven to.
_SOON, _NEAR = 5, 0.03
# So far below what is asked for are the devices brought in every iteration: noise would be mixed in.
_FINER = 0.1
_BATCH_BYTES = 256e6
_STEEPEST = 100.0


class Coupled:
    """A circuit with nonlinear arrays, ready to solve samples.

    Args:
        crossbars: the nonlinear arrays.
        linearise: makes the circuit around them.
        largest: largest drive of the circuit, V.
        tolerance: largest residual current of any device, relative to the sample's largest device
            current, and at any port, relative to its largest port current.
        threads: to share the samples of an array among.

    Raises:
        ConvergenceError: a device without a law, or with one that overflows at the largest drive.
    """

    def __init__(
        self,
        crossbars: Sequence[PlacedCrossbar],
        linearise: Linearise,
        *,
        largest: float,
        tolerance: float,
        threads: int = 1,
    ) -> None:
        self.crossbars, self.linearise, self.threads = crossbars, linearise, threads
        self.largest, self.tolerance = largest, tolerance
        self.arrays = [_curved(placed) for placed in crossbars]
        chords = [_chord(placed, array, largest) for placed, array in zip(crossbars, self.arrays, strict=True)]
        self.admittances, self.points = linearise(chords)
        edges = np.cumsum([0, *(array.wires.ports for array in self.arrays)])
        self.spans = [slice(int(a), int(b)) for a, b in pairwise(edges)]

    @property
    def slices(self) -> Watched:
        """Where each watched quantity stands."""
        return self.points.slices

    @property
    def count(self) -> int:
        """Number of watched quantities."""
        return self.points.count

    @property
    def most_samples(self) -> int:
        """Samples that may be solved together: what their device currents take is bounded."""
        devices = sum(array.g.size for array in self.arrays)
        return max(LANES, int(_BATCH_BYTES / (8 * devices)) // LANES * LANES)

    def solve(self, volts: Array, first: int) -> tuple[Array, set[str]]:
        """Everything watched, [samples, watched], and remarks.

        Args:
            volts: at the inputs, [samples, inputs], V.
            first: number of the first of these samples, for messages.

        Raises:
            ConvergenceError: a sample that does not settle; names it and the place.
        """
        watched, remarks, left = self._iterate(volts, first)
        for sample in left:
            rows = slice(sample, sample + 1)
            watched[rows] = self._newton(volts[rows], first + int(sample))
        return watched, remarks | ({f"Newton's method on the arrays of {len(left)} samples"} if len(left) else set())

    def _iterate(self, volts: Array, first: int) -> tuple[Array, set[str], NDArray[np.int64]]:
        """The mixed iteration: everything watched, remarks, and the samples left open."""
        excess, mixer = np.zeros((len(volts), self.spans[-1].stop)), Mixer()
        solutions: list[ArraySolution] | None = None
        remarks: set[str] = set()
        best, best_at, strayed = np.inf, 0, np.zeros(len(volts), dtype=bool)
        for count in range(_ITERATIONS):
            # Samples gone astray rest where they do no harm.
            excess[strayed] = 0.0
            try:
                watched, remark = self.points.solve(np.hstack([volts, excess]), first)
            except ConvergenceError:  # the iteration runs away; Newton's method has its own start
                return np.zeros((len(volts), self.count)), remarks, np.arange(len(volts))
            remarks |= remark
            v_ports = np.ascontiguousarray(watched[:, self.slices.ports])
            solutions = self._solve_arrays(v_ports, solutions, _FINER * self.tolerance)
            answer = self._excess(v_ports, solutions, self.admittances)
            mismatch = self._mismatch(answer - excess, solutions)
            if count >= _SOON:
                strayed |= ~(mismatch <= _NEAR)
            left = strayed | ~(mismatch <= self.tolerance)
            worst = np.max(mismatch[left & ~strayed], initial=0.0)
            best, best_at = (worst, count) if worst < 0.5 * best else (best, best_at)
            if not (left & ~strayed).any() or count - best_at > _PATIENCE:
                break
            excess = mixer.mix(excess, answer)
        return watched, remarks, np.flatnonzero(left)

    def _newton(self, volts: Array, sample: int) -> Array:
        """One sample, its arrays linearised anew at every step."""
        admittances, points = self.admittances, self.points
        v_ports = excess = np.zeros((1, self.spans[-1].stop))
        solutions: list[ArraySolution] | None = None
        mismatch = np.array([np.inf])
        for _ in range(_NEWTON_ITERATIONS):
            watched, _ = points.solve(np.hstack([volts, excess]), sample)
            # A step may lead far beyond what the devices can bear; it is taken in parts.
            v_ports = v_ports + np.clip(watched[:, self.slices.ports] - v_ports, -self.largest, self.largest)
            solutions = self._solve_arrays(v_ports, solutions, _FINER * self.tolerance)
            gap = np.abs(watched[:, self.slices.ports] - v_ports).max()
            mismatch = self._mismatch(self._excess(v_ports, solutions, admittances) - excess, solutions)
            if mismatch.max() <= self.tolerance and not gap:
                return watched
            slopes = [_slopes(array, found) for array, found in zip(self.arrays, solutions, strict=True)]
            admittances, points = self.linearise(slopes)
            excess = self._excess(v_ports, solutions, admittances)
        assert solutions is not None
        worst = int(np.argmax([found.residual[0] for found in solutions]))
        raise ConvergenceError(
            f"the devices did not settle for sample {sample}: residual {mismatch[0]:.1e} of the largest current, "
            f"expected {self.tolerance:.0e}",
            where=f"tile {self.crossbars[worst].path}",
            remedy="lower signal.v_read or the device's nonlinearity",
            sample=sample,
        )

    def _solve_arrays(self, v_ports: Array, start: list[ArraySolution] | None, tolerance: float) -> list[ArraySolution]:
        options: dict[str, Any] = {"tolerance": tolerance, "threads": self.threads}
        parts = [(array, v_ports[:, span]) for array, span in zip(self.arrays, self.spans, strict=True)]
        if start is None:
            return [settle_array(array, part, **options) for array, part in parts]
        return [
            before if _stands(before, part) else solve_array(array, part, before, **options)
            for (array, part), before in zip(parts, start, strict=True)
        ]

    def _excess(self, v_ports: Array, solutions: Sequence[ArraySolution], admittances: Sequence[Array]) -> Array:
        """e = F(v_P) - Y v_P of all arrays side by side, [samples, ports], A."""
        parts = zip(solutions, self.spans, admittances, strict=True)
        return np.hstack([found.port_amps - v_ports[:, span] @ y.T for found, span, y in parts])

    def _mismatch(self, change: Array, solutions: Sequence[ArraySolution]) -> Array:
        """Largest residual of each sample, of devices and at ports, relative to the largest current of its kind."""
        pairs = [
            (np.abs(change).max(axis=1), np.max([np.abs(found.port_amps).max(axis=1) for found in solutions], axis=0)),
            (
                np.max([found.residual for found in solutions], axis=0),
                np.max([found.largest for found in solutions], axis=0),
            ),
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = [np.where(residual == 0.0, 0.0, residual / scale) for residual, scale in pairs]
        return np.asarray(np.max(shares, axis=0))


def _stands(found: ArraySolution, v_ports: Array) -> bool:
    """Whether a solution answers these voltages too: ports that sources hold never move."""
    return bool(found.settled.all()) and np.array_equal(found.v_ports, v_ports)


def _curved(placed: PlacedCrossbar) -> CurvedArray:
    device = placed.crossbar.device
    if device is None or device.law is None:
        name = "" if device is None else device.name
        raise ConvergenceError(f"device cell {name} has no current law", where=f"tile {placed.path}")
    return CurvedArray.of(placed.crossbar)


def _chord(placed: PlacedCrossbar, array: CurvedArray, largest: float) -> Array:
    """The chord of each device, S: the mean of its slopes at rest and at the largest drive, within reason."""
    g = array.g
    with np.errstate(over="ignore"):
        rest, driven = array.law.slope(np.zeros_like(g), g), array.law.slope(np.full_like(g, largest), g)
    if np.isinf(driven).any():
        device = placed.crossbar.device
        raise ConvergenceError(
            f"the device's conductance overflows at the largest drive, {largest:g} V",
            where=f"device {'' if device is None else device.name}",
            remedy="lower signal.v_read, or the device's nonlinearity, or mend inputs far beyond the calibration data",
        )
    return np.asarray(0.5 * (rest + np.minimum(driven, _STEEPEST * rest)))


def _slopes(array: CurvedArray, found: ArraySolution) -> Array:
    """Slope of each device of the first sample, [m, n], S; nan where there is none."""
    return np.asarray(array.law.slope(found.device_volts[0], array.g))
