"""The axon hillock in ngspice against its mathematics: rates, widths and energies of spikes, leaks and decay."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest

from ohmweave.bench import Bench, Transient, Waveform
from ohmweave.blocks.axon_hillock import AxonHillock
from ohmweave.blocks.technology import V_DD, V_SS
from ohmweave.circuit import Capacitor, Cell, CurrentSource, Instance
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array


@dataclass(frozen=True)
class Spikes:
    """Means over some spikes: from one to the next, s, how long they last, s, and what supplies deliver for one, J."""

    period: float
    width: float
    joules: float


def sized(farads: float, share: float, reset: float, leak: float) -> AxonHillock:
    """A neuron by C_m + C_f, C_f's share of it, and currents."""
    return AxonHillock((1.0 - share) * farads, share * farads, reset, leak)


def spiking(spice: NgspiceSimulator, neuron: AxonHillock, amps: float) -> Spikes:
    parts = Instance("x", neuron.cell("neuron"), ("m", "spike")), Instance("i", CurrentSource(amps), ("0", "m"))
    period = 1.0 / neuron.rate(amps)
    asked = Transient(
        Cell("top", ("m", "spike"), parts), (), (), 5.0 * period, period / 150, ("spike",), ("x.vdd", "x.vss")
    )
    traces = spice.trace(asked)
    t, v = traces.times, traces.volts[:, 0]
    # The first spike begins from rest.
    rises, falls = crossings(t, v)[1:], crossings(t, -v)[1:]
    power = (traces.source_volts * traces.source_amps).sum(axis=1)
    energy = np.concatenate([[0.0], np.cumsum(0.5 * (power[1:] + power[:-1]) * np.diff(t))])
    between = np.diff(np.interp(rises, t, energy))
    ends = falls[np.searchsorted(falls, rises[:-1])]
    return Spikes(float(np.diff(rises).mean()), float((ends - rises[:-1]).mean()), float(between.mean()))


def crossings(t: Array, v: Array) -> Array:
    """When v passes 0 upwards, s."""
    at = np.flatnonzero((v[:-1] <= 0.0) & (v[1:] > 0.0))
    return np.asarray(t[at] - v[at] * (t[at + 1] - t[at]) / (v[at + 1] - v[at]))


# C_m + C_f, the share of C_f, I_r, and I_l: all corners of the first three, with the least and the largest leak.
CORNERS = [
    (farads, share, reset, leak)
    for (farads, share, reset), leak in zip(
        product((100e-15, 1e-12), (0.2, 0.4), (0.25e-6, 2e-6)),
        (0.0, 400e-9, 50e-9, 2e-9, 50e-9, 0.0, 2e-9, 400e-9),
        strict=True,
    )
]


@pytest.mark.parametrize(("farads", "share", "reset", "leak"), CORNERS)
def test_rates_hold_at_the_corners_of_sizes_and_currents(
    farads: float, share: float, reset: float, leak: float, spice: NgspiceSimulator
) -> None:
    """Rates to 1 %, spikes' widths and energies to 5 %, from the least to the largest current."""
    neuron = sized(farads, share, reset, leak)
    for amps in np.geomspace(*neuron.currents, 4):
        found = spiking(spice, neuron, float(amps))
        assert found.period == pytest.approx(1.0 / neuron.rate(amps), rel=0.01)
        assert found.width == pytest.approx(neuron.width(amps), rel=0.05)
        assert found.joules == pytest.approx(neuron.joules(amps), rel=0.05)


@pytest.mark.parametrize(("amps", "joules"), [(40e-9, 6.1e-12), (120e-9, 1.46e-12), (500e-9, 0.67e-12)])
def test_a_spike_takes_the_energy_that_is_published(amps: float, joules: float, spice: NgspiceSimulator) -> None:
    """The figures of docs/theory/spiking.md."""
    found, neuron = spiking(spice, AxonHillock(), amps), AxonHillock()
    assert found.joules == pytest.approx(joules, rel=0.05)
    assert neuron.joules(amps) == pytest.approx(found.joules, rel=0.02)
    assert neuron.rate(amps) * found.period == pytest.approx(1.0, rel=0.005)


@pytest.mark.parametrize(("leak", "allowed"), [(0.0, 0.06), (2e-9, 0.01), (20e-9, 0.005), (400e-9, 0.005)])
def test_what_leaves_a_membrane_is_what_its_equation_says(leak: float, allowed: float, spice: NgspiceSimulator) -> None:
    """From 3 mV above the supply, where sources are no sources any more, to where the first inverter begins to turn."""
    neuron = AxonHillock(i_leak=leak, i_reset=2e-6)
    volts = V_SS + np.array([3e-3, 10e-3, 25e-3, 45e-3, 70e-3, 100e-3, 200e-3, 300e-3, 400e-3])
    found = spice.run(Bench(neuron.cell("neuron"), ("m",), volts[:, None], ())).input_amps[:, 0]
    np.testing.assert_allclose(found, neuron.leaving(volts), rtol=allowed)


@pytest.mark.parametrize(("reset", "share"), [(0.25e-6, 1.0124), (1e-6, 1.0088), (2e-6, 1.0070)])
def test_a_spike_is_ended_by_the_resets_current(reset: float, share: float, spice: NgspiceSimulator) -> None:
    neuron = AxonHillock(i_leak=0.0, i_reset=reset)
    volts = np.column_stack([np.linspace(0.0, 0.3, 7), np.full(7, V_DD)])
    found = spice.run(Bench(neuron.cell("neuron"), ("m", "spike"), volts, ())).input_amps[:, 0]
    np.testing.assert_allclose(found, share * reset, rtol=0.007)


def test_less_than_the_leak_makes_no_spike(spice: NgspiceSimulator) -> None:
    """The membrane comes to rest where the leak takes all."""
    neuron = AxonHillock()
    amps = 0.9 * neuron.i_leak
    parts = Instance("x", neuron.cell("neuron"), ("m", "spike")), Instance("i", CurrentSource(amps), ("0", "m"))
    rest = spice.run(Bench(Cell("top", ("m", "spike"), parts), (), np.zeros((1, 0)), ("m", "spike"))).volts[0]
    assert rest[0] < -0.45
    assert rest[1] == pytest.approx(V_SS, abs=1e-3)
    assert neuron.leaving(rest[:1])[0] == pytest.approx(amps, rel=0.005)
    assert neuron.rate(amps) == 0.0


@pytest.mark.parametrize(
    ("farads", "share", "leak"),
    [(240e-15, 1 / 3, 20e-9), (100e-15, 0.2, 5e-9), (100e-15, 0.4, 50e-9), (1e-12, 0.2, 50e-9), (1e-12, 0.4, 5e-9)],
)
def test_a_membrane_decays_as_its_equation_says(
    farads: float, share: float, leak: float, spice: NgspiceSimulator
) -> None:
    """Kicked through a capacitor and left alone: v - V_SS to 1 % of its start, and to 3 % of itself down to 3 mV."""
    neuron, kicking = sized(farads, share, 1e-6, leak), 0.3 * farads
    kick = Instance("k", Capacitor(kicking), ("kick", "m"))
    top = Cell("top", ("kick",), (kick, Instance("x", neuron.cell("neuron"), ("m", "spike"))))
    # The kick's capacitor makes everything slower.
    slower = 1.0 + kicking / neuron.farads
    tau = 0.026 * (neuron.farads + kicking) / leak
    step = Waveform(np.array([0.0, 0.1, 0.11]) * tau, np.array([V_SS, V_SS, V_DD]))
    traces = spice.trace(Transient(top, ("kick",), (step,), 13.0 * tau, 0.02 * tau, ("x.m",), clocked=True))
    times = np.linspace(0.2, 12.8, 22) * tau
    above = np.interp(times, traces.times, traces.volts[:, 0]) - V_SS
    told = [neuron.decayed(V_SS + above[0], (time - times[0]) / slower) - V_SS for time in times]
    assert above[0] > 0.24
    np.testing.assert_allclose(told, above, rtol=0.0, atol=0.01 * above[0])
    told_of, seen = np.array(told)[above > 3e-3], above[above > 3e-3]
    assert seen[-1] < 6e-3
    np.testing.assert_allclose(told_of, seen, rtol=0.03)
