"""A comparison in the terminal, in Markdown, as CSV and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from bninit.arms import TIMES, ArmSummary
from bninit.metrics import METRICS, Metric
from bninit.show import words
from bninit.show.tables import Column, Table, remarks, stacked, times_table
from bninit.store.files import json_text
from bninit.verbs.compare.compare import FIGURES, Comparison, Difference
from bninit.verbs.compare.confounders import setting_text, short_names

REPORT_VERSION = 1
"""Of ``comparison.json``; raised when the meaning of a key changes."""

ARM_PROPERTIES = {"num_diverged": "diverged", "num_parameters": "parameters"}
"""Attributes of an arm that are columns of the first table and of CSV, and keys in JSON, with
their titles; a further one is one entry here."""

_RESULTS = {
    "test_accuracy": "test\naccuracy (%)",
    "generalization_gap": "training minus\ntest (points)",
    "best_val_loss": "best val\nloss (nats)",
    "final_val_loss": "last val\nloss (nats)",
}
_SHORT_TITLES = {
    "generalization_gap": "training minus test",
    "best_val_loss": "best val loss",
    "final_val_loss": "last val loss",
    "seconds_per_epoch": "one epoch",
}
_TIMES_TITLE = "Time to each validation accuracy: medians"
_SIZES = {"better": "smaller", "worse": "larger"}
"""A gap is no good in itself: a network that learns nothing has none."""

_READING_STYLES = {"better": "green", "worse": "yellow"}
_KEYS_OF_STEPS = ("data.", "train.batch_size", "train.last_batch")

# -- words -------------------------------------------------------------------------------------


def metric_title(metric: Metric, target: float | None) -> str:
    """Name a metric with its target: ``epochs to 97 %``."""
    return metric.title.format(target="" if target is None else words.target_percent(target))


def unit_of_difference(metric: Metric) -> str:
    """The unit in which a difference is printed: of percentages, points."""
    return "points" if metric.unit == "%" else metric.unit


def difference_text(difference: Difference) -> str:
    """Write the size of a difference with its sign, or why there is none."""
    estimate = difference.estimate
    no_arm, no_baseline = difference.num_missing
    if estimate.effect is not None:
        further = {"high": " or higher", "low": " or lower", None: ""}
        return _signed(estimate.effect, difference.metric) + further[difference.open_end]
    num_seeds = len(difference.seeds)
    lacking = "did not reach it" if difference.metric.censored else "diverged"
    if no_arm == no_baseline == num_seeds:
        return "reached by neither" if difference.metric.censored else "both diverged"
    if no_arm >= no_baseline:
        return f"{words.of(no_arm, num_seeds)} {lacking}"
    return f"{words.of(no_baseline, num_seeds)} of the baseline {lacking}"


def interval_text(difference: Difference) -> str:
    """Write an interval with signs: ``+0.24 to +1.00``; a dash where there is none."""
    estimate, metric = difference.estimate, difference.metric
    low = None if difference.open_end == "low" else estimate.low
    high = None if difference.open_end == "high" else estimate.high
    if low is None and high is None:
        return words.MISSING
    if low is None or high is None:
        bound, word = (high, "at most") if low is None else (low, "at least")
        return f"{word} {_signed(bound or 0.0, metric)}"
    return f"{_signed(low, metric)} to {_signed(high, metric)}"


def _signed(value: float, metric: Metric) -> str:
    return words.signed(value * metric.scale, num_decimals=metric.num_decimals)


def direction_word(metric: Metric, reading: str) -> str:
    """Name a side of zero: better or worse, or smaller or larger."""
    return _SIZES[reading] if metric.name == "generalization_gap" else reading


def reading_text(difference: Difference) -> Text:
    """Say in a word what the interval shows; nothing where there is none."""
    if difference.reading == "undecided":
        return Text("unclear")
    if not difference.reading:
        return Text("")
    said = direction_word(difference.metric, difference.reading)
    return Text(said, style=_READING_STYLES.get(said, ""))


def short_title(metric: Metric, target: float | None) -> str:
    """Name a metric with the unit of its differences, for a narrow column."""
    title = _SHORT_TITLES.get(metric.name) or metric_title(metric, target)
    unit = unit_of_difference(metric)
    return title if unit in ("", "epochs", "steps") else f"{title} ({unit})"


def figure_text(arm: ArmSummary, name: str) -> str:
    """Write mean and standard deviation of an arm's figure, and of how many runs if not all."""
    metric, spread = METRICS[name], arm.figures[name]
    if spread is None:
        return words.MISSING
    said = words.decimal(spread.mean * metric.scale, num_decimals=metric.num_decimals)
    # Networks of one stack share its clock: the spread of their seconds means nothing.
    if spread.sd is not None and not metric.clock:
        sd = words.decimal(spread.sd * metric.scale, num_decimals=metric.num_decimals)
        said = f"{said} (SD {sd})"
    return said if spread.n == arm.num_runs else f"{said}, {spread.n} of {arm.num_runs}"


def interval_level(comparison: Comparison) -> str:
    """Write the confidence of the intervals: ``95 %``."""
    return f"{100 * comparison.level:g} %"


# -- tables for people -------------------------------------------------------------------------


def shown_differences(
    comparison: Comparison,
) -> list[tuple[Metric, float | None, list[Difference]]]:
    """The metrics whose differences tables and pictures show, each with its arms.

    Steps are left out where every arm makes equally many in an epoch, as they say what epochs
    say, and so are seconds to a target: seconds per epoch and epochs to the target tell more.
    """
    left_out = {"seconds_to_accuracy", "steps_to_accuracy"}
    if any(key.startswith(_KEYS_OF_STEPS) for key in comparison.varied):
        left_out.remove("steps_to_accuracy")
    shown = [each for each in comparison.differences if each.metric.name not in left_out]
    groups = groupby(shown, key=lambda each: (each.metric, each.target))
    return [(metric, target, list(part)) for (metric, target), part in groups]


def tables_of(comparison: Comparison) -> list[Table]:
    """All tables of a comparison: arms, results, times to targets, and differences."""
    found = [_arms(comparison), _results(comparison)]
    if comparison.targets:
        found.append(times_table(comparison.arms, title=_TIMES_TITLE))
    return [*found, _differences(comparison)]


_ARM = Column(key="arm", title="arm", style="bold")


def _arms(comparison: Comparison) -> Table:
    names = short_names(comparison.varied)
    columns = [
        _ARM,
        *(Column(key=key, title=names[key], write=setting_text) for key in comparison.varied),
        Column(key="seeds", title="seeds"),
        *(Column(key=key, title=title, numeric=True) for key, title in ARM_PROPERTIES.items()),
        Column(key="epoch", title="one epoch\n(s)", numeric=True),
    ]
    rows = [
        {
            "arm": arm.label,
            **arm.settings,
            "seeds": words.ranges(arm.seeds),
            **_properties(arm),
            "num_diverged": words.diverged(arm.num_diverged, arm.num_runs),
            "epoch": figure_text(arm, "seconds_per_epoch"),
        }
        for arm in comparison.arms
    ]
    return Table(columns, rows, title="What differs")


def _properties(arm: ArmSummary) -> dict[str, Any]:
    return {key: getattr(arm, key) for key in ARM_PROPERTIES}


def _results(comparison: Comparison) -> Table:
    columns = [_ARM, *(Column(key=name, title=title) for name, title in _RESULTS.items())]
    rows = [
        {"arm": arm.label, **{name: figure_text(arm, name) for name in _RESULTS}}
        for arm in comparison.arms
    ]
    return Table(columns, rows, title="Results: mean over the seeds (standard deviation)")


def _differences(comparison: Comparison) -> Table:
    columns = [
        Column(key="metric", title="metric"),
        _ARM,
        Column(key="difference", title="difference"),
        Column(key="interval", title=f"{interval_level(comparison)} interval"),
        Column(key="reading", title="reading"),
    ]
    rows = [
        {
            "metric": short_title(metric, target),
            "arm": each.arm,
            "difference": difference_text(each),
            "interval": interval_text(each),
            "reading": reading_text(each),
        }
        for metric, target, differences in shown_differences(comparison)
        for each in differences
    ]
    title = f"Difference from {comparison.baseline}: arm minus baseline, paired by seed"
    return Table(columns, rows, title=title, group="metric")


def print_comparison(
    comparison: Comparison, *, form: str = "table", console: Console | None = None
) -> None:
    """Print a comparison on standard output.

    Args:
        comparison: What to print.
        form: ``table``, ``markdown``, ``csv`` or ``json``.
        console: Where to; standard output by default.
    """
    console = console or Console()
    if form == "table":
        console.print(comparison_text(comparison))
    elif form == "markdown":
        console.file.write(markdown_text(comparison))
    elif form == "csv":
        console.file.write(figures_table(comparison).csv())
    else:
        console.file.write(json_text(record(comparison)))


def comparison_text(comparison: Comparison) -> RenderableType:
    """Everything that a terminal shows of a comparison."""
    parts: list[RenderableType] = [*tables_of(comparison)]
    if comparison.warnings:
        said = Text("Before you believe a difference:", style="bold yellow")
        for warning in comparison.warnings:
            said.append(f"\n- {warning}", style="not bold yellow")
        parts.append(said)
    return stacked([*parts, *remarks(comparison.notes)])


def markdown_text(comparison: Comparison, *, pictures: Sequence[str] = ()) -> str:
    """Write the report."""
    labels = [arm.label for arm in comparison.arms]
    names = short_names(comparison.varied)
    varied = ", ".join(f"{name} (`{key}`)" for key, name in names.items())
    parts = [
        f"# {', '.join(labels[:6])}{' ...' if len(labels) > 6 else ''}",
        f"{len(labels)} arms, each compared with **{comparison.baseline}**. "
        + (f"They differ in {varied}." if varied else ""),
    ]
    if comparison.warnings:
        parts.append(f"**Before you believe a difference:**\n\n{_listed(comparison.warnings)}")
    arms, results, *times, differences = tables_of(comparison)
    shown = [
        (arms, "", ""),
        (results, "curves.png", "Loss and validation accuracy by epoch"),
        *(
            (table, "time_to_accuracy.png", "Share of networks that reached each target by epoch")
            for table in times
        ),
        (differences, "differences.png", "Paired differences from the baseline, with intervals"),
    ]
    for table, picture, says in shown:
        parts += [f"## {table.title}", table.markdown()]
        if picture in pictures:
            parts.append(f"![{says}]({picture})")
    parts.append(f"## How to read this\n\n{_listed(comparison.notes)}")
    parts.append(f"## Again\n\n```\n{again(comparison)}\n```")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _listed(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def again(comparison: Comparison) -> str:
    """The command that makes this comparison from the same runs folder."""
    ids = {arm.label: arm.id for arm in comparison.arms}
    command = ["bninit", "compare", *ids.values(), "--baseline", ids[comparison.baseline]]
    command.append("--no-train")
    if comparison.targets:
        command += ["--targets", ",".join(f"{target:g}" for target in comparison.targets)]
    return shlex.join(command)


# -- records for programs ----------------------------------------------------------------------


def figures_table(comparison: Comparison) -> Table:
    """One row for each arm, metric and target: its figures, and its difference.

    Accuracies are fractions, losses nats.
    """
    differences = {(d.arm, d.metric.name, d.target): d for d in comparison.differences}
    rows: list[dict[str, Any]] = []
    for arm in comparison.arms:
        about = {
            "arm": arm.id,
            "label": arm.label,
            "name": arm.name,
            **arm.settings,
            "num_runs": arm.num_runs,
            **_properties(arm),
            "baseline": comparison.baseline,
        }
        figures: list[tuple[str, float | None, dict[str, Any]]]
        figures = [(name, None, _columns(_SPREAD, arm.figures[name])) for name in FIGURES]
        for at in arm.targets:
            reached = {"num_reached": at.num_reached, "watched_epochs": at.watched_epochs}
            for name in TIMES:
                values = {**_columns(_SPREAD, at.means[name]), "median": at.medians[name]}
                figures.append((name, at.target, values | reached))
        for name, target, values in figures:
            metric = METRICS[name]
            found = differences.get((arm.label, name, target))
            rows.append(
                {
                    **about,
                    "metric": name,
                    # Stored accuracies and their differences are fractions.
                    "unit": metric.unit if metric.scale == 1 else "fraction",
                    "target": target,
                    **dict.fromkeys((*_SPREAD, "median", "num_reached", "watched_epochs")),
                    **values,
                    **_columns(_ESTIMATE, found and found.estimate),
                    "reading": found and found.reading,
                }
            )
    return Table([Column(key=key) for key in rows[0]], rows)


_SPREAD = {key: key for key in ("n", "mean", "sd", "low", "high")}
_ESTIMATE = {
    "difference": "effect",
    "difference_low": "low",
    "difference_high": "high",
    "level": "level",
    "num_pairs": "n",
    "p_adjusted": "p_value",
    "method": "method",
}
"""The attribute by column."""


def _columns(attributes: Mapping[str, str], value: object) -> dict[str, Any]:
    """Attributes of a value as columns; empty where there is none."""
    return {column: getattr(value, name, None) for column, name in attributes.items()}


def record(comparison: Comparison) -> dict[str, Any]:
    """Everything but the single epochs, for JSON."""
    return {
        "schema_version": REPORT_VERSION,
        "baseline": comparison.baseline,
        "targets": comparison.targets,
        "level": comparison.level,
        "varied": comparison.varied,
        "arms": [_arm_record(arm) for arm in comparison.arms],
        "differences": [_difference_record(each) for each in comparison.differences],
        "runs": comparison.runs.to_dict(orient="records"),
        "warnings": comparison.warnings,
        "notes": comparison.notes,
    }


def _arm_record(arm: ArmSummary) -> dict[str, Any]:
    return {
        "label": arm.label,
        "name": arm.name,
        "arm": arm.id,
        "settings": arm.settings,
        "seeds": arm.seeds,
        **_properties(arm),
        "figures": {name: spread and asdict(spread) for name, spread in arm.figures.items()},
        "targets": [
            {
                "target": at.target,
                "num_runs": at.num_runs,
                "num_reached": at.num_reached,
                "watched_epochs": at.watched_epochs,
                "medians": at.medians,
                "means": {name: spread and asdict(spread) for name, spread in at.means.items()},
                "reached_by_epoch": {
                    "epochs": at.curve.times,
                    "share": at.curve.share,
                    "low": at.curve.low,
                    "high": at.curve.high,
                    "level": at.curve.level,
                },
            }
            for at in arm.targets
        ],
    }


def _difference_record(found: Difference) -> dict[str, Any]:
    return {
        "arm": found.arm,
        "metric": found.metric.name,
        "target": found.target,
        **asdict(found.estimate),
        "is_median": found.is_median,
        "seeds": found.seeds,
        "num_missing": found.num_missing[0],
        "num_missing_of_baseline": found.num_missing[1],
        "horizon": found.horizon,
        "reading": found.reading,
    }
