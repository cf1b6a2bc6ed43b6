"""A claim as numbers: two sides, what is measured within a seed, and what is expected.

Whatever the claim, it comes down to one number per seed (`measure`): a mean over the cells that
the claim does not name, a spread over the levels of an axis, or a slope along one, on the left
minus the same on the right (or minus a number). What the numbers then say is `inference`'s job.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from bninit.analysis.inference import (
    Floats,
    Inference,
    infer,
)
from bninit.analysis.measures import (
    gini_mean_difference,
    gini_weights,
    slope,
    slope_weights,
)
from bninit.analysis.sentences import Wording
from bninit.analysis.shares import PairedShareInference, ShareInference
from bninit.analysis.statistics import Worse, finite, restricted, subtract

Expect = Literal["less", "greater", "equal"]
Measure = Literal["mean", "spread", "trend"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """One claim, with its data.

    Attributes:
        name: Id of the claim.
        expect: What the claim says of left minus right: "less" or "greater" than `margin`, or
            "equal" (within plus or minus `margin`).
        left: Values of the left side, shape (seed, cell); (seed, cell, level) for a spread or a
            trend; (seed,) is short for one cell. NaN: the run diverged, or never got there.
        right: The same for the right side, or a number to hold the left side against
            (0 for a trend of one side).
        measure: What is taken within a seed, before averaging over cells: the value itself; the
            mean difference between two levels drawn at random (Gini's mean difference: in the
            metric's unit, robuster than the range or the standard deviation, as all pairs of
            levels count alike); or the least-squares slope along the levels' `scores`.
        scores: Position of each level, shape (level,); needed for a trend.
        margin: For "less" and "greater" the least size that matters: "less" with margin 2 means
            lower by more than 2; a negative margin is a tolerance. For "equal" the tolerance.
        resolution: Step in which the metric is recorded: 1 for epochs, 1 / num_examples for an
            accuracy, the steps of an epoch for steps to a target; 0 if continuous.
        horizon: For times to a target: what a run that never got there counts as, the earliest
            time at which it could have (E + 1 after E epochs). See `survival`.
        worse: For other metrics with NaN: the end at which a diverged run ranks, beyond all
            numbers. Without it a claim whose runs have NaN is left undecided.
        share: Whether the values are 0 and 1 (diverged or not, reached or not); decided by exact
            binomial tests where a seed has one cell.
        num_lost: Seeds left out for a missing run, to be told in the verdict.
        wording: The words of the verdict's sentence.
    """

    name: str
    expect: Expect
    left: ArrayLike
    right: ArrayLike
    measure: Measure = "mean"
    scores: ArrayLike | None = None
    margin: float = 0.0
    resolution: float = 0.0
    horizon: float | None = None
    worse: Worse | None = None
    share: bool = False
    num_lost: int = 0
    wording: Wording


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the data of one question hold.

    Attributes:
        differences: One number per seed, shape (seed,): left minus right; may be infinite or NaN.
        inference: Over these; None where nothing can be inferred.
        num_nan_left: Left runs that are NaN: diverged, or never got there.
        num_nan_right: Right runs that are NaN.
        num_runs_left: All left runs.
        num_runs_right: All right runs; 0 where the right side is a number.
        unknown: NaN without a rank: the claim does not say what a diverged run counts as.
        nobody_got_there: Every run of every side missed the target.
        equality_open: A target was missed in a way that leaves open how far apart the sides are.
        unbounded_above: The true effect may be larger than anything measured: unreached targets
            count at their earliest, so a mean held against a number, and the left side's spread,
            are lower bounds.
        unbounded_below: It may be smaller, as the right side's spread is a lower bound.
    """

    differences: Floats
    inference: Inference | None
    num_nan_left: int
    num_nan_right: int
    num_runs_left: int
    num_runs_right: int
    unknown: bool
    nobody_got_there: bool
    equality_open: bool
    unbounded_above: bool
    unbounded_below: bool

    @property
    def n(self) -> int:
        """Seeds used."""
        return len(self.differences)

    @property
    def effect(self) -> float | None:
        """Mean over seeds (median for ranks, share for shares); None where there is none."""
        if self.inference is not None:
            return finite(self.inference.effect)
        if self.n == 0 or self.unknown or self.nobody_got_there:
            return None
        return finite(float(self.differences.mean()))


def gather(question: Question) -> Evidence:
    """Reduce a question to one number per seed and choose the inference for it.

    Raises:
        ValueError: For sides of different shapes, a trend without scores, a share with other
            values than 0 and 1, or an equality without a margin.
    """
    left = _cube(question.left, question)
    against_number = np.ndim(question.right) == 0
    right = None if against_number else _cube(question.right, question)
    _check(question, left, right)
    n = len(left)
    differences = _differences(left, right, question)
    missed_left = np.isnan(left)
    missed_right = np.isnan(right) if right is not None else np.zeros((n, 0), dtype=bool)
    num_missed = int(missed_left.sum() + missed_right.sum())
    censored = question.horizon is not None and num_missed > 0
    unknown = num_missed > 0 and question.horizon is None and question.worse is None
    nobody = censored and num_missed == missed_left.size + missed_right.size
    spread = question.measure == "spread"
    both_missed = right is not None and bool((missed_left & missed_right).any())
    inference: Inference | None = None
    if not unknown and not nobody and n > 0:
        if question.share and left.size == n:
            inference = _share(left, right)
        else:
            inference = _mean(differences, left.shape, question)
    return Evidence(
        differences=differences,
        inference=inference,
        num_nan_left=int(missed_left.sum()),
        num_nan_right=int(missed_right.sum()),
        num_runs_left=missed_left.size,
        num_runs_right=missed_right.size,
        unknown=unknown,
        nobody_got_there=nobody,
        equality_open=censored and (question.measure != "mean" or right is None or both_missed),
        unbounded_above=censored
        and bool(missed_left.any())
        and (spread or (right is None and question.measure == "mean")),
        unbounded_below=censored and bool(missed_right.any()) and spread,
    )


def _check(question: Question, left: Floats, right: Floats | None) -> None:
    """Refuse what no data could mend."""
    name = question.name
    if right is not None and left.shape != right.shape:
        raise ValueError(f"{name}: sides of different shapes: {left.shape} and {right.shape}")
    if question.expect == "equal" and question.margin <= 0:
        raise ValueError(f"{name}: an equality needs a positive margin, not {question.margin}")
    if question.measure != "mean" and left.shape[-1] < 2:
        raise ValueError(f"{name}: a {question.measure} needs at least two levels")
    if question.measure == "trend" and np.shape(_scores(question)) != left.shape[-1:]:
        raise ValueError(f"{name}: a trend needs one score for each of {left.shape[-1]} levels")
    if question.measure == "trend" and np.ptp(_scores(question)) == 0:
        raise ValueError(f"{name}: a trend needs levels at different scores")
    if question.share:
        for side in (left, right):
            if side is not None and not np.isin(side, (0.0, 1.0)).all():
                raise ValueError(f"{name}: a share is counted from values 0 and 1 only")


def _cube(side: ArrayLike, question: Question) -> Floats:
    """A side as (seed, cell, level), with one level for a mean."""
    values = np.asarray(side, dtype=np.float64)
    if question.measure == "mean":
        values = values[..., None]
    if values.ndim == 2:
        values = values[:, None, :]
    if values.ndim != 3:
        raise ValueError(f"{question.name}: a {question.measure} cannot use shape {np.shape(side)}")
    return values


def _share(left: Floats, right: Floats | None) -> Inference:
    mine = left.reshape(-1) == 1
    if right is None:
        return ShareInference(int(mine.sum()), len(mine))
    theirs = right.reshape(-1) == 1
    return PairedShareInference(int((mine & ~theirs).sum()), int((theirs & ~mine).sum()), len(mine))


def _differences(left: Floats, right: Floats | None, question: Question) -> Floats:
    mine = _per_seed(left, question)
    if right is None:
        return subtract(mine, float(np.asarray(question.right)))
    return subtract(mine, _per_seed(right, question))


def _mean(differences: Floats, shape: tuple[int, ...], question: Question) -> Inference | None:
    num_seeds, num_cells, num_levels = shape
    num_sides = 1 if np.ndim(question.right) == 0 else 2
    weights = _weights(question, num_levels=num_levels)
    # Rounding errors of the recorded values are independent: their variances add up, weighted.
    resolution = 1.0 if question.share else question.resolution
    rounding = resolution**2 / 12 * float((weights**2).sum()) / num_cells
    step = resolution * float(np.abs(weights[weights != 0]).min()) / num_cells
    return infer(
        differences,
        variance_floor=rounding * num_sides,
        half_step=_jump(differences, step=step) / (2 * num_seeds),
        symmetric=num_sides == 2 or question.measure == "trend",
    )


def _jump(differences: Floats, *, step: float) -> float:
    """Smallest jump that the differences show: a multiple of the step, or else the step."""
    if step == 0 or not np.isfinite(differences).all():
        return step
    counts = np.rint(differences / step)
    on_steps = np.allclose(counts * step, differences, rtol=0, atol=1e-6 * step)
    return step * max(1, int(np.gcd.reduce(counts.astype(np.int64)))) if on_steps else step


def _per_seed(side: Floats, question: Question) -> Floats:
    """One number per seed, shape (seed,): the measure in each cell, averaged over cells."""
    values = restricted(side, horizon=question.horizon)
    if question.worse is not None:
        values = np.where(np.isnan(values), np.inf if question.worse == "high" else -np.inf, values)
    if question.measure == "spread":
        per_cell = gini_mean_difference(values)
    elif question.measure == "trend":
        per_cell = slope(values, scores=_scores(question))
    else:
        per_cell = values[..., 0]
    if question.worse is None:
        return np.asarray(per_cell.mean(axis=1))
    with np.errstate(invalid="ignore"):
        means = per_cell.mean(axis=1)
    # Infinite slopes of both signs within a seed: no order.
    return np.where(np.isnan(means), 0.0, means)


def _weights(question: Question, *, num_levels: int) -> Floats:
    """Weight of each level in the measure (of the sorted levels, for a spread)."""
    if question.measure == "spread":
        return gini_weights(num_levels)
    if question.measure == "trend":
        return slope_weights(_scores(question))
    return np.ones(1)


def _scores(question: Question) -> Floats:
    """Positions of the levels, shape (level,); empty where the claim has none."""
    return np.asarray(() if question.scores is None else question.scores, dtype=np.float64)
