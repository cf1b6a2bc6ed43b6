"""``bninit landscape``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bninit.cli.options import DataDirOption, DeviceOption, JsonOption, RunsDirOption
from bninit.errors import UserError


def landscape(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Folders of runs or arms, NAME-ID/seed-N, or names or ids of arms.",
            show_default=False,
        ),
    ],
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            help="gradient, line, plane or trajectory; may be repeated. All by default.",
            metavar="KIND",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int, typer.Option("--steps", help="Training steps to measure along their gradients.")
    ] = 30,
    lengths: Annotated[
        str | None,
        typer.Option(
            "--lengths",
            help="Step lengths along the gradient, as in 0.05,0.1,0.2,0.4; by default 1/2 to 4 "
            "times each run's own learning rate.",
            metavar="LIST",
        ),
    ] = None,
    resolution: Annotated[
        int,
        typer.Option("--resolution", help="Points of a line, and along each side of a plane; odd."),
    ] = 21,
    directions: Annotated[
        int, typer.Option("--directions", help="Random directions of lines.")
    ] = 5,
    extent: Annotated[
        float, typer.Option("--extent", help="How far lines and planes go, in filter norms.")
    ] = 1.0,
    examples: Annotated[
        int, typer.Option("--examples", help="Training examples on which slices are computed.")
    ] = 500,
    statistics: Annotated[
        str,
        typer.Option(
            "--statistics",
            help="What batch norm goes by in slices: batch (that of the examples at each point) "
            "or running (the trained network's).",
        ),
    ] = "batch",
    name: Annotated[
        str | None, typer.Option("--name", help="Of the folder in RUNS_DIR/landscape.")
    ] = None,
    device: DeviceOption = None,
    runs_dir: RunsDirOption = Path("runs"),
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at the cost function along trainings and around trained networks, side by side.

    Along the gradient of training steps, as Santurkar et al. 2018 measure it; along random
    filter-normalized directions, as Li et al. 2018 have them; and on the plane in which most of a
    training lies. Runs are only read: what they did not keep is found by training them once more.
    Pictures, with their figures beside them, go to RUNS_DIR/landscape/NAME.
    """
    from bninit.show.progress import TrainingProgress
    from bninit.store.output import check_name
    from bninit.verbs.landscape import landscape as landscapes
    from bninit.verbs.landscape.landscape import KINDS
    from bninit.verbs.landscape.tables import print_landscape

    if name is not None:
        check_name(name)
    found = landscapes.landscape(
        runs,
        kinds=kinds or KINDS,
        steps=steps,
        lengths=None if lengths is None else _parse_lengths(lengths),
        resolution=resolution,
        directions=directions,
        extent=extent,
        examples=examples,
        statistics=statistics,
        device=device,
        runs_dir=runs_dir,
        data_dir=data_dir,
        watcher=TrainingProgress(),
    )
    print_landscape(found, as_json=as_json)
    folder = landscapes.keep_landscape(found, runs_dir=runs_dir, name=name)
    typer.echo(f"pictures and figures: {folder}", err=True)


def _parse_lengths(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UserError(
            f"{text!r} is no list of step lengths", where="--lengths", hint="as in 0.05,0.1,0.4"
        ) from None
