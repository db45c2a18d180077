"""Runs of a build directory: simulate and verify, their results kept beside the chip."""

import hashlib
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ohmweave.analysis.accuracy import accuracy, agreement
from ohmweave.analysis.deviation import Deviation, deviation, stage_errors, stage_values
from ohmweave.archive import CACHE, NETLIST, RESULTS, load
from ohmweave.chip import Chip, Run
from ohmweave.errors import BuildError, DataError, DesignError
from ohmweave.frontend import Data
from ohmweave.report import Check, Evidence, render
from ohmweave.report import write as write_page
from ohmweave.simulate import Simulator, simulator

__all__ = ["TOLERANCE", "Simulated", "Verified", "report", "simulate", "verify"]

TOLERANCE = 1e-6
_SIMULATED = "simulate"
_VERIFIED = "verify"
_SHOWN_SAMPLES = 16


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
            "static_power_w": sum(parts.values()) + e.quiescent_w,
            "power_w": {**parts, "at rest": e.quiescent_w},
            "beyond_calibration": dict(e.beyond),
            "stage_errors": {
                name: {"rms": error.rms, "largest": error.largest}
                for name, error in stage_errors(self.chip.plan, e.stage_volts, e.stage_values).items()
            },
            "seconds": dict(e.seconds),
            "remarks": list(e.remarks),
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
    options: dict[str, Any] | None = None,
) -> Simulated:
    """Run data through a build's whole circuit and keep the result in the build.

    A result of the same plan, data and engine is taken up instead of computed again, unless ``fresh``.

    Args:
        build: a build directory.
        data: samples in network units, and their labels.
        engine: the engine's name.
        limit: how many samples, from the first; all if not given.
        fresh: compute in any case.
        options: further options of the engine (``progress``, ``precision``, ``device`` and ``threads`` of the
            native one, which keeps reduced arrays in the build; ``time_limit`` of others).
    """
    chip = load(build)
    x, labels = _first(data, limit)
    stem = f"{_SIMULATED}-{engine}"
    kept_arrays = {"cache": build / CACHE} if engine == "native" else {}
    chosen = simulator(engine, **{**kept_arrays, **(options or {})})
    key = _key(data.name, x, chosen)
    kept = None if fresh else _kept(build, stem, chip)
    if kept is not None and kept.key == key:
        return Simulated(chip, replace(kept, labels=labels), True)
    evidence = _evidence(chip, chip.simulate(x, chosen), x, labels, data.name, key)
    evidence.save(build / RESULTS, stem, chip.plan.digest())
    return Simulated(chip, evidence, False)


def _evidence(chip: Chip, run: Run, x: Any, labels: Any, data: str, key: str) -> Evidence:
    return Evidence(
        engine=run.waves.engine,
        engine_version=run.waves.version,
        data=data,
        samples=len(x),
        x=x[:_SHOWN_SAMPLES],
        labels=labels,
        logits=run.logits.reshape(len(x), -1),
        software_logits=chip.plan.graph.forward(x).reshape(len(x), -1),
        stage_volts=run.stage_volts,
        stage_values=stage_values(chip.plan.graph, chip.plan, x),
        power_w={name: float(np.mean(watts)) for name, watts in run.power.parts.items()},
        quiescent_w=run.power.quiescent,
        beyond=run.beyond,
        seconds=dict(run.waves.seconds),
        remarks=run.waves.remarks,
        key=key,
    )


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

    Raises:
        BuildError: no build, or one without its netlist.
        DataError: no samples, or samples that do not fit.
        DesignError: no such engine, or the native one, which reads no netlist.
        NetlistError: a netlist with more than circuit in it.
        SimulatorMissing: the engine is not on this machine.
        EngineError: a run that did not end well.
    """
    if engine == "native":
        raise DesignError(
            "expected an engine that reads netlists, found 'native', which is the one that is checked",
            where="engine",
            remedy="use ngspice",
        )
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
        netlist=_netlist_digest(build),
    )
    check.save(build / RESULTS, _VERIFIED, chip.plan.digest())
    return Verified(chip, check, deviation(native.stage_volts, spice.stage_volts), ended - between)


def report(build: Path, output: Path) -> Path:
    """Write the page about a build from its results.

    Raises:
        BuildError: nothing was simulated yet.
    """
    chip = load(build)
    stems = sorted((build / RESULTS).glob(f"{_SIMULATED}-*.json"), key=lambda path: path.stat().st_mtime)
    if not stems:
        raise BuildError("nothing was simulated yet", where=str(build), remedy="run ohmweave simulate on it first")
    # The native engine's word where there is one, else the latest.
    names = [path.stem for path in stems]
    native = f"{_SIMULATED}-native"
    evidence = Evidence.load(build / RESULTS, native if native in names else names[-1], chip.plan.digest())
    checked = (build / RESULTS / f"{_VERIFIED}.json").is_file()
    check = Check.load(build / RESULTS, _VERIFIED, chip.plan.digest()) if checked else None
    if check is not None and check.netlist != _netlist_digest(build):
        check = None  # it was another netlist that was checked
    write_page(render(chip.plan, evidence, check), output)
    return output


def _netlist_digest(build: Path) -> str:
    path = build / NETLIST
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _kept(build: Path, stem: str, chip: Chip) -> Evidence | None:
    """A finished result, where there is one that can be read and is of this plan."""
    try:
        return Evidence.load(build / RESULTS, stem, chip.plan.digest())
    except BuildError:
        return None


def _first(data: Data, count: int | None) -> tuple[Any, Any]:
    if count is not None and count < 1:
        raise DataError(f"expected at least 1 sample, found {count}", where="samples", remedy="ask for one or more")
    return data.x[:count], None if data.y is None else data.y[:count]


def _key(name: str, x: Any, engine: Simulator) -> str:
    content = hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()
    return f"ohmweave {version('ohmweave')} {engine.name} {engine.version()} {name} {x.shape} {content}"
