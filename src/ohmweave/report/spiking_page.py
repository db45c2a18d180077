"""The page about a spiking chip: results into its template."""

import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from ohmweave.blocks.spiking import Consumer
from ohmweave.report import tables
from ohmweave.report.layouts import LAYOUT_HEADING, layout_cells
from ohmweave.report.page import fill
from ohmweave.report.pictures import Picture, membrane_picture, raster_picture
from ohmweave.report.quantities import percent, plural, quantity
from ohmweave.report.spikes import SpikeCheck, SpikeEvidence, Trains
from ohmweave.spiking import SpikingPlan
from ohmweave.spiking.costs import energy_scope, layouts, together
from ohmweave.spiking.counterpart import Counterpart
from ohmweave.spiking.idle import idle, idle_remarks

__all__ = ["PUBLISHED", "render_spiking"]

# What others report, J, with its source.
PUBLISHED = (
    ("a synaptic event, as published", "Loihi, 14 nm", 23.6e-12, "Davies et al., IEEE Micro 38 (2018)"),
    ("a synaptic event, as published", "TrueNorth, 28 nm", 26e-12, "Merolla et al., Science 345 (2014)"),
    ("a spike, as published", "analog, 65 nm", 4e-15, "Sourikopoulos et al., Front. Neurosci. 11 (2017)"),
)


def render_spiking(plan: SpikingPlan, evidence: SpikeEvidence, check: SpikeCheck | None) -> str:
    """One self-contained HTML page about a spiking chip: no scripts, nothing to fetch.

    Args:
        plan: the chip.
        evidence: a run of the whole circuit.
        check: the comparison with SPICE, or ``None`` where there was none; the page then says so.
    """
    return fill(
        "spiking.html.j2",
        network=_network(plan),
        headline=_headline(check),
        summary=_summary(plan, evidence),
        stages=[_stage_row(plan, evidence, index) for index in range(len(plan.stages))],
        takes=_takes(plan, evidence),
        raster=_raster(evidence.shown, "the network"),
        membranes=_membranes(evidence.shown),
        check=None if check is None else _check(check),
        energy=_energy(plan, evidence),
        published=[(what, who, quantity(joules, "J"), source) for what, who, joules, source in PUBLISHED],
        choices=tables.choices(plan.design, idle(plan.design)),
        version=version("ohmweave"),
        digest=plan.digest()[:12],
        seed=plan.design.seed,
        data=evidence.data,
    )


def _network(plan: SpikingPlan) -> str:
    return " → ".join([str(plan.inputs), *(f"{stage.outputs} neurons" for stage in plan.stages)])


def _headline(check: SpikeCheck | None) -> dict[str, str]:
    if check is None:
        return {"verdict": "open", "mark": "–", "text": "This circuit was simulated, but not checked against SPICE."}
    found = list(check.agreement.values())
    spikes, differing, astray = (sum(getattr(f, name) for f in found) for name in ("spikes", "differing", "astray"))
    verdict, mark = ("good", "✓") if check.ok else ("bad", "✗")
    text = (
        f"{check.engine} {check.version} finds {spikes:,} spikes in the complete netlist of "
        f"{plural(check.samples, 'sample')}: {differing:,} places differ from the simulation, {astray:,} spikes by "
        "more than one step."
    )
    return {"verdict": verdict, "mark": mark, "text": text}


def _summary(plan: SpikingPlan, e: SpikeEvidence) -> list[tables.Fact]:
    right = [] if e.labels is None else [
        tables.Fact("Accuracy", percent(float(np.mean(e.classes == e.labels))), "of the circuit"),
        tables.Fact("", percent(float(np.mean(e.software == e.labels))), "of the network in software"),
    ]  # fmt: skip
    total, scope = sum(e.joules.values()), energy_scope(plan.design)
    arrays = sum(len(stage.tiles) for stage in plan.stages)
    return [
        tables.Fact("Data", e.data, f"{plural(e.samples, 'sample')} of {plural(e.steps, 'step')}"),
        *right,
        tables.Fact("Same decisions", percent(float(np.mean(e.classes == e.software))), "as the network"),
        tables.Fact("Microarchitecture", plan.design.spiking.microarchitecture, f"{plural(arrays, 'array')}"),
        tables.Fact("Neurons and memristors", f"{plan.neurons:,} and {plan.devices:,}"),
        *([tables.Fact("Energy", quantity(total, "J"), f"a sample; in it is {scope}")] if total else []),
        tables.Fact(
            "Simulated by", f"{e.engine} {e.engine_version}", f"{quantity(e.seconds / e.samples, 's')} a sample"
        ),
        *(tables.Fact("Unlike the network", remark) for remark in plan.unlike),
        *(tables.Fact("Not used", remark) for remark in idle_remarks(plan.design)),
    ]


def _stage_row(plan: SpikingPlan, e: SpikeEvidence, index: int) -> dict[str, Any]:
    stage, found = plan.stages[index], e.agreement[plan.stages[index].name]
    gains = [each.gain for each in stage.membranes]
    return {
        "name": stage.name,
        "layers": ", ".join(stage.layers),
        "size": f"{stage.signals} × {stage.outputs}",
        "gain": f"{min(gains):.4g}" if min(gains) == max(gains) else f"{min(gains):.4g}–{max(gains):.4g}",
        "rate": f"{found.spikes / e.samples / stage.outputs:.3g}",
        "differing": f"{found.differing:,} of {found.decisions:,}",
        "astray": f"{found.astray:,}",
    }


def _takes(plan: SpikingPlan, e: SpikeEvidence) -> dict[str, Any]:
    """Arrays, wires, drivers and energy of each stage, of the chip, and of the chip in the other microarchitecture."""
    parts, kind, beside = layouts(plan), plan.design.spiking.microarchitecture, e.beside
    rows = [(part.name, *layout_cells(part), _joules(_of_stage(e.joules, part.name))) for part in parts]
    rows.append((f"chip, {kind}", *layout_cells(together(parts)), _joules(e.joules)))
    if beside is not None and beside.layout is not None:
        rows.append((f"as {beside.microarchitecture}", *layout_cells(beside.layout), _joules(beside.joules)))
    energy = "energy a sample" if isinstance(plan.design.neuron, Consumer) else "energy a sample, without neurons"
    return {"heading": ("stage", *LAYOUT_HEADING, energy), "rows": rows, "note": _beside(beside)}


def _beside(beside: Counterpart | None) -> str:
    """What there is to say about the other microarchitecture."""
    if beside is None:
        return "What the other microarchitecture would take is computed where the native engine runs."
    told = "" if beside.layout is None else "The last line is the same network at the same design, "
    told += f"as {beside.microarchitecture}"
    return f"{told[0].upper()}{told[1:]}{': ' if beside.left_out else ''}{beside.left_out}."


def _of_stage(joules: Mapping[str, float], stage: str) -> dict[str, float]:
    return {part: each for part, each in joules.items() if part.endswith(f" of {stage}")}


def _joules(parts: Mapping[str, float]) -> str:
    return quantity(sum(parts.values()), "J") if parts else "–"


def _raster(shown: Mapping[str, Trains], than: str) -> Picture:
    trains = {name: (each.spikes[0], each.expected[0]) for name, each in shown.items()}
    return raster_picture(trains, f"The first sample: spikes of the circuit, and where they differ from {than}'s.")


def _membranes(shown: Mapping[str, Trains]) -> Picture:
    drawn = {}
    for name, each in shown.items():
        # The neuron that spikes most says most.
        neuron = int(each.spikes[0].sum(axis=0).argmax())
        drawn[f"{name}, neuron {neuron}"] = each.membranes[0], each.expected_membranes[0], neuron
    caption = (
        "The first sample, the neuron of each stage that spikes most: its membrane as it is compared with the "
        "threshold. Membranes of the circuit are held within limits, those of the network are not."
    )
    return membrane_picture(drawn, caption)


def _check(check: SpikeCheck) -> dict[str, Any]:
    rows = []
    for name, each in check.stages.items():
        found = check.agreement[name]
        off = float(np.abs(each.membranes - each.expected_membranes).max())
        rows.append((name, f"{found.spikes:,}", f"{found.differing:,}", f"{found.astray:,}", f"{off:.2g}"))
    return {
        "rows": rows,
        "engine": f"{check.engine} {check.version}",
        "samples": plural(check.samples, "sample"),
        "margin": quantity(check.margin, "V"),
        "remarks": check.remarks,
        "tolerance": percent(check.tolerance),
        "seconds": quantity(check.seconds / check.samples, "s"),
        "faster": f"{check.seconds / max(check.native_seconds, 1e-9):,.0f}",
        "raster": _raster(check.stages, "the simulation"),
    }


def _energy(plan: SpikingPlan, e: SpikeEvidence) -> dict[str, Any] | None:
    if not e.joules:
        return None
    total = sum(e.joules.values())
    # Where nothing spikes there is nothing to share.
    return {
        "rows": [(part, quantity(joules, "J"), percent(joules / (total or 1.0))) for part, joules in e.joules.items()],
        "total": quantity(total, "J"),
        "each": [
            (what, who, "–" if math.isnan(joules) else quantity(joules, "J"), remark)
            for what, who, joules, remark in _each(plan, e)
        ],
        "scope": energy_scope(plan.design),
        "samples": plural(e.energy_samples, "sample"),
    }


def _each(plan: SpikingPlan, e: SpikeEvidence) -> list[tuple[str, str, float, str]]:
    """What, of which chip, J, and a remark: totals alone are like what was published, and parts of them say so."""
    total, neuron = sum(e.joules.values()), plan.design.neuron
    # Where nothing spiked there is nothing to share among.
    spikes, events = (each or math.nan for each in e.counts)
    neurons = sum(joules for part, joules in e.joules.items() if part.startswith("neurons"))
    who, what, arrays = "this chip", "rows and routing over synaptic events", (total - neurons) / events
    if not isinstance(neuron, Consumer):
        return [(what, who, arrays, "ideal neurons have no supply: not to be compared with totals of chips")]
    alone = float(neuron.joules(plan.design.clock, 0, np.ones(1), np.zeros(1))[0])
    return [
        ("all energy over synaptic events", who, total / events, "rows, routing and neurons"),
        (what, who, arrays, "a part of it: neurons left out"),
        ("all energy of the neurons over their spikes", who, neurons / spikes, "what they take at rest included"),
        ("energy of a spike alone", who, alone, "what a step with a spike takes more than one without"),
    ]
