"""What a simulator answered: accepted by the same rules whichever it was, and turned into waves."""

from collections.abc import Mapping, Sequence

import numpy as np

from ohmweave.bench import Bench, Traces, Transient, Waves
from ohmweave.errors import SimulationError
from ohmweave.simulate.deck import Deck
from ohmweave.simulate.process import tail
from ohmweave.simulate.raw import RawFile
from ohmweave.units import Array

__all__ = ["accept", "accept_transient", "traces", "waves"]

_DRIVE_TOLERANCE = 1e-9
_TIME_TOLERANCE = 1e-9
_ROUNDING = 1e-15


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
    sweep = _abscissa(raw, deck, sample, log, where)
    if not np.array_equal(np.round(sweep, 6), np.arange(bench.samples)):
        raise SimulationError(
            f"expected {bench.samples} samples, found {len(sweep)} up to {sweep[-1:].tolist()}; "
            f"the log ends: {tail(log)}",
            where=where,
        )
    _refuse_infinite(raw, deck, [f"sample {number}" for number in range(bench.samples)], log, where)
    _refuse_other_drives(raw, deck, bench.drives, "of the bench", where)


def accept_transient(raw: RawFile, deck: Deck, transient: Transient, log: str, where: str) -> Array:
    """Judge an answer to a transient likewise, to whose end time it must go; returns its times, [times], s.

    Args:
        raw: the answer.
        deck: what was asked for.
        transient: what was to be simulated.
        log: what the simulator said.
        where: place for messages.

    Raises:
        SimulationError: what of it does not hold.
    """
    times = _abscissa(raw, deck, "time", log, where)
    ordered = len(times) > 1 and times[0] == 0.0 and bool((np.diff(times) >= 0.0).all())
    if not ordered or abs(times[-1] - transient.end) > _TIME_TOLERANCE * transient.end:
        raise SimulationError(
            f"expected times from 0 to {transient.end:g} s, found {len(times)} up to {times[-1:].tolist()} s; "
            f"the log ends: {tail(log)}",
            where=where,
        )
    _refuse_infinite(raw, deck, [f"{time:g} s" for time in times.tolist()], log, where)
    drives = np.stack([drive.at(times) for drive in transient.drives], axis=1) if transient.drives else np.zeros(0)
    # On a steep edge the rounding of time is one of voltage.
    steepest = max((drive.steepest for drive in transient.drives), default=0.0)
    _refuse_other_drives(raw, deck, drives, "of the transient", where, steepest * _ROUNDING * transient.end)
    return times


def _abscissa(raw: RawFile, deck: Deck, name: str, log: str, where: str) -> Array:
    """What the answer counts by, once every vector wanted is there."""
    try:
        raw.columns(deck.vectors)
        return raw.columns((name,))[:, 0]
    except SimulationError as error:
        message = f"{error.message}; the log ends: {tail(log)}"
        raise SimulationError(message, where=where, remedy=error.remedy) from error


def _refuse_infinite(raw: RawFile, deck: Deck, points: Sequence[str], log: str, where: str) -> None:
    wanted = raw.columns(deck.vectors)
    bad = np.argwhere(~np.isfinite(wanted))
    if len(bad):
        point, vector = bad[0]
        raise SimulationError(
            f"expected finite values, found {wanted[point, vector]} in {deck.vectors[vector]} at {points[point]} "
            f"({len(bad)} in all); the log ends: {tail(log)}",
            where=where,
        )


def _refuse_other_drives(raw: RawFile, deck: Deck, expected: Array, whose: str, where: str, slack: float = 0.0) -> None:
    if not expected.size:
        return
    away = np.abs(raw.columns(deck.drives) - expected).max(initial=0.0)
    if away > _DRIVE_TOLERANCE * max(1.0, np.abs(expected).max(initial=0.0)) + slack:
        raise SimulationError(f"expected the drives {whose}, found them {away:.1e} V away", where=where)


def waves(
    raw: RawFile,
    deck: Deck,
    bench: Bench,
    engine: tuple[str, str],
    seconds: Mapping[str, float],
    remarks: tuple[str, ...] = (),
) -> Waves:
    """An accepted answer as waves; ``engine`` is its name and version."""
    columns = _columns(raw, deck, deck.inputs if bench.input_amps else ())
    return Waves(engine[0], engine[1], **columns, seconds=seconds, remarks=remarks)


def traces(
    raw: RawFile,
    deck: Deck,
    times: Array,
    engine: tuple[str, str],
    seconds: Mapping[str, float],
    remarks: tuple[str, ...] = (),
) -> Traces:
    """An accepted answer to a transient as traces at its times, [times], s."""
    columns = _columns(raw, deck, deck.inputs)
    return Traces(engine[0], engine[1], times, **columns, seconds=seconds, remarks=remarks)


def _columns(raw: RawFile, deck: Deck, inputs: tuple[str, ...]) -> dict[str, Array]:
    """What every answer holds beside its abscissa."""

    def volts(names: tuple[str | None, ...]) -> Array:
        values = np.zeros((len(raw.values), len(names)))
        there = [index for index, name in enumerate(names) if name is not None]
        values[:, there] = raw.columns(tuple(names[index] or "" for index in there))
        return values

    plus, minus = tuple(p for p, _ in deck.terminals), tuple(n for _, n in deck.terminals)
    return {
        "volts": volts(deck.probes),
        # The ammeters point into the cell, the watched sources' currents into their p terminals.
        "input_amps": raw.columns(inputs),
        "source_volts": volts(plus) - volts(minus),
        "source_amps": -raw.columns(deck.currents),
    }
