"""Memristors that move: their hysteresis loops as one picture, and what it takes to program them.

python examples/hysteresis_loops.py
python examples/hysteresis_loops.py --output loops.png --devices 100 --tolerance 0.005
"""

import argparse
from pathlib import Path

import numpy as np

from ohmweave.devices import (
    DynamicDevice,
    LinearIonDrift,
    Stanford,
    Vteam,
    Yakopcic,
    hysteresis,
    program_by_pulses,
)
from ohmweave.report.pictures import hysteresis_picture

# Heading -> the device, the highest and lowest voltage of its loop (V), its period (s), its conductance at 0 s (S).
LOOPS: dict[str, tuple[DynamicDevice, float, float, float, float]] = {
    "linear ion drift, Biolek": (LinearIonDrift(), 1.0, -1.0, 3.0, 1 / 15e3),
    "linear ion drift, Joglekar": (LinearIonDrift(window="joglekar"), 1.0, -1.0, 3.0, 1 / 15e3),
    "VTEAM": (Vteam(), 0.5, -0.5, 1e-6, 1 / 500),
    "Yakopcic": (Yakopcic(), 0.45, -0.45, 10e-3, 1e-3),
    "Stanford/ASU, 500 Ω in series": (Stanford(r_series=500.0), 1.5, -2.2, 10e-3, 10e-6),
}


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Draw every loop; print, and return, the mean number of pulses that programming takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("hysteresis_loops.png"))
    parser.add_argument("--devices", type=int, default=16)
    parser.add_argument("--tolerance", type=float, default=0.01)
    chosen = parser.parse_args(arguments)
    loops, found = {}, {}
    for name, (device, high, low, period, g) in LOOPS.items():
        loops[name] = hysteresis(device, high, low, period, g=g)
        g_off, g_on = device.g_range
        target = np.geomspace(1.1 * g_off, 0.9 * g_on, chosen.devices)
        done = program_by_pulses(device, target, g, tolerance=chosen.tolerance)
        found[name] = float(done.pulses.mean())
        print(
            f"{name}: {g_off * 1e6:.3g} to {g_on * 1e6:.3g} uS; {int(done.reached.sum())} of {chosen.devices} devices "
            f"programmed to {chosen.tolerance:.2%} by {found[name]:.1f} pulses, {done.joules.mean():.2g} J each"
        )
    chosen.output.write_bytes(hysteresis_picture(loops, "Memristors under triangular voltages").png)
    print(f"wrote {chosen.output}")
    return found


if __name__ == "__main__":
    main()
