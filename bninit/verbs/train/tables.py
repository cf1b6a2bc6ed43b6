"""The table at the end of a training: what came out of each arm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.text import Text

from bninit.arms import TIMES, ArmSummary, TargetSummary, summarise_arms
from bninit.show import words as text
from bninit.show.old_tables import Column, Grid, WideOrNarrow, block, pairs, stacked
from bninit.store.names import CURVES, arm_folder

if TYPE_CHECKING:
    from bninit.config import Config
    from bninit.store import Run

SHARE_REMARK = "Times: of training, each network's share of the time of all that trained together."
MEDIAN_REMARK = "After how many epochs, steps and how much time: the median over the seeds."
CENSORED_REMARK = (
    "A seed that never got there counts as later than all others; where half of them or more "
    "never did, there is no median."
)
LEFT_OUT_REMARK = "Test accuracy: without the diverged runs."


def final_table(arms: Sequence[ArmSummary]) -> RenderableType:
    """What came out: test accuracy of each arm, and how soon it reached each target.

    Two tables with one row for each arm (and target), or one card for each arm where they do
    not fit.

    Args:
        arms: As `bninit.arms.summarise_arms` gives them.
    """
    grids = [_results(arms)]
    if any(arm.targets for arm in arms):
        grids.append(_targets(arms))
    remarks = []
    if any(arm.num_diverged for arm in arms):
        remarks.append(LEFT_OUT_REMARK)
    several = [each for arm in arms for each in arm.targets if each.num_runs > 1]
    if several:
        remarks.append(MEDIAN_REMARK)
    if any(each.num_reached < each.num_runs for each in several):
        remarks.append(CENSORED_REMARK)
    if any(arm.num_runs > 1 for arm in arms):
        remarks.append(SHARE_REMARK)
    narrow = stacked([_card(arm) for arm in arms])
    parts: list[RenderableType] = [WideOrNarrow(grids, narrow)]
    if remarks:
        parts.append(Text("\n".join(remarks), style="dim"))
    return stacked(parts)


def _results(arms: Sequence[ArmSummary]) -> Grid:
    columns = [
        Column(header="arm", style="bold"),
        Column(header="seeds", numeric=True),
        Column(header="test accuracy"),
        Column(header="diverged"),
        Column(header="an epoch", numeric=True),
    ]
    rows = [
        (
            arm.label,
            str(arm.num_runs),
            _test_accuracy(arm),
            _diverged(arm),
            text.seconds(arm.median_seconds_per_epoch),
        )
        for arm in arms
    ]
    return Grid(columns, rows)


def _targets(arms: Sequence[ArmSummary]) -> Grid:
    columns = [
        Column(header="validation\naccuracy"),
        Column(header="arm", style="bold"),
        Column(header="reached by"),
        Column(header="after\nepochs", numeric=True),
        Column(header="\nsteps", numeric=True),
        Column(header="\ntime", numeric=True),
    ]
    found = sorted(
        ((each, arm) for arm in arms for each in arm.targets), key=lambda pair: pair[0].target
    )
    rows = []
    sections = []
    for place, (each, arm) in enumerate(found):
        starts = place == 0 or found[place - 1][0].target != each.target
        if starts and place:
            sections.append(place - 1)
        rows.append(
            (
                text.target_percent(each.target) if starts else "",
                arm.label,
                _reached(each),
                text.count(each.medians["epochs_to_accuracy"]),
                text.count(each.medians["steps_to_accuracy"]),
                text.seconds(each.medians["seconds_to_accuracy"]),
            )
        )
    return Grid(columns, rows, sections=sections if len(arms) > 1 else ())


def _card(arm: ArmSummary) -> RenderableType:
    entries: list[tuple[str, str | Text]] = [
        ("seeds", str(arm.num_runs)),
        ("test", _test_accuracy(arm)),
        ("diverged", _diverged(arm)),
        ("an epoch", text.seconds(arm.median_seconds_per_epoch)),
    ]
    for each in arm.targets:
        entries.append((f"to {text.target_percent(each.target)}", _reached(each)))
        epochs, steps, seconds = (each.medians[name] for name in TIMES)
        if epochs is not None:
            entries.append(("", f"after {_number(epochs, 'epoch')},"))
            entries.append(("", f"{_number(steps, 'step')}, {text.seconds(seconds)}"))
    return block(arm.label, pairs(entries))


def _test_accuracy(arm: ArmSummary) -> str:
    accuracy = arm.figures["test_accuracy"]
    if accuracy is None or accuracy.n == arm.num_runs:
        return text.percent_with_sd(accuracy)
    return text.percent_with_sd(accuracy, extra=f"{accuracy.n} of {arm.num_runs} seeds")


def _diverged(arm: ArmSummary) -> Text:
    if not arm.num_diverged:
        return Text("none")
    return Text(text.of(arm.num_diverged, arm.num_runs), style="yellow")


def _reached(each: TargetSummary) -> Text:
    said = text.of(each.num_reached, each.num_runs)
    if each.num_runs == 1:
        said = "yes" if each.num_reached else "not"
    if each.num_reached < each.num_runs:
        said += f" in {_number(each.watched_epochs, 'epoch')}"
    return Text(said, style="" if each.num_reached == each.num_runs else "yellow")


def _number(value: float | None, noun: str) -> str:
    return f"{text.count(value)} {noun}" + ("" if value == 1 else "s")


def print_outcome(
    config: Config, runs: Sequence[Run], *, runs_dir: Path, console: Console | None = None
) -> None:
    """Prints the table of a training's arm, and where the files are.

    Args:
        config: What was asked.
        runs: Its finished runs.
        runs_dir: The folder of all runs.
        console: Where to; standard output by default.
    """
    console = console or Console()
    console.print(final_table(summarise_arms(run.summary for run in runs if run.summary)))
    folder = arm_folder(runs_dir, config)
    console.print(Text(f"\ncurves: {folder / CURVES}\nruns:   {folder}"), soft_wrap=True)
