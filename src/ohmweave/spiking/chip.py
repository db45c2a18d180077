"""A compiled spiking chip: the plan, its circuit, and what can be asked of it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.blocks.logic import HIGH
from ohmweave.circuit import Cell
from ohmweave.errors import DataError, DesignError
from ohmweave.floorplan import chance
from ohmweave.netlist import dialect as find_dialect
from ohmweave.netlist import write_file
from ohmweave.simulate import Progress
from ohmweave.simulate.native import Native
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.spiking.circuit import build_spiking
from ohmweave.spiking.plan import SpikingPlan
from ohmweave.spiking.steps import StageTrains, Stepper
from ohmweave.spiking.transient import Reading, read, transient
from ohmweave.temporal import decide, real
from ohmweave.units import Array

__all__ = ["SpikingChip", "SpikingRun"]

# Values that are looked at together, 1 MiB of single precision.
_MOST_CHECKED = 2**18
# A transient of a network takes minutes.
_TIME_LIMIT = 3600.0


@dataclass(frozen=True, eq=False)
class SpikingRun:
    """A chip's answer to some samples.

    Args:
        plan: of the chip.
        spikes: of each stage by its name, 0 or 1, [samples, steps, neurons].
        membranes: at the comparisons, in thresholds, the same shapes; none where not asked for.
        joules: what the row drivers delivered by stage, [samples], J; none where not asked for.
        engine: its name.
        version: its version.
        seconds: wall time, s.
        margin: smallest distance of a spike's voltage from the middle of the logic levels in SPICE, V.
        remarks: of the simulator, what it had to do for its answers.
    """

    plan: SpikingPlan
    spikes: Mapping[str, Array]
    membranes: Mapping[str, Array]
    joules: Mapping[str, Array]
    engine: str
    version: str
    seconds: float
    margin: float
    remarks: tuple[str, ...] = ()

    @property
    def output(self) -> Array:
        """The last stage's spikes, [samples, steps, neurons]."""
        return self.spikes[self.plan.stages[-1].name]

    @property
    def classes(self) -> NDArray[np.int64]:
        """The neuron of the last stage that spiked most in each sample, the first among equals, [samples]."""
        return decide(self.output)


@dataclass(frozen=True, eq=False)
class _Answer:
    """What an engine says.

    Args:
        batches: of some samples each, stage by stage.
        version: of the engine.
        margin: smallest distance of a spike's voltage from the middle of the logic levels, V.
        remarks: of the engine.
    """

    batches: Sequence[tuple[StageTrains, ...]]
    version: str
    margin: float
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SpikingChip:
    """A plan and the circuit built from it."""

    plan: SpikingPlan

    @cached_property
    def cell(self) -> Cell:
        """The whole circuit."""
        return build_spiking(self.plan)

    @cached_property
    def _stepper(self) -> Stepper:
        return Stepper(self.plan, Native())

    def widths(self, steps: int) -> Array:
        """Widths of the chip's pulses for samples of so many steps, [steps + delay of the last stage], s."""
        return self.plan.design.clock.widths(steps + max(self.plan.delays), chance(self.plan.design, "pulses"))

    def fit(self, trains: NDArray[Any]) -> NDArray[Any]:
        """Bring samples into [samples, steps, inputs]; spikes may be of any real type and keep it.

        Raises:
            DataError: another number of inputs, values that are no numbers or no spikes, or no samples.
        """
        trains = real(trains)
        if trains.ndim < 3 or not trains.size or int(np.prod(trains.shape[2:])) != self.plan.inputs:
            raise DataError(
                f"expected spike trains of shape [samples, steps, {self.plan.inputs}], found {trains.shape}",
                where="data",
                remedy="encode the samples as spike trains",
            )
        trains = trains.reshape(*trains.shape[:2], -1)
        some = max(1, _MOST_CHECKED // trains[0].size)
        for first in range(0, len(trains), some):
            self._require_spikes(trains[first : first + some])
        return trains

    def _require_spikes(self, part: NDArray[Any]) -> None:
        fine = (part >= 0) & (part <= 1) if self.plan.straight else (part == 0) | (part == 1)
        if not fine.all():
            wanted = "shares of a pulse from 0 to 1" if self.plan.straight else "spikes of 0 or 1"
            raise DataError(f"expected {wanted}, found {part[~fine][0]:g}", where="data", remedy="encode the samples")

    def stream(
        self, trains: Array, *, membranes: bool = False, energy: bool = False
    ) -> Iterator[tuple[slice, tuple[StageTrains, ...]]]:
        """Run samples in the native engine, as many at a time as memory allows.

        Args:
            trains: at the inputs, [samples, steps, inputs].
            membranes: whether membranes are wanted.
            energy: whether energies are wanted.

        Yields:
            Which samples, and what each stage did.
        """
        trains = self.fit(trains)
        most, widths = self._stepper.most_samples(trains.shape[1]), self.widths(trains.shape[1])
        for first in range(0, len(trains), most):
            part = slice(first, min(first + most, len(trains)))
            some = np.ascontiguousarray(trains[part], dtype=np.float64)
            yield part, tuple(self._stepper.run(some, widths, membranes=membranes, energy=energy))

    def simulate(
        self,
        trains: Array,
        engine: str = "native",
        *,
        membranes: bool = True,
        energy: bool = False,
        spice: NgspiceSimulator | None = None,
        progress: Progress | None = None,
    ) -> SpikingRun:
        """Run samples through the whole circuit.

        Args:
            trains: at the inputs, [samples, steps, inputs].
            engine: ``"native"`` or ``"ngspice"``, which takes one transient a sample.
            membranes: whether membranes are wanted.
            energy: whether the energies of the row drivers are wanted, which the native engine has.
            spice: the simulator, for other limits than its own.
            progress: told ("samples", how many are done, of how many) by ngspice.

        Raises:
            DataError: samples that do not fit.
            DesignError: another engine, or energies of an engine that has none.
            SimulatorMissing, SimulationError: as the engines.
        """
        begun = time.perf_counter()
        _require_engine(engine, energy)
        if engine == "native":
            batches = [stages for _, stages in self.stream(trains, membranes=membranes, energy=energy)]
            answer = _Answer(batches, Native().version(), HIGH)
        else:
            answer = self._in_spice(self.fit(trains), spice or NgspiceSimulator(time_limit=_TIME_LIMIT), progress)
        return SpikingRun(
            self.plan,
            self._joined(answer, "spikes"),
            self._joined(answer, "membranes") if membranes else {},
            self._joined(answer, "joules") if energy else {},
            engine,
            answer.version,
            time.perf_counter() - begun,
            answer.margin,
            answer.remarks,
        )

    def _in_spice(self, trains: NDArray[Any], simulator: NgspiceSimulator, progress: Progress | None) -> "_Answer":
        """One transient a sample."""
        readings = []
        for done, train in enumerate(trains, 1):
            readings.append(self._transient(simulator, train))
            if progress is not None:
                progress("samples", done, len(trains))
        batches = [each.stages for each in readings]
        remarks = tuple(sorted({remark for each in readings for remark in each.remarks}))
        return _Answer(batches, simulator.version(), min(each.margin for each in readings), remarks)

    def _joined(self, answer: "_Answer", what: str) -> dict[str, Array]:
        """One quantity of all samples, stage by stage."""
        return {
            stage.name: np.concatenate([getattr(batch[index], what) for batch in answer.batches])
            for index, stage in enumerate(self.plan.stages)
        }

    def _transient(self, simulator: NgspiceSimulator, train: Array) -> Reading:
        steps = len(train)
        traces = simulator.trace(transient(self.plan, self.cell, train, self.widths(steps)))
        return read(self.plan, traces, steps)

    def write(self, directory: Path | str, dialect: str = "ngspice") -> Path:
        """Write the netlist of the whole circuit as ``chip`` with the dialect's suffix; returns its path.

        Raises:
            DesignError: no such dialect.
        """
        words = find_dialect(dialect)
        path = Path(directory) / f"chip{words.suffix}"
        names = {stage.name: ", ".join(stage.layers) for stage in self.plan.stages}
        return write_file(self.cell, words, path, names)


def _require_engine(engine: str, energy: bool) -> None:
    if engine not in {"native", "ngspice"}:
        raise DesignError(
            f"expected native or ngspice, which run spiking chips, found {engine!r}",
            where="engine",
            remedy="use one",
        )
    if energy and engine != "native":
        raise DesignError(
            f"expected the native engine, which has the energies of the row drivers, found {engine!r}",
            where="energy",
            remedy='leave energy out, or use engine = "native"',
        )
