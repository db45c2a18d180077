"""The page itself: results into the template."""

from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from ohmweave.analysis.deviation import deviation
from ohmweave.analysis.ir_drop import TileDrop, ir_drop
from ohmweave.analysis.spread import spread
from ohmweave.build import build
from ohmweave.mapping import Plan, Stage, Tile
from ohmweave.report import tables
from ohmweave.report.evidence import Check, Evidence, write_atomically
from ohmweave.report.pictures import (
    MOST_POINTS,
    Picture,
    conductance_picture,
    confusion_picture,
    deviation_picture,
    drop_picture,
    profile_picture,
    scatter_picture,
)
from ohmweave.report.quantities import percent, plural, quantity, scientific

__all__ = ["fill", "render", "write"]

_MOST_STAGES = 9
_MOST_TILES = 2
_MOST_MAPPED_STAGES = 5
_MOST_CLASSES = 20
_DROP_SAMPLES = 16


def render(plan: Plan, simulation: Evidence, verification: Check | None) -> str:
    """One self-contained HTML page about a chip: no scripts, nothing to fetch.

    Args:
        plan: the chip.
        simulation: a run of the whole circuit; its ``x`` also serves to look along the wires.
        verification: the comparison with SPICE, or ``None`` where there was none; the page then says so.

    Raises:
        DataError: inputs in ``simulation.x`` that do not fit the network.
        EngineError: a tile whose wires cannot be solved.
    """
    return fill(
        "page.html.j2",
        network=tables.network(plan),
        headline=_headline(verification, plan.design.coupling.sampled),
        summary=tables.summary(plan, simulation, verification),
        stage_header=tables.stage_header(plan, verification),
        stage_rows=tables.stage_rows(plan, simulation, verification),
        confusion=_confusion(simulation),
        scatter=_scatter(plan, simulation),
        check=_check(verification),
        sampled=plan.design.coupling.sampled,
        measured=_measured(simulation),
        power=tables.power_bars(simulation) if simulation.power_w else [],
        power_total=quantity(sum(simulation.power_w.values()) + simulation.quiescent_w, "W"),
        drop=_drop(plan, simulation),
        conductances=list(_conductances(plan)),
        conductances_left_out=_left_out(plan),
        choices=tables.choices(plan.design),
        version=version("ohmweave"),
        digest=plan.digest()[:12],
        seed=plan.design.seed,
        data=simulation.data,
    )


def fill(template: str, **values: Any) -> str:
    """A page from one of the templates beside this file, with the style of all pages."""
    folder = files("ohmweave.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    style = Markup(folder.joinpath("style.css").read_text(encoding="utf-8").rstrip())  # noqa: S704 - our own file
    text = folder.joinpath(template).read_text(encoding="utf-8")
    return environment.from_string(text).render(style=style, **values)


def write(html: str, path: Path) -> Path:
    """Write a page, whole or not at all; returns its path."""
    return write_atomically(path, html.encode("utf-8"))


def _headline(verification: Check | None, sampled: bool) -> dict[str, str]:
    found = tables.deviation_of(verification)
    if verification is None or found is None:
        return {"verdict": "open", "mark": "–", "text": "This circuit was simulated, but not checked against SPICE."}
    engine, size = f"{verification.engine} {verification.version}", scientific(found.largest)
    samples = plural(verification.samples, "sample")
    if found.largest <= verification.tolerance:
        through = "at every stage's netlist" if sampled else "through the complete netlist"
        text = f"{engine} confirms every stage to {size} of its full scale ({samples} {through})."
        return {"verdict": "good", "mark": "✓", "text": text}
    allowed = scientific(verification.tolerance)
    text = f"{engine} disagrees by {size} of full scale in stage {found.stage} ({samples}); {allowed} is allowed."
    return {"verdict": "bad", "mark": "✗", "text": text}


def _confusion(simulation: Evidence) -> dict[str, Any] | None:
    if simulation.labels is None or simulation.logits.shape[1] < 2:
        return None
    counts, cells = tables.confusion_rows(simulation)
    if len(counts) <= _MOST_CLASSES:
        return {"cells": cells, "picture": None}
    caption = f"Labels downwards, decisions across: {plural(len(counts), 'class', 'classes')}, samples counted."
    return {"cells": [], "picture": confusion_picture(counts, caption)}


def _scatter(plan: Plan, simulation: Evidence) -> Picture:
    shown = plan.stages[:_MOST_STAGES]
    points = {s.name: (simulation.stage_values[s.name], simulation.stage_volts[s.name] / s.s_out) for s in shown}
    titles = {stage.name: f"{stage.name}: {_short(', '.join(stage.layers))}" for stage in shown}
    caption = (
        "Each point is one output for one sample, in the network's units; "
        "on the line the circuit says what the network says."
    )
    if simulation.shown_samples < simulation.samples:
        caption += f" Of the first {plural(simulation.shown_samples, 'sample')}."
    if max(x.size for x, _ in points.values()) > MOST_POINTS:
        caption += f" Where a stage has more than {MOST_POINTS:,} points they are thinned evenly."
    if len(plan.stages) > len(shown):
        caption += f" The last {plural(len(plan.stages) - len(shown), 'stage')} are left out."
    return scatter_picture(points, titles, caption)


def _measured(simulation: Evidence) -> str:
    """Which samples the errors of stages are of, where that is not all of them."""
    count = simulation.measured_samples
    return f" Errors are those of the first {plural(count, 'sample')}." if count < simulation.samples else ""


def _check(verification: Check | None) -> dict[str, Any] | None:
    if verification is None:
        return None
    shares = spread(verification.native_volts, verification.stage_volts)
    found = deviation(verification.native_volts, verification.stage_volts)
    zeros = sum(int(np.count_nonzero(values == 0.0)) for values in shares.values())
    caption = "Every voltage that was compared; the dashed line is what is allowed."
    if zeros:
        caption += f" {plural(zeros, 'voltage')} without any difference stand at −17."
    return {
        "rows": tables.check_rows(verification),
        "engine": f"{verification.engine} {verification.version}",
        "samples": plural(verification.samples, "sample"),
        "tolerance": scientific(verification.tolerance),
        "largest": scientific(found.largest),
        "node": found.node,
        "sample": found.sample,
        "ok": found.largest <= verification.tolerance,
        "picture": deviation_picture(shares, verification.tolerance, caption),
    }


def _drop(plan: Plan, simulation: Evidence) -> dict[str, Any]:
    if plan.design.coupling.sampled:
        return {"none": False, "text": "", "map": None}
    x = simulation.x[:_DROP_SAMPLES]
    drop = ir_drop(plan, build(plan), x)
    wires = plan.design.array
    i, j = drop.worst
    place = f"Tile {drop.stage}.{drop.tile}, row {i}, column {j}, sample {drop.sample}"
    if wires.r_row == 0.0 and wires.r_col == 0.0:
        return {"none": True, "text": "Wires have no resistance in this design, so no voltage is lost on them."}
    return {
        "none": False,
        "text": f"{place} loses most of all tiles and of the first {plural(len(x), 'sample')}: {_loss(drop)}.",
        "map": drop_picture(drop, _drop_caption(drop)),
        "profile": profile_picture(
            drop,
            "Voltages at the crossings along the two wires that meet at that device (ring). Row wires are fed from the "
            "left, column wires end at the bottom row; the dashed line is the voltage at the port.",
        ),
        "wires": f"{quantity(wires.r_row, 'Ω')} a row segment, {quantity(wires.r_col, 'Ω')} a column segment",
    }


def _loss(drop: TileDrop) -> str:
    i, j = drop.worst
    ideal, real = float(drop.ideal[i, j]), float(drop.across[i, j])
    return (
        f"{quantity(float(drop.lost[i, j]), 'V')} off an ideal of {quantity(ideal, 'V')} ({quantity(real, 'V')} left)"
    )


def _drop_caption(drop: TileDrop) -> str:
    return (
        "Left: the voltage across each device as a share of its ideal, the row port's voltage minus the column port's; "
        "grey where the ideal is below a tenth of the largest. Right: how far each voltage is from its ideal, in mV; "
        f"the mean is {quantity(float(drop.lost.mean()), 'V', 3)}. The ring marks the device that loses most."
    )


def _conductances(plan: Plan) -> Iterator[dict[str, Any]]:
    for stage in plan.stages[:_MOST_MAPPED_STAGES]:
        left = len(stage.tiles) - _MOST_TILES
        yield {
            "name": stage.name,
            "layers": ", ".join(stage.layers),
            "pictures": [
                conductance_picture(stage, tile, _tile_caption(plan, stage, tile)) for tile in stage.tiles[:_MOST_TILES]
            ],
            "left_out": f"{plural(left, 'further tile')} of this stage {'is' if left == 1 else 'are'} left out."
            if left > 0
            else "",
        }


def _left_out(plan: Plan) -> str:
    left = len(plan.stages) - _MOST_MAPPED_STAGES
    return f"The maps of the last {plural(left, 'stage')} are left out." if left > 0 else ""


def _tile_caption(plan: Plan, stage: Stage, tile: Tile) -> str:
    g_off, g_on = plan.design.device.g_range
    error = np.nan_to_num(np.abs(tile.g - tile.target)).max(initial=0.0) / (g_on - g_off)
    rows, cols = tile.g.shape
    place = f"{_span('row', tile.rows)}, {_span('column', tile.cols)} of the stage"
    return (
        f"Tile {stage.name}.{tile.name}, {rows} × {cols} ({place}). Largest programming error "
        f"{percent(float(error))} of the conductance range."
    )


def _short(text: str, most: int = 24) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _span(what: str, lines: NDArray[np.int64]) -> str:
    first, last = int(lines[0]), int(lines[-1])
    return f"{what} {first}" if first == last else f"{what}s {first}–{last}"
