"""The written netlist in another engine, against the native one."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohmweave.analysis.deviation import Deviation, deviation
from ohmweave.archive import CACHE, NETLIST, RESULTS, load
from ohmweave.chip import Chip
from ohmweave.design import Design
from ohmweave.devices.file import FileDevice
from ohmweave.errors import BuildError, DesignError
from ohmweave.frontend import Data
from ohmweave.report import Check
from ohmweave.runs.firing import SpikesVerified, verify_spikes
from ohmweave.runs.results import VERIFIED, first_samples, netlist_digest
from ohmweave.runs.staged import check_stages
from ohmweave.simulate import Progress, Simulator, simulator, simulator_on
from ohmweave.spiking import SpikingChip
from ohmweave.units import Array

__all__ = ["TOLERANCE", "Verified", "verify"]

TOLERANCE = 1e-6
_LARGEST_TOLERANCE = 1e-3
# Op-amps of transistors are solved from measured curves.
_TRANSISTORS = 1e-2


@dataclass(frozen=True, eq=False)
class Verified:
    """A comparison of the native engine with another on the written netlist."""

    chip: Chip
    check: Check
    deviation: Deviation
    native_seconds: float

    @property
    def ok(self) -> bool:
        """Whether every stage agrees to the tolerance."""
        return self.deviation.largest <= self.check.tolerance

    @property
    def complaint(self) -> str:
        """What is wrong where it is not ok."""
        worst = f"node {self.deviation.node} at sample {self.deviation.sample}"
        found, allowed = self.deviation.largest, self.check.tolerance
        return f"the engines disagree by {found:.2e} of full scale, allowed {allowed:.0e}: see {worst}"

    def summary(self) -> dict[str, Any]:
        """The figures for ``--json``."""
        worst = {"stage": self.deviation.stage, "sample": self.deviation.sample, "node": self.deviation.node}
        return {
            "engine": self.check.engine,
            "engine_version": self.check.version,
            "samples": self.check.samples,
            "max_relative_error": self.deviation.largest,
            "tolerance": self.check.tolerance,
            "by_stage": dict(self.deviation.by_stage),
            "worst": worst,
            "ok": self.ok,
            "seconds": {"engine": self.check.seconds, "native": self.native_seconds},
        }


def verify(
    build: Path,
    data: Data,
    *,
    samples: int = 8,
    engine: str = "ngspice",
    tolerance: float | None = None,
    progress: Progress | None = None,
    options: dict[str, Any] | None = None,
) -> Verified | SpikesVerified:
    """Run the netlist that stands in a build in another engine and compare every stage with the native one.

    ngspice runs the file itself; engines with another dialect the same circuit, written anew in theirs.

    Of a sampled chip every stage's netlist is run by itself, at some of its positions; see
    :func:`ohmweave.runs.staged.check_stages`.

    Args:
        build: a build directory; its ``netlist/chip.cir`` is what the other engine runs, or ``netlist/s0.cir``
            and so on of a sampled chip, which are written where they are not there yet.
        data: samples in network units.
        samples: how many, from the first; of a sampled chip also the number of positions of each stage.
        engine: the engine to check against.
        tolerance: largest deviation allowed, relative to each stage's full scale; if not given 1e-6, with a
            device of the user's 1e-3 or what its table may be off, whichever is less, with op-amps of transistors 1e-2.
        progress: told ("stages", how many are done, of how many) in sampled chips.
        options: further options of the engine (``time_limit``, ``executable``).

    Raises:
        BuildError: no build, or one without its netlist.
        DataError: no samples, or samples that do not fit.
        DesignError: no such engine, or the native one, which reads no netlist.
        NetlistError: a netlist with more than circuit in it.
        SimulatorMissing: the engine is not on this machine.
        EngineError: a run that did not end well.
    """
    if engine == "native":
        raise DesignError(
            "expected an engine that reads netlists, found 'native', which is the one that is checked",
            where="engine",
            remedy="use ngspice",
        )
    chip = load(build)
    if isinstance(chip, SpikingChip):
        return verify_spikes(
            build, chip, data, samples=samples, engine=engine, tolerance=tolerance, progress=progress,
            options=options or {},
        )  # fmt: skip
    tolerance = _usual(chip.plan.design) if tolerance is None else tolerance
    x, _ = first_samples(data, samples)
    if chip.plan.design.coupling.sampled:
        # A misspelt or missing engine is told before anything is computed.
        version = simulator(engine, **(options or {})).version()
        native = simulator("native", cache=build / CACHE)
        found = check_stages(build, chip, x, native, (engine, options or {}), progress)
        return _verified(build, chip, found.volts, found.native, (engine, version), found.seconds, tolerance)
    if not (build / NETLIST).is_file():
        raise BuildError("expected the netlist, found none", where=str(build / NETLIST), remedy="compile again")
    other: Simulator = simulator_on(engine, build / NETLIST, **(options or {}))
    begun = time.perf_counter()
    spice = chip.simulate(x, other)
    between = time.perf_counter()
    run = chip.simulate(x)
    seconds = (between - begun, time.perf_counter() - between)
    told = (spice.waves.engine, spice.waves.version)
    return _verified(build, chip, spice.stage_volts, run.stage_volts, told, seconds, tolerance)


def _usual(design: Design) -> float:
    if design.opamp.supplied:
        return _TRANSISTORS
    device = design.device
    return min(_LARGEST_TOLERANCE, device.error) if isinstance(device, FileDevice) else TOLERANCE


def _verified(
    build: Path,
    chip: Chip,
    volts: Mapping[str, Array],
    native: Mapping[str, Array],
    engine: tuple[str, str],
    seconds: tuple[float, float],
    tolerance: float,
) -> Verified:
    """Keep a comparison; ``engine`` is its name and version, ``seconds`` are its own and the native engine's."""
    check = Check(
        engine=engine[0],
        version=engine[1],
        samples=len(next(iter(volts.values()))),
        stage_volts=volts,
        native_volts=native,
        seconds=seconds[0],
        tolerance=tolerance,
        netlist=netlist_digest(build),
    )
    check.save(build / RESULTS, VERIFIED, chip.plan.digest())
    return Verified(chip, check, deviation(native, volts), seconds[1])
