"""How differences between two runs are spread."""

from collections.abc import Mapping

import numpy as np

from ohmweave.units import Array

__all__ = ["spread"]


def spread(volts: Mapping[str, Array], reference: Mapping[str, Array]) -> dict[str, Array]:
    """Difference of every stage voltage from a reference engine's, as a share of the stage's full scale.

    d = |v - v_ref| / max |v_ref|; the largest of a stage is what
    :func:`ohmweave.analysis.deviation.deviation` gives for it. A stage without any signal has no scale:
    what differs there is infinitely far away.

    Args:
        volts: stage -> its output voltages, [samples, outputs], V.
        reference: the same of the reference engine.

    Returns:
        stage -> shares, same shapes.
    """
    shares = {}
    for stage, expected in reference.items():
        difference = np.nan_to_num(np.abs(volts[stage] - expected), nan=np.inf)
        scale = float(np.abs(expected).max(initial=0.0))
        shares[stage] = difference / scale if scale > 0.0 else np.where(difference == 0.0, 0.0, np.inf)
    return shares
