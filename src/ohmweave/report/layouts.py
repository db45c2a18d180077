"""How spiking chips lie on arrays, as lines of text."""

from collections.abc import Sequence

from ohmweave.report.quantities import percent
from ohmweave.spiking.costs import Layout

__all__ = ["LAYOUT_HEADING", "aligned", "layout_cells"]

LAYOUT_HEADING = ("arrays", "used", "neurons", "memristors", "row drivers", "wire segments", "hops")


def layout_cells(layout: Layout) -> tuple[str, ...]:
    """What stands below :data:`LAYOUT_HEADING`."""
    counts = (layout.neurons, layout.devices, layout.drivers, layout.segments, layout.hops)
    return (f"{layout.arrays:,}", percent(layout.utilisation, 1), *(f"{count:,}" for count in counts))


def aligned(parts: Sequence[Layout]) -> str:
    """One line a layout below a heading, columns aligned."""
    rows = [("stage", *LAYOUT_HEADING), *((part.name, *layout_cells(part)) for part in parts)]
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(
        "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, others, strict=True))])
        for name, *cells in rows
    )
