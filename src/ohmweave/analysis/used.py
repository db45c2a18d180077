"""How much of the tiles is used."""

from ohmweave.mapping import Plan, Stage

__all__ = ["utilisation"]


def utilisation(plan: Plan, stage: Stage | None = None) -> float:
    """Share of all crossings that hold a conducting device, devices / (tiles rows cols); 0 without tiles.

    Args:
        plan: a chip's plan; its tiles are as large as its design's arrays.
        stage: the stage to look at, all if not given.
    """
    tiles = sum(len(each.tiles) for each in (plan.stages if stage is None else (stage,)))
    devices = plan.devices if stage is None else stage.devices
    return devices / (tiles * plan.design.array.rows * plan.design.array.cols) if tiles else 0.0
