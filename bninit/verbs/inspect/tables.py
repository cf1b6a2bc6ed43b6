"""What probes found inside runs: a table on the terminal, and the files beside the pictures."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from bninit.show import words as text
from bninit.show.old_tables import Column, Grid
from bninit.verbs.inspect.inspect import MAPS, Insides, mode_rows, summary_rows
from bninit.verbs.landscape.tables import number

if TYPE_CHECKING:
    import pandas as pd

_OTHERS = {
    "distributions": "ridges",
    "units": "units",
    "modes": "modes",
    "statistics": "gaps",
    "gamma_beta": "drifts",
}
"""From a picture to the table that it is drawn from; the others are maps."""


def print_insides(found: Insides, *, as_json: bool = False, console: Console | None = None) -> None:
    """Prints each layer before the training and at its end, and batch norm's statistics.

    Args:
        found: What probes found.
        as_json: As `json_text` has it, and nothing else.
        console: Where to; standard output by default.
    """
    console = console or Console()
    if as_json:
        console.file.write(json_text(found))
        return
    console.print(_layers_grid(summary_rows(found)))
    rows = mode_rows(found)
    if rows:
        console.print(Text(""), _modes_grid(rows), sep="\n")
    for arm in found.arms:
        if arm.num_diverged:
            runs = text.plural(arm.num_diverged, "run")
            console.print(Text(f"\n{arm.label}: {runs} diverged; their last moments are NaN."))


def json_text(found: Insides) -> str:
    """Arms and figures as JSON; a number that there is not, or not finite, is null."""
    value = {
        "arms": [asdict(arm) for arm in found.arms],
        "layers": [_plain(row) for row in summary_rows(found)],
        "modes": [_plain(row) for row in mode_rows(found)],
    }
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def csv_texts(found: Insides) -> dict[str, str]:
    """What each picture shows, as CSV by file name."""
    tables: dict[str, pd.DataFrame] = {
        name: found.maps[found.maps["map"] == name].drop(columns="map") for name in MAPS
    }
    tables |= {picture: getattr(found, table) for picture, table in _OTHERS.items()}
    return {
        f"{name}.csv": table[["arm", *(c for c in table.columns if c != "arm")]].to_csv(index=False)
        for name, table in tables.items()
        if len(table)
    }


def _layers_grid(rows: list[dict[str, Any]]) -> Grid:
    return Grid(
        [
            Column(header="arm"),
            Column(header="layer", numeric=True),
            Column(header="signal\n(SD)", numeric=True),
            Column(header="gradient\n(SD)", numeric=True),
            Column(header="gradient /\nweight", numeric=True, rank=3),
            Column(header="dead\nunits", numeric=True, rank=1),
            Column(header="saturated", numeric=True, rank=4),
            Column(header="distinct\nunits", numeric=True),
            Column(header="effective\nrank", numeric=True, rank=2),
        ],
        [
            [
                row["arm"] if i == 0 or rows[i - 1]["arm"] != row["arm"] else "",
                str(row["layer"]),
                _way(row, "signals"),
                _way(row, "gradients"),
                _way(row, "gradient_to_weight"),
                _way(row, "dead_units", percent=True),
                _way(row, "saturation", percent=True),
                _way(row, "distinct_units"),
                _way(row, "effective_rank"),
            ]
            for i, row in enumerate(rows)
        ],
        title="Each layer before the training > at its end",
        sections=[i for i in range(len(rows) - 1) if rows[i]["arm"] != rows[i + 1]["arm"]],
    )


def _modes_grid(rows: list[dict[str, Any]]) -> Grid:
    return Grid(
        [
            Column(header="arm"),
            Column(header="mini-batch", numeric=True),
            Column(header="exponential", numeric=True),
            Column(header="plain\naverage", numeric=True),
            Column(header="population", numeric=True),
            Column(header="exponential\nmeans off by", numeric=True, rank=1),
            Column(header="plain\nmeans off by", numeric=True, rank=2),
            Column(header="a mini-batch's\nmeans off by", numeric=True, rank=3),
        ],
        [
            [
                row["arm"],
                *(
                    text.percent(row[f"accuracy_{mode}"], num_digits=1)
                    for mode in ("train_mode", "ema", "cumulative", "population")
                ),
                *(f"{number(row[f'gap_{kind}'])} SD" for kind in ("ema", "cumulative", "batch")),
            ]
            for row in rows
        ],
        title="Validation accuracy at the end with each kind of batch-norm statistics",
    )


def _way(row: dict[str, Any], name: str, *, percent: bool = False) -> str:
    ends = (row[f"{name}_start"], row[f"{name}_end"])
    if all(math.isnan(end) for end in ends):
        return text.MISSING
    said = [text.percent(end, num_digits=0) if percent else number(end) for end in ends]
    return said[0] if said[0] == said[1] else " > ".join(said)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }
