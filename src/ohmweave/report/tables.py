"""The page's tables: rows of text made from results, nothing of HTML."""

import tomllib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ohmweave.analysis.accuracy import accuracy, agreement, confusion
from ohmweave.analysis.deviation import Deviation, deviation
from ohmweave.analysis.used import utilisation
from ohmweave.design import Design
from ohmweave.mapping import Plan, Stage
from ohmweave.report.evidence import Check, Evidence
from ohmweave.report.quantities import percent, plural, quantity, scientific

__all__ = [
    "Bar",
    "Choice",
    "ConfusionCell",
    "Fact",
    "check_rows",
    "choices",
    "confusion_rows",
    "deviation_of",
    "network",
    "power_bars",
    "stage_header",
    "stage_rows",
    "summary",
]


@dataclass(frozen=True)
class Fact:
    """One line of the summary; ``verdict`` is ``"good"``, ``"bad"``, ``"open"`` or nothing."""

    name: str
    value: str
    note: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class Bar:
    """One part of the power: its share of the largest, in percent, and whether it takes power in."""

    name: str
    value: str
    share: str
    width: float
    negative: bool


@dataclass(frozen=True)
class Choice:
    """One section of a design: its name and its keys and values."""

    section: str
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ConfusionCell:
    """One count, and how strongly it is shaded (0 to 1)."""

    count: int
    right: bool
    shade: float


def deviation_of(check: Check | None) -> Deviation | None:
    """How far the native engine is from SPICE, where that was checked."""
    return None if check is None else deviation(check.native_volts, check.stage_volts)


def network(plan: Plan) -> str:
    """The sizes and activations, ``"64 → 32 (relu) → 10"``."""
    if plan.design.coupling.sampled:
        return _layers(plan)
    sizes = [f"{s.outputs}" if s.activation == "through" else f"{s.outputs} ({s.activation})" for s in plan.stages]
    host = [type(plan.graph.node(name).op).__name__.lower() for name in plan.host]
    return " → ".join([str(plan.stages[0].inputs), *sizes, *(f"{name} on the host" for name in host)])


def _layers(plan: Plan) -> str:
    """Input and output shapes and the number of stages of a network that is no chain of sizes."""
    shape = " × ".join(map(str, plan.graph.input_shape))
    outputs = " × ".join(map(str, plan.graph.shapes[plan.graph.outputs[0]]))
    return f"{shape} → {plural(len(plan.stages), 'stage')} → {outputs}"


def summary(plan: Plan, evidence: Evidence, check: Check | None) -> tuple[Fact, ...]:
    """The table at the top of the page."""
    tiles = sum(len(stage.tiles) for stage in plan.stages)
    return (
        Fact("Network", network(plan)),
        Fact("Data", evidence.data, plural(evidence.samples, "sample")),
        *_decisions(evidence),
        _verdict(check),
        Fact("Memristors", f"{plan.devices:,}", f"in {plural(tiles, 'tile')}{_used(plan)}"),
        Fact("Op-amps", f"{plan.opamps:,}"),
        *_power(evidence),
        *_beyond(evidence),
        *_times(evidence, check),
    )


def _used(plan: Plan) -> str:
    """The share of all tiles' crossings that hold a device, of sampled chips."""
    return f", {percent(utilisation(plan), 1)} used" if plan.design.coupling.sampled else ""


def _power(evidence: Evidence) -> list[Fact]:
    if not evidence.power_w:
        return [Fact("Static power", "not computed", "only chips that are one circuit have it so far", "open")]
    total = sum(evidence.power_w.values()) + evidence.quiescent_w
    note = "mean over samples; blocks at rest and output stages included"
    return [Fact("Static power", quantity(total, "W"), note)]


def _beyond(evidence: Evidence) -> list[Fact]:
    """Where signals left what the chip was calibrated for, if anywhere."""
    inputs = evidence.beyond.get("inputs", 0.0)
    stages = {name: share for name, share in evidence.beyond.items() if name != "inputs" and share > 0.0}
    if not inputs and not stages:
        return []
    places = ", ".join(f"{percent(share)} of the op-amps of {name} at a rail" for name, share in stages.items())
    return [Fact("Beyond calibration", f"{percent(inputs)} of inputs", places, "bad" if stages else "open")]


def _decisions(evidence: Evidence) -> list[Fact]:
    if evidence.logits.shape[1] < 2:
        return []
    facts = []
    if evidence.labels is not None:
        for name, logits in (("software", evidence.software_logits), ("circuit", evidence.logits)):
            share = accuracy(logits, evidence.labels)
            note = f"{round(share * evidence.samples)} of {evidence.samples} right"
            facts.append(Fact(f"Accuracy in {name}", percent(share), note))
    share = agreement(evidence.logits, evidence.software_logits)
    note = f"circuit and software decide alike in {round(share * evidence.samples)} of {evidence.samples}"
    return [*facts, Fact("Decision agreement", percent(share), note)]


def _verdict(check: Check | None) -> Fact:
    name, found = "Largest deviation from SPICE", deviation_of(check)
    if check is None or found is None:
        return Fact(name, "not checked", "see the SPICE check below", "open")
    place = f"of full scale, in {found.node} at sample {found.sample}; allowed {scientific(check.tolerance)}"
    return Fact(name, scientific(found.largest), place, "good" if found.largest <= check.tolerance else "bad")


def _times(evidence: Evidence, check: Check | None) -> list[Fact]:
    engine = f"{evidence.engine} {evidence.engine_version}"
    facts = [_time(engine, evidence.seconds.get("total", sum(evidence.seconds.values())), evidence.samples)]
    if check is not None:
        facts.append(_time(f"{check.engine} {check.version}", check.seconds, check.samples))
    return facts


def _time(engine: str, seconds: float, samples: int) -> Fact:
    each = quantity(seconds / max(samples, 1), "s", 3)
    return Fact(f"Wall time of {engine}", quantity(seconds, "s", 3), f"{plural(samples, 'sample')}, {each} each")


def stage_header(plan: Plan, check: Check | None) -> tuple[str, ...]:
    """Headings of :func:`stage_rows`."""
    last = () if check is None else (f"from {check.engine}",)
    sampled = ("kind", "positions") if plan.design.coupling.sampled else ()
    used = ("used",) if plan.design.coupling.sampled else ()
    errors = ("rms", "largest")
    return (
        "stage",
        "layers",
        *sampled,
        "size",
        "tiles",
        *used,
        "activation",
        "k",
        "s_in",
        "s_pre",
        "s_out",
        "R_f",
        "R_m",
        *errors,
        *last,
    )


def stage_rows(plan: Plan, evidence: Evidence, check: Check | None) -> list[tuple[str, ...]]:
    """One row a stage: what it is, its scales and resistors, its errors."""
    errors = evidence.errors_of(plan)
    found = deviation_of(check)
    rows = []
    for stage in plan.stages:
        error = errors[stage.name]
        row = (
            stage.name,
            ", ".join(stage.layers),
            *((stage.kind, f"{stage.positions:,}") if plan.design.coupling.sampled else ()),
            _size(stage),
            str(len(stage.tiles)),
            *((_share(plan, stage),) if plan.design.coupling.sampled else ()),
            "none" if stage.activation == "through" else stage.activation,
            *_analog(plan, stage),
            percent(error.rms),
            percent(error.largest),
        )
        rows.append(row if found is None else (*row, scientific(found.by_stage[stage.name])))
    return rows


def _share(plan: Plan, stage: Stage) -> str:
    return percent(utilisation(plan, stage), 1) if stage.tiles else "–"


def _analog(plan: Plan, stage: Stage) -> tuple[str, ...]:
    """Conductance, scales and resistors; a stage without arrays has scales alone."""
    s_in, s_out = quantity(stage.s_in, "V"), quantity(stage.s_out, "V")
    if stage.kind != "array":
        return ("–", s_in, "–", s_out, "–", "–")
    mixing = quantity(stage.r_mixing, "Ω") if plan.readout.opamps > 1 else "–"
    resistors = (quantity(stage.r_feedback, "Ω"), mixing)
    return (quantity(stage.k, "S"), s_in, quantity(stage.s_pre, "V"), s_out, *resistors)


def _size(stage: Stage) -> str:
    bias = f" + {stage.bias_rows} bias" if stage.bias_rows else ""
    return f"{stage.inputs}{bias} × {stage.outputs}"


def check_rows(check: Check) -> list[tuple[str, str, str]]:
    """Stage, largest deviation as a share of full scale, and the full scale itself."""
    found = deviation(check.native_volts, check.stage_volts)
    scales = {stage: float(np.abs(volts).max(initial=0.0)) for stage, volts in check.stage_volts.items()}
    return [(stage, scientific(share), quantity(scales[stage], "V")) for stage, share in found.by_stage.items()]


def confusion_rows(evidence: Evidence) -> tuple[NDArray[np.int64], list[list[ConfusionCell]]]:
    """The confusion matrix of the circuit and its cells for a table; shades grow with the share of the row."""
    assert evidence.labels is not None
    counts = confusion(evidence.logits, evidence.labels)
    sums = np.maximum(counts.sum(axis=1), 1)
    cells = [
        [ConfusionCell(int(count), i == j, round(float(np.sqrt(count / sums[i])), 3)) for j, count in enumerate(row)]
        for i, row in enumerate(counts)
    ]
    return counts, cells


def power_bars(evidence: Evidence) -> list[Bar]:
    """Power by part, the largest first."""
    parts = {**evidence.power_w, "at rest": evidence.quiescent_w}
    total, largest = sum(parts.values()), max(map(abs, parts.values()))
    ordered = sorted(parts.items(), key=lambda item: -item[1])
    return [
        Bar(
            name,
            quantity(watts, "W"),
            percent(watts / total, 1) if total else "–",
            round(100.0 * abs(watts) / largest, 2) if largest else 0.0,
            watts < 0.0,
        )
        for name, watts in ordered
    ]


def choices(design: Design, idle: Collection[str] = ()) -> list[Choice]:
    """Every choice of a design, section by section, as its TOML has them.

    Args:
        design: the design.
        idle: sections, and fields as ``section.field``, that are left out.
    """
    sections = []
    loose: list[tuple[str, str]] = []
    for key, value in tomllib.loads(design.dump()).items():
        if isinstance(value, dict):
            kept = {name: each for name, each in value.items() if not {key, f"{key}.{name}"} & {*idle}}
            sections += [Choice(key, _items(kept))] if kept else []
        else:
            loose.append((key, str(value)))
    return [Choice("chip", tuple(loose)), *sections] if loose else sections


def _items(section: dict[str, object]) -> tuple[tuple[str, str], ...]:
    return tuple((key, str(value)) for key, value in section.items())
