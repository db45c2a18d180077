"""Foreign formats to graphs and data: networks from ONNX or torch, samples from files."""

from ohmweave.frontend.datasets import Data, load_data
from ohmweave.frontend.factories import load_model
from ohmweave.frontend.onnx import from_onnx
from ohmweave.frontend.torch_module import from_module

__all__ = ["Data", "from_module", "from_onnx", "load_data", "load_model"]
