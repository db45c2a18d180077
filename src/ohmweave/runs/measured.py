"""Figures that were measured: kept in a file, told with their units and benches."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ohmweave.errors import UserError

__all__ = ["Figures", "keep", "require_folder", "told"]


class Figures(Protocol):
    """What SPICE measured of a circuit."""

    def rows(self) -> tuple[tuple[str, float, str], ...]:
        """Name, value and unit of each figure."""
        ...

    def save(self, path: Path) -> None:
        """Write them, whole or not at all."""
        ...


def require_folder(file: Path) -> None:
    """Refuse a file in a folder that is not there, before minutes of SPICE.

    Raises:
        UserError: no such folder.
    """
    if not file.parent.is_dir():
        raise UserError(
            f"expected a folder to write to, found no {str(file.parent)!r}",
            where=str(file),
            remedy="choose a place that is there",
        )


def keep(figures: Figures, file: Path) -> None:
    """Write figures where they were asked for.

    Raises:
        UserError: a place that cannot be written.
    """
    try:
        figures.save(file)
    except OSError as error:
        raise UserError(
            f"cannot be written ({error.strerror})", where=str(file), remedy="choose a place that can"
        ) from error


def told(figures: Figures, benches: Mapping[str, str]) -> dict[str, Any]:
    """Figures, units and benches by name, for ``--json``."""
    rows = figures.rows()
    return {
        "figures": {name: value for name, value, _ in rows},
        "units": {name: unit for name, _, unit in rows},
        "benches": dict(benches),
    }
