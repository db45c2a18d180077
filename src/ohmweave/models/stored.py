"""Characterisations as files beside the models: ``NAME.characterized.npz``.

Arrays g (S), state and amps (A), [conductances, voltages], with the voltages' end and where they come from.
"""

import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ohmweave.circuit import Library
from ohmweave.devices.file import ModelChoice
from ohmweave.devices.surface import Surface
from ohmweave.errors import DesignError
from ohmweave.whole import whole

__all__ = ["Stored", "origin", "read_characterisation", "stored_path", "write_characterisation"]

_FORMAT = 1
_LARGEST = 256 * 2**20
# RuntimeError: an encrypted member, a way of packing that is not known here, JSON that is too deep.
_BROKEN = (
    ArithmeticError, EOFError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Stored:
    """A characterisation read back: its table and the table's error, relative to the current."""

    surface: Surface
    error: float


def stored_path(choice: ModelChoice, folder: Path) -> Path:
    """Where the characterisation of a model stands: beside its file."""
    return (folder / choice.file).with_name(f"{choice.name}.characterized.npz")


def origin(choice: ModelChoice, library: Library) -> str:
    """Content hash of all that a characterisation depends on: the files and the choice, wherever they lie."""
    state, ports = choice.state, tuple(port.lower() for port in choice.ports)
    what = (choice.name.lower(), ports, state.parameter.lower(), state.low, state.high, choice.v_read, choice.v_max)
    return hashlib.sha256(repr((_FORMAT, library.digest, what)).encode()).hexdigest()


def write_characterisation(path: Path, choice: ModelChoice, library: Library, surface: Surface, error: float) -> None:
    """Write a characterisation; the file appears whole or not at all.

    Args:
        path: the file.
        choice: the model that it is of.
        library: the model's files.
        surface: the table.
        error: what the table may be off, relative to the current.

    Raises:
        OSError: a place that cannot be written.
    """
    note = {"origin": origin(choice, library), "error": error, "v_max": surface.v_max}
    with whole(path) as partial, partial.open("wb") as stream:
        np.savez(
            stream,
            allow_pickle=False,
            note=np.array(json.dumps(note)),
            g=surface.g,
            state=surface.state,
            amps=surface.amps,
        )


def read_characterisation(path: Path, choice: ModelChoice, library: Library, remedy: str) -> Stored:
    """Read a characterisation back.

    Args:
        path: the file.
        choice: the model that it must be of.
        library: its files as they are now.
        remedy: what to tell a user who has none, or an old one.

    Raises:
        DesignError: none there, a broken one, or one of other files or choices.
    """
    where = path.name
    if not path.is_file():
        raise DesignError(
            f"expected the characterization of {choice.name} beside its file, found none", where=where, remedy=remedy
        )
    try:
        with zipfile.ZipFile(path) as packed:
            if sum(member.file_size for member in packed.infolist()) > _LARGEST:
                raise ValueError(f"more than {_LARGEST} bytes")
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            note = json.loads(str(stored["note"]))
            g, state, amps = (np.asarray(stored[name], dtype=np.float64) for name in ("g", "state", "amps"))
        made, error = str(note["origin"]), float(note["error"])
        surface = Surface(float(note["v_max"]), g, amps, state)
        if not (_sane(surface) and 0.0 < error < np.inf):
            raise ValueError("values that no measurement gives")
    except _BROKEN as broken:
        words = f"is broken ({type(broken).__name__}: {broken})"
        raise DesignError(words, where=where, remedy=remedy) from broken
    if made != origin(choice, library):
        raise DesignError(
            f"expected the characterization of {choice.name} as it is now, found one of other files or choices",
            where=where,
            remedy=remedy,
        )
    return Stored(surface, error)


def _sane(surface: Surface) -> bool:
    """Whether a passive device could read so: currents rise with the voltage, the state goes one way with g."""
    g, amps, steps = surface.g, surface.amps, np.diff(surface.state)
    finite = all(np.isfinite(each).all() for each in (g, amps, surface.state)) and 0.0 < surface.v_max < np.inf
    rising = (g > 0.0).all() and (np.diff(g) > 0.0).all() and (np.diff(amps, axis=1) >= 0.0).all()
    one_way = (steps > 0.0).all() or (steps < 0.0).all()
    return bool(finite and rising and one_way and (amps[:, amps.shape[1] // 2] == 0.0).all())
