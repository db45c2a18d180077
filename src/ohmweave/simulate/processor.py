"""Where the engine's products are computed: on this machine by NumPy, or by torch, on any of its devices."""

from importlib.util import find_spec
from typing import Any, Literal, Protocol

import numpy as np
from llvmlite.binding import get_host_cpu_features

from ohmweave.errors import DesignError
from ohmweave.simulate import Precision
from ohmweave.simulate.clamps import clamp_currents, lone_currents, tail_rests
from ohmweave.units import Array

__all__ = ["Coarse", "Processor", "processor"]

Coarse = Literal["float32", "bfloat16"]

# Below this many operations loading torch takes longer than its quicker products save.
_WORTH_TORCH = 2e9


class Processor(Protocol):
    """Keeps arrays where it computes; ``Any`` stands for such an array, which knows @, +, - and slices.

    Args:
        coarse: the precision that is quickest where three digits are enough.
    """

    coarse: Coarse

    def load(self, values: Array, precision: Precision | Coarse) -> Any:
        """Bring an array there."""
        ...

    def store(self, values: Any) -> Array:
        """Bring an array back, in float64."""
        ...

    def cast(self, values: Any, precision: Precision | Coarse) -> Any:
        """Another precision."""
        ...

    def copy(self, values: Any, precision: Precision) -> Any:
        """Another precision, and never the same array."""
        ...

    def contiguous(self, values: Any) -> Any:
        """The same values without gaps between rows."""
        ...

    def product(self, left: Any, right: Any, plus: Any = None) -> Any:
        """plus + left @ right, all of one precision; nothing is added if not given."""
        ...

    def clamp(self, still: Any, pushed: Any, old: Any, known: Any) -> tuple[Any, Any, Array]:
        """r = still + pushed, currents and change of clamps (:func:`ohmweave.simulate.clamps.clamp_currents`).

        ``still`` and ``old`` may have more columns than there are clamps, and another precision than the rest.
        ``pushed`` may be overwritten; without it r is ``still`` and has not changed.
        """
        ...

    def rests(self, c: Any, known: Any) -> tuple[Any, Array]:
        """What the tails of quiet clamps have beyond their lines, and the clamps' room.

        See :func:`ohmweave.simulate.clamps.tail_rests`; ``c`` and what is returned have the same precision. ``c`` may
        be overwritten.
        """
        ...

    def add(self, values: Any, more: Any) -> Any:
        """values + more, where ``more`` may be less precise; ``values`` may be overwritten."""
        ...

    def join(self, parts: list[Any], precision: Precision | Coarse) -> Any:
        """Columns side by side, in one precision."""
        ...


def processor(device: str | None, operations: float) -> Processor:
    """The place to compute.

    Args:
        device: a torch device (``"cpu"``, ``"cuda"``, ...), or None for this machine's own arithmetic.
        operations: how many floating point operations are ahead.

    Raises:
        DesignError: a device without torch, or one that torch does not have.
    """
    with_torch = find_spec("torch") is not None
    if device is None:
        return _Host(with_torch and operations > _WORTH_TORCH)
    if not with_torch:
        raise DesignError(
            f"expected torch for the device {device!r}, found none", where="engine", remedy="install ohmweave[torch]"
        )
    return _Torch(device)


class _Host:
    """NumPy arrays and compiled kernels; large products may be torch's, and bfloat16 is always in its tensors."""

    def __init__(self, with_torch: bool) -> None:
        self.with_torch = with_torch
        self.coarse: Coarse = "float32"
        # What is joined in bfloat16 is used up before the next is: its memory serves again.
        self._joined: Any = None
        if with_torch:
            # Loaded before the first product, which is timed.
            import torch

            # Without these units bfloat16 would be slower than float32.
            known = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
            if known and get_host_cpu_features().get("amx-bf16", False):
                self.coarse = "bfloat16"

    def load(self, values: Array, precision: Precision | Coarse) -> Any:
        ours = np.ascontiguousarray(values, dtype="float32" if precision == "bfloat16" else precision)
        # torch will not have what cannot be written.
        ours = ours if ours.flags.writeable else ours.copy()
        return self.cast(ours, precision)

    def store(self, values: Any) -> Array:
        return np.asarray(values if isinstance(values, np.ndarray) else values.double().numpy(), dtype=np.float64)

    def cast(self, values: Any, precision: Precision | Coarse) -> Any:
        if precision != "bfloat16":
            return values.astype(precision, copy=False) if isinstance(values, np.ndarray) else _full(values, precision)
        import torch

        return torch.from_numpy(values).to(torch.bfloat16)

    def copy(self, values: Any, precision: Precision) -> Any:
        return values.astype(precision)

    def contiguous(self, values: Any) -> Any:
        return np.ascontiguousarray(values)

    def product(self, left: Any, right: Any, plus: Any = None) -> Any:
        if isinstance(left, np.ndarray) and not (self.with_torch and left.size and right.size):
            out = left @ right
            if plus is not None:
                out += plus
            return out
        import torch

        if isinstance(left, torch.Tensor):
            return torch.mm(left, right) if plus is None else torch.addmm(plus, left, right)
        tensors = torch.from_numpy(left), torch.from_numpy(right)
        return (torch.mm(*tensors) if plus is None else torch.addmm(torch.from_numpy(plus), *tensors)).numpy()

    def clamp(self, still: Any, pushed: Any, old: Any, known: Any) -> tuple[Any, Any, Array]:
        still, old = np.ascontiguousarray(still), np.ascontiguousarray(old)
        amps, moved = np.empty((len(still), known.shape[1]), known.dtype), np.zeros(len(still), known.dtype)
        if pushed is None:
            lone_currents(still, known, amps)
            return still, amps, moved
        r = np.ascontiguousarray(pushed)
        if r.size:
            clamp_currents(still, r, old, known, amps, moved)
        return r, amps, moved

    def rests(self, c: Any, known: Any) -> tuple[Any, Array]:
        precision: Coarse = "float32" if isinstance(c, np.ndarray) else "bfloat16"
        volts, room = self.cast(c, "float32"), np.empty(c.shape[1], dtype=np.float32)
        tail_rests(volts, known, room)
        return self.cast(volts, precision), room

    def add(self, values: Any, more: Any) -> Any:
        values += self.cast(more, "float32") if more.dtype != values.dtype else more
        return values

    def join(self, parts: list[Any], precision: Precision | Coarse) -> Any:
        if precision != "bfloat16":
            return np.concatenate(parts, axis=1, dtype=precision, casting="unsafe")
        import torch

        rows, columns, left = len(parts[0]), sum(part.shape[1] for part in parts), 0
        if self._joined is None or self._joined.numel() < rows * columns:
            self._joined = torch.empty(rows * columns, dtype=torch.bfloat16)
        out = self._joined[: rows * columns].view(rows, columns)
        for part in parts:
            out[:, left : left + part.shape[1]].copy_(torch.from_numpy(part))
            left += part.shape[1]
        return out


def _full(values: Any, precision: Precision | Coarse) -> Array:
    """A tensor as an array of NumPy."""
    import torch

    return np.asarray(values.to(getattr(torch, precision)).numpy())


class _Torch:
    """Tensors on a torch device; the same equations as the kernels, by torch's own operations."""

    coarse: Coarse = "float32"

    def __init__(self, device: str) -> None:
        import torch

        try:
            self.device = torch.device(device)
            torch.zeros(1, dtype=torch.float64, device=self.device).cpu()
        except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
            raise DesignError(
                f"torch has no device {device!r} ({str(error).splitlines()[0]})", where="engine", remedy='try "cpu"'
            ) from error

    def load(self, values: Array, precision: Precision | Coarse) -> Any:
        import torch

        ours = np.ascontiguousarray(values)
        # torch will not have what cannot be written.
        ours = ours if ours.flags.writeable else ours.copy()
        return torch.as_tensor(ours, dtype=getattr(torch, precision), device=self.device)

    def store(self, values: Any) -> Array:
        return np.asarray(values.double().cpu().numpy())

    def cast(self, values: Any, precision: Precision | Coarse) -> Any:
        import torch

        return values.to(getattr(torch, precision))

    def copy(self, values: Any, precision: Precision) -> Any:
        import torch

        return values.to(getattr(torch, precision), copy=True)

    def contiguous(self, values: Any) -> Any:
        return values.contiguous()

    def product(self, left: Any, right: Any, plus: Any = None) -> Any:
        return left @ right if plus is None else left @ right + plus

    def clamp(self, still: Any, pushed: Any, old: Any, known: Any) -> tuple[Any, Any, Array]:
        import torch

        middle, half, quarter, twice, a, siemens, share, width = known
        still, old = still[:, : known.shape[1]].to(known.dtype), old[:, : known.shape[1]].to(known.dtype)
        r = still if pushed is None else still + pushed
        away = r - middle
        y = away.abs()
        tail = quarter / (torch.minimum(y, half) + half)
        rho = y - half + a * tail
        wide = rho.abs() + torch.sqrt(rho**2 + width)
        p = torch.where(rho >= 0.0, wide * share, twice / wide)
        moved = (r - old).square().sum(dim=1).sqrt()
        return r, torch.copysign(siemens * (p - tail), away), moved.cpu().numpy()

    def rests(self, c: Any, known: Any) -> tuple[Any, Array]:
        import torch

        up, down, product, least, slope, level = known
        above, below = up - c, down + c
        room = torch.minimum(above, below).amin(dim=0) if len(c) else c.new_full((c.shape[1],), np.inf)
        above, below = torch.maximum(above, least), torch.maximum(below, least)
        return product * (below - above) / (above * below) - (level + slope * c), room.cpu().numpy()

    def add(self, values: Any, more: Any) -> Any:
        return values + more

    def join(self, parts: list[Any], precision: Precision | Coarse) -> Any:
        import torch

        return torch.hstack([self.cast(part, precision) for part in parts])
