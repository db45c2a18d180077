"""SPICE files of strangers: circuit is let through, everything that could run is refused."""

from pathlib import Path

import pytest

from ohmweave.errors import NetlistError
from ohmweave.netlist import scan

REMEDY = "remove it: a circuit file may hold circuit only, analyses are ohmweave's own"


def refusal(source: Path | str) -> str:
    with pytest.raises(NetlistError) as caught:
        scan(source, "user.cir")
    return str(caught.value)


def test_a_circuit_passes() -> None:
    text = """* a cell
    .subckt cell a b g=1e-6
    r1 a n 1k
    c1 n 0 1p
    + ic=0
    * a remark between a card and its continuation
    + m=1
    m1 a b 0 0 nch w=1u l=45n
    b1 a b i={g}*sinh(v(a,b))
    .model nch nmos (level=14
    + version=4.5)
    .ends
    .param x=1
    .options reltol=1e-6 klu
    .end
    """
    assert scan(text) == ()


@pytest.mark.parametrize(
    ("card", "found"),
    [
        (".control", "'.control'"),
        ("  .CONTROL", "'.CONTROL'"),
        (".endc", "'.endc'"),
        (".exec shell true", "'.exec'"),
        ("shell true", "'shell'"),
        ("*# shell true", "'*# shell t'"),
        ("*ng_script", "'*ng_script'"),
        ("$ng_script", "'$ng_script'"),
        ("$# shell", "'$# shell'"),
        ("a1 [in] [out] filter", "'a1'"),
        ("n1 a b model", "'n1'"),
        ("pre_osdi model.osdi", "'pre_osdi'"),
        (".hdl model.va", "'.hdl'"),
        (".python x", "'.python'"),
        (".save all", "'.save'"),
        (".print dc v(a)", "'.print'"),
        (".meas dc x max v(a)", "'.meas'"),
        (".tran 1n 1u", "'.tran'"),
        (".op", "'.op'"),
        (".model m1 d_source (input_file=x)", "\".model of kind 'd_source'\""),
        (".model m1 osdi_model", "\".model of kind 'osdi_model'\""),
        (".options filetype=ascii", "\"option 'filetype'\""),
        ("v1 a 0 pwl file='secret'", "'file='"),
        ("v1 a 0 external", "'external'"),
        ("r1 a 0 `id`", "'`'"),
        ("r1 a 0 1 \\\\", r"'\\'"),
        ("r1 a 0 1\x00", r"'\x00'"),
        ("* µ", "'µ'"),
        (".include /etc/passwd", "'.include'"),
    ],
)
def test_what_could_run_is_refused_with_its_line(card: str, found: str) -> None:
    text = f"* title\nr1 a b 1\n\n{card}\nr2 a b 1\n"
    assert refusal(text) == f"user.cir:4: expected circuit cards only, found {found}; {REMEDY}"


def test_continuations_are_joined_before_judging() -> None:
    assert refusal("r1 a 0 1\n.mod\n+ el m d_source\n").startswith(
        "user.cir:2: expected circuit cards only, found '.mod'"
    )
    assert refusal("v1 a 0 pwl\n* remark\n+ file\n+ = x\n").startswith(
        "user.cir:1: expected circuit cards only, found 'file  ='"
    )


def test_a_continuation_needs_a_beginning() -> None:
    assert refusal("* title\n+ r1 a 0 1") == f"user.cir:2: expected circuit cards only, found '+'; {REMEDY}"


def test_overlong_lines_are_refused() -> None:
    text = "r1 a 0 " + "1" * 30_000
    assert refusal(text) == "user.cir:1: expected lines of at most 20000 characters; wrap it"


def test_includes_are_followed_inside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "top.cir").write_text('.include "sub/a.cir"\n.lib b.lib fast\n')
    (tmp_path / "sub" / "a.cir").write_text(".inc ../b.lib\nr1 a 0 1\n")
    (tmp_path / "b.lib").write_text(".lib fast\nr2 a 0 1\n.endl fast\n")
    names = {path.resolve().relative_to(tmp_path).as_posix() for path in scan(tmp_path / "top.cir")}
    assert names == {"top.cir", "sub/a.cir", "b.lib"}
    (tmp_path / "sub" / "a.cir").write_text("r1 a 0 1\n.control\n")
    assert refusal(tmp_path / "top.cir") == (
        f"user.cir:1: sub/a.cir:2: expected circuit cards only, found '.control'; {REMEDY}"
    )


@pytest.mark.parametrize("target", ["../outside.cir", "link.cir"])
def test_includes_do_not_leave_the_folder(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "outside.cir").write_text("r1 a 0 1\n")
    (folder / "link.cir").symlink_to(tmp_path / "outside.cir")
    (folder / "top.cir").write_text(f"* title\n.include {target}\n")
    assert refusal(folder / "top.cir") == (
        f"user.cir:2: {target}: expected a file inside the netlist's folder, found one outside; {REMEDY}"
    )


@pytest.mark.parametrize("target", ["$HOME/a.cir", "~/a.cir", "'a;b.cir'", ""])
def test_includes_are_plain_paths(tmp_path: Path, target: str) -> None:
    (tmp_path / "top.cir").write_text(f".include {target}\n")
    bare = target.strip("'")
    assert refusal(tmp_path / "top.cir") == (
        f'user.cir:1: expected circuit cards only, found "include of {bare!r}"; {REMEDY}'
    )


def test_a_missing_include_is_named(tmp_path: Path) -> None:
    (tmp_path / "top.cir").write_text("\n.include other.cir\n")
    assert refusal(tmp_path / "top.cir") == (
        "user.cir:2: other.cir: cannot be read: No such file or directory; check the path"
    )
