"""Where the files of a model stand, and what stands in them."""

import os.path
import stat
from pathlib import Path

from ohmweave.errors import NetlistError

__all__ = ["name_below", "read_text"]


def name_below(path: Path, main: Path) -> str | None:
    """The path of a file as netlists have it, relative to the folder of the model's own file.

    It is made of the names that were asked for, which were checked; what a link points to may have any name.

    Args:
        path: the file.
        main: the model's own file.

    Returns:
        The path with ``/``; nothing for a file that stands elsewhere, by its name or by where a link leads.
    """
    name = Path(os.path.relpath(path, main.parent)).as_posix()
    return name if path.resolve().is_relative_to(main.resolve().parent) and not name.startswith("../") else None


def read_text(path: Path, where: str, largest: int) -> str:
    """The whole of a file, read once.

    Args:
        path: the file.
        where: what to call it in messages.
        largest: how long it may be, bytes.

    Raises:
        NetlistError: a file that cannot be read, that is none (a device, a pipe, a folder), or that is longer.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise NetlistError(
                "expected a plain file, found a device, a pipe or a folder", where=where, remedy="check the path"
            )
        size = status.st_size
        if size <= largest:
            with path.open("rb") as stream:
                content = stream.read(largest + 1)
            size = len(content)
    except OSError as error:
        raise NetlistError(f"cannot be read: {error.strerror}", where=where, remedy="check the path") from error
    if size > largest:
        raise NetlistError(
            f"expected a model file of at most {largest} bytes, found {size}", where=where, remedy="split it"
        )
    return content.decode("latin-1").replace("\r\n", "\n")
