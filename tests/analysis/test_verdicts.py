"""Verdicts: what decides, what does not, and that verdict and interval agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bninit.verbs.study.decide import Question, Wording, decide_claims, seeds_needed

NAN = np.nan
WORDS = Wording(left="with A", right="with B", quantity="the metric")


def question(**parts: Any) -> Question:
    return Question(**{"name": "claim", "expect": "less", "wording": WORDS, **parts})


def decide(**parts: Any) -> Any:
    return decide_claims([question(**parts)])[0]


LOW = [1.0, 1.2, 0.9, 1.1, 1.3]
HIGH = [2.0, 2.1, 2.2, 1.9, 2.4]


@pytest.mark.parametrize(
    ("expect", "margin", "outcome"),
    [
        ("less", 0.0, "supported"),
        ("greater", 0.0, "contradicted"),
        ("less", 0.5, "supported"),
        ("less", 1.0, "undecided"),
        ("less", 2.0, "contradicted"),
        ("greater", -2.0, "supported"),
        ("equal", 2.0, "supported"),
        ("equal", 1.0, "undecided"),
        ("equal", 0.3, "contradicted"),
    ],
)
def test_the_interval_decides(expect: str, margin: float, outcome: str) -> None:
    assert decide(expect=expect, margin=margin, left=LOW, right=HIGH).outcome == outcome


def test_numbers_of_a_verdict_are_the_paired_t_tests() -> None:
    verdict = decide(left=LOW, right=HIGH)
    result = stats.ttest_rel(LOW, HIGH)
    interval = result.confidence_interval(0.95)
    assert verdict.effect == pytest.approx(np.mean(LOW) - np.mean(HIGH))
    assert (verdict.low, verdict.high) == pytest.approx((interval.low, interval.high))
    # Five equal signs by luck: the p-value stops at twice 4 ** -5.
    assert verdict.p_value == max(2 * 4.0**-5, result.pvalue)
    assert (verdict.n, verdict.level, verdict.method) == (5, 0.95, "paired t")


def test_equality_is_two_one_sided_tests() -> None:
    rng = np.random.default_rng(3)
    left, right = rng.normal(size=12), rng.normal(size=12)
    verdict = decide(expect="equal", margin=1.5, left=left, right=right)
    upper = stats.ttest_rel(left, right + 1.5, alternative="less").pvalue
    lower = stats.ttest_rel(left, right - 1.5, alternative="greater").pvalue
    assert verdict.p_value == pytest.approx(max(upper, lower))
    interval = stats.ttest_rel(left, right).confidence_interval(0.90)
    assert (verdict.outcome, verdict.level) == ("supported", 0.90)
    assert (verdict.low, verdict.high) == pytest.approx((interval.low, interval.high))


def test_more_claims_make_each_harder() -> None:
    borderline = question(left=[1.0, 1.5, 0.7, 1.3, 1.4], right=[2.0, 1.9, 2.0, 1.5, 1.8])
    noise = question(left=LOW, right=LOW[::-1])
    assert decide_claims([borderline])[0].outcome == "supported"
    alone = decide_claims([borderline])[0]
    together = decide_claims([borderline, *[noise] * 9])[0]
    assert together.outcome == "undecided"
    assert together.p_adjusted == pytest.approx(10 * alone.p_value)
    assert together.level == pytest.approx(0.995)


def test_holm_lets_a_borderline_claim_profit_from_clear_ones() -> None:
    borderline = question(left=[1.0, 1.5, 0.7, 1.3, 1.4], right=[2.0, 1.9, 2.0, 1.5, 1.8])
    clear = question(left=np.array(LOW) - 9, right=HIGH)
    verdicts = decide_claims([borderline, *[clear] * 9])
    assert [verdict.outcome for verdict in verdicts] == ["supported"] * 10
    assert verdicts[0].level == pytest.approx(0.95)
    assert verdicts[1].level == pytest.approx(0.995)


def test_three_seeds_decide_one_claim_but_not_ten() -> None:
    clear = question(left=LOW[:3], right=np.array(HIGH[:3]) + 9)
    assert decide_claims([clear])[0].outcome == "supported"
    verdict = decide_claims([clear] * 10)[0]
    assert (verdict.outcome, verdict.low, verdict.high) == ("undecided", None, None)
    assert "3 seeds are too few for 10 claims at once (at least 5 are needed)" in verdict.sentence
    assert decide_claims([question(left=LOW, right=HIGH)] * 10)[0].outcome == "supported"


@pytest.mark.parametrize("by_mean", [True, False])
@pytest.mark.parametrize("num_claims", [1, 2, 10, 25, 26])
def test_seeds_needed_is_the_least(num_claims: int, by_mean: bool) -> None:
    n = seeds_needed(num_claims, by_mean=by_mean)
    base = 4.0 if by_mean else 2.0
    assert 2 * base**-n <= 0.05 / num_claims < 2 * base ** -(n - 1)


def test_one_seed_is_shown_and_decides_nothing() -> None:
    verdict = decide(left=[1.0], right=[2.0])
    assert (verdict.outcome, verdict.effect, verdict.low) == ("undecided", -1.0, None)
    assert "one seed does not show how much seeds differ" in verdict.sentence


def test_no_seeds_at_all() -> None:
    verdict = decide(left=np.zeros((0, 2)), right=np.zeros((0, 2)), num_lost=3)
    assert (verdict.outcome, verdict.effect, verdict.n, verdict.num_lost) == (
        "undecided",
        None,
        0,
        3,
    )


def test_epochs_with_equal_differences_have_an_interval_with_a_width() -> None:
    verdict = decide(left=[3.0] * 5, right=[5.0] * 5, resolution=1.0)
    # All differences are -2, so they show no smaller jump than 2: half of it, over five seeds.
    reach = stats.t(4).ppf(0.975) * np.sqrt(1 / 6 / 5) + 2 / 10
    assert (verdict.low, verdict.high) == pytest.approx((-2 - reach, -2 + reach))
    assert verdict.outcome == "supported"


def test_unreached_targets_count_at_the_horizon() -> None:
    left, right = [3.0, 4.0, 3.0, 3.0, 4.0], [NAN] * 5
    verdict = decide(left=left, right=right, horizon=11, resolution=1.0)
    assert verdict.effect == pytest.approx(3.4 - 11)
    assert verdict.outcome == "supported"
    assert (
        "0 of 5 runs with A and 5 of 5 with B never got there and count as 11" in verdict.sentence
    )


def test_nobody_got_there_is_no_equality() -> None:
    for expect, margin in (("less", 0.0), ("equal", 3.0)):
        verdict = decide(expect=expect, margin=margin, left=[NAN] * 9, right=[NAN] * 9, horizon=11)
        assert (verdict.outcome, verdict.effect) == ("undecided", None)
        assert "no run got there" in verdict.sentence


def test_pairs_in_which_neither_got_there_leave_equality_open() -> None:
    left = np.array([5.0, 6.0] * 10)
    parts = {"expect": "equal", "margin": 2.0, "right": left, "horizon": 11, "resolution": 1.0}
    assert decide(left=left, **parts).outcome == "supported"
    both_missed = np.where(np.arange(20) == 3, NAN, left)
    verdict = decide(left=both_missed, **{**parts, "right": both_missed})
    assert (verdict.outcome, verdict.low) == ("undecided", None)
    assert "never got there leave the true size open" in verdict.sentence


def test_an_unreached_target_bounds_a_mean_from_below_only() -> None:
    times = np.array([5.0, 6.0, 5.0, NAN, 6.0, 5.0, 6.0, 5.0, 6.0, 5.0])
    below_20 = decide(left=times, right=20.0, horizon=11, resolution=1.0)
    assert (below_20.outcome, below_20.high) == ("undecided", None)
    above_2 = decide(expect="greater", left=times, right=2.0, horizon=11, resolution=1.0)
    assert above_2.outcome == "supported"


def test_a_spread_over_unreached_targets_is_a_lower_bound() -> None:
    """Nobody without BN gets there: all equal at the horizon, which is no small spread."""
    rng = np.random.default_rng(0)
    some = rng.integers(2, 10, size=(10, 5)).astype(float)
    none = np.full((10, 5), NAN)
    parts = {"measure": "spread", "horizon": 11.0, "resolution": 1.0}
    assert decide(expect="greater", left=some, right=none, **parts).outcome == "undecided"
    assert decide(expect="less", left=none, right=some, **parts).outcome == "undecided"


def test_diverged_runs_rank_as_the_worst_or_leave_it_undecided() -> None:
    left, right = np.linspace(0.2, 0.3, 10), np.array([NAN] * 9 + [0.1])
    told = decide(left=left, right=right, worse="high")
    assert (told.outcome, told.method) == ("supported", "sign")
    assert told.p_value == pytest.approx(stats.binomtest(9, 10).pvalue)
    all_diverged = decide(left=left, right=[NAN] * 10, worse="high")
    assert (all_diverged.outcome, all_diverged.effect) == ("supported", None)
    untold = decide(left=left, right=right)
    assert (untold.outcome, untold.low, untold.effect) == ("undecided", None, None)
    assert "does not say which end is worse" in untold.sentence


def test_no_claims_no_verdicts() -> None:
    assert decide_claims([]) == []


numbers = st.lists(st.integers(0, 6), min_size=2, max_size=10)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(numbers, st.sampled_from(["less", "greater", "equal"]), st.integers(1, 3)),
        min_size=1, max_size=5,
    ),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_verdict_and_interval_never_contradict_each_other(
    claims: list[tuple[list[int], Any, int]], censored: bool, against_number: bool
) -> None:
    questions = []
    for values, expect, margin in claims:
        left = np.array(values, dtype=float)
        if censored:
            left[left == 6] = NAN
        questions.append(
            question(
                expect=expect, left=left, right=2.0 if against_number else left[::-1] + 1,
                margin=float(margin), resolution=1.0, horizon=6.0,
            )
        )  # fmt: skip
    for one, verdict in zip(questions, decide_claims(questions), strict=True):
        assert (verdict.outcome != "undecided") == (verdict.p_adjusted <= 0.05)
        if verdict.low is None and verdict.high is None:
            assert verdict.outcome == "undecided"
            continue
        low = -np.inf if verdict.low is None else verdict.low
        high = np.inf if verdict.high is None else verdict.high
        bounds = {"less": (-np.inf, -one.margin), "greater": (one.margin, np.inf)}
        inside = bounds.get(one.expect, (-one.margin, one.margin))
        if inside[0] <= low and high <= inside[1]:
            assert verdict.outcome == "supported"
        elif high <= inside[0] or low >= inside[1]:
            assert verdict.outcome == "contradicted"
        else:
            assert verdict.outcome == "undecided"
