"""A claim seed by seed: the numbers behind its verdict, laid out for a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bninit.analysis.claims import ClaimResult, Side
from bninit.analysis.inference import Floats
from bninit.analysis.metrics import horizon_of
from bninit.analysis.questions import Measure, Question, gather
from bninit.analysis.sentences import Wording
from bninit.analysis.statistics import subtract
from bninit.analysis.survival import ReachedCurve, reached_curve
from bninit.config import StudyArm
from bninit.config.labels import value_label
from bninit.config.sides import sides_of

Kind = Literal["pairs", "tally", "times", "levels", "number"]
"""What there is to see: two values for each seed, yes or no for each seed, how many got there by
when, the levels of an axis, or values beside a number."""

SHARES = ("diverged", "reached")
"""Metrics that are 1 or 0: they happen to a run, or they do not."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Level:
    """One level of the axis that a spread or a trend is taken over.

    Attributes:
        label: Its value on the axis.
        values: Mean over the open axes for each seed, (seed,); NaN where a run has no value.
        mean: Over the seeds that have a value; None if none has.
        num_without: Seeds with NaN.
    """

    label: str
    values: Floats
    mean: float | None
    num_without: int


@dataclass(frozen=True, kw_only=True, eq=False)
class SidePortrait:
    """One side of a claim.

    Attributes:
        says: In words.
        arms: Its arms.
        values: For each seed what the verdict took of it, (seed,): the value, mean over the
            side's arms; the spread; or the slope. A run that never reached its target counts as
            one epoch after the last; infinite where a run diverged and ranks as the worst.
        mean: Over the finite values; None if there are none.
        num_runs: Runs.
        num_without: Runs without a value: diverged, or never there.
        levels: Of the claim's axis, in its order; empty without one.
        curve: Share of runs that have reached the target by each time, for such metrics.
    """

    says: str
    arms: tuple[StudyArm, ...]
    values: Floats
    mean: float | None
    num_runs: int
    num_without: int
    levels: tuple[Level, ...]
    curve: ReachedCurve | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Portrait:
    """A claim as its picture shows it, in the metric's own unit.

    Attributes:
        kind: What there is to see.
        left: The left side.
        right: The right side; None for a trend, or against a number.
        differences: Left minus right for each seed, (seed,): their mean (or median) is the
            verdict's effect. Left itself for a trend, left minus the number for a number.
        last_seen: Time until which the runs were watched, for times to a target.
        averaged: What the claim leaves open, by dotted key: labels of the values that it is
            averaged over.
    """

    kind: Kind
    left: SidePortrait
    right: SidePortrait | None
    differences: Floats
    last_seen: float | None
    averaged: Mapping[str, tuple[str, ...]]


def portrait(found: ClaimResult, *, arms: Sequence[StudyArm]) -> Portrait:
    """Lays out what a verdict rests on.

    Args:
        found: What the runs say of the claim.
        arms: The study's arms.
    """
    claim = found.claim
    sides = sides_of(claim, arms)
    mine = {arm.label: arm for arm in arms if arm.experiment == claim.experiment}
    horizon, last_seen = _times(found, mine[found.left.arms[0]])

    def side(given: Side) -> SidePortrait:
        its_arms = tuple(mine[label] for label in given.arms)
        num_levels = max(1, len(sides.levels))
        shape = (len(given.values), len(its_arms) // num_levels, num_levels)
        cube = given.values.reshape(shape)
        values = _per_seed(found, cube, scores=sides.scores, horizon=horizon)
        curve = None
        if last_seen is not None and sides.over is None and given.values.size:
            curve = reached_curve(given.values.ravel(), last_seen=last_seen)
        return SidePortrait(
            says=given.says,
            arms=its_arms,
            values=values,
            mean=_mean(values),
            num_runs=given.values.size,
            num_without=int(np.isnan(given.values).sum()),
            levels=tuple(
                _level(value_label(level), cube[:, :, index].mean(axis=1))
                for index, level in enumerate(sides.levels)
                if len(cube)
            ),
            curve=curve,
        )

    left = side(found.left)
    right = side(found.right) if found.right is not None else None
    if right is not None:
        differences = subtract(left.values, right.values)
    else:
        differences = left.values - (sides.right if isinstance(sides.right, float) else 0.0)
    return Portrait(
        kind=_kind(found),
        left=left,
        right=right,
        differences=differences,
        last_seen=last_seen,
        averaged=_averaged([*left.arms, *(right.arms if right else ())], axes=sides.axes),
    )


def _kind(found: ClaimResult) -> Kind:
    if found.claim.shape in ("spread", "trend"):
        return "levels"
    if found.metric.censored:
        return "times"
    if found.metric.name in SHARES and len(found.left.arms) == 1:
        return "tally"
    return "pairs" if found.right is not None else "number"


def _times(found: ClaimResult, arm: StudyArm) -> tuple[float | None, float | None]:
    """What a target that was not reached counts as, and until when runs were watched."""
    if not found.metric.censored:
        return None, None
    horizon = horizon_of(found.metric, arm.config)
    if horizon is not None:
        epochs = arm.config.train.epochs
        return horizon, horizon * epochs / (epochs + 1)
    sides = [found.left.values, *([found.right.values] if found.right else [])]
    seen = np.concatenate([values.ravel() for values in sides])
    latest = float(np.nanmax(seen)) if np.isfinite(seen).any() else 1.0
    return latest, latest


def _per_seed(
    found: ClaimResult, cube: Floats, *, scores: Sequence[float] | None, horizon: float | None
) -> Floats:
    """One number per seed, (seed,), as the verdict takes it: `questions.gather` against 0.

    Args:
        found: The verdict.
        cube: (seed, cell, level), one level without an axis.
        scores: Positions of a trend's levels.
        horizon: What a target that was not reached counts as.
    """
    if not len(cube):
        return np.empty(0)
    shape = found.claim.shape
    measure: Measure = shape if shape in ("spread", "trend") else "mean"
    question = Question(
        name=found.claim.id,
        expect="less",
        left=cube[..., 0] if measure == "mean" else cube,
        right=0.0,
        measure=measure,
        scores=scores,
        horizon=horizon,
        worse=None if found.metric.censored else found.metric.worse,
        wording=Wording(left="", quantity=""),
    )
    return gather(question).differences


def _level(label: str, values: Floats) -> Level:
    num_without = int(np.isnan(values).sum())
    return Level(label=label, values=values, mean=_mean(values), num_without=num_without)


def _mean(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def _averaged(arms: Sequence[StudyArm], *, axes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Labels of the values on the axes that a claim leaves open."""
    labels = {
        axis: tuple(dict.fromkeys(value_label(arm.values[axis]) for arm in arms)) for axis in axes
    }
    return {axis: found for axis, found in labels.items() if len(found) > 1}
