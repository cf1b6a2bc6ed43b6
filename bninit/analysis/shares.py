"""What counts say about a share, or about the difference of two paired shares: exact tests.

Both classes answer as `inference.Inference` asks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from scipy import special

from bninit.analysis.inference import Interval


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
