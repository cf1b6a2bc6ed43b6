"""Censored times, against Freireich's leukaemia data and exact intervals."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

from bninit.stats import Order, log_rank_p_value, paired_order, reached_curve

NAN = np.nan
# Freireich et al. (1963), weeks in remission; the textbook example of Cox (1972) and of
# Kleinbaum & Klein, with the estimates printed there. A plus sign marks a censored time.
WEEKS = "6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+"
TREATED = WEEKS.split()
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
TREATED_SEEN = np.array([float(t.rstrip("+")) for t in TREATED])
TREATED_TIMES = np.where([t.endswith("+") for t in TREATED], NAN, TREATED_SEEN)


def test_curve_is_the_textbooks() -> None:
    curve = reached_curve(TREATED_TIMES, last_seen=TREATED_SEEN)
    share = dict(zip(curve.times.tolist(), curve.share.tolist(), strict=True))
    printed = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
    for time, surviving in printed.items():
        assert 1 - share[time] == pytest.approx(surviving, abs=5e-4)
    assert curve.median == 23
    assert (curve.num_runs, curve.num_reached) == (21, 9)
    # R: survfit(..., conf.type = "log-log") at 23 weeks gives 0.188 to 0.680.
    at = curve.times.tolist().index(23)
    assert (1 - curve.high[at], 1 - curve.low[at]) == pytest.approx((0.188, 0.680), abs=1e-3)


def test_curve_and_intervals_are_scipys_where_runs_are_lost_from_view() -> None:
    rng = np.random.default_rng(11)
    for _ in range(50):
        n = int(rng.integers(1, 30))
        seen = rng.integers(3, 12, size=n).astype(float)
        times = np.ceil(rng.lognormal(1.5, 0.6, size=n))
        times = np.where(times > seen, NAN, times)
        never = np.isnan(times)
        curve = reached_curve(times, last_seen=seen)
        expected = stats.ecdf(
            stats.CensoredData.right_censored(np.where(never, seen, times), never)
        ).sf
        assert curve.times.tolist() == expected.quantiles.tolist()
        assert curve.share == pytest.approx(1 - expected.probabilities, abs=1e-12)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            interval = expected.confidence_interval(0.95, method="log-log")
        lost = curve.times > (seen[never].min() if never.any() else np.inf)
        low = np.nan_to_num(1 - interval.high.probabilities, nan=0.0)
        high = np.nan_to_num(1 - interval.low.probabilities, nan=1.0)
        assert curve.low[lost] == pytest.approx(low[lost], abs=1e-12)
        assert curve.high[lost] == pytest.approx(high[lost], abs=1e-12)


def test_log_rank_is_the_textbooks() -> None:
    p_value = log_rank_p_value(
        TREATED_TIMES, PLACEBO, left_seen=TREATED_SEEN, right_seen=np.array(PLACEBO)
    )
    assert p_value == pytest.approx(stats.chi2(1).sf(16.79), rel=0.01)


def test_share_is_binomial_while_nobody_is_lost() -> None:
    curve = reached_curve([3, 3, 5, NAN, NAN], last_seen=10)
    assert curve.times.tolist() == [3, 5, 10]
    assert curve.share == pytest.approx([0.4, 0.6, 0.6])
    for count, low, high in zip([2, 3, 3], curve.low, curve.high, strict=True):
        expected = stats.binomtest(count, 5).proportion_ci(0.95)
        assert (low, high) == pytest.approx((expected.low, expected.high))
    assert (curve.median, curve.median_low, curve.median_high) == (5, 3, None)


def test_no_median_where_fewer_than_half_got_there() -> None:
    curve = reached_curve([3, NAN, NAN], last_seen=10)
    assert curve.median is None
    nobody = reached_curve([NAN, NAN, NAN], last_seen=10)
    assert (nobody.num_reached, nobody.share.max(), nobody.median) == (0, 0.0, None)
    assert (nobody.low[-1], nobody.high[-1]) == pytest.approx((0, 1 - 0.025 ** (1 / 3)))


def test_all_at_once_is_a_median_and_an_honest_interval() -> None:
    curve = reached_curve([4, 4, 4], last_seen=10)
    assert (curve.median, curve.share.tolist()) == (4, [1.0])
    assert (curve.low[0], curve.high[0]) == pytest.approx((0.025 ** (1 / 3), 1.0))


def test_runs_are_needed_and_have_to_be_watched() -> None:
    with pytest.raises(ValueError, match="at least one run"):
        reached_curve([], last_seen=10)
    with pytest.raises(ValueError, match="last seen"):
        reached_curve([11.0], last_seen=10)


@pytest.mark.parametrize("times", [[NAN, NAN, NAN], [3.0, 3.0, 3.0]])
def test_nothing_to_tell_apart_is_no_evidence(times: list[float]) -> None:
    assert log_rank_p_value(times, times, left_seen=10, right_seen=10) == 1.0


def test_order_of_pairs() -> None:
    order = paired_order([3, 4, NAN, NAN, 5, 2], [5, 4, 9, NAN, NAN, 1])
    assert order == Order(num_left_first=2, num_right_first=2, num_tied=1, num_unknown=1)


def test_log_rank_false_alarms() -> None:
    """No effect, half of the runs censored: at most 5 % within the error of 400 draws."""
    rng = np.random.default_rng(4)
    num_false = 0
    for _ in range(400):
        sides = [rng.lognormal(2.3, 0.5, size=20) for _ in range(2)]
        sides = [np.where(side > 10, NAN, np.ceil(side)) for side in sides]
        num_false += log_rank_p_value(sides[0], sides[1], left_seen=10, right_seen=10) <= 0.05
    assert num_false <= stats.binom.ppf(1 - 1e-4, 400, 0.05)
