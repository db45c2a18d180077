"""What a simulator answered: accepted by the same rules whichever it was, and turned into waves."""

from collections.abc import Mapping

import numpy as np

from ohmweave.bench import Bench, Waves
from ohmweave.errors import SimulationError
from ohmweave.simulate.deck import Deck
from ohmweave.simulate.process import tail
from ohmweave.simulate.raw import RawFile
from ohmweave.units import Array

__all__ = ["accept", "waves"]

_DRIVE_TOLERANCE = 1e-9


def accept(raw: RawFile, deck: Deck, bench: Bench, sample: str, log: str, where: str) -> None:
    """Judge an answer: every vector there, every sample reached, every value finite, every drive the bench's.

    Args:
        raw: the answer.
        deck: what was asked for.
        bench: the bench.
        sample: the vector that holds the sample's number.
        log: what the simulator said.
        where: place for messages.

    Raises:
        SimulationError: what of it does not hold.
    """
    try:
        wanted = raw.columns(deck.vectors)
        sweep = raw.columns((sample,))[:, 0]
    except SimulationError as error:
        message = f"{error.message}; the log ends: {tail(log)}"
        raise SimulationError(message, where=where, remedy=error.remedy) from error
    if not np.array_equal(np.round(sweep, 6), np.arange(bench.samples)):
        raise SimulationError(
            f"expected {bench.samples} samples, found {len(sweep)} up to {sweep[-1:].tolist()}; "
            f"the log ends: {tail(log)}",
            where=where,
        )
    bad = np.argwhere(~np.isfinite(wanted))
    if len(bad):
        row, vector = bad[0]
        raise SimulationError(
            f"expected finite values, found {wanted[row, vector]} in {deck.vectors[vector]} at sample {row} "
            f"({len(bad)} in all); the log ends: {tail(log)}",
            where=where,
        )
    drives = raw.columns(deck.drives)
    away = np.abs(drives - bench.drives).max(initial=0.0)
    if away > _DRIVE_TOLERANCE * max(1.0, np.abs(bench.drives).max(initial=0.0)):
        raise SimulationError(f"expected the drives of the bench, found them {away:.1e} V away", where=where)


def waves(
    raw: RawFile,
    deck: Deck,
    bench: Bench,
    engine: tuple[str, str],
    seconds: Mapping[str, float],
    remarks: tuple[str, ...] = (),
) -> Waves:
    """An accepted answer as waves; ``engine`` is its name and version."""

    def volts(names: tuple[str | None, ...]) -> Array:
        values = np.zeros((len(raw.values), len(names)))
        there = [index for index, name in enumerate(names) if name is not None]
        values[:, there] = raw.columns(tuple(names[index] or "" for index in there))
        return values

    plus, minus = tuple(p for p, _ in deck.terminals), tuple(n for _, n in deck.terminals)
    return Waves(
        *engine,
        volts=volts(deck.probes),
        # The ammeters point into the cell, the watched sources' currents into their p terminals.
        input_amps=raw.columns(deck.inputs if bench.input_amps else ()),
        source_volts=volts(plus) - volts(minus),
        source_amps=-raw.columns(deck.currents),
        seconds=seconds,
        remarks=remarks,
    )
