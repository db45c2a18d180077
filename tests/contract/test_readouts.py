"""Every readout with every op-amp answers line currents as its circuit does."""

from collections.abc import Callable

import numpy as np
import pytest

from ohmweave.bench import Bench, Waves
from ohmweave.blocks import Finite, OpAmp, OutputClamp, Readout, opamps, readouts
from ohmweave.circuit import Cell, Instance, Resistor, Vccs
from ohmweave.units import Array

Both = Callable[[Bench], tuple[Waves, Waves]]

R_FEEDBACK, R_MIXING = 8e3, 5e3
OPAMPS: dict[str, OpAmp] = {name: kind() for name, kind in opamps().items() if not kind().supplied} | {
    "coarse": Finite(gain=200.0, r_out=1e3, offset=2e-3)
}
EVERY_OPAMP = pytest.mark.parametrize("opamp", OPAMPS.values(), ids=OPAMPS)
EVERY_READOUT = pytest.mark.parametrize("readout", [kind() for kind in readouts().values()], ids=readouts())


def resistors(readout: Readout, r_feedback: float, r_mixing: float) -> list[Resistor]:
    return [Resistor(ohms) for ohms in readout.resistances(r_feedback, r_mixing)]


def jig(readout: Readout, opamp: OpAmp, *, floor: float | None = None, load: float | None = None) -> Cell:
    """A readout whose lines are fed 1 A for each volt at i0, i1, ..."""
    inner = opamp.cell("opamp")
    last = inner if floor is None else opamp.cell("opamp_floor", floor)
    column = readout.cell("readout", (inner, last), resistors(readout, R_FEEDBACK, R_MIXING))
    lines = tuple(f"c{q}" for q in range(readout.lines))
    drives = [Instance(f"g{q}", Vccs(1.0), ("0", f"c{q}", f"i{q}", "0")) for q in range(readout.lines)]
    loads = [] if load is None else [Instance("load", Resistor(load), ("out", "0"))]
    ports = (*(f"i{q}" for q in range(readout.lines)), *lines, "out")
    return Cell("jig", ports, (Instance("dut", column, (*lines, "out")), *drives, *loads))


def bench(readout: Readout, cell: Cell, amps: Array) -> Bench:
    lines = tuple(f"c{q}" for q in range(readout.lines))
    return Bench(cell, tuple(f"i{q}" for q in range(readout.lines)), amps, ("out", *lines))


def currents(readout: Readout, largest: float) -> Array:
    return np.random.default_rng(5).uniform(-largest, largest, (9, readout.lines))


@EVERY_OPAMP
@EVERY_READOUT
def test_the_response_is_the_cell(readout: Readout, opamp: OpAmp, both: Both) -> None:
    amps = currents(readout, 40e-6)
    expected = readout.respond(amps, opamp.macro, R_FEEDBACK, R_MIXING)
    native, spice = both(bench(readout, jig(readout, opamp), amps))
    assert np.abs(expected).max() < opamp.v_high, "the currents keep every op-amp within its swing"
    # The response knows no limits; 0.4 V away from one the clamp's tail still amounts to 1 nV.
    np.testing.assert_allclose(spice.volts[:, 0], expected, rtol=0.0, atol=5e-9)
    np.testing.assert_allclose(native.volts[:, 0], expected, rtol=0.0, atol=5e-9)


@EVERY_READOUT
def test_with_good_opamps_the_output_is_feedback_times_current(readout: Readout) -> None:
    amps = currents(readout, 40e-6)
    good = (1e12, 0.0, 0.0, -1.0, 1.0)
    signs = np.array([[-1.0], [1.0, -1.0]][readout.lines - 1])
    np.testing.assert_allclose(
        readout.respond(amps, good, R_FEEDBACK, R_MIXING), R_FEEDBACK * amps @ signs, rtol=0.0, atol=1e-9
    )


@pytest.mark.parametrize("load", [None, 2e3], ids=["open", "2 kohm"])
@pytest.mark.parametrize("floor", [None, 0.0], ids=["through", "output clamp"])
@EVERY_OPAMP
@EVERY_READOUT
def test_the_engines_agree_within_and_beyond_the_swing(
    readout: Readout, opamp: OpAmp, floor: float | None, load: float | None, both: Both
) -> None:
    amps = np.vstack([currents(readout, 40e-6), currents(readout, 300e-6)])
    native, spice = both(bench(readout, jig(readout, opamp, floor=floor, load=load), amps))
    # Lines rest within microvolts of ground: all voltages are judged by the output's scale.
    tolerance = 1e-9 * np.abs(spice.volts[:, 0]).max()
    np.testing.assert_allclose(native.volts, spice.volts, rtol=0.0, atol=tolerance)


@EVERY_READOUT
def test_the_output_clamp_rectifies(readout: Readout, both: Both) -> None:
    opamp = opamps()["ideal"]()
    amps = currents(readout, 40e-6)
    through, _ = both(bench(readout, jig(readout, opamp), amps))
    for waves in both(bench(readout, jig(readout, opamp, floor=0.0), amps)):
        expected = OutputClamp().respond(through.volts[:, 0], 1.0, 1.0)
        # The corner is 1 uV wide and the clamp gives way by the input difference over 1000 ohm siemens.
        np.testing.assert_allclose(waves.volts[:, 0], expected, rtol=0.0, atol=1e-3)
        assert (expected == 0.0).any()
        assert (expected > 0.1).any()


@EVERY_READOUT
def test_lines_end_in_virtual_grounds(readout: Readout, both: Both) -> None:
    opamp, amps = Finite(), currents(readout, 40e-6)
    for waves in both(bench(readout, jig(readout, opamp), amps)):
        # Every op-amp's output is within 1 V, so its input difference is within 1 V / gain.
        assert np.abs(waves.volts[:, 1:]).max() <= 1.0 / opamp.gain


@EVERY_READOUT
def test_the_mixing_resistor_keeps_inner_opamps_within_their_swing(readout: Readout) -> None:
    for r_feedback in (1e2, 1e3, 1e5):
        r_mixing = readout.mixing_resistor(r_feedback, 1e-4, 1.0)
        assert 0.0 < r_mixing <= r_feedback
        if readout.lines > 1:
            assert r_mixing * 1e-4 <= 1.0 + 1e-12
