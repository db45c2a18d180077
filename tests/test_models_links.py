"""Model files that are links, or are named by hostile or whole paths: netlists hold plain names alone."""

from pathlib import Path
from typing import Any

import pytest

from ohmweave.circuit import Library
from ohmweave.errors import UserError
from ohmweave.models import load_library, read_choice

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


CIRCUIT_ONLY = "remove it: a circuit file may hold circuit only, analyses are ohmweave's own"

HOSTILE_NAME = "m\n.control\nshell touch pwned\n.endc\n*.lib"


def test_a_link_is_known_by_its_own_name_whatever_it_points_to(tmp_path: Path) -> None:
    (tmp_path / HOSTILE_NAME).write_text(".include extra.inc\n" + subcircuit(READ))
    (tmp_path / "an inc\n").write_text("* nothing\n")
    (tmp_path / "user.sub").symlink_to(HOSTILE_NAME)
    (tmp_path / "extra.inc").symlink_to("an inc\n")
    choice = read_choice({**PLAIN, "include": ["extra.inc"]}, "d.toml")
    library = load_library(choice, tmp_path)
    assert [path for path, _ in library.files] == ["device/extra.inc", "device/user.sub"]
    assert library.entries == (("device/extra.inc", ""), ("device/user.sub", ""))


@pytest.mark.parametrize("path", [f"device/{HOSTILE_NAME}", "/etc/passwd", "device/../../a.lib", "a b", ""])
def test_no_other_path_comes_into_a_library(path: str) -> None:
    for files, entries in ((((path, ""),), ()), ((), ((path, ""),))):
        with pytest.raises(ValueError, match="expected the plain path of a model file, found "):
            Library(files, entries, (), ("p", "n"))
    with pytest.raises(ValueError, match=r"expected a plain section, found 'tt\\n.control'"):
        Library((), (("a.lib", "tt\n.control"),), (), ("p", "n"))


def test_a_link_that_leads_elsewhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("* secret\n")
    (tmp_path / "in" / "a.inc").symlink_to(tmp_path / "secret")
    (tmp_path / "in" / "user.sub").write_text(".include a.inc\n" + subcircuit(READ))
    assert refusal(tmp_path / "in", PLAIN) == (
        "user.sub:1: a.inc: expected a file inside the netlist's folder, found one outside; " + CIRCUIT_ONLY
    )


def test_an_include_by_its_whole_path_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.inc").write_text("* nothing\n")
    (tmp_path / "user.sub").write_text(f".include {tmp_path}/a.inc\n" + subcircuit(READ))
    assert refusal(tmp_path, PLAIN) == (
        f"user.sub:1: expected an include of a file beside the model or below, found '{tmp_path}/a.inc'; "
        "write its path relative to the file that includes it"
    )
