"""False verdicts on real trainings: one arm split at random into two sides, again and again."""

from __future__ import annotations

import numpy as np
import pytest
from contrasts import decided

import bninit
from bninit.metrics import METRICS, horizon_of

NUM_SPLITS = 1000


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[bninit.Run]:
    config = {
        "name": "split",
        "model": {"hidden": [32], "norm": {"placement": "pre"}},
        "train": {"epochs": 4, "batch_size": 64, "seeds": 40, "device": "cpu"},
    }
    return bninit.train(config, runs_dir=tmp_path_factory.mktemp("runs"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("test_accuracy", None),
        ("final_val_loss", None),
        ("generalization_gap", None),
        ("loss_fluctuation", None),
        ("epochs_to_accuracy", 0.9),
        ("epochs_to_accuracy", 0.92),
    ],
)
def test_one_arm_against_itself(runs: list[bninit.Run], name: str, target: float | None) -> None:
    metric = METRICS[name]
    config = runs[0].config
    values = np.array([metric.value(run, target or 0.0) for run in runs])
    draws = np.random.default_rng(0)
    num_false = 0
    for _ in range(NUM_SPLITS):
        left, right = draws.permutation(values).reshape(2, -1)
        verdict = decided(
            left=left,
            right=right,
            resolution=metric.resolution(config),
            horizon=horizon_of(metric, config),
            worse=None if metric.censored else metric.worse,
        )
        num_false += verdict.outcome != "undecided"
    # Stated: 5 %. Splits of the same forty runs are not independent, so three standard errors
    # of a thousand independent draws (2.1 points) are the least to allow.
    assert num_false / NUM_SPLITS <= 0.05 + 0.021, f"{num_false} of {NUM_SPLITS}"
