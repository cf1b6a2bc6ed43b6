"""Arms: summaries and tables against figures worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bninit.arms import (
    ArmSummary,
    arm_labels,
    arms_of,
    column_of,
    epochs_of,
    labels_of,
    non_default_settings,
    runs_frame,
    summarise_arms,
)
from bninit.config import config_from_dict
from bninit.metrics import METRICS


def summary(
    seed: int,
    *,
    name: str = "bn-pre",
    test_accuracy: float | None = 0.98,
    epochs_to: dict[float, int | None] | None = None,
    seconds_per_epoch: float | None = 0.5,
) -> dict[str, Any]:
    """As in summary.json; a step is a hundredth of an epoch, an epoch takes 2 s."""
    return {
        "name": name,
        "arm": "0123456789",
        "seed": seed,
        "status": "diverged" if test_accuracy is None else "done",
        "num_parameters": 1234,
        "test_accuracy": test_accuracy,
        "generalization_gap": None if test_accuracy is None else 1 - test_accuracy,
        "seconds_per_epoch": seconds_per_epoch,
        "targets": [
            {
                "target": target,
                "reached": epochs is not None,
                "epochs": epochs,
                "steps": None if epochs is None else 100 * epochs,
                "seconds": None if epochs is None else 2.0 * epochs,
                "censored_at_epochs": 10 + seed if epochs is None else None,
            }
            for target, epochs in (epochs_to or {}).items()
        ],
    }


def summarised(*runs: dict[str, Any]) -> ArmSummary:
    (arm,) = summarise_arms(runs)
    return arm


def test_figures_are_over_the_runs_that_did_not_diverge() -> None:
    accuracies = [0.9801, 0.9812, None, 0.9834]
    arm = summarised(*(summary(seed, test_accuracy=a) for seed, a in enumerate(accuracies)))
    accuracy, gap = arm.figures["test_accuracy"], arm.figures["generalization_gap"]
    known = [a for a in accuracies if a is not None]
    assert accuracy is not None
    assert gap is not None
    assert (accuracy.mean, accuracy.sd) == pytest.approx((np.mean(known), np.std(known, ddof=1)))
    assert (gap.mean, gap.n) == (pytest.approx(1 - np.mean(known)), 3)
    assert (arm.num_runs, arm.num_diverged, arm.num_parameters) == (4, 1, 1234)
    lost = summarised(summary(0, test_accuracy=None))
    assert (lost.figures["test_accuracy"], lost.num_diverged) == (None, 1)


@pytest.mark.parametrize(
    ("epochs", "median", "num_reached", "watched"),
    [
        ([4, 2, 9], 4, 3, 9),
        # In order 2, 4, 9, never, never; the mean of those that reached it would be 5.
        ([4, None, 2, 9, None], 9, 3, 11),
        ([1, None], None, 1, 11),
        ([None], None, 0, 10),
        ([0], 0, 1, 0),
    ],
)
def test_a_run_that_never_reached_a_target_is_later_than_all_others(
    epochs: list[int | None], median: float | None, num_reached: int, watched: int
) -> None:
    arm = summarised(*(summary(seed, epochs_to={0.95: e}) for seed, e in enumerate(epochs)))
    (target,) = arm.targets
    steps, seconds = (None, None) if median is None else (100 * median, 2.0 * median)
    assert target.medians == {
        "epochs_to_accuracy": median,
        "steps_to_accuracy": steps,
        "seconds_to_accuracy": seconds,
    }
    assert (target.num_reached, target.num_runs) == (num_reached, len(epochs))
    assert (target.means["epochs_to_accuracy"] is None) == (None in epochs)
    assert target.watched_epochs == watched
    if None in epochs:
        assert target.curve.share[-1] == pytest.approx(num_reached / len(epochs))


def test_targets_and_seeds_rise_and_arms_keep_their_order() -> None:
    arm = summarised(summary(1, epochs_to={0.97: 3, 0.95: 1}), summary(0, epochs_to={0.95: 2}))
    assert [(t.target, t.num_runs) for t in arm.targets] == [(0.95, 2), (0.97, 1)]
    found = summarise_arms([summary(1, name="b"), summary(3, name="a"), summary(0, name="b")])
    assert [(arm.label, arm.seeds) for arm in found] == [("b", (0, 1)), ("a", (3,))]
    assert summarise_arms([]) == []


def test_seconds_per_epoch_are_a_median_over_runs_that_have_any() -> None:
    seconds = [0.5, None, 9.0, 0.7]
    arm = summarised(*(summary(i, seconds_per_epoch=s) for i, s in enumerate(seconds)))
    assert arm.median_seconds_per_epoch == 0.7
    assert summarised(summary(0, seconds_per_epoch=None)).median_seconds_per_epoch is None


def test_labels_are_names_unless_two_arms_share_one() -> None:
    keys = [("a", "0123456789"), ("b", "1111111111"), ("b", "2222222222")]
    assert list(arm_labels(keys).values()) == ["a", "b-11111111", "b-22222222"]


def test_runs_are_grouped_by_what_decides_their_results(keep_run: Any) -> None:
    runs = [
        keep_run("b", [0.1, 0.6], seed=1),
        keep_run("b", [0.1, 0.6], seed=0),
        keep_run("other-name", [0.1, 0.7], seed=2),
        keep_run("z", [0.1, 0.7], seed=2),
        keep_run("b", [0.1, 0.7], seed=0, overrides=["optim.lr=0.5"]),
    ]
    arms = arms_of(runs)
    assert [(arm.name, arm.seeds) for arm in arms] == [("b", (0, 1, 2)), ("b", (0,))]
    assert arms[0].runs[2].name == "other-name", "of one seed under two names the first is taken"
    assert labels_of(arms) == [f"b-{arm.id}" for arm in arms]
    assert arms[1].settings["optim.lr"] == 0.5
    assert arms[0].settings["model.hidden"] == [2]
    assert "name" not in arms[0].settings


def test_the_table_has_the_figures_of_each_run_alone(keep_run: Any) -> None:
    runs = [
        keep_run("a", [0.1, 0.5, 0.79, 0.8], test_accuracy=0.91),
        keep_run("a", [0.6, 0.4, 0.7, 0.7], seed=1, val_losses=[2.0, 3.0, 0.5, 1.5]),
        keep_run("a", [0.1, 0.85], seed=2, epochs=3),
        keep_run("b", [0.1, math.nan, 0.9, 0.2], overrides=["optim.lr=0.2"]),
    ]
    names = [name for name, metric in METRICS.items() if metric.probes is None]
    frame = runs_frame(arms_of(runs), metrics=names, targets=(0.5, 0.8))
    assert frame["status"].tolist() == ["done", "done", "diverged", "done"]
    for name in names:
        for target in (0.5, 0.8) if METRICS[name].needs_target else (None,):
            expected = [METRICS[name].value(run, target or math.nan) for run in runs]
            found = frame[column_of(name, target)].tolist()
            assert found == pytest.approx(expected, nan_ok=True, rel=0, abs=0)


def test_runs_whose_metrics_are_damaged_are_reported(keep_run: Any) -> None:
    run, whole = keep_run("a", [0.1, 0.6]), keep_run("a", [0.1, 0.6], seed=1)
    (run.folder / "metrics.csv").write_text("epoch\n")
    epochs, problems = epochs_of([run, whole])
    assert set(epochs["seed"]) == {1}
    assert len(problems) == 1
    assert "metrics.csv" in str(problems[0])
    assert len(epochs_of([])[0]) == 0


def changed(**sections: Any) -> dict[str, object]:
    return non_default_settings(config_from_dict({"name": "x", **sections}))


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({}, {}),
        (
            {
                "optim": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
                "model": {"init": {"scheme": "he_normal", "bias": {"scheme": "zeros"}}},
                "train": {"epochs": 10, "seeds": [3, 4]},
            },
            {},
        ),
        # A setting is held against the default of its kind.
        ({"optim": {"name": "adam", "lr": 0.001}}, {"optim.name": "adam"}),
        ({"optim": {"name": "adam", "lr": 0.1}}, {"optim.name": "adam", "optim.lr": 0.1}),
        ({"model": {"hidden": [5]}}, {"model.hidden": [5]}),
        ({"model": {"norm": {"placement": "pre"}}}, {"model.norm.placement": "pre"}),
        (
            {"model": {"init": {"scheme": "normal", "std": 0.3}}},
            {"model.init.scheme": "normal", "model.init.std": 0.3},
        ),
        (
            {"model": {"init": {"bias": 0.1}}},
            {"model.init.bias.scheme": "constant", "model.init.bias.value": 0.1},
        ),
        ({"targets": [0.9]}, {"targets": [0.9]}),
    ],
)
def test_settings_other_than_the_defaults(
    sections: dict[str, Any], expected: dict[str, object]
) -> None:
    assert changed(**sections) == expected


def test_the_changes_alone_give_the_same_config_again() -> None:
    sections = {
        "data": {"name": "kmnist", "scale": "raw"},
        "model": {"norm": {"placement": "post", "eps": 1e-3}, "init": {"scheme": "orthogonal"}},
        "optim": {"name": "adamw", "weight_decay": 0.2, "schedule": "cosine"},
        "train": {"last_batch": "keep"},
    }
    config = config_from_dict({"name": "x", **sections})
    again: dict[str, Any] = {"name": "x"}
    for key, value in non_default_settings(config).items():
        *above, last = key.split(".")
        section = again
        for part in above:
            section = section.setdefault(part, {})
        section[last] = value
    assert config_from_dict(again) == config
