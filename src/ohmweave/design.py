"""A design: every choice of a chip in one frozen value."""

import dataclasses
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ohmweave.blocks import (
    Activation,
    ClampedDifference,
    ClipClamp,
    ClockedLif,
    ClockedLif45,
    ClockedNeuron,
    Clocking,
    Driver,
    Feedback,
    Finite,
    HardSwishProduct,
    Ideal,
    LeakyRectifier,
    Maximum,
    MemristorFeedback,
    Multiplier,
    OpAmp,
    OutputClamp,
    PulseDriver,
    PulseDriver45,
    QuarterSquare,
    ResistorFeedback,
    RowDriver,
    SigmoidPair,
    SigmoidPair45,
    TanhPair,
    TanhPair45,
)
from ohmweave.choices import ArrayChoice, CouplingChoice, SignalChoice, SpikingChoice
from ohmweave.devices import Device, Linear
from ohmweave.devices.file import FileDevice
from ohmweave.effects import ROOM, Effect, Temperature
from ohmweave.encoders import Encoder, Rate
from ohmweave.errors import DesignError
from ohmweave.registry import nearest
from ohmweave.schemes import Pair, Scheme
from ohmweave.sections import EFFECTS, read_sections, write_section
from ohmweave.units import format_quantity

__all__ = ["PRESETS", "ArrayChoice", "CouplingChoice", "Design", "SignalChoice"]


@dataclass(frozen=True)
class Design:
    """Every choice of a chip. Sections with a ``kind`` pick a strategy from its registry.

    Args:
        seed: seeds all chance: programming, effects, offsets and noise.
        device: the memristor.
        array: tile size and wires.
        scheme: how weights become conductances.
        opamp: the amplifier of every readout, activation and inverter.
        feedback: what the resistances in the loops of the readouts are made of.
        driver: what drives the rows of the first stage and the bias rows, and every row of a sampled chip.
        relu, tanh, sigmoid, clip, leaky_relu, hard_swish: the circuits of the activations.
        multiplier: what makes the product of two signals.
        maximum: what picks the largest of several signals.
        signal: read and output voltages.
        coupling: how stages hang together, and the converters between them.
        neuron: the neuron circuit of spiking networks.
        synapse: what drives their rows.
        clock: their time step and what happens when in it.
        spiking: how their layers lie on arrays.
        encoding: how samples become trains of spikes.
        effects: what happens to programmed conductances, in this order.

    Raises:
        DesignError: a seed below 0. Whether choices go together depends on the chip: :meth:`check`.
    """

    seed: int = 0
    device: Device = field(default_factory=Linear)
    array: ArrayChoice = field(default_factory=ArrayChoice)
    scheme: Scheme = field(default_factory=Pair)
    opamp: OpAmp = field(default_factory=Finite)
    feedback: Feedback = field(default_factory=ResistorFeedback)
    driver: Driver = field(default_factory=Driver)
    relu: Activation = field(default_factory=OutputClamp)
    tanh: Activation = field(default_factory=TanhPair)
    sigmoid: Activation = field(default_factory=SigmoidPair)
    clip: Activation = field(default_factory=ClipClamp)
    leaky_relu: Activation = field(default_factory=LeakyRectifier)
    hard_swish: Activation = field(default_factory=HardSwishProduct)
    multiplier: Multiplier = field(default_factory=QuarterSquare)
    maximum: Maximum = field(default_factory=ClampedDifference)
    signal: SignalChoice = field(default_factory=SignalChoice)
    coupling: CouplingChoice = field(default_factory=CouplingChoice)
    neuron: ClockedNeuron = field(default_factory=ClockedLif)
    synapse: RowDriver = field(default_factory=PulseDriver)
    clock: Clocking = field(default_factory=Clocking)
    spiking: SpikingChoice = field(default_factory=SpikingChoice)
    encoding: Encoder = field(default_factory=Rate)
    effects: tuple[Effect, ...] = ()

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise DesignError(f"expected a seed of at least 0, found {self.seed}", where="seed", remedy="try seed = 0")

    def check(self, *, spiking: bool = False) -> None:
        """Refuse choices that do not go together on a chip.

        Args:
            spiking: whether the chip is a spiking one, which has no op-amps and no activations.

        Raises:
            DesignError: such choices.
        """
        if not spiking:
            self._require_swing()
        if isinstance(self.device, FileDevice):
            self._require_table(self.device.choice.v_max, spiking)
        self._require_room(spiking)

    def _require_swing(self) -> None:
        swing = min(self.opamp.v_high, -self.opamp.v_low)
        if max(self.signal.v_read, self.signal.v_out) >= swing:
            raise DesignError(
                f"expected v_read and v_out below the op-amp's swing of {swing:g} V to either side, found "
                f"{self.signal.v_read:g} V and {self.signal.v_out:g} V",
                where="signal",
                remedy="lower them or widen opamp.v_low and opamp.v_high",
            )

    def _require_room(self, spiking: bool) -> None:
        """Refuse another temperature than that at which transistors were measured."""
        measured = []
        if self.opamp.supplied and not spiking:
            measured.append(("op-amp", 'opamp.kind = "finite", with the gain it has there'))
        measured += [
            (section, f'{section}.kind = "differential_pair", with the pair_voltage it has there')
            for section in ("tanh", "sigmoid")
            if isinstance(getattr(self, section), TanhPair45 | SigmoidPair45) and not spiking
        ]
        if isinstance(self.neuron, ClockedLif45) and spiking:
            measured.append(("neuron", 'neuron.kind = "clocked_lif"'))
        if isinstance(self.synapse, PulseDriver45) and spiking:
            measured.append(("row driver", 'synapse.kind = "ideal", with the r_source it has there'))
        for effect in self.effects:
            if isinstance(effect, Temperature) and effect.t != ROOM and measured:
                part, remedy = measured[0]
                raise DesignError(
                    f"expected {ROOM:g} K, where the {part}'s transistors were measured, found {effect.t:g} K",
                    where="effects.temperature.t",
                    remedy=f"choose {remedy}",
                )

    def _require_table(self, v_max: float, spiking: bool) -> None:
        """Refuse voltages over the devices beyond what was measured on them, ``v_max`` (V)."""
        if self.signal.v_read > v_max:
            raise DesignError(
                f"expected a read voltage within device.v_max = {v_max:g} V, found {self.signal.v_read:g} V",
                where="signal.v_read",
                remedy="raise device.v_max and characterize again",
            )
        # A device in a loop has the whole output over it.
        swing = max(self.opamp.v_high, -self.opamp.v_low)
        if isinstance(self.feedback, MemristorFeedback) and swing > v_max and not spiking:
            raise DesignError(
                f"expected op-amp limits within device.v_max = {v_max:g} V, as devices in the loops see the output, "
                f"found {swing:g} V",
                where="feedback",
                remedy=f'raise device.v_max to "{format_quantity(swing, "V")}" and characterize again',
            )

    @staticmethod
    def default() -> "Design":
        """Linear devices, 64 x 64 tiles with 1 ohm a segment, finite op-amps (gain 1e4, 100 ohm)."""
        return Design()

    @staticmethod
    def preset(name: str) -> "Design":
        """A design by name, see :data:`PRESETS`."""
        if name not in PRESETS:
            raise DesignError(f"expected a preset, found {name!r}", where="design", remedy=nearest(name, PRESETS))
        return PRESETS[name]

    @staticmethod
    def load(path: Path | str, *, spiking: bool = False) -> "Design":
        """Read a design from a TOML file.

        Args:
            path: of the file.
            spiking: whether it is for a spiking network: what the file does not say is then that of the preset
                ``spiking``, and otherwise :meth:`default`'s. A section of another kind begins with that kind's own
                values. :func:`ohmweave.compile`, given the path, chooses by the network.

        Raises:
            DesignError: no such file, no TOML, an unknown key or kind, an impossible value, choices that do not go
                together, a device's model that is not characterised as it stands.
            UnitError: a quantity without its unit.
            NetlistError: a device's model file that is unsafe or malformed.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DesignError(f"cannot be read ({error})", where=str(path), remedy="give a TOML file") from error
        return Design.parse(text, str(path), Path(path).parent, spiking=spiking)

    @staticmethod
    def parse(text: str, where: str = "design", folder: Path = Path(), *, spiking: bool = False) -> "Design":
        """As :meth:`load`, from text; ``where`` names its origin in messages, paths are relative to ``folder``."""
        try:
            table = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError, as are overlong numbers
            raise DesignError(f"is not TOML: {error}", where=where, remedy="mend the syntax") from error
        return _read_design(table, where, folder, spiking=spiking)

    def dump(self) -> str:
        """The design as TOML, with every choice; :meth:`parse` reads the same design back, for any network."""
        lines = [f"seed = {self.seed}", ""]
        for item in dataclasses.fields(self)[1:]:
            choice = getattr(self, item.name)
            if item.name == EFFECTS:
                for effect in choice:
                    lines += [f"[[{EFFECTS}]]", *write_section(EFFECTS, effect)]
            else:
                lines += [f"[{item.name}]", *write_section(item.name, choice)]
        return "\n".join(lines)

    def digest(self) -> str:
        """Content hash of every choice."""
        return hashlib.sha256(self.dump().encode()).hexdigest()


PRESETS: Mapping[str, Design] = {
    "default": Design(),
    "ideal": Design(array=ArrayChoice(r_row=0.0, r_col=0.0), opamp=Ideal(), driver=Driver(r_source=0.0)),
    "lossy": Design(array=ArrayChoice(r_row=100.0, r_col=100.0)),
    "sampled": Design(coupling=CouplingChoice(kind="sampled")),
    # One array holds a whole layer: wires of 784 rows would take seven points of a spiking network's accuracy.
    "spiking": Design(array=ArrayChoice(ground="both", reserve=0.3)),
    "digital": Design(
        array=ArrayChoice(reserve=0.15),
        signal=SignalChoice(headroom=0.3),
        coupling=CouplingChoice(kind="sampled", sums="digital", dac_bits=8, adc_bits=8),
    ),
}


def _read_design(table: Mapping[str, Any], where: str, folder: Path, *, spiking: bool) -> Design:
    base = PRESETS["spiking" if spiking else "default"]
    values = read_sections(table, base, where, folder)
    try:
        made = replace(base, **values)
        made.check(spiking=spiking)
    except DesignError as error:
        raise DesignError(error.message, where=f"{where}: {error.where}", remedy=error.remedy) from error
    return made
