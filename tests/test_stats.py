"""Intervals, tests and censoring against scipy, enumeration, textbooks and theorems."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bninit.stats import (
    MeanInference,
    MedianInference,
    PairedShareInference,
    ShareInference,
    bands,
    compare_to_baseline,
    finite_rows,
    holm,
    infer,
    last_before_divergence,
    median,
    median_of_censored,
    paired_differences,
    reached_curve,
    restricted,
    spread,
)

NAN = math.nan

# Student (1908): hours of sleep gained by ten patients with two drugs; R's `sleep`.
FIRST_DRUG = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
SECOND_DRUG = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


def test_mean_is_the_paired_t_test_of_students_sleep_data() -> None:
    inference = infer(FIRST_DRUG - SECOND_DRUG)
    expected = stats.ttest_rel(FIRST_DRUG, SECOND_DRUG)

    assert isinstance(inference, MeanInference)
    assert inference.effect == pytest.approx(-1.58)
    assert 2 * inference.p_less(0.0) == pytest.approx(0.00283289)
    assert 2 * inference.p_less(0.0) == pytest.approx(expected.pvalue)
    assert inference.interval(0.05) == pytest.approx((-2.4598858, -0.7001142))
    assert inference.interval(0.10) == pytest.approx(tuple(expected.confidence_interval(0.90)))


def test_one_sample_uses_half_the_degrees_of_freedom() -> None:
    inference = infer(FIRST_DRUG, symmetric=False)
    assert inference is not None
    reach = stats.t(4.5).ppf(0.975) * stats.sem(FIRST_DRUG)
    mean = FIRST_DRUG.mean()
    assert inference.interval(0.05) == pytest.approx((mean - reach, mean + reach))


def test_equal_epochs_get_the_width_that_rounding_leaves() -> None:
    inference = infer(np.full(5, -2.0), variance_floor=1 / 6, half_step=1 / 10)
    (estimate,) = compare_to_baseline([np.full(5, -2.0)], resolution=1.0)
    # Two rounding errors of variance 1/12 each; the mean of five moves in jumps of 1/5.
    reach = stats.t(4).ppf(0.975) * np.sqrt(1 / 6 / 5) + 1 / 10
    assert inference is not None
    assert inference.interval(0.05) == pytest.approx((-2 - reach, -2 + reach))
    assert (estimate.low, estimate.high) == pytest.approx((-2 - reach, -2 + reach))


def test_too_few_seeds_have_no_interval_at_a_strict_level() -> None:
    inference = infer(np.array([-2.0, -2.1, -2.2]))
    assert inference is not None
    assert inference.p_less(0.0) == 1 / 64
    assert inference.interval(2 / 64) is not None
    assert inference.interval(2 / 64 - 1e-9) is None
    assert infer(np.array([3.0])) is None
    assert infer(np.array([])) is None


@pytest.mark.parametrize("seed", range(50))
def test_one_in_four_is_the_most_that_a_difference_can_cluster(seed: int) -> None:
    """The theorem behind the floor: X, Y alike, then P(a <= Y - X <= b) <= 1/4 for b < 2a."""
    rng = np.random.default_rng(seed)
    places = np.sort(rng.uniform(0, 10, size=rng.integers(2, 7)))
    weights = rng.dirichlet(np.full(len(places), 0.5))
    joint = np.outer(weights, weights)
    distance = places[None, :] - places[:, None]
    for a in distance[distance > 0]:
        assert joint[(distance >= a) & (distance < 2 * a)].sum() <= 0.25 + 1e-12
    two_ways = np.array([3.0, 9.0])
    assert (two_ways[None, :] - two_ways[:, None] == 6).mean() == 0.25, "the bound is reached"


@pytest.mark.parametrize("n", [5, 6, 9, 10, 15, 20])
@pytest.mark.parametrize("alpha", [0.05, 0.005])
def test_median_interval_is_scipys_quantile_interval(n: int, alpha: float) -> None:
    values = np.sort(np.random.default_rng(n).normal(size=n))
    expected: Any = stats.quantile_test(values, q=0, p=0.5).confidence_interval(1 - alpha)
    interval = MedianInference(values).interval(alpha)
    if interval is None:
        assert np.isnan(expected).any()
    else:
        assert interval == pytest.approx(tuple(expected))


def test_median_p_value_is_the_sign_test() -> None:
    inference = infer(np.array([-np.inf, -np.inf, -3.0, -1.0, -0.5, -0.1, 0.0, 0.2]))
    assert isinstance(inference, MedianInference)
    expected = stats.binomtest(6, 8, alternative="greater").pvalue
    assert inference.p_less(0.0) == pytest.approx(expected)
    assert inference.effect == pytest.approx(-0.75)
    assert inference.interval(0.05) == (-np.inf, 0.2)


def test_median_between_two_infinities_is_not_a_number() -> None:
    assert np.isnan(MedianInference(np.array([-np.inf, -np.inf, np.inf, np.inf])).effect)
    assert MedianInference(np.array([-np.inf, -np.inf, -np.inf, 1.0])).effect == -np.inf


def test_equal_values_of_unknown_resolution_are_decided_by_their_signs_only() -> None:
    inference = infer(np.full(5, 0.1) + 1e-18)
    assert isinstance(inference, MedianInference)
    assert inference.p_greater(0.0) == 1 / 32
    assert inference.interval(0.05) is None


@given(
    st.lists(st.integers(-5, 5), min_size=2, max_size=12),
    st.floats(0.001, 0.2),
    st.floats(-4, 4),
    st.booleans(),
)
def test_interval_and_p_values_agree(
    numbers: list[int], alpha: float, value: float, recorded_in_whole_steps: bool
) -> None:
    values = np.array(numbers, dtype=np.float64)
    resolution = float(recorded_in_whole_steps)
    inference = infer(values, variance_floor=resolution / 6, half_step=resolution / len(values) / 2)
    assert inference is not None
    interval = inference.interval(alpha)
    p_value = 2 * min(inference.p_greater(value), inference.p_less(value))
    if interval is None:
        assert p_value > alpha
    elif value < interval[0] - 1e-9 or value > interval[1] + 1e-9:
        assert p_value <= alpha
    elif interval[0] + 1e-9 < value < interval[1] - 1e-9:
        assert p_value > alpha


@pytest.mark.parametrize(("count", "n"), [(0, 5), (5, 5), (3, 10), (10, 10), (7, 20)])
def test_share_is_scipys_binomial_test(count: int, n: int) -> None:
    inference = ShareInference(count, n)
    for share in (0.0, 0.2, 0.5, 0.9, 1.0):
        greater = stats.binomtest(count, n, share, alternative="greater").pvalue
        less = stats.binomtest(count, n, share, alternative="less").pvalue
        assert inference.p_greater(share) == pytest.approx(greater)
        assert inference.p_less(share) == pytest.approx(less)
    expected = stats.binomtest(count, n).proportion_ci(0.99, method="exact")
    assert inference.interval(0.01) == pytest.approx((expected.low, expected.high))


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
        law = stats.multinomial(n, [p_left, p_right, 1 - p_left - p_right])
        covered = 0.0
        for left, right in [(i, j) for i in range(n + 1) for j in range(n + 1 - i)]:
            low, high = PairedShareInference(left, right, n).interval(alpha)
            covered += law.pmf([left, right, n - left - right]) * (low <= p_left - p_right <= high)
        assert covered >= 1 - alpha


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
    assert compare_to_baseline([]) == []


def test_few_or_lost_seeds_are_counted_not_hidden() -> None:
    one, two, lost, none = compare_to_baseline([[3.0], [3, 4], [1, NAN, 2, 4], [NAN]], alpha=0.2)
    assert (one.effect, one.low, one.high, one.p_value, one.method) == (3, None, None, None, "none")
    assert two.low == pytest.approx(3.5 - 12.7062 * 0.5, rel=1e-4)
    assert (lost.n, lost.num_lost) == (3, 1)
    assert lost.effect == pytest.approx(7 / 3)
    assert (none.n, none.effect) == (0, None)


def test_a_comparison_with_diverged_runs_is_by_ranks() -> None:
    (estimate,) = compare_to_baseline([[-np.inf] * 6 + [-1.0, -2.0, -3.0, -0.5]])
    assert (estimate.method, estimate.effect, estimate.low) == ("sign", None, None)
    assert estimate.high == -1.0


def test_differences_rank_what_diverged_as_the_worst() -> None:
    left, right = [0.9, NAN, NAN, 0.5], [0.8, 0.7, NAN, NAN]
    assert paired_differences(left, right, worse="low") == pytest.approx([0.1, -np.inf, 0, np.inf])
    assert paired_differences(left, right, worse="high") == pytest.approx([0.1, np.inf, 0, -np.inf])
    assert np.isnan(paired_differences(left, right)).tolist() == [False, True, True, True]


def test_differences_count_unreached_targets_at_the_horizon() -> None:
    differences = paired_differences([3.0, NAN, 10.0], [NAN, NAN, 4.0], horizon=11)
    assert differences == pytest.approx([-8, 0, 6])
    assert restricted([2.0, 12.0, NAN], horizon=11) == pytest.approx([2, 11, 11])


def test_sides_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        paired_differences([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="one number per seed"):
        compare_to_baseline([np.zeros((2, 2))])


@pytest.mark.parametrize("seed", range(20))
def test_holm_is_the_closed_test_of_bonferroni(seed: int) -> None:
    """Marcus, Peritz & Gabriel 1976: reject i when every subset that holds i is rejected."""
    rng = np.random.default_rng(seed)
    p_values = np.round(rng.beta(0.3, 3, size=4), 3).tolist()
    for i, decision in enumerate(holm(p_values, alpha=0.05)):
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


def test_the_reached_curve_is_kaplan_and_meiers_with_exact_intervals() -> None:
    rng = np.random.default_rng(11)
    for _ in range(30):
        times = np.ceil(rng.lognormal(1.5, 0.6, size=int(rng.integers(1, 30))))
        never = times > 6
        curve = reached_curve(np.where(never, NAN, times), last_seen=6)
        kept = stats.CensoredData.right_censored(np.where(never, 6, times), never)
        survival = stats.ecdf(kept).sf
        assert curve.times.tolist() == survival.quantiles.tolist()
        assert curve.share == pytest.approx(1 - survival.probabilities, abs=1e-12)
        for time, low, high in zip(curve.times, curve.low, curve.high, strict=True):
            count = int(((times <= time) & ~never).sum())
            expected = stats.binomtest(count, len(times)).proportion_ci(0.95)
            assert (low, high) == pytest.approx((expected.low, expected.high))


def test_a_curve_needs_runs_that_are_watched() -> None:
    with pytest.raises(ValueError, match="at least one run"):
        reached_curve([], last_seen=10)
    with pytest.raises(ValueError, match="last seen"):
        reached_curve([11.0], last_seen=10)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([3, 5, None], 5),
        ([NAN, 3, None], None),
        ([3, 5, 9, None], 7),
        ([3, 5, None, None], None),
        ([None], None),
        ([], None),
        ([0, 0], 0),
    ],
)
def test_a_time_that_never_came_is_later_than_all_others(
    times: list[float | None], expected: float | None
) -> None:
    assert median_of_censored(times) == expected


@given(st.lists(st.integers(0, 50), min_size=1, max_size=9))
def test_the_median_is_numpys_with_infinity_as_the_largest_number(numbers: list[int]) -> None:
    assert median(numbers) == np.median(numbers)
    assert median([*numbers, NAN]) == np.median(numbers)
    assert median([*numbers, *[math.inf] * len(numbers), math.inf]) == math.inf
    assert median([NAN]) is None


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_spread_equals_numpy(values: list[float]) -> None:
    found = spread([None, *values, NAN, math.inf])
    assert found is not None
    assert found.mean == pytest.approx(np.mean(values))
    assert found.sd == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    assert (found.low, found.high, found.n) == (min(values), max(values), len(values))


def test_a_single_value_has_no_standard_deviation_and_none_no_spread() -> None:
    found = spread([0.25])
    assert found is not None
    assert (found.mean, found.sd, found.low, found.high, found.n) == (0.25, None, 0.25, 0.25, 1)
    assert spread([None, NAN]) is None


def rows(*runs: tuple[str, int, list[float]]) -> pd.DataFrame:
    """Runs as (arm, seed, validation loss of each epoch); accuracy is 1 - loss / 10."""
    table = pd.DataFrame(
        [
            {"name": "x", "arm": arm, "seed": seed, "epoch": epoch, "val_loss": loss}
            for arm, seed, losses in runs
            for epoch, loss in enumerate(losses)
        ]
    )
    table["train_loss"] = table["val_loss"]
    return table.assign(val_accuracy=1 - table["val_loss"].fillna(9) / 10)


def test_bands_hold_median_lowest_highest_and_count_of_each_epoch_and_arm() -> None:
    table = rows(("b", 0, [2.0, 1.0]), ("b", 1, [4.0, 2.0]), ("b", 2, [9.0, 3.0]), ("a", 0, [5.0]))
    found = bands(table, "val_loss")
    one = found[(found["arm"] == "b") & (found["epoch"] == 0)].iloc[0]
    assert (one["median"], one["low"], one["high"], one["n"]) == (4.0, 2.0, 9.0, 3)
    assert list(found["arm"]) == ["b", "a", "b"]
    assert list(found["epoch"]) == [0, 0, 1]


@pytest.mark.parametrize("bad", [NAN, math.inf])
def test_bands_leave_out_a_network_from_where_it_diverged(bad: float) -> None:
    table = rows(("a", 0, [2.0, 1.0]), ("a", 1, [4.0, bad]))
    found = bands(table, "val_accuracy")
    assert list(found["n"]) == [2, 1]
    assert found["low"][1] == pytest.approx(0.9)
    assert list(finite_rows(table)["epoch"]) == [0, 1, 0]


def test_the_last_finite_epoch_of_each_diverged_network_is_found() -> None:
    def found(table: pd.DataFrame) -> list[tuple[str, int, int]]:
        last = last_before_divergence(table)
        return list(zip(last["arm"], last["seed"], last["epoch"], strict=True))

    table = rows(("a", 0, [2.0, 1.0]), ("a", 1, [4.0, 3.0, NAN]), ("b", 0, [3.0, NAN]))
    assert found(table) == [("b", 0, 0), ("a", 1, 1)]
    # A status shows a divergence that no row does.
    table = rows(("a", 0, [2.0, 1.0]), ("a", 1, [4.0, 3.0]))
    assert found(table) == []
    table["status"] = np.where(table["seed"] == 1, "diverged", "done")
    assert found(table) == [("a", 1, 1)]
