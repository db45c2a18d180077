"""A sampled chip over many samples: part after part, each kept until the run ends.

What is finished stands in a folder of the build's results, a file a part, whole or absent; a run that was
interrupted takes it up. Voltages of stages are let go but for those of the first samples.
"""

import hashlib
import io
import shutil
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ohmweave.analysis.deviation import StageError, StageTally, stage_values
from ohmweave.chip import Chip, sampled_remarks
from ohmweave.floorplan import Plan
from ohmweave.report.evidence import Evidence, write_atomically
from ohmweave.simulate import Progress, Simulator
from ohmweave.units import Array

__all__ = ["MEASURED", "SHOWN", "discard", "partial_folder", "stream_evidence"]

SHOWN = 16
# Samples whose layers are compared with software: tracing every layer takes many times a forward pass.
MEASURED = 64
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, eq=False)
class _Piece:
    """What one part of the samples left behind.

    Args:
        first: number of its first sample.
        logits: the circuit's outputs, [samples, outputs], network units.
        software: the network's own, same shape.
        beyond: number of input values above the read voltage.
        seconds: wall time of circuit and software, s.
        tallies: stage -> errors against software over those of its samples that are measured.
        shown: stage -> voltages (V) and the network's values of its shown samples, [samples, outputs] each.
    """

    first: int
    logits: Array
    software: Array
    beyond: int
    seconds: tuple[float, float]
    tallies: Mapping[str, StageTally]
    shown: Mapping[str, tuple[Array, Array]]

    def pack(self) -> bytes:
        """As an ``.npz`` file."""
        arrays = {"logits": self.logits, "software": self.software, "seconds": np.array(self.seconds)}
        arrays |= {"place": np.array([self.first, self.beyond])}
        arrays |= {f"tally.{stage}": tally.pack() for stage, tally in self.tallies.items()}
        for stage, (volts, values) in self.shown.items():
            arrays |= {f"volts.{stage}": volts, f"values.{stage}": values}
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, **arrays)
        return stream.getvalue()

    @staticmethod
    def unpack(content: bytes) -> "_Piece":
        """What :meth:`pack` made."""
        with np.load(io.BytesIO(content), allow_pickle=False) as opened:
            arrays = {name: opened[name] for name in opened.files}
        stages = [name.removeprefix("tally.") for name in arrays if name.startswith("tally.")]
        first, beyond = (int(number) for number in arrays["place"])
        circuit, software = (float(value) for value in arrays["seconds"])
        return _Piece(
            first,
            arrays["logits"],
            arrays["software"],
            beyond,
            (circuit, software),
            {stage: StageTally.unpack(arrays[f"tally.{stage}"]) for stage in stages},
            {stage: (arrays[f"volts.{stage}"], arrays[f"values.{stage}"]) for stage in stages},
        )


def partial_folder(results: Path, stem: str, digest: str, key: str) -> Path:
    """Where an unfinished run keeps its parts.

    Args:
        results: the build's folder of results.
        stem: name of the result to be.
        digest: of the plan.
        key: what is run.
    """
    return results / f"{stem}-unfinished-{hashlib.sha256(f'{digest} {key}'.encode()).hexdigest()[:16]}"


def stream_evidence(chip: Chip, x: Array, engine: Simulator, folder: Path, progress: Progress | None) -> Evidence:
    """Run samples through a sampled chip; the evidence lacks its data's name, labels and key.

    Args:
        chip: a sampled chip.
        x: inputs in network units, [samples, ...].
        engine: what runs it.
        folder: keeps finished parts; those that stand there are taken up. It is left to the caller to remove.
        progress: told how many samples are done, of how many.
    """
    pieces = _kept(folder, len(x))
    resumed = sum(len(piece.logits) for piece in pieces)
    pieces += _run(chip, x, engine, folder, progress, resumed) if resumed < len(x) else []
    circuit, software = (sum(piece.seconds[k] for piece in pieces) for k in range(2))
    names = [stage.name for stage in chip.plan.stages]
    shown = [piece for piece in pieces if piece.shown]
    inputs = len(x) * chip.plan.graph_inputs
    measured = min(MEASURED, len(x))
    remarks = [f"layer errors are those of the first {measured} samples"] if measured < len(x) else []
    remarks += [f"{resumed} samples taken up from an interrupted run"] if resumed else []
    return Evidence(
        engine=engine.name,
        engine_version=engine.version(),
        data="",
        samples=len(x),
        x=x[:SHOWN],
        labels=None,
        logits=np.concatenate([piece.logits for piece in pieces]),
        software_logits=np.concatenate([piece.software for piece in pieces]),
        stage_volts={name: np.concatenate([piece.shown[name][0] for piece in shown]) for name in names},
        stage_values={name: np.concatenate([piece.shown[name][1] for piece in shown]) for name in names},
        power_w={},
        quiescent_w=0.0,
        beyond={"inputs": sum(piece.beyond for piece in pieces) / inputs},
        seconds={"circuit": circuit, "software": software, "total": circuit},
        remarks=(*sampled_remarks(engine), *remarks),
        errors=_errors(pieces, names),
        measured=measured,
    )


def _errors(pieces: Sequence[_Piece], names: Sequence[str]) -> dict[str, StageError]:
    found = {}
    for name in names:
        tallies = [piece.tallies[name] for piece in pieces if piece.tallies]
        found[name] = StageTally.together(tallies).error
    return found


def _kept(folder: Path, samples: int) -> list[_Piece]:
    """Finished parts that follow one another from the first sample on."""
    pieces: list[_Piece] = []
    for path in sorted(folder.glob("[0-9]*.npz")):
        try:
            piece = _Piece.unpack(path.read_bytes())
        except _UNREADABLE:
            break
        if piece.first != sum(len(each.logits) for each in pieces) or piece.first + len(piece.logits) > samples:
            break
        pieces.append(piece)
    return pieces


def _run(chip: Chip, x: Array, engine: Simulator, folder: Path, progress: Progress | None, start: int) -> list[_Piece]:
    return [
        _keep(piece, folder) for piece in _pieces(chip, x, chip.stream(x, engine, progress, start), time.perf_counter())
    ]


def _keep(piece: _Piece, folder: Path) -> _Piece:
    write_atomically(folder / f"{piece.first:09d}.npz", piece.pack())
    return piece


def _pieces(chip: Chip, x: Array, parts: Iterator[tuple[slice, dict[str, Array]]], begun: float) -> Iterator[_Piece]:
    plan = chip.plan
    for part, volts in parts:
        between = time.perf_counter()
        software = plan.graph.forward(x[part])
        tallies, shown = _measure(plan, x, part, volts)
        ended = time.perf_counter()
        size = part.stop - part.start
        beyond = np.abs(x[part] * plan.s_input) > plan.design.signal.v_read * (1 + 1e-9)
        yield _Piece(
            part.start,
            plan.logits(volts[plan.stages[-1].name]).reshape(size, -1),
            software.reshape(size, -1),
            int(np.count_nonzero(beyond)),
            (between - begun, ended - between),
            tallies,
            shown,
        )
        begun = time.perf_counter()


def _measure(
    plan: Plan, x: Array, part: slice, volts: Mapping[str, Array]
) -> tuple[dict[str, StageTally], dict[str, tuple[Array, Array]]]:
    """Errors of the measured samples of a part, and what is shown of them, by stage."""
    measured, shown = (max(0, min(most, part.stop) - part.start) for most in (MEASURED, SHOWN))
    if not measured:
        return {}, {}
    ideal = stage_values(plan.graph, plan, x[part.start : part.start + measured])
    tallies, kept = {}, {}
    for stage in plan.stages:
        found, expected = volts[stage.name], ideal[stage.name]
        tallies[stage.name] = StageTally.of(found[:measured] / stage.s_out, expected)
        kept[stage.name] = (found[:shown].copy(), expected[:shown].copy())
    return tallies, kept


def discard(folder: Path) -> None:
    """Remove what an ended run had kept."""
    shutil.rmtree(folder, ignore_errors=True)
