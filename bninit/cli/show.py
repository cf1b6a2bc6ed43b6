"""``bninit show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bninit.cli.options import JsonOption, RunsDirOption


def show(
    run: Annotated[
        str, typer.Argument(help="A run's folder, or NAME-ID/seed-N, or the id of an arm.")
    ],
    runs_dir: RunsDirOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Show one run, or all runs of an arm: config, figures, targets and files."""
    from bninit.arms import resolve_runs
    from bninit.verbs.runs import print_json, print_run

    found = resolve_runs([run], runs_dir=runs_dir)
    if as_json:
        print_json([one.summary for one in found])
        return
    for one in found:
        print_run(one)
