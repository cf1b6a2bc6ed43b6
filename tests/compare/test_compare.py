"""Comparisons against scipy and numbers worked out by hand; what is trained for them and kept."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import bninit
from bninit.arms import Arm, arms_of
from bninit.engines import driver
from bninit.engines.interface import Job
from bninit.errors import StoreError, UserError
from bninit.store import Run
from bninit.store.output import check_name
from bninit.verbs.compare.compare import (
    SHARED_CLOCK,
    Comparison,
    Difference,
    compare,
    compare_arms,
)
from bninit.verbs.compare.pictures import default_name, keep_comparison

BN = ("model.norm.placement=pre",)
LR = ("optim.lr=0.2",)


def climb(reaches: int | None, *, epochs: int = 4) -> list[float]:
    """Validation accuracies that come to 0.8 in one epoch; None for never."""
    return [0.8 if reaches is not None and e >= reaches else 0.1 for e in range(epochs + 1)]


def arms(*groups: Sequence[Run]) -> list[Arm]:
    return arms_of([run for group in groups for run in group])


def one(comparison: Comparison, metric: str, target: float | None = None) -> Difference:
    (found,) = all_of(comparison, metric, target)
    return found


def all_of(comparison: Comparison, metric: str, target: float | None = None) -> list[Difference]:
    wanted = (metric, target)
    return [each for each in comparison.differences if (each.metric.name, each.target) == wanted]


def test_differences_are_those_of_the_paired_t_test(keep_run: Any) -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(2.0, 0.2, size=6)
    better = base - 0.1 + rng.normal(0, 0.05, size=6)
    # Kept in another order: pairs go by seed, not by place.
    a = [keep_run("a", [0.1, 0.1], seed=s, val_losses=[2.3, base[s]]) for s in (3, 1, 0, 2, 5, 4)]
    b = [
        keep_run("b", [0.1, 0.1], seed=s, val_losses=[2.3, better[s]], overrides=BN)
        for s in range(6)
    ]
    comparison = compare_arms(arms(a, b))
    found = one(comparison, "final_val_loss")
    expected = stats.ttest_rel(better, base)
    interval = expected.confidence_interval(0.95)
    assert found.arm == "b"
    assert found.estimate.effect == pytest.approx((better - base).mean())
    assert (found.estimate.low, found.estimate.high) == pytest.approx(tuple(interval))
    assert found.estimate.p_value == pytest.approx(expected.pvalue)
    assert found.reading == "better"
    swapped = one(compare_arms(arms(a, b), baseline=b[0].arm), "final_val_loss")
    assert swapped.estimate.effect == pytest.approx((base - better).mean())
    assert swapped.reading == "worse"


def test_intervals_of_several_arms_are_widened_for_their_number(keep_run: Any) -> None:
    rng = np.random.default_rng(1)
    losses = rng.normal(2.0, 0.2, size=(3, 5))
    groups = [
        [
            keep_run(name, [0.1, 0.1], seed=s, val_losses=[2.3, row[s]], overrides=overrides)
            for s in range(5)
        ]
        for name, row, overrides in zip("abc", losses, ((), BN, LR), strict=True)
    ]
    found = all_of(compare_arms(arms(*groups)), "final_val_loss")
    for difference, row in zip(found, losses[1:], strict=True):
        expected = stats.ttest_rel(row, losses[0])
        assert difference.estimate.level == 0.975
        ends = (difference.estimate.low, difference.estimate.high)
        assert ends == pytest.approx(tuple(expected.confidence_interval(0.975)))
        assert difference.estimate.p_value == pytest.approx(min(1, 2 * expected.pvalue))


def test_an_arm_in_short(keep_run: Any) -> None:
    accuracies = [0.90, 0.92, 0.97]
    a = [
        keep_run("a", climb(2), seed=s, test_accuracy=x, train_accuracy=0.99, seconds_per_epoch=2)
        for s, x in enumerate(accuracies)
    ]
    b = [keep_run("b", climb(1), seed=0, overrides=BN)]
    first = compare_arms(arms(a, b)).arms[0]
    spread = first.figures["test_accuracy"]
    assert spread is not None
    assert (spread.mean, spread.sd, spread.n) == pytest.approx(
        (np.mean(accuracies), np.std(accuracies, ddof=1), 3)
    )
    gap = first.figures["generalization_gap"]
    assert gap is not None
    assert gap.mean == pytest.approx(0.99 - np.mean(accuracies))
    seconds = first.figures["seconds_per_epoch"]
    assert seconds is not None
    assert seconds.mean == 2
    assert first.num_parameters == 784 * 2 + 2 + 2 * 10 + 10
    assert (first.num_diverged, first.placement) == (0, "none")
    assert first.settings == {"model.norm.placement": "none"}


def test_times_to_a_target_are_censored(keep_run: Any) -> None:
    """Worked out by hand: reached after 1, 2, 2 epochs, and twice not within 4."""
    reached = (2, 1, None, 2, None)
    a = [keep_run("a", climb(e), seed=s) for s, e in enumerate(reached)]
    b = [keep_run("b", climb(4), seed=s, overrides=BN) for s in range(5)]
    comparison = compare_arms(arms(a, b), targets=[0.8])
    (at,) = comparison.arms[0].targets
    assert (at.num_runs, at.num_reached, at.watched_epochs) == (5, 3, 4)
    assert at.curve.times.tolist() == [1, 2, 4]
    assert at.curve.share == pytest.approx([0.2, 0.6, 0.6])
    assert at.medians["epochs_to_accuracy"] == 2
    assert at.medians["seconds_to_accuracy"] == 1
    assert at.means["epochs_to_accuracy"] is None, "a mean would be of those that got there"
    (everyone,) = comparison.arms[1].targets
    assert everyone.means["epochs_to_accuracy"] is not None
    # Baseline 2, 1, 5, 2, 5 (an epoch after the last), the other 4 each.
    found = one(comparison, "epochs_to_accuracy", 0.8)
    assert found.estimate.effect == pytest.approx(np.mean([2, 3, -1, 2, -1]))
    assert (found.num_missing, found.horizon, found.open_end) == ((0, 2), 5, "low")


def test_there_is_no_median_where_half_of_the_runs_never_got_there(keep_run: Any) -> None:
    a = [keep_run("a", climb(e), seed=s) for s, e in enumerate((1, 1, None, None))]
    b = [keep_run("b", climb(1), seed=s, overrides=BN) for s in range(4)]
    (at,) = compare_arms(arms(a, b), targets=[0.8]).arms[0].targets
    assert at.medians == dict.fromkeys(at.medians)


def test_two_arms_that_never_got_there_are_no_tie(keep_run: Any) -> None:
    a = [keep_run("a", climb(None), seed=s) for s in range(3)]
    b = [keep_run("b", climb(None), seed=s, overrides=BN) for s in range(3)]
    found = one(compare_arms(arms(a, b), targets=[0.8]), "epochs_to_accuracy", 0.8)
    assert found.estimate.effect is None
    assert found.reading == ""
    assert found.num_missing == (3, 3)


def test_a_time_counts_only_as_far_as_both_arms_were_watched(keep_run: Any) -> None:
    a = [keep_run("a", climb(1, epochs=2), seed=s) for s in range(3)]
    b = [keep_run("b", climb(5, epochs=8), seed=s) for s in range(3)]
    found = one(compare_arms(arms(a, b), targets=[0.8]), "epochs_to_accuracy", 0.8)
    assert found.horizon == 3
    assert found.num_missing == (3, 0)
    assert found.estimate.effect == 3 - 1


def test_what_cut_times_leave_open_is_not_decided(keep_run: Any) -> None:
    """Four seeds a little faster, but one never got there: the true mean may be slower."""
    a = [keep_run("a", climb(4), seed=s) for s in range(12)]
    b = [keep_run("b", climb(None if s == 0 else 1), seed=s, overrides=BN) for s in range(12)]
    found = one(compare_arms(arms(a, b), targets=[0.8]), "epochs_to_accuracy", 0.8)
    assert found.estimate.p_value is not None
    assert found.estimate.p_value < 0.05
    assert (found.open_end, found.reading) == ("high", "undecided")


def test_a_diverged_run_ranks_as_the_worst(keep_run: Any) -> None:
    a = [keep_run("a", climb(1), seed=s, test_accuracy=0.5) for s in range(8)]
    b = [
        keep_run("b", climb(1)[: 3 if s < 2 else 5], seed=s, epochs=4, overrides=BN,
                 test_accuracy=0.6 + s / 100)
        for s in range(8)
    ]  # fmt: skip
    comparison = compare_arms(arms(a, b))
    found = one(comparison, "test_accuracy")
    assert comparison.arms[1].num_diverged == 2
    assert found.num_missing == (2, 0)
    assert found.is_median
    differences = [-math.inf, -math.inf, *(0.1 + s / 100 for s in range(2, 8))]
    assert found.estimate.effect == pytest.approx(np.median(differences))
    spread = comparison.arms[1].figures["test_accuracy"]
    assert spread is not None
    assert spread.n == 6


def test_an_arm_that_always_diverges_is_worse(keep_run: Any) -> None:
    a = [keep_run("a", climb(1), seed=s) for s in range(8)]
    b = [keep_run("b", climb(1)[:3], seed=s, epochs=4, overrides=BN) for s in range(8)]
    found = one(compare_arms(arms(a, b)), "test_accuracy")
    assert found.estimate.effect is None
    assert found.reading == "worse"
    assert one(compare_arms(arms(a, b), baseline=b[0].arm), "test_accuracy").reading == "better"


def test_one_seed_has_no_interval(keep_run: Any) -> None:
    comparison = compare_arms(
        arms([keep_run("a", climb(1))], [keep_run("b", climb(3), overrides=BN)]), targets=[0.8]
    )
    found = one(comparison, "epochs_to_accuracy", 0.8)
    assert found.estimate.effect == 2
    assert (found.estimate.low, found.estimate.high, found.reading) == (None, None, "")
    assert any("no interval" in note for note in comparison.notes)


def test_pairs_are_the_common_seeds(keep_run: Any) -> None:
    a = [keep_run("a", climb(1), seed=s, test_accuracy=0.8 + s / 100) for s in (0, 1, 2, 7)]
    b = [
        keep_run("b", climb(1), seed=s, test_accuracy=0.9 + s / 100, overrides=BN)
        for s in (2, 1, 9)
    ]
    comparison = compare_arms(arms(a, b))
    found = one(comparison, "test_accuracy")
    assert found.seeds == (1, 2)
    assert found.estimate.effect == pytest.approx(0.1)
    assert comparison.arms[0].seeds == (0, 1, 2, 7), "each arm's own figures are of all its seeds"
    told = " ".join(comparison.warnings)
    assert "seed 9 of b, which a does not have" in told
    assert "seeds 0, 7 of a, which b does not have" in told


def test_networks_that_share_a_clock_have_no_interval_of_seconds(keep_run: Any) -> None:
    def seconds(stack_size: int) -> Difference:
        about = {"stack_size": stack_size}
        a = [
            keep_run(f"a{stack_size}", climb(1), seed=s, environment=about, seconds_per_epoch=1)
            for s in range(4)
        ]
        b = [
            keep_run(f"b{stack_size}", climb(1), seed=s, environment=about, overrides=BN,
                     seconds_per_epoch=1.5 + s / 100)
            for s in range(4)
        ]  # fmt: skip
        return one(compare_arms(arms(a, b)), "seconds_per_epoch")

    alone, together = seconds(1), seconds(4)
    assert alone.estimate.effect == together.estimate.effect == pytest.approx(0.515)
    assert alone.estimate.low is not None
    assert (together.estimate.low, together.estimate.method) == (None, SHARED_CLOCK)
    assert together.reading == ""


def test_faults_are_told(keep_run: Any) -> None:
    a, b = keep_run("a", climb(1), seed=0), keep_run("b", climb(1), seed=1, overrides=BN)
    with pytest.raises(UserError, match="one arm cannot be compared"):
        compare_arms(arms([a]))
    with pytest.raises(UserError, match=r"b \(seed 1\) has no seed in common .* a \(seed 0\)"):
        compare_arms(arms([a], [b]))
    (b.folder / "metrics.csv").write_text("")
    with pytest.raises(StoreError, match=r"metrics\.csv"):
        compare_arms(arms([a], [Run(b.folder)]))


TINY: dict[str, Any] = {
    "model": {"hidden": [4]},
    "train": {"epochs": 1, "batch_size": 500, "seeds": 2, "device": "cpu"},
    "targets": [0.05, 0.99],
}


def tiny(name: str, **init: Any) -> dict[str, Any]:
    return {"name": name, **TINY, "model": {"hidden": [4], "init": init}}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[str, int]]]:
    """What the driver is told to train."""
    told: list[list[tuple[str, int]]] = []
    run = driver.train_jobs

    def telling(jobs: list[Job], **options: Any) -> Any:
        told.append([(job.config.name, job.seed) for job in jobs])
        return run(jobs, **options)

    monkeypatch.setattr(driver, "train_jobs", telling)
    return told


def test_what_is_missing_is_trained_all_at_once(
    tmp_path: Path, calls: list[list[tuple[str, int]]]
) -> None:
    a, b = tiny("a", scheme="he_normal"), tiny("b", scheme="zeros")
    found = bninit.compare([a, b], runs_dir=tmp_path / "runs")
    assert calls == [[("a", 0), ("a", 1), ("b", 0), ("b", 1)]]
    assert [arm.seeds for arm in found.arms] == [(0, 1), (0, 1)]
    assert set(found.runs["stack_size"]) == {4}, "they share a stack"
    assert found.targets == (0.05, 0.99)
    assert (tmp_path / "runs" / f"a-{found.arms[0].id}" / "curves.png").exists()

    again = compare([a, b], runs_dir=tmp_path / "runs", seeds=[0, 1, 2])
    assert calls[1:] == [[("a", 2), ("b", 2)]]
    assert again.arms[0].seeds == (0, 1, 2)

    (tmp_path / "runs" / f"a-{found.arms[0].id}" / "seed-1" / "metrics.csv").write_text("?")
    compare(["a", "b"], runs_dir=tmp_path / "runs")
    assert calls[2:] == [[("a", 1)]], "a damaged run is trained again"

    compare(["a", "b"], runs_dir=tmp_path / "runs")
    assert len(calls) == 3, "nothing is left to train"


def test_without_training_what_is_missing_is_told(keep_run: Any, tmp_path: Path) -> None:
    keep_run("a", [0.1, 0.6])
    b = [keep_run("b", [0.1, 0.6], seed=s, overrides=BN) for s in range(2)]
    (b[1].folder / "summary.json").unlink()
    runs_dir = tmp_path / "runs"
    found = compare(["a", "b"], runs_dir=runs_dir, train_missing=False)
    assert "seed 1 of b" in found.warnings[0]
    (b[0].folder / "summary.json").unlink()
    with pytest.raises(UserError, match=f"nothing is finished of b-{b[0].arm}"):
        compare(["a", "b"], runs_dir=runs_dir, train_missing=False)


def test_targets_are_those_of_the_arms_or_asked_for(keep_run: Any, tmp_path: Path) -> None:
    keep_run("a", [0.1, 0.6], overrides=["targets=[0.3]"])
    keep_run("b", [0.1, 0.6], overrides=[*BN, "targets=[0.2, 0.3]"])
    runs_dir = tmp_path / "runs"
    assert compare(["a", "b"], runs_dir=runs_dir).targets == (0.2, 0.3)
    asked = compare(["a", "b"], runs_dir=runs_dir, targets=[0.7, 0.55])
    assert asked.targets == (0.55, 0.7)
    assert [at.num_reached for at in asked.arms[0].targets] == [1, 0]


def test_what_is_kept_is_whole(
    keep_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_run("a", [0.1, 0.6])
    keep_run("b", [0.1, 0.6], overrides=BN)
    runs_dir = tmp_path / "runs"
    found = compare(["a", "b"], runs_dir=runs_dir)
    folder = keep_comparison(found, runs_dir=runs_dir)
    assert folder == runs_dir / "compare" / "a-vs-b"
    assert sorted(path.name for path in folder.iterdir()) == [
        "comparison.csv",
        "comparison.json",
        "curves.png",
        "differences.png",
        "report.md",
        "runs.csv",
        "time_to_accuracy.png",
    ]
    report = (folder / "report.md").read_text()
    for picture in folder.glob("*.png"):
        assert f"]({picture.name})" in report
    before = (folder / "comparison.json").read_text()
    json.loads(before)

    def fail(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(UserError, match="no space is left"):
        keep_comparison(found, runs_dir=runs_dir)
    assert (folder / "comparison.json").read_text() == before
    assert [run.name for run in bninit.find_runs(runs_dir)] == ["a", "b"], "it is no arm's folder"


def test_names_stay_in_their_folder(keep_run: Any, tmp_path: Path) -> None:
    names = [f"an-arm-of-a-study-with-a-long-name-{i}" for i in range(3)]
    for i, name in enumerate(names):
        keep_run(name, [0.1, 0.6], overrides=[f"optim.lr=0.{i + 1}"])
    found = compare(names, runs_dir=tmp_path / "runs")
    check_name(default_name(found))
    other = compare(names, runs_dir=tmp_path / "runs", baseline=names[1])
    assert default_name(other) != default_name(found)
