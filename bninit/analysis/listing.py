"""Runs as rows: filtered and sorted, for ``bninit list``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bninit.errors import UserError

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
