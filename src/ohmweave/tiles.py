"""A planned tile as an array of a circuit."""

from ohmweave.circuit import Cell, Crossbar
from ohmweave.design import Design
from ohmweave.devices import bent
from ohmweave.effects import wired
from ohmweave.floorplan import Tile

__all__ = ["tile_array"]


def tile_array(
    tile: Tile, design: Design, device: Cell | None, rows: tuple[str, ...], cols: tuple[str, ...]
) -> Crossbar:
    """One tile as an array; far ends are strapped to the near ones, where the wires have any.

    Args:
        tile: of a plan.
        design: with its wires and what happens to them.
        device: the memristor's cell, ``None`` for resistors.
        rows: nets of its rows.
        cols: nets of its columns.
    """
    choice = design.array
    note = f"rows {tile.rows[0]}..{tile.rows[-1]}, columns {tile.cols[0]}..{tile.cols[-1]}"
    far_rows = rows if choice.drive == "both" and choice.r_row > 0 else ()
    far_cols = cols if choice.ground == "both" and choice.r_col > 0 else ()
    # A resistor has no curve to bend.
    bend = None if device is None else tile.bend
    kind = device if device is None or bend is None else bent(device)
    wires = wired(design.effects, choice.r_row), wired(design.effects, choice.r_col)
    return Crossbar(tile.name, rows, cols, kind, tile.g, *wires, note, far_rows, far_cols, bend)
