"""Choices of a design that a spiking chip has no use for, which are told."""

from collections.abc import Iterator

from ohmweave.design import Design

__all__ = ["idle", "idle_remarks"]

# It has no op-amps, no activations, and nothing is sampled between its stages.
_PARTS = (
    *("opamp", "feedback", "driver", "relu", "tanh", "sigmoid", "clip", "leaky_relu", "hard_swish"),
    *("multiplier", "maximum", "coupling"),
)
_FIELDS = ("signal.v_out", "signal.headroom")
# Arrays as large as their layers are wired to the next and have no size of their own.
_LAYERED = ("array.rows", "array.cols", "spiking.hop_delay", "spiking.hop_energy")


def idle(design: Design) -> tuple[str, ...]:
    """Sections, and fields of others as ``section.field``, that choose nothing on a spiking chip of this design."""
    return _PARTS + _FIELDS + (() if design.spiking.tiled else _LAYERED)


def idle_remarks(design: Design) -> Iterator[str]:
    """What a design chooses otherwise than by default, and for nothing; a sentence a reason."""
    chosen = [name for name in idle(design) if _choice(design, name) != _choice(Design.default(), name)]
    layered = [name for name in chosen if name in _LAYERED]
    if others := [name if "." in name else f"[{name}]" for name in chosen if name not in _LAYERED]:
        yield f"the design's {', '.join(others)}: of no use to a spiking chip, which has no such parts"
    if layered:
        yield (
            f"the design's {', '.join(layered)}: of no use to spiking.microarchitecture = 'layer', whose arrays are as "
            "large as their layers and wired to the next"
        )


def _choice(design: Design, name: str) -> object:
    section, _, field = name.partition(".")
    part = getattr(design, section)
    return getattr(part, field) if field else part
