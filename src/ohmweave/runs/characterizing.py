"""A user's device model, measured: from its design or its file to the files that stand beside it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohmweave.devices.file import ModelChoice
from ohmweave.errors import DesignError, UserError
from ohmweave.models import (
    Characterisation,
    characterize,
    load_library,
    read_choice,
    remarks,
    stored_path,
    write_characterisation,
)
from ohmweave.simulate import Progress, simulator

__all__ = ["Characterized", "characterize_device", "table_of"]


@dataclass(frozen=True, eq=False)
class Characterized:
    """A characterisation, the files that hold it, and what the model will not do though it is read well."""

    choice: ModelChoice
    made: Characterisation
    file: Path
    picture: Path
    remarks: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """The figures for ``--json``."""
        surface = self.made.surface
        return {
            "model": self.choice.name,
            "file": str(self.file),
            "picture": str(self.picture),
            "g_off": float(surface.g[0]),
            "g_on": float(surface.g[-1]),
            "state": {
                "parameter": self.choice.state.parameter,
                "at_g_off": float(surface.state[0]),
                "at_g_on": float(surface.state[-1]),
            },
            "v_read": self.choice.v_read,
            "v_max": self.choice.v_max,
            "table": {"conductances": len(surface.g), "voltages": surface.amps.shape[1]},
            "largest_relative_error": self.made.found,
            "fresh_points": self.made.fresh,
            "stated_error": self.made.error,
            "engine": self.made.engine,
            "remarks": "; ".join(self.remarks) or "none",
        }


def table_of(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The table ``[device]``: of a design, or of what was given beside a model file.

    Args:
        path: a design (``.toml``) or a model file.
        given: the table's further keys, for a model file only.

    Raises:
        DesignError: a design that cannot be read, one without a model file, or keys beside it.
    """
    if path.suffix.lower() != ".toml":
        return {"file": path.name, **given}
    if given:
        raise DesignError(
            f"expected the model's choices in the design alone, found --{next(iter(given))}",
            where=str(path),
            remedy="leave the option out",
        )
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("device")
    except (OSError, ValueError, RecursionError) as error:
        raise DesignError(f"cannot be read ({error})", where=str(path), remedy="give a TOML file") from error
    if not isinstance(table, dict) or "file" not in table:
        raise DesignError(
            "expected a table [device] with a file, found none",
            where=str(path),
            remedy='write file = "my_rram.lib" into [device]',
        )
    return table


def characterize_device(
    path: Path,
    given: Mapping[str, Any],
    *,
    engine: str = "ngspice",
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
) -> Characterized:
    """Measure the model of a design or a file, and write what was found beside the model's file.

    Args:
        path: a design (``.toml``) or a model file.
        given: see :func:`table_of`.
        engine: that reads the model.
        progress: told ("points", how many along a side of the table, of how many at most).
        options: of the engine (``time_limit``, ``executable``).

    Raises:
        DesignError: choices that cannot be.
        NetlistError: a model file that is unsafe or malformed, or a model that cannot serve.
        SimulatorMissing: the engine is not on this machine.
        UserError: a place that cannot be written.
    """
    from ohmweave.models.picture import draw

    choice = read_choice(table_of(path, given), str(path))
    library = load_library(choice, path.parent)
    made = characterize(choice, library, simulator(engine, **(options or {})), progress)
    target = stored_path(choice, path.parent)
    picture = target.with_suffix(".svg")
    try:
        write_characterisation(target, choice, library, made.surface, made.error)
        draw(picture, choice, made)
    except OSError as error:
        raise UserError(
            f"cannot be written ({error.strerror})", where=str(target), remedy="make the model's folder writable"
        ) from error
    return Characterized(choice, made, target, picture, remarks(library))
