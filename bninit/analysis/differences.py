"""Paired differences of arms from a baseline, in every metric of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bninit.analysis.comparison import FIGURES, SHARED_CLOCK, TIMES, Difference
from bninit.analysis.frame import Arm, column_of
from bninit.analysis.metric import Metric
from bninit.analysis.metrics import METRICS, horizon_of
from bninit.analysis.statistics import Estimate, compare_to_baseline, paired_differences

if TYPE_CHECKING:
    import pandas as pd

    from bninit.analysis.inference import Floats
    from bninit.config import Config


def differences_from(
    arms: Sequence[Arm],
    tables: Sequence[pd.DataFrame],
    labels: Sequence[str],
    *,
    baseline: int,
    targets: Sequence[float],
    alpha: float,
) -> list[Difference]:
    """Each arm but the baseline against it, in every metric, seed by seed.

    Args:
        arms: In any order.
        tables: The rows of `bninit.analysis.frame.runs_frame` of each arm.
        labels: Of the arms.
        baseline: The place of the arm that the others are held against; it has a seed in common
            with each.
        targets: Validation accuracies in (0, 1].
        alpha: Error of all intervals of one metric together.
    """
    others = [i for i in range(len(arms)) if i != baseline]
    wanted: list[tuple[str, float | None]] = [(name, None) for name in FIGURES]
    wanted += [(name, target) for target in targets for name in TIMES]
    columns = [column_of(name, target) for name, target in wanted]
    common = [sorted(set(arm.seeds) & set(arms[baseline].seeds)) for arm in arms]
    on_arm = [_values(table, columns, seeds=s) for table, s in zip(tables, common, strict=True)]
    on_baseline = [_values(tables[baseline], columns, seeds=seeds) for seeds in common]
    shares_clock = any((table["stack_size"] > 1).any() for table in tables)
    found = []
    for place, (name, target) in enumerate(wanted):
        metric = METRICS[name]
        pairs = [
            _Pairs.of(
                on_arm[i][:, place],
                on_baseline[i][:, place],
                metric=metric,
                configs=(arms[i].config, arms[baseline].config),
            )
            for i in others
        ]
        estimates = compare_to_baseline(
            [each.differences for each in pairs],
            alpha=alpha,
            resolution=max(metric.resolution(arm.config) for arm in arms),
        )
        shared = metric.unit == "s" and shares_clock
        for i, estimate, each in zip(others, estimates, pairs, strict=True):
            found.append(
                Difference(
                    arm=labels[i],
                    metric=metric,
                    target=target,
                    estimate=_without_interval(estimate) if shared else estimate,
                    is_median=estimate.method == "sign" and sum(each.num_missing) > 0,
                    seeds=tuple(common[i]),
                    num_missing=each.num_missing,
                    horizon=each.horizon if sum(each.num_missing) else None,
                    alpha=alpha,
                )
            )
    return found


@dataclass(frozen=True, eq=False)
class _Pairs:
    """One arm and the baseline in one metric.

    Attributes:
        differences: Arm minus baseline, (seed,); NaN where nobody has the figure.
        num_missing: Runs without it: of the arm, and of the baseline.
        horizon: What a run that never got there counts as; None where it ranks as the worst.
    """

    differences: Floats
    num_missing: tuple[int, int]
    horizon: float | None

    @classmethod
    def of(
        cls, left: Floats, right: Floats, *, metric: Metric, configs: tuple[Config, Config]
    ) -> _Pairs:
        ends = [end for config in configs if (end := horizon_of(metric, config)) is not None]
        horizon = min(ends, default=None)
        if horizon is not None:
            # What one side was not watched for is not known of the other, either.
            left, right = (np.where(side < horizon, side, np.nan) for side in (left, right))
        missing = (int(np.isnan(left).sum()), int(np.isnan(right).sum()))
        differences = paired_differences(
            left, right, horizon=horizon, worse=metric.worse if horizon is None else None
        )
        if sum(missing) == 2 * len(left):
            # Nobody got there: two equal horizons are no measured times.
            differences = np.full_like(differences, np.nan)
        return cls(differences, missing, horizon)


def _values(table: pd.DataFrame, columns: Sequence[str], *, seeds: Sequence[int]) -> Floats:
    """The figures of some seeds, (seed, column)."""
    place = {seed: row for row, seed in enumerate(table["seed"].tolist())}
    values = table[list(columns)].to_numpy(np.float64)
    return np.asarray(values[[place[seed] for seed in seeds]])


def _without_interval(estimate: Estimate) -> Estimate:
    return replace(estimate, low=None, high=None, p_value=None, method=SHARED_CLOCK)
