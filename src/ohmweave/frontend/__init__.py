"""Foreign formats to graphs and data: networks from ONNX, NIR, torch or snnTorch, samples from files."""

from ohmweave.frontend.datasets import Data, load_data
from ohmweave.frontend.factories import load_model
from ohmweave.frontend.nir import NirModel, from_nir, read_nir
from ohmweave.frontend.nir_write import write_nir
from ohmweave.frontend.onnx import from_onnx
from ohmweave.frontend.snntorch_module import from_snntorch
from ohmweave.frontend.torch_module import from_module

__all__ = [
    "Data",
    "NirModel",
    "from_module",
    "from_nir",
    "from_onnx",
    "from_snntorch",
    "load_data",
    "load_model",
    "read_nir",
    "write_nir",
]
