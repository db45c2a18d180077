"""Runs of a build directory: simulate, verify and report, their results kept beside the chip."""

from ohmweave.runs.reporting import report
from ohmweave.runs.simulating import Simulated, simulate
from ohmweave.runs.verifying import TOLERANCE, Verified, verify

__all__ = ["TOLERANCE", "Simulated", "Verified", "report", "simulate", "verify"]
