"""Where the engine's products are computed: on this machine by NumPy, or by torch, on any of its devices."""

from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from ohmweave.errors import DesignError
from ohmweave.simulate import Precision
from ohmweave.simulate.clamps import add_tails, clamp_currents, tail_currents
from ohmweave.units import Array

__all__ = ["Processor", "processor"]

# Below this many operations loading torch takes longer than its quicker products save.
_WORTH_TORCH = 2e9


class Processor(Protocol):
    """Keeps arrays where it computes; ``Any`` stands for such an array, which knows @, +, - and slices."""

    def load(self, values: Array, precision: Precision) -> Any:
        """Bring an array there."""
        ...

    def store(self, values: Any) -> Array:
        """Bring an array back, in float64."""
        ...

    def cast(self, values: Any, precision: Precision) -> Any:
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

        ``pushed`` may be overwritten; None stands for nothing.
        """
        ...

    def tail(self, c: Any, known: Any, weights: Any) -> tuple[Any, Array, float]:
        """Currents of quiet clamps, their room, the largest bend (:func:`ohmweave.simulate.clamps.tail_currents`).

        ``c`` may be overwritten.
        """
        ...

    def add(self, values: Any, more: Any) -> Any:
        """values + more, where ``more`` may be less precise; ``values`` may be overwritten."""
        ...

    def add_tails(self, linear: Any, amps: Any, ohms: Any) -> Any:
        """linear with the answers to some currents (:func:`ohmweave.simulate.clamps.add_tails`); overwritten."""
        ...

    def join(self, parts: list[Any]) -> Any:
        """Columns side by side."""
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
    """NumPy arrays and compiled kernels; large products may be torch's."""

    def __init__(self, with_torch: bool) -> None:
        self.with_torch = with_torch
        if with_torch:
            # Loaded before the first product, which is timed.
            import torch  # noqa: F401

    def load(self, values: Array, precision: Precision) -> Any:
        ours = np.ascontiguousarray(values, dtype=precision)
        # torch will not have what cannot be written.
        return ours if ours.flags.writeable else ours.copy()

    def store(self, values: Any) -> Array:
        return np.asarray(values, dtype=np.float64)

    def cast(self, values: Any, precision: Precision) -> Any:
        return values.astype(precision, copy=False)

    def copy(self, values: Any, precision: Precision) -> Any:
        return values.astype(precision)

    def contiguous(self, values: Any) -> Any:
        return np.ascontiguousarray(values)

    def product(self, left: Any, right: Any, plus: Any = None) -> Any:
        if not self.with_torch or not left.size or not right.size:
            out = left @ right
            if plus is not None:
                out += plus
            return out
        import torch

        tensors = torch.from_numpy(left), torch.from_numpy(right)
        return (torch.mm(*tensors) if plus is None else torch.addmm(torch.from_numpy(plus), *tensors)).numpy()

    def clamp(self, still: Any, pushed: Any, old: Any, known: Any) -> tuple[Any, Any, Array]:
        still, old = np.ascontiguousarray(still), np.ascontiguousarray(old)
        r = np.zeros_like(still) if pushed is None else np.ascontiguousarray(pushed)
        amps, moved = np.empty_like(still), np.zeros(len(still), dtype=still.dtype)
        if r.size:
            clamp_currents(still, r, old, known, amps, moved)
        return r, amps, moved

    def tail(self, c: Any, known: Any, weights: Any) -> tuple[Any, Array, float]:
        room, bend = np.empty(c.shape[1], dtype=c.dtype), np.zeros(len(c), dtype=c.dtype)
        if c.size:
            tail_currents(c, known, weights, room, bend)
        return c, room, float(bend.max(initial=0.0))

    def add(self, values: Any, more: Any) -> Any:
        values += more
        return values

    def add_tails(self, linear: Any, amps: Any, ohms: Any) -> Any:
        add_tails(amps, ohms, linear)
        return linear

    def join(self, parts: list[Any]) -> Any:
        return np.hstack(parts)


class _Torch:
    """Tensors on a torch device; the same equations as the kernels, by torch's own operations."""

    def __init__(self, device: str) -> None:
        import torch

        try:
            self.device = torch.device(device)
            torch.zeros(1, dtype=torch.float64, device=self.device).cpu()
        except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
            raise DesignError(
                f"torch has no device {device!r} ({str(error).splitlines()[0]})", where="engine", remedy='try "cpu"'
            ) from error

    def load(self, values: Array, precision: Precision) -> Any:
        import torch

        ours = np.ascontiguousarray(values)
        # torch will not have what cannot be written.
        ours = ours if ours.flags.writeable else ours.copy()
        return torch.as_tensor(ours, dtype=getattr(torch, precision), device=self.device)

    def store(self, values: Any) -> Array:
        return np.asarray(values.double().cpu().numpy())

    def cast(self, values: Any, precision: Precision) -> Any:
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
        r = still if pushed is None else still + pushed
        away = r - middle
        y = away.abs()
        tail = quarter / (torch.minimum(y, half) + half)
        rho = y - half + a * tail
        wide = rho.abs() + torch.sqrt(rho**2 + width)
        p = torch.where(rho >= 0.0, wide * share, twice / wide)
        moved = (r - old).square().sum(dim=1).sqrt()
        return r, torch.copysign(siemens * (p - tail), away), moved.cpu().numpy()

    def tail(self, c: Any, known: Any, weights: Any) -> tuple[Any, Array, float]:
        import torch

        low, high, product, least, slope, constant = known
        above, below = high - constant - c, c + constant - low
        room = torch.minimum(above, below).amin(dim=0) if len(c) else c.new_full((c.shape[1],), np.inf)
        above, below = torch.maximum(above, least), torch.maximum(below, least)
        away = below - above
        tail = product * away / (above * below)
        bend = (weights * (tail - slope * away).abs()).sum(dim=1)
        return tail, room.cpu().numpy(), float(bend.max()) if len(c) else 0.0

    def add(self, values: Any, more: Any) -> Any:
        return values + more

    def add_tails(self, linear: Any, amps: Any, ohms: Any) -> Any:
        rounds, quantities = ohms.shape
        return linear + (amps[:, : rounds * quantities].reshape(len(amps), rounds, quantities) * ohms).sum(dim=1)

    def join(self, parts: list[Any]) -> Any:
        import torch

        return torch.hstack(parts)
