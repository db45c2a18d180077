"""A design: every choice of a chip in one frozen value."""

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

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
    activations,
    feedbacks,
    maxima,
    multipliers,
    neurons,
    opamps,
    row_drivers,
)
from ohmweave.blocks.axon_hillock import AxonHillock
from ohmweave.blocks.file_opamp import FileOpAmp
from ohmweave.choices import ArrayChoice, CouplingChoice, SignalChoice, SpikingChoice
from ohmweave.devices import Device, Linear, devices
from ohmweave.devices.file import FileDevice
from ohmweave.effects import ROOM, Effect, Temperature, effects
from ohmweave.encoders import Encoder, Rate, encoders
from ohmweave.errors import DesignError, UnitError
from ohmweave.models import load_device, load_opamp
from ohmweave.registry import nearest
from ohmweave.schemes import Pair, Scheme, schemes
from ohmweave.units import format_quantity, parse_quantity

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
        if isinstance(self.neuron, ClockedLif45):
            measured.append(("neuron", 'neuron.kind = "clocked_lif"'))
        if isinstance(self.synapse, PulseDriver45):
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
            if item.name == _EFFECTS:
                for effect in choice:
                    lines += [f"[[{_EFFECTS}]]", *_write_section(_EFFECTS, effect)]
            else:
                lines += [f"[{item.name}]", *_write_section(item.name, choice)]
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


_EFFECTS = "effects"
# Parts that may stand in the user's own files.
_LOADED: Mapping[str, Callable[[Mapping[str, Any], Path, str], object]] = {"device": load_device, "opamp": load_opamp}
_PLAIN: Mapping[str, type[Any]] = {
    "array": ArrayChoice,
    "driver": Driver,
    "signal": SignalChoice,
    "coupling": CouplingChoice,
    "clock": Clocking,
    "spiking": SpikingChoice,
}


def _kinds() -> dict[str, dict[str, type[Any]]]:
    parts = {"device": devices(), "scheme": schemes(), "opamp": opamps(), _EFFECTS: effects()}
    parts |= {"neuron": neurons(), "synapse": row_drivers(), "encoding": encoders()}
    return {**parts, "feedback": feedbacks(), "multiplier": multipliers(), "maximum": maxima(), **activations()}


def _write_section(section: str, choice: Any) -> list[str]:
    if isinstance(choice, FileDevice | FileOpAmp):
        return choice.toml()
    kind = [f'kind = "{_kind_of(section, choice)}"'] if section in _kinds() and section not in _PLAIN else []
    hints = get_type_hints(type(choice), include_extras=True)
    fields = [f"{f.name} = {_write_value(getattr(choice, f.name), hints[f.name])}" for f in dataclasses.fields(choice)]
    return [*kind, *fields, ""]


def _kind_of(section: str, choice: object) -> str:
    for name, kind in _kinds()[section].items():
        if kind is type(choice):
            return name
    raise DesignError(
        f"{type(choice).__name__} has no name, so the design cannot be written",
        where=section,
        remedy="register it by an entry point, see CONTRIBUTING",
    )


def _read_design(table: Mapping[str, Any], where: str, folder: Path, *, spiking: bool) -> Design:
    base = PRESETS["spiking" if spiking else "default"]
    known = {item.name for item in dataclasses.fields(Design)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise DesignError(f"unknown key {key!r}", where=where, remedy=nearest(key, known))
        if key == "seed":
            values[key] = _read_value(value, int, where, key)
        elif key == _EFFECTS:
            values[key] = _read_effects(value, where)
        elif key in _LOADED and isinstance(value, dict) and ("file" in value or value.get("kind") == "file"):
            values[key] = _LOADED[key](value, folder, where)
        else:
            values[key] = _read_section(key, value, where, getattr(base, key))
    try:
        made = replace(base, **values)
        made.check(spiking=spiking)
    except DesignError as error:
        raise DesignError(error.message, where=f"{where}: {error.where}", remedy=error.remedy) from error
    return made


def _read_effects(tables: object, where: str) -> tuple[Any, ...]:
    if not isinstance(tables, list):
        raise DesignError(
            f"expected tables [[{_EFFECTS}]], found {tables!r}", where=where, remedy=f"write [[{_EFFECTS}]]"
        )
    return tuple(_read_section(_EFFECTS, table, f"{where}, effect {number}") for number, table in enumerate(tables, 1))


def _read_section(section: str, table: object, where: str, base: Any = None) -> object:
    """A part of a chip: ``base`` with what the table says, where both are of one kind."""
    if not isinstance(table, dict):
        raise DesignError(f"expected a table [{section}], found {table!r}", where=where, remedy=f"write [{section}]")
    settings = dict(table)
    chosen = _PLAIN.get(section) or _read_kind(section, settings, where, type(base))
    hints = get_type_hints(chosen, include_extras=True)
    known = {item.name for item in dataclasses.fields(chosen)}
    for key in settings:
        if key not in known:
            allowed = known | (set() if section in _PLAIN else {"kind"})
            raise DesignError(f"unknown key {key!r}", where=f"{where}: [{section}]", remedy=nearest(key, allowed))
    values = {key: _read_value(value, hints[key], where, f"{section}.{key}") for key, value in settings.items()}
    try:
        return replace(base, **values) if type(base) is chosen else chosen(**values)
    except DesignError as error:
        raise DesignError(error.message, where=f"{where}: {error.where}", remedy=error.remedy) from error


def _read_kind(section: str, settings: dict[str, Any], where: str, default: type[Any]) -> type[Any]:
    """The strategy that a section's ``kind`` names, which is taken out of its settings."""
    kinds = _kinds()[section]
    kind = settings.pop("kind", next((name for name in kinds if kinds[name] is default), None))
    if kind is None:
        raise DesignError(
            "expected a kind, found none", where=f"{where}: {section}", remedy=f"known are {', '.join(sorted(kinds))}"
        )
    if section == "neuron" and kind == AxonHillock.kind and kind not in kinds:
        raise DesignError(
            f"expected a neuron that spikes by its chip's clock, found {kind!r}, which spikes when it likes",
            where=f"{where}: {section}.kind",
            remedy=f"known are {', '.join(sorted(kinds))}",
        )
    if not isinstance(kind, str) or kind not in kinds:
        remedy = nearest(str(kind), kinds)
        raise DesignError(f"unknown kind {kind!r}", where=f"{where}: {section}.kind", remedy=remedy)
    return kinds[kind]


def _read_value(value: object, hint: Any, where: str, key: str) -> Any:
    place = f"{where}: {key}"
    if get_origin(hint) is Annotated:
        kind, unit = get_args(hint)
        if get_origin(kind) is tuple:
            if not isinstance(value, list):
                raise DesignError(f"expected a list of quantities in {unit.symbol}, found {value!r}", where=place)
            single = Annotated[float, unit]
            return tuple(_read_value(item, single, where, f"{key}[{k}]") for k, item in enumerate(value))
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise DesignError(f"expected a quantity in {unit.symbol}, found {value!r}", where=place)
        try:
            return parse_quantity(str(value), unit.symbol)
        except UnitError as error:
            raise UnitError(error.message, where=place, remedy=error.remedy) from error
    if hint is bool and isinstance(value, bool):
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is str and isinstance(value, str):
        return value
    raise DesignError(f"expected {_WORDS.get(hint, 'a text')}, found {value!r}", where=place, remedy="mend the value")


_WORDS = {int: "a whole number", float: "a finite number"}


def _write_value(value: Any, hint: Any) -> str:
    if get_origin(hint) is Annotated:
        symbol = get_args(hint)[1].symbol
        if isinstance(value, tuple):
            return f"[{', '.join(json.dumps(format_quantity(item, symbol)) for item in value)}]"
        return f'"{format_quantity(value, symbol)}"'
    # A TOML basic string, and TOML's words for booleans, are JSON's.
    return json.dumps(value) if isinstance(value, str | bool) else repr(value)
