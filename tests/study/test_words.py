"""Effects, intervals and conditions in words."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from bninit.verbs.study import words as claim_words

if TYPE_CHECKING:
    from bninit.verbs.study.contrast import Verdict
    from bninit.verbs.study.run import StudyResult


def with_numbers(result: StudyResult, claim: str, **numbers: Any) -> Verdict:
    """A claim's result with another effect and interval."""
    found = next(each for each in result.claims if each.claim.id == claim)
    return dataclasses.replace(found, **numbers)


@pytest.mark.parametrize(
    ("claim", "numbers", "effect", "interval"),
    [
        ("sides", {"effect": 0.01234, "low": 0.01, "high": 0.02}, "+1.23 points", "+1.00 to +2.00"),
        ("sides", {"effect": -0.5, "low": None, "high": -0.1}, "-50.00 points", "at most -10.00"),
        ("sides", {"effect": None, "low": 0.1, "high": None}, "-", "at least +10.00"),
        ("sides", {"effect": 0.0, "low": None, "high": None}, "0.00 points", ""),
        ("times", {"effect": -1.5, "low": -3, "high": -0.01}, "-1.50 epochs", "-3.00 to -0.01"),
        ("number", {"effect": -0.4, "low": -0.41, "high": -0.39}, "10.00 %", "9.00 to 11.00"),
        ("tally", {"effect": 1.0, "low": 0.2, "high": 1.0}, "+100 % of runs", "+20 to +100"),
        ("trend", {"effect": -0.001, "low": -0.002, "high": 0},
         "-0.10 points per unit of learning rate", "-0.20 to 0.00"),
    ],
)  # fmt: skip
def test_numbers(
    tiny_study: StudyResult, claim: str, numbers: Any, effect: str, interval: str
) -> None:
    found = with_numbers(tiny_study, claim, **numbers)
    assert claim_words.effect(found) == effect
    assert claim_words.interval(found) == interval


def test_what_is_not_zero_does_not_read_as_zero(tiny_study: StudyResult) -> None:
    """An interval that ends just short of zero decides a claim; it has to be seen."""
    found = with_numbers(tiny_study, "sides", effect=-0.01, low=-0.02, high=-0.00002)
    assert claim_words.interval(found) == "-2.000 to -0.002"


def test_questions(tiny_study: StudyResult) -> None:
    asked = {found.claim.id: claim_words.question(found) for found in tiny_study.claims}
    assert "give or take 20 points" in asked["equal"]
    assert "more than 50 %, give or take 5 points" in asked["number"]
    assert asked["spread"].startswith("spread of test accuracy over learning rate: ")
    assert asked["trend"].endswith("decreasing along learning rate")
    assert "epochs to 70 %" in asked["times"]


def test_typesetting_touches_signs_and_percents_alone() -> None:
    told = claim_words.typeset("-1.5 to -0.2, 5 % of he-normal (-3), 2026-11-22 and x-1")
    assert told == (
        "\N{MINUS SIGN}1.5 to \N{MINUS SIGN}0.2, 5\N{NO-BREAK SPACE}% of he-normal "
        "(\N{MINUS SIGN}3), 2026-11-22 and x-1"
    )


def test_seeds() -> None:
    assert claim_words.seeds_label(range(10)) == "0 to 9"
    assert claim_words.seeds_label([0, 3, 7]) == "0, 3, 7"
    assert claim_words.seeds_label([4, 3, 2]) == "4, 3, 2"
    assert claim_words.seeds_label([5 * i for i in range(20)]).endswith("50, 55 and 8 more")
    assert claim_words.seeds_phrase([3]) == "seed 3"
    assert claim_words.seeds_phrase([0, 1]) == "seeds 0, 1"


def test_conditions() -> None:
    held = {
        "data.name": "mnist",
        "data.scale": "standardize",
        "model.hidden": [64, 64, 64, 64],
        "model.norm.placement": "post",
        "model.norm.input": True,
        "model.init.scheme": "normal",
        "model.init.std": 0.01,
        "optim.name": "adamw",
        "optim.weight_decay": 0.01,
        "optim.schedule.name": "cosine",
        "train.epochs": 1,
    }
    assert claim_words.conditions(held) == [
        "mnist",
        "standardized pixels",
        "4 hidden layers of 64 units",
        "batch norm after the activation",
        "batch norm on the input",
        "weights from normal (std 0.01)",
        "AdamW",
        "cosine schedule",
        "weight decay 0.01",
        "1 epoch",
    ]
    assert claim_words.conditions({}) == []
    assert claim_words.conditions({"model.hidden": [300, 100]}) == [
        "2 hidden layers of 300-100 units"
    ]
    assert claim_words.conditions({"model.hidden": []}) == ["no hidden layer"]
