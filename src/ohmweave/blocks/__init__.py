"""CMOS blocks around the crossbars: each one a circuit and its mathematics."""

from typing import Any

from ohmweave.blocks.activation import ClipClamp, OutputClamp, PrecisionRectifier, Through
from ohmweave.blocks.clocked_lif import ClockedLif
from ohmweave.blocks.clocked_lif_45 import ClockedLif45
from ohmweave.blocks.clocking import Clocking
from ohmweave.blocks.converter import Converter
from ohmweave.blocks.differential_pair import SigmoidPair, TanhPair
from ohmweave.blocks.digital import DigitalActivation
from ohmweave.blocks.hard_swish import HardSwishProduct
from ohmweave.blocks.leaky import LeakyRectifier
from ohmweave.blocks.line import Driver, inverter
from ohmweave.blocks.loops import TwoTerminal
from ohmweave.blocks.maximum import ClampedDifference
from ohmweave.blocks.memristor_feedback import MemristorFeedback
from ohmweave.blocks.multiplier import QuarterSquare
from ohmweave.blocks.opamp import Finite, Ideal
from ohmweave.blocks.ota import Ota45
from ohmweave.blocks.protocols import Activation, Feedback, Maximum, Multiplier, OpAmp, Readout
from ohmweave.blocks.pulse_driver import PulseDriver
from ohmweave.blocks.pulse_driver_45 import PulseDriver45
from ohmweave.blocks.resistor_feedback import ResistorFeedback
from ohmweave.blocks.spiking import ClockedNeuron, RowDriver
from ohmweave.blocks.switched_feedback import SwitchedFeedback
from ohmweave.blocks.transimpedance import Transimpedance
from ohmweave.blocks.transistor_pair import SigmoidPair45, TanhPair45
from ohmweave.blocks.two_opamp import TwoOpAmp
from ohmweave.blocks.two_stage import TwoStage45
from ohmweave.registry import merge

__all__ = [
    "BUILTIN_CLIPS",
    "BUILTIN_FEEDBACKS",
    "BUILTIN_HARD_SWISHES",
    "BUILTIN_LEAKY_RELUS",
    "BUILTIN_MAXIMA",
    "BUILTIN_MULTIPLIERS",
    "BUILTIN_NEURONS",
    "BUILTIN_OPAMPS",
    "BUILTIN_READOUTS",
    "BUILTIN_RELUS",
    "BUILTIN_ROW_DRIVERS",
    "BUILTIN_SIGMOIDS",
    "BUILTIN_TANHS",
    "Activation",
    "ClampedDifference",
    "ClipClamp",
    "ClockedLif",
    "ClockedLif45",
    "ClockedNeuron",
    "Clocking",
    "Converter",
    "DigitalActivation",
    "Driver",
    "Feedback",
    "Finite",
    "HardSwishProduct",
    "Ideal",
    "LeakyRectifier",
    "Maximum",
    "MemristorFeedback",
    "Multiplier",
    "OpAmp",
    "Ota45",
    "OutputClamp",
    "PrecisionRectifier",
    "PulseDriver",
    "PulseDriver45",
    "QuarterSquare",
    "Readout",
    "ResistorFeedback",
    "RowDriver",
    "SigmoidPair",
    "SigmoidPair45",
    "SwitchedFeedback",
    "TanhPair",
    "TanhPair45",
    "Through",
    "Transimpedance",
    "TwoOpAmp",
    "TwoStage45",
    "TwoTerminal",
    "activations",
    "feedbacks",
    "inverter",
    "maxima",
    "multipliers",
    "neurons",
    "opamps",
    "readouts",
    "row_drivers",
]

BUILTIN_OPAMPS: dict[str, type[Any]] = {
    "finite": Finite,
    "ideal": Ideal,
    "two_stage_45": TwoStage45,
    "ota_45": Ota45,
}
BUILTIN_FEEDBACKS: dict[str, type[Any]] = {
    "resistor": ResistorFeedback,
    "memristor": MemristorFeedback,
    "switched": SwitchedFeedback,
}
BUILTIN_READOUTS: dict[str, type[Any]] = {"two_opamp": TwoOpAmp, "transimpedance": Transimpedance}
BUILTIN_RELUS: dict[str, type[Any]] = {"clamp": OutputClamp, "rectifier": PrecisionRectifier}
BUILTIN_TANHS: dict[str, type[Any]] = {"differential_pair": TanhPair, "transistors_45": TanhPair45}
BUILTIN_SIGMOIDS: dict[str, type[Any]] = {"differential_pair": SigmoidPair, "transistors_45": SigmoidPair45}
BUILTIN_CLIPS: dict[str, type[Any]] = {"clamp": ClipClamp}
BUILTIN_LEAKY_RELUS: dict[str, type[Any]] = {"rectifier": LeakyRectifier}
BUILTIN_HARD_SWISHES: dict[str, type[Any]] = {"product": HardSwishProduct}
BUILTIN_MULTIPLIERS: dict[str, type[Any]] = {"quarter_square": QuarterSquare}
BUILTIN_MAXIMA: dict[str, type[Any]] = {"clamped_difference": ClampedDifference}
BUILTIN_NEURONS: dict[str, type[Any]] = {"clocked_lif": ClockedLif, "clocked_lif_45": ClockedLif45}
BUILTIN_ROW_DRIVERS: dict[str, type[Any]] = {"ideal": PulseDriver, "pulse_driver_45": PulseDriver45}


def opamps() -> dict[str, type[Any]]:
    """Every op-amp known, by the name a design calls it."""
    return merge("ohmweave.opamps", BUILTIN_OPAMPS)


def feedbacks() -> dict[str, type[Any]]:
    """Everything that readouts' loops can be made of, by the name a design calls it."""
    return merge("ohmweave.feedbacks", BUILTIN_FEEDBACKS)


def readouts() -> dict[str, type[Any]]:
    """Every readout known, by name."""
    return merge("ohmweave.readouts", BUILTIN_READOUTS)


def activations() -> dict[str, dict[str, type[Any]]]:
    """Every activation known, by the function it realises and then by name."""
    return {
        "relu": merge("ohmweave.relus", BUILTIN_RELUS),
        "tanh": merge("ohmweave.tanhs", BUILTIN_TANHS),
        "sigmoid": merge("ohmweave.sigmoids", BUILTIN_SIGMOIDS),
        "clip": merge("ohmweave.clips", BUILTIN_CLIPS),
        "leaky_relu": merge("ohmweave.leaky_relus", BUILTIN_LEAKY_RELUS),
        "hard_swish": merge("ohmweave.hard_swishes", BUILTIN_HARD_SWISHES),
    }


def multipliers() -> dict[str, type[Any]]:
    """Every multiplier known, by name."""
    return merge("ohmweave.multipliers", BUILTIN_MULTIPLIERS)


def maxima() -> dict[str, type[Any]]:
    """Every circuit for the largest of some voltages known, by name."""
    return merge("ohmweave.maxima", BUILTIN_MAXIMA)


def neurons() -> dict[str, type[Any]]:
    """Every clocked neuron known, by the name a design calls it."""
    return merge("ohmweave.neurons", BUILTIN_NEURONS)


def row_drivers() -> dict[str, type[Any]]:
    """Every driver of spiking rows known, by the name a design calls it."""
    return merge("ohmweave.row_drivers", BUILTIN_ROW_DRIVERS)
