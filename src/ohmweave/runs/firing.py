"""Runs of builds whose chips spike: all samples natively, some of them in SPICE."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ohmweave.analysis.trains import TrainAgreement, agreement_of_trains
from ohmweave.archive import NETLIST, RESULTS
from ohmweave.errors import BuildError, DesignError
from ohmweave.frontend import Data
from ohmweave.ops import Stateful
from ohmweave.report import SpikeCheck, SpikeEvidence, Trains
from ohmweave.runs.results import SIMULATED, VERIFIED, first_samples, netlist_digest
from ohmweave.simulate import Progress
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.spiking import SpikingChip, SpikingRun
from ohmweave.spiking.costs import energy_scope, stage_energies, synaptic_events
from ohmweave.spiking.counterpart import Counterpart, counterpart
from ohmweave.temporal import decide, trace
from ohmweave.units import Array

__all__ = ["SpikesSimulated", "SpikesVerified", "simulate_spikes", "verify_spikes"]

_SHOWN = 4
# Energies take a product of matrices for every step.
_ENERGY_SAMPLES = 64
_PART = 256


@dataclass(frozen=True, eq=False)
class SpikesSimulated:
    """A run of a spiking build: the chip, its evidence, and whether it was found ready in the results."""

    chip: SpikingChip
    evidence: SpikeEvidence
    reused: bool

    def summary(self) -> dict[str, Any]:
        """The figures for ``--json``."""
        e = self.evidence
        return {
            "engine": e.engine,
            "engine_version": e.engine_version,
            "data": e.data,
            "samples": e.samples,
            "steps": e.steps,
            "accuracy": None if e.labels is None else float(np.mean(e.classes == e.labels)),
            "software_accuracy": None if e.labels is None else float(np.mean(e.software == e.labels)),
            "decision_agreement": float(np.mean(e.classes == e.software)),
            "spikes": {stage: found.spikes for stage, found in e.agreement.items()},
            "spikes_differing": {stage: found.differing for stage, found in e.agreement.items()},
            "spikes_astray": {stage: found.astray for stage, found in e.agreement.items()},
            "energy_j": dict(e.joules) or None,
            "energy_of": energy_scope(self.chip.plan.design) if e.joules else None,
            "energy_samples": e.energy_samples,
            "spikes_each": e.counts[0] if e.energy_samples else None,
            "synaptic_events_each": e.counts[1] if e.energy_samples else None,
            "other_microarchitecture": None if e.beside is None else e.beside.summary(),
            "seconds": e.seconds,
            "remarks": list(e.remarks),
            "reused": self.reused,
        }


@dataclass(frozen=True, eq=False)
class SpikesVerified:
    """A comparison of the native engine with SPICE, the whole netlist in time."""

    chip: SpikingChip
    check: SpikeCheck

    @property
    def ok(self) -> bool:
        """Whether the engines agree as far as the neuron's mathematics states."""
        return self.check.ok

    @property
    def complaint(self) -> str:
        """What is wrong where it is not ok."""
        check = self.check
        shares = ", ".join(f"{name}: {found.differing} of {found.spikes}" for name, found in check.agreement.items())
        off = ", ".join(f"{name}: {value:.2g}" for name, value in check.membrane_off.items())
        return (
            f"the engines disagree: spikes differing by stage {shares}; {check.share_astray:.2%} further than a step, "
            f"allowed {check.tolerance:.2%}; membranes off by stage, median in thresholds {off}, allowed "
            f"{check.membrane_tolerance:.2g}; spikes' voltages {check.margin:.3g} V from undecided"
        )

    def summary(self) -> dict[str, Any]:
        """The figures for ``--json``."""
        check = self.check
        off = {name: float(np.abs(e.membranes - e.expected_membranes).max()) for name, e in check.stages.items()}
        last = list(check.stages.values())[-1]
        return {
            "engine": check.engine,
            "engine_version": check.version,
            "samples": check.samples,
            "spikes": {name: found.spikes for name, found in check.agreement.items()},
            "spikes_differing": {name: found.differing for name, found in check.agreement.items()},
            "spikes_astray": {name: found.astray for name, found in check.agreement.items()},
            "share_astray": check.share_astray,
            "tolerance": check.tolerance,
            "membrane_error": off,
            "membrane_median": check.membrane_off,
            "membrane_tolerance": check.membrane_tolerance,
            "decision_agreement": float(np.mean(decide(last.spikes) == decide(last.expected))),
            "margin_v": check.margin,
            "ok": self.ok,
            "remarks": list(check.remarks),
            "seconds": {"engine": check.seconds, "native": check.native_seconds},
        }


def simulate_spikes(
    build: Path,
    chip: SpikingChip,
    data: Data,
    *,
    engine: str,
    limit: int | None,
    fresh: bool,
    progress: Progress | None,
    options: Mapping[str, Any],
) -> SpikesSimulated:
    """Run data through a spiking build's whole circuit and keep the result in the build.

    Arguments are those of :func:`ohmweave.runs.simulate`.
    """
    x, labels = first_samples(data, limit)
    stem, digest = f"{SIMULATED}-{engine}", chip.plan.digest()
    content = hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()
    key = f"ohmweave {version('ohmweave')} {engine} {data.name} {x.shape} {content}"
    kept = None if fresh else _kept(build, stem, digest)
    if kept is not None and kept.key == key:
        return SpikesSimulated(chip, replace(kept, labels=labels), True)
    spice = NgspiceSimulator(**options) if engine == "ngspice" and options else None
    found = _evidence(chip, x, engine, spice, progress)
    evidence = replace(found, data=data.name, labels=labels, key=key)
    evidence.save(build / RESULTS, stem, digest)
    return SpikesSimulated(chip, evidence, False)


def _kept(build: Path, stem: str, digest: str) -> SpikeEvidence | None:
    try:
        return SpikeEvidence.load(build / RESULTS, stem, digest)
    except BuildError:
        return None


def _evidence(
    chip: SpikingChip, x: Array, engine: str, spice: NgspiceSimulator | None, progress: Progress | None
) -> SpikeEvidence:
    classes, software, seconds, steps = [], [], 0.0, 0
    totals: dict[str, list[TrainAgreement]] = {stage.name: [] for stage in chip.plan.stages}
    taken, shown, told = _Taken(), dict[str, Trains](), ""
    for part, trains in chip.plan.parts(x, _PART):
        first = part.start == 0
        run = chip.simulate(trains, engine, membranes=first, spice=spice, progress=progress)
        ideal = _ideal(chip, trains)
        for name, (spikes, _) in ideal.items():
            totals[name].append(agreement_of_trains(run.spikes[name], spikes))
        if first and engine == "native":
            taken = _taken(chip, trains, run, progress)
        shown = shown or _shown(run, ideal)
        classes.append(run.classes)
        software.append(decide(ideal[chip.plan.stages[-1].name][0]))
        seconds, told, steps = seconds + run.seconds, run.version, trains.shape[1]
        if progress is not None:
            progress("samples", part.stop, len(x))
    agreement = {name: _together(found) for name, found in totals.items()}
    return SpikeEvidence(
        engine, told, "", len(x), steps, None, np.concatenate(classes), np.concatenate(software), agreement,
        taken.joules, taken.samples, taken.counts, shown, seconds, chip.plan.remarks, beside=taken.beside,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Taken:
    """What the first samples take: J a sample by part and stage, spikes and synaptic events a sample; and elsewhere."""

    joules: Mapping[str, float] = field(default_factory=dict)
    samples: int = 0
    counts: tuple[float, float] = (0.0, 0.0)
    beside: Counterpart | None = None


def _taken(chip: SpikingChip, trains: Array, run: SpikingRun, progress: Progress | None) -> _Taken:
    few = trains[:_ENERGY_SAMPLES]
    spikes = {name: each[: len(few)] for name, each in run.spikes.items()}
    fired = float(sum(each.sum() for each in spikes.values())) / len(few)
    counts = fired, float(synaptic_events(chip.plan, few, spikes).mean())
    joules = _joules(chip, few)
    if progress is not None:
        progress("the other microarchitecture", 0, 1)
    beside = counterpart(chip.plan, few)
    if progress is not None:
        progress("the other microarchitecture", 1, 1)
    return _Taken(joules, len(few), counts, beside)


def _joules(chip: SpikingChip, trains: Array) -> dict[str, float]:
    """Energy a sample by part and stage, J; of routes where there are arrays to go to."""
    return {
        f"{part} of {stage}": float(each.mean())
        for stage, parts in stage_energies(chip, trains).items()
        for part, each in parts.items()
        if part != "routing" or chip.plan.design.spiking.tiled
    }


def _ideal(chip: SpikingChip, trains: Array) -> dict[str, tuple[Array, Array]]:
    """The network's own spikes and membranes in thresholds, by stage, each [samples, steps, neurons]."""
    found = trace(chip.plan.graph, trains, [stage.layers[-1] for stage in chip.plan.stages])
    ideal = {}
    for stage in chip.plan.stages:
        name = stage.layers[-1]
        op = chip.plan.graph.node(name).op
        assert isinstance(op, Stateful)
        shape = (*trains.shape[:2], stage.outputs)
        threshold = op.threshold.ravel()  # type: ignore[attr-defined]
        ideal[stage.name] = found.values[name].reshape(shape), found.membranes[name].reshape(shape) / threshold
    return ideal


def _shown(run: SpikingRun, ideal: Mapping[str, tuple[Array, Array]]) -> dict[str, Trains]:
    return {
        name: Trains(run.spikes[name][:_SHOWN], spikes[:_SHOWN], run.membranes[name][:_SHOWN], membranes[:_SHOWN])
        for name, (spikes, membranes) in ideal.items()
    }


def _together(parts: list[TrainAgreement]) -> TrainAgreement:
    return TrainAgreement(*(sum(values) for values in zip(*(vars(each).values() for each in parts), strict=True)))


def verify_spikes(
    build: Path,
    chip: SpikingChip,
    data: Data,
    *,
    samples: int,
    engine: str,
    tolerance: float | None,
    progress: Progress | None,
    options: Mapping[str, Any],
) -> SpikesVerified:
    """Run the netlist that stands in a spiking build in ngspice; compare spikes and membranes with the native engine.

    Arguments are those of :func:`ohmweave.runs.verify`; ``tolerance`` is the share of spikes that may be further than
    a step from the native engine's, if not given what the neuron states of its mathematics.
    """
    _require_netlist(build, engine)
    trains = chip.plan.encode(first_samples(data, samples)[0])
    # Told before minutes of SPICE: a neuron has to state how well its mathematics follow its circuit.
    stated = chip.plan.design.neuron.tolerance if tolerance is None else tolerance
    spice = NgspiceSimulator(netlist=build / NETLIST, **options)
    other = chip.simulate(trains, "ngspice", spice=spice, progress=progress)
    check = _compared(other, chip.simulate(trains), stated, netlist_digest(build))
    check.save(build / RESULTS, VERIFIED, chip.plan.digest())
    return SpikesVerified(chip, check)


def _require_netlist(build: Path, engine: str) -> None:
    if engine != "ngspice":
        raise DesignError(
            f"expected ngspice, which runs spiking chips in time, found {engine!r}",
            where="engine",
            remedy="use ngspice",
        )
    if not (build / NETLIST).is_file():
        raise BuildError("expected the netlist, found none", where=str(build / NETLIST), remedy="compile again")


def _compared(other: SpikingRun, native: SpikingRun, tolerance: float, netlist: str) -> SpikeCheck:
    """SPICE's run beside the native engine's of the same trains."""
    stages = {
        name: Trains(other.spikes[name], native.spikes[name], other.membranes[name], native.membranes[name])
        for name in other.spikes
    }
    return SpikeCheck(
        engine=other.engine,
        version=other.version,
        samples=len(other.output),
        stages=stages,
        seconds=other.seconds,
        native_seconds=native.seconds,
        tolerance=tolerance,
        membrane_tolerance=other.plan.design.neuron.membrane_tolerance,
        margin=other.margin,
        netlist=netlist,
        remarks=other.remarks,
    )
