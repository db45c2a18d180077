"""Results as one self-contained HTML page."""

from ohmweave.report.evidence import Check, Evidence
from ohmweave.report.page import render, write

__all__ = ["Check", "Evidence", "render", "write"]
