"""An op-amp of transistors, measured: its figures, and the file of its figures and curves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohmweave.blocks import opamps
from ohmweave.blocks.characterize import characterize_opamp
from ohmweave.blocks.figures import BENCHES, OpAmpFigures
from ohmweave.blocks.protocols import OpAmp
from ohmweave.errors import DesignError, UserError
from ohmweave.registry import nearest
from ohmweave.simulate.ngspice import NgspiceSimulator

__all__ = ["CharacterizedOpAmp", "characterize_known", "measure"]


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
            "figures": {name: value for name, value, _, _ in self.rows()},
            "units": {name: unit for name, _, unit, _ in self.rows()},
            "benches": BENCHES,
            "supplies": list(curves.supplies),
            "points": {name: len(getattr(curves, name)) for name in ("drive", "load", "floor")},
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
            f"expected an op-amp's kind, a design or a model file, found none of them: {name!r}",
            where="characterize",
            remedy=f"{nearest(name, known)} (or give a file that exists)",
        )
    return measure(name, known[name](), output or Path(f"{name}.characterized.json"), options)


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
    engine = NgspiceSimulator(**(options or {}))
    figures = characterize_opamp(opamp, engine)
    try:
        figures.save(file)
    except OSError as error:
        raise UserError(
            f"cannot be written ({error.strerror})", where=str(file), remedy="choose a place that can"
        ) from error
    return CharacterizedOpAmp(name, figures, file, f"{engine.name} {engine.version()}")
