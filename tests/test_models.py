"""Users' own device models: measured, kept, and told what is wrong with them."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ohmweave import archive
from ohmweave.compile import compile as weave
from ohmweave.design import Design
from ohmweave.devices.surface import Surface
from ohmweave.errors import UserError
from ohmweave.graph import Graph
from ohmweave.models import characterize, load_library, read_choice
from ohmweave.models.checks import Place, check_curves, check_states
from ohmweave.models.stored import origin, read_characterisation, stored_path
from ohmweave.simulate.ngspice import NgspiceSimulator

HERE = Path(__file__).parent / "models"
CommandLine = Callable[..., SimpleNamespace]

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


# --- what is measured

V = np.linspace(-0.5, 0.5, 11)
STATES = np.linspace(0.1, 1.0, 4)


def curves(change: Callable[[Any], None]) -> str:
    amps = 1e-4 * STATES[:, None] * np.sinh(V / 0.3)
    change(amps)
    with pytest.raises(UserError) as caught:
        check_curves(Place("user.sub", read_choice(PLAIN, "d.toml")), STATES, V, amps)
    return str(caught.value)


def test_curves_that_no_memristor_has_are_told() -> None:
    def offset(amps: Any) -> None:
        amps[1] += 1e-6

    def active(amps: Any) -> None:
        amps[2] *= -1.0

    def falling(amps: Any) -> None:
        amps[3, 9] = 1e-5

    def nothing(amps: Any) -> None:
        amps[1] = 0.0

    def not_a_number(amps: Any) -> None:
        amps[0, 5] = np.nan

    assert curves(offset) == (
        "user.sub: user: expected no current at 0 V, found 1e-06 A at x = 0.4; "
        "a memristor is passive: remove its source"
    )
    assert curves(not_a_number) == (
        "user.sub: user: expected no current at 0 V, found nan A at x = 0.1; a memristor is passive: remove its source"
    )
    assert curves(nothing) == (
        "user.sub: user: expected a current, found none at x = 0.4; narrow device.state to where there is one"
    )
    assert curves(active) == (
        "user.sub: user: expected a current along the voltage (v i >= 0), found 0.000179 A at -0.5 V at x = 0.7; "
        "swap device.ports if they are the wrong way round; an active device cannot be used"
    )
    assert curves(falling) == (
        "user.sub: user: expected a current that rises with the voltage, found 0.00011752 A at 0.3 V and 1e-05 A at "
        "0.4 V at x = 1; lower device.v_max to where it rises"
    )


@pytest.mark.parametrize(
    ("g", "message"),
    [
        (
            np.full(4, 1e-5),
            "a read conductance that x changes, found 1e-05 S at x = 0.1 and 1e-05 S at x = 1; name the parameter that "
            "the current depends on at DC; a state that only a transient analysis moves from its initial value must be "
            "a capacitor's with ic=, or begin there at DC as well",
        ),
        (
            np.array([1e-5, 3e-5, 2e-5, 4e-5]),
            "a read conductance that changes one way with x, found 3e-05 S at x = 0.4 and 2e-05 S at x = 0.7; "
            "narrow device.state to where it does",
        ),
    ],
)
def test_states_that_do_not_program_are_told(g: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        check_states(Place("user.sub", read_choice(PLAIN, "d.toml")), STATES, g)
    assert str(caught.value) == f"user.sub: user: expected {message}"


SPICE = {
    "a resistance below zero": ("b1 p n i=-1e-4*{x}*v(p,n)", "expected a current along the voltage (v i >= 0), found "),
    "a current that falls": (
        "b1 p n i=1e-4*{x}*v(p,n)*exp(-20*v(p,n)*v(p,n))",
        "expected a current that rises with the ",
    ),
    "a source inside": ("r1 p m {1k/x}\nv1 m n 0.1", "expected no current at 0 V, found "),
    "a state without effect": (
        "r1 p n 1k",
        "expected a read conductance that x changes, found 0.001 S at x = 0.1 and ",
    ),
    "a state that comes back": (
        "r1 p n {1k+1k*(x-0.5)*(x-0.5)}",
        "expected a read conductance that changes one way with x, found ",
    ),
    "a read that is no number": (
        "b1 p n i={x}*sqrt(-1-v(p,n))",
        "expected a model that ngspice can read at DC, found: ",
    ),
    "an unknown function": ("b1 p n i={x}*nothing(v(p,n))", "expected a model that ngspice can read at DC, found: "),
    "an unknown model": ("d1 p n nothing", "expected a model that ngspice can read at DC, found: "),
    "a net that floats": (
        "b1 p n i=1e-4*{x}*v(p,n)*(1+v(q))\nb2 q 0 i=v(p,n)",
        "expected a model that ngspice can read at DC, found: ",
    ),
}


@pytest.mark.parametrize("case", SPICE)
def test_a_model_that_cannot_serve_is_told(case: str, ngspice: str, tmp_path: Path) -> None:
    cards, message = SPICE[case]
    (tmp_path / "user.sub").write_text(subcircuit(cards))
    choice = read_choice(PLAIN, "d.toml")
    with pytest.raises(UserError) as caught:
        characterize(choice, load_library(choice, tmp_path), NgspiceSimulator(ngspice, time_limit=60.0))
    assert str(caught.value).startswith(f"user.sub: user: {message}")


# --- the command


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in HERE.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    rows = (f"{key} = {json.dumps(value)}" for key, value in GAP.items() if key != "state")
    state = 'state = { parameter = "gap", low = 0.2, high = 1.7 }'
    (tmp_path / "design.toml").write_text("\n".join(("[device]", *rows, state, "")))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_design_without_its_characterization_names_the_command(desk: Path) -> None:
    with pytest.raises(UserError) as caught:
        Design.load("design.toml")
    assert str(caught.value) == (
        "design.toml: my_rram.characterized.npz: expected the characterization of my_rram beside its file, found none; "
        "run ohmweave characterize design.toml"
    )


def test_one_command_measures_a_model(ngspice: str, ohmweave: CommandLine, desk: Path) -> None:
    done = ohmweave("characterize", "design.toml", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert said["state"] == {"parameter": "gap", "at_g_off": 1.7, "at_g_on": 0.2}
    assert said["largest_relative_error"] <= said["stated_error"] < 1e-4
    assert {"my_rram.characterized.npz", "my_rram.characterized.svg"} <= {path.name for path in desk.iterdir()}
    device = Design.load("design.toml").device
    assert device.g_range == (pytest.approx(said["g_off"]), pytest.approx(said["g_on"]))
    # The model by its own equation, shunt included.
    g = np.geomspace(*device.g_range, 7)
    reading = device.current(np.array(0.1), g) / 0.1
    np.testing.assert_allclose(reading, g, rtol=1e-5)
    volts = np.linspace(-0.6, 0.6, 13)
    expected = (g[:, None] - 2e-9) * np.sinh(volts / 0.28) * 0.1 / np.sinh(0.1 / 0.28) + 2e-9 * volts
    np.testing.assert_allclose(device.current(volts, g[:, None]), expected, rtol=1e-5, atol=1e-18)


def test_a_changed_model_asks_for_the_command_again(ngspice: str, ohmweave: CommandLine, desk: Path) -> None:
    arguments = ("--name", "soft", "--ports", "TOP,BOT", "--state", "Wx=0.05:1")
    assert ohmweave("characterize", "soft.sub", *arguments).code == 0
    text = (
        '[device]\nfile = "soft.sub"\nname = "soft"\nports = ["TOP", "BOT"]\n'
        'state = { parameter = "Wx", low = 0.05, high = 1.0 }\nlevels = 16\n'
    )
    assert Design.parse(text).device.g_range[1] > 1e-4
    with (desk / "soft.sub").open("a") as stream:
        stream.write("* changed\n")
    with pytest.raises(UserError) as caught:
        Design.parse(text, "d.toml")
    assert str(caught.value) == (
        "d.toml: soft.characterized.npz: expected the characterization of soft as it is now, found one of other files "
        "or choices; run ohmweave characterize d.toml"
    )


def test_conductances_out_of_reach_are_told(ngspice: str, ohmweave: CommandLine, desk: Path) -> None:
    assert ohmweave("characterize", "design.toml").code == 0
    text = (desk / "design.toml").read_text()
    with pytest.raises(UserError) as caught:
        Design.parse(text + 'g_on = "1 S"\n', "d.toml")
    assert str(caught.value).startswith("d.toml: device: expected conductances that my_rram reaches, ")
    (desk / "my_rram.characterized.npz").write_bytes(b"PK broken")
    with pytest.raises(UserError) as caught:
        Design.parse(text, "d.toml")
    assert str(caught.value).startswith("d.toml: my_rram.characterized.npz: is broken (")


SPLIT = {
    "user.sub": subcircuit("b1 p n i={scale}*{x}*sinh(v(p,n)/0.3)"),
    "corners.lib": ".lib tt\n.param scale=1e-4\n.endl tt\n.lib ff\n.param scale=2e-4\n.endl ff\n",
}


def test_a_corner_is_a_section_of_an_include(
    ngspice: str, ohmweave: CommandLine, desk: Path, perceptron: Graph
) -> None:
    for name, text in SPLIT.items():
        (desk / name).write_text(text)
    state = 'state = { parameter = "x", low = 0.1, high = 1.0 }\n'
    design = f'[device]\nfile = "user.sub"\nname = "user"\nports = ["p", "n"]\n{state}'
    reach = []
    for corner in ("tt", "ff"):
        include = f'include = [{{ file = "corners.lib", section = "{corner}" }}]\n'
        (desk / "corner.toml").write_text(design + include)
        assert ohmweave("characterize", "corner.toml").code == 0
        found = Design.load("corner.toml")
        reach.append(found.device.g_range)
    assert reach[1] == (pytest.approx(2.0 * reach[0][0], rel=1e-5), pytest.approx(2.0 * reach[0][1], rel=1e-5))
    arguments = ("--name", "user", "--ports", "p,n", "--state", "x=0.1:1", "--include", "corners.lib:ff", "--json")
    said = json.loads(ohmweave("characterize", "user.sub", *arguments).out)
    assert (said["g_off"], said["g_on"]) == reach[1]
    # A build holds the library whole, and takes the same section of it.
    build = archive.save(weave(perceptron, found, calibration=np.eye(3)), desk / "build")
    assert archive.load(build).plan.design == found
    assert ".lib device/corners.lib ff\n" in (build / archive.NETLIST).read_text()
    assert (build / "netlist" / "device" / "corners.lib").read_text() == SPLIT["corners.lib"]
    np.savez(desk / "data.npz", x=np.eye(3), y=np.zeros(3, dtype=np.int64))
    done = ohmweave("verify", "build", "--data", "npz:data.npz", "--samples", 2, "--json")
    assert (done.code, json.loads(done.out)["ok"]) == (0, True), done.err


COMMANDS = {
    ("none.toml",): ("none.toml: cannot be read ([Errno 2] No such file or directory: 'none.toml'); give a TOML file"),
    ("empty.toml",): (
        "empty.toml: expected a table [device] or [opamp] with a file, found none; "
        'write file = "my_rram.lib" into [device], or file = "my_opamp.lib" into [opamp]'
    ),
    ("design.toml", "--name", "x"): (
        "design.toml: expected the model's choices in the design alone, found --name; leave the option out"
    ),
    ("soft.sub",): (
        "soft.sub: device.name: expected a plain name, found none; give the name of a subcircuit of the file"
    ),
    ("soft.sub", "--name", "soft", "--ports", "a,b", "--state", "Wx"): (
        "--state: expected PARAMETER=LOW:HIGH, found 'Wx'; try --state gap=0.2:1.7"
    ),
}


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_mistaken_command_is_told(arguments: tuple[str, ...], ohmweave: CommandLine, desk: Path) -> None:
    (desk / "empty.toml").write_text("seed = 1\n")
    done = ohmweave("characterize", *arguments)
    assert (done.code, done.err.lstrip("\n")) == (2, f"error: {COMMANDS[arguments]}\n")


# --- the table


def surface(points: int, volts: int) -> Surface:
    """The law g v0(g) sinh(v / v0(g)), v0 changing with g."""
    g, v = np.geomspace(1e-6, 1e-4, points), np.linspace(-0.6, 0.6, volts)
    return Surface(0.6, g, law(v, g[:, None]), 3.0 - np.log10(g) ** 2 / 20.0)


def law(v: Any, g: Any) -> Any:
    v0 = 0.3 + 0.02 * np.log10(g / 1e-6)
    return g * v0 * np.sinh(v / v0)


def test_the_table_converges_with_the_fourth_power_of_its_steps() -> None:
    g, v = np.geomspace(1.1e-6, 0.9e-4, 23), np.linspace(-0.59, 0.59, 40)
    errors = [
        np.abs(surface(points, volts).current(v, g[:, None]) / law(v, g[:, None]) - 1.0).max()
        for points, volts in ((9, 33), (17, 65), (33, 129))
    ]
    assert errors[1] < errors[0] / 10.0
    assert errors[2] < errors[1] / 10.0


def test_the_slope_is_the_derivative_and_goes_on_straight_beyond_the_end() -> None:
    table, g = surface(17, 65), np.array(2e-5)
    v, step = np.linspace(-0.9, 0.9, 181), 1e-6
    slope = (table.current(v + step, g) - table.current(v - step, g)) / (2 * step)
    np.testing.assert_allclose(table.slope(v, g), slope, rtol=1e-4)
    assert table.slope(np.array(0.8), g) == table.slope(np.array(2.0), g)
    assert table.slope(v.astype(np.float32), g).dtype == np.float32


def test_the_table_is_its_points_where_they_are() -> None:
    table = surface(17, 65)
    np.testing.assert_allclose(table.current(table.volts, table.g[:, None]), table.amps, rtol=1e-12)
    np.testing.assert_array_equal(table.current(np.array(0.0), np.geomspace(1e-7, 1e-3, 50)), 0.0)
    np.testing.assert_allclose(table.state_of(table.g), table.state, rtol=1e-12)
    assert np.isnan(table.current(np.array(np.nan), np.array(1e-5)))


# --- what is kept of a measurement

TABLE = {"g": np.geomspace(1e-6, 1e-4, 9), "state": np.linspace(1.0, 0.1, 9)}
TABLE["amps"] = TABLE["g"][:, None] * np.linspace(-0.6, 0.6, 11)
NO_MEASUREMENT = "ValueError: values that no measurement gives"


def kept(folder: Path, **change: Any) -> Path:
    """A characterisation of the plain model, with other arrays or bytes."""
    (folder / "user.sub").write_text(subcircuit(READ))
    choice = read_choice(PLAIN, "d.toml")
    note = {"origin": origin(choice, load_library(choice, folder)), "error": 1e-5, "v_max": 0.6}
    path = stored_path(choice, folder)
    np.savez_compressed(path, **{"note": np.array(json.dumps(note)), **TABLE, **change})
    return path


def reading(folder: Path) -> str:
    choice = read_choice(PLAIN, "d.toml")
    with pytest.raises(UserError) as caught:
        read_characterisation(stored_path(choice, folder), choice, load_library(choice, folder), "measure again")
    return str(caught.value)


def test_a_sane_table_is_read_back(tmp_path: Path) -> None:
    path, choice = kept(tmp_path), read_choice(PLAIN, "d.toml")
    stored = read_characterisation(path, choice, load_library(choice, tmp_path), "measure again")
    assert (stored.error, stored.surface.v_max) == (1e-5, 0.6)
    np.testing.assert_array_equal(stored.surface.amps, TABLE["amps"])


TABLES = {
    "currents the wrong way round": {"amps": -TABLE["amps"]},
    "a current that falls": {"amps": TABLE["amps"][:, ::-1]},
    "a state that comes back": {"state": np.abs(np.linspace(-1.0, 1.0, 9))},
    "a state that stays": {"state": np.ones(9)},
    "a current at 0 V": {"amps": TABLE["amps"] + 1e-9},
    "a conductance without end": {"g": np.array([*TABLE["g"][:-1], np.inf])},
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_no_device_has_is_told(case: str, tmp_path: Path) -> None:
    kept(tmp_path, **TABLES[case])
    assert reading(tmp_path) == f"user.characterized.npz: is broken ({NO_MEASUREMENT}); measure again"


def test_a_broken_archive_is_told_and_never_a_fault_of_ours(tmp_path: Path) -> None:
    deep = kept(tmp_path, note=np.array("[" * 100_000))
    assert reading(tmp_path).startswith("user.characterized.npz: is broken (RecursionError: ")
    whole = kept(tmp_path).read_bytes()
    # Bytes of the first member's packed data.
    deep.write_bytes(whole[:60] + b"\xff" * 40 + whole[100:])
    assert reading(tmp_path).startswith("user.characterized.npz: is broken (error: Error -3 while decompressing")
    flagged = bytearray(whole)
    # Bit 0 of the flags of each entry says that it is encrypted (APPNOTE 4.4.4).
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = flagged.find(mark)
        while at >= 0:
            flagged[at + offset] |= 1
            at = flagged.find(mark, at + 4)
    deep.write_bytes(flagged)
    assert reading(tmp_path).startswith("user.characterized.npz: is broken (RuntimeError: ")


def test_a_small_archive_of_a_huge_array_is_not_unpacked(tmp_path: Path) -> None:
    kept(tmp_path, amps=np.zeros(33 * 2**20))
    assert reading(tmp_path) == (
        "user.characterized.npz: is broken (ValueError: more than 268435456 bytes); measure again"
    )
