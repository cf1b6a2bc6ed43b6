"""``bninit list``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bninit.cli.options import JsonOption, RunsDirOption


def list_runs(
    runs_dir: RunsDirOption = Path("runs"),
    name: Annotated[
        str | None, typer.Option("--name", help="Only runs whose name contains this.")
    ] = None,
    arm: Annotated[
        str | None, typer.Option("--arm", help="Only runs whose arm id begins like this.")
    ] = None,
    status: Annotated[
        str | None, typer.Option("--status", help="Only done, diverged, partial or damaged runs.")
    ] = None,
    sort: Annotated[
        str, typer.Option("--sort", help="A column; a minus before it for falling order.")
    ] = "name",
    as_json: JsonOption = False,
) -> None:
    """List the runs in the runs folder, with their status and key figures."""
    from bninit.store import find_runs
    from bninit.verbs.runs import list_rows, print_json, print_rows

    rows = list_rows(find_runs(runs_dir), name=name, arm=arm, status=status, sort=sort)
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, runs_dir=runs_dir)
