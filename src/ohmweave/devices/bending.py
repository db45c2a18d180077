"""Devices whose curves differ from one to the next while their conductance at small voltages stays."""

from dataclasses import dataclass, replace

import numpy as np

from ohmweave.circuit import Behavioural, Cell, Crossbar, Instance, Law
from ohmweave.errors import DesignError
from ohmweave.units import Array

__all__ = ["bent"]


@dataclass(frozen=True)
class _Scaled:
    """s f(x / s) as the device's cell writes it; ``{s}`` is the cell's parameter."""

    law: Law
    s: float = 1.0

    def value(self, x: Array) -> Array:
        return np.asarray(self.s * self.law.value(x / self.s))

    def slope(self, x: Array) -> Array:
        return self.law.slope(x / self.s)

    def expression(self, x: str) -> str:
        return f"{{s}}*({self.law.expression(f'({x}/{{s}})')})"


def bent(cell: Cell) -> Cell:
    """The cell of a device with one parameter more, its voltage scale.

    i = s law(v / s, g); for a sinh it is v0 that becomes s v0. With s = 1, the default, it is the device itself,
    and whatever s is, the conductance at small voltages stays. A model: one number for each device that bends
    any law.

    Args:
        cell: of a two-terminal device, ports p and n, parameter g and a law.

    Returns:
        Another cell, of the name with ``_bent`` behind it, parameters g and s (no unit) and the same law.

    Raises:
        DesignError: a device without a law or with a parameter s already, or with anything between its
            terminals but behavioural sources controlled by the voltage between them.
    """
    remedy = "leave out effects that bend the device's curve"
    if cell.law is None or "s" in cell.params:
        found = "no law" if cell.law is None else "a parameter s of its own"
        raise DesignError(
            f"expected a device with a current law and no parameter s, found {found}",
            where=f"device {cell.name}",
            remedy=remedy,
        )
    return replace(
        cell,
        name=f"{cell.name}_bent",
        parts=tuple(_bent_part(cell, part, remedy) for part in cell.parts),
        params={**cell.params, "s": 1.0},
        note=f"{cell.note}, its voltages scaled by s" if cell.note else "voltages scaled by s",
    )


def _bent_part(cell: Cell, part: Instance | Crossbar, remedy: str) -> Instance:
    ends = set(cell.ports)
    if isinstance(part, Instance) and isinstance(part.of, Behavioural):
        p, n, cp, cn = part.nets
        if {p, n} == {cp, cn} == ends:
            return replace(part, of=Behavioural(_Scaled(part.of.law)))
    raise DesignError(
        "expected nothing but behavioural sources between the terminals, controlled by the voltage there, "
        f"found {part.name}",
        where=f"device {cell.name}",
        remedy=remedy,
    )
