"""Users' model files and the table that names them: read without being run, and told what is wrong with them."""

import io
import os
from pathlib import Path
from typing import Any

import pytest

from ohmweave.circuit import Cell, Foreign, Instance
from ohmweave.devices.file import model_cell
from ohmweave.errors import UserError
from ohmweave.models import load_library, read_choice
from ohmweave.netlist import Ngspice, dialect, scan, write
from ohmweave.netlist.held import held

HERE = Path(__file__).parent / "models"

GAP = {
    "file": "my_rram.lib",
    "name": "my_rram",
    "section": "tt",
    "ports": ["te", "be"],
    "state": {"parameter": "gap", "low": 0.2, "high": 1.7},
}
PLAIN = {
    "file": "user.sub",
    "name": "user",
    "ports": ["p", "n"],
    "state": {"parameter": "x", "low": 0.1, "high": 1.0},
}
READ = "b1 p n i=1e-4*{x}*sinh(v(p,n)/0.3)"


def subcircuit(*cards: str, header: str = ".subckt user p n x=0.5") -> str:
    return "\n".join(("* a model", header, *cards, ".ends", ""))


def refusal(folder: Path, table: dict[str, Any]) -> str:
    """What is said of a model before anything is run."""
    with pytest.raises(UserError) as caught:
        load_library(read_choice(table, "d.toml"), folder)
    assert caught.value.exit_code == 2
    return str(caught.value)


# --- the table of the design

CHOICES = {
    "no file": ({"file": None}, "d.toml: device.file: expected a plain file, found none; PATHS"),
    "a file that a shell would read": (
        {"file": "a;b.lib"},
        "d.toml: device.file: expected a plain file, found 'a;b.lib'; PATHS",
    ),
    "a newline in a path": ({"file": "a\n.lib"}, r"d.toml: device.file: expected a plain file, found 'a\n.lib'; PATHS"),
    "no name": (
        {"name": None},
        "d.toml: device.name: expected a plain name, found none; give the name of a subcircuit of the file",
    ),
    "a newline in a name": (
        {"name": "user\n.control"},
        r"d.toml: device.name: expected a plain name, found 'user\n.control'; "
        "give the name of a subcircuit of the file",
    ),
    "a name that is no name": (
        {"name": "a b"},
        "d.toml: device.name: expected a plain name, found 'a b'; give the name of a subcircuit of the file",
    ),
    "a section with a newline": (
        {"section": "tt\n.exec"},
        r"d.toml: device.section: expected a plain section, found 'tt\n.exec'; give a section of the library",
    ),
    "no ports": (
        {"ports": None},
        'd.toml: device.ports: expected the positive and the negative port, found none; try ports = ["te", "be"]',
    ),
    "one port": (
        {"ports": ["p"]},
        'd.toml: device.ports: expected the positive and the negative port, found [\'p\']; try ports = ["te", "be"]',
    ),
    "the same port twice": (
        {"ports": ["p", "P"]},
        "d.toml: device.ports: expected the positive and the negative port, found ['p', 'P']; "
        'try ports = ["te", "be"]',
    ),
    "a newline in a port": (
        {"ports": ["p", "n\n.control"]},
        r"d.toml: device.ports: expected the positive and the negative port, found ['p', 'n\n.control']; "
        'try ports = ["te", "be"]',
    ),
    "no state": (
        {"state": None},
        "d.toml: device.state: expected a parameter with its low and high, found none; write STATE",
    ),
    "a state without its end": (
        {"state": {"parameter": "x", "low": 0.1}},
        "d.toml: device.state: expected a parameter with its low and high, found {'parameter': 'x', 'low': 0.1}; "
        "write STATE",
    ),
    "a newline in a parameter": (
        {"state": {"parameter": "x\n+", "low": 0.1, "high": 1.0}},
        r"d.toml: device.state: expected the name of a parameter, found 'x\n+'; write STATE",
    ),
    "a state the wrong way round": (
        {"state": {"parameter": "x", "low": 1.0, "high": 0.1}},
        "d.toml: device.state: expected finite numbers with low below high, found low = 1.0 and high = 0.1; "
        "give them in the model's own unit, without a suffix: STATE",
    ),
    "a state that is no number": (
        {"state": {"parameter": "x", "low": float("nan"), "high": 1.0}},
        "d.toml: device.state: expected finite numbers with low below high, found low = nan and high = 1.0; "
        "give them in the model's own unit, without a suffix: STATE",
    ),
    "a state with a suffix": (
        {"state": {"parameter": "x", "low": "0.2n", "high": "1.7n"}},
        "d.toml: device.state: expected finite numbers with low below high, found low = '0.2n' and high = '1.7n'; "
        "give them in the model's own unit, without a suffix: STATE",
    ),
    "an include that is no list": (
        {"include": "a.inc"},
        "d.toml: device.include: expected a list of plain paths, or of tables with file and section, "
        "found 'a.inc'; PATHS",
    ),
    "an include with a variable": (
        {"include": ["$HOME/a"]},
        "d.toml: device.include: expected a list of plain paths, or of tables with file and section, "
        "found ['$HOME/a']; PATHS",
    ),
    "an include without its section": (
        {"include": ["a.inc", {"file": "b.lib"}]},
        "d.toml: device.include: expected a file with its section, found {'file': 'b.lib'}; INCLUDE",
    ),
    "an include with a newline in its section": (
        {"include": [{"file": "b.lib", "section": "tt\n.exec"}]},
        "d.toml: device.include: expected a file with its section, found "
        r"{'file': 'b.lib', 'section': 'tt\n.exec'}; INCLUDE",
    ),
    "an include of a path that a shell would read": (
        {"include": [{"file": "b;c", "section": "tt"}]},
        "d.toml: device.include: expected a file with its section, found {'file': 'b;c', 'section': 'tt'}; INCLUDE",
    ),
    "an include with more than that": (
        {"include": [{"file": "b", "section": "tt", "corner": 1}]},
        "d.toml: device.include: expected a file with its section, found "
        "{'file': 'b', 'section': 'tt', 'corner': 1}; INCLUDE",
    ),
    "a voltage without its unit": (
        {"v_read": 0.1},
        "d.toml: device.v_read: expected a unit (V), found the bare number '0.1'; write \"0.1 V\"",
    ),
    "a read beyond the table": (
        {"v_read": "1 V"},
        "d.toml: device: expected 0 V < v_read <= v_max, found v_read = 1 V and v_max = 0.6 V; "
        'try v_read = "0.1 V" and v_max = "0.6 V"',
    ),
    "an unknown key": ({"prots": []}, "d.toml: [device]: unknown key 'prots'; did you mean 'ports'?"),
}


@pytest.mark.parametrize("case", CHOICES)
def test_a_mistake_in_the_table_is_told_whole(case: str) -> None:
    change, message = CHOICES[case]
    table = {key: value for key, value in {**PLAIN, **change}.items() if value is not None}
    with pytest.raises(UserError) as caught:
        read_choice(table, "d.toml")
    words = message.replace("PATHS", "name files and folders with letters, digits and . _ + - only")
    words = words.replace("INCLUDE", 'write { file = "models.lib", section = "tt" }')
    assert str(caught.value) == words.replace("STATE", 'state = { parameter = "gap", low = 0.2, high = 1.7 }')


# --- the files

CIRCUIT_ONLY = "remove it: a circuit file may hold circuit only, analyses are ohmweave's own"


def told(card: str) -> str:
    return f"user.sub:3: expected circuit cards only, found {card}; {CIRCUIT_ONLY}"


FILES = {
    "a control block": (subcircuit(".control", "shell touch pwned", ".endc"), told("'.control'")),
    "a shell command": (subcircuit("shell touch pwned"), told("'shell'")),
    "a system command": (subcircuit("system touch pwned"), told("'system'")),
    "another script": (subcircuit("source pwned.sp"), told("'source'")),
    "a command in a comment": (subcircuit("*# shell touch pwned"), told("'*# shell t'")),
    "a script in a comment": (subcircuit("*ng_script"), told("'*ng_script'")),
    "an exec card": (subcircuit(".exec touch pwned"), told("'.exec'")),
    "a python card": (subcircuit(".python x"), told("'.python'")),
    "a code model": (subcircuit("a1 p n filter"), told("'a1'")),
    "code to load": (subcircuit("codemodel pwned.cm"), told("'codemodel'")),
    "a compiled model": (subcircuit("pre_osdi pwned.osdi"), told("'pre_osdi'")),
    "an osdi instance": (subcircuit("n1 p n pwned"), told("'n1'")),
    "a process device": (subcircuit(".model m1 d_process (process_file=x)"), told("\".model of kind 'd_process'\"")),
    "a file as a source": (subcircuit("v1 p n pwl file='secret'"), told("'file='")),
    "back quotes": (subcircuit("r1 p n `id`"), told("'`'")),
    "a zero byte": (subcircuit("r1 p n 1\x00"), told(r"'\x00'")),
    "an analysis": (subcircuit(".tran 1n 1u"), told("'.tran'")),
    "a print": (subcircuit(".print dc v(p)"), told("'.print'")),
    "a measurement": (subcircuit(".meas dc y max v(p)"), told("'.meas'")),
    "another language": (
        subcircuit("simulator lang=spectre", "ends user", 'mysh shell cmd="touch pwned"', "simulator lang=spice"),
        told("'simulator'"),
    ),
    "an end in Spectre's language": (subcircuit("ends user"), told("'ends'")),
    "a shell of Spectre's": (subcircuit('mysh shell cmd="touch pwned"'), told("'shell'")),
    "a shell of Spectre's with nets": (subcircuit('mysh (p n)shell cmd="touch pwned"'), told("'shell'")),
    "a subcircuit of Spectre's": (subcircuit("subckt dummy (a b)"), told("'subckt'")),
    "one within of Spectre's": (subcircuit("inline subckt dummy (a b)"), told("'inline'")),
    "an include of Spectre's": (subcircuit('include "/etc/passwd"'), told("'include'")),
    "an include without a blank": (subcircuit('include"/etc/passwd"'), told("'include\"/etc/passwd\"'")),
    "a library of Spectre's": (subcircuit("library pwned"), told("'library'")),
    "Verilog-A by Spectre": (subcircuit('ahdl_include "pwned.va"'), told("'ahdl_include'")),
    "a language on a card": (subcircuit("r1 p n 1", "+ lang = spectre"), told("'lang ='")),
    "a language on a directive": (subcircuit(".param x=1 LANG=spectre"), told("'LANG='")),
    "an include from anywhere": (subcircuit(".include /etc/passwd"), "OUTSIDE"),
    "an include from above": (subcircuit(".include ../secret.sub"), "ABOVE"),
    "an include by variable": (
        subcircuit(".include $HOME/a.sub"),
        told("\"include of '$HOME/a.sub'\""),
    ),
    "a missing include": (
        subcircuit(".include other.sub"),
        "user.sub:3: other.sub: cannot be read: No such file or directory; check the path",
    ),
    "a file that includes itself": (
        subcircuit(".include user.sub"),
        "user.sub:3: user.sub: expected includes that come to an end, found a file that includes itself; "
        "remove the include",
    ),
    "a continuation of nothing": (
        "+ r1 p n 1\n",
        f"user.sub:1: expected circuit cards only, found '+'; {CIRCUIT_ONLY}",
    ),
    "a line without end": (
        subcircuit("r1 p n " + "1" * 30_000),
        "user.sub:3: expected lines of at most 20000 characters; wrap it",
    ),
    "an empty file": ("", "user.sub: expected one .subckt user, found 0 of that name; check device.name"),
    "another subcircuit": (
        subcircuit(READ, header=".subckt users p n x=1"),
        "user.sub: expected one .subckt user, found 0 of that name; did you mean 'users'?",
    ),
    "two of that name": (
        subcircuit(READ) * 2,
        "user.sub: expected one .subckt user, found 2 of that name; remove all but one",
    ),
    "other ports": (
        subcircuit(READ, header=".subckt user a b x=1"),
        "user.sub:2: expected the two ports p, n, found a, b; PORTS",
    ),
    "three ports": (
        subcircuit(READ, header=".subckt user p n bulk x=1"),
        "user.sub:2: expected the two ports p, n, found p, n, bulk; PORTS",
    ),
    "no ports": (
        subcircuit(READ, header=".subckt user"),
        "user.sub:2: expected the two ports p, n, found none; PORTS",
    ),
    "no parameters": (
        subcircuit(READ, header=".subckt user p n"),
        "user.sub:2: expected a parameter 'x' with its default on the .subckt line, found none; PARAMETER",
    ),
    "other parameters": (
        subcircuit(READ, header=".subckt user p n params: gap=1 w = 2"),
        "user.sub:2: expected a parameter 'x' with its default on the .subckt line, found gap, w; PARAMETER",
    ),
    "a part outside": (
        "r9 p 0 1\n" + subcircuit(READ),
        "user.sub:1: expected definitions only, found 'r9' outside of a subcircuit; "
        "move it into the model's .subckt or remove it",
    ),
    "options": (
        ".options reltol=0.1\n" + subcircuit(READ),
        "user.sub:1: expected definitions only, found '.options', which would change the whole chip; remove it",
    ),
    "the chip's own transistors": (
        ".model nmos45 nmos level=1 vto=0.1\n" + subcircuit(READ),
        "user.sub:1: expected names unlike those of the chip's own models, found .model nmos45, WHOLE",
    ),
    "a bin of the chip's own transistors": (
        "* below\n.MODEL\n+ PMOS45.1 pmos (level=1)\n" + subcircuit(READ),
        "user.sub:2: expected names unlike those of the chip's own models, found .model pmos45.1, WHOLE",
    ),
    "a function of the simulator's": (
        ".func tanh(x) {0}\n" + subcircuit(READ),
        "user.sub:1: expected names unlike those of the simulator's own functions, found .func tanh, WHOLE",
    ),
    "a function as a parameter": (
        ".param k=1 Abs (x)='x' j=2\n" + subcircuit(READ),
        "user.sub:1: expected names unlike those of the simulator's own functions, found .func abs, WHOLE",
    ),
    "the temperature": (
        ".param k=1 temper=80\n" + subcircuit(READ),
        "user.sub:1: expected names unlike those of the simulator's own quantities, found .param temper, WHOLE",
    ),
    "a global net": (
        subcircuit(READ, ".global p"),
        "user.sub:4: expected definitions only, found '.global', which would change the whole chip; remove it",
    ),
    "no end": (
        ".subckt user p n x=1\n" + READ,
        "user.sub:1: expected .ends after every .subckt, found none; add it",
    ),
    "an end too many": (
        subcircuit(READ) + ".ends\n",
        "user.sub:5: expected a .subckt before every .ends, found none; remove it",
    ),
    "a library without a section": (
        ".lib tt\n" + subcircuit(READ) + ".endl\n.LIB ff\n" + subcircuit(READ) + ".endl\n",
        "user.sub:1: expected one section of the library, found none named; name a section: tt, ff",
    ),
    "the model within another": (
        subcircuit(subcircuit(READ), header=".subckt other p n"),
        "user.sub: expected one .subckt user, found 0 of that name; known are other",
    ),
}
ENDINGS = {
    "WHOLE": "which would change the whole chip; rename it, or move it into the model's .subckt",
    "PORTS": "name the ports of the .subckt line in device.ports; only two-terminal devices can be used",
    "PARAMETER": "name one of the subcircuit's parameters in device.state",
    "OUTSIDE": "user.sub:3: /etc/passwd: expected a file inside the netlist's folder, found one outside; "
    + CIRCUIT_ONLY,
    "ABOVE": "user.sub:3: ../secret.sub: expected a file inside the netlist's folder, found one outside; "
    + CIRCUIT_ONLY,
}


@pytest.mark.parametrize("case", FILES)
def test_a_hostile_or_malformed_file_is_told_whole_and_runs_nothing(case: str, tmp_path: Path) -> None:
    text, message = FILES[case]
    (tmp_path / "user.sub").write_text(text, encoding="latin-1")
    for mark, words in ENDINGS.items():
        message = message.replace(mark, words)
    assert refusal(tmp_path, PLAIN) == message
    assert [path.name for path in tmp_path.iterdir()] == ["user.sub"]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path, PLAIN) == "user.sub: cannot be read: No such file or directory; check the path"


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "user.sub").open("wb") as stream:
        stream.truncate(1 << 40)
    assert refusal(tmp_path, PLAIN) == (
        "user.sub: expected a model file of at most 16777216 bytes, found 1099511627776; split it"
    )


def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    what = "expected a plain file, found a device, a pipe or a folder; check the path"
    (tmp_path / "user.sub").symlink_to("/dev/zero")
    assert refusal(tmp_path, PLAIN) == f"user.sub: {what}"
    (tmp_path / "top.sub").write_text(".include pipe\n")
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path, {**PLAIN, "file": "top.sub"}) == f"top.sub:1: pipe: {what}"
    with pytest.raises(UserError) as caught:
        scan(tmp_path / "top.sub")
    assert str(caught.value) == f"top.sub:1: pipe: {what}"


def test_a_missing_section_is_told(tmp_path: Path) -> None:
    (tmp_path / "my_rram.lib").write_bytes((HERE / "my_rram.lib").read_bytes())
    assert refusal(tmp_path, {**GAP, "section": "tt_"}) == (
        "my_rram.lib: expected the section 'tt_', found none of that name; did you mean 'tt'?"
    )
    (tmp_path / "user.sub").write_text(subcircuit(READ))
    assert refusal(tmp_path, {**PLAIN, "section": "tt"}) == (
        "user.sub: expected the section 'tt', found none of that name; leave out section: the file has none"
    )


def test_sections_that_take_each_other_are_told(tmp_path: Path) -> None:
    (tmp_path / "user.sub").write_text(".lib tt\n.lib user.sub ff\n.endl\n.lib ff\n.lib user.sub tt\n.endl\n")
    assert refusal(tmp_path, {**PLAIN, "section": "tt"}) == (
        "user.sub: expected includes that come to an end, found section 'tt' within itself; remove the include"
    )


def test_sections_that_double_and_double_again_are_told(tmp_path: Path) -> None:
    pairs = (f".lib s{n}\n" + f".lib user.sub s{n + 1}\n" * 2 + ".endl\n" for n in range(25))
    (tmp_path / "user.sub").write_text("".join(pairs) + ".lib s25\n.endl\n")
    assert refusal(tmp_path, {**PLAIN, "section": "s0"}) == (
        "user.sub: expected includes of at most 67108864 characters in all, found more; "
        "include each file and section once"
    )


def test_a_subcircuit_that_ends_in_another_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "user.sub").write_text(subcircuit(READ) + ".include a.inc\n.ends\n")
    (tmp_path / "a.inc").write_text("* half\n.subckt half p n\n")
    assert refusal(tmp_path, PLAIN) == "a.inc:2: expected .ends after every .subckt, found none; add it"
    (tmp_path / "user.sub").write_text(subcircuit(".include a.inc", READ))
    (tmp_path / "a.inc").write_text("* half\n.ends\n")
    assert refusal(tmp_path, PLAIN) == "a.inc:2: expected a .subckt before every .ends, found none; remove it"


def test_a_cycle_through_several_files_is_told(tmp_path: Path) -> None:
    for name, target in (("user", "a"), ("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.sub").write_text(f".include {target}.sub\n")
    assert refusal(tmp_path, PLAIN) == (
        "user.sub:1: a.sub:1: b.sub:1: a.sub: expected includes that come to an end, found a file that includes "
        "itself; remove the include"
    )


def test_a_control_block_deep_in_nested_includes_is_told(tmp_path: Path) -> None:
    (tmp_path / "user.sub").write_text(".include a/a.inc\n" + subcircuit(READ))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.inc").write_text(".include b.inc\n")
    (tmp_path / "a" / "b.inc").write_text("* fine\n.control\nshell touch pwned\n.endc\n")
    assert refusal(tmp_path, PLAIN) == (
        f"user.sub:1: a/a.inc:1: b.inc:2: expected circuit cards only, found '.control'; {CIRCUIT_ONLY}"
    )


def test_an_include_elsewhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "user.sub").write_text(subcircuit(READ))
    (tmp_path / "d.inc").write_text("* nothing\n")
    assert refusal(tmp_path, {**PLAIN, "file": "in/user.sub", "include": ["d.inc"]}) == (
        "d.inc: expected a file beside user.sub or below, found one elsewhere; move it into the model file's folder"
    )


def test_a_library_holds_its_files_as_they_are_and_what_is_taken_of_them(tmp_path: Path) -> None:
    (tmp_path / "user.sub").write_text(".include sub/a.inc\n" + subcircuit(READ, header=".SUBCKT User N P X = 0.5"))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.inc").write_text(".param k=1\n")
    (tmp_path / "d.inc").write_text(".model dd d\n")
    library = load_library(read_choice({**PLAIN, "include": ["d.inc"]}, "d.toml"), tmp_path)
    assert dict(library.files) == {
        f"device/{name}": (tmp_path / name).read_text() for name in ("d.inc", "sub/a.inc", "user.sub")
    }
    assert library.entries == (("device/d.inc", ""), ("device/user.sub", ""))
    assert (library.cells, library.ports) == (("user",), ("n", "p"))


LIBRARY = ".lib tt\n.model dd d (is=1e-15)\n.endl tt\n.lib ff\n.model dd d (is=1e-14)\n.endl ff\n"


def test_an_include_may_be_a_section_of_a_library(tmp_path: Path) -> None:
    (tmp_path / "user.sub").write_text(subcircuit(READ, "d1 p n dd"))
    (tmp_path / "models.lib").write_text(LIBRARY)
    table = {**PLAIN, "include": [{"file": "models.lib", "section": "ff"}]}
    library = load_library(read_choice(table, "d.toml"), tmp_path)
    assert library.entries == (("device/models.lib", "ff"), ("device/user.sub", ""))
    assert [text for _, text, _ in library.shared] == ["dd d (is=1e-14)"]
    typical = {**PLAIN, "include": [{"file": "models.lib", "section": "tt"}]}
    assert load_library(read_choice(typical, "d.toml"), tmp_path).digest != library.digest


def test_an_includes_section_is_there_or_is_told(tmp_path: Path) -> None:
    (tmp_path / "user.sub").write_text(subcircuit(READ, "d1 p n dd"))
    (tmp_path / "models.lib").write_text(LIBRARY)
    assert refusal(tmp_path, {**PLAIN, "include": [{"file": "models.lib", "section": "tt_"}]}) == (
        "models.lib: expected the section 'tt_', found none of that name; did you mean 'tt'?"
    )
    assert refusal(tmp_path, {**PLAIN, "include": ["models.lib"]}) == (
        "models.lib:1: expected one section of the library, found none named; name a section: tt, ff"
    )
    # Sections that are not taken are judged too: a simulator reads past them.
    (tmp_path / "models.lib").write_text(LIBRARY.replace(".endl ff", ".control\n.endl ff"))
    assert refusal(tmp_path, {**PLAIN, "include": [{"file": "models.lib", "section": "tt"}]}) == (
        f"models.lib:6: expected circuit cards only, found '.control'; {CIRCUIT_ONLY}"
    )


INCLUDES = {
    "ngspice": ".lib device/models.lib ff",
    "hspice": ".lib 'device/models.lib' ff",
    "xyce": '.lib "device/models.lib" ff',
    "spectre": 'simulator lang=spice\n.lib "device/models.lib" ff\nsimulator lang=spectre',
}


@pytest.mark.parametrize("name", INCLUDES)
def test_every_dialect_takes_the_section_of_an_include(name: str, tmp_path: Path) -> None:
    (tmp_path / "user.sub").write_text(subcircuit(READ, "d1 p n dd"))
    (tmp_path / "models.lib").write_text(LIBRARY)
    choice = read_choice({**PLAIN, "include": [{"file": "models.lib", "section": "ff"}]}, "d.toml")
    stream = io.StringIO()
    write(model_cell(choice, load_library(choice, tmp_path)), dialect(name), stream)
    before, after = stream.getvalue().split(f"\n{INCLUDES[name]}\n")
    assert "models.lib" not in before + after
    assert "user.sub" in after


def test_comments_at_line_ends_are_no_ports_and_no_parameters(tmp_path: Path) -> None:
    header = ".subckt user p $ te w=2\n+ n ; be\n+ x=0.5 ;y=1\n+ z=1,$ last // one"
    (tmp_path / "user.sub").write_text(".include a.inc $ mine\n" + subcircuit(READ + " // so", header=header))
    (tmp_path / "a.inc").write_text(".param k=1 ; .model\n")
    assert load_library(read_choice(PLAIN, "d.toml"), tmp_path).ports == ("p", "n")
    other = {**PLAIN, "state": {**PLAIN["state"], "parameter": "y"}}
    assert refusal(tmp_path, other) == (
        "user.sub:3: expected a parameter 'y' with its default on the .subckt line, found x, z; "
        "name one of the subcircuit's parameters in device.state"
    )


@pytest.mark.parametrize("mark", [" $", ";", " //"])
def test_a_comment_at_a_lines_end_hides_nothing(mark: str, tmp_path: Path) -> None:
    (tmp_path / "user.sub").write_text(subcircuit(f"r1 p n 1{mark} file='secret'", READ))
    assert refusal(tmp_path, PLAIN) == told("'file='")


# --- names that a whole chip sees


def user_part(folder: Path, name: str, *shared: str) -> Foreign:
    """A part of a model file of this name, with definitions outside of its subcircuit."""
    folder.mkdir()
    text = "\n".join((*shared, subcircuit(READ, header=f".subckt {name} p n x=0.5")))
    (folder / f"{name}.sub").write_text(text)
    library = load_library(read_choice({**PLAIN, "file": f"{name}.sub", "name": name}, "d.toml"), folder)
    return Foreign(name, (("x", "0.5"),), library)


def written(*parts: Foreign, **params: float) -> str:
    placed = tuple(Instance(f"u{k}", part, ("p", "n")) for k, part in enumerate(parts))
    stream = io.StringIO()
    write(Cell("chip", ("p", "n"), placed, params), Ngspice(), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        (".model nch nmos (level=1 vto=0.4)", ".MODEL nch NMOS (level=1 vto=0.5)", ".model nch"),
        (".param k=1 vth=0.4", ".param vth=0.5", ".param vth"),
        (".func bend(x) {x}", ".func bend(x) {2*x}", ".func bend"),
    ],
)
def test_two_models_files_define_a_name_alike_or_are_told(one: str, other: str, name: str, tmp_path: Path) -> None:
    parts = user_part(tmp_path / "a", "mine", one), user_part(tmp_path / "b", "yours", "* other", other)
    with pytest.raises(UserError) as caught:
        written(*parts)
    assert str(caught.value) == (
        f"yours.sub:2: expected the same {name} as in the other models' files, found another; "
        "rename it, or move it into the model's .subckt"
    )
    same = user_part(tmp_path / "c", "theirs", f"{one.upper()} $ the same")
    assert "xu1 p n theirs" in written(parts[0], same)


def test_a_parameter_of_the_chips_own_cells_is_told(tmp_path: Path) -> None:
    part = user_part(tmp_path / "a", "mine", ".param k=1 g=2")
    assert "xu0 p n mine" in written(part)
    with pytest.raises(UserError) as caught:
        written(part, g=1e-6)
    assert str(caught.value) == (
        "mine.sub:1: expected names unlike those of the chip's own cells, found .param g; rename it"
    )


# --- states in DC analyses


def test_a_comment_at_a_lines_end_is_no_state() -> None:
    text = ".subckt m p n x0=1\nc1 x 0 1 $ ic=3\nc2 y 0 1 ic=x0; of old\n.ic v(x)=1 ; v(y)=2\n.ends ; m"
    assert held(text, "m", ("p", "n")).split("\n") == [
        ".subckt m p n x0=1",
        "c1 x 0 1 $ ic=3",
        "vheld_c2 y 0 {x0}",
        "c2 y 0 1 ic=x0; of old",
        "vheld_x x 0 1",
        ".ic v(x)=1 ; v(y)=2",
        ".ends ; m",
    ]


def test_states_are_held_where_they_were_programmed() -> None:
    text = ".subckt m p n x0=1\nC1 x 0 1 IC={x0}\n+ m=1\ncy y 0 1\n+ ic='2*x0'\ncz z 0 1 ic=0.5u\ncu u 0 1\n.ends"
    assert held(text, "m", ("p", "n")).split("\n") == [
        ".subckt m p n x0=1",
        "vheld_c1 x 0 {(x0)}",
        "C1 x 0 1 IC={x0}",
        "+ m=1",
        "vheld_cy y 0 {2*x0}",
        "cy y 0 1",
        "+ ic='2*x0'",
        "vheld_cz z 0 0.5u",
        "cz z 0 1 ic=0.5u",
        "cu u 0 1",
        ".ends",
    ]


def test_a_net_with_an_initial_voltage_is_held_once() -> None:
    text = ".subckt m p n x0=1\n.ic v(x)={x0} V( y )='-x0' v(p)=1\ncx x 0 1 ic=-{x0}\ncy y 0 1\n.ends"
    assert held(text, "m", ("p", "n")).split("\n") == [
        ".subckt m p n x0=1",
        "vheld_y y 0 {-x0}",
        ".ic v(x)={x0} V( y )='-x0' v(p)=1",
        "vheld_cx x 0 {-(x0)}",
        "cx x 0 1 ic=-{x0}",
        "cy y 0 1",
        ".ends",
    ]


def test_a_capacitor_at_the_terminals_is_no_state() -> None:
    inner = ".subckt state p q\nc1 p q 1 ic=x\n.ends"
    text = f".subckt m P n\n{inner}\nc1 p n 1f ic=0\n.ends"
    assert held(text, "M", ("p", "n")) == text.replace("c1 p q", "vheld_c1 p q {x}\nc1 p q")


def test_a_netlists_header_names_the_models_that_are_held() -> None:
    soft = {"file": "soft.sub", "name": "soft", "ports": ["top", "bot"], "state": {**GAP["state"], "parameter": "Wx"}}
    heads = []
    for table in (GAP, soft):
        choice, stream = read_choice(table, "d.toml"), io.StringIO()
        write(model_cell(choice, load_library(choice, HERE)), Ngspice(), stream)
        heads.append([line for line in stream.getvalue().split("\n") if line.startswith("* ")][2:-1])
    assert heads == [["* states of my_rram stand still in the copy of its files, for DC reads"], []]
