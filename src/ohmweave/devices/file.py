"""The user's own memristor: a model file as the circuit, what was measured on it as the mathematics."""

import json
import re
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from ohmweave.circuit import Cell, Foreign, Instance, Library
from ohmweave.devices.conductance import ConductanceRange
from ohmweave.devices.surface import Surface
from ohmweave.errors import DesignError
from ohmweave.units import Array, format_quantity

__all__ = ["FileDevice", "Included", "ModelChoice", "StateRange", "include_toml", "model_cell"]

# Path and section of each further file of a model, as :class:`ohmweave.circuit.Library` has its entries.
Included = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class StateRange:
    """The instance parameter that programs a model, in the model's own unit.

    Args:
        parameter: its name.
        low, high: the values between which it may be set.
    """

    parameter: str
    low: float
    high: float


@dataclass(frozen=True)
class ModelChoice:
    """Which model of which file a design means: its table ``[device]``.

    Args:
        file: path of the model file, as the design has it.
        name: the subcircuit.
        ports: its positive and its negative port.
        state: what programs it.
        section: section of a library; empty where there are none.
        include: further files that it needs, brought in before it, each with the section of it that is taken; empty
            where the whole file is.
        v_read: voltage of the read that measures the conductance, V.
        v_max: the current is known from -v_max to v_max, V.
    """

    file: str
    name: str
    ports: tuple[str, str]
    state: StateRange
    section: str = ""
    include: Included = ()
    v_read: float = 0.1
    v_max: float = 0.6


@dataclass(frozen=True)
class FileDevice:
    """i = f(v, g) as measured in SPICE on the model, whose state is set so that i(v_read) = g v_read.

    Args:
        choice: which model.
        limits: the conductances used and the levels among them.
        error: largest deviation of the table from SPICE, relative to the current.
        library: the files.
        surface: the table.

    Raises:
        DesignError: conductances that the model does not reach.
    """

    choice: ModelChoice
    limits: ConductanceRange
    error: float
    library: Library = field(compare=False)
    surface: Surface = field(compare=False)
    digest: str = ""

    def __post_init__(self) -> None:
        low, high = self.reach
        if self.limits.g_off < low * (1.0 - 1e-9) or self.limits.g_on > high * (1.0 + 1e-9):
            raise DesignError(
                f"expected conductances that {self.choice.name} reaches, {_siemens(low)} to {_siemens(high)}, found "
                f"{_siemens(self.limits.g_off)} to {_siemens(self.limits.g_on)}",
                where="device",
                remedy="leave out g_off and g_on, or widen state.low and state.high and characterize again",
            )

    @property
    def g_range(self) -> tuple[float, float]:
        """Lowest and highest conductance used, S."""
        return self.limits.g_range

    @property
    def reach(self) -> tuple[float, float]:
        """Lowest and highest conductance of the model, S."""
        return float(self.surface.g[0]), float(self.surface.g[-1])

    def require_reach(self, g: Array, where: str) -> None:
        """Refuse conductances ``g`` (S, nan where there is no device) that no state of the model makes."""
        low, high = self.reach
        found = g[(g < low * (1.0 - 1e-9)) | (g > high * (1.0 + 1e-9))]
        if found.size:
            raise DesignError(
                f"expected conductances that {self.choice.name} reaches, {_siemens(low)} to {_siemens(high)}, found "
                f"{_siemens(float(found.flat[0]))} in {found.size} devices",
                where=where,
                remedy="leave room for the effects: give device.g_off and device.g_on inside of that",
            )

    def program(self, target: Array, rng: Generator) -> Array:
        """Round each target (S) to the nearest level; analog devices reach it exactly."""
        return self.limits.program(target, rng)

    def current(self, v: Array, g: Array) -> Array:
        """Current in A at voltage ``v`` (V) and conductance ``g`` (S)."""
        return self.surface.current(v, g)

    def slope(self, v: Array, g: Array) -> Array:
        """di/dv, S."""
        return self.surface.slope(v, g)

    def cell(self) -> Cell:
        """The model between p and n, with the parameter g and the state that follows from it."""
        return model_cell(self.choice, self.library, self)

    def toml(self) -> list[str]:
        """The design's lines of this device, in a folder that holds the library's files."""
        choice, state = self.choice, self.choice.state
        values: dict[str, object] = {
            "file": choice.file,
            "name": choice.name,
            "section": choice.section,
            "ports": list(choice.ports),
            "include": include_toml(choice.include),
            "v_read": format_quantity(choice.v_read, "V"),
            "v_max": format_quantity(choice.v_max, "V"),
            "g_off": format_quantity(self.limits.g_off, "S"),
            "g_on": format_quantity(self.limits.g_on, "S"),
            "levels": self.limits.levels,
            "digest": self.digest,
        }
        lines = [f"{key} = {value if key == 'include' else json.dumps(value)}" for key, value in values.items()]
        inner = f"parameter = {json.dumps(state.parameter)}, low = {state.low!r}, high = {state.high!r}"
        return ['kind = "file"', *lines, f"state = {{ {inner} }}", ""]


def include_toml(include: Included) -> str:
    """Further files of a model as a design lists them."""
    entries = (
        f"{{ file = {json.dumps(file)}, section = {json.dumps(section)} }}" if section else json.dumps(file)
        for file, section in include
    )
    return f"[{', '.join(entries)}]"


def model_cell(choice: ModelChoice, library: Library, law: FileDevice | None = None) -> Cell:
    """A model as a cell with ports p, n and parameter ``state``.

    Args:
        choice: which model.
        library: its files.
        law: the device, once it was measured; the cell then has g and its law as well.
    """
    model = Foreign(choice.name, ((choice.state.parameter, "{state}"),), library)
    name = f"memristor_{re.sub(r'[^a-z0-9_]', '_', choice.name.lower())}"
    forward = library.ports[0].lower() == choice.ports[0].lower()
    part, note = Instance("u1", model, ("p", "n") if forward else ("n", "p")), f"{choice.name} of the user's files"
    if law is None:
        return Cell(name, ("p", "n"), (part,), {"state": choice.state.low}, note=note)
    state_of = law.surface.state_of
    params = {"g": law.limits.g_off, "state": float(state_of(np.array(law.limits.g_off)))}
    return Cell(name, ("p", "n"), (part,), params, law, f"{note}, g by its state", {"state": state_of})


def _siemens(value: float) -> str:
    return f"{value:.4g} S"
