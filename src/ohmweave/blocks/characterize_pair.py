"""A differential pair of transistors measured in SPICE."""

import numpy as np
from scipy.optimize import curve_fit

from ohmweave.bench import Bench
from ohmweave.blocks.characterize import thin
from ohmweave.blocks.figures import circuit_digest
from ohmweave.blocks.transistor_pair import PORTS, PairCurve, SigmoidPair45, TanhPair45, pair_circuit
from ohmweave.simulate.ngspice import NgspiceSimulator

__all__ = ["characterize_pair"]

# Input voltages of the curve and of the fit, V; what the straight lines between its points may be off, of the tail's.
_REACH, _FITTED, _POINTS, _SHARE = 1.0, 0.4, 4001, 1e-4


def characterize_pair(*, mirrored: bool, simulator: NgspiceSimulator | None = None) -> PairCurve:
    """Measure a pair's curve in ngspice, its output held at 0 V.

    Args:
        mirrored: which circuit, see :func:`pair_circuit`.
        simulator: ngspice as it is to be run.

    Raises:
        SimulatorMissing: no ngspice.
        SimulationError: a run that did not end well.
    """
    engine, cell = NgspiceSimulator() if simulator is None else simulator, pair_circuit("pair", mirrored=mirrored)
    v = np.linspace(-_REACH, _REACH, _POINTS)
    waves = engine.run(Bench(cell, PORTS, np.stack([v, 0.0 * v], axis=1), (), ("vdd", "vss")))
    amps, middle = waves.input_amps[:, 1], len(v) // 2
    kind, near = TanhPair45 if mirrored else SigmoidPair45, np.abs(v) <= _FITTED
    (tail, v_n), _ = curve_fit(
        lambda x, tail, v_n: tail * (kind.base + kind.share * np.tanh(x / v_n)),
        v[near],
        amps[near],
        (float(amps.max()), 0.09),
    )
    upper, lower = waves.source_amps[middle, 0], -waves.source_amps[middle, 1]
    # The mirror gives back what M1 takes, so that the upper supply delivers all; else ground delivers M2's current.
    given = lower if mirrored else upper
    points = thin(v, amps, _SHARE * float(amps.max()), 0.0)
    return PairCurve(points, float(tail), float(v_n), (float(given), float(lower - given)), circuit_digest(cell))
