"""Readings of a run: functions from what is kept of it, and a target, to one number.

NaN says that the run has no such number: it diverged, or never reached the target.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from bninit.training.targets import first_reached

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from bninit.config import Config
    from bninit.store.layers import StoredLayers


class Measured(Protocol):
    """What a metric reads of a finished run; `bninit.store.Run` has it."""

    @property
    def config(self) -> Config:
        """The resolved config."""

    @property
    def summary(self) -> dict[str, Any] | None:
        """The contents of summary.json; None while it is not finished."""

    def metrics(self) -> pd.DataFrame:
        """The rows of metrics.csv."""

    def step_losses(self) -> npt.NDArray[np.floating]:
        """Training loss of each step, (step,)."""

    def stored_layers(self) -> StoredLayers:
        """What probes found inside it."""


def _summary(run: Measured) -> dict[str, Any]:
    if run.summary is None:
        raise ValueError("only a finished run can be measured")
    return run.summary


def _has_diverged(run: Measured) -> bool:
    return bool(_summary(run)["status"] == "diverged")


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def of_summary(*keys: str) -> Callable[[Measured, float], float]:
    """Makes the reading of a figure in summary.json, by the keys that lead to it."""

    def value(run: Measured, _target: float) -> float:
        found: Any = _summary(run)
        for key in keys:
            found = found[key]
        return _number(found)

    return value


def of_last_row(column: str) -> Callable[[Measured, float], float]:
    """Makes the reading of a column of metrics.csv after the last epoch."""

    def value(run: Measured, _target: float) -> float:
        if _has_diverged(run):
            return math.nan
        return float(run.metrics()[column].iloc[-1])

    return value


def at_target(column: str) -> Callable[[Measured, float], float]:
    """Makes the reading of a column at the first epoch that reached the target."""

    def value(run: Measured, target: float) -> float:
        rows = run.metrics()
        reached = first_reached(rows["val_accuracy"].to_list(), target)
        return math.nan if reached is None else float(rows[column].iloc[reached])

    return value


def reached(run: Measured, target: float) -> float:
    """1 when the target was reached, else 0."""
    return float(first_reached(run.metrics()["val_accuracy"].to_list(), target) is not None)


def initial_train_loss(run: Measured, _target: float) -> float:
    """Training loss at epoch 0, in nats."""
    return float(run.metrics()["train_loss"].iloc[0])


def loss_fluctuation(run: Measured, _target: float) -> float:
    """SD of the difference between neighbouring steps over sqrt 2, in the second half.

    The difference of two independent equal noises has sqrt 2 times their SD, and a slow trend
    cancels in it: this is the mean square successive difference of von Neumann et al. 1941,
    "The mean square successive difference", Ann. Math. Statist. 12, 153.
    """
    import numpy as np

    losses = np.asarray(run.step_losses(), dtype=np.float64)
    second_half = losses[len(losses) // 2 :]
    if _has_diverged(run) or len(second_half) < 2:
        return math.nan
    return float(np.sqrt(np.mean(np.diff(second_half) ** 2) / 2))


def worst_loss_rise(run: Measured, _target: float) -> float:
    """Largest rise of the validation loss from one epoch to the next, 0 if it never rose."""
    if _has_diverged(run):
        return math.nan
    return max(0.0, float(run.metrics()["val_loss"].diff().max()))


def min_distinct_units(run: Measured, _target: float) -> float:
    """Distinct units in the hidden layer that has the fewest; see `bninit.nets.symmetry`."""
    counts = _summary(run)["distinct_units"]
    return math.nan if not counts else float(min(counts))


def diverged(run: Measured, _target: float) -> float:
    """1 when the run diverged, else 0."""
    return float(_has_diverged(run))
