"""From the table ``[device]`` of a design to the device."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ohmweave.devices.conductance import ConductanceRange
from ohmweave.devices.file import FileDevice, ModelChoice
from ohmweave.errors import DesignError, OhmweaveError
from ohmweave.models.choice import read_choice, read_quantity
from ohmweave.models.files import FOLDER, load_library
from ohmweave.models.reading import name_below
from ohmweave.models.stored import read_characterisation, stored_path, write_characterisation

__all__ = ["load_device", "write_device"]


def load_device(table: Mapping[str, Any], folder: Path, where: str) -> FileDevice:
    """Read a model and its characterisation.

    Args:
        table: the table ``[device]``.
        folder: that the design's paths are relative to.
        where: the design's file, for messages.

    Returns:
        The device; its paths are those that it has beside a build's design.

    Raises:
        DesignError: a table that cannot be, conductances out of reach, a characterisation that is missing or stale.
        NetlistError: a model file that is unsafe, missing or malformed.
    """
    choice = read_choice(table, where)
    try:
        library = load_library(choice, folder)
        remedy = f"run ohmweave characterize {where}"
        stored = read_characterisation(stored_path(choice, folder), choice, library, remedy)
        reach = float(stored.surface.g[0]), float(stored.surface.g[-1])
        g_off = read_quantity(table, "g_off", "S", where) if "g_off" in table else reach[0]
        g_on = read_quantity(table, "g_on", "S", where) if "g_on" in table else reach[1]
        limits = ConductanceRange(g_off, g_on, _levels(table.get("levels", 0)))
        device = FileDevice(
            _moved(choice, folder), limits, stored.error, library, stored.surface, stored.surface.digest
        )
    except OhmweaveError as error:
        place = f"{where}: {error.where}" if not error.where.startswith(where) else error.where
        raise type(error)(error.message, where=place, remedy=error.remedy) from error
    if table.get("digest", device.digest) != device.digest:
        raise DesignError(
            "expected the characterization that this design was written with, found another",
            where=f"{where}: device.digest",
            remedy="compile again, or remove the line",
        )
    return device


def write_device(device: FileDevice, folder: Path) -> None:
    """Write a device's files, and what was measured on them, to where its own paths say, relative to ``folder``.

    Raises:
        OSError: a place that cannot be written.
    """
    for path, text in device.library.files:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="latin-1", newline="\n")
    table = stored_path(device.choice, folder)
    write_characterisation(table, device.choice, device.library, device.surface, device.error)


def _levels(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise DesignError(f"expected a whole number, found {value!r}", where="device.levels", remedy="mend the value")
    return value


def _moved(choice: ModelChoice, folder: Path) -> ModelChoice:
    """The choice with its paths as the library has them."""
    main = folder / choice.file
    entries = (choice.file, ""), *choice.include
    (file, _), *include = ((f"{FOLDER}/{name_below(folder / name, main)}", section) for name, section in entries)
    return replace(choice, file=file, include=tuple(include))
