"""The native engine: the DC operating point of a whole circuit, exact, for all samples at once.

It reads the same hierarchical circuit that the netlist is written from. Crossbars are reduced to
their ports (:mod:`ohmweave.simulate.reduction`), the linear rest is factorised once
(:mod:`ohmweave.simulate.linear`), and what is nonlinear is solved by sweeps and Newton's method over the
batch (:mod:`ohmweave.simulate.newton`). Arrays of nonlinear devices are solved by a chord iteration around
their linearisation; samples for which that does not contract are solved by a full Newton method.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np

from ohmweave.bench import Bench, Waves
from ohmweave.circuit import DeviceLaw
from ohmweave.errors import ConvergenceError
from ohmweave.simulate.elaborate import FlatCircuit, elaborate
from ohmweave.simulate.linear import LinearResponse, respond
from ohmweave.simulate.newton import Elements, solve_elements
from ohmweave.simulate.reduction import Reduction, reduce_array
from ohmweave.units import Array

__all__ = ["Native"]

_CHORD_ITERATIONS = 60
_NEWTON_ITERATIONS = 40


@dataclass(frozen=True)
class Native:
    """Nodal solution of the same circuit, batched over samples.

    Args:
        tolerance: largest last Newton step of any controlling voltage, V.
        device_tolerance: largest residual current of any nonlinear device, relative to the largest
            device current of the sample.
        batch: samples solved together.
        progress: told (samples done, samples in all) after each batch.
    """

    tolerance: float = 1e-11
    device_tolerance: float = 1e-12
    batch: int = 512
    progress: Callable[[int, int], None] | None = None
    name: str = "native"

    def version(self) -> str:
        """ohmweave's version."""
        return version("ohmweave")

    def run(self, bench: Bench) -> Waves:
        """Solve every sample of a bench.

        Raises:
            SimulationError: a circuit without a single operating point.
            ConvergenceError: a sample that did not settle; names it and the place.
        """
        begun = time.perf_counter()
        flat = elaborate(bench.cell)
        start = [_linear_conductance(placed.crossbar.device, placed.crossbar.g, bench) for placed in flat.crossbars]
        reductions = [reduce_array(p.crossbar, g) for p, g in zip(flat.crossbars, start, strict=True)]
        circuit = _Circuit(self, flat, bench, reductions)
        reduced = time.perf_counter()
        parts, remarks = [], set()
        for first in range(0, bench.samples, self.batch):
            volts = bench.volts[first : first + self.batch]
            part, remark = circuit.solve(volts, first)
            parts.append(part)
            remarks |= remark
            if self.progress is not None:
                self.progress(first + len(volts), bench.samples)
        ended = time.perf_counter()
        watched, all_parts = circuit.response.watched, np.concatenate(parts)
        seconds = {"reduce": reduced - begun, "solve": ended - reduced, "total": ended - begun}
        return Waves(
            self.name,
            self.version(),
            volts=all_parts[:, watched.probes],
            input_amps=all_parts[:, watched.input_amps],
            source_volts=all_parts[:, watched.source_volts],
            source_amps=all_parts[:, watched.source_amps],
            seconds=seconds,
            remarks=tuple(sorted(remarks)),
        )


def _linear_conductance(device: object, g: Array, bench: Bench) -> Array | None:
    """The chord of a nonlinear device: the mean of its slopes at rest and at the largest drive."""
    law = getattr(device, "law", None)
    if law is None:
        return None
    largest = np.full_like(g, np.abs(bench.volts).max(initial=0.0))
    with np.errstate(over="ignore"):
        chord = np.asarray(0.5 * (law.slope(np.zeros_like(g), g) + law.slope(largest, g)))
    if np.isinf(chord).any():
        raise ConvergenceError(
            f"the device's conductance overflows at the largest drive, {largest.flat[0]:g} V",
            where=f"device {getattr(device, 'name', '')}",
            remedy="lower signal.v_read, or the device's nonlinearity, or mend inputs far beyond the calibration data",
        )
    return chord


class _Circuit:
    """One linearisation of a circuit, ready to solve samples."""

    def __init__(self, engine: Native, flat: FlatCircuit, bench: Bench, reductions: list[Reduction]) -> None:
        self.engine, self.flat, self.bench, self.reductions = engine, flat, bench, reductions
        self.curved = [i for i, placed in enumerate(flat.crossbars) if placed.crossbar.device is not None]
        self.laws: list[DeviceLaw] = [_law(flat, index) for index in self.curved]
        self.elements = Elements([(law, len(pairs)) for law, pairs in flat.laws.items()])
        self.response: LinearResponse = respond(flat, bench, reductions, self.curved)

    def solve(self, volts: Array, first: int) -> tuple[Array, set[str]]:
        """Every watched quantity, [samples, watched], for input voltages, and remarks."""
        answer, remarks, controls = self._settle(volts, np.zeros((len(volts), 0)), None, first)
        if not self.curved:
            return answer, remarks
        excess = [np.zeros((len(volts), len(self.reductions[i].g))) for i in self.curved]
        for _ in range(_CHORD_ITERATIONS):
            updated, across, residual = self._devices(answer, excess)
            open_samples = np.flatnonzero(residual.max(axis=0) > self.engine.device_tolerance)
            if not len(open_samples):
                return answer, remarks
            excess = updated
            try:
                answer, more, controls = self._settle(volts, self._port_amps(excess), controls, first)
            except ConvergenceError:
                break  # a chord that runs away; every sample still open gets a Newton method of its own
            remarks |= more
        for sample in open_samples:
            rows = slice(sample, sample + 1)
            answer[rows] = self._full_newton(volts[rows], [v[rows] for v in across], first + int(sample))
        return answer, remarks | {f"full Newton on {len(open_samples)} samples"}

    def _settle(self, volts: Array, port_amps: Array, start: Array | None, first: int) -> tuple[Array, set[str], Array]:
        """Solve the nonlinear elements for given drives and array port currents."""
        r = self.response
        answer = r.constant + volts @ r.to_inputs.T
        if port_amps.shape[1]:
            answer = answer + port_amps @ r.to_ports.T
        if not self.elements.count:
            return answer, set(), np.zeros((len(volts), 0))
        c_0, m = answer[:, r.watched.controls], r.to_laws[r.watched.controls]
        guess = c_0 if start is None else start
        found = solve_elements(m, c_0, self.elements, guess, self.engine.tolerance)
        if not found.done.all():
            raise ConvergenceError(
                f"Newton's method did not settle to {self.engine.tolerance:g} V for sample "
                f"{first + int(np.argmin(found.done))} ({int((~found.done).sum())} of {len(found.done)} in this batch)",
                where=self.bench.cell.name,
                remedy="look for extreme values in the design, or inputs far beyond the calibration data",
            )
        remarks = {f"sources ramped for {int(found.ramped.sum())} samples"} if found.ramped.any() else set()
        return answer + found.amps @ r.to_laws.T, remarks, found.controls

    def _devices(self, answer: Array, excess: list[Array]) -> tuple[list[Array], list[Array], Array]:
        """Device currents beyond the linear ones, voltages, and relative residuals [arrays, samples]."""
        v_ports, left = answer[:, self.response.watched.ports], 0
        updated, across, residuals = [], [], []
        for index, law, e in zip(self.curved, self.laws, excess, strict=True):
            reduction = self.reductions[index]
            ports = len(reduction.admittance)
            v = reduction.device_volts(v_ports[:, left : left + ports], e)
            left += ports
            with np.errstate(over="ignore", invalid="ignore"):  # a runaway shows as an infinite residual
                amps = law.current(v, reduction.g)
                new = amps - reduction.linear * v
                scale = np.maximum(np.abs(amps).max(axis=1, initial=0.0), 1e-30)
                residuals.append(np.nan_to_num(np.abs(new - e).max(axis=1, initial=0.0) / scale, nan=np.inf))
            updated.append(new)
            across.append(v)
        return updated, across, np.array(residuals)

    def _port_amps(self, excess: list[Array]) -> Array:
        return np.hstack([self.reductions[i].port_amps(e) for i, e in zip(self.curved, excess, strict=True)])

    def _full_newton(self, volts: Array, across: list[Array], sample: int) -> Array:
        """One sample, linearised anew at every step."""
        circuit, residual = self, np.array([[np.inf]])
        across = [np.clip(np.nan_to_num(v), -np.abs(volts).max(), np.abs(volts).max()) for v in across]
        for _ in range(_NEWTON_ITERATIONS):
            circuit, excess = circuit._linearised(across)
            answer, _, _ = circuit._settle(volts, circuit._port_amps(excess), None, sample)
            _, across, residual = circuit._devices(answer, excess)
            if residual.max() <= self.engine.device_tolerance:
                return answer
        worst = self.flat.crossbars[self.curved[int(residual.max(axis=1).argmax())]].path
        raise ConvergenceError(
            f"the devices did not settle for sample {sample}: residual {residual.max():.1e} of the largest current, "
            f"expected {self.engine.device_tolerance:.0e}",
            where=f"tile {worst}",
            remedy="lower signal.v_read or the device's nonlinearity",
        )

    def _linearised(self, across: list[Array]) -> "tuple[_Circuit, list[Array]]":
        reductions, excess = list(self.reductions), []
        for index, law, v in zip(self.curved, self.laws, across, strict=True):
            crossbar = self.flat.crossbars[index].crossbar
            linear = np.full(crossbar.g.size, np.nan)
            present, g = self.reductions[index].present, self.reductions[index].g
            linear[present] = law.slope(v[0], g)
            reductions[index] = reduce_array(crossbar, linear.reshape(crossbar.g.shape))
            excess.append(law.current(v, g) - reductions[index].linear * v)
        return _Circuit(replace(self.engine), self.flat, self.bench, reductions), excess


def _law(flat: FlatCircuit, index: int) -> DeviceLaw:
    device = flat.crossbars[index].crossbar.device
    assert device is not None
    if device.law is None:
        raise ConvergenceError(f"device cell {device.name} has no current law", where=flat.crossbars[index].path)
    return device.law
