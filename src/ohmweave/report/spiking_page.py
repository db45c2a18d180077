"""The page about a spiking chip: results into its template."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from ohmweave.report import tables
from ohmweave.report.page import fill
from ohmweave.report.pictures import Picture, membrane_picture, raster_picture
from ohmweave.report.quantities import percent, plural, quantity
from ohmweave.report.spikes import SpikeCheck, SpikeEvidence, Trains
from ohmweave.spiking import SpikingPlan
from ohmweave.spiking.idle import idle, idle_remarks

__all__ = ["PUBLISHED", "render_spiking"]

# What others report of the same kind, J, with its source.
PUBLISHED = (
    ("synaptic event", "Loihi, 14 nm", 23.6e-12, "Davies et al., IEEE Micro 38 (2018)"),
    ("synaptic event", "TrueNorth, 28 nm", 26e-12, "Merolla et al., Science 345 (2014)"),
    ("spike of a neuron", "analog, 65 nm", 4e-15, "Sourikopoulos et al., Front. Neurosci. 11 (2017)"),
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
        raster=_raster(evidence.shown, "the network"),
        membranes=_membranes(evidence.shown),
        check=None if check is None else _check(check),
        energy=_energy(evidence),
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
    total = sum(e.joules.values())
    arrays = sum(len(stage.tiles) for stage in plan.stages)
    return [
        tables.Fact("Data", e.data, f"{plural(e.samples, 'sample')} of {plural(e.steps, 'step')}"),
        *right,
        tables.Fact("Same decisions", percent(float(np.mean(e.classes == e.software))), "as the network"),
        tables.Fact("Microarchitecture", plan.design.spiking.microarchitecture, f"{plural(arrays, 'array')}"),
        tables.Fact("Neurons and memristors", f"{plan.neurons:,} and {plan.devices:,}"),
        *([tables.Fact("Energy", quantity(total, "J"), "a sample, by its parts below")] if total else []),
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
        "arrays": len(stage.tiles),
        "gain": f"{min(gains):.4g}" if min(gains) == max(gains) else f"{min(gains):.4g}–{max(gains):.4g}",
        "rate": f"{found.spikes / e.samples / stage.outputs:.3g}",
        "differing": f"{found.differing:,} of {found.decisions:,}",
        "astray": f"{found.astray:,}",
    }


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
        "tolerance": percent(check.tolerance),
        "seconds": quantity(check.seconds / check.samples, "s"),
        "faster": f"{check.seconds / max(check.native_seconds, 1e-9):,.0f}",
        "raster": _raster(check.stages, "the simulation"),
    }


def _energy(e: SpikeEvidence) -> dict[str, Any] | None:
    if not e.joules:
        return None
    total, (spikes, events) = sum(e.joules.values()), e.counts
    neurons = sum(joules for part, joules in e.joules.items() if part.startswith("neurons"))
    each = [("synaptic event (rows and routing)", total - neurons, events)]
    if neurons:
        each.append(("spike of a neuron", neurons, spikes))
    return {
        "rows": [(part, quantity(joules, "J"), percent(joules / total)) for part, joules in e.joules.items()],
        "total": quantity(total, "J"),
        "each": [(what, quantity(joules / max(count, 1.0), "J")) for what, joules, count in each],
        "ideal": not neurons,
        "samples": plural(e.energy_samples, "sample"),
    }
