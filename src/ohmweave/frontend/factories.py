"""Networks by specification: an ONNX or NIR file, or the user's own Python with safetensors weights."""

import contextlib
import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ohmweave.errors import ModelError, OhmweaveError
from ohmweave.frontend.nir import from_nir
from ohmweave.frontend.onnx import from_onnx
from ohmweave.frontend.torch_module import first_shape, from_module, require_torch
from ohmweave.graph import Graph

if TYPE_CHECKING:
    from torch import nn

__all__ = ["load_model"]

_CODE = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".pt2", ".ckpt", ".joblib")
_FILES: Mapping[str, Callable[[Path], Graph]] = {".onnx": from_onnx, ".nir": from_nir}
_FACTORY = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")


def load_model(spec: str, weights: Path | None = None, sample: tuple[int, ...] | None = None) -> Graph:
    """Read a network by its specification.

    Args:
        spec: ``FILE.onnx``, ``FILE.nir``, or ``package.module:factory``, called without arguments; it returns an
            nn.Module, which is put in evaluation mode, or a Graph. The current directory is searched last.
        weights: a safetensors file with exactly the module's state; only with a factory.
        sample: shape of one sample, for a factory's module whose first layer does not tell it.

    Returns:
        The network.

    Raises:
        ModelError: a file that can run code, a missing file or factory, weights that do not fit, or
            whatever :func:`from_onnx`, :func:`from_nir` and :func:`from_module` refuse.
    """
    _refuse_code(spec)
    if weights is not None:
        _refuse_code(str(weights))
    suffix = Path(spec).suffix.lower()
    if suffix in _FILES:
        if weights is not None:
            raise ModelError(
                f"expected no further weights, since the {suffix[1:].upper()} file brings its own, "
                f"found {str(weights)!r}",
                where=spec,
                remedy="leave the weights out",
            )
        return _FILES[suffix](Path(spec))
    match = _FACTORY.fullmatch(spec)
    if match is None:
        raise ModelError(
            f"expected FILE.onnx, FILE.nir or package.module:factory, found {spec!r}",
            where="model",
            remedy="export the network to ONNX or NIR, or name a function that returns it",
        )
    made = _make(spec, *match.groups())
    return _graph_of(made, spec, weights, sample)


def _refuse_code(name: str) -> None:
    suffix = Path(name).suffix.lower()
    if suffix in _CODE:
        raise ModelError(
            f"expected a file that is only data, found {suffix}, which can run code when it is read",
            where=name,
            remedy="export the network to ONNX, or save its weights as safetensors and name the function that makes it",
        )


def _make(spec: str, module_name: str, factory_name: str) -> Any:
    """Import the user's module and call the factory, with the current directory on the path."""
    with _current_directory_too():
        factory = _factory(spec, module_name, factory_name)
        try:
            return factory()
        except OhmweaveError:
            raise
        except Exception as error:  # the user's own code may raise anything
            _ask_for_torch(error)
            raise ModelError(
                f"expected {factory_name}() to return a network, found {type(error).__name__}: {error}",
                where=spec,
                remedy="call it in Python without arguments to see the whole failure",
            ) from error


def _factory(spec: str, module_name: str, factory_name: str) -> Callable[[], Any]:
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # importing runs the user's own code, which may raise anything
        _ask_for_torch(error)
        missing = isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}.")
        found = (
            f"no module {error.name!r}"
            if isinstance(error, ImportError) and missing
            else f"{type(error).__name__}: {error}"
        )
        raise ModelError(
            f"expected an importable module {module_name!r}, found {found}",
            where=spec,
            remedy="run in the directory that holds it, or install its package",
        ) from error
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        found = "no such name" if factory is None else f"a value of type {type(factory).__name__}"
        raise ModelError(
            f"expected a function {factory_name!r} in {module_name!r}, found {found}",
            where=spec,
            remedy="name a function without arguments that returns the network",
        )
    return factory  # type: ignore[no-any-return]


def _ask_for_torch(error: Exception) -> None:
    """Where the user's code only lacks torch, say how to install it."""
    if isinstance(error, ImportError) and (error.name or "").split(".")[0] == "torch":
        require_torch()


@contextlib.contextmanager
def _current_directory_too() -> Iterator[None]:
    # Last, not first: a torch.py that lies in a folder of data must not be what we import.
    here = str(Path.cwd())
    sys.path.append(here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(here)


def _graph_of(made: Any, spec: str, weights: Path | None, sample: tuple[int, ...] | None) -> Graph:
    if isinstance(made, Graph):
        if weights is not None:
            raise ModelError(
                "expected no further weights, since the factory returns a Graph, found " + repr(str(weights)),
                where=spec,
                remedy="leave the weights out",
            )
        return made
    torch = require_torch()
    if not isinstance(made, torch.nn.Module):
        raise ModelError(
            f"expected the factory to return an nn.Module or a Graph, found {type(made).__name__}",
            where=spec,
            remedy="return the network itself",
        )
    if weights is not None:
        _load_weights(made, weights)
    return from_module(made.eval(), first_shape(made) or sample)


def _load_weights(module: "nn.Module", path: Path) -> None:
    """Fill a module from a safetensors file that has exactly its keys and shapes."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ModelError("expected a safetensors file, found no such file", where=str(path), remedy="check the path")
    try:
        found = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"expected a safetensors file, found a damaged one ({error})",
            where=str(path),
            remedy="save the weights again",
        ) from error
    wanted = module.state_dict()
    missing, unexpected = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or unexpected:
        raise ModelError(
            f"expected exactly the module's weights, found missing {missing}, unexpected {unexpected}",
            where=str(path),
            remedy="give the weights that belong to this module",
        )
    for name, tensor in wanted.items():
        if found[name].shape != tensor.shape:
            raise ModelError(
                f"expected shape {tuple(tensor.shape)} for {name!r}, found {tuple(found[name].shape)}",
                where=str(path),
                remedy="give the weights that belong to this module",
            )
    module.load_state_dict(found)
