"""Spread and trend over levels, against their definitions and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bninit.verbs.study.decide import gini_mean_difference, slope


@pytest.mark.parametrize("num_levels", [2, 3, 7])
def test_gini_is_the_mean_over_all_pairs(num_levels: int) -> None:
    values = np.random.default_rng(1).normal(size=(4, num_levels))
    pairs = np.abs(values[:, :, None] - values[:, None, :]).sum(axis=(1, 2))
    expected = pairs / (num_levels * (num_levels - 1))
    assert gini_mean_difference(values) == pytest.approx(expected)


def test_gini_of_a_diverged_level_is_beyond_measure() -> None:
    assert gini_mean_difference(np.array([[1.0, -np.inf, 2.0], [1.0, 1.0, 1.0]])).tolist() == [
        np.inf,
        0.0,
    ]


def test_slope_is_the_least_squares_line() -> None:
    scores, values = [1.0, 2.0, 4.0, 8.0], np.random.default_rng(2).normal(size=(5, 4))
    expected = [stats.linregress(scores, row).slope for row in values]
    assert slope(values, scores=scores) == pytest.approx(expected)


@pytest.mark.parametrize("ranked", [[1, 2, np.inf, np.inf], [np.inf, 3, 1, 2], [-np.inf, 5, 6, 7]])
def test_slope_with_diverged_levels_has_the_sign_of_kendalls_tau(ranked: list[float]) -> None:
    finite = np.nan_to_num(ranked, posinf=100, neginf=-100)
    tau = stats.kendalltau([1, 2, 3, 4], finite).statistic
    assert slope(np.array([ranked]), scores=[1, 2, 3, 4])[0] == np.sign(tau) * np.inf


def test_slope_without_order_is_no_trend() -> None:
    assert slope(np.array([[np.inf, 1.0, np.inf]]), scores=[1, 2, 3])[0] == 0
