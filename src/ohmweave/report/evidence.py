"""What runs leave behind for the page: figures in JSON, arrays beside them."""

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ohmweave.analysis.deviation import StageError, stage_errors
from ohmweave.errors import BuildError
from ohmweave.mapping import Plan
from ohmweave.units import Array

__all__ = ["Check", "Evidence", "load_result", "save_result", "write_atomically"]

_FORMAT = 2
_RETRY_SIMULATE = "run ohmweave simulate --fresh again"
_RETRY_VERIFY = "run ohmweave verify again"
_Arrays = Mapping[str, NDArray[Any]]
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Evidence:
    """A simulation of the whole circuit, beside what the network says.

    Args:
        engine: name of the engine that ran the circuit.
        engine_version: its version.
        data: name of the data.
        samples: number of samples.
        x: the first few inputs, [<= 16, ...], network units; for the picture of the wires.
        labels: right answers, [samples], or ``None`` where there are none.
        logits: the circuit's outputs, [samples, outputs], network units.
        software_logits: the network's own, same shape.
        stage_volts: stage -> output voltages of all or the first samples, [<= samples, outputs], V.
        stage_values: stage -> the network's values there, same shapes, network units.
        power_w: part -> power its sources deliver, mean over samples, W; empty where it is not computed.
        quiescent_w: what op-amps draw at rest, W.
        seconds: wall times by phase, s; ``"total"`` is all of them.
        beyond: share of inputs and of stage outputs beyond what the chip was calibrated for.
        remarks: what the engine had to resort to, or has to say about its accuracy.
        key: tells what was run, so that a finished result is not computed again.
        errors: stage -> its error against the network, where it was not taken from ``stage_volts`` as they stand.
        measured: samples that ``errors`` are of, the first ones.
    """

    engine: str
    engine_version: str
    data: str
    samples: int
    x: Array
    labels: NDArray[Any] | None
    logits: Array
    software_logits: Array
    stage_volts: Mapping[str, Array]
    stage_values: Mapping[str, Array]
    power_w: Mapping[str, float]
    quiescent_w: float
    seconds: Mapping[str, float]
    beyond: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    key: str = ""
    errors: Mapping[str, StageError] = field(default_factory=dict)
    measured: int = 0

    def __post_init__(self) -> None:
        arrays = {"logits": self.logits, "software_logits": self.software_logits}
        if self.labels is not None:
            arrays["labels"] = self.labels
        _check_samples(self.samples, arrays)
        stages = {f"stage_volts of {stage}": volts for stage, volts in self.stage_volts.items()}
        stages |= {f"stage_values of {stage}": values for stage, values in self.stage_values.items()}
        # Fewer than all samples only where errors say what the others did.
        _check_samples(min(self.shown_samples, self.samples) if self.errors else self.samples, stages)

    @property
    def shown_samples(self) -> int:
        """Samples of which every stage's voltages are there, the first ones."""
        return min((len(volts) for volts in self.stage_volts.values()), default=self.samples)

    @property
    def measured_samples(self) -> int:
        """Samples that the stages' errors are of, the first ones."""
        return self.measured if self.errors else self.shown_samples

    def errors_of(self, plan: Plan) -> Mapping[str, StageError]:
        """How far each stage is from the network."""
        return self.errors or stage_errors(plan, self.stage_volts, self.stage_values)

    def save(self, directory: Path, stem: str, digest: str) -> Path:
        """Write ``<stem>.json`` and ``<stem>.npz``, each whole or not at all; returns the first.

        Args:
            directory: where; it is made if need be.
            stem: the files' name.
            digest: of the plan that was run.
        """
        arrays: dict[str, NDArray[Any]] = {
            "x": self.x,
            "logits": self.logits,
            "software_logits": self.software_logits,
            **_flat("stage_volts", self.stage_volts),
            **_flat("stage_values", self.stage_values),
        }
        if self.labels is not None:
            arrays["labels"] = self.labels
        names = ("engine", "engine_version", "data", "samples", "quiescent_w", "key")
        facts = {name: getattr(self, name) for name in names}
        facts |= {name: dict(getattr(self, name)) for name in ("power_w", "beyond", "seconds")}
        facts |= {"stages": list(self.stage_volts), "remarks": list(self.remarks), "measured": self.measured}
        facts |= {"errors": {stage: [error.rms, error.largest] for stage, error in self.errors.items()}}
        return save_result(directory / f"{stem}.json", "evidence", digest, facts, arrays)

    @staticmethod
    def load(directory: Path, stem: str, digest: str) -> "Evidence":
        """Read back what :meth:`save` wrote for the plan of this digest.

        Raises:
            BuildError: no such files, broken ones, or those of another plan.
        """

        def make(facts: Mapping[str, Any], arrays: _Arrays) -> Evidence:
            stages = facts["stages"]
            return Evidence(
                engine=str(facts["engine"]),
                engine_version=str(facts["engine_version"]),
                data=str(facts["data"]),
                samples=int(facts["samples"]),
                x=arrays["x"],
                labels=arrays.get("labels"),
                logits=arrays["logits"],
                software_logits=arrays["software_logits"],
                stage_volts=_nested("stage_volts", stages, arrays),
                stage_values=_nested("stage_values", stages, arrays),
                power_w={part: float(watts) for part, watts in facts["power_w"].items()},
                quiescent_w=float(facts["quiescent_w"]),
                seconds={phase: float(value) for phase, value in facts["seconds"].items()},
                beyond={place: float(share) for place, share in facts["beyond"].items()},
                remarks=tuple(str(remark) for remark in facts["remarks"]),
                key=str(facts["key"]),
                # Older results have them for all samples, in their arrays.
                errors={stage: StageError(*map(float, found)) for stage, found in facts.get("errors", {}).items()},
                measured=int(facts.get("measured", 0)),
            )

        return load_result(directory / f"{stem}.json", "evidence", digest, make, _RETRY_SIMULATE)


@dataclass(frozen=True, eq=False)
class Check:
    """The same samples in a SPICE engine and in the native one.

    Args:
        engine: name of the SPICE engine.
        version: its version.
        samples: number of samples.
        stage_volts: stage -> output voltages in SPICE, [samples, outputs], V.
        native_volts: stage -> those of the native engine, same shapes, V.
        seconds: wall time of the SPICE engine, s.
        tolerance: largest deviation allowed, as a share of each stage's full scale.
        netlist: SHA-256 of the netlist that was run.
    """

    engine: str
    version: str
    samples: int
    stage_volts: Mapping[str, Array]
    native_volts: Mapping[str, Array]
    seconds: float
    tolerance: float
    netlist: str = ""

    def __post_init__(self) -> None:
        arrays = {f"stage_volts of {stage}": volts for stage, volts in self.stage_volts.items()}
        arrays |= {f"native_volts of {stage}": volts for stage, volts in self.native_volts.items()}
        _check_samples(self.samples, arrays)

    def save(self, directory: Path, stem: str, digest: str) -> Path:
        """Write ``<stem>.json`` and ``<stem>.npz``; as :meth:`Evidence.save`."""
        arrays = {**_flat("stage_volts", self.stage_volts), **_flat("native_volts", self.native_volts)}
        facts = {
            name: getattr(self, name) for name in ("engine", "version", "samples", "seconds", "tolerance", "netlist")
        }
        facts["stages"] = list(self.stage_volts)
        return save_result(directory / f"{stem}.json", "check", digest, facts, arrays)

    @staticmethod
    def load(directory: Path, stem: str, digest: str) -> "Check":
        """Read back what :meth:`save` wrote for the plan of this digest.

        Raises:
            BuildError: no such files, broken ones, or those of another plan.
        """

        def make(facts: Mapping[str, Any], arrays: _Arrays) -> Check:
            return Check(
                engine=str(facts["engine"]),
                version=str(facts["version"]),
                samples=int(facts["samples"]),
                stage_volts=_nested("stage_volts", facts["stages"], arrays),
                native_volts=_nested("native_volts", facts["stages"], arrays),
                seconds=float(facts["seconds"]),
                tolerance=float(facts["tolerance"]),
                netlist=str(facts["netlist"]),
            )

        return load_result(directory / f"{stem}.json", "check", digest, make, _RETRY_VERIFY)


def write_atomically(path: Path, content: bytes) -> Path:
    """Write a file so that it is there whole or not at all; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        # What mkstemp makes only its owner can read; a result is an ordinary file.
        Path(partial).chmod(0o644)
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)
    return path


def _check_samples(samples: int, arrays: _Arrays) -> None:
    for name, array in arrays.items():
        if array.ndim < 1 or len(array) != samples:
            raise ValueError(f"{name} has shape {array.shape}, expected {samples} samples")


def _flat(name: str, stages: Mapping[str, Array]) -> dict[str, NDArray[Any]]:
    return {f"{name}.{stage}": values for stage, values in stages.items()}


def _nested(name: str, stages: list[str], arrays: _Arrays) -> dict[str, Array]:
    return {stage: arrays[f"{name}.{stage}"] for stage in stages}


def save_result(path: Path, kind: str, digest: str, facts: Mapping[str, Any], arrays: _Arrays) -> Path:
    """Write a result, ``path`` with its figures and arrays beside it, each whole or not at all.

    Args:
        path: of the JSON file.
        kind: of result.
        digest: of the plan that was run.
        facts: its figures.
        arrays: its arrays.
    """
    # The arrays first: figures name the arrays' content hash, so a pair that was cut apart is noticed.
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **arrays)
    content = packed.getvalue()
    header = {"kind": kind, "format": _FORMAT, "plan": digest, "arrays": hashlib.sha256(content).hexdigest()}
    write_atomically(path.with_suffix(".npz"), content)
    return write_atomically(path, (json.dumps({**header, **facts}, indent=1) + "\n").encode())


def load_result(
    path: Path, kind: str, digest: str, make: Callable[[Mapping[str, Any], _Arrays], _T], remedy: str
) -> _T:
    """Read back what :func:`save_result` wrote.

    Args:
        path: of the JSON file.
        kind: of result that is expected.
        digest: of the plan that is expected.
        make: the result from its figures and arrays.
        remedy: what to do where it cannot be read.

    Raises:
        BuildError: no such files, broken ones, or those of another plan.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        found = facts["plan"]
        if facts["kind"] != kind or facts["format"] != _FORMAT:
            raise ValueError(f"expected {kind} of format {_FORMAT}, found {facts['kind']} of format {facts['format']}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _broken(path, error, remedy) from error
    if found != digest:
        raise BuildError(
            f"was made from another plan (digest {str(found)[:12]}, expected {digest[:12]})",
            where=str(path),
            remedy=remedy,
        )
    stored = path.with_suffix(".npz")
    try:
        content = stored.read_bytes()
        if hashlib.sha256(content).hexdigest() != facts["arrays"]:
            raise ValueError(f"not the arrays that belong to {path.name}")
        with np.load(io.BytesIO(content), allow_pickle=False) as opened:
            arrays = {name: opened[name] for name in opened.files}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _broken(stored, error, remedy) from error
    try:
        return make(facts, arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(path, error, remedy) from error


def _broken(path: Path, error: Exception, remedy: str) -> BuildError:
    reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    return BuildError(f"cannot be read ({reason})", where=str(path), remedy=remedy)
