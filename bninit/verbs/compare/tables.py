"""Numbers and words of a comparison, the same in tables, reports and pictures."""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from bninit.arms import TIMES, ArmSummary, TargetSummary, setting_text, short_names
from bninit.metrics import METRICS, Metric
from bninit.show import words as text
from bninit.show.old_tables import Column, Grid, stacked
from bninit.stats import Spread
from bninit.verbs.compare.compare import (
    FIGURES,
    Comparison,
    Difference,
    ranges,
)

_SHORT_TITLES = {
    "generalization_gap": "training minus test",
    "best_val_loss": "best val loss",
    "final_val_loss": "last val loss",
    "seconds_per_epoch": "one epoch",
}
_SIZES = {"better": "smaller", "worse": "larger"}
"""A gap is no good in itself: a network that learns nothing has none."""

_KEYS_OF_STEPS = ("data.", "train.batch_size", "train.last_batch")


def metric_title(metric: Metric, target: float | None) -> str:
    """Name a metric with its target: ``epochs to 97 %``."""
    return metric.title.format(target="" if target is None else text.target_percent(target))


def unit_of_difference(metric: Metric) -> str:
    """The unit in which a difference is printed: of percentages, points."""
    return "points" if metric.unit == "%" else metric.unit


def difference_text(difference: Difference) -> str:
    """Write the size of a difference with its sign, or why there is none."""
    estimate = difference.estimate
    no_arm, no_baseline = difference.num_missing
    if estimate.effect is not None:
        said = _signed(estimate.effect, difference.metric)
        further = {"high": " or higher", "low": " or lower", None: ""}
        return said + further[difference.open_end]
    num_seeds = len(difference.seeds)
    lacking = "did not reach it" if difference.metric.censored else "diverged"
    if no_arm == no_baseline == num_seeds:
        return "never reached by either" if difference.metric.censored else "both diverged"
    if no_arm >= no_baseline:
        return f"{text.of(no_arm, num_seeds)} {lacking}"
    return f"{text.of(no_baseline, num_seeds)} of the baseline {lacking}"


def interval_text(difference: Difference) -> str:
    """Write an interval with signs: ``+0.24 to +1.00``; a dash where there is none."""
    estimate, metric = difference.estimate, difference.metric
    low = None if difference.open_end == "low" else estimate.low
    high = None if difference.open_end == "high" else estimate.high
    if low is None and high is None:
        return text.MISSING
    if low is None or high is None:
        bound, word = (high, "at most") if low is None else (low, "at least")
        return f"{word} {_signed(bound or 0.0, metric)}"
    return f"{_signed(low, metric)} to {_signed(high, metric)}"


def reading_text(difference: Difference) -> str:
    """Say in a word what the interval shows; nothing where there is none."""
    reading = difference.reading
    if reading == "undecided":
        return "unclear"
    return direction_word(difference.metric, reading) if reading else ""


def direction_word(metric: Metric, reading: str) -> str:
    """Name a side of zero: better or worse, or smaller or larger."""
    return _SIZES[reading] if metric.name == "generalization_gap" else reading


def short_title(metric: Metric, target: float | None) -> str:
    """Name a metric with the unit of its differences, for a narrow column."""
    title = _SHORT_TITLES.get(metric.name) or metric_title(metric, target)
    unit = unit_of_difference(metric)
    return title if unit in ("", "epochs", "steps") else f"{title} ({unit})"


def figure_text(arm: ArmSummary, metric: Metric) -> str:
    """Write mean and standard deviation of an arm's figure, and of how many runs if not all."""
    spread = arm.figures[metric.name]
    if spread is None:
        return text.MISSING
    scaled = [None if x is None else x * metric.scale for x in (spread.mean, spread.sd)]
    decimals = metric.num_decimals
    mean = _plain(scaled[0] or 0.0, decimals)
    # Networks of one stack share its clock: how their seconds spread tells nothing.
    said = (
        mean
        if scaled[1] is None or metric.unit == "s"
        else f"{mean} (SD {_plain(scaled[1], decimals)})"
    )
    return said if spread.n == len(arm.seeds) else f"{said}, {spread.n} of {len(arm.seeds)}"


def reached_text(at: TargetSummary) -> str:
    """Write how many of an arm's runs reached a target: ``all 5``, ``2 of 5``."""
    return text.of(at.num_reached, at.num_runs)


def median_text(at: TargetSummary, name: str) -> str:
    """Write the median time to a target; a dash where there is none."""
    median = at.medians[name]
    return text.seconds(median) if name.startswith("seconds") else text.count(median)


def interval_level(comparison: Comparison) -> str:
    """Write the confidence of the intervals: ``95 %``."""
    return f"{100 * comparison.level:g} %"


def shown_differences(
    comparison: Comparison,
) -> list[tuple[Metric, float | None, list[Difference]]]:
    """The metrics whose differences tables and pictures show, each with its arms.

    Steps are left out where every arm makes equally many in an epoch, as they say what epochs
    say, and so are seconds to a target: seconds per epoch and epochs to the target tell more.
    """
    groups: dict[tuple[str, float | None], list[Difference]] = {}
    steps_too = any(key.startswith(_KEYS_OF_STEPS) for key in comparison.varied)
    for each in comparison.differences:
        name = each.metric.name
        if name == "seconds_to_accuracy" or (name == "steps_to_accuracy" and not steps_too):
            continue
        groups.setdefault((name, each.target), []).append(each)
    return [(part[0].metric, target, part) for (_, target), part in groups.items()]


def join(items: Sequence[str]) -> str:
    """Write a list as a sentence has it: ``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), *items[-1:]]) if len(items) > 1 else "".join(items)


def _signed(value: float, metric: Metric) -> str:
    scaled = value * metric.scale
    said = _plain(scaled, metric.num_decimals)
    return said if scaled <= 0 or float(said.replace(",", "")) == 0 else f"+{said}"


def _plain(value: float, num_decimals: int) -> str:
    if not math.isfinite(value):
        return text.MISSING
    said = f"{value:,.{0 if abs(value) >= 1000 else num_decimals}f}"
    return said.removeprefix("-") if float(said.replace(",", "")) == 0 else said


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


REPORT_VERSION = 1
"""Of ``comparison.json``; raised when the meaning of a key changes."""

FORMATS = ("table", "markdown", "csv", "json")

_FIGURE_COLUMNS = (
    *("metric", "unit", "target", "n", "mean", "sd", "low", "high"),
    *("median", "num_reached", "watched_epochs"),
)
_DIFFERENCE_COLUMNS = (
    *("difference", "difference_low", "difference_high", "level"),
    *("num_pairs", "p_adjusted", "method", "reading"),
)

_ALT_TEXTS = {
    "curves.png": "Loss and validation accuracy by epoch",
    "time_to_accuracy.png": "Share of networks that have reached each target by each epoch",
    "differences.png": "Paired differences from the baseline with their intervals",
}


def print_comparison(
    comparison: Comparison, *, form: str = "table", console: Console | None = None
) -> None:
    """Print a comparison on standard output.

    Args:
        comparison: What to print.
        form: One of `FORMATS`.
        console: Where to; standard output by default.
    """
    console = console or Console()
    if form == "table":
        console.print(comparison_table(comparison))
        return
    write = {"markdown": markdown_text, "csv": csv_text, "json": json_text}[form]
    console.file.write(write(comparison))


def markdown_text(comparison: Comparison, *, pictures: Sequence[str] = ()) -> str:
    """Write the report.

    Args:
        comparison: What to tell.
        pictures: Names of the pictures that lie beside the report.
    """
    labels = [arm.label for arm in comparison.arms]
    parts = [f"# {', '.join(labels[:6])}{' ...' if len(labels) > 6 else ''}"]
    parts.append(
        f"{len(labels)} arms, each held against **{comparison.baseline}**. "
        + ("They differ in " + _keys(comparison) + "." if comparison.varied else "")
    )
    if comparison.warnings:
        listed = "\n".join(f"- {warning}" for warning in comparison.warnings)
        parts.append(f"**Before you believe a difference:**\n\n{listed}")
    of_table = {2: "time_to_accuracy.png"} if comparison.targets else {}
    tables = tables_of(comparison)
    of_table |= {1: "curves.png", len(tables) - 1: "differences.png"}
    for i, table in enumerate(tables):
        parts += [f"## {table.title}", _markdown_table(table)]
        name = of_table.get(i)
        if name in pictures and name is not None:
            parts.append(f"![{_ALT_TEXTS[name]}]({name})")
    listed = "\n".join(f"- {note}" for note in comparison.notes)
    parts.append(f"## How to read this\n\n{listed}")
    parts.append(f"## Again\n\n```\n{again(comparison)}\n```")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def again(comparison: Comparison) -> str:
    """The command that makes this comparison from the same runs folder."""
    ids = {arm.label: arm.id for arm in comparison.arms}
    words = ["bninit", "compare", *ids.values(), "--baseline", ids[comparison.baseline]]
    words += ["--no-train", "--targets", ",".join(f"{target:g}" for target in comparison.targets)]
    return shlex.join(words if comparison.targets else words[:-2])


def csv_text(comparison: Comparison) -> str:
    """Write one row for each arm, metric and target: its figures, and its difference.

    Accuracies are fractions, losses nats. What there is none of is empty.
    """
    rows: list[dict[str, object]] = []
    differences = {(d.arm, d.metric.name, d.target): d for d in comparison.differences}
    for arm in comparison.arms:
        about: dict[str, object] = {
            "arm": arm.id,
            "label": arm.label,
            "name": arm.name,
            **{key: _cell(value) for key, value in arm.settings.items()},
            "num_runs": len(arm.seeds),
            "num_diverged": arm.num_diverged,
            "num_parameters": arm.num_parameters,
            "baseline": comparison.baseline,
        }
        for name in FIGURES:
            found = differences.get((arm.label, name, None))
            rows.append({**about, **_csv_figure(name, arm.figures[name]), **_csv_difference(found)})
        for at in arm.targets:
            for name in TIMES:
                found = differences.get((arm.label, name, at.target))
                rows.append({**about, **_csv_time(name, at), **_csv_difference(found)})
    file = io.StringIO()
    columns = [*about, *_FIGURE_COLUMNS, *_DIFFERENCE_COLUMNS]
    writer = csv.DictWriter(file, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def runs_csv_text(comparison: Comparison) -> str:
    """Write one row for each run, with all settings and metrics."""
    text: str = comparison.runs.to_csv(index=False, lineterminator="\n")
    return text


def json_text(comparison: Comparison) -> str:
    """Write everything but the single epochs; what is not finite is null."""
    value = {
        "schema_version": REPORT_VERSION,
        "baseline": comparison.baseline,
        "targets": comparison.targets,
        "level": comparison.level,
        "varied": comparison.varied,
        "arms": [_json_arm(arm) for arm in comparison.arms],
        "differences": [_json_difference(each) for each in comparison.differences],
        "runs": comparison.runs.to_dict(orient="records"),
        "warnings": comparison.warnings,
        "notes": comparison.notes,
    }
    return (
        json.dumps(_plain_compare_report(value), indent=2, ensure_ascii=False, allow_nan=False)
        + "\n"
    )


def _keys(comparison: Comparison) -> str:
    names = short_names(comparison.varied)
    return ", ".join(f"{name} (`{key}`)" for key, name in names.items())


def _markdown_table(table: TextTable) -> str:
    lines = [
        [header.replace("\n", " ") for header in table.headers],
        ["---"] * len(table.headers),
        *table.rows,
    ]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


def _csv_figure(name: str, spread: Spread | None) -> dict[str, object]:
    return {"metric": name, "unit": _raw_unit(name), "target": "", **_csv_spread(spread)}


def _csv_time(name: str, at: TargetSummary) -> dict[str, object]:
    return {
        "metric": name,
        "unit": _raw_unit(name),
        "target": at.target,
        **_csv_spread(at.means[name]),
        "median": at.medians[name],
        "num_reached": at.num_reached,
        "watched_epochs": at.watched_epochs,
    }


def _raw_unit(name: str) -> str:
    """Of the stored number: accuracies and their differences are fractions."""
    metric = METRICS[name]
    return "fraction" if metric.scale != 1 else metric.unit


def _csv_spread(spread: Spread | None) -> dict[str, object]:
    keys = ("n", "mean", "sd", "low", "high")
    return {key: None if spread is None else getattr(spread, key) for key in keys}


def _csv_difference(found: Difference | None) -> dict[str, object]:
    if found is None:
        return {}
    estimate = found.estimate
    return {
        "difference": estimate.effect,
        "difference_low": estimate.low,
        "difference_high": estimate.high,
        "level": estimate.level,
        "num_pairs": estimate.n,
        "p_adjusted": estimate.p_value,
        "method": estimate.method,
        "reading": found.reading,
    }


def _cell(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _json_arm(arm: ArmSummary) -> dict[str, Any]:
    return {
        "label": arm.label,
        "name": arm.name,
        "arm": arm.id,
        "settings": arm.settings,
        "seeds": arm.seeds,
        "num_diverged": arm.num_diverged,
        "num_parameters": arm.num_parameters,
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
                    "epochs": at.curve.times.tolist(),
                    "share": at.curve.share.tolist(),
                    "low": at.curve.low.tolist(),
                    "high": at.curve.high.tolist(),
                    "level": at.curve.level,
                },
            }
            for at in arm.targets
        ],
    }


def _json_difference(found: Difference) -> dict[str, Any]:
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


def _plain_compare_report(value: Any) -> Any:
    """Plain values of JSON: numpy's numbers as Python's, and what is not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain_compare_report(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_compare_report(each) for each in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
