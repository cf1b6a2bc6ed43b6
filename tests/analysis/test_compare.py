"""Comparisons against scipy and against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bninit.arms import Arm, arms_of
from bninit.errors import StoreError, UserError
from bninit.store import Run
from bninit.verbs.compare.compare import (
    SHARED_CLOCK,
    Comparison,
    Difference,
    compare_arms,
    ranges,
    seeds_text,
)

BN = ("model.norm.placement=pre",)
LR = ("optim.lr=0.2",)


def climb(reaches: int | None, *, epochs: int = 4) -> list[float]:
    """Validation accuracies that come to 0.8 in one epoch; None for never."""
    return [0.8 if reaches is not None and e >= reaches else 0.1 for e in range(epochs + 1)]


def arms(*groups: Sequence[Run]) -> list[Arm]:
    return arms_of([run for group in groups for run in group])


def one(comparison: Comparison, metric: str, target: float | None = None) -> Difference:
    (found,) = comparison.differences_in(metric, target=target)
    return found


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
    found = compare_arms(arms(*groups)).differences_in("final_val_loss")
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


def test_seeds_are_told_briefly() -> None:
    assert ranges([4, 0, 1, 2, 9, 11, 10]) == "0-2, 4, 9-11"
    assert (seeds_text([3]), seeds_text([3, 4])) == ("seed 3", "seeds 3-4")
