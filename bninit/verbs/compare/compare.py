"""`bninit.compare`: arms side by side, their paired differences, and what else differs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bninit.arms import (
    TIMES,
    Arm,
    ArmRequest,
    ArmSummary,
    Named,
    TargetSummary,
    column_of,
    epochs_of,
    find_baseline,
    labels_of,
    resolve_arms,
    runs_frame,
)
from bninit.config import Config, Override
from bninit.engines.interface import LOCAL, EngineChoice, Job, NoProgress, Progress, open_engine
from bninit.errors import UserError
from bninit.metrics import METRICS, Metric, horizon_of
from bninit.show import words
from bninit.stats import Estimate, Floats, compare_to_baseline, median, paired_differences, spread
from bninit.store import Run, run_folder
from bninit.verbs.compare.confounders import (
    confounders,
    data_limits,
    machines_of,
    pairing_limits,
    timing_limits,
    varied_settings,
)

if TYPE_CHECKING:
    import pandas as pd

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

_NO_INTERVAL: dict[str, Any] = {"low": None, "high": None, "p_value": None, "method": SHARED_CLOCK}

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
        num_missing: Runs without the figure on these seeds (diverged, or never reached the target):
            of the arm, and of the baseline.
        horizon: What a run that never reached the target counts as; None where it ranks as worst.
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
        alone never reached the target, their true times are later, and so the true difference lies
        further to that side.
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
        baseline: Label of the arm that the others are compared with.
        targets: Validation accuracies, rising.
        varied: Keys of the settings that differ between the arms, in the order of a config.
        arms: In the order named.
        configs: Of the arms, in the same order.
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
    configs: tuple[Config, ...]
    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    level: float
    runs: pd.DataFrame
    epochs: pd.DataFrame


def compare_arms(
    arms: Sequence[Arm],
    *,
    baseline: str | None = None,
    targets: Sequence[float] = (),
    alpha: float = 0.05,
    warnings: Sequence[str] = (),
    epochs: pd.DataFrame | None = None,
) -> Comparison:
    """Compare arms from their finished runs."""
    if len(arms) < 2:
        raise UserError("one arm cannot be compared", hint="name at least two different arms")
    all_runs = [run for arm in arms for run in arm.runs]
    if epochs is None:
        epochs, problems = epochs_of(all_runs)
        if problems:
            raise problems[0]
    labels = labels_of(arms)
    at = 0 if baseline is None else [arm.id for arm in arms].index(baseline)
    left_out = _left_out(arms, labels, at)
    targets = tuple(sorted(set(targets)))
    metrics = (*FIGURES, *TIMES, "diverged", "num_parameters")
    runs = runs_frame(arms, metrics=metrics, targets=targets)
    for column, values in machines_of(all_runs).items():
        runs[column] = values
    by_label = dict(list(runs.groupby("label", sort=False)))
    tables = [by_label[label] for label in labels]
    varied = varied_settings(arms)
    differences = _differences(arms, tables, labels, baseline=at, targets=targets, alpha=alpha)
    name_of = {arm.id: label for arm, label in zip(arms, labels, strict=True)}
    return Comparison(
        baseline=labels[at],
        targets=targets,
        varied=tuple(varied),
        arms=tuple(
            ArmSummary(
                label=label,
                name=arm.name,
                id=arm.id,
                placement=arm.config.model.norm.placement,
                settings={key: values[place] for key, values in varied.items()},
                seeds=arm.seeds,
                num_diverged=int(table["diverged"].sum()),
                num_parameters=int(table["num_parameters"].iloc[0]),
                figures={name: spread(table[name].tolist()) for name in FIGURES},
                median_seconds_per_epoch=median(table["seconds_per_epoch"].tolist()),
                targets=tuple(
                    TargetSummary(
                        target=target,
                        times={t: table[column_of(t, target)].to_numpy(np.float64) for t in TIMES},
                        watched_epochs=arm.config.train.epochs,
                    )
                    for target in targets
                ),
            )
            for place, (arm, label, table) in enumerate(zip(arms, labels, tables, strict=True))
        ),
        configs=tuple(arm.config for arm in arms),
        differences=tuple(differences),
        warnings=(
            *warnings,
            *left_out,
            *confounders(varied, labels=labels, baseline=at),
            *pairing_limits(varied, labels=labels, baseline=at),
            *data_limits(runs),
            *timing_limits(runs),
        ),
        notes=tuple(_notes(differences)),
        level=1 - alpha,
        runs=runs,
        epochs=epochs.assign(name=epochs["arm"].map(name_of)),
    )


def _left_out(arms: Sequence[Arm], labels: Sequence[str], at: int) -> list[str]:
    """Warn of seeds that only one of an arm and the baseline has."""
    found = []
    base, base_label = arms[at], labels[at]
    for arm, label in zip(arms, labels, strict=True):
        if not set(arm.seeds) & set(base.seeds):
            raise UserError(
                f"{label} ({words.seeds(arm.seeds)}) has no seed in common with the baseline "
                f"{base_label} ({words.seeds(base.seeds)})",
                hint="differences are taken seed by seed: train common ones with --seeds",
            )
        sides = ((arm, base, label, base_label), (base, arm, base_label, label))
        for one, other, name, than in sides:
            extra = sorted(set(one.seeds) - set(other.seeds))
            if extra:
                found.append(
                    f"Left out of the difference between {label} and {base_label}: "
                    f"{words.seeds(extra)} of {name}, which {than} does not have."
                )
    return found


def _differences(
    arms: Sequence[Arm],
    tables: Sequence[pd.DataFrame],
    labels: Sequence[str],
    *,
    baseline: int,
    targets: Sequence[float],
    alpha: float,
) -> list[Difference]:
    """Each arm but the baseline minus the baseline, in every metric, seed by seed.

    The tables have the rows of `bninit.arms.runs_frame` of each arm.
    """
    others = [i for i in range(len(arms)) if i != baseline]
    wanted: list[tuple[str, float | None]] = [(name, None) for name in FIGURES]
    wanted += [(name, target) for target in targets for name in TIMES]
    columns = [column_of(name, target) for name, target in wanted]
    common = [sorted(set(arm.seeds) & set(arms[baseline].seeds)) for arm in arms]
    by_seed = [table.set_index("seed")[columns].astype(np.float64) for table in tables]
    shares_clock = any((table["stack_size"] > 1).any() for table in tables)
    found = []
    for (name, target), column in zip(wanted, columns, strict=True):
        metric = METRICS[name]
        pairs = [
            _paired(
                *(by_seed[side].loc[common[i], column].to_numpy() for side in (i, baseline)),
                metric=metric,
                configs=(arms[i].config, arms[baseline].config),
            )
            for i in others
        ]
        estimates = compare_to_baseline(
            [differences for differences, *_ in pairs],
            alpha=alpha,
            resolution=max(metric.resolution(arm.config) for arm in arms),
        )
        no_interval = _NO_INTERVAL if metric.clock and shares_clock else {}
        for i, estimate, (_, missing, horizon) in zip(others, estimates, pairs, strict=True):
            found.append(
                Difference(
                    arm=labels[i],
                    metric=metric,
                    target=target,
                    estimate=replace(estimate, **no_interval),
                    is_median=estimate.method == "sign" and sum(missing) > 0,
                    seeds=tuple(common[i]),
                    num_missing=missing,
                    horizon=horizon if sum(missing) else None,
                    alpha=alpha,
                )
            )
    return found


def _paired(
    left: Floats, right: Floats, *, metric: Metric, configs: tuple[Config, Config]
) -> tuple[Floats, tuple[int, int], float | None]:
    """Differences, runs without the figure on either side, and what those count as."""
    ends = [end for config in configs if (end := horizon_of(metric, config)) is not None]
    horizon = min(ends, default=None)
    if horizon is not None:
        # What one side was not watched for is not known of the other, either.
        left, right = (np.where(side < horizon, side, np.nan) for side in (left, right))
    missing = (int(np.isnan(left).sum()), int(np.isnan(right).sum()))
    worse = metric.worse if horizon is None else None
    differences = paired_differences(left, right, horizon=horizon, worse=worse)
    if sum(missing) == 2 * len(left):
        # Two equal horizons are no measured times.
        differences = np.full_like(differences, np.nan)
    return differences, missing, horizon


def _notes(differences: Sequence[Difference]) -> list[str]:
    found = ["Differences are paired: a network minus the baseline's network with the same seed."]
    alpha, m = differences[0].alpha, len({each.arm for each in differences})
    level = f"{100 * (1 - alpha):g} %"
    if m > 1:
        found.append(
            f"The {m} intervals of one metric hold together with {level} (Bonferroni: each one "
            f"with {100 * (1 - alpha / m):.4g} %)."
        )
    else:
        found.append(f"Each interval holds with {level}.")
    if any(d.metric.censored and d.horizon is not None for d in differences):
        found.append(
            "In differences of epochs and steps, a run that never reached a target counts as if it "
            "had reached it one epoch after its last, the earliest possible."
        )
    if any(d.is_median and d.estimate.method != SHARED_CLOCK for d in differences):
        found.append(
            "A run without a figure because it diverged (or, for seconds, never reached the "
            "target) ranks as the worst; the difference is then the median with its sign-test "
            "interval."
        )
    if any(d.estimate.method == SHARED_CLOCK for d in differences):
        found.append(
            "Networks that train in one stack share its clock, so their seconds are not "
            "independent measurements: differences of seconds come without an interval."
        )
    if any(d.estimate.n == 1 for d in differences):
        found.append("One common seed gives a difference, and no interval.")
    return found


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
        baseline: The arm that the others are compared with, named as in `arms` or by its name or
            id; the first one by default.
        overrides: ``key=value``, as after ``--set``, for each config among the arms.
        seeds: Of every arm; by default those of a config, and all finished ones of runs.
        targets: Validation accuracies in (0, 1]; by default those of all the arms' configs.
        train_missing: Whether to train what is missing, rather than to compare what is finished.
        device: Where to train; by default where each config says.
        runs_dir: The folder of all runs.
        data_dir: Folder searched first for data sets.
        engine: Which engine trains.
        watcher: Shows progress; none by default.

    Raises:
        ConfigError: All faults of a config at once.
        DataError: The data set is missing or damaged.
        DeviceError: The device does not exist.
        StoreError: Files cannot be read or written.
        TrainingError: A network does not fit into memory, or its workers were lost.
        UserError: An unknown arm or one named twice, fewer than two arms, none of an arm's runs
            finished, or an arm without a common seed with the baseline.
    """
    requests = resolve_arms(arms, runs_dir=Path(runs_dir), overrides=overrides, seeds=seeds)
    if len(requests) < 2:
        only = f"{requests[0].texts[0]} is one arm, and cannot be compared" if requests else ""
        raise UserError(
            only or "no arm is named",
            hint="name at least two: config files, run folders, or arm ids",
        )
    base = find_baseline(baseline, requests, overrides=overrides)
    chosen = _targets(requests, targets)
    epochs = _read(requests)
    warnings = []
    if not train_missing:
        warnings = _unfinished(requests)
    elif any(request.missing for request in requests):
        _train(requests, device=device, data_dir=data_dir, engine=engine, watcher=watcher)
        epochs = _read(requests)
    found = [
        Arm(
            name=request.config.name,
            id=request.id,
            config=request.config,
            runs=tuple(request.finished[seed] for seed in sorted(request.finished)),
        )
        for request in requests
    ]
    return compare_arms(found, baseline=base, targets=chosen, warnings=warnings, epochs=epochs)


def _targets(requests: Sequence[ArmRequest], targets: Sequence[float] | None) -> tuple[float, ...]:
    if targets is None:
        return tuple(sorted({target for each in requests for target in each.config.targets}))
    for target in targets:
        if not 0 < target <= 1:
            percent = f": write {target / 100:g}" if 1 < target <= 100 else ""
            raise UserError(
                f"invalid target: {target:g}",
                where="--targets",
                hint=f"validation accuracies are fractions above 0 and up to 1{percent}",
            )
    return tuple(sorted(set(targets)))


def _read(requests: Sequence[ArmRequest]) -> pd.DataFrame:
    """The metrics of all finished runs; those that cannot be read count as missing."""
    epochs, _ = epochs_of([run for each in requests for run in each.finished.values()])
    read = set(zip(epochs["arm"].tolist(), epochs["seed"].tolist(), strict=True))
    for each in requests:
        each.finished = {s: run for s, run in each.finished.items() if (each.id, s) in read}
    return epochs


def _train(
    requests: Sequence[ArmRequest],
    *,
    device: str | None,
    data_dir: str | os.PathLike[str] | None,
    engine: EngineChoice,
    watcher: Progress | None,
) -> None:
    """Train what is missing, all of it at once, so that arms that can share stacks do."""
    # torch is imported where something is trained, and not to read finished runs.
    from bninit.engines.driver import train_jobs
    from bninit.show.charts import draw_arm

    wanted: dict[tuple[Path, str], list[Job]] = {}
    incomplete = [each for each in requests if each.missing]
    for each in incomplete:
        jobs = wanted.setdefault((each.home, device or each.config.train.device), [])
        jobs += [Job(each.config, seed) for seed in each.missing]
    progress = watcher or NoProgress()
    folder = None if data_dir is None else Path(data_dir)
    try:
        for (home, place), jobs in wanted.items():
            with open_engine(engine, device=place, data_dir=folder) as opened:
                train_jobs(jobs, engine=opened, runs_dir=home, progress=progress)
    finally:
        progress.close()
    for each in incomplete:
        for seed in each.missing:
            each.finished[seed] = Run(run_folder(each.home, each.config, seed))
        draw_arm(each.home, each.config)


def _unfinished(requests: Sequence[ArmRequest]) -> list[str]:
    """Warn of what is missing and not to be trained."""
    nothing = [each for each in requests if not each.finished]
    if nothing:
        raise UserError(
            "nothing is finished of "
            + ", ".join(f"{each.config.name}-{each.id}" for each in nothing),
            where=", ".join(dict.fromkeys(str(each.home) for each in nothing)),
            hint="without --no-train what is missing is trained",
        )
    return [
        f"Left out, as they are not finished: {words.seeds(each.missing)} of "
        f"{each.config.name}-{each.id}; without --no-train they are trained."
        for each in requests
        if each.missing
    ]
