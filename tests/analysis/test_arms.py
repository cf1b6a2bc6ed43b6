"""Arms in short, against numbers worked out by hand and by numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bninit.arms import ArmSummary, arm_labels, summarise_arms


def run(
    seed: int,
    *,
    name: str = "bn-pre",
    arm: str = "0123456789",
    test_accuracy: float | None = 0.98,
    epochs_to: dict[float, int | None] | None = None,
    seconds_per_epoch: float | None = 0.5,
) -> dict[str, Any]:
    """A summary as in summary.json; a step is a hundredth of an epoch, an epoch takes 2 s."""
    return {
        "name": name,
        "arm": arm,
        "seed": seed,
        "status": "diverged" if test_accuracy is None else "done",
        "num_parameters": 1234,
        "best": {"epoch": 3, "val_loss": 0.1, "val_accuracy": 0.97 + 0.001 * seed},
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
                "censored": epochs is None,
                "censored_at_epochs": 10 if epochs is None else None,
            }
            for target, epochs in (epochs_to or {}).items()
        ],
    }


def one(*runs: dict[str, Any]) -> ArmSummary:
    (arm,) = summarise_arms(runs)
    return arm


def test_accuracies_have_mean_and_standard_deviation() -> None:
    accuracies = [0.9801, 0.9812, 0.9834]
    arm = one(*(run(seed, test_accuracy=a) for seed, a in enumerate(accuracies)))
    assert arm.test_accuracy is not None
    assert arm.test_accuracy.mean == pytest.approx(np.mean(accuracies))
    assert arm.test_accuracy.sd == pytest.approx(np.std(accuracies, ddof=1))
    assert arm.generalization_gap is not None
    assert arm.generalization_gap.mean == pytest.approx(1 - np.mean(accuracies))
    assert arm.best_val_accuracy is not None
    assert arm.best_val_accuracy.high == pytest.approx(0.972)
    assert (arm.num_runs, arm.num_diverged, arm.num_parameters) == (3, 0, 1234)


def test_diverged_runs_are_counted_and_their_test_figures_missing() -> None:
    arm = one(run(0), run(1, test_accuracy=None), run(2))
    assert (arm.num_runs, arm.num_diverged) == (3, 1)
    assert arm.test_accuracy is not None
    assert arm.test_accuracy.n == 2


def test_an_arm_that_diverged_altogether_has_no_test_accuracy() -> None:
    arm = one(run(0, test_accuracy=None))
    assert (arm.test_accuracy, arm.num_diverged) == (None, 1)


def test_a_target_that_all_reached_has_a_plain_median() -> None:
    arm = one(*(run(seed, epochs_to={0.95: e}) for seed, e in enumerate([4, 2, 9])))
    (target,) = arm.targets
    assert (target.median_epochs, target.median_steps, target.median_seconds) == (4, 400, 8.0)
    assert (target.num_reached, target.num_runs, target.watched_epochs) == (3, 3, None)


def test_the_median_counts_those_who_never_reached_it_as_later() -> None:
    arm = one(*(run(seed, epochs_to={0.95: e}) for seed, e in enumerate([4, None, 2, 9, None])))
    (target,) = arm.targets
    # In order 2, 4, 9, never, never; the mean of the survivors would be 5.
    assert target.median_epochs == 9
    assert (target.num_reached, target.num_runs, target.watched_epochs) == (3, 5, 10)


@pytest.mark.parametrize("epochs", [[1, None], [1, None, None], [None]])
def test_no_median_where_half_or_more_never_reached_it(epochs: list[int | None]) -> None:
    arm = one(*(run(seed, epochs_to={0.95: e}) for seed, e in enumerate(epochs)))
    (target,) = arm.targets
    assert target.median_epochs is None
    assert target.median_steps is None
    assert target.median_seconds is None


def test_a_target_reached_before_training_has_zero_epochs() -> None:
    (target,) = one(run(0, epochs_to={0.05: 0})).targets
    assert (target.median_epochs, target.num_reached) == (0, 1)


def test_targets_rise_and_runs_without_one_are_not_counted_for_it() -> None:
    arm = one(run(0, epochs_to={0.97: 3, 0.95: 1}), run(1, epochs_to={0.95: 2}))
    assert [(t.target, t.num_runs) for t in arm.targets] == [(0.95, 2), (0.97, 1)]


def test_arms_keep_their_order_and_seeds_rise() -> None:
    found = summarise_arms([run(1, name="b"), run(3, name="a"), run(0, name="b")])
    assert [(arm.name, arm.seeds) for arm in found] == [("b", (0, 1)), ("a", (3,))]


def test_seconds_per_epoch_are_a_median_over_runs_that_have_any() -> None:
    arm = one(*(run(i, seconds_per_epoch=s) for i, s in enumerate([0.5, None, 9.0, 0.7])))
    assert arm.median_seconds_per_epoch == 0.7
    assert one(run(0, seconds_per_epoch=None)).median_seconds_per_epoch is None


def test_labels_are_names_unless_two_arms_share_one() -> None:
    keys = [("a", "0123456789"), ("b", "1111111111"), ("b", "2222222222")]
    assert list(arm_labels(keys).values()) == ["a", "b-11111111", "b-22222222"]


def test_nothing_in_nothing_out() -> None:
    assert summarise_arms([]) == []
