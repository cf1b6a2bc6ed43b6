"""What is where: the data sets on this machine, for ``bninit data``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bninit.show import words as text

if TYPE_CHECKING:
    from bninit.data.load import InventoryRecord

_COLOURS = {"ready": "green", "absent": "yellow", "damaged": "red"}


def print_data_sets(
    records: Sequence[InventoryRecord], *, as_json: bool, console: Console | None = None
) -> None:
    """Prints a table of data sets, and below it what to do about those that are not ready.

    Args:
        records: From `bninit.data.load`.
        as_json: Prints a JSON list instead.
        console: Where to; standard output by default.
    """
    console = console or Console()
    if as_json:
        console.file.write(json.dumps([asdict(record) for record in records], indent=2) + "\n")
        return
    table = Table("data set", "status", "images", "size", box=None, pad_edge=False)
    table.add_column("where", overflow="fold")
    for record in records:
        colour = _COLOURS[record.status]
        table.add_row(
            record.name,
            f"[{colour}]{record.status}[/{colour}]",
            text.count(record.num_images) if record.num_images else text.MISSING,
            text.size(record.num_bytes) if record.num_bytes else text.MISSING,
            Text(record.where),
        )
    console.print(table)
    for record in records:
        if record.status == "damaged" or (record.problem and len(records) == 1):
            console.print(f"\n{record.name}: {record.problem}", markup=False, highlight=False)
            console.print(f"  {record.hint}", markup=False, highlight=False)
