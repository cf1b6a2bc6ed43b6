"""What a sample of per-seed numbers says about a value: p-values and intervals that agree.

Each class answers three questions: how strong is the evidence that the true effect is greater
than a value, that it is less than it, and which values the data cannot tell apart from the truth.
The interval is the inversion of the two tests, so an interval and a p-value of the same
inference never contradict each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

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
