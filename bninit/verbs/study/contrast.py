"""The numbers of a claim: two sides, the measure of each seed, and the inference over seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from bninit.fields import Plain
from bninit.metrics import Metric
from bninit.stats import (
    Floats,
    Inference,
    PairedShareInference,
    ShareInference,
    Worse,
    finite,
    infer,
    restricted,
    subtract,
)
from bninit.verbs.study.expand import StudyArm, value_labels
from bninit.verbs.study.schema import Claim

Outcome = Literal["supported", "contradicted", "undecided"]
Expect = Literal["less", "greater", "equal"]
Measure = Literal["mean", "spread", "trend"]
Kind = Literal["pairs", "tally", "times", "levels", "number"]
"""What a chart of a claim shows: two values per seed, yes or no per seed, how many runs reached
the target by when, the levels of an axis, or values beside a number."""

_EXPECT: dict[str, Expect] = {
    "less": "less",
    "greater": "greater",
    "equal": "equal",
    "increasing": "greater",
    "decreasing": "less",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """One side of a claim.

    Attributes:
        says: In words: "with batch norm before the activation".
        arms: Its arms, cell by cell, the levels of a cell in their order.
        values: The metric, shape (seed, cell, level), one level without an axis; NaN for a run
            that diverged or never reached the target.
    """

    says: str
    arms: tuple[StudyArm, ...]
    values: Floats

    @property
    def num_missing(self) -> int:
        """Runs without a value."""
        return int(np.isnan(self.values).sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class Contrast:
    """A claim with the numbers of its runs.

    Seeds are the independent unit: within a seed the measure is taken in each cell and averaged
    over cells. The measure is the value itself; or, over the levels of an axis, the mean
    difference between two levels drawn at random (Gini's mean difference: in the metric's unit,
    robuster than the range or the standard deviation, as all pairs of levels count alike); or
    the least-squares slope along the levels' scores.

    Attributes:
        claim: As in the study.
        metric: What is measured.
        left: The left side.
        right: The right side; None against a number and for a trend.
        seeds: Seeds of which every needed run is finished.
        num_lost: Seeds left out for a missing run.
        axes: Dotted keys that the claim leaves open; their values are the cells.
        levels: Values on the axis of a spread or a trend.
        scores: Position of each level of a trend, shape (level,).
        resolution: Step in which the metric is recorded: 1 for epochs, 1 / num_examples for an
            accuracy; 0 if continuous.
        horizon: For times to a target: what a run that never reached it counts as, the earliest
            time at which it could have (E + 1 after E epochs); None for other metrics.
        last_seen: For times to a target: until when runs were watched.
        one_clock: Whether the metric is wall-clock time of networks that trained in one stack:
            their times are one measurement.
    """

    claim: Claim
    metric: Metric
    left: Side
    right: Side | None
    seeds: tuple[int, ...] = ()
    num_lost: int = 0
    axes: tuple[str, ...] = ()
    levels: tuple[Plain, ...] = ()
    scores: tuple[float, ...] | None = None
    resolution: float = 0.0
    horizon: float | None = None
    last_seen: float | None = None
    one_clock: bool = False

    @property
    def expect(self) -> Expect:
        """What the claim says of left minus right, or of the slope."""
        return _EXPECT[self.claim.expect]

    @property
    def measure(self) -> Measure:
        """What is taken of a seed."""
        shape = self.claim.shape
        return shape if shape == "spread" or shape == "trend" else "mean"

    @property
    def number(self) -> float | None:
        """The number that the left side is held against, if it is."""
        return self.claim.right if isinstance(self.claim.right, float) else None

    @property
    def worse(self) -> Worse | None:
        """The end at which a diverged run ranks, beyond all numbers; None without an order."""
        return None if self.metric.censored else self.metric.worse

    @property
    def is_share(self) -> bool:
        """Whether the values are 0 and 1."""
        return self.metric.is_share and self.measure == "mean"

    @property
    def kind(self) -> Kind:
        """What a chart shows."""
        if self.measure != "mean":
            return "levels"
        if self.metric.censored:
            return "times"
        if self.is_share and len(self.left.arms) == 1:
            return "tally"
        return "pairs" if self.right is not None else "number"

    @property
    def arms(self) -> tuple[StudyArm, ...]:
        """The arms of both sides."""
        return (*self.left.arms, *(self.right.arms if self.right else ()))

    @property
    def averaged(self) -> dict[str, tuple[str, ...]]:
        """Labels of the values that a seed is averaged over, by dotted key."""
        labels = value_labels(self.arms, self.axes)
        return {axis: found for axis, found in labels.items() if len(found) > 1}

    @property
    def differences(self) -> Floats:
        """Left minus right (or minus the number; or the slope) of each seed, shape (seed,)."""
        return self.difference(self.left.values, self.right.values if self.right else None)

    def difference(self, left: Floats, right: Floats | None) -> Floats:
        """`differences` of other values, each of shape (seed, cell, level)."""
        if right is None:
            return subtract(self.per_seed(left), self.number or 0.0)
        return subtract(self.per_seed(left), self.per_seed(right))

    def per_seed(self, values: Floats) -> Floats:
        """The measure of each seed, shape (seed,), of values of shape (seed, cell, level).

        A run that diverged is infinite where the metric has a worse end, else NaN.
        """
        values = restricted(values, horizon=self.horizon)
        if self.worse is not None:
            end = np.inf if self.worse == "high" else -np.inf
            values = np.where(np.isnan(values), end, values)
        if self.measure == "spread":
            per_cell = gini_mean_difference(values)
        elif self.measure == "trend":
            per_cell = slope(values, scores=self.scores or ())
        else:
            per_cell = values[..., 0]
        with np.errstate(invalid="ignore"):
            means = np.asarray(per_cell.mean(axis=1))
        # Infinite slopes of both signs within a seed: no order.
        return means if self.worse is None else np.where(np.isnan(means), 0.0, means)

    def weights(self) -> Floats:
        """Weight of each level in the measure (of the sorted levels, for a spread)."""
        if self.measure == "spread":
            return gini_weights(self.left.values.shape[-1])
        return slope_weights(np.asarray(self.scores)) if self.measure == "trend" else np.ones(1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict(Contrast):
    """A contrast that is decided: all that sentence, table, file and chart show of a claim.

    Attributes:
        outcome: "supported", "contradicted" or "undecided".
        effect: Left minus right (or minus the number; or the slope), in the metric's unit; None
            where it is not finite or nothing could be computed.
        low: Lower end of the interval; None for no bound or no interval.
        high: Upper end of the interval; None for no bound or no interval.
        level: Confidence of the interval, at which the claim was decided.
        n: Seeds used; 1 for networks that share a clock.
        p_value: Smallest level at which this claim alone would be decided (as supported or as
            contradicted).
        p_adjusted: The same after Holm's correction: decided if at most alpha.
        method: The inference used.
        reason: Why it is undecided; empty otherwise.
        notes: What a reader has to know about the runs, a sentence each.
    """

    outcome: Outcome
    effect: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    p_value: float
    p_adjusted: float
    method: str
    reason: str
    notes: tuple[str, ...]


def gini_mean_difference(values: Floats) -> Floats:
    """Mean absolute difference of two distinct entries of the last axis.

    For k sorted values the sum of (2i - k - 1) x_(i), times 2 / (k (k - 1)) (Gini 1912; David
    1968, Biometrika 55, 573-575). Infinite as soon as one value is.

    Args:
        values: Shape (..., level) with at least two levels.
    """
    weights = gini_weights(values.shape[-1])
    with np.errstate(invalid="ignore"):
        spread = np.asarray((np.sort(values, axis=-1) * weights).sum(axis=-1))
    return np.where(np.isinf(values).any(axis=-1), np.inf, spread)


def slope(values: Floats, *, scores: ArrayLike) -> Floats:
    """Least-squares slope along the last axis: change of the value per unit of the score.

    Args:
        values: Shape (..., level); with an infinite value (a run that ranks as the worst) the
            slope is infinite, with the sign of Kendall's score, or 0 if that is 0.
        scores: Position of each level, shape (level,).
    """
    position = np.asarray(scores, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        finite = np.asarray((values * slope_weights(position)).sum(axis=-1))
        steps = np.sign(subtract(values[..., :, None], values[..., None, :]))
    order = np.sign(position[:, None] - position[None, :])
    kendall = (steps * order).sum(axis=(-2, -1))
    ranked = np.where(kendall == 0, 0.0, np.copysign(np.inf, kendall))
    return np.where(np.isinf(values).any(axis=-1), ranked, finite)


def gini_weights(num_levels: int) -> Floats:
    """Weights of the sorted values in Gini's mean difference, shape (level,)."""
    ranks = np.arange(1, num_levels + 1)
    return np.asarray(2 * (2 * ranks - num_levels - 1) / (num_levels * (num_levels - 1)))


def slope_weights(position: Floats) -> Floats:
    """Weights of the values in the least-squares slope along `position`, shape (level,)."""
    centred = position - position.mean()
    return np.asarray(centred / (centred**2).sum())


class Estimate:
    """Inference over the seeds of a contrast.

    Attributes:
        contrast: The contrast.
        differences: One number per seed, shape (seed,); one in all for networks with one clock.
        inference: Over these; None where nothing can be inferred.
        num_missing: Runs of each side without a value.
        num_runs: All runs of each side; one per arm for networks with one clock.
        is_unknown: Runs have no value, and the metric has no end to rank them at.
        all_censored: Every run of every side missed the target.
        equality_open: A target was missed in a way that leaves open how far apart the sides are.
        unbounded_above: The true effect may be larger than anything measured: unreached targets
            count at their earliest, so a mean held against a number, and the left side's spread,
            are lower bounds.
        unbounded_below: It may be smaller, as the right side's spread is a lower bound.
    """

    def __init__(self, contrast: Contrast) -> None:
        self.contrast = contrast
        left = _measurements(contrast.left, contrast)
        right = None if contrast.right is None else _measurements(contrast.right, contrast)
        missing = [np.isnan(side) for side in (left, right) if side is not None]
        self.num_missing = [int(each.sum()) for each in missing]
        self.num_runs = [each.size for each in missing]
        any_missing = sum(self.num_missing) > 0
        censored = any_missing and contrast.horizon is not None
        self.differences = contrast.difference(left, right)
        self.is_unknown = any_missing and contrast.horizon is None and contrast.worse is None
        self.all_censored = censored and self.num_missing == self.num_runs
        is_spread = contrast.measure == "spread"
        leaves_open = right is None or bool((missing[0] & missing[-1]).any())
        self.equality_open = censored and (contrast.measure != "mean" or leaves_open)
        is_bound = is_spread or (right is None and contrast.measure == "mean")
        self.unbounded_above = censored and self.num_missing[0] > 0 and is_bound
        self.unbounded_below = (
            censored and right is not None and self.num_missing[-1] > 0 and is_spread
        )
        self.inference: Inference | None = None
        if self.n > 0 and not self.is_unknown and not self.all_censored:
            if contrast.is_share and left.size == self.n:
                self.inference = _share(left, right)
            else:
                self.inference = self._mean(left.shape)

    @property
    def n(self) -> int:
        """Seeds used."""
        return len(self.differences)

    @property
    def offset(self) -> float:
        """The inference's own zero: a share keeps its scale, all else is a difference."""
        return (self.contrast.number or 0.0) if isinstance(self.inference, ShareInference) else 0.0

    @property
    def effect(self) -> float | None:
        """Mean over seeds (median for ranks, share for shares); None where there is none."""
        if self.inference is not None:
            effect = finite(self.inference.effect)
            return None if effect is None else effect - self.offset
        if self.n == 0 or self.is_unknown or self.all_censored:
            return None
        return finite(float(self.differences.mean()))

    def leaning(self) -> tuple[Outcome, float]:
        """The outcome that the data are closest to, and the smallest level at which it is given."""
        inference, contrast = self.inference, self.contrast
        if inference is None:
            return "undecided", 1.0

        def p_greater(value: float) -> float:
            return 1.0 if self.unbounded_below else inference.p_greater(value)

        def p_less(value: float) -> float:
            return 1.0 if self.unbounded_above else inference.p_less(value)

        offset, margin = self.offset, contrast.claim.signed_margin
        if contrast.expect == "equal":
            inside = max(p_greater(offset - margin), p_less(offset + margin))
            supported = 1.0 if self.equality_open else inside
            contradicted = 2 * min(p_less(offset - margin), p_greater(offset + margin))
        else:
            bound = offset + (-margin if contrast.expect == "less" else margin)
            above, below = 2 * p_greater(bound), 2 * p_less(bound)
            is_less = contrast.expect == "less"
            supported, contradicted = (below, above) if is_less else (above, below)
        if supported <= contradicted:
            return "supported", min(1.0, supported)
        return "contradicted", min(1.0, contradicted)

    def interval(self, error: float) -> tuple[float | None, float | None]:
        """The interval with confidence 1 - error around the effect; None for no bound."""
        ends = None if self.inference is None else self.inference.interval(error)
        if ends is None:
            return None, None
        low = None if self.unbounded_below else finite(ends[0] - self.offset)
        high = None if self.unbounded_above else finite(ends[1] - self.offset)
        return low, high

    def _mean(self, shape: tuple[int, ...]) -> Inference | None:
        contrast = self.contrast
        num_seeds, num_cells, _ = shape
        num_sides = 1 if contrast.right is None else 2
        weights = contrast.weights()
        # Rounding errors of the recorded values are independent: their variances add up, weighted.
        resolution = 1.0 if contrast.is_share else contrast.resolution
        rounding = resolution**2 / 12 * float((weights**2).sum()) / num_cells
        step = resolution * float(np.abs(weights[weights != 0]).min()) / num_cells
        return infer(
            self.differences,
            variance_floor=rounding * num_sides,
            half_step=_jump(self.differences, step=step) / (2 * num_seeds),
            symmetric=num_sides == 2 or contrast.measure == "trend",
        )


def _measurements(side: Side, contrast: Contrast) -> Floats:
    """Independent values of a side: over one clock, the mean over seeds as the one that it is."""
    if not contrast.one_clock:
        return side.values
    values = side.values
    if contrast.horizon is not None:
        values = np.where(np.isnan(values), contrast.horizon, values)
    return np.asarray(values.mean(axis=0, keepdims=True))


def _share(left: Floats, right: Floats | None) -> Inference:
    mine = left.reshape(-1) == 1
    if right is None:
        return ShareInference(int(mine.sum()), len(mine))
    theirs = right.reshape(-1) == 1
    return PairedShareInference(int((mine & ~theirs).sum()), int((theirs & ~mine).sum()), len(mine))


def _jump(differences: Floats, *, step: float) -> float:
    """Smallest jump that the differences show: a multiple of the step, or else the step."""
    if step == 0 or not np.isfinite(differences).all():
        return step
    counts = np.rint(differences / step)
    on_steps = np.allclose(counts * step, differences, rtol=0, atol=1e-6 * step)
    return step * max(1, int(np.gcd.reduce(counts.astype(np.int64)))) if on_steps else step
