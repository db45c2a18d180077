"""Live torch modules to graphs: exported to ONNX in memory, then read like any ONNX model."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ohmweave.errors import ModelError
from ohmweave.frontend.onnx import from_onnx
from ohmweave.frontend.snntorch_module import from_snntorch, is_spiking
from ohmweave.graph import Graph

if TYPE_CHECKING:
    from torch import nn

__all__ = ["first_shape", "from_module", "require_torch"]


def require_torch() -> ModuleType:
    """The ``torch`` package, with what its exporter needs; ModelError says how to install what is missing."""
    try:
        import onnxscript  # noqa: F401  the exporter imports it late
        import torch
        import torch.onnx
    except ImportError as error:
        raise ModelError(
            f"expected torch and onnxscript, which read nn.Modules, found no {error.name}",
            where="torch",
            remedy='pip install "ohmweave[torch]"',
        ) from error
    return torch


def from_module(module: "nn.Module", input_shape: tuple[int, ...] | None = None) -> Graph:
    """Read a live torch module; one with neurons of snnTorch as :func:`from_snntorch` does.

    Args:
        module: the trained network, in evaluation mode wherever that makes a difference; not changed.
        input_shape: shape of one sample, without the batch; by default the features of the first
            layer, where that is a Linear.

    Returns:
        The network with float64 weights.

    Raises:
        ModelError: torch missing, a layer in training mode, an input shape that cannot be told, a
            module torch cannot export, or an unsupported operation.
    """
    torch = require_torch()
    _refuse_training(module)
    shape = input_shape if input_shape is not None else _own_shape(module)
    if is_spiking(module):
        return from_snntorch(module, shape)
    parameter = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
    # Two samples: torch takes a dimension of 1 for a constant.
    example = torch.zeros((2, *shape), dtype=parameter.dtype, device=parameter.device)
    try:
        with _silence():
            dynamic = ({0: torch.export.Dim("batch")},)
            program = torch.onnx.export(module, (example,), dynamo=True, verbose=False, dynamic_shapes=dynamic)
    except Exception as error:  # the exporter raises whatever the module's own code does
        raise ModelError(
            f"expected a module that torch can export for samples of shape {tuple(shape)}, found {_reason(error)}",
            where=type(module).__name__,
            remedy="give the right input_shape, or export the module to ONNX yourself",
        ) from error
    return from_onnx(program.model_proto)


def _refuse_training(module: "nn.Module") -> None:
    from torch import nn
    from torch.nn.modules.batchnorm import _NormBase
    from torch.nn.modules.dropout import _DropoutNd

    changing = (_NormBase, _DropoutNd, nn.RReLU, nn.RNNBase, nn.MultiheadAttention)
    for name, child in module.named_modules():
        if child.training and isinstance(child, changing):
            raise ModelError(
                f"expected evaluation mode, found {type(child).__name__} in training mode",
                where=f"layer {name!r}",
                remedy="call .eval() on the module first",
            )


def first_shape(module: "nn.Module") -> tuple[int, ...] | None:
    """The features of a module's first layer with weights, where that is a Linear: the shape of one sample."""
    from torch import nn

    first = _first_layer(module)
    return (first.in_features,) if isinstance(first, nn.Linear) and first.in_features > 0 else None


def _first_layer(module: "nn.Module") -> "nn.Module | None":
    return next((child for child in module.modules() if next(child.parameters(recurse=False), None) is not None), None)


def _own_shape(module: "nn.Module") -> tuple[int, ...]:
    shape, first = first_shape(module), _first_layer(module)
    if shape is None:
        found = "no layer with weights" if first is None else type(first).__name__
        raise ModelError(
            f"expected a Linear layer first, whose features tell the input's shape, found {found}",
            where=type(module).__name__,
            remedy="give input_shape, the shape of one sample without the batch",
        )
    return shape


def _reason(error: BaseException) -> str:
    """The first line of the failure that started it all: torch wraps it several times."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {line}"


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's log lines, warnings and prints to itself."""
    manager: Any = logging.root.manager
    level = manager.disable
    logging.disable(logging.CRITICAL)
    try:
        sink = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
