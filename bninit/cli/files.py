"""``bninit list``, ``show``, ``data``, ``init`` and ``schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from bninit.cli import options as opt
from bninit.errors import UserError


def list_runs(
    runs_dir: opt.RunsDir = opt.RUNS,
    name: Annotated[
        str | None, Option("--name", help="Only runs whose name contains this.")
    ] = None,
    arm: Annotated[
        str | None, Option("--arm", help="Only runs whose arm id begins like this.")
    ] = None,
    status: Annotated[
        str | None, Option("--status", help="Only done, diverged, partial or damaged runs.")
    ] = None,
    sort: Annotated[
        str, Option("--sort", help="A column; a minus before it for falling order.")
    ] = "name",
    as_json: opt.Json = False,
) -> None:
    """List the runs in the runs folder, with their status and key figures."""
    from bninit.store import find_runs
    from bninit.verbs.runs import list_rows, print_json, print_rows

    rows = list_rows(find_runs(runs_dir), name=name, arm=arm, status=status, sort=sort)
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, runs_dir=runs_dir)


def show(
    run: Annotated[str, Argument(help="A run's folder, or NAME-ID/seed-N, or the id of an arm.")],
    runs_dir: opt.RunsDir = opt.RUNS,
    as_json: opt.Json = False,
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


def data(
    name: Annotated[
        str | None, Argument(help="A data set: fetch it if need be, and verify it.")
    ] = None,
    data_dir: opt.DataDir = None,
    as_json: opt.Json = False,
) -> None:
    """Show which data sets are where; with a name, fetch and verify that one."""
    from bninit.data.load import fetch, inventory
    from bninit.verbs.data import print_data_sets

    records = inventory(data_dir) if name is None else [fetch(name, data_dir=data_dir)]
    print_data_sets(records, as_json=as_json)


def init(
    name: Annotated[str, Argument(help="Name of the config; the file is NAME.yaml.")],
    force: Annotated[bool, Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a starter config in which every key is explained."""
    from bninit.config import starter

    text = starter(name)
    path = Path(f"{name}.yaml")
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(
            "the file already exists", where=str(path), hint="use --force to overwrite it"
        ) from None
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", where=str(path)) from None
    typer.echo(f"wrote {path}; train it with: bninit train --config {path}")


def schema() -> None:
    """Print the JSON Schema of config files, for editors that complete and check them."""
    from bninit.config import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
