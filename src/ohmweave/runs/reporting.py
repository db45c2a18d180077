"""The page about a build."""

from pathlib import Path

from ohmweave.archive import RESULTS, load
from ohmweave.errors import BuildError
from ohmweave.report import Check, Evidence, render
from ohmweave.report import write as write_page
from ohmweave.runs.results import SIMULATED, VERIFIED, netlist_digest

__all__ = ["report"]


def report(build: Path, output: Path) -> Path:
    """Write the page about a build from its results.

    Raises:
        BuildError: nothing was simulated yet.
    """
    chip = load(build)
    stems = sorted((build / RESULTS).glob(f"{SIMULATED}-*.json"), key=lambda path: path.stat().st_mtime)
    if not stems:
        raise BuildError("nothing was simulated yet", where=str(build), remedy="run ohmweave simulate on it first")
    # The native engine's word where there is one, else the latest.
    names = [path.stem for path in stems]
    native = f"{SIMULATED}-native"
    evidence = Evidence.load(build / RESULTS, native if native in names else names[-1], chip.plan.digest())
    checked = (build / RESULTS / f"{VERIFIED}.json").is_file()
    check = Check.load(build / RESULTS, VERIFIED, chip.plan.digest()) if checked else None
    if check is not None and check.netlist != netlist_digest(build):
        check = None  # it was another netlist that was checked
    write_page(render(chip.plan, evidence, check), output)
    return output
