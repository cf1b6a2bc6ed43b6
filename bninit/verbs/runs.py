"""Runs as rows: filtered and sorted, for ``bninit list``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console

from bninit.errors import UserError
from bninit.show.old_tables import RunPage, RunRow, run_panel, runs_table

if TYPE_CHECKING:
    from bninit.store import Run

COLUMNS = (
    "name",
    "arm",
    "seed",
    "status",
    "epochs",
    "test_accuracy",
    "best_val_accuracy",
    "seconds",
    "when",
)
STATUSES = ("done", "diverged", "running", "partial", "damaged")


def list_rows(
    runs: Iterable[Run],
    *,
    name: str | None = None,
    arm: str | None = None,
    status: str | None = None,
    sort: str = "name",
) -> list[dict[str, Any]]:
    """Puts runs into rows.

    Args:
        runs: Any runs.
        name: Only runs whose name contains this.
        arm: Only runs whose arm id begins like this.
        status: Only runs of this status.
        sort: A column, after a minus for falling order; rows without a value come last.

    Returns:
        One row for each run, with the keys of `COLUMNS`; ``when`` is when its folder last changed,
        in UTC.

    Raises:
        UserError: The column or the status is unknown.
    """
    column = sort.removeprefix("-")
    if column not in COLUMNS:
        raise UserError(
            f"{column!r} is no column", where="--sort", hint=f"allowed: {', '.join(COLUMNS)}"
        )
    if status is not None and status not in STATUSES:
        raise UserError(
            f"{status!r} is no status", where="--status", hint=f"allowed: {', '.join(STATUSES)}"
        )
    rows = [
        row_of(run)
        for run in runs
        if (name is None or name in run.name) and (arm is None or run.arm.startswith(arm))
    ]
    rows = [row for row in rows if status is None or row["status"] == status]
    there = [row for row in rows if row[column] is not None]
    there.sort(key=lambda row: row[column], reverse=sort.startswith("-"))
    return there + [row for row in rows if row[column] is None]


def row_of(run: Run) -> dict[str, Any]:
    """One run as a row; see `list_rows`."""
    summary = run.summary or {}
    return {
        "name": run.name,
        "arm": run.arm,
        "seed": run.seed,
        "status": run.status,
        "epochs": summary.get("epochs"),
        "test_accuracy": summary.get("test_accuracy"),
        "best_val_accuracy": (summary.get("best") or {}).get("val_accuracy"),
        "seconds": summary.get("seconds"),
        "when": datetime.fromtimestamp(run.folder.stat().st_mtime, UTC),
    }


def print_json(values: object, *, console: Console | None = None) -> None:
    """Prints plain values as strict JSON; times as ISO 8601."""

    def plain(value: object) -> str:
        if isinstance(value, datetime):
            return value.isoformat(timespec="seconds")
        raise TypeError(f"{type(value)} in JSON")

    text = json.dumps(values, indent=2, allow_nan=False, default=plain)
    (console or Console()).file.write(text + "\n")


def print_rows(
    rows: Sequence[dict[str, Any]], *, runs_dir: Path, console: Console | None = None
) -> None:
    """Prints the rows of `bninit.verbs.runs.list_rows`, or that there are none."""
    console = console or Console()
    if rows:
        console.print(runs_table([cast(RunRow, row) for row in rows]))
    else:
        console.print(f"no such runs in {runs_dir}", markup=False, highlight=False, soft_wrap=True)


def print_run(run: Run, *, console: Console | None = None) -> None:
    """Prints all that is kept of a run, as far as it can be read."""
    from bninit.arms import non_default_settings
    from bninit.errors import StoreError

    try:
        changed = non_default_settings(run.config)
        targets = run.targets(run.config.targets)
    except StoreError:
        changed, targets = None, []
    files = sorted(path for path in run.folder.iterdir() if path.is_file())
    page = RunPage(
        name=run.name,
        arm=run.arm,
        seed=run.seed,
        status=run.status,
        folder=str(run.folder),
        changed=changed,
        summary=run.summary,
        targets=targets,
        files=[(path.name, path.stat().st_size) for path in files if path.name != ".lock"],
        problem=run.problem,
    )
    (console or Console()).print(run_panel(page))
