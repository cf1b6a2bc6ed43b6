"""``bninit data``."""

from __future__ import annotations

from typing import Annotated

import typer

from bninit.cli.options import DataDirOption, JsonOption


def data(
    name: Annotated[
        str | None, typer.Argument(help="A data set: fetch it if need be, and verify it.")
    ] = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which data sets are where; with a name, fetch and verify that one."""
    from bninit.data.load import fetch, inventory
    from bninit.verbs.data import print_data_sets

    records = inventory(data_dir) if name is None else [fetch(name, data_dir=data_dir)]
    print_data_sets(records, as_json=as_json)
