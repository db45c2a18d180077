"""A build directory is a chip in files: whole or absent, read back bit for bit, refused when changed."""

import json
import os
import stat
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from ohmweave import archive, runs
from ohmweave.chip import Chip
from ohmweave.compile import compile as weave
from ohmweave.design import ArrayChoice, Design
from ohmweave.devices import Sinh
from ohmweave.errors import BuildError, OhmweaveError, UserError
from ohmweave.frontend import Data
from ohmweave.graph import Graph
from ohmweave.schemes import RowPair

X = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.5, -0.25, 0.75]])
DATA = Data(X, np.array([0, 1, 1]), "three")
FILES = ["conductances.npz", "design.toml", "graph.json", "netlist", "plan.json", "weights.safetensors"]


@pytest.fixture
def chip(perceptron: Graph) -> Chip:
    return weave(perceptron, calibration=X)


@pytest.fixture
def build(chip: Chip, tmp_path: Path) -> Path:
    return archive.save(chip, tmp_path / "build")


def listing(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    "design",
    [
        Design.default(),
        Design.preset("ideal"),
        Design(device=Sinh(levels=8), scheme=RowPair(), array=ArrayChoice(4, 4, 2.5, 0.0), seed=3),
    ],
)
def test_a_chip_comes_back_with_its_digest_and_its_voltages_bit_for_bit(
    perceptron: Graph, design: Design, tmp_path: Path
) -> None:
    chip = weave(perceptron, design, calibration=X)
    again = archive.load(archive.save(chip, tmp_path / "b"))
    assert again.plan.digest() == chip.plan.digest()
    assert again.plan.design == design
    first, second = chip.simulate(X), again.simulate(X)
    for stage, volts in first.stage_volts.items():
        np.testing.assert_array_equal(second.stage_volts[stage], volts, strict=True)
    np.testing.assert_array_equal(second.power.total, first.power.total, strict=True)
    np.testing.assert_array_equal(second.logits, first.logits, strict=True)


def test_weights_in_single_precision_come_back_too(perceptron: Graph, tmp_path: Path) -> None:
    nodes = list(perceptron.nodes)
    for index in (1, 3):
        op = nodes[index].op
        nodes[index] = replace(nodes[index], op=replace(op, weight=op.weight.astype("f4"), bias=op.bias.astype("f4")))
    chip = weave(Graph(tuple(nodes), perceptron.outputs), calibration=X)
    assert archive.load(archive.save(chip, tmp_path / "b")).plan.digest() == chip.plan.digest()


def test_a_build_is_files_that_a_person_can_open(build: Path, chip: Chip) -> None:
    assert sorted(item.name for item in build.iterdir()) == FILES
    assert Design.parse((build / "design.toml").read_text()) == chip.plan.design
    assert tomllib.loads((build / "design.toml").read_text())["array"]["r_row"] == "1 ohm"
    graph = json.loads((build / "graph.json").read_text())
    assert [node["op"] for node in graph["nodes"]] == ["Input", "Linear", "Relu", "Linear"]
    weights = load_file(build / "weights.safetensors")
    np.testing.assert_array_equal(weights["first.weight"], chip.plan.graph.node("first").op.weight)
    with np.load(build / "conductances.npz", allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["s0.t0_0.g"], chip.plan.stages[0].tiles[0].g)
    assert (build / archive.NETLIST).read_text().startswith("* ohmweave netlist of chip for ngspice")


def test_the_same_chip_gives_the_same_bytes(chip: Chip, build: Path, tmp_path: Path) -> None:
    assert listing(archive.save(chip, tmp_path / "again")) == listing(build)


def test_every_file_names_what_it_came_from(build: Path, chip: Chip) -> None:
    digests = json.loads((build / "plan.json").read_text())["digests"]
    plan = chip.plan
    assert digests == {"graph": plan.graph.digest(), "design": plan.design.digest(), "plan": plan.digest()}
    assert json.loads((build / "graph.json").read_text())["digest"] == plan.graph.digest()
    with np.load(build / "conductances.npz", allow_pickle=False) as stored:
        assert str(stored["plan"]) == plan.digest()


@pytest.fixture(params=[0o022, 0o077])
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_modes_follow_the_umask(chip: Chip, mask: int, tmp_path: Path) -> None:
    build = archive.save(chip, tmp_path / "b")
    assert stat.S_IMODE(build.stat().st_mode) == 0o777 & ~mask
    modes = {item.name: stat.S_IMODE(item.stat().st_mode) for item in build.iterdir() if item.is_file()}
    assert set(modes.values()) == {0o666 & ~mask}, modes


def test_an_empty_directory_and_a_link_to_one_are_filled(chip: Chip, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    archive.save(chip, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert archive.load(tmp_path / "empty").plan.digest() == chip.plan.digest()


def test_results_of_the_same_plan_stay(chip: Chip, build: Path) -> None:
    runs.simulate(build, DATA)
    kept = listing(build / "results")
    assert sorted(kept) == ["simulate-native.json", "simulate-native.npz"]
    archive.save(chip, build)
    assert listing(build / "results") == kept
    assert runs.simulate(build, DATA).reused


def test_results_of_another_plan_go(perceptron: Graph, build: Path) -> None:
    runs.simulate(build, DATA)
    archive.save(weave(perceptron, Design.preset("lossy"), calibration=X), build)
    assert sorted(item.name for item in build.iterdir()) == FILES
    assert not runs.simulate(build, DATA).reused


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["notes.txt"], "notes.txt"),
        (["weights.safetensors"], "weights.safetensors"),
        ([*FILES, "thesis.tex"], "thesis.tex"),
    ],
)
def test_other_peoples_files_are_left_alone(chip: Chip, tmp_path: Path, files: list[str], found: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    for name in files:
        (place / name).write_text("mine")
    before = listing(tmp_path)
    with pytest.raises(BuildError) as caught:
        archive.save(chip, place)
    assert str(caught.value) == (
        f"{place}: expected a new, an empty or a build directory, found other files ({found}); choose another"
    )
    assert listing(tmp_path) == before


def test_a_file_in_the_way_is_left_alone(chip: Chip, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")
    with pytest.raises(BuildError) as caught:
        archive.save(chip, tmp_path / "b")
    assert str(caught.value) == (
        f"{tmp_path / 'b'}: expected a new, an empty or a build directory, found other files (b); choose another"
    )
    assert listing(tmp_path) == {"b": b"mine"}


def test_a_place_that_cannot_be_written_is_told(chip: Chip, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BuildError) as caught:
        archive.save(chip, tmp_path / "file" / "b")
    assert str(caught.value) == (f"{tmp_path / 'file' / 'b'}: cannot be written (File exists); choose a place that can")
    assert listing(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("new", [True, False])
def test_an_interrupted_save_leaves_what_was_there(
    perceptron: Graph, build: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException, new: bool
) -> None:
    def half(*_: object, **__: object) -> None:
        Path(_[2].name).write_text("half")  # type: ignore[attr-defined]
        raise raised

    before = listing(build.parent)
    monkeypatch.setattr("ohmweave.netlist.write", half)
    place = build.parent / "other" if new else build
    with pytest.raises(KeyboardInterrupt if isinstance(raised, KeyboardInterrupt) else BuildError) as caught:
        archive.save(weave(perceptron, Design.preset("lossy"), calibration=X), place)
    if isinstance(raised, OSError):
        assert str(caught.value) == f"{place}: cannot be written (No space left on device); choose a place that can"
    assert listing(build.parent) == before
    assert os.listdir(build.parent) == ["build"]  # noqa: PTH208 - hidden files as well


def test_a_failed_exchange_brings_the_old_build_back(
    perceptron: Graph, build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, move = listing(build.parent), Path.replace

    def failing(self: Path, target: Path) -> Path:
        if self.name == "fresh":
            raise KeyboardInterrupt
        return move(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(KeyboardInterrupt):
        archive.save(weave(perceptron, Design.preset("lossy"), calibration=X), build)
    assert listing(build.parent) == before


def test_no_build_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        archive.load(tmp_path)
    assert str(caught.value) == (f"{tmp_path}: expected a build directory, found none; make one with ohmweave compile")
    assert caught.value.exit_code == 2


def edit_json(name: str, change: Callable[[dict], object]) -> Callable[[Path], None]:
    def edit(build: Path) -> None:
        value = json.loads((build / name).read_text())
        change(value)
        (build / name).write_text(json.dumps(value))

    return edit


def edit_conductance(build: Path) -> None:
    with np.load(build / "conductances.npz") as stored:
        arrays = dict(stored)
    arrays["s0.t0_0.g"][0, 0] *= 1.01
    np.savez(build / "conductances.npz", **arrays)


def edit_text(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(build: Path) -> None:
        text = (build / name).read_text()
        assert old in text
        (build / name).write_text(text.replace(old, new))

    return edit


CHANGED = [
    ("plan", edit_conductance),
    ("plan", edit_json("plan.json", lambda p: p["plan"]["stages"][0].update(r_feedback=1e3))),
    ("design", edit_text("design.toml", 'r_row = "1 ohm"', 'r_row = "2 ohm"')),
    ("graph", edit_json("graph.json", lambda g: g["nodes"][2].update(op="Identity"))),
    ("plan", edit_json("plan.json", lambda p: p["digests"].update(plan="0" * 64))),
]


@pytest.mark.parametrize(("part", "edit"), CHANGED)
def test_files_changed_by_hand_are_refused(build: Path, part: str, edit: Callable[[Path], None]) -> None:
    expected = json.loads((build / "plan.json").read_text())["digests"][part]
    edit(build)
    with pytest.raises(BuildError) as caught:
        archive.load(build)
    message = str(caught.value)
    assert message.startswith(f"{build}: the {part} is not the one this build was made from (digest ")
    if "000000000000" not in message:
        assert message.endswith(f", expected {expected[:12]}); compile again")
    assert caught.value.exit_code == 2


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda build: (build / name).write_bytes(content)


def remove(name: str) -> Callable[[Path], object]:
    return lambda build: (build / name).unlink()


def shorten(build: Path) -> None:
    path = build / "conductances.npz"
    path.write_bytes(path.read_bytes()[:-50])


JSON_ERROR = "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
NO_FILE = "[Errno 2] No such file or directory"
BROKEN = [
    (write("graph.json", b"{"), f"{{b}}/graph.json: cannot be read ({JSON_ERROR}); compile again"),
    (write("graph.json", b"[]"), "{b}/graph.json: expected a JSON object; compile again"),
    (remove("graph.json"), f"{{b}}/graph.json: cannot be read ({NO_FILE}: '{{b}}/graph.json'); compile again"),
    (write("graph.json", b"{}"), "{b}: is broken (KeyError: 'nodes'); compile again"),
    (
        write("plan.json", b'{"format": 9}'),
        "{b}/plan.json: expected format 2, found 9; compile again with this version",
    ),
    (write("plan.json", b"{}"), "{b}: is broken (KeyError: 'format'); compile again"),
    (
        edit_json("plan.json", lambda p: p.update(digests=3)),
        "{b}: is broken (TypeError: 'int' object is not iterable); compile again",
    ),
    (edit_json("plan.json", lambda p: p["plan"].pop("s_input")), "{b}: is broken (KeyError: 's_input'); compile again"),
    (shorten, "{b}: is broken (BadZipFile: File is not a zip file); compile again"),
    (write("conductances.npz", b""), "{b}: is broken (EOFError: No data left in file); compile again"),
    (
        remove("conductances.npz"),
        f"{{b}}: is broken (FileNotFoundError: {NO_FILE}: '{{b}}/conductances.npz'); compile again",
    ),
    (
        write("weights.safetensors", b"12345678"),
        "{b}: is broken (SafetensorError: Error while deserializing header: header too large); compile again",
    ),
    (remove("design.toml"), f"{{b}}/design.toml: cannot be read ({NO_FILE}: '{{b}}/design.toml'); give a TOML file"),
]


@pytest.mark.parametrize(("spoil", "message"), BROKEN)
def test_broken_files_are_told(build: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(build)
    with pytest.raises(OhmweaveError) as caught:
        archive.load(build)
    assert str(caught.value) == message.replace("{b}", str(build))
    assert isinstance(caught.value, UserError)


def test_conductances_that_unpack_to_more_than_the_file_are_refused(build: Path) -> None:
    np.savez_compressed(build / "conductances.npz", plan=np.zeros(1 << 20))
    with pytest.raises(BuildError) as caught:
        archive.load(build)
    assert str(caught.value) == f"{build}: is broken (ValueError: compressed arrays); compile again"


def test_conductances_that_are_code_are_not_run(build: Path) -> None:
    with np.load(build / "conductances.npz") as stored:
        arrays = {**stored, "s0.t0_0.g": np.array([print], dtype=object)}
    np.savez(build / "conductances.npz", **arrays)
    with pytest.raises(BuildError) as caught:
        archive.load(build)
    assert str(caught.value) == (
        f"{build}: is broken (ValueError: Object arrays cannot be loaded when allow_pickle=False); compile again"
    )
