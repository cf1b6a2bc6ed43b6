"""A verdict in words that a student understands: from numbers to one short paragraph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["supported", "contradicted", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Wording:
    """The words of a claim.

    Attributes:
        left: The left side after a comma or at the start: "with BN before the activation".
        right: The right side after "than": "without BN"; unused against a number.
        quantity: The metric as a noun: "the time to 97 %", "test accuracy".
        phrase: What a comparison starts with, such as "97 % was reached"; empty for the quantity
            followed by "was".
        unit: Unit after a number, such as "epochs"; may be empty.
        scale: Factor from the metric to the printed number: 100 for an accuracy in points.
        num_decimals: Decimals of printed numbers.
        lower: Comparative for a negative difference: "lower", "earlier".
        higher: Comparative for a positive one: "higher", "later".
        over: The levels that a spread is taken over, plural: "initialisation schemes".
        step: One unit of a trend's scores, after "per": "doubling of the depth".
    """

    left: str
    right: str = ""
    quantity: str
    phrase: str = ""
    unit: str = ""
    scale: float = 1.0
    num_decimals: int = 2
    lower: str = "lower"
    higher: str = "higher"
    over: str = "levels"
    step: str = "step"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The numbers that a sentence tells; differences are left minus right.

    Attributes:
        measure: "mean", "spread" or "trend".
        expect: "less", "greater" or "equal".
        margin: As in the question.
        number: What the left side is held against; None for two sides, or a trend against none.
        outcome: The verdict.
        effect: Difference (or slope); None where it is infinite or there is none.
        low: Lower end of the interval; None for no bound.
        high: Upper end of the interval; None for no bound.
        level: Confidence of the interval.
        n: Seeds.
        reason: Why it is undecided, after "undecided, "; empty otherwise.
        notes: Whole sentences that follow.
    """

    measure: str
    expect: str
    margin: float
    number: float | None
    outcome: Outcome
    effect: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    reason: str = ""
    notes: Sequence[str] = ()


def sentence(finding: Finding, *, wording: Wording) -> str:
    """The verdict as a sentence, then what the reader has to know about the runs.

    For example: "With BN before the activation, 97 % was reached 3.2 epochs earlier than without
    BN (95 % interval 2.1 to 4.3, 10 seeds): supported."
    """
    if finding.effect is None and finding.low is None and finding.high is None:
        # Where runs diverged, the order of the sides can be sure without any size of a difference.
        head = (
            f"{_upper(wording.left)}, nothing can be said about {wording.quantity}"
            if finding.outcome == "undecided"
            else f"{_upper(wording.left)}, {wording.quantity} differs by no finite amount"
        )
    elif finding.number is not None:
        head = _against_number(finding, wording, finding.number)
    else:
        head = _comparison(finding, wording)
    seeds = "1 seed" if finding.n == 1 else f"{finding.n} seeds"
    interval = _interval(finding, wording)
    brackets = f"{percent(finding.level)} interval {interval}, {seeds}" if interval else seeds
    verdict = f"{finding.outcome}, {finding.reason}" if finding.reason else finding.outcome
    wish = _wish(finding, wording)
    text = f"{head} ({brackets}){wish}: {verdict}."
    return " ".join([text, *finding.notes])


def percent(fraction: float) -> str:
    """A fraction as a percentage, with as many decimals as it needs: 95 %, 99.5 %, 99.75 %."""
    return f"{100 * fraction:.2f}".rstrip("0").rstrip(".") + " %"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _number(value: float, wording: Wording) -> str:
    text = f"{value * wording.scale:.{wording.num_decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _amount(value: float, wording: Wording) -> str:
    """A number with its unit."""
    return f"{_number(value, wording)} {wording.unit}".rstrip()


def _directions(finding: Finding, wording: Wording) -> tuple[str, str]:
    """Comparatives for a negative and a positive effect."""
    if finding.measure == "mean":
        return wording.lower, wording.higher
    if finding.measure == "spread":
        return "less", "more"
    return ("falling", "rising") if not wording.right else ("less", "more")


def _comparison(finding: Finding, wording: Wording) -> str:
    """Left against right, or a trend against none."""
    left, lower_higher = _upper(wording.left), _directions(finding, wording)
    effect = finding.effect
    than = f" than {wording.right}" if wording.right else ""
    if effect is None:
        # A half-open interval: the sides' order is known, their distance is not.
        direction = lower_higher[0] if finding.low is None else lower_higher[1]
        subject = wording.phrase or f"{wording.quantity} was"
        return f"{left}, {subject} {direction}{than} by no finite amount"
    size = _amount(abs(effect), wording)
    direction = lower_higher[effect > 0]
    if finding.measure == "spread":
        return (
            f"{left}, {wording.quantity} varied {size} {direction} between two {wording.over}{than}"
        )
    if finding.measure == "trend":
        if wording.right:
            return f"{left}, {wording.quantity} rose {size} {direction} per {wording.step}{than}"
        verb = "rose" if effect > 0 else "fell"
        return f"{left}, {wording.quantity} {verb} by {size} per {wording.step}"
    subject = wording.phrase or f"{wording.quantity} was"
    if float(_number(effect, wording)) == 0:
        return f"{left}, {subject} no {direction}{than}, to the decimals printed"
    return f"{left}, {subject} {size} {direction}{than}"


def _against_number(finding: Finding, wording: Wording, number: float) -> str:
    """The left side's own value; the effect is the distance from the number."""
    value = None if finding.effect is None else finding.effect + number
    told = "not finite" if value is None else _amount(value, wording)
    if finding.measure == "spread":
        return (
            f"{_upper(wording.left)}, {wording.quantity} varied {told} between two {wording.over}"
        )
    if finding.measure == "trend":
        return f"{_upper(wording.left)}, {wording.quantity} changed by {told} per {wording.step}"
    return f"{_upper(wording.left)}, {wording.quantity} was {told}"


def _interval(finding: Finding, wording: Wording) -> str:
    """The interval in words; empty where there is none."""
    low, high = finding.low, finding.high
    if low is None and high is None:
        return ""
    if finding.number is not None:
        ends = [
            None if end is None else _number(end + finding.number, wording) for end in (low, high)
        ]
        if ends[0] is None:
            return f"at most {ends[1]}"
        return f"{ends[0]} to {ends[1]}" if ends[1] is not None else f"at least {ends[0]}"
    if low is not None and high is not None:
        return _closed(low, high, finding, wording)
    lower, higher = _directions(finding, wording)
    if low is not None:
        bound = _number(abs(low), wording)
        return f"at least {bound} {higher}" if low >= 0 else f"at most {bound} {lower}"
    bound = _number(abs(high or 0.0), wording)
    return f"at least {bound} {lower}" if (high or 0.0) <= 0 else f"at most {bound} {higher}"


def _closed(low: float, high: float, finding: Finding, wording: Wording) -> str:
    """Sizes, with their directions where the sentence has not named them yet."""
    lower, higher = _directions(finding, wording)
    sizes = [_number(abs(end), wording) for end in (low, high)]
    if low < 0 < high:
        return f"{sizes[0]} {lower} to {sizes[1]} {higher}"
    effect = finding.effect or 0.0
    if low >= 0:
        return f"{sizes[0]} to {sizes[1]}" + ("" if effect > 0 else f" {higher}")
    return f"{sizes[1]} to {sizes[0]}" + ("" if effect < 0 else f" {lower}")


def _wish(finding: Finding, wording: Wording) -> str:
    """What the claim asked for, where that is more than a direction."""
    margin = finding.margin
    lower, higher = _directions(finding, wording)
    if finding.number is not None:
        if finding.expect == "equal":
            asked = f"{_amount(finding.number, wording)} give or take {_amount(margin, wording)}"
            return f", where the claim says {asked}"
        less = finding.expect == "less"
        bound = _amount(finding.number + (-margin if less else margin), wording)
        return f", where the claim says {'less' if less else 'more'} than {bound}"
    if finding.expect == "equal":
        return f", where the claim allows a difference of {_amount(margin, wording)}"
    direction = lower if finding.expect == "less" else higher
    if margin > 0:
        return f", where the claim says at least {_amount(margin, wording)} {direction}"
    if margin < 0:
        other = higher if finding.expect == "less" else lower
        return f", where the claim allows up to {_amount(-margin, wording)} {other}"
    return f", where the claim says {direction}" if finding.outcome == "contradicted" else ""
