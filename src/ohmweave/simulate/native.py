"""The native engine: the DC operating point of a whole circuit, exact, for all samples at once.

It reads the same hierarchical circuit that the netlist is written from. Crossbars are reduced to
their ports (:mod:`ohmweave.simulate.reduction`), the linear rest is factorised once
(:mod:`ohmweave.simulate.linear`), and samples stream through what is nonlinear in batches
(:mod:`ohmweave.simulate.operating`, :mod:`ohmweave.simulate.coupled`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ohmweave.bench import Bench, Waves
from ohmweave.errors import DesignError, SimulationError
from ohmweave.simulate import Precision, Progress
from ohmweave.simulate.coupled import Coupled
from ohmweave.simulate.elaborate import FlatCircuit, elaborate
from ohmweave.simulate.linear import Watched
from ohmweave.simulate.operating import Arithmetic, OperatingPoints
from ohmweave.simulate.prepared import Prepared, refuse_nonsense
from ohmweave.simulate.reductions import reduce_arrays
from ohmweave.simulate.threads import one_thread_each
from ohmweave.units import Array

__all__ = ["Native"]


@dataclass(frozen=True)
class Native:
    """Nodal solution of the same circuit, batched over samples.

    Args:
        tolerance: largest change of any controlling voltage that a further sweep, or step, could make, V.
        device_tolerance: largest residual current of any nonlinear device, relative to the largest
            device current of the sample.
        batch: samples solved together, which bounds the memory; None for what suits the processor's caches.
        precision: ``"float32"`` is quicker; its error against float64 is measured on some samples and
            told in the remarks.
        device: torch device to compute on (``"cpu"``, ``"cuda"``), or None for this machine's own arithmetic.
        threads: to reduce arrays and solve nonlinear ones with.
        cache: folder that keeps reduced arrays of linear devices, or None.
        progress: told (what is done, how many of them, of how many) after each array and each batch of samples.
    """

    tolerance: float = 1e-10
    device_tolerance: float = 1e-12
    batch: int | None = None
    precision: Precision = "float64"
    device: str | None = None
    threads: int = 1
    cache: Path | None = None
    progress: Progress | None = None
    name: str = "native"

    def __post_init__(self) -> None:
        for option in ("batch", "threads"):
            found = getattr(self, option)
            if found is not None and found < 1:
                raise _refusal(option, "at least 1", found, "leave it out")
        for option in ("tolerance", "device_tolerance"):
            if not getattr(self, option) >= 0.0:
                raise _refusal(option, "a number not below zero", getattr(self, option), "leave it out")
        if self.precision not in get_args(Precision):
            raise _refusal("precision", "float64 or float32", self.precision, "use one of these")

    def version(self) -> str:
        """ohmweave's version, and the precision where it is not float64."""
        return version("ohmweave") + ("" if self.precision == "float64" else f" {self.precision}")

    def run(self, bench: Bench) -> Waves:
        """Solve every sample of a bench.

        Raises:
            SimulationError: a circuit without a single operating point, or with transistors that no macro stands for.
            ConvergenceError: a sample that did not settle; names it and the place.
        """
        begun = time.perf_counter()
        prepared = self._prepare(bench, None, bench.samples)
        reduced = time.perf_counter()
        circuit, slices = prepared.circuit, prepared.circuit.slices
        # What the ports of nonlinear arrays have is of no use once a sample is solved.
        ports = slices.ports.stop
        # Once more: torch may have been loaded in between.
        with one_thread_each():
            watched, remarks = prepared.stream(bench.volts, slice(ports, circuit.count), self._told("samples"))
            if self.precision == "float32":
                remarks.add(_float32_remark(circuit, bench, watched))
        ended = time.perf_counter()
        seconds = {"reduce": reduced - begun, "solve": ended - reduced, "total": ended - begun}
        return Waves(
            self.name,
            self.version(),
            volts=watched[:, _kept(slices.probes, slices)],
            input_amps=watched[:, _kept(slices.input_amps, slices)],
            source_volts=watched[:, _kept(slices.source_volts, slices)],
            source_amps=watched[:, _kept(slices.source_amps, slices)],
            seconds=seconds,
            remarks=tuple(sorted(remarks)),
        )

    def prepare(self, bench: Bench, largest: float | None = None) -> Prepared:
        """Reduce and factorise a circuit once, to be solved for samples that come later, call after call.

        Args:
            bench: the circuit; it may have no samples, [0, inputs].
            largest: the largest drive to come, V, which circuits with nonlinear arrays are linearised for;
                without it that of the bench's samples and sources. What is beyond it is as exact, and slower.

        Raises:
            SimulationError: a circuit without a single operating point.
        """
        return self._prepare(bench, largest, None)

    def _prepare(self, bench: Bench, largest: float | None, samples: int | None) -> Prepared:
        with one_thread_each():
            circuit = self._assemble(_solvable(bench), bench, largest, samples)
        return Prepared(circuit, bench.inputs, self.batch)

    def _assemble(
        self, flat: FlatCircuit, bench: Bench, largest: float | None = None, samples: int | None = None
    ) -> OperatingPoints | Coupled:
        """Reduce the arrays and factorise the circuit around them; ``samples`` is how many will come, if known."""
        for path, model in flat.foreign.items():
            raise SimulationError(f"expected a current law, found the model {model!r} alone", where=path)
        curved = [index for index, placed in enumerate(flat.crossbars) if placed.crossbar.device is not None]
        straight = [index for index in range(len(flat.crossbars)) if index not in curved]
        straight_g = [flat.crossbars[index] for index in straight]
        options: dict[str, Any] = {"workers": self.threads}
        told = self._told("arrays")
        given = reduce_arrays(straight_g, [None] * len(straight), cache=self.cache, progress=told, **options)
        # Arrays that are linearised anew on the way are not told again.
        telling = iter([told])
        known = {index: found.admittance for index, found in zip(straight, given, strict=True)}
        arrays = [flat.crossbars[index] for index in curved]

        def linearise(slopes: Sequence[Array]) -> tuple[list[Array], OperatingPoints]:
            # Not kept: the slopes depend on the samples.
            found = [each.admittance for each in reduce_arrays(arrays, slopes, progress=next(telling, None), **options)]
            every = {**known, **dict(zip(curved, found, strict=True))}
            admittances = [every[index] for index in range(len(flat.crossbars))]
            # Nonlinear arrays iterate on the answers, which float32 would never let settle.
            precision: Precision = "float64" if curved else self.precision
            arithmetic = Arithmetic(self.tolerance, precision, self.device, samples)
            return found, OperatingPoints(flat, bench, admittances, curved, arithmetic)

        if not curved:
            return linearise([])[1]
        drive = _largest(flat, bench, largest)
        return Coupled(arrays, linearise, largest=drive, tolerance=self.device_tolerance, threads=self.threads)

    def _told(self, what: str) -> Callable[[int, int], None] | None:
        return None if self.progress is None else partial(self.progress, what)


def _solvable(bench: Bench) -> FlatCircuit:
    """The circuit with its macros in place of transistors."""
    flat = elaborate(bench.cell, macros=True)
    if flat.transistors:
        raise SimulationError(
            f"expected a circuit without transistors, found {flat.transistors[0]} ({len(flat.transistors)} in all)",
            where=f"native, {bench.cell.name}",
            remedy="simulate it in ngspice, or give the cell around them a macro",
        )
    return flat


def _kept(quantities: slice, slices: Watched) -> slice:
    """Where quantities stand once the ports before them are left out."""
    return slice(quantities.start - slices.ports.stop, quantities.stop - slices.ports.stop)


def _refusal(option: str, expected: str, found: object, remedy: str) -> DesignError:
    return DesignError(f"expected {expected}, found {found!r}", where=f"engine native, {option}", remedy=remedy)


def _largest(flat: FlatCircuit, bench: Bench, told: float | None) -> float:
    """The largest voltage that any source drives, V."""
    refuse_nonsense(bench.volts, bench.inputs)
    sources = [abs(branch.volts) for branch in flat.branches.values()]
    driven = float(np.abs(bench.volts).max(initial=0.0) * bench.scale)
    return max(driven, *sources, told or 0.0, 0.0) or 1.0


def _float32_remark(circuit: OperatingPoints | Coupled, bench: Bench, watched: Array) -> str:
    if isinstance(circuit, Coupled):
        return "float64 in spite of float32: arrays of nonlinear devices are solved in float64"
    error, samples = circuit.float32_error(bench.volts, watched)
    return f"float32: at most {error:.1e} of full scale from float64 on {samples} samples"
