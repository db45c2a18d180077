"""Every dialect writes plain, safe, reproducible text, whatever the layers are called."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.chip import Chip
from ohmweave.circuit import Cell, Crossbar, Instance, Resistor
from ohmweave.design import Design
from ohmweave.devices import Sinh
from ohmweave.graph import Relu, Tanh
from ohmweave.netlist import Dialect, dialects, scan, write
from ohmweave.schemes import RowPair
from ohmweave.simulate.native import Native
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

MakeChip = Callable[..., tuple[Chip, Array]]

GOLDEN = Path(__file__).parents[1] / "golden"
EVERY_DIALECT = pytest.mark.parametrize("dialect", [kind() for kind in dialects().values()], ids=dialects())
# What cards hold beside names, numbers and formulae.
ALSO = {
    "ngspice": "{}",
    "hspice": "'\\\\",
    "xyce": "{}:",
    "spectre": "\\\\",
    # Verilog-A stands in it.
    "vacask": '\\\\<>"`;VIAWLS$',
}
HOSTILE = {
    "newline": "fc1\n.control\nshell touch /tmp/owned\n.endc",
    "carriage_return": "fc1\r.include /etc/passwd",
    "continuation": "fc1\n+ 1 2 3",
    "backslash": "fc1 \\",
    "command": "# set x",
    "separator": "fc1\u2028.end\u0085.end\x0b.end\x0c.end",
    "unicode": "Schicht µΩ 层",
    "nul": "fc\x001",
    "quote": "'\"$(shell)`id`{g}",
    "empty": "",
}


@pytest.fixture(scope="module")
def chips(make_chip: MakeChip) -> tuple[Chip, ...]:
    """A chip of every device, scheme and activation at once is not possible: two that have all between them."""
    return (
        make_chip(Design(), (6, 5, 3), Relu())[0],
        make_chip(Design(device=Sinh(), scheme=RowPair()), (6, 5, 3), Tanh())[0],
    )


def text(cell: Cell, dialect: Dialect, names: dict[str, str] | None = None) -> str:
    stream = io.StringIO()
    write(cell, dialect, stream, names=names)
    return stream.getvalue()


def cards(netlist: str, dialect: Dialect) -> list[str]:
    """The lines that are no comments."""
    mark = dialect.comment("").strip()
    return [line for line in netlist.splitlines() if line and not line.startswith(mark)]


@EVERY_DIALECT
def test_the_same_circuit_gives_the_same_bytes(dialect: Dialect, make_chip: MakeChip) -> None:
    first, again = (text(make_chip(Design(), (6, 5, 3), Relu())[0].cell, dialect) for _ in range(2))
    assert first == again


@EVERY_DIALECT
def test_the_text_is_printable_ascii_and_ends_with_a_line_break(dialect: Dialect, chips: tuple[Chip, ...]) -> None:
    for chip in chips:
        written = text(chip.cell, dialect, HOSTILE)
        assert re.fullmatch(r"[ -~\n]*", written)
        assert written.endswith("\n")
        assert not written.endswith("\n\n")
        assert all(line == line.rstrip() for line in written.split("\n"))


@EVERY_DIALECT
def test_lines_are_readable(dialect: Dialect, chips: tuple[Chip, ...]) -> None:
    for chip in chips:
        for line in text(chip.cell, dialect).splitlines():
            # Only a formula, one word that no dialect may break, goes beyond.
            assert len(line) <= 120 or max(map(len, line.split())) > 80, line


@EVERY_DIALECT
def test_wide_cells_are_wrapped(dialect: Dialect) -> None:
    rows, cols = tuple(f"r{i}" for i in range(300)), ("c0",)
    bar = Crossbar("bar", rows, cols, None, np.full((300, 1), 1e-5), 1.0, 1.0)
    inner = Cell("inner", (*rows, *cols), (bar,), {"g": 1e-5})
    top = Cell("top", (*rows, *cols), (Instance("x", inner, (*rows, *cols), {"g": 1.2345678901234567e-5}),))
    assert max(map(len, text(top, dialect).splitlines())) <= 120


@EVERY_DIALECT
def test_every_cell_is_opened_before_it_is_used_and_closed(dialect: Dialect, chips: tuple[Chip, ...]) -> None:
    for chip in chips:
        lines = text(chip.cell, dialect).splitlines()
        cells = [*chip.cell.subcells(), chip.cell]
        ends = [lines.index(dialect.close_cell(cell.name)) for cell in cells]
        begins = [lines.index(dialect.open_cell(cell.name, cell.ports, cell.params).split("\n")[0]) for cell in cells]
        assert all(begin < end for begin, end in zip(begins, ends, strict=True))
        assert ends == sorted(ends)
        assert ends[-1] == len(lines) - 1


@EVERY_DIALECT
@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_hostile_layer_names_stay_comments(dialect: Dialect, chips: tuple[Chip, ...], name: str) -> None:
    for chip in chips:
        plain, hostile = text(chip.cell, dialect), text(chip.cell, dialect, {"s0": name})
        assert cards(hostile, dialect) == cards(plain, dialect)
        assert len(hostile.splitlines()) == len(plain.splitlines()) + 1


@EVERY_DIALECT
@settings(deadline=None, max_examples=60)
@given(note=st.text(max_size=300), name=st.text(max_size=300))
def test_notes_and_names_never_become_cards(dialect: Dialect, note: str, name: str) -> None:
    def cell(note: str) -> Cell:
        bar = Crossbar("bar", ("p",), ("0",), None, np.array([[1e-5]]), 0.0, 0.0, note)
        return Cell("jig", ("p",), (Instance("r", Resistor(1.0), ("p", "0")), bar), note=note)

    assert cards(text(cell(note), dialect, {"s0": name}), dialect) == cards(text(cell(""), dialect), dialect)


@EVERY_DIALECT
def test_cards_hold_safe_names_and_numbers_only(dialect: Dialect, chips: tuple[Chip, ...]) -> None:
    for chip in chips:
        for line in cards(text(chip.cell, dialect, HOSTILE), dialect):
            assert re.fullmatch(rf"[a-z0-9_.,+*/=() {ALSO[dialect.name]}-]+", line), line


@EVERY_DIALECT
def test_values_are_written_to_the_last_bit(dialect: Dialect) -> None:
    ohms = 1.0 / 3.0e-5
    cell = Cell("jig", ("p",), (Instance("r", Resistor(ohms), ("p", "0")),))
    (value,) = (word for line in cards(text(cell, dialect), dialect) for word in re.findall(r"\d+\.\d{5,}", line))
    assert float(value) == ohms


@EVERY_DIALECT
def test_a_golden_file_pins_the_dialect(dialect: Dialect) -> None:
    heads = [path.read_text(encoding="ascii").split("\n")[0] for path in GOLDEN.glob(f"*{dialect.suffix}")]
    assert any(f" for {dialect.name}: " in head for head in heads)


def test_what_ngspice_is_given_passes_the_gate(chips: tuple[Chip, ...], tmp_path: Path) -> None:
    for chip in chips:
        path = chip.write(tmp_path, "ngspice")
        assert scan(path) == (path,)


def test_the_written_ngspice_netlist_runs_and_is_the_chip(make_chip: MakeChip, ngspice: str, tmp_path: Path) -> None:
    for design, activation in ((Design(), Relu()), (Design(device=Sinh(), scheme=RowPair()), Tanh())):
        chip, x = make_chip(design, (6, 5, 3), activation)
        path = chip.write(tmp_path, "ngspice")
        written = chip.simulate(x, NgspiceSimulator(ngspice, netlist=path))
        native = chip.simulate(x, Native())
        np.testing.assert_allclose(written.volts, native.volts, rtol=0.0, atol=1e-9 * np.abs(native.volts).max())
