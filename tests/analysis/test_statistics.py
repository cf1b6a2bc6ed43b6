"""Intervals of means and comparisons, and Holm's correction, against independent sources."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from bninit.stats import (
    compare_to_baseline,
    holm,
    mean_interval,
    paired_differences,
    restricted,
)


def test_mean_interval_is_students() -> None:
    values = np.array([0.981, 0.979, 0.984, 0.980, 0.983])
    estimate = mean_interval(values, level=0.9)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))
    assert (estimate.effect, estimate.n, estimate.num_lost) == (values.mean(), 5, 0)


def test_one_value_has_no_interval_and_two_have_a_wide_one() -> None:
    one, two = mean_interval([3.0]), mean_interval([3.0, 4.0])
    assert (one.effect, one.low, one.high, one.p_value, one.method) == (
        3.0,
        None,
        None,
        None,
        "none",
    )
    assert two.low == pytest.approx(3.5 - 12.7062 * 0.5, rel=1e-4)


def test_nan_is_counted_not_hidden() -> None:
    estimate = mean_interval([1.0, np.nan, 2.0, 4.0])
    assert (estimate.n, estimate.num_lost) == (3, 1)
    assert mean_interval([np.nan]).effect is None


def test_equal_epochs_have_an_interval_with_a_width() -> None:
    estimate = mean_interval([3.0, 3.0, 3.0], resolution=1.0)
    reach = stats.t(2).ppf(0.975) * np.sqrt(1 / 12 / 3) + 1 / 6
    assert (estimate.low, estimate.high) == pytest.approx((3 - reach, 3 + reach))


def test_comparisons_get_wider_together_and_agree_with_their_p_values() -> None:
    rng = np.random.default_rng(0)
    differences = [rng.normal(shift, 1.0, size=6) for shift in (0.0, -1.2, -3.0)]
    estimates = compare_to_baseline(differences)
    for values, estimate in zip(differences, estimates, strict=True):
        result = stats.ttest_rel(values, np.zeros(6))
        expected = result.confidence_interval(1 - 0.05 / 3)
        assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))
        assert estimate.p_value == pytest.approx(min(1.0, 3 * result.pvalue))
        assert estimate.level == pytest.approx(1 - 0.05 / 3)


def test_no_comparison_gives_no_estimates() -> None:
    assert compare_to_baseline([]) == []


def test_differences_rank_what_diverged_as_the_worst() -> None:
    left, right = [0.9, np.nan, np.nan, 0.5], [0.8, 0.7, np.nan, np.nan]
    assert paired_differences(left, right, worse="low") == pytest.approx([0.1, -np.inf, 0, np.inf])
    assert paired_differences(left, right, worse="high") == pytest.approx([0.1, np.inf, 0, -np.inf])
    assert np.isnan(paired_differences(left, right)).tolist() == [False, True, True, True]


def test_differences_count_unreached_targets_at_the_horizon() -> None:
    differences = paired_differences([3.0, np.nan, 10.0], [np.nan, np.nan, 4.0], horizon=11)
    assert differences == pytest.approx([-8, 0, 6])
    assert restricted([2.0, 12.0, np.nan], horizon=11) == pytest.approx([2, 11, 11])


def test_a_comparison_with_diverged_runs_is_by_ranks() -> None:
    (estimate,) = compare_to_baseline([[-np.inf] * 6 + [-1.0, -2.0, -3.0, -0.5]])
    assert (estimate.method, estimate.effect, estimate.low) == ("sign", None, None)
    assert estimate.high == -1.0


def test_sides_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        paired_differences([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="one number per seed"):
        mean_interval(np.zeros((2, 2)))


@pytest.mark.parametrize("seed", range(20))
def test_holm_is_the_closed_test_of_bonferroni(seed: int) -> None:
    """Marcus, Peritz & Gabriel 1976: reject i when every subset that holds i is rejected."""
    rng = np.random.default_rng(seed)
    p_values = np.round(rng.beta(0.3, 3, size=4), 3).tolist()
    decisions = holm(p_values, alpha=0.05)
    for i, decision in enumerate(decisions):
        others = [j for j in range(4) if j != i]
        subsets = [(*rest, i) for size in range(4) for rest in combinations(others, size)]
        closed = max(min(1.0, len(s) * min(p_values[j] for j in s)) for s in subsets)
        assert decision.adjusted == pytest.approx(closed)
        assert (decision.adjusted <= 0.05) == (p_values[i] <= decision.alpha)


def test_holm_by_hand() -> None:
    decisions = holm([0.01, 0.04, 0.03, 0.005], alpha=0.05)
    assert [d.adjusted for d in decisions] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [d.alpha for d in decisions] == pytest.approx([0.05 / 3, 0.025, 0.025, 0.0125])
    assert holm([]) == []
