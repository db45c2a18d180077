"""The same network at the same design in the other microarchitecture: what it would take there."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ohmweave.errors import OhmweaveError
from ohmweave.spiking.chip import SpikingChip
from ohmweave.spiking.costs import Layout, energies, layouts, together
from ohmweave.spiking.mapping import plan_spiking
from ohmweave.spiking.plan import SpikingPlan
from ohmweave.units import Array

__all__ = ["Counterpart", "counterpart"]

# Planned, programmed and solved in some ten seconds, also where wires are made up for.
_MOST_CROSSINGS = 2**18


@dataclass(frozen=True)
class Counterpart:
    """A chip in the other microarchitecture.

    Args:
        microarchitecture: its word in a design.
        layout: of the whole chip; ``None`` where it was not planned.
        joules: part -> energy a sample, mean, J; empty where it was not computed.
        left_out: why something is missing, for people; empty where nothing is.
    """

    microarchitecture: str
    layout: Layout | None = None
    joules: Mapping[str, float] = field(default_factory=dict)
    left_out: str = ""

    def pack(self) -> dict[str, Any]:
        """A JSON-ready structure; :meth:`unpack` is the inverse."""
        layout = None if self.layout is None else vars(self.layout)
        return {**vars(self), "layout": layout, "joules": dict(self.joules)}

    def summary(self) -> dict[str, Any]:
        """The figures for ``--json``."""
        found: dict[str, Any] = {"microarchitecture": self.microarchitecture}
        if self.layout is not None:
            names = ("arrays", "devices", "neurons", "drivers", "segments", "hops", "utilisation")
            found |= {name: getattr(self.layout, name) for name in names}
        joules = sum(self.joules.values()) if self.joules else None
        return found | {"energy_total_j": joules, "left_out": self.left_out or None}

    @staticmethod
    def unpack(facts: Mapping[str, Any]) -> "Counterpart":
        """From what :meth:`pack` made."""
        layout = facts["layout"]
        if layout is not None:
            layout = Layout(**{**layout, "layers": tuple(layout["layers"])})
        joules = {str(part): float(value) for part, value in facts["joules"].items()}
        return Counterpart(str(facts["microarchitecture"]), layout, joules, str(facts["left_out"]))


def counterpart(plan: SpikingPlan, trains: Array, most: int = _MOST_CROSSINGS) -> Counterpart:
    """Plan a chip's network in the other microarchitecture, all else as its design has it, and run some samples.

    Args:
        plan: of the chip.
        trains: at its inputs, [samples, steps, inputs].
        most: crossings beyond which it is left out.

    Returns:
        Without its layout where it is too large or cannot be built, without energies where devices are not linear.
    """
    spiking = replace(plan.design.spiking, microarchitecture="layer" if plan.design.spiking.tiled else "crossbar")
    kind, size = spiking.microarchitecture, _crossings(plan)
    if size > most:
        return Counterpart(kind, left_out=f"its arrays have {size:,} crossings, too many to be planned in passing")
    layout = None
    try:
        other = plan_spiking(plan.graph, replace(plan.design, spiking=spiking), straight=plan.straight)
        layout = together(layouts(other))
        if plan.design.device.cell() is not None:
            return Counterpart(kind, layout, left_out="energies of nonlinear devices take too long in passing")
        found = energies(SpikingChip(other), trains)
    except OhmweaveError as error:
        return Counterpart(kind, layout, left_out=f"this design will not do there: {error}")
    return Counterpart(kind, layout, {part: float(each.mean()) for part, each in found.items()})


def _crossings(plan: SpikingPlan) -> int:
    """Of the other microarchitecture: those of whole layers, or at least as many as there are devices."""
    if plan.design.spiking.tiled:
        return sum(stage.signals * 2 * stage.outputs for stage in plan.stages)
    return plan.devices
