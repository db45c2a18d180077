"""A chip of a user's device: the netlist holds the model itself, the native engine its table, and both agree."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ohmweave import archive
from ohmweave.bench import Bench, Waves
from ohmweave.chip import Chip
from ohmweave.circuit import Cell, Crossbar, Instance
from ohmweave.design import Design
from ohmweave.devices.file import FileDevice
from ohmweave.effects import ReadNoise
from ohmweave.errors import BuildError, DesignError, NetlistError
from ohmweave.frontend import Data
from ohmweave.graph import Graph
from ohmweave.mapping import plan
from ohmweave.netlist import scan
from ohmweave.runs import characterize_device, verify
from ohmweave.simulate.verilog import find_compiler
from ohmweave.units import Array

Both = Callable[[Bench], tuple[Waves, Waves]]
MODELS = Path(__file__).parents[1] / "models"

DESIGNS = {
    "sinh, exponential in a state that moves, of a library's section": (
        'file = "my_rram.lib"\nname = "my_rram"\nsection = "tt"\nports = ["te", "be"]\n'
        'state = { parameter = "gap", low = 0.2, high = 1.7 }\nlevels = 32\n'
    ),
    "a curve that is not odd and changes its shape, ports swapped in the file": (
        'file = "soft.sub"\nname = "soft"\nports = ["top", "bot"]\n'
        'state = { parameter = "Wx", low = 0.05, high = 1.0 }\ng_off = "20 uS"\n'
    ),
    "Verilog-A": (
        'file = "vgap.va"\nname = "vgap"\nports = ["anode", "cathode"]\n'
        'state = { parameter = "width", low = 0.2, high = 1.8 }\n'
    ),
}


@pytest.fixture(scope="module", params=DESIGNS)
def design(request: pytest.FixtureRequest, ngspice: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The design of a model, characterised."""
    text = DESIGNS[request.param]
    if ".va" in text and find_compiler() is None:
        pytest.skip("no Verilog-A compiler here")
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(MODELS, folder / "m")
    path = folder / "design.toml"
    path.write_text("[device]\n" + text.replace('file = "', 'file = "m/'))
    characterize_device(path, {})
    return path


def device_of(design: Path) -> FileDevice:
    device = Design.load(design).device
    assert isinstance(device, FileDevice)
    return device


def test_the_table_is_the_model(design: Path, both: Both) -> None:
    device = device_of(design)
    # Neither these voltages nor these conductances are points of the table.
    g, volts = np.geomspace(*device.g_range, 9)[1:-1] * 1.001, np.linspace(-0.593, 0.587, 24)
    cell = device.cell()
    ports = tuple(f"p{k}" for k in range(len(g)))
    parts = tuple(Instance(f"d{k}", cell, (f"p{k}", "0"), {"g": each}) for k, each in enumerate(g.tolist()))
    native, spice = both(Bench(Cell("devices", ports, parts), ports, np.repeat(volts[:, None], len(g), axis=1), ()))
    error = np.abs(native.input_amps / spice.input_amps - 1.0)
    assert error[np.abs(volts) > 0.02].max() <= device.error < 1e-4
    np.testing.assert_allclose(native.input_amps, device.current(volts[:, None], g), rtol=1e-12)


def test_a_wired_array_of_the_model_agrees(design: Path, both: Both) -> None:
    device, rng = device_of(design), np.random.default_rng(4)
    g = rng.uniform(*device.g_range, (3, 4))
    g[1, 2] = np.nan
    rows, cols = ("r0", "r1", "r2"), ("c0", "c1", "c2", "c3")
    cell = Cell("array", (*rows, *cols), (Crossbar("bar", rows, cols, device.cell(), g, 100.0, 50.0),))
    volts = np.hstack([rng.uniform(-0.5, 0.5, (6, 3)), np.zeros((6, 4))])
    native, spice = both(Bench(cell, cell.ports, volts, ()))
    scale = np.abs(spice.input_amps).max()
    np.testing.assert_allclose(native.input_amps, spice.input_amps, rtol=0.0, atol=device.error * scale)


@pytest.fixture
def built(design: Path, perceptron: Graph, tmp_path: Path) -> tuple[Path, Array]:
    """The build of a small chip, away from the model's own folder."""
    x = np.random.default_rng(0).uniform(0.0, 1.0, (8, 3))
    return archive.save(Chip(plan(perceptron, Design.load(design), x)), tmp_path / "build"), x


def test_a_build_carries_the_model_and_verifies_with_it(built: tuple[Path, Array]) -> None:
    build, x = built
    chip = archive.load(build)
    device = chip.plan.design.device
    assert isinstance(device, FileDevice)
    original = (MODELS / Path(device.choice.file).name).read_bytes()
    assert (build / device.choice.file).read_bytes() == original
    done = verify(build, Data(x, None, "noise"), samples=4)
    assert done.check.tolerance == min(1e-3, device.error)
    assert done.ok
    # The user's own text, and nothing else, is what SPICE runs.
    copy = (build / "netlist" / device.choice.file).read_text().replace('(* type="instance" *) ', "")
    assert [line for line in copy.split("\n") if not line.startswith("vheld_")] == original.decode().split("\n")


def test_the_written_netlist_sets_the_state_of_every_device(built: tuple[Path, Array]) -> None:
    build, _ = built
    chip = archive.load(build)
    device = chip.plan.design.device
    assert isinstance(device, FileDevice)
    text = (build / "netlist" / "chip.cir").read_text()
    scan(build / "netlist" / "chip.cir", modules=(device.choice.name,))
    name = f"memristor_{device.choice.name}"
    lines = [line.split() for line in text.split("\n") if line.startswith("xd")]
    assert len(lines) == sum(stage.devices for stage in chip.plan.stages)
    for line in lines:
        assert line[3] == name
        g, state = (float(word.split("=")[1]) for word in line[4:])
        assert state == device.surface.state_of(np.array(g))


def test_a_build_whose_model_was_changed_is_refused(built: tuple[Path, Array]) -> None:
    build, _ = built
    device = archive.load(build).plan.design.device
    assert isinstance(device, FileDevice)
    with (build / device.choice.file).open("a") as stream:
        stream.write("\n* changed\n" if not device.choice.file.endswith(".va") else "\n// changed\n")
    with pytest.raises((DesignError, BuildError)) as caught:
        archive.load(build)
    assert "as it is now, found one of other files or choices; run ohmweave characterize" in str(caught.value)


def test_sampled_chips_are_made_of_it_too(design: Path, perceptron: Graph, tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(0.0, 1.0, (8, 3))
    text = design.read_text() + '[coupling]\nkind = "sampled"\n'
    sampled = Design.parse(text, "d.toml", design.parent)
    build = archive.save(Chip(plan(perceptron, sampled, x)), tmp_path / "build")
    assert verify(build, Data(x, None, "noise"), samples=2).ok


SOFT = "a curve that is not odd and changes its shape, ports swapped in the file"


def test_effects_that_leave_the_models_reach_are_told(design: Path, perceptron: Graph) -> None:
    chosen = Design.load(design)
    noisy = Design(device=chosen.device, effects=(ReadNoise(0.5),))
    with pytest.raises(DesignError) as caught:
        plan(perceptron, noisy, np.ones((2, 3)))
    assert "expected conductances that " in str(caught.value)
    assert str(caught.value).endswith("; leave room for the effects: give device.g_off and device.g_on inside of that")


def test_a_read_beyond_the_table_is_told(design: Path) -> None:
    with pytest.raises(DesignError) as caught:
        Design.parse(design.read_text() + '[signal]\nv_read = "0.7 V"\n', "d.toml", design.parent)
    assert str(caught.value) == (
        "d.toml: signal.v_read: expected a read voltage within device.v_max = 0.6 V, found 0.7 V; "
        "raise device.v_max and characterize again"
    )


def test_designs_survive_toml_beside_their_files(built: tuple[Path, Array]) -> None:
    build, _ = built
    design = Design.load(build / "design.toml")
    assert Design.parse(design.dump(), "d.toml", build) == design


def test_names_of_the_chips_own_cells_are_refused(ngspice: str, perceptron: Graph, tmp_path: Path) -> None:
    text = (MODELS / "soft.sub").read_text().replace("Path", "opamp")
    (tmp_path / "soft.sub").write_text(text)
    path = tmp_path / "design.toml"
    path.write_text("[device]\n" + DESIGNS[SOFT])
    characterize_device(path, {})
    chip = Chip(plan(perceptron, Design.load(path), np.ones((2, 3))))
    with pytest.raises(NetlistError) as caught:
        chip.write(tmp_path / "netlist")
    assert str(caught.value) == (
        "device/soft.sub: expected names unlike those of the chip's own cells, found .subckt opamp; rename it"
    )
