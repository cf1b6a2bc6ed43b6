"""What can be measured of a run: each metric is one function and one entry in a dict.

Everything is read from what is kept of a run; nothing is trained or computed on a network here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from bninit.data.catalog import DATASETS
from bninit.training.targets import first_reached

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from bninit.config import Config


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


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One figure of a run.

    Attributes:
        name: In claims and tables.
        title: For people; ``{target}`` stands for the target.
        unit: Of the printed number; empty for a bare number.
        value: From a run and a target to the figure; NaN where the run has none: it diverged, or
            never reached the target.
        better: The end that is better, or None.
        needs_target: Whether it takes a target accuracy.
        censored: Whether NaN means "not within the epochs that were trained".
        scale: Factor from the value to the printed number.
        num_decimals: Decimals of the printed number.
        resolution: From a config to the step in which the figure is recorded; 0 if continuous.
    """

    name: str
    title: str
    unit: str
    value: Callable[[Measured, float], float]
    better: Literal["low", "high"] | None
    needs_target: bool = False
    censored: bool = False
    scale: float = 1.0
    num_decimals: int = 3
    resolution: Callable[[Config], float] = lambda _config: 0.0

    @property
    def worse(self) -> Literal["low", "high"] | None:
        """The end at which a diverged run ranks."""
        return {"low": "high", "high": "low"}.get(self.better or "")  # type: ignore[return-value]


def _summary(run: Measured) -> dict[str, Any]:
    if run.summary is None:
        raise ValueError("only a finished run can be measured")
    return run.summary


def _has_diverged(run: Measured) -> bool:
    return bool(_summary(run)["status"] == "diverged")


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _of_summary(*keys: str) -> Callable[[Measured, float], float]:
    def value(run: Measured, _target: float) -> float:
        found: Any = _summary(run)
        for key in keys:
            found = found[key]
        return _number(found)

    return value


def _of_last_row(column: str) -> Callable[[Measured, float], float]:
    def value(run: Measured, _target: float) -> float:
        if _has_diverged(run):
            return math.nan
        return float(run.metrics()[column].iloc[-1])

    return value


def _at_target(column: str) -> Callable[[Measured, float], float]:
    def value(run: Measured, target: float) -> float:
        rows = run.metrics()
        reached = first_reached(rows["val_accuracy"].to_list(), target)
        return math.nan if reached is None else float(rows[column].iloc[reached])

    return value


def _reached(run: Measured, target: float) -> float:
    return float(first_reached(run.metrics()["val_accuracy"].to_list(), target) is not None)


def _initial_train_loss(run: Measured, _target: float) -> float:
    return float(run.metrics()["train_loss"].iloc[0])


def _loss_fluctuation(run: Measured, _target: float) -> float:
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


def _worst_loss_rise(run: Measured, _target: float) -> float:
    """Largest rise of the validation loss from one epoch to the next, 0 if it never rose."""
    if _has_diverged(run):
        return math.nan
    return max(0.0, float(run.metrics()["val_loss"].diff().max()))


def _min_distinct_units(run: Measured, _target: float) -> float:
    counts = _summary(run)["distinct_units"]
    return math.nan if not counts else float(min(counts))


def _diverged(run: Measured, _target: float) -> float:
    return float(_has_diverged(run))


def _one_of_test(config: Config) -> float:
    return 1.0 / DATASETS[config.data.name].num_test


def _one_of_val(config: Config) -> float:
    return 1.0 / config.data.val_size


def _one(_config: Config) -> float:
    return 1.0


def _epoch_in_steps(config: Config) -> float:
    return float(config.iterations_per_epoch)


_ALL = (
    Metric(
        name="test_accuracy",
        title="test accuracy",
        unit="%",
        value=_of_summary("test_accuracy"),
        better="high",
        scale=100,
        num_decimals=2,
        resolution=_one_of_test,
    ),
    Metric(
        name="test_loss",
        title="test loss",
        unit="nats",
        value=_of_summary("test_loss"),
        better="low",
    ),
    Metric(
        name="generalization_gap",
        title="generalization gap (training minus test accuracy)",
        unit="points",
        value=_of_summary("generalization_gap"),
        better="low",
        scale=100,
        num_decimals=2,
        resolution=_one_of_test,
    ),
    Metric(
        name="final_train_accuracy",
        title="training accuracy at the end",
        unit="%",
        value=_of_summary("train_accuracy"),
        better="high",
        scale=100,
        num_decimals=2,
    ),
    Metric(
        name="final_train_loss",
        title="training loss at the end",
        unit="nats",
        value=_of_summary("train_loss"),
        better="low",
    ),
    Metric(
        name="final_val_accuracy",
        title="validation accuracy at the end",
        unit="%",
        value=_of_last_row("val_accuracy"),
        better="high",
        scale=100,
        num_decimals=2,
        resolution=_one_of_val,
    ),
    Metric(
        name="final_val_loss",
        title="validation loss at the end",
        unit="nats",
        value=_of_last_row("val_loss"),
        better="low",
    ),
    Metric(
        name="best_val_accuracy",
        title="best validation accuracy",
        unit="%",
        value=_of_summary("best", "val_accuracy"),
        better="high",
        scale=100,
        num_decimals=2,
        resolution=_one_of_val,
    ),
    Metric(
        name="best_val_loss",
        title="best validation loss",
        unit="nats",
        value=_of_summary("best", "val_loss"),
        better="low",
    ),
    Metric(
        name="initial_train_loss",
        title="training loss before training",
        unit="nats",
        value=_initial_train_loss,
        better="low",
    ),
    Metric(
        name="epochs_to_accuracy",
        title="epochs to {target}",
        unit="epochs",
        value=_at_target("epoch"),
        better="low",
        needs_target=True,
        censored=True,
        num_decimals=1,
        resolution=_one,
    ),
    Metric(
        name="steps_to_accuracy",
        title="steps to {target}",
        unit="steps",
        value=_at_target("step"),
        better="low",
        needs_target=True,
        censored=True,
        num_decimals=0,
        resolution=_epoch_in_steps,
    ),
    Metric(
        name="seconds_to_accuracy",
        title="seconds to {target}",
        unit="s",
        value=_at_target("seconds"),
        better="low",
        needs_target=True,
        censored=True,
        num_decimals=2,
    ),
    Metric(
        name="reached",
        title="{target} reached",
        unit="",
        value=_reached,
        better="high",
        needs_target=True,
        num_decimals=2,
        resolution=_one,
    ),
    Metric(
        name="diverged",
        title="diverged",
        unit="",
        value=_diverged,
        better="low",
        num_decimals=2,
        resolution=_one,
    ),
    Metric(
        name="loss_fluctuation",
        title="fluctuation of the training loss from step to step",
        unit="nats",
        value=_loss_fluctuation,
        better="low",
    ),
    Metric(
        name="worst_loss_rise",
        title="largest rise of the validation loss between two epochs",
        unit="nats",
        value=_worst_loss_rise,
        better="low",
    ),
    Metric(
        name="min_distinct_units",
        title="distinct units in the layer that has the fewest",
        unit="units",
        value=_min_distinct_units,
        better=None,
        num_decimals=0,
        resolution=_one,
    ),
    Metric(
        name="seconds_per_epoch",
        title="seconds per epoch",
        unit="s",
        value=_of_summary("seconds_per_epoch"),
        better="low",
    ),
    Metric(
        name="num_parameters",
        title="trained parameters",
        unit="",
        value=_of_summary("num_parameters"),
        better=None,
        num_decimals=0,
        resolution=_one,
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}


def horizon_of(metric: Metric, config: Config) -> float | None:
    """What a run that never reached its target counts as: the earliest that it could have.

    Args:
        metric: Any metric.
        config: Of the run.

    Returns:
        One epoch after the last; None for metrics that are not censored, and for seconds, which
        are not bounded by the config.
    """
    later = config.train.epochs + 1
    return {
        "epochs_to_accuracy": float(later),
        "steps_to_accuracy": float(later * config.iterations_per_epoch),
    }.get(metric.name)
