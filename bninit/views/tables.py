"""Tables for the terminal: lists of runs, one run, and parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict

from rich.console import RenderableType
from rich.text import Text

from bninit.nets.inventory import NOTES, ParameterRow, num_tracked, num_trained
from bninit.views import text
from bninit.views.layout import Column, Grid, block, pairs, stacked

STATUS_STYLES = {
    "done": "green",
    "diverged": "yellow",
    "running": "cyan",
    "partial": "cyan",
    "damaged": "bold red",
}

BATCH_NORM_REMARK = (
    "batch norm: 4 numbers for each node: gamma and beta are trained, moving mean and moving "
    "variance are tracked."
)


class RunRow(TypedDict):
    """One run in a list; None where there is no such figure.

    Attributes:
        name: Of its config.
        arm: Its content id.
        seed: Its seed.
        status: ``done``, ``diverged``, ``running``, ``partial`` or ``damaged``.
        epochs: Finished epochs.
        test_accuracy: In [0, 1].
        best_val_accuracy: In [0, 1].
        seconds: Of training.
        when: When it was last written; shown in local time.
    """

    name: str
    arm: str
    seed: int
    status: str
    epochs: int | None
    test_accuracy: float | None
    best_val_accuracy: float | None
    seconds: float | None
    when: datetime | None


def runs_table(rows: Sequence[RunRow]) -> RenderableType:
    """A list of runs, one line each; in a narrow terminal with fewer columns.

    Args:
        rows: In the order in which they are shown.
    """
    columns = [
        Column(header="name", style="bold"),
        Column(header="arm", rank=1),
        Column(header="seed", numeric=True),
        Column(header="status"),
        Column(header="epochs", numeric=True, rank=4),
        Column(header="test\naccuracy", numeric=True),
        Column(header="best val\naccuracy", numeric=True, rank=2),
        Column(header="training\ntime", numeric=True, rank=3),
        Column(header="written", rank=5),
    ]
    return Grid(
        columns,
        [
            (
                row["name"],
                row["arm"][:8],
                str(row["seed"]),
                _status(row["status"]),
                text.count(row["epochs"]),
                text.percent(row["test_accuracy"]),
                text.percent(row["best_val_accuracy"]),
                text.seconds(row["seconds"]),
                text.MISSING
                if row["when"] is None
                else f"{row['when'].astimezone():%Y-%m-%d %H:%M}",
            )
            for row in rows
        ],
    )


def _status(status: str) -> Text:
    return Text(status, style=STATUS_STYLES.get(status, ""))


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """All that is shown of one run.

    Attributes:
        name: Of its config.
        arm: Its content id.
        seed: Its seed.
        status: As in `RunRow`.
        folder: Where it lies.
        changed: Settings that differ from the defaults, by dotted key; None when the config
            cannot be read.
        summary: What ``summary.json`` holds; None while there is none.
        targets: Its entries on targets, also of a run that is not finished.
        files: Name and size in bytes of each file.
        problem: What is wrong with a damaged run.
    """

    name: str
    arm: str
    seed: int
    status: str
    folder: str
    changed: Mapping[str, object] | None
    summary: Mapping[str, Any] | None = None
    targets: Sequence[Mapping[str, Any]] = ()
    files: Sequence[tuple[str, int]] = field(default_factory=tuple)
    problem: str | None = None


def run_panel(run: RunPage) -> RenderableType:
    """One run: settings, key figures, targets and files."""
    head: list[tuple[str, str | Text]] = [
        ("status", _status(run.status)),
        ("arm", run.arm),
        ("folder", run.folder),
    ]
    if run.problem:
        head.insert(1, ("problem", Text(text.printable(run.problem), style="bold red")))
    parts = [block(f"{run.name}, seed {run.seed}", pairs(head))]
    if run.changed is not None:
        settings: RenderableType = Text("  all settings are the defaults")
        if run.changed:
            settings = pairs([(key, text.setting(value)) for key, value in run.changed.items()])
        parts.append(block("Settings other than the defaults", settings))
    if run.summary is not None:
        parts.append(block("Figures", pairs(_figures(run.summary))))
    if run.targets:
        parts.append(block("Targets: validation accuracy", pairs(_target_entries(run.targets))))
    if run.files:
        parts.append(
            block(
                "Files",
                pairs([(text.printable(name), text.size(size)) for name, size in run.files]),
            )
        )
    return stacked(parts)


def _figures(summary: Mapping[str, Any]) -> list[tuple[str, str | Text]]:
    best, final = summary["best"], summary["final"]
    entries: list[tuple[str, str | Text]] = [
        ("test accuracy", text.percent(summary["test_accuracy"])),
        ("test loss", text.loss(summary["test_loss"])),
        ("train accuracy", text.percent(summary["train_accuracy"])),
        ("train minus test", text.percent_points(summary["generalization_gap"])),
        ("last val accuracy", text.percent(final["val_accuracy"])),
        ("last val loss", text.loss(final["val_loss"])),
        ("best val accuracy", _best(best)),
        ("lowest val loss", text.loss(best["val_loss"])),
        ("epochs", text.count(summary["epochs"])),
        ("steps", text.count(summary["steps"])),
        ("training time", text.seconds(summary["seconds"])),
        ("an epoch", text.seconds(summary["seconds_per_epoch"])),
        ("trained with", text.plural(summary["stack_size"] - 1, "other network")),
        ("parameters", f"{text.count(summary['num_parameters'])} trained"),
        ("", f"{text.count(summary['num_tracked'])} tracked"),
    ]
    if summary["status"] == "diverged":
        where = f"in epoch {summary['diverged_epoch']}, step {summary['diverged_step']:,}"
        entries.insert(0, ("diverged", Text(where, style="yellow")))
    return entries


def _best(best: Mapping[str, Any]) -> str:
    if best["epoch"] is None:
        return text.MISSING
    return f"{text.percent(best['val_accuracy'])} (epoch {best['epoch']})"


def _target_entries(targets: Sequence[Mapping[str, Any]]) -> list[tuple[str, str | Text]]:
    entries: list[tuple[str, str | Text]] = []
    for each in targets:
        if each["reached"]:
            said = (
                f"after {text.plural(each['epochs'], 'epoch')}, "
                f"{text.plural(each['steps'], 'step')}, {text.seconds(each['seconds'])}"
            )
        else:
            said = f"not reached in {text.plural(each['censored_at_epochs'], 'epoch')}"
        entries.append((text.target_percent(each["target"]), said))
    return entries


def parameter_table(rows: Sequence[ParameterRow]) -> RenderableType:
    """What a network is made of, layer by layer, with totals.

    Args:
        rows: As `bninit.nets.inventory.parameter_rows` gives them.
    """
    columns = [
        Column(header="layer"),
        Column(header="kind", style="bold"),
        Column(header="shape", rank=1),
        Column(header="trained", numeric=True),
        Column(header="tracked", numeric=True),
    ]
    lines: list[tuple[str, ...]] = []
    for place, row in enumerate(rows):
        again = place > 0 and rows[place - 1].layer == row.layer
        lines.append(
            (
                "" if again else row.layer,
                f"{row.kind}, {row.note}" if row.note else row.kind,
                " -> ".join(map(str, row.shape)),
                text.count(row.num_trained) if row.num_trained else "",
                text.count(row.num_tracked) if row.num_tracked else "",
            )
        )
    lines.append(("all", "", "", text.count(num_trained(rows)), text.count(num_tracked(rows))))
    parts: list[RenderableType] = [Grid(columns, lines, sections=[len(lines) - 2])]
    affine = any(row.num_tracked and row.num_trained for row in rows)
    remarks = [BATCH_NORM_REMARK] if affine else []
    remarks += [f"{note}: {NOTES[note]}." for note in dict.fromkeys(r.note for r in rows) if note]
    if remarks:
        parts.append(Text("\n".join(remarks), style="dim"))
    return stacked(parts)
