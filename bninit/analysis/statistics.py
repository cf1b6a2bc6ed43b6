"""Means and paired differences with honest intervals, and the correction for several of them.

The unit is the seed: one number per seed goes in, whatever was averaged within a seed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from bninit.analysis.inference import Floats, Inference, infer

Worse = Literal["high", "low"]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        effect: Mean (median where `method` is "sign"); None without any usable value, or where
            the median is not finite.
        low: Lower end of the interval; None where there is no interval or no lower bound.
        high: Upper end, likewise.
        level: Confidence of this interval on its own, such as 0.95; for one of m simultaneous
            intervals 1 - alpha / m.
        n: Seeds used.
        num_lost: Seeds left out because a value is NaN.
        p_value: Two-sided, against zero, corrected like the interval: it is at most
            alpha exactly when the interval excludes zero. None where there is no test.
        method: How it was computed; "none" for fewer than two values.
    """

    effect: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    num_lost: int
    p_value: float | None
    method: str


def finite(value: float) -> float | None:
    """The value, or None for an infinity or NaN (no such numbers in files and sentences)."""
    return float(value) if np.isfinite(value) else None


def mean_interval(values: ArrayLike, *, level: float = 0.95, resolution: float = 0.0) -> Estimate:
    """Mean of one number per seed, with Student's t interval.

    The interval trusts that the values are roughly normal. One value has no interval, two have a
    wide one. Equal values get the width that their resolution leaves open (see
    `inference.MeanInference`); equal values of unknown resolution get none below six seeds,
    where the sign test's interval for the median takes over.

    Args:
        values: Shape (seed,); NaN marks a lost value.
        level: Confidence in (0, 1).
        resolution: Step in which the values are recorded: 1 for epochs, 1 / num_examples for an
            accuracy; 0 if continuous.
    """
    kept, num_lost = _without_nan(np.asarray(values, dtype=np.float64))
    inference = infer(
        kept,
        variance_floor=resolution**2 / 12,
        half_step=resolution / (2 * max(len(kept), 1)),
        guarded=False,
    )
    return _estimate(kept, inference, level=level, num_lost=num_lost, num_comparisons=1)


def paired_differences(
    left: ArrayLike, right: ArrayLike, *, worse: Worse | None = None, horizon: float | None = None
) -> Floats:
    """Left minus right, seed by seed, with what diverged or was never reached in its place.

    Args:
        left: Shape (seed, ...); NaN for a run that diverged, or that never reached a target.
        right: The same shape, the same seeds.
        worse: Which end is worse. A NaN then ranks beyond every number there: the difference is
            infinite if one side has it, zero if both have it. None leaves NaN as it is.
        horizon: For times to a target: a time that is NaN or beyond it counts as this.

    Returns:
        Shape (seed, ...); may hold infinities, which `inference.infer` treats by rank.
    """
    sides = [restricted(side, horizon=horizon) for side in (left, right)]
    if sides[0].shape != sides[1].shape:
        raise ValueError(f"sides of different shapes: {sides[0].shape} and {sides[1].shape}")
    if worse is not None:
        end = np.inf if worse == "high" else -np.inf
        sides = [np.where(np.isnan(side), end, side) for side in sides]
    return subtract(sides[0], sides[1])


def subtract(left: Floats, right: Floats | float) -> Floats:
    """Left minus right, where two equal infinities differ by nothing."""
    with np.errstate(invalid="ignore"):
        return np.where(left == right, 0.0, left - right)


def restricted(times: ArrayLike, *, horizon: float | None) -> Floats:
    """Times cut at a horizon: min(T, horizon), and the horizon where T is NaN (never reached).

    Args:
        times: Any shape, NaN for never reached.
        horizon: The earliest time at which an unreached target could have been reached: E + 1
            after E epochs. None returns the times as they are.
    """
    values = np.asarray(times, dtype=np.float64)
    return values if horizon is None else np.fmin(values, horizon)


def compare_to_baseline(
    differences: Sequence[ArrayLike], *, alpha: float = 0.05, resolution: float = 0.0
) -> list[Estimate]:
    """Paired differences of several arms against one baseline, with simultaneous intervals.

    Bonferroni: each of m intervals has confidence 1 - alpha / m, so that all hold at once with
    1 - alpha, whatever they have in common; p-values are multiplied by m. The t intervals trust
    roughly normal differences (see `mean_interval`); claims are decided with more care
    (`verdicts.decide_claims`).

    Args:
        differences: For each comparison one difference per seed (`paired_differences`), shape
            (seed,); NaN for lost seeds, infinite where only the order is known.
        alpha: Error of all intervals together.
        resolution: Step in which the two sides' values are recorded.
    """
    level = 1 - alpha / max(len(differences), 1)
    estimates = []
    for values in differences:
        kept, num_lost = _without_nan(np.asarray(values, dtype=np.float64))
        inference = infer(
            kept,
            variance_floor=resolution**2 / 6,
            half_step=resolution / (2 * max(len(kept), 1)),
            guarded=False,
        )
        estimates.append(
            _estimate(
                kept, inference, level=level, num_lost=num_lost, num_comparisons=len(differences)
            )
        )
    return estimates


@dataclass(frozen=True)
class Holm:
    """Holm's step-down decision for one of several p-values.

    Attributes:
        adjusted: Adjusted p-value; decided if it is at most alpha.
        alpha: The error level at which this one was decided, or at which the procedure stopped
            short of it: the raw p-value is at most this exactly when it is decided.
    """

    adjusted: float
    alpha: float


def holm(p_values: Sequence[float], *, alpha: float = 0.05) -> list[Holm]:
    """Holm's correction: the chance of any false verdict in the family stays below alpha.

    Source: Holm (1979, Scand. J. Statist. 6, 65-70). Sorted upwards, the i-th of m p-values is
    held against alpha / (m - i + 1), until the first one fails.

    Args:
        p_values: Raw p-values, one per question.
        alpha: Error of the family.
    """
    m = len(p_values)
    decisions: list[Holm] = [Holm(1.0, alpha)] * m
    adjusted, stopped_at = 0.0, None
    for i, index in enumerate(sorted(range(m), key=lambda j: p_values[j])):
        adjusted = max(adjusted, min(1.0, (m - i) * p_values[index]))
        step = alpha / (m - i)
        if stopped_at is None and p_values[index] > step:
            stopped_at = step
        decisions[index] = Holm(adjusted, step if stopped_at is None else stopped_at)
    return decisions


def _without_nan(values: Floats) -> tuple[Floats, int]:
    if values.ndim != 1:
        raise ValueError(f"one number per seed is needed, not an array of shape {values.shape}")
    kept = values[~np.isnan(values)]
    return kept, len(values) - len(kept)


def _estimate(
    values: Floats,
    inference: Inference | None,
    *,
    level: float,
    num_lost: int,
    num_comparisons: int,
) -> Estimate:
    n = len(values)
    if inference is None:
        effect = finite(values[0]) if n else None
        return Estimate(effect, None, None, level, n, num_lost, None, "none")
    ends = inference.interval(1 - level)
    low, high = (finite(ends[0]), finite(ends[1])) if ends else (None, None)
    raw = 2 * min(inference.p_greater(0.0), inference.p_less(0.0))
    p_value = min(1.0, num_comparisons * raw)
    return Estimate(
        finite(inference.effect), low, high, level, n, num_lost, p_value, inference.method
    )
