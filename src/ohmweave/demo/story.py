"""The demonstration: a perceptron for handwritten digits, compiled, run and checked in SPICE."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohmweave import archive, runs
from ohmweave.compile import compile as weave
from ohmweave.demo.digits_mlp import WEIGHTS
from ohmweave.design import Design
from ohmweave.errors import SimulatorMissing
from ohmweave.frontend import load_data
from ohmweave.runs import Simulated, Verified
from ohmweave.simulate import Progress, simulator

__all__ = ["Outcome", "run"]

_MODEL = "ohmweave.demo.digits_mlp:model"
_CHECKED = 8


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the demonstration found; ``verified`` is ``None`` where the simulator is missing."""

    simulated: Simulated
    verified: Verified | None
    report: Path
    missing: str

    @property
    def ok(self) -> bool:
        """Whether SPICE agrees, as far as it was asked."""
        return self.verified is None or self.verified.ok

    def summary(self) -> dict[str, Any]:
        """The figures for ``--json``."""
        plan = self.simulated.chip.plan
        return {
            "simulate": self.simulated.summary(),
            "verify": None if self.verified is None else self.verified.summary(),
            "memristors": plan.devices,
            "opamps": plan.opamps,
            "report": str(self.report),
        }

    def rows(self) -> list[tuple[str, str]]:
        """The table for people."""
        s, plan = self.simulated.summary(), self.simulated.chip.plan
        rows = [
            ("software accuracy", f"{s['software_accuracy']:.2%} of {s['samples']} held-out images"),
            ("circuit accuracy", f"{s['accuracy']:.2%}"),
            ("decision agreement", f"{s['decision_agreement']:.2%}"),
        ]
        if self.verified is None:
            rows.append(("largest deviation from SPICE", f"not checked: {self.missing}"))
        else:
            v = self.verified.summary()
            where = f"stage {v['worst']['stage']}, sample {v['worst']['sample']}"
            text = f"{v['max_relative_error']:.1e} of full scale ({where}; every layer of {v['samples']} images)"
            rows.append(("largest deviation from SPICE", text))
        rows += [
            ("memristors", f"{plan.devices}"),
            ("op-amps", f"{plan.opamps}"),
            ("static power", f"{s['static_power_w'] * 1e3:.2f} mW"),
            ("native engine", f"{s['seconds']['total']:.2f} s for {s['samples']} images"),
        ]
        if self.verified is not None:
            v = self.verified.summary()
            rows.append(
                (f"{v['engine']} {v['engine_version']}", f"{v['seconds']['engine']:.2f} s for {v['samples']} images")
            )
        return rows


def run(build: Path, *, engine: str, progress: Progress | None, say: Callable[[str], None]) -> Outcome:
    """Compile the digits network with the default design, simulate, verify, report.

    Args:
        build: the build directory to make.
        engine: the engine to check against; the check is left out, visibly, where it is missing.
        progress: told (what is done, how many of them, of how many).
        say: told what happens, line by line.
    """
    # A misspelt engine is told before anything is computed.
    simulator(engine)
    say("compiling the 64-32-10 digits network")
    chip = weave(_MODEL, Design.default(), calibration=load_data("digits", "train").x, weights=WEIGHTS)
    archive.save(chip, build)
    data = load_data("digits", "test")
    say(f"running all {len(data.x)} held-out images through the circuit")
    simulated = runs.simulate(build, data, fresh=True, progress=progress)
    say(f"running {_CHECKED} of them through the complete netlist in {engine}")
    verified, missing = None, ""
    try:
        verified = runs.verify(build, data, samples=_CHECKED, engine=engine)
    except SimulatorMissing as error:
        missing = str(error)
        say(missing)
    page = runs.report(build, build / "report.html")
    # The digits network has no spikes.
    assert isinstance(simulated, runs.Simulated)
    assert verified is None or isinstance(verified, runs.Verified)
    return Outcome(simulated, verified, page, missing)
