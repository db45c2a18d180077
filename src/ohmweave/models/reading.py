"""Where the files of a model stand."""

import os.path
from pathlib import Path

__all__ = ["name_below"]


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
