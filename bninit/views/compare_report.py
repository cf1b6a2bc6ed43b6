"""A comparison as a Markdown report, tidy CSV and strict JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from bninit.analysis.comparison import (
    FIGURES,
    TIMES,
    ArmAtTarget,
    ComparedArm,
    Comparison,
    Difference,
)
from bninit.analysis.differing import short_names
from bninit.analysis.metrics import METRICS
from bninit.analysis.spread import Spread
from bninit.views.compare_tables import TextTable, comparison_table, tables_of

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
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


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


def _csv_time(name: str, at: ArmAtTarget) -> dict[str, object]:
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


def _json_arm(arm: ComparedArm) -> dict[str, Any]:
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


def _plain(value: Any) -> Any:
    """Plain values of JSON: numpy's numbers as Python's, and what is not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
