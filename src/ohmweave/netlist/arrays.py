"""Crossbars as text, a row at a time.

A row of the array is one template, made once by the dialect from placeholder names; writing a row is
two replacements and one formatting of its device values. The lines are those of
:meth:`ohmweave.circuit.Crossbar.expand`, in the same order.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ohmweave.circuit import Crossbar
from ohmweave.netlist.dialect import Dialect, number
from ohmweave.units import Array

__all__ = ["array_text"]

# Control characters stand for the row's number and the next one's; no name can contain them.
_ROW, _NEXT = "\x01", "\x02"


def array_text(crossbar: Crossbar, dialect: Dialect) -> Iterator[str]:
    """Yield the lines of the columns' far ends, then those of each row of an array, line breaks included.

    Raises:
        ValueError: a conductance or a bend that is not positive and finite.
    """
    m, n = crossbar.g.shape
    present = ~np.isnan(crossbar.g)
    whole = np.all(present, axis=1)
    values = _values(crossbar, present)
    inner, last = _pieces(crossbar, dialect, last=False), _pieces(crossbar, dialect, last=True)
    row_end = _row_end(crossbar, dialect)
    full = _template(inner, [True] * n) + row_end
    yield _column_ends(crossbar, dialect)
    for i in range(m):
        template, row = full, values[i].ravel().tolist()
        if i == m - 1 or not whole[i]:
            here = present[i].tolist()
            template = _template(inner if i < m - 1 else last, here) + row_end
            row = values[i, present[i]].ravel().tolist()
        yield template.replace(_ROW, str(i)).replace(_NEXT, str(i + 1)) % tuple(row)


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


def _row_end(crossbar: Crossbar, dialect: Dialect) -> str:
    """The segment behind the last crossing of a row, as a template."""
    if not crossbar.far_rows:
        return ""
    nets = (f"w{_ROW}_{crossbar.g.shape[1] - 1}", f"fr{_ROW}")
    return dialect.resistor(f"fr{_ROW}", nets, number(crossbar.r_row)) + "\n"


def _column_ends(crossbar: Crossbar, dialect: Dialect) -> str:
    """The segments above the first crossing of every column."""
    ohms = number(crossbar.r_col)
    segments = (dialect.resistor(f"fc{j}", (f"fc{j}", f"b0_{j}"), ohms) for j in range(len(crossbar.far_cols)))
    return "".join(f"{segment}\n" for segment in segments)


def _device(crossbar: Crossbar, dialect: Dialect, name: str, nets: tuple[str, str]) -> str:
    if crossbar.device is None:
        return dialect.resistor(name, nets, "%r")
    bent = () if crossbar.bend is None else ("s",)
    params = dict.fromkeys(("g", *crossbar.device.follows, *bent), "%r")
    return dialect.call(name, nets, crossbar.device.name, params)


def _template(pieces: list[tuple[str, str]], present: list[bool]) -> str:
    return "".join(wires + device if here else wires for (wires, device), here in zip(pieces, present, strict=True))


def _values(crossbar: Crossbar, present: NDArray[np.bool_]) -> Array:
    """What each device's line says, [m, n, values].

    Its resistance (ohm), or a cell's g (S), what follows from that, and its s if it has one.
    """
    _check(crossbar, "conductances", crossbar.g, present)
    if crossbar.device is None:
        return (1.0 / crossbar.g)[:, :, None]
    values = [crossbar.g]
    for follow in crossbar.device.follows.values():
        column = np.full_like(crossbar.g, np.nan)
        column[present] = follow(crossbar.g[present])
        values.append(column)
    if crossbar.bend is not None:
        _check(crossbar, "bends", crossbar.bend, present)
        values.append(crossbar.bend)
    return np.stack(values, axis=2)


def _check(crossbar: Crossbar, name: str, values: Array, present: NDArray[np.bool_]) -> None:
    wrong = np.argwhere(present & ~((values > 0.0) & np.isfinite(values)))
    if len(wrong):
        i, j = (int(index) for index in wrong[0])
        raise ValueError(
            f"crossbar {crossbar.name}: expected positive finite {name}, found {values[i, j]} at ({i}, {j})"
        )
