"""Simulations of a build directory, kept and taken up."""

import hashlib
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ohmweave.analysis.accuracy import accuracy, agreement
from ohmweave.analysis.deviation import stage_values
from ohmweave.archive import CACHE, RESULTS, load
from ohmweave.chip import Chip
from ohmweave.errors import BuildError, DesignError
from ohmweave.frontend import Data
from ohmweave.report import Evidence
from ohmweave.runs.firing import SpikesSimulated, simulate_spikes
from ohmweave.runs.results import SIMULATED, first_samples
from ohmweave.runs.streaming import SHOWN, discard, partial_folder, stream_evidence
from ohmweave.simulate import Progress, Simulator, simulator
from ohmweave.spiking import SpikingChip
from ohmweave.units import Array

__all__ = ["Simulated", "simulate"]


@dataclass(frozen=True, eq=False)
class Simulated:
    """A simulation of a build: the chip, its evidence, and whether it was found ready in the results."""

    chip: Chip
    evidence: Evidence
    reused: bool

    def summary(self) -> dict[str, Any]:
        """The figures for ``--json``; power is ``None`` where it is not computed, in sampled chips."""
        e = self.evidence
        labels = e.labels
        parts = dict(e.power_w)
        decides = e.logits.shape[1] > 1  # one output is no decision between classes
        judged = labels if decides else None
        return {
            "engine": e.engine,
            "engine_version": e.engine_version,
            "data": e.data,
            "samples": e.samples,
            "accuracy": None if judged is None else accuracy(e.logits, judged),
            "software_accuracy": None if judged is None else accuracy(e.software_logits, judged),
            "decision_agreement": agreement(e.logits, e.software_logits) if decides else None,
            "static_power_w": sum(parts.values()) + e.quiescent_w if parts else None,
            "power_w": {**parts, "at rest": e.quiescent_w} if parts else None,
            "beyond_calibration": dict(e.beyond),
            "stage_errors": {
                name: {"rms": error.rms, "largest": error.largest}
                for name, error in e.errors_of(self.chip.plan).items()
            },
            "stage_errors_samples": e.measured_samples,
            "seconds": dict(e.seconds),
            "remarks": list(e.remarks),
            "reused": self.reused,
        }


def simulate(
    build: Path,
    data: Data,
    *,
    engine: str = "native",
    limit: int | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
    options: dict[str, Any] | None = None,
) -> Simulated | SpikesSimulated:
    """Run data through a build's whole circuit and keep the result in the build.

    A result of the same plan, data and engine is taken up instead of computed again, unless ``fresh``. A
    sampled chip is run part by part; what an interrupted run had finished is taken up likewise.

    Args:
        build: a build directory.
        data: samples in network units, and their labels.
        engine: the engine's name.
        limit: how many samples, from the first; all if not given.
        fresh: compute in any case.
        progress: told (what is done, how many of them, of how many), by the native engine and by sampled chips.
        options: further options of the engine (``precision``, ``device`` and ``threads`` of the native one,
            which keeps reduced arrays in the build; ``time_limit`` of others).
    """
    chip = load(build)
    if isinstance(chip, SpikingChip):
        _refuse_options(engine, options or {})
        spice = {} if engine == "native" else options or {}
        return simulate_spikes(
            build, chip, data, engine=engine, limit=limit, fresh=fresh, progress=progress, options=spice
        )
    x, labels = first_samples(data, limit)
    stem = f"{SIMULATED}-{engine}"
    native = {"cache": build / CACHE, "progress": progress} if engine == "native" else {}
    chosen = simulator(engine, **{**native, **(options or {})})
    key, digest = _key(data.name, x, chosen), chip.plan.digest()
    kept = None if fresh else _kept(build, stem, digest)
    if kept is not None and kept.key == key:
        return Simulated(chip, replace(kept, labels=labels), True)
    unfinished = partial_folder(build / RESULTS, stem, digest, key)
    if fresh:
        discard(unfinished)
    if chip.plan.design.coupling.sampled:
        found = stream_evidence(chip, chip.plan.graph.fit(x), chosen, unfinished, progress)
    else:
        found = _whole(chip, x, chosen)
    evidence = replace(found, data=data.name, labels=labels, key=key)
    evidence.save(build / RESULTS, stem, digest)
    discard(unfinished)
    return Simulated(chip, evidence, False)


def _refuse_options(engine: str, options: dict[str, Any]) -> None:
    """What the native engine has no use for in time is not to be asked for in vain."""
    asked = {"precision": "float64", "device": None}
    for name, usual in asked.items() if engine == "native" else ():
        if options.get(name, usual) != usual:
            raise DesignError(
                f"expected {name} as it is, since spiking chips are stepped in float64 on the processor, "
                f"found {options[name]!r}",
                where=f"engine native, {name}",
                remedy="leave it out",
            )


def _whole(chip: Chip, x: Array, engine: Simulator) -> Evidence:
    """An analog chip, every sample and stage at once; the evidence lacks its data's name, labels and key."""
    run = chip.simulate(x, engine)
    return Evidence(
        engine=run.waves.engine,
        engine_version=run.waves.version,
        data="",
        samples=len(x),
        x=x[:SHOWN],
        labels=None,
        logits=run.logits.reshape(len(x), -1),
        software_logits=chip.plan.graph.forward(x).reshape(len(x), -1),
        stage_volts=run.stage_volts,
        stage_values=stage_values(chip.plan.graph, chip.plan, x),
        power_w={name: float(np.mean(watts)) for name, watts in run.power.parts.items()},
        quiescent_w=run.power.quiescent,
        beyond=run.beyond,
        seconds=dict(run.waves.seconds),
        remarks=run.waves.remarks,
    )


def _kept(build: Path, stem: str, digest: str) -> Evidence | None:
    """A finished result, where there is one that can be read and is of this plan."""
    try:
        return Evidence.load(build / RESULTS, stem, digest)
    except BuildError:
        return None


def _key(name: str, x: Array, engine: Simulator) -> str:
    content = hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()
    return f"ohmweave {version('ohmweave')} {engine.name} {engine.version()} {name} {x.shape} {content}"
