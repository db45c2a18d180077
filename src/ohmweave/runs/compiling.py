"""What there is to tell about a chip that was compiled."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohmweave.analysis.used import utilisation
from ohmweave.archive import AnyChip
from ohmweave.report import aligned
from ohmweave.spiking import SpikingChip
from ohmweave.spiking.costs import Layout, layouts, together

__all__ = ["Compiled"]


@dataclass(frozen=True, eq=False)
class Compiled:
    """A chip that was just made.

    Args:
        chip: as compiled.
        build: its directory.
        remarks: what its file left open and was assumed.
    """

    chip: AnyChip
    build: Path
    remarks: tuple[str, ...] = ()

    @property
    def _layouts(self) -> tuple[Layout, ...]:
        """Of each stage and of the whole; of spiking chips alone."""
        if not isinstance(self.chip, SpikingChip):
            return ()
        parts = layouts(self.chip.plan)
        return (*parts, together(parts))

    def facts(self) -> dict[str, Any]:
        """The figures of the whole chip."""
        plan, remarks = self.chip.plan, self.remarks
        size: dict[str, Any] = {"memristors": plan.devices}
        if isinstance(self.chip, SpikingChip):
            size["neurons"] = self.chip.plan.neurons
            remarks += self.chip.plan.remarks
        else:
            size |= {"opamps": self.chip.plan.opamps, "utilisation": utilisation(self.chip.plan)}
        tiles = sum(len(stage.tiles) for stage in plan.stages)
        facts = {"build": str(self.build), "digest": plan.digest(), "stages": len(plan.stages), "tiles": tiles, **size}
        return facts | ({"remarks": list(remarks)} if remarks else {})

    def summary(self) -> dict[str, Any]:
        """The figures for ``--json``; of spiking chips each stage's arrays, wires and drivers too."""
        found = {part.name: vars(part) | {"utilisation": part.utilisation} for part in self._layouts}
        return self.facts() | ({"layout": found} if found else {})

    def table(self) -> str:
        """Arrays, wires and drivers of each stage and of the whole, a line each; empty but for spiking chips."""
        parts = self._layouts
        if not parts:
            return ""
        hops = "hops: of one spike of each neuron to every array that hears it, in all; at most"
        return f"{aligned(parts)}\n" + (f"{hops} {parts[-1].longest} to one array\n" if parts[-1].hops else "")
