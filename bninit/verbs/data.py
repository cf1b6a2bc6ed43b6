"""Data sets on this machine, for ``bninit data``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from bninit.show import words
from bninit.show.tables import Column, Table
from bninit.store.files import json_text

if TYPE_CHECKING:
    from bninit.data.load import InventoryRecord

_COLOURS = {"ready": "green", "absent": "yellow", "damaged": "red"}
_COLUMNS = (
    Column(key="name", title="data set"),
    Column(key="status", title="status", write=lambda said: Text(said, style=_COLOURS[said])),
    Column(key="num_images", title="images", write=lambda n: words.count(n or None), numeric=True),
    Column(
        key="num_bytes", title="size", write=lambda n: words.size(n) if n else words.MISSING, rank=1
    ),
    Column(key="where", title="where"),
)


def print_data_sets(
    records: Sequence[InventoryRecord], *, as_json: bool, console: Console | None = None
) -> None:
    """Print a table of data sets, and below it what to do about those that are not ready.

    Args:
        records: From `bninit.data.load`.
        as_json: Prints a JSON list instead.
        console: Where to; standard output by default.
    """
    console = console or Console()
    rows = [asdict(record) for record in records]
    if as_json:
        console.file.write(json_text(rows, ascii_only=True))
        return
    console.print(Table(_COLUMNS, rows))
    for record in records:
        if record.status == "damaged" or (record.problem and len(records) == 1):
            console.print(Text(f"\n{record.name}: {record.problem}\n  {record.hint}"))
