"""How far two runs are apart, and how far a circuit is from its network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ohmweave.graph import Graph
from ohmweave.mapping import Plan
from ohmweave.units import Array

__all__ = ["Deviation", "StageError", "StageTally", "deviation", "stage_errors", "stage_values"]


@dataclass(frozen=True)
class Deviation:
    """The largest difference between two runs of the same circuit.

    Args:
        by_stage: stage -> largest difference relative to the stage's full scale.
        stage, sample, node: where the worst of all is; ``node`` is the net's name, or counts the readouts of
            a stage of a sampled chip.
    """

    by_stage: Mapping[str, float]
    stage: str
    sample: int
    node: str

    @property
    def largest(self) -> float:
        """The worst of all stages, relative to its full scale."""
        return self.by_stage[self.stage]


def deviation(volts: Mapping[str, Array], reference: Mapping[str, Array]) -> Deviation:
    """Compare stage voltages, [samples, outputs], V, with those of a reference engine.

    A stage's full scale is the largest voltage the reference has there.
    """
    by_stage, places = {}, {}
    for stage, expected in reference.items():
        difference = np.nan_to_num(np.abs(volts[stage] - expected), nan=np.inf)
        scale = float(np.abs(expected).max())
        places[stage] = np.unravel_index(int(difference.argmax()), difference.shape)
        by_stage[stage] = float(difference.max()) / scale if scale > 0 else (0.0 if difference.max() == 0 else np.inf)
    worst = max(by_stage, key=lambda stage: by_stage[stage])
    sample, output = places[worst]
    return Deviation(by_stage, worst, int(sample), f"{worst}_y{int(output)}")


@dataclass(frozen=True)
class StageError:
    """How far a stage's outputs are from the network's, in shares of the network's largest value.

    Args:
        rms: root mean square over samples and outputs.
        largest: largest of all.
    """

    rms: float
    largest: float


@dataclass(frozen=True)
class StageTally:
    """Differences of a stage's outputs from the network's, of some samples, such that those of more can be added.

    Args:
        squares: sum of squared differences, squared network units.
        count: number of outputs, over all samples.
        largest: largest difference, network units.
        scale: the network's largest value, network units.
    """

    squares: float
    count: int
    largest: float
    scale: float

    @staticmethod
    def of(values: Array, expected: Array) -> "StageTally":
        """The tally of outputs and the network's values, same shapes, network units."""
        difference = np.abs(values - expected)
        scale = float(np.abs(expected).max(initial=0.0))
        return StageTally(float(np.sum(difference**2)), difference.size, float(difference.max(initial=0.0)), scale)

    @staticmethod
    def together(tallies: "Sequence[StageTally]") -> "StageTally":
        """The tally of all their samples."""
        return StageTally(
            sum(tally.squares for tally in tallies),
            sum(tally.count for tally in tallies),
            max(tally.largest for tally in tallies),
            max(tally.scale for tally in tallies),
        )

    @property
    def error(self) -> StageError:
        """The error in shares of the network's largest value."""
        scale = max(self.scale, 1e-300)
        return StageError(float(np.sqrt(self.squares / max(self.count, 1))) / scale, self.largest / scale)

    def pack(self) -> Array:
        """As four numbers; :meth:`unpack` is the inverse."""
        return np.array([self.squares, self.count, self.largest, self.scale])

    @staticmethod
    def unpack(numbers: Array) -> "StageTally":
        """What :meth:`pack` made."""
        squares, count, largest, scale = (float(number) for number in numbers)
        return StageTally(squares, int(count), largest, scale)


def stage_errors(plan: Plan, stage_volts: Mapping[str, Array], ideal: Mapping[str, Array]) -> dict[str, StageError]:
    """Compare each stage's outputs with the network's own values.

    Args:
        plan: gives the scales.
        stage_volts: stage -> output voltages, [samples, outputs], V.
        ideal: stage -> the network's values, same shapes, network units; see :func:`stage_values`.
    """
    errors = {}
    for stage in plan.stages:
        errors[stage.name] = StageTally.of(stage_volts[stage.name] / stage.s_out, ideal[stage.name]).error
    return errors


def stage_values(graph: Graph, plan: Plan, x: Array) -> dict[str, Array]:
    """The network's ideal values at each stage's output, [samples, outputs], network units."""
    values = graph.trace(x)
    found = {}
    for stage, layer in zip(plan.stages, plan.lowered.layers, strict=True):
        found[stage.name] = np.empty((len(x), stage.values))
        found[stage.name][:, layer.signals - layer.first] = values[layer.nodes[-1]].reshape(len(x), -1)
    return found
