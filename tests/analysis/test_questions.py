"""From claims to one number per seed: spreads, trends, shares, numbers, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from bninit.verbs.study.decide import Question, Wording, decide_claims, gather

WORDS = Wording(left="with A", right="with B", quantity="the metric")
LOW = [1.0, 1.2, 0.9, 1.1, 1.3]
HIGH = [2.0, 2.1, 2.2, 1.9, 2.4]


def question(**parts: Any) -> Question:
    return Question(**{"name": "claim", "expect": "less", "wording": WORDS, **parts})


def decide(**parts: Any) -> Any:
    return decide_claims([question(**parts)])[0]


def test_cells_of_a_seed_are_averaged_not_counted() -> None:
    left, right = np.array(LOW)[:, None], np.array(HIGH)[:, None]
    once = decide(left=left, right=right)
    copied = decide(left=np.repeat(left, 50, axis=1), right=np.repeat(right, 50, axis=1))
    assert (copied.n, copied.p_value) == (5, pytest.approx(once.p_value))
    assert copied.low == pytest.approx(once.low)


def test_spread_over_schemes_is_compared_seed_by_seed() -> None:
    rng = np.random.default_rng(1)
    left, right = rng.normal(0, 0.1, size=(10, 3, 5)), rng.normal(0, 2, size=(10, 3, 5))
    verdict = decide(measure="spread", left=left, right=right)

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
    verdict = decide(expect="greater", measure="trend", scores=range(4), left=rising, right=0.0)
    slopes = [stats.linregress(range(4), row).slope for row in rising]
    assert verdict.effect == pytest.approx(np.mean(slopes))
    assert verdict.outcome == "supported"
    assert stats.page_trend_test(rising).pvalue < 0.05


def test_shares_are_decided_exactly() -> None:
    verdict = decide(share=True, left=[0] * 10, right=[1] * 8 + [0] * 2)
    assert (verdict.method, verdict.effect) == ("McNemar", pytest.approx(-0.8))
    assert verdict.p_value == pytest.approx(stats.binomtest(0, 8).pvalue)
    number = decide(share=True, expect="greater", left=[1] * 9 + [0], right=0.4)
    interval = stats.binomtest(9, 10).proportion_ci(0.95)
    assert number.effect == pytest.approx(0.5)
    assert (number.low, number.high) == pytest.approx((interval.low - 0.4, interval.high - 0.4))
    assert number.outcome == "supported"


def test_shares_within_a_seed_are_means() -> None:
    verdict = decide(share=True, left=np.eye(5), right=np.ones((5, 5)))
    assert (verdict.method, verdict.effect) == ("paired t", pytest.approx(-0.8))
    assert verdict.low < verdict.high


def test_a_number_is_met_with_more_caution_than_a_partner() -> None:
    values = np.array([1.0, 1.2, 0.9, 1.1, 1.3])
    paired = decide(left=values, right=np.zeros(5), expect="greater")
    alone = decide(left=values, right=0.0, expect="greater")
    assert alone.low < paired.low
    reach = stats.t(2).ppf(0.975) * stats.sem(values)
    assert alone.low == pytest.approx(values.mean() - reach)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"right": [1.0, 2.0]}, "different shapes"),
        ({"expect": "equal"}, "positive margin"),
        ({"measure": "spread", "left": [[1.0]], "right": [[1.0]]}, "at least two levels"),
        ({"measure": "trend", "left": [[1.0, 2.0]], "right": 0.0}, "one score"),
        (
            {"measure": "trend", "left": [[1.0, 2.0]], "right": 0.0, "scores": [1, 1]},
            "different scores",
        ),
        ({"share": True}, "0 and 1 only"),
        ({"left": np.zeros((2, 2, 2, 2))}, "cannot use shape"),
    ],
)
def test_questions_without_an_answer_are_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gather(question(**{"left": LOW, "right": HIGH, **parts}))
