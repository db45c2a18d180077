"""Reads HDF5 files in a process of its own, run as a program; it imports nothing of ohmweave.

Each line of standard input is ``{"path": FILE, "folder": WHERE}``. The answer is two files in that folder,
``tree.json`` and ``arrays.npz``, and one line on standard output, ``{}`` or ``{"error": REASON}``. A file that
brings this process down does no harm to whoever waits for the line. What could lead out of the file (links,
external and virtual data, plug-in filters) is refused or switched off, and sizes are looked at before anything
is read.

A tree is ``{"group": {NAME: TREE}}``, ``{"array": NAME}``, ``{"text": WORDS}`` or ``{"texts": [...]}``.
"""

import contextlib
import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before h5py is imported: no filter is ever loaded from elsewhere, no file is locked.
os.environ["HDF5_PLUGIN_PRELOAD"] = "::"
os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"

_MOST_OBJECTS = 20_000
_MOST_VALUES = 2**27
_MOST_TEXTS = 100_000
_MOST_LETTERS = 2**24
_DEEPEST = 12
_MEMORY = 4 * 2**30
_SECONDS = 60


class _Refused(Exception):
    """What is wrong with a file, in words for its owner."""


class _Dump:
    """One file's contents, counted as they come."""

    def __init__(self) -> None:
        self.arrays: dict[str, Any] = {}
        self.objects = 0
        self.values = 0
        self.letters = 0

    def group(self, group: Any, depth: int) -> dict[str, Any]:
        """A group with all that it holds."""
        import h5py

        if depth > _DEEPEST:
            raise _Refused(f"expected groups at most {_DEEPEST} deep, found deeper ones at {group.name!r}")
        children = {}
        for name in group:
            self.objects += 1
            if self.objects > _MOST_OBJECTS:
                raise _Refused(f"expected at most {_MOST_OBJECTS} objects, found more")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise _Refused(f"expected data in the file itself, found {name!r} in {group.name!r}, a link")
            item = group[name]
            children[name] = self.group(item, depth + 1) if isinstance(item, h5py.Group) else self.dataset(item)
        return {"group": children}

    def dataset(self, item: Any) -> dict[str, Any]:
        """One value: text, texts, or an array of numbers."""
        import h5py

        if not isinstance(item, h5py.Dataset) or item.shape is None:
            raise _Refused(f"expected a group or a dataset with values, found {item!r}")
        if item.external or item.is_virtual:
            raise _Refused(f"expected data in the file itself, found {item.name!r} in another")
        if h5py.check_string_dtype(item.dtype) is not None:
            return self.texts(item)
        if item.dtype.kind not in "biuf":
            raise _Refused(f"expected numbers or text, found {item.dtype} in {item.name!r}")
        self.values += item.size
        if self.values > _MOST_VALUES:
            raise _Refused(f"expected at most {_MOST_VALUES} numbers, found {self.values} up to {item.name!r}")
        name = f"a{len(self.arrays)}"
        self.arrays[name] = _plain(item[()])
        return {"array": name}

    def texts(self, item: Any) -> dict[str, Any]:
        """Words, one or many, of fixed or any length."""
        if item.size > _MOST_TEXTS:
            raise _Refused(f"expected at most {_MOST_TEXTS} texts, found {item.size} in {item.name!r}")
        self.count(item.dtype.itemsize * item.size, item)
        value = _text(item[()])
        # What has any length shows it only now.
        self.count(len(json.dumps(value)), item)
        return {"text": value} if isinstance(value, str) else {"texts": value}

    def count(self, letters: int, item: Any) -> None:
        """Count letters before they are read, or once they are."""
        self.letters += letters
        if self.letters > _MOST_LETTERS:
            raise _Refused(f"expected texts of at most {_MOST_LETTERS} letters in all, found more in {item.name!r}")


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, str) else [_text(entry) for entry in value]


def _plain(value: Any) -> Any:
    import numpy as np

    array = np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8) else array


def _dump(path: str, folder: Path) -> None:
    import h5py
    import numpy as np

    with h5py.File(path, "r") as file:
        dump = _Dump()
        tree = dump.group(file, 0)
    with (folder / "arrays.npz").open("wb") as stream:
        np.savez(stream, **dump.arrays)
    words = json.dumps(tree)
    # Names of groups are letters too.
    if len(words) > 2 * _MOST_LETTERS:
        raise _Refused(f"expected names and texts of at most {2 * _MOST_LETTERS} letters in all, found {len(words)}")
    (folder / "tree.json").write_text(words, encoding="utf-8")


def _limit(kind: int, amount: int) -> None:
    # What the system cannot limit, the parent's clock has to.
    with contextlib.suppress(ValueError, OSError):
        _, most = resource.getrlimit(kind)
        resource.setrlimit(kind, (amount if most == resource.RLIM_INFINITY else min(amount, most), most))


def _answers() -> Iterator[dict[str, str]]:
    for line in sys.stdin:
        request = json.loads(line)
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + _SECONDS)
        try:
            _dump(request["path"], Path(request["folder"]))
            yield {}
        except _Refused as error:
            yield {"error": str(error)}
        except Exception as error:  # noqa: BLE001  the library raises anything on broken files
            reason = (str(error).strip() or "no reason given").splitlines()[0]
            yield {"error": f"expected a whole HDF5 file, found a damaged one ({type(error).__name__}: {reason})"}


def main() -> None:
    """Answer requests until standard input ends."""
    _limit(resource.RLIMIT_AS, _MEMORY)
    _limit(resource.RLIMIT_FSIZE, _MEMORY)
    _limit(resource.RLIMIT_CORE, 0)
    for answer in _answers():
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
