"""Spiking chips: layers of clocked neurons on crossbars, in SPICE and in the native engine."""

from ohmweave.spiking.chip import SpikingChip, SpikingRun
from ohmweave.spiking.mapping import plan_spiking
from ohmweave.spiking.plan import SpikingPlan

__all__ = ["SpikingChip", "SpikingPlan", "SpikingRun", "plan_spiking"]
