"""Shares, against scipy's exact tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bninit.stats import PairedShareInference, ShareInference

COUNTS = [(0, 5), (5, 5), (3, 10), (10, 10), (7, 20)]


@pytest.mark.parametrize(("count", "n"), COUNTS)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_share_is_scipys_binomial_test(count: int, n: int, share: float) -> None:
    inference = ShareInference(count, n)
    greater = stats.binomtest(count, n, share, alternative="greater").pvalue
    less = stats.binomtest(count, n, share, alternative="less").pvalue
    assert inference.p_greater(share) == pytest.approx(greater)
    assert inference.p_less(share) == pytest.approx(less)


@pytest.mark.parametrize(("count", "n"), COUNTS)
def test_share_interval_is_clopper_and_pearsons(count: int, n: int) -> None:
    expected = stats.binomtest(count, n).proportion_ci(0.99, method="exact")
    assert ShareInference(count, n).interval(0.01) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(("left", "right"), [(8, 1), (0, 6), (3, 3), (0, 0), (10, 0)])
def test_paired_shares_are_mcnemars_exact_test(left: int, right: int) -> None:
    inference = PairedShareInference(left, right, 12)
    two_sided = min(1.0, 2 * min(inference.p_greater(0.0), inference.p_less(0.0)))
    expected = stats.binomtest(left, left + right).pvalue if left + right else 1.0
    assert two_sided == pytest.approx(expected)
    assert inference.effect == pytest.approx((left - right) / 12)


@pytest.mark.parametrize("alpha", [0.05, 0.005])
@pytest.mark.parametrize("n", [3, 10])
def test_paired_interval_agrees_with_its_p_values(n: int, alpha: float) -> None:
    for left in range(n + 1):
        for right in range(n + 1 - left):
            inference = PairedShareInference(left, right, n)
            low, high = inference.interval(alpha)
            assert low <= inference.effect <= high
            for value in np.linspace(-0.97, 0.97, 10).tolist():
                p_value = 2 * min(inference.p_greater(value), inference.p_less(value))
                assert (p_value <= alpha) == (not low <= value <= high)
            p_zero = 2 * min(inference.p_greater(0.0), inference.p_less(0.0))
            assert (p_zero <= alpha) == (not low < 0 < high)


def test_no_difference_seen_is_not_no_difference() -> None:
    low, high = PairedShareInference(0, 0, 10).interval(0.05)
    assert low == pytest.approx(-high)
    assert high > 0.3


def test_paired_interval_covers_the_difference_exactly_enumerated() -> None:
    """Coverage over the multinomial of (left only, right only, neither), summed exactly."""
    n, alpha = 8, 0.05
    for p_left, p_right in [(0.5, 0.0), (0.4, 0.1), (0.1, 0.1), (0.9, 0.05), (0.3, 0.3)]:
        outcomes = [(i, j) for i in range(n + 1) for j in range(n + 1 - i)]
        law = stats.multinomial(n, [p_left, p_right, 1 - p_left - p_right])
        covered = 0.0
        for left, right in outcomes:
            low, high = PairedShareInference(left, right, n).interval(alpha)
            covered += law.pmf([left, right, n - left - right]) * (low <= p_left - p_right <= high)
        assert covered >= 1 - alpha
