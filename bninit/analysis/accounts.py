"""What an experiment varied, what it held, and what became of its arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bninit.analysis.arms import ArmSummary, summarise_arms
from bninit.analysis.spread import bands
from bninit.config import StudyArm, arm_dict
from bninit.config.expansion import arm_value
from bninit.config.labels import value_label
from bninit.config.layers import key_path, overlap
from bninit.errors import StoreError
from bninit.store import Run

if TYPE_CHECKING:
    import pandas as pd

Runs = Mapping[tuple[str, int], Run]
"""Finished runs by arm id and seed."""

CURVES = ("val_accuracy", "train_loss")
"""Columns of ``metrics.csv`` that are drawn over the epochs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ArmAccount:
    """One arm of an experiment.

    Attributes:
        arm: The arm.
        summary: Of its finished runs; None while there are none.
        missing_seeds: Seeds without a finished run.
    """

    arm: StudyArm
    summary: ArmSummary | None
    missing_seeds: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ExperimentAccount:
    """One experiment.

    Attributes:
        name: Of the experiment.
        says: Its line in the study file; may be empty.
        arms: In the order of the file.
        seeds: Of the study.
        varied: Labels of the values of each axis, by dotted key.
        held: Value of each key that all arms share, by dotted key, resolved.
        curves: For each of `CURVES` the median, lowest and highest over the seeds, one row for each
            arm (column ``arm``: its id) and epoch, as `spread.bands` gives them.
        num_unreadable: Finished runs whose metrics are damaged; they are not in the curves.
    """

    name: str
    says: str
    arms: tuple[ArmAccount, ...]
    seeds: tuple[int, ...]
    varied: Mapping[str, tuple[str, ...]]
    held: Mapping[str, Any]
    curves: Mapping[str, pd.DataFrame]
    num_unreadable: int


def account(name: str, *, says: str, arms: Sequence[StudyArm], runs: Runs) -> ExperimentAccount:
    """Gives account of one experiment.

    Args:
        name: Of the experiment.
        says: Its line in the study file.
        arms: The study's arms; those of other experiments are passed over.
        runs: The study's finished runs.
    """
    mine = [arm for arm in arms if arm.experiment == name]
    seeds = mine[0].config.train.seeds
    axes = list(mine[0].values)
    curves, num_unreadable = _curves(mine, seeds, runs)
    return ExperimentAccount(
        name=name,
        says=says,
        arms=tuple(_arm(arm, seeds, runs) for arm in mine),
        seeds=seeds,
        varied={
            axis: tuple(dict.fromkeys(value_label(arm_value(arm, axis)) for arm in mine))
            for axis in axes
        },
        held=held_settings(mine, axes=axes),
        curves=curves,
        num_unreadable=num_unreadable,
    )


def held_settings(arms: Sequence[StudyArm], *, axes: Sequence[str] = ()) -> dict[str, Any]:
    """Settings that arms have in common, by dotted key.

    A key that plays no part in some of the arms (batch norm's momentum where there is no batch
    norm) counts as held when the others agree on it.

    Args:
        arms: At least one.
        axes: Dotted keys that are varied; what is in such a section is not held.
    """
    varied = [key_path(axis) for axis in axes]
    seen: dict[tuple[str, ...], list[Any]] = {}
    for arm in arms:
        for path, value in _leaves(arm_dict(arm.config), ()):
            seen.setdefault(path, []).append(value)
    return {
        ".".join(path): values[0]
        for path, values in seen.items()
        if all(value == values[0] for value in values)
        and path != ("schema_version",)
        and not any(overlap(path, axis) for axis in varied)
    }


def missing_runs(arms: Sequence[StudyArm], *, runs: Runs) -> dict[str, tuple[int, ...]]:
    """Seeds of which a run is missing, by the label of the arm with its experiment before it.

    Args:
        arms: The study's arms; equal ones are told of once.
        runs: The study's finished runs.
    """
    missing = {}
    for arm in {arm.id: arm for arm in reversed(arms)}.values():
        seeds = tuple(seed for seed in arm.config.train.seeds if (arm.id, seed) not in runs)
        if seeds:
            missing[f"{arm.experiment}: {arm.label}"] = seeds
    return dict(reversed(missing.items()))


def _arm(arm: StudyArm, seeds: Sequence[int], runs: Runs) -> ArmAccount:
    finished = [runs[arm.id, seed] for seed in seeds if (arm.id, seed) in runs]
    found = summarise_arms(_summary(run, arm) for run in finished)
    return ArmAccount(
        arm=arm,
        summary=found[0] if found else None,
        missing_seeds=tuple(seed for seed in seeds if (arm.id, seed) not in runs),
    )


def _summary(run: Run, arm: StudyArm) -> dict[str, Any]:
    """A run's summary with the study's targets, under the arm's label.

    Others may have trained the run, under another name and for other targets.
    """
    summary = run.summary or {}
    known = {each["target"]: each for each in summary["targets"]}
    asked = arm.config.targets
    if any(target not in known for target in asked):
        known = {each["target"]: each for each in run.targets(asked)}
    return {**summary, "name": arm.label, "targets": [known[target] for target in asked]}


def _curves(
    arms: Sequence[StudyArm], seeds: Sequence[int], runs: Runs
) -> tuple[dict[str, pd.DataFrame], int]:
    import pandas as pd

    tables = []
    num_unreadable = 0
    for arm in arms:
        for seed in seeds:
            run = runs.get((arm.id, seed))
            if run is None:
                continue
            try:
                table = run.metrics()
            except StoreError:
                num_unreadable += 1
                continue
            tables.append(table.assign(name=arm.label, arm=arm.id, seed=seed))
    if not tables:
        return {}, num_unreadable
    rows = pd.concat(tables, ignore_index=True)
    return {column: bands(rows, column) for column in CURVES}, num_unreadable


def _leaves(values: Mapping[str, Any], above: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    leaves: list[tuple[tuple[str, ...], Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            leaves += _leaves(value, (*above, key))
        else:
            leaves.append(((*above, key), value))
    return leaves
