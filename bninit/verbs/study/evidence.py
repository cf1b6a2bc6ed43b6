"""Where runs come from: what they were trained with, all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bninit.arms import ArmSummary, summarise_arms
from bninit.config import arm_dict
from bninit.config.identity import value_label
from bninit.config.overlay import key_path, overlap
from bninit.errors import StoreError
from bninit.metrics import horizon_of
from bninit.stats import Floats, ReachedCurve, bands, reached_curve, subtract
from bninit.store import Run
from bninit.verbs.study.decide import ClaimResult, Measure, Question, Side, Wording, gather
from bninit.verbs.study.expand import StudyArm, arm_value, sides_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What some runs were trained with. Where they differ, every value is there.

    Attributes:
        versions: Of each package, by name.
        commits: Git commits, "with changes" after those with uncommitted ones.
        devices: As torch names them, with the name of the hardware.
        cpus: Names of the processors.
        platforms: Operating systems.
        threads: Threads that torch used.
        checksums: SHA-256 of the data sets, by name.
        first: When the earliest training began, ISO 8601 in UTC; None if unknown.
        last: When the latest one began.
        num_runs: Runs.
        num_diverged: Those that diverged.
        num_unknown: Runs whose environment cannot be read.
        train_seconds: Time of all training steps, each stack counted once.
    """

    versions: Mapping[str, tuple[str, ...]]
    commits: tuple[str, ...]
    devices: tuple[str, ...]
    cpus: tuple[str, ...]
    platforms: tuple[str, ...]
    threads: tuple[str, ...]
    checksums: Mapping[str, tuple[str, ...]]
    first: str | None
    last: str | None
    num_runs: int
    num_diverged: int
    num_unknown: int
    train_seconds: float


def provenance(runs: Mapping[tuple[str, int], Run], *, arms: Sequence[StudyArm]) -> Provenance:
    """Puts together what a study's finished runs were trained with.

    Args:
        runs: By arm id and seed.
        arms: The study's arms.
    """
    known: list[tuple[str, Mapping[str, Any]]] = []
    for (arm, _), run in runs.items():
        try:
            known.append((arm, run.environment))
        except StoreError:
            continue
    found = [environment for _, environment in known]
    data_of = {arm.id: arm.config.data.name for arm in arms}
    names = dict.fromkeys(name for each in found for name in each.get("versions") or {})
    data_sets: dict[str, list[Any]] = {}
    for arm, environment in known:
        data_sets.setdefault(data_of[arm], []).append(environment.get("data_checksum"))
    started = sorted(str(each["started"]) for each in found if each.get("started"))
    summaries = [run.summary for run in runs.values() if run.summary is not None]
    return Provenance(
        versions={
            name: versions
            for name in names
            if (versions := _distinct((each.get("versions") or {}).get(name) for each in found))
        },
        commits=_distinct(_commit(each.get("git")) for each in found),
        devices=_distinct(_device(each) for each in found),
        cpus=_distinct(each.get("cpu") for each in found),
        platforms=_distinct(each.get("platform") for each in found),
        threads=_distinct(each.get("threads") for each in found),
        checksums={name: _distinct(values) for name, values in data_sets.items()},
        first=started[0] if started else None,
        last=started[-1] if started else None,
        num_runs=len(runs),
        num_diverged=sum(summary["status"] == "diverged" for summary in summaries),
        num_unknown=len(runs) - len(known),
        train_seconds=sum(summary["seconds"] or 0.0 for summary in summaries),
    )


def _distinct(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(value) for value in values if value is not None))


def _commit(git: Any) -> str | None:
    if not isinstance(git, Mapping) or not git.get("commit"):
        return None
    return f"{git['commit']}{' with changes' if git.get('dirty') else ''}"


def _device(environment: Mapping[str, Any]) -> str | None:
    device, name = environment.get("device"), environment.get("device_name")
    return f"{device} ({name})" if device and name else device


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


Kind = Literal["pairs", "tally", "times", "levels", "number"]
"""What there is to see: two values for each seed, yes or no for each seed, how many got there by
when, the levels of an axis, or values beside a number."""

SHARES = ("diverged", "reached")
"""Metrics that are 1 or 0: they happen to a run, or they do not."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Level:
    """One level of the axis that a spread or a trend is taken over.

    Attributes:
        label: Its value on the axis.
        values: Mean over the open axes for each seed, (seed,); NaN where a run has no value.
        mean: Over the seeds that have a value; None if none has.
        num_without: Seeds with NaN.
    """

    label: str
    values: Floats
    mean: float | None
    num_without: int


@dataclass(frozen=True, kw_only=True, eq=False)
class SidePortrait:
    """One side of a claim.

    Attributes:
        says: In words.
        arms: Its arms.
        values: For each seed what the verdict took of it, (seed,): the value, mean over the
            side's arms; the spread; or the slope. A run that never reached its target counts as
            one epoch after the last; infinite where a run diverged and ranks as the worst.
        mean: Over the finite values; None if there are none.
        num_runs: Runs.
        num_without: Runs without a value: diverged, or never there.
        levels: Of the claim's axis, in its order; empty without one.
        curve: Share of runs that have reached the target by each time, for such metrics.
    """

    says: str
    arms: tuple[StudyArm, ...]
    values: Floats
    mean: float | None
    num_runs: int
    num_without: int
    levels: tuple[Level, ...]
    curve: ReachedCurve | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Portrait:
    """A claim as its picture shows it, in the metric's own unit.

    Attributes:
        kind: What there is to see.
        left: The left side.
        right: The right side; None for a trend, or against a number.
        differences: Left minus right for each seed, (seed,): their mean (or median) is the
            verdict's effect. Left itself for a trend, left minus the number for a number.
        last_seen: Time until which the runs were watched, for times to a target.
        averaged: What the claim leaves open, by dotted key: labels of the values that it is
            averaged over.
    """

    kind: Kind
    left: SidePortrait
    right: SidePortrait | None
    differences: Floats
    last_seen: float | None
    averaged: Mapping[str, tuple[str, ...]]


def portrait(found: ClaimResult, *, arms: Sequence[StudyArm]) -> Portrait:
    """Lays out what a verdict rests on.

    Args:
        found: What the runs say of the claim.
        arms: The study's arms.
    """
    claim = found.claim
    sides = sides_of(claim, arms)
    mine = {arm.label: arm for arm in arms if arm.experiment == claim.experiment}
    horizon, last_seen = _times(found, mine[found.left.arms[0]])

    def side(given: Side) -> SidePortrait:
        its_arms = tuple(mine[label] for label in given.arms)
        num_levels = max(1, len(sides.levels))
        shape = (len(given.values), len(its_arms) // num_levels, num_levels)
        cube = given.values.reshape(shape)
        values = _per_seed(found, cube, scores=sides.scores, horizon=horizon)
        curve = None
        if last_seen is not None and sides.over is None and given.values.size:
            curve = reached_curve(given.values.ravel(), last_seen=last_seen)
        return SidePortrait(
            says=given.says,
            arms=its_arms,
            values=values,
            mean=_mean(values),
            num_runs=given.values.size,
            num_without=int(np.isnan(given.values).sum()),
            levels=tuple(
                _level(value_label(level), cube[:, :, index].mean(axis=1))
                for index, level in enumerate(sides.levels)
                if len(cube)
            ),
            curve=curve,
        )

    left = side(found.left)
    right = side(found.right) if found.right is not None else None
    if right is not None:
        differences = subtract(left.values, right.values)
    else:
        differences = left.values - (sides.right if isinstance(sides.right, float) else 0.0)
    return Portrait(
        kind=_kind(found),
        left=left,
        right=right,
        differences=differences,
        last_seen=last_seen,
        averaged=_averaged([*left.arms, *(right.arms if right else ())], axes=sides.axes),
    )


def _kind(found: ClaimResult) -> Kind:
    if found.claim.shape in ("spread", "trend"):
        return "levels"
    if found.metric.censored:
        return "times"
    if found.metric.name in SHARES and len(found.left.arms) == 1:
        return "tally"
    return "pairs" if found.right is not None else "number"


def _times(found: ClaimResult, arm: StudyArm) -> tuple[float | None, float | None]:
    """What a target that was not reached counts as, and until when runs were watched."""
    if not found.metric.censored:
        return None, None
    horizon = horizon_of(found.metric, arm.config)
    if horizon is not None:
        epochs = arm.config.train.epochs
        return horizon, horizon * epochs / (epochs + 1)
    sides = [found.left.values, *([found.right.values] if found.right else [])]
    seen = np.concatenate([values.ravel() for values in sides])
    latest = float(np.nanmax(seen)) if np.isfinite(seen).any() else 1.0
    return latest, latest


def _per_seed(
    found: ClaimResult, cube: Floats, *, scores: Sequence[float] | None, horizon: float | None
) -> Floats:
    """One number per seed, (seed,), as the verdict takes it: `questions.gather` against 0.

    Args:
        found: The verdict.
        cube: (seed, cell, level), one level without an axis.
        scores: Positions of a trend's levels.
        horizon: What a target that was not reached counts as.
    """
    if not len(cube):
        return np.empty(0)
    shape = found.claim.shape
    measure: Measure = shape if shape in ("spread", "trend") else "mean"
    question = Question(
        name=found.claim.id,
        expect="less",
        left=cube[..., 0] if measure == "mean" else cube,
        right=0.0,
        measure=measure,
        scores=scores,
        horizon=horizon,
        worse=None if found.metric.censored else found.metric.worse,
        wording=Wording(left="", quantity=""),
    )
    return gather(question).differences


def _level(label: str, values: Floats) -> Level:
    num_without = int(np.isnan(values).sum())
    return Level(label=label, values=values, mean=_mean(values), num_without=num_without)


def _mean(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def _averaged(arms: Sequence[StudyArm], *, axes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Labels of the values on the axes that a claim leaves open."""
    labels = {
        axis: tuple(dict.fromkeys(value_label(arm.values[axis]) for arm in arms)) for axis in axes
    }
    return {axis: found for axis, found in labels.items() if len(found) > 1}
