"""A comparison as tables of texts, and for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from bninit.analysis.compare import ranges
from bninit.analysis.comparison import TIMES, Comparison
from bninit.analysis.differing import setting_text, short_names
from bninit.analysis.metrics import METRICS
from bninit.views import text
from bninit.views.compare_text import (
    difference_text,
    figure_text,
    interval_level,
    interval_text,
    median_text,
    reached_text,
    reading_text,
    short_title,
    shown_differences,
)
from bninit.views.layout import Column, Grid, stacked

_RESULTS = {
    "test_accuracy": "test\naccuracy (%)",
    "generalization_gap": "training minus\ntest (points)",
    "best_val_loss": "best val\nloss (nats)",
    "final_val_loss": "last val\nloss (nats)",
}
_NUMBERS = frozenset({"parameters", "epochs", "steps", "time", "one epoch (s)"})
_STYLES = {"better": "green", "worse": "yellow"}


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table of texts, for any medium.

    Attributes:
        title: What it tells.
        headers: Of its columns.
        rows: As many cells each.
        sections: Rows after which a group ends, counted from 0.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sections: tuple[int, ...] = ()


def tables_of(comparison: Comparison) -> list[TextTable]:
    """All tables of a comparison: arms, results, times to targets, and differences."""
    found = [_arms(comparison), _results(comparison)]
    if comparison.targets:
        found.append(_times(comparison))
    return [*found, _differences(comparison)]


def comparison_table(comparison: Comparison) -> RenderableType:
    """Everything that a terminal shows of a comparison."""
    parts: list[RenderableType] = [_titled(table) for table in tables_of(comparison)]
    if comparison.warnings:
        said = Text("Before you believe a difference:", style="bold yellow")
        for warning in comparison.warnings:
            said.append(f"\n- {warning}", style="not bold yellow")
        parts.append(said)
    parts.append(Text("\n".join(comparison.notes), style="dim"))
    return stacked(parts)


def _titled(table: TextTable) -> RenderableType:
    columns = [
        Column(
            header=header,
            style="bold" if header == "arm" else "",
            numeric=header.replace("\n", " ").split(" to ")[0] in _NUMBERS,
        )
        for header in table.headers
    ]
    rows = [
        [Text(cell, style=_STYLES.get(cell.split(" ")[0], "")) for cell in row]
        for row in table.rows
    ]
    grid = Grid(columns, rows, sections=table.sections)
    return Group(Text(table.title, style="bold"), grid)


def _arms(comparison: Comparison) -> TextTable:
    names = short_names(comparison.varied)
    rows = [
        (
            arm.label,
            *(setting_text(arm.settings[key]) for key in comparison.varied),
            ranges(arm.seeds),
            text.of(arm.num_diverged, len(arm.seeds)) if arm.num_diverged else "none",
            text.count(arm.num_parameters),
            figure_text(arm, METRICS["seconds_per_epoch"]),
        )
        for arm in comparison.arms
    ]
    headers = ("arm", *names.values(), "seeds", "diverged", "parameters", "one epoch\n(s)")
    return TextTable(title="What differs", headers=headers, rows=tuple(rows))


def _results(comparison: Comparison) -> TextTable:
    rows = [
        (arm.label, *(figure_text(arm, METRICS[name]) for name in _RESULTS))
        for arm in comparison.arms
    ]
    title = "Results: mean over the seeds (standard deviation)"
    return TextTable(title=title, headers=("arm", *_RESULTS.values()), rows=tuple(rows))


def _times(comparison: Comparison) -> TextTable:
    rows = []
    num_arms = len(comparison.arms)
    for place, target in enumerate(comparison.targets):
        for i, arm in enumerate(comparison.arms):
            at = arm.targets[place]
            reached = reached_text(at)
            if at.num_reached < at.num_runs:
                reached += f" in {text.plural(at.watched_epochs, 'epoch')}"
            rows.append(
                (
                    "" if i else text.target_percent(target),
                    arm.label,
                    reached,
                    *(median_text(at, name) for name in TIMES),
                )
            )
    return TextTable(
        title="Time to each validation accuracy: medians",
        headers=("target", "arm", "reached by", "epochs", "steps", "time"),
        rows=tuple(rows),
        sections=_ends([num_arms] * len(comparison.targets)),
    )


def _differences(comparison: Comparison) -> TextTable:
    rows = []
    sizes = []
    for metric, target, differences in shown_differences(comparison):
        sizes.append(len(differences))
        for i, difference in enumerate(differences):
            rows.append(
                (
                    "" if i else short_title(metric, target),
                    difference.arm,
                    difference_text(difference),
                    interval_text(difference),
                    reading_text(difference),
                )
            )
    return TextTable(
        title=f"Difference from {comparison.baseline}: arm minus baseline, paired by seed",
        headers=(
            "metric",
            "arm",
            "difference",
            f"{interval_level(comparison)} interval",
            "reading",
        ),
        rows=tuple(rows),
        sections=_ends(sizes),
    )


def _ends(sizes: Sequence[int]) -> tuple[int, ...]:
    """Last rows of groups but the last one; groups of one row need no lines."""
    if all(size == 1 for size in sizes):
        return ()
    ends = [sum(sizes[: i + 1]) - 1 for i in range(len(sizes))]
    return tuple(ends[:-1])
