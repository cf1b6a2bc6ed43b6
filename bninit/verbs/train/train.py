"""`bninit.train`: one network for each seed of a config."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bninit.arms import resolve_config
from bninit.config import Config, Override
from bninit.engines.driver import train_jobs
from bninit.engines.interface import LOCAL, EngineChoice, Job, NoProgress, Progress, open_engine
from bninit.show.charts import draw_arm
from bninit.store import Run, run_folder


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
    """Train one network for each seed of a config; finished ones are not trained again.

    Args:
        config: A config, a dict with the keys of a config file, or a file.
        overrides: ``key=value``, as after ``--set``.
        runs_dir: The folder of all runs.
        data_dir: Folder searched first for data sets.
        fresh: Whether to discard existing results and retrain.
        engine: Which engine trains.
        watcher: Shows progress; none by default.

    Returns:
        One finished run for each seed, in the order of the seeds. A network that diverged is a
        result: its run has the status ``diverged``.

    Raises:
        ConfigError: All faults of the config at once.
        DataError: The data set is missing or damaged.
        DeviceError: The device does not exist.
        StoreError: The folder cannot be written.
        TrainingError: A network does not fit into memory, or its workers were lost.
    """
    resolved = resolve_config(config, overrides=overrides)
    home = Path(runs_dir)
    progress = watcher or NoProgress()
    jobs = [Job(resolved, seed) for seed in resolved.train.seeds]
    folder = None if data_dir is None else Path(data_dir)
    try:
        with open_engine(engine, device=resolved.train.device, data_dir=folder) as opened:
            train_jobs(jobs, engine=opened, runs_dir=home, progress=progress, fresh=fresh)
    finally:
        progress.close()
    draw_arm(home, resolved)
    return [Run(run_folder(home, resolved, seed)) for seed in resolved.train.seeds]
