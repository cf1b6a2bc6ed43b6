"""A verdict in words that a student understands: sentence, reason and notes."""

from __future__ import annotations

from bninit.show.words import target_percent
from bninit.verbs.study import words
from bninit.verbs.study.contrast import Estimate, Verdict


def sentence(verdict: Verdict) -> str:
    """The verdict as a sentence, then what the reader has to know about the runs.

    For example: "With batch norm before the activation, 97 % was reached 3.20 epochs earlier than
    without batch norm (95 % interval 2.10 to 4.30, 10 seeds): supported."
    """
    interval = _interval(verdict)
    brackets = "1 seed" if verdict.n == 1 else f"{verdict.n} seeds"
    if interval:
        brackets = f"{words.percent(verdict.level)} interval {interval}, {brackets}"
    outcome = f"{verdict.outcome} ({verdict.reason})" if verdict.reason else verdict.outcome
    text = f"{_measured(verdict)} ({brackets}){_claimed(verdict)}: {outcome}."
    return " ".join([text[:1].upper() + text[1:], *verdict.notes])


def reason(estimate: Estimate, *, num_claims: int, seeds_needed: int | None) -> str:
    """Why a claim stays undecided."""
    contrast = estimate.contrast
    if estimate.is_unknown:
        num_missing = sum(estimate.num_missing)
        return f"{num_missing} runs have no value, and the metric has no end that is worse"
    if estimate.n == 0:
        return "no seed has all the runs that the claim needs"
    if estimate.all_censored:
        return "no run reached the target"
    if estimate.inference is None:
        return "one seed does not show how much seeds differ"
    if seeds_needed is not None:
        at_once = f" for {num_claims} claims at once" if num_claims > 1 else ""
        return f"{estimate.n} seeds are too few{at_once}, at least {seeds_needed} are needed"
    is_equality = contrast.expect == "equal"
    is_open = is_equality and estimate.equality_open
    if is_open or estimate.unbounded_below or estimate.unbounded_above:
        return "runs that did not reach the target leave the size of the effect open"
    if is_equality or contrast.claim.signed_margin != 0 or contrast.number is not None:
        return "the interval includes the claimed bound"
    return "the interval includes zero"


def notes(estimate: Estimate) -> list[str]:
    """What the reader has to know about the runs, a sentence each."""
    contrast, metric = estimate.contrast, estimate.contrast.metric
    told = []
    if any(estimate.num_missing):
        sides = [side for side in (contrast.left, contrast.right) if side is not None]
        counts = zip(estimate.num_missing, estimate.num_runs, sides, strict=True)
        left, *right = [
            f"{missing} of {total}{' runs' if side is contrast.left else ''} {side.says}"
            for missing, total, side in counts
        ]
        runs = " and ".join([left, *right])
        if contrast.horizon is not None:
            counted = f"{contrast.horizon * metric.scale:g} {metric.unit}".rstrip()
            told.append(f"{runs} did not reach the target (censored at {counted}).")
        elif contrast.worse is not None:
            told.append(f"{runs} diverged and rank as the worst; the effect is the median.")
        else:
            told.append(f"{runs} have no value.")
    if contrast.num_lost:
        seeds = "1 seed is" if contrast.num_lost == 1 else f"{contrast.num_lost} seeds are"
        told.append(f"{seeds} left out: a run is missing.")
    if contrast.one_clock and estimate.n != len(contrast.seeds):
        told.append("Networks trained in one stack share its clock: their times are one value.")
    return told


def _measured(verdict: Verdict) -> str:
    """What was measured: left against right or a number, or a trend."""
    claim, metric, effect = verdict.claim, verdict.metric, verdict.effect
    left = verdict.left.says
    target = "" if claim.target is None else target_percent(claim.target)
    quantity = words.title_of(verdict)
    if effect is None and verdict.low is None and verdict.high is None:
        # Where runs diverged, the order of the sides can be sure without any size of a difference.
        if verdict.outcome == "undecided":
            return f"{left}, nothing can be said about {quantity}"
        return f"{left}, {quantity} differs by no finite amount"
    if verdict.number is not None:
        value = "not finite" if effect is None else _amount(effect + verdict.number, verdict)
        return f"{left}, {quantity} was {value}"
    lower, higher = _directions(verdict)
    than = f" than {verdict.right.says}" if verdict.right is not None else ""
    subject = f"{target} was reached" if metric.censored else f"{quantity} was"
    if effect is None:
        # A half-open interval: the sides' order is known, their distance is not.
        direction = lower if verdict.low is None else higher
        return f"{left}, {subject} {direction}{than} by no finite amount"
    size, direction = _amount(abs(effect), verdict), higher if effect > 0 else lower
    if claim.spread:
        axis = claim.spread.rpartition(".")[2]
        return f"{left}, {quantity} varied {size} {direction} across values of {axis}{than}"
    if claim.trend:
        verb, axis = "rose" if effect > 0 else "fell", claim.trend.rpartition(".")[2]
        return f"{left}, {quantity} {verb} by {size} per unit of {axis}"
    if float(_number(effect, verdict)) == 0:
        return f"{left}, {subject} no {direction}{than}, to the decimals printed"
    return f"{left}, {subject} {size} {direction}{than}"


def _number(value: float, verdict: Verdict) -> str:
    text = f"{value * verdict.metric.scale:.{verdict.metric.num_decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _amount(value: float, verdict: Verdict) -> str:
    """A number with its unit; differences of percentages are points."""
    unit = verdict.metric.unit
    unit = "points" if unit == "%" and verdict.number is None else unit
    return f"{_number(value, verdict)} {unit}".rstrip()


def _directions(verdict: Verdict) -> tuple[str, str]:
    """Comparatives for a negative and a positive effect."""
    if verdict.measure == "spread":
        return "less", "more"
    if verdict.measure == "trend":
        return "falling", "rising"
    return ("earlier", "later") if verdict.metric.censored else ("lower", "higher")


def _interval(verdict: Verdict) -> str:
    """The interval in words; empty where there is none.

    Ends have a direction where the sentence has not named theirs yet.
    """
    low, high = verdict.low, verdict.high
    if low is None and high is None:
        return ""
    if verdict.number is not None:
        ends = [
            "" if end is None else _number(end + verdict.number, verdict) for end in (low, high)
        ]
        if not all(ends):
            return f"at least {ends[0]}" if ends[0] else f"at most {ends[1]}"
        return " to ".join(ends)
    lower, higher = _directions(verdict)
    sizes = ["" if end is None else _number(abs(end), verdict) for end in (low, high)]
    if low is None or high is None:
        end, size = (low, sizes[0]) if low is not None else (high or 0.0, sizes[1])
        is_beyond = end >= 0 if low is not None else end <= 0
        is_higher = is_beyond == (low is not None)
        return f"at {'least' if is_beyond else 'most'} {size} {higher if is_higher else lower}"
    if low < 0 < high:
        return f"{sizes[0]} {lower} to {sizes[1]} {higher}"
    effect = verdict.effect or 0.0
    if low >= 0:
        return f"{sizes[0]} to {sizes[1]}" + ("" if effect > 0 else f" {higher}")
    return f"{sizes[1]} to {sizes[0]}" + ("" if effect < 0 else f" {lower}")


def _claimed(verdict: Verdict) -> str:
    """What the claim says, where that is more than a direction."""
    margin, number = verdict.claim.signed_margin, verdict.number
    lower, higher = _directions(verdict)
    is_less = verdict.expect == "less"
    if number is not None:
        if verdict.expect == "equal":
            within = f"{_amount(number, verdict)} give or take {_amount(margin, verdict)}"
            return f", where the claim says {within}"
        bound = _amount(number + (-margin if is_less else margin), verdict)
        return f", where the claim says {'less' if is_less else 'more'} than {bound}"
    if verdict.expect == "equal":
        return f", where the claim allows a difference of {_amount(margin, verdict)}"
    direction = lower if is_less else higher
    if margin > 0:
        return f", where the claim says at least {_amount(margin, verdict)} {direction}"
    return f", where the claim says {direction}" if verdict.outcome == "contradicted" else ""
