"""Op-amps of the user's files: what a design may say, what is read, measured, written and refused."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ohmweave import archive
from ohmweave.blocks.file_opamp import FileOpAmp
from ohmweave.circuit import Library
from ohmweave.compile import compile as weave
from ohmweave.design import Design
from ohmweave.errors import UserError
from ohmweave.graph import Graph
from ohmweave.models import load_opamp_library, read_opamp_choice
from ohmweave.netlist import DIALECTS, write
from ohmweave.netlist import dialect as find_dialect

CommandLine = Callable[..., SimpleNamespace]

HERE = Path(__file__).parent / "models"
DESIGN = """[opamp]
file = "miller.sp"
name = "miller"
section = "tt"
include = ["generic.lib"]
ports = ["INP", "inn", "out"]
supplies = { avdd = "0.55 V", avss = "-0.75 V" }
bias = { ib = "5 uA" }
offset_spread = "1 mV"

[device]
g_off = "1 uS"
g_on = "10 uS"

[signal]
v_read = "100 mV"
v_out = "200 mV"
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("miller.sp", "generic.lib"):
        (tmp_path / name).write_bytes((HERE / name).read_bytes())
    (tmp_path / "design.toml").write_text(DESIGN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def measured(desk: Path, ngspice: str, ohmweave: CommandLine) -> Path:
    done = ohmweave("characterize", "design.toml")
    assert done.code == 0, done.err
    assert "written: miller.characterized.json" in done.out
    return desk


def refusal(text: str) -> str:
    with pytest.raises(UserError) as refused:
        Design.parse(text, "d.toml")
    return str(refused.value)


def test_one_command_measures_an_opamp(ngspice: str, ohmweave: CommandLine, desk: Path) -> None:
    done = ohmweave("characterize", "design.toml", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert (said["opamp"], said["file"], said["supplies"]) == ("miller", "miller.characterized.json", [-0.75, 0.55])
    opamp = Design.load("design.toml").opamp
    assert isinstance(opamp, FileOpAmp)
    assert opamp.figures.gain == said["figures"]["gain"] > 500.0
    # 5 uA by the widths: 25 uA in M7, which is what the output sinks, 5 uA in M5, and 5 uA from outside.
    assert opamp.figures.i_sink == pytest.approx(25e-6, rel=0.15)
    assert opamp.quiescent_power == pytest.approx(1.3 * 35e-6, rel=0.15)
    assert opamp.offset_spread == 1e-3
    assert opamp.holds is not None
    # What holds the output works against the output stage of a second one.
    assert opamp.figures.curves.held[0][1] == pytest.approx(opamp.figures.i_sink, rel=0.05)
    assert opamp.figures.curves.held[-1][1] == pytest.approx(0.0, abs=0.2e-6)


def test_without_a_design_options_say_the_same(measured: Path, ohmweave: CommandLine) -> None:
    arguments = ("--name", "miller", "--ports", "inp,inn,out", "--supplies", "avdd=0.55V,avss=-0.75 V")
    before = json.loads((measured / "miller.characterized.json").read_text())
    done = ohmweave(
        "characterize", "miller.sp", *arguments, "--bias", "ib=5uA", "--section", "tt", "--include", "generic.lib"
    )
    assert done.code == 0, done.err
    after = json.loads((measured / "miller.characterized.json").read_text())
    assert after["gain"] == pytest.approx(before["gain"], rel=1e-6)
    assert Design.load("design.toml").opamp.v_low == after["v_low"]


def test_sections_are_those_of_the_files_that_have_them(measured: Path, ohmweave: CommandLine) -> None:
    typical = Design.load("design.toml").opamp
    (measured / "design.toml").write_text(DESIGN.replace('"tt"', '"ss"'))
    assert refusal((measured / "design.toml").read_text()) == (
        "d.toml: miller.characterized.json: expected the figures of miller as it is now, found those of other files "
        "or choices; run ohmweave characterize d.toml"
    )
    assert ohmweave("characterize", "design.toml").code == 0
    assert Design.load("design.toml").opamp.macro[0] != typical.macro[0]


def test_a_build_holds_the_opamp_and_its_figures(measured: Path, perceptron: Graph) -> None:
    chip = weave(perceptron, Design.load("design.toml"), calibration=np.eye(3))
    build = archive.save(chip, measured / "build")
    names = {"generic.lib", "miller.sp"}
    assert {path.name for path in (build / "opamp").iterdir()} == {*names, "miller.characterized.json"}
    assert {path.name for path in (build / "netlist" / "opamp").iterdir()} == names
    assert (build / "netlist" / "opamp" / "miller.sp").read_text() == (HERE / "miller.sp").read_text()
    found = archive.load(build)
    assert found.plan.digest() == chip.plan.digest()
    assert Design.parse(found.plan.design.dump(), "x", build) == found.plan.design
    archive.save(found, build)


@pytest.mark.parametrize("name", [name for name in DIALECTS if name != "vacask"])
def test_every_dialect_calls_the_users_subcircuit(name: str, measured: Path, perceptron: Graph) -> None:
    chip = weave(perceptron, Design.load("design.toml"), calibration=np.eye(3))
    stream = io.StringIO()
    write(chip.cell, find_dialect(name), stream)
    (call,) = {line for line in stream.getvalue().splitlines() if line.startswith("xu1 ")}
    assert call.replace("(", "").replace(")", "") == "xu1 p n out vdd vss bias1_0 miller"
    assert "opamp/generic.lib" in stream.getvalue()


def test_a_changed_file_and_a_broken_one_ask_for_the_command_again(measured: Path) -> None:
    figures = measured / "miller.characterized.json"
    (measured / "generic.lib").write_text((HERE / "generic.lib").read_text().replace("300u", "310u"))
    assert refusal(DESIGN).startswith("d.toml: miller.characterized.json: expected the figures of miller as it is now")
    figures.write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"cannot be read as an op-amp's figures \(RecursionError: "):
        Design.load("design.toml")
    figures.unlink()
    assert refusal(DESIGN) == (
        "d.toml: miller.characterized.json: expected the figures of miller beside its file, found none; "
        "run ohmweave characterize d.toml"
    )


def test_a_design_keeps_to_the_figures_it_was_written_with(measured: Path) -> None:
    text = DESIGN.replace("[device]", 'digest = "another"\n[device]')
    assert refusal(text) == (
        "d.toml: opamp.digest: expected the figures that this design was written with, found others; "
        "compile again, or remove the line"
    )


def test_limits_it_was_not_measured_for_are_refused(measured: Path) -> None:
    opamp = Design.load("design.toml").opamp
    with pytest.raises(UserError) as refused:
        opamp.cell("opamp", low=0.15)
    assert str(refused.value) == (
        "opamp miller: expected a lower limit of -0.1 V to 0.1 V, found 0.15 V; "
        'choose other activations, or opamp.kind = "finite"'
    )


def test_one_too_weak_to_hold_another_is_told(measured: Path) -> None:
    strong = Design.load("design.toml").opamp
    # A driver that gives less than the sink takes has nothing to hold with.
    curves = replace(strong.figures.curves, floor=())
    opamp = replace(strong, measured=replace(strong.figures, curves=curves))
    assert opamp.holds is None
    with pytest.raises(UserError) as refused:
        opamp.cell("opamp", low=0.0)
    assert str(refused.value) == (
        'opamp miller: expected no lower limit, found 0 V; choose other activations, or opamp.kind = "finite"'
    )


TABLES = {
    'file = "miller.sp"': (
        'file = "../miller.sp; shell"',
        (
            "d.toml: opamp.file: expected a plain file, found '../miller.sp; shell'; "
            "name files and folders with letters, digits and . _ + - only"
        ),
    ),
    'name = "miller"': (
        'name = "mil ler"',
        ("d.toml: opamp.name: expected a plain name, found 'mil ler'; give the name of a subcircuit of the file"),
    ),
    'section = "tt"': ('sektion = "tt"', "d.toml: [opamp]: unknown key 'sektion'; did you mean 'section'?"),
    'ports = ["INP", "inn", "out"]': (
        'ports = ["INP", "out"]',
        (
            "d.toml: opamp.ports: expected the positive and the negative input and the output, found ['INP', 'out']; "
            'try ports = ["inp", "inn", "out"]'
        ),
    ),
    'supplies = { avdd = "0.55 V", avss = "-0.75 V" }': (
        'supplies = { avdd = "0.55 V" }',
        (
            "d.toml: opamp.supplies: expected two supply ports at different voltages, found {'avdd': '0.55 V'}; "
            'write supplies = { vdd = "0.55 V", vss = "-0.55 V" }'
        ),
    ),
    'supplies = { avdd = "0.55 V", avss = "-0.75 V" }\n': (
        'supplies = { avdd = "1.1 V", avss = "0 V" }\n',
        (
            "d.toml: opamp.supplies: expected one supply below 0 V and one above, found avdd = 1.1 V and avss = 0 V; "
            "signals lie around ground: write vdd = 0.55 V, vss = -0.55 V"
        ),
    ),
    'bias = { ib = "5 uA" }': (
        'bias = { ib = "5 uV" }',
        ("d.toml: opamp.bias: expected a value in A, found '5 uV'; write it like \"1 A\""),
    ),
    'include = ["generic.lib"]': (
        'include = "generic.lib"',
        (
            "d.toml: opamp.include: expected a list of plain paths, or of tables with file and section, "
            "found 'generic.lib'; name files and folders with letters, digits and . _ + - only"
        ),
    ),
    'bias = { ib = "5 uA" }\n': (
        'bias = { inp = "5 uA" }\n',
        (
            "d.toml: opamp: expected every port once, found inp, inn, out, avdd, avss, inp; "
            "name each port in one of ports, supplies and bias"
        ),
    ),
}


@pytest.mark.parametrize("line", TABLES)
def test_a_mistaken_table_is_told(line: str, desk: Path) -> None:
    other, message = TABLES[line]
    assert line in DESIGN
    assert refusal(DESIGN.replace(line, other)) == message


REMEDY = "remove it: a circuit file may hold circuit only, analyses are ohmweave's own"
FILES = {
    "a shell": (
        "miller.sp",
        ".ends",
        "shell touch pwned\n.ends",
        (f"design.toml: miller.sp:13: expected circuit cards only, found 'shell'; {REMEDY}"),
    ),
    "a control block of the process": (
        "generic.lib",
        ".endl ss",
        ".control\nshell touch pwned\n.endc\n.endl ss",
        (f"design.toml: generic.lib:9: expected circuit cards only, found '.control'; {REMEDY}"),
    ),
    "a command behind a dollar": (
        "generic.lib",
        ".lib ss",
        "$# shell touch pwned\n.lib ss",
        (f"design.toml: generic.lib:6: expected circuit cards only, found '$# shell t'; {REMEDY}"),
    ),
    "an option": (
        "generic.lib",
        ".lib tt\n",
        ".lib tt\n.option temp=80\n",
        (
            "design.toml: generic.lib:3: expected definitions only, found '.option', which would change the whole "
            "chip; remove it"
        ),
    ),
    "an analysis": (
        "miller.sp",
        ".ends",
        ".tran 1n 1u\n.ends",
        (f"design.toml: miller.sp:13: expected circuit cards only, found '.tran'; {REMEDY}"),
    ),
    "no section": (
        "generic.lib",
        ".lib tt",
        ".lib typical",
        ("design.toml: generic.lib: expected the section 'tt', found none of that name; known are ss, typical"),
    ),
    "the op-amp within another": (
        "miller.sp",
        ".subckt Miller",
        ".subckt outer a b\n.subckt Miller a b\n.ends\n.ends\n.subckt third",
        ("design.toml: miller.sp: expected one .subckt miller, found 0 of that name; known are outer, third"),
    ),
    "another port": (
        "miller.sp",
        " IB\n",
        " IBIAS\n",
        (
            "design.toml: miller.sp:2: expected the ports INP, inn, out, avdd, avss, ib, found inp, inn, out, avdd, "
            "avss, ibias; name every port of the .subckt line in one of opamp.ports, opamp.supplies and opamp.bias"
        ),
    ),
    "another name": (
        "miller.sp",
        ".subckt Miller",
        ".subckt Muller",
        ("design.toml: miller.sp: expected one .subckt miller, found 0 of that name; did you mean 'muller'?"),
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_is_refused_before_anything_runs(case: str, desk: Path, ohmweave: CommandLine) -> None:
    name, old, new, message = FILES[case]
    (desk / name).write_text((HERE / name).read_text().replace(old, new, 1))
    before = sorted(path.name for path in desk.iterdir())
    done = ohmweave("characterize", "design.toml")
    assert (done.code, done.err) == (2, f"error: {message.removeprefix('design.toml: ')}\n")
    assert sorted(path.name for path in desk.iterdir()) == before
    with pytest.raises(UserError) as refused:
        Design.load("design.toml")
    assert str(refused.value) == message


def test_a_section_without_sections_is_told(desk: Path) -> None:
    choice = read_opamp_choice({
        "file": "miller.sp", "name": "miller", "section": "tt", "ports": ["inp", "inn", "out"],
        "supplies": {"avdd": "1 V", "avss": "-1 V"}, "bias": {"ib": "5 uA"},
    }, "d.toml")  # fmt: skip
    with pytest.raises(UserError) as refused:
        load_opamp_library(choice, desk)
    assert str(refused.value) == (
        "miller.sp: expected the section 'tt', found no file with sections; leave out section, or name the library "
        "that has it in include"
    )


def test_a_section_of_an_include_goes_before_that_of_all(desk: Path) -> None:
    table = {
        "file": "miller.sp", "name": "miller", "ports": ["inp", "inn", "out"],
        "supplies": {"avdd": "1 V", "avss": "-1 V"}, "bias": {"ib": "5 uA"},
    }  # fmt: skip

    def library(**given: object) -> Library:
        return load_opamp_library(read_opamp_choice({**table, **given}, "d.toml"), desk)

    own = [{"file": "generic.lib", "section": "ss"}]
    slow = library(include=["generic.lib"], section="ss")
    assert slow.entries == (("opamp/generic.lib", "ss"), ("opamp/miller.sp", ""))
    assert library(include=own) == library(include=own, section="tt") == slow
    assert library(include=["generic.lib"], section="tt") != slow


SPICE = {
    "an unknown model": (
        "generic.lib",
        ".model nch",
        ".model other",
        "miller.sp: miller: expected an op-amp that ngspice can measure, found: ",
    ),
    "one of little gain": (
        "miller.sp",
        "cc z",
        "rl OUT 0 100\ncc z",
        "miller.sp: miller: expected an op-amp with a gain of at least 10, found 4.3; "
        "mend the subcircuit, its supplies and its bias\n",
    ),
    "one with its inputs exchanged": (
        "miller.sp",
        "m1 n1 INN tail AVSS nch w=1u l=0.5u\nm2 n2 INP",
        "m1 n1 INP tail AVSS nch w=1u l=0.5u\nm2 n2 INN",
        "miller.sp: miller: expected an op-amp that ngspice can measure, found: "
        "expected an output that sinks and sources current at 0 V, found 0.0004",
    ),
    "one that gives no current": (
        "miller.sp",
        "m6 ",
        "*",
        (
            "miller.sp: miller: expected an op-amp that ngspice can measure, found: "
            "expected an output that sinks and sources current at 0 V"
        ),
    ),
}


@pytest.mark.parametrize("case", SPICE)
def test_what_is_no_opamp_is_told(case: str, desk: Path, ngspice: str, ohmweave: CommandLine) -> None:
    name, old, new, message = SPICE[case]
    (desk / name).write_text((HERE / name).read_text().replace(old, new, 1))
    done = ohmweave("characterize", "design.toml")
    assert done.code == 2
    assert done.err.startswith(f"error: {message}"), done.err


OPTIONS = {
    (
        "miller.sp",
        "--supplies",
        "avdd",
    ): "--supplies: expected PORT=VALUE, found 'avdd'; try --supplies vdd=0.55V,vss=-0.55V",
    ("miller.sp", "--supplies", "a=1V,b=1V", "--name", "miller"): (
        "miller.sp: opamp.supplies: expected two supply ports at different voltages, found {'a': '1V', 'b': '1V'}; "
        'write supplies = { vdd = "0.55 V", vss = "-0.55 V" }'
    ),
    ("design.toml", "--bias", "ib=5uA"): (
        "design.toml: expected the model's choices in the design alone, found --bias; leave the option out"
    ),
}


@pytest.mark.parametrize("arguments", OPTIONS)
def test_a_mistaken_option_is_told(arguments: tuple[str, ...], desk: Path, ohmweave: CommandLine) -> None:
    done = ohmweave("characterize", *arguments)
    assert (done.code, done.err) == (2, f"error: {OPTIONS[arguments]}\n")


def test_transistors_are_verified_to_what_their_curves_are_good_for(
    measured: Path, perceptron: Graph, ohmweave: CommandLine
) -> None:
    chip = weave(perceptron, Design.load("design.toml"), calibration=np.eye(3))
    archive.save(chip, measured / "build")
    np.savez(measured / "data.npz", x=np.eye(3), y=np.zeros(3, dtype=np.int64))
    done = ohmweave("verify", "build", "--data", "npz:data.npz", "--samples", 2, "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert (said["tolerance"], said["ok"]) == (1e-2, True)
    assert said["max_relative_error"] < 2e-3
