"""``bninit inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bninit.cli.options import JsonOption, RunsDirOption


def inspect(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Folders of runs or arms, NAME-ID/seed-N, or names or ids of arms.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="Of the folder in RUNS_DIR/inspect.")
    ] = None,
    runs_dir: RunsDirOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Look inside networks: what probes found while they trained, side by side.

    Distributions, signals and gradients of each layer over the training, dead and symmetric
    units, gamma and beta, and batch norm's averages against the population. Probes are taken where
    the config says probes: true. Pictures, with their figures beside them, go to
    RUNS_DIR/inspect/NAME.
    """
    from bninit.store.output import check_name
    from bninit.verbs.inspect import inspect as inspections
    from bninit.verbs.inspect.tables import print_insides

    if name is not None:
        check_name(name)
    found = inspections.inspect(runs, runs_dir=runs_dir)
    print_insides(found, as_json=as_json)
    folder = inspections.keep_inspection(found, runs_dir=runs_dir, name=name)
    typer.echo(f"pictures and figures: {folder}", err=True)
