"""Choices of a chip that are no parts of it: its tiles, its voltages, how its stages hang together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from ohmweave.errors import DesignError
from ohmweave.units import Unit, require

__all__ = ["ArrayChoice", "CouplingChoice", "SignalChoice", "SpikingChoice"]

_LEAST_OHM = 1e-6
_ENDS = ("one", "both")
_MOST_BITS = 24
_COUPLING_WORDS: Mapping[str, tuple[str, str]] = {
    "kind": ("analog", "sampled"),
    "convolution": ("sliding", "unrolled"),
    "batch_norm": ("folded", "stage"),
    "sums": ("analog", "digital"),
}


@dataclass(frozen=True)
class ArrayChoice:
    """The tile: how large an array is, and its wires.

    Args:
        rows: most physical rows of a tile.
        cols: most physical columns of a tile.
        r_row: resistance of a row wire from one crossing to the next, ohm.
        r_col: resistance of a column wire from one crossing to the next, ohm.
        drive: ends of a row wire that its driver feeds: ``one``, or ``both``, joined by a strap without
            resistance; the far end lies one more segment behind the last crossing.
        ground: ends of a column wire that its readout takes currents from: ``one`` or ``both``, likewise
            one more segment above the first crossing.
        reserve: share of the conductance range that the largest weights leave free, so that devices can be
            programmed higher to make up for the wires (:mod:`ohmweave.compensation`); 0 makes up for nothing.
    """

    rows: int = 64
    cols: int = 64
    r_row: Annotated[float, Unit("ohm")] = 1.0
    r_col: Annotated[float, Unit("ohm")] = 1.0
    drive: str = "one"
    ground: str = "one"
    reserve: float = 0.0

    def __post_init__(self) -> None:
        for name in ("drive", "ground"):
            if getattr(self, name) not in _ENDS:
                raise DesignError(
                    f"expected {' or '.join(map(repr, _ENDS))}, found {getattr(self, name)!r}",
                    where=f"array.{name}",
                    remedy=f'try {name} = "one"',
                )
        if not 0.0 <= self.reserve < 1.0:
            raise DesignError(
                f"expected a share from 0 to below 1, found {self.reserve:g}",
                where="array.reserve",
                remedy="try reserve = 0.15",
            )
        for name in ("rows", "cols"):
            if getattr(self, name) < 2:
                raise DesignError(
                    f"expected at least 2, found {getattr(self, name)}",
                    where=f"array.{name}",
                    remedy=f"try {name} = 64",
                )
        for name in ("r_row", "r_col"):
            ohms = getattr(self, name)
            require(f"array.{name}", ohms, "ohm", "1 ohm", zero=True)
            if 0.0 < ohms < _LEAST_OHM:
                raise DesignError(
                    f"expected 0 ohm (no wire) or at least {_LEAST_OHM:g} ohm, found {ohms:g} ohm",
                    where=f"array.{name}",
                    remedy="such a wire beside a device is beyond the digits of a float; set it to 0 ohm",
                )


@dataclass(frozen=True)
class SignalChoice:
    """The voltages that carry values.

    Args:
        v_read: rows carry the largest calibrated value, and biases, at this voltage, V.
        v_out: the last stage's largest calibrated output, V.
        headroom: share of the op-amps' swing that inner signals may use on calibration data.
    """

    v_read: Annotated[float, Unit("V")] = 0.2
    v_out: Annotated[float, Unit("V")] = 0.5
    headroom: float = 0.8

    def __post_init__(self) -> None:
        require("signal.v_read", self.v_read, "V", "0.2 V")
        require("signal.v_out", self.v_out, "V", "0.5 V")
        if not 0.0 < self.headroom <= 1.0:
            raise DesignError(
                f"expected a share between 0 and 1, found {self.headroom:g}",
                where="signal.headroom",
                remedy="try headroom = 0.8",
            )


@dataclass(frozen=True)
class CouplingChoice:
    """How stages hang together.

    In an *analog* chip they form one circuit: every position of a picture has its own columns (convolutions
    are unrolled), and what loads a stage moves the one before it. In a *sampled* chip values are held
    between stages, which are circuits of their own and run once for every position.

    Args:
        kind: ``"analog"`` or ``"sampled"``.
        convolution: of a sampled chip, ``"sliding"`` (one kernel array, used at every position) or
            ``"unrolled"`` (all positions at once).
        batch_norm: ``"folded"`` into the weights before it, or a ``"stage"`` of its own.
        sums: of a sampled chip, what becomes of the partial sums of an output's tiles: ``"analog"``, column
            currents joined in one readout; or ``"digital"``, read out and converted tile by tile, then
            added, and the activation applied, in numbers.
        dac_bits: resolution of the converters before a stage's rows; 0 holds the analog value.
        adc_bits: the same behind its readouts.

    Raises:
        DesignError: words that are none of these, or converters where nothing is sampled.
    """

    kind: str = "analog"
    convolution: str = "sliding"
    batch_norm: str = "folded"
    sums: str = "analog"
    dac_bits: int = 0
    adc_bits: int = 0

    def __post_init__(self) -> None:
        for name, words in _COUPLING_WORDS.items():
            if getattr(self, name) not in words:
                raise DesignError(
                    f"expected {' or '.join(map(repr, words))}, found {getattr(self, name)!r}",
                    where=f"coupling.{name}",
                    remedy=f'try {name} = "{words[0]}"',
                )
        for name in ("dac_bits", "adc_bits"):
            bits = getattr(self, name)
            if bits == 1 or not 0 <= bits <= _MOST_BITS:
                raise DesignError(
                    f"expected 0 (analog) or 2 to {_MOST_BITS} bits, found {bits}",
                    where=f"coupling.{name}",
                    remedy=f"try {name} = 8",
                )
            if bits and not self.sampled:
                raise DesignError(
                    f"expected no converters in a chip that samples nothing, found {name} = {bits}",
                    where=f"coupling.{name}",
                    remedy='set coupling.kind = "sampled"',
                )
        if self.sums == "digital" and not self.sampled:
            raise DesignError(
                "expected analog sums in a chip that samples nothing, found digital ones",
                where="coupling.sums",
                remedy='set coupling.kind = "sampled"',
            )

    @property
    def sampled(self) -> bool:
        """Whether values are held between stages."""
        return self.kind == "sampled"

    @property
    def unrolled(self) -> bool:
        """Whether every position has columns of its own."""
        return not self.sampled or self.convolution == "unrolled"

    @property
    def folds(self) -> bool:
        """Whether batch normalisations are folded into the weights before them."""
        return self.batch_norm == "folded"

    @property
    def digital_sums(self) -> bool:
        """Whether tiles are read out one by one and added in numbers."""
        return self.sums == "digital"


@dataclass(frozen=True)
class SpikingChoice:
    """How a spiking network's layers lie on arrays.

    *Layer*: one array as large as each layer needs, its rows driven by the neurons of the layer before. *Crossbar*:
    arrays of the size of ``[array]``, with row drivers of their own and neurons at their columns; a layer is spread
    over several, the columns of one neuron are joined, and a spike is routed to every array that has a row for it.
    Arrays stand on a square mesh in their order; a spike travels |dx| + |dy| hops from the array of its neuron.

    Args:
        microarchitecture: ``"layer"`` or ``"crossbar"``.
        hop_delay: delay of one hop, s.
        hop_energy: energy of one spike over one hop, J. A wire without a protocol takes C V_DD^2, some 100 fJ a
            millimetre at 0.2 fF/um and 0.7 V; a packet through a router of Loihi's mesh 3 to 4 pJ (Davies et al.,
            IEEE Micro 2018).

    Raises:
        DesignError: another word, negative values.
    """

    microarchitecture: str = "layer"
    hop_delay: Annotated[float, Unit("s")] = 1e-9
    hop_energy: Annotated[float, Unit("J")] = 100e-15

    def __post_init__(self) -> None:
        if self.microarchitecture not in {"layer", "crossbar"}:
            raise DesignError(
                f"expected 'layer' or 'crossbar', found {self.microarchitecture!r}",
                where="spiking.microarchitecture",
                remedy='try microarchitecture = "layer"',
            )
        require("spiking.hop_delay", self.hop_delay, "s", "1 ns", zero=True)
        require("spiking.hop_energy", self.hop_energy, "J", "100 fJ", zero=True)

    @property
    def tiled(self) -> bool:
        """Whether layers are spread over arrays of one size."""
        return self.microarchitecture == "crossbar"
