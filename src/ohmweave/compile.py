"""The whole story: a network in, a chip out."""

from pathlib import Path
from typing import Any

import numpy as np

from ohmweave.chip import Chip
from ohmweave.design import PRESETS, Design
from ohmweave.errors import DataError, DesignError, ModelError
from ohmweave.frontend import from_module, load_model
from ohmweave.graph import Graph
from ohmweave.mapping import plan
from ohmweave.registry import nearest
from ohmweave.spiking import SpikingChip, plan_spiking
from ohmweave.units import Array

__all__ = ["compile", "require_known"]


def compile(
    model: Any,
    design: Design | Path | str | None = None,
    *,
    calibration: Array | None = None,
    weights: Path | str | None = None,
) -> Chip | SpikingChip:
    """Weave a network into a circuit.

    Args:
        model: a Graph, a live ``nn.Module`` in eval mode, an ONNX or NIR file, or ``package.module:factory``.
        design: every choice of the chip, a preset's name, or a TOML file; what is not given, or a file does not
            say, is that of :meth:`Design.default`, of spiking networks that of the preset ``spiking``.
        calibration: representative inputs in network units, [samples, ...]; they set the scales. Spiking networks,
            whose scales are their thresholds, take none, but modules that do not say their samples' shape (those that
            do not begin with Linear).
        weights: a safetensors file for a factory's module.

    Raises:
        ModelError: a network that cannot be read or mapped.
        DesignError: a design that cannot be read, or whose choices do not go together.
        DataError: calibration data that does not fit, none where it is needed, or some where it has no use.
    """
    shape = None if calibration is None else np.shape(calibration)[1:]
    if weights is not None and not isinstance(model, str | Path):
        raise ModelError(
            f"expected no weights beside a network that has its own, found {str(weights)!r}",
            where="weights",
            remedy="leave them out, or give package.module:factory as the model",
        )
    graph = _read(model, weights, shape)
    chosen = _chosen(design, spiking=graph.spiking)
    if graph.spiking:
        if calibration is not None:
            _require_use(model, weights)
        return SpikingChip(plan_spiking(graph, chosen, straight=chosen.encoding.analog))
    if calibration is None:
        raise DataError(
            "expected calibration data, which sets the scales of a network without spikes, found none",
            where="calibration",
            remedy="give representative inputs",
        )
    return Chip(plan(graph, chosen, np.asarray(calibration, dtype=np.float64)))


def _read(model: Any, weights: Path | str | None, shape: tuple[int, ...] | None) -> Graph:
    """The network; ``shape`` is that of its samples, where a module does not say it."""
    if isinstance(model, Graph):
        return model
    if isinstance(model, str | Path):
        return load_model(str(model), Path(weights) if weights else None, shape)
    if hasattr(model, "named_modules"):
        return from_module(model, shape)
    raise ModelError(
        f"expected a Graph, an nn.Module, FILE.onnx or package.module:factory, found {type(model).__name__}",
        where="model",
        remedy="give the network itself or where it is",
    )


def _chosen(design: Design | Path | str | None, *, spiking: bool) -> Design:
    if isinstance(design, Design):
        return design
    if design is None:
        return Design.preset("spiking" if spiking else "default")
    require_known(design)
    return Design.preset(str(design)) if str(design) in PRESETS else Design.load(design, spiking=spiking)


def require_known(design: object, where: str = "design") -> None:
    """Refuse what is neither a preset's name nor a file; how a file is read depends on the network.

    Raises:
        DesignError: something else, or a misspelt preset.
    """
    if not isinstance(design, str | Path):
        raise DesignError(
            f"expected a Design, a preset's name or a TOML file, found {type(design).__name__}",
            where=where,
            remedy="give one of them",
        )
    path = Path(design)
    if str(design) in PRESETS or path.exists() or path.suffix or path.name != str(design):
        return
    raise DesignError(
        f"expected a preset or a TOML file, found neither: {str(design)!r}",
        where=where,
        remedy=f"{nearest(str(design), PRESETS)} (or give a file that exists)",
    )


def _require_use(model: Any, weights: Path | str | None) -> None:
    """Refuse calibration data of a spiking network, which is of use only to tell a module its samples' shape."""
    try:
        _read(model, weights, None)
    except ModelError:
        return
    raise DataError(
        "expected no calibration data, since thresholds set the scales of a spiking network, found some",
        where="calibration",
        remedy="leave it out",
    )
