"""The operating points of a circuit whose arrays are linear, or are linearised for the moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.bench import Bench
from ohmweave.errors import ConvergenceError
from ohmweave.simulate import Precision
from ohmweave.simulate.elaborate import FlatCircuit
from ohmweave.simulate.elements import Elements
from ohmweave.simulate.faint import Faint, Tangent
from ohmweave.simulate.linear import respond
from ohmweave.simulate.newton import solve_elements
from ohmweave.simulate.processor import processor
from ohmweave.simulate.sweeps import Sweeper
from ohmweave.units import Array

__all__ = ["Arithmetic", "OperatingPoints"]

_CHECKED = 32
# Share of the tolerance that samples answered by one product may be off by.
_SLIGHT = 0.2


@dataclass(frozen=True)
class Arithmetic:
    """How samples are computed.

    Args:
        tolerance: largest last change of any controlling voltage, V.
        precision: of what is swept.
        device: torch device to compute on, or None for this machine's own arithmetic.
        samples: how many will come; None stands for very many.
    """

    tolerance: float
    precision: Precision = "float64"
    device: str | None = None
    samples: int | None = None


class OperatingPoints:
    """One circuit with its responses, ready to solve samples.

    Args:
        flat: the elaborated cell.
        bench: its inputs and what is watched.
        admittances: port admittance of every crossbar, each [ports, ports], S.
        curved: indices of the crossbars with nonlinear devices; their ports may be driven.
        arithmetic: how samples are computed.

    Raises:
        SimulationError: a circuit without a single operating point.
        DesignError: a device that is not there.
    """

    def __init__(
        self,
        flat: FlatCircuit,
        bench: Bench,
        admittances: Sequence[Array],
        curved: Sequence[int],
        arithmetic: Arithmetic,
    ) -> None:
        self.where, self.arithmetic = bench.cell.name, arithmetic
        self.response = respond(flat, bench, admittances, curved)
        self.slices, self.count = self.response.slices, len(self.response.watched.constant)
        self.elements = Elements([(law, len(pairs)) for law, pairs in flat.laws.items()])
        controls, watched = self.response.controls, self.response.watched
        samples = np.inf if arithmetic.samples is None else arithmetic.samples
        operations = 2.0 * samples * (controls.to_drives.size + watched.to_drives.size)
        self._place = processor(arithmetic.device, operations)
        self._sweeper = self._sweep(arithmetic.precision)
        options: dict[str, Any] = {"precision": arithmetic.precision, "tolerance": _SLIGHT * arithmetic.tolerance}
        self._faint = None if curved else Faint(self.elements, controls, watched, self._place, **options)

    @property
    def bytes_each(self) -> int:
        """What a sample takes while it is solved, about."""
        elements, drives = self.response.controls.to_drives.shape
        return int(12 * (elements + drives) + 8 * self.count)

    def _sweep(self, precision: Precision) -> Sweeper:
        controls, watched = self.response.controls, self.response.watched
        tolerance = self.arithmetic.tolerance
        return Sweeper(self.elements, controls, watched, self._place, precision=precision, tolerance=tolerance)

    def tangent(self, watched: slice) -> Tangent | None:
        """What answers faint samples; ``None`` where none is faint, or another device is to compute."""
        return None if self._faint is None or self.arithmetic.device else self._faint.tangent(watched)

    def solve(self, u: Array, first: int) -> tuple[Array, set[str]]:
        """Everything watched, [samples, watched], and remarks.

        Args:
            u: voltages at the inputs, V, and currents into the ports of curved arrays, A, [samples, drives].
            first: number of the first of these samples, for messages.

        Raises:
            ConvergenceError: a sample that does not settle; names it.
        """
        samples = first + np.arange(len(u))
        loud = None if self._faint is None else np.flatnonzero(~self._faint.is_faint(u))
        if self._faint is None or loud is None or 2 * len(loud) > len(u):
            return self._solve(self._sweeper, u, samples)
        # The loud ones too, which costs less than to sort them out.
        watched, remarks = self._faint.solve(u), set[str]()
        if len(loud):
            watched[loud], remarks = self._solve(self._sweeper, u[loud], samples[loud])
        return watched, remarks

    def _solve(self, sweeper: Sweeper, u: Array, samples: NDArray[np.int64]) -> tuple[Array, set[str]]:
        if self.elements.together:
            watched, remarks = self._newton(u, samples)
            self._refuse_nonsense(watched, samples)
            return watched, remarks
        found = sweeper.solve(u)
        left, remarks = np.flatnonzero(~found.settled), set[str]()
        if len(left):
            found.watched[left], remarks = self._newton(u[left], samples[left])
            self._refuse_nonsense(found.watched[left], samples[left])
        return found.watched, remarks

    def _refuse_nonsense(self, watched: Array, samples: NDArray[np.int64]) -> None:
        bad = np.flatnonzero(~np.isfinite(watched).all(axis=1))
        if len(bad):
            raise ConvergenceError(
                f"expected finite voltages, found none for sample {int(samples[bad[0]])}",
                where=self.where,
                remedy="look for inputs that are no numbers",
                sample=int(samples[bad[0]]),
            )

    def float32_error(self, volts: Array, watched: Array) -> tuple[float, int]:
        """How far float32 is from float64: the largest difference of any probe, and on how many samples.

        Args:
            volts: at the inputs, [samples, inputs], V.
            watched: what :meth:`solve` gave for them, [samples, watched].

        Returns:
            Relative to the largest voltage of any probe; the samples are spread evenly.
        """
        few = np.unique(np.linspace(0, len(volts) - 1, _CHECKED).astype(np.int64)) if len(volts) else np.arange(0)
        exact = self._solve(self._sweep("float64"), volts[few], few)[0][:, self.slices.probes]
        difference = np.abs(exact - watched[few, self.slices.probes]).max(initial=0.0)
        return float(difference / max(np.abs(exact).max(initial=0.0), np.finfo(float).tiny)), len(exact)

    def _newton(self, u: Array, samples: NDArray[np.int64]) -> tuple[Array, set[str]]:
        controls, watched = self.response.controls, self.response.watched
        c_0 = controls.constant + u @ controls.to_drives.T
        found = solve_elements(controls.to_laws, c_0, self.elements, self.arithmetic.tolerance)
        if not found.done.all():
            worst, open_samples = int(samples[np.argmin(found.done)]), int((~found.done).sum())
            raise ConvergenceError(
                f"Newton's method did not settle to {self.arithmetic.tolerance:g} V for sample "
                f"{worst} ({open_samples} of {len(found.done)} in this batch)",
                where=self.where,
                remedy="look for extreme values in the design, or inputs far beyond the calibration data",
                sample=worst,
            )
        remarks = {f"sources ramped for {int(found.ramped.sum())} samples"} if found.ramped.any() else set()
        return watched.constant + u @ watched.to_drives.T + found.amps @ watched.to_laws.T, remarks
