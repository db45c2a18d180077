"""Runs of a build directory: simulate and verify, their results kept beside the chip."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ohmweave.analysis.accuracy import accuracy, agreement
from ohmweave.analysis.deviation import Deviation, deviation, stage_errors, stage_values
from ohmweave.archive import NETLIST, RESULTS, load
from ohmweave.chip import Chip
from ohmweave.errors import BuildError, DataError
from ohmweave.frontend import Data
from ohmweave.report import Check, Evidence, render
from ohmweave.report import write as write_page
from ohmweave.simulate import Simulator, simulator

__all__ = ["TOLERANCE", "Simulated", "Verified", "report", "simulate", "verify"]

TOLERANCE = 1e-6
_SIMULATED = "simulate"
_VERIFIED = "verify"
_SHOWN_SAMPLES = 16
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Simulated:
    """A simulation of a build: the chip, its evidence, and whether it was found ready in the results."""

    chip: Chip
    evidence: Evidence
    reused: bool

    def summary(self) -> dict[str, Any]:
        """The figures for ``--json``."""
        e = self.evidence
        labels = e.labels
        parts = dict(e.power_w)
        return {
            "engine": e.engine,
            "engine_version": e.engine_version,
            "data": e.data,
            "samples": e.samples,
            "accuracy": None if labels is None else accuracy(e.logits, labels),
            "software_accuracy": None if labels is None else accuracy(e.software_logits, labels),
            "decision_agreement": agreement(e.logits, e.software_logits),
            "static_power_w": sum(parts.values()) + e.quiescent_w,
            "power_w": {**parts, "op-amps at rest": e.quiescent_w},
            "stage_errors": {
                name: {"rms": error.rms, "largest": error.largest}
                for name, error in stage_errors(self.chip.plan, e.stage_volts, e.stage_values).items()
            },
            "seconds": dict(e.seconds),
            "reused": self.reused,
        }


@dataclass(frozen=True, eq=False)
class Verified:
    """A comparison of the native engine with another on the written netlist."""

    chip: Chip
    check: Check
    deviation: Deviation
    native_seconds: float

    @property
    def ok(self) -> bool:
        """Whether every stage agrees to the tolerance."""
        return self.deviation.largest <= self.check.tolerance

    def summary(self) -> dict[str, Any]:
        """The figures for ``--json``."""
        worst = {"stage": self.deviation.stage, "sample": self.deviation.sample, "node": self.deviation.node}
        return {
            "engine": self.check.engine,
            "engine_version": self.check.version,
            "samples": self.check.samples,
            "max_relative_error": self.deviation.largest,
            "tolerance": self.check.tolerance,
            "by_stage": dict(self.deviation.by_stage),
            "worst": worst,
            "ok": self.ok,
            "seconds": {"engine": self.check.seconds, "native": self.native_seconds},
        }


def simulate(
    build: Path,
    data: Data,
    *,
    engine: str = "native",
    limit: int | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Simulated:
    """Run data through a build's whole circuit and keep the result in the build.

    A result of the same plan, data and engine is taken up instead of computed again, unless ``fresh``.

    Args:
        build: a build directory.
        data: samples in network units, and their labels.
        engine: the engine's name.
        limit: how many samples, from the first; all if not given.
        fresh: compute in any case.
        progress: told (samples done, samples in all).
    """
    chip = load(build)
    x, labels = _first(data, limit)
    stem = f"{_SIMULATED}-{engine}"
    key = _key(data.name, x, engine)
    if not fresh and (kept := _kept(build, stem, chip)) is not None and kept.key == key:
        return Simulated(chip, kept, True)
    chosen = simulator(engine, progress=progress) if engine == "native" else simulator(engine)
    run = chip.simulate(x, chosen)
    software = chip.plan.graph.forward(x)
    evidence = Evidence(
        engine=run.waves.engine,
        engine_version=run.waves.version,
        data=data.name,
        samples=len(x),
        x=x[:_SHOWN_SAMPLES],
        labels=labels,
        logits=run.logits.reshape(len(x), -1),
        software_logits=software.reshape(len(x), -1),
        stage_volts=run.stage_volts,
        stage_values=stage_values(chip.plan.graph, chip.plan, x),
        power_w={name: float(np.mean(watts)) for name, watts in run.power.parts.items()},
        quiescent_w=run.power.quiescent,
        seconds=dict(run.waves.seconds),
        key=key,
    )
    evidence.save(build / RESULTS, stem, chip.plan.digest())
    return Simulated(chip, evidence, False)


def verify(
    build: Path,
    data: Data,
    *,
    samples: int = 8,
    engine: str = "ngspice",
    tolerance: float = TOLERANCE,
    options: dict[str, Any] | None = None,
) -> Verified:
    """Run the netlist that stands in a build in another engine and compare every stage with the native one.

    Args:
        build: a build directory; its ``netlist/chip.cir`` is what the other engine runs.
        data: samples in network units.
        samples: how many, from the first.
        engine: the engine to check against.
        tolerance: largest deviation allowed, relative to each stage's full scale.
        options: further options of the engine (``time_limit``, ``executable``).
    """
    chip = load(build)
    x, _ = _first(data, samples)
    if not (build / NETLIST).is_file():
        raise BuildError("expected the netlist, found none", where=str(build / NETLIST), remedy="compile again")
    other: Simulator = simulator(engine, netlist=build / NETLIST, **(options or {}))
    begun = time.perf_counter()
    spice = chip.simulate(x, other)
    between = time.perf_counter()
    native = chip.simulate(x)
    ended = time.perf_counter()
    check = Check(
        engine=spice.waves.engine,
        version=spice.waves.version,
        samples=len(x),
        stage_volts=spice.stage_volts,
        native_volts=native.stage_volts,
        seconds=between - begun,
        tolerance=tolerance,
    )
    check.save(build / RESULTS, _VERIFIED, chip.plan.digest())
    return Verified(chip, check, deviation(native.stage_volts, spice.stage_volts), ended - between)


def report(build: Path, output: Path) -> Path:
    """Write the page about a build from its results.

    Raises:
        BuildError: nothing was simulated yet.
    """
    chip = load(build)
    evidence = _kept(build, f"{_SIMULATED}-native", chip)
    if evidence is None:
        raise BuildError("nothing was simulated yet", where=str(build), remedy="run ohmweave simulate on it first")
    checked = (build / RESULTS / f"{_VERIFIED}.json").is_file()
    check = Check.load(build / RESULTS, _VERIFIED, chip.plan.digest()) if checked else None
    write_page(render(chip.plan, evidence, check), output)
    return output


def _kept(build: Path, stem: str, chip: Chip) -> Evidence | None:
    if not (build / RESULTS / f"{stem}.json").is_file():
        return None
    return Evidence.load(build / RESULTS, stem, chip.plan.digest())


def _first(data: Data, count: int | None) -> tuple[Any, Any]:
    if count is not None and count < 1:
        raise DataError(f"expected at least 1 sample, found {count}", where="samples", remedy="ask for one or more")
    return data.x[:count], None if data.y is None else data.y[:count]


def _key(name: str, x: Any, engine: str) -> str:
    content = hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()
    return f"{engine} {name} {x.shape} {content}"
