"""The whole story: a network in, a chip out."""

from pathlib import Path
from typing import Any

from ohmweave.chip import Chip
from ohmweave.design import Design
from ohmweave.frontend import from_module, load_model
from ohmweave.graph import Graph
from ohmweave.mapping import plan
from ohmweave.units import Array

__all__ = ["compile"]


def compile(model: Any, design: Design | None = None, *, calibration: Array, weights: Path | str | None = None) -> Chip:
    """Weave a network into a circuit.

    Args:
        model: a Graph, a live ``nn.Module`` in eval mode, an ONNX file, or ``package.module:factory``.
        design: every choice of the chip; :meth:`Design.default` if not given.
        calibration: representative inputs in network units, [samples, ...]; they set the scales.
        weights: a safetensors file for a factory's module.

    Raises:
        ModelError: a network that cannot be read or mapped.
        DataError: calibration data that does not fit.
    """
    if isinstance(model, Graph):
        graph = model
    elif isinstance(model, str | Path):
        graph = load_model(str(model), Path(weights) if weights else None)
    else:
        graph = from_module(model, calibration.shape[1:])
    return Chip(plan(graph, design or Design.default(), calibration))
