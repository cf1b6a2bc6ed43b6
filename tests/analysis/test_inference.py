"""Means and medians, against scipy, enumeration and the theorem that sets the floor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bninit.stats import MeanInference, MedianInference, infer

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
    assert inference.interval(0.05) == pytest.approx(
        (FIRST_DRUG.mean() - reach, FIRST_DRUG.mean() + reach)
    )


def test_equal_epochs_get_the_width_that_rounding_leaves() -> None:
    differences = np.full(5, -2.0)
    inference = infer(differences, variance_floor=1 / 6, half_step=1 / 10)
    assert inference is not None
    # Two rounding errors of variance 1/12 each; the mean of five moves in jumps of 1/5.
    reach = stats.t(4).ppf(0.975) * np.sqrt(1 / 6 / 5) + 1 / 10
    assert inference.interval(0.05) == pytest.approx((-2 - reach, -2 + reach))


def test_too_few_seeds_have_no_interval_at_a_strict_level() -> None:
    inference = infer(np.array([-2.0, -2.1, -2.2]))
    assert inference is not None
    assert inference.p_less(0.0) == 1 / 64
    assert inference.interval(2 / 64) is not None
    assert inference.interval(2 / 64 - 1e-9) is None


@pytest.mark.parametrize("values", [[], [3.0]])
def test_fewer_than_two_values_infer_nothing(values: list[float]) -> None:
    assert infer(np.array(values)) is None


@pytest.mark.parametrize("seed", range(200))
def test_one_in_four_is_the_most_that_a_difference_can_cluster(seed: int) -> None:
    """The theorem behind the floor: X, Y alike, then P(a <= Y - X <= b) <= 1/4 for b < 2a."""
    rng = np.random.default_rng(seed)
    places = np.sort(rng.uniform(0, 10, size=rng.integers(2, 7)))
    weights = rng.dirichlet(np.full(len(places), 0.5))
    joint = np.outer(weights, weights)
    distance = places[None, :] - places[:, None]
    for a in distance[distance > 0]:
        assert joint[(distance >= a) & (distance < 2 * a)].sum() <= 0.25 + 1e-12


def test_one_in_four_is_reached_by_two_way_outcomes() -> None:
    outcomes = np.array([3.0, 9.0])
    assert (outcomes[None, :] - outcomes[:, None] == 6).mean() == 0.25


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
    values = np.array([-np.inf, -np.inf, -3.0, -1.0, -0.5, -0.1, 0.0, 0.2])
    inference = infer(values)
    assert isinstance(inference, MedianInference)
    expected = stats.binomtest(6, 8, alternative="greater").pvalue
    assert inference.p_less(0.0) == pytest.approx(expected)
    assert inference.effect == pytest.approx(-0.75)
    assert inference.interval(0.05) == (-np.inf, 0.2)


def test_median_between_two_infinities_is_not_a_number() -> None:
    assert np.isnan(MedianInference(np.array([-np.inf, -np.inf, np.inf, np.inf])).effect)
    assert MedianInference(np.array([-np.inf, -np.inf, -np.inf, 1.0])).effect == -np.inf


def test_equal_values_of_unknown_resolution_are_told_by_their_signs_only() -> None:
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
