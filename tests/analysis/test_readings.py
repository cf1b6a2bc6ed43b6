"""Readings of a run, against figures worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from bninit.config import Config, config_from_dict
from bninit.metrics import METRICS, horizon_of

CONFIG = config_from_dict({"name": "x", "train": {"epochs": 3, "batch_size": 100}})


class Kept:
    """A run as its files have it."""

    def __init__(self, *, status: str = "done", losses: list[float] | None = None) -> None:
        self.config: Config = CONFIG
        done = status == "done"
        self.summary: dict[str, Any] | None = {
            "status": status,
            "test_accuracy": 0.9 if done else None,
            "distinct_units": [7, 3],
        }
        self._losses = losses or [1.0, 1.0, 1.0, 3.0]

    def metrics(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "epoch": [0, 1, 2, 3],
                "step": [0, 35, 70, 105],
                "seconds": [0.0, 1.0, 2.0, 3.0],
                "train_loss": [2.3, 1.0, 0.5, 0.2],
                "val_loss": [2.4, 0.9, 1.2, 1.0],
                "val_accuracy": [0.1, 0.8, 0.9, 0.85],
            }
        )

    def step_losses(self) -> npt.NDArray[np.floating]:
        return np.array(self._losses)


def _read(name: str, run: Kept, target: float = 0.0) -> float:
    return METRICS[name].value(run, target)


@pytest.mark.parametrize(
    ("name", "target", "figure"),
    [
        ("test_accuracy", 0.0, 0.9),
        ("final_val_accuracy", 0.0, 0.85),
        ("initial_train_loss", 0.0, 2.3),
        ("epochs_to_accuracy", 0.8, 1.0),  # reached means at least
        ("epochs_to_accuracy", 0.81, 2.0),
        ("steps_to_accuracy", 0.9, 70.0),
        ("seconds_to_accuracy", 0.9, 2.0),
        ("reached", 0.9, 1.0),
        ("reached", 0.91, 0.0),
        ("diverged", 0.0, 0.0),
        ("worst_loss_rise", 0.0, 0.3),
        ("min_distinct_units", 0.0, 3.0),
    ],
)
def test_figures(name: str, target: float, figure: float) -> None:
    assert _read(name, Kept(), target) == pytest.approx(figure)


def test_never_reached_is_nan() -> None:
    assert math.isnan(_read("epochs_to_accuracy", Kept(), 0.95))


@pytest.mark.parametrize("name", ["test_accuracy", "final_val_accuracy", "loss_fluctuation"])
def test_a_diverged_run_has_no_figure(name: str) -> None:
    assert math.isnan(_read(name, Kept(status="diverged")))
    assert _read("diverged", Kept(status="diverged")) == 1.0


def test_fluctuation_is_the_noise_and_not_the_trend() -> None:
    # The second half is 1, 3: one difference of 2, so 2 / sqrt 2.
    assert _read("loss_fluctuation", Kept()) == pytest.approx(2 / math.sqrt(2))
    noise = np.random.default_rng(0).normal(0, 0.1, 20_000)
    falling = noise + np.linspace(3, 1, 20_000)
    assert _read("loss_fluctuation", Kept(losses=falling.tolist())) == pytest.approx(0.1, rel=0.03)


def test_every_metric_is_under_its_own_name_and_ranks_diverged_runs_last() -> None:
    assert all(name == metric.name for name, metric in METRICS.items())
    assert METRICS["test_accuracy"].worse == "low"
    assert METRICS["test_loss"].worse == "high"


def test_the_horizon_is_one_epoch_after_the_last() -> None:
    assert horizon_of(METRICS["epochs_to_accuracy"], CONFIG) == 4
    assert horizon_of(METRICS["steps_to_accuracy"], CONFIG) == 4 * 35
    assert horizon_of(METRICS["test_accuracy"], CONFIG) is None
