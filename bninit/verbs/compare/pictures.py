"""Pictures of a comparison, and all the files of it: report, tables and figures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bninit.metrics import Metric
from bninit.show import charts, words
from bninit.show.charts import ArmStyle, Axis, Chart
from bninit.store.files import json_text
from bninit.store.output import joined_name, keep_findings
from bninit.verbs.compare.compare import Comparison, Difference
from bninit.verbs.compare.tables import (
    difference_text,
    direction_word,
    figures_table,
    interval_level,
    interval_text,
    markdown_text,
    metric_title,
    record,
    shown_differences,
    unit_of_difference,
)

_MOST_NAMED = 6
_MOST_WITH_NUMBERS = 20
_LONGEST_BESIDE = 24
"""With longer names, panels stand below each other."""


def pictures(comparison: Comparison) -> dict[str, bytes]:
    """Draw all pictures of a comparison.

    Returns:
        The content of PNG files by their names.
    """
    styles = styles_of(comparison)
    named = [arm.label for arm in comparison.arms[:_MOST_NAMED]]
    if len(comparison.arms) > _MOST_NAMED:
        named.append(f"{len(comparison.arms) - _MOST_NAMED} more")
    drawn = {
        "curves.png": charts.curves(
            comparison.epochs,
            targets=comparison.targets,
            title=f"Training of {words.join(named)}",
            styles=styles,
        )
    }
    if comparison.targets:
        drawn["time_to_accuracy.png"] = times_chart(comparison, styles=styles)
    drawn["differences.png"] = differences_chart(comparison, styles=styles)
    return {name: charts.png(chart) for name, chart in drawn.items()}


def styles_of(comparison: Comparison) -> dict[str, ArmStyle]:
    """The looks of the arms, the same in all pictures; ordered where one number alone varies."""
    arms = comparison.arms
    numbers = None
    if len(comparison.varied) == 1:
        values = {arm.label: arm.settings[comparison.varied[0]] for arm in arms}
        if all(type(value) in (int, float) for value in values.values()):
            numbers = values
    return charts.arm_styles(
        [arm.label for arm in arms],
        placements={arm.label: arm.placement for arm in arms},
        numbers=numbers,  # type: ignore[arg-type]
    )


def times_chart(comparison: Comparison, *, styles: Mapping[str, ArmStyle]) -> Chart:
    """Share of networks that have reached each target by each epoch, a panel a target."""
    last = max(config.train.epochs for config in comparison.configs)
    panels = []
    for place, target in enumerate(comparison.targets):
        rows: list[dict[str, Any]] = []
        names = {}
        for arm in comparison.arms:
            at = arm.targets[place]
            shares = [0.0, *at.curve.share.tolist()]
            points = zip((0.0, *at.curve.times.tolist()), shares, strict=True)
            rows += [{"arm": arm.label, "x": epoch, "y": 100 * share} for epoch, share in points]
            rows.append({"arm": arm.label, "x": at.watched_epochs, "y": 100 * shares[-1]})
            said = f"{arm.label}: {words.of(at.num_reached, at.num_runs)} reached it"
            median = at.medians["epochs_to_accuracy"]
            names[arm.label] = said if median is None else f"{said}, median {words.count(median)}"
        panels.append(
            charts.lines(
                rows,
                x=Axis(title="epochs of training", whole=True).over([0, last]),
                y=Axis(title="networks that have reached it (%)", low=-3, high=103),
                styles=styles,
                title=f"{words.target_percent(target)} validation accuracy",
                marks="line",
                steps=True,
                names=names,
                legend_width=300,
                width=300,
            )
        )
    title = "Time to each validation accuracy: the earlier a line rises, the better"
    return charts.page(panels, title=title, columns=3, own_legends=True)


def differences_chart(comparison: Comparison, *, styles: Mapping[str, ArmStyle]) -> Chart:
    """Each arm's paired difference from the baseline with its interval, metric by metric."""
    panels = []
    without = []
    for metric, target, differences in shown_differences(comparison):
        title = metric_title(metric, target)
        if all(each.estimate.effect is None for each in differences):
            without.append(title)
            continue
        panels.append(
            charts.intervals(
                [
                    _row(each, styles[each.arm], numbers=len(differences) <= _MOST_WITH_NUMBERS)
                    for each in differences
                ],
                x=Axis(title=_axis_title(metric, comparison.baseline)),
                title=title[:1].upper() + title[1:],
                width=280,
            )
        )
    longest = max(len(arm.label) for arm in comparison.arms)
    return charts.page(
        panels,
        title=f"Difference from {comparison.baseline}, paired by seed",
        note=_how_to_read(comparison) + (f" No numbers: {'; '.join(without)}." if without else ""),
        columns=2 if longest <= _LONGEST_BESIDE else 1,
    )


def _row(difference: Difference, style: ArmStyle, *, numbers: bool) -> dict[str, Any]:
    estimate, scale = difference.estimate, difference.metric.scale
    ends = {"value": estimate.effect, "low": estimate.low, "high": estimate.high}
    said, interval = difference_text(difference), interval_text(difference)
    if interval != words.MISSING:
        said = f"{said}  ({interval})"
    return {
        "label": difference.arm,
        "colour": style.colour,
        **{key: None if value is None else value * scale for key, value in ends.items()},
        "open": difference.open_end,
        "solid": difference.reading in ("better", "worse"),
        "shape": "square" if difference.is_median else "circle",
        "says": said if numbers else "",
    }


def _axis_title(metric: Metric, baseline: str) -> str:
    unit = unit_of_difference(metric)
    said = f"difference from {baseline}" + (f" ({unit})" if unit else "")
    if metric.better is None:
        return said
    sides = [direction_word(metric, word) for word in ("better", "worse")]
    left, right = sides if metric.better == "low" else reversed(sides)
    gap = 4 * "\N{NO-BREAK SPACE}"
    return f"\N{LEFTWARDS ARROW} {left}{gap}{said}{gap}{right} \N{RIGHTWARDS ARROW}"


def _how_to_read(comparison: Comparison) -> str:
    together = "; those of one panel hold together" if len(comparison.arms) > 2 else ""
    said = (
        f"Dot: mean over the seeds of arm minus {comparison.baseline}. "
        f"Bar: {interval_level(comparison)} interval{together}. "
        "Filled dot: the bar does not touch zero. Empty dot: it does, or there is no bar."
    )
    every = [difference for *_, part in shown_differences(comparison) for difference in part]
    if any(each.is_median and each.estimate.effect is not None for each in every):
        said += " Square: median, where networks diverged."
    if any(each.open_end for each in every):
        said += " Arrow: or further, as some networks did not reach the target."
    return said


def keep_comparison(
    comparison: Comparison, *, runs_dir: str | os.PathLike[str] = "runs", name: str | None = None
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
    drawn = pictures(comparison)
    return keep_findings(
        {
            **drawn,
            "comparison.csv": figures_table(comparison).csv(),
            "runs.csv": comparison.runs.to_csv(index=False, lineterminator="\n"),
            "comparison.json": json_text(record(comparison)),
            "report.md": markdown_text(comparison, pictures=tuple(drawn)),
        },
        runs_dir=runs_dir,
        kind="compare",
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
