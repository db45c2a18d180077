"""Raw files as text, as Spectre's ``-format nutascii`` writes them.

A header like that of binary ones, with the first variable on the line ``Variables:``; behind ``Values:``, for each
point its number and then every vector's value, on any number of lines.
"""

from pathlib import Path

import numpy as np

from ohmweave.errors import SimulationError
from ohmweave.simulate.raw import RawFile

__all__ = ["read_raw_text"]

_REMEDY = "the simulator stopped early or its disk is full; run it again"


def read_raw_text(path: Path, where: str = "") -> RawFile:
    """Read a raw file of text that holds exactly one real analysis, complete to the last value.

    Raises:
        SimulationError: no file, a malformed header, values that are no numbers, too few or too many of them.
    """
    where = where or path.name
    try:
        head, found, body = path.read_text(encoding="latin-1").partition("\nValues:")
    except FileNotFoundError as error:
        raise SimulationError("expected a raw file, found none", where=where, remedy=_REMEDY) from error
    top, listed, table = head.partition("\nVariables:")
    if not found or not listed:
        raise SimulationError("expected a header, then 'Values:', found none", where=where, remedy=_REMEDY)
    lines = dict(line.split(":", 1) for line in top.splitlines() if ":" in line)
    flags = lines.get("Flags", "").strip()
    if flags != "real":
        raise SimulationError(f"expected the flag 'real' in the header, found {flags!r}", where=where)
    try:
        variables, points = int(lines["No. Variables"]), int(lines["No. Points"])
        rows = [line.split() for line in table.splitlines() if line.strip()]
        if [int(row[0]) for row in rows] != list(range(variables)):
            raise ValueError(f"{len(rows)} rows of {variables} variables")
        names = tuple(row[1].lower() for row in rows)
        values = np.array(body.split(), dtype=np.float64)
    except (KeyError, ValueError, IndexError) as error:
        raise SimulationError(
            f"expected a header with its variables and points counted, found {error}", where=where, remedy=_REMEDY
        ) from error
    expected = points * (variables + 1)
    if values.size != expected:
        raise SimulationError(
            f"expected {points} points of {variables} vectors ({expected} numbers with the points' own), "
            f"found {values.size}",
            where=where,
            remedy=_REMEDY,
        )
    return RawFile(names, values.reshape(points, variables + 1)[:, 1:])
