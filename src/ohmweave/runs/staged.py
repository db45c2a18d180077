"""The stages of a sampled chip in another engine, from their netlists as written.

A stage is converters, then arrays side by side, then converters and arithmetic; each piece is a subcircuit of
its netlist, and none acts back on the one before it. So the other engine runs piece after piece, each on the
voltages that it found for the piece before itself. As one circuit the same takes it ten times longer and more:
every piece adds a Newton step for all arrays, and what is joined by shared nets fills the factors.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ohmweave.archive import netlist_path
from ohmweave.bench import Bench
from ohmweave.build import Pieces, converters, sampled_cell, sampled_pieces
from ohmweave.chip import Chip
from ohmweave.circuit import Cell
from ohmweave.floorplan import Stage
from ohmweave.netlist import Ngspice, block
from ohmweave.sampling import Sampler, stage_bench
from ohmweave.simulate import Progress, Simulator, simulator_on
from ohmweave.units import Array

__all__ = ["Checked", "check_stage", "check_stages"]


@dataclass(frozen=True, eq=False)
class Checked:
    """What two engines say of the stages of a sampled chip.

    Args:
        volts: stage -> output voltages by the other engine, [positions, outputs], V. Where something stands
            behind a stage's readouts, ``<stage>_readouts`` has those before it, of all parts in turn, since
            a converter would hide what is smaller than its step.
        native: the same by the native engine.
        seconds: wall times of the other engine and of the native one, s.
    """

    volts: Mapping[str, Array]
    native: Mapping[str, Array]
    seconds: tuple[float, float]


def check_stages(
    build: Path,
    chip: Chip,
    x: Array,
    native: Simulator,
    other: tuple[str, dict[str, Any]],
    progress: Progress | None = None,
) -> Checked:
    """Run every stage's netlist, at some positions of the samples, on the inputs that the native engine finds.

    Netlists that are not there yet are written. A stage whose netlist joins its pieces in another way than was
    written is run as one circuit, as it stands.

    Args:
        build: the build directory.
        chip: its chip.
        x: inputs in network units, [samples, ...]; each stage is run at as many positions.
        native: the native engine.
        other: the other engine's name and its options.
        progress: told ("stages", how many are done, of how many).
    """
    begun = time.perf_counter()
    seen = Sampler(chip.plan, native).probe(chip.plan.input_volts(x), len(x))
    found: list[Checked] = []
    for number, stage in enumerate(chip.plan.stages):
        found.append(check_stage(build, chip, stage, seen[stage.name], native, other))
        if progress is not None:
            progress("stages", number + 1, len(chip.plan.stages))
    volts = {name: values for each in found for name, values in each.volts.items()}
    ours = {name: values for each in found for name, values in each.native.items()}
    theirs = sum(each.seconds[0] for each in found)
    return Checked(volts, ours, (theirs, time.perf_counter() - begun - theirs))


def check_stage(
    build: Path,
    chip: Chip,
    stage: Stage,
    seen: tuple[Array, Array],
    native: Simulator,
    other: tuple[str, dict[str, Any]],
) -> Checked:
    """As :func:`check_stages`, of one stage.

    Args:
        build: the build directory.
        chip: its chip.
        stage: the stage.
        seen: what goes into it and what comes out of it by the native engine, [positions, ...], V.
        native: the native engine.
        other: the other engine's name and its options.
    """
    begun, path, (before, after) = time.perf_counter(), netlist_path(build, stage.name), seen
    if not path.is_file():
        chip.write(path.parent, stage=stage.name)
    pieces = sampled_pieces(chip.plan, stage)
    cell = sampled_cell(chip.plan, stage, pieces)
    engine, started = simulator_on(other[0], path, **other[1]), time.perf_counter()
    volts: dict[str, Array] = {}
    ours = {stage.name: after}
    if block(cell, Ngspice()) in path.read_text(encoding="ascii", errors="replace"):
        readouts, volts[stage.name] = _by_pieces(stage, pieces, before, engine)
        theirs = time.perf_counter() - started
        if pieces.behind:
            volts[f"{stage.name}_readouts"] = readouts
            ours[f"{stage.name}_readouts"] = _readouts(chip, stage, pieces, before, native)
    else:
        volts[stage.name] = engine.run(stage_bench(chip.plan, stage, before, cell)).volts
        theirs = time.perf_counter() - started
    return Checked(volts, ours, (theirs, time.perf_counter() - begun - theirs))


def _by_pieces(stage: Stage, pieces: Pieces, before: Array, engine: Simulator) -> tuple[Array, Array]:
    """Voltages behind the readouts of all parts and at the stage's outputs, each piece on what the last one gave."""
    held = before if pieces.before is None else _run(pieces.before, before, engine)
    readouts = _run(pieces.arrays, held[:, pieces.feeds], engine)
    if pieces.behind is not None:
        return readouts, _run(pieces.behind, readouts, engine)
    out = np.empty((len(before), stage.outputs))
    out[:, pieces.makes] = readouts
    return readouts, out


def _run(cell: Cell, volts: Array, engine: Simulator) -> Array:
    """Voltages at a cell's last ports for those at its first ones."""
    inputs, outputs = cell.ports[: volts.shape[1]], cell.ports[volts.shape[1] :]
    return engine.run(Bench(cell, inputs, volts, outputs, input_amps=False)).volts


def _readouts(chip: Chip, stage: Stage, pieces: Pieces, before: Array, native: Simulator) -> Array:
    """What the native engine says of the readouts, part by part."""
    held = converters(chip.plan, stage)[0].respond(np.ascontiguousarray(before))
    found = [_run(part.cell, held[:, part.inputs], native) for part in pieces.parts]
    return np.hstack(found)
