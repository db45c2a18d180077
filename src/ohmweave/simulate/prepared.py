"""A circuit that is ready to be solved, once or many times, for as many samples as there are."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from ohmweave.errors import ConvergenceError
from ohmweave.simulate.coupled import Coupled
from ohmweave.simulate.faint import Tangent
from ohmweave.simulate.operating import OperatingPoints
from ohmweave.simulate.threads import one_thread_each
from ohmweave.units import Array

__all__ = ["Prepared", "refuse_nonsense"]

_FIRST = 64
# Unless told otherwise as many samples are solved together as fit in so much memory, but so many at least and at most.
_BATCH_BYTES, _FEWEST, _MOST = 4e6, 1024, 4096
_NONLINEAR = 512

Tell = Callable[[int, int], None]


class Prepared:
    """A reduced and factorised circuit; what is learnt of one call's samples serves the next.

    Args:
        circuit: what solves its samples.
        inputs: names of its inputs, for messages.
        batch: samples solved together; None for what suits the processor's caches.
    """

    def __init__(self, circuit: OperatingPoints | Coupled, inputs: Sequence[str], batch: int | None) -> None:
        self.circuit, self.inputs = circuit, inputs
        if isinstance(circuit, Coupled):
            self.batch = min(batch or _NONLINEAR, circuit.most_samples)
        else:
            self.batch = batch or int(np.clip(_BATCH_BYTES / circuit.bytes_each, _FEWEST, _MOST))
        self._begun = False

    def tangent(self) -> Tangent | None:
        """What answers samples of small enough volts, in the bench's scale, with the voltages of its probes.

        ``None`` where nothing is small enough, or a torch device is to compute.
        """
        return None if isinstance(self.circuit, Coupled) else self.circuit.tangent(self.circuit.slices.probes)

    def solve(self, volts: Array) -> Array:
        """The voltages of the bench's probes, [samples, probes], V.

        Args:
            volts: at the inputs, in the bench's scale, [samples, inputs].

        Raises:
            ConvergenceError: a sample that did not settle; names it, counted within this call, and the place.
        """
        if volts.ndim != 2 or volts.shape[1] != len(self.inputs):
            raise ValueError(f"volts has shape {volts.shape}, expected [samples, {len(self.inputs)}]")
        if isinstance(self.circuit, Coupled):
            refuse_nonsense(volts, self.inputs)
        with one_thread_each():
            return self.stream(volts, self.circuit.slices.probes)[0]

    def stream(self, volts: Array, kept: slice, tell: Tell | None = None) -> tuple[Array, set[str]]:
        """Some of what is watched, [samples, kept], and remarks; by whoever holds the libraries to one thread.

        Args:
            volts: as for :meth:`solve`.
            kept: which of the watched quantities.
            tell: told how many samples are done, of how many, after each batch.

        Raises:
            ConvergenceError: a sample that did not settle; names it and the place.
        """
        watched, remarks = np.empty((len(volts), kept.stop - kept.start)), set[str]()
        for first, end in pairwise(self._edges(len(volts))):
            answer, remark = self.circuit.solve(volts[first:end], first)
            watched[first:end] = answer[:, kept]
            remarks |= remark
            if tell is not None:
                tell(end, len(volts))
        return watched, remarks

    def _edges(self, samples: int) -> list[int]:
        # A few samples first, from which it is seen what the others may leave out.
        first = self.batch if self._begun else min(self.batch, _FIRST)
        self._begun = self._begun or bool(samples)
        return [0, *range(first, samples, self.batch), samples] if samples else []


def refuse_nonsense(volts: Array, inputs: Sequence[str]) -> None:
    """Refuse voltages that are no numbers.

    Args:
        volts: at the inputs, [samples, inputs].
        inputs: their names.

    Raises:
        ConvergenceError: names the first such sample and its input.
    """
    bad = np.argwhere(~np.isfinite(volts))
    if len(bad):
        sample, port = (int(number) for number in bad[0])
        raise ConvergenceError(
            f"expected finite voltages, found {volts[sample, port]} for sample {sample}",
            where=f"input {inputs[port]}",
            remedy="look for inputs that are no numbers",
            sample=sample,
        )
