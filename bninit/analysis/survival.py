"""Times to a target that some runs never reach: right-censored, never dropped, never invented.

A run that has not reached the target after E epochs tells that its time is beyond E. Here such a
time is NaN. What can be said without inventing it:

- The Kaplan-Meier curve: the share of runs that have reached the target by each epoch, and a
  median only where half of them have.
- The mean of min(T, tau), the restricted mean time up to a common horizon tau (Irwin 1949; Royston
  & Parmar 2013, BMC Med. Res. Methodol. 13:152), which is what two sides are compared by
  (`statistics.restricted`, then the paired t of `inference`). All runs of a comparison are
  watched for the same number of epochs, so min(T, tau) is known for each run and the usual
  weighting for early losses is not needed; differences stay paired by seed and in epochs, which
  rank tests (Prentice-Wilcoxon) do not give, and no proportional hazards are assumed, as the
  log-rank test does. With tau = E + 1, the earliest epoch at which an unreached target could have
  been reached, a run that makes it in the last epoch still differs from one that does not.
- The log-rank test, for two sides whose seeds are not paired.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bninit.analysis.inference import Floats

if TYPE_CHECKING:
    from scipy import stats


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
