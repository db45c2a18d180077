"""Neurons in ngspice against their mathematics: membranes, spikes for constant currents, and decay."""

from dataclasses import replace

import numpy as np
import pytest

from ohmweave.bench import Bench, Transient, Waveform
from ohmweave.blocks import ClockedLif, ClockedLif45, ClockedNeuron, Clocking, PulseDriver45
from ohmweave.blocks.characterize_neuron import LOAD, Steps, measure
from ohmweave.blocks.clocked_lif_45 import FIGURES
from ohmweave.blocks.figures import circuit_digest
from ohmweave.blocks.lif_45 import SUPPLIES
from ohmweave.blocks.lif_45_figures import LifFigures
from ohmweave.blocks.spiking import Membrane
from ohmweave.circuit import Cell, Instance, Resistor
from ohmweave.errors import DesignError
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

CLOCK = Clocking()
# Just before the comparators' clock falls, as a share of a step.
STROBE = 0.698
SWITCHED, RESISTOR, TRANSISTORS = ClockedLif(), ClockedLif(leak="resistor"), ClockedLif45()
RESETS = {
    "zero": ("zero", False),
    "subtract": ("subtract", False),
    "late": ("subtract", True),
    "hold": ("hold", False),
    "none": ("none", False),
}
NEURONS = pytest.mark.parametrize("neuron", [SWITCHED, RESISTOR, TRANSISTORS], ids=["switched", "resistor", "45nm"])


def input_ohms(neuron: ClockedNeuron) -> float:
    return next(
        part.of.ohms
        for part in neuron.column("end").parts
        if isinstance(part, Instance) and isinstance(part.of, Resistor)
    )


def in_spice(
    spice: NgspiceSimulator,
    neuron: ClockedNeuron,
    membrane: Membrane,
    currents: tuple[Array, Array],
    clock: Clocking = CLOCK,
) -> Steps:
    cell = neuron.cell("neuron", membrane, clock)
    return measure(cell, clock, currents, spice, reset=membrane.reset_clock)


def by_equation(
    neuron: ClockedNeuron,
    membrane: Membrane,
    currents: tuple[Array, Array],
    clock: Clocking = CLOCK,
    load: float = LOAD,
) -> tuple[Array, Array]:
    """Membranes in V and spikes, step by step."""
    soma = neuron.soma([membrane], clock)
    share = clock.pulse / (1.0 + load * input_ohms(neuron))
    state, volts, spiked = soma.start(1), [], []
    for into, out_of in zip(*currents, strict=True):
        state = soma.step(state, (np.full((1, 1), into * share), np.full((1, 1), out_of * share)))
        volts.append(state.membranes[0, 0])
        spiked.append(state.spikes[0, 0])
    return np.array(volts), np.array(spiked)


def unit(neuron: ClockedNeuron, gain: float) -> float:
    """Current into column p that is one threshold, A."""
    return neuron.c_m * neuron.v_threshold / (gain * CLOCK.pulse)


def about(common: Array, more: Array) -> tuple[Array, Array]:
    """Currents into columns p and n: a common one, and what is more in p (positive) or n."""
    return common + np.maximum(more, 0.0), common + np.maximum(-more, 0.0)


def assert_followed(
    spice: NgspiceSimulator,
    neuron: ClockedNeuron,
    membrane: Membrane,
    currents: tuple[Array, Array],
    allowed: float,
    clock: Clocking = CLOCK,
) -> None:
    """Some steps spike and some do not, the same in the circuit; membranes are within a share of the threshold."""
    run = in_spice(spice, neuron, membrane, currents, clock)
    volts, spikes = by_equation(neuron, membrane, currents, clock)
    np.testing.assert_array_equal(run.at(0.75, 1) > 0.0, spikes > 0.0)
    assert 0 < spikes.sum() < len(spikes)
    assert np.abs(run.at(STROBE) - volts).max() < allowed * neuron.v_threshold


def shown(cell: Cell, net: str) -> Cell:
    """The neuron with the names of a net and of its membrane, the one that is measured, exchanged."""
    names = {"m": net, net: "m"}
    parts = [part for part in cell.parts if isinstance(part, Instance)]
    return replace(
        cell, parts=tuple(replace(part, nets=tuple(names.get(each, each) for each in part.nets)) for part in parts)
    )


@NEURONS
@pytest.mark.parametrize("reset", RESETS)
def test_a_membrane_is_what_its_equation_says(neuron: ClockedNeuron, reset: str, spice: NgspiceSimulator) -> None:
    membrane = Membrane(0.1, 0.9, *RESETS[reset], offset=2e-3, mismatch=(0.01, -0.01, 0.02))
    common = np.array([30e-6, 60e-6, 90e-6, 20e-6, 70e-6, 50e-6, 40e-6, 80e-6])
    more = unit(neuron, 0.1) * np.array([0.6, 0.8, -0.5, 0.9, 1.0, -0.9, -0.8, 0.4])
    assert_followed(spice, neuron, membrane, about(common, more), 0.02 if neuron is TRANSISTORS else 0.002)


@pytest.mark.parametrize("amps", [50e-6, 200e-6])
@pytest.mark.parametrize(("step", "pulse"), [(0.5e-6, 50e-9), (0.5e-6, 105e-9), (2e-6, 50e-9), (2e-6, 210e-9)])
def test_the_figures_hold_where_they_are_used(step: float, pulse: float, amps: float, spice: NgspiceSimulator) -> None:
    """At the ends of the design currents, steps and pulses that are accepted."""
    neuron, clock = ClockedLif45(i_column=amps), Clocking(step=step, pulse=pulse)
    membrane = Membrane(0.2, 0.9, "zero", False, offset=2e-3, mismatch=(0.01, -0.01, 0.02))
    assert neuron.gain(neuron.c_m * neuron.v_threshold / 0.2, 0.9, clock) > 0.2
    common = amps * np.array([0.3, 0.6, 0.9, 0.2, 0.7, 0.5, 0.4, 0.8])
    more = neuron.c_m * neuron.v_threshold / (0.2 * pulse) * np.array([0.6, 0.0, -0.5, 0.9, 0.9, 0.0, -0.8, 0.4])
    assert_followed(spice, neuron, membrane, about(common, more), 0.025, clock)


@pytest.mark.parametrize("load", [1e-5, 2e-4, 1e-3, 2.5e-3])
def test_columns_take_light_and_heavy_arrays(load: float, spice: NgspiceSimulator) -> None:
    """From next to nothing to the heaviest that is planned, at small and large currents, a step at a time."""
    membrane = Membrane(0.1, 0.9, "none", False)
    currents = np.array([10.0, 25.0, 60.0, 0.0, 5.0, 150.0]) * 1e-6, np.array([2.5, 40.0, 40.0, 0.0, 1.0, 160.0]) * 1e-6
    run = measure(TRANSISTORS.cell("neuron", membrane, CLOCK), CLOCK, currents, spice, load=load)
    volts, _ = by_equation(TRANSISTORS, membrane, currents, load=load)
    missed = (run.at(STROBE) - volts) / TRANSISTORS.v_threshold
    of_a_step = missed - 0.9 * np.concatenate([[0.0], missed[:-1]])
    assert np.abs(of_a_step).max() < (0.01 if load > 1e-3 else 0.003)
    assert TRANSISTORS.most_load(CLOCK) == pytest.approx(2.5e-3)


@pytest.mark.parametrize("reset", ["zero", "hold"])
@pytest.mark.parametrize(("farads", "step"), [(10e-12, 1e-6), (1e-12, 0.2e-6)], ids=["large", "quick"])
def test_ideal_switches_are_quick_enough(farads: float, step: float, reset: str, spice: NgspiceSimulator) -> None:
    """Large membranes with leaks of nine times their size, and short steps."""
    neuron, clock = ClockedLif(c_m=farads), Clocking(step=step, pulse=0.1 * step)
    membrane = Membrane(0.1, 0.1, *RESETS[reset])
    amps = neuron.c_m * neuron.v_threshold / (0.1 * clock.pulse) * np.array([0.6, 1.5, 0.8, 1.2, -0.9, 1.4])
    assert_followed(spice, neuron, membrane, about(np.zeros_like(amps), amps), 0.002, clock)


@pytest.mark.parametrize("farads", [0.3e-12, 2e-12])
def test_the_figures_hold_for_other_membranes(farads: float, spice: NgspiceSimulator) -> None:
    neuron, membrane = ClockedLif45(c_m=farads), Membrane(0.2, 0.9, "zero", False)
    common = np.array([30e-6, 60e-6, 90e-6, 20e-6, 70e-6, 50e-6, 40e-6, 80e-6])
    more = unit(neuron, 0.2) * np.array([0.6, 0.8, -0.5, 0.9, 1.0, -0.9, -0.8, 0.4])
    assert_followed(spice, neuron, membrane, about(common, more), 0.015)


@NEURONS
def test_a_constant_current_makes_as_many_spikes(neuron: ClockedNeuron, spice: NgspiceSimulator) -> None:
    # In thresholds a step; the smallest makes none, since 0.08 / (1 - 0.9) < 1.
    wanted = np.array([0.08, 0.3, 0.6, 1.3])
    currents = np.repeat(wanted, 6) * unit(neuron, 0.1)
    membrane = Membrane(0.1, 0.9, "zero", False)
    run = in_spice(spice, neuron, membrane, (currents, np.zeros_like(currents)))
    _, spikes = by_equation(neuron, membrane, (currents, np.zeros_like(currents)))
    found = (run.at(0.75, 1) > 0.0).reshape(len(wanted), -1).sum(axis=1)
    np.testing.assert_array_equal(found, spikes.reshape(len(wanted), -1).sum(axis=1))
    assert found[0] == 0
    assert found[-1] == 6
    assert (np.diff(found) > 0).all()


@NEURONS
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("reset", RESETS)
def test_a_spike_silences_a_neuron_for_its_refractory_period(
    neuron: ClockedLif | ClockedLif45, reset: str, steps: int, spice: NgspiceSimulator
) -> None:
    """Driven so hard that it would spike in every step; then so that membranes move where it listens."""
    silenced, membrane = replace(neuron, refractory=steps), Membrane(0.1, 0.9, *RESETS[reset], offset=2e-3)
    wanted = np.concatenate([np.full(9, 1.5), [-0.9, 0.6, 0.3, 0.9, 1.5, 0.4, 0.4, 0.4, 0.4, 0.4]])
    currents = about(np.full(len(wanted), 30e-6), unit(neuron, 0.1) * wanted)
    run = in_spice(spice, silenced, membrane, currents)
    volts, spikes = by_equation(silenced, membrane, currents)
    np.testing.assert_array_equal(run.at(0.75, 1) > 0.0, spikes > 0.0)
    np.testing.assert_array_equal(spikes[:9], np.arange(9) % (steps + 1) == 0)
    assert np.abs(run.at(STROBE) - volts).max() < (0.01 if neuron is TRANSISTORS else 0.002) * neuron.v_threshold
    _, always = by_equation(neuron, membrane, currents)
    assert always[:9].all() == (reset != "hold")


@pytest.mark.parametrize(
    ("neuron", "steps", "step", "pulse"),
    [
        (SWITCHED, 100, 1e-6, 100e-9),
        (SWITCHED, 3, 0.5e-6, 105e-9),
        (SWITCHED, 3, 2e-6, 420e-9),
        (TRANSISTORS, 1, 0.5e-6, 105e-9),
        (TRANSISTORS, 10, 0.5e-6, 50e-9),
        (TRANSISTORS, 10, 1e-6, 210e-9),
        (TRANSISTORS, 10, 2e-6, 50e-9),
    ],
)
def test_a_silence_ends_in_time(
    neuron: ClockedLif | ClockedLif45, steps: int, step: float, pulse: float, spice: NgspiceSimulator
) -> None:
    """The longest, and short ones at other clocks: the first pulse behind a silence is heard, no earlier one."""
    clock, membrane = Clocking(step=step, pulse=pulse), Membrane(0.1, 0.9, "subtract", True)
    amps = np.full(2 * steps + 4, 3.0 * neuron.c_m * neuron.v_threshold / (0.1 * pulse))
    run = in_spice(spice, replace(neuron, refractory=steps), membrane, (amps, np.zeros_like(amps)), clock)
    np.testing.assert_array_equal(run.at(0.75, 1) > 0.0, np.arange(len(amps)) % (steps + 1) == 0)


@pytest.mark.parametrize("amps", [50e-6, 200e-6])
def test_silence_ends_between_a_comparison_and_the_next_pulse(amps: float, spice: NgspiceSimulator) -> None:
    """The clock of ten steps in transistors: its end is no further from a step's begin than a quarter of a step."""
    neuron = ClockedLif45(i_column=amps, refractory=10)
    cell = neuron.cell("neuron", Membrane(0.1, 0.9, "zero", False), CLOCK)
    drive = np.zeros(14)
    drive[1] = 1.5 * unit(neuron, 0.1)
    run = measure(shown(cell, "silent"), CLOCK, (drive, np.zeros(14)), spice)
    high = run.traces.times[run.traces.volts[:, 0] > 0.0] / CLOCK.step
    assert 2.05 < high[0] < 2.20
    assert abs(high[-1] - 12.0) < 0.25


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_supplies_deliver_what_the_figures_say(steps: int, spice: NgspiceSimulator) -> None:
    """The energy of a step of rest to 2 %; what inputs, spikes and silence add to it, to a quarter."""
    neuron, membrane = ClockedLif45(refractory=steps), Membrane(0.1, 0.9, "zero", False)
    wanted = np.array([0.0, 1.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0])
    currents = about(np.where(wanted, 50e-6, 0.0), unit(neuron, 0.1) * wanted)
    run = measure(neuron.cell("neuron", membrane, CLOCK), CLOCK, currents, spice, supplies=SUPPLIES)
    spent, coulombs = run.energies(0.29), CLOCK.pulse * (currents[0] + currents[1]).sum()
    rest = neuron.joules(CLOCK, len(spent), np.zeros(1), np.zeros(1))[0]
    assert len(spent) * spent[0] == pytest.approx(rest, rel=0.02)
    moved = neuron.joules(CLOCK, len(spent), np.full(1, 2.0), np.full(1, coulombs))[0] - rest
    assert spent.sum() - len(spent) * spent[0] == pytest.approx(moved, rel=0.25)


@NEURONS
@pytest.mark.parametrize("beta", [0.8, 0.95])
def test_a_membrane_decays_by_beta(neuron: ClockedNeuron, beta: float, spice: NgspiceSimulator) -> None:
    kick = np.array([0.0, 0.9, 0.0, 0.0, 0.0]) * unit(neuron, 0.1)
    volts = in_spice(spice, neuron, Membrane(0.1, beta, "zero", False), (kick, np.zeros(5))).at(STROBE)
    np.testing.assert_allclose(volts[2:] / volts[1:-1], beta, rtol=0.01)


def test_the_figures_belong_to_the_circuit() -> None:
    found = LifFigures.load(FIGURES)
    cell = TRANSISTORS.cell("neuron", Membrane(0.1, 0.9, "zero", False), CLOCK)
    assert found.circuit == circuit_digest(cell)
    assert found.step == CLOCK.step
    # Columns are held to a millivolt at any current, and copies are right to a percent and a half.
    assert found.r_in < 1.0
    assert abs(found.v_in) < 0.1e-3
    assert min(found.transfer) > 0.985
    assert abs(found.offset) < 2e-3


def test_copies_are_ends_of_their_columns(spice: NgspiceSimulator) -> None:
    """A column's voltage at rest and at three times its design current, at operating points."""
    cell = TRANSISTORS.cell("neuron", Membrane(0.1, 1.0, "none", False), CLOCK)
    rows = tuple(Instance(f"r{c}", Resistor(1e3), (f"w{c}", c)) for c in "pn")
    ports = ("p", "n", "spike", "start", "leak", "discharge", "compare", "reset", "integrate")
    top = Cell(
        "top", ("wp", "wn", *ports[3:], "m"), (*rows, Instance("x", replace(cell, ports=(*ports, "m")), (*ports, "m")))
    )
    volts = np.zeros((2, 9))
    volts[:, 2:8] = -0.55
    volts[1, :2] = 0.3
    waves = spice.run(Bench(top, ("wp", "wn", *ports[3:], "m"), volts, ("p", "n")))
    assert np.abs(waves.volts).max() < 0.2e-3


@pytest.mark.parametrize("v_read", [0.1, 0.2, 0.3])
def test_a_row_driver_in_transistors_has_its_resistance(v_read: float, spice: NgspiceSimulator) -> None:
    driver = PulseDriver45(r_source=20.0)
    cell = driver.cell("driver", v_read)
    # Gate, pulse and row: on, and off by either of the two; 2 mV off the rail each time.
    rails = np.array([v_read, 0.0, 0.0])
    logic = np.array([[0.55, 0.55], [-0.55, 0.55], [0.55, -0.55]])
    volts = np.column_stack([logic, rails - 2e-3])
    amps = spice.run(Bench(cell, ("gate", "pulse", "row"), volts, ())).input_amps[:, 2]
    np.testing.assert_allclose(-2e-3 / amps, 20.0, rtol=0.06)


@pytest.mark.parametrize("load", [0.4e-3, 1.3e-3])
def test_a_row_drivers_pulses_are_longer_than_their_clocks(load: float, spice: NgspiceSimulator) -> None:
    driver, widths = PulseDriver45(), np.full(2, CLOCK.pulse)
    parts = (
        Instance("d", driver.cell("d", 0.2), ("gate", "pulse", "row")),
        Instance("l", Resistor(1.0 / load), ("row", "0")),
    )
    gate = Waveform(np.zeros(1), np.full(1, 0.55))
    transient = Transient(
        Cell("top", ("gate", "pulse"), parts), ("gate", "pulse"), (gate, CLOCK.waveform("pulse", widths)),
        2.0 * CLOCK.step, 1e-9, ("row",), (), clocked=True,
    )  # fmt: skip
    traces = spice.trace(transient)
    second = traces.times > CLOCK.step
    area = float(np.trapezoid(traces.volts[second, 0], traces.times[second]))
    top = float(np.interp(1.35 * CLOCK.step, traces.times, traces.volts[:, 0]))
    assert area / top - CLOCK.pulse == pytest.approx(driver.stretch, abs=0.03e-9)
    assert top == pytest.approx(0.2 / (1.0 + driver.r_source * load), rel=1e-3)


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(DesignError) as refused:
        ClockedLif45(v_threshold=0.3)
    assert str(refused.value) == (
        'neuron.v_threshold: expected 0.05 V to 0.25 V, found 0.3 V; try v_threshold = "200 mV"'
    )
    with pytest.raises(DesignError, match="expected spikes at the rows, found values in between"):
        PulseDriver45().cell("driver", 0.2, straight=True)
    with pytest.raises(DesignError, match=r"expected a read voltage from 0\.1 V to 0\.3 V, found 0\.5 V"):
        PulseDriver45().cell("driver", 0.5)
    with pytest.raises(DesignError, match=r"expected switches 1e-06 m to 0\.001 m wide, found 0\.001927 m"):
        PulseDriver45(r_source=1.0)
