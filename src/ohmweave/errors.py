"""The exception tree of ohmweave.

    OhmweaveError               anything ohmweave raises on purpose
    ├── UserError               the input is at fault: exit code 2
    │   ├── UnitError           a quantity without its unit, or with a wrong one
    │   ├── DesignError         an unknown key, an impossible choice
    │   ├── ModelError          a network that cannot be read or compiled
    │   ├── DataError           samples that cannot be read or do not fit the network
    │   ├── BuildError          a build directory that is missing, foreign or stale
    │   ├── NetlistError        a SPICE file that is unsafe or malformed
    │   └── SimulatorMissing    a simulator that is not on this machine
    └── EngineError             a run that did not end well: exit code 1
        ├── SimulationError     a simulator failed, hung or returned a broken file
        └── ConvergenceError    a solve that did not reach its tolerance

``AssumptionWarning`` tells what a file left open, and what was taken instead.

Every error says where (layer, tile, instance, or file and line), what was expected, what was found,
and what to do about it.
"""

__all__ = [
    "AssumptionWarning",
    "BuildError",
    "ConvergenceError",
    "DataError",
    "DesignError",
    "EngineError",
    "ModelError",
    "NetlistError",
    "OhmweaveError",
    "SimulationError",
    "SimulatorMissing",
    "UnitError",
    "UserError",
]


class OhmweaveError(Exception):
    """A failure with its place and its remedy; prints as ``where: message; remedy``."""

    exit_code = 1

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        """One line: the place, the message, the remedy."""
        place = f"{self.where}: " if self.where else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{place}{self.message}{remedy}"


class UserError(OhmweaveError):
    """The user's input is at fault."""

    exit_code = 2


class UnitError(UserError):
    """A quantity without its unit, or with a wrong one."""


class DesignError(UserError):
    """A design with an unknown key or an impossible choice."""


class ModelError(UserError):
    """A network that cannot be read or compiled."""


class DataError(UserError):
    """Samples that cannot be read or do not fit the network."""


class BuildError(UserError):
    """A build directory that is missing, foreign or stale."""


class NetlistError(UserError):
    """A SPICE file that is unsafe or malformed."""


class SimulatorMissing(UserError):
    """A simulator that is not on this machine."""


class AssumptionWarning(UserWarning):
    """A file leaves something open; the warning says what was assumed."""


class EngineError(OhmweaveError):
    """A run that did not end well."""


class SimulationError(EngineError):
    """A simulator failed, hung or returned a broken file."""


class ConvergenceError(EngineError):
    """A solve that did not reach its tolerance; ``sample`` is the number of that which the message names, if any."""

    def __init__(self, message: str, *, where: str = "", remedy: str = "", sample: int | None = None) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.sample = sample
