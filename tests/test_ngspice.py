"""ngspice is believed only when its answer is whole, and the deck asks what the bench asks."""

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ohmweave.bench import Bench, Transient, Waveform
from ohmweave.blocks.opamp import Finite
from ohmweave.circuit import Capacitor, Cell, Crossbar, Diode, Instance, Resistor, Vcvs, VoltageSource
from ohmweave.devices import Sinh
from ohmweave.errors import DesignError, NetlistError, SimulationError, SimulatorMissing
from ohmweave.netlist import Ngspice, write
from ohmweave.simulate import SIMULATORS, Simulator, detect, simulator, simulators
from ohmweave.simulate.deck import make_deck
from ohmweave.simulate.fake import Fake
from ohmweave.simulate.ngspice import NgspiceSimulator, parse_version
from ohmweave.units import Array

TRUNCATED = "the simulator stopped early or its disk is full; run it again"
DIVIDER = Cell(
    "divider",
    ("a", "m"),
    (Instance("up", Resistor(1e3), ("a", "m")), Instance("down", Resistor(3e3), ("m", "0"))),
)


def divider(samples: int = 2) -> Bench:
    return Bench(DIVIDER, ("a",), np.linspace(0.1, 0.4, samples)[:, None], ("m",))


@dataclass(frozen=True)
class Script:
    """Makes shell scripts that stand in for ngspice."""

    folder: Path

    def __call__(self, body: str) -> str:
        path = self.folder / "ngspice-script"
        path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "** ngspice-46 : fake"; exit 0; fi\n{body}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


def answer(values: Array) -> str:
    """Shell words that write a raw file with the vectors a divider's bench asks for."""
    names = ("v(v-sweep)", "v(sample)", "v(p_m)", "i(vi0)", "v(p_a)")
    table = "".join(f"\\t{k}\\t{name}\\tvoltage\\n" for k, name in enumerate(names))
    head = f"Flags: real\\nNo. Variables: {len(names)}\\nNo. Points: {len(values)}\\nVariables:\\n{table}Binary:\\n"
    content = "".join(f"\\{byte:03o}" for byte in values.astype("<f8").tobytes())
    return f"printf '{head}' > out.raw; printf '{content}' >> out.raw; echo done"


# Columns: sweep, sample, m, i, a.
GOOD = np.array([[0.0, 0.0, 0.075, 25e-6, 0.1], [1.0, 1.0, 0.3, 100e-6, 0.4]])


def failure(executable: str, time_limit: float = 60.0) -> str:
    with pytest.raises(SimulationError) as caught:
        NgspiceSimulator(executable, time_limit=time_limit).run(divider())
    return str(caught.value)


def test_a_whole_answer_is_accepted(script: Script) -> None:
    waves = NgspiceSimulator(script(answer(GOOD))).run(divider())
    np.testing.assert_array_equal(waves.volts, [[0.075], [0.3]])
    np.testing.assert_array_equal(waves.input_amps, [[25e-6], [100e-6]])
    assert (waves.engine, waves.version) == ("ngspice", "46")


def test_gmin_stepping_is_remarked(script: Script) -> None:
    waves = NgspiceSimulator(script(f"echo 'Note: Starting dynamic gmin stepping'; {answer(GOOD)}")).run(divider())
    assert waves.remarks == ("dynamic gmin stepping",)


STUCK = "doAnalyses: TRAN:  Timestep too small; time = 1e-06, timestep = 1e-20: trouble with node m"


def charged(*, clocked: bool) -> Transient:
    """A capacitor of 1 pF charged through 100 kohm."""
    parts = (Instance("r", Resistor(1e5), ("a", "m")), Instance("c", Capacitor(1e-12), ("m", "0")))
    step = Waveform(np.array([0.0, 1e-9]), np.array([0.0, 1.0]))
    return Transient(Cell("rc", ("a", "m"), parts), ("a",), (step,), 1e-6, 1e-8, ("m",), clocked=clocked)


def test_a_clocked_circuit_whose_steps_become_too_small_has_attofarads_added(script: Script, ngspice: str) -> None:
    stuck = script(f"grep -q cshunt deck.cir || {{ echo '{STUCK}'; exit 1; }}; exec {ngspice} \"$@\"")
    plain, shunted = (NgspiceSimulator(each).trace(charged(clocked=True)) for each in (ngspice, stuck))
    assert plain.remarks == ()
    assert shunted.remarks == ("1e-17 F from every node to ground, without which time steps became too small",)
    at = np.linspace(0.0, 1e-6, 50)
    found, wanted = (np.interp(at, each.times, each.volts[:, 0]) for each in (shunted, plain))
    np.testing.assert_allclose(found, wanted, rtol=0.0, atol=1e-4)


@pytest.mark.parametrize(("clocked", "runs"), [(True, 2), (False, 1)])
def test_other_circuits_that_are_stuck_stay_as_they_are(
    script: Script, tmp_path: Path, clocked: bool, runs: int
) -> None:
    stuck = script(f"echo run >> {tmp_path}/runs; echo '{STUCK}'; exit 1")
    with pytest.raises(SimulationError, match="Timestep too small"):
        NgspiceSimulator(stuck).trace(charged(clocked=clocked))
    assert (tmp_path / "runs").read_text().count("run") == runs


def test_a_simulator_that_hangs_is_stopped_with_its_children(script: Script, tmp_path: Path) -> None:
    executable = script(f"sleep 60 & echo $! > {tmp_path}/child; wait")
    assert failure(executable, time_limit=0.5) == (
        "ngspice, divider: expected an answer within 0.5 s, found none; the process was stopped; "
        "raise --time-limit, use fewer samples or smaller tiles"
    )
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5.0
    while _running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _running(child)


def _running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        # A zombie that nobody has waited for yet runs no more.
        return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_truncated_answer_is_refused(script: Script) -> None:
    executable = script(f"{answer(GOOD)}; truncate -s -12 out.raw")
    assert failure(executable) == (
        "ngspice, divider: expected 2 points of 5 vectors (80 bytes) after the header, found 68 bytes; "
        f"the log ends: done; {TRUNCATED}"
    )


def test_success_without_an_answer_is_refused(script: Script) -> None:
    assert failure(script("exit 0")) == (
        f"ngspice, divider: expected a raw file, found none; the log ends: (nothing); {TRUNCATED}"
    )


def test_a_value_that_is_not_finite_is_refused(script: Script) -> None:
    values = GOOD.copy()
    values[1, 2] = np.nan
    assert failure(script(answer(values))) == (
        "ngspice, divider: expected finite values, found nan in v(p_m) at sample 1 (1 in all); the log ends: done"
    )


def test_a_sweep_that_ends_early_is_refused(script: Script) -> None:
    assert failure(script(answer(GOOD[:1]))) == (
        "ngspice, divider: expected 2 samples, found 1 up to [0.0]; the log ends: done"
    )


def test_drives_that_are_not_the_benchs_are_refused(script: Script) -> None:
    values = GOOD.copy()
    values[1, 4] = 0.5
    assert failure(script(answer(values))) == (
        "ngspice, divider: expected the drives of the bench, found them 1.0e-01 V away"
    )


def test_a_vector_that_is_missing_is_named(script: Script) -> None:
    executable = script(answer(GOOD).replace("v(p_m)", "v(p_q)"))
    assert failure(executable) == (
        "ngspice, divider: expected the vector 'v(p_m)', found none of that name (1 missing in all); the log ends: done"
    )


@pytest.mark.parametrize(
    ("words", "code", "found"),
    [
        ("Error: unknown parameter", 0, "exit code 0 and 'Error: unknown parameter'"),
        ("Warning: singular matrix:  check node a", 0, "exit code 0 and 'Warning: singular matrix:  check node a'"),
        ("bye", 1, "exit code 1"),
    ],
)
def test_errors_in_the_log_are_believed_more_than_the_file(script: Script, words: str, code: int, found: str) -> None:
    executable = script(f"{answer(GOOD)}; echo '{words}'; exit {code}")
    assert failure(executable) == (
        f"ngspice, divider: expected a run without errors, found {found}; the log ends: done | {words}; "
        "check the netlist and the design"
    )


def test_a_missing_simulator_says_how_to_get_it() -> None:
    simulator = NgspiceSimulator("ngspice-nowhere")
    for attempt in (simulator.version, lambda: simulator.run(divider())):
        with pytest.raises(SimulatorMissing) as caught:
            attempt()
        assert caught.value.exit_code == 2
        assert str(caught.value) == (
            "expected the simulator 'ngspice-nowhere', found none on this machine; "
            "install it (Debian/Ubuntu: apt install ngspice; macOS: brew install ngspice) or use the native engine"
        )


def test_it_runs_in_a_folder_and_home_of_its_own(script: Script, tmp_path: Path) -> None:
    executable = script(
        f'pwd > {tmp_path}/where; echo "$HOME $LC_ALL" > {tmp_path}/home; cat .spiceinit >> {tmp_path}/home'
    )
    failure(executable)
    where = (tmp_path / "where").read_text().strip()
    assert where != str(Path.cwd())
    assert not Path(where).exists()
    assert (tmp_path / "home").read_text() == f"{where} C\nset num_threads=1\n"


def test_the_deck_is_one_sweep_of_step_functions() -> None:
    deck = make_deck(divider(), "library/cell.cir", klu=True)
    assert deck.text == (
        "ohmweave bench of divider\n"
        ".include library/cell.cir\n"
        "vs sample 0 0\n"
        "bin0 in0 0 v=pwl(v(sample),\n"
        "+ -0.25,0.1,0.25,0.1,\n"
        "+ 0.75,0.4,1.25,0.4)\n"
        "vi0 in0 p_a 0\n"
        "x1 p_a p_m divider\n"
        ".options klu reltol=1e-9 abstol=1e-15 vntol=1e-12 gmin=1e-18 itl1=1000 itl2=1000 temp=27 tnom=27\n"
        ".dc vs 0 1 1\n"
        ".save v(sample) v(p_m) i(vi0) v(p_a)\n"
        ".end\n"
    )


def test_probes_are_found_through_the_ports_of_every_level() -> None:
    bar = Crossbar("t", ("p",), ("k",), None, np.array([[1e-5]]), 1.0, 1.0)
    follower = Instance("e1", Vcvs(1.0), ("q", "0", "k", "0"))
    inner = Cell("inner", ("p", "q"), (bar, follower))
    outer = Cell("outer", ("a", "b"), (Instance("i", inner, ("a", "m")), Instance("load", Resistor(1.0), ("m", "0"))))
    bench = Bench(outer, ("a",), np.zeros((1, 1)), ("a", "m", "0", "i.p", "i.q", "i.k", "i.t.r0", "i.t.c0"), ("i.e1",))
    deck = make_deck(bench, "c", klu=False)
    assert deck.probes == (
        "v(p_a)", "v(x1.m)", None, "v(p_a)", "v(x1.m)", "v(x1.xi.k)", "v(p_a)", "v(x1.xi.k)"
    )  # fmt: skip
    assert deck.terminals == (("v(x1.m)", None),)
    assert deck.currents == ("i(e.x1.xi.ee1)",)


@pytest.mark.parametrize(
    ("probes", "sources", "message"),
    [
        (("z.q",), (), "bench: there is no net 'z.q' in the circuit; check the probe"),
        (("up.q",), (), "bench: there is no net 'up.q' in the circuit; check the probe"),
        ((), ("up",), "bench: there is no source 'up' in the circuit; check the path"),
    ],
)
def test_a_probe_that_does_not_exist_is_named(probes: tuple[str, ...], sources: tuple[str, ...], message: str) -> None:
    with pytest.raises(SimulationError, match=f"^{message}$"):
        make_deck(Bench(DIVIDER, ("a",), np.zeros((1, 1)), probes, sources), "c", klu=False)


@pytest.mark.parametrize("samples", [1, 2, 200])
def test_a_linear_network_agrees_with_mathematics_to_1e_9(ngspice: str, samples: int) -> None:
    waves = NgspiceSimulator(ngspice).run(divider(samples))
    drive = np.linspace(0.1, 0.4, samples)[:, None]
    np.testing.assert_allclose(waves.volts, 0.75 * drive, rtol=1e-12)
    np.testing.assert_allclose(waves.input_amps, drive / 4e3, rtol=1e-9)
    assert waves.remarks == ()


def test_a_parameter_keeps_its_digits_in_a_nonlinear_device(ngspice: str) -> None:
    conductances = np.array([1.2345678901234567e-05, 9.876543210987654e-05, 1.0000000000000002e-06])
    device = Sinh(g_off=1e-6, g_on=1e-4).cell()
    parts = tuple(Instance(f"d{k}", device, (f"a{k}", "0"), {"g": float(g)}) for k, g in enumerate(conductances))
    cell = Cell("devices", ("a0", "a1", "a2"), parts)
    volts = np.array([[0.4, -0.3, 0.2], [0.01, 0.02, -0.03]])
    waves = NgspiceSimulator(ngspice).run(Bench(cell, cell.ports, volts, ()))
    np.testing.assert_allclose(waves.input_amps, conductances * 0.33 * np.sinh(volts / 0.33), rtol=1e-9)


def test_a_diode_has_the_thermal_voltage_of_the_si(ngspice: str) -> None:
    diode = Diode(1e-14, 1.5)
    cell = Cell("diode", ("a",), (Instance("d", diode, ("a", "0")),))
    volts = np.array([[0.9], [0.6], [0.75]])
    waves = NgspiceSimulator(ngspice).run(Bench(cell, ("a",), volts, ()))
    v_t = 1.5 * 1.380649e-23 * 300.15 / 1.602176634e-19
    np.testing.assert_allclose(waves.input_amps, 1e-14 * np.expm1(volts / v_t), rtol=1e-8)


def test_op_amps_settle_in_and_out_of_their_swing_without_stepping(ngspice: str) -> None:
    # Inverting, R_f/R = 10, A = 1e4, R_o = 100 ohm, swing -1 V to 1 V: 0.05 V inside, 0.2 V outside.
    parts = (
        Instance("op", Finite().cell("op"), ("0", "n", "y")),
        Instance("i", Resistor(1e4), ("a", "n")),
        Instance("f", Resistor(1e5), ("n", "y")),
    )
    drive = np.array([[0.0], [0.05], [-0.05], [0.2], [-0.2]])
    bench = Bench(Cell("amp", ("a", "y"), parts), ("a",), drive, ("y", "op.x"), ("op.buf",))
    waves = NgspiceSimulator(ngspice).run(bench)
    assert waves.remarks == ()
    # Kirchhoff at n and y, v_o = -A v_n behind R_o, solved by hand for the linear samples.
    a, r, f, o = 1e4, 1e4, 1e5, 100.0
    matrix = np.array([[1 / r + 1 / f, -1 / f], [-1 / f + a / o, 1 / f + 1 / o]])
    expected = np.array([np.linalg.solve(matrix, [v / r, 0.0])[1] for v in drive[1:3, 0]])
    np.testing.assert_allclose(waves.volts[1:3, 0], expected, rtol=1e-7)
    np.testing.assert_allclose(waves.volts[3:, 1], [-1.0, 1.0], rtol=1e-3)
    np.testing.assert_array_equal(waves.source_volts[:, 0], waves.volts[:, 1])
    # The op-amp delivers what the feedback resistor takes: i = (v_o - v_y) / R_o.
    np.testing.assert_allclose(
        waves.source_amps[:, 0], (waves.volts[:, 1] - waves.volts[:, 0]) / o, rtol=1e-9, atol=1e-14
    )


def test_a_netlist_on_disk_is_what_is_simulated(ngspice: str, tmp_path: Path) -> None:
    path = tmp_path / "divider.cir"
    with path.open("w") as stream:
        write(DIVIDER, Ngspice(), stream)
    path.write_text(path.read_text().replace("3000.0", "1000.0"))
    waves = NgspiceSimulator(ngspice, netlist=path).run(divider())
    np.testing.assert_allclose(waves.volts, [[0.05], [0.2]], rtol=1e-12)


def test_a_netlist_on_disk_may_have_parts_in_further_files(ngspice: str, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "top.cir").write_text(".subckt divider a m\n.include parts/inner.cir\n.ends\n")
    (tmp_path / "parts" / "inner.cir").write_text("r1 a m 1000\nr2 m 0 1000\n")
    waves = NgspiceSimulator(ngspice, netlist=tmp_path / "top.cir").run(divider())
    np.testing.assert_allclose(waves.volts, [[0.05], [0.2]], rtol=1e-12)


def test_a_netlist_on_disk_that_runs_code_is_refused(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    path = tmp_path / "divider.cir"
    path.write_text(f".subckt divider a m\n.ends\n.control\nshell touch {witness}\n.endc\n")
    with pytest.raises(NetlistError) as caught:
        NgspiceSimulator("true", netlist=path).run(divider())
    assert caught.value.where == "divider.cir:3"
    assert not witness.exists()


def test_a_circuit_without_an_operating_point_is_an_error(ngspice: str) -> None:
    cell = Cell("short", ("a",), (Instance("v", VoltageSource(1.0), ("a", "0")),))
    with pytest.raises(
        SimulationError, match=r"^ngspice, short: expected a run without errors, found exit code 1 and "
    ):
        NgspiceSimulator(ngspice).run(Bench(cell, ("a",), np.zeros((2, 1)), ()))


def test_versions_and_solvers_are_read() -> None:
    assert parse_version("** ngspice-46 : Circuit\n** Compiled with KLU Direct Linear Solver") == ("46", True)
    assert parse_version("** ngspice-39.3 : Circuit level simulation program") == ("39.3", False)
    assert parse_version("") == ("unknown", False)


def test_the_fake_answers_by_its_function() -> None:
    fake: Simulator = Fake(lambda bench: 0.75 * bench.volts)
    waves = fake.run(divider())
    np.testing.assert_allclose(waves.volts, [[0.075], [0.3]])
    np.testing.assert_array_equal(waves.input_amps, np.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"^the answer has shape \(1, 1\), expected \(2, 1\)$"):
        Fake(lambda bench: np.zeros((1, 1))).run(divider())


def test_simulators_are_made_by_name() -> None:
    assert set(SIMULATORS) <= set(simulators())
    assert simulator("ngspice", time_limit=5.0) == NgspiceSimulator(time_limit=5.0)
    assert simulator("native").name == "native"


def test_an_unknown_simulator_names_the_nearest() -> None:
    with pytest.raises(DesignError) as caught:
        simulator("ngspce")
    assert str(caught.value) == "engine: expected a simulator, found 'ngspce'; did you mean 'ngspice'?"


def test_detection_tells_what_is_here(ngspice: str) -> None:
    found = detect()
    assert found["native"]["path"] == "built in"
    assert found["ngspice"]["path"] == ngspice
    assert found["ngspice"]["version"] == NgspiceSimulator(ngspice).version()
    assert all(set(entry) == {"path", "version", "klu", "osdi", "runs"} for entry in found.values())
    assert found["ngspice"]["runs"]
    # It can be asked again: nothing in between may have replaced it.
    assert detect() == found
