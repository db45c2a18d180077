"""The reductions of all arrays of a circuit: equal arrays once, side by side in threads, kept on disk.

What the reduction of an array depends on (conductances, wires, which ends are ports) is hashed together
with :data:`ALGORITHM`; arrays of one key share one admittance, and a folder may keep it as ``<key>.bin``:
float64, row by row, and behind it a hash of key and matrix. A file whose hash is another is written anew.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ohmweave.circuit import Crossbar
from ohmweave.errors import SimulationError, UserError
from ohmweave.simulate.elaborate import PlacedCrossbar
from ohmweave.simulate.reduction import Reduction, conductances, reduce_array
from ohmweave.simulate.threads import one_thread_each
from ohmweave.units import Array

__all__ = ["ALGORITHM", "reduce_arrays", "reduction_key"]

# Raise it with every change of the reduction that may change a digit: what was kept before is then not found.
ALGORITHM = 2
_SEAL = hashlib.sha256().digest_size

Progress = Callable[[int, int], None]


def reduce_arrays(
    crossbars: Sequence[PlacedCrossbar],
    linear: Sequence[Array | None],
    *,
    cache: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Reduction]:
    """Reduce every array of a circuit.

    Args:
        crossbars: the arrays and where they are.
        linear: for each the conductances to linearise its devices with, shape [m, n], S; None for the
            programmed ones.
        cache: folder to keep admittances in, made where it is missing; None keeps none.
        workers: arrays reduced side by side; the result does not depend on it.
        progress: told (arrays done, arrays in all) from the calling thread, in the arrays' order.

    Returns:
        The reduction of each array, in order.

    Raises:
        SimulationError: an array that cannot be reduced; names its path.
        UserError: a folder that cannot be written.
        ValueError: fewer than one worker.
    """
    if workers < 1:
        raise ValueError(f"expected at least 1 worker, found {workers}")
    tasks = [(placed, g) for placed, g in zip(crossbars, linear, strict=True)]
    keys = [reduction_key(placed.crossbar, g) for placed, g in tasks]
    # Of equal arrays the first one is reduced, and named in errors.
    firsts = dict(zip(reversed(keys), reversed(tasks), strict=True))
    with one_thread_each(), ThreadPoolExecutor(workers) as pool:
        futures = {key: pool.submit(_admittance, *firsts[key], key, cache) for key in dict.fromkeys(keys)}
        try:
            admittances = _collect(futures, keys, progress)
        finally:
            # Where one array fails, the others that wait need not be tried.
            pool.shutdown(cancel_futures=True)
    return [reduce_array(placed.crossbar, g, admittances[key]) for (placed, g), key in zip(tasks, keys, strict=True)]


def reduction_key(crossbar: Crossbar, linear: Array | None = None) -> str:
    """What tells the reduction of one array from that of another, in hexadecimal digits."""
    g = np.ascontiguousarray(conductances(crossbar, linear), dtype="<f8")
    ends = (bool(crossbar.far_rows), bool(crossbar.far_cols))
    wires = (float(crossbar.r_row), float(crossbar.r_col))
    text = f"ohmweave reduction {ALGORITHM} {wires} {ends} {g.shape} "
    return hashlib.sha256(text.encode() + g.tobytes()).hexdigest()


def _collect(futures: dict[str, Future[Array]], keys: Iterable[str], progress: Progress | None) -> dict[str, Array]:
    done, order = {}, list(keys)
    for count, key in enumerate(order, start=1):
        done[key] = futures[key].result()
        if progress is not None:
            progress(count, len(order))
    return done


def _admittance(placed: PlacedCrossbar, linear: Array | None, key: str, cache: Path | None) -> Array:
    """From the folder if it is there, else computed and put there."""
    ports = len(placed.crossbar.ports)
    path = None if cache is None else cache / f"{key}.bin"
    if path is not None and (kept := _read(path, ports)) is not None:
        return kept
    try:
        admittance = reduce_array(placed.crossbar, linear).admittance
    except SimulationError as error:
        raise SimulationError(error.message, where=f"tile {placed.path}", remedy=error.remedy) from error
    if path is not None:
        _write(path, admittance)
    return admittance


def _read(path: Path, ports: int) -> Array | None:
    """The admittance in a file, or None where there is none, or another or a damaged one."""
    size = 8 * ports * ports
    try:
        # Its size first: what is not ours is not read.
        content = path.read_bytes() if path.stat().st_size == size + _SEAL else b""
    except OSError:
        return None
    matrix, seal = content[:size], content[size:]
    if not content or seal != _seal(path.stem, matrix):
        return None
    return np.frombuffer(matrix, dtype="<f8").reshape(ports, ports).astype(np.float64)


def _seal(key: str, matrix: bytes) -> bytes:
    """What ties a matrix to its key."""
    return hashlib.sha256(key.encode() + matrix).digest()


def _write(path: Path, admittance: Array) -> None:
    """Write under another name and rename, so that nobody ever reads half a file."""
    matrix = np.ascontiguousarray(admittance, dtype="<f8").tobytes()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=path.stem, suffix=".part", dir=path.parent)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(matrix + _seal(path.stem, matrix))
                file.flush()
                os.fsync(file.fileno())
            # What mkstemp makes only its owner can read; this is an ordinary file.
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(
            f"a reduced array cannot be kept ({error.strerror or error})",
            where=str(path.parent),
            remedy="name a folder that can be written, or none",
        ) from error
