"""Runs of a build directory: simulate, verify and report, their results kept beside the chip; and of device models."""

from ohmweave.runs.characterizing import Characterized, characterize_device
from ohmweave.runs.reporting import report
from ohmweave.runs.simulating import Simulated, simulate
from ohmweave.runs.verifying import TOLERANCE, Verified, verify

__all__ = [
    "TOLERANCE",
    "Characterized",
    "Simulated",
    "Verified",
    "characterize_device",
    "report",
    "simulate",
    "verify",
]
