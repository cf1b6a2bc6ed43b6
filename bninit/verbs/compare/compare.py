"""What a comparison of arms holds: plain values, for files, tables and pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from bninit.arms import (
    TIMES,
    Arm,
    ArmRequest,
    ArmSummary,
    Named,
    Setting,
    TargetSummary,
    column_of,
    confounders,
    data_limits,
    epochs_of,
    find_baseline,
    labels_of,
    machines_of,
    pairing_limits,
    resolve_arms,
    runs_frame,
    timing_limits,
    varied_settings,
)
from bninit.config import Override
from bninit.engines.interface import LOCAL, EngineChoice, open_engine
from bninit.errors import UserError
from bninit.metrics import METRICS, Metric, horizon_of
from bninit.stats import (
    Estimate,
    compare_to_baseline,
    paired_differences,
    spread,
)
from bninit.store import Run, run_folder
from bninit.store.output import joined_name, keep_findings

if TYPE_CHECKING:
    import pandas as pd

    from bninit.config import Config
    from bninit.engines.interface import Progress
    from bninit.stats import Floats

FIGURES = (
    "test_accuracy",
    "generalization_gap",
    "best_val_loss",
    "final_val_loss",
    "seconds_per_epoch",
)
"""Metrics with a mean for each arm."""

SHARED_CLOCK = "shared clock"
"""Method of a difference of seconds that has no interval; see `Comparison.notes`."""

Reading = Literal["better", "worse", "undecided", ""]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One arm minus the baseline in one metric, seed by seed.

    Attributes:
        arm: Label of the arm.
        metric: What was measured.
        target: For metrics that take one.
        estimate: The difference; its interval and those of the other arms in this metric hold
            together.
        is_median: Whether the effect is the median of the differences, not their mean.
        seeds: Common seeds.
        num_missing: Runs without the figure on these seeds (diverged, or never got there): of
            the arm, and of the baseline.
        horizon: What a run that never got there counts as; None where it ranks as the worst.
        alpha: Error of all intervals of this metric together.
    """

    arm: str
    metric: Metric
    target: float | None
    estimate: Estimate
    is_median: bool
    seeds: tuple[int, ...]
    num_missing: tuple[int, int]
    horizon: float | None
    alpha: float

    @property
    def open_end(self) -> Literal["low", "high"] | None:
        """The end beyond which the true difference may lie.

        The effect and its interval are those of times cut at the horizon. Where runs of one side
        alone never got there, their true times are later, and so the true difference lies further
        to that side.
        """
        of_arm, of_baseline = self.num_missing
        if self.horizon is None or (of_arm > 0) == (of_baseline > 0):
            return None
        return "high" if of_arm else "low"

    @property
    def reading(self) -> Reading:
        """What the interval says: it holds zero (undecided), or lies on one side of it."""
        estimate = self.estimate
        if estimate.p_value is None or self.metric.better is None:
            return ""
        if estimate.p_value > self.alpha:
            return "undecided"
        known = (estimate.effect, estimate.low, estimate.high)
        at = next((number for number in known if number is not None), None)
        if at is None:
            # Every difference is infinite: one side has no figure at all.
            of_arm, of_baseline = self.num_missing
            return "worse" if of_arm > of_baseline else "better"
        if at == 0 or self.open_end == ("high" if at < 0 else "low"):
            return "undecided"
        return "better" if (at < 0) == (self.metric.better == "low") else "worse"


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Arms side by side.

    Attributes:
        baseline: Label of the arm that the others are held against.
        targets: Validation accuracies, rising.
        varied: Keys of the settings that differ between the arms, in the order of a config.
        arms: In the order asked for.
        differences: By metric, target and arm.
        warnings: What a reader should know before believing a difference.
        notes: How the numbers were made.
        level: Confidence with which all intervals of one metric hold together.
        runs: One row per run, see `bninit.arms.runs_frame`.
        epochs: One row per run and epoch, with the arm's label as ``name``.
    """

    baseline: str
    targets: tuple[float, ...]
    varied: tuple[str, ...]
    arms: tuple[ArmSummary, ...]
    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    level: float
    runs: pd.DataFrame
    epochs: pd.DataFrame

    def differences_in(self, metric: str, *, target: float | None = None) -> list[Difference]:
        """The differences in one metric, arm by arm."""
        return [d for d in self.differences if d.metric.name == metric and d.target == target]


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
        tables: The rows of `bninit.arms.runs_frame` of each arm.
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
            *confounders(varied, labels=labels, baseline=at),
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
) -> ArmSummary:
    return ArmSummary(
        label=label,
        name=arm.name,
        id=arm.id,
        placement=arm.config.model.norm.placement,
        settings={key: values[place] for key, values in varied.items()},
        seeds=arm.seeds,
        num_diverged=int(table["diverged"].sum()),
        num_parameters=int(table["num_parameters"].iloc[0]),
        figures={name: spread(table[name].tolist()) for name in FIGURES},
        targets=tuple(
            TargetSummary(
                target=target,
                times={name: table[column_of(name, target)].to_numpy(np.float64) for name in TIMES},
                watched_epochs=arm.config.train.epochs,
            )
            for target in targets
        ),
    )


def _notes(arms: Sequence[ArmSummary], differences: Sequence[Difference]) -> list[str]:
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


COMPARISONS = "compare"
"""Folder in the runs folder for what comparisons find."""


def compare(
    arms: Sequence[Named],
    *,
    baseline: str | None = None,
    overrides: Sequence[str | Override] = (),
    seeds: Sequence[int] | None = None,
    targets: Sequence[float] | None = None,
    train_missing: bool = True,
    device: str | None = None,
    runs_dir: str | os.PathLike[str] = "runs",
    data_dir: str | os.PathLike[str] | None = None,
    engine: EngineChoice = LOCAL,
    watcher: Progress | None = None,
) -> Comparison:
    """Compare arms, training what is not finished of them.

    Runs that are finished under any name are used as they are.

    Args:
        arms: Configs (or their dicts or files), run or arm folders, arm names or ids, mixed.
        baseline: The arm that the others are held against, named as in `arms` or by its name or
            id; the first one by default.
        overrides: ``key=value``, as after ``--set``, for each config among the arms.
        seeds: Of every arm; by default those of a config, and those that there are of a run's.
        targets: Validation accuracies in (0, 1]; by default those of all the arms' configs.
        train_missing: Whether to train what is missing, and not to do with what is there.
        device: Where to train; by default where each config says.
        runs_dir: The folder of all runs.
        data_dir: Folder searched first for data sets.
        engine: Which engine trains.
        watcher: Told what happens; shows nothing by default.

    Raises:
        ConfigError: All faults of a config at once.
        DataError: The data set is missing or damaged.
        DeviceError: The device is not there.
        StoreError: Files cannot be read or written.
        TrainingError: A network does not fit into memory, or its workers were lost.
        UserError: An arm that is not there or is named twice, fewer than two arms, none of an
            arm's runs finished, or an arm without a common seed with the baseline.
    """
    folder = Path(runs_dir)
    asked = resolve_arms(arms, runs_dir=folder, overrides=overrides, seeds=seeds)
    if len(asked) < 2:
        raise UserError(
            f"{asked[0].texts[0]} is one arm, and cannot be compared"
            if asked
            else "no arm is named",
            hint="name at least two: config files, run folders, or arm ids",
        )
    base = find_baseline(baseline, asked, overrides=overrides)
    chosen = _targets(asked, targets)
    epochs = _read(asked)
    warnings = []
    if train_missing:
        trained = _train(asked, device=device, data_dir=data_dir, engine=engine, watcher=watcher)
        if trained:
            epochs = _read(asked)
    else:
        warnings = _left_out_comparisons(asked)
    return compare_arms(
        [
            Arm(
                name=arm.config.name,
                id=arm.id,
                config=arm.config,
                runs=tuple(arm.finished[seed] for seed in sorted(arm.finished)),
            )
            for arm in asked
        ],
        baseline=base,
        targets=chosen,
        warnings=warnings,
        epochs=epochs,
    )


def keep_comparison(
    comparison: Comparison,
    *,
    runs_dir: str | os.PathLike[str] = "runs",
    name: str | None = None,
) -> Path:
    """Write a comparison's report, tables and pictures; what was there before is replaced.

    Args:
        comparison: What to keep.
        runs_dir: The folder of all runs.
        name: Of the folder; made of the arms' names by default.

    Returns:
        The folder ``<runs_dir>/compare/<name>``.

    Raises:
        StoreError: It cannot be written.
        UserError: The name cannot name a folder.
    """
    from bninit.verbs.compare.pictures import pictures
    from bninit.verbs.compare.tables import csv_text, json_text, markdown_text, runs_csv_text

    drawn = pictures(comparison)
    return keep_findings(
        {
            **drawn,
            "comparison.csv": csv_text(comparison),
            "runs.csv": runs_csv_text(comparison),
            "comparison.json": json_text(comparison),
            "report.md": markdown_text(comparison, pictures=tuple(drawn)),
        },
        runs_dir=runs_dir,
        kind=COMPARISONS,
        name=default_name(comparison) if name is None else name,
    )


def default_name(comparison: Comparison) -> str:
    """A name made of the arms', the same for the same arms and baseline."""
    labels = [arm.label for arm in comparison.arms]
    against = comparison.baseline != labels[0]
    return joined_name(
        labels,
        ids=[*(arm.id for arm in comparison.arms), comparison.baseline],
        suffix=f"-against-{comparison.baseline}" if against else "",
    )


def _targets(asked: Sequence[ArmRequest], targets: Sequence[float] | None) -> tuple[float, ...]:
    if targets is None:
        return tuple(sorted({target for arm in asked for target in arm.config.targets}))
    for target in targets:
        if not 0 < target <= 1:
            percent = f": write {target / 100:g}" if 1 < target <= 100 else ""
            raise UserError(
                f"{target:g} is no target",
                where="--targets",
                hint=f"validation accuracies are fractions above 0 and up to 1{percent}",
            )
    return tuple(sorted(set(targets)))


def _read(asked: Sequence[ArmRequest]) -> pd.DataFrame:
    """The metrics of all finished runs; those that cannot be read count as missing."""
    epochs, _ = epochs_of([run for arm in asked for run in arm.finished.values()])
    for arm in asked:
        arm.drop_unread(epochs)
    return epochs


def _train(
    asked: Sequence[ArmRequest],
    *,
    device: str | None,
    data_dir: str | os.PathLike[str] | None,
    engine: EngineChoice,
    watcher: Progress | None,
) -> bool:
    """Train what is missing, all of it at once, so that arms that can share stacks do."""
    wanted: dict[tuple[Path, str], list[tuple[ArmRequest, int]]] = {}
    for arm in asked:
        for seed in arm.missing:
            place = (arm.home, device or arm.config.train.device)
            wanted.setdefault(place, []).append((arm, seed))
    if not wanted:
        return False
    # torch is imported where something is trained, and not to read what is there.
    from bninit.engines.driver import train_jobs
    from bninit.engines.interface import Job, NoProgress
    from bninit.verbs.train.train import draw_arm

    watcher = watcher or NoProgress()
    try:
        for (home, place_name), missing in wanted.items():
            with open_engine(
                engine,
                device=place_name,
                data_dir=None if data_dir is None else Path(data_dir),
            ) as opened:
                jobs = [Job(arm.config, seed) for arm, seed in missing]
                train_jobs(jobs, engine=opened, runs_dir=home, progress=watcher)
    finally:
        watcher.close()
    for arm in asked:
        for seed in arm.missing:
            arm.finished[seed] = Run(run_folder(arm.home, arm.config, seed))
    trained = {arm.id: arm for missing in wanted.values() for arm, _ in missing}
    for arm in trained.values():
        draw_arm(arm.home, arm.config)
    return True


def _left_out_comparisons(asked: Sequence[ArmRequest]) -> list[str]:
    """Warn of what is missing and not to be trained.

    Raises:
        UserError: Nothing is there of an arm.
    """
    nothing = [arm for arm in asked if not arm.finished]
    if nothing:
        raise UserError(
            "nothing is finished of " + ", ".join(_called(arm) for arm in nothing),
            where=", ".join(dict.fromkeys(str(arm.home) for arm in nothing)),
            hint="without --no-train what is missing is trained",
        )
    return [
        f"Left out, as they are not finished: {seeds_text(arm.missing)} of {_called(arm)}; "
        "without --no-train they are trained."
        for arm in asked
        if arm.missing
    ]


def _called(arm: ArmRequest) -> str:
    return f"{arm.config.name}-{arm.id}"
