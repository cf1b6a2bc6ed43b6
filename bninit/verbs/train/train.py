"""What a user asks for, from the command line or from Python: one function for each wish."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bninit.config import Config, Override, config_from_dict, load_config
from bninit.engines.driver import train_jobs
from bninit.engines.interface import LOCAL, EngineChoice, Job, NoProgress, Progress, open_engine
from bninit.store import Run, arm_folder, load_runs, run_folder
from bninit.store.names import CURVES


def resolve(
    config: Config | Mapping[str, object] | str | os.PathLike[str],
    *,
    overrides: Sequence[str | Override] = (),
) -> Config:
    """A config from whatever a user has in hand.

    Args:
        config: A config, a dict with the keys of a config file, or a file.
        overrides: ``key=value``, as after ``--set``.

    Raises:
        ConfigError: All faults of the config at once.
    """
    if isinstance(config, Config):
        if not overrides:
            return config
        config = config.model_dump(mode="json", exclude_none=True)
    if isinstance(config, Mapping):
        return config_from_dict(config, overrides=overrides)
    return load_config(config, overrides=overrides)


def train(
    config: Config | Mapping[str, object] | str | os.PathLike[str],
    *,
    overrides: Sequence[str | Override] = (),
    runs_dir: str | os.PathLike[str] = "runs",
    data_dir: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    engine: EngineChoice = LOCAL,
    watcher: Progress | None = None,
) -> list[Run]:
    """Trains one network for each seed of a config; finished ones are not trained again.

    Args:
        config: A config, a dict with the keys of a config file, or a file.
        overrides: ``key=value``, as after ``--set``.
        runs_dir: The folder of all runs.
        data_dir: Folder searched first for data sets.
        fresh: Whether to start over what is there.
        engine: Which engine trains.
        watcher: Told what happens; shows nothing by default.

    Returns:
        One finished run for each seed, in the order of the seeds. A network that diverged is a
        result: its run has the status ``diverged``.

    Raises:
        ConfigError: All faults of the config at once.
        DataError: The data set is missing or damaged.
        DeviceError: The device is not there.
        StoreError: The folder cannot be written.
        TrainingError: A network does not fit into memory, or its workers were lost.
    """
    asked = resolve(config, overrides=overrides)
    folder = Path(runs_dir)
    watcher = watcher or NoProgress()
    try:
        with open_engine(
            engine,
            device=asked.train.device,
            data_dir=None if data_dir is None else Path(data_dir),
        ) as opened:
            jobs = [Job(asked, seed) for seed in asked.train.seeds]
            train_jobs(jobs, engine=opened, runs_dir=folder, progress=watcher, fresh=fresh)
    finally:
        watcher.close()
    draw_arm(folder, asked)
    return [Run(run_folder(folder, asked, seed)) for seed in asked.train.seeds]


def draw_arm(runs_dir: Path, config: Config) -> Path:
    """Draws the curves of all runs of an arm into its folder; returns the picture's path."""
    from bninit.show.old_charts import assign_styles, draw_curves

    folder = arm_folder(runs_dir, config)
    path = folder / CURVES
    placement = config.model.norm.placement
    draw_curves(
        load_runs(folder),
        targets=config.targets,
        title=describe(config),
        path=path,
        styles=assign_styles([config.name], placements={config.name: placement}),
    )
    return path


def describe(config: Config) -> str:
    """A config in a line of words: "bn-pre: 3 hidden layers of 256 relu units, ..."."""
    hidden = config.model.hidden
    widths = sorted(set(hidden))
    layers = "no hidden layer"
    if hidden:
        of = str(widths[0]) if len(widths) == 1 else f"{widths[0]} to {widths[-1]}"
        plural = "" if len(hidden) == 1 else "s"
        layers = f"{len(hidden)} hidden layer{plural} of {of} {config.model.activation} units"
    norm = {
        "none": "no batch norm",
        "pre": "batch norm before the activation",
        "post": "batch norm after the activation",
    }[config.model.norm.placement]
    return f"{config.name}: {layers}, {norm}, {config.model.init.scheme}"
