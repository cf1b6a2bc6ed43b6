"""From runs to verdicts: which numbers a claim takes, and what a verdict keeps of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from bninit.config import Config
from bninit.store.epochs import Row
from bninit.verbs.study.decide import decide
from bninit.verbs.study.expand import expand
from bninit.verbs.study.load import study_from_dict
from bninit.verbs.study.sentence import sentence

if TYPE_CHECKING:
    from bninit.verbs.study.contrast import Verdict
    from bninit.verbs.study.run import StudyResult

STUDY: dict[str, Any] = {
    "name": "s",
    "seeds": 10,
    "targets": [0.9],
    "base": {"train": {"epochs": 4}},
    "experiments": {
        "e": {"over": {"optim.lr": [0.1, 0.2], "model.norm.placement": ["none", "pre"]}}
    },
}
SIDES = {"left": {"model.norm.placement": "pre"}, "right": {"model.norm.placement": "none"}}


class Kept:
    """A finished run with an accuracy and an epoch at which it reached 90 %."""

    def __init__(
        self, config: Config, *, accuracy: float | None, reached: int | None, stack_size: int
    ) -> None:
        self.config = config
        self.summary: dict[str, Any] | None = {
            "status": "diverged" if accuracy is None else "done",
            "test_accuracy": accuracy,
            "stack_size": stack_size,
            "seconds_per_epoch": 1.0,
        }
        self._reached = reached

    def rows(self) -> list[Row]:
        there = [self._reached is not None and epoch >= self._reached for epoch in range(5)]
        return [
            Row(epoch, 10 * epoch, 0.1, 1.0, 1.0, 0.5, 1.0, 0.95 if one else 0.1, float(epoch))
            for epoch, one in enumerate(there)
        ]

    def step_losses(self) -> npt.NDArray[np.floating]:
        return np.ones(4)


def _decide(
    claim: Mapping[str, Any], *, stack_size: int = 1, lost: int = 0, is_mixed: bool = False
) -> Any:
    study = study_from_dict({**STUDY, "claims": [{"id": "c", "says": "it is so", **claim}]})
    arms = expand(study)
    draws = np.random.default_rng(0)
    runs = {}
    for arm in arms:
        is_pre = arm.config.model.norm.placement == "pre"
        for seed in range(10):
            noise = float(draws.normal(0, 0.002))
            runs[arm.id, seed] = Kept(
                arm.config,
                accuracy=(0.97 if is_pre else 0.93) + noise,
                reached=int(draws.integers(1, 3)) + (0 if is_pre else 1),
                stack_size=stack_size,
            )
    for seed in range(lost):
        del runs[arms[0].id, seed]
    if is_mixed:
        # One side's arms rise along the axis, the other's fall.
        arms = [arms[0], arms[3], arms[2], arms[1]]
    (found,) = decide(study.claims, arms, runs)
    return found


@pytest.mark.parametrize("over", [{}, {"spread": "optim.lr"}])
def test_cells_and_levels_pair_whatever_the_order_of_the_arms(over: dict[str, str]) -> None:
    claim = {"metric": "test_accuracy", **SIDES, **over, "expect": "less"}
    found, mixed = _decide(claim), _decide(claim, is_mixed=True)
    rates = [[arm.config.optim.lr for arm in side.arms] for side in (mixed.left, mixed.right)]
    assert rates == [[0.1, 0.2], [0.1, 0.2]]
    assert mixed.left.values.tolist() == found.left.values.tolist()


def test_seeds_are_the_unit_and_open_axes_are_averaged() -> None:
    found = _decide({"metric": "test_accuracy", **SIDES, "expect": "greater"})
    assert found.outcome == "supported"
    assert found.n == 10, "not the twenty pairs of two learning rates"
    assert found.left.values.shape == (10, 2, 1)
    by_seed = (found.left.values - found.right.values).mean(axis=(1, 2))
    assert found.differences == pytest.approx(by_seed)
    assert found.effect == pytest.approx(by_seed.mean())
    assert _decide({"metric": "test_accuracy", **SIDES, "expect": "less"}).outcome == "contradicted"


def test_a_seed_with_a_missing_run_is_lost_and_told() -> None:
    found = _decide({"metric": "test_accuracy", **SIDES, "expect": "greater"}, lost=3)
    assert (found.seeds, found.num_lost) == (tuple(range(3, 10)), 3)
    found = _decide({"metric": "test_accuracy", **SIDES, "expect": "greater"}, lost=10)
    assert (found.outcome, found.left.values.shape) == ("undecided", (0, 2, 1))


def test_a_side_against_a_number_in_percent() -> None:
    claim = {"metric": "test_accuracy", "left": SIDES["left"], "right": 0.9, "expect": "greater"}
    found = _decide(claim)
    assert found.outcome == "supported"
    assert "97.0" in sentence(found)
    assert "more than 90.00 %" in sentence(found)


def test_networks_that_share_a_clock_are_one_measurement_of_time() -> None:
    claim = {"metric": "seconds_to_accuracy", "target": 0.9, **SIDES, "expect": "less"}
    assert _decide(claim, stack_size=1).outcome == "supported"
    shared = _decide(claim, stack_size=10)
    assert shared.outcome == "undecided"
    assert shared.n == 1
    assert "share its clock" in sentence(shared)
    steps = {"metric": "steps_to_accuracy", "target": 0.9, **SIDES, "expect": "less"}
    assert _decide(steps, stack_size=10).outcome == "supported", "steps need no clock"


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
def verdicts(tiny_study: StudyResult) -> dict[str, Verdict]:
    return {found.claim.id: found for found in tiny_study.claims}


@pytest.mark.parametrize(("claim", "kind"), KINDS.items())
def test_the_differences_give_the_verdicts_effect(
    claim: str, kind: str, verdicts: dict[str, Verdict]
) -> None:
    found = verdicts[claim]
    assert found.kind == kind
    assert len(found.differences) == 5
    # Its networks shared a clock: five times, one measurement.
    assert found.n == (1 if claim == "seconds" else 5)
    middle = np.median if found.method == "sign" else np.mean
    effect = float(middle(found.differences))
    if found.effect is None:
        assert math.isinf(effect)
    else:
        assert effect == pytest.approx(found.effect, abs=1e-12)


def test_sides_are_what_the_runs_say(tiny_study: StudyResult, verdicts: dict[str, Verdict]) -> None:
    left = verdicts["sides"].left
    (arm,) = left.arms
    assert (arm.config.model.norm.input, arm.config.optim.lr) == (True, 0.1)
    summaries = [tiny_study.runs[arm.id, seed].summary for seed in range(5)]
    assert left.values.ravel().tolist() == [s["test_accuracy"] for s in summaries if s]


def test_unreached_targets_and_diverged_runs_have_a_rank(verdicts: dict[str, Verdict]) -> None:
    times, lost = verdicts["times"], verdicts["lost"]
    assert times.right is not None
    assert times.right.num_missing == times.right.values.size == 5
    assert times.per_seed(times.right.values).tolist() == [2.0] * 5
    assert (times.last_seen, times.horizon) == (1.0, 2.0)
    assert lost.per_seed(lost.left.values).tolist() == [-math.inf] * 5
    assert lost.left.num_missing == 5


def test_levels_come_in_order(tiny_study: StudyResult, verdicts: dict[str, Verdict]) -> None:
    spread = verdicts["spread"]
    assert spread.levels == (0.001, 0.1, 300.0)
    assert [arm.config.optim.lr for arm in spread.left.arms] == [0.001, 0.1, 300.0]
    for level, arm in enumerate(spread.left.arms[:2]):
        summaries = [tiny_study.runs[arm.id, seed].summary for seed in range(5)]
        values = spread.left.values[:, 0, level].tolist()
        assert values == [s["test_accuracy"] for s in summaries if s]
    assert np.isnan(spread.left.values[:, 0, 2]).all()


def test_what_a_claim_leaves_open_is_averaged(verdicts: dict[str, Verdict]) -> None:
    assert verdicts["averaged"].averaged == {"optim.lr": ("0.001", "0.1", "300")}
    assert verdicts["sides"].averaged == {}
