"""Weighted sums of voltages by one op-amp, and the limited follower that rectifies."""

from collections.abc import Sequence

from ohmweave.circuit import Cell, Instance, Resistor

__all__ = ["limited_followers", "summing_amplifier"]


def summing_amplifier(name: str, opamp: Cell, weights: Sequence[float], resistor: float) -> Cell:
    """An op-amp that adds voltages, v_out = sum_k w_k v_k; ports x0.., out.

    Positive weights meet at the op-amp's plus input, negative ones at its minus input with the feedback
    resistor R: P = sum of the positive, N = of the negative weights' sizes, each resistor R / |w_k|. With
    equal conductance at both inputs the weights are exact, so one more resistor to ground, of
    R / |1 + N - P|, joins the input that has less (Franco, Design with Operational Amplifiers and Analog
    Integrated Circuits, the generalised summing amplifier). The noise gain is max(P, 1 + N): with a gain
    A the sum falls short by that over A.

    Args:
        name: the cell's name.
        opamp: the cell of an op-amp.
        weights: w_k; where one is zero its port has no part.
        resistor: R, ohm.
    """
    parts = [Instance("op1", opamp, ("p", "n", "out")), Instance("f", Resistor(resistor), ("n", "out"))]
    for k, weight in enumerate(weights):
        if weight:
            parts.append(Instance(f"w{k}", Resistor(resistor / abs(weight)), (f"x{k}", "p" if weight > 0 else "n")))
    positive = sum(weight for weight in weights if weight > 0)
    missing = 1.0 - sum(weight for weight in weights if weight < 0) - positive
    if not positive:
        parts[0] = Instance("op1", opamp, ("0", "n", "out"))
    elif abs(missing) > 1e-12:
        parts.append(Instance("g", Resistor(resistor / abs(missing)), ("p" if missing > 0 else "n", "0")))
    ports = (*(f"x{k}" for k in range(len(weights))), "out")
    return Cell(name, ports, tuple(parts), note=f"summing amplifier, weights {', '.join(f'{w:.6g}' for w in weights)}")


def limited_followers(limited: Cell, source: str, middle: str, out: str) -> tuple[Instance, Instance]:
    """Two followers of limited output in a row: what is beyond the limits stays there.

    A follower's input difference beyond its limit is all of the overdrive, of which an op-amp's limit
    lets a thousandth through (:class:`ohmweave.blocks.opamp.SwingClamp`); the second one lets through a
    thousandth of that.

    Args:
        limited: the cell of an op-amp with output limits.
        source: net of the input.
        middle: net between them.
        out: net of the output.
    """
    return Instance("lim1", limited, (source, middle, middle)), Instance("lim2", limited, (middle, out, out))
