"""From a study's runs to verdicts on its claims."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bninit.analysis.metrics import METRICS, Measured, Metric, horizon_of
from bninit.analysis.questions import Question
from bninit.analysis.sentences import Wording
from bninit.analysis.verdicts import Verdict, decide_claims
from bninit.config import Claim, StudyArm, matches
from bninit.config.layers import key_path, overlap, settings_of

Floats = npt.NDArray[np.float64]

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
        values: (seed, arm), NaN where the run has none; seeds as in `ClaimResult.seeds`.
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
            verdict=verdict,
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
    candidates = [arm for arm in arms if arm.experiment == claim.experiment]
    candidates = [arm for arm in candidates if matches(arm, claim.given)]
    axis = claim.spread or claim.trend
    left = _cells([arm for arm in candidates if matches(arm, claim.left)], claim.left, axis)
    right = (
        _cells([arm for arm in candidates if matches(arm, claim.right)], claim.right, axis)
        if isinstance(claim.right, dict)
        else None
    )
    needed = [arm for cells in (left, right or {}) for cell in cells.values() for arm in cell]
    wanted = needed[0].config.train.seeds
    seeds = tuple(seed for seed in wanted if all((arm.id, seed) in runs for arm in needed))

    def values(cells: Mapping[str, list[StudyArm]]) -> Floats:
        """(seed, cell, level)."""
        rows = [
            [
                [metric.value(runs[arm.id, seed], claim.target or 0.0) for arm in cell]
                for cell in cells.values()
            ]
            for seed in seeds
        ]
        shape = (len(seeds), len(cells), len(next(iter(cells.values()))))
        return np.asarray(rows, dtype=np.float64).reshape(shape)

    left_values = values(left)
    right_values = values({key: right[key] for key in left}) if right is not None else None
    config = needed[0].config
    horizon = horizon_of(metric, config)
    if metric.censored and horizon is None:
        horizon = _latest(left_values, right_values)
    question = Question(
        name=claim.id,
        expect=_expectation(claim),
        left=left_values if axis else left_values.reshape(len(seeds), -1),
        right=_right_of_question(claim, right_values, has_levels=bool(axis)),
        measure="trend" if claim.trend else "spread" if claim.spread else "mean",
        scores=_scores(next(iter(left.values())), claim.trend) if claim.trend else None,
        margin=claim.signed_margin,
        resolution=metric.resolution(config),
        horizon=horizon,
        worse=None if metric.censored else metric.worse,
        share=metric.name in ("diverged", "reached") and not axis,
        num_lost=len(wanted) - len(seeds),
        wording=_wording(claim, metric),
    )
    return (
        question,
        seeds,
        _side(claim.left, left, left_values),
        (
            None
            if right is None or right_values is None
            else _side(claim.right, right, right_values)
        ),
    )


def _cells(
    arms: Sequence[StudyArm], named: Mapping[str, Any], axis: str | None
) -> dict[str, list[StudyArm]]:
    """The arms of a side by what the claim leaves open, each cell along the claim's axis."""
    paths = [setting.path for setting in settings_of(named)]
    cells: dict[str, list[StudyArm]] = {}
    for arm in arms:
        is_open = {
            key: value
            for key, value in arm.values.items()
            if key != axis and not any(overlap(key_path(key), path) for path in paths)
        }
        key = json.dumps(is_open, sort_keys=True, default=str)
        cells.setdefault(key, []).append(arm)
    return cells


def _expectation(claim: Claim) -> Any:
    return {"increasing": "greater", "decreasing": "less"}.get(claim.expect, claim.expect)


def _right_of_question(claim: Claim, values: Floats | None, *, has_levels: bool) -> Any:
    if values is not None:
        return values if has_levels else values.reshape(len(values), -1)
    return 0.0 if claim.right is None else claim.right


def _latest(*sides: Floats | None) -> float:
    """For times that no config bounds: the latest one seen, as the earliest possible."""
    seen = np.concatenate([side.ravel() for side in sides if side is not None])
    return float(np.nanmax(seen)) if np.isfinite(seen).any() else 1.0


def _scores(levels: Sequence[StudyArm], axis: str) -> Floats:
    """Positions of a trend's levels: the numbers themselves, or the order of the file."""
    numbers = [arm.values[axis] for arm in levels]
    if all(isinstance(number, int | float) for number in numbers):
        return np.asarray(numbers, dtype=np.float64)
    return np.arange(len(levels), dtype=np.float64)


def _side(named: Any, cells: Mapping[str, list[StudyArm]], values: Floats) -> Side:
    return Side(
        says=_says(named),
        arms=tuple(arm.label for cell in cells.values() for arm in cell),
        values=values.reshape(len(values), -1),
    )


def _says(named: Mapping[str, Any]) -> str:
    parts = []
    for key, value in named.items():
        plain = isinstance(value, str | bool | int | float)
        known = _WORDS.get((key, value)) if plain else None
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
        unit="points" if metric.unit == "%" else metric.unit,
        scale=metric.scale,
        num_decimals=metric.num_decimals,
        lower="earlier" if earlier else "lower",
        higher="later" if earlier else "higher",
        over=f"values of {claim.spread.rpartition('.')[2]}" if claim.spread else "levels",
        step=f"unit of {claim.trend.rpartition('.')[2]}" if claim.trend else "step",
    )
