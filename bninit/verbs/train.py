"""`bninit.train`: one network for each seed of a config; and what ``bninit train`` prints."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.text import Text

from bninit.config import Config, Override, config_to_yaml
from bninit.engines.interface import LOCAL, EngineChoice, Job, NoProgress, Progress, open_engine
from bninit.nets.architecture import parameter_rows
from bninit.nets.initialisers import SCHEMES
from bninit.show import words
from bninit.show.tables import Column, Table, parameter_table, remarks, stacked, times_table
from bninit.store.names import CURVES, arm_folder, run_folder

if TYPE_CHECKING:
    from bninit.arms import ArmSummary
    from bninit.store import Run

SHARE_REMARK = "Times are training time divided by the number of networks trained together."
MEDIAN_REMARK = "Epochs, steps and time to a target: the median over the seeds."
CENSORED_REMARK = (
    "A seed that did not reach it counts as later than all others; where half of them or more "
    "did not, there is no median."
)
LEFT_OUT_REMARK = "Test accuracy: without the diverged runs."


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
    # torch and numpy are imported where something is trained, and not for a plan.
    from bninit.arms import resolve_config
    from bninit.engines.driver import train_jobs
    from bninit.show.charts import draw_arm
    from bninit.store import Run

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


def final_table(arms: Sequence[ArmSummary]) -> RenderableType:
    """Test accuracy of each arm, and how soon it reached each target."""
    results = Table(
        [
            Column(key="arm", title="arm", style="bold"),
            Column(key="seeds", title="seeds", numeric=True),
            Column(key="accuracy", title="test accuracy"),
            Column(key="diverged", title="diverged", write=_diverged),
            Column(key="epoch", title="an epoch", write=words.seconds, numeric=True),
        ],
        [
            {
                "arm": arm.label,
                "seeds": arm.num_runs,
                "accuracy": _test_accuracy(arm),
                "diverged": arm,
                "epoch": arm.median_seconds_per_epoch,
            }
            for arm in arms
        ],
    )
    targets = [each for arm in arms for each in arm.targets]
    several = [each for each in targets if each.num_runs > 1]
    said = {
        LEFT_OUT_REMARK: any(arm.num_diverged for arm in arms),
        MEDIAN_REMARK: bool(several),
        CENSORED_REMARK: any(each.num_reached < each.num_runs for each in several),
        SHARE_REMARK: any(arm.num_runs > 1 for arm in arms),
    }
    below = remarks([remark for remark, holds in said.items() if holds])
    return stacked([results, *([times_table(arms)] if targets else []), *below])


def _test_accuracy(arm: ArmSummary) -> str:
    accuracy = arm.figures["test_accuracy"]
    if accuracy is None or accuracy.n == arm.num_runs:
        return words.percent_with_sd(accuracy)
    return words.percent_with_sd(accuracy, extra=f"{accuracy.n} of {arm.num_runs} seeds")


def _diverged(arm: ArmSummary) -> Text:
    style = "yellow" if arm.num_diverged else ""
    return Text(words.diverged(arm.num_diverged, arm.num_runs), style=style)


def print_outcome(
    config: Config, runs: Sequence[Run], *, runs_dir: Path, console: Console | None = None
) -> None:
    """Print the table of a training's arm, and where the files are.

    Args:
        config: Resolved.
        runs: Its finished runs.
        runs_dir: The folder of all runs.
        console: Where to; standard output by default.
    """
    from bninit.arms import summarise_arms

    console = console or Console()
    console.print(final_table(summarise_arms(run.summary for run in runs if run.summary)))
    folder = arm_folder(runs_dir, config)
    console.print(Text(f"\ncurves: {folder / CURVES}\nruns:   {folder}"), soft_wrap=True)


def print_plan(config: Config, *, runs_dir: Path, console: Console | None = None) -> None:
    """Print the resolved config, the parameter table, the iterations and the folders.

    Args:
        config: Resolved.
        runs_dir: The folder of all runs.
        console: Where to; standard output by default.
    """
    console = console or Console()
    train, data, scheme = config.train, config.data, SCHEMES[config.model.init.scheme]
    start = [f"weights start as {scheme.name}: {scheme.law} ({scheme.source})"]
    if scheme.note:
        start.append(f"  {scheme.note}")
    whole, rest = divmod(data.num_train, train.batch_size)
    steps = [
        f"{data.num_train:,} training images in batches of {train.batch_size}: "
        f"{words.plural(config.iterations_per_epoch, 'iteration')} an epoch, "
        f"{config.iterations_per_epoch * train.epochs:,} in {words.plural(train.epochs, 'epoch')}"
    ]
    if rest:
        done = "left out of each epoch" if train.last_batch == "drop" else "a batch of their own"
        steps.append(
            f"  {data.num_train:,} = {whole} x {train.batch_size} + {rest}: the {rest} are {done}"
        )
    networks = words.plural(len(train.seeds), "network")
    places = [f"{networks}, one for each seed, would be written to"]
    places += [f"  {run_folder(runs_dir, config, seed)}" for seed in train.seeds[:5]]
    if len(train.seeds) > 5:
        places.append(f"  and {len(train.seeds) - 5} more")

    def say(*lines: str) -> None:
        console.print(Text("\n".join(lines)), soft_wrap=True)

    say("# the config, every key resolved", config_to_yaml(config))
    console.print(parameter_table(parameter_rows(config.architecture)))
    say("", *start, "", *steps, *places)
