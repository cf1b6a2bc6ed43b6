"""False verdicts stay at or below the stated level, on synthetic runs with no effect.

What the intervals cover is in `test_coverage.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from contrasts import HORIZON, NUM_SEEDS, contrast, cut_at_horizon, most_by_chance
from numpy.typing import NDArray

from bninit.verbs.study.contrast import Contrast, Verdict
from bninit.verbs.study.decide import decide_contrasts

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]
Ask = Callable[[np.random.Generator, int], Contrast]

# One draw of a metric, and the step in which it is recorded.
METRICS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, size: rng.normal(size=size), 0.0),
    "skewed (lognormal)": (lambda rng, size: rng.lognormal(size=size), 0.0),
    "epochs, few values": (lambda rng, size: np.ceil(3.0 + 0.3 * rng.normal(size=size)), 1.0),
    "epochs, many values": (lambda rng, size: np.ceil(rng.gamma(4.0, 1.5, size=size)), 1.0),
    "two-way (3 or 9)": (lambda rng, size: rng.choice([3.0, 9.0], size=size), 1.0),
    "censored, a tenth": (lambda rng, n: cut_at_horizon(rng.lognormal(1.7, 0.5, size=n)), 1.0),
    "censored, half": (lambda rng, n: cut_at_horizon(rng.lognormal(2.3, 0.5, size=n)), 1.0),
    "censored, two-way": (lambda rng, n: np.where(rng.random(n) < 0.5, 3.0, np.nan), 1.0),
}


def two_sides(
    metric: str, *, levels: tuple[int, ...] = (), shift: float = 0.0, **parts: Any
) -> Ask:
    """Two sides of one law, the left one shifted."""
    draw, resolution = METRICS[metric]
    horizon = HORIZON if "censored" in metric else None
    return lambda rng, n: contrast(
        left=draw(rng, (n, *levels)) + shift, right=draw(rng, (n, *levels)),
        resolution=resolution, horizon=horizon, **parts,
    )  # fmt: skip


def trend(metric: str) -> Ask:
    draw, resolution = METRICS[metric]
    horizon = HORIZON if "censored" in metric else None
    return lambda rng, n: contrast(
        measure="trend", scores=[1, 2, 4, 8], left=draw(rng, (n, 1, 4)), resolution=resolution,
        horizon=horizon,
    )  # fmt: skip


def number(metric: str, mean: float) -> Ask:
    draw, resolution = METRICS[metric]
    return lambda rng, n: contrast(left=draw(rng, (n,)), right=mean, resolution=resolution)


def two_cells(rng: np.random.Generator, n: int) -> Contrast:
    """Two settings within a seed, which share the seed's luck: n stays the number of seeds."""
    cells = np.arange(2)
    return contrast(left=rng.normal(size=(n, 1)) + cells, right=rng.normal(size=(n, 1)) + cells)


def shares(probability: float) -> Ask:
    return lambda rng, n: contrast(
        share=True, left=rng.random(n) < probability, right=rng.random(n) < probability
    )


def diverging(rng: np.random.Generator, n: int) -> Contrast:
    left, right = (np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)) for _ in range(2))
    return contrast(left=left, right=right, worse="high")


NOT_CENSORED = [metric for metric in METRICS if "cens" not in metric]
CASES: dict[str, Ask] = {
    **{f"difference, {metric}": two_sides(metric) for metric in METRICS},
    "difference over two cells, normal": two_cells,
    "difference, three in ten diverge": diverging,
    **{
        f"spread, {metric}": two_sides(metric, levels=(1, 4), measure="spread")
        for metric in METRICS if "two-way" not in metric
    },
    **{f"trend, {metric}": trend(metric) for metric in METRICS if "two-way" not in metric},
    "number, normal": number("normal", 0.0),
    # Gamma with shape 4: the number at its mean.
    "number, skewness 1": lambda rng, n: contrast(left=rng.gamma(4.0, size=n), right=4.0),
    "number, epochs, few values": number("epochs, few values", 3.5),
    # "supported" is false with the truth on the margin, "contradicted" with the truth within.
    **{
        f"equal, truth at margin, {metric}": two_sides(metric, shift=2, expect="equal", margin=2)
        for metric in NOT_CENSORED
    },
    **{
        f"equal, truth within, {metric}": two_sides(metric, expect="equal", margin=0.01)
        for metric in NOT_CENSORED
    },
    "shares, 0.5 each": shares(0.5),
    "shares, 0.1 each": shares(0.1),
    "share against 0.3": lambda rng, n: contrast(share=True, left=rng.random(n) < 0.3, right=0.3),
}  # fmt: skip


def is_false(case: str, verdict: Verdict) -> bool:
    if "truth at margin" in case:
        return verdict.outcome == "supported"
    if "truth within" in case:
        return verdict.outcome == "contradicted"
    return verdict.outcome != "undecided"


def count_false(case: str, n: int, *, num_draws: int, num_claims: int = 1) -> int:
    """Number of studies, of `num_draws`, with at least one false verdict."""
    rng = np.random.default_rng([n, num_claims, *case.encode()])
    return sum(
        any(
            is_false(case, verdict)
            for verdict in decide_contrasts([CASES[case](rng, n) for _ in range(num_claims)])
        )
        for _ in range(num_draws)
    )


@pytest.mark.parametrize("n", NUM_SEEDS)
@pytest.mark.parametrize(
    "case",
    [
        "difference, normal",
        "difference, epochs, few values",
        "difference, two-way (3 or 9)",
        "difference, censored, half",
        "spread, skewed (lognormal)",
        "trend, censored, a tenth",
        "number, skewness 1",
        "equal, truth at margin, epochs, few values",
        "shares, 0.5 each",
    ],
)
def test_false_verdicts_are_rare(case: str, n: int) -> None:
    assert count_false(case, n, num_draws=250) <= most_by_chance(250)


@pytest.mark.slow
@pytest.mark.parametrize("n", NUM_SEEDS)
@pytest.mark.parametrize("case", CASES)
def test_false_verdicts_are_rare_over_two_thousand_draws(case: str, n: int) -> None:
    assert count_false(case, n, num_draws=2000) <= most_by_chance(2000)


FAMILY_CASES = [
    "difference, normal",
    "difference, skewed (lognormal)",
    "difference, epochs, few values",
    "difference, two-way (3 or 9)",
    "difference, censored, half",
    "difference, censored, two-way",
    "spread, normal",
    "trend, epochs, many values",
    "number, skewness 1",
    "equal, truth at margin, normal",
    "shares, 0.5 each",
]


@pytest.mark.parametrize("n", [3, 5])
def test_ten_claims_at_once_on_two_way_outcomes(n: int) -> None:
    """Three equal differences by luck (3 % of studies a claim) must not pass for a finding."""
    assert count_false("difference, two-way (3 or 9)", n, num_draws=200, num_claims=10) <= (
        most_by_chance(200)
    )


@pytest.mark.slow
@pytest.mark.parametrize("n", NUM_SEEDS)
@pytest.mark.parametrize("case", FAMILY_CASES)
def test_ten_claims_at_once(case: str, n: int) -> None:
    assert count_false(case, n, num_draws=1000, num_claims=10) <= most_by_chance(1000)
