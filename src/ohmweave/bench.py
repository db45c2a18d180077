"""A bench: a cell under test with its drives and probes, and the waves that come back; at DC and in time."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ohmweave.circuit import Cell
from ohmweave.units import Array

__all__ = ["Bench", "Traces", "Transient", "Waveform", "Waves"]


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


@dataclass(frozen=True, eq=False)
class Waveform:
    """A voltage over time, straight between its corners; the first and last voltage hold outside.

    Args:
        times: of the corners, strictly ascending, the first at 0, shape [corners], s.
        volts: at the corners, shape [corners], V.

    Raises:
        ValueError: corners that are not so.
    """

    times: Array
    volts: Array

    def __post_init__(self) -> None:
        if self.times.ndim != 1 or self.times.shape != self.volts.shape or not self.times.size:
            raise ValueError(f"a waveform has times {self.times.shape} and volts {self.volts.shape}, expected one each")
        whole = np.isfinite(self.times).all() and np.isfinite(self.volts).all()
        if not (whole and self.times[0] == 0.0 and (np.diff(self.times) > 0.0).all()):
            raise ValueError("a waveform has corners out of order, expected finite ones that ascend from 0 s")

    @property
    def end(self) -> float:
        """Time of the last corner, s."""
        return float(self.times[-1])

    @property
    def steepest(self) -> float:
        """Largest slope, V/s."""
        return float(np.abs(np.diff(self.volts) / np.diff(self.times)).max(initial=0.0))

    def at(self, times: Array) -> Array:
        """Voltage at any ``times`` (s), V."""
        return np.asarray(np.interp(times, self.times, self.volts))

    @staticmethod
    def triangle(high: float, low: float, period: float, cycles: int = 1) -> "Waveform":
        """0 V to ``high``, to ``low`` and back to 0 V in each ``period`` (s), its corners at quarters; V."""
        times = 0.25 * period * np.array([1.0, 3.0, 4.0]) + period * np.arange(cycles)[:, None]
        volts = np.tile([high, low, 0.0], cycles)
        return Waveform(np.concatenate([[0.0], times.ravel()]), np.concatenate([[0.0], volts]))

    @staticmethod
    def sine(amplitude: float, period: float, cycles: int = 1, corners: int = 128) -> "Waveform":
        """``amplitude`` (V) sin(2π t / ``period``) through ``corners`` points of each period (s)."""
        turns = np.arange(cycles * corners + 1) / corners
        return Waveform(period * turns, amplitude * np.sin(2.0 * np.pi * turns))

    @staticmethod
    def pulses(volts: Array, widths: Array, edge: float = 1e-3) -> "Waveform":
        """Pulses of ``volts`` (V) for ``widths`` (s), each after a pause as long; edges last ``edge`` of a width.

        The width is that at half height, so that the area is that of a rectangle.
        """
        spans = widths[:, None] * np.array([1.0, edge, 1.0 - edge, edge])
        times = np.concatenate([[0.0], np.cumsum(spans)])
        return Waveform(times, np.concatenate([[0.0], (volts[:, None] * np.array([0.0, 1.0, 1.0, 0.0])).ravel()]))


@dataclass(frozen=True, eq=False)
class Transient:
    """A cell, what drives it and what is watched, over time from its operating point at 0 s.

    Args:
        cell: the cell under test; it becomes one instance named ``x`` at the top of a deck.
        inputs: the cell's driven ports, each by its own ideal voltage source to ground.
        drives: the voltage of each of them.
        end: when to stop, s.
        step: longest step of the simulator, s.
        probes: nets whose voltage is wanted, as in :class:`Bench`; also nets inside devices (``"d3.x"``).
        sources: dotted paths of voltage sources to watch, as in :class:`Bench`.
        clocked: whether every state is set anew by clocks, so that errors do not grow: a relative tolerance of 1e-4
            of each step will do then, where states that run away by themselves ask for 1e-7.

    Raises:
        ValueError: drives that do not fit the inputs, an end or a step that is no time.
    """

    cell: Cell
    inputs: tuple[str, ...]
    drives: tuple[Waveform, ...]
    end: float
    step: float
    probes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    clocked: bool = False

    def __post_init__(self) -> None:
        if len(self.drives) != len(self.inputs):
            raise ValueError(f"{len(self.drives)} drives for {len(self.inputs)} inputs")
        missing = set(self.inputs) - set(self.cell.ports)
        if missing:
            raise ValueError(f"{self.cell.name} has no ports {sorted(missing)}")
        if not 0.0 < self.step <= self.end < np.inf:
            raise ValueError(
                f"expected 0 s < step <= end, found a step of {self.step:g} s and an end at {self.end:g} s"
            )


@dataclass(frozen=True, eq=False)
class Traces:
    """What a simulator returns for a transient, at the times that it chose.

    Args:
        engine: the simulator's name.
        version: its version.
        times: ascending from 0 to the end, shape [points], s.
        volts: probed voltages, shape [points, probes], V.
        input_amps: current out of each input's drive source into the cell, [points, inputs], A.
        source_volts: v(p, n) of each watched source, [points, sources], V.
        source_amps: current out of each watched source's p terminal into the circuit, [points, sources], A.
        seconds: wall times by phase, s.
        remarks: what the run had to resort to.
    """

    engine: str
    version: str
    times: Array
    volts: Array
    input_amps: Array
    source_volts: Array
    source_amps: Array
    seconds: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
