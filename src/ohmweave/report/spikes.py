"""What runs of spiking chips leave behind for the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.analysis.trains import TrainAgreement, agreement_of_trains
from ohmweave.blocks.logic import HIGH
from ohmweave.report.evidence import load_result, save_result
from ohmweave.spiking.counterpart import Counterpart
from ohmweave.units import Array

__all__ = ["SpikeCheck", "SpikeEvidence", "Trains"]

Numbers = NDArray[np.int64]
_RETRY_SIMULATE = "run ohmweave simulate --fresh again"
_RETRY_VERIFY = "run ohmweave verify again"
_FACTS = ("engine", "engine_version", "data", "samples", "steps", "seconds", "remarks", "key")
_CHECK_FACTS = (
    *("engine", "version", "samples", "seconds", "native_seconds"),
    *("tolerance", "membrane_tolerance", "netlist", "margin", "remarks"),
)


@dataclass(frozen=True, eq=False)
class Trains:
    """Spikes and membranes of one stage, the circuit's and those it is compared with.

    Args:
        spikes: the circuit's, 0 or 1, shape [samples, steps, neurons].
        expected: the others, same shape.
        membranes: the circuit's at the comparisons, in thresholds, same shape.
        expected_membranes: the others', same shape.
    """

    spikes: Array
    expected: Array
    membranes: Array
    expected_membranes: Array

    def pack(self, stage: str) -> dict[str, NDArray[Any]]:
        """Named arrays; :meth:`unpack` is the inverse."""
        return {f"{stage}.{name}": values for name, values in vars(self).items()}

    @staticmethod
    def unpack(stage: str, arrays: Mapping[str, NDArray[Any]]) -> "Trains":
        """From what :meth:`pack` made."""
        names = ("spikes", "expected", "membranes", "expected_membranes")
        return Trains(*(arrays[f"{stage}.{name}"] for name in names))


@dataclass(frozen=True, eq=False)
class SpikeEvidence:
    """A run of a whole spiking chip, beside what the network says.

    Args:
        engine: name of the engine that ran the circuit.
        engine_version: its version.
        data: name of the data.
        samples: number of samples.
        steps: of every sample.
        labels: right answers, [samples], or ``None``.
        classes: decisions of the circuit, [samples].
        software: decisions of the network, [samples].
        agreement: stage -> its spikes against the network's, over all samples.
        joules: part -> energy a sample, mean, J; empty where it is not computed.
        energy_samples: of how many samples, the first ones, that mean is.
        counts: spikes of all neurons, and synaptic events, spikes times the synapses that they reach, means a sample of
            the same samples.
        shown: stage -> trains of the first few samples.
        seconds: wall time of the circuit, s.
        remarks: what there is to say about the run.
        key: tells what was run.
        beside: what the network takes in the other microarchitecture, or ``None`` where it is not computed.
    """

    engine: str
    engine_version: str
    data: str
    samples: int
    steps: int
    labels: Numbers | None
    classes: Numbers
    software: Numbers
    agreement: Mapping[str, TrainAgreement]
    joules: Mapping[str, float]
    energy_samples: int
    counts: tuple[float, float]
    shown: Mapping[str, Trains]
    seconds: float
    remarks: tuple[str, ...] = ()
    key: str = ""
    beside: Counterpart | None = None

    def save(self, directory: Path, stem: str, digest: str) -> Path:
        """Write ``<stem>.json`` and ``<stem>.npz``, each whole or not at all; returns the first."""
        arrays: dict[str, NDArray[Any]] = {"classes": self.classes, "software": self.software}
        if self.labels is not None:
            arrays["labels"] = self.labels
        for stage, trains in self.shown.items():
            arrays |= trains.pack(stage)
        facts = {name: getattr(self, name) for name in _FACTS}
        facts |= {"remarks": list(self.remarks), "joules": dict(self.joules), "energy_samples": self.energy_samples}
        facts |= {"counts": list(self.counts), "beside": None if self.beside is None else self.beside.pack()}
        facts["agreement"] = {stage: list(vars(found).values()) for stage, found in self.agreement.items()}
        return save_result(directory / f"{stem}.json", "spikes", digest, facts, arrays)

    @staticmethod
    def load(directory: Path, stem: str, digest: str) -> "SpikeEvidence":
        """Read back what :meth:`save` wrote for the plan of this digest.

        Raises:
            BuildError: no such files, broken ones, or those of another plan.
        """

        def make(facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> SpikeEvidence:
            agreement = {stage: TrainAgreement(*map(int, found)) for stage, found in facts["agreement"].items()}
            return SpikeEvidence(
                engine=str(facts["engine"]),
                engine_version=str(facts["engine_version"]),
                data=str(facts["data"]),
                samples=int(facts["samples"]),
                steps=int(facts["steps"]),
                labels=arrays.get("labels"),
                classes=arrays["classes"],
                software=arrays["software"],
                agreement=agreement,
                joules={part: float(value) for part, value in facts["joules"].items()},
                energy_samples=int(facts["energy_samples"]),
                counts=(float(facts["counts"][0]), float(facts["counts"][1])),
                shown={stage: Trains.unpack(stage, arrays) for stage in agreement},
                seconds=float(facts["seconds"]),
                remarks=tuple(str(remark) for remark in facts["remarks"]),
                key=str(facts["key"]),
                beside=None if facts["beside"] is None else Counterpart.unpack(facts["beside"]),
            )

        return load_result(directory / f"{stem}.json", "spikes", digest, make, _RETRY_SIMULATE)


@dataclass(frozen=True, eq=False)
class SpikeCheck:
    """The same samples in SPICE, the circuit, and in the native engine, which is compared with it.

    Args:
        engine: name of the SPICE engine.
        version: its version.
        samples: number of samples.
        stages: stage -> trains.
        seconds: wall time of the SPICE engine, s.
        native_seconds: of the native one, s.
        tolerance: share of spikes that may be further than a step from the native engine's; 0 lets none differ.
        membrane_tolerance: median distance of the membranes that is allowed, thresholds.
        margin: smallest distance of a spike's voltage from the middle of the levels in SPICE, V.
        netlist: SHA-256 of the netlist that was run.
        remarks: of the SPICE engine, what it had to do for its answers.
    """

    engine: str
    version: str
    samples: int
    stages: Mapping[str, Trains]
    seconds: float
    native_seconds: float
    tolerance: float
    membrane_tolerance: float
    margin: float
    netlist: str = ""
    remarks: tuple[str, ...] = ()

    @cached_property
    def agreement(self) -> dict[str, TrainAgreement]:
        """Stage -> SPICE's spikes against the native engine's."""
        return {name: agreement_of_trains(each.spikes, each.expected) for name, each in self.stages.items()}

    @property
    def share_astray(self) -> float:
        """Spikes of all stages further than a step from the other engine's, as a share of SPICE's."""
        found = list(self.agreement.values())
        return sum(each.astray for each in found) / max(1, sum(each.spikes for each in found))

    @property
    def membrane_off(self) -> dict[str, float]:
        """Stage -> median distance of the membranes, thresholds."""
        return {n: float(np.median(np.abs(e.membranes - e.expected_membranes))) for n, e in self.stages.items()}

    @property
    def ok(self) -> bool:
        """Whether no more spikes are astray than stated, membranes agree, and all spikes are decided."""
        differing = sum(each.differing for each in self.agreement.values())
        within = self.share_astray <= self.tolerance and (self.tolerance > 0.0 or not differing)
        return within and self.margin > 0.5 * HIGH and max(self.membrane_off.values()) <= self.membrane_tolerance

    def save(self, directory: Path, stem: str, digest: str) -> Path:
        """Write ``<stem>.json`` and ``<stem>.npz``, each whole or not at all; returns the first."""
        arrays: dict[str, NDArray[Any]] = {}
        for stage, trains in self.stages.items():
            arrays |= trains.pack(stage)
        facts = {name: getattr(self, name) for name in _CHECK_FACTS}
        facts["stages"] = list(self.stages)
        return save_result(directory / f"{stem}.json", "spike check", digest, facts, arrays)

    @staticmethod
    def load(directory: Path, stem: str, digest: str) -> "SpikeCheck":
        """Read back what :meth:`save` wrote for the plan of this digest.

        Raises:
            BuildError: no such files, broken ones, or those of another plan.
        """

        def make(facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> SpikeCheck:
            stages = {stage: Trains.unpack(stage, arrays) for stage in facts["stages"]}
            found = {name: facts[name] for name in _CHECK_FACTS}
            return SpikeCheck(stages=stages, **{**found, "remarks": tuple(found["remarks"])})

        return load_result(directory / f"{stem}.json", "spike check", digest, make, _RETRY_VERIFY)
