"""What all runs of a build share: where results stand, and which samples are run."""

import hashlib
from pathlib import Path

from ohmweave.archive import NETLIST
from ohmweave.errors import DataError
from ohmweave.frontend import Data
from ohmweave.frontend.data import Labels
from ohmweave.units import Array

__all__ = ["SIMULATED", "VERIFIED", "first_samples", "netlist_digest"]

SIMULATED = "simulate"
VERIFIED = "verify"


def netlist_digest(build: Path) -> str:
    """SHA-256 of every netlist of a build, empty where there is none."""
    paths = sorted((build / NETLIST.parent).glob(f"*{NETLIST.suffix}"))
    state = hashlib.sha256()
    for path in paths:
        state.update(path.name.encode())
        with path.open("rb") as stream:
            state.update(hashlib.file_digest(stream, "sha256").digest())
    return state.hexdigest() if paths else ""


def first_samples(data: Data, count: int | None) -> tuple[Array, Labels | None]:
    """The first ``count`` samples and their labels, all of them where it is ``None``.

    Raises:
        DataError: a count below one.
    """
    if count is not None and count < 1:
        raise DataError(f"expected at least 1 sample, found {count}", where="samples", remedy="ask for one or more")
    return data.x[:count], None if data.y is None else data.y[:count]
