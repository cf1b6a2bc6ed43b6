"""What ``bninit train`` prints: the table at the end, and the plan of a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.text import Text

from bninit.config import Config, config_to_yaml
from bninit.nets.architecture import parameter_rows
from bninit.nets.initialisers import SCHEMES
from bninit.show import words
from bninit.show.tables import Column, Table, parameter_table, remarks, stacked
from bninit.store.names import CURVES, arm_folder, run_folder

if TYPE_CHECKING:
    from bninit.arms import ArmSummary, TargetSummary
    from bninit.store import Run

SHARE_REMARK = "Times are training time divided by the number of networks trained together."
MEDIAN_REMARK = "Epochs, steps and time to a target: the median over the seeds."
CENSORED_REMARK = (
    "A seed that did not reach it counts as later than all others; where half of them or more "
    "did not, there is no median."
)
LEFT_OUT_REMARK = "Test accuracy: without the diverged runs."


def final_table(arms: Sequence[ArmSummary]) -> RenderableType:
    """Test accuracy of each arm, and how soon it reached each target.

    Args:
        arms: As `bninit.arms.summarise_arms` gives them.
    """
    arm_column = Column(key="arm", title="arm", style="bold")
    results = Table(
        [
            arm_column,
            Column(key="seeds", title="seeds", numeric=True),
            Column(key="accuracy", title="test accuracy"),
            Column(key="diverged", title="diverged", write=_marked),
            Column(key="epoch", title="an epoch", write=words.seconds, numeric=True),
        ],
        [
            {
                "arm": arm.label,
                "seeds": arm.num_runs,
                "accuracy": _test_accuracy(arm),
                "diverged": (arm.num_diverged > 0, _diverged(arm)),
                "epoch": arm.median_seconds_per_epoch,
            }
            for arm in arms
        ],
    )
    reached = [(each, arm) for arm in arms for each in arm.targets]
    reached.sort(key=lambda pair: pair[0].target)
    times = Table(
        [
            Column(key="target", title="validation\naccuracy", write=words.target_percent),
            arm_column,
            Column(key="reached", title="reached by", write=_marked),
            Column(key="epochs", title="after\nepochs", write=words.count, numeric=True),
            Column(key="steps", title="\nsteps", write=words.count, numeric=True, rank=1),
            Column(key="seconds", title="\ntime", write=words.seconds, numeric=True),
        ],
        [
            {
                "target": each.target,
                "arm": arm.label,
                "reached": (each.num_reached < each.num_runs, _reached(each)),
                **{name.partition("_")[0]: median for name, median in each.medians.items()},
            }
            for each, arm in reached
        ],
        group="target",
    )
    several = [each for each, _ in reached if each.num_runs > 1]
    said = {
        LEFT_OUT_REMARK: any(arm.num_diverged for arm in arms),
        MEDIAN_REMARK: bool(several),
        CENSORED_REMARK: any(each.num_reached < each.num_runs for each in several),
        SHARE_REMARK: any(arm.num_runs > 1 for arm in arms),
    }
    below = remarks([remark for remark, holds in said.items() if holds])
    return stacked([results, *([times] if reached else []), *below])


def _marked(cell: tuple[bool, str]) -> Text:
    stands_out, said = cell
    return Text(said, style="yellow" if stands_out else "")


def _test_accuracy(arm: ArmSummary) -> str:
    accuracy = arm.figures["test_accuracy"]
    if accuracy is None or accuracy.n == arm.num_runs:
        return words.percent_with_sd(accuracy)
    return words.percent_with_sd(accuracy, extra=f"{accuracy.n} of {arm.num_runs} seeds")


def _diverged(arm: ArmSummary) -> str:
    return words.of(arm.num_diverged, arm.num_runs) if arm.num_diverged else "none"


def _reached(each: TargetSummary) -> str:
    said = words.of(each.num_reached, each.num_runs)
    if each.num_runs == 1:
        said = "yes" if each.num_reached else "no"
    if each.num_reached < each.num_runs:
        said += f" in {words.plural(each.watched_epochs, 'epoch')}"
    return said


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
