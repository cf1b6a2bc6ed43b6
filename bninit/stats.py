"""Confidence intervals, exact tests, Holm's correction, censored times, and spreads over seeds.

The unit is the seed: one number per seed goes in, whatever was averaged within a seed before.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

if TYPE_CHECKING:
    import pandas as pd

    from bninit.training.records import EpochRecord

Floats: TypeAlias = NDArray[np.float64]
Interval: TypeAlias = tuple[float, float]
Worse = Literal["high", "low"]

ZERO_SPREAD = 1e-12
"""Standard deviations below this fraction of the largest value are rounding noise of floats."""


def finite(value: float) -> float | None:
    """The value, or None for an infinity or NaN (no such numbers in files and sentences)."""
    return float(value) if math.isfinite(value) else None


# -- inference from one number per seed ------------------------------------------------------
#
# Each has `effect` (point estimate, in the sample's unit), `method` (its name in tables), `floor`
# (smallest one-sided p-value that a sample of this size can give), one-sided p-values of "the true
# effect is at most" (p_greater) and "at least" a value (p_less), and a two-sided interval with
# confidence 1 - alpha (None where the sample is too small for it).


@dataclass(frozen=True)
class MeanInference:
    """Student's t for a mean, guarded against three ways in which few seeds deceive it.

    1. *Equal values.* Epochs are whole numbers: five differences of exactly -2 have no spread,
       and t would give an interval of no width. A number recorded in steps of h carries a
       rounding error of variance h^2 / 12 (Sheppard 1898), so the variance is never taken to be
       below a floor; and as the mean moves in jumps, half a jump (`half_step`) is taken off its
       distance from any value (the continuity correction).
    2. *Two-way outcomes.* Runs that end either well or badly give n equal differences by luck,
       whatever their spread. If X and Y have the same law, P(a <= Y - X <= b) is at most 1/4 for
       any 0 < a <= b < 2a: the pairs (x, y) at such a distance form a graph without triangles,
       and Motzkin & Straus (1965, Canad. J. Math. 17, 533-540, theorem 1) bound its weight by
       (1 - 1/2) / 2. So n pairs agree by luck with probability up to 4^-n on either side, and no
       one-sided p-value is allowed below `floor` = 4^-n.
    3. *Skew.* Differences of two sides with the same law are symmetric, and t errs on the safe
       side for them. A side held against a number has no partner that cancels its skew; half the
       degrees of freedom, `df` = (n - 1) / 2, keep the error rate there for a skewness of 1
       (measured; see `tests/study/test_calibration.py`).

    Attributes:
        effect: The sample mean.
        standard_error: Of the mean, after the variance floor.
        df: Degrees of freedom of the t distribution (need not be whole).
        half_step: Half the smallest jump of the mean, in its unit.
        floor: Smallest one-sided p-value; 0 for plain t.
        method: Name of the method.
    """

    effect: float
    standard_error: float
    df: float
    half_step: float = 0.0
    floor: float = 0.0
    method: str = "t"

    def _tail(self, distance: float) -> float:
        t = (distance - self.half_step) / self.standard_error
        return max(float(special.stdtr(self.df, -t)), self.floor)

    def p_greater(self, value: float) -> float:
        """One-sided p-value of "the true mean is at most `value`"."""
        return self._tail(self.effect - value)

    def p_less(self, value: float) -> float:
        """One-sided p-value of "the true mean is at least `value`"."""
        return self._tail(value - self.effect)

    def interval(self, alpha: float) -> Interval | None:
        """Interval with confidence 1 - alpha; None where alpha is below what n seeds carry."""
        if alpha / 2 < self.floor:
            return None
        reach = -float(special.stdtrit(self.df, alpha / 2)) * self.standard_error + self.half_step
        return self.effect - reach, self.effect + reach


@dataclass(frozen=True, eq=False)
class MedianInference:
    """The sign test and its interval for the median: exact, and at home with infinite values.

    Used where some differences are known in their order only (one side diverged and ranks as
    the worst: the difference is infinite), or where all are equal and no resolution is known.
    Values equal to the tested one count against the evidence, which keeps the level whatever
    the ties (Conover 1999, Practical Nonparametric Statistics, sections 3.2 and 3.4).

    Attributes:
        values: Sorted sample, shape (n,); infinities allowed, NaN not.
        method: Name of the method.
    """

    values: Floats
    method: str = "sign"

    @property
    def effect(self) -> float:
        """Sample median; the mean of the two middle values, NaN when they are both infinities."""
        return _middle(self.values.tolist())

    @property
    def floor(self) -> float:
        """2^-n: all values on one side."""
        return 0.5 ** len(self.values)

    def _tail(self, count: int) -> float:
        """P(at least `count` of n fair coins show heads)."""
        return float(special.bdtrc(count - 1, len(self.values), 0.5)) if count else 1.0

    def p_greater(self, value: float) -> float:
        """One-sided p-value of "the true median is at most `value`"."""
        return self._tail(int((self.values > value).sum()))

    def p_less(self, value: float) -> float:
        """One-sided p-value of "the true median is at least `value`"."""
        return self._tail(int((self.values < value).sum()))

    def interval(self, alpha: float) -> Interval | None:
        """Order statistics with confidence at least 1 - alpha; None for too small a sample."""
        n = len(self.values)
        # The k-th value from either end, for the largest k that the level allows.
        k = sum(special.bdtr(i, n, 0.5) <= alpha / 2 for i in range(n // 2 + 1))
        return (float(self.values[k - 1]), float(self.values[n - k])) if k else None


@dataclass(frozen=True)
class ShareInference:
    """A share of n runs: exact binomial test and Clopper & Pearson's interval.

    Source: Clopper & Pearson (1934, Biometrika 26, 404-413); the same as `scipy.stats.binomtest`
    with its "exact" interval, without the import of scipy.stats.

    Attributes:
        count: Runs with the property.
        n: All runs.
        method: Name of the method.
    """

    count: int
    n: int
    method: str = "binomial"
    floor: float = field(default=0.0, init=False)

    @property
    def effect(self) -> float:
        """The observed share, in [0, 1]."""
        return self.count / self.n

    def p_greater(self, value: float) -> float:
        """One-sided p-value of "the true share is at most `value`"."""
        if self.count == 0 or value >= 1:
            return 1.0
        return float(special.bdtrc(self.count - 1, self.n, value)) if value >= 0 else 0.0

    def p_less(self, value: float) -> float:
        """One-sided p-value of "the true share is at least `value`"."""
        return ShareInference(self.n - self.count, self.n).p_greater(1 - value)

    def interval(self, alpha: float) -> Interval:
        """Clopper & Pearson's interval with confidence at least 1 - alpha, within [0, 1]."""
        k, n = self.count, self.n
        low = float(special.betaincinv(k, n - k + 1, alpha / 2)) if k else 0.0
        high = float(special.betaincinv(k + 1, n - k, 1 - alpha / 2)) if k < n else 1.0
        return low, high


@dataclass(frozen=True)
class PairedShareInference:
    """The difference of two paired shares: exact McNemar at zero, Clopper & Pearson elsewhere.

    Only pairs in which the sides differ speak about a difference: under "no difference" each of
    them is a fair coin (McNemar 1947, Psychometrika 12, 153-157; exact form). For the size of
    the difference, the shares of the two kinds of differing pairs each get an exact one-sided
    bound at half the error, so their difference holds with the stated confidence (Bonferroni);
    where McNemar's test settles the sign, the interval ends at zero.

    Attributes:
        num_left_only: Pairs in which the left run alone has the property.
        num_right_only: Pairs in which the right run alone has it.
        n: All pairs.
        method: Name of the method.
    """

    num_left_only: int
    num_right_only: int
    n: int
    method: str = "McNemar"

    @property
    def effect(self) -> float:
        """Left share minus right share, in [-1, 1]."""
        return (self.num_left_only - self.num_right_only) / self.n

    @property
    def floor(self) -> float:
        """2^-n: all pairs differ, in one direction."""
        return 0.5**self.n

    def _swapped(self) -> PairedShareInference:
        return PairedShareInference(self.num_right_only, self.num_left_only, self.n)

    def _bound(self, alpha: float) -> float:
        """Exact lower bound on the difference with one-sided error `alpha`."""
        left = ShareInference(self.num_left_only, self.n).interval(alpha)[0]
        return left - ShareInference(self.num_right_only, self.n).interval(alpha)[1]

    def p_greater(self, value: float) -> float:
        """One-sided p-value of "the true difference is at most `value`"."""
        left, right = self.num_left_only, self.num_right_only
        mcnemar = float(special.bdtrc(left - 1, left + right, 0.5)) if left else 1.0
        if value == 0:
            return mcnemar
        # The bound grows with alpha: halve until the alpha at which it passes `value` is found.
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (low, middle) if self._bound(middle) > value else (middle, high)
        return max(high, mcnemar) if value > 0 else min(high, mcnemar)

    def p_less(self, value: float) -> float:
        """One-sided p-value of "the true difference is at least `value`"."""
        return self._swapped().p_greater(-value)

    def interval(self, alpha: float) -> Interval:
        """Interval with confidence at least 1 - alpha, within [-1, 1]."""
        ends = []
        for side in (self, self._swapped()):
            bound = side._bound(alpha / 2)
            ends.append(max(bound, 0.0) if side.p_greater(0.0) <= alpha / 2 else min(bound, 0.0))
        return ends[0], 0.0 - ends[1]


Inference: TypeAlias = MeanInference | MedianInference | ShareInference | PairedShareInference


def infer(
    values: Floats,
    *,
    variance_floor: float = 0.0,
    half_step: float = 0.0,
    symmetric: bool = True,
    guarded: bool = True,
) -> MeanInference | MedianInference | None:
    """Choose the inference that a sample of per-seed numbers allows.

    Args:
        values: One number per seed, shape (n,); infinite where only the order is known, not NaN.
        variance_floor: Variance that the rounding of the recorded numbers alone brings.
        half_step: Half the smallest jump of the mean.
        symmetric: Whether the values are differences of two sides, so symmetric about zero when
            the sides have the same law; if not, half the degrees of freedom are used.
        guarded: Whether p-values stop at 4^-n (see `MeanInference`).

    Returns:
        None for fewer than two values; the median's sign test where values are infinite, or all
        equal with no known resolution; else the mean's t.
    """
    n = len(values)
    if n < 2:
        return None
    if not np.isfinite(values).all():
        return MedianInference(np.sort(values))
    variance = float(values.var(ddof=1))
    if variance <= (ZERO_SPREAD * float(np.abs(values).max())) ** 2:
        variance = 0.0
    variance = max(variance, variance_floor)
    if variance == 0:
        return MedianInference(np.sort(values))
    return MeanInference(
        effect=float(values.mean()),
        standard_error=float(np.sqrt(variance / n)),
        df=(n - 1) if symmetric else (n - 1) / 2,
        half_step=half_step,
        floor=0.25**n if guarded else 0.0,
        method="paired t" if symmetric else "t, half df",
    )


# -- paired differences, several at once -----------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        effect: Mean (median where `method` is "sign"); None without any usable value, or where
            the median is not finite.
        low: Lower end of the interval; None where there is no interval or no lower bound.
        high: Upper end, likewise.
        level: Confidence of this interval on its own: for one of m simultaneous intervals
            1 - alpha / m.
        n: Seeds used.
        num_lost: Seeds left out because a value is NaN.
        p_value: Two-sided, against zero, corrected like the interval: it is at most
            alpha exactly when the interval excludes zero. None where there is no test.
        method: How it was computed; "none" for fewer than two values.
    """

    effect: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    num_lost: int
    p_value: float | None
    method: str


def subtract(left: Floats, right: Floats | float) -> Floats:
    """Left minus right, where two equal infinities differ by nothing."""
    with np.errstate(invalid="ignore"):
        return np.where(left == right, 0.0, left - right)


def restricted(times: ArrayLike, *, horizon: float | None) -> Floats:
    """Times cut at a horizon: min(T, horizon), and the horizon where T is NaN (never reached).

    Args:
        times: Any shape, NaN for never reached.
        horizon: The earliest time at which an unreached target could have been reached: E + 1
            after E epochs. None returns the times as they are.
    """
    values = np.asarray(times, dtype=np.float64)
    return values if horizon is None else np.fmin(values, horizon)


def paired_differences(
    left: ArrayLike, right: ArrayLike, *, worse: Worse | None = None, horizon: float | None = None
) -> Floats:
    """Left minus right, seed by seed, with what diverged or was never reached in its place.

    Args:
        left: Shape (seed, ...); NaN for a run that diverged, or that never reached a target.
        right: The same shape, the same seeds.
        worse: Which end is worse. A NaN then ranks beyond every number there: the difference is
            infinite if one side has it, zero if both have it. None leaves NaN as it is.
        horizon: For times to a target: a time that is NaN or beyond it counts as this.

    Returns:
        Shape (seed, ...); may hold infinities, which `infer` treats by rank.
    """
    sides = [restricted(side, horizon=horizon) for side in (left, right)]
    if sides[0].shape != sides[1].shape:
        raise ValueError(f"sides of different shapes: {sides[0].shape} and {sides[1].shape}")
    if worse is not None:
        end = np.inf if worse == "high" else -np.inf
        sides = [np.where(np.isnan(side), end, side) for side in sides]
    return subtract(sides[0], sides[1])


def compare_to_baseline(
    differences: Sequence[ArrayLike], *, alpha: float = 0.05, resolution: float = 0.0
) -> list[Estimate]:
    """Paired differences of several arms against one baseline, with simultaneous intervals.

    Bonferroni: each of m intervals has confidence 1 - alpha / m, so that all hold at once with
    1 - alpha, whatever they have in common; p-values are multiplied by m. The t intervals trust
    roughly normal differences; claims are decided with more care (`bninit.verbs.study.decide`).

    Args:
        differences: For each comparison one difference per seed (`paired_differences`), shape
            (seed,); NaN for lost seeds, infinite where only the order is known.
        alpha: Error of all intervals together.
        resolution: Step in which the two sides' values are recorded: 1 for epochs,
            1 / num_examples for an accuracy; 0 if continuous.
    """
    m = len(differences)
    return [
        _estimate(
            np.asarray(values, dtype=np.float64),
            level=1 - alpha / m,
            resolution=resolution,
            num_comparisons=m,
        )
        for values in differences
    ]


def _estimate(values: Floats, *, level: float, resolution: float, num_comparisons: int) -> Estimate:
    if values.ndim != 1:
        raise ValueError(f"one number per seed is needed, not an array of shape {values.shape}")
    kept = values[~np.isnan(values)]
    n, num_lost = len(kept), len(values) - len(kept)
    inference = infer(
        kept,
        variance_floor=resolution**2 / 6,
        half_step=resolution / (2 * max(n, 1)),
        guarded=False,
    )
    if inference is None:
        effect = finite(kept[0]) if n else None
        return Estimate(effect, None, None, level, n, num_lost, None, "none")
    ends = inference.interval(1 - level)
    low, high = (finite(ends[0]), finite(ends[1])) if ends else (None, None)
    raw = 2 * min(inference.p_greater(0.0), inference.p_less(0.0))
    p_value = min(1.0, num_comparisons * raw)
    return Estimate(
        finite(inference.effect), low, high, level, n, num_lost, p_value, inference.method
    )


@dataclass(frozen=True)
class Holm:
    """Holm's step-down decision for one of several p-values.

    Attributes:
        adjusted: Adjusted p-value; decided if it is at most alpha.
        alpha: The error level at which this one was decided, or at which the procedure stopped
            short of it: the raw p-value is at most this exactly when it is decided.
    """

    adjusted: float
    alpha: float


def holm(p_values: Sequence[float], *, alpha: float = 0.05) -> list[Holm]:
    """Holm's correction: the chance of any false verdict in the family stays below alpha.

    Source: Holm (1979, Scand. J. Statist. 6, 65-70). Sorted upwards, the i-th of m p-values is
    held against alpha / (m - i + 1), until the first one fails.

    Args:
        p_values: Raw p-values, one per claim.
        alpha: Error of the family.
    """
    m = len(p_values)
    decisions: list[Holm] = [Holm(1.0, alpha)] * m
    adjusted, stopped_at = 0.0, None
    for i, index in enumerate(sorted(range(m), key=lambda j: p_values[j])):
        adjusted = max(adjusted, min(1.0, (m - i) * p_values[index]))
        step = alpha / (m - i)
        if stopped_at is None and p_values[index] > step:
            stopped_at = step
        decisions[index] = Holm(adjusted, step if stopped_at is None else stopped_at)
    return decisions


# -- medians, and times to a target that some runs never reached ------------------------------


def median(values: Iterable[float]) -> float | None:
    """The median of the numbers that are not NaN; infinity counts as largest. None of none."""
    there = sorted(float(value) for value in values if not math.isnan(value))
    return _middle(there) if there else None


def _middle(ordered: Sequence[float]) -> float:
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else (low + high) / 2


def median_of_censored(times: Iterable[float | None]) -> float | None:
    """The median of times of which some never came (None or NaN): later than all others.

    With an even count it is the mean of the two middle times, so it exists exactly when more
    than half of the times are known.
    """
    middle = median(math.inf if t is None or math.isnan(t) else t for t in times)
    return None if middle is None else finite(middle)


@dataclass(frozen=True, eq=False)
class ReachedCurve:
    """Share of runs that have reached a target by a time: one minus Kaplan and Meier's S.

    The share is 0 before the first time, and constant between the times.

    Attributes:
        times: When something happened (a run reached the target, or was last seen), rising.
        share: Share that has reached it by then, in [0, 1].
        low: Lower end of the pointwise interval.
        high: Upper end.
        level: Confidence of the pointwise intervals.
    """

    times: Floats
    share: Floats
    low: Floats
    high: Floats
    level: float


def reached_curve(times: ArrayLike, *, last_seen: float, level: float = 0.95) -> ReachedCurve:
    """Kaplan and Meier's curve of runs that reached a target, all watched equally long.

    Share: one minus the product over the times of (1 - d / n), with d runs reaching the target
    then and n watched until then (Kaplan & Meier 1958, J. Am. Stat. Assoc. 53:457). As nobody is
    lost from view before the end, it is a plain binomial share, with Clopper and Pearson's exact
    interval, also at 0 and 1, where Greenwood's formula has none.

    Args:
        times: Time at which each run reached the target, shape (run,); NaN if it never did.
        last_seen: Time until which the runs were watched.
        level: Confidence of the intervals.

    Raises:
        ValueError: For no runs, or a target reached after its run was last seen.
    """
    reached_at = np.asarray(times, dtype=np.float64)
    n = len(reached_at)
    if n == 0:
        raise ValueError("a curve needs at least one run")
    if (reached_at > last_seen).any():
        raise ValueError("a run cannot reach its target after it was last seen")
    ends = np.where(np.isnan(reached_at), last_seen, reached_at)
    at = np.unique(ends)
    num_reaching = np.array([(reached_at == t).sum() for t in at])
    num_watched = np.array([(ends >= t).sum() for t in at])
    intervals = [ShareInference(int((reached_at <= t).sum()), n).interval(1 - level) for t in at]
    low, high = np.array(intervals).T
    return ReachedCurve(
        times=at,
        share=1 - np.cumprod(1 - num_reaching / num_watched),
        low=low,
        high=high,
        level=level,
    )


# -- spreads over seeds ----------------------------------------------------------------------

ARM_COLUMNS = ("name", "arm")
"""The columns of a tidy table that tell arms apart; ``seed`` tells the networks of an arm."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Summary of some numbers.

    Attributes:
        mean: Arithmetic mean.
        sd: Sample standard deviation (divisor n - 1); None for a single number.
        low: The lowest.
        high: The highest.
        n: How many.
    """

    mean: float
    sd: float | None
    low: float
    high: float
    n: int


def spread(values: Iterable[float | None]) -> Spread | None:
    """Summary of the finite numbers among the values; None when there are none."""
    kept = [float(value) for value in values if value is not None and math.isfinite(value)]
    if not kept:
        return None
    return Spread(
        mean=statistics.fmean(kept),
        sd=statistics.stdev(kept) if len(kept) > 1 else None,
        low=min(kept),
        high=max(kept),
        n=len(kept),
    )


@dataclass(frozen=True, kw_only=True)
class EpochSpread:
    """One epoch of a stack, over the networks that are finite.

    Attributes:
        epoch: Finished epochs.
        stack_seconds: Wall-clock time of the epoch's steps.
        num_replicas: Networks that took part, the diverged ones included.
        num_diverged: Those that diverged in this epoch.
        batch_loss: Training loss that the steps saw, in nats; None at epoch 0.
        train_loss: On a fixed part of the training set, in nats.
        val_loss: On the validation set.
        val_accuracy: On the validation set, in [0, 1].
    """

    epoch: int
    stack_seconds: float
    num_replicas: int
    num_diverged: int
    batch_loss: Spread | None
    train_loss: Spread | None
    val_loss: Spread | None
    val_accuracy: Spread | None


def spread_of_epoch(record: EpochRecord) -> EpochSpread:
    """Summary of what the networks of a stack did in an epoch."""
    finite = [each.metrics for each in record.replicas if each.diverged_step is None]
    return EpochSpread(
        epoch=record.epoch,
        stack_seconds=record.stack_seconds,
        num_replicas=len(record.replicas),
        num_diverged=len(record.replicas) - len(finite),
        batch_loss=spread(metrics.batch_loss for metrics in finite),
        train_loss=spread(metrics.train_loss for metrics in finite),
        val_loss=spread(metrics.val_loss for metrics in finite),
        val_accuracy=spread(metrics.val_accuracy for metrics in finite),
    )


def finite_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of networks that have not diverged yet.

    A diverged network's last row has losses that are not finite, and an accuracy that means
    nothing.

    Args:
        rows: One row per network and epoch, with ``train_loss`` and ``val_loss`` in nats.
    """
    losses = rows[["train_loss", "val_loss"]].astype("float64")
    return rows[(losses.abs() < math.inf).all(axis="columns")]


def bands(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Median, lowest and highest over the seeds of each arm at each epoch.

    The median and not the mean: a network on its way to divergence would draw the mean with it.

    Args:
        rows: One row per network and epoch, with columns name, arm, seed, epoch and the losses.
        column: What to sum up.

    Returns:
        Columns name, arm, epoch, median, low, high, n (seeds that are in), ordered by arm as the
        rows are and by epoch.
    """
    groups = finite_rows(rows).groupby([*ARM_COLUMNS, "epoch"], sort=False)[column]
    table = groups.agg(median="median", low="min", high="max", n="count").reset_index()
    return table.sort_values("epoch", kind="stable", ignore_index=True)


def last_before_divergence(rows: pd.DataFrame) -> pd.DataFrame:
    """The last finite row of each network that diverged.

    A network has diverged when a row of it is not finite, or when a column ``status`` says so.

    Args:
        rows: As in `bands`.
    """
    finite = finite_rows(rows)
    network = [*ARM_COLUMNS, "seed"]
    is_lost = ~rows.index.isin(finite.index)
    if "status" in rows:
        is_lost |= (rows["status"] == "diverged").to_numpy()
    last = finite.sort_values("epoch").drop_duplicates(network, keep="last")
    lost = rows.loc[is_lost, network].drop_duplicates()
    return last.merge(lost, on=network, how="inner")
