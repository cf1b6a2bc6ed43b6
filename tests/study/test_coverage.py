"""Intervals cover a known effect as often as they say.

False verdicts without an effect are in `test_calibration.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from contrasts import ALPHA, HORIZON, NUM_SEEDS, contrast, cut_at_horizon, most_by_chance
from numpy.typing import NDArray
from scipy import stats

from bninit.stats import compare_to_baseline, paired_differences
from bninit.verbs.study.contrast import Contrast, Verdict
from bninit.verbs.study.decide import decide_contrasts

Floats = NDArray[np.float64]
Ask = Callable[[np.random.Generator, int], Contrast]


def _censored_mean(location: float) -> float:
    """Mean of min(ceil(T), horizon) for a lognormal T, exactly."""
    reached = stats.lognorm(0.5, scale=np.exp(location)).cdf(np.arange(1, HORIZON))
    return float(HORIZON - reached.sum())


# Known effects: how to ask, and the true left minus right.
EFFECTS: dict[str, tuple[Ask, float]] = {
    "normal, shifted": (
        lambda rng, n: contrast(left=rng.normal(-1.0, size=n), right=rng.normal(size=n)), -1.0),
    "skewed, shifted": (
        lambda rng, n: contrast(left=rng.lognormal(size=n) - 2, right=rng.lognormal(size=n)), -2.0),
    "skewed against constant": (
        lambda rng, n: contrast(left=np.full(n, 1.0), right=rng.gamma(4.0, size=n)), -3.0),
    "epochs, few values": (
        lambda rng, n: contrast(
            left=np.ceil(3 + 0.3 * rng.normal(size=n)), right=np.ceil(6 + 0.3 * rng.normal(size=n)),
            resolution=1.0,
        ), -3.0),
    "censored on both sides": (
        lambda rng, n: contrast(
            left=cut_at_horizon(rng.lognormal(1.7, 0.5, size=n)),
            right=cut_at_horizon(rng.lognormal(2.3, 0.5, size=n)), resolution=1.0, horizon=HORIZON,
        ), _censored_mean(1.7) - _censored_mean(2.3)),
    "number, normal": (lambda rng, n: contrast(left=rng.normal(-1, size=n)), -1.0),
    "number, skewness 1": (lambda rng, n: contrast(left=rng.gamma(4.0, size=n), right=6.0), -2.0),
    "spread, normal": (
        lambda rng, n: contrast(
            measure="spread", left=rng.normal(size=(n, 4)), right=rng.normal(scale=3.0, size=(n, 4))
        ), -4 / np.sqrt(np.pi)),
    "trend, normal": (
        lambda rng, n: contrast(
            measure="trend", scores=[1, 2, 4, 8],
            left=rng.normal(size=(n, 4)) - 0.3 * np.array([1, 2, 4, 8]),
        ), -0.3),
    "shares": (
        lambda rng, n: contrast(share=True, left=rng.random(n) < 0.1, right=rng.random(n) < 0.7),
        -0.6),
}  # fmt: skip


def covers(verdict: Verdict, truth: float) -> bool:
    low = -np.inf if verdict.low is None else verdict.low
    high = np.inf if verdict.high is None else verdict.high
    return low <= truth <= high


def count_missed(case: str, n: int, *, num_draws: int) -> int:
    ask, truth = EFFECTS[case]
    rng = np.random.default_rng([n, *case.encode()])
    return sum(not covers(decide_contrasts([ask(rng, n)])[0], truth) for _ in range(num_draws))


@pytest.mark.parametrize("n", NUM_SEEDS)
@pytest.mark.parametrize("case", ["normal, shifted", "epochs, few values", "number, skewness 1"])
def test_intervals_cover_a_known_effect(case: str, n: int) -> None:
    assert count_missed(case, n, num_draws=250) <= most_by_chance(250)


@pytest.mark.slow
@pytest.mark.parametrize("n", NUM_SEEDS)
@pytest.mark.parametrize("case", EFFECTS)
def test_intervals_cover_a_known_effect_over_two_thousand_draws(case: str, n: int) -> None:
    # One side skewed, the other constant: the difference is as skewed as the side (measured 6 %).
    level = 0.07 if case == "skewed against constant" else ALPHA
    assert count_missed(case, n, num_draws=2000) <= most_by_chance(2000, level)


def misses_at_holm_levels(n: int, *, num_draws: int) -> tuple[int, float]:
    """Misses of the intervals of ten claims with effects of all sizes, and what they stated."""
    rng = np.random.default_rng(n)
    effects = np.linspace(0.0, 3.0, 10)
    num_missed, stated = 0, 0.0
    for _ in range(num_draws):
        contrasts = [
            contrast(left=rng.normal(-effect, 0.7, size=n), right=rng.normal(0.0, 0.7, size=n))
            for effect in effects
        ]
        for verdict, effect in zip(decide_contrasts(contrasts), effects, strict=True):
            num_missed += not covers(verdict, -effect)
            stated += 1 - verdict.level
    return num_missed, stated


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10, 20])
def test_intervals_at_the_levels_of_holm_cover_as_stated(n: int) -> None:
    num_missed, stated = misses_at_holm_levels(n, num_draws=1000)
    assert num_missed <= stats.poisson.ppf(1 - 1e-4, stated)


def count_comparisons_missed(n: int, *, num_draws: int) -> int:
    """Tables of four arms against one baseline in which any of the four intervals misses."""
    rng = np.random.default_rng(n)
    effects = np.array([0.0, 0.5, -1.0, 3.0])
    num_missed = 0
    for _ in range(num_draws):
        baseline = rng.normal(size=n)
        arms = rng.normal(size=(4, n)) + effects[:, None]
        estimates = compare_to_baseline([paired_differences(arm, baseline) for arm in arms])
        num_missed += any(
            estimate.low is None or estimate.high is None
            or not estimate.low <= effect <= estimate.high
            for estimate, effect in zip(estimates, effects, strict=True)
        )  # fmt: skip
    return num_missed


@pytest.mark.parametrize("n", NUM_SEEDS)
def test_all_intervals_of_a_comparison_hold_at_once(n: int) -> None:
    assert count_comparisons_missed(n, num_draws=500) <= most_by_chance(500)
