"""Crossbars as text, a row at a time.

A row of the array is one template, made once by the dialect from placeholder names; writing a row is
two replacements and one formatting of its device values. The lines are those of
:meth:`ohmweave.circuit.Crossbar.expand`, in the same order.
"""

from collections.abc import Iterator

import numpy as np

from ohmweave.circuit import Crossbar
from ohmweave.netlist.dialect import Dialect, number
from ohmweave.units import Array

__all__ = ["array_text"]

# Control characters stand for the row's number and the next one's; no name can contain them.
_ROW, _NEXT = "\x01", "\x02"


def array_text(crossbar: Crossbar, dialect: Dialect) -> Iterator[str]:
    """Yield the lines of each row of an array, line breaks included.

    Raises:
        ValueError: a conductance that is not positive and finite, or a negative wire resistance.
    """
    m, n = crossbar.g.shape
    for resistance in (crossbar.r_row, crossbar.r_col):
        if not 0.0 <= resistance < np.inf:
            raise ValueError(f"crossbar {crossbar.name}: expected a wire of at least 0 ohm, found {resistance}")
    inner, last = _pieces(crossbar, dialect, last=False), _pieces(crossbar, dialect, last=True)
    whole = np.full(n, True)
    full = _template(inner, whole)
    for i in range(m):
        row = crossbar.g[i]
        present = ~np.isnan(row)
        everything = bool(present.all())
        template = full if everything and i < m - 1 else _template(inner if i < m - 1 else last, present)
        values = _values(crossbar, i, row if everything else row[present])
        yield template.replace(_ROW, str(i)).replace(_NEXT, str(i + 1)) % values


def _pieces(crossbar: Crossbar, dialect: Dialect, *, last: bool) -> list[tuple[str, str]]:
    """The wires and the device of every crossing of one row, as templates."""
    pieces = []
    for j in range(crossbar.g.shape[1]):
        word = f"w{_ROW}_{j}" if crossbar.r_row > 0 else f"r{_ROW}"
        bit = f"b{_ROW}_{j}" if crossbar.r_col > 0 else f"c{j}"
        wires = ""
        if crossbar.r_row > 0:
            before = f"w{_ROW}_{j - 1}" if j else f"r{_ROW}"
            wires += dialect.resistor(f"rr{_ROW}_{j}", (before, word), number(crossbar.r_row)) + "\n"
        if crossbar.r_col > 0:
            below = f"c{j}" if last else f"b{_NEXT}_{j}"
            wires += dialect.resistor(f"rc{_ROW}_{j}", (bit, below), number(crossbar.r_col)) + "\n"
        pieces.append((wires, _device(crossbar, dialect, f"d{_ROW}_{j}", (word, bit)) + "\n"))
    return pieces


def _device(crossbar: Crossbar, dialect: Dialect, name: str, nets: tuple[str, str]) -> str:
    if crossbar.device is None:
        return dialect.resistor(name, nets, "%r")
    return dialect.call(name, nets, crossbar.device.name, {"g": "%r"})


def _template(pieces: list[tuple[str, str]], present: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> str:
    there = present.tolist()
    return "".join(wires + device if here else wires for (wires, device), here in zip(pieces, there, strict=True))


def _values(crossbar: Crossbar, i: int, g: Array) -> tuple[float, ...]:
    if not (np.all(g > 0.0) and np.all(np.isfinite(g))):
        raise ValueError(
            f"crossbar {crossbar.name}: expected positive finite conductances in row {i}, found {g.tolist()}"
        )
    return tuple((g if crossbar.device is not None else 1.0 / g).tolist())
