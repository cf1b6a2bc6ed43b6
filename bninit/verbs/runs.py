"""List runs in a table (``bninit list``), and show all that is kept of one (``bninit show``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.text import Text

from bninit.errors import StoreError, UserError
from bninit.show import words
from bninit.show.tables import Cell, Column, Table, block, pairs, stacked
from bninit.store.files import json_text

if TYPE_CHECKING:
    from bninit.store import Run

STATUSES = {
    "done": "green",
    "diverged": "yellow",
    "running": "cyan",
    "partial": "cyan",
    "damaged": "bold red",
}
"""Every status of a run, with its style."""


def _status(status: str) -> Text:
    return Text(status, style=STATUSES.get(status, ""))


def _local_time(when: datetime) -> str:
    return f"{when.astimezone():%Y-%m-%d %H:%M}"


COLUMNS = (
    Column(key="name", title="name", style="bold"),
    Column(key="arm", title="arm", rank=1),
    Column(key="seed", title="seed", write=str, numeric=True),
    Column(key="status", title="status", write=_status),
    Column(key="epochs", title="epochs", write=words.count, numeric=True, rank=4),
    Column(key="test_accuracy", title="test\naccuracy", write=words.percent, numeric=True),
    Column(
        key="best_val_accuracy",
        title="best val\naccuracy",
        write=words.percent,
        numeric=True,
        rank=2,
    ),
    Column(key="seconds", title="training\ntime", write=words.seconds, numeric=True, rank=3),
    Column(key="when", title="written", write=_local_time, rank=5),
)


def list_rows(
    runs: Iterable[Run],
    *,
    name: str | None = None,
    arm: str | None = None,
    status: str | None = None,
    sort: str = "name",
) -> list[dict[str, Any]]:
    """One row for each run, filtered and sorted.

    Args:
        runs: Any runs.
        name: Only runs whose name contains this.
        arm: Only runs whose arm id begins like this.
        status: Only runs of this status.
        sort: A column, after a minus for falling order; rows without a value come last.

    Returns:
        Rows with the keys of `COLUMNS`; ``when`` is when the run's folder last changed, in UTC.

    Raises:
        UserError: The column or the status is unknown.
    """
    column, keys = sort.removeprefix("-"), [each.key for each in COLUMNS]
    for option, value, allowed in (("sort", column, keys), ("status", status, [*STATUSES])):
        if value is not None and value not in allowed:
            what = f"unknown {'column' if option == 'sort' else option}: {value!r}"
            raise UserError(what, where=f"--{option}", hint=f"allowed: {', '.join(allowed)}")
    rows = [
        _row(run)
        for run in runs
        if (name is None or name in run.name) and (arm is None or run.arm.startswith(arm))
    ]
    rows = [row for row in rows if status is None or row["status"] == status]
    there = [row for row in rows if row[column] is not None]
    there.sort(key=lambda row: row[column], reverse=sort.startswith("-"))
    return there + [row for row in rows if row[column] is None]


def _row(run: Run) -> dict[str, Any]:
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
    (console or Console()).file.write(json_text(values, ascii_only=True))


def print_rows(
    rows: Sequence[dict[str, Any]], *, runs_dir: Path, console: Console | None = None
) -> None:
    """Prints the rows of `list_rows`, or that there are none."""
    none = Text(f"no such runs in {runs_dir}")
    (console or Console()).print(Table(COLUMNS, rows) if rows else none, soft_wrap=not rows)


def print_run(run: Run, *, console: Console | None = None) -> None:
    """Prints all that is kept of a run, as far as it can be read."""
    from bninit.arms import non_default_settings

    head: list[tuple[str, Cell]] = [("status", _status(run.status))]
    if run.problem:
        head.append(("problem", Text(words.printable(run.problem), style="bold red")))
    head += [("arm", run.arm), ("folder", str(run.folder))]
    parts = [block(f"{run.name}, seed {run.seed}", pairs(head))]
    targets: list[dict[str, Any]] = []
    try:
        changed = non_default_settings(run.config)
        targets = run.targets(run.config.targets)
    except StoreError:
        pass
    else:
        settings: RenderableType = Text("  all settings are the defaults")
        if changed:
            settings = pairs([(key, words.setting(value)) for key, value in changed.items()])
        parts.append(block("Settings other than the defaults", settings))
    if run.summary is not None:
        parts.append(block("Figures", pairs(_figures(run.summary))))
    if targets:
        entries = [(words.target_percent(each["target"]), _reached(each)) for each in targets]
        parts.append(block("Targets: validation accuracy", pairs(entries)))
    files = [path for path in sorted(run.folder.iterdir()) if path.is_file()]
    sizes = [
        (words.printable(path.name), words.size(path.stat().st_size))
        for path in files
        if path.name != ".lock"
    ]
    if sizes:
        parts.append(block("Files", pairs(sizes)))
    (console or Console()).print(stacked(parts))


def _figures(summary: dict[str, Any]) -> list[tuple[str, Cell]]:
    best, final = summary["best"], summary["final"]
    at = "" if best["epoch"] is None else f" (epoch {best['epoch']})"
    entries: list[tuple[str, Cell]] = [
        ("test accuracy", words.percent(summary["test_accuracy"])),
        ("test loss", words.loss(summary["test_loss"])),
        ("train accuracy", words.percent(summary["train_accuracy"])),
        ("train minus test", words.percent_points(summary["generalization_gap"])),
        ("last val accuracy", words.percent(final["val_accuracy"])),
        ("last val loss", words.loss(final["val_loss"])),
        ("best val accuracy", words.percent(best["val_accuracy"]) + at),
        ("lowest val loss", words.loss(best["val_loss"])),
        ("epochs", words.count(summary["epochs"])),
        ("steps", words.count(summary["steps"])),
        ("training time", words.seconds(summary["seconds"])),
        ("an epoch", words.seconds(summary["seconds_per_epoch"])),
        ("trained with", words.plural(summary["stack_size"] - 1, "other network")),
        ("parameters", f"{words.count(summary['num_parameters'])} trained"),
        ("", f"{words.count(summary['num_tracked'])} tracked"),
    ]
    if summary["status"] == "diverged":
        where = f"in epoch {summary['diverged_epoch']}, step {summary['diverged_step']:,}"
        entries.insert(0, ("diverged", Text(where, style="yellow")))
    return entries


def _reached(target: dict[str, Any]) -> str:
    if not target["reached"]:
        return f"not reached in {words.plural(target['censored_at_epochs'], 'epoch')}"
    return (
        f"after {words.plural(target['epochs'], 'epoch')}, "
        f"{words.plural(target['steps'], 'step')}, {words.seconds(target['seconds'])}"
    )
