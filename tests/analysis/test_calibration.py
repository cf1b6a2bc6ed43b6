"""False verdicts stay at or below the stated level, on synthetic runs with no effect.

Run as a script, this prints the whole table: `python tests/analysis/test_calibration.py 1000`.
What the intervals cover is in `test_coverage.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bninit.verbs.study.decide import Question, Verdict, Wording, decide_claims

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]
Ask = Callable[[np.random.Generator, int], Question]

WORDS = Wording(left="with A", right="with B", quantity="the metric")
NUM_SEEDS = (3, 5, 10, 20)
HORIZON = 11.0
ALPHA = 0.05


def _censored(times: Floats) -> Floats:
    epochs = np.ceil(times)
    return np.where(epochs > HORIZON - 1, np.nan, epochs)


# One draw of a metric, and the step in which it is recorded.
METRICS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, size: rng.normal(size=size), 0.0),
    "skewed (lognormal)": (lambda rng, size: rng.lognormal(size=size), 0.0),
    "epochs, few values": (lambda rng, size: np.ceil(3.0 + 0.3 * rng.normal(size=size)), 1.0),
    "epochs, many values": (lambda rng, size: np.ceil(rng.gamma(4.0, 1.5, size=size)), 1.0),
    "two-way (3 or 9)": (lambda rng, size: rng.choice([3.0, 9.0], size=size), 1.0),
    "censored, a tenth": (lambda rng, size: _censored(rng.lognormal(1.7, 0.5, size=size)), 1.0),
    "censored, half": (lambda rng, size: _censored(rng.lognormal(2.3, 0.5, size=size)), 1.0),
    "censored, two-way": (
        lambda rng, size: np.where(rng.random(size) < 0.5, 3.0, np.nan),
        1.0,
    ),
}


def difference(metric: str) -> Ask:
    draw, resolution = METRICS[metric]
    return lambda rng, n: Question(
        name="difference", expect="less", left=draw(rng, (n,)), right=draw(rng, (n,)),
        resolution=resolution, horizon=HORIZON if "censored" in metric else None, wording=WORDS,
    )  # fmt: skip


def two_cells(metric: str) -> Ask:
    """Two settings within a seed, which share the seed's luck: n stays the number of seeds."""
    draw, resolution = METRICS[metric]
    return lambda rng, n: Question(
        name="two cells", expect="less", resolution=resolution, wording=WORDS,
        left=draw(rng, (n, 1)) + np.arange(2), right=draw(rng, (n, 1)) + np.arange(2),
    )  # fmt: skip


def spread(metric: str) -> Ask:
    draw, resolution = METRICS[metric]
    return lambda rng, n: Question(
        name="spread", expect="less", measure="spread", resolution=resolution, wording=WORDS,
        left=draw(rng, (n, 1, 4)), right=draw(rng, (n, 1, 4)),
        horizon=HORIZON if "censored" in metric else None,
    )  # fmt: skip


def trend(metric: str) -> Ask:
    draw, resolution = METRICS[metric]
    return lambda rng, n: Question(
        name="trend", expect="less", measure="trend", scores=[1, 2, 4, 8], resolution=resolution,
        left=draw(rng, (n, 1, 4)), right=0.0, wording=WORDS,
        horizon=HORIZON if "censored" in metric else None,
    )  # fmt: skip


def number(metric: str, mean: float) -> Ask:
    draw, resolution = METRICS[metric]
    return lambda rng, n: Question(
        name="number", expect="less", left=draw(rng, (n,)), right=mean, resolution=resolution,
        wording=WORDS,
    )  # fmt: skip


def number_skewed() -> Ask:
    """Gamma with shape 4: skewness 1, the number at its mean."""
    return lambda rng, n: Question(
        name="number", expect="less", left=rng.gamma(4.0, size=n), right=4.0, wording=WORDS
    )


def equal_at_margin(metric: str) -> Ask:
    """The truth lies on the margin: "supported" is false there."""
    draw, resolution = METRICS[metric]
    return lambda rng, n: Question(
        name="equal", expect="equal", left=draw(rng, (n,)) + 2.0, right=draw(rng, (n,)), margin=2.0,
        resolution=resolution, wording=WORDS,
    )  # fmt: skip


def equal_within(metric: str) -> Ask:
    """The truth lies within the margin: "contradicted" is false there."""
    draw, resolution = METRICS[metric]
    return lambda rng, n: Question(
        name="equal", expect="equal", left=draw(rng, (n,)), right=draw(rng, (n,)), margin=0.01,
        resolution=resolution, wording=WORDS,
    )  # fmt: skip


def shares(probability: float) -> Ask:
    return lambda rng, n: Question(
        name="shares", expect="less", share=True, wording=WORDS,
        left=rng.random(n) < probability, right=rng.random(n) < probability,
    )  # fmt: skip


def share_number(probability: float) -> Ask:
    return lambda rng, n: Question(
        name="share", expect="less", share=True, left=rng.random(n) < probability,
        right=probability, wording=WORDS,
    )  # fmt: skip


def diverging(rng: np.random.Generator, n: int) -> Question:
    left, right = (np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)) for _ in range(2))
    return Question(
        name="diverging", expect="less", left=left, right=right, worse="high", wording=WORDS
    )


CASES: dict[str, Ask] = {
    **{f"difference, {metric}": difference(metric) for metric in METRICS},
    "difference over two cells, normal": two_cells("normal"),
    "difference, three in ten diverge": diverging,
    **{f"spread, {m}": spread(m) for m in METRICS if "two-way" not in m},
    **{f"trend, {m}": trend(m) for m in METRICS if "two-way" not in m},
    "number, normal": number("normal", 0.0),
    "number, skewness 1": number_skewed(),
    "number, epochs, few values": number("epochs, few values", 3.5),
    **{f"equal, truth at margin, {m}": equal_at_margin(m) for m in METRICS if "cens" not in m},
    **{f"equal, truth within, {m}": equal_within(m) for m in METRICS if "cens" not in m},
    "shares, 0.5 each": shares(0.5),
    "shares, 0.1 each": shares(0.1),
    "share against 0.3": share_number(0.3),
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
            for verdict in decide_claims([CASES[case](rng, n) for _ in range(num_claims)])
        )
        for _ in range(num_draws)
    )


def most_by_chance(num_draws: int, level: float = ALPHA) -> int:
    """Above this, a rate of `level` is refuted (1 in 10,000 by chance)."""
    return int(stats.binom.ppf(1 - 1e-4, num_draws, level))


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


def _print_table(num_draws: int) -> None:
    head = " | ".join(f"n = {n}" for n in NUM_SEEDS)
    for title, cases, num_claims in (
        ("false verdicts, one claim", list(CASES), 1),
        ("any false verdict among ten claims", FAMILY_CASES, 10),
    ):
        print(f"\n| {title} | {head} |\n" + "| --- " * (len(NUM_SEEDS) + 1) + "|")
        for case in cases:
            rates = [
                count_false(case, n, num_draws=num_draws, num_claims=num_claims) / num_draws
                for n in NUM_SEEDS
            ]
            print(f"| {case} | " + " | ".join(f"{100 * r:.1f} %" for r in rates) + " |", flush=True)


if __name__ == "__main__":
    _print_table(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
