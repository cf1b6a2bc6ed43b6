"""``bninit explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bninit.cli.options import (
    DataDirOption,
    JsonOption,
    RunsDirOption,
    SeedsOption,
    SetOption,
    overrides,
)


def explain(
    configs: Annotated[
        list[Path],
        typer.Argument(
            metavar="CONFIG...",
            help="Config files; several are set side by side.",
            show_default=False,
        ),
    ],
    settings: SetOption = None,
    seeds: SeedsOption = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the folder in RUNS_DIR/explain.")
    ] = None,
    runs_dir: RunsDirOption = Path("runs"),
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what a config's networks do before any training: theory beside measurement.

    Each layer's law and what was drawn from it, its parameters, the signal forward, the gradient
    back, dead, saturated and equal units, and a verdict. One network is drawn, of the config's
    first seed, unless --seeds asks for more. A picture goes to RUNS_DIR/explain/NAME.
    """
    from bninit.config import parse_seeds
    from bninit.store.output import check_name
    from bninit.verbs.explain import explain as explanations
    from bninit.verbs.explain.tables import print_explanations

    if name is not None:
        check_name(name)
    found = explanations.explain(
        configs,
        overrides=overrides(settings),
        seeds=None if seeds is None else parse_seeds(seeds),
        data_dir=data_dir,
    )
    if as_json:
        typer.echo(explanations.explanations_json(found), nl=False)
    else:
        print_explanations(found)
    folder = explanations.keep_explanations(found, runs_dir=runs_dir, name=name)
    typer.echo(f"picture and figures: {folder}", err=True)
