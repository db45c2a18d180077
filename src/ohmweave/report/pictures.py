"""Pictures of results, drawn to PNG in memory; nothing of matplotlib's global state is touched."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from ohmweave.analysis.ir_drop import TileDrop
from ohmweave.devices import Trajectory
from ohmweave.mapping import Stage, Tile
from ohmweave.units import Array

__all__ = [
    "MOST_POINTS",
    "Picture",
    "conductance_picture",
    "confusion_picture",
    "deviation_picture",
    "drop_picture",
    "hysteresis_picture",
    "membrane_picture",
    "profile_picture",
    "raster_picture",
    "scatter_picture",
]

MOST_POINTS = 8000
# Neurons of one stage in a raster: as many as can be told apart, fewer over many steps.
_MOST_ROWS, _FEWEST_ROWS = 200, 20
_SEEN = 25.0
_WIDTH = 9.6
_DPI = 180
_PIXELS_PER_INCH = 1024 / _WIDTH
_INK, _MUTED, _LINE = "#1b2733", "#5b6875", "#d5dbe1"
# Okabe and Ito's colours (2008), told apart by colour-blind readers too.
_BLUE, _ORANGE, _GREEN = "#0072b2", "#d55e00", "#009e73"
_SEQUENTIAL = "viridis"


@dataclass(frozen=True)
class Picture:
    """A picture ready for the page.

    Args:
        uri: a ``data:`` address with the PNG itself.
        alt: what it shows, in one sentence.
        caption: how to read it.
        width: on the page, in CSS pixels; letters then have one size in all pictures.
    """

    uri: str
    alt: str
    caption: str
    width: int

    @property
    def png(self) -> bytes:
        """The PNG itself."""
        return base64.b64decode(self.uri.partition(",")[2])


def scatter_picture(points: Mapping[str, tuple[Array, Array]], titles: Mapping[str, str], caption: str) -> Picture:
    """Circuit against software, one panel a stage.

    Args:
        points: stage -> (software values, circuit values), any equal shapes, network units.
        titles: stage -> heading of its panel.
        caption: how to read it.
    """
    across = min(len(points), 3)
    down = -(-len(points) // across)
    side = _WIDTH / 3
    figure = _figure(side * max(across, 2), side * down)
    for index, (stage, (software, circuit)) in enumerate(points.items(), start=1):
        axes = figure.add_subplot(down, across, index)
        step = max(1, -(-software.size // MOST_POINTS))
        x, y = software.ravel()[::step], circuit.ravel()[::step]
        low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
        axes.plot([low, high], [low, high], color=_ORANGE, linewidth=1.0, zorder=1)
        axes.scatter(x, y, s=5, color=_BLUE, alpha=0.35, linewidths=0, zorder=2)
        axes.set_box_aspect(1)
        _style(axes, titles[stage], "software value", "circuit value")
    return _picture(figure, "Software values against circuit values for each stage", caption)


def conductance_picture(stage: Stage, tile: Tile, caption: str) -> Picture:
    """Target and programmed conductances of a tile side by side, in µS on one colour scale."""
    maps = {"target": tile.target * 1e6, "programmed": tile.g * 1e6}
    stacked = np.concatenate([tile.target.ravel(), tile.g.ravel()]) * 1e6
    low, high = _limits(stacked)
    figure = _figure(*_map_size(tile.g.shape, bars=1))
    axes = figure.subplots(1, 2, squeeze=False)[0]
    for one, (title, values) in zip(axes, maps.items(), strict=True):
        image = _heat(one, values, low, high)
        _style(one, title, "column", "row")
    bar = figure.colorbar(image, ax=list(axes), pad=0.02, shrink=0.9, aspect=24)
    _style_bar(bar.ax, "conductance (µS)")
    return _picture(figure, f"Conductance maps of tile {stage.name}.{tile.name}, target and programmed", caption)


def drop_picture(drop: TileDrop, caption: str) -> Picture:
    """The voltage across every device: as a share of its ideal, and what is lost in mV."""
    ideal = drop.ideal
    shown = np.abs(ideal) >= 0.1 * np.abs(ideal).max(initial=0.0)
    share = np.divide(100.0 * drop.across, ideal, out=np.full(ideal.shape, np.nan), where=shown & (ideal != 0.0))
    figure = _figure(*_map_size(ideal.shape, bars=2))
    left, right = figure.subplots(1, 2, squeeze=False)[0]
    panels = (
        (left, share, "voltage across the device (% of ideal)"),
        (right, 1e3 * drop.lost, "distance from ideal (mV)"),
    )
    for axes, values, label in panels:
        image = _heat(axes, values, *_limits(values))
        _style(axes, "", "column", "row")
        _style_bar(figure.colorbar(image, ax=axes, pad=0.03, shrink=0.9, aspect=24).ax, label)
    i, j = drop.worst
    right.plot(j, i, marker="o", markersize=9, markerfacecolor="none", markeredgecolor=_ORANGE, markeredgewidth=1.8)
    return _picture(figure, f"Voltage across every device of tile {drop.stage}.{drop.tile}", caption)


def profile_picture(drop: TileDrop, caption: str) -> Picture:
    """Voltages along the row wire and the column wire of the device that loses most."""
    i, j = drop.worst
    figure = _figure(_WIDTH, 3.1)
    left, right = figure.subplots(1, 2, squeeze=False)[0]
    _profile(left, 1e3 * drop.word_volts[i], 1e3 * float(drop.row_volts[i]), j, _BLUE)
    _style(left, f"row wire {i}", "crossing with column", "voltage (mV)")
    _profile(right, 1e3 * drop.bit_volts[:, j], 1e3 * float(drop.col_volts[j]), i, _GREEN)
    _style(right, f"column wire {j}", "crossing with row", "voltage (mV)")
    return _picture(figure, f"Voltages along row {i} and column {j} of tile {drop.stage}.{drop.tile}", caption)


def deviation_picture(shares: Mapping[str, Array], tolerance: float, caption: str) -> Picture:
    """Histogram of the deviation from SPICE, log10 of the share of full scale, one colour a stage."""
    floor = 1e-17
    logs = {stage: np.log10(np.clip(values.ravel(), floor, 1e3)) for stage, values in shares.items()}
    everything = np.concatenate([*logs.values(), np.array([np.log10(tolerance)])])
    bins = np.arange(np.floor(everything.min()), np.ceil(everything.max()) + 0.26, 0.25).tolist()
    colours = mpl.colormaps["cividis"](np.linspace(0.05, 0.9, len(logs)))
    figure = _figure(_WIDTH, 2.9)
    axes = figure.add_subplot()
    for (stage, values), colour in zip(logs.items(), colours, strict=True):
        axes.hist(values, bins=bins, color=tuple(colour), alpha=0.75, label=stage)
    axes.axvline(float(np.log10(tolerance)), color=_ORANGE, linewidth=1.5, linestyle="--", label="allowed")
    _style(axes, "", "log₁₀ of the difference, as a share of the stage's full scale", "voltages")
    axes.legend(frameon=False, fontsize=8, labelcolor=_INK, ncols=2 if len(logs) > 6 else 1)
    return _picture(figure, "Histogram of the differences between the engines", caption)


def hysteresis_picture(loops: Mapping[str, Trajectory], caption: str) -> Picture:
    """Current against voltage of memristors, one panel a loop; the first of a loop's devices is drawn.

    Args:
        loops: heading -> what a device did (:func:`ohmweave.devices.hysteresis`).
        caption: how to read it.
    """
    across = min(len(loops), 3)
    down = -(-len(loops) // across)
    figure = _figure(_WIDTH / 3 * max(across, 2), 2.9 * down)
    for index, (title, loop) in enumerate(loops.items(), start=1):
        axes = figure.add_subplot(down, across, index)
        axes.axhline(0.0, color=_LINE, linewidth=0.8, zorder=0)
        axes.axvline(0.0, color=_LINE, linewidth=0.8, zorder=0)
        axes.plot(loop.volts, 1e3 * loop.amps[:, 0], color=_BLUE, linewidth=1.4)
        _style(axes, title, "voltage (V)", "current (mA)")
    return _picture(figure, "Current against voltage of each memristor", caption)


def raster_picture(trains: Mapping[str, tuple[Array, Array]], caption: str) -> Picture:
    """Spikes of one sample, those of the circuit over those expected, one panel a stage.

    Args:
        trains: heading -> (spikes of the circuit, spikes expected), each [steps, neurons], 0 or 1.
        caption: how to read it; what is left out of large stages is said after it.
    """
    rows = {title: _telling(*both) for title, both in trains.items()}
    cut = [title for title, (circuit, _) in trains.items() if len(rows[title]) < circuit.shape[1]]
    if cut:
        caption = f"{caption} Of large stages those neurons are drawn that differ, then those that spike, most."
    heights = [float(np.clip(0.06 * len(own), 1.0, 3.6)) for own in rows.values()]
    figure = _figure(_WIDTH, sum(heights) + 0.7 * len(heights))
    panels = figure.subplots(len(trains), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (title, both) in zip(panels, trains.items(), strict=True):
        circuit, expected = (each[:, rows[title]] for each in both)
        size = float(np.clip(900.0 / circuit.shape[1], 4.0, 40.0))
        for spikes, marker, colour, label in (
            (expected > circuit, "x", _ORANGE, "missing in the circuit"),
            (circuit > expected, "+", _GREEN, "in the circuit alone"),
            ((circuit > 0) & (expected > 0), "|", _BLUE, "in both"),
        ):
            steps, neurons = np.nonzero(spikes)
            # Few among many, what differs must still be seen.
            area = size if marker == "|" else max(size, _SEEN)
            axes.scatter(steps, neurons, s=area, marker=marker, color=colour, linewidths=1.2, label=label)
        axes.set_xlim(-0.5, len(circuit) - 0.5)
        axes.set_ylim(-0.7, circuit.shape[1] - 0.3)
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        if title in cut:
            axes.yaxis.set_major_formatter(FuncFormatter(_numbered(rows[title])))
        _style(axes, f"{title}, {len(rows[title])} of {both[0].shape[1]:,}" if title in cut else title, "", "neuron")
    panels[-1].set_xlabel("step", fontsize=9, color=_INK)
    panels[0].legend(frameon=False, fontsize=8, labelcolor=_INK, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
    return _picture(figure, "Spikes of the circuit over those of the network, stage by stage", caption)


def _telling(circuit: Array, expected: Array) -> NDArray[np.int64]:
    """The neurons a panel has room for, in order: those that differ most, then those that spike most."""
    most = min(_MOST_ROWS, max(_FEWEST_ROWS, MOST_POINTS // len(circuit)))
    differing, spikes = (circuit != expected).sum(axis=0), (circuit + expected).sum(axis=0)
    return np.sort(np.lexsort((-spikes, -differing))[:most])


def _numbered(neurons: NDArray[np.int64]) -> Callable[[float, int | None], str]:
    """Labels of rows: the numbers of the neurons in them, nothing beside them."""

    def label(row: float, _: int | None) -> str:
        return str(neurons[int(row)]) if row == int(row) and 0 <= row < len(neurons) else ""

    return label


def membrane_picture(membranes: Mapping[str, tuple[Array, Array, int]], caption: str) -> Picture:
    """Membranes of one sample at the comparisons, one panel a neuron, with the threshold.

    Args:
        membranes: heading -> (the circuit's and the expected membranes, each [steps, neurons], thresholds; which
            neuron to draw).
        caption: how to read it.
    """
    figure = _figure(_WIDTH, 2.1 * len(membranes))
    panels = figure.subplots(len(membranes), 1, squeeze=False)[:, 0]
    for axes, (title, (circuit, expected, neuron)) in zip(panels, membranes.items(), strict=True):
        axes.axhline(1.0, color=_MUTED, linewidth=1.0, linestyle="--", label="threshold")
        axes.step(np.arange(len(expected)), expected[:, neuron], where="mid", color=_ORANGE, label="network")
        axes.step(np.arange(len(circuit)), circuit[:, neuron], where="mid", color=_BLUE, linewidth=1.1, label="circuit")
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
        _style(axes, title, "", "membrane / threshold")
    panels[-1].set_xlabel("step", fontsize=9, color=_INK)
    panels[0].legend(frameon=False, fontsize=8, labelcolor=_INK, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
    return _picture(figure, "Membrane voltages at the comparisons with the threshold", caption)


def confusion_picture(counts: NDArray[np.int64], caption: str) -> Picture:
    """A confusion matrix too large for a table: rows are labels, columns decisions, on a logarithmic scale."""
    figure = _figure(0.7 * _WIDTH, 0.58 * _WIDTH)
    axes = figure.add_subplot()
    image = _heat(axes, np.log10(1.0 + counts), 0.0, float(np.log10(1.0 + counts.max())))
    _style(axes, "", "decision of the circuit", "label")
    _style_bar(figure.colorbar(image, ax=axes, pad=0.03).ax, "log₁₀(1 + samples)")
    return _picture(figure, "Confusion matrix", caption)


def _profile(axes: Axes, volts: Array, port: float, worst: int, colour: str) -> None:
    axes.plot(np.arange(len(volts)), volts, color=colour, linewidth=1.6, marker="o", markersize=2.5, label="wire")
    axes.axhline(port, color=_MUTED, linewidth=1.0, linestyle="--", label="port")
    axes.plot(
        worst, volts[worst], marker="o", markersize=9, markerfacecolor="none", markeredgecolor=_ORANGE, linestyle="none"
    )
    axes.legend(frameon=False, fontsize=8, labelcolor=_INK)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _map_size(shape: Sequence[int], bars: int) -> tuple[float, float]:
    """Inches for two maps beside each other with colour bars, within reason for flat and tall arrays."""
    ratio = shape[0] / shape[1]
    height = float(np.clip(0.43 * _WIDTH * ratio, 1.1, 0.45 * _WIDTH))
    # Very tall maps are not to scale and want room; others are as wide as their height asks.
    wide = height / ratio if 0.25 <= ratio <= 4 else _WIDTH
    return float(np.clip(2.0 * wide + 1.2 + 0.9 * bars, 0.5 * _WIDTH, _WIDTH)), height + 0.7


def _limits(values: Array) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5 * abs(low) - 0.5, high + 0.5 * abs(high) + 0.5)


def _heat(axes: Axes, values: Array, low: float, high: float) -> AxesImage:
    colours = mpl.colormaps[_SEQUENTIAL].with_extremes(bad="#e3e7eb")
    ratio = values.shape[0] / values.shape[1]
    aspect: Literal["equal", "auto"] = "equal" if 0.25 <= ratio <= 4 else "auto"
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    return axes.imshow(
        np.ma.masked_invalid(values), cmap=colours, vmin=low, vmax=high, aspect=aspect, interpolation="nearest"
    )


def _style(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=9, color=_INK)
    axes.set_ylabel(y, fontsize=9, color=_INK)
    if title:
        axes.set_title(title, fontsize=10, color=_INK, loc="left", parse_math=False)
    axes.tick_params(labelsize=8, colors=_MUTED, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_LINE)


def _style_bar(axes: Axes, label: str) -> None:
    axes.set_ylabel(label, fontsize=9, color=_INK)
    axes.tick_params(labelsize=8, colors=_MUTED, length=3)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _picture(figure: Figure, alt: str, caption: str) -> Picture:
    packed = io.BytesIO()
    # Matplotlib's own tag carries an address; the page holds none.
    figure.savefig(packed, format="png", metadata={"Software": None})
    uri = f"data:image/png;base64,{base64.b64encode(packed.getvalue()).decode()}"
    return Picture(uri, alt, caption, round(figure.get_figwidth() * _PIXELS_PER_INCH))
