"""Whole arrays in both engines: every port current of the netlist that is written, devices of every kind."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ohmweave.bench import Bench, Waves
from ohmweave.circuit import Cell, Crossbar
from ohmweave.devices import Linear, Sinh, Table, bent
from ohmweave.units import Array

Both = Callable[[Bench], tuple[Waves, Waves]]
CURVE = Table(volts=(-0.5, -0.2, 0.0, 0.1, 0.3, 0.5), shape=(-0.9, -0.25, 0.0, 0.1, 0.36, 0.8))


def bed(device: Linear | Sinh | Table, size: int, *, both_ends: bool = False, opens: float = 0.1) -> Bench:
    """A square array between ideal sources, columns at ground, two samples."""
    rng = np.random.default_rng(size)
    g: Array = rng.uniform(1e-6, 1e-4, (size, size))
    g[rng.random(g.shape) < opens] = np.nan
    rows, cols = tuple(f"r{i}" for i in range(size)), tuple(f"c{j}" for j in range(size))
    far = (rows, cols) if both_ends else ((), ())
    array = Crossbar("a", rows, cols, device.cell(), g, 2.5, 1.0, far_rows=far[0], far_cols=far[1])
    volts = np.hstack([rng.uniform(0.0, 0.5, (2, size)), np.zeros((2, size))])
    return Bench(Cell("bed", (*rows, *cols), (array,)), (*rows, *cols), volts, (cols[0],))


@pytest.mark.parametrize(
    ("device", "size", "both_ends"),
    [
        (Linear(), 128, False),
        (Linear(), 96, True),
        (Sinh(v0=0.33), 48, False),
        (Sinh(v0=0.25), 32, True),
        (CURVE, 16, False),
    ],
    ids=["linear 128", "linear 96 at both ends", "sinh 48", "sinh 32 at both ends", "table 16"],
)
def test_every_port_current_is_that_of_the_netlist(
    both: Both, device: Linear | Sinh | Table, size: int, both_ends: bool
) -> None:
    native, spice = both(bed(device, size, both_ends=both_ends))
    scale = np.abs(spice.input_amps).max()
    np.testing.assert_allclose(native.input_amps, spice.input_amps, rtol=0.0, atol=1e-8 * scale)


@pytest.mark.parametrize(
    ("device", "size", "both_ends"),
    [(Sinh(v0=0.33), 32, False), (Sinh(v0=0.25), 16, True), (CURVE, 12, False)],
    ids=["sinh 32", "sinh 16 at both ends", "table 12"],
)
def test_a_bend_of_every_device_is_that_of_the_netlist(
    both: Both, device: Sinh | Table, size: int, both_ends: bool
) -> None:
    plain = bed(device, size, both_ends=both_ends)
    (array,) = plain.cell.parts
    assert isinstance(array, Crossbar)
    bend: Array = np.exp(np.random.default_rng(size).normal(0.0, 0.3, array.g.shape))
    curved = replace(array, device=bent(device.cell()), bend=np.where(np.isnan(array.g), np.nan, bend))
    native, spice = both(replace(plain, cell=replace(plain.cell, parts=(curved,))))
    scale = np.abs(spice.input_amps).max()
    np.testing.assert_allclose(native.input_amps, spice.input_amps, rtol=0.0, atol=1e-8 * scale)
    assert np.abs(both(plain)[0].input_amps - native.input_amps).max() > 1e-3 * scale
