"""The demonstration's network: 64-32-10 with ReLU, for 8 x 8 handwritten digits."""

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["WEIGHTS", "model"]

WEIGHTS = Path(__file__).with_name("digits_mlp.safetensors")


def model() -> "nn.Module":
    """The untrained network; its trained weights are in ``WEIGHTS``.

    y = W2 max(W1 x + b1, 0) + b2, x of 64 pixels in 0..1, y of 10 class scores.
    """
    from torch import nn

    layers: OrderedDict[str, nn.Module] = OrderedDict(
        hidden=nn.Linear(64, 32), relu=nn.ReLU(), output=nn.Linear(32, 10)
    )
    return nn.Sequential(layers)
