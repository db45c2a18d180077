"""An op-amp of transistors, measured: its figures, and the file of its figures and curves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohmweave.blocks import neurons, opamps
from ohmweave.blocks.characterize import characterize_cells, characterize_opamp
from ohmweave.blocks.figures import BENCHES, OpAmpFigures
from ohmweave.blocks.file_opamp import opamp_circuit
from ohmweave.blocks.protocols import OpAmp
from ohmweave.errors import DesignError, NetlistError, SimulationError
from ohmweave.models import load_opamp_library, opamp_path, read_opamp_choice
from ohmweave.registry import nearest
from ohmweave.runs.measured import keep, require_folder, told
from ohmweave.simulate.ngspice import NgspiceSimulator

__all__ = ["CharacterizedOpAmp", "characterize_known", "characterize_opamp_file", "measure"]

# With less, a loop's virtual ground is none: stages would divide by what they should amplify.
_LEAST_GAIN = 10.0
_POINTS = ("drive", "load", "floor", "sunk", "lower", "held")


@dataclass(frozen=True, eq=False)
class CharacterizedOpAmp:
    """An op-amp's figures, the file that holds them with its curves, and the engine that measured them."""

    name: str
    figures: OpAmpFigures
    file: Path
    engine: str

    @property
    def part(self) -> str:
        """Which part of a design it is."""
        return "opamp"

    def rows(self) -> tuple[tuple[str, float, str, str], ...]:
        """Name, value, unit and bench of each figure."""
        return tuple((*row, BENCHES[row[0]]) for row in self.figures.rows())

    def summary(self) -> dict[str, Any]:
        """The figures for ``--json``."""
        curves = self.figures.curves
        return {
            "opamp": self.name,
            "file": str(self.file),
            **told(self.figures, BENCHES),
            "supplies": list(curves.supplies),
            "points": {name: len(getattr(curves, name)) for name in _POINTS},
            "circuit": self.figures.circuit,
            "engine": self.engine,
        }


def characterize_known(
    name: str, output: Path | None = None, *, options: Mapping[str, Any] | None = None
) -> CharacterizedOpAmp:
    """Measure an op-amp that a design calls by its kind.

    Args:
        name: the kind.
        output: the file to write; ``NAME.characterized.json`` here if none.
        options: of ngspice (``time_limit``, ``executable``).

    Raises:
        DesignError: an unknown kind, or one that is no circuit of transistors.
        SimulatorMissing: no ngspice.
        UserError: a place that cannot be written.
    """
    known = opamps()
    if name not in known:
        raise DesignError(
            f"expected an op-amp's or a neuron's kind, a design or a model file, found none of them: {name!r}",
            where="characterize",
            remedy=f"{nearest(name, {**known, **neurons()})} (or give a file that exists)",
        )
    return measure(name, known[name](), output or Path(f"{name}.characterized.json"), options)


def characterize_opamp_file(
    path: Path, table: Mapping[str, Any], *, options: Mapping[str, Any] | None = None
) -> CharacterizedOpAmp:
    """Measure the op-amp of a design's or a file's, and write what was found beside the op-amp's file.

    Args:
        path: the design or the file.
        table: the table ``[opamp]``.
        options: of ngspice.

    Raises:
        DesignError: choices that cannot be.
        NetlistError: a file that is unsafe or malformed, or a subcircuit that is no op-amp.
        SimulatorMissing: no ngspice.
        UserError: a place that cannot be written.
    """
    choice = read_opamp_choice(table, str(path))
    library = load_opamp_library(choice, path.parent)
    engine = NgspiceSimulator(**(options or {}))
    plain, held = (opamp_circuit(choice, library, name, low) for name, low in (("opamp", None), ("opamp_held", 0.0)))
    try:
        figures = characterize_cells(plain, held, engine)
    except SimulationError as error:
        raise NetlistError(
            f"expected an op-amp that ngspice can measure, found: {error.message}",
            where=f"{choice.file}: {choice.name}",
            remedy=error.remedy or "mend the subcircuit, its supplies and its bias",
        ) from error
    if not figures.gain >= _LEAST_GAIN:
        raise NetlistError(
            f"expected an op-amp with a gain of at least {_LEAST_GAIN:g}, found {figures.gain:.3g}",
            where=f"{choice.file}: {choice.name}",
            remedy="mend the subcircuit, its supplies and its bias",
        )
    return _written(choice.name, figures, opamp_path(choice, path.parent), engine)


def measure(name: str, opamp: OpAmp, file: Path, options: Mapping[str, Any] | None = None) -> CharacterizedOpAmp:
    """Measure an op-amp and write what was found.

    Args:
        name: what messages call it.
        opamp: the op-amp.
        file: to write.
        options: of ngspice.

    Raises:
        DesignError: an op-amp that is no circuit of transistors.
        SimulatorMissing: no ngspice.
        UserError: a place that cannot be written.
    """
    if not opamp.supplied:
        known = sorted(kind for kind, made in opamps().items() if made.supplied)
        raise DesignError(
            f"expected an op-amp of transistors, found {name!r}, whose figures are its design's own",
            where="characterize",
            remedy=f"known are {', '.join(known)}",
        )
    require_folder(file)
    engine = NgspiceSimulator(**(options or {}))
    return _written(name, characterize_opamp(opamp, engine), file, engine)


def _written(name: str, figures: OpAmpFigures, file: Path, engine: NgspiceSimulator) -> CharacterizedOpAmp:
    keep(figures, file)
    return CharacterizedOpAmp(name, figures, file, f"{engine.name} {engine.version()}")
