"""The one definition of "reached the target"."""

from __future__ import annotations

from collections.abc import Iterable


def first_reached(val_accuracies: Iterable[float], target: float) -> int | None:
    """Index of the first validation accuracy that is at least the target.

    Args:
        val_accuracies: One for each epoch from 0, in [0, 1]. NaN reaches nothing.
        target: In (0, 1].

    Returns:
        The index, which is the epoch where every epoch is there; None when there is none.
    """
    for index, accuracy in enumerate(val_accuracies):
        if accuracy >= target:
            return index
    return None
