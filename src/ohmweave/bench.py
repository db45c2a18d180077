"""A bench: a cell under test with its drives and probes, and the waves that come back."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ohmweave.circuit import Cell
from ohmweave.units import Array

__all__ = ["Bench", "Waves"]


@dataclass(frozen=True, eq=False)
class Bench:
    """A cell, what drives it and what is watched: one DC operating point a sample.

    Args:
        cell: the cell under test; it becomes one instance named ``x`` at the top of a deck.
        inputs: the cell's driven ports, each by its own ideal voltage source to ground. Ports that
            are neither driven nor probed float.
        volts: drive voltages over ``scale``, shape [samples, len(inputs)], V.
        probes: nets whose voltage is wanted: the cell's own nets (``"s0_y3"``) or, with dots, nets
            and ports of the instances below (``"s0.c3"``). The wires inside a crossbar are no nets of
            the bench; :mod:`ohmweave.analysis.ir_drop` solves for them.
        sources: dotted paths of instances inside the cell whose branch current and voltage are
            wanted; each is a VoltageSource or Vcvs (``"s0.op3.e1"``).
        input_amps: whether the currents out of the inputs' sources are wanted.
        scale: volts per unit of ``volts``, so that samples in other units need not be copied.
    """

    cell: Cell
    inputs: tuple[str, ...]
    volts: Array
    probes: tuple[str, ...]
    sources: tuple[str, ...] = ()
    input_amps: bool = True
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.volts.ndim != 2 or self.volts.shape[1] != len(self.inputs):
            raise ValueError(f"volts has shape {self.volts.shape}, expected [samples, {len(self.inputs)}]")
        missing = set(self.inputs) - set(self.cell.ports)
        if missing:
            raise ValueError(f"{self.cell.name} has no ports {sorted(missing)}")

    @property
    def drives(self) -> Array:
        """Drive voltages, shape [samples, len(inputs)], V."""
        return self.volts if self.scale == 1.0 else self.volts * self.scale

    @property
    def samples(self) -> int:
        """Number of operating points."""
        return int(self.volts.shape[0])


@dataclass(frozen=True, eq=False)
class Waves:
    """What a simulator returns for a bench.

    Args:
        engine: the simulator's name and version, e.g. ``"ngspice"``, ``"46"``.
        volts: probed voltages, shape [samples, probes], V.
        input_amps: current out of each input's drive source into the cell, [samples, inputs], A; no
            columns where the bench does not want them.
        source_volts: v(p, n) of each watched source, [samples, sources], V.
        source_amps: current out of each watched source's p terminal into the circuit,
            [samples, sources], A; so ``source_volts * source_amps`` is the power it delivers.
        seconds: wall times by phase, s.
        remarks: what the run had to resort to (gmin stepping, damped Newton, ...).
    """

    engine: str
    version: str
    volts: Array
    input_amps: Array
    source_volts: Array
    source_amps: Array
    seconds: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @staticmethod
    def empty(bench: Bench, engine: str, version: str) -> "Waves":
        """Waves of the right shapes filled with NaN."""

        def nans(columns: int) -> Array:
            return np.full((bench.samples, columns), np.nan)

        sources = len(bench.sources)
        inputs = len(bench.inputs) if bench.input_amps else 0
        return Waves(engine, version, nans(len(bench.probes)), nans(inputs), nans(sources), nans(sources))
