"""How much wire resistance a chip can take: accuracy against ohms a segment, on the held-out digits.

python examples/wire_resistance.py
python examples/wire_resistance.py --ohms 1 100 --samples 90
"""

import argparse
from dataclasses import replace

import ohmweave as ow
from ohmweave.demo.digits_mlp import WEIGHTS
from ohmweave.design import ArrayChoice


def main(arguments: list[str] | None = None) -> dict[float, float]:
    """Print, and return, the circuit's accuracy at each wire resistance (ohm a segment)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ohms", type=float, nargs="+", default=[0.0, 1.0, 3.0, 10.0, 30.0, 100.0])
    parser.add_argument("--samples", type=int, default=360)
    chosen = parser.parse_args(arguments)
    train, test = ow.load_data("digits", "train"), ow.load_data("digits", "test")
    x, labels = test.x[: chosen.samples], test.y[: chosen.samples]
    network = ow.load_model("ohmweave.demo.digits_mlp:model", WEIGHTS)
    print(f"software: {(network.forward(x).argmax(axis=1) == labels).mean():.3f}")
    found = {}
    for ohms in chosen.ohms:
        design = replace(ow.Design.default(), array=ArrayChoice(r_row=ohms, r_col=ohms))
        run = ow.compile(network, design, calibration=train.x).simulate(x)
        found[ohms] = float((run.logits.argmax(axis=1) == labels).mean())
        print(f"{ohms:6g} ohm a segment: {found[ohms]:.3f}, {run.power.total.mean() * 1e3:.2f} mW")
    return found


if __name__ == "__main__":
    main()
