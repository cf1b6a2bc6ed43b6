"""What `bninit inspect` shows and writes: tables, CSV, JSON and pictures."""

from __future__ import annotations

import math
import os
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from bninit.show import words
from bninit.show.tables import Column, Table, stacked
from bninit.store.files import json_text
from bninit.store.output import joined_name, keep_findings
from bninit.verbs.inspect.inspect import Inspection, mode_rows, summary_rows
from bninit.verbs.inspect.pictures import pictures


def print_inspection(
    found: Inspection, *, as_json: bool = False, console: Console | None = None
) -> None:
    """Print each layer before training and at its end, and batch norm's statistics; or JSON."""
    console = console or Console()
    if as_json:
        console.file.write(inspection_json(found))
        return
    tables = [_layer_table(found)]
    modes = mode_rows(found)
    if modes:
        tables.append(_mode_table(modes))
    console.print(stacked(tables))
    for arm in found.arms:
        if arm.num_diverged:
            runs = words.plural(arm.num_diverged, "run")
            console.print(Text(f"\n{arm.label}: {runs} diverged; their last readings are NaN."))


def inspection_json(found: Inspection) -> str:
    """Arms, layers and modes; a number that does not exist or is not finite is null."""
    value = {"arms": found.arms, "layers": summary_rows(found), "modes": mode_rows(found)}
    return json_text(value)


def keep_inspection(
    found: Inspection, *, runs_dir: str | os.PathLike[str] = "runs", name: str | None = None
) -> Path:
    """Write pictures, their tables and ``inspect.json`` into ``<runs_dir>/inspect/<name>``.

    Raises:
        StoreError: The folder cannot be written.
        UserError: The name cannot name a folder.
    """
    # The table of each picture lies beside it.
    csvs = {f"{name}.csv": table.to_csv(index=False) for name, table in found.tables.items()}
    return keep_findings(
        {**pictures(found), **csvs, "inspect.json": inspection_json(found)},
        runs_dir=runs_dir,
        kind="inspect",
        name=default_name(found) if name is None else name,
    )


def default_name(found: Inspection) -> str:
    """A folder name made of the arms' labels, the same for the same runs."""
    return joined_name(
        [
            f"{arm.label}-seed-{arm.seeds[0]}" if len(arm.seeds) == 1 else arm.label
            for arm in found.arms
        ],
        ids=[f"{arm.id}/{seed}" for arm in found.arms for seed in arm.seeds],
    )


def _layer_table(found: Inspection) -> Table:
    share = partial(words.percent, num_digits=0)
    shown = (
        ("signals", "signal\n(SD)", words.number, 0),
        ("gradients", "gradient\n(SD)", words.number, 0),
        ("gradient_to_weight", "gradient /\nweight", words.number, 3),
        ("dead_units", "dead\nunits", share, 1),
        ("saturation", "saturated", share, 4),
        ("distinct_units", "distinct\nunits", words.number, 0),
        ("effective_rank", "effective\nrank", words.number, 2),
    )

    def change(row: dict[str, Any], key: str, write: Any) -> str:
        ends = [row[f"{key}_{end}"] for end in ("start", "end")]
        if all(math.isnan(end) for end in ends):
            return words.MISSING
        return " -> ".join(dict.fromkeys(map(write, ends)))

    columns = [Column(key="arm", title="arm"), Column(key="layer", title="layer", numeric=True)]
    columns += [
        Column(key=key, title=title, numeric=True, rank=rank) for key, title, _, rank in shown
    ]
    rows = [
        {"arm": row["arm"], "layer": row["layer"]}
        | {key: change(row, key, write) for key, _, write, _ in shown}
        for row in summary_rows(found)
    ]
    title = "Each layer before training -> at its end"
    return Table(columns, rows, title=title, group="arm")


def _mode_table(rows: list[dict[str, Any]]) -> Table:
    accuracy = partial(words.percent, num_digits=1)
    columns = [Column(key="arm", title="arm")]
    for key, title, write, rank in (
        ("accuracy_train_mode", "mini-batch", accuracy, 0),
        ("accuracy_ema", "exponential", accuracy, 0),
        ("accuracy_cumulative", "plain\naverage", accuracy, 0),
        ("accuracy_population", "population", accuracy, 0),
        ("gap_ema", "exponential\nmeans off by", _deviations, 1),
        ("gap_cumulative", "plain\nmeans off by", _deviations, 2),
        ("gap_batch", "a mini-batch's\nmeans off by", _deviations, 3),
    ):
        columns.append(Column(key=key, title=title, write=write, rank=rank, numeric=True))
    title = "Validation accuracy at the end with each kind of batch-norm statistics"
    return Table(columns, rows, title=title)


def _deviations(value: float) -> str:
    return f"{words.number(value)} SD"
