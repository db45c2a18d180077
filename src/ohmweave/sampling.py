"""A sampled chip at work: stage after stage, each run once for every position of every sample."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ohmweave.bench import Bench
from ohmweave.blocks import Converter
from ohmweave.blocks.digital import DigitalActivation
from ohmweave.build import Part, converters, digital_activation, digital_bias, sampled_cell, sampled_parts
from ohmweave.circuit import Cell
from ohmweave.errors import ConvergenceError
from ohmweave.floorplan import Plan, Stage
from ohmweave.layers import Lowered
from ohmweave.patches import FaintPatches, Places, add_codes, patches
from ohmweave.simulate import Simulator
from ohmweave.simulate.native import Native
from ohmweave.simulate.prepared import Prepared
from ohmweave.simulate.threads import one_thread_each
from ohmweave.units import Array
from ohmweave.wiring import GROUND

__all__ = ["Sampler", "stage_bench"]

# Signals and outputs of a stage held at a time, 1 MiB of them, and of all stages.
_MOST_VALUES = 2**17
_MOST_SIGNALS = 2**24
_INPUT = -1
_STEP_SHARE = 1e-5
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Wired:
    """Where a stage's inputs come from.

    Args:
        owners: stage number (or -1 for the chip's inputs) -> which of its values, and which compact
            signals they become.
        signals: number of compact signals; ground is one of them where it is used.
        source: compact signals of the inputs at every position, [positions, inputs].
    """

    owners: Mapping[int, tuple[Numbers | slice, Numbers | slice]]
    signals: int
    source: Numbers

    @staticmethod
    def of(lowered: Lowered, index: int) -> "_Wired":
        """The wiring of one of the network's layers."""
        layer = lowered.layers[index]
        used, source = np.unique(layer.source, return_inverse=True)
        makers, owners = lowered.owners(used) - 1, dict[int, tuple[Numbers | slice, Numbers | slice]]()
        for number in np.unique(makers[used != GROUND]):
            mine = np.flatnonzero(makers == number)
            first = 1 if number == _INPUT else lowered.layers[number].first
            owners[int(number)] = (_span(used[mine] - first), _span(mine))
        return _Wired(owners, len(used), source.reshape(layer.source.shape))

    def gather(self, held: Mapping[int, Array], dac: Converter) -> Array:
        """Converted voltages of the compact signals, [samples, signals], V."""
        samples = len(next(iter(held.values())))
        compact = np.zeros((samples, self.signals))
        for number, (columns, places) in self.owners.items():
            compact[:, places] = held[number][:, columns]
        return dac.respond(compact, out=compact)


class _StageRun:
    """A stage of a sampled chip, its circuits reduced.

    Args:
        plan: the chip's plan.
        index: number of the stage.
        engine: the native engine.
    """

    def __init__(self, plan: Plan, index: int, engine: Native) -> None:
        self.stage, self.wired = plan.stages[index], _Wired.of(plan.lowered, index)
        self.parts = sampled_parts(plan, self.stage)
        self.dac, self.adc = converters(plan, self.stage)
        # What is far below a converter's step no code can tell.
        engine = replace(engine, tolerance=max(engine.tolerance, _STEP_SHARE * self.adc.step))
        self.circuits = _together(self.parts, self.wired.source, engine, _reach(plan, self.stage))
        digital = plan.design.coupling.digital_sums and self.stage.kind == "array"
        self.digital: DigitalActivation | None = digital_activation(self.stage) if digital else None
        self.bias = digital_bias(plan, self.stage) if digital else np.zeros(self.stage.outputs)

    def run(self, held: Mapping[int, Array]) -> Array:
        """The stage's outputs from those of the stages before, [samples, values], V."""
        stage, samples = self.stage, len(next(iter(held.values())))
        out = np.empty((samples * stage.positions, stage.outputs))
        step = max(1, _MOST_VALUES // (self.wired.signals + stage.values))
        for first in range(0, samples, step):
            some = slice(first, first + step)
            compact = self.wired.gather({number: values[some] for number, values in held.items()}, self.dac)
            self._solve(compact, out[first * stage.positions : (first + step) * stage.positions], first)
        return out.reshape(samples, -1)

    def _solve(self, compact: Array, out: Array, first: int) -> None:
        out[:] = self.bias
        for group in self.circuits:
            left = np.arange(len(out)) if group.faint is None else group.faint.add(compact, group.source, self.adc, out)
            if len(left):
                volts = patches(compact, group.source, left)
                for circuit, outputs in group.circuits:
                    rows = first * self.stage.positions + left
                    add_codes(self._answer(circuit, volts, rows), self.adc, left, outputs, out)
        if self.digital is not None:
            out[:] = self.digital.respond(out)

    def _answer(self, circuit: Prepared, volts: Array, rows: Numbers) -> Array:
        try:
            return circuit.solve(volts)
        except ConvergenceError as error:
            if error.sample is None:
                raise
            picture, position = divmod(int(rows[error.sample]), self.stage.positions)
            raise ConvergenceError(
                f"{error.message}: that is position {position} of picture {picture}",
                where=f"stage {self.stage.name}, {error.where}",
                remedy=error.remedy,
            ) from error


@dataclass(frozen=True, eq=False)
class _Group:
    """Circuits with the same inputs.

    Args:
        source: compact signals of the inputs at every position, [positions, inputs].
        circuits: each with its outputs.
        faint: all of them together, where they have tangents.
    """

    source: Places
    circuits: tuple[tuple[Prepared, Numbers], ...]
    faint: FaintPatches | None


def _together(parts: Sequence[Part], source: Numbers, engine: Native, reach: float) -> tuple[_Group, ...]:
    """The parts of a stage reduced, those of the same inputs side by side."""
    groups: dict[bytes, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.inputs.tobytes(), []).append(part)
    found = []
    for members in groups.values():
        circuits = tuple((engine.prepare(_bench(part), reach), part.outputs) for part in members)
        faint = FaintPatches.of([circuit.tangent() for circuit, _ in circuits], [part.outputs for part in members])
        # Half as wide as NumPy's own indices: they take as much memory as what they fetch.
        found.append(_Group(np.ascontiguousarray(source[:, members[0].inputs], dtype=np.uint32), circuits, faint))
    return tuple(found)


def _span(numbers: Numbers) -> "Numbers | slice":
    """The numbers as a slice where they follow one another: NumPy copies that several times faster."""
    first, last = int(numbers[0]), int(numbers[-1])
    # They ascend, being unique and sorted, or are taken as they are.
    return slice(first, last + 1) if np.array_equal(numbers, np.arange(first, last + 1)) else numbers


class _CellRun:
    """The same stage as one cell, converters and all, in an engine that runs what is written."""

    def __init__(self, plan: Plan, index: int, engine: Simulator) -> None:
        self.plan, self.stage, self.engine = plan, plan.stages[index], engine
        self.wired = _Wired.of(plan.lowered, index)

    def run(self, held: Mapping[int, Array]) -> Array:
        """As :meth:`_StageRun.run`."""
        compact = self.wired.gather(held, Converter(0, 0.0, 0.0))
        volts = compact[:, self.wired.source].reshape(-1, self.stage.inputs)
        found = self.engine.run(stage_bench(self.plan, self.stage, volts)).volts
        return found.reshape(len(compact), -1)


class Sampler:
    """A sampled chip, ready to run samples.

    Args:
        plan: its plan.
        engine: the native engine solves every part; any other one runs each stage's whole cell.
    """

    def __init__(self, plan: Plan, engine: Simulator) -> None:
        self.plan = plan
        # Entered once, since looking for what has threads takes as long as a small circuit.
        with one_thread_each():
            self.stages = [_stage_run(plan, index, engine) for index in range(len(plan.stages))]
        self.last = _last_readers(self.stages)

    @property
    def most_samples(self) -> int:
        """Samples that may run together: what their signals take is bounded."""
        return max(1, _MOST_SIGNALS // (self.plan.graph_inputs + sum(stage.values for stage in self.plan.stages)))

    def probe(self, volts: Array, count: int) -> dict[str, tuple[Array, Array]]:
        """What goes into and comes out of each stage at some positions of the samples.

        The positions, in their order, are spread evenly from that whose inputs are smallest in sum to that where
        they are largest: pictures are empty at their edges.

        Args:
            volts: at the chip's inputs, [samples, inputs], V.
            count: most positions of a stage.

        Returns:
            stage -> voltages before its converters, [<= count, inputs], and at its outputs, [<= count, outputs], V.
        """
        held: dict[int, Array] = {_INPUT: volts}
        found = {}
        for index, run in enumerate(self.stages):
            held[index] = run.run(held)
            places = len(volts) * run.stage.positions
            compact = run.wired.gather(held, Converter(0, 0.0, 0.0))
            before = compact[:, run.wired.source].reshape(places, -1)
            order = np.argsort(np.abs(before).sum(axis=1), kind="stable")
            chosen = np.sort(order[np.linspace(0, places - 1, min(count, places)).astype(np.int64)])
            found[run.stage.name] = (before[chosen], held[index].reshape(places, -1)[chosen])
        return found

    def run(self, volts: Array) -> Iterator[tuple[str, Array]]:
        """Run some samples through every stage in turn.

        Args:
            volts: at the chip's inputs, [samples, inputs], V.

        Yields:
            Each stage's name and its outputs, [samples, values], V.
        """
        held: dict[int, Array] = {_INPUT: volts}
        for index, run in enumerate(self.stages):
            with one_thread_each():
                held[index] = run.run(held)
            for number in [number for number in held if self.last.get(number, index) == index != number]:
                del held[number]
            yield run.stage.name, held[index]


def _stage_run(plan: Plan, index: int, engine: Simulator) -> _StageRun | _CellRun:
    if not isinstance(engine, Native):
        return _CellRun(plan, index, engine)
    # Told once a stage, and not once an array.
    run = _StageRun(plan, index, replace(engine, progress=None))
    if engine.progress is not None:
        engine.progress("stages", index + 1, len(plan.stages))
    return run


def stage_bench(plan: Plan, stage: Stage, volts: Array, cell: Cell | None = None) -> Bench:
    """A stage of a sampled chip with held voltages at its inputs, one position a sample.

    Args:
        plan: the chip's plan.
        stage: one of its stages.
        volts: before the converters, [samples, inputs], V.
        cell: the stage's circuit, built if not given.
    """
    inputs = tuple(f"x{i}" for i in range(stage.inputs))
    outputs = tuple(f"y{j}" for j in range(stage.outputs))
    return Bench(cell or sampled_cell(plan, stage), inputs, volts, outputs, input_amps=False)


def _bench(part: Part) -> Bench:
    nets = part.input_nets
    return Bench(part.cell, nets, np.empty((0, len(nets))), part.output_nets, input_amps=False)


def _reach(plan: Plan, stage: Stage) -> float:
    """The largest drive to come, V."""
    return max(plan.design.signal.v_read, *(abs(bound) for bound in stage.dac))


def _last_readers(stages: Sequence[_StageRun | _CellRun]) -> dict[int, int]:
    return {number: index for index, run in enumerate(stages) for number in run.wired.owners}
