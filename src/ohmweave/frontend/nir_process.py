"""HDF5 files read by another process: whatever a file does to the reader, this process goes on."""

import contextlib
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ohmweave.errors import ModelError
from ohmweave.simulate.process import environment

__all__ = ["HdfReader", "Tree"]

# A group as a mapping, numbers as an array, text, or texts in (nested) lists.
Tree = Mapping[str, Any] | NDArray[Any] | str | list[Any]

_LIMIT = 2**30
_LAST_WORDS = 2000
# Of the tree without its numbers; the reader holds itself to half of it.
_MOST_WORDS = 2**26


class HdfReader:
    """A process that reads files one after the other and is started again whenever one brings it down.

    Args:
        time_limit: s that one file may take.
    """

    def __init__(self, time_limit: float = 60.0) -> None:
        self.time_limit = time_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="ohmweave-nir-")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._folder.cleanup()

    def read(self, path: Path) -> Mapping[str, Any]:
        """A file's contents.

        Args:
            path: the HDF5 file.

        Raises:
            ModelError: a missing, damaged or too large file, one that leads out of itself, one that brings the
                reader down or takes too long; or h5py missing.
        """
        _check_file(path)
        answer = self._ask(path)
        if "error" in answer:
            raise _damaged(path, str(answer["error"]))
        try:
            folder = Path(self._folder.name)
            with (folder / "arrays.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            with (folder / "tree.json").open("rb") as stream:
                words = stream.read(_MOST_WORDS + 1)
            if len(words) > _MOST_WORDS:
                raise ValueError(f"a tree of more than {_MOST_WORDS} bytes")
            tree = _resolve(json.loads(words), arrays)
        except (OSError, ValueError, LookupError, RecursionError, MemoryError, zipfile.BadZipFile) as error:
            raise _damaged(path, f"expected the reader's own files, found broken ones ({error})") from error
        assert isinstance(tree, Mapping)
        return tree

    def _ask(self, path: Path) -> dict[str, Any]:
        """The reader's answer about one file."""
        process = self._running()
        assert process.stdin is not None
        request = json.dumps({"path": str(path.resolve()), "folder": self._folder.name}) + "\n"
        try:
            process.stdin.write(request.encode())
            process.stdin.flush()
            line = self._line(process)
        except BrokenPipeError:
            line = b""
        if line is None:
            self._stop()
            raise _damaged(path, f"expected to be read within {self.time_limit:g} s, found no end")
        try:
            answer = json.loads(line)
        except ValueError:
            raise _damaged(path, f"expected a whole HDF5 file, found one that {self._end()}") from None
        return dict(answer)

    def _line(self, process: subprocess.Popen[bytes]) -> bytes | None:
        """One line of the reader's; what there is of it where it ends, None where it takes too long."""
        assert process.stdout is not None
        deadline, line = time.monotonic() + self.time_limit, b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            part = os.read(process.stdout.fileno(), 4096)
            if not part:
                return b""
            line += part
        return line

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            if importlib.util.find_spec("h5py") is None:
                raise ModelError(
                    "expected h5py, which reads NIR files, found none",
                    where="h5py",
                    remedy='pip install "ohmweave[snn]"',
                )
            self._stop()
            folder = Path(self._folder.name)
            # -P: the files beside the program are no modules of it. It finds h5py where we do.
            variables = {**environment(folder), "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
            with (folder / "log").open("wb") as words:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", str(Path(__file__).with_name("nir_child.py"))],
                    cwd=folder,
                    env=variables,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=words,
                    start_new_session=True,
                )
        return self._process

    def _end(self) -> str:
        """How the reader ended, in words."""
        assert self._process is not None
        try:
            code = self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            code = 0
        self._stop()
        if code < 0:
            return f"ends the reader by {signal.Signals(-code).name}"
        words = (Path(self._folder.name) / "log").read_text(encoding="latin-1")[-_LAST_WORDS:].split("\n")
        last = next((line.strip() for line in reversed(words) if line.strip()), "it said nothing")
        return f"ends the reader ({last})"

    def _stop(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            # Closing flushes what the dead process never took.
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()
        self._process = None


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise ModelError("expected a NIR file, found no such file", where=str(path), remedy="check the path")
    size = path.stat().st_size
    if size > _LIMIT:
        raise ModelError(
            f"expected a NIR file of at most {_LIMIT} bytes, found {size}",
            where=str(path),
            remedy="give a smaller network",
        )


def _damaged(path: Path, message: str) -> ModelError:
    return ModelError(message, where=str(path), remedy="write the NIR file again with nir.write")


def _resolve(tree: Any, arrays: Mapping[str, NDArray[Any]]) -> Tree:
    """The tree with its arrays in their places."""
    ((kind, value),) = tree.items()
    if kind == "group":
        return {name: _resolve(child, arrays) for name, child in value.items()}
    return arrays[value] if kind == "array" else value
