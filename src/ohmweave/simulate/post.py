"""Binary output of HSPICE in double precision (``.option post=1 post_version=2001``).

After the description in the documents of the readers hspiceParser (Harvey Mudd College) and PyOPUS (University of
Ljubljana). A file is a sequence of blocks: four 32-bit integers, the last one the number of bytes to come, these
bytes, and that number again. The first blocks hold a header of text up to ``$&%#``: in columns 0 to 3 and 4 to 7
how many vectors there are, in 8 to 11 how many sweeps, in 20 to 23 the format; from column 256 on the types of the
vectors and then their names, each of the latter short of its closing parenthesis. All other blocks hold doubles,
point by point; 1e30 ends a table, and where there are sweeps their value stands before each one.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ohmweave.errors import SimulationError
from ohmweave.simulate.raw import RawFile
from ohmweave.units import Array

__all__ = ["read_post"]

_REMEDY = "the simulator stopped early or its disk is full; run it again"
_HEADER_END = b"$&%#"
_NAMES_FROM = 256
_TABLE_END = 0.9e30


def read_post(path: Path, where: str = "") -> RawFile:
    """Read a file that holds one real analysis, complete to the byte.

    Raises:
        SimulationError: no file, blocks or a header that are malformed, a table without its end.
    """
    where = where or path.name
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise SimulationError("expected an output file, found none", where=where, remedy=_REMEDY) from error
    blocks = _blocks(content, where)
    header = b""
    for _, block in blocks:
        header += block
        if _HEADER_END in block:
            break
    names, sweeps = _header(header, where)
    data = [np.frombuffer(block, dtype=f"{order}f8") for order, block in blocks if len(block) % 8 == 0]
    values = np.concatenate([np.zeros(0), *data]).astype(np.float64)
    return RawFile(names, _points(values, len(names), sweeps, where))


def _blocks(content: bytes, where: str) -> Iterator[tuple[str, bytes]]:
    """Byte order and content of each block."""
    place, order = 0, "<" if content[:4] == b"\x04\0\0\0" else ">"
    while place < len(content):
        head = content[place : place + 16]
        size = struct.unpack(f"{order}4i", head)[3] if len(head) == 16 else -1
        end = place + 16 + size
        if size < 0 or content[end : end + 4] != struct.pack(f"{order}i", size):
            raise SimulationError(f"expected whole blocks, found one cut at byte {place}", where=where, remedy=_REMEDY)
        yield order, content[place + 16 : end]
        place = end + 4


def _header(header: bytes, where: str) -> tuple[tuple[str, ...], int]:
    """Names of the vectors, and the number of sweeps."""
    text = header.decode("latin-1")
    version = text[20:24]
    if version != "2001":
        raise SimulationError(f"expected the format 2001, found {version!r}", where=where, remedy=_REMEDY)
    try:
        vectors, sweeps = int(text[0:4]) + int(text[4:8]), int(text[8:12])
        words = text[_NAMES_FROM : text.index("$&%#")].split()
        names = words[vectors : 2 * vectors]
        if len(names) != vectors:
            raise ValueError(f"{len(names)} names of {vectors} vectors")
    except ValueError as error:
        raise SimulationError(
            f"expected a header with its vectors counted, found {error}", where=where, remedy=_REMEDY
        ) from error
    closed = (name if "(" not in name or name.endswith(")") else f"{name})" for name in names)
    return tuple(name.lower() for name in closed), sweeps


def _points(values: Array, vectors: int, sweeps: int, where: str) -> Array:
    """The points of all tables, [points, vectors]."""
    ends = np.flatnonzero(values >= _TABLE_END)
    if not len(ends) or ends[-1] != len(values) - 1:
        raise SimulationError("expected the end of the last table, found none", where=where, remedy=_REMEDY)
    tables = np.split(values, ends + 1)[:-1]
    rows = [table[1 if sweeps else 0 : -1] for table in tables]
    if any(len(row) % vectors for row in rows):
        raise SimulationError(f"expected whole points of {vectors} vectors, found a part of one", where=where)
    return np.concatenate(rows).reshape(-1, vectors)
