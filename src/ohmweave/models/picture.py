"""A characterisation as a picture: the I-V curves, the state of each conductance, and the table's error."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from ohmweave.devices.file import ModelChoice
from ohmweave.models.characterize import Characterisation

__all__ = ["draw"]

_CURVES = 9


def draw(path: Path, choice: ModelChoice, made: Characterisation) -> None:
    """Draw a characterisation into an SVG file.

    Raises:
        OSError: a place that cannot be written.
    """
    with mpl.rc_context({"svg.hashsalt": choice.name, "font.size": 9}):
        figure = Figure(figsize=(10.5, 3.4), layout="constrained")
        FigureCanvasSVG(figure)
        curves, states, errors = figure.subplots(1, 3)
        _draw_curves(curves, made)
        states.semilogx(made.surface.g, made.surface.state, color="#0072b2")
        states.set(title="state", xlabel="conductance (S)", ylabel=choice.state.parameter)
        worst = np.maximum(made.deviations.max(axis=0), 1e-16)
        errors.semilogy(made.fresh_volts, worst, color="#d55e00", label="worst of all states")
        errors.axhline(made.error, color="#5b6875", linestyle="--", label=f"stated: {made.error:.1e}")
        errors.set(title="error of the table between its points", xlabel="voltage (V)", ylabel="share of the current")
        errors.legend(frameon=False)
        figure.suptitle(f"{choice.name}, read by {made.engine}")
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_curves(axes: Axes, made: Characterisation) -> None:
    surface = made.surface
    colours = mpl.colormaps["viridis"]
    chosen = np.unique(np.linspace(0, len(surface.g) - 1, _CURVES).round().astype(int))
    fine = np.linspace(-surface.v_max, surface.v_max, 401)
    for place, k in enumerate(chosen):
        amps = surface.current(fine, np.array(surface.g[k]))
        axes.semilogy(fine, np.maximum(np.abs(amps), 1e-18), color=colours(place / len(chosen)))
        axes.plot(surface.volts[::8], np.maximum(np.abs(surface.amps[k, ::8]), 1e-18), ".", color="#1b2733", ms=2)
    axes.set(title="current: points read, lines of the table", xlabel="voltage (V)", ylabel="|i| (A)")
    axes.set_ylim(bottom=max(np.abs(surface.amps[0]).max() * 1e-3, 1e-18))
