"""Numbers and words of a comparison."""

from __future__ import annotations

from typing import Any

import pytest

from bninit.arms import ArmSummary
from bninit.metrics import METRICS
from bninit.stats import Estimate, Spread
from bninit.verbs.compare.compare import SHARED_CLOCK, Difference
from bninit.verbs.compare.tables import (
    difference_text,
    figure_text,
    interval_text,
    join,
    reading_text,
    short_title,
)


def difference(metric: str = "test_accuracy", **changes: Any) -> Difference:
    about: dict[str, Any] = {
        "effect": 0.0123,
        "low": 0.001,
        "high": 0.02,
        "level": 0.95,
        "n": 4,
        "num_lost": 0,
        "p_value": 0.01,
        "method": "paired t",
    }
    others: dict[str, Any] = {"num_missing": (0, 0), "horizon": None, "is_median": False}
    for key, value in changes.items():
        (about if key in about else others)[key] = value
    return Difference(
        arm="b",
        metric=METRICS[metric],
        target=0.97 if METRICS[metric].needs_target else None,
        estimate=Estimate(**about),
        seeds=(0, 1, 2, 3),
        alpha=0.05,
        **others,
    )


def test_differences_have_signs_and_the_metrics_own_unit() -> None:
    assert difference_text(difference()) == "+1.23"
    assert interval_text(difference()) == "+0.10 to +2.00"
    assert difference_text(difference("final_val_loss", effect=-0.0123)) == "-0.012"
    assert difference_text(difference("final_val_loss", effect=-12345.6)) == "-12,346"
    for tiny in (0.0, -1e-9, 1e-9):
        assert difference_text(difference(effect=tiny)) == "0.00", "no sign without a size"


def test_a_target_that_one_side_missed_leaves_an_end_open() -> None:
    arm = difference("epochs_to_accuracy", effect=2.0, low=1.0, high=3.0, num_missing=(1, 0),
                     horizon=9)  # fmt: skip
    assert (difference_text(arm), interval_text(arm)) == ("+2.0 or higher", "at least +1.0")
    baseline = difference("epochs_to_accuracy", effect=-2.0, low=-3.0, high=-1.0,
                          num_missing=(0, 1), horizon=9)  # fmt: skip
    assert (difference_text(baseline), interval_text(baseline)) == (
        "-2.0 or lower",
        "at most -1.0",
    )
    both = difference("epochs_to_accuracy", effect=2.0, low=1.0, high=3.0, num_missing=(1, 1),
                      horizon=9)  # fmt: skip
    assert (difference_text(both), interval_text(both)) == ("+2.0", "+1.0 to +3.0")


@pytest.mark.parametrize(
    ("metric", "missing", "said"),
    [
        ("test_accuracy", (3, 0), "3 of 4 diverged"),
        ("test_accuracy", (1, 3), "3 of 4 of the baseline diverged"),
        ("test_accuracy", (4, 4), "both diverged"),
        ("epochs_to_accuracy", (4, 4), "never reached by either"),
        ("seconds_to_accuracy", (4, 0), "all 4 did not reach it"),
    ],
)
def test_what_has_no_size_says_why(metric: str, missing: tuple[int, int], said: str) -> None:
    found = difference(metric, effect=None, low=None, high=None, num_missing=missing)
    assert difference_text(found) == said
    assert interval_text(found) == "-"


def test_readings() -> None:
    assert reading_text(difference()) == "better"
    assert reading_text(difference("final_val_loss")) == "worse"
    assert reading_text(difference(p_value=0.06)) == "unclear"
    assert reading_text(difference(p_value=None, method=SHARED_CLOCK)) == ""
    assert reading_text(difference("generalization_gap")) == "larger"


def test_titles_tell_the_unit_of_a_difference() -> None:
    assert short_title(METRICS["test_accuracy"], None) == "test accuracy (points)"
    assert short_title(METRICS["epochs_to_accuracy"], 0.975) == "epochs to 97.5 %"
    assert short_title(METRICS["seconds_per_epoch"], None) == "one epoch (s)"


def test_figures_tell_of_how_many_runs_they_are() -> None:
    def said(n: int, sd: float | None) -> str:
        spread = Spread(mean=0.98765, sd=sd, low=0.9, high=1.0, n=n)
        arm = ArmSummary(
            label="a", name="a", id="0" * 8, placement="none", settings={}, seeds=(0, 1, 2),
            num_diverged=3 - n, num_parameters=1, figures={"test_accuracy": spread}, targets=(),
        )  # fmt: skip
        return figure_text(arm, METRICS["test_accuracy"])

    assert said(3, 0.0123) == "98.77 (SD 1.23)"
    assert said(2, 0.0123) == "98.77 (SD 1.23), 2 of 3"
    assert said(1, None) == "98.77, 1 of 3"


def test_lists_as_sentences_have_them() -> None:
    assert [join(items) for items in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
