"""Results as one self-contained HTML page."""

from ohmweave.report.evidence import Check, Evidence
from ohmweave.report.layouts import aligned
from ohmweave.report.page import render, write
from ohmweave.report.spikes import SpikeCheck, SpikeEvidence, Trains
from ohmweave.report.spiking_page import render_spiking

__all__ = ["Check", "Evidence", "SpikeCheck", "SpikeEvidence", "Trains", "aligned", "render", "render_spiking", "write"]
