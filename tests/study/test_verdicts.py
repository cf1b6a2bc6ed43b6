"""Statistics of claims: what decides, what does not, and that verdict and interval agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from contrasts import contrast, decided
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bninit.verbs.study.contrast import gini_mean_difference, slope
from bninit.verbs.study.decide import decide_contrasts, seeds_needed

NAN = np.nan
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
    assert decided(expect=expect, margin=margin, left=LOW, right=HIGH).outcome == outcome


def test_numbers_of_a_verdict_are_the_paired_t_tests() -> None:
    verdict = decided(left=LOW, right=HIGH)
    result = stats.ttest_rel(LOW, HIGH)
    interval = result.confidence_interval(0.95)
    assert verdict.effect == pytest.approx(np.mean(LOW) - np.mean(HIGH))
    assert verdict.differences == pytest.approx(np.subtract(LOW, HIGH))
    assert (verdict.low, verdict.high) == pytest.approx((interval.low, interval.high))
    # Five equal signs by luck: the p-value stops at twice 4 ** -5.
    assert verdict.p_value == max(2 * 4.0**-5, result.pvalue)
    assert (verdict.n, verdict.level, verdict.method) == (5, 0.95, "paired t")


def test_equality_is_two_one_sided_tests() -> None:
    rng = np.random.default_rng(3)
    left, right = rng.normal(size=12), rng.normal(size=12)
    verdict = decided(expect="equal", margin=1.5, left=left, right=right)
    upper = stats.ttest_rel(left, right + 1.5, alternative="less").pvalue
    lower = stats.ttest_rel(left, right - 1.5, alternative="greater").pvalue
    assert verdict.p_value == pytest.approx(max(upper, lower))
    interval = stats.ttest_rel(left, right).confidence_interval(0.90)
    assert (verdict.outcome, verdict.level) == ("supported", 0.90)
    assert (verdict.low, verdict.high) == pytest.approx((interval.low, interval.high))


def test_holm_makes_a_borderline_claim_harder_among_noise_and_not_among_clear_ones() -> None:
    borderline = contrast(left=[1.0, 1.5, 0.7, 1.3, 1.4], right=[2.0, 1.9, 2.0, 1.5, 1.8])
    noise = contrast(left=LOW, right=LOW[::-1])
    clear = contrast(left=np.array(LOW) - 9, right=HIGH)
    (alone,) = decide_contrasts([borderline])
    assert alone.outcome == "supported"
    among_noise = decide_contrasts([borderline, *[noise] * 9])[0]
    assert (among_noise.outcome, among_noise.level) == ("undecided", pytest.approx(0.995))
    assert among_noise.p_adjusted == pytest.approx(10 * alone.p_value)
    verdicts = decide_contrasts([borderline, *[clear] * 9])
    assert [verdict.outcome for verdict in verdicts] == ["supported"] * 10
    assert [verdict.level for verdict in verdicts[:2]] == pytest.approx([0.95, 0.995])
    assert decide_contrasts([]) == []


def test_three_seeds_decide_one_claim_but_not_ten() -> None:
    clear = contrast(left=LOW[:3], right=np.array(HIGH[:3]) + 9)
    assert decide_contrasts([clear])[0].outcome == "supported"
    verdict = decide_contrasts([clear] * 10)[0]
    assert (verdict.outcome, verdict.low, verdict.high) == ("undecided", None, None)
    assert verdict.reason == "3 seeds are too few for 10 claims at once, at least 5 are needed"
    five = decide_contrasts([contrast(left=LOW, right=HIGH)] * 10)[0]
    assert (five.outcome, five.reason) == ("supported", "")


@pytest.mark.parametrize("by_mean", [True, False])
@pytest.mark.parametrize("num_claims", [1, 2, 10, 25, 26])
def test_seeds_needed_is_the_least(num_claims: int, by_mean: bool) -> None:
    n = seeds_needed(num_claims, by_mean=by_mean)
    base = 4.0 if by_mean else 2.0
    assert 2 * base**-n <= 0.05 / num_claims < 2 * base ** -(n - 1)


def test_one_seed_or_none_decides_nothing() -> None:
    verdict = decided(left=[1.0], right=[2.0])
    assert (verdict.outcome, verdict.effect, verdict.low) == ("undecided", -1.0, None)
    assert verdict.reason == "one seed does not show how much seeds differ"
    verdict = decided(left=np.zeros((0, 2)), right=np.zeros((0, 2)), num_lost=3)
    assert (verdict.outcome, verdict.effect, verdict.n) == ("undecided", None, 0)
    assert verdict.notes == ("3 seeds are left out: a run is missing.",)


def test_epochs_with_equal_differences_have_an_interval_with_a_width() -> None:
    verdict = decided(left=[3.0] * 5, right=[5.0] * 5, resolution=1.0)
    # All differences are -2, so they show no smaller jump than 2: half of it, over five seeds.
    reach = stats.t(4).ppf(0.975) * np.sqrt(1 / 6 / 5) + 2 / 10
    assert (verdict.low, verdict.high) == pytest.approx((-2 - reach, -2 + reach))
    assert verdict.outcome == "supported"


def test_unreached_targets_count_at_the_horizon() -> None:
    left, right = [3.0, 4.0, 3.0, 3.0, 4.0], [NAN] * 5
    verdict = decided(left=left, right=right, horizon=11, resolution=1.0)
    assert (verdict.outcome, verdict.effect) == ("supported", pytest.approx(3.4 - 11))
    assert verdict.notes == (
        "0 of 5 runs with A and 5 of 5 with B did not reach the target (censored at 11).",
    )


@pytest.mark.parametrize(("expect", "margin"), [("less", 0.0), ("equal", 3.0)])
def test_nobody_got_there_is_no_equality(expect: str, margin: float) -> None:
    verdict = decided(expect=expect, margin=margin, left=[NAN] * 9, right=[NAN] * 9, horizon=11)
    assert (verdict.outcome, verdict.effect) == ("undecided", None)
    assert verdict.reason == "no run reached the target"


def test_pairs_in_which_neither_got_there_leave_equality_open() -> None:
    left = np.array([5.0, 6.0] * 10)
    parts = {"expect": "equal", "margin": 2.0, "right": left, "horizon": 11, "resolution": 1.0}
    assert decided(left=left, **parts).outcome == "supported"
    both_missed = np.where(np.arange(20) == 3, NAN, left)
    verdict = decided(left=both_missed, **{**parts, "right": both_missed})
    assert (verdict.outcome, verdict.low) == ("undecided", None)
    assert "leave the size of the effect open" in verdict.reason


def test_an_unreached_target_bounds_a_mean_from_below_only() -> None:
    times = np.array([5.0, 6.0, 5.0, NAN, 6.0, 5.0, 6.0, 5.0, 6.0, 5.0])
    below_20 = decided(left=times, right=20.0, horizon=11, resolution=1.0)
    assert (below_20.outcome, below_20.high) == ("undecided", None)
    above_2 = decided(expect="greater", left=times, right=2.0, horizon=11, resolution=1.0)
    assert above_2.outcome == "supported"


def test_a_spread_over_unreached_targets_is_a_lower_bound() -> None:
    """Nobody without BN gets there: all equal at the horizon, which is no small spread."""
    rng = np.random.default_rng(0)
    some = rng.integers(2, 10, size=(10, 5)).astype(float)
    none = np.full((10, 5), NAN)
    parts: dict[str, Any] = {"measure": "spread", "horizon": 11.0, "resolution": 1.0}
    assert decided(expect="greater", left=some, right=none, **parts).outcome == "undecided"
    assert decided(expect="less", left=none, right=some, **parts).outcome == "undecided"


def test_diverged_runs_rank_as_the_worst_or_leave_it_undecided() -> None:
    left, right = np.linspace(0.2, 0.3, 10), np.array([NAN] * 9 + [0.1])
    ranked = decided(left=left, right=right, worse="high")
    assert (ranked.outcome, ranked.method) == ("supported", "sign")
    assert ranked.p_value == pytest.approx(stats.binomtest(9, 10).pvalue)
    assert ranked.notes[0].endswith("diverged and rank as the worst; the effect is the median.")
    all_diverged = decided(left=left, right=[NAN] * 10, worse="high")
    assert (all_diverged.outcome, all_diverged.effect) == ("supported", None)
    unranked = decided(left=left, right=right)
    assert (unranked.outcome, unranked.low, unranked.effect) == ("undecided", None, None)
    assert unranked.reason == "9 runs have no value, and the metric has no end that is worse"


def test_cells_of_a_seed_are_averaged_not_counted() -> None:
    left, right = np.array(LOW)[:, None], np.array(HIGH)[:, None]
    once = decided(left=left, right=right)
    copied = decided(left=np.repeat(left, 50, axis=1), right=np.repeat(right, 50, axis=1))
    assert (copied.n, copied.p_value) == (5, pytest.approx(once.p_value))
    assert copied.low == pytest.approx(once.low)


def test_spread_over_schemes_is_compared_seed_by_seed() -> None:
    rng = np.random.default_rng(1)
    left, right = rng.normal(0, 0.1, size=(10, 3, 5)), rng.normal(0, 2, size=(10, 3, 5))
    verdict = decided(measure="spread", left=left, right=right)

    def spread(side: Any) -> Any:
        gaps = np.abs(side[..., :, None] - side[..., None, :]).sum(axis=(-1, -2)) / (5 * 4)
        return gaps.mean(axis=1)

    assert verdict.effect == pytest.approx((spread(left) - spread(right)).mean())
    expected = stats.ttest_rel(spread(left), spread(right)).confidence_interval(0.95)
    assert (verdict.low, verdict.high) == pytest.approx((expected.low, expected.high))
    assert verdict.outcome == "supported"


def test_trend_agrees_with_pages_test() -> None:
    rng = np.random.default_rng(2)
    rising = rng.normal(size=(10, 4)) + np.arange(4)
    verdict = decided(expect="greater", measure="trend", scores=range(4), left=rising)
    slopes = [stats.linregress(range(4), row).slope for row in rising]
    assert verdict.effect == pytest.approx(np.mean(slopes))
    assert verdict.outcome == "supported"
    assert stats.page_trend_test(rising).pvalue < 0.05


def test_shares_are_decided_exactly_and_as_means_within_a_seed() -> None:
    verdict = decided(share=True, left=[0] * 10, right=[1] * 8 + [0] * 2)
    assert (verdict.method, verdict.effect) == ("McNemar", pytest.approx(-0.8))
    assert verdict.p_value == pytest.approx(stats.binomtest(0, 8).pvalue)
    number = decided(share=True, expect="greater", left=[1] * 9 + [0], right=0.4)
    interval = stats.binomtest(9, 10).proportion_ci(0.95)
    assert (number.outcome, number.effect) == ("supported", pytest.approx(0.5))
    assert (number.low, number.high) == pytest.approx((interval.low - 0.4, interval.high - 0.4))
    cells = decided(share=True, left=np.eye(5), right=np.ones((5, 5)))
    assert (cells.method, cells.effect) == ("paired t", pytest.approx(-0.8))
    assert cells.low is not None
    assert cells.high is not None
    assert cells.low < cells.high


def test_a_number_is_met_with_more_caution_than_a_partner() -> None:
    paired = decided(left=LOW, right=np.zeros(5), expect="greater")
    alone = decided(left=LOW, right=0.0, expect="greater")
    reach = stats.t(2).ppf(0.975) * stats.sem(LOW)
    assert alone.low == pytest.approx(np.mean(LOW) - reach)
    assert paired.low is not None
    assert alone.low is not None
    assert alone.low < paired.low


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
    contrasts = []
    for values, expect, margin in claims:
        left = np.array(values, dtype=float)
        if censored:
            left[left == 6] = NAN
        contrasts.append(
            contrast(
                expect=expect, left=left, right=2.0 if against_number else left[::-1] + 1,
                margin=float(margin), resolution=1.0, horizon=6.0,
            )
        )  # fmt: skip
    for verdict in decide_contrasts(contrasts):
        assert (verdict.outcome != "undecided") == (verdict.p_adjusted <= 0.05)
        assert (verdict.outcome == "undecided") == bool(verdict.reason)
        if verdict.low is None and verdict.high is None:
            assert verdict.outcome == "undecided"
            continue
        low = -np.inf if verdict.low is None else verdict.low
        high = np.inf if verdict.high is None else verdict.high
        margin = verdict.claim.signed_margin
        bounds = {"less": (-np.inf, -margin), "greater": (margin, np.inf)}
        inside = bounds.get(verdict.expect, (-margin, margin))
        if inside[0] <= low and high <= inside[1]:
            assert verdict.outcome == "supported"
        elif high <= inside[0] or low >= inside[1]:
            assert verdict.outcome == "contradicted"
        else:
            assert verdict.outcome == "undecided"


@pytest.mark.parametrize("num_levels", [2, 3, 7])
def test_gini_is_the_mean_over_all_pairs(num_levels: int) -> None:
    values = np.random.default_rng(1).normal(size=(4, num_levels))
    pairs = np.abs(values[:, :, None] - values[:, None, :]).sum(axis=(1, 2))
    expected = pairs / (num_levels * (num_levels - 1))
    assert gini_mean_difference(values) == pytest.approx(expected)


def test_gini_of_a_diverged_level_is_beyond_measure() -> None:
    values = np.array([[1.0, -np.inf, 2.0], [1.0, 1.0, 1.0]])
    assert gini_mean_difference(values).tolist() == [np.inf, 0.0]


@pytest.mark.parametrize("ranked", [[1, 2, np.inf, np.inf], [np.inf, 3, 1, 2], [-np.inf, 5, 6, 7]])
def test_slope_with_diverged_levels_has_the_sign_of_kendalls_tau(ranked: list[float]) -> None:
    finite = np.nan_to_num(ranked, posinf=100, neginf=-100)
    tau = stats.kendalltau([1, 2, 3, 4], finite).statistic
    assert slope(np.array([ranked]), scores=[1, 2, 3, 4])[0] == np.sign(tau) * np.inf


def test_slope_without_order_is_no_trend() -> None:
    assert slope(np.array([[np.inf, 1.0, np.inf]]), scores=[1, 2, 3])[0] == 0


@pytest.mark.parametrize(
    ("left", "claim", "reason"),
    [
        (np.linspace(-2, 2, 10), {}, "the interval includes zero"),
        (np.linspace(-2, 2, 10), {"margin": 0.5}, "the interval includes the claimed bound"),
        (np.empty(0), {}, "no seed has all the runs that the claim needs"),
    ],
)
def test_why_a_claim_is_undecided(
    left: npt.NDArray[np.float64], claim: dict[str, Any], reason: str
) -> None:
    verdict = decided(left=left, right=np.zeros(len(left)), **claim)
    assert (verdict.outcome, verdict.reason) == ("undecided", reason)
