"""Designs of spiking chips: one line chooses, the network's kind says the rest."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ohmweave import archive, runs
from ohmweave.choices import SpikingChoice
from ohmweave.compile import compile as weave
from ohmweave.design import Design
from ohmweave.errors import DataError, DesignError
from ohmweave.frontend import load_data, read_nir, write_nir
from ohmweave.graph import Graph
from ohmweave.spiking import SpikingChip
from ohmweave.temporal import decide, run, trace

CommandLine = Callable[..., SimpleNamespace]
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def digits() -> Graph:
    """The trained 64-32-10 network of the examples."""
    return read_nir(EXAMPLES / "spiking_digits.nir").graph


def spiking(graph: Graph, design: Design | Path | str) -> SpikingChip:
    chip = weave(graph, design)
    assert isinstance(chip, SpikingChip)
    return chip


@pytest.mark.parametrize("kind", ["layer", "crossbar"])
def test_one_line_chooses_the_microarchitecture_and_keeps_what_spares_wires(
    digits: Graph, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "one.toml"
    path.write_text(f'[spiking]\nmicroarchitecture = "{kind}"\n')
    chip = spiking(digits, path)
    assert chip.plan.design == replace(Design.preset("spiking"), spiking=SpikingChoice(kind))
    data = load_data("digits", "test")
    trains = chip.plan.encode(data.x)
    software = trace(digits, trains, ["lif1"]).values["lif1"]
    plain = spiking(digits, replace(Design(), spiking=SpikingChoice(kind)))
    differing, not_spared = (
        int((each.simulate(trains, membranes=False).spikes["s0"] != software).sum()) for each in (chip, plain)
    )
    assert 0 < differing < 0.3 * not_spared


@pytest.mark.parametrize("kind", ["layer", "crossbar"])
def test_the_recurrent_example_on_a_chip_decides_as_software(kind: str, tmp_path: Path) -> None:
    """500 trains of 40 steps; single spikes may differ, since a neuron that hears itself goes its own way then."""
    (tmp_path / "one.toml").write_text(f'[spiking]\nmicroarchitecture = "{kind}"\n')
    chip = weave(EXAMPLES / "spiking_order.nir", tmp_path / "one.toml")
    assert isinstance(chip, SpikingChip)
    data = load_data(f"npz:{EXAMPLES / 'spiking_order_test.npz'}", "test")
    found, software = chip.simulate(data.x, membranes=False), decide(run(chip.plan.graph, data.x))
    assert len(software) == 500
    assert np.mean(found.classes == software) > 0.99
    assert np.mean(found.classes == data.y) > 0.99


def test_a_design_is_a_value_a_presets_name_or_a_file(digits: Graph, perceptron: Graph, tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("")
    for chosen in (None, "spiking", path, str(path), Design.preset("spiking")):
        assert weave(digits, chosen).plan.design == Design.preset("spiking")
    for chosen in (None, "default", path, Design()):
        assert weave(perceptron, chosen, calibration=np.eye(3)).plan.design == Design.default()
    # What is given whole is taken as it is.
    assert spiking(digits, Design()).plan.design == Design()
    with pytest.raises(DesignError, match=r"^design: expected a preset or a TOML file, found neither: 'loosy'; did"):
        weave(digits, "loosy")
    with pytest.raises(DesignError, match=r"^design: expected a Design, a preset's name or a TOML file, found dict"):
        weave(digits, {})  # type: ignore[arg-type]


UNUSED = """
[coupling]
kind = "sampled"
[opamp]
kind = "two_stage_45"
[relu]
kind = "rectifier"
[signal]
headroom = 0.5
"""
NO_SUCH_PARTS = (
    "the design's [opamp], [relu], [coupling], signal.headroom: of no use to a spiking chip, which has no such parts"
)
NO_ROUTES = (
    "the design's array.rows, spiking.hop_delay: of no use to spiking.microarchitecture = 'layer', whose arrays are as "
    "large as their layers and wired to the next"
)


@pytest.mark.parametrize(
    ("text", "remarks"),
    [
        ("", ()),
        ('[neuron]\nc_m = "2 pF"\n[clock]\njitter = 0.01\n[array]\nreserve = 0.1\n[signal]\nv_read = "0.1 V"\n', ()),
        (UNUSED, (NO_SUCH_PARTS,)),
        ('array.rows = 32\nspiking.hop_delay = "2 ns"\n', (NO_ROUTES,)),
        ('array.rows = 32\n[spiking]\nmicroarchitecture = "crossbar"\nhop_delay = "2 ns"\n', ()),
        (UNUSED + 'v_out = "0.1 V"\n[array]\nrows = 32\n[spiking]\nhop_delay = "2 ns"\n', None),
    ],
)
def test_what_is_chosen_for_nothing_is_told(
    digits: Graph, text: str, remarks: tuple[str, ...] | None, tmp_path: Path
) -> None:
    (tmp_path / "d.toml").write_text(text)
    found = spiking(digits, tmp_path / "d.toml").plan.remarks
    both = (NO_SUCH_PARTS.replace("signal.headroom", "signal.v_out, signal.headroom"), NO_ROUTES)
    assert found == (both if remarks is None else remarks)


def test_an_op_amp_that_is_not_there_is_in_no_builds_way(digits: Graph, tmp_path: Path) -> None:
    (tmp_path / "d.toml").write_text(UNUSED)
    chip = spiking(digits, tmp_path / "d.toml")
    again = archive.load(archive.save(chip, tmp_path / "build"))
    assert again.plan.digest() == chip.plan.digest()


def test_the_command_line_tells_it_and_the_page_lists_what_is_used(
    digits: Graph, tmp_path: Path, ohmweave: CommandLine
) -> None:
    pytest.importorskip("h5py", reason="h5py is not here")
    write_nir(digits, tmp_path / "net.nir", dt=1e-3)
    build, design = tmp_path / "build", tmp_path / "d.toml"
    design.write_text(UNUSED + "[encoding]\nsteps = 5\n")
    np.savez(tmp_path / "two.npz", x=np.full((2, 64), 0.5))
    data = f"npz:{tmp_path / 'two.npz'}"
    arguments = ("compile", str(tmp_path / "net.nir"), "-o", str(build), "--design", str(design), "--json")
    for done in (ohmweave(*arguments), ohmweave("simulate", str(build), "--data", data, "--json")):
        assert json.loads(done.out)["remarks"] == [NO_SUCH_PARTS]
    page = runs.report(build, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h3>neuron</h3>" in page
    for section in ("opamp", "feedback", "relu", "coupling"):
        assert f"<h3>{section}</h3>" not in page
    for field in ("headroom", "hop_delay", "cols"):
        assert f"<dt>{field}</dt>" not in page
    assert page.count("Not used") == 1
    assert "Unlike the network" not in page


def test_the_preset_of_sampled_chips_is_told_to_be_in_vain(digits: Graph) -> None:
    (remark,) = spiking(digits, "digital").plan.remarks
    assert remark.startswith("the design's [coupling], signal.headroom: of no use to a spiking chip")


def test_calibration_of_a_spiking_network_can_only_be_a_mistake(
    digits: Graph, tmp_path: Path, ohmweave: CommandLine
) -> None:
    said = (
        "calibration: expected no calibration data, since thresholds set the scales of a spiking network, found some; "
        "leave it out"
    )
    with pytest.raises(DataError) as refused:
        weave(digits, calibration=np.zeros((2, 64)))
    assert str(refused.value) == said
    pytest.importorskip("h5py", reason="h5py is not here")
    write_nir(digits, tmp_path / "net.nir", dt=1e-3)
    done = ohmweave("compile", str(tmp_path / "net.nir"), "--calibrate", "digits", "-o", str(tmp_path / "build"))
    assert (done.code, done.err) == (2, f"error: {said}\n")
    assert not (tmp_path / "build").exists()


def test_samples_may_still_tell_a_module_their_shape() -> None:
    snn = pytest.importorskip("snntorch", reason="snnTorch is not here")
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(1, 2, 3), snn.Leaky(0.9, init_hidden=True))
    chip = weave(torch.nn.Sequential(*layers).eval(), calibration=np.zeros((2, 1, 4, 5)))
    assert chip.plan.graph.input_shape == (1, 4, 5)


def test_modules_that_do_not_begin_with_linear_take_samples_for_their_shape() -> None:
    snn = pytest.importorskip("snntorch", reason="snnTorch is not here")
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    leaky = snn.Leaky(0.9, init_hidden=True)
    flat = torch.nn.Sequential(torch.nn.BatchNorm1d(6), torch.nn.Linear(6, 5), leaky).eval()
    assert weave(flat, calibration=np.zeros((2, 6))).plan.graph.input_shape == (6,)
    with pytest.raises(DataError, match="expected no calibration data"):
        weave(torch.nn.Sequential(*list(flat)[1:]).eval(), calibration=np.zeros((2, 6)))
