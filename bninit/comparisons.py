"""Comparisons: train what is missing of some arms, compare them, and keep what came out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bninit.analysis.asked import Asked, AskedArm, asked_arms, find_baseline
from bninit.analysis.compare import compare_arms, seeds_text
from bninit.analysis.comparison import Comparison
from bninit.analysis.frame import Arm, epochs_of
from bninit.config import Override
from bninit.engines.choice import LOCAL, EngineChoice, open_engine
from bninit.errors import UserError
from bninit.store import Run, run_folder
from bninit.store.findings import joined_name, keep_findings

if TYPE_CHECKING:
    import pandas as pd

    from bninit.engines.watcher import Watcher

COMPARISONS = "compare"
"""Folder in the runs folder for what comparisons find."""


def compare(
    arms: Sequence[Asked],
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
    watcher: Watcher | None = None,
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
    asked = asked_arms(arms, runs_dir=folder, overrides=overrides, seeds=seeds)
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
        warnings = _left_out(asked)
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
    from bninit.views.compare_pictures import pictures
    from bninit.views.compare_report import csv_text, json_text, markdown_text, runs_csv_text

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


def _targets(asked: Sequence[AskedArm], targets: Sequence[float] | None) -> tuple[float, ...]:
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


def _read(asked: Sequence[AskedArm]) -> pd.DataFrame:
    """The metrics of all finished runs; those that cannot be read count as missing."""
    epochs, _ = epochs_of([run for arm in asked for run in arm.finished.values()])
    for arm in asked:
        arm.drop_unread(epochs)
    return epochs


def _train(
    asked: Sequence[AskedArm],
    *,
    device: str | None,
    data_dir: str | os.PathLike[str] | None,
    engine: EngineChoice,
    watcher: Watcher | None,
) -> bool:
    """Train what is missing, all of it at once, so that arms that can share stacks do."""
    wanted: dict[tuple[Path, str], list[tuple[AskedArm, int]]] = {}
    for arm in asked:
        for seed in arm.missing:
            place = (arm.home, device or arm.config.train.device)
            wanted.setdefault(place, []).append((arm, seed))
    if not wanted:
        return False
    # torch is imported where something is trained, and not to read what is there.
    from bninit.api import draw_arm
    from bninit.engines.driver import train_jobs
    from bninit.engines.plan import Job
    from bninit.engines.watcher import Silent

    watcher = watcher or Silent()
    try:
        for (home, place_name), missing in wanted.items():
            with open_engine(
                engine,
                device=place_name,
                data_dir=None if data_dir is None else Path(data_dir),
            ) as opened:
                jobs = [Job(arm.config, seed) for arm, seed in missing]
                train_jobs(jobs, engine=opened, runs_dir=home, watcher=watcher)
    finally:
        watcher.close()
    for arm in asked:
        for seed in arm.missing:
            arm.finished[seed] = Run(run_folder(arm.home, arm.config, seed))
    trained = {arm.id: arm for missing in wanted.values() for arm, _ in missing}
    for arm in trained.values():
        draw_arm(arm.home, arm.config)
    return True


def _left_out(asked: Sequence[AskedArm]) -> list[str]:
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


def _called(arm: AskedArm) -> str:
    return f"{arm.config.name}-{arm.id}"
