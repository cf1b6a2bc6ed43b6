"""Statistics of claims: from finished runs to one verdict per claim, decided together."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np

from bninit.fields import Plain
from bninit.metrics import METRICS, Measured, horizon_of
from bninit.stats import MeanInference, holm
from bninit.verbs.study import sentence as wording
from bninit.verbs.study.contrast import Contrast, Estimate, Side, Verdict
from bninit.verbs.study.expand import StudyArm
from bninit.verbs.study.schema import Claim
from bninit.verbs.study.sides import Sides, sides_of
from bninit.verbs.study.words import side_words


def seeds_needed(num_claims: int, *, alpha: float = 0.05, by_mean: bool = True) -> int:
    """Fewest seeds with which any of `num_claims` claims can be decided, either way.

    Below it, chance alone gives such agreement between seeds more often than the level allows:
    4^-n for means (`stats.MeanInference`), so 3 seeds for one claim and 5 for up to 25 at
    once, at 5 %; 2^-n for ranks and paired shares, so 6 and 10.
    """
    one_sided = alpha / num_claims / 2
    return max(2, math.ceil(math.log(1 / one_sided, 4 if by_mean else 2) - 1e-9))


def decide(
    claims: Sequence[Claim],
    arms: Sequence[StudyArm],
    runs: Mapping[tuple[str, int], Measured],
    *,
    alpha: float = 0.05,
) -> list[Verdict]:
    """Decide all claims of a study together.

    A seed of which a run is missing is left out of a claim, and counted as lost. A diverged run
    counts as never having reached its target, and ranks last in every other metric.
    """
    return decide_contrasts([contrast_of(claim, arms, runs) for claim in claims], alpha=alpha)


def decide_contrasts(contrasts: Sequence[Contrast], *, alpha: float = 0.05) -> list[Verdict]:
    """Decide all contrasts of a study, with the chance of any false verdict at most alpha."""
    estimates = [Estimate(contrast) for contrast in contrasts]
    leanings = [estimate.leaning() for estimate in estimates]
    decisions = holm([p_value for _, p_value in leanings], alpha=alpha)
    verdicts = []
    for contrast, estimate, (leaning, p_value), decision in zip(
        contrasts, estimates, leanings, decisions, strict=True
    ):
        is_decided = p_value <= decision.alpha
        is_equality = contrast.expect == "equal"
        error = decision.alpha * (2 if is_equality and is_decided and leaning == "supported" else 1)
        low, high = estimate.interval(error)
        if is_equality and estimate.equality_open and not is_decided:
            low, high = None, None
        inference = estimate.inference
        needed = None
        if inference is not None and 2 * inference.floor > decision.alpha:
            by_mean = isinstance(inference, MeanInference)
            needed = seeds_needed(len(contrasts), alpha=alpha, by_mean=by_mean)
        verdict = Verdict(
            **vars(contrast),
            outcome=leaning if is_decided else "undecided",
            effect=estimate.effect,
            low=low,
            high=high,
            level=1 - error,
            n=estimate.n,
            p_value=p_value,
            p_adjusted=decision.adjusted,
            method=inference.method if inference else "none",
            reason=""
            if is_decided
            else wording.reason(estimate, num_claims=len(contrasts), seeds_needed=needed),
            notes=tuple(wording.notes(estimate)),
        )
        verdicts.append(verdict)
    return verdicts


def contrast_of(
    claim: Claim, arms: Sequence[StudyArm], runs: Mapping[tuple[str, int], Measured]
) -> Contrast:
    """Measure the runs that a claim is about; arguments as in `decide`."""
    metric = METRICS[claim.metric]
    sides = sides_of(claim, arms)
    right_arms = sides.right if isinstance(sides.right, tuple) else ()
    needed = (*sides.left, *right_arms)
    config = needed[0].config
    seeds = [s for s in config.train.seeds if all((arm.id, s) in runs for arm in needed)]

    def measure(named: Mapping[str, Plain], side: Sequence[StudyArm]) -> Side:
        cells = _cells(side, sides)
        values = [
            [[metric.value(runs[arm.id, s], claim.target or 0.0) for arm in cell] for cell in cells]
            for s in seeds
        ]
        shape = (len(seeds), len(cells), len(cells[0]))
        return Side(
            says=side_words(named),
            arms=tuple(arm for cell in cells for arm in cell),
            values=np.asarray(values, dtype=np.float64).reshape(shape),
        )

    left = measure(claim.left, sides.left)
    right = measure(claim.right, right_arms) if isinstance(claim.right, dict) else None
    horizon = last_seen = None
    if metric.censored:
        horizon = horizon_of(metric, config)
        if horizon is None:
            # No config bounds the time: the latest one seen, as the earliest possible.
            seen = np.concatenate([side.values.ravel() for side in (left, right) if side])
            horizon = last_seen = float(np.nanmax(seen)) if np.isfinite(seen).any() else 1.0
        else:
            last_seen = horizon * config.train.epochs / (config.train.epochs + 1)
    return Contrast(
        claim=claim,
        metric=metric,
        left=left,
        right=right,
        seeds=tuple(seeds),
        num_lost=len(config.train.seeds) - len(seeds),
        axes=sides.axes,
        levels=sides.levels,
        scores=sides.scores,
        resolution=metric.resolution(config),
        horizon=horizon,
        last_seen=last_seen,
        one_clock=metric.clock
        and any(_stack_size(runs[arm.id, seed]) > 1 for arm in needed for seed in seeds),
    )


def _cells(side: Sequence[StudyArm], sides: Sides) -> list[list[StudyArm]]:
    """The arms of a side by what the claim leaves open, each cell in the order of the levels.

    Cells are in an order that does not depend on the side, so that they pair.
    """
    cells: dict[str, list[StudyArm]] = {}
    for arm in side:
        cells.setdefault(json.dumps(sides.cell(arm)), []).append(arm)
    if sides.over is None:
        return [[arm] for cell in sorted(cells) for arm in cells[cell]]
    places = {json.dumps(level): index for index, level in enumerate(sides.levels)}
    for cell in cells.values():
        cell.sort(key=lambda arm: places[json.dumps(sides.level(arm))])
    return [cells[cell] for cell in sorted(cells)]


def _stack_size(run: Measured) -> int:
    return 1 if run.summary is None else int(run.summary["stack_size"])
