"""What an experiment varied and held and what became of its arms; what runs were trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bninit.arms import ArmSummary, leaves, summarise_arms
from bninit.config import arm_dict
from bninit.config.overlay import key_path
from bninit.errors import StoreError
from bninit.fields import overlap
from bninit.show import words
from bninit.stats import bands
from bninit.store import Run
from bninit.verbs.study.expand import StudyArm

if TYPE_CHECKING:
    import pandas as pd

Runs = Mapping[tuple[str, int], Run]
"""Finished runs by arm id and seed."""

CURVES = ("val_accuracy", "train_loss")
"""Columns of ``metrics.csv`` that are drawn over the epochs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ExperimentSummary:
    """An experiment and its finished runs.

    Attributes:
        name: Of the experiment.
        says: Its line in the study file; may be empty.
        arms: In the order of the file.
        summaries: Of each arm with a finished run, by arm id.
        held: Value of each key that all arms share, by dotted key, resolved.
        curves: For each of `CURVES` the median, lowest and highest over the seeds, one row for each
            arm (column ``arm``: its id) and epoch, as `stats.bands` gives them; empty without runs.
        num_unreadable: Finished runs whose metrics are damaged; they are not in the curves.
    """

    name: str
    says: str
    arms: tuple[StudyArm, ...]
    summaries: Mapping[str, ArmSummary]
    held: Mapping[str, Any]
    curves: Mapping[str, pd.DataFrame]
    num_unreadable: int


def summarise_experiment(
    name: str, *, says: str, arms: Sequence[StudyArm], runs: Runs
) -> ExperimentSummary:
    """Summarise one experiment; arms and runs of others are passed over."""
    mine = [arm for arm in arms if arm.experiment == name]
    summaries: dict[str, ArmSummary] = {}
    tables: list[pd.DataFrame] = []
    num_unreadable = 0
    for arm in mine:
        keys = [(arm.id, seed) for seed in arm.config.train.seeds]
        finished = [runs[key] for key in keys if key in runs]
        for found in summarise_arms(_summary(run, arm) for run in finished):
            summaries[arm.id] = found
        for run in finished:
            try:
                tables.append(run.metrics().assign(name=arm.label, arm=arm.id, seed=run.seed))
            except StoreError:
                num_unreadable += 1
    return ExperimentSummary(
        name=name,
        says=says,
        arms=tuple(mine),
        summaries=summaries,
        held=held_settings(mine, axes=list(mine[0].values)),
        curves=_curves(tables),
        num_unreadable=num_unreadable,
    )


def held_settings(arms: Sequence[StudyArm], *, axes: Sequence[str] = ()) -> dict[str, Any]:
    """Settings that arms have in common, by dotted key.

    A key that plays no part in some of the arms (batch norm's momentum where there is no batch
    norm) counts as held when the others agree on it.
    """
    varied = [key_path(axis) for axis in axes]
    seen: dict[tuple[str, ...], list[Any]] = {}
    for arm in arms:
        for path, value in leaves(arm_dict(arm.config)):
            seen.setdefault(path, []).append(value)
    return {
        ".".join(path): values[0]
        for path, values in seen.items()
        if all(value == values[0] for value in values)
        and path != ("schema_version",)
        and not any(overlap(path, axis) for axis in varied)
    }


def missing_runs(arms: Sequence[StudyArm], *, runs: Runs) -> dict[str, tuple[int, ...]]:
    """Seeds of which a run is missing, by the label of the arm with its experiment before it."""
    first: dict[str, StudyArm] = {}
    for arm in arms:
        first.setdefault(arm.id, arm)
    missing = {
        f"{arm.experiment}: {arm.label}": tuple(
            seed for seed in arm.config.train.seeds if (arm.id, seed) not in runs
        )
        for arm in first.values()
    }
    return {label: seeds for label, seeds in missing.items() if seeds}


def _summary(run: Run, arm: StudyArm) -> dict[str, Any]:
    """A run's summary with the study's targets, under the arm's label.

    Others may have trained the run, under another name and for other targets.
    """
    summary = run.summary or {}
    known = {each["target"]: each for each in summary["targets"]}
    wanted = arm.config.targets
    if any(target not in known for target in wanted):
        known = {each["target"]: each for each in run.targets(wanted)}
    return {**summary, "name": arm.label, "targets": [known[target] for target in wanted]}


def _curves(tables: Sequence[pd.DataFrame]) -> dict[str, pd.DataFrame]:
    import pandas as pd

    if not tables:
        return {}
    rows = pd.concat(tables, ignore_index=True)
    return {column: bands(rows, column) for column in CURVES}


def provenance(runs: Runs, *, arms: Sequence[StudyArm]) -> dict[str, str]:
    """What a study's finished runs were trained with, by name; where they differ, every value."""
    data_of = {arm.id: arm.config.data.name for arm in arms}
    found: dict[str, dict[str, None]] = {}
    versions: dict[str, dict[str, None]] = {}
    days: list[str] = []
    num_unknown = 0
    for (arm, _), run in runs.items():
        try:
            environment = run.environment
        except StoreError:
            num_unknown += 1
            continue
        for name, version in (environment.get("versions") or {}).items():
            if version is not None:
                versions.setdefault(name, {})[str(version)] = None
        days += [str(environment["started"])[:10]] if environment.get("started") else []
        for name, value in _facts(environment, data=data_of[arm]).items():
            if value is not None:
                found.setdefault(name, {})[str(value)] = None
    summaries = [run.summary for run in runs.values() if run.summary is not None]
    num_diverged = sum(summary["status"] == "diverged" for summary in summaries)
    seconds = words.seconds(sum(summary["seconds"] or 0.0 for summary in summaries))
    return {
        "networks": f"{len(runs):,} trained, {num_diverged} of them diverged",
        "training time": f"{seconds}, evaluation not counted",
        "trained": " to ".join(dict.fromkeys([min(days), max(days)] if days else [])),
        **{name: "; ".join(values) for name, values in found.items()},
        "versions": ", ".join(f"{name} {' and '.join(each)}" for name, each in versions.items()),
        "not known": f"of {num_unknown} runs" if num_unknown else "",
    }


def _facts(environment: Mapping[str, Any], *, data: str) -> dict[str, Any]:
    """What one run was trained with; None for what is not known."""
    git, checksum = environment.get("git") or {}, environment.get("data_checksum")
    device, name = environment.get("device"), environment.get("device_name")
    changes = " with changes" if git.get("dirty") else ""
    return {
        "device": f"{device} ({name})" if device and name else device,
        "processor": environment.get("cpu"),
        "threads": environment.get("threads"),
        "operating system": environment.get("platform"),
        "code": f"git commit {git['commit']}{changes}" if git.get("commit") else None,
        f"data: {data}": f"SHA-256 {checksum}" if checksum else None,
    }
