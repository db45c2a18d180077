"""Decisions: right ones, and the same ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.units import Array

__all__ = ["accuracy", "agreement", "confusion"]


def accuracy(logits: Array, labels: NDArray[Any]) -> float:
    """Share of samples whose largest output is their label; logits [samples, classes], labels [samples]."""
    return float(np.mean(logits.argmax(axis=1) == labels))


def agreement(logits: Array, others: Array) -> float:
    """Share of samples for which two sets of outputs, [samples, classes], decide alike."""
    return float(np.mean(logits.argmax(axis=1) == others.argmax(axis=1)))


def confusion(logits: Array, labels: NDArray[Any]) -> NDArray[np.int64]:
    """Counts of decisions by label (rows) and decision (columns), [classes, classes]."""
    classes = max(logits.shape[1], int(labels.max()) + 1)
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, logits.argmax(axis=1)), 1)
    return counts
