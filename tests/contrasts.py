"""Contrasts with chosen numbers, without a study."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bninit.metrics import METRICS
from bninit.verbs.study.contrast import Contrast, Side, Verdict
from bninit.verbs.study.decide import decide_contrasts
from bninit.verbs.study.schema import Claim

NUM_SEEDS = (3, 5, 10, 20)
HORIZON = 11.0
ALPHA = 0.05
TREND = {"less": "decreasing", "greater": "increasing"}


def contrast(
    *,
    left: ArrayLike,
    right: ArrayLike = 0.0,
    expect: str = "less",
    measure: Literal["mean", "spread", "trend"] = "mean",
    scores: ArrayLike | None = None,
    margin: float = 0.0,
    resolution: float = 0.0,
    horizon: float | None = None,
    worse: Literal["high", "low"] | None = None,
    share: bool = False,
    num_lost: int = 0,
    says: tuple[str, str] = ("with A", "with B"),
    **metric: Any,
) -> Contrast:
    """A contrast of two sides, or of one side with a number (or a trend with no trend).

    Args:
        left: Shape (seed,), (seed, cell), or for a spread or a trend (seed, level) or
            (seed, cell, level); NaN for a run without a value.
        right: The same, or a number.
        expect: "less", "greater" or "equal".
        measure: What is taken of a seed.
        scores: Positions of a trend's levels.
        margin: Of the claim; its tolerance beside a number.
        resolution: Step of the metric.
        horizon: For times to a target.
        worse: End of other metrics at which a diverged run ranks.
        share: Whether the values are 0 and 1.
        num_lost: Seeds without all runs.
        says: The sides in words.
        **metric: Of the metric.
    """
    is_number = np.ndim(right) == 0
    is_trend = measure == "trend"
    needs_tolerance = is_number and not is_trend and (expect == "equal" or margin < 0)
    claim = Claim.model_construct(
        id="c",
        says="It is so",
        metric="it",
        target=None if horizon is None else 0.97,
        right=None if is_trend else float(np.asarray(right)) if is_number else {},
        spread="model.init" if measure == "spread" else None,
        trend="model.depth" if is_trend else None,
        expect=TREND.get(expect, expect) if is_trend else expect,
        margin=None if needs_tolerance else margin,
        tolerance=abs(margin) if needs_tolerance else None,
    )
    about = {"name": "it", "title": "the metric", "unit": "", "is_share": share, **metric}
    better: Any = {"high": "low", "low": "high"}.get(worse or "")
    plain = replace(METRICS["test_accuracy"], decimals=2)
    values = [_cube(side, measure) for side in (left, right)]
    sides = [Side(says=s, arms=(), values=v) for s, v in zip(says, values, strict=True)]
    return Contrast(
        claim=claim,
        metric=replace(plain, better=better, censored=horizon is not None, **about),
        left=sides[0],
        right=None if is_number else sides[1],
        scores=None if scores is None else tuple(np.asarray(scores, dtype=float).tolist()),
        resolution=resolution,
        horizon=horizon,
        seeds=tuple(range(len(values[0]))),
        num_lost=num_lost,
    )


def decided(**parts: Any) -> Verdict:
    """The verdict on one contrast alone; arguments as in `contrast`."""
    return decide_contrasts([contrast(**parts)])[0]


def _cube(side: ArrayLike, measure: str) -> Any:
    values = np.asarray(side, dtype=float)
    if values.ndim == 0:
        return values.reshape(1, 1, 1)
    if measure == "mean":
        values = values[..., None]
    return values[:, None, :] if values.ndim == 2 else values


def cut_at_horizon(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole epochs until a target; NaN for one that is not reached in time."""
    epochs = np.ceil(times)
    return np.where(epochs > HORIZON - 1, np.nan, epochs)


def most_by_chance(num_draws: int, level: float = ALPHA) -> int:
    """Above this, a rate of `level` is refuted (1 in 10,000 by chance)."""
    return int(stats.binom.ppf(1 - 1e-4, num_draws, level))
