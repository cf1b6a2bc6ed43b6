"""Means and paired differences with honest intervals, and the correction for several of them.

The unit is the seed: one number per seed goes in, whatever was averaged within a seed before.
"""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bninit.errors import UserError

if TYPE_CHECKING:
    from scipy import stats

    from bninit.training.records import EpochRecord

Worse = Literal["high", "low"]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        effect: Mean (median where `method` is "sign"); None without any usable value, or where
            the median is not finite.
        low: Lower end of the interval; None where there is no interval or no lower bound.
        high: Upper end, likewise.
        level: Confidence of this interval on its own, such as 0.95; for one of m simultaneous
            intervals 1 - alpha / m.
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


def finite(value: float) -> float | None:
    """The value, or None for an infinity or NaN (no such numbers in files and sentences)."""
    return float(value) if np.isfinite(value) else None


def mean_interval(values: ArrayLike, *, level: float = 0.95, resolution: float = 0.0) -> Estimate:
    """Mean of one number per seed, with Student's t interval.

    The interval trusts that the values are roughly normal. One value has no interval, two have a
    wide one. Equal values get the width that their resolution leaves open (see
    `inference.MeanInference`); equal values of unknown resolution get none below six seeds,
    where the sign test's interval for the median takes over.

    Args:
        values: Shape (seed,); NaN marks a lost value.
        level: Confidence in (0, 1).
        resolution: Step in which the values are recorded: 1 for epochs, 1 / num_examples for an
            accuracy; 0 if continuous.
    """
    kept, num_lost = _without_nan(np.asarray(values, dtype=np.float64))
    inference = infer(
        kept,
        variance_floor=resolution**2 / 12,
        half_step=resolution / (2 * max(len(kept), 1)),
        guarded=False,
    )
    return _estimate(kept, inference, level=level, num_lost=num_lost, num_comparisons=1)


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
        Shape (seed, ...); may hold infinities, which `inference.infer` treats by rank.
    """
    sides = [restricted(side, horizon=horizon) for side in (left, right)]
    if sides[0].shape != sides[1].shape:
        raise ValueError(f"sides of different shapes: {sides[0].shape} and {sides[1].shape}")
    if worse is not None:
        end = np.inf if worse == "high" else -np.inf
        sides = [np.where(np.isnan(side), end, side) for side in sides]
    return subtract(sides[0], sides[1])


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


def compare_to_baseline(
    differences: Sequence[ArrayLike], *, alpha: float = 0.05, resolution: float = 0.0
) -> list[Estimate]:
    """Paired differences of several arms against one baseline, with simultaneous intervals.

    Bonferroni: each of m intervals has confidence 1 - alpha / m, so that all hold at once with
    1 - alpha, whatever they have in common; p-values are multiplied by m. The t intervals trust
    roughly normal differences (see `mean_interval`); claims are decided with more care
    (`verdicts.decide_claims`).

    Args:
        differences: For each comparison one difference per seed (`paired_differences`), shape
            (seed,); NaN for lost seeds, infinite where only the order is known.
        alpha: Error of all intervals together.
        resolution: Step in which the two sides' values are recorded.
    """
    level = 1 - alpha / max(len(differences), 1)
    estimates = []
    for values in differences:
        kept, num_lost = _without_nan(np.asarray(values, dtype=np.float64))
        inference = infer(
            kept,
            variance_floor=resolution**2 / 6,
            half_step=resolution / (2 * max(len(kept), 1)),
            guarded=False,
        )
        estimates.append(
            _estimate(
                kept, inference, level=level, num_lost=num_lost, num_comparisons=len(differences)
            )
        )
    return estimates


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
        p_values: Raw p-values, one per question.
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


def _without_nan(values: Floats) -> tuple[Floats, int]:
    if values.ndim != 1:
        raise ValueError(f"one number per seed is needed, not an array of shape {values.shape}")
    kept = values[~np.isnan(values)]
    return kept, len(values) - len(kept)


def _estimate(
    values: Floats,
    inference: Inference | None,
    *,
    level: float,
    num_lost: int,
    num_comparisons: int,
) -> Estimate:
    n = len(values)
    if inference is None:
        effect = finite(values[0]) if n else None
        return Estimate(effect, None, None, level, n, num_lost, None, "none")
    ends = inference.interval(1 - level)
    low, high = (finite(ends[0]), finite(ends[1])) if ends else (None, None)
    raw = 2 * min(inference.p_greater(0.0), inference.p_less(0.0))
    p_value = min(1.0, num_comparisons * raw)
    return Estimate(
        finite(inference.effect), low, high, level, n, num_lost, p_value, inference.method
    )


Floats = NDArray[np.float64]
Interval = tuple[float, float]

ZERO_SPREAD = 1e-12
"""Standard deviations below this fraction of the largest value are rounding noise of floats."""


class Inference(Protocol):
    """Evidence about one number from one sample."""

    @property
    def effect(self) -> float:
        """Point estimate, in the unit of the sample (may be infinite for a median)."""

    @property
    def method(self) -> str:
        """Name of the method, for tables."""

    @property
    def floor(self) -> float:
        """Smallest one-sided p-value that a sample of this size can give."""

    def p_greater(self, value: float) -> float:
        """One-sided p-value of "the true effect is at most `value`": small speaks for greater."""

    def p_less(self, value: float) -> float:
        """One-sided p-value of "the true effect is at least `value`": small speaks for less."""

    def interval(self, alpha: float) -> Interval | None:
        """Two-sided interval with confidence 1 - alpha, or None where the sample is too small."""


@dataclass(frozen=True)
class MeanInference:
    """Student's t for a mean, guarded against three ways in which few seeds deceive it.

    1. *Equal values.* Epochs are whole numbers: five differences of exactly -2 have no spread,
       and t would give an interval of no width. A number recorded in steps of h carries a
       rounding error of variance h^2 / 12 (Sheppard 1898), so the variance is never taken to be
       below `variance_floor`; and as the mean moves in jumps, half a jump (`half_step`) is taken
       off its distance from any value (the continuity correction).
    2. *Two-way outcomes.* Runs that end either well or badly give n equal differences by luck,
       whatever their spread. If X and Y have the same law, P(a <= Y - X <= b) is at most 1/4 for
       any 0 < a <= b < 2a: the pairs (x, y) at such a distance form a graph without triangles,
       and Motzkin & Straus (1965, Canad. J. Math. 17, 533-540, theorem 1) bound its weight by
       (1 - 1/2) / 2. So n pairs agree by luck with probability up to 4^-n on either side, and no
       one-sided p-value is allowed below `floor` = 4^-n.
    3. *Skew.* Differences of two sides with the same law are symmetric, and t errs on the safe
       side for them. A side held against a number has no partner that cancels its skew; the
       caller gives half the degrees of freedom there (`df` = (n - 1) / 2), which keeps the error
       rate for a skewness of 1 (measured; see `tests/analysis/test_calibration.py`).

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
        n = len(self.values)
        low, high = float(self.values[(n - 1) // 2]), float(self.values[n // 2])
        return low if low == high else (low + high) / 2

    @property
    def floor(self) -> float:
        """2^-n: all values on one side."""
        return 0.5 ** len(self.values)

    def _tail(self, count: int) -> float:
        """P(at least `count` of n fair coins show heads)."""
        if count == 0:
            return 1.0
        return float(special.bdtrc(count - 1, len(self.values), 0.5))

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
        if k == 0:
            return None
        return float(self.values[k - 1]), float(self.values[n - k])


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


@dataclass(frozen=True)
class ShareInference:
    """A share of n runs: exact binomial test and Clopper & Pearson's interval.

    Source: Clopper & Pearson (1934, Biometrika 26, 404-413); the same as `scipy.stats.binomtest`
    with its "exact" interval, without building a result object for each call.

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


ARM_COLUMNS = ("name", "arm")
"""The columns of a tidy table that tell arms apart; ``seed`` tells the networks of an arm."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Some numbers in short.

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
    """Sum up the finite numbers among the values; None when there are none."""
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
    """One epoch of a stack in short, over the networks that are finite.

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
    """Sum up what the networks of a stack did in an epoch."""
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
    lost = rows[~rows.index.isin(finite.index)]
    if "status" in rows:
        lost = rows[~rows.index.isin(finite.index) | (rows["status"] == "diverged")]
    if lost.empty:
        return finite.iloc[:0].reset_index(drop=True)
    last = finite.sort_values("epoch").drop_duplicates(network, keep="last")
    return last.merge(lost[network].drop_duplicates(), on=network, how="inner")


def median_of_censored(values: Sequence[float | None]) -> float | None:
    """The median of times of which some never came (None), which are later than all others.

    With an even count it is the mean of the two middle times, so it exists exactly when more
    than half of the times are known.
    """
    in_order = sorted(math.inf if value is None else float(value) for value in values)
    if not in_order:
        return None
    middle = statistics.median(in_order)
    return middle if math.isfinite(middle) else None


@dataclass(frozen=True, eq=False)
class ReachedCurve:
    """Share of runs that have reached a target by a time (one minus Kaplan and Meier's S).

    The share is 0 before the first time, and constant between the times.

    Attributes:
        times: When something happened (a run reached the target, or was last seen), rising.
        share: Share that has reached it by then, in [0, 1].
        low: Lower end of the pointwise interval.
        high: Upper end.
        level: Confidence of the pointwise intervals.
        median: First time by which half of the runs had reached it; None if they never did.
        median_low: Lower end of the median's interval; None where there is no bound.
        median_high: Upper end; None where the lower curve never comes to one half.
        num_runs: All runs.
        num_reached: Those that reached it.
    """

    times: Floats
    share: Floats
    low: Floats
    high: Floats
    level: float
    median: float | None
    median_low: float | None
    median_high: float | None
    num_runs: int
    num_reached: int


def reached_curve(times: ArrayLike, *, last_seen: ArrayLike, level: float = 0.95) -> ReachedCurve:
    """Kaplan and Meier's curve of runs that reached a target.

    Share: one minus the product over the times of (1 - d / n), with d runs reaching the target
    then and n watched until then (Kaplan & Meier 1958, J. Am. Stat. Assoc. 53:457). Interval:
    while nobody has been lost from view, the share is a plain binomial one and gets Clopper and
    Pearson's exact interval, also at 0 and 1, where Greenwood's formula has none; after that
    Greenwood's on the log(-log) scale. The median's interval is where these bands cross one half
    (Brookmeyer & Crowley 1982).

    Args:
        times: Time at which each run reached the target, shape (run,); NaN if it never did.
        last_seen: Time until which runs were watched: a number, or one per run.
        level: Confidence of the intervals.

    Raises:
        ValueError: For no runs, or a target reached after its run was last seen.
    """
    reached_at = np.asarray(times, dtype=np.float64)
    watched = np.broadcast_to(np.asarray(last_seen, dtype=np.float64), reached_at.shape)
    n = len(reached_at)
    if n == 0:
        raise ValueError("a curve needs at least one run")
    if (reached_at > watched).any():
        raise ValueError("a run cannot reach its target after it was last seen")
    ends = np.where(np.isnan(reached_at), watched, reached_at)
    at = np.unique(ends)
    num_reaching = np.array([(reached_at == t).sum() for t in at])
    num_watched = np.array([(ends >= t).sum() for t in at])
    not_yet = np.cumprod(1 - num_reaching / num_watched)
    share = 1 - not_yet
    low, high = _greenwood(not_yet, num_reaching, num_watched, level=level)

    lost = watched[np.isnan(reached_at)]
    all_in_view = at <= (lost.min() if len(lost) else np.inf)
    counts = np.array([(reached_at <= t).sum() for t in at])
    exact_low = np.where(counts > 0, _beta(counts, n - counts + 1, (1 - level) / 2), 0.0)
    exact_high = np.where(counts < n, _beta(counts + 1, n - counts, (1 + level) / 2), 1.0)
    low = np.where(all_in_view, exact_low, low)
    high = np.where(all_in_view, exact_high, high)
    return ReachedCurve(
        times=at,
        share=share,
        low=low,
        high=high,
        level=level,
        median=_crossing(at, share),
        median_low=_crossing(at, high),
        median_high=_crossing(at, low),
        num_runs=n,
        num_reached=int((~np.isnan(reached_at)).sum()),
    )


def log_rank_p_value(
    left: ArrayLike, right: ArrayLike, *, left_seen: ArrayLike, right_seen: ArrayLike
) -> float:
    """Two-sided p-value of the log-rank test for two unpaired sides (`scipy.stats.logrank`).

    scipy.stats is imported here and nowhere else: it takes longer than a comparison.

    Args:
        left: Times, shape (run,), NaN where the target was never reached.
        right: The same for the other side, any number of runs.
        left_seen: Time until which the left runs were watched: a number, or one per run.
        right_seen: The same for the right runs.

    Returns:
        1.0 where nobody reached the target on either side: there is nothing to tell apart.
    """
    from scipy import stats

    sides = [np.asarray(side, dtype=np.float64) for side in (left, right)]
    if all(np.isnan(side).all() for side in sides):
        return 1.0
    seen = [
        np.broadcast_to(np.asarray(end, dtype=np.float64), side.shape)
        for side, end in zip(sides, (left_seen, right_seen), strict=True)
    ]
    censored = [_censored(side, end) for side, end in zip(sides, seen, strict=True)]
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        p_value = float(stats.logrank(censored[0], censored[1]).pvalue)
    # Everyone at once: the test's variance is zero, and so is what it could tell.
    return 1.0 if np.isnan(p_value) else p_value


@dataclass(frozen=True)
class Order:
    """Who was first, pair by pair.

    Attributes:
        num_left_first: Pairs in which the left run reached the target earlier.
        num_right_first: Pairs in which the right run did.
        num_tied: Pairs that reached it at the same time.
        num_unknown: Pairs in which neither reached it.
    """

    num_left_first: int
    num_right_first: int
    num_tied: int
    num_unknown: int


def paired_order(left: ArrayLike, right: ArrayLike) -> Order:
    """Count who was first, seed by seed; a run that never got there comes after any that did.

    Args:
        left: Times, shape (seed,), NaN where the target was never reached.
        right: The same for the other side, the same seeds, watched equally long.
    """
    times = [np.asarray(side, dtype=np.float64) for side in (left, right)]
    unknown = np.isnan(times[0]) & np.isnan(times[1])
    first, second = (np.where(np.isnan(side), np.inf, side) for side in times)
    return Order(
        num_left_first=int((first < second).sum()),
        num_right_first=int((second < first).sum()),
        num_tied=int(((first == second) & ~unknown).sum()),
        num_unknown=int(unknown.sum()),
    )


def _censored(times: Floats, last_seen: Floats) -> stats.CensoredData:
    from scipy import stats

    never = np.isnan(times)
    return stats.CensoredData.right_censored(np.where(never, last_seen, times), never)


def _greenwood(
    not_yet: Floats,
    num_reaching: NDArray[np.int_],
    num_watched: NDArray[np.int_],
    *,
    level: float,
) -> tuple[Floats, Floats]:
    """Greenwood's interval of the share on the log(-log) scale, [0, 1] where it has none.

    With S the share that has not reached it yet, log(-log S) is taken for normal with variance
    sum of d / (n (n - d)), over (log S)^2 (Greenwood 1926; Kalbfleisch & Prentice 1980, sec. 1.3).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.cumsum(num_reaching / (num_watched * (num_watched - num_reaching)))
        z_se = special.ndtri(0.5 + level / 2) * np.sqrt(variance / np.log(not_yet) ** 2)
        middle = np.log(-np.log(not_yet))
        low = 1 - np.exp(-np.exp(middle - z_se))
        high = 1 - np.exp(-np.exp(middle + z_se))
    return np.nan_to_num(low, nan=0.0), np.nan_to_num(high, nan=1.0)


def _beta(a: NDArray[np.int_], b: NDArray[np.int_], probability: float) -> Floats:
    """Quantile of the beta distribution; its undefined ends (a or b zero) are not used."""
    return np.asarray(
        special.betaincinv(np.maximum(a, 1), np.maximum(b, 1), probability), dtype=np.float64
    )


def _crossing(times: Floats, share: Floats) -> float | None:
    """First time at which a share has come to one half."""
    there = np.flatnonzero(share >= 0.5 - 1e-12)
    return float(times[there[0]]) if len(there) else None


Cell = tuple[object, ...]
Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Paired:
    """Two sides on the same seeds, cells and levels.

    Attributes:
        seeds: Seeds that have every cell on every side, rising.
        left: Shape (seed, cell), or (seed, cell, level) with an axis to measure over.
        right: The same shape; None for one side alone.
        cells: Settings of the unnamed axes, one tuple per cell, in the order of `axes`.
        levels: Levels of the axis to measure over; empty without one.
        num_lost: Seeds left out because a run is missing.
        num_cells_left_out: Settings left out because only one side has them.
    """

    seeds: tuple[int, ...]
    left: Floats
    right: Floats | None
    cells: tuple[tuple[object, ...], ...]
    levels: tuple[object, ...]
    num_lost: int
    num_cells_left_out: int


def pair_by_seed(
    left: pd.DataFrame,
    right: pd.DataFrame | None = None,
    *,
    value: str,
    axes: Sequence[str] = (),
    over: str | None = None,
    seed: str = "seed",
) -> Paired:
    """Pair two sides over seeds and over the axes that the claim does not name.

    A run that is there with a NaN (diverged, target never reached) keeps its place; a run that is
    not there costs its seed, which is counted in `num_lost`.

    Args:
        left: One row per run, with columns for the seed, the axes and the value.
        right: The other side; None for a side held against a number or measured along an axis.
        value: Column of the metric.
        axes: Columns that vary within a side and are paired over.
        over: Column of the axis to measure a spread or a trend over.
        seed: Column of the seed.

    Raises:
        UserError: If a side has no runs, two runs for one cell, or nothing to pair.
    """
    keys = [*axes, *([over] if over is not None else [])]
    tables = [
        _by_cell(frame, value=value, keys=keys, seed=seed, side=side)
        for frame, side in ((left, "left"), (right, "right"))
        if frame is not None
    ]
    found = [list(table.columns) for table in tables]
    common = [cell for cell in found[0] if all(cell in columns for columns in found)]
    num_left_out = len({cell for columns in found for cell in columns}) - len(common)
    levels: list[object] = []
    if over is not None:
        levels = _in_order(dict.fromkeys(cell[-1] for cell in common))
        full = _with_every_level(common, levels=levels)
        num_left_out += len(common) - len(full)
        common = full
    else:
        common = _in_order(common)
    if not common:
        raise UserError(
            "the two sides have no setting in common to pair over",
            hint=f"both sides need runs at the same values of {', '.join(keys)}",
        )
    has_all = [_seeds_with_all(table, common) for table in tables]
    every_seed = sorted(set().union(*(table.index for table in tables)))
    seeds = [one for one in every_seed if all(one in complete for complete in has_all)]
    arrays = [_array(table, seeds=seeds, cells=common, num_levels=len(levels)) for table in tables]
    cells = [cell[:-1] for cell in common[:: len(levels)]] if levels else common
    return Paired(
        seeds=tuple(int(one) for one in seeds),
        left=arrays[0],
        right=arrays[1] if right is not None else None,
        cells=tuple(cells),
        levels=tuple(levels),
        num_lost=len(every_seed) - len(seeds),
        num_cells_left_out=num_left_out,
    )


@dataclass(frozen=True)
class _Table:
    """Values by seed and cell."""

    values: dict[tuple[int, Cell], float]
    index: frozenset[int]
    columns: dict[Cell, None]


def _by_cell(
    frame: pd.DataFrame, *, value: str, keys: Sequence[str], seed: str, side: str
) -> _Table:
    if frame.empty:
        raise UserError(f"the {side} side has no runs")
    values: dict[tuple[int, Cell], float] = {}
    columns = [frame[name].tolist() for name in (seed, value, *keys)]
    for one_seed, number, *rest in zip(*columns, strict=True):
        place = (int(one_seed), tuple(_plain(item) for item in rest))
        if place in values:
            setting = ", ".join(f"{k}={v}" for k, v in zip(keys, place[1], strict=True))
            raise UserError(
                f"the {side} side has two runs with seed {one_seed}"
                + (setting and f" at {setting}"),
                hint="narrow the side down, or name what varies within it as an axis",
            )
        values[place] = np.nan if pd.isna(number) else float(number)
    return _Table(
        values,
        index=frozenset(place[0] for place in values),
        columns=dict.fromkeys(place[1] for place in values),
    )


def _plain(item: object) -> object:
    """Something that can be looked up: lists (such as hidden widths) become tuples."""
    return tuple(item) if isinstance(item, list) else item


def _in_order(items: Iterable[Item]) -> list[Item]:
    """Sorted where the items can be compared, as found where they cannot."""
    found = list(items)
    try:
        return sorted(found)  # type: ignore[type-var]
    except TypeError:
        return found


def _with_every_level(cells: Sequence[Cell], *, levels: Sequence[object]) -> list[Cell]:
    """The cells whose setting has all levels of the measured axis; levels of a setting adjoin."""
    present = set(cells)
    settings = _in_order(dict.fromkeys(cell[:-1] for cell in cells))
    return [
        (*setting, level)
        for setting in settings
        if all((*setting, other) in present for other in levels)
        for level in levels
    ]


def _seeds_with_all(table: _Table, cells: Sequence[Cell]) -> frozenset[int]:
    return frozenset(
        seed for seed in table.index if all((seed, cell) in table.values for cell in cells)
    )


def _array(
    table: _Table, *, seeds: Sequence[int], cells: Sequence[Cell], num_levels: int
) -> Floats:
    flat = np.array([[table.values[seed, cell] for cell in cells] for seed in seeds])
    flat = flat.reshape(len(seeds), len(cells))
    return flat.reshape(len(seeds), -1, num_levels) if num_levels else flat


def median(values: Sequence[float]) -> float | None:
    """The median of the numbers that are not NaN; infinity counts as largest. None of none."""
    there = sorted(value for value in values if not math.isnan(value))
    if not there:
        return None
    low, high = there[(len(there) - 1) // 2], there[len(there) // 2]
    return low if low == high else (low + high) / 2
