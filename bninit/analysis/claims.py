"""From a study's runs to verdicts on its claims."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bninit.analysis.metric import Metric
from bninit.analysis.metrics import METRICS, horizon_of
from bninit.analysis.questions import Expect, Measure, Question
from bninit.analysis.readings import Measured
from bninit.analysis.sentences import Wording
from bninit.analysis.verdicts import Verdict, decide_claims
from bninit.config import Claim, Sides, StudyArm, arm_value, sides_of

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
