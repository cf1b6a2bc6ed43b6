"""A verdict in words that a student understands: from numbers to one short paragraph."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from bninit.metrics import METRICS, Measured, Metric, horizon_of
from bninit.stats import (
    Floats,
    Inference,
    MeanInference,
    PairedShareInference,
    ShareInference,
    Worse,
    finite,
    holm,
    infer,
    restricted,
    subtract,
)
from bninit.verbs.study.expand import (
    Sides,
    StudyArm,
    arm_value,
    sides_of,
)
from bninit.verbs.study.schema import Claim

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


def gini_mean_difference(values: Floats) -> Floats:
    """Mean absolute difference of two distinct entries of the last axis.

    For k sorted values the sum of (2i - k - 1) x_(i), times 2 / (k (k - 1)) (Gini 1912; David
    1968, Biometrika 55, 573-575). Infinite as soon as one value is.

    Args:
        values: Shape (..., level) with at least two levels.
    """
    weights = gini_weights(values.shape[-1])
    with np.errstate(invalid="ignore"):
        spread = np.asarray((np.sort(values, axis=-1) * weights).sum(axis=-1))
    return np.where(np.isinf(values).any(axis=-1), np.inf, spread)


def slope(values: Floats, *, scores: ArrayLike) -> Floats:
    """Least-squares slope along the last axis: change of the value per unit of the score.

    Args:
        values: Shape (..., level); with an infinite value (a run that ranks as the worst) the
            slope is infinite, with the sign of Kendall's score, or 0 if that is 0.
        scores: Position of each level, shape (level,).
    """
    position = np.asarray(scores, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        finite = np.asarray((values * slope_weights(position)).sum(axis=-1))
        steps = np.sign(subtract(values[..., :, None], values[..., None, :]))
    order = np.sign(position[:, None] - position[None, :])
    kendall = (steps * order).sum(axis=(-2, -1))
    ranked = np.where(kendall == 0, 0.0, np.copysign(np.inf, kendall))
    return np.where(np.isinf(values).any(axis=-1), ranked, finite)


def gini_weights(num_levels: int) -> Floats:
    """Weights of the sorted values in Gini's mean difference, shape (level,)."""
    ranks = np.arange(1, num_levels + 1)
    return np.asarray(2 * (2 * ranks - num_levels - 1) / (num_levels * (num_levels - 1)))


def slope_weights(position: Floats) -> Floats:
    """Weights of the values in the least-squares slope along `position`, shape (level,)."""
    centred = position - position.mean()
    return np.asarray(centred / (centred**2).sum())


Expect = Literal["less", "greater", "equal"]
Measure = Literal["mean", "spread", "trend"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """One claim, with its data.

    Attributes:
        name: Id of the claim.
        expect: What the claim says of left minus right: "less" or "greater" than `margin`, or
            "equal" (within plus or minus `margin`).
        left: Values of the left side, shape (seed, cell); (seed, cell, level) for a spread or a
            trend; (seed,) is short for one cell. NaN: the run diverged, or never got there.
        right: The same for the right side, or a number to hold the left side against
            (0 for a trend of one side).
        measure: What is taken within a seed, before averaging over cells: the value itself; the
            mean difference between two levels drawn at random (Gini's mean difference: in the
            metric's unit, robuster than the range or the standard deviation, as all pairs of
            levels count alike); or the least-squares slope along the levels' `scores`.
        scores: Position of each level, shape (level,); needed for a trend.
        margin: For "less" and "greater" the least size that matters: "less" with margin 2 means
            lower by more than 2; a negative margin is a tolerance. For "equal" the tolerance.
        resolution: Step in which the metric is recorded: 1 for epochs, 1 / num_examples for an
            accuracy, the steps of an epoch for steps to a target; 0 if continuous.
        horizon: For times to a target: what a run that never got there counts as, the earliest
            time at which it could have (E + 1 after E epochs). See `survival`.
        worse: For other metrics with NaN: the end at which a diverged run ranks, beyond all
            numbers. Without it a claim whose runs have NaN is left undecided.
        share: Whether the values are 0 and 1 (diverged or not, reached or not); decided by exact
            binomial tests where a seed has one cell.
        num_lost: Seeds left out for a missing run, to be told in the verdict.
        wording: The words of the verdict's sentence.
    """

    name: str
    expect: Expect
    left: ArrayLike
    right: ArrayLike
    measure: Measure = "mean"
    scores: ArrayLike | None = None
    margin: float = 0.0
    resolution: float = 0.0
    horizon: float | None = None
    worse: Worse | None = None
    share: bool = False
    num_lost: int = 0
    wording: Wording


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the data of one question hold.

    Attributes:
        differences: One number per seed, shape (seed,): left minus right; may be infinite or NaN.
        inference: Over these; None where nothing can be inferred.
        num_nan_left: Left runs that are NaN: diverged, or never got there.
        num_nan_right: Right runs that are NaN.
        num_runs_left: All left runs.
        num_runs_right: All right runs; 0 where the right side is a number.
        unknown: NaN without a rank: the claim does not say what a diverged run counts as.
        nobody_got_there: Every run of every side missed the target.
        equality_open: A target was missed in a way that leaves open how far apart the sides are.
        unbounded_above: The true effect may be larger than anything measured: unreached targets
            count at their earliest, so a mean held against a number, and the left side's spread,
            are lower bounds.
        unbounded_below: It may be smaller, as the right side's spread is a lower bound.
    """

    differences: Floats
    inference: Inference | None
    num_nan_left: int
    num_nan_right: int
    num_runs_left: int
    num_runs_right: int
    unknown: bool
    nobody_got_there: bool
    equality_open: bool
    unbounded_above: bool
    unbounded_below: bool

    @property
    def n(self) -> int:
        """Seeds used."""
        return len(self.differences)

    @property
    def effect(self) -> float | None:
        """Mean over seeds (median for ranks, share for shares); None where there is none."""
        if self.inference is not None:
            return finite(self.inference.effect)
        if self.n == 0 or self.unknown or self.nobody_got_there:
            return None
        return finite(float(self.differences.mean()))


def gather(question: Question) -> Evidence:
    """Reduce a question to one number per seed and choose the inference for it.

    Raises:
        ValueError: For sides of different shapes, a trend without scores, a share with other
            values than 0 and 1, or an equality without a margin.
    """
    left = _cube(question.left, question)
    against_number = np.ndim(question.right) == 0
    right = None if against_number else _cube(question.right, question)
    _check(question, left, right)
    n = len(left)
    differences = _differences(left, right, question)
    missed_left = np.isnan(left)
    missed_right = np.isnan(right) if right is not None else np.zeros((n, 0), dtype=bool)
    num_missed = int(missed_left.sum() + missed_right.sum())
    censored = question.horizon is not None and num_missed > 0
    unknown = num_missed > 0 and question.horizon is None and question.worse is None
    nobody = censored and num_missed == missed_left.size + missed_right.size
    spread = question.measure == "spread"
    both_missed = right is not None and bool((missed_left & missed_right).any())
    inference: Inference | None = None
    if not unknown and not nobody and n > 0:
        if question.share and left.size == n:
            inference = _share(left, right)
        else:
            inference = _mean(differences, left.shape, question)
    return Evidence(
        differences=differences,
        inference=inference,
        num_nan_left=int(missed_left.sum()),
        num_nan_right=int(missed_right.sum()),
        num_runs_left=missed_left.size,
        num_runs_right=missed_right.size,
        unknown=unknown,
        nobody_got_there=nobody,
        equality_open=censored and (question.measure != "mean" or right is None or both_missed),
        unbounded_above=censored
        and bool(missed_left.any())
        and (spread or (right is None and question.measure == "mean")),
        unbounded_below=censored and bool(missed_right.any()) and spread,
    )


def _check(question: Question, left: Floats, right: Floats | None) -> None:
    """Refuse what no data could mend."""
    name = question.name
    if right is not None and left.shape != right.shape:
        raise ValueError(f"{name}: sides of different shapes: {left.shape} and {right.shape}")
    if question.expect == "equal" and question.margin <= 0:
        raise ValueError(f"{name}: an equality needs a positive margin, not {question.margin}")
    if question.measure != "mean" and left.shape[-1] < 2:
        raise ValueError(f"{name}: a {question.measure} needs at least two levels")
    if question.measure == "trend" and np.shape(_scores(question)) != left.shape[-1:]:
        raise ValueError(f"{name}: a trend needs one score for each of {left.shape[-1]} levels")
    if question.measure == "trend" and np.ptp(_scores(question)) == 0:
        raise ValueError(f"{name}: a trend needs levels at different scores")
    if question.share:
        for side in (left, right):
            if side is not None and not np.isin(side, (0.0, 1.0)).all():
                raise ValueError(f"{name}: a share is counted from values 0 and 1 only")


def _cube(side: ArrayLike, question: Question) -> Floats:
    """A side as (seed, cell, level), with one level for a mean."""
    values = np.asarray(side, dtype=np.float64)
    if question.measure == "mean":
        values = values[..., None]
    if values.ndim == 2:
        values = values[:, None, :]
    if values.ndim != 3:
        raise ValueError(f"{question.name}: a {question.measure} cannot use shape {np.shape(side)}")
    return values


def _share(left: Floats, right: Floats | None) -> Inference:
    mine = left.reshape(-1) == 1
    if right is None:
        return ShareInference(int(mine.sum()), len(mine))
    theirs = right.reshape(-1) == 1
    return PairedShareInference(int((mine & ~theirs).sum()), int((theirs & ~mine).sum()), len(mine))


def _differences(left: Floats, right: Floats | None, question: Question) -> Floats:
    mine = _per_seed(left, question)
    if right is None:
        return subtract(mine, float(np.asarray(question.right)))
    return subtract(mine, _per_seed(right, question))


def _mean(differences: Floats, shape: tuple[int, ...], question: Question) -> Inference | None:
    num_seeds, num_cells, num_levels = shape
    num_sides = 1 if np.ndim(question.right) == 0 else 2
    weights = _weights(question, num_levels=num_levels)
    # Rounding errors of the recorded values are independent: their variances add up, weighted.
    resolution = 1.0 if question.share else question.resolution
    rounding = resolution**2 / 12 * float((weights**2).sum()) / num_cells
    step = resolution * float(np.abs(weights[weights != 0]).min()) / num_cells
    return infer(
        differences,
        variance_floor=rounding * num_sides,
        half_step=_jump(differences, step=step) / (2 * num_seeds),
        symmetric=num_sides == 2 or question.measure == "trend",
    )


def _jump(differences: Floats, *, step: float) -> float:
    """Smallest jump that the differences show: a multiple of the step, or else the step."""
    if step == 0 or not np.isfinite(differences).all():
        return step
    counts = np.rint(differences / step)
    on_steps = np.allclose(counts * step, differences, rtol=0, atol=1e-6 * step)
    return step * max(1, int(np.gcd.reduce(counts.astype(np.int64)))) if on_steps else step


def _per_seed(side: Floats, question: Question) -> Floats:
    """One number per seed, shape (seed,): the measure in each cell, averaged over cells."""
    values = restricted(side, horizon=question.horizon)
    if question.worse is not None:
        values = np.where(np.isnan(values), np.inf if question.worse == "high" else -np.inf, values)
    if question.measure == "spread":
        per_cell = gini_mean_difference(values)
    elif question.measure == "trend":
        per_cell = slope(values, scores=_scores(question))
    else:
        per_cell = values[..., 0]
    if question.worse is None:
        return np.asarray(per_cell.mean(axis=1))
    with np.errstate(invalid="ignore"):
        means = per_cell.mean(axis=1)
    # Infinite slopes of both signs within a seed: no order.
    return np.where(np.isnan(means), 0.0, means)


def _weights(question: Question, *, num_levels: int) -> Floats:
    """Weight of each level in the measure (of the sorted levels, for a spread)."""
    if question.measure == "spread":
        return gini_weights(num_levels)
    if question.measure == "trend":
        return slope_weights(_scores(question))
    return np.ones(1)


def _scores(question: Question) -> Floats:
    """Positions of the levels, shape (level,); empty where the claim has none."""
    return np.asarray(() if question.scores is None else question.scores, dtype=np.float64)


@dataclass(frozen=True)
class Verdict:
    """What the data say of one claim.

    Attributes:
        name: Id of the claim.
        outcome: "supported", "contradicted" or "undecided".
        effect: Left minus right (or minus the number; or the slope), in the metric's unit; None
            where it is not finite or nothing could be computed.
        low: Lower end of the interval; None for no bound or no interval.
        high: Upper end of the interval; None for no bound or no interval.
        level: Confidence of the interval, at which the claim was decided.
        n: Seeds used.
        num_lost: Seeds left out because a run is missing.
        p_value: Smallest level at which this claim alone would be decided (as supported or as
            contradicted).
        p_adjusted: The same after Holm's correction: decided if at most alpha.
        method: The inference used.
        sentence: The verdict in words.
    """

    name: str
    outcome: Outcome
    effect: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    num_lost: int
    p_value: float
    p_adjusted: float
    method: str
    sentence: str


def decide_claims(questions: Sequence[Question], *, alpha: float = 0.05) -> list[Verdict]:
    """Decide all claims of a study, with the chance of any false verdict at most alpha.

    Args:
        questions: The claims with their data; all that were asked, as their number counts.
        alpha: Error of the family, in (0, 1).

    Returns:
        One verdict per question, in their order.

    Raises:
        ValueError: For a question that no data could answer (see `questions.gather`).
    """
    evidence = [gather(question) for question in questions]
    leanings = [_lean(q, e) for q, e in zip(questions, evidence, strict=True)]
    decisions = holm([leaning.p_value for leaning in leanings], alpha=alpha)
    verdicts = []
    for question, found, leaning, decision in zip(
        questions, evidence, leanings, decisions, strict=True
    ):
        decided = leaning.p_value <= decision.alpha
        outcome: Outcome = leaning.outcome if decided else "undecided"
        one_sided = question.expect == "equal" and outcome == "supported"
        error = decision.alpha * (2 if one_sided else 1)
        low, high = _interval_verdicts(question, found, error, decided=decided)
        effect = found.effect
        if effect is not None:
            effect -= _offset(question, found)
        finding = Finding(
            measure=question.measure,
            expect=question.expect,
            margin=question.margin,
            number=_number_verdicts(question),
            outcome=outcome,
            effect=effect,
            low=low,
            high=high,
            level=1 - error,
            n=found.n,
            reason=""
            if decided
            else _reason(question, found, decision.alpha, num_claims=len(questions), family=alpha),
            notes=_notes(question, found),
        )
        verdicts.append(
            Verdict(
                name=question.name,
                outcome=outcome,
                effect=effect,
                low=low,
                high=high,
                level=1 - error,
                n=found.n,
                num_lost=question.num_lost,
                p_value=leaning.p_value,
                p_adjusted=decision.adjusted,
                method=found.inference.method if found.inference else "none",
                sentence=sentence(finding, wording=question.wording),
            )
        )
    return verdicts


def seeds_needed(num_claims: int, *, alpha: float = 0.05, by_mean: bool = True) -> int:
    """Fewest seeds with which any of `num_claims` claims can be decided, either way.

    Below it, chance alone gives such agreement between seeds more often than the level allows:
    4^-n for means (`inference.MeanInference`), so 3 seeds for one claim and 5 for up to 25 at
    once, at 5 %; 2^-n for ranks and paired shares, so 6 and 10.

    Args:
        num_claims: Claims decided together.
        alpha: Error of the family.
        by_mean: False for ranks (some runs diverged) and shares.
    """
    one_sided = alpha / num_claims / 2
    return max(2, math.ceil(math.log(1 / one_sided, 4 if by_mean else 2) - 1e-9))


@dataclass(frozen=True)
class _Leaning:
    """The verdict that the data are closest to, and the smallest level at which it is given."""

    outcome: Outcome
    p_value: float


def _lean(question: Question, evidence: Evidence) -> _Leaning:
    inference = evidence.inference
    if inference is None:
        return _Leaning("undecided", 1.0)

    def p_greater(value: float) -> float:
        return 1.0 if evidence.unbounded_below else inference.p_greater(value)

    def p_less(value: float) -> float:
        return 1.0 if evidence.unbounded_above else inference.p_less(value)

    offset, margin = _offset(question, evidence), question.margin
    if question.expect == "equal":
        inside = max(p_greater(offset - margin), p_less(offset + margin))
        outside = 2 * min(p_less(offset - margin), p_greater(offset + margin))
        supported = 1.0 if evidence.equality_open else inside
        contradicted = outside
    else:
        bound = offset + (-margin if question.expect == "less" else margin)
        above, below = 2 * p_greater(bound), 2 * p_less(bound)
        supported, contradicted = (below, above) if question.expect == "less" else (above, below)
    if supported <= contradicted:
        return _Leaning("supported", min(1.0, supported))
    return _Leaning("contradicted", min(1.0, contradicted))


def _offset(question: Question, evidence: Evidence) -> float:
    """What the inference's own zero is: a share keeps its scale, all else is a difference."""
    is_share = isinstance(evidence.inference, ShareInference)
    return float(np.asarray(question.right)) if is_share else 0.0


def _number_verdicts(question: Question) -> float | None:
    """The number that the left side is held against, if it is to be told."""
    if np.ndim(question.right) != 0:
        return None
    number = float(np.asarray(question.right))
    return None if question.measure == "trend" and number == 0 else number


def _interval_verdicts(
    question: Question, evidence: Evidence, error: float, *, decided: bool
) -> tuple[float | None, float | None]:
    """The interval that the decision rests on, around the difference."""
    inference = evidence.inference
    if inference is None or (evidence.equality_open and question.expect == "equal" and not decided):
        return None, None
    ends = inference.interval(error)
    if ends is None:
        return None, None
    offset = _offset(question, evidence)
    low = None if evidence.unbounded_below else finite(ends[0] - offset)
    high = None if evidence.unbounded_above else finite(ends[1] - offset)
    return low, high


def _reason(
    question: Question, evidence: Evidence, alpha: float, *, num_claims: int, family: float
) -> str:
    """Why a claim stays undecided at `alpha`, in a family of claims with error `family`."""
    n, inference = evidence.n, evidence.inference
    equal = question.expect == "equal"
    if inference is None:
        return _nothing_inferred(evidence)
    if 2 * inference.floor > alpha:
        by_mean = isinstance(inference, MeanInference)
        needed = seeds_needed(num_claims, alpha=family, by_mean=by_mean)
        at_once = f" for {num_claims} claims at once" if num_claims > 1 else ""
        return f"as {n} seeds are too few{at_once} (at least {needed} are needed)"
    if (equal and evidence.equality_open) or evidence.unbounded_below or evidence.unbounded_above:
        return "as runs that never got there leave the true size open"
    if equal or question.margin != 0 or _number_verdicts(question) is not None:
        return "as the interval reaches across that"
    return f"as the interval includes no {'trend' if question.measure == 'trend' else 'difference'}"


def _nothing_inferred(evidence: Evidence) -> str:
    if evidence.unknown:
        num_nan = evidence.num_nan_left + evidence.num_nan_right
        return f"as {num_nan} runs have no value and the claim does not say which end is worse"
    if evidence.n == 0:
        return "as no seed has all the runs that it needs"
    if evidence.nobody_got_there:
        return "as no run got there"
    return "as one seed does not show how much seeds differ"


def _notes(question: Question, evidence: Evidence) -> list[str]:
    """What the reader has to know about the runs."""
    notes = []
    wording = question.wording
    if evidence.num_nan_left + evidence.num_nan_right:
        counts = f"{evidence.num_nan_left} of {evidence.num_runs_left} runs {wording.left}"
        if evidence.num_runs_right:
            counts += f" and {evidence.num_nan_right} of {evidence.num_runs_right} {wording.right}"
        if question.horizon is not None:
            counted = f"{question.horizon * wording.scale:g} {wording.unit}".rstrip()
            notes.append(f"{counts} never got there and count as {counted}.")
        elif question.worse is not None:
            notes.append(f"{counts} diverged and rank as the worst; the effect is the median.")
        else:
            notes.append(f"{counts} have no value.")
    if question.num_lost:
        seeds = "1 seed is" if question.num_lost == 1 else f"{question.num_lost} seeds are"
        notes.append(f"{seeds} left out for a missing run.")
    return notes


_WORDS = {
    ("model.norm.placement", "none"): "without batch norm",
    ("model.norm.placement", "pre"): "with batch norm before the activation",
    ("model.norm.placement", "post"): "with batch norm after the activation",
    ("model.norm.input", True): "with batch norm on the input",
    ("model.norm.input", False): "without batch norm on the input",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """One side of a claim, as the runs have it.

    Attributes:
        says: In words: "with batch norm before the activation".
        arms: Labels of its arms.
        values: (seed, arm) in the order of `arms`, NaN where the run has none; seeds as in
            `ClaimResult.seeds`.
    """

    says: str
    arms: tuple[str, ...]
    values: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class ClaimResult:
    """What the runs say of one claim.

    Attributes:
        claim: As the study asks it.
        verdict: The decision.
        metric: What was measured.
        seeds: Seeds of which every needed run is finished.
        left: The left side.
        right: The right side, or None against a number or for a trend.
    """

    claim: Claim
    verdict: Verdict
    metric: Metric
    seeds: tuple[int, ...]
    left: Side
    right: Side | None


def decide(
    claims: Sequence[Claim],
    arms: Sequence[StudyArm],
    runs: Mapping[tuple[str, int], Measured],
    *,
    alpha: float = 0.05,
) -> list[ClaimResult]:
    """Decides all claims of a study together.

    Seeds are the independent unit: what a claim does not name is averaged within a seed. A seed
    of which a run is missing is left out of a claim, and counted as lost. A diverged run counts
    as never having reached its target, and ranks last in every other metric.

    Args:
        claims: All that the study asks; their number decides the correction.
        arms: The study's arms.
        runs: Finished runs by arm id and seed.
        alpha: Chance of any false verdict in the study.

    Returns:
        One result for each claim, in order.
    """
    prepared = [_prepare(claim, arms, runs) for claim in claims]
    verdicts = decide_claims([question for question, *_ in prepared], alpha=alpha)
    return [
        ClaimResult(
            claim=claim,
            verdict=_with_clock_note(verdict, METRICS[claim.metric], num_seeds=len(seeds)),
            metric=METRICS[claim.metric],
            seeds=seeds,
            left=left,
            right=right,
        )
        for claim, verdict, (_, seeds, left, right) in zip(claims, verdicts, prepared, strict=True)
    ]


def _prepare(
    claim: Claim, arms: Sequence[StudyArm], runs: Mapping[tuple[str, int], Measured]
) -> tuple[Question, tuple[int, ...], Side, Side | None]:
    metric = METRICS[claim.metric]
    sides = sides_of(claim, arms)
    right_arms = sides.right if isinstance(sides.right, tuple) else ()
    needed = (*sides.left, *right_arms)
    config = needed[0].config
    seeds = tuple(
        seed for seed in config.train.seeds if all((arm.id, seed) in runs for arm in needed)
    )

    def measure(cells: Sequence[Sequence[StudyArm]]) -> Floats:
        """(seed, cell), or (seed, cell, level) where the claim runs over an axis."""
        values = [
            [
                [metric.value(runs[arm.id, seed], claim.target or 0.0) for arm in cell]
                for cell in cells
            ]
            for seed in seeds
        ]
        num_levels = len(cells[0])
        if sides.over:
            shape: tuple[int, ...] = (len(seeds), len(cells), num_levels)
        else:
            shape = (len(seeds), len(cells) * num_levels)
        return np.asarray(values, dtype=np.float64).reshape(shape)

    left_cells, right_cells = _cells(sides.left, sides), _cells(right_arms, sides)
    left = measure(left_cells)
    right = measure(right_cells) if right_arms else None
    number = sides.right if isinstance(sides.right, float) else 0.0
    horizon = horizon_of(metric, config)
    if metric.censored and horizon is None:
        horizon = _latest(left, right)
    if metric.clock and any(_stack_size(runs[arm.id, s]) > 1 for arm in needed for s in seeds):
        asked_left, asked_right = _one_measurement(left, horizon), _one_measurement(right, horizon)
    else:
        asked_left, asked_right = left, right
    assert asked_left is not None
    question = Question(
        name=claim.id,
        expect=_EXPECT[claim.expect],
        left=asked_left,
        right=number if asked_right is None else asked_right,
        measure=_MEASURES.get(claim.shape, "mean"),
        scores=sides.scores,
        margin=claim.signed_margin,
        resolution=metric.resolution(config),
        horizon=horizon,
        worse=None if metric.censored else metric.worse,
        share=metric.name in ("diverged", "reached") and sides.over is None,
        num_lost=len(config.train.seeds) - len(seeds),
        wording=_wording(claim, metric),
    )
    return (
        question,
        seeds,
        _side(claim.left, left_cells, left),
        None if right is None else _side(claim.right, right_cells, right),
    )


_EXPECT: dict[str, Expect] = {
    "less": "less",
    "greater": "greater",
    "equal": "equal",
    "increasing": "greater",
    "decreasing": "less",
}
_MEASURES: dict[str, Measure] = {"spread": "spread", "trend": "trend"}


def _cells(side: Sequence[StudyArm], sides: Sides) -> list[list[StudyArm]]:
    """The arms of a side by what the claim leaves open, each cell in the order of the levels.

    Cells are in an order that does not depend on the side, so that they pair.
    """
    cells: dict[str, list[StudyArm]] = {}
    for arm in side:
        cells.setdefault(json.dumps(sides.cell(arm)), []).append(arm)
    if sides.over is not None:
        places = {json.dumps(level): i for i, level in enumerate(sides.levels)}
        for cell in cells.values():
            cell.sort(key=lambda arm: places[json.dumps(arm_value(arm, sides.over or ""))])
    return [cells[key] for key in sorted(cells)]


def _with_clock_note(verdict: Verdict, metric: Metric, *, num_seeds: int) -> Verdict:
    if not metric.clock or verdict.n == num_seeds:
        return verdict
    why = "Networks that train in one stack share its clock: their times are one measurement."
    return replace(verdict, sentence=f"{verdict.sentence} {why}")


def _stack_size(run: Measured) -> int:
    return 1 if run.summary is None else int(run.summary["stack_size"])


def _one_measurement(side: Floats | None, horizon: float | None) -> Floats | None:
    """The mean over seeds that shared a clock, as the one seed that they are worth."""
    if side is None:
        return None
    there = side if horizon is None else np.where(np.isnan(side), horizon, side)
    return np.asarray(there.mean(axis=0, keepdims=True))


def _latest(*sides: Floats | None) -> float:
    """For times that no config bounds: the latest one seen, as the earliest possible."""
    seen = np.concatenate([side.ravel() for side in sides if side is not None])
    return float(np.nanmax(seen)) if np.isfinite(seen).any() else 1.0


def _side(named: Any, cells: Sequence[Sequence[StudyArm]], values: Floats) -> Side:
    return Side(
        says=_says(named),
        arms=tuple(arm.label for cell in cells for arm in cell),
        values=values.reshape(len(values), sum(map(len, cells))),
    )


def _says(named: Mapping[str, Any]) -> str:
    parts = []
    for key, value in named.items():
        plain = isinstance(value, str | bool | int | float)
        known = _WORDS.get((key, value)) if plain else None
        if key in ("model.init", "model.init.scheme"):
            scheme = value["scheme"] if isinstance(value, Mapping) else value
            known = f"with {scheme} weights"
        parts.append(known or f"with {key.rpartition('.')[2]} {_short(value)}")
    return " and ".join(parts) or "over all arms"


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_short(part)}" for key, part in value.items())
    return str(value)


def _wording(claim: Claim, metric: Metric) -> Wording:
    target = f"{100 * claim.target:g} %" if claim.target is not None else ""
    earlier = metric.censored
    return Wording(
        left=_says(claim.left),
        right=_says(claim.right) if isinstance(claim.right, dict) else "",
        quantity=metric.title.format(target=target),
        phrase=f"{target} was reached" if earlier else "",
        unit="points" if metric.unit == "%" and claim.shape != "number" else metric.unit,
        scale=metric.scale,
        num_decimals=metric.num_decimals,
        lower="earlier" if earlier else "lower",
        higher="later" if earlier else "higher",
        over=f"values of {claim.spread.rpartition('.')[2]}" if claim.spread else "levels",
        step=f"unit of {claim.trend.rpartition('.')[2]}" if claim.trend else "step",
    )
