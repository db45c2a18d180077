"""VACASK, which shares no line with ngspice, says of every device and block what ngspice and mathematics say."""

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ohmweave.bench import Bench, Waves
from ohmweave.blocks import (
    ClockedLif45,
    Clocking,
    Converter,
    DigitalActivation,
    Finite,
    Ideal,
    OpAmp,
    SigmoidPair45,
    TanhPair45,
    activations,
    maxima,
    multipliers,
    readouts,
)
from ohmweave.blocks.ota import Ota45
from ohmweave.blocks.spiking import NEURON_PORTS, Membrane
from ohmweave.blocks.two_stage import TwoStage45
from ohmweave.chip import Chip
from ohmweave.circuit import Cell, Crossbar, Instance, Resistor, Vccs
from ohmweave.design import Design
from ohmweave.devices import Device, Sinh, Table, bent, devices
from ohmweave.devices.file import ModelChoice, StateRange, model_cell
from ohmweave.errors import NetlistError, SimulatorMissing
from ohmweave.graph import Op, Relu, Tanh
from ohmweave.models import load_library
from ohmweave.netlist import Vacask, write
from ohmweave.schemes import RowPair
from ohmweave.simulate.native import Native
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.simulate.vacask import VacaskSimulator
from ohmweave.units import Array

MakeChip = Callable[..., tuple[Chip, Array]]
Agree = Callable[..., tuple[Waves, Waves]]

VOLTS = np.linspace(-0.5, 0.5, 11)
OPAMPS: dict[str, OpAmp] = {"ideal": Ideal(), "finite": Finite(offset=2e-3)}
PARAMETERS: dict[str, tuple[float, ...]] = {"clip": (-1.0, 1.0), "leaky_relu": (0.1,)}
CIRCUITS = {
    f"{function} by {name}": kind().bind(*PARAMETERS.get(function, ()))
    for function, kinds in activations().items()
    for name, kind in kinds.items()
    # Transistors, which the native engine has as measured curves, are further down.
    if name != "transistors_45"
    and kind().bind(*PARAMETERS.get(function, ())).cell("activation", Finite(), 0.2, 0.2) is not None
}
MODELS = Path(__file__).parents[1] / "models"
ARITHMETIC: dict[str, tuple[float, ...]] = {
    "through": (), "relu": (), "tanh": (), "sigmoid": (), "clip": (-0.5, 0.75), "leaky_relu": (0.1,), "hard_swish": ()
}  # fmt: skip


@pytest.fixture(scope="session")
def vacask() -> VacaskSimulator:
    """VACASK; skips where there is none."""
    made = VacaskSimulator(time_limit=300.0)
    try:
        made.version()
    except SimulatorMissing as error:
        pytest.skip(str(error))
    return made


@pytest.fixture(scope="session")
def agree(spice: NgspiceSimulator, vacask: VacaskSimulator) -> Agree:
    """Run a bench in all three engines and hold VACASK against the others; gives its answer and ngspice's."""

    def check(bench: Bench, share: float = 1e-9) -> tuple[Waves, Waves]:
        found, others = vacask.run(bench), (spice.run(bench), Native().run(bench))
        for other in others:
            for name in ("volts", "input_amps", "source_volts", "source_amps"):
                ours, theirs = getattr(found, name), getattr(other, name)
                scale = np.abs(theirs).max(initial=1e-12)
                where = f"{name}, {other.engine}"
                np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=share * scale, err_msg=where)
        return found, others[0]

    return check


def one_port(parts: tuple[Instance, ...], volts: Array, *probes: str) -> Bench:
    return Bench(Cell("jig", ("in", "out"), parts), ("in",), volts[:, None], probes or ("out",))


@pytest.mark.parametrize("device", [kind() for kind in devices().values()], ids=devices())
def test_every_device_follows_its_law(device: Device, agree: Agree) -> None:
    g = np.geomspace(*device.g_range, 5)
    cell = device.cell()
    parts = tuple(
        Instance(f"d{k}", Resistor(1.0 / value), (f"p{k}", "0"))
        if cell is None
        else Instance(f"d{k}", cell, (f"p{k}", "0"), {"g": value})
        for k, value in enumerate(g.tolist())
    )
    ports = tuple(f"p{k}" for k in range(len(g)))
    bench = Bench(Cell("devices", ports, parts), ports, np.repeat(VOLTS[:, None], len(g), axis=1), ())
    found, _ = agree(bench)
    np.testing.assert_allclose(found.input_amps, device.current(VOLTS[:, None], g), rtol=1e-9, atol=1e-15)


def of_a_user(choice: ModelChoice, folder: Path, states: tuple[float, ...]) -> Cell:
    """A user's model at several states, each at a port of its own."""
    shutil.copy(MODELS / choice.file, folder)
    device = model_cell(choice, load_library(choice, folder))
    parts = tuple(Instance(f"d{k}", device, (f"p{k}", "0"), {"state": state}) for k, state in enumerate(states))
    return Cell("models", tuple(f"p{k}" for k in range(len(states))), parts)


def test_a_users_verilog_a_model_carries_the_same_currents(
    vacask: VacaskSimulator, spice: NgspiceSimulator, tmp_path: Path
) -> None:
    choice = ModelChoice("vgap.va", "vgap", ("anode", "cathode"), StateRange("width", 0.2, 1.8))
    states = (0.2, 1.0, 1.8)
    cell = of_a_user(choice, tmp_path, states)
    bench = Bench(cell, cell.ports, np.repeat(VOLTS[:, None], 3, axis=1), ())
    found, other = vacask.run(bench), spice.run(bench)
    expected = 8e-5 * np.exp(-2.5 * np.array(states)) * np.sinh(VOLTS[:, None] / 0.35) + 1e-8 * VOLTS[:, None]
    for amps in (found.input_amps, other.input_amps):
        np.testing.assert_allclose(amps, expected, rtol=1e-6, atol=1e-12)


def test_a_users_spice_model_is_refused_before_vacask_sees_it(tmp_path: Path) -> None:
    choice = ModelChoice("soft.sub", "soft", ("top", "bot"), StateRange("Wx", 0.05, 1.0))
    with pytest.raises(NetlistError) as caught:
        write(of_a_user(choice, tmp_path, (0.5,)), Vacask(), io.StringIO())
    assert str(caught.value) == (
        "device/soft.sub: expected a Verilog-A model, which is what VACASK takes, found a SPICE file; "
        "use ngspice, or give the model in Verilog-A"
    )


@pytest.mark.parametrize("both_ends", [False, True], ids=["one end", "both ends"])
@pytest.mark.parametrize("device", [None, Sinh(v0=0.25).cell(), bent(Table().cell())], ids=["linear", "sinh", "bent"])
def test_wired_arrays_obey_kirchhoff(device: Cell | None, both_ends: bool, agree: Agree) -> None:
    rng = np.random.default_rng(8)
    g = rng.uniform(1e-6, 1e-4, (12, 9))
    g[rng.random(g.shape) < 0.2] = np.nan
    bend = np.where(np.isnan(g), np.nan, rng.uniform(0.7, 1.4, g.shape)) if device and "s" in device.params else None
    rows, cols = tuple(f"r{i}" for i in range(12)), tuple(f"c{j}" for j in range(9))
    far = (rows, cols) if both_ends else ((), ())
    bar = Crossbar("bar", rows, cols, device, g, 2.5, 1.0, "", *far, bend=bend)
    loads = (Instance(f"l{j}", Resistor(300.0), (f"c{j}", "0")) for j in range(9))
    volts = rng.uniform(-0.5, 0.5, (4, 12))
    agree(Bench(Cell("array", (*rows, *cols), (bar, *loads)), rows, volts, cols))


@pytest.mark.parametrize("opamp", OPAMPS.values(), ids=OPAMPS)
@pytest.mark.parametrize("readout", [kind() for kind in readouts().values()], ids=readouts())
def test_every_readout_with_every_op_amp(readout: object, opamp: OpAmp, agree: Agree) -> None:
    inner, lines = opamp.cell("opamp"), int(readout.lines)  # type: ignore[attr-defined]
    loops = [Resistor(ohms) for ohms in readout.resistances(8e3, 5e3)]  # type: ignore[attr-defined]
    column = readout.cell("readout", (inner, opamp.cell("opamp_floor", 0.0)), loops)  # type: ignore[attr-defined]
    nets = tuple(f"c{q}" for q in range(lines))
    drives = tuple(Instance(f"g{q}", Vccs(1.0), ("0", f"c{q}", f"i{q}", "0")) for q in range(lines))
    ports = (*(f"i{q}" for q in range(lines)), "out")
    cell = Cell("jig", ports, (Instance("dut", column, (*nets, "out")), *drives))
    amps = np.random.default_rng(5).uniform(-200e-6, 200e-6, (8, lines))
    agree(Bench(cell, ports[:-1], amps, ("out",)))


@pytest.mark.parametrize("activation", CIRCUITS.values(), ids=CIRCUITS)
def test_every_activation_circuit(activation: object, agree: Agree) -> None:
    s_in = activation.input_scale(3.0, 0.2, 1.0)  # type: ignore[attr-defined]
    cell = activation.cell("activation", Finite(v_low=-2.0, v_high=2.0), s_in, 0.2)  # type: ignore[attr-defined]
    parts = (Instance("dut", cell, ("in", "out")), Instance("load", Resistor(1e4), ("out", "0")))
    # Junctions in loops of high gain run at looser tolerances.
    agree(one_port(parts, 3.0 * s_in * np.linspace(-1.0, 1.0, 9)), 1e-6)


@pytest.mark.parametrize("multiplier", [kind() for kind in multipliers().values()], ids=multipliers())
def test_every_multiplier(multiplier: object, agree: Agree) -> None:
    product = multiplier.cell("product", Finite(), 0.4)  # type: ignore[attr-defined]
    cell = Cell("jig", ("a", "b", "out"), (Instance("dut", product, ("a", "b", "out")),))
    agree(Bench(cell, ("a", "b"), np.random.default_rng(1).uniform(-0.2, 0.2, (8, 2)), ("out",)))


def second_opinion(vacask: VacaskSimulator, spice: NgspiceSimulator, bench: Bench) -> Waves:
    """Transistors in both simulators; gives VACASK's answer."""
    text = io.StringIO()
    write(bench.cell, Vacask(), text)
    assert "sp_bsim4v8" in text.getvalue()
    found, other = vacask.run(bench), spice.run(bench)
    for name in ("volts", "input_amps", "source_amps"):
        ours, theirs = getattr(found, name), getattr(other, name)
        scale = np.abs(theirs).max(initial=1e-9)
        np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-5 * scale, err_msg=name)
    return found


@pytest.mark.parametrize(
    ("opamp", "low"),
    [(TwoStage45(), None), (TwoStage45(), 0.0), (TwoStage45(output="class_ab"), None), (Ota45(), None)],
    ids=["two_stage", "held", "class_ab", "ota"],
)
def test_op_amps_of_transistors(
    opamp: TwoStage45 | Ota45, low: float | None, vacask: VacaskSimulator, spice: NgspiceSimulator
) -> None:
    """An inverting amplifier, transistor by transistor; the supplies' currents too."""
    parts = (
        Instance("i", Resistor(50e3), ("a", "n")),
        Instance("f", Resistor(50e3), ("n", "out")),
        Instance("op", opamp.circuit("opamp", low), ("0", "n", "out")),
    )
    volts = np.linspace(-0.3, 0.25, 9)[:, None]
    bench = Bench(Cell("jig", ("a", "out"), parts), ("a",), volts, ("out",), ("op.vdd", "op.vss"))
    found = second_opinion(vacask, spice, bench).volts[:, 0]
    wanted = -volts[:, 0] if low is None else np.maximum(-volts[:, 0], low)
    np.testing.assert_allclose(found, wanted, rtol=0.0, atol=0.02)


@pytest.mark.parametrize("kind", [TanhPair45, SigmoidPair45])
def test_pairs_of_transistors(
    kind: type[TanhPair45] | type[SigmoidPair45], vacask: VacaskSimulator, spice: NgspiceSimulator
) -> None:
    activation = kind().bind()
    s_in = activation.input_scale(3.0, 0.2, 1.0)
    cell = activation.cell("activation", Finite(v_low=-0.5, v_high=0.5), s_in, 0.2)
    assert cell is not None
    parts = (Instance("dut", cell, ("in", "out")), Instance("load", Resistor(1e5), ("out", "0")))
    second_opinion(vacask, spice, one_port(parts, 3.0 * s_in * np.linspace(-1.0, 1.0, 9)))


def test_the_neuron_of_transistors_while_its_copies_conduct(vacask: VacaskSimulator, spice: NgspiceSimulator) -> None:
    """Currents of up to twice the design current into either column, the membrane held, the comparator open."""
    cell = ClockedLif45().cell("neuron", Membrane(0.1, 1.0, "none", False), Clocking())
    ports = ("wp", "wn", *NEURON_PORTS[3:], "m")
    rows = tuple(Instance(f"r{c}", Resistor(1e3), (f"w{c}", c)) for c in "pn")
    dut = Instance("x", replace(cell, ports=(*NEURON_PORTS, "m")), (*NEURON_PORTS, "m"))
    volts = np.full((6, len(ports)), -0.55)
    volts[:, :2] = np.random.default_rng(4).uniform(0.0, 0.2, (6, 2))
    volts[:, -1] = np.linspace(-0.3, 0.3, 6)
    volts[:, [ports.index("integrate"), ports.index("compare")]] = 0.55
    found = second_opinion(vacask, spice, Bench(Cell("top", ports, (*rows, dut)), ports, volts, ("p", "n", "spike")))
    assert (found.volts[:, 2] > 0.0).tolist() == [False] * 5 + [True]


@pytest.mark.parametrize("maximum", [kind() for kind in maxima().values()], ids=maxima())
def test_every_maximum(maximum: object, agree: Agree) -> None:
    dut = maximum.cell("maximum", 3, Finite())  # type: ignore[attr-defined]
    ports = ("x0", "x1", "x2", "out")
    cell = Cell("jig", ports, (Instance("dut", dut, ports),))
    agree(Bench(cell, ports[:3], np.random.default_rng(2).uniform(-0.4, 0.4, (8, 3)), ("out",)))


@pytest.mark.parametrize("bits", [0, 1, 8])
def test_converters_round_alike(bits: int, agree: Agree) -> None:
    converter = Converter(bits, -0.4, 0.5)
    volts = np.random.default_rng(3).uniform(-0.7, 0.7, 25)
    found, _ = agree(one_port((Instance("dut", converter.cell("dut"), ("in", "out")),), volts))
    np.testing.assert_allclose(found.volts[:, 0], converter.respond(volts), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize(("kind", "given"), ARITHMETIC.items(), ids=ARITHMETIC)
def test_arithmetic_computes_alike(kind: str, given: tuple[float, ...], agree: Agree) -> None:
    block = DigitalActivation(kind, given, 0.1, 0.2)
    found, _ = agree(one_port((Instance("dut", block.cell("dut"), ("in", "out")),), VOLTS))
    np.testing.assert_allclose(found.volts[:, 0], block.respond(VOLTS), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("design", "activation"),
    [(Design(), Relu()), (Design(device=Sinh(), scheme=RowPair()), Tanh())],
    ids=["linear pair relu", "sinh row pair tanh"],
)
def test_whole_chips_are_the_same_in_three_engines(
    design: Design, activation: Op, make_chip: MakeChip, vacask: VacaskSimulator, spice: NgspiceSimulator
) -> None:
    chip, x = make_chip(design, (20, 12, 5), activation)
    found = chip.simulate(x, vacask)
    for other in (chip.simulate(x, spice), chip.simulate(x)):
        for stage, volts in other.stage_volts.items():
            np.testing.assert_allclose(found.stage_volts[stage], volts, rtol=0.0, atol=1e-8 * np.abs(volts).max())
