"""``bninit list`` and ``bninit show`` on standard output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console

from bninit.views.tables import RunPage, RunRow, run_panel, runs_table

if TYPE_CHECKING:
    from bninit.store import Run


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
    """Prints the rows of `bninit.analysis.listing.list_rows`, or that there are none."""
    console = console or Console()
    if rows:
        console.print(runs_table([cast(RunRow, row) for row in rows]))
    else:
        console.print(f"no such runs in {runs_dir}", markup=False, highlight=False, soft_wrap=True)


def print_run(run: Run, *, console: Console | None = None) -> None:
    """Prints all that is kept of a run, as far as it can be read."""
    from bninit.analysis.changes import changed_settings
    from bninit.errors import StoreError

    try:
        changed = changed_settings(run.config)
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
