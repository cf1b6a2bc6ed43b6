"""Arms side by side: the figures of each, and paired differences from a baseline.

A run that never reached a target counts in no mean. Of times to a target there are the share of
runs that reached it by each epoch (Kaplan and Meier's curve), a median only where more than half
of the runs got there, and differences of times cut at a common horizon (see `survival`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bninit.analysis.comparison import (
    FIGURES,
    SHARED_CLOCK,
    TIMES,
    ArmAtTarget,
    ComparedArm,
    Comparison,
    Difference,
)
from bninit.analysis.differences import differences_from
from bninit.analysis.differing import (
    confounding,
    data_limits,
    pairing_limits,
    timing_limits,
    varied_settings,
)
from bninit.analysis.frame import Arm, Setting, column_of, epochs_of, labels_of, runs_frame
from bninit.analysis.machines import machines_of
from bninit.analysis.spread import median_of_censored, spread
from bninit.analysis.survival import reached_curve
from bninit.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def compare_arms(
    arms: Sequence[Arm],
    *,
    baseline: str | None = None,
    targets: Sequence[float] = (),
    alpha: float = 0.05,
    warnings: Sequence[str] = (),
    epochs: pd.DataFrame | None = None,
) -> Comparison:
    """Compare arms from their finished runs.

    Args:
        arms: At least two different ones, each with at least one run.
        baseline: Id of an arm; the first one by default.
        targets: Validation accuracies in (0, 1].
        alpha: Error of all intervals of one metric together.
        warnings: What is known of these runs already; stands first among the warnings.
        epochs: The metrics of all these runs, if they are at hand.

    Raises:
        UserError: Fewer than two arms, an arm without a common seed with the baseline, or a run
            whose metrics are missing or damaged.
    """
    if len(arms) < 2:
        raise UserError("one arm cannot be compared", hint="name at least two different arms")
    if epochs is None:
        epochs, problems = epochs_of([run for arm in arms for run in arm.runs])
        if problems:
            raise problems[0]
    labels = labels_of(arms)
    at = 0 if baseline is None else [arm.id for arm in arms].index(baseline)
    targets = tuple(sorted(set(targets)))
    runs = runs_frame(
        arms,
        metrics=(*FIGURES, *TIMES, "diverged", "num_parameters"),
        targets=targets,
        epochs=epochs,
    )
    for column, values in machines_of([run for arm in arms for run in arm.runs]).items():
        runs[column] = values
    by_label = dict(list(runs.groupby("label", sort=False)))
    tables = [by_label[label] for label in labels]
    _check_seeds(arms, labels, at)
    varied = varied_settings(arms)
    differences = differences_from(arms, tables, labels, baseline=at, targets=targets, alpha=alpha)
    compared = [
        _compared(arm, label, table, place, varied=varied, targets=targets)
        for place, (arm, label, table) in enumerate(zip(arms, labels, tables, strict=True))
    ]
    return Comparison(
        baseline=labels[at],
        targets=targets,
        varied=tuple(varied),
        arms=tuple(compared),
        differences=tuple(differences),
        warnings=(
            *warnings,
            *_left_out(arms, labels, at),
            *confounding(varied, labels=labels, baseline=at),
            *pairing_limits(varied, labels=labels, baseline=at),
            *data_limits(runs),
            *timing_limits(runs),
        ),
        notes=tuple(_notes(compared, differences)),
        level=1 - alpha,
        runs=runs,
        epochs=epochs.assign(
            name=epochs["arm"].map({a.id: n for a, n in zip(arms, labels, strict=True)})
        ),
    )


def _check_seeds(arms: Sequence[Arm], labels: Sequence[str], at: int) -> None:
    for arm, label in zip(arms, labels, strict=True):
        if not set(arm.seeds) & set(arms[at].seeds):
            raise UserError(
                f"{label} ({seeds_text(arm.seeds)}) has no seed in common with the baseline "
                f"{labels[at]} ({seeds_text(arms[at].seeds)})",
                hint="differences are taken seed by seed: train common ones with --seeds",
            )


def _left_out(arms: Sequence[Arm], labels: Sequence[str], at: int) -> list[str]:
    found = []
    for arm, label in zip(arms, labels, strict=True):
        for one, other, name, than in (
            (arm, arms[at], label, labels[at]),
            (arms[at], arm, labels[at], label),
        ):
            extra = sorted(set(one.seeds) - set(other.seeds))
            if extra:
                found.append(
                    f"Left out of the difference between {label} and {labels[at]}: "
                    f"{seeds_text(extra)} of {name}, which {than} does not have."
                )
    return found


def _compared(
    arm: Arm,
    label: str,
    table: pd.DataFrame,
    place: int,
    *,
    varied: dict[str, tuple[Setting | None, ...]],
    targets: Sequence[float],
) -> ComparedArm:
    return ComparedArm(
        label=label,
        name=arm.name,
        id=arm.id,
        placement=arm.config.model.norm.placement,
        settings={key: values[place] for key, values in varied.items()},
        seeds=arm.seeds,
        num_diverged=int(table["diverged"].sum()),
        num_parameters=int(table["num_parameters"].iloc[0]),
        figures={name: spread(table[name].tolist()) for name in FIGURES},
        targets=tuple(_at_target(arm, table, target) for target in targets),
    )


def _at_target(arm: Arm, table: pd.DataFrame, target: float) -> ArmAtTarget:
    times = {name: table[column_of(name, target)].to_numpy(np.float64) for name in TIMES}
    num_reached = int((~np.isnan(times[TIMES[0]])).sum())
    everyone = num_reached == len(table)
    watched = arm.config.train.epochs
    return ArmAtTarget(
        target=target,
        num_runs=len(table),
        num_reached=num_reached,
        watched_epochs=watched,
        medians={
            name: median_of_censored([None if math.isnan(t) else t for t in values.tolist()])
            for name, values in times.items()
        },
        means={
            name: spread(values.tolist()) if everyone else None for name, values in times.items()
        },
        curve=reached_curve(times[TIMES[0]], last_seen=watched),
    )


def _notes(arms: Sequence[ComparedArm], differences: Sequence[Difference]) -> list[str]:
    found = ["Differences are paired: a network minus the baseline's network with the same seed."]
    m = len(arms) - 1
    level = f"{100 * (1 - differences[0].alpha):g} %"
    if m > 1:
        found.append(
            f"The intervals of one metric hold together with {level} (Bonferroni: each one with "
            f"{100 * (1 - differences[0].alpha / m):.4g} %); there are {m} of them."
        )
    else:
        found.append(f"Each interval holds with {level}.")
    if any(d.metric.censored and d.horizon is not None for d in differences):
        found.append(
            "In differences of epochs and steps, a run that never reached a target counts as one "
            "that would have reached it an epoch after its last: the least that it can have been."
        )
    if any(d.is_median and d.estimate.method != SHARED_CLOCK for d in differences):
        found.append(
            "Where a run has no figure because it diverged (or, for seconds, never got there), "
            "it ranks as the worst, and the difference is the median with its sign-test interval."
        )
    if any(d.estimate.method == SHARED_CLOCK for d in differences):
        found.append(
            "Networks that train in one stack share its clock, so their seconds are not "
            "independent measurements: differences of seconds come without an interval."
        )
    if any(d.estimate.n == 1 for d in differences):
        found.append("One common seed gives a difference, and no interval.")
    return found


def ranges(seeds: Sequence[int]) -> str:
    """Write seeds as briefly as they can be given: ``0-4, 9``."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def seeds_text(seeds: Sequence[int]) -> str:
    """Write which seeds they are: ``seed 3``, ``seeds 0-4, 9``."""
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {ranges(seeds)}"
