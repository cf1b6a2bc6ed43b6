"""From runs to verdicts: which numbers a claim takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from bninit.config import Config
from bninit.metrics import METRICS
from bninit.verbs.study.decide import decide
from bninit.verbs.study.expand import expand
from bninit.verbs.study.load import study_from_dict

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

    def metrics(self) -> pd.DataFrame:
        there = [self._reached is not None and epoch >= self._reached for epoch in range(5)]
        return pd.DataFrame(
            {
                "epoch": range(5),
                "step": range(0, 50, 10),
                "seconds": [float(epoch) for epoch in range(5)],
                "val_accuracy": [0.95 if one else 0.1 for one in there],
            }
        )

    def step_losses(self) -> npt.NDArray[np.floating]:
        return np.ones(4)


def _decide(claim: Mapping[str, Any], *, stack_size: int = 1, lost: int = 0) -> Any:
    study = study_from_dict(
        {**STUDY, "claims": [{"id": "c", "says": "it is so", **claim}]}, metrics=METRICS
    )
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
    (found,) = decide(study.claims, arms, runs)
    return found


def test_seeds_are_the_unit_and_open_axes_are_averaged() -> None:
    found = _decide({"metric": "test_accuracy", **SIDES, "expect": "greater"})
    assert found.verdict.outcome == "supported"
    assert found.verdict.n == 10, "not the twenty pairs of two learning rates"
    assert found.left.values.shape == (10, 2)
    by_seed = found.left.values.mean(axis=1) - found.right.values.mean(axis=1)
    assert found.verdict.effect == pytest.approx(by_seed.mean())


def test_the_other_expectation_is_contradicted() -> None:
    found = _decide({"metric": "test_accuracy", **SIDES, "expect": "less"})
    assert found.verdict.outcome == "contradicted"


def test_a_seed_with_a_missing_run_is_lost_and_told() -> None:
    found = _decide({"metric": "test_accuracy", **SIDES, "expect": "greater"}, lost=3)
    assert found.seeds == tuple(range(3, 10))
    assert found.verdict.num_lost == 3


def test_nothing_is_decided_without_runs() -> None:
    found = _decide({"metric": "test_accuracy", **SIDES, "expect": "greater"}, lost=10)
    assert found.verdict.outcome == "undecided"
    assert found.left.values.shape == (0, 2)


def test_a_side_against_a_number_in_percent() -> None:
    claim = {"metric": "test_accuracy", "left": SIDES["left"], "right": 0.9, "expect": "greater"}
    found = _decide(claim)
    assert found.verdict.outcome == "supported"
    assert "97.0" in found.verdict.sentence
    assert "more than 90.00 %" in found.verdict.sentence


def test_networks_that_share_a_clock_are_one_measurement_of_time() -> None:
    claim = {"metric": "seconds_to_accuracy", "target": 0.9, **SIDES, "expect": "less"}
    assert _decide(claim, stack_size=1).verdict.outcome == "supported"
    shared = _decide(claim, stack_size=10)
    assert shared.verdict.outcome == "undecided"
    assert shared.verdict.n == 1
    assert "share its clock" in shared.verdict.sentence
    steps = {"metric": "steps_to_accuracy", "target": 0.9, **SIDES, "expect": "less"}
    assert _decide(steps, stack_size=10).verdict.outcome == "supported", "steps need no clock"
