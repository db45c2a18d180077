"""A compiled chip: the plan, its circuit, and what can be asked of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ohmweave.analysis.power import Power, power, watched_sources
from ohmweave.bench import Bench, Waves
from ohmweave.build import build, input_nets, layer_names, output_nets
from ohmweave.circuit import Cell
from ohmweave.mapping import Plan
from ohmweave.netlist import DIALECTS, write
from ohmweave.simulate import Simulator, simulator
from ohmweave.units import Array

__all__ = ["Chip", "Run"]


@dataclass(frozen=True, eq=False)
class Run:
    """A chip's answer to some samples.

    Args:
        plan: the chip's plan.
        stage_volts: stage name -> its output voltages, [samples, outputs], V.
        power: what the sources delivered.
        waves: what the engine returned.
    """

    plan: Plan
    stage_volts: Mapping[str, Array]
    power: Power
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
        """The whole circuit."""
        return build(self.plan)

    def bench(self, x: Array) -> Bench:
        """The chip with samples at its inputs, every stage's outputs and every source watched.

        Args:
            x: inputs in network units, [samples, ...].
        """
        probes = tuple(net for stage in self.plan.stages for net in output_nets(stage))
        return Bench(self.cell, input_nets(self.plan), self.plan.input_volts(x), probes, watched_sources(self.cell))

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
        bench = self.bench(x)
        waves = (simulator(engine) if isinstance(engine, str) else engine).run(bench)
        stage_volts, left = {}, 0
        for stage in self.plan.stages:
            stage_volts[stage.name] = waves.volts[:, left : left + stage.outputs]
            left += stage.outputs
        quiescent = self.plan.opamps * self.plan.design.opamp.quiescent_power
        return Run(self.plan, stage_volts, power(bench, waves, quiescent), waves)

    def write(self, directory: Path | str, dialect: str = "ngspice") -> Path:
        """Write the netlist of the whole circuit as ``chip.cir`` into a directory; returns its path."""
        path = Path(directory) / "chip.cir"
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        with partial.open("w", encoding="ascii", newline="\n") as stream:
            write(self.cell, DIALECTS[dialect](), stream, names=layer_names(self.plan))
        partial.replace(path)
        return path
