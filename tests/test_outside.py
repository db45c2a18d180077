"""Simulators that are not on this machine: asked in their words, believed by the same rules.

A shell script stands in for each: it checks its command line, keeps the deck it was given and plays back an answer
in the program's own format.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.bench import Bench
from ohmweave.circuit import Cell, Crossbar, Instance, Resistor, Vcvs
from ohmweave.errors import SimulationError, SimulatorMissing
from ohmweave.netlist import dialect
from ohmweave.simulate import simulator, simulator_on
from ohmweave.simulate.deck import Names, find_vectors
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.simulate.outside import choice
from ohmweave.units import Array

DIVIDER = Cell(
    "divider",
    ("a", "m"),
    (
        Instance("up", Resistor(1e3), ("a", "m")),
        Instance("down", Resistor(3e3), ("m", "0")),
        Instance("buf", Vcvs(2.0), ("k", "0", "m", "0")),
    ),
)
BENCH = Bench(DIVIDER, ("a",), np.array([[0.1], [0.4]]), ("m", "k", "0"), ("buf",))
# Columns: sample, m, k, i of the input, i of the source, a.
GOOD = np.array([[0.0, 0.075, 0.15, 25e-6, -0.0, 0.1], [1.0, 0.3, 0.6, 100e-6, -0.0, 0.4]])


def as_xyce(values: Array) -> bytes:
    """Xyce's N_IO_OutputterTimeRaw.C: names as printed, in capitals; the number of points behind blanks."""
    names = ("V(SAMPLE)", "V(P_M)", "V(X1:K)", "I(VI0)", "I(X1:EBUF)", "V(P_A)")
    table = "".join(f"\t{k}\t{name}\tvoltage\n" for k, name in enumerate(names))
    head = f"Title: t\nDate: d\nPlotname: DC transfer characteristic\nFlags: real\nNo. Variables: {len(names)}\n"
    return f"{head}No. Points: {len(values)}                 \nVariables:\n{table}Binary:\n".encode() + values.tobytes()


def block(content: bytes) -> bytes:
    return struct.pack("<4i", 4, len(content) // 8, 4, len(content)) + content + struct.pack("<i", len(content))


def as_hspice(values: Array, sweeps: int = 0) -> bytes:
    """The format 2001: names short of their closing parenthesis, one table ended by 1e30."""
    names = ("samples", "v(sample", "v(p_m", "v(x1.k", "i(vi0", "i(x1.ebuf", "v(p_a")
    head = f"{len(names):04d}0000{sweeps:04d}0000    2001* deck.sp".ljust(256)
    head += " ".join(["3", *"1" * 3, "8", "8", "1"]) + "  " + "  ".join(names) + "  $&%#    "
    table = np.hstack([np.arange(len(values), dtype=float)[:, None], values]).ravel()
    ended = np.concatenate([np.zeros(min(sweeps, 1)), table, [1e30]]).tobytes()
    # A table may lie in several blocks.
    return block(head.encode()) + block(ended[:48]) + block(ended[48:])


def as_spectre(values: Array) -> bytes:
    """Spectre's nutascii: the first variable beside 'Variables:', three values a line, units behind the names."""
    names = ("sample_number", "sample", "p_m", "x1.k", "vi0:p", "x1.ebuf:p", "p_a")
    table = "\n\t\t".join(f"{k}\t{name}\tV plot=0 grid=0" for k, name in enumerate(names))
    points = []
    for k, row in enumerate(values.tolist()):
        words = [repr(value) for value in (float(k), *row)]
        points.append(f"{k}\t" + "\n\t".join("\t".join(words[i : i + 3]) for i in range(0, len(words), 3)))
    head = "Title: t\nPlotname: DC Analysis `samples': sample_number = (0 -> 1)\nFlags: real"
    head += f"\nNo. Variables: {len(names)}\nNo. Points: {len(values)}"
    return f"{head}\nVariables:\t{table}\nValues:\n{chr(10).join(points)}\n".encode()


@dataclass(frozen=True)
class Stand:
    """What is known of one program.

    Args:
        command: the arguments that it must be given.
        greeting: what asks for its version, what it says then, and the version in it.
        answer: the file it makes.
        record: values -> that file's content.
        deck: the deck's file and its text for ``BENCH``.
        trouble: what it says when it fails with exit code 0.
    """

    command: str
    greeting: tuple[str, str, str]
    answer: str
    record: Callable[[Array], bytes]
    deck: tuple[str, str]
    trouble: str


STANDS = {
    "xyce": Stand(
        "deck.cir",
        ("-v", "Xyce Release 7.8.0-opensource", "7.8.0-opensource"),
        "out.raw",
        as_xyce,
        (
            "deck.cir",
            'ohmweave bench of divider\n.include "cell.xyce"\n.global_param sample_number=0 drive0=0\n'
            "vs sample 0 {sample_number}\nvd0 in0 0 {drive0}\nvi0 in0 p_a 0\nx1 p_a p_m divider\n"
            ".options device gmin=1e-18 temp=27 tnom=27\n"
            ".options nonlin maxstep=1000 abstol=1e-12 reltol=1e-09 rhstol=1e-12\n"
            ".data samples\n+ sample_number drive0\n+ 0 0.1\n+ 1 0.4\n.enddata\n.dc data=samples\n"
            ".print dc format=raw file=out.raw v(sample) v(p_m) v(x1:k) i(vi0) i(x1:ebuf) v(p_a)\n.end\n",
        ),
        "Netlist error: Function or variable G not found",
    ),
    "hspice": Stand(
        "-i deck.sp -o out",
        ("-v", "HSPICE Version O-2018.09-SP2 linux64", "O-2018.09-SP2"),
        "out.sw0",
        as_hspice,
        (
            "deck.sp",
            "ohmweave bench of divider\n.include 'cell.sp'\n.param sample_number=0 drive0=0\n"
            "vs sample 0 sample_number\nvd0 in0 0 drive0\nvi0 in0 p_a 0\nx1 p_a p_m divider\n.temp 27\n"
            ".option parhier=local tnom=27 gmindc=1e-18 itl1=1000 kcltest=1\n"
            ".option absi=1e-15 reli=1e-09 absvdc=1e-12 relvdc=1e-09\n.option post=1 post_version=2001 probe=1\n"
            ".data samples sample_number drive0\n0 0.1\n1 0.4\n.enddata\n.dc data=samples\n"
            ".probe dc v(sample) v(p_m) v(x1.k) i(vi0) i(x1.ebuf) v(p_a)\n.end\n",
        ),
        " **error** (deck.sp:4) difficulty in reading input",
    ),
    "spectre": Stand(
        "deck.scs -format nutascii -raw out.raw",
        ("-V", "@(#)$CDS: spectre  version 23.1.0 64bit 06/01/2023 $", "23.1.0"),
        "out.raw",
        as_spectre,
        (
            "deck.scs",
            '// ohmweave bench of divider\nsimulator lang=spectre\ninclude "cell.scs"\nparameters sample_number=0\n'
            "vs (sample 0) vsource type=dc dc=sample_number\n"
            "vd0 (in0 0) vsource type=dc dc=(sample_number<0.5?0.1:0.4)\nvi0 (in0 p_a) vsource type=dc dc=0\n"
            "x1 (p_a p_m) divider\n"
            "limits options temp=27 tnom=27 reltol=1e-09 iabstol=1e-15 vabstol=1e-12 gmin=1e-18 save=selected\n"
            "samples dc param=sample_number maxiters=1000 values=[0 1 ]\n"
            "save sample p_m x1.k vi0:p x1.ebuf:p p_a\n",
        ),
        'ERROR (SFE-23): "deck.scs" 7: The instance `x1\' is referencing an undefined model',
    ),
}
EVERY_STAND = pytest.mark.parametrize("name", STANDS)


@dataclass(frozen=True)
class Program:
    """Makes the script that stands in for a program."""

    folder: Path

    def __call__(self, name: str, content: bytes, said: str = "done", code: int = 0) -> str:
        stand, (flag, greeting, _) = STANDS[name], STANDS[name].greeting
        (self.folder / "answer").write_bytes(content)
        path = self.folder / f"{name}-script"
        path.write_text(
            f"#!/bin/sh\nif [ \"$*\" = '{flag}' ]; then echo '{greeting}'; exit 0; fi\n"
            f'if [ "$*" != \'{stand.command}\' ]; then echo "error: called with $*"; exit 9; fi\n'
            f"cp * '{self.folder}'\ncp '{self.folder}/answer' {stand.answer}\n"
            f"cat <<'WORDS'\n{said}\nWORDS\nexit {code}\n"
        )
        path.chmod(0o755)
        return str(path)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@EVERY_STAND
def test_it_is_asked_in_its_words_and_its_answer_is_read(name: str, program: Program) -> None:
    stand = STANDS[name]
    waves = simulator(name, executable=program(name, stand.record(GOOD))).run(BENCH)
    np.testing.assert_array_equal(waves.volts, [[0.075, 0.15, 0.0], [0.3, 0.6, 0.0]])
    np.testing.assert_array_equal(waves.input_amps, [[25e-6], [100e-6]])
    np.testing.assert_array_equal(waves.source_volts, [[0.15], [0.6]])
    np.testing.assert_array_equal(waves.source_amps, [[0.0], [0.0]])
    assert (waves.engine, waves.version) == (name, stand.greeting[2])
    assert (program.folder / stand.deck[0]).read_text() == stand.deck[1]
    suffix = dialect(name).suffix
    assert (program.folder / f"cell{suffix}").read_text().count("divider") >= 2


@EVERY_STAND
def test_a_sample_that_is_missing_is_noticed(name: str, program: Program) -> None:
    executable = program(name, STANDS[name].record(GOOD[:1]))
    with pytest.raises(SimulationError) as caught:
        simulator(name, executable=executable).run(BENCH)
    assert str(caught.value) == (f"{name}, divider: expected 2 samples, found 1 up to [0.0]; the log ends: done")


@EVERY_STAND
def test_an_answer_that_is_cut_is_refused(name: str, program: Program) -> None:
    executable = program(name, STANDS[name].record(GOOD)[:-9])
    with pytest.raises(SimulationError, match=rf"^{name}, divider: expected .* the log ends: done; the simulator stop"):
        simulator(name, executable=executable).run(BENCH)


@EVERY_STAND
def test_a_value_that_is_not_finite_is_refused(name: str, program: Program) -> None:
    values = GOOD.copy()
    values[1, 1] = np.nan
    with pytest.raises(SimulationError, match=rf"^{name}, divider: expected finite values, found nan in "):
        simulator(name, executable=program(name, STANDS[name].record(values))).run(BENCH)


@EVERY_STAND
def test_drives_that_are_not_the_benchs_are_refused(name: str, program: Program) -> None:
    values = GOOD.copy()
    values[1, 5] = 0.5
    with pytest.raises(SimulationError) as caught:
        simulator(name, executable=program(name, STANDS[name].record(values))).run(BENCH)
    assert str(caught.value) == (f"{name}, divider: expected the drives of the bench, found them 1.0e-01 V away")


@EVERY_STAND
def test_its_words_are_believed_more_than_its_file(name: str, program: Program) -> None:
    stand = STANDS[name]
    for said, code, found in (
        (stand.trouble, 0, f"exit code 0 and {stand.trouble.strip()!r}"),
        ("bye", 1, "exit code 1"),
    ):
        with pytest.raises(SimulationError) as caught:
            simulator(name, executable=program(name, stand.record(GOOD), said, code)).run(BENCH)
        assert str(caught.value) == (
            f"{name}, divider: expected a run without errors, found {found}; the log ends: {said.strip()}; "
            "check the netlist and the design"
        )


@EVERY_STAND
def test_a_title_may_hold_any_word(name: str, program: Program) -> None:
    stand = STANDS[name]
    waves = simulator(name, executable=program(name, stand.record(GOOD), f"ohmweave bench of {stand.trouble}")).run(
        BENCH
    )
    assert waves.volts.shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("xyce", "install it (Sandia National Laboratories give it away) or use ngspice"),
        ("hspice", "put Synopsys' program on PATH or use ngspice"),
        ("spectre", "put Cadence's program on PATH or use ngspice"),
    ],
)
def test_a_missing_program_says_how_to_get_it(name: str, remedy: str) -> None:
    made = simulator(name, executable="nowhere-at-all")
    for attempt in (made.version, lambda: made.run(BENCH)):
        with pytest.raises(SimulatorMissing) as caught:
            attempt()
        assert str(caught.value) == f"expected the simulator 'nowhere-at-all', found none on this machine; {remedy}"


@EVERY_STAND
def test_a_program_that_hangs_is_stopped(name: str, program: Program) -> None:
    executable = program(name, b"")
    Path(executable).write_text(f"#!/bin/sh\nif [ \"$*\" = '{STANDS[name].greeting[0]}' ]; then exit 0; fi\nsleep 60\n")
    with pytest.raises(SimulationError, match=rf"^{name}, divider: expected an answer within 0\.5 s, found none"):
        simulator(name, executable=executable, time_limit=0.5).run(BENCH)


def test_licences_are_let_through_and_nothing_else(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNPSLMD_LICENSE_FILE", "27000@licences")
    monkeypatch.setenv("OHMWEAVE_SECRET", "x")
    executable = program("hspice", as_hspice(GOOD))
    script = Path(executable)
    script.write_text(script.read_text().replace("cp *", f"env > {program.folder}/environment; cp *", 1))
    simulator("hspice", executable=executable).run(BENCH)
    seen = (program.folder / "environment").read_text()
    assert "SNPSLMD_LICENSE_FILE=27000@licences\n" in seen
    assert "OHMWEAVE_SECRET" not in seen


def test_hspices_tables_may_be_a_sweep_each(program: Program) -> None:
    waves = simulator("hspice", executable=program("hspice", as_hspice(GOOD, sweeps=1))).run(BENCH)
    np.testing.assert_array_equal(waves.volts[:, 0], [0.075, 0.3])


@given(st.lists(st.floats(-2.0, 2.0), min_size=1, max_size=40))
def test_nested_choices_are_the_samples_values(values: list[float]) -> None:
    said = choice(values)
    # Python's own conditional, so that it can say what the formula means.
    meaning = _as_python(said)
    assert [eval(meaning, {"sample_number": k}) for k in range(len(values))] == values  # noqa: S307 - our own text


def _as_python(formula: str) -> str:
    """``(a?b:c)`` as ``(b if a else c)``."""
    if not formula.startswith("("):
        return formula
    condition, rest = formula[1:-1].split("?", 1)
    depth = place = 0
    while depth or rest[place] != ":":
        depth += {"(": 1, ")": -1}.get(rest[place], 0)
        place += 1
    return f"(({_as_python(rest[:place])}) if {condition} else ({_as_python(rest[place + 1 :])}))"


def test_vectors_below_are_called_as_each_program_calls_them() -> None:
    bar = Crossbar("t", ("p",), ("k",), None, np.array([[1e-5]]), 1.0, 1.0)
    inner = Cell("inner", ("p", "q"), (bar, Instance("e1", Vcvs(1.0), ("q", "0", "k", "0"))))
    outer = Cell("outer", ("a", "b"), (Instance("i", inner, ("a", "m")), Instance("load", Resistor(1.0), ("m", "0"))))
    bench = Bench(outer, ("a",), np.zeros((1, 1)), ("i.k",), ("i.e1",))
    deck, _ = find_vectors(bench, Names(":", "v({0})", "i({0})", "i({0})"))
    assert (deck.probes, deck.currents) == (("v(x1:xi:k)",), ("i(x1:xi:ee1)",))


def test_only_what_reads_ngspices_words_is_given_the_netlist_on_disk() -> None:
    assert simulator_on("ngspice", Path("chip.cir")) == NgspiceSimulator(netlist=Path("chip.cir"))
    for name in (*STANDS, "vacask"):
        assert simulator_on(name, Path("chip.cir"), time_limit=5.0) == simulator(name, time_limit=5.0)
