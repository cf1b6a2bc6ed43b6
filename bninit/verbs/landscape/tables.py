"""The figures of a landscape: a table on the terminal, and the files beside the pictures."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from bninit.show import words as text
from bninit.show.old_tables import Column, Grid
from bninit.verbs.landscape.landscape import Landscape, summary_rows

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("steps", "lengths", "lines", "planes", "trajectories", "paths")
"""Tables of a landscape that have a file of their own: ``<name>.csv``."""


def print_landscape(
    found: Landscape, *, as_json: bool = False, console: Console | None = None
) -> None:
    """Prints the figures of each run, and what a reader has to know of them.

    Args:
        found: What was found.
        as_json: As `json_text` has it, and nothing else.
        console: Where to; standard output by default.
    """
    console = console or Console()
    if as_json:
        console.file.write(json_text(found))
        return
    rows = summary_rows(found)
    first = True
    for grid in (_gradient_grid(rows), _line_grid(rows), _trajectory_grid(rows)):
        if grid is not None:
            console.print(*([] if first else [Text("")]), grid, sep="\n")
            first = False
    for note in found.notes:
        console.print(Text(f"\n{note}" if note == found.notes[0] else note))


def json_text(found: Landscape) -> str:
    """Settings, figures and notes as JSON; a number that there is not, or not finite, is null."""
    value = {
        "settings": found.settings,
        "runs": [_plain(row) for row in summary_rows(found)],
        "notes": list(found.notes),
    }
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def csv_texts(found: Landscape) -> dict[str, str]:
    """The tables, as CSV by file name."""
    tables: dict[str, pd.DataFrame | None] = {name: getattr(found, name) for name in TABLES}
    return {
        f"{name}.csv": table.to_csv(index=False)
        for name, table in tables.items()
        if table is not None
    }


def number(value: float | None) -> str:
    """Write a number with three digits: ``0.0124``, ``12.3``, ``1.2e-05``."""
    if value is None or math.isnan(value):
        return text.MISSING
    if math.isinf(value):
        return "infinite"
    return f"{value:.3g}"


def _gradient_grid(rows: list[dict[str, Any]]) -> Grid | None:
    if not rows or "measured_steps" not in rows[0]:
        return None
    return Grid(
        [
            Column(header="run"),
            Column(header="learning\nrate", numeric=True, rank=3),
            Column(header="step lengths", numeric=True, rank=4),
            Column(header="loss\n(nats)", numeric=True, rank=1),
            Column(header="its range\n(nats)", numeric=True),
            Column(header="gradient\nchange", numeric=True, rank=2),
            Column(header="as part of\nthe gradient", numeric=True),
            Column(header="smoothness\n(less: smoother)", numeric=True),
        ],
        [
            [
                row["label"],
                f"{row['learning_rate']:g}",
                f"{number(row['shortest_step'])} to {number(row['longest_step'])}",
                number(row["loss"]),
                number(row["loss_range"]),
                number(row["gradient_change"]),
                number(row["relative_gradient_change"]),
                number(row["smoothness"]),
            ]
            for row in rows
        ],
        title=f"Along the gradient, median of {rows[0]['measured_steps']} steps of the training",
    )


def _line_grid(rows: list[dict[str, Any]]) -> Grid | None:
    if not rows or "loss_away" not in rows[0]:
        return None
    return Grid(
        [
            Column(header="run"),
            Column(header="loss of the\nnetwork (nats)", numeric=True),
            Column(header=f"at {number(rows[0]['away'])} filter norms\nfrom it", numeric=True),
        ],
        [
            [row["label"], number(row["loss_in_the_middle"]), number(row["loss_away"])]
            for row in rows
        ],
        title="Around the trained network, median over random directions",
    )


def _trajectory_grid(rows: list[dict[str, Any]]) -> Grid | None:
    seen = [row for row in rows if "explained" in row]
    if not seen:
        return None
    return Grid(
        [
            Column(header="run"),
            Column(header="first principal\ncomponent", numeric=True),
            Column(header="second", numeric=True),
        ],
        [
            [row["label"], *(text.percent(share, num_digits=1) for share in row["explained"])]
            for row in seen
        ],
        title="Variance of the training's path that its plane shows",
    )


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }
