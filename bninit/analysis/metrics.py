"""What can be measured of a run: each metric is one reading and one entry in a dict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bninit.analysis.layer_metrics import LAYER_METRICS
from bninit.analysis.metric import Metric
from bninit.analysis.readings import (
    at_target,
    diverged,
    initial_train_loss,
    loss_fluctuation,
    min_distinct_units,
    of_last_row,
    of_summary,
    reached,
    worst_loss_rise,
)
from bninit.data.catalog import DATASETS

if TYPE_CHECKING:
    from bninit.config import Config


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
        value=of_summary("test_accuracy"),
        better="high",
        scale=100,
        num_decimals=2,
        resolution=_one_of_test,
    ),
    Metric(
        name="test_loss",
        title="test loss",
        unit="nats",
        value=of_summary("test_loss"),
        better="low",
    ),
    Metric(
        name="generalization_gap",
        title="generalization gap (training minus test accuracy)",
        unit="points",
        value=of_summary("generalization_gap"),
        better="low",
        scale=100,
        num_decimals=2,
        resolution=_one_of_test,
    ),
    Metric(
        name="final_train_accuracy",
        title="training accuracy at the end",
        unit="%",
        value=of_summary("train_accuracy"),
        better="high",
        scale=100,
        num_decimals=2,
    ),
    Metric(
        name="final_train_loss",
        title="training loss at the end",
        unit="nats",
        value=of_summary("train_loss"),
        better="low",
    ),
    Metric(
        name="final_val_accuracy",
        title="validation accuracy at the end",
        unit="%",
        value=of_last_row("val_accuracy"),
        better="high",
        scale=100,
        num_decimals=2,
        resolution=_one_of_val,
    ),
    Metric(
        name="final_val_loss",
        title="validation loss at the end",
        unit="nats",
        value=of_last_row("val_loss"),
        better="low",
    ),
    Metric(
        name="best_val_accuracy",
        title="best validation accuracy",
        unit="%",
        value=of_summary("best", "val_accuracy"),
        better="high",
        scale=100,
        num_decimals=2,
        resolution=_one_of_val,
    ),
    Metric(
        name="best_val_loss",
        title="best validation loss",
        unit="nats",
        value=of_summary("best", "val_loss"),
        better="low",
    ),
    Metric(
        name="initial_train_loss",
        title="training loss before training",
        unit="nats",
        value=initial_train_loss,
        better="low",
    ),
    Metric(
        name="epochs_to_accuracy",
        title="epochs to {target}",
        unit="epochs",
        value=at_target("epoch"),
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
        value=at_target("step"),
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
        value=at_target("seconds"),
        better="low",
        clock=True,
        needs_target=True,
        censored=True,
        num_decimals=2,
    ),
    Metric(
        name="reached",
        title="{target} reached",
        unit="",
        value=reached,
        better="high",
        needs_target=True,
        num_decimals=2,
        resolution=_one,
    ),
    Metric(
        name="diverged",
        title="diverged",
        unit="",
        value=diverged,
        better="low",
        num_decimals=2,
        resolution=_one,
    ),
    Metric(
        name="loss_fluctuation",
        title="fluctuation of the training loss from step to step",
        unit="nats",
        value=loss_fluctuation,
        better="low",
    ),
    Metric(
        name="worst_loss_rise",
        title="largest rise of the validation loss between two epochs",
        unit="nats",
        value=worst_loss_rise,
        better="low",
    ),
    Metric(
        name="min_distinct_units",
        title="distinct units in the layer that has the fewest",
        unit="units",
        value=min_distinct_units,
        better=None,
        num_decimals=0,
        resolution=_one,
    ),
    Metric(
        name="seconds_per_epoch",
        title="seconds per epoch",
        unit="s",
        value=of_summary("seconds_per_epoch"),
        better="low",
        clock=True,
    ),
    Metric(
        name="num_parameters",
        title="trained parameters",
        unit="",
        value=of_summary("num_parameters"),
        better=None,
        num_decimals=0,
        resolution=_one,
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in (*_ALL, *LAYER_METRICS)}


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
