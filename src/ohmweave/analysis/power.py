"""Static power: what every source of a circuit delivers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ohmweave.bench import Bench, Waves
from ohmweave.blocks.opamp import BUFFER
from ohmweave.circuit import Cell, Crossbar, Vcvs, VoltageSource
from ohmweave.units import Array

__all__ = ["Power", "power", "watched_sources"]

_PARTS = {"drv": "drivers", "bias": "drivers", "inv": "inverters", "ro": "readouts", "act": "activations"}


@dataclass(frozen=True, eq=False)
class Power:
    """Power by part.

    Args:
        parts: part -> power its sources deliver to the circuit, [samples], W, which devices, wires and
            resistors dissipate; and ``"output stages"``, what op-amps dissipate to deliver it.
        quiescent: what op-amps and other blocks draw at rest, W.
    """

    parts: Mapping[str, Array]
    quiescent: float

    @property
    def total(self) -> Array:
        """Delivered and quiescent power of each sample, [samples], W."""
        return np.asarray(sum(self.parts.values()) + self.quiescent)


def watched_sources(cell: Cell) -> tuple[str, ...]:
    """Dotted paths of every voltage source and voltage-controlled source in a cell."""
    return tuple(_sources(cell, ""))


def _sources(cell: Cell, prefix: str) -> Iterator[str]:
    for part in cell.parts:
        if isinstance(part, Crossbar):
            continue
        if isinstance(part.of, VoltageSource | Vcvs):
            yield prefix + part.name
        elif isinstance(part.of, Cell):
            yield from _sources(part.of, f"{prefix}{part.name}.")


def power(bench: Bench, waves: Waves, quiescent: float, rails: tuple[float, float]) -> Power:
    """Sum v i over the inputs and every watched source, by part.

    The parts are told from the path: readouts, activations, inverters (each with its stage) and
    drivers. Inside an op-amp only the output buffer is such a source, so its virtual gain stage costs
    nothing; what the real one draws at rest is ``quiescent``. A buffer's current i comes from the rail
    on its side, so the output stage itself dissipates V_high i - v i for i > 0 and V_low i - v i for
    i < 0 (a class-B output; Gray et al., Analysis and Design of Analog Integrated Circuits).

    Args:
        bench: what was run.
        waves: what came back.
        quiescent: power at rest, W.
        rails: the op-amps' supply voltages, low and high, V.
    """
    parts: dict[str, Array] = {"drivers": (bench.drives * waves.input_amps).sum(axis=1)}
    delivered = waves.source_volts * waves.source_amps
    for column, path in enumerate(bench.sources):
        name = _part(path)
        parts[name] = parts.get(name, np.zeros(bench.samples)) + delivered[:, column]
    buffers = [column for column, path in enumerate(bench.sources) if path.endswith(f".{BUFFER}")]
    amps = waves.source_amps[:, buffers]
    drawn = np.where(amps > 0.0, rails[1] * amps, rails[0] * amps)
    parts["output stages"] = (drawn - delivered[:, buffers]).sum(axis=1)
    return Power(parts, quiescent)


def _part(path: str) -> str:
    """``s0.ro3.op1.buf`` -> ``s0 readouts``; ``s1_inv4.op1.buf`` -> ``s1 inverters``."""
    pieces = path.split(".")
    local = pieces[1] if len(pieces) > 2 and "_" not in pieces[0] else pieces[0].split("_")[-1]
    stage = pieces[0].split("_")[0]
    kind = _PARTS.get(local.rstrip("0123456789"), "others")
    return kind if kind == "drivers" else f"{stage} {kind}"
