"""Runs as arms and as a tidy table, against the metrics of each run alone."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bninit.arms import arms_of, column_of, epochs_of, labels_of, runs_frame
from bninit.metrics import METRICS

METRIC_NAMES = (
    "test_accuracy",
    "generalization_gap",
    "final_val_loss",
    "best_val_loss",
    "loss_fluctuation",
    "reached",
    "diverged",
    "epochs_to_accuracy",
    "steps_to_accuracy",
    "seconds_to_accuracy",
)
TARGETS = (0.5, 0.8)


def test_runs_are_grouped_by_what_decides_their_results(keep_run: Any) -> None:
    runs = [
        keep_run("b", [0.1, 0.6], seed=1),
        keep_run("b", [0.1, 0.6], seed=0),
        keep_run("other-name", [0.1, 0.7], seed=2),
        keep_run("b", [0.1, 0.7], seed=0, overrides=["optim.lr=0.5"]),
    ]
    arms = arms_of(runs)
    assert [(arm.name, arm.seeds) for arm in arms] == [("b", (0, 1, 2)), ("b", (0,))]
    assert labels_of(arms) == [f"b-{arm.id}" for arm in arms]
    assert arms[1].settings["optim.lr"] == 0.5
    assert arms[0].settings["model.hidden"] == [2]
    assert "name" not in arms[0].settings


def test_of_one_seed_under_two_names_the_first_is_taken(keep_run: Any) -> None:
    runs = [keep_run("a", [0.1, 0.6]), keep_run("z", [0.1, 0.7])]
    (arm,) = arms_of(runs)
    assert [run.name for run in arm.runs] == ["a"]


def test_figures_are_those_of_each_run_alone(keep_run: Any) -> None:
    runs = [
        keep_run("a", [0.1, 0.5, 0.79, 0.8], test_accuracy=0.91),
        keep_run("a", [0.6, 0.4, 0.7, 0.7], seed=1, val_losses=[2.0, 3.0, 0.5, 1.5]),
        keep_run("a", [0.1, 0.85], seed=2, epochs=3),
        keep_run("b", [0.1, math.nan, 0.9, 0.2], overrides=["optim.lr=0.2"]),
    ]
    frame = runs_frame(arms_of(runs), metrics=METRIC_NAMES, targets=TARGETS)
    assert frame["status"].tolist() == ["done", "done", "diverged", "done"]
    for name in METRIC_NAMES:
        metric = METRICS[name]
        for target in TARGETS if metric.needs_target else (None,):
            expected = [metric.value(run, target or math.nan) for run in runs]
            found = frame[column_of(name, target)].tolist()
            assert found == pytest.approx(expected, nan_ok=True, rel=0, abs=0)


def test_a_table_at_hand_may_have_the_runs_in_any_order(keep_run: Any) -> None:
    runs = [keep_run("a", [0.1, 0.5 + seed / 10], seed=seed) for seed in range(3)]
    epochs, problems = epochs_of(runs[::-1])
    assert not problems
    frame = runs_frame(arms_of(runs), metrics=("final_val_loss",), targets=(), epochs=epochs)
    assert frame["final_val_loss"].tolist() == pytest.approx([1.8, 1.7, 1.6])


def test_runs_whose_metrics_are_damaged_are_told(keep_run: Any) -> None:
    run, whole = keep_run("a", [0.1, 0.6]), keep_run("a", [0.1, 0.6], seed=1)
    (run.folder / "metrics.csv").write_text("epoch\n")
    epochs, problems = epochs_of([run, whole])
    assert set(epochs["seed"]) == {1}
    assert len(problems) == 1
    assert "metrics.csv" in str(problems[0])


def test_no_runs_have_no_epochs() -> None:
    epochs, problems = epochs_of([])
    assert (len(epochs), problems) == (0, [])
