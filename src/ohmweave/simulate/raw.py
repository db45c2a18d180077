"""Binary raw files of the SPICE family (ngspice User's Manual, appendix on the raw file format).

A header of text lines, the line ``Binary:``, then one float64 a vector, or two of a complex one, point by point.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ohmweave.errors import SimulationError

__all__ = ["RawFile", "read_raw"]

_MARK = b"Binary:\n"
_REMEDY = "the simulator stopped early or its disk is full; run it again"


@dataclass(frozen=True, eq=False)
class RawFile:
    """The vectors of one analysis.

    Args:
        names: vector names in lower case, in the file's order; the first can appear twice.
        values: shape [points, vectors]; complex where the analysis is.
    """

    names: tuple[str, ...]
    values: NDArray[Any]

    def columns(self, names: tuple[str, ...]) -> NDArray[Any]:
        """The vectors called ``names``, shape [points, len(names)].

        Raises:
            SimulationError: a vector that the file does not have.
        """
        place = {name: index for index, name in enumerate(self.names)}
        missing = [name for name in names if name not in place]
        if missing:
            raise SimulationError(
                f"expected the vector {missing[0]!r}, found none of that name ({len(missing)} missing in all)"
            )
        return self.values[:, [place[name] for name in names]]


def read_raw(path: Path, where: str = "", kind: Literal["real", "complex"] = "real") -> RawFile:
    """Read a binary raw file that holds exactly one analysis, complete to the byte.

    Args:
        path: the file.
        where: what to call it in messages; its name when empty.
        kind: what its values are to be.

    Raises:
        SimulationError: no file, a malformed header, values of another kind, too few or too many bytes.
    """
    where = where or path.name
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise SimulationError("expected a raw file, found none", where=where, remedy=_REMEDY) from error
    mark = content.find(_MARK)
    if mark < 0:
        raise SimulationError("expected a header that ends in 'Binary:', found none", where=where, remedy=_REMEDY)
    names, points = _header(content[:mark].decode("latin-1"), where, kind)
    number = np.dtype("<f8" if kind == "real" else "<c16")
    data = len(content) - mark - len(_MARK)
    expected = number.itemsize * points * len(names)
    if data != expected:
        raise SimulationError(
            f"expected {points} points of {len(names)} vectors ({expected} bytes) after the header, found {data} bytes",
            where=where,
            remedy=_REMEDY,
        )
    values = np.frombuffer(content, dtype=number, offset=mark + len(_MARK)).reshape(points, len(names))
    return RawFile(names, values.astype(number.newbyteorder("=")))


def _header(text: str, where: str, kind: str) -> tuple[tuple[str, ...], int]:
    """Vector names and number of points."""
    top, found, table = text.partition("Variables:\n")
    fields = dict(line.split(":", 1) for line in top.splitlines() if ":" in line)
    flags = fields.get("Flags", "").strip()
    if flags != kind:
        raise SimulationError(f"expected the flag {kind!r} in the header, found {flags!r}", where=where)
    try:
        variables, points = int(fields["No. Variables"]), int(fields["No. Points"])
        rows = [line.split() for line in table.splitlines()]
        if not found or [int(row[0]) for row in rows] != list(range(variables)):
            raise ValueError(f"{len(rows)} rows of {variables} variables")
        return tuple(row[1].lower() for row in rows), points
    except (KeyError, ValueError, IndexError) as error:
        raise SimulationError(
            f"expected a header with its variables and points counted, found {error}", where=where, remedy=_REMEDY
        ) from error
