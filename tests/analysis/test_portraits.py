"""What a claim's picture shows is what its verdict rests on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bninit.verbs.study.evidence import Portrait, portrait

if TYPE_CHECKING:
    from bninit.verbs.study.decide import ClaimResult
    from bninit.verbs.study.run import StudyResult

KINDS = {
    "sides": "pairs",
    "equal": "pairs",
    "times": "times",
    "steps": "times",
    "seconds": "times",
    "number": "number",
    "spread": "levels",
    "trend": "levels",
    "tally": "tally",
    "tally/number": "tally",
    "lost": "pairs",
    "averaged": "pairs",
}


@pytest.fixture(scope="module")
def shown(tiny_study: StudyResult) -> dict[str, tuple[ClaimResult, Portrait]]:
    return {
        found.claim.id: (found, portrait(found, arms=tiny_study.arms))
        for found in tiny_study.claims
    }


@pytest.mark.parametrize("claim", KINDS)
def test_the_differences_give_the_verdicts_effect(
    claim: str, shown: dict[str, tuple[ClaimResult, Portrait]]
) -> None:
    found, mine = shown[claim]
    assert len(mine.differences) == 5
    # Its networks shared a clock: five times, one measurement.
    assert found.verdict.n == (1 if claim == "seconds" else 5)
    middle = np.median if found.verdict.method == "sign" else np.mean
    effect = float(middle(mine.differences))
    if found.verdict.effect is None:
        assert math.isinf(effect)
    else:
        assert effect == pytest.approx(found.verdict.effect, abs=1e-12)


@pytest.mark.parametrize(("claim", "kind"), KINDS.items())
def test_kinds(claim: str, kind: str, shown: dict[str, tuple[ClaimResult, Portrait]]) -> None:
    assert shown[claim][1].kind == kind


def test_sides_are_what_the_runs_say(
    tiny_study: StudyResult, shown: dict[str, tuple[ClaimResult, Portrait]]
) -> None:
    _, mine = shown["sides"]
    (arm,) = mine.left.arms
    summaries = [tiny_study.runs[arm.id, seed].summary for seed in range(5)]
    assert mine.left.values.tolist() == [s["test_accuracy"] for s in summaries if s]
    assert arm.config.model.norm.input
    assert arm.config.optim.lr == 0.1


def test_what_was_never_reached_counts_as_one_epoch_later(
    shown: dict[str, tuple[ClaimResult, Portrait]],
) -> None:
    _, mine = shown["times"]
    assert mine.right is not None
    assert mine.right.num_without == mine.right.num_runs == 5
    assert mine.right.values.tolist() == [2.0] * 5
    assert mine.last_seen == 1.0
    assert mine.right.curve is not None
    assert mine.right.curve.num_reached == 0


def test_diverged_runs_rank_as_the_worst(
    shown: dict[str, tuple[ClaimResult, Portrait]],
) -> None:
    _, mine = shown["lost"]
    assert mine.left.values.tolist() == [-math.inf] * 5
    assert mine.left.mean is None
    assert mine.left.num_without == 5


def test_levels_come_in_order_with_their_means(
    tiny_study: StudyResult, shown: dict[str, tuple[ClaimResult, Portrait]]
) -> None:
    _, mine = shown["spread"]
    assert [level.label for level in mine.left.levels] == ["0.001", "0.1", "300"]
    lowest = mine.left.levels[0]
    arm = next(
        arm
        for arm in tiny_study.arms
        if arm.experiment == "rates"
        and arm.config.optim.lr == 0.001
        and arm.config.model.norm.input
    )
    accuracies = [
        summary["test_accuracy"]
        for seed in range(5)
        if (summary := tiny_study.runs[arm.id, seed].summary)
    ]
    assert lowest.mean == pytest.approx(sum(accuracies) / 5)
    assert mine.left.levels[2].mean is None
    assert mine.left.levels[2].num_without == 5


def test_what_a_claim_leaves_open_is_averaged(
    shown: dict[str, tuple[ClaimResult, Portrait]],
) -> None:
    assert shown["averaged"][1].averaged == {"optim.lr": ("0.001", "0.1", "300")}
    assert shown["sides"][1].averaged == {}
