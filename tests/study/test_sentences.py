"""The sentences, word by word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from contrasts import decided

from bninit.verbs.study.sentence import sentence as sentence_of
from bninit.verbs.study.words import percent, side_words

PRE = ("with BN before the activation", "without BN")
EPOCHS = {"horizon": 11, "title": "epochs to {target}", "unit": "epochs", "decimals": 1}
ACCURACY = {"title": "test accuracy", "unit": "%"}
BOTH = {"left": [1.0, 2.0], "right": [3.0, 4.0], "says": PRE}


def sentence(parts: dict[str, Any], **verdict: Any) -> str:
    """The sentence of a verdict with chosen numbers."""
    chosen: dict[str, Any] = {
        "outcome": "supported", "effect": -3.2, "low": -4.3, "high": -2.1, "level": 0.95, "n": 10,
        "reason": "", "notes": (),
    }  # fmt: skip
    return sentence_of(replace(decided(**{**BOTH, **parts}), **{**chosen, **verdict}))


def test_supported_contradicted_undecided() -> None:
    assert sentence(EPOCHS) == (
        "With BN before the activation, 97 % was reached 3.2 epochs earlier than without BN "
        "(95 % interval 2.1 to 4.3, 10 seeds): supported."
    )
    assert sentence(EPOCHS, effect=3.2, low=2.1, high=4.3, outcome="contradicted").endswith(
        "3.2 epochs later than without BN (95 % interval 2.1 to 4.3, 10 seeds), "
        "where the claim says earlier: contradicted."
    )
    undecided = sentence(
        EPOCHS, low=-7.0, high=0.6, outcome="undecided", reason="the interval includes zero",
        level=0.9975, notes=["Two runs are missing."],
    )  # fmt: skip
    assert undecided.endswith(
        "(99.75 % interval 7.0 earlier to 0.6 later, 10 seeds): "
        "undecided (the interval includes zero). Two runs are missing."
    )


def test_margins() -> None:
    assert "claim says at least 2.0 epochs earlier: supp" in sentence({**EPOCHS, "margin": 2.0})
    equal = sentence(
        {**ACCURACY, "expect": "equal", "margin": 0.005},
        effect=0.0002, low=-0.001, high=0.0014, level=0.9,
    )  # fmt: skip
    assert equal == (
        "With BN before the activation, test accuracy was 0.02 points higher than without BN "
        "(90 % interval 0.10 lower to 0.14 higher, 10 seeds), "
        "where the claim allows a difference of 0.50 points: supported."
    )


def test_numbers_are_told_as_they_are() -> None:
    zeros = {**ACCURACY, "right": 0.2, "says": ("with all weights zero", "")}
    parts = {"effect": -0.0865, "low": -0.0870, "high": -0.0860}
    assert sentence(zeros, **parts) == (
        "With all weights zero, test accuracy was 11.35 % (95 % interval 11.30 to 11.40, "
        "10 seeds), where the claim says less than 20.00 %: supported."
    )
    tolerant = {**zeros, "margin": -0.01}
    assert "says less than 21.00 %" in sentence(tolerant, **parts)
    equal = {**zeros, "margin": 0.01, "expect": "equal"}
    assert "says 20.00 % give or take 1.00 %" in sentence(equal, **parts)
    assert "interval at least 11.30," in sentence(zeros, **{**parts, "high": None})
    assert "interval at most 11.40," in sentence(zeros, **{**parts, "low": None})


def test_spread_and_trend() -> None:
    parts = {"effect": -0.031, "low": -0.042, "high": -0.02}
    levels = {**ACCURACY, "left": [[1.0, 2.0], [3.0, 4.0]], "right": [[1.0, 2.0], [3.0, 4.0]]}
    assert sentence({**levels, "measure": "spread"}, **parts).startswith(
        "With BN before the activation, test accuracy varied 3.10 points less across values of "
        "init than without BN (95 % interval 2.00 to 4.20, "
    )
    trend = {**levels, "right": 0.0, "measure": "trend", "scores": [1, 2]}
    assert sentence(trend, **parts).startswith(
        "With BN before the activation, test accuracy fell by 3.10 points per unit of depth "
        "(95 % interval 2.00 to 4.20, "
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
    assert f"interval {words}, 10 seeds" in sentence(EPOCHS, low=low, high=high)


def test_an_effect_without_a_size() -> None:
    ranked = sentence(EPOCHS, effect=None, low=None, high=-0.5)
    assert "97 % was reached earlier than without BN by no finite amount" in ranked
    nothing = sentence(EPOCHS, effect=None, low=None, high=None, n=1, outcome="undecided")
    assert nothing == (
        "With BN before the activation, nothing can be said about epochs to 97 % (1 seed): "
        "undecided."
    )
    ordered = sentence(EPOCHS, effect=None, low=None, high=None)
    assert "epochs to 97 % differs by no finite amount" in ordered
    assert "no later than without BN, to the decimals" in sentence(EPOCHS, effect=1e-9, high=2.0)


@pytest.mark.parametrize(("level", "text"), [(0.95, "95 %"), (0.995, "99.5 %"), (2 / 3, "66.67 %")])
def test_percent(level: float, text: str) -> None:
    assert percent(level) == text


@pytest.mark.parametrize(
    ("partial", "words"),
    [
        ({}, "over all arms"),
        (
            {"model.norm.placement": "none", "optim.lr": 0.1},
            "without batch norm and with learning rate 0.1",
        ),
        ({"model.norm.input": True}, "with batch norm on the input"),
        ({"model.init": {"scheme": "zeros"}}, "with zeros weights"),
        ({"model.init.scheme": "zeros"}, "with zeros weights"),
        ({"optim": {"name": "adam", "lr": 1}}, "with optimiser name adam, lr 1"),
    ],
)  # fmt: skip
def test_sides_in_words(partial: dict[str, Any], words: str) -> None:
    assert side_words(partial) == words
