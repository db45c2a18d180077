"""Simulators: a bench goes in, waves come out. Each is loaded when it is first asked for."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

from ohmweave.bench import Bench, Waves
from ohmweave.errors import DesignError
from ohmweave.registry import merge, nearest

__all__ = [
    "SIMULATORS",
    "Precision",
    "Progress",
    "Simulator",
    "compilers",
    "detect",
    "simulator",
    "simulator_on",
    "simulators",
]

Precision = Literal["float64", "float32"]
Progress = Callable[[str, int, int], None]


class Simulator(Protocol):
    """Whatever finds the operating points of a bench."""

    @property
    def name(self) -> str:
        """What the user calls it."""
        ...

    def version(self) -> str:
        """Its version; raises SimulatorMissing where it is not on this machine."""
        ...

    def run(self, bench: Bench) -> Waves:
        """Every probe and current of every sample; raises EngineError where any is in doubt."""
        ...


Factory = Callable[..., Simulator]


def _later(module: str, name: str) -> Factory:
    def make(**options: Any) -> Simulator:
        made: Simulator = getattr(import_module(module), name)(**options)
        return made

    return make


SIMULATORS: Mapping[str, Factory] = {
    "native": _later("ohmweave.simulate.native", "Native"),
    "ngspice": _later("ohmweave.simulate.ngspice", "NgspiceSimulator"),
    "vacask": _later("ohmweave.simulate.vacask", "VacaskSimulator"),
    "xyce": _later("ohmweave.simulate.xyce", "XyceSimulator"),
    "hspice": _later("ohmweave.simulate.hspice", "HspiceSimulator"),
    "spectre": _later("ohmweave.simulate.spectre", "SpectreSimulator"),
}


# These write the circuit anew in their own dialect; ngspice's netlist on disk is not theirs.
_ANEW = frozenset({"vacask", "xyce", "hspice", "spectre"})


def simulators() -> dict[str, Factory]:
    """Every simulator by name, those of entry-point group ``ohmweave.simulators`` included."""
    return merge("ohmweave.simulators", SIMULATORS)


def simulator(name: str, **options: Any) -> Simulator:
    """Make the simulator called ``name`` with its own options.

    Raises:
        DesignError: no such simulator; says which name is nearest.
    """
    known = simulators()
    if name not in known:
        raise DesignError(f"expected a simulator, found {name!r}", where="engine", remedy=nearest(name, known))
    return known[name](**options)


def simulator_on(name: str, netlist: Path, **options: Any) -> Simulator:
    """Make the simulator called ``name`` to run a netlist as it lies on disk, where it reads ngspice's words.

    Raises:
        DesignError: no such simulator; says which name is nearest.
    """
    return simulator(name, **options) if name in _ANEW else simulator(name, netlist=netlist, **options)


def detect() -> dict[str, dict[str, Any]]:
    """Which simulators this machine has: ``{name: {"path", "version", "klu", "osdi", "runs"}}``."""
    found: dict[str, dict[str, Any]] = import_module("ohmweave.simulate.survey").detect()
    return found


def compilers() -> dict[str, dict[str, Any]]:
    """Which compilers of Verilog-A this machine has: ``{name: {"path", "version", "runs"}}``."""
    found: dict[str, dict[str, Any]] = import_module("ohmweave.simulate.survey").compilers()
    return found
