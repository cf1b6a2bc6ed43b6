"""The sentences, word by word."""

from __future__ import annotations

from typing import Any

import pytest

from bninit.verbs.study.decide import Finding, Wording, percent, sentence

EPOCHS = Wording(
    left="with BN before the activation",
    right="without BN",
    quantity="the time to 97 %",
    phrase="97 % was reached",
    unit="epochs",
    num_decimals=1,
    lower="earlier",
    higher="later",
)
ACCURACY = Wording(
    left="with BN before the activation",
    right="with BN after it",
    quantity="test accuracy",
    unit="points",
    scale=100,
    over="initialisation schemes",
    step="hidden layer",
)


def tell(wording: Wording, **parts: Any) -> str:
    defaults = {
        "measure": "mean", "expect": "less", "margin": 0.0, "number": None, "outcome": "supported",
        "effect": -3.2, "low": -4.3, "high": -2.1, "level": 0.95, "n": 10,
    }  # fmt: skip
    return sentence(Finding(**{**defaults, **parts}), wording=wording)


def test_supported() -> None:
    assert tell(EPOCHS) == (
        "With BN before the activation, 97 % was reached 3.2 epochs earlier than without BN "
        "(95 % interval 2.1 to 4.3, 10 seeds): supported."
    )


def test_contradicted_says_what_the_claim_said() -> None:
    told = tell(EPOCHS, effect=3.2, low=2.1, high=4.3, outcome="contradicted")
    assert told.endswith(
        "3.2 epochs later than without BN (95 % interval 2.1 to 4.3, 10 seeds), "
        "where the claim says earlier: contradicted."
    )


def test_undecided_names_both_directions_and_the_reason() -> None:
    told = tell(
        EPOCHS, low=-7.0, high=0.6, outcome="undecided", reason="as the interval includes none",
        level=0.9975, notes=["Two runs are missing."],
    )  # fmt: skip
    assert told.endswith(
        "(99.75 % interval 7.0 earlier to 0.6 later, 10 seeds): undecided, "
        "as the interval includes none. Two runs are missing."
    )


def test_margins_are_told() -> None:
    assert "where the claim says at least 2.0 epochs earlier" in tell(EPOCHS, margin=2.0)
    assert "where the claim allows up to 1.0 epochs later" in tell(EPOCHS, margin=-1.0)
    equal = tell(
        ACCURACY, expect="equal", margin=0.005, effect=0.0002, low=-0.001, high=0.0014, level=0.9
    )
    assert equal == (
        "With BN before the activation, test accuracy was 0.02 points higher than with BN after it "
        "(90 % interval 0.10 lower to 0.14 higher, 10 seeds), "
        "where the claim allows a difference of 0.50 points: supported."
    )


def test_numbers_are_told_as_they_are() -> None:
    zeros = Wording(left="with all weights zero", quantity="test accuracy", unit="%", scale=100)
    parts = {"number": 0.2, "effect": -0.0865, "low": -0.0870, "high": -0.0860}
    assert tell(zeros, **parts) == (
        "With all weights zero, test accuracy was 11.35 % (95 % interval 11.30 to 11.40, "
        "10 seeds), where the claim says less than 20.00 %: supported."
    )
    assert "says less than 21.00 %" in tell(zeros, margin=-0.01, **parts)
    assert "says 20.00 % give or take 1.00 %" in tell(zeros, expect="equal", margin=0.01, **parts)
    assert "interval at least 11.30," in tell(zeros, **{**parts, "high": None})
    assert "interval at most 11.40," in tell(zeros, **{**parts, "low": None})


def test_spread_and_trend() -> None:
    parts = {"effect": -0.031, "low": -0.042, "high": -0.02}
    assert tell(ACCURACY, measure="spread", **parts).startswith(
        "With BN before the activation, test accuracy varied 3.10 points less between two "
        "initialisation schemes than with BN after it (95 % interval 2.00 to 4.20, "
    )
    alone = Wording(**{**vars(ACCURACY), "right": ""})
    assert tell(alone, measure="trend", **parts).startswith(
        "With BN before the activation, test accuracy fell by 3.10 points per hidden layer "
        "(95 % interval 2.00 to 4.20, "
    )
    assert "rose 3.10 points less per hidden layer than with BN after it" in tell(
        ACCURACY, measure="trend", **parts
    )


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (None, -0.5, "at least 0.5 earlier"),
        (None, 0.5, "at most 0.5 later"),
        (0.5, None, "at least 0.5 later"),
        (-0.5, None, "at most 0.5 earlier"),
        (-3.0, 0.0, "0.0 to 3.0"),
    ],
)
def test_intervals_with_one_end(low: float | None, high: float | None, words: str) -> None:
    assert f"interval {words}, 10 seeds" in tell(EPOCHS, low=low, high=high)


def test_an_infinite_median_has_a_direction() -> None:
    told = tell(EPOCHS, effect=None, low=None, high=-0.5)
    assert "97 % was reached earlier than without BN by no finite amount" in told


def test_no_difference_and_no_data() -> None:
    assert "97 % was reached no later than" not in tell(EPOCHS)
    nothing = tell(EPOCHS, effect=None, low=None, high=None, n=1, outcome="undecided")
    assert nothing == (
        "With BN before the activation, nothing can be said about the time to 97 % (1 seed): "
        "undecided."
    )
    ranked = tell(EPOCHS, effect=None, low=None, high=None, outcome="supported")
    assert "the time to 97 % differs by no finite amount" in ranked
    assert "nothing can be said" not in ranked


@pytest.mark.parametrize(("level", "text"), [(0.95, "95 %"), (0.995, "99.5 %"), (2 / 3, "66.67 %")])
def test_percent(level: float, text: str) -> None:
    assert percent(level) == text
