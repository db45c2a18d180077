"""A user's device model, measured: from its design or its file to the files that stand beside it."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohmweave.blocks import neurons, opamps
from ohmweave.design import Design
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
from ohmweave.runs.neurons import CharacterizedNeuron, characterize_known_neuron
from ohmweave.runs.opamps import CharacterizedOpAmp, characterize_known, characterize_opamp_file, measure
from ohmweave.simulate import Progress, simulator

__all__ = ["Characterized", "characterize_device", "characterize_target", "table_of"]


_PARTS = ("device", "opamp")


@dataclass(frozen=True, eq=False)
class Characterized:
    """A characterisation, the files that hold it, and what the model will not do though it is read well."""

    choice: ModelChoice
    made: Characterisation
    file: Path
    picture: Path
    remarks: tuple[str, ...] = ()

    @property
    def part(self) -> str:
        """Which part of a design it is."""
        return "device"

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


def table_of(path: Path, given: Mapping[str, Any], part: str = "device") -> dict[str, Any]:
    """The table of a part: of a design, or of what was given beside a model file.

    Args:
        path: a design (``.toml``) or a model file.
        given: the table's further keys, for a model file only; ``include`` lists ``FILE`` or ``FILE:SECTION``.
        part: ``device`` or ``opamp``.

    Raises:
        DesignError: a design that cannot be read, one without a model file, or keys beside it.
    """
    if path.suffix.lower() != ".toml":
        further = {"include": _further(given["include"])} if "include" in given else {}
        return {"file": path.name, **given, **further}
    if given:
        raise DesignError(
            f"expected the model's choices in the design alone, found --{next(iter(given))}",
            where=str(path),
            remedy="leave the option out",
        )
    table = _tables(path).get(part)
    if not isinstance(table, dict) or "file" not in table:
        raise DesignError(
            "expected a table [device] or [opamp] with a file, found none",
            where=str(path),
            remedy='write file = "my_rram.lib" into [device], or file = "my_opamp.lib" into [opamp]',
        )
    return table


def _further(named: Iterable[str]) -> list[str | dict[str, str]]:
    """``FILE`` or ``FILE:SECTION`` each as a design has them."""
    parts = (each.partition(":") for each in named)
    return [{"file": file, "section": section} if colon else file for file, colon, section in parts]


def _tables(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DesignError(f"cannot be read ({error})", where=str(path), remedy="give a TOML file") from error


def characterize_target(
    path: Path,
    given: Mapping[str, Any],
    output: Path | None = None,
    *,
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
) -> tuple[Characterized | CharacterizedOpAmp | CharacterizedNeuron, ...]:
    """Measure what a path names: an op-amp or a neuron by its kind, or the models of a design or a file.

    Args:
        path: an op-amp's or a neuron's kind, a design (``.toml``) or a model file.
        given: see :func:`table_of`.
        output: the file to write; only of a kind, or of a design with an op-amp's.
        progress: told as in :func:`characterize_device`.
        options: of the engine (``time_limit``, ``executable``).

    Raises:
        DesignError: choices that cannot be, an unknown kind.
        NetlistError: a model file that is unsafe or malformed, or a model that cannot serve.
        SimulatorMissing: no ngspice.
        UserError: a place that cannot be written.
    """
    known = not path.suffix and not path.exists()
    if known and given:
        raise DesignError(
            f"expected no choices of a model file, found --{next(iter(given))}",
            where=str(path),
            remedy="leave the option out, or give a file that exists",
        )
    if known and str(path) in neurons():
        return (characterize_known_neuron(str(path), output, options=options),)
    if known:
        return (characterize_known(str(path), output, options=options),)
    kind = None if given else _kind(path)
    if kind is not None:
        return (measure(kind, Design.load(path).opamp, output or Path(f"{kind}.characterized.json"), options),)
    if output is not None:
        raise DesignError(
            "expected --output for a kind alone, found it for a file",
            where=str(path),
            remedy="leave it out: what is measured stands beside the model's file",
        )
    if path.suffix.lower() == ".toml" and not given:
        tables = _tables(path)
        parts = [part for part in _PARTS if isinstance(tables.get(part), dict) and "file" in tables[part]]
    else:
        parts = ["opamp"] if "supplies" in given else ["device"]
    return tuple(
        characterize_opamp_file(path, table_of(path, given, part), options=options)
        if part == "opamp"
        else characterize_device(path, given, progress=progress, options=options)
        for part in parts or ["device"]
    )


def _kind(path: Path) -> str | None:
    """The kind of a design's op-amp, where that is all that a design has to be measured."""
    tables = _tables(path) if path.suffix.lower() == ".toml" else {}
    filed = any(isinstance(tables.get(part), dict) and "file" in tables[part] for part in _PARTS)
    kind = None if filed or not isinstance(tables.get("opamp"), dict) else tables["opamp"].get("kind")
    return kind if isinstance(kind, str) and kind in opamps() and opamps()[kind].supplied else None


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
