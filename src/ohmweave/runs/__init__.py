"""Runs of a build directory: simulate, verify and report, their results kept beside the chip; and of models."""

from ohmweave.runs.characterizing import Characterized, characterize_device, characterize_target
from ohmweave.runs.compiling import Compiled
from ohmweave.runs.firing import SpikesSimulated, SpikesVerified
from ohmweave.runs.neurons import CharacterizedNeuron
from ohmweave.runs.opamps import CharacterizedOpAmp, characterize_known
from ohmweave.runs.reporting import report
from ohmweave.runs.simulating import Simulated, simulate
from ohmweave.runs.verifying import TOLERANCE, Verified, verify

__all__ = [
    "TOLERANCE",
    "Characterized",
    "CharacterizedNeuron",
    "CharacterizedOpAmp",
    "Compiled",
    "Simulated",
    "SpikesSimulated",
    "SpikesVerified",
    "Verified",
    "characterize_device",
    "characterize_known",
    "characterize_target",
    "report",
    "simulate",
    "verify",
]
