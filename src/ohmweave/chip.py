"""A compiled chip: the plan, its circuit, and what can be asked of it."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ohmweave.analysis.power import Power, power, watched_sources
from ohmweave.bench import Bench, Waves
from ohmweave.blocks.opamp import BUFFER
from ohmweave.build import build, input_nets, layer_names, output_nets, sampled_cell
from ohmweave.circuit import Cell, Instance
from ohmweave.errors import DesignError, EngineError
from ohmweave.floorplan import Plan, Stage
from ohmweave.netlist import dialect as find_dialect
from ohmweave.netlist import write_file
from ohmweave.registry import nearest
from ohmweave.sampling import Sampler
from ohmweave.simulate import Progress, Simulator, simulator
from ohmweave.simulate.native import Native
from ohmweave.units import Array

__all__ = ["Chip", "Run", "sampled_remarks"]

_NEAR_RAIL = 0.98


@dataclass(frozen=True, eq=False)
class Run:
    """A chip's answer to some samples.

    Args:
        plan: the chip's plan.
        stage_volts: stage name -> its output voltages, [samples, outputs], V.
        power: what the sources delivered.
        beyond: where signals left what the chip was calibrated for: the share of ``"inputs"`` above the
            read voltage, and for each stage the share of op-amps within a fiftieth of a rail, of op-amps in
            transistors that of the stage's outputs there, of a sampled chip that of outputs above the stage's largest
            calibrated voltage.
        waves: what the engine returned.
    """

    plan: Plan
    stage_volts: Mapping[str, Array]
    power: Power
    beyond: Mapping[str, float]
    waves: Waves

    @property
    def volts(self) -> Array:
        """The last stage's output voltages, [samples, outputs], V."""
        return self.stage_volts[self.plan.stages[-1].name]

    @property
    def logits(self) -> Array:
        """The network's output in its own units, host operations included, [samples, outputs]."""
        return self.plan.logits(self.volts)


@dataclass(frozen=True, eq=False)
class Chip:
    """A plan and the circuit built from it."""

    plan: Plan

    @cached_property
    def cell(self) -> Cell:
        """The whole circuit of an analog chip.

        Raises:
            DesignError: a sampled chip, whose stages are circuits of their own.
        """
        if self.plan.design.coupling.sampled:
            raise DesignError(
                "expected an analog chip, which is one circuit, found a sampled one",
                where="coupling.kind",
                remedy="ask for one of its stages",
            )
        return build(self.plan)

    def stage(self, name: str) -> Stage:
        """The stage called ``name``.

        Raises:
            DesignError: no such stage.
        """
        found = {stage.name: stage for stage in self.plan.stages}
        if name not in found:
            raise DesignError(
                f"expected a stage of the chip, found {name!r}", where="stage", remedy=nearest(name, found)
            )
        return found[name]

    def stage_cell(self, name: str) -> Cell:
        """The circuit of one stage: of a sampled chip for one position, converters and all."""
        stage = self.stage(name)
        if self.plan.design.coupling.sampled:
            return sampled_cell(self.plan, stage)
        return next(p.of for p in self.cell.parts if p.name == name and isinstance(p, Instance))  # type: ignore[return-value]

    def bench(self, x: Array) -> Bench:
        """The chip with samples at its inputs, every stage's outputs and every source watched.

        Args:
            x: inputs in network units, [samples, ...].
        """
        probes = tuple(net for stage in self.plan.stages for net in output_nets(stage))
        return Bench(self.cell, input_nets(self.plan), self.plan.input_volts(x), probes, watched_sources(self.cell))

    def predict(self, x: Array, engine: str | Simulator = "native") -> Array:
        """The network's output as the whole circuit gives it, in network units, [samples, ...].

        Nothing but the last stage's outputs is watched: the quickest way to an accuracy.

        Args:
            x: inputs in network units, [samples, ...].
            engine: an engine's name or a simulator.

        Raises:
            DataError, SimulatorMissing, EngineError: as :meth:`simulate`.
        """
        if self.plan.design.coupling.sampled:
            return np.concatenate(
                [self.plan.logits(stages[self.plan.stages[-1].name]) for _, stages in self.stream(x, engine)]
            )
        last = self.plan.stages[-1]
        noisy = self.plan.design.driver.noise > 0.0
        bench = Bench(
            self.cell,
            input_nets(self.plan),
            self.plan.input_volts(x) / self.plan.s_input if noisy else self.plan.graph.shaped(x).reshape(len(x), -1),
            output_nets(last),
            input_amps=False,
            scale=self.plan.s_input,
        )
        try:
            return self.plan.logits(_engine(engine).run(bench).volts)
        except EngineError:
            # Samples with values that are no numbers are told as such.
            self.plan.graph.fit(x)
            raise

    def simulate(self, x: Array, engine: str | Simulator = "native") -> Run:
        """Run samples through the whole circuit.

        Args:
            x: inputs in network units, [samples, ...].
            engine: an engine's name or a simulator.

        Raises:
            DataError: samples that do not fit the network.
            SimulatorMissing: the engine is not on this machine.
            EngineError: the run did not end well.
        """
        if self.plan.design.coupling.sampled:
            return self._sampled_run(x, _engine(engine))
        bench = self.bench(x)
        waves = _engine(engine).run(bench)
        stage_volts, left = {}, 0
        for stage in self.plan.stages:
            stage_volts[stage.name] = waves.volts[:, left : left + stage.values]
            left += stage.values
        opamp = self.plan.design.opamp
        watts = power(bench, waves, self.plan.unsupplied_power, (opamp.v_low, opamp.v_high))
        return Run(self.plan, stage_volts, watts, self._beyond(bench, waves), waves)

    def stream(
        self, x: Array, engine: str | Simulator = "native", progress: Progress | None = None, start: int = 0
    ) -> Iterator[tuple[slice, dict[str, Array]]]:
        """Run samples through a sampled chip, as many at a time as memory allows.

        Args:
            x: inputs in network units, [samples, ...].
            engine: an engine's name or a simulator.
            progress: told ("samples", how many are done, of how many).
            start: the first sample to run; those before it were run already.

        Yields:
            Which samples, and each stage's outputs, [those samples, values], V.
        """
        sampler = Sampler(self.plan, _engine(engine))
        volts, step = self.plan.input_volts(x), sampler.most_samples
        for first in range(start, len(volts), step):
            part = slice(first, min(first + step, len(volts)))
            yield part, dict(sampler.run(volts[part]))
            if progress is not None:
                progress("samples", part.stop, len(volts))

    def _sampled_run(self, x: Array, engine: Simulator) -> Run:
        begun = time.perf_counter()
        found = [stages for _, stages in self.stream(x, engine)]
        stage_volts = {stage.name: np.concatenate([each[stage.name] for each in found]) for stage in self.plan.stages}
        seconds = {"total": time.perf_counter() - begun}
        empty = np.empty((len(x), 0))
        volts = stage_volts[self.plan.stages[-1].name]
        remarks = sampled_remarks(engine)
        waves = Waves(engine.name, engine.version(), volts, empty, empty, empty, seconds, remarks)
        beyond = self._sampled_beyond(self.plan.input_volts(x), stage_volts)
        return Run(self.plan, stage_volts, Power({}, self.plan.quiescent_power), beyond, waves)

    def _sampled_beyond(self, inputs: Array, stage_volts: Mapping[str, Array]) -> dict[str, float]:
        """Share of voltages above what calibration has given scales to."""
        signal, last = self.plan.design.signal, self.plan.stages[-1].name
        volts = {"inputs": inputs, **stage_volts}
        limits = {name: signal.v_out if name == last else signal.v_read for name in volts}
        return {name: float(np.mean(np.abs(v) > limits[name] * (1 + 1e-9))) for name, v in volts.items()}

    def _beyond(self, bench: Bench, waves: Waves) -> dict[str, float]:
        design = self.plan.design
        low, high = design.opamp.v_low, design.opamp.v_high

        def at_rail(volts: Array) -> float:
            return float(np.mean((volts > _NEAR_RAIL * high) | (volts < _NEAR_RAIL * low)))

        beyond = {"inputs": float(np.mean(np.abs(bench.drives) > design.signal.v_read * (1 + 1e-9)))}
        for stage in self.plan.stages:
            mine = [
                column
                for column, path in enumerate(bench.sources)
                if path.startswith((f"{stage.name}.", f"{stage.name}_")) and path.endswith(f".{BUFFER}")
            ]
            outputs = [bench.probes.index(net) for net in output_nets(stage)]
            beyond[stage.name] = at_rail(waves.source_volts[:, mine] if mine else waves.volts[:, outputs])
        return beyond

    def write(self, directory: Path | str, dialect: str = "ngspice", stage: str | None = None) -> Path:
        """Write the netlist of the whole circuit as ``chip`` with the dialect's suffix; returns its path.

        Args:
            directory: where; made if need be.
            dialect: name of the dialect.
            stage: name of the one stage to write, as a file of its name.

        Raises:
            DesignError: no such dialect.
            NetlistError: a device's model file with names of the chip's own.
        """
        words = find_dialect(dialect)
        path = Path(directory) / f"{stage or 'chip'}{words.suffix}"
        cell = self.cell if stage is None else self.stage_cell(stage)
        return write_file(cell, words, path, layer_names(self.plan))


def sampled_remarks(engine: Simulator) -> tuple[str, ...]:
    """What there is to say about an engine's accuracy on a sampled chip."""
    single = isinstance(engine, Native) and engine.precision == "float32"
    return ("float32: how far from float64 is not measured on sampled chips",) if single else ()


def _engine(engine: str | Simulator) -> Simulator:
    return simulator(engine) if isinstance(engine, str) else engine
