"""Supported, contradicted or undecided: the claims of a study, decided together.

For left minus right (or minus a number) and its margin:

- *less* and *greater*: supported when the interval lies wholly beyond the margin in the expected
  direction, contradicted when it lies wholly on the other side, otherwise undecided. The test
  is two-sided, so that "no effect" gives either verdict with probability alpha in all.
- *equal*: supported when the interval with confidence 1 - 2 alpha lies wholly within plus or
  minus the margin (two one-sided tests, Schuirmann 1987, J. Pharmacokinet. Biopharm. 15,
  657-680; one of them alone can go wrong, so each may use all of alpha), contradicted when the
  interval with confidence 1 - alpha lies wholly outside, on either side; otherwise undecided.
  Whatever the truth, only one of the two verdicts is false. The interval shown is the one
  that decided.

Several claims: each verdict has a p-value, the smallest alpha at which that claim would be
decided, and Holm's procedure keeps the chance of any false verdict in the study at alpha. The
interval shown with a verdict is the one at the level at which Holm decided that claim
(1 - alpha / m at its strictest), so verdict and interval never contradict each other. Each
interval holds with its own stated level; all of them at once do not hold with 1 - alpha (for
that, see `statistics.compare_to_baseline`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bninit.analysis.inference import MeanInference
from bninit.analysis.questions import Evidence, Question, gather
from bninit.analysis.sentences import Finding, Outcome, sentence
from bninit.analysis.shares import ShareInference
from bninit.analysis.statistics import finite, holm


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
        low, high = _interval(question, found, error, decided=decided)
        effect = found.effect
        if effect is not None:
            effect -= _offset(question, found)
        finding = Finding(
            measure=question.measure,
            expect=question.expect,
            margin=question.margin,
            number=_number(question),
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


def _number(question: Question) -> float | None:
    """The number that the left side is held against, if it is to be told."""
    if np.ndim(question.right) != 0:
        return None
    number = float(np.asarray(question.right))
    return None if question.measure == "trend" and number == 0 else number


def _interval(
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
    if equal or question.margin != 0 or _number(question) is not None:
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
