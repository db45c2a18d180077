"""The page about a build."""

from pathlib import Path

from ohmweave.archive import RESULTS, load
from ohmweave.errors import BuildError
from ohmweave.report import Check, Evidence, SpikeCheck, SpikeEvidence, render, render_spiking
from ohmweave.report import write as write_page
from ohmweave.runs.results import SIMULATED, VERIFIED, netlist_digest
from ohmweave.spiking import SpikingChip

__all__ = ["report"]


def report(build: Path, output: Path) -> Path:
    """Write the page about a build from its results.

    Raises:
        BuildError: nothing was simulated yet.
    """
    chip = load(build)
    if isinstance(chip, SpikingChip):
        return _report_spiking(build, chip, output)
    evidence = Evidence.load(build / RESULTS, _simulated(build), chip.plan.digest())
    checked = (build / RESULTS / f"{VERIFIED}.json").is_file()
    check = Check.load(build / RESULTS, VERIFIED, chip.plan.digest()) if checked else None
    if check is not None and check.netlist != netlist_digest(build):
        check = None  # it was another netlist that was checked
    write_page(render(chip.plan, evidence, check), output)
    return output


def _report_spiking(build: Path, chip: SpikingChip, output: Path) -> Path:
    digest, results = chip.plan.digest(), build / RESULTS
    evidence = SpikeEvidence.load(results, _simulated(build), digest)
    checked = (results / f"{VERIFIED}.json").is_file()
    check = SpikeCheck.load(results, VERIFIED, digest) if checked else None
    if check is not None and check.netlist != netlist_digest(build):
        check = None  # it was another netlist that was checked
    return write_page(render_spiking(chip.plan, evidence, check), output)


def _simulated(build: Path) -> str:
    """The stem of the result to show: the native engine's word where there is one, else the latest."""
    stems = sorted((build / RESULTS).glob(f"{SIMULATED}-*.json"), key=lambda path: path.stat().st_mtime)
    if not stems:
        raise BuildError("nothing was simulated yet", where=str(build), remedy="run ohmweave simulate on it first")
    names, native = [path.stem for path in stems], f"{SIMULATED}-native"
    return native if native in names else names[-1]
